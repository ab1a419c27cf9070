//! IngressClass: which controller serves an Ingress.

use crate::apiserver::kinds::json::Fill::Text;
use crate::apiserver::kinds::json::{Json, fill};
use crate::apiserver::kinds::metadata::immutable;
use crate::apiserver::kinds::{FieldError, Strategy};

/// Of IngressClasses.
pub const STRATEGY: Strategy = Strategy {
    defaults: |class, _| fill(class, &[("spec.parameters.scope", Text("Cluster"))]),
    validate: |class, _| {
        let mut errors = Vec::new();
        let controller = class.text("spec.controller");
        if controller.is_empty() {
            errors.push(FieldError::required("spec.controller", ""));
        } else if !controller.contains('/') {
            errors.push(FieldError::invalid(
                "spec.controller",
                controller,
                "must be a domain-prefixed path (such as \"acme.io/foo\")",
            ));
        }
        errors
    },
    validate_update: |new, old, _| immutable(new, old, "spec.controller").into_iter().collect(),
    ..Strategy::WITH_GENERATION
};
