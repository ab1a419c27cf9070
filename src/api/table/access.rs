//! Who may do what: bindings, certificates, admission.

use super::cell::{NONE, UNSET, count, is_true, or, size};
use super::{Context, Row, RowOf, age, cells};
use crate::api::meta;
use serde_json::Value;

pub(super) fn row_of(group: &str, plural: &str) -> Option<RowOf> {
    Some(match (group, plural) {
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => binding,
        ("certificates.k8s.io", "certificatesigningrequests") => signing_request,
        ("certificates.k8s.io", "clustertrustbundles") => trust_bundle,
        ("certificates.k8s.io", "podcertificaterequests") => pod_certificate,
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations" | "validatingwebhookconfigurations") => {
            webhooks
        }
        ("admissionregistration.k8s.io", "validatingadmissionpolicies") => {
            |object, context| policy(object, "validations", context)
        }
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies") => {
            |object, context| policy(object, "mutations", context)
        }
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings" | "mutatingadmissionpolicybindings") => {
            policy_binding
        }
        _ => return None,
    })
}

fn binding(object: &Value, context: &Context<'_>) -> Row {
    let subjects = |kind: &str| {
        let found = meta::list(object, &["subjects"]).iter().filter(|subject| subject["kind"] == kind);
        let name = |subject: &Value| match kind {
            "ServiceAccount" => format!("{}/{}", meta::text(subject, &["namespace"]), meta::text(subject, &["name"])),
            _ => meta::text(subject, &["name"]).to_owned(),
        };
        found.map(name).collect::<Vec<_>>().join(", ")
    };
    let role = |field| meta::text(object, &["roleRef", field]);
    cells![
        meta::name(object),
        format!("{}/{}", role("kind"), role("name")),
        context.age(object),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

fn signing_request(object: &Value, context: &Context<'_>) -> Row {
    let has =
        |kind: &str| meta::list(object, &["status", "conditions"]).iter().any(|condition| condition["type"] == kind);
    let mut words = vec![match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (_, true) => "Approved",
        _ => "Pending",
    }];
    if has("Failed") {
        words.push("Failed");
    }
    if !meta::text(object, &["status", "certificate"]).is_empty() {
        words.push("Issued");
    }
    let duration = meta::integer(object, &["spec", "expirationSeconds"]).map_or(NONE.to_owned(), age::human);
    cells![
        meta::name(object),
        context.age(object),
        meta::text(object, &["spec", "signerName"]),
        meta::text(object, &["spec", "username"]),
        duration,
        words.join(","),
    ]
}

fn trust_bundle(object: &Value, _: &Context<'_>) -> Row {
    cells![meta::name(object), or(meta::text(object, &["spec", "signerName"]), NONE)]
}

fn pod_certificate(object: &Value, _: &Context<'_>) -> Row {
    let spec = |field| meta::text(object, &["spec", field]);
    let states = ["Issued", "Denied", "Failed"];
    let state = states.into_iter().find(|state| is_true(object, state)).unwrap_or("Pending");
    let mut annotations: Vec<_> = meta::map(object, &["spec", "unverifiedUserAnnotations"])
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    annotations.sort();
    cells![
        meta::name(object),
        spec("podName"),
        spec("serviceAccountName"),
        spec("nodeName"),
        spec("signerName"),
        state,
        annotations.join(","),
    ]
}

fn webhooks(object: &Value, context: &Context<'_>) -> Row {
    cells![meta::name(object), size(object, &["webhooks"]), context.age(object)]
}

fn policy(object: &Value, what: &str, context: &Context<'_>) -> Row {
    let kind = |field| meta::text(object, &["spec", "paramKind", field]);
    let parameter =
        if kind("kind").is_empty() { UNSET.to_owned() } else { format!("{}/{}", kind("apiVersion"), kind("kind")) };
    cells![meta::name(object), size(object, &["spec", what]), parameter, context.age(object)]
}

fn policy_binding(object: &Value, context: &Context<'_>) -> Row {
    let of = |field| meta::text(object, &["spec", "paramRef", field]);
    let reference = match (of("namespace"), of("name")) {
        (_, "") if meta::map(object, &["spec", "paramRef"]).is_none() => UNSET.to_owned(),
        (namespace, "") => format!("{}/*", or(namespace, "*")),
        (namespace, name) => format!("{}/{name}", or(namespace, "*")),
    };
    cells![meta::name(object), meta::text(object, &["spec", "policyName"]), reference, context.age(object)]
}

/// Counts that are numbers where the API shows a number and `<none>` otherwise.
pub(super) fn number_or_none(object: &Value, path: &[&str]) -> Value {
    match meta::get(object, path) {
        Some(Value::Number(_)) => Value::from(count(object, path)),
        _ => Value::from(NONE),
    }
}
