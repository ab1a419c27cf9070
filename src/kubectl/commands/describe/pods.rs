//! Pods, and the templates they are made from.

use serde_json::Value;

use super::super::super::failure::Result;
use super::text::{Text, selector, shown, when};
use super::{Story, containers, volumes};
use crate::api::{meta, quota};

pub(super) async fn pod(story: &Story<'_>) -> Result<Text> {
    let pod = story.object;
    let field = |path: &[&str]| meta::text(pod, path).to_owned();
    let mut text = Text::new();
    text.head(pod);
    if let Some(priority) = meta::integer(pod, &["spec", "priority"]) {
        text.field(0, "Priority", priority);
    }
    for (name, title) in [
        ("priorityClassName", "Priority Class Name"),
        ("runtimeClassName", "Runtime Class Name"),
        ("serviceAccountName", "Service Account"),
    ] {
        let value = field(&["spec", name]);
        if !value.is_empty() {
            text.field(0, title, value);
        }
    }
    match field(&["spec", "nodeName"]).as_str() {
        "" => text.field(0, "Node", "<none>"),
        node => text.field(0, "Node", format!("{node}/{}", field(&["status", "hostIP"]))),
    }
    if let Some(start) = meta::get(pod, &["status", "startTime"]) {
        text.field(0, "Start Time", when(Some(start)));
    }
    text.metadata(pod);
    status(&mut text, story);
    addresses(&mut text, pod);
    if let Some(owner) = meta::controller_of(pod) {
        text.field(0, "Controlled By", format!("{}/{}", owner.kind, owner.name));
    }
    if !field(&["status", "nominatedNodeName"]).is_empty() {
        text.field(0, "NominatedNodeName", field(&["status", "nominatedNodeName"]));
    }
    if let Some(resources) = meta::get(pod, &["spec", "resources"]) {
        text.line(0, "Resources:");
        containers::resources(&mut text, 1, resources);
    }
    for (field, states, title) in [
        ("initContainers", "initContainerStatuses", "Init Containers"),
        ("containers", "containerStatuses", "Containers"),
        ("ephemeralContainers", "ephemeralContainerStatuses", "Ephemeral Containers"),
    ] {
        let list = meta::list(pod, &["spec", field]);
        if !list.is_empty() || field == "containers" {
            containers::write(&mut text, title, list, meta::list(pod, &["status", states]), Some(pod), "");
        }
    }
    conditions(&mut text, pod);
    volumes::write(&mut text, meta::list(pod, &["spec", "volumes"]), "");
    text.field(
        0,
        "QoS Class",
        match meta::text(pod, &["status", "qosClass"]) {
            "" => quota::qos_class(pod.get("spec").unwrap_or(&Value::Null)),
            told => told,
        },
    );
    text.labels("Node-Selectors", meta::map(pod, &["spec", "nodeSelector"]));
    tolerations(&mut text, "Tolerations", meta::list(pod, &["spec", "tolerations"]));
    spread(&mut text, meta::list(pod, &["spec", "topologySpreadConstraints"]), "");
    story.with_events_of(&mut text, "").await;
    Ok(text)
}

fn status(text: &mut Text, story: &Story<'_>) {
    let pod = story.object;
    let phase = meta::text(pod, &["status", "phase"]);
    match meta::deletion_timestamp(pod) {
        Some(time) if !matches!(phase, "Failed" | "Succeeded") => {
            text.field(0, "Status", format!("Terminating (lasts {})", story.age(time)));
            let grace = meta::deletion_grace_period_seconds(pod).unwrap_or(0);
            text.field(0, "Termination Grace Period", format!("{grace}s"));
        }
        _ => text.field(0, "Status", phase),
    }
    for (field, title) in [("reason", "Reason"), ("message", "Message")] {
        let value = meta::text(pod, &["status", field]);
        if !value.is_empty() {
            text.field(0, title, value);
        }
    }
    let profile = meta::get(pod, &["spec", "securityContext", "seccompProfile"]).filter(|profile| !profile.is_null());
    if let Some(profile) = profile {
        text.field(0, "SeccompProfile", meta::text(profile, &["type"]));
        if meta::text(profile, &["type"]) == "Localhost" {
            text.field(0, "LocalhostProfile", meta::text(profile, &["localhostProfile"]));
        }
    }
}

fn addresses(text: &mut Text, pod: &Value) {
    text.field(0, "IP", meta::text(pod, &["status", "podIP"]));
    let all = meta::list(pod, &["status", "podIPs"]);
    if all.is_empty() {
        text.field(0, "IPs", "<none>");
        return;
    }
    text.line(0, "IPs:");
    all.iter().for_each(|address| text.field(1, "IP", meta::text(address, &["ip"])));
}

fn conditions(text: &mut Text, pod: &Value) {
    let all = meta::list(pod, &["status", "conditions"]);
    let gates = meta::list(pod, &["spec", "readinessGates"]);
    if !gates.is_empty() {
        text.line(0, "Readiness Gates:\n  Type\tStatus");
        for gate in gates {
            let kind = meta::text(gate, &["conditionType"]);
            let found = all.iter().find(|condition| meta::text(condition, &["type"]) == kind);
            let status = found.map_or("<none>", |condition| meta::text(condition, &["status"]));
            text.line(1, format!("{kind} \t{status} "));
        }
    }
    if !all.is_empty() {
        text.line(0, "Conditions:\n  Type\tStatus");
        for condition in all {
            text.line(1, format!("{} \t{} ", meta::text(condition, &["type"]), meta::text(condition, &["status"])));
        }
    }
}

/// The template of a workload.
pub(super) fn template(text: &mut Text, template: &Value) {
    text.line(0, "Pod Template:");
    let spec = template.get("spec").unwrap_or(&Value::Null);
    text.labels("  Labels", meta::labels(template));
    if meta::annotations(template).is_some_and(|annotations| !annotations.is_empty()) {
        text.annotations("  Annotations", meta::annotations(template));
    }
    let account = meta::text(spec, &["serviceAccountName"]);
    if !account.is_empty() {
        text.field(1, "Service Account", account);
    }
    let first = meta::list(spec, &["initContainers"]);
    if !first.is_empty() {
        containers::write(text, "Init Containers", first, &[], None, "  ");
    }
    containers::write(text, "Containers", meta::list(spec, &["containers"]), &[], None, "  ");
    volumes::write(text, meta::list(spec, &["volumes"]), "  ");
    spread(text, meta::list(spec, &["topologySpreadConstraints"]), "  ");
    let priority = meta::text(spec, &["priorityClassName"]);
    if !priority.is_empty() {
        text.field(1, "Priority Class Name", priority);
    }
    text.labels("  Node-Selectors", meta::map(spec, &["nodeSelector"]));
    tolerations(text, "  Tolerations", meta::list(spec, &["tolerations"]));
}

fn tolerations(text: &mut Text, title: &str, all: &[Value]) {
    text.write(0, format!("{title}:\t"));
    if all.is_empty() {
        text.line(0, "<none>");
        return;
    }
    let mut all: Vec<&Value> = all.iter().collect();
    all.sort_by_key(|toleration| meta::text(toleration, &["key"]).to_owned());
    for (at, toleration) in all.into_iter().enumerate() {
        let field = |name: &str| meta::text(toleration, &[name]);
        let mut line = if at > 0 { "\t".to_owned() } else { String::new() };
        line.push_str(field("key"));
        if !field("value").is_empty() {
            line.push_str(&format!("={}", field("value")));
        }
        if !field("effect").is_empty() {
            line.push_str(&format!(":{}", field("effect")));
        }
        if field("operator") == "Exists" && field("value").is_empty() {
            let space = if field("key").is_empty() && field("effect").is_empty() { "" } else { " " };
            line.push_str(&format!("{space}op=Exists"));
        }
        if let Some(seconds) = meta::integer(toleration, &["tolerationSeconds"]) {
            line.push_str(&format!(" for {seconds}s"));
        }
        text.line(0, line);
    }
}

fn spread(text: &mut Text, all: &[Value], space: &str) {
    if all.is_empty() {
        return;
    }
    let mut all: Vec<&Value> = all.iter().collect();
    all.sort_by_key(|one| meta::text(one, &["topologyKey"]).to_owned());
    text.write(0, format!("{space}Topology Spread Constraints:\t"));
    for (at, one) in all.into_iter().enumerate() {
        if at > 0 {
            text.write(0, format!("{space}\t"));
        }
        let (key, how) = (meta::text(one, &["topologyKey"]), meta::text(one, &["whenUnsatisfiable"]));
        let selected = match one.get("labelSelector").filter(|selector| !selector.is_null()) {
            Some(found) => format!(" for selector {}", selector(Some(found))),
            None => String::new(),
        };
        text.line(0, format!("{key}:{how} when max skew {} is exceeded{selected}", shown(one, &["maxSkew"])));
    }
}
