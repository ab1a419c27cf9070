//! The small texts that cells of many kinds share.

use crate::api::meta;
use crate::api::selector::LabelSelector;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

pub(super) const NONE: &str = "<none>";
pub(super) const UNSET: &str = "<unset>";
pub(super) const UNKNOWN: &str = "<unknown>";

/// A text, or what to show instead of an empty one.
pub(super) fn or<'a>(text: &'a str, instead: &'a str) -> &'a str {
    if text.is_empty() { instead } else { text }
}

/// An integer inside the object; zero when absent.
pub(super) fn count(object: &Value, path: &[&str]) -> i64 {
    meta::integer(object, path).unwrap_or(0)
}

/// A boolean inside the object.
pub(super) fn flag(object: &Value, path: &[&str]) -> bool {
    meta::get(object, path).is_some_and(|value| value == true)
}

/// How many entries a list or map inside the object has.
pub(super) fn size(object: &Value, path: &[&str]) -> usize {
    match meta::get(object, path) {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    }
}

/// A scalar as text; strings bare.
pub(super) fn plain(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// `spec.selector` and the like: `a=b,z in (1,2)`; an empty one is `<none>`.
pub(super) fn selector(object: &Value, path: &[&str]) -> String {
    match LabelSelector::from_value(meta::get(object, path).unwrap_or(&Value::Null)) {
        Ok(selector) => or(&selector.to_string(), NONE).to_owned(),
        Err(_) => "<error>".to_owned(),
    }
}

/// A map of labels: `a=1,b=2`, sorted; an empty one is `<none>`.
pub(super) fn labels(object: &Value, path: &[&str]) -> String {
    let pair = |(key, value): (&String, &Value)| format!("{key}={}", value.as_str().unwrap_or_default());
    let mut pairs: Vec<_> = meta::map(object, path).into_iter().flat_map(Map::iter).map(pair).collect();
    pairs.sort();
    or(&pairs.join(","), NONE).to_owned()
}

/// One field of each element of a list: names or images of containers.
pub(super) fn each<'a>(object: &'a Value, path: &[&str], field: &'a str) -> Vec<&'a str> {
    meta::list(object, path).iter().map(|item| meta::text(item, &[field])).collect()
}

/// Container names and images of a pod template: the two wide columns of every workload.
pub(super) fn containers(object: &Value, template: &[&str]) -> (String, String) {
    let path = [template, &["spec", "containers"]].concat();
    (each(object, &path, "name").join(","), each(object, &path, "image").join(","))
}

/// The first `max` entries, and how many more there are: `a,b,c + 1 more...`.
pub(super) fn first(entries: &[String], max: usize, separator: &str) -> String {
    let shown = entries[..entries.len().min(max)].join(separator);
    match entries.len().saturating_sub(max) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

/// `status.loadBalancer`: every address, sorted.
pub(super) fn load_balancer(object: &Value) -> String {
    let ingress = meta::list(object, &["status", "loadBalancer", "ingress"]).iter();
    let address = |entry| or(meta::text(entry, &["ip"]), meta::text(entry, &["hostname"]));
    let addresses: BTreeSet<&str> = ingress.map(address).filter(|address| !address.is_empty()).collect();
    addresses.into_iter().collect::<Vec<_>>().join(",")
}

/// The condition of a type, if the object has it.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    meta::list(object, &["status", "conditions"]).iter().find(|condition| condition["type"] == kind)
}

/// Whether the condition of a type is True.
pub(super) fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}
