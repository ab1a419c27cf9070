//! PodSecurity: Pods meet the standard their namespace asks for: `baseline` or `restricted`.
//!
//! The namespace's labels say what is enforced (Pods are refused) and what is warned about (also
//! the templates of workloads). Every check is a row: what it looks at, and what it says.
//! Source: `k8s.io/pod-security-admission`.

use futures::future::BoxFuture;
use serde_json::Value;

use super::pod_security_baseline;
use super::{Attributes, Operation, Plugin};
use crate::api::meta;
use crate::api::status::Status;
use crate::apiserver::kinds::FieldError;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::objects::collection;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// The plugin.
pub struct PodSecurity;

/// A level and the version of the standard it is read in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Level {
    name: String,
    version: String,
}

impl Level {
    /// The version's second number; `latest` is above all.
    fn minor(&self) -> u32 {
        self.version.strip_prefix("v1.").and_then(|minor| minor.parse().ok()).unwrap_or(u32::MAX)
    }
}

/// What a check is read in: a rule counts from the version on that brought it.
#[derive(Clone, Copy)]
pub(super) struct Standard {
    /// The stricter level.
    pub restricted: bool,
    /// `31` for `v1.31`.
    pub minor: u32,
}

impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(check(request)))
    }
}

fn check(request: &mut Attributes<'_>) -> Result<(), Status> {
    if request.is("", "namespaces") && request.subresource.is_empty() {
        let wrong = request.object.as_ref().map(wrong_labels).unwrap_or_default();
        if !wrong.is_empty() && request.old.is_none_or(|old| wrong_labels(old).is_empty()) {
            return Err(FieldError::status("", "Namespace", request.name, &wrong));
        }
    }
    if request.is("", "namespaces") && request.operation == Operation::Update {
        warn_of_existing(request);
        return Ok(());
    }
    if !matches!(request.operation, Operation::Create | Operation::Update) || !request.subresource.is_empty() {
        return Ok(());
    }
    let is_pod = request.is("", "pods");
    let path = match (request.group, request.resource) {
        ("", "pods") => "",
        ("", "podtemplates") => "template",
        ("", "replicationcontrollers")
        | ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => "spec.template",
        ("batch", "cronjobs") => "spec.jobTemplate.spec.template",
        _ => return Ok(()),
    };
    let Some(namespace) = request.objects.get(collection("", "namespaces"), "", request.namespace) else {
        return Ok(());
    };
    let Some(object) = &request.object else { return Ok(()) };
    let pod = if path.is_empty() { object } else { object.at(path) };
    if is_pod && request.old.is_some_and(|old| same_security(pod, old)) {
        return Ok(());
    }
    if is_pod {
        let enforced = level(&namespace, "enforce");
        let found = violations(pod, &enforced);
        if !found.is_empty() {
            let text = format!("violates PodSecurity \"{}:{}\": {}", enforced.name, enforced.version, found.join(", "));
            return Err(request.forbidden(&text));
        }
    }
    let warned = warn_level(&namespace);
    let found = violations(pod, &warned);
    if !found.is_empty() {
        let text = format!("would violate PodSecurity \"{}:{}\": {}", warned.name, warned.version, found.join(", "));
        request.warnings.push(text);
    }
    Ok(())
}

/// Labels that name no level and no version.
fn wrong_labels(namespace: &Value) -> Vec<FieldError> {
    let is_version = |text: &str| match text.strip_prefix("v1.") {
        Some(minor) => minor == "0" || (!minor.starts_with('0') && minor.parse::<u32>().is_ok()),
        None => text == "latest",
    };
    let mut errors = Vec::new();
    for mode in ["enforce", "audit", "warn"] {
        let (level, version) = (format!("{PREFIX}{mode}"), format!("{PREFIX}{mode}-version"));
        let levels = ["privileged", "baseline", "restricted"];
        if let Some(text) = meta::label(namespace, &level).filter(|text| !levels.contains(text)) {
            let detail = "must be one of privileged, baseline, restricted";
            errors.push(FieldError::invalid(format!("metadata.labels[{level}]"), text, detail));
        }
        if let Some(text) = meta::label(namespace, &version).filter(|text| !is_version(text)) {
            let detail = "must be \"latest\" or \"v1.x\"";
            errors.push(FieldError::invalid(format!("metadata.labels[{version}]"), text, detail));
        }
    }
    errors
}

/// An update that changes nothing a check looks at is not checked again.
fn same_security(pod: &Value, old: &Value) -> bool {
    pod.at("spec") == old.at("spec")
}

/// What is not said is what is enforced.
fn warn_level(namespace: &Value) -> Level {
    let own = meta::label(namespace, &format!("{PREFIX}warn"));
    let version = meta::label(namespace, &format!("{PREFIX}warn-version"));
    let enforced = level(namespace, "enforce");
    match (own, version) {
        (Some(_), _) => level(namespace, "warn"),
        (None, Some(version)) => Level { version: version.to_string(), ..enforced },
        (None, None) => enforced,
    }
}

fn level(namespace: &Value, mode: &str) -> Level {
    let label = |name: String| meta::label(namespace, &name).unwrap_or("").to_string();
    let name = match label(format!("{PREFIX}{mode}")) {
        name if ["baseline", "restricted"].contains(&name.as_str()) => name,
        _ => "privileged".to_string(),
    };
    let version = match label(format!("{PREFIX}{mode}-version")) {
        version if version.is_empty() => "latest".to_string(),
        version => version,
    };
    Level { name, version }
}

/// A namespace whose standard is raised keeps its Pods, and says which would not get in now.
fn warn_of_existing(request: &mut Attributes<'_>) {
    let (Some(new), Some(old)) = (&request.object, request.old) else { return };
    let enforced = level(new, "enforce");
    if enforced == level(old, "enforce") || enforced.name == "privileged" {
        return;
    }
    let pods = request.objects.list(collection("", "pods"), meta::name(new));
    let mut lines: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for pod in &pods {
        let found: Vec<String> = violations(pod, &enforced).into_iter().map(|text| short(&text)).collect();
        if found.is_empty() {
            continue;
        }
        match lines.iter_mut().find(|(known, _)| *known == found) {
            Some((_, names)) => names.push(meta::name(pod).to_string()),
            None => lines.push((found, vec![meta::name(pod).to_string()])),
        }
    }
    if lines.is_empty() {
        return;
    }
    let head = format!(
        "existing pods in namespace {:?} violate the new PodSecurity enforce level \"{}:{}\"",
        meta::name(new),
        enforced.name,
        enforced.version
    );
    let mut told = vec![head];
    for (found, names) in lines {
        let who = match names.len() {
            1 => names[0].clone(),
            2 => format!("{} (and 1 other pod)", names[0]),
            more => format!("{} (and {} other pods)", names[0], more - 1),
        };
        told.push(format!("{who}: {}", found.join(", ")));
    }
    request.warnings.extend(told);
}

/// The reason without its details.
fn short(violation: &str) -> String {
    violation.split(" (").next().unwrap_or(violation).to_string()
}

/// What a Pod does that the level forbids, each with its details, in the order of the checks.
fn violations(pod: &Value, level: &Level) -> Vec<String> {
    type Check = fn(&Value, Standard) -> Option<String>;
    let baseline: &[Check] = &[
        pod_security_baseline::app_armor,
        capabilities,
        host_namespaces,
        host_path,
        host_ports,
        pod_security_baseline::hosts_of_probes,
        privileged,
        proc_mount,
        pod_security_baseline::se_linux,
        |pod, standard| if standard.restricted { None } else { seccomp(pod, standard) },
        pod_security_baseline::sysctls,
        windows,
    ];
    let strict: &[Check] =
        &[privilege_escalation, restricted_capabilities, restricted_volumes, run_as_non_root, run_as_user, seccomp];
    let checks = match level.name.as_str() {
        "privileged" => return Vec::new(),
        "restricted" => [baseline, strict].concat(),
        _ => baseline.to_vec(),
    };
    let standard = Standard { restricted: level.name == "restricted", minor: level.minor() };
    checks.iter().filter_map(|check| check(pod, standard)).collect()
}

/// The containers of all kinds.
pub(super) fn containers(pod: &Value) -> Vec<&Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .flat_map(|list| pod.items(&format!("spec.{list}")))
        .collect()
}

/// `container "a"` or `containers "a", "b"`: those that `bad` holds for.
pub(super) fn named<'a>(pod: &'a Value, bad: impl Fn(&'a Value) -> bool) -> Option<String> {
    let names: Vec<String> =
        containers(pod).into_iter().filter(|one| bad(one)).map(|one| format!("{:?}", one.text("name"))).collect();
    plural("container", &names)
}

/// One or several, after the word for them.
pub(super) fn plural(word: &str, names: &[String]) -> Option<String> {
    match names {
        [] => None,
        [one] => Some(format!("{word} {one}")),
        many => Some(format!("{word}s {}", many.join(", "))),
    }
}

fn privileged(pod: &Value, _: Standard) -> Option<String> {
    let who = named(pod, |one| one.flag("securityContext.privileged"))?;
    Some(format!("privileged ({who} must not set securityContext.privileged=true)"))
}

fn host_namespaces(pod: &Value, _: Standard) -> Option<String> {
    let set: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|field| pod.at("spec").flag(field))
        .map(|field| format!("{field}=true"))
        .collect();
    (!set.is_empty()).then(|| format!("host namespaces ({})", set.join(", ")))
}

/// Under `restricted` the stricter check on volumes says it all.
fn host_path(pod: &Value, standard: Standard) -> Option<String> {
    if standard.restricted {
        return None;
    }
    let names: Vec<String> = pod
        .items("spec.volumes")
        .iter()
        .filter(|volume| volume.has("hostPath"))
        .map(|volume| format!("{:?}", volume.text("name")))
        .collect();
    Some(format!("hostPath volumes ({})", plural("volume", &names)?))
}

fn host_ports(pod: &Value, _: Standard) -> Option<String> {
    let mut ports: Vec<i64> = containers(pod)
        .iter()
        .flat_map(|one| one.items("ports"))
        .filter_map(|port| port.int("hostPort"))
        .filter(|port| *port != 0)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    let uses = |one: &Value| one.items("ports").iter().any(|port| port.int("hostPort").unwrap_or(0) != 0);
    let names: Vec<String> =
        containers(pod).into_iter().filter(|one| uses(one)).map(|one| format!("{:?}", one.text("name"))).collect();
    let (word, verb) = if names.len() == 1 { ("container", "uses") } else { ("containers", "use") };
    let list: Vec<String> = ports.iter().map(i64::to_string).collect();
    let port_word = if list.len() == 1 { "hostPort" } else { "hostPorts" };
    (!names.is_empty())
        .then(|| format!("hostPort ({word} {} {verb} {port_word} {})", names.join(", "), list.join(", ")))
}

const DEFAULT_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

fn added<'a>(one: &'a Value, allowed: &[&str]) -> Vec<&'a str> {
    let list = one.items("securityContext.capabilities.add").iter().filter_map(Value::as_str);
    list.filter(|name| !allowed.contains(name)).collect()
}

/// `must not include "A", "B" in securityContext.capabilities.add`, for those who do.
fn adds(pod: &Value, allowed: &[&str]) -> Option<String> {
    let who = named(pod, |one| !added(one, allowed).is_empty())?;
    let mut names: Vec<String> =
        containers(pod).into_iter().flat_map(|one| added(one, allowed)).map(|name| format!("{name:?}")).collect();
    names.sort();
    names.dedup();
    Some(format!("{who} must not include {} in securityContext.capabilities.add", names.join(", ")))
}

/// Under `restricted` the stricter check on capabilities says it all.
fn capabilities(pod: &Value, standard: Standard) -> Option<String> {
    if standard.restricted && standard.minor >= 22 {
        return None;
    }
    Some(format!("non-default capabilities ({})", adds(pod, DEFAULT_CAPABILITIES)?))
}

fn restricted_capabilities(pod: &Value, standard: Standard) -> Option<String> {
    if !standard.restricted || standard.minor < 22 || is_windows(pod, standard) {
        return None;
    }
    let drops_all = |one: &Value| one.items("securityContext.capabilities.drop").iter().any(|name| name == "ALL");
    let keeps = named(pod, |one| !drops_all(one))
        .map(|who| format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    let parts: Vec<String> = [keeps, adds(pod, &["NET_BIND_SERVICE"])].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("unrestricted capabilities ({})", parts.join("; ")))
}

fn privilege_escalation(pod: &Value, standard: Standard) -> Option<String> {
    if !standard.restricted || standard.minor < 8 || is_windows(pod, standard) {
        return None;
    }
    let who = named(pod, |one| one.at("securityContext.allowPrivilegeEscalation") != &Value::Bool(false))?;
    Some(format!("allowPrivilegeEscalation != false ({who} must set securityContext.allowPrivilegeEscalation=false)"))
}

/// Whether root in the Pod is nobody on the node: then less is forbidden, since 1.35.
fn has_own_users(pod: &Value, standard: Standard) -> bool {
    standard.minor >= 35 && pod.at("spec.hostUsers") == &Value::Bool(false)
}

/// Of a Pod for Windows nothing is asked that only Linux has, since 1.25.
fn is_windows(pod: &Value, standard: Standard) -> bool {
    standard.minor >= 25 && pod.text("spec.os.name") == "windows"
}

fn proc_mount(pod: &Value, standard: Standard) -> Option<String> {
    if !standard.restricted && has_own_users(pod, standard) {
        return None;
    }
    let who = named(pod, |one| !["", "Default"].contains(&one.text("securityContext.procMount")))?;
    Some(format!("procMount ({who} must not set securityContext.procMount to \"Unmasked\")"))
}

fn restricted_volumes(pod: &Value, standard: Standard) -> Option<String> {
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

fn run_as_non_root(pod: &Value, standard: Standard) -> Option<String> {
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

fn run_as_user(pod: &Value, standard: Standard) -> Option<String> {
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

fn seccomp(pod: &Value, standard: Standard) -> Option<String> {
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

fn windows(pod: &Value, _: Standard) -> Option<String> {
    let mut parts = Vec::new();
    if pod.flag("spec.securityContext.windowsOptions.hostProcess") {
        parts.push("pod".to_string());
    }
    parts.extend(named(pod, |one| one.flag("securityContext.windowsOptions.hostProcess")));
    (!parts.is_empty()).then(|| {
        format!("hostProcess ({} must not set securityContext.windowsOptions.hostProcess=true)", parts.join(" and "))
    })
}
