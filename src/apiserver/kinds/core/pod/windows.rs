//! What depends on the Pod's operating system: Windows' own options, and what each system cannot have.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `validateOS` and its neighbours.

use serde_json::Value;

use super::defaults::CONTAINER_LISTS;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, names};

/// What is wrong with `windowsOptions`.
pub fn options(options: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if options.has("gmsaCredentialSpecName") {
        let name = options.text("gmsaCredentialSpecName");
        errors.extend(check::faults(format!("{path}.gmsaCredentialSpecName"), name, names::dns_subdomain(name)));
    }
    let spec = options.text("gmsaCredentialSpec");
    let at = format!("{path}.gmsaCredentialSpec");
    if options.has("gmsaCredentialSpec") && spec.is_empty() {
        errors.push(FieldError::invalid(at, spec, "gmsaCredentialSpec cannot be an empty string"));
    } else if spec.len() > 64 * 1024 {
        errors.push(FieldError::invalid(at, spec, "gmsaCredentialSpec size must be under 64 KiB"));
    }
    if options.has("runAsUserName") {
        let name = options.text("runAsUserName");
        errors.extend(check::faults(format!("{path}.runAsUserName"), name, user_name(name)));
    }
    errors
}

fn user_name(name: &str) -> Vec<String> {
    let one = |text: &str| vec![format!("runAsUserName{text}")];
    if name.is_empty() {
        return one(" cannot be an empty string");
    }
    if name.bytes().any(|c| c.is_ascii_control()) {
        return one(" cannot contain control characters");
    }
    let parts: Vec<&str> = name.split('\\').collect();
    let (domain, user) = match parts.as_slice() {
        [user] => (None, *user),
        [domain, user] => (Some(*domain), *user),
        _ => return one(" cannot contain more than one backslash"),
    };
    let mut faults = Vec::new();
    if let Some(domain) = domain {
        if domain.len() >= 256 {
            faults.extend(one("'s Domain length must be under 256 characters"));
        }
        let letters = |c: char| !"\\/:*?\"<>|".contains(c);
        let net_bios =
            (1..=15).contains(&domain.chars().count()) && !domain.starts_with('.') && domain.chars().all(letters);
        if !net_bios && !names::dns_subdomain(&domain.to_lowercase()).is_empty() {
            faults.extend(one("'s Domain doesn't match the NetBios nor the DNS format"));
        }
    }
    if user.is_empty() {
        faults.extend(one("'s User cannot be empty"));
    } else if user.len() > 104 {
        faults.extend(one("'s User length must not be longer than 104 characters"));
    }
    if !user.is_empty() && user.chars().all(|c| c == '.' || c == ' ') {
        faults.extend(one("'s User cannot contain only periods or spaces"));
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        faults.extend(one("'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"));
    }
    faults
}

fn containers<'a>(spec: &'a Value, path: &'a str) -> impl Iterator<Item = (String, &'a Value)> {
    CONTAINER_LISTS.into_iter().flat_map(move |list| {
        let numbered = spec.items(list).iter().enumerate();
        numbered.map(move |(index, container)| (format!("{path}.{list}[{index}]"), container))
    })
}

/// Processes on the Windows host itself: all containers or none, and on the host's network.
pub fn host_process(spec: &Value, path: &str) -> Vec<FieldError> {
    const FIELD: &str = "securityContext.windowsOptions.hostProcess";
    let of_pod = spec.at(FIELD).as_bool();
    let mut errors = Vec::new();
    let (mut all, mut on_host) = (0, 0);
    for (at, container) in containers(spec, path) {
        all += 1;
        let own = container.at(FIELD).as_bool();
        if let (Some(pod), Some(own)) = (of_pod, own)
            && pod != own
        {
            let detail = format!("pod hostProcess value must be identical if both are specified, was {pod}");
            errors.push(FieldError::invalid(format!("{at}.{FIELD}"), own, detail));
        }
        on_host += usize::from(own.or(of_pod).unwrap_or(false));
    }
    if on_host > 0 {
        if on_host != all {
            let detail =
                "If pod contains any hostProcess containers then all containers must be HostProcess containers";
            errors.push(FieldError::invalid(path, "", detail));
        }
        if !spec.flag("hostNetwork") {
            let detail = "hostNetwork must be true if pod contains any hostProcess containers";
            errors.push(FieldError::invalid(format!("{path}.hostNetwork"), false, detail));
        }
    }
    errors
}

const NOT_OF_WINDOWS_POD: &[&str] = &[
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
];

const NOT_OF_WINDOWS_CONTAINER: &[&str] = &[
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// What is wrong with `os`, and what that system cannot have.
pub fn validate_os(spec: &Value, path: &str) -> Vec<FieldError> {
    if !spec.has("os") {
        return Vec::new();
    }
    match spec.text("os.name") {
        "" => vec![FieldError::required(format!("{path}.os.name"), "")],
        "linux" => linux(spec, path),
        "windows" => of_windows(spec, path),
        other => vec![FieldError::not_supported(format!("{path}.os"), other, &["linux", "windows"])],
    }
}

fn linux(spec: &Value, path: &str) -> Vec<FieldError> {
    const FIELD: &str = "securityContext.windowsOptions";
    let own = std::iter::once((path.to_string(), spec)).chain(containers(spec, path));
    own.filter(|(_, holder)| holder.has(FIELD))
        .map(|(at, _)| FieldError::forbidden(format!("{at}.{FIELD}"), "windows options cannot be set for a linux pod"))
        .collect()
}

fn of_windows(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut forbid = |holder: &Value, fields: &[&str], at: &str| {
        for field in fields {
            let set = match holder.at(field) {
                Value::Null | Value::Bool(false) if field.starts_with("hostPID") || field.starts_with("hostIPC") => {
                    false
                }
                Value::Null => false,
                Value::Array(list) => !list.is_empty() || *field == "supplementalGroups",
                _ => true,
            };
            if set {
                errors.push(FieldError::forbidden(format!("{at}.{field}"), "cannot be set for a windows pod"));
            }
        }
    };
    forbid(spec.at("securityContext"), NOT_OF_WINDOWS_POD, &format!("{path}.securityContext"));
    forbid(spec, &["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"], path);
    for (at, container) in containers(spec, path) {
        forbid(container.at("securityContext"), NOT_OF_WINDOWS_CONTAINER, &format!("{at}.securityContext"));
    }
    errors
}

/// What a Pod cannot have when its users are not the host's.
pub fn host_users(spec: &Value, path: &str) -> Vec<FieldError> {
    if spec.at("hostUsers") != &Value::Bool(false) {
        return Vec::new();
    }
    let mut errors = Vec::new();
    // The capitals are Kubernetes'.
    for (field, spelled) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.flag(field) {
            errors.push(FieldError::forbidden(format!("{path}.{spelled}"), "when `hostUsers` is false"));
        }
    }
    for (at, container) in containers(spec, path) {
        if !container.items("volumeDevices").is_empty() {
            errors.push(FieldError::forbidden(format!("{at}.volumeDevices"), "when `hostUsers` is false"));
        }
    }
    errors
}
