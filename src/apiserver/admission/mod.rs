//! Admission: what may change a request, and what may refuse it, after authorization and before
//! the store.
//!
//! In: [`Attributes`] of one write. Out: the object as the plugins left it, or a [`Status`] that
//! says why not. [`Chain::admit`] runs the plugins that change, [`Chain::validate`] those that
//! only look; both in Kubernetes' order. One file a plugin.

pub mod cel;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

use super::auth::User;
use super::objects::Objects;
use crate::api::status::Status;

/// What the request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// One write, as plugins see it.
pub struct Attributes<'a> {
    /// What it does.
    pub operation: Operation,
    /// Group of the resource in the URL; empty for core.
    pub group: &'a str,
    /// Version in the URL.
    pub version: &'a str,
    /// Plural name of the resource in the URL.
    pub resource: &'a str,
    /// Subresource in the URL, or empty.
    pub subresource: &'a str,
    /// Group, version and kind of the object (of the body: `policy`, `v1`, `Eviction`).
    pub object_kind: (&'a str, &'a str, &'a str),
    /// Namespace, or empty.
    pub namespace: &'a str,
    /// Name; empty while a generated one is not yet made.
    pub name: &'a str,
    /// The object to be; `None` for a delete.
    pub object: Option<Value>,
    /// The object that is; `None` for a create.
    pub old: Option<&'a Value>,
    /// `CreateOptions`, `UpdateOptions` or `DeleteOptions`, as JSON.
    pub options: Option<Value>,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// Who asks.
    pub user: &'a User,
    /// The time of the request.
    pub now: Timestamp,
    /// The rest of the cluster.
    pub objects: &'a dyn Objects,
    /// `Warning` headers to send.
    pub warnings: Vec<String>,
}

/// One admission plugin. Both phases do nothing unless the plugin says otherwise.
pub trait Plugin: Send + Sync {
    /// The name that `--enable-admission-plugins` uses.
    fn name(&self) -> &'static str;

    /// Changes the object, or refuses.
    fn admit<'a>(&'a self, _request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Looks at the final object, and refuses or not.
    fn validate<'a>(&'a self, _request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The plugins that are on, in Kubernetes' order.
pub struct Chain {
    plugins: Vec<Box<dyn Plugin>>,
}

impl Chain {
    /// The plugins that are on by default.
    pub fn standard() -> Chain {
        Chain { plugins: Vec::new() }
    }

    /// Runs the changing phase.
    ///
    /// # Errors
    /// The first refusal.
    pub async fn admit(&self, request: &mut Attributes<'_>) -> Result<(), Status> {
        for plugin in &self.plugins {
            plugin.admit(request).await?;
        }
        Ok(())
    }

    /// Runs the looking phase, after validation.
    ///
    /// # Errors
    /// The first refusal.
    pub async fn validate(&self, request: &mut Attributes<'_>) -> Result<(), Status> {
        for plugin in &self.plugins {
            plugin.validate(request).await?;
        }
        Ok(())
    }
}
