//! LimitRange: the least, the most and the usual of what one Pod, container or claim may ask.

use serde_json::Value;

use super::resources::quantity;
use crate::apiserver::kinds::json::{Json, items_mut, object_mut};
use crate::apiserver::kinds::{Context, FieldError, Strategy};

/// Of LimitRanges.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    validate: |range, _| validate(range),
    validate_update: |new, _, _| validate(new),
    create_on_update: true,
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
    for (index, item) in range.items("spec.limits").iter().enumerate() {
        errors.extend(validate_item(item, &format!("spec.limits[{index}]")));
    }
    errors
}

fn validate_item(item: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let kind = item.text("type");
    if kind == "Pod" {
        for field in ["default", "defaultRequest"] {
            if !item.entries(field).is_empty() {
                errors.push(FieldError::forbidden(
                    format!("{path}.{field}"),
                    "may not be specified when `type` is 'Pod'",
                ));
            }
        }
    }
    if kind == "PersistentVolumeClaim" && item.entries("min").is_empty() && item.entries("max").is_empty() {
        errors.push(FieldError::required(
            format!("{path}.limits"),
            "either minimum or maximum storage value is required, but neither was provided",
        ));
    }
    let mut names: Vec<&str> = Vec::new();
    for field in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        for (name, _) in item.entries(field) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    for name in names {
        let amount = |field: &str| item.at(field).get(name).and_then(quantity);
        let (min, max) = (amount("min"), amount("max"));
        let (default, request) = (amount("default"), amount("defaultRequest"));
        let mut ordered = |low: Option<_>, high: Option<_>, at: &str, shown: Option<_>, what: &str, than: &str| {
            if let (Some(low), Some(high), Some(shown)) = (low, high, shown) {
                let (low, high): (crate::api::quantity::Quantity, crate::api::quantity::Quantity) = (low, high);
                let shown: crate::api::quantity::Quantity = shown;
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
    }
    errors
}
