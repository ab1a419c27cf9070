//! Groups of one or two kinds: discovery, events, coordination, scheduling, node,
//! apiregistration, flowcontrol, storagemigration.

pub mod endpointslice;
pub mod lease;
pub mod priorityclass;

use super::core::pod::scheduling;
use super::core::resources;
use super::json::Fill::{Int, NonZero};
use super::json::{Json, fill};
use super::metadata::declared_immutable;
use super::{FieldError, NameRule, Strategy, check, metadata, names};

/// The strategy of a kind of these groups.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "APIService" => &API_SERVICE,
        "EndpointSlice" => &endpointslice::STRATEGY,
        "Event" => &super::core::event::STRATEGY,
        "FlowSchema" => &FLOW_SCHEMA,
        "Lease" => &lease::STRATEGY,
        "PriorityClass" => &priorityclass::STRATEGY,
        "PriorityLevelConfiguration" => &PRIORITY_LEVEL,
        "RuntimeClass" => &RUNTIME_CLASS,
        "StorageVersionMigration" => &Strategy::WITH_STATUS,
        _ => return None,
    })
}

const API_SERVICE: Strategy = Strategy {
    // `v1.` ends with a dot.
    name: NameRule::PathSegment,
    defaults: |service, _| fill(service, &[("spec.service.port", Int(443))]),
    validate: |service, _| {
        let mut errors = Vec::new();
        let expected = format!("{}.{}", service.text("spec.version"), service.text("spec.group"));
        let name = service.text("metadata.name");
        if name != expected {
            let detail = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
            errors.push(FieldError::invalid("metadata.name", name, detail));
        }
        errors
    },
    unconditional_update: false,
    ..Strategy::WITH_STATUS
};

const FLOW_SCHEMA: Strategy = Strategy {
    defaults: |schema, _| fill(schema, &[("spec.matchingPrecedence", NonZero(1000))]),
    ..Strategy::WITH_STATUS_AND_GENERATION
};

const PRIORITY_LEVEL: Strategy = Strategy {
    defaults: |level, _| {
        fill(
            level,
            &[
                ("spec.limited.nominalConcurrencyShares", Int(30)),
                ("spec.limited.lendablePercent", Int(0)),
                ("spec.limited.limitResponse.queuing.queues", NonZero(64)),
                ("spec.limited.limitResponse.queuing.handSize", NonZero(8)),
                ("spec.limited.limitResponse.queuing.queueLengthLimit", NonZero(50)),
                ("spec.exempt.nominalConcurrencyShares", Int(0)),
                ("spec.exempt.lendablePercent", Int(0)),
            ],
        );
    },
    ..Strategy::WITH_STATUS_AND_GENERATION
};

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
        let same = |one: &serde_json::Value, other: &serde_json::Value| {
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
