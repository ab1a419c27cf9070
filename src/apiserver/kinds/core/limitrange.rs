//! LimitRange: the least, the most and the usual of what one Pod, container or claim may ask.

use serde_json::Value;

use super::resources::{self, quantity};
use crate::api::meta;
use crate::api::quantity::Quantity;
use crate::apiserver::kinds::json::{Json, items_mut, object_mut};
use crate::apiserver::kinds::{Context, FieldError, Strategy, check, names};

/// Of LimitRanges.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    validate: |range, _| validate(range),
    validate_update: |new, _, _| validate(new),
    // The one kind that needs no name.
    prepare_create: |range, _| {
        if meta::name(range).is_empty() && meta::generate_name(range).is_empty() {
            let uid = meta::uid(range).to_string();
            meta::set_text(range, "name", &uid);
        }
    },
    create_on_update: true,
    whole_again: true,
    ..Strategy::PLAIN
};

/// For containers: no default means the most, no default request means the default or the least.
fn defaults(range: &mut Value, _: &Context) {
    let Some(spec) = range.get_mut("spec") else { return };
    for item in items_mut(spec, "limits") {
        if item.text("type") != "Container" {
            continue;
        }
        for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            let known: Vec<(String, Value)> =
                item.entries(from).into_iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
            if known.is_empty() {
                continue;
            }
            let target = object_mut(item, to);
            for (key, value) in known {
                target.entry(key).or_insert(value);
            }
        }
    }
}

fn validate(range: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = range.items("spec.limits");
    for (index, item) in list.iter().enumerate() {
        let path = format!("spec.limits[{index}]");
        let kind = item.text("type");
        errors.extend(type_name(kind, &format!("{path}.type")));
        if list[..index].iter().any(|other| other.text("type") == kind) {
            errors.push(FieldError::duplicate(format!("{path}.type"), kind));
        }
        errors.extend(validate_item(item, &path));
    }
    errors
}

fn type_name(kind: &str, path: &str) -> Vec<FieldError> {
    let faults = names::qualified_name(kind);
    let standard = ["Pod", "Container", "PersistentVolumeClaim"].contains(&kind);
    if faults.is_empty() && !kind.contains('/') && !standard {
        let detail = "must be a standard limit type or fully qualified";
        return vec![FieldError::invalid(path, kind, detail)];
    }
    check::faults(path, kind, faults).collect()
}

const FIELDS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

fn validate_item(item: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let kind = item.text("type");
    for field in FIELDS {
        let entries = item.entries(field);
        if kind == "Pod" && field.starts_with("default") {
            if !entries.is_empty() {
                let detail = "may not be specified when `type` is 'Pod'";
                errors.push(FieldError::forbidden(format!("{path}.{field}"), detail));
            }
            continue;
        }
        for (name, _) in entries {
            let at = format!("{path}.{field}[{name}]");
            errors.extend(match kind {
                "Pod" | "Container" => resources::container_name(name, &at),
                _ => resources::resource_name(name, &at),
            });
        }
    }
    let storage = |field: &str| item.at(field).get("storage").is_some();
    if kind == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
        errors.push(FieldError::required(
            format!("{path}.limits"),
            "either minimum or maximum storage value is required, but neither was provided",
        ));
    }
    let mut names: Vec<&str> = Vec::new();
    for field in FIELDS {
        for (name, _) in item.entries(field) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    for name in names {
        let of_pod = |field: &str| kind == "Pod" && field.starts_with("default");
        let amount = |field: &str| item.at(field).get(name).and_then(quantity).filter(|_| !of_pod(field));
        let (min, max) = (amount("min"), amount("max"));
        let (default, request) = (amount("default"), amount("defaultRequest"));
        let mut ordered = |low: Option<_>, high: Option<_>, at: &str, shown: Option<_>, what: &str, than: &str| {
            if let (Some(low), Some(high), Some(shown)) = (low, high, shown) {
                let (low, high, shown): (Quantity, Quantity, Quantity) = (low, high, shown);
                if low > high {
                    let detail = format!("{what} value {low} is greater than {than} value {high}");
                    errors.push(FieldError::invalid(format!("{path}.{at}[{name}]"), shown.to_string(), detail));
                }
            }
        };
        ordered(min, max, "min", min, "min", "max");
        ordered(min, request, "defaultRequest", request, "min", "default request");
        ordered(request, max, "defaultRequest", request, "default request", "max");
        ordered(request, default, "defaultRequest", request, "default request", "default limit");
        ordered(min, default, "default", min, "min", "default");
        ordered(default, max, "default", max, "default", "max");
        if let Some(ratio) = amount("maxLimitRequestRatio") {
            let at = format!("{path}.maxLimitRequestRatio[{name}]");
            errors.extend(
                ratio_faults(ratio, min, max).map(|fault| FieldError::invalid(at.as_str(), ratio.to_string(), fault)),
            );
        }
        if let (Some(default), Some(request)) = (default, request)
            && !resources::may_overcommit(name)
            && default != request
        {
            let detail = format!("default value {default} must equal to defaultRequest value {request} in {name}");
            errors.push(FieldError::invalid(format!("{path}.defaultRequest[{name}]"), request.to_string(), detail));
        }
    }
    errors
}

/// The most that a limit may be of its request is at least 1 and no more than the range allows.
fn ratio_faults(ratio: Quantity, min: Option<Quantity>, max: Option<Quantity>) -> impl Iterator<Item = String> {
    let small = (ratio.milli_value() < 1000).then(|| format!("ratio {ratio} is less than 1"));
    let range = min.zip(max).and_then(|(min, max)| {
        let most = max.milli_value() as f64 / min.milli_value() as f64;
        let large = ratio.milli_value() as f64 / 1000.0 > most;
        large.then(|| format!("ratio {ratio} is greater than max/min = {most:.6}"))
    });
    small.into_iter().chain(range)
}
