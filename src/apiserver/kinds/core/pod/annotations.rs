//! What is wrong with annotations that mean something for Pods, and where they contradict the fields that replaced them.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `ValidatePodSpecificAnnotations`.

use serde_json::{Value, json};

use super::containers::descending_path;
use super::defaults::CONTAINER_LISTS;
use crate::apiserver::kinds::FieldError;
use crate::apiserver::kinds::json::{Json, items_mut, put};

const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// What is wrong with the annotations at `path` of a Pod or template whose spec is at `spec_path`.
pub fn validate(pod: &Value, path: &str, spec_path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = pod.at(spec_path.rsplit('.').next().unwrap_or(spec_path));
    for (key, value) in pod.entries("metadata.annotations") {
        let text = value.as_str().unwrap_or("");
        let at = format!("{path}[{key}]");
        match key {
            MIRROR if spec.text("nodeName").is_empty() => {
                let detail = "must set spec.nodeName if mirror pod annotation is set";
                errors.push(FieldError::invalid(at, text, detail));
            }
            DELETION_COST if !is_deletion_cost(text) => {
                errors.push(FieldError::invalid(at, text, "must be a 32bit integer"));
            }
            SECCOMP_POD => errors.extend(seccomp(text, &format!("{path}.{key}"))),
            _ if key.starts_with(SECCOMP_CONTAINER) => errors.extend(seccomp(text, &format!("{path}.{key}"))),
            _ => {
                if let Some(container) = key.strip_prefix(APP_ARMOR) {
                    errors.extend(app_armor(spec, container, text, &at));
                }
            }
        }
    }
    errors
}

/// A whole number of 32 bits, written without a plus and without leading zeros.
fn is_deletion_cost(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = text == "0" || !digits.starts_with('0');
    plain && !text.starts_with('+') && text.parse::<i32>().is_ok()
}

fn seccomp(profile: &str, at: &str) -> Vec<FieldError> {
    match profile {
        "runtime/default" | "docker/default" | "unconfined" => Vec::new(),
        other => match other.strip_prefix("localhost/") {
            Some(file) => descending_path(file, at),
            None => vec![FieldError::invalid(at, other, "must be a valid seccomp profile")],
        },
    }
}

fn app_armor(spec: &Value, container: &str, profile: &str, at: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !CONTAINER_LISTS.iter().any(|list| spec.items(list).iter().any(|own| own.text("name") == container)) {
        errors.push(FieldError::invalid(at, container, "container not found"));
    }
    if !matches!(profile, "" | "runtime/default" | "unconfined") && !profile.starts_with("localhost/") {
        let detail = format!("invalid AppArmor profile name: {profile:?}");
        errors.push(FieldError::invalid(at, profile, detail));
    }
    errors
}

/// Where the annotations and fields of a new Pod, or of a template whose spec is at `path`, say different things.
pub fn agree(pod: &Value, path: &str) -> Vec<FieldError> {
    let annotations = pod.at("metadata.annotations");
    let text = |key: &str| annotations.get(key).and_then(Value::as_str);
    let own = pod.at("spec.securityContext");
    let mut errors = Vec::new();
    if let Some(said) = text(SECCOMP_POD) {
        errors.extend(same(
            said,
            own.at("seccompProfile"),
            "seccomp",
            &format!("{path}.securityContext.seccompProfile"),
        ));
    }
    for list in CONTAINER_LISTS {
        for (index, container) in pod.items(&format!("spec.{list}")).iter().enumerate() {
            let at = format!("{path}.{list}[{index}].securityContext");
            let name = container.text("name");
            if let Some(said) = text(&format!("{SECCOMP_CONTAINER}{name}")) {
                let field = container.at("securityContext.seccompProfile");
                errors.extend(same(said, field, "seccomp", &format!("{at}.seccompProfile")));
            }
            let field = match container.at("securityContext.appArmorProfile") {
                Value::Null => own.at("appArmorProfile"),
                field => field,
            };
            if let Some(said) = text(&format!("{APP_ARMOR}{name}")).filter(|_| pod.text("spec.os.name") != "windows") {
                errors.extend(same(said, field, "apparmor", &format!("{at}.appArmorProfile")));
            }
        }
    }
    errors
}

fn same(said: &str, field: &Value, what: &str, path: &str) -> Option<FieldError> {
    let differs = |part: &str, name: &str| {
        Some(FieldError::forbidden(
            format!("{path}.{part}"),
            format!("{what} {name} in annotation and field must match"),
        ))
    };
    match field.text("type") {
        "Unconfined" if said != "unconfined" => differs("type", "type"),
        "RuntimeDefault" if said != "runtime/default" && (what != "seccomp" || said != "docker/default") => {
            differs("type", "type")
        }
        "Localhost" => match said.strip_prefix("localhost/") {
            None => differs("type", "type"),
            Some(file) if file != field.text("localhostProfile") => differs("localhostProfile", "profile"),
            Some(_) => None,
        },
        _ => None,
    }
}

/// The profile that a container's annotation means; `None`: it means none.
pub fn app_armor_profile(annotation: &str) -> Option<Value> {
    match (annotation, annotation.strip_prefix("localhost/")) {
        ("unconfined", _) => Some(json!({"type": "Unconfined"})),
        ("runtime/default", _) => Some(json!({"type": "RuntimeDefault"})),
        (_, Some(profile)) if !profile.is_empty() => Some(json!({"type": "Localhost", "localhostProfile": profile})),
        _ => None,
    }
}

/// Warnings of a new Pod's AppArmor annotations that say what no field says yet.
pub fn app_armor_warnings(pod: &Value) -> Vec<String> {
    let whole = pod.at("spec.securityContext.appArmorProfile");
    let mut warnings = Vec::new();
    if pod.text("spec.os.name") == "windows" {
        return warnings;
    }
    for container in CONTAINER_LISTS.iter().flat_map(|list| pod.at("spec").items(list)) {
        let key = format!("{APP_ARMOR}{}", container.text("name"));
        let Some(said) = pod.at("metadata.annotations").get(&key).and_then(Value::as_str) else { continue };
        let known = app_armor_profile(said).is_some_and(|profile| profile == *whole);
        if !known && !container.has("securityContext.appArmorProfile") {
            let text = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
            warnings.push(format!("metadata.annotations[{key}]: {text}"));
        }
    }
    warnings
}

/// Fields say what a new Pod's AppArmor annotations say.
pub fn app_armor_fields(pod: &mut Value) {
    if pod.text("spec.os.name") == "windows" {
        return;
    }
    let annotations = pod.at("metadata.annotations").clone();
    let whole = pod.at("spec.securityContext.appArmorProfile").clone();
    let Some(spec) = pod.get_mut("spec") else { return };
    for list in CONTAINER_LISTS {
        for container in items_mut(spec, list) {
            let Some(profile) = annotations
                .get(format!("{APP_ARMOR}{}", container.text("name")))
                .and_then(Value::as_str)
                .and_then(app_armor_profile)
            else {
                continue;
            };
            if !container.has("securityContext.appArmorProfile") && profile != whole {
                put(container, "securityContext.appArmorProfile", profile);
            }
        }
    }
}
