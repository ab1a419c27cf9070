//! What is wrong with how a definition converts between its versions.
//!
//! Source: `k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation`. Errors spell the internal
//! fields: `webhookClientConfig`, `conversionReviewVersions`.

use serde_json::Value;

use crate::apiserver::kinds::admissionregistration::webhook::{client_service, client_url};
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, names};

const PATH: &str = "spec.conversion";

/// What is wrong with `spec.conversion`.
pub fn validate(conversion: &Value) -> Vec<FieldError> {
    if conversion.is_null() {
        return Vec::new();
    }
    let mut errors: Vec<FieldError> =
        check::choice(conversion, "strategy", PATH, &["None", "Webhook"]).into_iter().collect();
    let client = conversion.at("webhook.clientConfig");
    let versions = conversion.items("webhook.conversionReviewVersions");
    let (client_path, versions_path) =
        (format!("{PATH}.webhookClientConfig"), format!("{PATH}.conversionReviewVersions"));
    if conversion.text("strategy") != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if !client.is_null() {
            errors.push(FieldError::forbidden(client_path, detail));
        }
        if !versions.is_empty() {
            errors.push(FieldError::forbidden(versions_path, detail));
        }
        return errors;
    }
    if client.is_null() {
        errors.push(FieldError::required(client_path, "required when strategy is set to Webhook"));
    } else if client.has("url") == client.has("service") {
        errors.push(FieldError::required(client_path, "exactly one of url or service is required"));
    } else if client.has("url") {
        errors.extend(client_url(client.text("url"), &format!("{client_path}.url")));
    } else {
        errors.extend(client_service(client.at("service"), &format!("{client_path}.service")));
    }
    errors.extend(review_versions(versions, &versions_path));
    errors
}

fn review_versions(versions: &[Value], path: &str) -> Vec<FieldError> {
    if versions.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let mut errors = Vec::new();
    for (index, version) in versions.iter().enumerate() {
        let (text, at) = (version.as_str().unwrap_or(""), format!("{path}[{index}]"));
        if versions[..index].contains(version) {
            errors.push(FieldError::invalid(at, text, "duplicate version"));
        } else {
            errors.extend(check::faults(at, text, names::dns_1035_label(text)));
        }
    }
    if !versions.iter().any(|version| version == "v1" || version == "v1beta1") {
        let detail = "must include at least one of v1, v1beta1";
        errors.push(FieldError::invalid(path, Value::Array(versions.to_vec()), detail));
    }
    errors
}
