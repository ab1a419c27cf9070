//! Groups of one or two kinds: discovery, events, coordination, scheduling, node,
//! apiregistration, flowcontrol, storagemigration.

pub mod endpointslice;
pub mod flowcontrol;
pub mod lease;
pub mod priorityclass;

use serde_json::Value;

use super::core::pod::scheduling;
use super::core::resources;
use super::json::Fill::Int;
use super::json::{Json, fill};
use super::metadata::declared_immutable;
use super::{FieldError, NameRule, Strategy, check, metadata, names};

/// The strategy of a kind of these groups.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "APIService" => &API_SERVICE,
        "EndpointSlice" => &endpointslice::STRATEGY,
        "Event" => &super::core::event::STRATEGY,
        "FlowSchema" => &flowcontrol::SCHEMA,
        "Lease" => &lease::STRATEGY,
        "PriorityClass" => &priorityclass::STRATEGY,
        "PriorityLevelConfiguration" => &flowcontrol::LEVEL,
        "RuntimeClass" => &RUNTIME_CLASS,
        "StorageVersionMigration" => &Strategy::WITH_STATUS,
        _ => return None,
    })
}

const API_SERVICE: Strategy = Strategy {
    // `v1.` ends with a dot.
    name: NameRule::PathSegment,
    defaults: |service, _| fill(service, &[("spec.service.port", Int(443))]),
    validate: |service, _| validate_service(service),
    validate_update: |new, _, _| validate_service(new),
    unconditional_update: false,
    any_finalizer: true,
    ..Strategy::WITH_STATUS
};

fn validate_service(service: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (group, version) = (service.text("spec.group"), service.text("spec.version"));
    let (name, expected) = (service.text("metadata.name"), format!("{version}.{group}"));
    if name != expected {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
        errors.push(FieldError::invalid("metadata.name", name, detail));
    }
    if group.is_empty() && version != "v1" {
        let detail = "only v1 may have an empty group and it better be legacy kube";
        errors.push(FieldError::required("spec.group", detail));
    }
    if !group.is_empty() {
        errors.extend(check::faults("spec.group", group, names::dns_subdomain(group)));
    }
    errors.extend(check::faults("spec.version", version, names::dns_1035_label(version)));
    for (field, most) in [("spec.groupPriorityMinimum", 20000), ("spec.versionPriority", 1000)] {
        let priority = service.int(field).unwrap_or(0);
        if !(1..=most).contains(&priority) {
            errors.push(FieldError::invalid(field, priority, format!("must be positive and less than {most}")));
        }
    }
    let (bundle, trusting) = (service.text("spec.caBundle"), service.flag("spec.insecureSkipTLSVerify"));
    if !service.has("spec.service") {
        if !bundle.is_empty() {
            let bytes = bundle.trim_end_matches('=').len() * 3 / 4;
            let detail = "local APIServices may not have a caBundle";
            errors.push(FieldError::invalid("spec.caBundle", format!("{bytes} bytes"), detail));
        }
        if trusting {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(FieldError::invalid("spec.insecureSkipTLSVerify", true, detail));
        }
        return errors;
    }
    errors.extend(check::required(service.at("spec.service"), &["namespace", "name"], "spec.service"));
    let port = service.int("spec.service.port").unwrap_or(0);
    if !(1..=65535).contains(&port) {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid("spec.service.port", port, detail));
    }
    if trusting && !bundle.is_empty() {
        let detail = "may not be true if caBundle is present";
        errors.push(FieldError::invalid("spec.insecureSkipTLSVerify", true, detail));
    }
    errors
}

const RUNTIME_CLASS: Strategy = Strategy {
    validate: |class, _| {
        let handler = class.text("handler");
        let mut errors = Vec::new();
        if handler.is_empty() {
            errors.push(FieldError::required("handler", ""));
        } else {
            errors.extend(check::faults("handler", handler, names::dns_label(handler)));
        }
        for (name, amount) in class.entries("overhead.podFixed") {
            errors.extend(resources::container_amount(name, amount, &format!("overhead.limits[{name}]")));
        }
        errors.extend(metadata::labels(class.at("scheduling.nodeSelector"), "scheduling.nodeSelector"));
        let tolerations = class.items("scheduling.tolerations");
        let path = "scheduling.tolerations";
        errors.extend(scheduling::tolerations(tolerations, path));
        let same = |one: &Value, other: &Value| {
            ["key", "operator", "value", "effect"].iter().all(|field| one.text(field) == other.text(field))
        };
        for (index, toleration) in tolerations.iter().enumerate() {
            if tolerations[..index].iter().any(|other| same(other, toleration)) {
                let fields = ["Key", "Operator", "Value", "Effect", "TolerationSeconds"];
                let mut error = FieldError::duplicate(format!("{path}[{index}]"), "");
                error.value = check::go_struct(toleration, &fields);
                errors.push(error);
            }
        }
        errors
    },
    validate_update: |new, old, _| declared_immutable(new, old, "handler").into_iter().collect(),
    unconditional_update: false,
    ..Strategy::PLAIN
};
