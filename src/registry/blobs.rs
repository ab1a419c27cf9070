//! Blobs: fetched whole or in part, deleted.

use http::header::RANGE;
use http::{Method, StatusCode};
use tokio::fs;
use warp::Reply;
use warp::reply::Response;

use super::arriving::read_ahead;
use super::error::{Code, Refusal};
use super::name::{Digest, Repository};
use super::storage::Held;
use super::{Asked, Inside, empty, with_headers};

/// `GET` and `HEAD /v2/<name>/blobs/<digest>`.
pub(super) async fn get(
    inside: &Inside,
    name: &Repository,
    digest: &Digest,
    asked: &Asked,
) -> Result<Response, Refusal> {
    if !holds(inside, name, digest).await? {
        return Err(unknown(name, digest));
    }
    let file = fs::File::open(inside.storage.content(digest)).await?;
    let length = file.metadata().await?.len();
    let headers = [
        ("docker-content-digest", digest.to_string()),
        ("etag", format!("\"{digest}\"")),
        ("accept-ranges", "bytes".to_string()),
        ("content-type", "application/octet-stream".to_string()),
        ("content-length", length.to_string()),
    ];
    if asked.method == Method::HEAD {
        return Ok(with_headers(empty(StatusCode::OK), headers));
    }
    let range = asked.headers.get(RANGE).and_then(|range| range.to_str().ok());
    let part = range.map_or(Part::Whole, |range| Part::of(range, length));
    let (first, end) = match part {
        Part::Whole => (0, length),
        Part::Bytes(first, end) => (first, end),
        Part::Beyond => {
            let refusal = Refusal::new(Code::RangeInvalid, format!("the blob has {length} bytes"));
            return Ok(with_headers(refusal.response(), [("content-range", format!("bytes */{length}"))]));
        }
    };
    let content = read_ahead(&inside.tasks, file.into_std().await, first, end - first);
    let response = with_headers(warp::reply::stream(content).into_response(), headers);
    if part == Part::Whole {
        return Ok(response);
    }
    let partial = [
        ("content-length", (end - first).to_string()),
        ("content-range", format!("bytes {first}-{}/{length}", end - 1)),
    ];
    let mut response = with_headers(response, partial);
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    Ok(response)
}

/// `DELETE /v2/<name>/blobs/<digest>`.
pub(super) async fn delete(inside: &Inside, name: &Repository, digest: &Digest) -> Result<Response, Refusal> {
    let _alone = inside.holders.write().await;
    if !inside.storage.remove(&inside.storage.held(name, Held::Blob, digest.hex())).await? {
        return Err(unknown(name, digest));
    }
    inside.storage.sweep(digest).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// Whether the repository holds the blob.
pub(super) async fn holds(inside: &Inside, name: &Repository, digest: &Digest) -> Result<bool, Refusal> {
    Ok(fs::try_exists(inside.storage.held(name, Held::Blob, digest.hex())).await?)
}

fn unknown(name: &Repository, digest: &Digest) -> Refusal {
    Refusal::new(Code::BlobUnknown, format!("{name} has no blob {digest}"))
}

/// What a Range header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// No range, or one that may be ignored: several, another unit, backwards.
    Whole,
    /// From the first byte up to the second, exclusive.
    Bytes(u64, u64),
    /// The blob does not reach so far.
    Beyond,
}

impl Part {
    fn of(range: &str, length: u64) -> Part {
        Part::parse(range, length).unwrap_or(Part::Whole)
    }

    fn parse(range: &str, length: u64) -> Option<Part> {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        let (first, end) = match (first, last) {
            ("", suffix) => (length.saturating_sub(suffix.parse().ok()?), length),
            (first, "") => (first.parse().ok()?, length),
            (first, last) => {
                let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
                if first > last {
                    return None;
                }
                (first, last.saturating_add(1).min(length))
            }
        };
        Some(if first < length { Part::Bytes(first, end) } else { Part::Beyond })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, wanted) in [
            ("bytes=0-3", Part::Bytes(0, 4)),
            ("bytes=4-", Part::Bytes(4, 10)),
            ("bytes=-3", Part::Bytes(7, 10)),
            ("bytes=-30", Part::Bytes(0, 10)),
            ("bytes=8-99", Part::Bytes(8, 10)),
            ("bytes=10-", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=4-3", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("lines=1-2", Part::Whole),
        ] {
            assert_eq!(Part::of(range, 10), wanted, "{range}");
        }
    }
}
