//! The `resource.k8s.io` group: devices, and claims for them. Small kinds, one file.

use serde_json::Value;

use super::core::pod::seconds;
use super::json::Fill::{Empty, Text};
use super::json::{Json, at_mut, fill, items_mut, put};
use super::metadata::immutable;
use super::{Context, FieldError, Strategy, lifecycle};

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "DeviceClass" => &DEVICE_CLASS,
        "DeviceTaintRule" => &TAINT_RULE,
        "ResourceClaim" => &CLAIM,
        "ResourceClaimTemplate" => &TEMPLATE,
        "ResourceSlice" => &SLICE,
        _ => return None,
    })
}

const DEVICE_CLASS: Strategy = Strategy::WITH_GENERATION;

const CLAIM: Strategy = Strategy {
    defaults: |claim, _| requests(claim, "spec"),
    validate: |claim, _| devices(claim.at("spec"), "spec"),
    validate_update: |new, old, _| immutable(new, old, "spec").into_iter().collect(),
    ..Strategy::WITH_STATUS
};

const TEMPLATE: Strategy = Strategy {
    defaults: |template, _| {
        fill(template, &[("spec.metadata", Empty)]);
        requests(template, "spec.spec");
    },
    validate: |template, _| devices(template.at("spec.spec"), "spec.spec"),
    validate_update: |new, old, _| immutable(new, old, "spec").into_iter().collect(),
    ..Strategy::PLAIN
};

const SLICE: Strategy = Strategy {
    defaults: |slice, context| {
        let now = seconds(context.now);
        let Some(spec) = slice.get_mut("spec") else { return };
        for device in items_mut(spec, "devices") {
            for taint in items_mut(device, "taints") {
                if !taint.has("timeAdded") {
                    put(taint, "timeAdded", now.clone());
                }
            }
        }
    },
    selectable_fields: |slice| {
        vec![
            ("spec.nodeName", slice.text("spec.nodeName").to_string()),
            ("spec.driver", slice.text("spec.driver").to_string()),
        ]
    },
    selectable_names: &["spec.nodeName", "spec.driver"],
    ..Strategy::WITH_GENERATION
};

const TAINT_RULE: Strategy = Strategy {
    defaults: |rule, context: &Context| {
        lifecycle::with_status(rule);
        if rule.has("spec.taint") && !rule.has("spec.taint.timeAdded") {
            put(rule, "spec.taint.timeAdded", seconds(context.now));
        }
    },
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn requests(object: &mut Value, path: &str) {
    let Some(spec) = at_mut(object, path) else { return };
    for request in items_mut(spec, "devices.requests") {
        if let Some(exactly) = at_mut(request, "exactly").filter(|exactly| exactly.is_object()) {
            device_request(exactly);
        }
        for option in items_mut(request, "firstAvailable") {
            device_request(option);
        }
    }
}

fn device_request(request: &mut Value) {
    fill(request, &[("allocationMode", Text("ExactCount")), ("tolerations[].operator", Text("Equal"))]);
    if request.text("allocationMode") == "ExactCount" && request.int("count").unwrap_or(0) == 0 {
        put(request, "count", 1);
    }
}

fn devices(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, request) in spec.items("devices.requests").iter().enumerate() {
        let path = format!("{path}.devices.requests[{index}]");
        if request.text("name").is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        if request.has("exactly") && request.text("exactly.deviceClassName").is_empty() {
            errors.push(FieldError::required(format!("{path}.exactly.deviceClassName"), ""));
        }
        if !request.has("exactly") && request.items("firstAvailable").is_empty() {
            errors.push(FieldError::required(path, "exactly one of `exactly` or `firstAvailable` is required"));
        }
    }
    errors
}
