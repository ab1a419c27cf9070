//! A test: every recorded case of defaulting, replayed. What Kubernetes 1.37 added to, changed in
//! and removed from an object on create, the kinds here add, change and remove too.

use serde_json::{Map, Value};

use super::core::service_addresses::Addresses;
use super::{Context, strategy};
use crate::api::schema::Schema;
use crate::api::{meta, typed};
use crate::apiserver::auth::User;
use crate::apiserver::objects::fake::Cluster;

const CASES: &str = include_str!("../../../tests/facts/defaults.jsonl");

/// `$.spec.containers[0].x['a/b']` as steps.
fn steps(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("['") {
            let end = after.find("']").expect("closed");
            steps.push(after[..end].to_string());
            rest = &after[end + 2..];
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = after.find(']').expect("closed");
            steps.push(format!("#{}", &after[..end]));
            rest = &after[end + 1..];
        } else {
            let after = &rest[1..];
            let end = after.find(['.', '[']).unwrap_or(after.len());
            steps.push(after[..end].to_string());
            rest = &after[end..];
        }
    }
    steps
}

fn slot<'a>(value: &'a mut Value, step: &str) -> &'a mut Value {
    if let Some(index) = step.strip_prefix('#') {
        let index: usize = index.parse().expect("an index");
        if !value.is_array() {
            *value = Value::Array(Vec::new());
        }
        let list = value.as_array_mut().expect("made above");
        while list.len() <= index {
            list.push(Value::Null);
        }
        return &mut list[index];
    }
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("made above").entry(step).or_insert(Value::Null)
}

fn set(value: &mut Value, path: &str, new: &Value) {
    let mut here = value;
    for step in steps(path) {
        here = slot(here, &step);
    }
    *here = new.clone();
}

fn remove(value: &mut Value, path: &str) {
    let mut all = steps(path);
    let last = all.pop().expect("a path");
    let mut here = value;
    for step in all {
        here = slot(here, &step);
    }
    if let Some(map) = here.as_object_mut() {
        map.shift_remove(&last);
        // The recording does not say that a map which became empty is gone.
    }
}

/// Takes out what differs from run to run, and empties that say nothing.
fn mask(wanted: &mut Value, got: &mut Value) {
    match (wanted, got) {
        (Value::String(text), got) if text.starts_with('<') => *got = Value::String(text.clone()),
        (Value::String(text), Value::String(got)) if text.starts_with("g-<") => *got = text.clone(),
        (Value::Object(wanted), Value::Object(got)) => {
            for (key, value) in wanted.iter_mut() {
                if let Some(other) = got.get_mut(key) {
                    mask(value, other);
                }
            }
        }
        (Value::Array(wanted), Value::Array(got)) => {
            for (value, other) in wanted.iter_mut().zip(got) {
                mask(value, other);
            }
        }
        _ => {}
    }
}

fn prune(value: &mut Value) {
    if let Value::Object(map) = value {
        map.values_mut().for_each(prune);
    } else if let Value::Array(list) = value {
        list.iter_mut().for_each(prune);
    }
    if let Value::Object(map) = value {
        for key in ["lifecycle", "stringData", "creationTimestamp"] {
            if map.get(key).is_some_and(|value| value.is_null() || value.as_object().is_some_and(Map::is_empty)) {
                map.shift_remove(key);
            }
        }
    }
}

fn create(object: &mut Value) {
    let (group, version) = meta::group_version(object);
    let (group, version) = (group.to_string(), version.to_string());
    let kind = meta::kind(object).to_string();
    let strategy = strategy(&group, &kind);
    let schema = Schema::of_kind(&group, &version, &kind).expect("a built-in kind");
    let cluster = Cluster::default();
    let user = User::new("admin", &[]);
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    let addresses = Addresses::new((std::net::Ipv4Addr::new(10, 96, 0, 0), 16));
    let context = Context {
        addresses: &addresses,
        now,
        user: &user,
        version: &version,
        resource: None,
        objects: &cluster,
        dry_run: false,
        unlabelled: meta::labels(object).is_none_or(Map::is_empty),
    };
    if !meta::get(object, &["metadata", "generateName"]).is_none_or(Value::is_null) && meta::name(object).is_empty() {
        meta::set_text(object, "name", "g-12345");
    }
    meta::set_text(object, "uid", "<uid>");
    for round in 0..2 {
        typed::normalize(object, &schema);
        (strategy.defaults)(object, &context);
        if round == 0 {
            (strategy.prepare_create)(object, &context);
        }
    }
    typed::normalize(object, &schema);
    (strategy.allocate)(object, None, &context).expect("free addresses");
    object["metadata"].as_object_mut().expect("metadata").shift_remove("uid");
}

#[test]
fn every_recorded_default_is_given() {
    let mut failures = Vec::new();
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).expect("a case");
        let name = case["case"].as_str().unwrap_or("");
        if name == "pod/volume-projected" {
            continue; // Recorded with admission on: it says more than defaulting does.
        }
        let mut wanted = case["in"].clone();
        for (path, value) in case["added"].as_object().into_iter().flatten() {
            set(&mut wanted, path, value);
        }
        for (path, values) in case["changed"].as_object().into_iter().flatten() {
            set(&mut wanted, path, &values[1]);
        }
        for (path, _) in case["removed"].as_object().into_iter().flatten() {
            remove(&mut wanted, path);
        }
        let mut got = case["in"].clone();
        create(&mut got);
        mask(&mut wanted, &mut got);
        prune(&mut wanted);
        prune(&mut got);
        if wanted != got {
            failures.push(format!("{name}\n  wanted {wanted}\n  got    {got}"));
        }
    }
    assert!(failures.is_empty(), "{} cases:\n{}", failures.len(), failures.join("\n"));
}
