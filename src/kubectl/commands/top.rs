//! `kubectl top`: what nodes and Pods use, as the metrics API tells it.
//!
//! The numbers come from `metrics.k8s.io`, which a metrics server answers for; a cluster without one has no
//! such API, and says so. Shares are of what a node can give (allocatable), or of all it has.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long};
use super::super::http::Call;
use super::super::print::tabwriter::Tabs;
use super::super::selection;
use crate::api::meta;
use crate::api::quantity::Quantity;

const FLAGS: &[Flag] = &[
    long("sort-by", Kind::Text(""), "cpu or memory"),
    long("no-headers", Kind::Bool(false), "No header line"),
    long("show-swap", Kind::Bool(false), "Swap memory too"),
    long("use-protocol-buffers", Kind::Bool(true), "Accepted"),
];
const OF_NODES: &[Flag] = &[long("show-capacity", Kind::Bool(false), "Of all it has, not of what it can give")];
const OF_PODS: &[Flag] =
    &[long("containers", Kind::Bool(false), "Each container"), long("sum", Kind::Bool(false), "The sum")];

/// `top`
pub const COMMAND: Command = Command {
    name: "top",
    about: "Show what is used",
    commands: &[
        Command {
            name: "node",
            aliases: &["nodes", "no"],
            usage: "[NAME | -l label]",
            about: "By nodes",
            flags: &[FLAGS, OF_NODES, selection::LABELS],
            run: run!(nodes),
            ..BASE
        },
        Command {
            name: "pod",
            aliases: &["pods", "po"],
            usage: "[NAME | -l label]",
            about: "By Pods",
            flags: &[FLAGS, OF_PODS, selection::LABELS, selection::FIELDS, selection::ALL_NAMESPACES],
            run: run!(pods),
            ..BASE
        },
    ],
    ..BASE
};

/// The metrics API's versions, the one that is preferred first.
const VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const NAME_AND_SELECTOR: &str = "only one of NAME or selector can be provided";

/// What is measured, with the unit and the words of its columns.
#[derive(Clone, Copy)]
struct Measured {
    resource: &'static str,
    column: &'static str,
    share: &'static str,
}

const CPU: Measured = Measured { resource: "cpu", column: "CPU(cores)", share: "CPU(%)" };
const MEMORY: Measured = Measured { resource: "memory", column: "MEMORY(bytes)", share: "MEMORY(%)" };
const SWAP: Measured = Measured { resource: "swap", column: "SWAP(bytes)", share: "SWAP(%)" };

impl Measured {
    fn shown(self, quantity: Quantity) -> String {
        match self.resource {
            "cpu" => format!("{}m", quantity.milli_value()),
            _ => format!("{}Mi", quantity.value() / (1024 * 1024)),
        }
    }
}

fn measured(call: &Invocation) -> Vec<Measured> {
    if call.flags.is("show-swap") { vec![CPU, MEMORY, SWAP] } else { vec![CPU, MEMORY] }
}

/// Whether the words and flags fit together; then the metrics API's path.
async fn metrics_path(call: &Invocation) -> Result<String> {
    let flags = &call.flags;
    if call.arguments().len() > 1 {
        return Err(call.usage(format!("{} {}", call.command.name, call.command.usage)));
    }
    if !matches!(flags.text("sort-by"), "" | "cpu" | "memory") {
        return Err(Failure::new("--sort-by accepts only cpu or memory"));
    }
    let selects = ["selector", "field-selector"].iter().any(|flag| !flags.text(flag).is_empty());
    if !call.arguments().is_empty() && selects {
        let words = if call.command.name == "node" {
            "only one of NAME or --selector can be provided"
        } else {
            NAME_AND_SELECTOR
        };
        return Err(Failure::new(words));
    }
    let mapper = call.cluster().await?.mapper().await?;
    let group = mapper.groups.iter().find(|group| group.name == "metrics.k8s.io");
    let versions = group.into_iter().flat_map(|group| &group.versions);
    let version = versions.into_iter().find(|version| VERSIONS.contains(&version.as_str()));
    let version = version.ok_or_else(|| Failure::new("Metrics API not available"))?;
    Ok(format!("/apis/metrics.k8s.io/{version}"))
}

/// An object by its name, or those that the selectors choose.
async fn items(call: &Invocation, collection: &str, fields: &str) -> Result<Vec<Value>> {
    let api = &call.cluster().await?.api;
    if let Some(name) = call.arguments().first() {
        return Ok(vec![api.json(Call::get(format!("{collection}/{name}"))).await?]);
    }
    let list = Call::get(collection).query("labelSelector", call.flags.text("selector")).query("fieldSelector", fields);
    Ok(meta::list(&api.json(list).await?, &["items"]).to_vec())
}

fn quantity(list: &Value, resource: &str) -> Quantity {
    Quantity::parse(meta::text(list, &[resource])).unwrap_or_else(|_| Quantity::from_millis(0))
}

/// By use, the most first; by name where nothing is asked for.
fn sort_by_use<T>(all: &mut [T], sort_by: &str, usage: impl Fn(&T, &str) -> Quantity, name: impl Fn(&T) -> String) {
    match sort_by {
        "cpu" => all.sort_by_key(|item| std::cmp::Reverse(usage(item, "cpu").milli_value())),
        "memory" => all.sort_by_key(|item| std::cmp::Reverse(usage(item, "memory").value())),
        _ => all.sort_by_key(name),
    }
}

async fn nodes(call: &Invocation) -> Result {
    let path = metrics_path(call).await?;
    let mut metrics = items(call, &format!("{path}/nodes"), "").await?;
    if metrics.is_empty() {
        return Err(Failure::new("metrics not available yet"));
    }
    let list = if call.flags.is("show-capacity") { "capacity" } else { "allocatable" };
    let nodes = items(call, "/api/v1/nodes", "").await?;
    let mut nodes: BTreeMap<&str, &Value> = nodes.iter().map(|node| (meta::name(node), node)).collect();
    sort_by_use(
        &mut metrics,
        call.flags.text("sort-by"),
        |node, resource| quantity(&node["usage"], resource),
        |node| meta::name(node).to_owned(),
    );
    let columns = measured(call);
    let mut text = String::new();
    if !call.flags.is("no-headers") {
        let words: String = columns.iter().map(|column| format!("{}\t{}\t", column.column, column.share)).collect();
        text.push_str(&format!("NAME\t{words}\n"));
    }
    for metric in &metrics {
        text.push_str(&format!("{}\t", meta::name(metric)));
        let node = nodes.remove(meta::name(metric));
        for column in &columns {
            text.push_str(&used_of(*column, &metric["usage"], node, list));
        }
        text.push('\n');
    }
    for name in nodes.keys() {
        text.push_str(&format!("{name}\t{}\n", "<unknown>\t<unknown>\t".repeat(columns.len())));
    }
    call.out(Tabs::table().layout(&text));
    Ok(())
}

/// What a node uses, and its share of what there is.
fn used_of(column: Measured, usage: &Value, node: Option<&Value>, list: &str) -> String {
    let used = quantity(usage, column.resource);
    let swap = node.and_then(|node| meta::integer(node, &["status", "nodeInfo", "swap", "capacity"]));
    let available = match column.resource {
        "swap" if node.is_some() && swap.is_none() => return "<unknown>\t<unknown>\t".to_owned(),
        "swap" => swap.map(|bytes| Quantity::from_millis(bytes.saturating_mul(1000))),
        resource => node
            .and_then(|node| meta::get(node, &["status", list, resource]))
            .and_then(Value::as_str)
            .and_then(|text| Quantity::parse(text).ok()),
    };
    let Some(available) = available else { return format!("{}\t", column.shown(used)) };
    let share = match available.milli_value() {
        0 => 0.0,
        available => used.milli_value() as f64 / available as f64 * 100.0,
    };
    format!("{}\t{}%\t", column.shown(used), share as i64)
}

async fn pods(call: &Invocation) -> Result {
    let (flags, path) = (&call.flags, metrics_path(call).await?);
    let cluster = call.cluster().await?;
    let everywhere = flags.is("all-namespaces");
    let place = if everywhere { String::new() } else { format!("/namespaces/{}", cluster.namespace) };
    let mut metrics = items(call, &format!("{path}{place}/pods"), "").await?;
    let fields = flags.text("field-selector");
    if !metrics.is_empty() && !fields.is_empty() {
        let chosen = items(call, &format!("/api/v1{place}/pods"), fields).await?;
        let key = |object: &Value| (meta::namespace(object).to_owned(), meta::name(object).to_owned());
        let chosen: Vec<_> = chosen.iter().map(key).collect();
        metrics.retain(|metric| chosen.contains(&key(metric)));
    }
    if metrics.is_empty() {
        why_none(call, fields).await?;
        call.err(match everywhere {
            true => "No resources found\n".to_owned(),
            false => format!("No resources found in {} namespace.\n", cluster.namespace),
        });
        return Ok(());
    }
    sort_by_use(
        &mut metrics,
        flags.text("sort-by"),
        |pod, resource| total(std::slice::from_ref(pod), resource),
        |pod| format!("{}/{}", if everywhere { meta::namespace(pod) } else { "" }, meta::name(pod)),
    );
    call.out(Tabs::table().layout(&table_of_pods(call, &metrics, everywhere)));
    Ok(())
}

/// What all containers of Pods use.
fn total(pods: &[Value], resource: &str) -> Quantity {
    let containers = pods.iter().flat_map(|pod| meta::list(pod, &["containers"]));
    containers
        .map(|container| quantity(&container["usage"], resource))
        .fold(Quantity::from_millis(0), |sum, used| sum.plus(used))
}

fn table_of_pods(call: &Invocation, metrics: &[Value], everywhere: bool) -> String {
    let (flags, columns) = (&call.flags, measured(call));
    let (containers, heads) = (flags.is("containers"), !flags.is("no-headers"));
    let mut text = String::new();
    // As the real one counts them: columns that no header names are none.
    let mut width = 1 + columns.len();
    if heads {
        for (shown, head) in [(everywhere, "NAMESPACE\t"), (containers, "POD\t")] {
            if shown {
                text.push_str(head);
                width += 1;
            }
        }
        let words: String = columns.iter().map(|column| format!("{}\t", column.column)).collect();
        text.push_str(&format!("NAME\t{words}\n"));
    }
    let line = |name: &str, used: &dyn Fn(&str) -> Quantity| {
        let used: String = columns.iter().map(|column| format!("{}\t", column.shown(used(column.resource)))).collect();
        format!("{name}\t{used}\n")
    };
    for pod in metrics {
        let place = if everywhere { format!("{}\t", meta::namespace(pod)) } else { String::new() };
        if !containers {
            let used = |resource: &str| total(std::slice::from_ref(pod), resource);
            text.push_str(&format!("{place}{}", line(meta::name(pod), &used)));
            continue;
        }
        let mut own = meta::list(pod, &["containers"]).to_vec();
        let name = |container: &Value| meta::text(container, &["name"]).to_owned();
        sort_by_use(&mut own, flags.text("sort-by"), |one, resource| quantity(&one["usage"], resource), name);
        for container in &own {
            let used = line(&name(container), &|resource: &str| quantity(&container["usage"], resource));
            text.push_str(&format!("{place}{}\t{used}", meta::name(pod)));
        }
    }
    if flags.is("sum") {
        let sum = line("", &|resource: &str| total(metrics, resource));
        text.push_str(&format!("{}________\t________\t\n{}{sum}", "\t".repeat(width - 2), "\t".repeat(width - 3)));
    }
    text
}

/// Fails where there are Pods: without numbers they are too young, or not measured.
async fn why_none(call: &Invocation, fields: &str) -> Result {
    const YOUNG_SECONDS: i64 = 120;
    let namespace = &call.cluster().await?.namespace;
    let pods = items(call, &format!("/api/v1/namespaces/{namespace}/pods"), fields).await?;
    for pod in &pods {
        let made = meta::text(pod, &["metadata", "creationTimestamp"]).parse::<jiff::Timestamp>();
        let age = made.map_or(0, |made| call.session.clock.now().as_second() - made.as_second());
        if age > YOUNG_SECONDS {
            let (namespace, name) = (meta::namespace(pod), meta::name(pod));
            let age = format!("{}m{}s", age / 60, age % 60);
            return Err(Failure::new(format!("Metrics not available for pod {namespace}/{name}, age: {age}")));
        }
    }
    if pods.is_empty() { Ok(()) } else { Err(Failure::new("metrics not available yet")) }
}
