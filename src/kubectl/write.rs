//! How commands change objects: field manager, dry run, validation, and the sentence that says what was done.

use serde_json::{Value, json};

use super::command::Invocation;
use super::connect::Cluster;
use super::failure::{Failure, Result};
use super::flags::{DryRun, Flag, Kind, long};
use super::http::Call;
use super::mapping::Mapping;
use super::print::Printer;
use super::selection::Info;

/// `--dry-run`
pub const DRY_RUN: &[Flag] =
    &[long("dry-run", Kind::Optional("none", "unchanged"), "client: send nothing; server: store nothing; none")];
/// `--field-manager`
pub const MANAGER: &[Flag] = &[long("field-manager", Kind::Text(""), "Who owns the fields that change")];
/// `--validate`
pub const VALIDATE: &[Flag] =
    &[long("validate", Kind::Optional("strict", "strict"), "What unknown fields do: strict, warn, ignore")];

/// The kinds of patches, by their content types.
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// RFC 7386.
pub const MERGE: &str = "application/merge-patch+json";
/// RFC 6902.
pub const JSON: &str = "application/json-patch+json";
/// Server-side apply.
pub const APPLY: &str = "application/apply-patch+yaml";

/// The way a call writes.
pub struct Writing<'a> {
    call: &'a Invocation,
    /// Whether changes are only shown.
    pub dry_run: DryRun,
    /// Who owns what is written.
    pub manager: String,
    validation: &'static str,
}

impl<'a> Writing<'a> {
    /// As the flags say; `manager` is the command's own name.
    ///
    /// # Errors
    /// When a flag has no such value.
    pub fn of(call: &'a Invocation, manager: &str) -> Result<Writing<'a>> {
        let dry_run = call.flags.dry_run()?;
        if let Some(words) = call.flags.old_dry_run() {
            call.session.warn("helpers.go:728", &words);
        }
        let manager = match call.flags.text("field-manager") {
            "" => manager.to_owned(),
            named => named.to_owned(),
        };
        let validation = match call.flags.text("validate") {
            "" => "",
            "warn" => "Warn",
            "ignore" | "false" => "Ignore",
            "strict" | "true" => "Strict",
            other => {
                return Err(Failure::new(format!(
                    r#"invalid - validate option "{other}"; must be one of: strict (or true), warn, ignore (or false)"#
                )));
            }
        };
        Ok(Writing { call, dry_run, manager, validation })
    }

    /// The same way, in another manager's name.
    #[must_use]
    pub fn managed_by(&self, manager: &str) -> Writing<'a> {
        let Writing { call, dry_run, validation, .. } = *self;
        Writing { call, dry_run, manager: manager.to_owned(), validation }
    }

    async fn cluster(&self) -> Result<&'a Cluster> {
        self.call.cluster().await
    }

    fn with(&self, call: Call) -> Call {
        let call = call.query("fieldManager", &self.manager).query("fieldValidation", self.validation);
        if self.dry_run == DryRun::Server { call.query("dryRun", "All") } else { call }
    }

    /// Creates an object in its resource's collection.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn create(&self, mapping: &Mapping, namespace: &str, object: &Value) -> Result<Value> {
        let mut sent = object.clone();
        // A version belongs to an object that is stored.
        crate::api::meta::remove(&mut sent, &["metadata", "resourceVersion"]);
        let call = Call::new(http::Method::POST, mapping.path(namespace, None, "")).json(&sent);
        self.cluster().await?.api.json(self.with(call)).await
    }

    /// Puts an object in the place of the one stored.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn replace(&self, info: &Info, object: &Value) -> Result<Value> {
        let call = Call::new(http::Method::PUT, info.path()).json(object);
        self.cluster().await?.api.json(self.with(call)).await
    }

    /// Changes part of an object (or of a subresource).
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn patch(&self, info: &Info, subresource: &str, kind: &str, patch: &Value) -> Result<Value> {
        self.patch_text(info, subresource, kind, patch.to_string()).await
    }

    /// As [`Writing::patch`], with the patch as it was typed.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn patch_text(&self, info: &Info, subresource: &str, kind: &str, patch: String) -> Result<Value> {
        let call = Call::new(http::Method::PATCH, info.subpath(subresource)).body(kind, patch.into_bytes());
        self.cluster().await?.api.json(self.with(call)).await
    }

    /// As [`Writing::patch`], with more query parameters.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn patch_with(
        &self,
        info: &Info,
        subresource: &str,
        kind: &str,
        patch: &Value,
        query: &[(&str, &str)],
    ) -> Result<Value> {
        let call = Call::new(http::Method::PATCH, info.subpath(subresource))
            .body(kind, super::print::json_line(patch).into_bytes());
        let call = query.iter().fold(call, |call, (name, value)| call.query(name, value));
        self.cluster().await?.api.json(self.with(call)).await
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn delete(&self, info: &Info, grace_seconds: Option<i64>, cascade: &str) -> Result<Value> {
        let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": cascade});
        if let Some(seconds) = grace_seconds {
            options["gracePeriodSeconds"] = seconds.into();
        }
        if self.dry_run == DryRun::Server {
            options["dryRun"] = json!(["All"]);
        }
        let call = Call::new(http::Method::DELETE, info.path()).json(&options);
        self.cluster().await?.api.json(call).await
    }

    /// The printer for what was done.
    ///
    /// # Errors
    /// When there is no such form.
    pub fn printer(&self) -> Result<Printer> {
        Printer::of(&self.call.flags, self.call.session.files.as_ref(), false)
    }

    /// Says what was done: `deployment.apps/web scaled`.
    ///
    /// # Errors
    /// When a template fails.
    pub fn say(&self, printer: &mut Printer, object: &Value, done: &str) -> Result {
        printer.show(self.call.console(), object, &format!("{done}{}", self.dry_run.suffix()))
    }
}

/// The merge patch that makes `after` of `before` (RFC 7386).
pub fn merge_patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return after.clone() };
    let mut patch = serde_json::Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(known) if known == value => {}
            Some(known) if known.is_object() && value.is_object() => {
                patch.insert(key.clone(), merge_patch(known, value));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

/// Whether a patch changes nothing.
pub fn is_empty(patch: &Value) -> bool {
    patch.as_object().is_some_and(serde_json::Map::is_empty)
}

/// The strategic merge patch that makes `after` of `before`; a merge patch for a kind without a schema.
pub fn two_way(mapping: &Mapping, before: &Value, after: &Value) -> (&'static str, Value) {
    match crate::api::schema::Schema::of_kind(&mapping.group, &mapping.version, &mapping.kind) {
        Some(schema) => (STRATEGIC, super::three_way::difference(before, after, &schema)),
        None => (MERGE, merge_patch(before, after)),
    }
}
