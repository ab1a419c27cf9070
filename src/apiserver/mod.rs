//! The API server: authn → authz → decode → default → admit → validate → store → encode.
//!
//! One request walks through the files in this order: `server` (TLS) → `filter` (the whole API as
//! one warp filter) → `request` (which resource, which verb) → `auth` → `verbs/` (one file a verb)
//! → `kinds/`, `admission/` → `storage` (one transaction) → `cache/` (what watchers see) → `respond`.
//!
//! Architecture invariant: only this room touches `etcd/`. A built-in kind and a custom resource
//! are the same thing to the engine: a `catalog` entry, a strategy and a schema.

pub mod admission;
pub mod auth;
pub mod kinds;
pub mod objects;
pub mod pki;

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::combinators::BoxBody;

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
    /// Requests served at once before others get 429; watches do not count.
    pub max_in_flight: usize,
}

/// 10.96.0.0/16, as Kubernetes' own tools choose.
pub const SERVICE_CIDR: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 96, 0, 0), 16);

/// Seats of a server, as `--max-requests-inflight` and its mutating sister add up to.
pub const MAX_IN_FLIGHT: usize = 600;

/// The way to a node's kubelet and its HTTP API (`/containerLogs/{namespace}/{pod}/{container}`, …).
pub trait KubeletDialer: Send + Sync + 'static {
    /// Sends one request to the kubelet of `node`. An upgrade (exec, port-forward) is answered by
    /// 101 with `hyper::upgrade::OnUpgrade` in the response's extensions.
    ///
    /// # Errors
    /// When there is no such kubelet or it cannot be reached.
    fn request(
        &self,
        node: &str,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<BoxBody<Bytes, Error>>>>;
}
