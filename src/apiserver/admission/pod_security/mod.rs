//! PodSecurity: Pods meet the standard their namespace asks for: `baseline` or `restricted`.
//!
//! The namespace's labels say what is enforced (Pods are refused) and what is warned about (also
//! the templates of workloads). Every check is a row: what it looks at, and what it says.
//! Source: `k8s.io/pod-security-admission`.

mod baseline;
mod restricted;

use futures::future::BoxFuture;
use serde_json::Value;

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
        baseline::app_armor,
        baseline::capabilities,
        baseline::host_namespaces,
        baseline::host_path,
        baseline::host_ports,
        baseline::hosts_of_probes,
        baseline::privileged,
        baseline::proc_mount,
        baseline::se_linux,
        |pod, standard| if standard.restricted { None } else { restricted::seccomp(pod, standard) },
        baseline::sysctls,
        baseline::windows,
    ];
    let strict: &[Check] = &[
        restricted::privilege_escalation,
        restricted::restricted_capabilities,
        restricted::restricted_volumes,
        restricted::run_as_non_root,
        restricted::run_as_user,
        restricted::seccomp,
    ];
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
