//! PersistentVolumeClaim: a wish for storage, and what it was bound to.

use serde_json::{Value, json};

use super::persistentvolume::access_modes;
use super::pod::spec::supported;
use super::pod::warnings::fractions;
use super::resources::quantity;
use crate::api::go_values::{Part, difference};
use crate::apiserver::kinds::json::Fill::{Choice, Text};
use crate::apiserver::kinds::json::{Json, copy, drop_at, fill, put};
use crate::apiserver::kinds::{Context, FieldError, Strategy, Subresource, check, lifecycle, names, selectors};

/// Of PersistentVolumeClaims.
pub const STRATEGY: Strategy = Strategy {
    defaults: |claim, _| {
        spec_defaults(claim);
        fill(claim, &[("status+.phase", Text("Pending"))]);
    },
    prepare_create: |claim, _| {
        put(claim, "status", json!({"phase": "Pending"}));
        same_source(claim, false, false);
    },
    prepare_update: |new, old, _: &Context| {
        copy(new, old, "status");
        let reference = old.has("spec.dataSourceRef");
        same_source(new, old.has("spec.dataSource") || reference, reference);
    },
    validate: |claim, _| validate_spec(claim.at("spec"), "spec"),
    validate_update: |new, old, _| validate_update(new, old),
    warnings: |claim, _| {
        let mut warnings = Vec::new();
        if claim.at("metadata.annotations").get(BETA_CLASS).is_some() {
            let text = "deprecated since v1.8; use \"storageClassName\" attribute instead";
            warnings.push(format!("metadata.annotations[{BETA_CLASS}]: {text}"));
        }
        for list in ["requests", "limits"] {
            let path = format!("spec.resources.{list}");
            warnings.extend(fractions(claim.at(&path), &path, &["storage"]));
        }
        warnings
    },
    subresources: &[Subresource {
        prepare: |new, old, context| {
            (lifecycle::STATUS.prepare)(new, old, context);
            // The feature is off.
            if !old.has("status.healthStatus") {
                drop_at(new, "status.healthStatus");
            }
        },
        validate: |new, _, _| validate_status(new),
        ..lifecycle::STATUS
    }],
    whole_again: true,
    ..Strategy::PLAIN
};

/// `volumeMode` of a claim or of a template of one.
pub fn spec_defaults(claim: &mut Value) {
    fill(claim, &[("spec.volumeMode", Choice("Filesystem"))]);
}

/// `dataSource` and `dataSourceRef` say the same, where both can. A `dataSource` that is neither a claim nor a
/// snapshot is, as it always was, dropped without a word, unless the claim `had` a source before.
fn same_source(claim: &mut Value, had: bool, had_reference: bool) {
    // Another namespace's source belongs to a feature that is off.
    if !had_reference && !claim.text("spec.dataSourceRef.namespace").is_empty() {
        drop_at(claim, "spec.dataSourceRef");
    }
    let simple = |source: &Value| {
        source.text("apiGroup").is_empty() && source.text("kind") == "PersistentVolumeClaim"
            || source.text("apiGroup") == "snapshot.storage.k8s.io" && source.text("kind") == "VolumeSnapshot"
    };
    let (source, reference) = (claim.at("spec.dataSource").clone(), claim.at("spec.dataSourceRef").clone());
    if !had && !source.is_null() && reference.is_null() && !simple(&source) {
        drop_at(claim, "spec.dataSource");
    } else if !source.is_null() && reference.is_null() {
        put(claim, "spec.dataSourceRef", source);
    } else if source.is_null() && !reference.is_null() && reference.text("namespace").is_empty() {
        let mut plain = reference;
        drop_at(&mut plain, "namespace");
        put(claim, "spec.dataSource", plain);
    }
}

/// What is wrong with a claim's spec, its own or a template's.
pub fn validate_spec(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = access_modes(spec, path, "at least 1 access mode is required");
    if spec.has("selector") {
        errors.extend(selectors::validate(spec.at("selector"), &format!("{path}.selector")));
    }
    let at = format!("{path}.resources[storage]");
    match spec.at("resources.requests").get("storage") {
        None => errors.push(FieldError::required(at, "")),
        Some(amount) => {
            if let Some(size) = quantity(amount).filter(|size| size.signum() <= 0) {
                errors.push(FieldError::invalid(at, size.to_string(), "must be greater than zero"));
            }
        }
    }
    for field in ["storageClassName", "volumeAttributesClassName"] {
        let class = spec.text(field);
        if !class.is_empty() {
            errors.extend(check::faults(format!("{path}.{field}"), class, names::dns_subdomain(class)));
        }
    }
    errors.extend(supported(spec, "volumeMode", path, &["Block", "Filesystem"]));
    errors.extend(data_sources(spec, path));
    errors
}

fn data_sources(spec: &Value, path: &str) -> Vec<FieldError> {
    let (source, reference) = (spec.at("dataSource"), spec.at("dataSourceRef"));
    let mut errors = Vec::new();
    for (source, field) in [(source, "dataSource"), (reference, "dataSourceRef")] {
        if source.is_null() {
            continue;
        }
        let path = format!("{path}.{field}");
        errors.extend(check::required(source, &["name", "kind"], &path));
        let (group, kind) = (source.text("apiGroup"), source.text("kind"));
        if group.is_empty() && kind != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(FieldError::invalid(path.as_str(), kind, detail));
        }
        if !group.is_empty() {
            errors.extend(check::faults(format!("{path}.apiGroup"), group, names::dns_subdomain(group)));
        }
        let namespace = source.text("namespace");
        if !namespace.is_empty() {
            errors.extend(check::faults(format!("{path}.namespace"), namespace, names::dns_label(namespace)));
        }
    }
    // What is shown as the value is the path of the field, which Go writes as an empty struct.
    let mut clash = |detail: &str| errors.push(FieldError::invalid_raw(path, "{}", detail));
    if !source.is_null() && !reference.text("namespace").is_empty() {
        clash("may not be specified when dataSourceRef.namespace is specified");
    } else if !source.is_null()
        && !reference.is_null()
        && ["apiGroup", "kind", "name"].iter().any(|field| source.at(field) != reference.at(field))
    {
        clash("must match dataSourceRef");
    }
    errors
}

const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate_spec(new.at("spec"), "spec");
    let (mut allowed, mut was) = (new.clone(), old.clone());
    if old.text("spec.volumeName").is_empty() {
        copy(&mut was, new, "spec.volumeName");
    }
    let annotation = |claim: &Value| claim.at("metadata.annotations").get(BETA_CLASS).cloned();
    let (class_now, class_was) = (annotation(new), annotation(old));
    let set_class = new.has("spec.storageClassName") && !old.has("spec.storageClassName");
    let named = |known: &Option<Value>| known.as_ref() == Some(new.at("spec.storageClassName"));
    if set_class && named(&class_was) && (class_now.is_none() || class_now == class_was) {
        copy(&mut allowed, old, "spec.storageClassName");
    } else {
        if class_now != class_was {
            let path = format!("metadata.annotations.{BETA_CLASS}");
            let shown = class_now.unwrap_or_else(|| "".into());
            errors.push(FieldError::invalid(path, shown, "field is immutable"));
        }
        if set_class && (class_was.is_none() || named(&class_was)) {
            copy(&mut allowed, old, "spec.storageClassName");
        }
    }
    let bound = old.text("status.phase") == "Bound";
    if bound {
        if allowed.has("spec.resources.requests") {
            copy(&mut allowed, old, "spec.resources.requests.storage");
        }
        copy(&mut allowed, old, "spec.volumeAttributesClassName");
    }
    if allowed.at("spec") != was.at("spec") {
        let part = "io.k8s.api.core.v1.PersistentVolumeClaimSpec";
        let change = difference(part, &Part::Whole, was.at("spec"), allowed.at("spec"));
        errors.push(FieldError::forbidden(
            "spec",
            format!(
                "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{change}"
            ),
        ));
    }
    errors.extend(smaller(new, old));
    if new.at("spec.volumeMode") != old.at("spec.volumeMode") {
        errors.push(FieldError::invalid("volumeMode", new.at("spec.volumeMode").clone(), "field is immutable"));
    }
    if old.has("status.currentVolumeAttributesClassName") {
        let (at, was) = ("spec.volumeAttributesClassName", "when status.currentVolumeAttributesClassName is not nil");
        if old.at(at) != new.at(at) && new.text(at).is_empty() {
            let what = if new.has(at) { "empty string" } else { "nil" };
            errors.push(FieldError::forbidden(at, format!("update to {what} is forbidden {was}")));
        }
    }
    errors
}

/// How far a resize may say it is.
const RESIZES: &[&str] = &[
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizePending",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
];

/// What is wrong with the sizes that a status reports.
fn validate_status(claim: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if claim.items("spec.accessModes").is_empty() {
        errors.push(FieldError::required("Spec.accessModes", ""));
    }
    for (name, amount) in claim.entries("status.capacity") {
        errors.extend(below_zero(amount, &format!("status.capacity[{name}]")));
    }
    let statuses = "status.allocatedResourceStatuses";
    for (name, state) in claim.entries(statuses) {
        errors.extend(storage_only(name, statuses));
        if !RESIZES.contains(&state.as_str().unwrap_or_default()) {
            let mut known = RESIZES.to_vec();
            known.sort_unstable();
            errors.push(FieldError::not_supported(statuses, name, &known));
        }
    }
    let allocated = "status.allocatedResources";
    for (name, amount) in claim.entries(allocated) {
        let faults = storage_only(name, allocated);
        if faults.is_empty() {
            errors.extend(below_zero(amount, &format!("{allocated}[{name}]")));
        }
        errors.extend(faults);
    }
    errors
}

fn below_zero(amount: &Value, path: &str) -> Option<FieldError> {
    let rounded = quantity(amount)?.value();
    (rounded < 0).then(|| FieldError::invalid(path, rounded, "must be a valid resource quantity"))
}

/// Of Kubernetes' own resources a claim has `storage` alone.
fn storage_only(name: &str, path: &str) -> Vec<FieldError> {
    let faults: Vec<FieldError> = check::faults(path, name, names::qualified_name(name)).collect();
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    if faults.is_empty() && native && name != "storage" {
        return vec![FieldError::not_supported(path, name, &["storage"])];
    }
    faults
}

/// A claim shrinks no further than what it has.
fn smaller(new: &Value, old: &Value) -> Option<FieldError> {
    let zero = || quantity(&"0".into());
    let size = |claim: &Value| quantity(claim.at("spec.resources.requests.storage")).or_else(zero);
    let status = quantity(old.at("status.capacity.storage")).or_else(zero);
    let (now, was) = (size(new)?, size(old)?);
    (now < was && status.is_some_and(|status| now <= status))
        .then(|| FieldError::forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"))
}
