//! ConfigMap: text and bytes by key, at most 1 MiB of them.

use serde_json::Value;

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, Strategy, names};

/// The most bytes that a ConfigMap or a Secret holds.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Of ConfigMaps.
pub const STRATEGY: Strategy = Strategy {
    validate: |config, _| validate(config),
    validate_update: |new, old, _| {
        let mut errors = immutable_data(new, old, &["data", "binaryData"]);
        errors.extend(validate(new));
        errors
    },
    whole_again: true,
    ..Strategy::PLAIN
};

fn validate(config: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut bytes = 0;
    for (key, value) in config.entries("data") {
        errors.extend(keys(key, "data"));
        if config.at("binaryData").get(key).is_some() {
            errors.push(FieldError::invalid(format!("data[{key}]"), key, "duplicate of key present in binaryData"));
        }
        bytes += value.as_str().map_or(0, str::len);
    }
    for (key, value) in config.entries("binaryData") {
        errors.extend(keys(key, "binaryData"));
        bytes += decoded_length(value);
    }
    if bytes > MAX_BYTES {
        errors.push(FieldError::too_long("[]", MAX_BYTES));
    }
    errors
}

/// What is wrong with a key.
pub fn keys(key: &str, path: &str) -> Vec<FieldError> {
    let faults = names::config_key(key);
    faults.into_iter().map(|fault| FieldError::invalid(format!("{path}[{key}]"), key, fault)).collect()
}

/// Bytes that a base64 text stands for.
pub fn decoded_length(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.trim_end_matches('=').len() * 3 / 4)
}

/// What `immutable: true` forbids.
pub fn immutable_data(new: &Value, old: &Value, fields: &[&str]) -> Vec<FieldError> {
    if !old.flag("immutable") {
        return Vec::new();
    }
    let detail = "field is immutable when `immutable` is set";
    let mut errors = Vec::new();
    if !new.flag("immutable") {
        errors.push(FieldError::forbidden("immutable", detail));
    }
    for field in fields {
        if new.at(field) != old.at(field) {
            errors.push(FieldError::forbidden(*field, detail));
        }
    }
    errors
}
