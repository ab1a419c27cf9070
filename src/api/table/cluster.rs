//! What the cluster itself is made of: definitions, priorities, leases, flow control, devices.

use super::access::number_or_none;
use super::cell::{NONE, condition, count, flag, is_true, or, size};
use super::workloads::condition_words;
use super::{Context, Row, RowOf, aged, cells};
use crate::api::meta;
use serde_json::Value;

pub(super) fn row_of(group: &str, plural: &str) -> Option<RowOf> {
    Some(match (group, plural) {
        ("apiextensions.k8s.io", "customresourcedefinitions") => definition,
        ("apiregistration.k8s.io", "apiservices") => api_service,
        ("scheduling.k8s.io", "priorityclasses") => priority_class,
        ("coordination.k8s.io", "leases") => lease,
        ("node.k8s.io", "runtimeclasses") => runtime_class,
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => flow_schema,
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations") => priority_level,
        ("resource.k8s.io", "deviceclasses" | "resourceclaimtemplates") => aged,
        ("resource.k8s.io", "devicetaintrules") => taint_rule,
        ("storagemigration.k8s.io", "storageversionmigrations") => migration,
        ("resource.k8s.io", "resourceclaims") => resource_claim,
        ("resource.k8s.io", "resourceslices") => resource_slice,
        _ => return None,
    })
}

fn definition(object: &Value, _: &Context<'_>) -> Row {
    let names = |field| meta::text(object, &["spec", "names", field]);
    let versions = meta::list(object, &["spec", "versions"]).iter().filter(|version| flag(version, &["served"]));
    let versions: Vec<&str> = versions.map(|version| meta::text(version, &["name"])).collect();
    let short = meta::list(object, &["spec", "names", "shortNames"]).iter().filter_map(Value::as_str);
    cells![
        meta::name(object),
        meta::text(object, &["spec", "scope"]),
        versions.join(","),
        meta::creation_timestamp(object),
        meta::text(object, &["spec", "group"]),
        names("kind"),
        short.collect::<Vec<_>>().join(","),
        is_true(object, "Established"),
    ]
}

fn api_service(object: &Value, context: &Context<'_>) -> Row {
    let service = |field| meta::text(object, &["spec", "service", field]);
    let service = match service("name") {
        "" => "Local".to_owned(),
        name => format!("{}/{name}", service("namespace")),
    };
    cells![meta::name(object), service, condition_words(object, "Available"), context.age(object)]
}

fn priority_class(object: &Value, context: &Context<'_>) -> Row {
    cells![
        meta::name(object),
        count(object, &["value"]),
        flag(object, &["globalDefault"]),
        context.age(object),
        meta::text(object, &["preemptionPolicy"]),
    ]
}

fn lease(object: &Value, context: &Context<'_>) -> Row {
    cells![meta::name(object), meta::text(object, &["spec", "holderIdentity"]), context.age(object)]
}

fn runtime_class(object: &Value, context: &Context<'_>) -> Row {
    cells![meta::name(object), meta::text(object, &["handler"]), context.age(object)]
}

fn flow_schema(object: &Value, context: &Context<'_>) -> Row {
    let dangling = condition(object, "Dangling").map_or("?", |condition| meta::text(condition, &["status"]));
    cells![
        meta::name(object),
        or(meta::text(object, &["spec", "priorityLevelConfiguration", "name"]), NONE),
        count(object, &["spec", "matchingPrecedence"]),
        or(meta::text(object, &["spec", "distinguisherMethod", "type"]), NONE),
        context.age(object),
        dangling,
    ]
}

fn priority_level(object: &Value, context: &Context<'_>) -> Row {
    let queuing = |field| number_or_none(object, &["spec", "limited", "limitResponse", "queuing", field]);
    let shares = match meta::text(object, &["spec", "type"]) {
        "Exempt" => number_or_none(object, &["spec", "exempt", "nominalConcurrencyShares"]),
        _ => number_or_none(object, &["spec", "limited", "nominalConcurrencyShares"]),
    };
    cells![
        meta::name(object),
        meta::text(object, &["spec", "type"]),
        shares,
        queuing("queues"),
        queuing("handSize"),
        queuing("queueLengthLimit"),
        context.age(object),
    ]
}

fn resource_claim(object: &Value, context: &Context<'_>) -> Row {
    let mut states = Vec::new();
    if meta::deletion_timestamp(object).is_some() {
        states.push("deleted");
    }
    if meta::map(object, &["status", "allocation"]).is_none() {
        if states.is_empty() {
            states.push("pending");
        }
    } else {
        states.push("allocated");
        if size(object, &["status", "reservedFor"]) > 0 {
            states.push("reserved");
        }
    }
    cells![meta::name(object), states.join(","), context.age(object)]
}

fn resource_slice(object: &Value, context: &Context<'_>) -> Row {
    let node = match meta::text(object, &["spec", "nodeName"]) {
        "" if flag(object, &["spec", "allNodes"]) => "<all>",
        name => or(name, NONE),
    };
    cells![
        meta::name(object),
        node,
        meta::text(object, &["spec", "driver"]),
        meta::text(object, &["spec", "pool", "name"]),
        context.age(object),
    ]
}

fn taint_rule(object: &Value, context: &Context<'_>) -> Row {
    let taint = |field| meta::text(object, &["spec", "taint", field]);
    cells![
        meta::name(object),
        taint("key"),
        taint("value"),
        taint("effect"),
        context.since(object, &["spec", "taint", "timeAdded"]),
        context.age(object),
    ]
}

fn migration(object: &Value, _: &Context<'_>) -> Row {
    let of = |field| meta::text(object, &["spec", "resource", field]);
    let resource = match of("group") {
        "" => of("resource").to_owned(),
        group => format!("{}.{group}", of("resource")),
    };
    let state = ["Succeeded", "Failed", "Running"].into_iter().find(|state| is_true(object, state));
    cells![meta::name(object), resource, state.unwrap_or("")]
}
