//! Admission: what may change a request, and what may refuse it, after authorization and before
//! the store.
//!
//! In: [`Attributes`] of one write. Out: the object as the plugins left it, or a [`Status`] that
//! says why not. [`Chain::admit`] runs the plugins that change, [`Chain::validate`] those that
//! only look; both in Kubernetes' order. One file a plugin.

mod authorizer;
pub mod cel;
mod certificates;
mod claim_resize;
mod default_toleration_seconds;
mod defaults;
mod limit_ranger;
mod mutating_policy;
mod namespace_lifecycle;
mod patch_words;
mod pod_resize;
mod pod_security;
mod pod_topology_labels;
mod policy;
mod priority;
mod resource_quota;
mod runtime_class;
mod service_account;
mod storage_object_in_use;
mod taint_nodes_by_condition;
mod variables;
mod webhook;

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

use super::auth::{Action, Decision, User};
use super::objects::Objects;
use crate::api::status::Status;
use crate::clock::Clock;

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
    /// Who may do what, for expressions that ask.
    pub authorizer: Arc<dyn Authorizer>,
    /// Whose defaults a changed object gets.
    pub defaulter: &'a dyn Defaulter,
    /// `Warning` headers to send.
    pub warnings: Vec<String>,
}

/// Who may do what.
pub trait Authorizer: Send + Sync {
    /// Whether `user` may do `action`.
    fn decide(&self, user: &User, action: &Action) -> Decision;
}

/// Fills in what an object leaves to its kind.
pub trait Defaulter: Send + Sync {
    /// Normal form and defaults of an object of the resource that the request is about. What is created under one is of
    /// another kind, and has none.
    fn fill(&self, kind: (&str, &str, &str), object: &mut Value, dry_run: bool);
}

impl Attributes<'_> {
    /// A changed object as the next who is asked sees it: with the defaults of what is new in it.
    fn settle(&self, object: &mut Value) {
        self.defaulter.fill(self.object_kind, object, self.dry_run);
    }

    /// Whether it is about this resource itself, no subresource.
    pub fn is(&self, group: &str, resource: &str) -> bool {
        self.group == group && self.resource == resource && self.subresource.is_empty()
    }

    /// Whether it does `operation` to a Pod itself.
    pub fn is_pod(&self, operation: Operation) -> bool {
        self.operation == operation && self.is("", "pods")
    }

    /// The 403 of a plugin: `pods "x" is forbidden: why`.
    pub fn forbidden(&self, why: &str) -> Status {
        Status::forbidden(self.group, self.resource, self.shown_name(), why)
    }

    /// The object's name as a refusal tells it: one of a collection is not named.
    fn shown_name(&self) -> &str {
        let named = |field: &str| {
            let object = self.object.as_ref()?;
            object["metadata"][field].as_str().filter(|name| !name.is_empty())
        };
        match self.name {
            "" => named("name").or_else(|| named("generateName")).unwrap_or("Unknown"),
            name => name,
        }
    }
}

/// Five letters for a generated name.
fn random_suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
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

/// The plugins that are on, in Kubernetes' order: one for each phase.
pub struct Chain {
    changing: Vec<Box<dyn Plugin>>,
    looking: Vec<Box<dyn Plugin>>,
}

impl Chain {
    /// The plugins that are on by default. PodGroupProtection is one of them too, for a kind that is not
    /// served by default.
    pub fn standard(clock: &Clock) -> Chain {
        Chain {
            changing: vec![
                Box::new(namespace_lifecycle::NamespaceLifecycle),
                Box::new(limit_ranger::LimitRanger),
                Box::new(service_account::ServiceAccount),
                Box::new(taint_nodes_by_condition::TaintNodesByCondition),
                Box::new(priority::Priority),
                Box::new(default_toleration_seconds::DefaultTolerationSeconds),
                Box::new(defaults::DefaultStorageClass),
                Box::new(storage_object_in_use::StorageObjectInUseProtection),
                Box::new(runtime_class::RuntimeClass),
                Box::new(defaults::DefaultIngressClass),
                Box::new(pod_topology_labels::PodTopologyLabels),
                Box::new(mutating_policy::MutatingAdmissionPolicy::default()),
                Box::new(webhook::Mutating::new(*clock)),
            ],
            looking: vec![
                Box::new(limit_ranger::LimitRanger),
                Box::new(service_account::ServiceAccount),
                Box::new(pod_security::PodSecurity),
                Box::new(priority::Priority),
                Box::new(claim_resize::PersistentVolumeClaimResize),
                Box::new(runtime_class::RuntimeClass),
                Box::new(certificates::CertificateApproval),
                Box::new(certificates::CertificateSigning),
                Box::new(certificates::ClusterTrustBundleAttest),
                Box::new(certificates::CertificateSubjectRestriction),
                Box::new(pod_resize::NodeDeclaredFeatureValidator),
                Box::new(pod_resize::PodResizeValidator),
                Box::new(policy::ValidatingAdmissionPolicy::default()),
                Box::new(webhook::Validating::new(*clock)),
                Box::new(resource_quota::ResourceQuota),
            ],
        }
    }

    /// Runs the changing phase.
    ///
    /// # Errors
    /// The first refusal.
    pub async fn admit(&self, request: &mut Attributes<'_>) -> Result<(), Status> {
        for plugin in &self.changing {
            plugin.admit(request).await?;
        }
        Ok(())
    }

    /// Runs the looking phase, after validation.
    ///
    /// # Errors
    /// The first refusal.
    pub async fn validate(&self, request: &mut Attributes<'_>) -> Result<(), Status> {
        for plugin in &self.looking {
            plugin.validate(request).await?;
        }
        Ok(())
    }
}
