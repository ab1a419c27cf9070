//! PersistentVolume: a piece of storage, made before or for a claim.

use serde_json::{Value, json};

use super::pod::defaults::VOLUME_SOURCE;
use super::pod::{scheduling, seconds, volumes};
use super::resources;
use crate::apiserver::kinds::json::Fill::Text;
use crate::apiserver::kinds::json::{Json, copy, fill, put};
use crate::apiserver::kinds::{Context, FieldError, Strategy, Subresource};

/// Of PersistentVolumes.
pub const STRATEGY: Strategy = Strategy {
    defaults: |volume, _| {
        fill(
            volume,
            &[("spec.persistentVolumeReclaimPolicy", Text("Retain")), ("spec.volumeMode", Text("Filesystem"))],
        );
        if let Some(spec) = volume.get_mut("spec") {
            fill(spec, VOLUME_SOURCE);
        }
        fill(volume, &[("status+.phase", Text("Pending"))]);
    },
    prepare_create: |volume, context| {
        put(volume, "status", json!({"phase": "Pending", "lastPhaseTransitionTime": seconds(context.now)}));
    },
    prepare_update: |new, old, _| copy(new, old, "status"),
    validate: |volume, _| validate(volume),
    validate_update: |new, old, _| validate_update(new, old),
    subresources: &[Subresource { name: "status", prepare: prepare_status, validate: |_, _, _| Vec::new() }],
    ..Strategy::PLAIN
};

fn prepare_status(new: &mut Value, old: &Value, context: &Context) {
    copy(new, old, "spec");
    if new.text("status.phase") != old.text("status.phase") {
        put(new, "status.lastPhaseTransitionTime", seconds(context.now));
    }
}

/// Fields of a PersistentVolume's spec that are not a volume source.
const NOT_SOURCES: &[&str] = &[
    "capacity",
    "accessModes",
    "claimRef",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "mountOptions",
    "volumeMode",
    "nodeAffinity",
    "volumeAttributesClassName",
];

/// The access modes there are.
pub const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

fn sources(volume: &Value) -> Vec<(&str, &Value)> {
    let fields = volume.entries("spec").into_iter();
    fields.filter(|(key, value)| !NOT_SOURCES.contains(key) && !value.is_null()).collect()
}

fn validate(volume: &Value) -> Vec<FieldError> {
    let mut errors = access_modes(volume.at("spec"), "spec");
    let capacity = volume.entries("spec.capacity");
    if capacity.is_empty() {
        errors.push(FieldError::required("spec.capacity", ""));
    }
    if capacity.len() != 1 || capacity[0].0 != "storage" {
        let shown = volume.at("spec.capacity").clone();
        errors.push(FieldError::not_supported("spec.capacity", shown, &["storage"]));
    }
    for (name, amount) in capacity {
        let path = format!("spec.capacity[{name}]");
        if resources::quantity(amount).is_some_and(|amount| amount.signum() <= 0) {
            errors.push(FieldError::invalid(path, amount.clone(), "must be greater than zero"));
        }
    }
    let policy = volume.text("spec.persistentVolumeReclaimPolicy");
    let policies = ["Delete", "Recycle", "Retain"];
    if !policies.contains(&policy) {
        errors.push(FieldError::not_supported("spec.persistentVolumeReclaimPolicy", policy, &policies));
    }
    let found = sources(volume);
    for (kind, _) in found.iter().skip(1) {
        errors.push(FieldError::forbidden(format!("spec.{kind}"), "may not specify more than 1 volume type"));
    }
    match found.first() {
        None => errors.push(FieldError::required("spec", "must specify a volume type")),
        Some((kind, source)) => errors.extend(volumes::source_of(kind, source, &format!("spec.{kind}"))),
    }
    if volume.has("spec.local") && !volume.has("spec.nodeAffinity.required") {
        errors.push(FieldError::required("spec.nodeAffinity", "Local volume requires node affinity"));
    }
    if volume.has("spec.nodeAffinity.required") {
        errors.extend(scheduling::node_selector(volume.at("spec.nodeAffinity.required"), "spec.nodeAffinity.required"));
    }
    errors
}

/// What is wrong with `accessModes`, of a volume or a claim.
pub fn access_modes(spec: &Value, path: &str) -> Vec<FieldError> {
    let modes = spec.items("accessModes");
    let at = format!("{path}.accessModes");
    if modes.is_empty() {
        return vec![FieldError::required(at, "at least 1 access mode is required")];
    }
    let mut errors = Vec::new();
    for mode in modes {
        if !ACCESS_MODES.contains(&mode.as_str().unwrap_or("")) {
            errors.push(FieldError::not_supported(at.clone(), mode.clone(), ACCESS_MODES));
        }
    }
    if modes.len() > 1 && modes.iter().any(|mode| mode == "ReadWriteOncePod") {
        errors.push(FieldError::forbidden(at, "may not use ReadWriteOncePod with other access modes"));
    }
    errors
}

fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate(new);
    if sources(new) != sources(old) {
        errors.push(FieldError::forbidden(
            "spec.persistentvolumesource",
            "spec.persistentvolumesource is immutable after creation\n",
        ));
    }
    if new.at("spec.volumeMode") != old.at("spec.volumeMode") {
        errors.push(FieldError::invalid("spec.volumeMode", new.at("spec.volumeMode").clone(), "field is immutable"));
    }
    if old.has("spec.nodeAffinity") && new.at("spec.nodeAffinity") != old.at("spec.nodeAffinity") {
        errors.push(FieldError::invalid(
            "spec.nodeAffinity",
            new.at("spec.nodeAffinity").clone(),
            "field is immutable",
        ));
    }
    errors
}
