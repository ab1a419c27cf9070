//! HorizontalPodAutoscaler between `autoscaling/v1` and `autoscaling/v2`.
//!
//! v1 has a field for one metric, the utilization of CPU. The rest of what v2 knows travels in annotations, in
//! the words that a version before v2 had for it, so that a client of v1 can read an object and write it back
//! without loss. v2 has none of these annotations. Source: `k8s.io/kubernetes/pkg/apis/autoscaling/v1/conversion.go`.

use serde_json::{Map, Value, json};

use crate::api::meta;
use crate::apiserver::kinds::json::{Json, drop_at, put};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
/// All that a conversion writes or once wrote.
const TRAVELLING: [&str; 6] = [
    METRICS,
    CURRENT_METRICS,
    CONDITIONS,
    BEHAVIOR,
    "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
    "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
];

/// How one kind of metric is written before v2: the kind, its field, and pairs of a path in v2 and the old name,
/// in the order of the old form. A name with `!` is always there.
struct Old {
    kind: &'static str,
    field: &'static str,
    wanted: &'static [(&'static str, &'static str)],
    current: &'static [(&'static str, &'static str)],
}

const OLD: [Old; 5] = [
    Old {
        kind: "Object",
        field: "object",
        wanted: &[
            ("describedObject", "target"),
            ("metric.name", "metricName"),
            ("target.value", "targetValue!"),
            ("metric.selector", "selector"),
            ("target.averageValue", "averageValue"),
        ],
        current: &[
            ("describedObject", "target"),
            ("metric.name", "metricName"),
            ("current.value", "currentValue!"),
            ("metric.selector", "selector"),
            ("current.averageValue", "averageValue"),
        ],
    },
    Old {
        kind: "Pods",
        field: "pods",
        wanted: &[
            ("metric.name", "metricName"),
            ("target.averageValue", "targetAverageValue!"),
            ("metric.selector", "selector"),
        ],
        current: &[
            ("metric.name", "metricName"),
            ("current.averageValue", "currentAverageValue!"),
            ("metric.selector", "selector"),
        ],
    },
    Old {
        kind: "Resource",
        field: "resource",
        wanted: &[
            ("name", "name"),
            ("target.averageUtilization", "targetAverageUtilization"),
            ("target.averageValue", "targetAverageValue"),
        ],
        current: &[
            ("name", "name"),
            ("current.averageUtilization", "currentAverageUtilization"),
            ("current.averageValue", "currentAverageValue!"),
        ],
    },
    Old {
        kind: "ContainerResource",
        field: "containerResource",
        wanted: &[
            ("name", "name"),
            ("target.averageUtilization", "targetAverageUtilization"),
            ("target.averageValue", "targetAverageValue"),
            ("container", "container"),
        ],
        current: &[
            ("name", "name"),
            ("current.averageUtilization", "currentAverageUtilization"),
            ("current.averageValue", "currentAverageValue!"),
            ("container", "container"),
        ],
    },
    Old {
        kind: "External",
        field: "external",
        wanted: &[
            ("metric.name", "metricName"),
            ("metric.selector", "metricSelector"),
            ("target.value", "targetValue"),
            ("target.averageValue", "targetAverageValue"),
        ],
        current: &[
            ("metric.name", "metricName"),
            ("metric.selector", "metricSelector"),
            ("current.value", "currentValue!"),
            ("current.averageValue", "currentAverageValue"),
        ],
    },
];

/// Whether a metric is asked for or reported.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Wanted,
    Current,
}

impl Old {
    fn names(&self, side: Side) -> &'static [(&'static str, &'static str)] {
        if side == Side::Wanted { self.wanted } else { self.current }
    }
}

/// Takes away what no client of v2 may set.
pub fn drop_travelling(object: &mut Value) {
    for name in TRAVELLING {
        meta::remove_annotation(object, name);
    }
}

/// An object of v2 as v1.
pub fn to_v1(object: &mut Value) {
    drop_travelling(object);
    let (cpu, others): (Vec<&Value>, Vec<&Value>) = object.items("spec.metrics").iter().partition(|one| is_cpu(one));
    let percent = cpu.first().map(|metric| metric.at("resource.target.averageUtilization").clone());
    let others: Vec<Value> = others.into_iter().map(|metric| to_old(metric, Side::Wanted)).collect();
    let current = object.items("status.currentMetrics");
    let of_cpu = |metric: &&Value| metric.text("type") == "Resource" && metric.text("resource.name") == "cpu";
    let mut reported = current.iter().filter(of_cpu).map(|metric| metric.at("resource.current.averageUtilization"));
    let reported = reported.rfind(|percent| percent.is_number()).cloned();
    let current: Vec<Value> = current.iter().map(|metric| to_old(metric, Side::Current)).collect();
    let conditions = object.items("status.conditions").to_vec();
    let behavior = object.at("spec.behavior").clone();
    for (name, list) in [(METRICS, others), (CURRENT_METRICS, current), (CONDITIONS, conditions)] {
        if !list.is_empty() {
            meta::set_annotation(object, name, &Value::Array(list).to_string());
        }
    }
    if behavior.is_object() {
        meta::set_annotation(object, BEHAVIOR, &go_behavior(&behavior).to_string());
    }
    for path in ["spec.metrics", "spec.behavior", "status.currentMetrics", "status.conditions"] {
        drop_at(object, path);
    }
    if let Some(percent) = percent {
        put(object, "spec.targetCPUUtilizationPercentage", percent);
    }
    if let Some(percent) = reported {
        put(object, "status.currentCPUUtilizationPercentage", percent);
    }
}

/// An object of v1 as v2.
pub fn to_v2(object: &mut Value) {
    let read = |object: &Value, name: &str| -> Value {
        meta::annotation(object, name).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let from_old = |list: &Value, side| -> Vec<Value> {
        list.as_array().into_iter().flatten().map(|metric| from_old(metric, side)).collect()
    };
    let mut metrics = from_old(&read(object, METRICS), Side::Wanted);
    if let Some(percent) = drop_at(object, "spec.targetCPUUtilizationPercentage") {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        metrics.push(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
    }
    let current = match read(object, CURRENT_METRICS) {
        list @ Value::Array(_) => from_old(&list, Side::Current),
        _ => {
            let percent = object.at("status.currentCPUUtilizationPercentage");
            let metric =
                json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}});
            if percent.is_null() { Vec::new() } else { vec![metric] }
        }
    };
    drop_at(object, "status.currentCPUUtilizationPercentage");
    let conditions = read(object, CONDITIONS);
    let behavior = from_go_behavior(&read(object, BEHAVIOR));
    for (path, list) in [("spec.metrics", metrics), ("status.currentMetrics", current)] {
        if !list.is_empty() {
            put(object, path, list);
        }
    }
    if conditions.as_array().is_some_and(|list| !list.is_empty()) {
        put(object, "status.conditions", conditions);
    }
    if behavior.as_object().is_some_and(|rules| !rules.is_empty()) {
        put(object, "spec.behavior", behavior);
    }
    drop_travelling(object);
}

fn is_cpu(metric: &Value) -> bool {
    metric.text("type") == "Resource"
        && metric.text("resource.name") == "cpu"
        && metric.has("resource.target.averageUtilization")
}

fn to_old(metric: &Value, side: Side) -> Value {
    let mut old = json!({"type": metric.text("type")});
    let Some(form) = OLD.iter().find(|form| form.kind == metric.text("type") && metric.has(form.field)) else {
        return old;
    };
    let mut fields = Map::new();
    for (path, name) in form.names(side) {
        let (name, always) = (name.trim_end_matches('!'), name.ends_with('!'));
        match metric.at(form.field).at(path) {
            Value::Null if always => fields.insert(name.to_string(), json!("0")),
            Value::Null => None,
            value => fields.insert(name.to_string(), value.clone()),
        };
    }
    put(&mut old, form.field, Value::Object(fields));
    old
}

fn from_old(metric: &Value, side: Side) -> Value {
    let mut new = json!({"type": metric.text("type")});
    for form in OLD.iter().filter(|form| metric.has(form.field)) {
        let old = metric.at(form.field);
        let mut fields = json!({});
        for (path, name) in form.names(side) {
            let value = old.at(name.trim_end_matches('!'));
            // An object's value that was never set is written as zero beside an average.
            let unset = form.kind == "Object" && old.has("averageValue") && name.ends_with('!') && value == "0";
            let wanted_unset = unset && side == Side::Wanted;
            if !value.is_null() && !wanted_unset {
                put(&mut fields, path, value.clone());
            }
        }
        if side == Side::Wanted {
            let has = |path: &str| fields.has(path);
            let kind = match form.kind {
                "Resource" | "ContainerResource" if has("target.averageUtilization") => "Utilization",
                "Object" if !has("target.averageValue") => "Value",
                "External" if has("target.value") => "Value",
                _ => "AverageValue",
            };
            put(&mut fields, "target.type", kind);
        }
        put(&mut new, form.field, fields);
    }
    new
}

/// The rules as Go prints the type inside the server, which has no names for JSON.
fn go_behavior(behavior: &Value) -> Value {
    let policy = |one: &Value| json!({"Type": one.at("type"), "Value": one.at("value"), "PeriodSeconds": one.at("periodSeconds")});
    let rules = |rules: &Value| match rules {
        Value::Null => Value::Null,
        rules => {
            let policies = match rules.at("policies") {
                Value::Array(list) => list.iter().map(policy).collect(),
                other => other.clone(),
            };
            json!({"StabilizationWindowSeconds": rules.at("stabilizationWindowSeconds"),
                "SelectPolicy": rules.at("selectPolicy"), "Policies": policies, "Tolerance": rules.at("tolerance")})
        }
    };
    json!({"ScaleUp": rules(behavior.at("scaleUp")), "ScaleDown": rules(behavior.at("scaleDown"))})
}

/// The other way. Go reads names whichever way their letters are written.
fn from_go_behavior(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(name, value)| {
                let first = name.chars().next().map(|letter| letter.to_ascii_lowercase());
                let name: String = first.into_iter().chain(name.chars().skip(1)).collect();
                (name, from_go_behavior(value))
            })
            .collect::<Map<_, _>>()
            .into()
        }
        Value::Array(list) => list.iter().map(from_go_behavior).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Value {
        json!({
            "metadata": {"name": "h", "annotations": {"a": "b"}},
            "spec": {
                "maxReplicas": 3,
                "metrics": [
                    {"type": "Pods", "pods": {"metric": {"name": "p"}, "target": {"type": "AverageValue", "averageValue": "1k"}}},
                    {"type": "Object", "object": {"describedObject": {"kind": "Ingress", "name": "i"},
                        "metric": {"name": "rps", "selector": {"matchLabels": {"a": "b"}}}, "target": {"type": "Value", "value": "2k"}}},
                    {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "AverageValue", "averageValue": "30"}}},
                    {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
                        "target": {"type": "Utilization", "averageUtilization": 60}}},
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
                ],
                "behavior": {"scaleUp": {"stabilizationWindowSeconds": 5, "selectPolicy": "Max",
                    "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}], "tolerance": "50m"}},
            },
            "status": {
                "currentReplicas": 1,
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 5, "averageValue": "5m"}}}],
                "conditions": [{"type": "AbleToScale", "status": "True"}],
            },
        })
    }

    #[test]
    fn what_v1_has_no_field_for_comes_back() {
        let mut object = whole();
        to_v1(&mut object);
        assert_eq!(object.int("spec.targetCPUUtilizationPercentage"), Some(70));
        assert_eq!(object.int("status.currentCPUUtilizationPercentage"), Some(5));
        let annotation = |name: &str| object.at("metadata.annotations")[name].as_str().unwrap_or_default();
        assert!(
            annotation(METRICS).starts_with(r#"[{"type":"Pods","pods":{"metricName":"p","targetAverageValue":"1k"}},"#)
        );
        assert_eq!(
            annotation(BEHAVIOR),
            r#"{"ScaleUp":{"StabilizationWindowSeconds":5,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}],"Tolerance":"50m"},"ScaleDown":null}"#
        );
        to_v2(&mut object);
        assert_eq!(object, whole());
    }

    #[test]
    fn v2_carries_nobody_elses_annotations() {
        let mut object = json!({"metadata": {"annotations": {METRICS: "[]", BEHAVIOR: "{}"}}});
        drop_travelling(&mut object);
        assert_eq!(object, json!({"metadata": {}}));
    }
}
