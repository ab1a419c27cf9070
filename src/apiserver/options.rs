//! The query parameters of each verb, checked and in Kubernetes' words when wrong.
//!
//! In: decoded query pairs. Out: `ListOptions`, `WriteOptions`, or the 400 or 422 that refuses them.

use super::kinds::FieldError;
use super::request::is_true;
use crate::api::decode::FieldValidation;
use crate::api::status::{Reason, Status};

/// How a list's `resourceVersion` is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Exactly that revision.
    Exact,
    /// That revision or a newer one.
    NotOlderThan,
}

/// `ListOptions` of list, watch and deletecollection.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Selector text.
    pub label_selector: String,
    /// Selector text.
    pub field_selector: String,
    /// The revision asked for; empty for the newest.
    pub resource_version: String,
    /// How it is meant.
    pub version_match: Option<Match>,
    /// At most so many; 0 for all.
    pub limit: usize,
    /// Where the last page ended.
    pub continue_token: String,
    /// A watch ends after this.
    pub timeout_seconds: Option<u64>,
    /// A watch may send bookmarks.
    pub bookmarks: bool,
    /// A watch begins with the objects there are; `None`: as its resourceVersion says.
    pub send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads and checks the query of a list or a watch.
    ///
    /// # Errors
    /// 400 for a value that is no number, 422 for options that do not go together.
    pub fn parse(query: &[(String, String)], watch: bool) -> Result<ListOptions, Status> {
        let mut options = ListOptions::default();
        let mut version_match = String::new();
        for (key, value) in query {
            match key.as_str() {
                "labelSelector" => options.label_selector.clone_from(value),
                "fieldSelector" => options.field_selector.clone_from(value),
                "resourceVersion" => options.resource_version.clone_from(value),
                "resourceVersionMatch" => version_match.clone_from(value),
                "continue" => options.continue_token.clone_from(value),
                "limit" => options.limit = usize::try_from(integer(value)?).unwrap_or(0),
                "timeoutSeconds" => options.timeout_seconds = Some(u64::try_from(integer(value)?).unwrap_or(0)),
                "allowWatchBookmarks" => options.bookmarks = is_true(value),
                "sendInitialEvents" => options.send_initial_events = Some(is_true(value)),
                _ => {}
            }
        }
        options.check(&version_match, watch)?;
        Ok(options)
    }

    fn check(&mut self, version_match: &str, watch: bool) -> Result<(), Status> {
        const FIELD: &str = "resourceVersionMatch";
        let mut errors = Vec::new();
        if watch {
            match (self.send_initial_events, version_match) {
                (None, "") => {}
                (None, _) => errors.push(FieldError::forbidden(
                    FIELD,
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                )),
                (Some(_), "NotOlderThan") => {}
                (Some(_), _) => errors.push(FieldError::forbidden(
                    FIELD,
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                )),
            }
        } else {
            if self.send_initial_events.is_some() {
                errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
            }
            if !version_match.is_empty() {
                if self.resource_version.is_empty() {
                    errors.push(FieldError::forbidden(
                        FIELD,
                        "resourceVersionMatch is forbidden unless resourceVersion is provided",
                    ));
                }
                if !self.continue_token.is_empty() {
                    errors.push(FieldError::forbidden(
                        FIELD,
                        "resourceVersionMatch is forbidden when continue is provided",
                    ));
                }
                if !matches!(version_match, "Exact" | "NotOlderThan") {
                    errors.push(FieldError::not_supported(FIELD, version_match, &["Exact", "NotOlderThan", ""]));
                }
                if version_match == "Exact" && self.resource_version == "0" {
                    errors.push(FieldError::forbidden(
                        FIELD,
                        "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                    ));
                }
            }
        }
        if !errors.is_empty() {
            return Err(FieldError::status("meta.k8s.io", "ListOptions", "", &errors));
        }
        self.version_match = match version_match {
            "Exact" => Some(Match::Exact),
            "NotOlderThan" => Some(Match::NotOlderThan),
            _ => None,
        };
        Ok(())
    }
}

fn integer(value: &str) -> Result<i64, Status> {
    value
        .parse()
        .map_err(|_| Status::new(Reason::BadRequest, format!("strconv.ParseInt: parsing {value:?}: invalid syntax")))
}

/// `CreateOptions`, `UpdateOptions`, `PatchOptions`.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// Nothing is stored.
    pub dry_run: bool,
    /// What becomes of unknown and duplicate fields.
    pub validation: FieldValidation,
    /// Who owns the fields written; empty: from the User-Agent.
    pub field_manager: String,
    /// Apply takes over fields that others own.
    pub force: Option<bool>,
}

impl WriteOptions {
    /// Reads and checks the query of a write; `kind` is `CreateOptions`, … for its errors.
    ///
    /// # Errors
    /// 422 for a value that is not supported.
    pub fn parse(query: &[(String, String)], kind: &str) -> Result<WriteOptions, Status> {
        let mut options = WriteOptions {
            dry_run: false,
            validation: FieldValidation::Warn,
            field_manager: String::new(),
            force: None,
        };
        let mut errors = Vec::new();
        let dry_run: Vec<&str> =
            query.iter().filter(|(key, value)| key == "dryRun" && !value.is_empty()).map(|(_, v)| v.as_str()).collect();
        if let Some(error) = dry_run_error(&dry_run) {
            errors.push(error);
        }
        options.dry_run = !dry_run.is_empty();
        for (key, value) in query {
            match key.as_str() {
                "fieldManager" => options.field_manager.clone_from(value),
                "force" => options.force = Some(is_true(value)),
                "fieldValidation" => match value.as_str() {
                    "" | "Warn" => {}
                    "Ignore" => options.validation = FieldValidation::Ignore,
                    "Strict" => options.validation = FieldValidation::Strict,
                    other => errors.push(FieldError::not_supported(
                        "fieldValidation",
                        other,
                        &["", "Ignore", "Strict", "Warn"],
                    )),
                },
                _ => {}
            }
        }
        errors.extend(field_manager_errors(&options.field_manager));
        if !errors.is_empty() {
            return Err(FieldError::status("meta.k8s.io", kind, "", &errors));
        }
        Ok(options)
    }
}

/// `All` is the only value there is.
pub fn dry_run_error(values: &[&str]) -> Option<FieldError> {
    values
        .iter()
        .any(|value| *value != "All")
        .then(|| FieldError::not_supported("dryRun", serde_json::json!(values), &["All"]))
}

fn field_manager_errors(manager: &str) -> Option<FieldError> {
    if manager.len() > 128 {
        return Some(FieldError::too_long("fieldManager", 128));
    }
    manager
        .chars()
        .any(|c| c.is_control())
        .then(|| FieldError::invalid("fieldManager", manager, "should only contain printable characters"))
}
