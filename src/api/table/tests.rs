//! Replays the rows recorded from the official server.

use super::*;
use crate::api::resource;
use bytes::Bytes;

/// Gives a recorded object what defaulting and create strategies gave it on the official server.
fn defaulted(kind: &str, mut object: Value) -> Value {
    let mut default = |path: &[&str], value: Value| {
        if meta::get(&object, path).is_none() {
            meta::set(&mut object, path, value);
        }
    };
    match kind {
        "Pod" | "PersistentVolumeClaim" | "PersistentVolume" => {
            default(&["status", "phase"], json!("Pending"));
            default(&["spec", "volumeMode"], json!("Filesystem"));
            default(&["spec", "persistentVolumeReclaimPolicy"], json!("Retain"));
        }
        "Namespace" => default(&["status", "phase"], json!("Active")),
        "Service" => default(&["spec", "type"], json!("ClusterIP")),
        "Secret" => {
            default(&["type"], json!("Opaque"));
            default(&["data"], json!({"a": "MQ=="}));
        }
        "Job" => {
            default(&["spec", "selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}));
        }
        "CronJob" => default(&["spec", "suspend"], json!(false)),
        "HorizontalPodAutoscaler" => default(&["spec", "minReplicas"], json!(1)),
        "PriorityClass" => default(&["preemptionPolicy"], json!("PreemptLowerPriority")),
        _ => {}
    }
    if kind == "Pod" && meta::get(&object, &["spec", "schedulingGates"]).is_some() {
        meta::set(
            &mut object,
            &["status", "conditions"],
            json!([{"type": "PodScheduled", "reason": "SchedulingGated"}]),
        );
    }
    if kind == "Namespace" && meta::deletion_timestamp(&object).is_some() {
        meta::set(&mut object, &["status", "phase"], json!("Terminating"));
    }
    if kind == "Job" && meta::get(&object, &["spec", "parallelism"]).is_none() {
        meta::set(&mut object, &["spec", "completions"], json!(1));
    }
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        if port.get("protocol").is_none() {
            port["protocol"] = json!("TCP");
        }
    }
    object
}

fn timed(text: &str, now: Timestamp) -> String {
    let mut parts = text.split("<now-");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (seconds, rest) = part.split_once("s>").unwrap();
        let then = now - jiff::SignedDuration::from_secs(seconds.parse().unwrap());
        result += &format!("{then}{}", rest.strip_prefix('u').unwrap_or(rest));
    }
    result.replace("<set>", &now.to_string()).replace("<uid>", "u")
}

#[test]
fn recorded_rows_come_out_again() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut replayed = 0;
    for line in include_str!("rows.jsonl").lines() {
        let line: Value = serde_json::from_str(&timed(line, now)).unwrap();
        let (kind, case) = (line["kind"].as_str().unwrap(), line["case"].as_str().unwrap());
        let Some(object) = line.get("object") else { continue };
        let mut object = defaulted(kind, object.clone());
        meta::set(&mut object, &["metadata", "creationTimestamp"], json!(now.to_string()));
        let resource = resource::builtin().iter().find(|resource| &*resource.kind == kind).unwrap();
        let table = table(resource, &[&object], now, IncludeObject::None);
        let options = Options { now, include: IncludeObject::Metadata, version: "v1", list: false, headers: true };
        let objects = [Bytes::from(object.to_string())];
        let printer = Printer::builtin(resource);
        let written = printer.table_json(&objects, Bytes::clone, &json!({}), &options);
        let written: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(written, printer.table(&[&object], json!({}), &options), "{kind}, {case}");
        let row = &table["rows"][0];
        for (at, column) in table["columnDefinitions"].as_array().unwrap().iter().enumerate() {
            let name = column["name"].as_str().unwrap();
            let expected = &line["cells"][name];
            let expected = if expected == "<age>" { &json!("0s") } else { expected };
            // A default class is marked in lists alone; the recording is of single objects.
            let found = row["cells"][at].as_str().map(|text| text.trim_end_matches(" (default)"));
            let found = found.map_or_else(|| row["cells"][at].clone(), Value::from);
            assert_eq!(&found, expected, "{kind}, {case}: {name}");
        }
        assert_eq!(row.get("conditions"), line.get("rowConditions"), "{kind}, {case}");
        replayed += 1;
    }
    assert_eq!(replayed, 111);
}

#[test]
fn every_row_has_as_many_cells_as_columns() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut uneven = Vec::new();
    for resource in resource::builtin() {
        let object = json!({"metadata": {"name": "x"}});
        let table = table(resource, &[&object], now, IncludeObject::Metadata);
        let columns = table["columnDefinitions"].as_array().unwrap().len();
        let cells = table["rows"][0]["cells"].as_array().unwrap().len();
        if columns != cells {
            uneven.push(format!("{}/{}: {columns} columns, {cells} cells", resource.group, resource.plural));
        }
    }
    assert_eq!(uneven, Vec::<String>::new());
}

#[test]
fn only_the_newest_default_class_of_a_list_is_marked() {
    let class = |name: &str, created: &str| {
        json!({"metadata": {
            "name": name, "uid": name, "creationTimestamp": created,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        }})
    };
    let (old, new) = (class("old", "2026-01-01T00:00:00Z"), class("new", "2026-01-02T00:00:00Z"));
    let resource = resource::builtin().iter().find(|resource| &*resource.kind == "StorageClass").unwrap();
    let table = table(resource, &[&old, &new], Timestamp::from_second(1_800_000_000).unwrap(), IncludeObject::Object);
    assert_eq!(table["rows"][0]["cells"][0], "old");
    assert_eq!(table["rows"][1]["cells"][0], "new (default)");
}

#[test]
fn custom_resources_print_what_their_definition_asks() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let options = Options { now, include: IncludeObject::Metadata, version: "v1", list: true, headers: true };
    let object = json!({"metadata": {"name": "t", "creationTimestamp": now.to_string()}, "spec": {"size": 3}});
    let columns = [
        json!({"name": "Size", "type": "integer", "jsonPath": ".spec.size"}),
        json!({"name": "Color", "type": "string", "jsonPath": ".spec.color", "priority": 1}),
        json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}),
    ];
    let table = Printer::custom(&columns).table(&[&object], json!({}), &options);
    assert_eq!(table["rows"][0]["cells"], json!(["t", 3, null, "0s"]));
    assert_eq!(table["columnDefinitions"][2]["priority"], 1);
    let table = Printer::custom(&[]).table(&[&object], json!({}), &options);
    assert_eq!(table["rows"][0]["cells"], json!(["t", "0s"]));
}
