//! Pull-through: what another registry has, fetched when it is first asked for, verified, and kept.
//!
//! In: a request for a manifest or a blob of a repository that stands for another registry's; an [`Upstream`] that
//! knows the way. Out: the content is here before it is answered, under the repository's own name. Two forms name
//! such a repository: `docker.io/library/web` here is `library/web` at docker.io; and so is `library/web` with
//! `?ns=docker.io`, as containerd asks a mirror. Which registries are asked is a list that whoever starts this one
//! gives: no request can make it ask any other, and a name without a registry is never looked up elsewhere. A tag is
//! asked for each time, for it may have moved; when nobody answers, what it was last is good enough. What has a
//! digest is asked for once. Chapter: `book/src/inside/images.md`.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;
use tokio::fs;

use super::error::{Code, Refusal};
use super::name::{Digest, Reference, Repository};
use super::storage::Held;
use super::{Asked, Inside, route};
use crate::error::{Error, Result};

/// Fetches that run at once: those of one digest wait for each other, so that it comes once.
const FETCHES: usize = 64;

/// A repository of another registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// `docker.io`
    pub registry: String,
    /// `library/web`
    pub repository: String,
}

/// Why another registry's content is not to be had; in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// It has none, or none for us.
    Absent(String),
    /// It does not answer, or not as a registry should.
    Silent(String),
}

/// The way to other registries. What it fetches it puts into the content that this registry shares, verified.
pub trait Upstream: Send + Sync {
    /// What a tag points to now.
    fn resolve<'a>(&'a self, from: &'a Elsewhere, tag: &'a str) -> BoxFuture<'a, Result<Digest, Lack>>;
    /// Fetches a manifest.
    fn manifest<'a>(&'a self, from: &'a Elsewhere, digest: &'a Digest) -> BoxFuture<'a, Result<(), Lack>>;
    /// Fetches a blob of at most so many bytes.
    fn blob<'a>(&'a self, from: &'a Elsewhere, digest: &'a Digest, most: u64) -> BoxFuture<'a, Result<(), Lack>>;
}

/// The registries behind this one.
pub(super) struct Through {
    upstream: Arc<dyn Upstream>,
    registries: Vec<String>,
    fetching: Vec<tokio::sync::Mutex<()>>,
}

/// A registry's name as the first part of a repository's: there is no colon in those.
fn part(registry: &str) -> String {
    registry.replace(':', "-")
}

impl Through {
    /// # Errors
    /// When a name is no registry's.
    pub fn new(upstream: Arc<dyn Upstream>, registries: Vec<String>) -> Result<Through> {
        let is_host = |name: &&String| {
            let named = name.contains(['.', ':']) || *name == "localhost";
            named && !name.contains('/') && Repository::parse(&part(name)).is_some()
        };
        if let Some(wrong) = registries.iter().find(|name| !is_host(name)) {
            return Err(Error::new(format!("{wrong:?} is no registry"), "a registry is a host, perhaps with a port")
                .hint("as in: tutor serve --pull-through docker.io,ghcr.io"));
        }
        let fetching = (0..FETCHES).map(|_| tokio::sync::Mutex::default()).collect();
        Ok(Through { upstream, registries, fetching })
    }

    /// The repository that is meant, by its name here, and where else it is.
    fn find(&self, name: &Repository, asked: &Asked) -> Result<(Repository, Option<Elsewhere>), Refusal> {
        let whole = name.to_string();
        if let Some(namespace) = route::query(&asked.query, "ns") {
            let unknown = || Refusal::new(Code::NameUnknown, format!("this registry does not stand for {namespace}"));
            let registry = self.registries.iter().find(|it| **it == namespace).ok_or_else(unknown)?;
            let here = Repository::parse(&format!("{}/{whole}", part(registry))).ok_or_else(unknown)?;
            return Ok((here, Some(Elsewhere { registry: registry.clone(), repository: whole })));
        }
        let there = self.registries.iter().find_map(|registry| {
            let repository = whole.strip_prefix(&part(registry))?.strip_prefix('/')?.to_owned();
            Some(Elsewhere { registry: registry.clone(), repository })
        });
        Ok((name.clone(), there))
    }

    async fn alone(&self, digest: &Digest) -> tokio::sync::MutexGuard<'_, ()> {
        let first = usize::from_str_radix(digest.hex().get(..2).unwrap_or_default(), 16).unwrap_or_default();
        self.fetching[first % FETCHES].lock().await
    }
}

/// The repository that is meant, by its name here.
pub(super) fn repository(inside: &Inside, name: Repository, asked: &Asked) -> Result<Repository, Refusal> {
    match &inside.through {
        Some(through) => through.find(&name, asked).map(|(here, _)| here),
        None => Ok(name),
    }
}

/// Sees to it that a manifest is here, if it is to be had; the repository's name here.
pub(super) async fn manifest(
    inside: &Inside,
    name: Repository,
    reference: &Reference,
    asked: &Asked,
) -> Result<Repository, Refusal> {
    let Some(through) = &inside.through else { return Ok(name) };
    let (here, Some(from)) = through.find(&name, asked)? else { return Ok(name) };
    let storage = &inside.storage;
    let digest = match reference {
        Reference::Digest(digest) => digest.clone(),
        Reference::Tag(tag) => match through.upstream.resolve(&from, tag).await {
            Ok(digest) => digest,
            Err(Lack::Silent(why)) if storage.read(&storage.held(&here, Held::Tag, tag)).await?.is_some() => {
                tracing::warn!(registry = from.registry, %why, "a tag is answered as it was last");
                return Ok(here);
            }
            Err(lack) => return Err(refusal(&lack, Code::ManifestUnknown)),
        },
    };
    let held = storage.held(&here, Held::Manifest, digest.hex());
    let _alone = through.alone(&digest).await;
    if storage.read(&held).await?.is_none() {
        let fetched = through.upstream.manifest(&from, &digest).await;
        fetched.map_err(|lack| refusal(&lack, Code::ManifestUnknown))?;
        let _shared = inside.holders.read().await;
        let content = fs::read(storage.content(&digest)).await?;
        storage.write(&held, media_type(&content).as_bytes()).await?;
    }
    if let Reference::Tag(tag) = reference {
        let points_to = storage.held(&here, Held::Tag, tag);
        if storage.read(&points_to).await?.as_deref() != Some(&digest.to_string()) {
            storage.write(&points_to, digest.to_string().as_bytes()).await?;
        }
    }
    Ok(here)
}

/// Sees to it that a blob is here, if it is to be had; the repository's name here.
pub(super) async fn blob(
    inside: &Inside,
    name: Repository,
    digest: &Digest,
    asked: &Asked,
) -> Result<Repository, Refusal> {
    let Some(through) = &inside.through else { return Ok(name) };
    let (here, Some(from)) = through.find(&name, asked)? else { return Ok(name) };
    let held = inside.storage.held(&here, Held::Blob, digest.hex());
    let _alone = through.alone(digest).await;
    if !fs::try_exists(&held).await? {
        let fetched = through.upstream.blob(&from, digest, super::BLOB_MAX).await;
        fetched.map_err(|lack| refusal(&lack, Code::BlobUnknown))?;
        let _shared = inside.holders.read().await;
        // Its content may have been deleted with its last holder, in this very moment.
        fs::metadata(inside.storage.content(digest)).await?;
        inside.storage.write(&held, b"").await?;
    }
    Ok(here)
}

fn refusal(lack: &Lack, absent: Code) -> Refusal {
    match lack {
        Lack::Absent(why) => Refusal::new(absent, why),
        Lack::Silent(why) => Refusal::new(Code::UpstreamSilent, why),
    }
}

/// What a manifest says it is; an OCI manifest may leave it out.
fn media_type(content: &[u8]) -> String {
    let manifest: Value = serde_json::from_slice(content).unwrap_or_default();
    let kind = if manifest["manifests"].is_array() { "index" } else { "manifest" };
    let own = manifest["mediaType"].as_str().filter(|own| !own.is_empty()).map(str::to_owned);
    own.unwrap_or_else(|| format!("application/vnd.oci.image.{kind}.v1+json"))
}
