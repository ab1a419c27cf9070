//! CertificateSigningRequest: a wish for a certificate, approved by one and signed by another.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::apiserver::kinds::core::pod::seconds;
use crate::apiserver::kinds::json::{Json, at_mut, copy, drop_at, items_mut, put};
use crate::apiserver::kinds::{Context, FieldError, NameRule, Strategy, Subresource, lifecycle};

/// Of CertificateSigningRequests. Who asks is written by the server, not by the client.
pub const STRATEGY: Strategy = Strategy {
    prepare_create,
    prepare_update: |new, old, _| {
        copy(new, old, "spec");
        copy(new, old, "status");
    },
    name: NameRule::Any,
    validate: |request, _| validate(request),
    selectable_fields: |request| vec![("spec.signerName", request.text("spec.signerName").to_string())],
    selectable_names: &["spec.signerName"],
    subresources: &[
        Subresource {
            name: "status",
            prepare: |new, old, context| {
                let was = old.at("status.conditions").clone();
                lifecycle::only_status(new, old, context);
                keep_decisions(new, &was);
                stamp(new, context);
            },
            validate: |new, _, _| conditions(new),
        },
        Subresource {
            name: "approval",
            prepare: |new, old, context| {
                let wanted = new.at("status.conditions").clone();
                lifecycle::only_status(new, old, context);
                copy(new, old, "status");
                if !wanted.is_null() {
                    put(new, "status.conditions", wanted);
                }
                stamp(new, context);
            },
            validate: |new, _, _| conditions(new),
        },
    ],
    ..Strategy::PLAIN
};

fn prepare_create(request: &mut Value, context: &Context) {
    put(request, "spec.username", context.user.name.clone());
    put(request, "spec.groups", json!(context.user.groups));
    drop_at(request, "spec.uid");
    drop_at(request, "spec.extra");
    if !context.user.uid.is_empty() {
        put(request, "spec.uid", context.user.uid.clone());
    }
    if !context.user.extra.is_empty() {
        put(request, "spec.extra", json!(context.user.extra));
    }
    put(request, "status", json!({}));
}

/// `status` may not approve or deny: those conditions stay as they were.
fn keep_decisions(new: &mut Value, was: &Value) {
    let decided = |condition: &Value| matches!(condition.text("type"), "Approved" | "Denied");
    let mut list: Vec<Value> =
        was.as_array().into_iter().flatten().filter(|condition| decided(condition)).cloned().collect();
    list.extend(new.items("status.conditions").iter().filter(|condition| !decided(condition)).cloned());
    if !list.is_empty() {
        put(new, "status.conditions", list);
    }
}

fn stamp(request: &mut Value, context: &Context) {
    let now = seconds(context.now);
    if at_mut(request, "status.conditions").is_none() {
        return;
    }
    let Some(status) = request.get_mut("status") else { return };
    for condition in items_mut(status, "conditions") {
        for field in ["lastUpdateTime", "lastTransitionTime"] {
            if !condition.has(field) {
                put(condition, field, now.clone());
            }
        }
    }
}

fn conditions(request: &Value) -> Vec<FieldError> {
    let has = |kind: &str| request.items("status.conditions").iter().any(|condition| condition.text("type") == kind);
    if has("Approved") && has("Denied") {
        let one = |kind: &str| format!("conditions[{{\"type\": \"{kind}\"}}]");
        let (yes, no) = (one("Approved"), one("Denied"));
        return vec![FieldError::invalid(
            "status.conditions",
            format!("{{{yes}, {no}}}"),
            format!("must specify at most one of: `{yes}`, `{no}`"),
        )];
    }
    Vec::new()
}

fn validate(request: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let encoded = request.text("spec.request");
    let pem = STANDARD.decode(encoded).unwrap_or_default();
    let text = String::from_utf8_lossy(&pem);
    if !text.contains("-----BEGIN CERTIFICATE REQUEST-----")
        && !text.contains("-----BEGIN NEW CERTIFICATE REQUEST-----")
    {
        errors.push(FieldError::invalid("spec.request", encoded, "PEM block type must be CERTIFICATE REQUEST"));
    }
    let usages = request.items("spec.usages");
    if usages.is_empty() {
        errors.push(FieldError::required("spec.usages", ""));
    }
    let signer = request.text("spec.signerName");
    if signer.is_empty() {
        errors.push(FieldError::required("spec.signerName", ""));
    } else if !signer.contains('/') {
        errors.push(FieldError::invalid(
            "spec.signerName",
            signer,
            "must be a fully qualified domain and path of the form 'example.com/signer-name'",
        ));
    }
    if let Some(seconds) = request.int("spec.expirationSeconds")
        && seconds < 600
    {
        errors.push(FieldError::invalid(
            "spec.expirationSeconds",
            seconds,
            "may not specify a duration less than 600 seconds (10 minutes)",
        ));
    }
    errors
}
