//! CertificateSigningRequest: a wish for a certificate, approved by one and signed by another.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::apiserver::kinds::core::pod::seconds;
use crate::apiserver::kinds::json::{Json, at_mut, copy, drop_at, items_mut, put};
use crate::apiserver::kinds::{Context, FieldError, NameRule, Strategy, Subresource, check, lifecycle};

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
            validate: |new, old, _| condition_changes(new, old),
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
            validate: |new, old, _| condition_changes(new, old),
        },
    ],
    whole_again: true,
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

/// What a certificate may be for.
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// What is wrong with the conditions by themselves and beside the old ones.
fn condition_changes(new: &Value, old: &Value) -> Vec<FieldError> {
    let list = new.items("status.conditions");
    let mut errors = conditions(new);
    for (index, condition) in list.iter().enumerate() {
        let path = format!("status.conditions[{index}]");
        let (kind, status) = (condition.text("type"), condition.text("status"));
        errors.extend(check::required(condition, &["type", "status"], &path));
        let known: &[&str] =
            if matches!(kind, "Approved" | "Denied" | "Failed") { &["True"] } else { &["False", "True", "Unknown"] };
        if !status.is_empty() && !known.contains(&status) {
            errors.push(FieldError::not_supported(format!("{path}.status"), status, known));
        }
        if list[..index].iter().any(|other| other.text("type") == kind) {
            errors.push(FieldError::duplicate(format!("{path}.type"), kind));
        }
    }
    for kind in ["Approved", "Denied", "Failed"] {
        let count = |request: &Value| {
            request.items("status.conditions").iter().filter(|condition| condition.text("type") == kind).count()
        };
        if count(new) < count(old) {
            let detail = format!("updates may not remove a condition of type {kind:?}");
            errors.push(FieldError::forbidden("status.conditions", detail));
        }
    }
    errors
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
        let shown = if encoded.is_empty() { Value::Null } else { json!(encoded) };
        errors.push(FieldError::invalid("spec.request", shown, "PEM block type must be CERTIFICATE REQUEST"));
    } else if let Some(why) = unreadable(&text) {
        errors.push(FieldError::invalid("spec.request", encoded, why));
    }
    let usages = request.items("spec.usages");
    if usages.is_empty() {
        errors.push(FieldError::required("spec.usages", ""));
    }
    for (index, usage) in usages.iter().enumerate() {
        let path = format!("spec.usages[{index}]");
        if !USAGES.contains(&usage.as_str().unwrap_or("")) {
            errors.push(FieldError::not_supported(path.as_str(), usage.clone(), USAGES));
        }
        if usages[..index].contains(usage) {
            errors.push(FieldError::duplicate(path, usage.clone()));
        }
    }
    let signer = request.text("spec.signerName");
    errors.extend(super::signer_name(signer, "spec.signerName"));
    if signer == "kubernetes.io/legacy-unknown" {
        let detail = "the legacy signerName is not allowed via this API version";
        errors.push(FieldError::invalid("spec.signerName", signer, detail));
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

/// Why the request inside the block is none: it does not hold what its first bytes promise.
fn unreadable(pem: &str) -> Option<&'static str> {
    let body: String = pem.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1).collect();
    let body = body.split("-----END").next().unwrap_or_default();
    let der = STANDARD.decode(body.trim()).unwrap_or_default();
    let long = der.get(1).is_some_and(|length| length & 0x80 != 0);
    let digits = if long { usize::from(der[1] & 0x7f) } else { 0 };
    let length = match (long, der.get(2..2 + digits)) {
        (true, Some(bytes)) => bytes.iter().fold(0_usize, |sum, byte| sum.saturating_mul(256) + usize::from(*byte)),
        (true, None) => return Some("asn1: syntax error: truncated base 128 integer"),
        (false, _) => der.get(1).map_or(0, |length| usize::from(*length)),
    };
    let whole = der.len() >= length.saturating_add(2 + digits);
    (!der.is_empty() && !whole).then_some("asn1: syntax error: data truncated")
}
