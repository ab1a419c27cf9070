//! StatefulSet: Pods with names, order and storage of their own.

use serde_json::{Value, json};

use super::deployment::{at_most_all, int_or_percent};
use super::{go_strategy, template_defaults, validate_template};
use crate::apiserver::kinds::core::persistentvolumeclaim;
use crate::apiserver::kinds::core::pod::warnings;
use crate::apiserver::kinds::json::Fill::{Int, Text};
use crate::apiserver::kinds::json::{Json, copy, fill, items_mut, put};
use crate::apiserver::kinds::metadata::{immutable, non_negative};
use crate::apiserver::kinds::{Context, FieldError, Strategy, selectors};

/// Of StatefulSets.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    validate: |set, _| validate(set),
    validate_update: |new, old, _| validate_update(new, old),
    warnings: |new, old| warnings::template(new, old, "spec.template"),
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn defaults(set: &mut Value, _: &Context) {
    fill(
        set,
        &[
            ("spec.replicas", Int(1)),
            ("spec.serviceName", Text("")),
            ("spec.podManagementPolicy", Text("OrderedReady")),
            ("spec.updateStrategy+.type", Text("RollingUpdate")),
            ("spec.revisionHistoryLimit", Int(10)),
            ("spec.persistentVolumeClaimRetentionPolicy+.whenDeleted", Text("Retain")),
            ("spec.persistentVolumeClaimRetentionPolicy+.whenScaled", Text("Retain")),
        ],
    );
    if set.text("spec.updateStrategy.type") == "RollingUpdate" {
        fill(
            set,
            &[
                ("spec.updateStrategy.rollingUpdate+.partition", Int(0)),
                ("spec.updateStrategy.rollingUpdate+.maxUnavailable", Int(1)),
            ],
        );
    }
    if let Some(spec) = set.get_mut("spec") {
        for claim in items_mut(spec, "volumeClaimTemplates") {
            put(claim, "kind", "PersistentVolumeClaim");
            put(claim, "apiVersion", "v1");
            persistentvolumeclaim::spec_defaults(claim);
            put(claim, "status", json!({"phase": "Pending"}));
        }
    }
    template_defaults(set);
}

fn validate(set: &Value) -> Vec<FieldError> {
    let spec = set.at("spec");
    let mut errors = Vec::new();
    let policy = spec.text("podManagementPolicy");
    if policy.is_empty() {
        errors.push(FieldError::required("spec.podManagementPolicy", ""));
    } else if !["OrderedReady", "Parallel"].contains(&policy) {
        errors.push(FieldError::invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"));
    }
    let strategy = spec.at("updateStrategy");
    let path = "spec.updateStrategy";
    match strategy.text("type") {
        "" => errors.push(FieldError::required(path, "")),
        "OnDelete" if strategy.has("rollingUpdate") => errors.push(FieldError::invalid(
            format!("{path}.rollingUpdate"),
            strategy.at("rollingUpdate").clone(),
            "only allowed for updateStrategy 'RollingUpdate'",
        )),
        "OnDelete" => {}
        "RollingUpdate" => {
            let rolling = strategy.at("rollingUpdate");
            errors.extend(non_negative(
                rolling.int("partition").unwrap_or(0),
                &format!("{path}.rollingUpdate.partition"),
            ));
            let unavailable = rolling.at("maxUnavailable");
            let at = format!("{path}.rollingUpdate.maxUnavailable");
            if !unavailable.is_null() {
                errors.extend(int_or_percent(unavailable, &at));
                errors.extend(at_most_all(unavailable, &at));
                if *unavailable == json!(0) || *unavailable == json!("0%") {
                    errors.push(FieldError::invalid(at, unavailable.clone(), "cannot be 0"));
                }
            }
        }
        _ => errors.push(FieldError::invalid_raw(
            path,
            go_strategy(strategy, &[("Partition", "partition"), ("MaxUnavailable", "maxUnavailable")]),
            "must be 'RollingUpdate' or 'OnDelete'",
        )),
    }
    for field in ["whenDeleted", "whenScaled"] {
        let value = spec.at("persistentVolumeClaimRetentionPolicy").text(field);
        if !value.is_empty() && !["Delete", "Retain"].contains(&value) {
            let at = format!("spec.persistentVolumeClaimRetentionPolicy.{field}");
            errors.push(FieldError::not_supported(at, value, &["Delete", "Retain"]));
        }
    }
    for field in ["spec.replicas", "spec.minReadySeconds", "spec.ordinals.start"] {
        errors.extend(non_negative(set.int(field).unwrap_or(0), field));
    }
    errors.extend(selectors::validate_workload(spec, "StatefulSet"));
    errors.extend(validate_template(set, "StatefulSet"));
    errors
}

fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate(new);
    let before = errors.len();
    errors.extend(immutable(new, old, "spec.serviceName"));
    let mut allowed = new.clone();
    for field in [
        "replicas",
        "template",
        "updateStrategy",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
        "ordinals",
        "revisionHistoryLimit",
        "serviceName",
    ] {
        copy(&mut allowed, old, &format!("spec.{field}"));
    }
    if errors.len() == before && allowed.at("spec") != old.at("spec") {
        errors.push(FieldError::forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ));
    }
    errors
}
