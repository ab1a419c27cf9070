//! Manifests: what an image is made of, by digest or by tag.

use futures::stream::StreamExt;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::fs;
use warp::reply::Response;

use super::error::{Code, Refusal};
use super::name::{Digest, Reference, Repository};
use super::storage::Held;
use super::{Asked, Inside, MANIFEST_MAX, empty, with_headers};

/// `GET` and `HEAD /v2/<name>/manifests/<reference>`.
pub(super) async fn get(
    inside: &Inside,
    name: &Repository,
    reference: &Reference,
    method: &Method,
) -> Result<Response, Refusal> {
    let digest = resolve(inside, name, reference).await?;
    let held = inside.storage.held(name, Held::Manifest, digest.hex());
    let media_type = inside.storage.read(&held).await?.ok_or_else(|| unknown(name, reference))?;
    let content = fs::read(inside.storage.content(&digest)).await?;
    let headers = [
        ("content-type", media_type),
        ("content-length", content.len().to_string()),
        ("docker-content-digest", digest.to_string()),
        ("etag", format!("\"{digest}\"")),
    ];
    let response = if *method == Method::HEAD { empty(StatusCode::OK) } else { Response::new(content.into()) };
    Ok(with_headers(response, headers))
}

/// `PUT /v2/<name>/manifests/<reference>`. What the manifest names must be there.
pub(super) async fn put(
    inside: &Inside,
    name: &Repository,
    reference: &Reference,
    mut asked: Asked,
) -> Result<Response, Refusal> {
    let mut content = Vec::new();
    while let Some(chunk) = asked.body.next().await {
        content.extend_from_slice(&chunk.map_err(|error| Refusal::new(Code::ManifestInvalid, error))?);
        if content.len() > MANIFEST_MAX {
            return Err(Refusal::new(Code::SizeInvalid, format!("a manifest has at most {MANIFEST_MAX} bytes")));
        }
    }
    let digest = match reference {
        Reference::Tag(_) => Digest::of(&content),
        Reference::Digest(wanted) => wanted.alike(&content),
    };
    if let Reference::Digest(wanted) = reference
        && *wanted != digest
    {
        return Err(Refusal::new(Code::DigestInvalid, format!("the content is {digest}, not {wanted}")));
    }
    let manifest: Value =
        serde_json::from_slice(&content).map_err(|error| Refusal::new(Code::ManifestInvalid, error.to_string()))?;
    let media_type = media_type(&manifest, &asked)?;
    // Alone, so that what it names cannot be deleted between the look and the deed.
    let _alone = inside.holders.write().await;
    check_parts(inside, name, &manifest).await?;
    let storage = &inside.storage;
    storage.write(&storage.content(&digest), &content).await?;
    storage.write(&storage.held(name, Held::Manifest, digest.hex()), media_type.as_bytes()).await?;
    if let Reference::Tag(tag) = reference {
        storage.write(&storage.held(name, Held::Tag, tag), digest.to_string().as_bytes()).await?;
    }
    let mut headers =
        vec![("location", format!("/v2/{name}/manifests/{reference}")), ("docker-content-digest", digest.to_string())];
    if let Some(subject) = subject(&manifest) {
        let descriptor = descriptor(&manifest, &media_type, &digest, content.len()).to_string();
        let referrer = storage.referrers(name, &subject).join(digest.hex());
        storage.write(&referrer, descriptor.as_bytes()).await?;
        headers.push(("oci-subject", subject.to_string()));
    }
    Ok(with_headers(empty(StatusCode::CREATED), headers))
}

/// `DELETE /v2/<name>/manifests/<reference>`: of a tag the tag, of a digest the manifest with its
/// tags.
pub(super) async fn delete(inside: &Inside, name: &Repository, reference: &Reference) -> Result<Response, Refusal> {
    let storage = &inside.storage;
    let _alone = inside.holders.write().await;
    let digest = match reference {
        Reference::Tag(tag) => {
            return match storage.remove(&storage.held(name, Held::Tag, tag)).await? {
                true => Ok(empty(StatusCode::ACCEPTED)),
                false => Err(unknown(name, reference)),
            };
        }
        Reference::Digest(digest) => digest,
    };
    if !storage.remove(&storage.held(name, Held::Manifest, digest.hex())).await? {
        return Err(unknown(name, reference));
    }
    for tag in storage.list(name, Held::Tag).await? {
        let tag = storage.held(name, Held::Tag, &tag);
        if storage.read(&tag).await?.is_some_and(|points_to| points_to == digest.to_string()) {
            storage.remove(&tag).await?;
        }
    }
    let content = fs::read(storage.content(digest)).await?;
    let manifest: Value = serde_json::from_slice(&content).unwrap_or_default();
    if let Some(subject) = subject(&manifest) {
        storage.remove(&storage.referrers(name, &subject).join(digest.hex())).await?;
    }
    storage.sweep(digest).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

async fn resolve(inside: &Inside, name: &Repository, reference: &Reference) -> Result<Digest, Refusal> {
    match reference {
        Reference::Digest(digest) => Ok(digest.clone()),
        Reference::Tag(tag) => {
            let points_to = inside.storage.read(&inside.storage.held(name, Held::Tag, tag)).await?;
            points_to.as_deref().and_then(Digest::parse).ok_or_else(|| unknown(name, reference))
        }
    }
}

fn unknown(name: &Repository, reference: &Reference) -> Refusal {
    Refusal::new(Code::ManifestUnknown, format!("{name} has no manifest {reference}"))
}

/// The manifest's own media type, else the request's; they must not contradict each other.
fn media_type(manifest: &Value, asked: &Asked) -> Result<String, Refusal> {
    let sent = asked.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match (manifest["mediaType"].as_str(), sent) {
        (Some(own), Some(sent)) if own != sent => {
            Err(Refusal::new(Code::ManifestInvalid, format!("it says it is {own}, but was sent as {sent}")))
        }
        (Some(found), _) | (None, Some(found)) => Ok(found.to_string()),
        (None, None) => Err(Refusal::new(Code::ManifestInvalid, "it has no media type")),
    }
}

/// Everything a manifest names must be in the repository; layers that live elsewhere (`urls`) need
/// not.
async fn check_parts(inside: &Inside, name: &Repository, manifest: &Value) -> Result<(), Refusal> {
    let items = |field: &str| manifest[field].as_array().cloned().unwrap_or_default();
    let config = manifest.get("config").cloned();
    let blobs = config.into_iter().chain(items("layers")).chain(items("blobs")).map(|part| (Held::Blob, part));
    let manifests = items("manifests").into_iter().map(|part| (Held::Manifest, part));
    for (kind, part) in blobs.chain(manifests) {
        let text = part["digest"].as_str().unwrap_or_default();
        let digest =
            Digest::parse(text).ok_or_else(|| Refusal::new(Code::ManifestInvalid, format!("{text:?} is no digest")))?;
        let elsewhere = part["urls"].as_array().is_some_and(|urls| !urls.is_empty());
        if !elsewhere && !fs::try_exists(inside.storage.held(name, kind, digest.hex())).await? {
            return Err(Refusal::new(Code::ManifestBlobUnknown, format!("{name} does not hold {digest}")));
        }
    }
    Ok(())
}

fn subject(manifest: &Value) -> Option<Digest> {
    Digest::parse(manifest["subject"]["digest"].as_str()?)
}

/// How the list of referrers describes the manifest.
fn descriptor(manifest: &Value, media_type: &str, digest: &Digest, size: usize) -> Value {
    let own = manifest["artifactType"].as_str().filter(|own| !own.is_empty());
    let mut descriptor = json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size });
    if let Some(artifact) = own.or(manifest["config"]["mediaType"].as_str()) {
        descriptor["artifactType"] = artifact.into();
    }
    if manifest["annotations"].is_object() {
        descriptor["annotations"] = manifest["annotations"].clone();
    }
    descriptor
}
