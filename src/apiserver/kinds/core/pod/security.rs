//! What is wrong with security contexts: a container's and a Pod's.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::containers::descending_path;
use super::spec::supported;
use super::windows;
use crate::api::go_values::value_of;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, names};

const MOST_ID: i64 = 2_147_483_647;

/// What is wrong with a container's `securityContext`.
pub fn container(context: &Value, path: &str, host_users: bool) -> Vec<FieldError> {
    if context.is_null() {
        return Vec::new();
    }
    let mut errors = Vec::new();
    for field in ["runAsUser", "runAsGroup"] {
        errors.extend(check::between(context, field, path, 0, MOST_ID));
    }
    errors.extend(supported(context, "procMount", path, &["Default", "Unmasked"]));
    if host_users && context.text("procMount") == "Unmasked" {
        let detail = "`hostUsers` must be false to use `Unmasked`";
        errors.push(FieldError::invalid(format!("{path}.procMount"), "Unmasked", detail));
    }
    errors.extend(profiles(context, path));
    if context.at("allowPrivilegeEscalation") == &Value::Bool(false) {
        let mut clash = |detail: &str| {
            errors.push(FieldError::invalid_raw(path, go_security_context(context).to_string(), detail));
        };
        if context.flag("privileged") {
            clash("cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        for _ in context.items("capabilities.add").iter().filter(|add| *add == "CAP_SYS_ADMIN") {
            clash("cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
        }
    }
    errors
}

/// What a Pod and a container have in common.
fn profiles(context: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = seccomp(context.at("seccompProfile"), &format!("{path}.seccompProfile"));
    errors.extend(windows::options(context.at("windowsOptions"), &format!("{path}.windowsOptions")));
    errors.extend(app_armor(context.at("appArmorProfile"), &format!("{path}.appArmorProfile")));
    errors
}

/// What is wrong with a Pod's `securityContext`.
pub fn pod(spec: &Value, path: &str) -> Vec<FieldError> {
    let context = spec.at("securityContext");
    let path = format!("{path}.securityContext");
    let mut errors = Vec::new();
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        errors.extend(check::between(context, field, &path, 0, MOST_ID));
    }
    for (index, group) in context.items("supplementalGroups").iter().enumerate() {
        let number = group.as_i64().unwrap_or(0);
        for fault in names::in_range(number, 0, MOST_ID) {
            errors.push(FieldError::invalid(format!("{path}.supplementalGroups[{index}]"), number, fault));
        }
    }
    errors.extend(sysctls(spec, &format!("{path}.sysctls")));
    errors.extend(supported(context, "fsGroupChangePolicy", &path, &["Always", "OnRootMismatch"]));
    errors.extend(supported(context, "supplementalGroupsPolicy", &path, &["Merge", "Strict"]));
    errors.extend(supported(context, "seLinuxChangePolicy", &path, &["MountOption", "Recursive"]));
    errors.extend(profiles(context, &path));
    errors
}

fn sysctls(spec: &Value, path: &str) -> Vec<FieldError> {
    const FORM: &str = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
    static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(FORM).expect("a pattern of ours"));
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, sysctl) in spec.items("securityContext.sysctls").iter().enumerate() {
        let name = sysctl.text("name");
        let at = format!("{path}[{index}].name");
        if name.is_empty() {
            errors.push(FieldError::required(at.as_str(), ""));
        } else if name.len() > 253 || !NAME.is_match(name) {
            let detail = format!("must have at most 253 characters and match regex {FORM}");
            errors.push(FieldError::invalid(at.as_str(), name, detail));
        } else if seen.contains(name) {
            errors.push(FieldError::duplicate(at.as_str(), name));
        }
        seen.insert(name);
        let dotted = name.replace('/', ".");
        let ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| dotted.starts_with(prefix));
        if spec.flag("hostNetwork") && dotted.starts_with("net.") {
            errors.push(FieldError::invalid(at, name, "may not be specified when 'hostNetwork' is true"));
        } else if spec.flag("hostIPC") && (ipc || dotted == "kernel.sem") {
            errors.push(FieldError::invalid(at, name, "may not be specified when 'hostIPC' is true"));
        }
    }
    errors
}

/// What is wrong with a seccomp profile.
pub fn seccomp(profile: &Value, path: &str) -> Vec<FieldError> {
    if profile.is_null() {
        return Vec::new();
    }
    let at = format!("{path}.localhostProfile");
    let kind = profile.text("type");
    let mut errors = Vec::new();
    match kind {
        "" => errors.push(FieldError::required(format!("{path}.type"), "type is required when seccompProfile is set")),
        "Localhost" | "RuntimeDefault" | "Unconfined" => {}
        other => {
            let kinds = ["Localhost", "RuntimeDefault", "Unconfined"];
            errors.push(FieldError::not_supported(format!("{path}.type"), other, &kinds));
        }
    }
    match (kind, profile.has("localhostProfile")) {
        ("Localhost", false) => {
            errors.push(FieldError::required(at, "must be set when seccomp type is Localhost"));
        }
        ("Localhost", true) => errors.extend(descending_path(profile.text("localhostProfile"), &at)),
        (_, true) => {
            let shown = check::go_struct(profile, &["Type", "LocalhostProfile"]);
            errors.push(FieldError::invalid_raw(at, shown, "can only be set when seccomp type is Localhost"));
        }
        (_, false) => {}
    }
    errors
}

fn app_armor(profile: &Value, path: &str) -> Vec<FieldError> {
    if profile.is_null() {
        return Vec::new();
    }
    let at = format!("{path}.localhostProfile");
    let local = profile.text("localhostProfile");
    let mut errors = Vec::new();
    match profile.text("type") {
        "Localhost" => {
            if local.trim() != local {
                errors.push(FieldError::invalid(at.as_str(), local, "must not be padded with whitespace"));
            } else if local.is_empty() {
                errors.push(FieldError::required(at.as_str(), "must be set when AppArmor type is Localhost"));
            }
            if local.len() > 4095 {
                errors.push(FieldError::too_long(at, 4095));
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if profile.has("localhostProfile") {
                errors.push(FieldError::invalid(at, local, "can only be set when AppArmor type is Localhost"));
            }
        }
        "" => {
            errors.push(FieldError::required(format!("{path}.type"), "type is required when appArmorProfile is set"));
        }
        other => {
            let kinds = ["Localhost", "RuntimeDefault", "Unconfined"];
            errors.push(FieldError::not_supported(format!("{path}.type"), other, &kinds));
        }
    }
    errors
}

/// The internal Go struct as `encoding/json` prints it: every field, capitalised.
fn go_security_context(context: &Value) -> Value {
    let capabilities = match context.at("capabilities") {
        Value::Null => Value::Null,
        set => json!({"Add": set.at("add"), "Drop": set.at("drop")}),
    };
    let inner = |field: &str, definition: &str| match context.at(field) {
        Value::Null => Value::Null,
        set => value_of(&format!("io.k8s.api.core.v1.{definition}"), set)
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
    };
    json!({
        "Capabilities": capabilities,
        "Privileged": context.at("privileged"),
        "SELinuxOptions": inner("seLinuxOptions", "SELinuxOptions"),
        "WindowsOptions": inner("windowsOptions", "WindowsSecurityContextOptions"),
        "RunAsUser": context.at("runAsUser"),
        "RunAsGroup": context.at("runAsGroup"),
        "RunAsNonRoot": context.at("runAsNonRoot"),
        "ReadOnlyRootFilesystem": context.at("readOnlyRootFilesystem"),
        "AllowPrivilegeEscalation": context.at("allowPrivilegeEscalation"),
        "ProcMount": context.at("procMount"),
        "SeccompProfile": inner("seccompProfile", "SeccompProfile"),
        "AppArmorProfile": inner("appArmorProfile", "AppArmorProfile"),
    })
}
