//! Uploads: a blob arrives in one request or in many, on disk from its first byte, and is held by
//! the repository once its digest is verified. It is hashed as it comes; only one that was named by another hash function
//! is read again. Nothing of it is flushed before its end: what is not whole does not outlive a restart anyway.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use futures::stream::StreamExt;
use http::StatusCode;
use http::header::CONTENT_RANGE;
use parking_lot::Mutex;
use tokio::fs;
use uuid::Uuid;
use warp::reply::Response;

use super::error::{Code, Refusal};
use super::name::{Digest, Hashing, Repository};
use super::storage::Held;
use super::{Asked, BLOB_MAX, Incoming, Inside, UPLOADS_MAX, arriving, blobs, empty, route, with_headers};

/// `POST /v2/<name>/blobs/uploads/`: begins an upload, takes a whole blob (`digest`), or takes one
/// that another repository has (`mount`, `from`).
pub(super) async fn start(inside: &Inside, name: &Repository, asked: Asked) -> Result<Response, Refusal> {
    if let (Some(digest), Some(from)) = (route::query(&asked.query, "mount"), route::query(&asked.query, "from")) {
        let digest = route::digest(&digest)?;
        let _shared = inside.holders.read().await;
        if let Some(from) = Repository::parse(&from)
            && blobs::holds(inside, &from, &digest).await?
        {
            inside.storage.write(&inside.storage.held(name, Held::Blob, digest.hex()), b"").await?;
            return Ok(created(name, &digest));
        }
    }
    if inside.storage.uploads().await? >= UPLOADS_MAX {
        return Err(Refusal::new(Code::TooManyRequests, format!("{UPLOADS_MAX} uploads are under way")));
    }
    let id = Uuid::new_v4();
    fs::File::create(inside.storage.upload(id)).await?;
    match route::query(&asked.query, "digest") {
        Some(_) => finish(inside, name, id, asked).await,
        None => Ok(progress(StatusCode::ACCEPTED, name, id, 0)),
    }
}

/// `GET` of an upload: how much has arrived.
pub(super) async fn status(inside: &Inside, name: &Repository, id: Uuid) -> Result<Response, Refusal> {
    Ok(progress(StatusCode::NO_CONTENT, name, id, arrived(inside, id).await?))
}

/// `PATCH` of an upload: the next chunk.
pub(super) async fn append(inside: &Inside, name: &Repository, id: Uuid, asked: Asked) -> Result<Response, Refusal> {
    let busy = Busy::take(inside, id)?;
    let arrived = receive(inside, &busy, asked).await?;
    Ok(progress(StatusCode::ACCEPTED, name, id, arrived))
}

/// `PUT` of an upload: the last chunk (or none) and the digest of the whole.
pub(super) async fn finish(inside: &Inside, name: &Repository, id: Uuid, asked: Asked) -> Result<Response, Refusal> {
    let busy = Busy::take(inside, id)?;
    let missing = || Refusal::new(Code::DigestInvalid, "the query has no digest");
    let wanted = route::digest(&route::query(&asked.query, "digest").ok_or_else(missing)?)?;
    let arrived = receive(inside, &busy, asked).await?;
    let upload = inside.storage.upload(id);
    let known = inside.hashed.lock().remove(&id);
    let known = known.filter(|(length, hash)| *length == arrived && hash.is_like(&wanted.hashing()));
    let (path, hashing) = (upload.clone(), wanted.hashing());
    let whole = move || {
        let file = std::fs::File::open(path)?;
        let found = match known {
            Some((_, hash)) => hash.finish(),
            None => hash(&file, hashing)?,
        };
        file.sync_all().map(|()| found)
    };
    let found = inside.tasks.blocking(whole).await?;
    if found != wanted {
        inside.storage.remove(&upload).await?;
        return Err(Refusal::new(Code::DigestInvalid, format!("the content is {found}, not {wanted}")));
    }
    let _shared = inside.holders.read().await;
    inside.storage.finish(&upload, &inside.storage.content(&wanted)).await?;
    inside.storage.write(&inside.storage.held(name, Held::Blob, wanted.hex()), b"").await?;
    Ok(created(name, &wanted))
}

/// `DELETE` of an upload.
pub(super) async fn cancel(inside: &Inside, id: Uuid) -> Result<Response, Refusal> {
    let _busy = Busy::take(inside, id)?;
    inside.hashed.lock().remove(&id);
    match inside.storage.remove(&inside.storage.upload(id)).await? {
        true => Ok(empty(StatusCode::NO_CONTENT)),
        false => Err(unknown(id)),
    }
}

/// One request at a time writes to an upload, until the last holder of this is gone.
struct Busy(Arc<Mutex<HashSet<Uuid>>>, Uuid);

impl Busy {
    fn take(inside: &Inside, id: Uuid) -> Result<Arc<Busy>, Refusal> {
        if !inside.busy.lock().insert(id) {
            return Err(Refusal::new(Code::BlobUploadInvalid, "another request is writing to this upload"));
        }
        Ok(Arc::new(Busy(inside.busy.clone(), id)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// Appends the request's body to the upload; returns its length. A chunk that breaks off is taken
/// back, so that the client can send it again.
async fn receive(inside: &Inside, busy: &Arc<Busy>, asked: Asked) -> Result<u64, Refusal> {
    let id = busy.1;
    let before = arrived(inside, id).await?;
    let range = asked.headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    if let Some(range) = range {
        let first = range.trim_start_matches("bytes ").split('-').next().and_then(|first| first.parse().ok());
        if first != Some(before) {
            return Err(Refusal::new(Code::RangeInvalid, format!("the next byte is {before}, not {range}")));
        }
    }
    let file = fs::OpenOptions::new().append(true).open(inside.storage.upload(id)).await?.into_std().await;
    let known = inside.hashed.lock().remove(&id).filter(|(length, _)| *length == before);
    let was_hashed = known.is_some();
    let hash = known.map_or_else(Hashing::default, |(_, hash)| hash);
    let body = asked.body.map(|piece| piece.map_err(io::Error::other));
    // Also when who asked leaves in the middle, the next request waits until this one's bytes are gone.
    let busy = busy.clone();
    let work = move |incoming| {
        let poured = append_to(&file, hash, before, incoming);
        if poured.is_err() {
            file.set_len(before)?;
        }
        drop(busy);
        Ok::<_, io::Error>(poured)
    };
    let (hash, came) = arriving::drain(&inside.tasks, body, work).await??;
    let arrived = before + came;
    // Without its beginning the hash of the rest is of no use.
    if before == 0 || was_hashed {
        inside.hashed.lock().insert(id, (arrived, hash));
    }
    Ok(arrived)
}

fn append_to(
    file: &std::fs::File,
    hash: Hashing,
    before: u64,
    mut incoming: Incoming,
) -> Result<(Hashing, u64), Refusal> {
    let (mut arrived, mut fault) = (before, None);
    let poured = arriving::pour(file, hash, |_| {
        let piece = incoming.piece().inspect_err(|error| {
            fault = Some(Refusal::new(Code::BlobUploadInvalid, error.to_string()));
        })?;
        arrived += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if arrived > BLOB_MAX {
            fault = Some(Refusal::new(Code::SizeInvalid, format!("a blob has at most {BLOB_MAX} bytes")));
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(piece)
    });
    poured.map_err(|error| fault.unwrap_or_else(|| error.into()))
}

async fn arrived(inside: &Inside, id: Uuid) -> Result<u64, Refusal> {
    let found = fs::metadata(inside.storage.upload(id)).await;
    found.map(|metadata| metadata.len()).map_err(|_| unknown(id))
}

fn hash(mut file: &std::fs::File, mut hashing: Hashing) -> io::Result<Digest> {
    io::copy(&mut file, &mut hashing)?;
    Ok(hashing.finish())
}

fn unknown(id: Uuid) -> Refusal {
    Refusal::new(Code::BlobUploadUnknown, format!("there is no upload {id}"))
}

fn created(name: &Repository, digest: &Digest) -> Response {
    let headers = [("location", format!("/v2/{name}/blobs/{digest}")), ("docker-content-digest", digest.to_string())];
    with_headers(empty(StatusCode::CREATED), headers)
}

fn progress(status: StatusCode, name: &Repository, id: Uuid, arrived: u64) -> Response {
    let headers = [
        ("location", format!("/v2/{name}/blobs/uploads/{id}")),
        ("range", format!("0-{}", arrived.saturating_sub(1))),
        ("docker-upload-uuid", id.to_string()),
    ];
    with_headers(empty(status), headers)
}
