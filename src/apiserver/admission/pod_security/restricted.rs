//! The checks of the Pod Security Standards' `restricted` level: no power that a Pod does not need.
//!
//! Source: `k8s.io/pod-security-admission/policy`.

use serde_json::Value;

use super::baseline::adds;
use super::{Standard, named, plural};
use crate::apiserver::kinds::json::Json;

pub(super) fn restricted_capabilities(pod: &Value, standard: Standard) -> Option<String> {
    if !standard.restricted || standard.minor < 22 || is_windows(pod, standard) {
        return None;
    }
    let drops_all = |one: &Value| one.items("securityContext.capabilities.drop").iter().any(|name| name == "ALL");
    let keeps = named(pod, |one| !drops_all(one))
        .map(|who| format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    let parts: Vec<String> = [keeps, adds(pod, &["NET_BIND_SERVICE"])].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("unrestricted capabilities ({})", parts.join("; ")))
}

pub(super) fn privilege_escalation(pod: &Value, standard: Standard) -> Option<String> {
    if !standard.restricted || standard.minor < 8 || is_windows(pod, standard) {
        return None;
    }
    let who = named(pod, |one| one.at("securityContext.allowPrivilegeEscalation") != &Value::Bool(false))?;
    Some(format!("allowPrivilegeEscalation != false ({who} must set securityContext.allowPrivilegeEscalation=false)"))
}

/// Whether root in the Pod is nobody on the node: then less is forbidden, since 1.35.
pub(super) fn has_own_users(pod: &Value, standard: Standard) -> bool {
    standard.minor >= 35 && pod.at("spec.hostUsers") == &Value::Bool(false)
}

/// Of a Pod for Windows nothing is asked that only Linux has, since 1.25.
pub(super) fn is_windows(pod: &Value, standard: Standard) -> bool {
    standard.minor >= 25 && pod.text("spec.os.name") == "windows"
}

pub(super) fn restricted_volumes(pod: &Value, standard: Standard) -> Option<String> {
    if !standard.restricted {
        return None;
    }
    let allowed = [
        "name",
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let mut names = Vec::new();
    let mut kinds = Vec::new();
    for volume in pod.items("spec.volumes") {
        let mut fields = volume.as_object().into_iter().flatten();
        let bad = fields.find(|(key, value)| !allowed.contains(&key.as_str()) && !value.is_null());
        if let Some((kind, _)) = bad {
            names.push(format!("{:?}", volume.text("name")));
            kinds.push(format!("{kind:?}"));
        }
    }
    kinds.sort();
    kinds.dedup();
    let (verb, what) = if names.len() == 1 { ("uses", "type") } else { ("use", "types") };
    Some(format!(
        "restricted volume types ({} {verb} restricted volume {what} {})",
        plural("volume", &names)?,
        kinds.join(", ")
    ))
}

pub(super) fn run_as_non_root(pod: &Value, standard: Standard) -> Option<String> {
    if !standard.restricted || has_own_users(pod, standard) {
        return None;
    }
    let own = |one: &Value| one.at("securityContext.runAsNonRoot").as_bool();
    let pod_says = pod.at("spec.securityContext.runAsNonRoot").as_bool();
    let explicit = named(pod, |one| own(one) == Some(false));
    if pod_says == Some(false) && explicit.is_none() {
        return Some("runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)".to_string());
    }
    if let Some(who) = explicit {
        return Some(format!("runAsNonRoot != true ({who} must not set securityContext.runAsNonRoot=false)"));
    }
    if pod_says == Some(true) {
        return None;
    }
    let who = named(pod, |one| own(one).is_none())?;
    Some(format!("runAsNonRoot != true (pod or {who} must set securityContext.runAsNonRoot=true)"))
}

pub(super) fn run_as_user(pod: &Value, standard: Standard) -> Option<String> {
    if !standard.restricted || standard.minor < 23 || has_own_users(pod, standard) {
        return None;
    }
    let mut parts = Vec::new();
    if pod.int("spec.securityContext.runAsUser") == Some(0) {
        parts.push("pod".to_string());
    }
    parts.extend(named(pod, |one| one.int("securityContext.runAsUser") == Some(0)));
    (!parts.is_empty()).then(|| format!("runAsUser=0 ({} must not set runAsUser=0)", parts.join(" and ")))
}

pub(super) fn seccomp(pod: &Value, standard: Standard) -> Option<String> {
    if standard.minor < 19 {
        return None;
    }
    let kind = |one: &Value| one.text("securityContext.seccompProfile.type").to_string();
    let pod_kind = pod.text("spec.securityContext.seccompProfile.type");
    if !standard.restricted {
        let mut parts = Vec::new();
        if pod_kind == "Unconfined" {
            parts.push("pod".to_string());
        }
        parts.extend(named(pod, |one| kind(one) == "Unconfined"));
        return (!parts.is_empty()).then(|| {
            let who = parts.join(" and ");
            format!("seccompProfile ({who} must not set securityContext.seccompProfile.type to \"Unconfined\")")
        });
    }
    if is_windows(pod, standard) {
        return None;
    }
    let good = |text: &str| ["RuntimeDefault", "Localhost"].contains(&text);
    let mut wrong = Vec::new();
    if !pod_kind.is_empty() && !good(pod_kind) {
        wrong.push("pod".to_string());
    }
    wrong.extend(named(pod, |one| !kind(one).is_empty() && !good(&kind(one))));
    if !wrong.is_empty() {
        let who = wrong.join(" and ");
        return Some(format!(
            "seccompProfile ({who} must not set securityContext.seccompProfile.type to \"Unconfined\")"
        ));
    }
    if good(pod_kind) {
        return None;
    }
    let who = named(pod, |one| kind(one).is_empty())?;
    Some(format!(
        "seccompProfile (pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    ))
}
