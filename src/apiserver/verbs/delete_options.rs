//! What the client said about a delete: in the body, or in the query when there is no body.

use serde_json::{Map, Value, json};

use super::delete::is;
use crate::api::decode::{self, Target};
use crate::api::meta;
use crate::api::resource::Resource;
use crate::api::schema::Schema;
use crate::api::status::{Reason, Status};
use crate::apiserver::engine::{Call, bad_request, conflict};
use crate::apiserver::kinds::FieldError;
use crate::apiserver::negotiate;
use crate::apiserver::options::{dry_run_error, first, number};
use crate::apiserver::request::is_true;

/// Kinds whose dependents stay unless the client says otherwise, since before there was a choice.
const ORPHAN_BY_DEFAULT: &[(&str, &str)] = &[("", "replicationcontrollers"), ("batch", "jobs")];

/// The option that deletes what cannot be read.
const IGNORE: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";

/// What the client said about the delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Nothing is stored.
    pub dry_run: bool,
    /// How long the object may take; `None`: as its kind says.
    pub grace_seconds: Option<i64>,
    propagation: Option<String>,
    orphan: Option<bool>,
    uid: Option<String>,
    resource_version: Option<String>,
    ignore_read_errors: bool,
}

impl DeleteOptions {
    /// Reads them from the body, or from the query when there is no body.
    ///
    /// # Errors
    /// 400 for a body that is none, 422 for options that do not go together.
    pub fn parse(call: &Call) -> Result<DeleteOptions, Status> {
        let body = if call.body.is_empty() { from_query(&call.query)? } else { from_body(call)? };
        DeleteOptions::from_value(&body)
    }

    /// From their JSON form (`null`: none given).
    ///
    /// # Errors
    /// 422 for options that do not go together.
    pub fn from_value(body: &Value) -> Result<DeleteOptions, Status> {
        let dry_run: Vec<&str> = meta::list(body, &["dryRun"]).iter().filter_map(Value::as_str).collect();
        let text = |path: &[&str]| meta::get(body, path).and_then(Value::as_str).map(str::to_string);
        let options = DeleteOptions {
            dry_run: !dry_run.is_empty(),
            grace_seconds: meta::integer(body, &["gracePeriodSeconds"]),
            propagation: text(&["propagationPolicy"]),
            orphan: body["orphanDependents"].as_bool(),
            uid: text(&["preconditions", "uid"]),
            resource_version: text(&["preconditions", "resourceVersion"]),
            ignore_read_errors: body[IGNORE].as_bool() == Some(true),
        };
        let mut errors = Vec::new();
        if let Some(policy) = &options.propagation {
            const KNOWN: [&str; 4] = ["Foreground", "Background", "Orphan", "nil"];
            if options.orphan.is_some() {
                let detail = "orphanDependents and deletionPropagation cannot be both set";
                errors.push(FieldError::invalid("propagationPolicy", policy.as_str(), detail));
            }
            if !KNOWN[..3].contains(&policy.as_str()) {
                errors.push(FieldError::not_supported("propagationPolicy", policy.as_str(), &KNOWN));
            }
        }
        errors.extend(dry_run_error(&dry_run));
        if options.ignore_read_errors {
            let others = ["propagationPolicy", "orphanDependents", "gracePeriodSeconds", "preconditions"];
            let set = others.iter().filter(|name| !body[**name].is_null());
            errors.extend(
                set.map(|name| FieldError::invalid(IGNORE, true, format!("cannot be set together with .{name}"))),
            );
        }
        refused(&errors)?;
        Ok(options)
    }

    /// Whether the object is to go unread; a collection never is.
    pub fn ignores_read_errors(&self) -> bool {
        self.ignore_read_errors
    }

    /// What only an object alone may be asked.
    ///
    /// # Errors
    /// 422 where it was asked of a collection.
    pub fn check_collection(&self) -> Result<(), Status> {
        let why = "is not allowed with DELETECOLLECTION, try again after removing the option";
        let error = self.ignore_read_errors.then(|| FieldError::invalid(IGNORE, true, why));
        refused(error.as_slice())
    }

    /// Whether the client said, in the old way, that dependents go too.
    pub fn keeps_no_dependents(&self) -> bool {
        self.orphan == Some(false)
    }

    /// The object was written in between, by whoever deletes it: its new revision is the one meant.
    pub fn expect(&mut self, object: &Value) {
        if self.resource_version.is_some() {
            self.resource_version = Some(meta::resource_version(object).to_string());
        }
    }

    /// Whether the client left open what becomes of dependents.
    pub fn says_nothing_of_dependents(&self) -> bool {
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
            let group = if resource.group.is_empty() { String::new() } else { format!(".{}", resource.group) };
            status.message = format!("Operation cannot be fulfilled on {}{group} {name:?}: {why}", resource.kind);
            if let Some(details) = &mut status.details {
                details.kind = resource.kind.to_string();
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
    pub fn finalizers(&self, resource: &Resource, object: &Value) -> Vec<String> {
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

fn refused(errors: &[FieldError]) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(FieldError::status("meta.k8s.io", "DeleteOptions", "", errors)) }
}

fn from_body(call: &Call) -> Result<Value, Status> {
    let media = negotiate::body_media(call.header("content-type"), false)?;
    let schema = Schema::builtin("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")
        .ok_or_else(|| Status::new(Reason::InternalError, "DeleteOptions have no schema"))?;
    let target = Target { group: "", version: "v1", kind: "DeleteOptions", schema: &schema, custom: false };
    decode::options(&call.body, media, &target).map_err(bad_request)
}

fn from_query(query: &[(String, String)]) -> Result<Value, Status> {
    let mut options = Map::new();
    if let Some(seconds) = number(query, "gracePeriodSeconds")? {
        options.insert("gracePeriodSeconds".into(), json!(seconds));
    }
    for name in ["orphanDependents", IGNORE] {
        options.extend(first(query, name).map(|value| (name.to_string(), json!(is_true(value)))));
    }
    options.extend(first(query, "propagationPolicy").map(|value| ("propagationPolicy".to_string(), json!(value))));
    let dry_run: Vec<&String> = query.iter().filter(|(key, _)| key == "dryRun").map(|(_, value)| value).collect();
    options.insert("dryRun".into(), json!(dry_run));
    let named = |name: &str| first(query, name).filter(|value| !value.is_empty());
    let preconditions: Map<String, Value> =
        ["uid", "resourceVersion"].iter().filter_map(|name| Some(((*name).to_string(), json!(named(name)?)))).collect();
    if !preconditions.is_empty() {
        options.insert("preconditions".into(), Value::Object(preconditions));
    }
    Ok(Value::Object(options))
}
