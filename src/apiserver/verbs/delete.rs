//! `DELETE`: at once, after a grace period, or once every finalizer is gone.
//!
//! An object with finalizers, or one whose kind grants a grace period, is marked with
//! `deletionTimestamp` first; it goes away with the write that removes the last reason to stay.

use serde_json::{Value, json};
use warp::reply::Response;

use super::create::second;
use crate::api::meta;
use crate::api::resource::Resource;
use crate::api::status::Status;
use crate::apiserver::admission::Operation;
use crate::apiserver::convert;
use crate::apiserver::engine::{Call, bad_request, conflict};
use crate::apiserver::kinds::FieldError;
use crate::apiserver::options::dry_run_error;
use crate::apiserver::respond;
use crate::apiserver::storage::{self, Stored, Written};

/// How often a delete that lost a race is tried again.
const ATTEMPTS: usize = 20;

/// Kinds whose delete answers with the object; the others answer with a Status.
const ANSWER_WITH_OBJECT: &[(&str, &str)] = &[
    ("", "pods"),
    ("", "podtemplates"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("", "resourcequotas"),
    ("", "persistentvolumes"),
    ("", "persistentvolumeclaims"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "volumeattachments"),
    ("storage.k8s.io", "volumeattributesclasses"),
    ("resource.k8s.io", "deviceclasses"),
    ("resource.k8s.io", "resourceclaims"),
    ("resource.k8s.io", "resourceclaimtemplates"),
    ("resource.k8s.io", "resourceslices"),
];

/// Kinds whose dependents stay unless the client says otherwise, since before there was a choice.
const ORPHAN_BY_DEFAULT: &[(&str, &str)] = &[("", "replicationcontrollers"), ("batch", "jobs")];

/// Told to whoever deletes a Job and does not say what becomes of its Pods.
const JOB_WARNING: &str = "child pods are preserved by default when jobs are deleted; set \
     propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";

/// What the client said about the delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Nothing is stored.
    pub dry_run: bool,
    grace_seconds: Option<i64>,
    propagation: Option<String>,
    orphan: Option<bool>,
    uid: Option<String>,
    resource_version: Option<String>,
}

impl DeleteOptions {
    /// Reads them from the body, or from the query when there is no body.
    ///
    /// # Errors
    /// 400 for a body that is none, 422 for options that do not go together.
    pub fn parse(call: &Call) -> Result<DeleteOptions, Status> {
        let body = if call.body.is_empty() { from_query(call) } else { from_body(call)? };
        DeleteOptions::from_value(&body)
    }

    /// From their JSON form (`null`: none given).
    ///
    /// # Errors
    /// 422 for options that do not go together.
    pub fn from_value(body: &Value) -> Result<DeleteOptions, Status> {
        let mut errors = Vec::new();
        let dry_run: Vec<&str> = meta::list(body, &["dryRun"]).iter().filter_map(Value::as_str).collect();
        errors.extend(dry_run_error(&dry_run));
        let text = |path: &[&str]| meta::get(body, path).and_then(Value::as_str).map(str::to_string);
        let options = DeleteOptions {
            dry_run: !dry_run.is_empty(),
            grace_seconds: meta::integer(body, &["gracePeriodSeconds"]),
            propagation: text(&["propagationPolicy"]),
            orphan: body["orphanDependents"].as_bool(),
            uid: text(&["preconditions", "uid"]),
            resource_version: text(&["preconditions", "resourceVersion"]),
        };
        if let Some(policy) = &options.propagation {
            const KNOWN: [&str; 3] = ["Foreground", "Background", "Orphan"];
            if options.orphan.is_some() {
                let detail = "orphanDependents and deletionPropagation cannot be both set";
                errors.push(FieldError::invalid("propagationPolicy", policy.as_str(), detail));
            } else if !KNOWN.contains(&policy.as_str()) {
                let mut known = KNOWN.to_vec();
                known.push("nil");
                errors.push(FieldError::not_supported("propagationPolicy", policy.as_str(), &known));
            }
        }
        if errors.is_empty() {
            Ok(options)
        } else {
            Err(FieldError::status("meta.k8s.io", "DeleteOptions", "", &errors))
        }
    }

    /// The object was written in between, by whoever deletes it: its new revision is the one meant.
    pub fn expect(&mut self, object: &Value) {
        if self.resource_version.is_some() {
            self.resource_version = Some(meta::resource_version(object).to_string());
        }
    }

    fn says_nothing_of_dependents(&self) -> bool {
        self.propagation.is_none() && self.orphan.is_none()
    }

    /// Whether the object is the one that is meant.
    ///
    /// # Errors
    /// `Conflict` when a precondition does not hold.
    pub fn check(&self, resource: &Resource, object: &Value) -> Result<(), Status> {
        let refuse = |why: String| {
            let name = meta::name(object);
            let mut status = conflict(resource, name);
            status.message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.kind);
            if let Some(details) = &mut status.details {
                details.kind = resource.kind.to_string();
                details.group = String::new();
            }
            status
        };
        if let Some(uid) = &self.uid
            && uid != meta::uid(object)
        {
            return Err(refuse(format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have \
                 been deleted and then recreated",
                meta::uid(object)
            )));
        }
        if let Some(revision) = &self.resource_version
            && revision != meta::resource_version(object)
        {
            return Err(refuse(format!(
                "the ResourceVersion in the precondition ({revision}) does not match the ResourceVersion in record \
                 ({}). The object might have been modified",
                meta::resource_version(object)
            )));
        }
        Ok(())
    }

    /// The finalizers that carry out what the client said about dependents.
    fn finalizers(&self, resource: &Resource, object: &Value) -> Vec<String> {
        let own: Vec<String> = meta::finalizers(object).map(str::to_string).collect();
        let by_default = || {
            let orphan = ORPHAN_BY_DEFAULT.iter().any(|kind| is(resource, *kind));
            own.iter().find(|f| matches!(f.as_str(), "orphan" | "foregroundDeletion")).cloned().unwrap_or(if orphan {
                "orphan".to_string()
            } else {
                String::new()
            })
        };
        let wanted = match (self.propagation.as_deref(), self.orphan) {
            (Some("Foreground"), _) => "foregroundDeletion".to_string(),
            (Some("Orphan"), _) | (None, Some(true)) => "orphan".to_string(),
            (Some(_), _) | (None, Some(false)) => String::new(),
            (None, None) => by_default(),
        };
        let mut kept: Vec<String> = own
            .into_iter()
            .filter(|f| *f == wanted || !matches!(f.as_str(), "orphan" | "foregroundDeletion"))
            .collect();
        if !wanted.is_empty() && !kept.contains(&wanted) {
            kept.push(wanted);
        }
        kept
    }
}

fn is(resource: &Resource, (group, plural): (&str, &str)) -> bool {
    &*resource.group == group && &*resource.plural == plural
}

fn from_body(call: &Call) -> Result<Value, Status> {
    use crate::api::decode::{self, FieldValidation, MediaType, Target};
    let media = crate::apiserver::negotiate::body_media(call.header("content-type"), false)?;
    let Some(schema) = crate::api::schema::Schema::builtin("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions") else {
        return serde_json::from_slice(&call.body).map_err(|error| bad_request(error.to_string()));
    };
    let mut bytes = call.body.clone();
    if media == MediaType::Json
        && let Ok(mut value) = serde_json::from_slice::<Value>(&bytes)
        && let Some(fields) = value.as_object_mut()
    {
        // Every group has DeleteOptions of its own version; all are the same.
        fields.insert("apiVersion".into(), json!("v1"));
        fields.insert("kind".into(), json!("DeleteOptions"));
        bytes = value.to_string().into();
    }
    let target = Target { group: "", version: "v1", kind: "DeleteOptions", schema: &schema, custom: false };
    Ok(decode::decode(&bytes, media, &target, FieldValidation::Ignore)?.value)
}

fn from_query(call: &Call) -> Value {
    let mut options = json!({});
    for (key, value) in &call.query {
        match key.as_str() {
            "gracePeriodSeconds" => options[key] = json!(value.parse::<i64>().ok()),
            "propagationPolicy" if !value.is_empty() => options[key] = json!(value),
            "orphanDependents" => options[key] = json!(crate::apiserver::request::is_true(value)),
            "dryRun" if !value.is_empty() => options[key] = json!([value]),
            _ => {}
        }
    }
    options
}

/// Deletes the object.
///
/// # Errors
/// 403, 404, 409, 422.
pub async fn delete(call: &Call) -> Result<Response, Status> {
    let options = DeleteOptions::parse(call)?;
    if (&*call.resource.group, &*call.resource.plural) == ("batch", "jobs") && options.says_nothing_of_dependents() {
        call.warn([JOB_WARNING.to_string()]);
    }
    let name = call.info.name.clone();
    match remove(call, &name, &options).await? {
        Removed::Stays(object) => respond::object(200, &object, call),
        Removed::Gone(object) if ANSWER_WITH_OBJECT.iter().any(|kind| is(&call.resource, *kind)) => {
            respond::object(200, &object, call)
        }
        Removed::Gone(object) => {
            let mut details = json!({"name": name, "kind": &*call.resource.plural, "uid": meta::uid(&object)});
            if !call.resource.group.is_empty() {
                details["group"] = json!(&*call.resource.group);
            }
            let status =
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
            let accepted = crate::apiserver::negotiate::Accepted {
                shape: crate::apiserver::negotiate::Shape::Native,
                ..call.accepted
            };
            Ok(respond::send(200, accepted.content_type(), respond::encode(&status, accepted)?))
        }
    }
}

/// What a delete came to.
pub enum Removed {
    /// It is gone; this is its last state.
    Gone(Value),
    /// It is marked and stays for now.
    Stays(Value),
}

/// Deletes one object by name.
///
/// # Errors
/// As [`delete`].
pub async fn remove(call: &Call, name: &str, options: &DeleteOptions) -> Result<Removed, Status> {
    let key = call.store_key(name);
    let mut current = match call.read(name).await {
        Ok(object) => Some(Stored { object: object.value(), revision: object.revision }),
        Err(_) => call.engine.storage.get(key.clone()).await?,
    };
    for _ in 0..ATTEMPTS {
        let stored = current.ok_or_else(|| call.not_found(name))?;
        let old = convert::read(&call.engine, stored.object, &call.resource).await?;
        options.check(&call.resource, &old)?;
        let mut attributes = call.attributes(Operation::Delete, None, Some(&old), name, options.dry_run);
        let verdict = call.engine.admission.admit(&mut attributes).await;
        // A refusal brings its warnings with it.
        call.warn(std::mem::take(&mut attributes.warnings));
        verdict?;
        let verdict = call.engine.admission.validate(&mut attributes).await;
        // A refusal brings its warnings with it.
        call.warn(std::mem::take(&mut attributes.warnings));
        verdict?;
        drop(attributes);
        let plan = plan(call, &old, options);
        if options.dry_run {
            return Ok(plan);
        }
        let written = match &plan {
            Removed::Gone(_) => call.engine.storage.delete(key.clone(), stored.revision).await?,
            Removed::Stays(new) if *new == old => return Ok(plan),
            Removed::Stays(new) => {
                let new = convert::stored_bytes(&call.engine, new, &call.resource).await?;
                call.engine.storage.update(key.clone(), stored.revision, new).await?
            }
        };
        match (written, plan) {
            (Written::Done(revision), Removed::Gone(object)) => {
                call.note("delete", revision, name, Some(&old), &Value::Null);
                return Ok(Removed::Gone(object));
            }
            (Written::Done(revision), Removed::Stays(mut object)) => {
                storage::set_revision(&mut object, revision);
                call.note("delete", revision, name, Some(&old), &object);
                return Ok(Removed::Stays(object));
            }
            (Written::Changed(now), _) => current = now,
        }
    }
    Err(conflict(&call.resource, name))
}

/// Whether the object goes now, and how it looks if it stays.
fn plan(call: &Call, old: &Value, options: &DeleteOptions) -> Removed {
    let asked = options.grace_seconds.map(|seconds| seconds.max(if seconds < 0 { 1 } else { 0 }));
    let grace = (call.strategy().grace_seconds)(old, asked);
    let mut new = old.clone();
    meta::set_finalizers(&mut new, options.finalizers(&call.resource, old));
    if meta::deletion_timestamp(old).is_none() {
        (call.strategy().prepare_delete)(&mut new, &call.context(options.dry_run));
    }
    let stays = has_finalizers(&new);
    let pending = meta::deletion_grace_period_seconds(old);
    if meta::deletion_timestamp(old).is_some() && (grace > 0 || stays) {
        // Already on its way: a new request can only make it shorter.
        if pending.is_some_and(|pending| grace < pending) {
            mark(call, &mut new, grace);
        }
        return Removed::Stays(new);
    }
    if grace > 0 || stays {
        if meta::generation(old) > 0 {
            meta::set_generation(&mut new, meta::generation(old) + 1);
        }
        mark(call, &mut new, grace);
        return Removed::Stays(new);
    }
    if &*call.resource.plural == "pods" || meta::deletion_timestamp(old).is_some() {
        if meta::deletion_timestamp(old).is_none() && meta::generation(old) > 0 {
            meta::set_generation(&mut new, meta::generation(old) + 1);
        }
        mark(call, &mut new, 0);
    }
    Removed::Gone(new)
}

fn mark(call: &Call, object: &mut Value, grace: i64) {
    if meta::kind(object) == "Namespace" {
        meta::set(object, &["status", "phase"], json!("Terminating"));
    }
    let at = call.now.saturating_add(jiff::SignedDuration::from_secs(grace)).unwrap_or(call.now);
    meta::set(object, &["metadata", "deletionTimestamp"], json!(second(at)));
    meta::set(object, &["metadata", "deletionGracePeriodSeconds"], json!(grace));
}

/// Reasons to stay: finalizers in `metadata`, and a Namespace's own in `spec`.
fn has_finalizers(object: &Value) -> bool {
    meta::finalizers(object).next().is_some()
        || (meta::kind(object) == "Namespace" && !meta::list(object, &["spec", "finalizers"]).is_empty())
}

/// Whether this write takes away the last reason for a marked object to stay.
pub fn is_finished(new: &Value, old: &Value) -> bool {
    meta::deletion_timestamp(new).is_some()
        && meta::deletion_grace_period_seconds(new).unwrap_or(0) == 0
        && !has_finalizers(new)
        && has_finalizers(old)
}
