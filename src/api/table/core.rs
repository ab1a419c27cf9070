//! Nodes, namespaces, configuration, quotas and events.

use super::cell::{NONE, UNKNOWN, condition, count, flag, or, plain, size};
use super::{Context, Row, RowOf, age, aged, cells};
use crate::api::meta;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

pub(super) fn row_of(group: &str, plural: &str) -> Option<RowOf> {
    Some(match (group, plural) {
        ("", "nodes") => node,
        ("", "namespaces") => namespace,
        ("", "configmaps") => config_map,
        ("", "secrets") => secret,
        ("", "serviceaccounts") => aged,
        ("", "resourcequotas") => resource_quota,
        ("" | "events.k8s.io", "events") => event,
        ("", "componentstatuses") => component_status,
        _ => return None,
    })
}

fn node(object: &Value, context: &Context<'_>) -> Row {
    let info = |field| meta::text(object, &["status", "nodeInfo", field]);
    let kernel = match (info("kernelVersion"), info("architecture")) {
        ("", _) => UNKNOWN.to_owned(),
        (kernel, "") => kernel.to_owned(),
        (kernel, architecture) => format!("{kernel} ({architecture})"),
    };
    cells![
        meta::name(object),
        node_status(object),
        node_roles(object),
        context.age(object),
        info("kubeletVersion"),
        node_address(object, "InternalIP"),
        node_address(object, "ExternalIP"),
        or(info("osImage"), UNKNOWN),
        kernel,
        or(info("containerRuntimeVersion"), UNKNOWN),
    ]
}

fn node_status(object: &Value) -> String {
    let ready = match condition(object, "Ready") {
        None => "Unknown",
        Some(condition) if condition["status"] == "True" => "Ready",
        Some(_) => "NotReady",
    };
    let cordoned = if flag(object, &["spec", "unschedulable"]) { ",SchedulingDisabled" } else { "" };
    format!("{ready}{cordoned}")
}

fn node_roles(object: &Value) -> String {
    let role = |(key, value): (&String, &Value)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_owned()),
        None => value.as_str().filter(|_| key == "kubernetes.io/role").map(str::to_owned),
    };
    let roles = meta::labels(object).into_iter().flat_map(Map::iter).filter_map(role);
    let roles: BTreeSet<String> = roles.filter(|role| !role.is_empty()).collect();
    or(&roles.into_iter().collect::<Vec<_>>().join(","), NONE).to_owned()
}

fn node_address<'a>(object: &'a Value, kind: &str) -> &'a str {
    let mut addresses = meta::list(object, &["status", "addresses"]).iter();
    addresses.find(|address| address["type"] == kind).map_or(NONE, |address| meta::text(address, &["address"]))
}

fn namespace(object: &Value, context: &Context<'_>) -> Row {
    cells![meta::name(object), meta::text(object, &["status", "phase"]), context.age(object)]
}

fn config_map(object: &Value, context: &Context<'_>) -> Row {
    cells![meta::name(object), size(object, &["data"]) + size(object, &["binaryData"]), context.age(object)]
}

fn secret(object: &Value, context: &Context<'_>) -> Row {
    cells![meta::name(object), meta::text(object, &["type"]), size(object, &["data"]), context.age(object)]
}

fn resource_quota(object: &Value, context: &Context<'_>) -> Row {
    let hard = meta::map(object, &["status", "hard"]);
    let mut names: Vec<&String> = hard.into_iter().flat_map(Map::keys).collect();
    names.sort();
    let share = |name: &String| {
        let part = |side| plain(meta::get(object, &["status", side, name])).unwrap_or("0".to_owned());
        format!("{name}: {}/{}", part("used"), part("hard"))
    };
    let side = |limits: bool| {
        let wanted = names.iter().filter(|name| name.starts_with("limits") == limits);
        wanted.map(|name| share(name)).collect::<Vec<_>>().join(", ")
    };
    cells![meta::name(object), side(false), side(true), context.age(object)]
}

fn component_status(object: &Value, _: &Context<'_>) -> Row {
    let healthy = meta::list(object, &["conditions"]).iter().find(|condition| condition["type"] == "Healthy");
    let text = |field| healthy.map_or("", |condition| meta::text(condition, &[field]));
    let status = match text("status") {
        "True" => "Healthy",
        "False" => "Unhealthy",
        _ => "Unknown",
    };
    cells![meta::name(object), status, text("message"), text("error")]
}

/// An event in either of its two groups; they name the same things differently.
fn event(object: &Value, context: &Context<'_>) -> Row {
    let either =
        |names: [&'static str; 2]| names.into_iter().find_map(|name| object.get(name).filter(|value| !value.is_null()));
    let text = |names| either(names).and_then(Value::as_str).unwrap_or_default();
    let known = |value: Option<&Value>| age::time(value).map(|_| age::since(value, context.now));
    let event_time = age::since(object.get("eventTime"), context.now);
    let first = known(either(["firstTimestamp", "deprecatedFirstTimestamp"])).unwrap_or(event_time);
    let mut last = known(either(["lastTimestamp", "deprecatedLastTimestamp"])).unwrap_or(first.clone());
    let mut times = either(["count", "deprecatedCount"]).and_then(Value::as_i64).unwrap_or(0).max(1);
    if meta::map(object, &["series"]).is_some() {
        last = context.since(object, &["series", "lastObservedTime"]);
        times = count(object, &["series", "count"]);
    }
    let about = either(["involvedObject", "regarding"]).unwrap_or(&Value::Null);
    let kind = meta::text(about, &["kind"]).to_lowercase();
    let target = match meta::text(about, &["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let source = either(["source", "deprecatedSource"]).unwrap_or(&Value::Null);
    let component = or(meta::text(source, &["component"]), text(["reportingComponent", "reportingController"]));
    let host = or(meta::text(source, &["host"]), meta::text(object, &["reportingInstance"]));
    let source = if host.is_empty() { component.to_owned() } else { format!("{component}, {host}") };
    cells![
        last,
        meta::text(object, &["type"]),
        meta::text(object, &["reason"]),
        target,
        meta::text(about, &["fieldPath"]),
        source,
        text(["message", "note"]).trim(),
        first,
        times,
        meta::name(object),
    ]
}
