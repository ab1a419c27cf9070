//! Nodes, namespaces, limits, quotas, disruption budgets and priorities.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::super::failure::Result;
use super::super::super::http::Call;
use super::super::super::print::go_value;
use super::Story;
use super::text::{Text, joined, selector, shown, texts, when};
use crate::api::quantity::Quantity;
use crate::api::{meta, quota as usage};

pub(super) async fn node(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.field(0, "Name", meta::name(object));
    text.field(0, "Roles", roles(object));
    text.metadata(object);
    text.field(0, "CreationTimestamp", when(meta::get(object, &["metadata", "creationTimestamp"])));
    taints(&mut text, meta::list(object, &["spec", "taints"]));
    text.field(0, "Unschedulable", meta::get(object, &["spec", "unschedulable"]) == Some(&Value::Bool(true)));
    lease(&mut text, story).await;
    conditions(&mut text, object);
    text.line(0, "Addresses:");
    for address in meta::list(object, &["status", "addresses"]) {
        text.field(1, meta::text(address, &["type"]), meta::text(address, &["address"]));
    }
    for (field, title) in [("capacity", "Capacity"), ("allocatable", "Allocatable")] {
        let Some(list) = meta::map(object, &["status", field]).filter(|list| !list.is_empty()) else { continue };
        text.line(0, format!("{title}:"));
        let mut names: Vec<&String> = list.keys().collect();
        names.sort();
        names.into_iter().for_each(|name| text.field(1, name, go_value(&list[name])));
    }
    text.line(0, "System Info:");
    for (field, title) in [
        ("machineID", "Machine ID"),
        ("systemUUID", "System UUID"),
        ("bootID", "Boot ID"),
        ("kernelVersion", "Kernel Version"),
        ("osImage", "OS Image"),
        ("operatingSystem", "Operating System"),
        ("architecture", "Architecture"),
        ("containerRuntimeVersion", "Container Runtime Version"),
        ("kubeletVersion", "Kubelet Version"),
    ] {
        text.field(1, title, meta::text(object, &["status", "nodeInfo", field]));
    }
    let spec = |field: &str| meta::text(object, &["spec", field]).to_owned();
    for (title, value) in [
        ("PodCIDR", spec("podCIDR")),
        ("PodCIDRs", texts(object, &["spec", "podCIDRs"]).join(",")),
        ("ProviderID", spec("providerID")),
    ] {
        if !value.is_empty() {
            text.field(0, title, value);
        }
    }
    let fields = format!("spec.nodeName={},status.phase!=Failed,status.phase!=Succeeded", meta::name(object));
    match story.list("pods", "", &[("fieldSelector", fields)]).await {
        Ok(pods) => resources(&mut text, story, &pods),
        Err(failure) if failure.reason() == "Forbidden" => text.field(0, "Pods", "not authorized"),
        Err(failure) => return Err(failure),
    }
    node_events(&mut text, story).await;
    Ok(text)
}

fn roles(node: &Value) -> String {
    let mut found: Vec<&str> = Vec::new();
    for (key, value) in meta::labels(node).into_iter().flatten() {
        match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => found.push(role),
            None if key == "kubernetes.io/role" => found.extend(value.as_str().filter(|role| !role.is_empty())),
            _ => {}
        }
    }
    found.sort_unstable();
    found.dedup();
    if found.is_empty() { "<none>".to_owned() } else { found.join(",") }
}

fn taints(text: &mut Text, taints: &[Value]) {
    text.write(0, "Taints:\t");
    if taints.is_empty() {
        text.line(0, "<none>");
    }
    let mut taints: Vec<&Value> = taints.iter().collect();
    taints.sort_by_key(|taint| format!("{},{}", meta::text(taint, &["effect"]), meta::text(taint, &["key"])));
    for (at, taint) in taints.into_iter().enumerate() {
        let field = |name: &str| meta::text(taint, &[name]);
        let value = if field("value").is_empty() { String::new() } else { format!("={}", field("value")) };
        let start = if at > 0 { "\t" } else { "" };
        text.line(0, format!("{start}{}{value}:{}", field("key"), field("effect")));
    }
}

async fn lease(text: &mut Text, story: &Story<'_>) {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{}", meta::name(story.object));
    match story.cluster.api.json(Call::get(path)).await {
        Err(failure) => text.field(0, "Lease", format!("Failed to get lease: {}", failure.words())),
        Ok(lease) => {
            let time = |field: &str| match meta::get(&lease, &["spec", field]).filter(|time| !time.is_null()) {
                Some(time) => when(Some(time)),
                None => "<unset>".to_owned(),
            };
            let holder = shown(&lease, &["spec", "holderIdentity"]);
            text.line(0, "Lease:");
            text.field(1, "HolderIdentity", if holder.is_empty() { "<unset>" } else { &holder });
            text.field(1, "AcquireTime", time("acquireTime"));
            text.field(1, "RenewTime", time("renewTime"));
        }
    }
}

fn conditions(text: &mut Text, node: &Value) {
    let all = meta::list(node, &["status", "conditions"]);
    if all.is_empty() {
        return;
    }
    text.line(0, "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage");
    text.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    for one in all {
        let field = |name: &str| meta::text(one, &[name]);
        let (beat, changed) = (when(one.get("lastHeartbeatTime")), when(one.get("lastTransitionTime")));
        text.line(
            1,
            format!(
                "{} \t{} \t{beat} \t{changed} \t{} \t{}",
                field("type"),
                field("status"),
                field("reason"),
                field("message")
            ),
        );
    }
}

type Amounts = BTreeMap<String, Quantity>;

fn amounts(map: Option<&Map<String, Value>>) -> Amounts {
    let amount = |(name, value): (&String, &Value)| Some((name.clone(), Quantity::parse(value.as_str()?).ok()?));
    map.into_iter().flatten().filter_map(amount).collect()
}

fn percent(name: &str, part: Quantity, whole: Quantity) -> i64 {
    let number = |quantity: &Quantity| if name == "cpu" { quantity.milli_value() } else { quantity.value() } as f64;
    if number(&whole) == 0.0 { 0 } else { (number(&part) / number(&whole) * 100.0) as i64 }
}

fn resources(text: &mut Text, story: &Story<'_>, pods: &[Value]) {
    let node = story.object;
    let mut allocatable = amounts(meta::map(node, &["status", "allocatable"]));
    if allocatable.is_empty() {
        allocatable = amounts(meta::map(node, &["status", "capacity"]));
    }
    let of = |all: &Amounts, name: &str| all.get(name).copied().unwrap_or(Quantity::ZERO);
    let share = |all: &Amounts, name: &str| {
        let part = of(all, name);
        format!("{part} ({}%)", percent(name, part, of(&allocatable, name)))
    };
    text.field(0, "Non-terminated Pods", format!("({} in total)", pods.len()));
    text.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    text.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
    for pod in pods {
        let own = |which: &str| usage::pod_total(pod, which).into_iter().collect::<Amounts>();
        let (request, limit) = (own("requests"), own("limits"));
        let age = story.age(meta::creation_timestamp(pod));
        text.line(
            1,
            format!(
                "{}\t{}\t\t{}\t{}\t{}\t{}\t{age}",
                meta::namespace(pod),
                meta::name(pod),
                share(&request, "cpu"),
                share(&limit, "cpu"),
                share(&request, "memory"),
                share(&limit, "memory"),
            ),
        );
        add(&mut requests, request);
        add(&mut limits, limit);
    }
    text.line(0, "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)");
    text.line(1, "Resource\tRequests\tLimits");
    text.line(1, "--------\t--------\t------");
    for name in ["cpu", "memory", "ephemeral-storage"] {
        text.line(1, format!("{name}\t{}\t{}", share(&requests, name), share(&limits, name)));
    }
    for name in allocatable.keys().filter(|name| name.starts_with("hugepages-")) {
        text.line(1, format!("{name}\t{}\t{}", share(&requests, name), share(&limits, name)));
    }
    let standard =
        |name: &str| matches!(name, "cpu" | "memory" | "ephemeral-storage" | "pods") || name.starts_with("hugepages-");
    for name in allocatable.keys().filter(|name| !standard(name)) {
        text.line(1, format!("{name}\t{}\t{}", of(&requests, name), of(&limits, name)));
    }
}

fn add(total: &mut Amounts, more: Amounts) {
    for (name, amount) in more {
        let known = total.get(&name).copied();
        total.insert(name, known.map_or(amount, |known| known.plus(amount)));
    }
}

/// A node's events are written by its name, and some by its uid.
async fn node_events(text: &mut Text, story: &Story<'_>) {
    if !story.show_events {
        return;
    }
    let name = meta::name(story.object);
    let mut found = Vec::new();
    for uid in [name, meta::uid(story.object)] {
        let fields = format!("involvedObject.name={name},involvedObject.kind=Node,involvedObject.uid={uid}");
        let query = [("fieldSelector", fields), ("limit", "500".to_owned())];
        found.extend(story.list("events", "", &query).await.unwrap_or_default());
    }
    super::events::write(text, found, |time| story.age(time));
}

pub(super) async fn namespace(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let name = meta::name(object);
    let mut text = Text::new();
    text.field(0, "Name", name);
    text.metadata(object);
    text.field(0, "Status", meta::text(object, &["status", "phase"]));
    let conditions = meta::list(object, &["status", "conditions"]);
    if !conditions.is_empty() {
        text.line(0, "Conditions:\n  Type\tStatus\tLastTransitionTime\tReason\tMessage");
        text.line(1, "----\t------\t------------------\t------\t-------");
    }
    for one in conditions {
        let field = |name: &str| meta::text(one, &[name]);
        let changed = when(one.get("lastTransitionTime"));
        text.line(
            1,
            format!("{}\t{}\t{changed}\t{}\t{}", field("type"), field("status"), field("reason"), field("message")),
        );
    }
    text.line(0, "");
    quotas(&mut text, story.list("resourcequotas", name, &[]).await?);
    text.line(0, "");
    let ranges = story.list("limitranges", name, &[]).await?;
    if ranges.is_empty() {
        text.line(0, "No LimitRange resource.");
    } else {
        text.line(
            0,
            "Resource Limits\n Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio",
        );
        text.line(0, " ----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
        ranges.iter().for_each(|range| limits(&mut text, range, " "));
    }
    Ok(text)
}

fn quotas(text: &mut Text, mut quotas: Vec<Value>) {
    if quotas.is_empty() {
        text.line(0, "No resource quota.");
        return;
    }
    quotas.sort_by_key(|quota| meta::name(quota).to_owned());
    text.line(0, "Resource Quotas");
    for quota in &quotas {
        text.field(1, "Name", meta::name(quota));
        scopes(text, quota, 1, "* ");
        text.line(1, "Resource\tUsed\tHard");
        text.line(1, "--------\t---\t---");
        used(text, quota, 1);
    }
}

fn scopes(text: &mut Text, quota: &Value, level: usize, mark: &str) {
    let mut own = texts(quota, &["spec", "scopes"]);
    if own.is_empty() {
        return;
    }
    own.sort_unstable();
    text.field(level, "Scopes", own.join(", "));
    for scope in own {
        let help = match scope {
            "Terminating" => {
                "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system."
            }
            "NotTerminating" => {
                "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate."
            }
            "BestEffort" => {
                "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service."
            }
            "NotBestEffort" => {
                "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service."
            }
            _ => continue,
        };
        text.line(level, format!("{mark}{help}"));
    }
}

fn used(text: &mut Text, quota: &Value, level: usize) {
    let mut names: Vec<&String> =
        meta::map(quota, &["status", "hard"]).into_iter().flatten().map(|(name, _)| name).collect();
    names.sort();
    for name in names {
        let amount = |which: &str| match meta::get(quota, &["status", which, name]) {
            Some(value) => go_value(value),
            None => "0".to_owned(),
        };
        text.line(level, format!("{name}\t{}\t{}", amount("used"), amount("hard")));
    }
}

pub(super) async fn quota(story: &Story<'_>) -> Result<Text> {
    let mut text = Text::new();
    text.head(story.object);
    scopes(&mut text, story.object, 0, " * ");
    text.line(0, "Resource\tUsed\tHard");
    text.line(0, "--------\t----\t----");
    used(&mut text, story.object, 0);
    Ok(text)
}

pub(super) async fn limit_range(story: &Story<'_>) -> Result<Text> {
    let mut text = Text::new();
    text.head(story.object);
    text.line(0, "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio");
    text.line(0, "----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
    limits(&mut text, story.object, "");
    Ok(text)
}

fn limits(text: &mut Text, range: &Value, prefix: &str) {
    const FIELDS: [&str; 5] = ["min", "max", "defaultRequest", "default", "maxLimitRequestRatio"];
    for item in meta::list(range, &["spec", "limits"]) {
        let mut names: Vec<&String> =
            FIELDS.iter().filter_map(|field| meta::map(item, &[field])).flatten().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        for name in names {
            let value = |field: &&str| meta::get(item, &[field, name]).map_or("-".to_owned(), go_value);
            let values: Vec<String> = FIELDS.iter().map(value).collect();
            text.line(0, format!("{prefix}{}\t{name}\t{}", meta::text(item, &["type"]), values.join("\t")));
        }
    }
}

pub(super) async fn disruption_budget(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.head(object);
    let bound = |field: &str| meta::get(object, &["spec", field]).filter(|value| !value.is_null()).map(go_value);
    if let Some(least) = bound("minAvailable") {
        text.field(0, "Min available", least);
    } else if let Some(most) = bound("maxUnavailable") {
        text.field(0, "Max unavailable", most);
    }
    match meta::get(object, &["spec", "selector"]).filter(|selector| !selector.is_null()) {
        Some(found) => text.field(0, "Selector", selector(Some(found))),
        None => text.field(0, "Selector", "<unset>"),
    }
    text.line(0, "Status:");
    for (title, field) in [
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ] {
        text.field(2, title, meta::integer(object, &["status", field]).unwrap_or(0));
    }
    story.with_events(&mut text).await;
    Ok(text)
}

pub(super) async fn priority_class(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.field(0, "Name", meta::name(object));
    text.field(0, "Value", shown(object, &["value"]));
    text.field(0, "GlobalDefault", object.get("globalDefault") == Some(&Value::Bool(true)));
    text.field(0, "PreemptionPolicy", shown(object, &["preemptionPolicy"]));
    text.field(0, "Description", shown(object, &["description"]));
    text.field(0, "Annotations", joined(meta::annotations(object)));
    story.with_events(&mut text).await;
    Ok(text)
}
