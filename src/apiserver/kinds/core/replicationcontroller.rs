//! ReplicationController: the ReplicaSet's elder, with a plain map for a selector.

use serde_json::Value;

use super::pod::{self, defaults, warnings};
use crate::apiserver::kinds::apps::{replicaset, status};
use crate::apiserver::kinds::json::Fill::Int;
use crate::apiserver::kinds::json::{Json, at_mut, fill, put};
use crate::apiserver::kinds::metadata::non_negative;
use crate::apiserver::kinds::{Context, FieldError, Strategy, Subresource, lifecycle};

/// Of ReplicationControllers.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    validate: |object, _| validate(object),
    validate_update: |new, _, _| validate(new),
    // An update says nothing of its template.
    warnings: |new, old| old.map_or_else(|| warnings::named_template(new, None, "spec.template"), |_| Vec::new()),
    selectable_fields: |object| vec![("status.replicas", object.int("status.replicas").unwrap_or(0).to_string())],
    selectable_names: &["status.replicas"],
    any_generate_name: true,
    subresources: &[Subresource {
        validate: |new, old, _| status::validate(new, old, &replicaset::COUNTS),
        ..lifecycle::STATUS
    }],
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn defaults(object: &mut Value, _: &Context) {
    let labels = object.at("spec.template.metadata.labels").clone();
    if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        if object.entries("spec.selector").is_empty() {
            put(object, "spec.selector", labels.clone());
        }
        if object.entries("metadata.labels").is_empty() {
            put(object, "metadata.labels", labels);
        }
    }
    fill(object, &[("spec.replicas", Int(1))]);
    if let Some(spec) = at_mut(object, "spec.template.spec") {
        defaults::pod_spec(spec);
    }
}

fn validate(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    errors.extend(non_negative(object.int("spec.minReadySeconds").unwrap_or(0), "spec.minReadySeconds"));
    let selector = object.entries("spec.selector");
    if selector.is_empty() {
        errors.push(FieldError::required("spec.selector", ""));
    }
    errors.extend(non_negative(object.int("spec.replicas").unwrap_or(0), "spec.replicas"));
    if !object.has("spec.template") {
        errors.push(FieldError::required("spec.template", ""));
        return errors;
    }
    let labels = object.at("spec.template.metadata.labels");
    if selector.iter().any(|(key, value)| labels.get(key) != Some(value)) {
        errors.push(FieldError::invalid(
            "spec.template.metadata.labels",
            labels.clone(),
            "`selector` does not match template `labels`",
        ));
    }
    errors.extend(pod::validate_template(object.at("spec.template"), "spec.template"));
    let restart = object.text("spec.template.spec.restartPolicy");
    if object.has("spec.template.spec.activeDeadlineSeconds") {
        errors.push(FieldError::forbidden(
            "spec.template.spec.activeDeadlineSeconds",
            "activeDeadlineSeconds in ReplicationController is not Supported",
        ));
    }
    if restart != "Always" {
        errors.push(FieldError::not_supported("spec.template.spec.restartPolicy", restart, &["Always"]));
    }
    errors
}
