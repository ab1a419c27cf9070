//! Groups of one or two kinds: discovery, events, coordination, scheduling, node,
//! apiregistration, flowcontrol, storagemigration.

pub mod apiservice;
pub mod endpointslice;
pub mod flowcontrol;
pub mod lease;
pub mod priorityclass;

use serde_json::Value;

use super::core::pod::scheduling;
use super::core::resources;
use super::json::Json;
use super::metadata::declared_immutable;
use super::names::{self, Faults};
use super::{FieldError, Strategy, check, metadata};

/// The strategy of a kind of these groups.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "APIService" => &apiservice::STRATEGY,
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

const RUNTIME_CLASS: Strategy = Strategy {
    validate: |class, _| runtime_class(class, names::declared),
    validate_update: |new, old, _| {
        // Of a handler that is another one, its type is the judge, whose words differ.
        let mut errors = runtime_class(new, |faults| faults);
        errors.extend(declared_immutable(new, old, "handler"));
        errors
    },
    create_on_update: true,
    unconditional_update: false,
    whole_again: true,
    any_finalizer: true,
    ..Strategy::PLAIN
};

/// `spelled` gives the faults of the handler their words.
fn runtime_class(class: &Value, spelled: fn(Faults) -> Faults) -> Vec<FieldError> {
    let handler = class.text("handler");
    let mut errors = Vec::new();
    if handler.is_empty() {
        errors.push(FieldError::required("handler", ""));
    } else {
        errors.extend(check::faults("handler", handler, spelled(names::dns_label(handler))));
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
            let mut shown = toleration.clone();
            for text in ["key", "operator", "value", "effect"].into_iter().filter(|text| !toleration.has(text)) {
                shown[text] = "".into();
            }
            error.value = check::go_struct(&shown, &fields);
            errors.push(error);
        }
    }
    errors
}
