//! What is wrong with a container's security context.

use serde_json::{Value, json};

use super::containers::descending_path;
use super::spec::supported;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, names};

/// What is wrong with a container's `securityContext`.
pub fn security_context(context: &Value, path: &str) -> Vec<FieldError> {
    if context.is_null() {
        return Vec::new();
    }
    let mut errors = Vec::new();
    for field in ["runAsUser", "runAsGroup"] {
        errors.extend(id(context, field, path));
    }
    errors.extend(supported(context, "procMount", path, &["Default", "Unmasked"]));
    errors.extend(seccomp(context.at("seccompProfile"), &format!("{path}.seccompProfile")));
    if context.at("allowPrivilegeEscalation") == &Value::Bool(false) {
        if context.flag("privileged") {
            errors.push(FieldError::invalid_raw(
                path,
                go_security_context(context).to_string(),
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            ));
        }
        if context.items("capabilities.add").iter().any(|add| add == "CAP_SYS_ADMIN") {
            errors.push(FieldError::invalid_raw(
                path,
                go_security_context(context).to_string(),
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
            ));
        }
    }
    errors
}

/// A user or group id: 0 to 2147483647.
pub fn id(context: &Value, field: &str, path: &str) -> Vec<FieldError> {
    let Some(number) = context.int(field) else { return Vec::new() };
    let faults = names::in_range(number, 0, 2_147_483_647);
    faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.{field}"), number, fault)).collect()
}

/// What is wrong with a seccomp profile.
pub fn seccomp(profile: &Value, path: &str) -> Vec<FieldError> {
    if profile.is_null() {
        return Vec::new();
    }
    let local = profile.has("localhostProfile");
    match profile.text("type") {
        "" => vec![FieldError::required(format!("{path}.type"), "type is required when seccompProfile is set")],
        "Localhost" if !local => {
            vec![FieldError::required(format!("{path}.localhostProfile"), "must be set when seccomp type is Localhost")]
        }
        "Localhost" => descending_path(profile.text("localhostProfile"), &format!("{path}.localhostProfile")),
        "RuntimeDefault" | "Unconfined" if local => vec![FieldError::invalid(
            format!("{path}.localhostProfile"),
            profile.at("localhostProfile").clone(),
            "can only be set when seccomp type is Localhost",
        )],
        "RuntimeDefault" | "Unconfined" => Vec::new(),
        other => {
            vec![FieldError::not_supported(
                format!("{path}.type"),
                other,
                &["Localhost", "RuntimeDefault", "Unconfined"],
            )]
        }
    }
}

/// The internal Go struct as `encoding/json` prints it: every field, capitalised.
fn go_security_context(context: &Value) -> Value {
    let capabilities = match context.at("capabilities") {
        Value::Null => Value::Null,
        set => json!({"Add": set.at("add"), "Drop": set.at("drop")}),
    };
    json!({
        "Capabilities": capabilities,
        "Privileged": context.at("privileged"),
        "SELinuxOptions": context.at("seLinuxOptions"),
        "WindowsOptions": context.at("windowsOptions"),
        "RunAsUser": context.at("runAsUser"),
        "RunAsGroup": context.at("runAsGroup"),
        "RunAsNonRoot": context.at("runAsNonRoot"),
        "ReadOnlyRootFilesystem": context.at("readOnlyRootFilesystem"),
        "AllowPrivilegeEscalation": context.at("allowPrivilegeEscalation"),
        "ProcMount": context.at("procMount"),
        "SeccompProfile": context.at("seccompProfile"),
        "AppArmorProfile": context.at("appArmorProfile"),
    })
}
