//! The query parameters of each verb, checked and in Kubernetes' words when wrong.
//!
//! In: decoded query pairs. Out: `ListOptions`, `WriteOptions`, or the 400 or 422 that refuses them.

use std::num::{IntErrorKind, ParseIntError};

use super::kinds::FieldError;
use super::request::is_true;
use crate::api::decode::FieldValidation;
use crate::api::field_error::{go_quote, is_print};
use crate::api::selector::{FieldSelector, LabelSelector};
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
        let text = |name: &str| first(query, name).unwrap_or_default().to_string();
        let seconds = number(query, "timeoutSeconds")?;
        let mut options = ListOptions {
            label_selector: text("labelSelector"),
            field_selector: text("fieldSelector"),
            resource_version: text("resourceVersion"),
            version_match: None,
            continue_token: text("continue"),
            timeout_seconds: seconds.map(|n| u64::try_from(n).unwrap_or(0)),
            limit: number(query, "limit")?.map_or(0, |n| usize::try_from(n).unwrap_or(0)),
            bookmarks: first(query, "allowWatchBookmarks").is_some_and(is_true),
            send_initial_events: first(query, "sendInitialEvents").map(is_true),
        };
        let bad = |why: String| Status::new(Reason::BadRequest, why);
        LabelSelector::parse(&options.label_selector).map_err(|error| bad(error.to_string()))?;
        FieldSelector::parse(&options.field_selector).map_err(|error| bad(error.to_string()))?;
        let mut version_match = text("resourceVersionMatch");
        // A watch that says nothing of where it begins has always begun with what there is.
        let anywhere = matches!(options.resource_version.as_str(), "" | "0");
        if watch && anywhere && version_match.is_empty() && options.send_initial_events.is_none() {
            options.send_initial_events = Some(true);
            version_match = "NotOlderThan".to_string();
        }
        options.check(&version_match, watch)?;
        Ok(options)
    }

    fn check(&mut self, version_match: &str, watch: bool) -> Result<(), Status> {
        const FIELD: &str = "resourceVersionMatch";
        let mut errors = Vec::new();
        if watch {
            let newer = version_match == "NotOlderThan";
            if self.send_initial_events.is_some() && !newer {
                let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                errors.push(FieldError::forbidden(FIELD, why));
            }
            if !version_match.is_empty() {
                if self.send_initial_events.is_none() {
                    let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                    errors.push(FieldError::forbidden(FIELD, why));
                }
                if !newer {
                    errors.push(FieldError::not_supported(FIELD, version_match, &["NotOlderThan"]));
                }
                if !self.continue_token.is_empty() {
                    let why = "resourceVersionMatch is forbidden when continue is provided";
                    errors.push(FieldError::forbidden(FIELD, why));
                }
            }
        } else {
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
            if self.send_initial_events.is_some() {
                errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
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

/// The first value of a parameter, which is the one that counts.
pub fn first<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// A parameter that is a number.
///
/// # Errors
/// 400 in the words of Go's `strconv`.
pub fn number(query: &[(String, String)], name: &str) -> Result<Option<i64>, Status> {
    let Some(text) = first(query, name) else { return Ok(None) };
    let parsed = text.parse().map(Some);
    parsed.map_err(|error| Status::new(Reason::BadRequest, not_a_number("ParseInt", text, &error)))
}

/// Go's words for a text that is no number.
pub fn not_a_number(function: &str, text: &str, error: &ParseIntError) -> String {
    let why = match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {}: {why}", go_quote(text))
}

/// The options of a patch.
pub const PATCH: &str = "PatchOptions";
/// Those of an apply, which wants a field manager.
pub const APPLY: &str = "apply";

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
    /// Reads and checks the query of a write; `kind` is `CreateOptions`, … for its errors, or [`APPLY`].
    ///
    /// # Errors
    /// 422 for a value that is not supported.
    pub fn parse(query: &[(String, String)], kind: &str) -> Result<WriteOptions, Status> {
        let options = WriteOptions {
            dry_run: first(query, "dryRun").is_some(),
            validation: match first(query, "fieldValidation") {
                Some("Ignore") => FieldValidation::Ignore,
                Some("Strict") => FieldValidation::Strict,
                _ => FieldValidation::Warn,
            },
            field_manager: first(query, "fieldManager").unwrap_or_default().to_string(),
            force: first(query, "force").map(is_true),
        };
        let mut errors = Vec::new();
        match kind {
            APPLY if options.field_manager.is_empty() => {
                errors.push(FieldError::required("fieldManager", "is required for apply patch"));
            }
            PATCH if options.force.is_some() => {
                errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
            }
            _ => {}
        }
        errors.extend(field_manager_errors(&options.field_manager));
        let dry_run: Vec<&str> = query.iter().filter(|(key, _)| key == "dryRun").map(|(_, v)| v.as_str()).collect();
        errors.extend(dry_run_error(&dry_run));
        if let Some(value) = first(query, "fieldValidation")
            && !matches!(value, "" | "Ignore" | "Strict" | "Warn")
        {
            let known = ["", "Ignore", "Strict", "Warn"];
            errors.push(FieldError::not_supported("fieldValidation", value, &known));
        }
        if !errors.is_empty() {
            let kind = if kind == APPLY { PATCH } else { kind };
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

fn field_manager_errors(manager: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if manager.len() > 128 {
        errors.push(FieldError::too_long("fieldManager", 128));
    }
    for (at, letter) in manager.char_indices().filter(|(_, letter)| !is_print(*letter)) {
        let why = format!("invalid character U+{:04X} (at position {at})", u32::from(letter));
        errors.push(FieldError::invalid("fieldManager", manager, why));
    }
    errors
}
