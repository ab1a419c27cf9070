//! The engine: what every request shares.
//!
//! One [`Engine`] holds the catalog, the caches, the store, authentication, admission and the
//! journal. One [`Call`] is one request on its way through. Neither knows any kind by name.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use hyper::upgrade::OnUpgrade;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;

use super::admission::{Attributes, Authorizer, Chain, Defaulter, Operation};
use super::auth::grants::Writing;
use super::auth::{Action, Auth, Decision, User};
use super::cache::feed::Caches;
use super::cache::{Cache, Object};
use super::catalog::Catalog;
use super::convert::webhook::Converted;
use super::custom;
use super::horizon::Horizon;
use super::journal::{self, Journal, Write};
use super::kinds::core::service_addresses::Addresses;
use super::kinds::{self, Context, FieldError, Strategy};
use super::metrics::Metrics;
use super::negotiate::Accepted;
use super::objects::{Collection, Objects, collection};
use super::pki::Authority;
use super::priority::Levels;
use super::request::RequestInfo;
use super::storage::{self, Storage, Written};
use super::upkeep::Upkeep;
use super::{Connection, KubeletDialer};
use crate::api::apply::{self, FieldSet, Writer};
use crate::api::field_error::go_quote;
use crate::api::resource::Resource;
use crate::api::status::{Details, Reason, Status};
use crate::api::typed;
use crate::clock::Clock;
use crate::tasks::TaskGroup;

/// What other objects are judged by when they are written: small, few, and read with every write.
const JUDGES: &[(&str, &str)] = &[
    ("", "namespaces"),
    ("", "limitranges"),
    ("", "resourcequotas"),
    ("", "serviceaccounts"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("scheduling.k8s.io", "priorityclasses"),
];

/// An object as a tree, for whoever looks at it in passing.
fn tree(group: &str, plural: &str, object: &Object) -> Arc<Value> {
    match JUDGES.contains(&(group, plural)) {
        true => object.kept_value(),
        false => Arc::new(object.value()),
    }
}

/// What every request shares.
pub struct Engine {
    /// Time.
    pub clock: Clock,
    /// Background work.
    pub tasks: TaskGroup,
    /// What is served.
    pub catalog: Catalog,
    /// Objects in memory.
    pub caches: Arc<Caches>,
    /// Objects on disk.
    pub storage: Storage,
    /// How old a continue token may be.
    pub horizon: Arc<Horizon>,
    /// Who asks, and may they.
    pub auth: Auth,
    /// What changes or refuses writes.
    pub admission: Chain,
    /// Addresses and ports for Services.
    pub addresses: Addresses,
    /// Bytes that are kept as they came.
    pub raw: super::raw::Sent,
    /// What it tells of itself.
    pub pages: super::zpages::Pages,
    /// Who wrote what.
    pub journal: Journal,
    /// The way to the nodes.
    pub kubelets: Arc<dyn KubeletDialer>,
    /// The cluster's keys.
    pub authority: Arc<Authority>,
    /// What conversion webhooks converted.
    pub converted: Converted,
    /// Requests in flight.
    pub levels: Levels,
    /// What was asked and answered.
    pub metrics: Arc<Metrics>,
    /// The loops of the server itself.
    pub upkeep: Upkeep,
    /// Watches that run.
    pub watches: Arc<tokio::sync::Semaphore>,
}

impl Engine {
    /// The watch cache of a resource; none for kinds that are not stored (reviews).
    pub fn cache(&self, resource: &Resource) -> Option<Arc<Cache>> {
        self.caches.get(&storage::prefix(resource))
    }

    /// Makes sure that there is a key for service account tokens.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn signing_key(&self) -> Result<(), Status> {
        let keys = self.authority.signing().clone();
        if keys.get().is_some() {
            return Ok(());
        }
        self.tasks.blocking(move || keys.make().map(drop)).await.map_err(Status::internal)
    }

    fn cache_of(&self, what: Collection) -> Option<Arc<Cache>> {
        let list = self.catalog.now();
        self.cache(list.stored(what.group, what.plural)?)
    }
}

impl Objects for Engine {
    fn get(&self, what: Collection, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let object = self.cache_of(what)?.get(&storage::key(namespace, name))?;
        Some(tree(what.group, what.plural, &object))
    }

    fn list(&self, what: Collection, namespace: &str) -> Vec<Arc<Value>> {
        self.list_named(what.group, what.plural, namespace)
    }

    fn list_where(&self, what: Collection, namespace: &str, field: &str, value: &str) -> Vec<Arc<Value>> {
        let Some(cache) = self.cache_of(what) else { return Vec::new() };
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let all = cache.snapshot(&prefix, "").objects;
        let wanted = all.iter().filter(|object| object.field(field, &cache.fields_of) == value);
        wanted.map(|object| Arc::new(object.value())).collect()
    }

    fn list_named(&self, group: &str, plural: &str, namespace: &str) -> Vec<Arc<Value>> {
        let served = self.catalog.now();
        let Some(cache) = served.stored(group, plural).and_then(|resource| self.cache(resource)) else {
            return Vec::new();
        };
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        cache.snapshot(&prefix, "").objects.iter().map(|object| tree(group, plural, object)).collect()
    }

    fn changed_at(&self, what: Collection) -> i64 {
        self.cache_of(what).map_or(0, |cache| cache.revision())
    }

    fn get_live<'a>(
        &'a self,
        what: Collection,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Value>, Status>> {
        Box::pin(async move {
            let list = self.catalog.now();
            let Some(resource) = list.stored(what.group, what.plural) else { return Ok(None) };
            let key = storage::prefix(resource) + &storage::key(namespace, name);
            Ok(self.storage.get(key).await?.map(|stored| stored.object))
        })
    }

    fn put<'a>(&'a self, what: Collection, object: Value) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move {
            let list = self.catalog.now();
            let resource = list.stored(what.group, what.plural).ok_or_else(not_served)?;
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
            let key = storage::prefix(resource) + &storage::key(text("namespace"), text("name"));
            let revision = text("resourceVersion").parse().unwrap_or(0);
            match self.storage.update(key, revision, storage::encode(&object)).await? {
                Written::Done(revision) => {
                    let mut object = object;
                    storage::set_revision(&mut object, revision);
                    Ok(object)
                }
                Written::Changed(_) => Err(conflict(resource, text("name"))),
            }
        })
    }

    fn connect<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, String>> {
        Box::pin(async move {
            let found = self.get(collection("", "pods"), namespace, pod);
            let node = found.map(|pod| pod["spec"]["nodeName"].as_str().unwrap_or_default().to_string());
            self.kubelets.connect(&node.unwrap_or_default(), namespace, pod, port).await
        })
    }

    fn resource_of(&self, group: &str, version: &str, kind: &str) -> Option<(String, bool)> {
        let list = self.catalog.now();
        list.of_kind(group, version, kind).map(|resource| (resource.plural.to_string(), resource.namespaced()))
    }
}

impl Authorizer for Engine {
    fn decide(&self, user: &User, action: &Action) -> Decision {
        self.auth.authorize(user, action, self)
    }
}

impl Defaulter for Call {
    fn fill(&self, kind: (&str, &str, &str), object: &mut Value, dry_run: bool) {
        if kind == (&*self.resource.group, &*self.resource.version, &*self.resource.kind) {
            self.fill_in(object, dry_run);
        }
    }
}

/// One request on its way.
pub struct Call {
    /// What all share.
    pub engine: Arc<Engine>,
    /// What it asks for.
    pub info: RequestInfo,
    /// Decoded query.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: HeaderMap,
    /// Who asks.
    pub user: User,
    /// Of what.
    pub resource: Arc<Resource>,
    /// How to answer.
    pub accepted: Accepted,
    /// The body, whole.
    pub body: Bytes,
    /// The client's connection, for the verbs that hand it on.
    pub upgrade: Option<OnUpgrade>,
    /// When it came.
    pub now: Timestamp,
    /// `Warning` headers of the answer.
    pub warnings: Mutex<Vec<String>>,
    /// Where lists and maps of the body came empty; see [`crate::api::go_values::with_empties`].
    pub empties: Mutex<Option<Value>>,
}

impl Call {
    /// The kind's strategy.
    pub fn strategy(&self) -> &'static Strategy {
        match (self.resource.custom, self.resource.subresource("status")) {
            (true, Some(_)) => &custom::strategy::WITH_STATUS,
            (true, None) => &custom::strategy::PLAIN,
            _ => kinds::strategy(&self.resource.group, &self.resource.kind),
        }
    }

    /// Normal form and defaults.
    pub fn fill_in(&self, object: &mut Value, dry_run: bool) {
        match (self.resource.custom, self.resource.schema.field("metadata"), object.get_mut("metadata")) {
            (false, ..) => typed::normalize(object, &self.resource.schema),
            // Of a custom resource only the metadata has a Go type.
            (true, Some(field), Some(metadata)) => typed::normalize(metadata, field.schema()),
            _ => {}
        }
        (self.strategy().defaults)(object, &self.context(dry_run));
    }

    /// What a strategy may know.
    pub fn context(&self, dry_run: bool) -> Context<'_> {
        Context {
            now: self.now,
            user: &self.user,
            version: &self.resource.version,
            resource: Some(&self.resource),
            objects: &*self.engine,
            dry_run,
            unlabelled: false,
            addresses: &self.engine.addresses,
        }
    }

    /// The store's key of an object of this resource.
    pub fn store_key(&self, name: &str) -> String {
        storage::prefix(&self.resource) + &storage::key(self.namespace(), name)
    }

    /// The namespace, empty for cluster-wide kinds (a Namespace is not in itself).
    pub fn namespace(&self) -> &str {
        if self.resource.namespaced() { &self.info.namespace } else { "" }
    }

    /// The object from the cache, after everything written before this request.
    ///
    /// # Errors
    /// 404 when there is none.
    pub async fn read(&self, name: &str) -> Result<Arc<Object>, Status> {
        let cache = self.engine.cache(&self.resource).ok_or_else(not_served)?;
        self.check_name(name)?;
        self.engine.caches.fresh().await;
        cache.get(&storage::key(self.namespace(), name)).ok_or_else(|| self.not_found(name))
    }

    /// A name can be the last step of a key.
    fn check_name(&self, name: &str) -> Result<(), Status> {
        let mut wrong: Vec<String> = match name {
            "." | ".." => vec![format!("may not be '{name}'")],
            _ => ["/", "%"]
                .iter()
                .filter(|sign| name.contains(**sign))
                .map(|sign| format!("may not contain '{sign}'"))
                .collect(),
        };
        wrong.dedup();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(bad_request(format!("Name parameter invalid: {}: {}", go_quote(name), wrong.join(";"))))
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A query parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Adds texts for `Warning` headers.
    pub fn warn(&self, texts: impl IntoIterator<Item = String>) {
        self.warnings.lock().extend(texts);
    }

    /// The program that asks: its User-Agent up to the first slash.
    pub fn component(&self) -> &str {
        self.header("user-agent").unwrap_or("").split('/').next().unwrap_or("")
    }

    /// Calls `act` with who writes, for field ownership.
    pub fn as_writer<T>(&self, manager: &str, act: impl FnOnce(&Writer<'_>) -> T) -> T {
        let manager =
            apply::manager_name((!manager.is_empty()).then_some(manager), self.header("user-agent").unwrap_or(""));
        let reset = match self.info.subresource.as_str() {
            "" if self.resource.subresource("status").is_some() => FieldSet::of_fields(&[&["status"]]),
            "status" => FieldSet::of_fields(&[&["spec"]]),
            _ => FieldSet::default(),
        };
        act(&Writer {
            manager: &manager,
            api_version: &self.resource.api_version(),
            kind: &self.resource.kind,
            subresource: &self.info.subresource,
            schema: &self.resource.schema,
            custom: self.resource.custom,
            reset: &reset,
            now: self.now,
        })
    }

    /// What admission sees of this request.
    pub fn attributes<'a>(
        &'a self,
        operation: Operation,
        object: Option<Value>,
        old: Option<&'a Value>,
        name: &'a str,
        dry_run: bool,
    ) -> Attributes<'a> {
        Attributes {
            operation,
            group: &self.resource.group,
            version: &self.resource.version,
            resource: &self.resource.plural,
            subresource: &self.info.subresource,
            object_kind: (&self.resource.group, &self.resource.version, &self.resource.kind),
            namespace: &self.info.namespace,
            name,
            object,
            old,
            options: None,
            dry_run,
            user: &self.user,
            now: self.now,
            objects: &*self.engine,
            authorizer: self.engine.clone(),
            defaulter: self,
            warnings: Vec::new(),
        }
    }

    /// Roles and bindings are written only by those who hold what they hand out.
    ///
    /// # Errors
    /// 403, naming what is missing.
    pub fn guard_grant(&self, object: &Value, old: Option<&Value>) -> Result<(), Status> {
        if &*self.resource.group != "rbac.authorization.k8s.io" {
            return Ok(());
        }
        let writing = Writing { resource: &self.resource.plural, url_name: &self.info.name, object, old };
        self.engine.auth.may_grant(&self.user, &writing, &*self.engine)
    }

    /// Notes an acknowledged write.
    pub fn note(&self, verb: &'static str, revision: i64, name: &str, old: Option<&Value>, new: &Value) {
        self.engine.journal.note(Write {
            revision,
            time: self.now,
            user: self.user.name.as_str().into(),
            component: self.component().into(),
            verb,
            group: self.resource.group.clone(),
            resource: self.resource.plural.clone(),
            subresource: self.info.subresource.as_str().into(),
            namespace: self.namespace().into(),
            name: name.into(),
            fields: journal::changed_fields(old, new).into(),
            causes: journal::causes(self.header("tutor-cause")).into(),
        });
    }

    /// 422 for a faulty object. For custom resources Kubernetes names the resource once the schema is
    /// satisfied.
    pub fn invalid(&self, name: &str, errors: &[FieldError]) -> Status {
        // `events.k8s.io` shows the core group's Event, whose name errors keep.
        let group = if &*self.resource.kind == "Event" { "" } else { &*self.resource.group };
        FieldError::status(group, &self.resource.kind, name, errors)
    }

    /// `pods "x" not found`
    pub fn not_found(&self, name: &str) -> Status {
        Status::new(Reason::NotFound, format!("{} {} not found", self.resource.group_resource(), go_quote(name)))
            .details(about(&self.resource, name))
    }

    /// `pods "x" already exists`
    pub fn already_exists(&self, name: &str) -> Status {
        Status::new(Reason::AlreadyExists, format!("{} {name:?} already exists", self.resource.group_resource()))
            .details(about(&self.resource, name))
    }
}

/// `details` of an error about an object, by resource.
pub fn about(resource: &Resource, name: &str) -> Details {
    Details {
        name: name.to_string(),
        group: resource.group.to_string(),
        kind: resource.plural.to_string(),
        ..Details::default()
    }
}

/// The object changed since the client read it.
pub fn conflict(resource: &Resource, name: &str) -> Status {
    conflict_because(
        resource,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )
}

/// `Operation cannot be fulfilled on pods "x": …`
pub fn conflict_because(resource: &Resource, name: &str, why: &str) -> Status {
    Status::new(
        Reason::Conflict,
        format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.group_resource()),
    )
    .details(about(resource, name))
}

/// No such resource in a group and version that are served.
pub fn not_served() -> Status {
    Status::new(Reason::NotFound, "the server could not find the requested resource").details(Details::default())
}

/// The resource does not do that.
pub fn not_allowed() -> Status {
    Status::new(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource")
        .details(Details::default())
}

/// 400 with these words.
pub fn bad_request(message: impl Into<String>) -> Status {
    Status::new(Reason::BadRequest, message)
}
