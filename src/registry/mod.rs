//! The image registry: the OCI distribution API over a folder of content-addressed files.
//!
//! In: HTTP requests of docker, podman, containerd, oras, or a kubelet. Out: blobs, manifests,
//! tags. Content is verified against its digest on the way in, so what is found under a digest is
//! what was meant. An open one asks nobody who they are: it listens on the loopback interface. A private one
//! ([`Registry::private`]) wants one user's name and password with every request. One that stands for others
//! ([`Registry::through`]) fetches what it does not have. The content itself ([`Content`]) is shared with the images of this machine.
//!
//! Architecture invariant: nothing here knows about Kubernetes or about running containers.
//! Source: OCI distribution specification v1.1.

mod arriving;
mod blobs;
mod content;
mod error;
mod listing;
mod manifests;
mod name;
mod route;
mod storage;
mod through;
mod uploads;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::stream::{Stream, StreamExt};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use tokio::sync::RwLock;
use uuid::Uuid;
use warp::Filter;
use warp::path::FullPath;
use warp::reply::Response;

pub use self::arriving::{Incoming, drain, read_ahead};
pub use self::content::{Content, Written};
pub use self::name::{Digest, Hashing, is_repository, is_tag};
pub use self::through::{Elsewhere, Lack, Upstream};

use self::error::{Code, Refusal};
use self::route::Route;
use self::storage::Storage;
use self::through::Through;
use crate::error::{Error, Result};
use crate::tasks::TaskGroup;

/// Largest blob, in bytes.
const BLOB_MAX: u64 = 16 << 30;
/// Largest manifest, in bytes; the specification's.
const MANIFEST_MAX: usize = 4 << 20;
/// Uploads that may be under way.
const UPLOADS_MAX: usize = 256;

type Body = Pin<Box<dyn Stream<Item = Result<Bytes, String>> + Send + Sync>>;

/// A registry. Cheap to clone.
#[derive(Clone)]
pub struct Registry(Arc<Inside>);

struct Inside {
    storage: Storage,
    tasks: TaskGroup,
    /// Held shared while content gains a holder, alone while content without one is deleted.
    holders: RwLock<()>,
    /// Uploads that a request is writing to.
    busy: Arc<Mutex<HashSet<Uuid>>>,
    /// How far uploads are hashed that come in many requests.
    hashed: Mutex<HashMap<Uuid, (u64, Hashing)>>,
    /// The `Authorization` that every request must bring, as its digest; none for an open registry.
    password: Option<Digest>,
    /// The registries that it stands for, if it does.
    through: Option<Through>,
}

/// A request.
struct Asked {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Body,
}

impl Registry {
    /// Opens the registry in `dir`, making it if need be. Unfinished uploads are forgotten.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn open(dir: &Path, tasks: &TaskGroup) -> Result<Registry> {
        Registry::with(dir, tasks, None, None)
    }

    /// One that answers only who brings this `Authorization` (`Basic …`).
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn private(dir: &Path, tasks: &TaskGroup, authorization: &str) -> Result<Registry> {
        Registry::with(dir, tasks, Some(Digest::of(authorization.as_bytes())), None)
    }

    /// One that asks these registries for what it does not have, by way of `upstream`.
    ///
    /// # Errors
    /// As [`Registry::open`]; and when a name is no registry's.
    pub fn through(
        dir: &Path,
        tasks: &TaskGroup,
        upstream: Arc<dyn Upstream>,
        registries: Vec<String>,
    ) -> Result<Registry> {
        Registry::with(dir, tasks, None, Some(Through::new(upstream, registries)?))
    }

    fn with(dir: &Path, tasks: &TaskGroup, password: Option<Digest>, through: Option<Through>) -> Result<Registry> {
        let storage = Storage::open(dir).map_err(|error| {
            Error::new(format!("the registry's folder {} cannot be used", dir.display()), error.to_string())
                .hint("make it writable for you, or use another: tutor serve --state-dir DIR")
        })?;
        let (holders, busy, hashed) = (RwLock::new(()), Arc::default(), Mutex::default());
        Ok(Registry(Arc::new(Inside { storage, tasks: tasks.clone(), holders, busy, hashed, password, through })))
    }

    /// The whole API as one filter.
    pub fn filter(&self) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + use<> {
        let registry = self.clone();
        warp::method()
            .and(warp::path::full())
            .and(warp::query::raw().or(warp::any().map(String::new)).unify())
            .and(warp::header::headers_cloned())
            .and(warp::body::stream())
            .then(move |method, path: FullPath, query, headers, body| {
                let registry = registry.clone();
                let body = StreamExt::map(body, |chunk: Result<_, warp::Error>| {
                    chunk.map(|mut data| data_bytes(&mut data)).map_err(|error| error.to_string())
                });
                let path = path.as_str().to_string();
                async move { registry.answer(Asked { method, path, query, headers, body: Box::pin(body) }).await }
            })
            .recover(|_| async {
                let refusal = Refusal::new(Code::NameUnknown, "the request cannot be read");
                Ok::<_, Infallible>(refusal.response())
            })
            .unify()
    }

    async fn answer(&self, asked: Asked) -> Response {
        let mut response = match self.knows(&asked.headers) {
            true => self.dispatch(asked).await.unwrap_or_else(|refusal| refusal.response()),
            false => {
                let refused = Refusal::new(Code::Unauthorized, "authentication required").response();
                with_headers(refused, [("www-authenticate", "Basic realm=\"tutor's private registry\"".to_owned())])
            }
        };
        response.headers_mut().insert(
            HeaderName::from_static("docker-distribution-api-version"),
            HeaderValue::from_static("registry/2.0"),
        );
        response
    }

    /// Whether the caller may ask. Digests are compared, so that the time it takes tells nothing of the password.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(http::header::AUTHORIZATION).map(|value| Digest::of(value.as_bytes()));
        self.0.password.is_none() || given == self.0.password
    }

    async fn dispatch(&self, asked: Asked) -> Result<Response, Refusal> {
        let inside = &self.0;
        let route = Route::parse(&asked.path)?;
        match (asked.method.clone(), route) {
            (Method::GET | Method::HEAD, Route::Base) => Ok(json(&serde_json::json!({}))),
            (Method::GET, Route::Catalog) => listing::catalog(inside, &asked).await,
            (Method::GET, Route::Tags(name)) => {
                let name = through::repository(inside, name, &asked)?;
                listing::tags(inside, &name, &asked).await
            }
            (Method::GET, Route::Referrers(name, digest)) => {
                let name = through::repository(inside, name, &asked)?;
                listing::referrers(inside, &name, &digest, &asked).await
            }
            (Method::GET | Method::HEAD, Route::Blob(name, digest)) => {
                let name = through::blob(inside, name, &digest, &asked).await?;
                blobs::get(inside, &name, &digest, &asked).await
            }
            (Method::DELETE, Route::Blob(name, digest)) => blobs::delete(inside, &name, &digest).await,
            (Method::POST, Route::Uploads(name)) => uploads::start(inside, &name, asked).await,
            (Method::GET, Route::Upload(name, id)) => uploads::status(inside, &name, id).await,
            (Method::PATCH, Route::Upload(name, id)) => uploads::append(inside, &name, id, asked).await,
            (Method::PUT, Route::Upload(name, id)) => uploads::finish(inside, &name, id, asked).await,
            (Method::DELETE, Route::Upload(_, id)) => uploads::cancel(inside, id).await,
            (Method::GET | Method::HEAD, Route::Manifest(name, reference)) => {
                let name = through::manifest(inside, name, &reference, &asked).await?;
                manifests::get(inside, &name, &reference, &asked.method).await
            }
            (Method::PUT, Route::Manifest(name, reference)) => manifests::put(inside, &name, &reference, asked).await,
            (Method::DELETE, Route::Manifest(name, reference)) => manifests::delete(inside, &name, &reference).await,
            (method, _) => Err(Refusal::new(Code::Unsupported, format!("{method} is not for {}", asked.path))),
        }
    }
}

fn data_bytes(data: &mut impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

fn json(value: &serde_json::Value) -> Response {
    with_headers(Response::new(value.to_string().into()), [("content-type", "application/json".to_string())])
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// Adds headers; values come from checked names and numbers, and one that is no header is left out.
fn with_headers(mut response: Response, headers: impl IntoIterator<Item = (&'static str, String)>) -> Response {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}
