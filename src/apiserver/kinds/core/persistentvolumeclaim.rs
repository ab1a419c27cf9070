//! PersistentVolumeClaim: a wish for storage, and what it was bound to.

use serde_json::{Value, json};

use super::persistentvolume::access_modes;
use super::resources::quantity;
use crate::apiserver::kinds::json::Fill::Text;
use crate::apiserver::kinds::json::{Json, copy, drop_at, fill, put};
use crate::apiserver::kinds::{Context, FieldError, Strategy, lifecycle, names, selectors};

/// Of PersistentVolumeClaims.
pub const STRATEGY: Strategy = Strategy {
    defaults: |claim, _| {
        spec_defaults(claim);
        fill(claim, &[("status+.phase", Text("Pending"))]);
    },
    prepare_create: |claim, _| {
        put(claim, "status", json!({"phase": "Pending"}));
        same_source(claim);
    },
    prepare_update: |new, old, _: &Context| {
        copy(new, old, "status");
        same_source(new);
    },
    validate: |claim, _| validate_spec(claim.at("spec"), "spec"),
    validate_update: |new, old, _| validate_update(new, old),
    subresources: &[lifecycle::STATUS],
    ..Strategy::PLAIN
};

/// `volumeMode` of a claim or of a template of one.
pub fn spec_defaults(claim: &mut Value) {
    fill(claim, &[("spec.volumeMode", Text("Filesystem"))]);
}

/// `dataSource` and `dataSourceRef` say the same, where both can.
fn same_source(claim: &mut Value) {
    let simple = |source: &Value| {
        source.text("apiGroup").is_empty() && source.text("kind") == "PersistentVolumeClaim"
            || source.text("apiGroup") == "snapshot.storage.k8s.io" && source.text("kind") == "VolumeSnapshot"
    };
    let (source, reference) = (claim.at("spec.dataSource").clone(), claim.at("spec.dataSourceRef").clone());
    if !source.is_null() && reference.is_null() {
        put(claim, "spec.dataSourceRef", source);
    } else if source.is_null() && !reference.is_null() && simple(&reference) && reference.text("namespace").is_empty() {
        let mut plain = reference;
        drop_at(&mut plain, "namespace");
        put(claim, "spec.dataSource", plain);
    }
}

/// What is wrong with a claim's spec, its own or a template's.
pub fn validate_spec(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = access_modes(spec, path);
    if spec.has("selector") {
        errors.extend(selectors::validate(spec.at("selector"), &format!("{path}.selector")));
    }
    match spec.at("resources.requests").get("storage") {
        None => errors.push(FieldError::required(format!("{path}.resources[storage]"), "")),
        Some(amount) => {
            if quantity(amount).is_some_and(|amount| amount.signum() <= 0) {
                let at = format!("{path}.resources[storage]");
                errors.push(FieldError::invalid(at, amount.clone(), "must be greater than zero"));
            }
        }
    }
    let class = spec.text("storageClassName");
    if !class.is_empty() {
        for fault in names::dns_subdomain(class) {
            errors.push(FieldError::invalid(format!("{path}.storageClassName"), class, fault));
        }
    }
    let mode = spec.text("volumeMode");
    if spec.has("volumeMode") && !["Block", "Filesystem"].contains(&mode) {
        errors.push(FieldError::not_supported(format!("{path}.volumeMode"), mode, &["Block", "Filesystem"]));
    }
    errors
}

fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate_spec(new.at("spec"), "spec");
    let mut allowed = new.clone();
    if old.text("spec.volumeName").is_empty() {
        copy(&mut allowed, old, "spec.volumeName");
    }
    let bound = old.text("status.phase") == "Bound";
    if bound {
        copy(&mut allowed, old, "spec.resources.requests");
        copy(&mut allowed, old, "spec.volumeAttributesClassName");
    }
    if allowed.at("spec") != old.at("spec") {
        errors.push(FieldError::forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n",
        ));
    }
    let size = |claim: &Value| quantity(claim.at("spec.resources.requests.storage"));
    let status = quantity(old.at("status.capacity.storage"));
    if bound
        && let (Some(now), Some(was)) = (size(new), size(old))
        && now < was
        && status.is_none_or(|status| now <= status)
    {
        errors.push(FieldError::forbidden(
            "spec.resources.requests.storage",
            "field can not be less than status.capacity",
        ));
    }
    errors
}
