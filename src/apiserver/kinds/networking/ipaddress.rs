//! IPAddress: one cluster IP, and the Service that holds it.

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata::immutable;
use crate::apiserver::kinds::{FieldError, NameRule, Strategy, names};

/// Of IPAddresses.
pub const STRATEGY: Strategy = Strategy {
    name: NameRule::Any,
    validate: |address, _| {
        let name = address.text("metadata.name");
        let mut errors: Vec<FieldError> =
            names::ip(name).into_iter().map(|fault| FieldError::invalid("metadata.name", name, fault)).collect();
        if !address.has("spec.parentRef") {
            errors.push(FieldError::required("spec.parentRef", ""));
        }
        errors
    },
    validate_update: |new, old, _| immutable(new, old, "spec.parentRef").into_iter().collect(),
    ..Strategy::PLAIN
};
