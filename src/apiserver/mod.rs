//! The API server: authn → authz → decode → default → admit → validate → store → encode.
//!
//! One request walks through the files in this order: `server` (TLS) → `filter` (the whole API as
//! one warp filter) → `request` (which resource, which verb) → `auth` → `verbs/` (one file a verb)
//! → `kinds/`, `admission/` → `storage` (one transaction) → `cache/` (what watchers see) → `respond`.
//!
//! Architecture invariant: only this room touches `etcd/`. A built-in kind and a custom resource
//! are the same thing to the engine: a `catalog` entry, a strategy and a schema.

pub mod admission;
mod aggregation;
pub mod auth;
mod backend;
mod bootstrap;
mod cache;
mod catalog;
mod convert;
mod corked;
pub mod custom;
mod deadline;
mod engine;
mod etcd_view;
mod filter;
mod health;
mod horizon;
pub mod journal;
mod key_usage;
pub mod kinds;
mod metrics;
mod negotiate;
pub mod objects;
mod options;
mod parts;
mod paths;
pub mod pki;
mod priority;
mod raw;
mod request;
mod respond;
mod routes;
mod selection;
mod server;
mod storage;
#[cfg(test)]
mod tests;
mod upkeep;
mod verbs;
mod zpages;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::combinators::BoxBody;
use tokio::io::{AsyncRead, AsyncWrite};

use self::auth::Auth;
use self::cache::feed::Caches;
use self::catalog::Catalog;
use self::engine::Engine;
use crate::api::resource::Resource;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::etcd::Store;
use crate::tasks::TaskGroup;

/// What an API server is made of.
pub struct Config {
    /// Where objects live.
    pub store: Arc<dyn Store>,
    /// The only source of time.
    pub clock: Clock,
    /// Background work runs here and stops with it.
    pub tasks: TaskGroup,
    /// Certificates and the key that signs service account tokens.
    pub authority: Arc<pki::Authority>,
    /// How to reach the kubelets (logs, exec, port-forward).
    pub kubelets: Arc<dyn KubeletDialer>,
    /// `--service-cluster-ip-range`: network address and prefix length.
    pub service_cidr: (Ipv4Addr, u8),
    /// A static bearer token that is `kubernetes-admin` in `system:masters`; `None` for none.
    pub admin_token: Option<String>,
    /// Requests served at once, by all priority levels together, before others wait; watches do not count.
    pub max_in_flight: usize,
    /// Watches at once before others get 429.
    pub max_watches: usize,
}

/// 10.96.0.0/16, as Kubernetes' own tools choose.
pub const SERVICE_CIDR: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 96, 0, 0), 16);

/// Seats of a server, as `--max-requests-inflight` and its mutating sister add up to.
pub const MAX_IN_FLIGHT: usize = 600;

/// Watches of a server: enough for some thousand nodes, and an end for a client that only opens them.
pub const MAX_WATCHES: usize = 50_000;

/// The way to a node's kubelet and its HTTP API (`/containerLogs/{namespace}/{pod}/{container}`, …).
pub trait KubeletDialer: Send + Sync + 'static {
    /// Sends one request to the kubelet of `node`. For an upgrade (exec, attach, port-forward) the
    /// client's connection is in the request's extensions, as `hyper::upgrade::OnUpgrade`; a kubelet that
    /// answers 101 takes it over.
    ///
    /// # Errors
    /// When there is no such kubelet or it cannot be reached.
    fn request(
        &self,
        node: &str,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<BoxBody<Bytes, Error>>>>;

    /// A connection to a port of a Pod on `node`. The error is in Go's words, as clients show it:
    /// `dial tcp 10.244.0.2:80: connect: connection refused`.
    fn connect<'a>(
        &'a self,
        node: &'a str,
        namespace: &'a str,
        pod: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, String>>;
}

/// Bytes both ways.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A running API server.
pub struct ApiServer {
    engine: Arc<Engine>,
}

impl ApiServer {
    /// Loads every object into the watch caches, and makes what an empty cluster needs.
    ///
    /// # Errors
    /// When the store cannot be read or written, or a key is not usable.
    pub async fn start(config: Config) -> Result<Arc<ApiServer>> {
        let store_failed = |error: crate::etcd::StoreError| Error::new("the store cannot be read", error.to_string());
        let catalog = Catalog::builtin();
        let stored = catalog.now().all().iter().filter(|r| r.allows("get")).map(resource_cache).collect();
        let caches = Caches::start(config.store.clone(), stored, &config.tasks).await.map_err(store_failed)?;
        let auth = Auth::new(auth::Config {
            signing: config.authority.signing().clone(),
            issuer: ISSUER.to_string(),
            admin_token: config.admin_token,
        });
        let engine = Arc::new(Engine {
            admission: admission::Chain::standard(&config.clock),
            clock: config.clock,
            tasks: config.tasks,
            catalog,
            caches,
            storage: storage::Storage::new(config.store),
            horizon: Arc::default(),
            auth,
            pages: zpages::Pages::new(config.clock.now(), config.service_cidr, ISSUER),
            raw: raw::Sent::default(),
            addresses: kinds::core::service_addresses::Addresses::new(config.service_cidr),
            journal: journal::Journal::default(),
            kubelets: config.kubelets,
            authority: config.authority,
            converted: convert::webhook::Converted::default(),
            levels: priority::Levels::new(config.max_in_flight),
            metrics: Arc::default(),
            upkeep: upkeep::Upkeep::default(),
            watches: Arc::new(tokio::sync::Semaphore::new(config.max_watches)),
        });
        engine.tasks.spawn("continue tokens", engine.horizon.clone().follow(engine.storage.clone(), engine.clock));
        let service_ip = first_address(config.service_cidr.0).to_string();
        bootstrap::run(&engine, &service_ip)
            .await
            .map_err(|status| Error::new("the cluster's first objects cannot be made", status.message))?;
        raw::Sent::restore(&engine)
            .await
            .map_err(|status| Error::new("the cluster's objects cannot be read", status.message))?;
        custom::controller::start(&engine).await;
        aggregation::controller::start(&engine).await;
        upkeep::start(&engine).await;
        Ok(Arc::new(ApiServer { engine }))
    }

    /// The whole API.
    pub fn filter(
        &self,
    ) -> impl warp::Filter<Extract = (warp::reply::Response,), Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static {
        filter::filter(self.engine.clone())
    }

    /// Serves it over TLS until the task group stops; returns the address that was taken.
    ///
    /// # Errors
    /// When the port is taken or the serving certificate is not usable.
    pub async fn listen_tls(&self, address: SocketAddr) -> Result<SocketAddr> {
        let address = server::listen(self.filter(), address, &self.engine).await?;
        bootstrap::publish(&self.engine, address)
            .await
            .map_err(|status| Error::new("the address of the API cannot be published", status.message))?;
        Ok(address)
    }
}

/// The Service `kubernetes` has the first address of the range.
fn first_address(network: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(network) + 1)
}

/// `iss` of service account tokens.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

fn resource_cache(resource: &Arc<Resource>) -> (String, cache::FieldsOf) {
    (storage::prefix(resource), selection::fields_of(resource))
}
