//! StatefulSet: Pods with names, order and storage of their own.

use serde_json::{Value, json};

use super::deployment::{amount, at_most_all, int_or_percent};
use super::status::Counts;
use super::{go_strategy, template_defaults, validate_template};
use crate::apiserver::kinds::core::persistentvolumeclaim;
use crate::apiserver::kinds::core::pod::warnings;
use crate::apiserver::kinds::json::Fill::{Int, Text};
use crate::apiserver::kinds::json::{Json, drop_at, fill, items_mut, put};
use crate::apiserver::kinds::metadata::{immutable, non_negative};
use crate::apiserver::kinds::{
    Context, FieldError, NameRule, Strategy, Subresource, check, lifecycle, names, selectors,
};

/// Of StatefulSets.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    validate: |set, _| {
        let mut errors = validate(set);
        // An update cannot change these, and is not asked about them again.
        for (index, claim) in set.items("spec.volumeClaimTemplates").iter().enumerate() {
            let at = format!("spec.volumeClaimTemplates[{index}].spec");
            errors.extend(persistentvolumeclaim::validate_spec(claim.at("spec"), &at));
        }
        let service = set.text("spec.serviceName");
        if !service.is_empty() {
            errors.extend(check::faults("spec.serviceName", service, names::dns_label(service)));
        }
        errors
    },
    validate_update: |new, old, _| validate_update(new, old),
    warnings,
    name: NameRule::Label,
    subresources: &[Subresource {
        validate: |new, old, _| super::status::validate(new, old, &COUNTS),
        ..lifecycle::STATUS
    }],
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = warnings::template(new, old, "spec.template");
    if new.int("spec.revisionHistoryLimit").is_some_and(|limit| limit < 0) {
        let text = "a negative value retains all historical revisions; a value >= 0 is recommended";
        warnings.push(format!("spec.revisionHistoryLimit: {text}"));
    }
    warnings
}

const COUNTS: Counts = Counts {
    counts: &[
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ],
    parts: &["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"],
    available: "cannot be greater than status.readyReplicas",
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
            fill(claim, &[("status+.phase", Text("Pending"))]);
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
        "OnDelete" if strategy.has("rollingUpdate") => errors.push(FieldError::invalid_raw(
            format!("{path}.rollingUpdate"),
            check::go_struct(strategy.at("rollingUpdate"), &["Partition", "MaxUnavailable"]),
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
                if amount(unavailable) == 0 {
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
        if !["Retain", "Delete"].contains(&value) {
            let at = format!("spec.persistentVolumeClaimRetentionPolicy.{field}");
            errors.push(FieldError::not_supported(at, value, &["Retain", "Delete"]));
        }
    }
    for field in ["spec.replicas", "spec.minReadySeconds", "spec.ordinals.start"] {
        errors.extend(non_negative(set.int(field).unwrap_or(0), field));
    }
    errors.extend(selectors::validate_workload(spec, "StatefulSet"));
    if selectors::is_usable(spec.at("selector")) {
        errors.extend(validate_template(&as_pods_are(set), "StatefulSet"));
    }
    errors
}

/// The set as its Pods will be made: the host's names are theirs, and each claim template is a volume
/// that goes before one of the same name.
fn as_pods_are(set: &Value) -> Value {
    let mut whole = set.clone();
    for field in ["subdomain", "hostname"] {
        drop_at(&mut whole, &format!("spec.template.spec.{field}"));
    }
    let claims: Vec<&str> =
        set.items("spec.volumeClaimTemplates").iter().map(|claim| claim.text("metadata.name")).collect();
    if claims.is_empty() {
        return whole;
    }
    let mut volumes: Vec<Value> = Vec::new();
    for (_, name) in claims.iter().enumerate().filter(|(index, name)| !claims[..*index].contains(name)) {
        volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
    }
    let own = set.items("spec.template.spec.volumes").iter();
    volumes.extend(own.filter(|volume| !claims.contains(&volume.text("name"))).cloned());
    put(&mut whole, "spec.template.spec.volumes", volumes);
    whole
}

fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate(new);
    for field in ["selector", "volumeClaimTemplates", "serviceName", "podManagementPolicy"] {
        errors.extend(immutable(new, old, &format!("spec.{field}")));
    }
    errors
}
