//! IngressClass: which controller serves an Ingress.

use serde_json::Value;

use super::ingress::typed_reference;
use crate::apiserver::kinds::json::Fill::Choice;
use crate::apiserver::kinds::json::{Json, fill};
use crate::apiserver::kinds::metadata::immutable;
use crate::apiserver::kinds::{FieldError, Strategy, check, names};

/// Of IngressClasses.
pub const STRATEGY: Strategy = Strategy {
    defaults: |class, _| fill(class, &[("spec.parameters.scope", Choice("Cluster"))]),
    validate: |class, _| validate(class),
    validate_update: |new, old, _| {
        let mut errors: Vec<FieldError> = immutable(new, old, "spec.controller").into_iter().collect();
        errors.extend(validate(new));
        errors
    },
    whole_again: true,
    ..Strategy::WITH_GENERATION
};

fn validate(class: &Value) -> Vec<FieldError> {
    let controller = class.text("spec.controller");
    let mut errors = names::domain_prefixed_path(controller, "spec.controller");
    if controller.len() > 250 {
        errors.push(FieldError::too_long("spec.controller", 250));
    }
    let parameters = class.at("spec.parameters");
    if parameters.is_null() {
        return errors;
    }
    let path = "spec.parameters";
    errors.extend(typed_reference(parameters, path));
    let namespace = parameters.text("namespace");
    let at = "spec.parameters.namespace";
    match parameters.text("scope") {
        "Namespace" if !parameters.has("namespace") => {
            errors.push(FieldError::required(at, "`parameters.scope` is set to 'Namespace'"));
        }
        "Namespace" => errors.extend(check::faults(at, namespace, names::dns_label(namespace))),
        "Cluster" if parameters.has("namespace") => {
            errors.push(FieldError::forbidden(at, "`parameters.scope` is set to 'Cluster'"));
        }
        "Cluster" => {}
        other => {
            errors.push(FieldError::not_supported("spec.parameters.scope", other, &["Cluster", "Namespace"]));
        }
    }
    errors
}
