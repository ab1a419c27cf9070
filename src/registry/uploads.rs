//! Uploads: a blob arrives in one request or in many, on disk from its first byte, and is held by
//! the repository once its digest is verified.

use std::path::Path;

use futures::stream::StreamExt;
use http::StatusCode;
use http::header::CONTENT_RANGE;
use tokio::fs;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;
use warp::reply::Response;

use super::error::{Code, Refusal};
use super::name::{Digest, Hashing, Repository};
use super::storage::Held;
use super::{Asked, BLOB_MAX, Body, Inside, UPLOADS_MAX, blobs, empty, route, with_headers};

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
    let _busy = Busy::take(inside, id)?;
    let arrived = receive(inside, id, asked).await?;
    Ok(progress(StatusCode::ACCEPTED, name, id, arrived))
}

/// `PUT` of an upload: the last chunk (or none) and the digest of the whole.
pub(super) async fn finish(inside: &Inside, name: &Repository, id: Uuid, asked: Asked) -> Result<Response, Refusal> {
    let _busy = Busy::take(inside, id)?;
    let missing = || Refusal::new(Code::DigestInvalid, "the query has no digest");
    let wanted = route::digest(&route::query(&asked.query, "digest").ok_or_else(missing)?)?;
    receive(inside, id, asked).await?;
    let upload = inside.storage.upload(id);
    let (path, hashing) = (upload.clone(), wanted.hashing());
    let found = inside.tasks.blocking(move || hash(&path, hashing)).await?;
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
    match inside.storage.remove(&inside.storage.upload(id)).await? {
        true => Ok(empty(StatusCode::NO_CONTENT)),
        false => Err(unknown(id)),
    }
}

/// One request at a time writes to an upload.
struct Busy<'a>(&'a Inside, Uuid);

impl Busy<'_> {
    fn take(inside: &Inside, id: Uuid) -> Result<Busy<'_>, Refusal> {
        if !inside.busy.lock().insert(id) {
            return Err(Refusal::new(Code::BlobUploadInvalid, "another request is writing to this upload"));
        }
        Ok(Busy(inside, id))
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.lock().remove(&self.1);
    }
}

/// Appends the request's body to the upload; returns its length. A chunk that breaks off is taken
/// back, so that the client can send it again.
async fn receive(inside: &Inside, id: Uuid, asked: Asked) -> Result<u64, Refusal> {
    let before = arrived(inside, id).await?;
    let range = asked.headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    if let Some(range) = range {
        let first = range.trim_start_matches("bytes ").split('-').next().and_then(|first| first.parse().ok());
        if first != Some(before) {
            return Err(Refusal::new(Code::RangeInvalid, format!("the next byte is {before}, not {range}")));
        }
    }
    let mut file = fs::OpenOptions::new().append(true).open(inside.storage.upload(id)).await?;
    let received = copy(asked.body, &mut file, before).await;
    if received.is_err() {
        file.set_len(before).await?;
    }
    received
}

async fn copy(mut body: Body, file: &mut fs::File, before: u64) -> Result<u64, Refusal> {
    let mut arrived = before;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Refusal::new(Code::BlobUploadInvalid, error))?;
        arrived += chunk.len() as u64;
        if arrived > BLOB_MAX {
            return Err(Refusal::new(Code::SizeInvalid, format!("a blob has at most {BLOB_MAX} bytes")));
        }
        file.write_all(&chunk).await?;
    }
    file.sync_all().await?;
    Ok(arrived)
}

async fn arrived(inside: &Inside, id: Uuid) -> Result<u64, Refusal> {
    let found = fs::metadata(inside.storage.upload(id)).await;
    found.map(|metadata| metadata.len()).map_err(|_| unknown(id))
}

fn hash(path: &Path, mut hashing: Hashing) -> std::io::Result<Digest> {
    std::io::copy(&mut std::fs::File::open(path)?, &mut hashing)?;
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
