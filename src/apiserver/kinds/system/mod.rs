//! Groups of one or two kinds: discovery, events, coordination, scheduling, node,
//! apiregistration, flowcontrol, storagemigration.

pub mod endpointslice;
pub mod lease;
pub mod priorityclass;

use super::json::Fill::{Int, NonZero};
use super::json::{Json, fill};
use super::metadata::immutable;
use super::{FieldError, NameRule, Strategy, names};

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
        if handler.is_empty() {
            return vec![FieldError::required("handler", "")];
        }
        let faults = names::dns_label(handler);
        faults.into_iter().map(|fault| FieldError::invalid("handler", handler, fault)).collect()
    },
    validate_update: |new, old, _| immutable(new, old, "handler").into_iter().collect(),
    unconditional_update: false,
    ..Strategy::PLAIN
};
