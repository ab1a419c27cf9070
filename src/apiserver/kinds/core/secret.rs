//! Secret: bytes by key, with a type that says which keys there must be.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::configmap::{MAX_BYTES, decoded_length, immutable_data, keys};
use crate::apiserver::kinds::json::Fill::Text;
use crate::apiserver::kinds::json::{Json, drop_at, fill, object_mut};
use crate::apiserver::kinds::metadata::immutable;
use crate::apiserver::kinds::{Context, FieldError, Strategy};

/// Of Secrets.
pub const STRATEGY: Strategy = Strategy {
    defaults: |secret, _| {
        fill(secret, &[("type", Text("Opaque"))]);
        merge_string_data(secret);
    },
    prepare_update: |secret, old, _: &Context| {
        if secret.text("type").is_empty() {
            crate::apiserver::kinds::json::copy(secret, old, "type");
        }
    },
    validate: |secret, _| validate(secret),
    validate_update: |new, old, _| {
        let mut errors: Vec<FieldError> = immutable(new, old, "type").into_iter().collect();
        errors.extend(immutable_data(new, old, &["data"]));
        errors.extend(validate(new));
        errors
    },
    warnings,
    selectable_fields: |secret| vec![("type", secret.text("type").to_string())],
    selectable_names: &["type"],
    whole_again: true,
    ..Strategy::PLAIN
};

/// `stringData` is how people write `data`; it is never stored.
fn merge_string_data(secret: &mut Value) {
    let Some(Value::Object(texts)) = drop_at(secret, "stringData") else { return };
    let data = object_mut(secret, "data");
    for (key, text) in texts {
        data.insert(key, STANDARD.encode(text.as_str().unwrap_or("")).into());
    }
}

fn validate(secret: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut bytes = 0;
    for (key, value) in secret.entries("data") {
        errors.extend(keys(key, "data"));
        bytes += decoded_length(value);
    }
    if bytes > MAX_BYTES {
        errors.push(FieldError::too_long("data", MAX_BYTES));
    }
    let need =
        |key: &str| secret.at("data").get(key).is_none().then(|| FieldError::required(format!("data[{key}]"), ""));
    match secret.text("type") {
        "kubernetes.io/service-account-token" => {
            let name = secret.at("metadata.annotations").get("kubernetes.io/service-account.name");
            if name.and_then(Value::as_str).unwrap_or("").is_empty() {
                errors.push(FieldError::required("metadata.annotations[kubernetes.io/service-account.name]", ""));
            }
        }
        "kubernetes.io/dockercfg" => errors.extend(need(".dockercfg").or_else(|| json_key(secret, ".dockercfg"))),
        "kubernetes.io/dockerconfigjson" => {
            errors.extend(need(".dockerconfigjson").or_else(|| json_key(secret, ".dockerconfigjson")));
        }
        "kubernetes.io/basic-auth" => {
            let (user, password) = (need("username"), need("password"));
            if let (Some(user), Some(password)) = (user, password) {
                errors.extend([user, password]);
            }
        }
        "kubernetes.io/ssh-auth" => {
            let empty = secret.at("data").get("ssh-privatekey").and_then(Value::as_str).unwrap_or("").is_empty();
            errors.extend(empty.then(|| FieldError::required("data[ssh-privatekey]", "")));
        }
        "kubernetes.io/tls" => errors.extend([need("tls.crt"), need("tls.key")].into_iter().flatten()),
        _ => {}
    }
    errors
}

fn decode(secret: &Value, key: &str) -> Vec<u8> {
    let text = secret.at("data").get(key).and_then(Value::as_str).unwrap_or("");
    STANDARD.decode(text).unwrap_or_default()
}

fn json_key(secret: &Value, key: &str) -> Option<FieldError> {
    let bytes = decode(secret, key);
    let problem = go_json_error(&bytes)?;
    Some(FieldError::invalid(format!("data[{key}]"), "<secret contents redacted>", problem))
}

/// What Go's JSON parser says of bytes that are no JSON object, for the common ways to be wrong.
fn go_json_error(bytes: &[u8]) -> Option<String> {
    let error = match serde_json::from_slice::<serde_json::Map<String, Value>>(bytes) {
        Ok(_) => return None,
        Err(error) => error,
    };
    let text = String::from_utf8_lossy(bytes);
    let trimmed = text.trim_start();
    if error.is_eof() && !["n", "t", "f"].iter().any(|start| trimmed.starts_with(start)) {
        return Some("unexpected end of JSON input".to_string());
    }
    for word in ["null", "true", "false"] {
        if trimmed.starts_with(&word[..1]) {
            for (index, expected) in word.char_indices().skip(1) {
                match trimmed.chars().nth(index) {
                    Some(c) if c == expected => {}
                    Some(c) => {
                        return Some(format!("invalid character '{c}' in literal {word} (expecting '{expected}')"));
                    }
                    None => return Some("unexpected end of JSON input".to_string()),
                }
            }
        }
    }
    let first = trimmed.chars().next().unwrap_or(' ');
    Some(format!("invalid character '{first}' looking for beginning of value"))
}

fn warnings(secret: &Value, _: Option<&Value>) -> Vec<String> {
    if secret.text("type") != "kubernetes.io/tls" {
        return Vec::new();
    }
    let has_pem = String::from_utf8_lossy(&decode(secret, "tls.crt")).contains("-----BEGIN ");
    if has_pem { Vec::new() } else { vec!["tls: failed to find any PEM data in certificate input".to_string()] }
}
