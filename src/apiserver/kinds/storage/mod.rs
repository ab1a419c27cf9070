//! The `storage.k8s.io` group: classes of storage, drivers, attachments. Small kinds, one file.

use serde_json::Value;

use super::json::Fill::{Flag, Text};
use super::json::{Json, copy, fill, put};
use super::metadata::immutable;
use super::{FieldError, Strategy, names, selectors};

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "StorageClass" => &STORAGE_CLASS,
        "CSIDriver" => &CSI_DRIVER,
        "CSINode" => &CSI_NODE,
        "CSIStorageCapacity" => &CAPACITY,
        "VolumeAttachment" => &ATTACHMENT,
        "VolumeAttributesClass" => &ATTRIBUTES_CLASS,
        _ => return None,
    })
}

const STORAGE_CLASS: Strategy = Strategy {
    defaults: |class, _| {
        fill(class, &[("reclaimPolicy", Text("Delete")), ("volumeBindingMode", Text("Immediate"))]);
    },
    validate: |class, _| validate_class(class),
    validate_update: |new, old, _| {
        let mut errors = Vec::new();
        for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
            if new.at(field) != old.at(field) {
                errors.push(FieldError::forbidden(field, format!("updates to {field} are forbidden.")));
            }
        }
        errors
    },
    ..Strategy::PLAIN
};

fn validate_class(class: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let provisioner = class.text("provisioner");
    if provisioner.is_empty() {
        errors.push(FieldError::required("provisioner", ""));
    }
    for fault in names::qualified_name(&provisioner.to_lowercase()).into_iter().filter(|_| !provisioner.is_empty()) {
        errors.push(FieldError::invalid("provisioner", provisioner, fault));
    }
    let policy = class.text("reclaimPolicy");
    if !["Delete", "Retain"].contains(&policy) {
        errors.push(FieldError::not_supported("reclaimPolicy", policy, &["Delete", "Retain"]));
    }
    let mode = class.text("volumeBindingMode");
    let modes = ["Immediate", "WaitForFirstConsumer"];
    if !modes.contains(&mode) {
        errors.push(FieldError::not_supported("volumeBindingMode", mode, &modes));
    }
    errors
}

const CSI_DRIVER: Strategy = Strategy {
    defaults: |driver, _| {
        fill(
            driver,
            &[
                ("spec.attachRequired", Flag(true)),
                ("spec.podInfoOnMount", Flag(false)),
                ("spec.storageCapacity", Flag(false)),
                ("spec.fsGroupPolicy", Text("ReadWriteOnceWithFSType")),
                ("spec.requiresRepublish", Flag(false)),
                ("spec.seLinuxMount", Flag(false)),
                ("spec.preventPodSchedulingIfMissing", Flag(false)),
            ],
        );
        if driver.items("spec.volumeLifecycleModes").is_empty() {
            put(driver, "spec.volumeLifecycleModes", serde_json::json!(["Persistent"]));
        }
    },
    validate: |driver, _| {
        let modes = ["Ephemeral", "Persistent"];
        let wrong = driver
            .items("spec.volumeLifecycleModes")
            .iter()
            .filter(|mode| !modes.contains(&mode.as_str().unwrap_or("")));
        wrong.map(|mode| FieldError::not_supported("spec.volumeLifecycleModes", mode.clone(), &modes)).collect()
    },
    validate_update: |new, old, _| {
        let mut errors = Vec::new();
        if new.at("spec.attachRequired") != old.at("spec.attachRequired") {
            let shown = new.at("spec.attachRequired").clone();
            errors.push(FieldError::invalid("spec.attachedRequired", shown, "field is immutable"));
        }
        errors.extend(immutable(new, old, "spec.volumeLifecycleModes"));
        errors
    },
    unconditional_update: false,
    ..Strategy::PLAIN
};

const CSI_NODE: Strategy = Strategy {
    validate: |node, _| {
        let mut errors = Vec::new();
        for (index, driver) in node.items("spec.drivers").iter().enumerate() {
            for field in ["name", "nodeID"] {
                if driver.text(field).is_empty() {
                    errors.push(FieldError::required(format!("spec.drivers[{index}].{field}"), ""));
                }
            }
        }
        errors
    },
    unconditional_update: false,
    ..Strategy::WITH_STATUS
};

const CAPACITY: Strategy = Strategy {
    validate: |capacity, _| {
        let mut errors = Vec::new();
        if capacity.text("storageClassName").is_empty() {
            errors.push(FieldError::required("storageClassName", ""));
        }
        if capacity.has("nodeTopology") {
            errors.extend(selectors::validate(capacity.at("nodeTopology"), "nodeTopology"));
        }
        errors
    },
    validate_update: |new, old, _| {
        ["nodeTopology", "storageClassName"].into_iter().filter_map(|field| immutable(new, old, field)).collect()
    },
    unconditional_update: false,
    ..Strategy::PLAIN
};

const ATTACHMENT: Strategy = Strategy {
    prepare_create: |attachment, _| {
        put(attachment, "status", serde_json::json!({"attached": false}));
    },
    prepare_update: |new, old, _| copy(new, old, "status"),
    validate: |attachment, _| {
        let mut errors = Vec::new();
        for field in ["attacher", "nodeName"] {
            if attachment.at("spec").text(field).is_empty() {
                errors.push(FieldError::required(format!("spec.{field}"), ""));
            }
        }
        let source = attachment.at("spec.source");
        match (source.has("persistentVolumeName"), source.has("inlineVolumeSpec")) {
            (false, false) => errors.push(FieldError::required(
                "spec.source",
                "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
            )),
            (true, true) => errors.push(FieldError::forbidden(
                "spec.source",
                "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
            )),
            _ => {}
        }
        errors
    },
    validate_update: |new, old, _| immutable(new, old, "spec").into_iter().collect(),
    unconditional_update: false,
    ..Strategy::WITH_STATUS
};

const ATTRIBUTES_CLASS: Strategy = Strategy {
    validate: |class, _| {
        let mut errors = Vec::new();
        if class.text("driverName").is_empty() {
            errors.push(FieldError::required("driverName", ""));
        }
        if class.entries("parameters").is_empty() {
            errors.push(FieldError::required("parameters", "must contain at least one key/value pair"));
        }
        errors
    },
    validate_update: |new, old, _| {
        let mut errors = Vec::new();
        for field in ["driverName", "parameters"] {
            if new.at(field) != old.at(field) {
                errors.push(FieldError::forbidden(field, format!("updates to {field} are forbidden.")));
            }
        }
        errors
    },
    ..Strategy::PLAIN
};
