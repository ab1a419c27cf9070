//! The `storage.k8s.io` group: classes of storage, drivers, attachments. Small kinds, one file.

use serde_json::Value;

use super::core::persistentvolume;
use super::core::pod::volume_sources::csi_driver_name;
use super::core::resources::quantity;
use super::json::Fill::{Choice, Flag};
use super::json::{Json, copy, drop_at, fill, put};
use super::metadata::{declared_immutable, immutable};
use super::{FieldError, Strategy, Subresource, check, lifecycle, names, selectors};
use crate::api::go_values::value_of;
use crate::api::meta;

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
        fill(class, &[("reclaimPolicy", Choice("Delete")), ("volumeBindingMode", Choice("Immediate"))]);
    },
    validate: |class, _| validate_class(class),
    validate_update: |new, old, _| {
        let fields = ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"];
        let mut errors = validate_class(new);
        errors.extend(fields.into_iter().filter_map(|field| declared_immutable(new, old, field)));
        errors
    },
    whole_again: true,
    ..Strategy::PLAIN
};

fn validate_class(class: &Value) -> Vec<FieldError> {
    let provisioner = class.text("provisioner");
    let mut errors = Vec::new();
    if provisioner.is_empty() {
        errors.push(FieldError::required("provisioner", ""));
    } else {
        let lower = provisioner.to_lowercase();
        errors.extend(check::faults("provisioner", &lower, names::qualified_name(&lower)));
    }
    errors.extend(parameters(class, "parameters"));
    let policy = class.text("reclaimPolicy");
    if !policy.is_empty() && !["Delete", "Retain"].contains(&policy) {
        errors.push(FieldError::not_supported("reclaimPolicy", policy, &["Delete", "Retain"]));
    }
    let mode = class.text("volumeBindingMode");
    let modes = ["Immediate", "WaitForFirstConsumer"];
    if !modes.contains(&mode) {
        errors.push(FieldError::not_supported("volumeBindingMode", mode, &modes));
    }
    errors.extend(topologies(class.items("allowedTopologies")));
    errors
}

fn parameters(class: &Value, path: &str) -> Vec<FieldError> {
    let entries = class.entries(path);
    let mut errors = Vec::new();
    if entries.len() > 512 {
        errors.push(FieldError::too_long(path, 512));
    }
    let bytes: usize = entries.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    errors.extend(
        entries
            .iter()
            .filter(|(key, _)| key.is_empty())
            .map(|(key, _)| FieldError::invalid(path, *key, "field can not be empty.")),
    );
    if bytes > 256 * 1024 {
        errors.push(FieldError::too_long(path, 256 * 1024));
    }
    errors
}

fn topologies(list: &[Value]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, term) in list.iter().enumerate() {
        let path = format!("allowedTopologies[{index}].matchLabelExpressions");
        let rules = term.items("matchLabelExpressions");
        for (at, rule) in rules.iter().enumerate() {
            let here = format!("{path}[{at}]");
            let (key, values) = (rule.text("key"), rule.items("values"));
            if values.is_empty() {
                errors.push(FieldError::required(format!("{here}.values"), ""));
            }
            for (place, value) in values.iter().enumerate().filter(|(place, value)| values[..*place].contains(value)) {
                errors.push(FieldError::duplicate(format!("{here}.values[{place}]"), value.clone()));
            }
            errors.extend(check::faults(format!("{here}.key"), key, names::qualified_name(key)));
            if rules[..at].iter().any(|other| other.text("key") == key) {
                errors.push(FieldError::duplicate(format!("{here}.key"), key));
            }
        }
        // A term is compared with what is kept for every place, and later places are kept empty.
        let same = list[..index].iter().filter(|other| *other == term).count();
        let later = if rules.is_empty() { list.len() - index } else { 0 };
        errors.extend((0..same + later).map(|_| FieldError::duplicate(path.as_str(), "")));
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
                ("spec.fsGroupPolicy", Choice("ReadWriteOnceWithFSType")),
                ("spec.requiresRepublish", Flag(false)),
                ("spec.seLinuxMount", Flag(false)),
                ("spec.preventPodSchedulingIfMissing", Flag(false)),
            ],
        );
        if driver.items("spec.volumeLifecycleModes").is_empty() {
            put(driver, "spec.volumeLifecycleModes", serde_json::json!(["Persistent"]));
        }
    },
    prepare_update: |new, old, _| {
        if new.at("spec") != old.at("spec") {
            meta::set_generation(new, meta::generation(old) + 1);
        }
    },
    warnings: |driver, old| {
        let same = old.is_some_and(|old| old.at("spec.tokenRequests") == driver.at("spec.tokenRequests"));
        let unset =
            !same && !driver.items("spec.tokenRequests").is_empty() && !driver.has("spec.serviceAccountTokenInSecrets");
        let text = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent \
                    possible logging of tokens in volume attributes";
        unset.then(|| text.to_owned()).into_iter().collect()
    },
    validate: |driver, _| validate_driver(driver),
    validate_update: |new, old, _| {
        let mut errors = Vec::new();
        if new.at("spec.attachRequired") != old.at("spec.attachRequired") {
            let shown = new.at("spec.attachRequired").clone();
            errors.push(FieldError::invalid("spec.attachedRequired", shown, "field is immutable"));
        }
        errors.extend(immutable(new, old, "spec.volumeLifecycleModes"));
        errors.extend(validate_driver(new));
        errors
    },
    unconditional_update: false,
    ..Strategy::PLAIN
};

fn validate_driver(driver: &Value) -> Vec<FieldError> {
    let mut errors = token_requests(driver);
    let modes = ["Persistent", "Ephemeral"];
    for mode in driver.items("spec.volumeLifecycleModes") {
        if !modes.contains(&mode.as_str().unwrap_or("")) {
            errors.push(FieldError::not_supported("spec.volumeLifecycleModes", mode.clone(), &modes));
        }
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    let policy = driver.text("spec.fsGroupPolicy");
    if driver.has("spec.fsGroupPolicy") && !policies.contains(&policy) {
        errors.push(FieldError::not_supported("spec.fsGroupPolicy", policy, &policies));
    }
    let period = "spec.nodeAllocatableUpdatePeriodSeconds";
    if let Some(seconds) = driver.int(period).filter(|seconds| *seconds < 10) {
        errors.push(FieldError::invalid(period, seconds, "must be greater than or equal to 10 seconds"));
    }
    let secrets = "spec.serviceAccountTokenInSecrets";
    if driver.has(secrets) && driver.items("spec.tokenRequests").is_empty() {
        let detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        errors.push(FieldError::invalid(secrets, driver.at(secrets).clone(), detail));
    }
    errors
}

fn token_requests(driver: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = driver.items("spec.tokenRequests");
    for (index, request) in list.iter().enumerate() {
        let path = format!("spec.tokenRequests[{index}]");
        let audience = request.text("audience");
        if list[..index].iter().any(|other| other.text("audience") == audience) {
            errors.push(FieldError::duplicate(format!("{path}.audience"), audience));
            continue;
        }
        let Some(seconds) = request.int("expirationSeconds") else { continue };
        let at = format!("{path}.expirationSeconds");
        if seconds < 600 {
            errors.push(FieldError::invalid(at, seconds, "may not specify a duration less than 10 minutes"));
        } else if seconds > 1 << 32 {
            errors.push(FieldError::invalid(at, seconds, "may not specify a duration larger than 2^32 seconds"));
        }
    }
    errors
}

const CSI_NODE: Strategy = Strategy {
    validate: |node, _| validate_node(node),
    validate_update: |new, old, _| {
        let mut errors = Vec::new();
        // A driver that stays is what it was, but for how much it can take.
        for driver in old.items("spec.drivers") {
            let same = |other: &&Value| other.text("name") == driver.text("name");
            let Some(now) = new.items("spec.drivers").iter().find(same) else { continue };
            if ["nodeID", "topologyKeys"].iter().any(|field| now.at(field) != driver.at(field)) {
                let shown = value_of("io.k8s.api.storage.v1.CSINodeDriver", now).unwrap_or_default();
                errors.push(FieldError::invalid_raw("spec.drivers", shown, "field is immutable"));
            }
        }
        errors.extend(validate_node(new));
        errors
    },
    subresources: &[Subresource {
        prepare: |new, old, context| {
            lifecycle::only_status(new, old, context);
            // The feature is off: what is not there yet stays away.
            if old.items("status.storageHealth").is_empty() {
                drop_at(new, "status.storageHealth");
            }
        },
        ..lifecycle::STATUS
    }],
    unconditional_update: false,
    whole_again: true,
    ..Strategy::WITH_STATUS
};

fn validate_node(node: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = node.items("spec.drivers");
    for (index, driver) in list.iter().enumerate() {
        let path = format!("spec.drivers[{index}]");
        errors.extend(csi_driver_name(driver.text("name"), &format!("{path}.name")));
        errors.extend(check::required(driver, &["nodeID"], &path));
        if list[..index].iter().any(|other| other.text("name") == driver.text("name")) {
            errors.push(FieldError::duplicate(format!("{path}.name"), driver.text("name")));
        }
        if let Some(count) = driver.int("allocatable.count").filter(|count| *count < 0) {
            let detail = "must be greater than or equal to 0";
            errors.push(FieldError::invalid(format!("{path}.allocatable.count"), count, detail));
        }
        let keys = driver.items("topologyKeys");
        for (place, key) in keys.iter().enumerate() {
            // Errors about a key name the driver.
            let text = key.as_str().unwrap_or("");
            if text.is_empty() {
                errors.push(FieldError::required(path.as_str(), ""));
            }
            if keys[..place].contains(key) {
                errors.push(FieldError::duplicate(path.as_str(), text));
            }
            errors.extend(check::faults(path.as_str(), text, names::qualified_name(text)));
        }
    }
    errors
}

const CAPACITY: Strategy = Strategy {
    validate: |capacity, _| validate_capacity(capacity),
    validate_update: |new, old, _| {
        let mut errors = validate_capacity(new);
        let fixed = ["nodeTopology", "storageClassName"];
        errors.extend(fixed.into_iter().filter_map(|field| immutable(new, old, field)));
        errors
    },
    unconditional_update: false,
    whole_again: true,
    ..Strategy::PLAIN
};

fn validate_capacity(capacity: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let class = capacity.text("storageClassName");
    errors.extend(check::faults("storageClassName", class, names::dns_subdomain(class)));
    if let Some(amount) = quantity(capacity.at("capacity")).filter(|amount| amount.signum() < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("capacity", amount.to_string(), detail));
    }
    if capacity.has("nodeTopology") {
        errors.extend(selectors::validate(capacity.at("nodeTopology"), "nodeTopology"));
    }
    errors
}

const ATTACHMENT: Strategy = Strategy {
    prepare_create: |attachment, _| {
        put(attachment, "status", serde_json::json!({"attached": false}));
    },
    prepare_update: |new, old, _| copy(new, old, "status"),
    validate: |attachment, _| {
        let mut errors = attacher(attachment.text("spec.attacher"));
        errors.extend(validate_attachment(attachment));
        errors
    },
    validate_update: |new, old, _| {
        // A change is judged by the older rule alone, in its words.
        let mut errors = csi_driver_name(new.text("spec.attacher"), "spec.attacher");
        errors.extend(validate_attachment(new));
        errors.extend(declared_immutable(new, old, "spec"));
        errors
    },
    unconditional_update: false,
    whole_again: true,
    ..Strategy::WITH_STATUS
};

fn attacher(name: &str) -> Vec<FieldError> {
    let path = "spec.attacher";
    if name.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let mut errors = Vec::new();
    if name.len() > 63 {
        errors.push(FieldError::too_long_text(path, 63));
    }
    errors.extend(check::faults(path, name, names::dns_subdomain_caseless(name)));
    errors
}

fn validate_attachment(attachment: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let node = attachment.text("spec.nodeName");
    errors.extend(check::faults("spec.nodeName", node, names::dns_subdomain(node)));
    let volume = "spec.source.persistentVolumeName";
    if attachment.has(volume) {
        let name = attachment.text(volume);
        errors.extend(check::faults(volume, name, names::dns_subdomain(name)));
        if name.is_empty() && !attachment.has("spec.source.inlineVolumeSpec") {
            errors.push(FieldError::required(volume, "must specify non empty persistentVolumeName"));
        }
    }
    let source = attachment.at("spec.source");
    if source.has("inlineVolumeSpec") && !source.has("persistentVolumeName") {
        let path = "spec.source.inlineVolumeSpec";
        errors.extend(persistentvolume::validate_inline(source.at("inlineVolumeSpec"), path));
    }
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
}

const ATTRIBUTES_CLASS: Strategy = Strategy {
    validate: |class, _| attributes(class),
    validate_update: |new, old, _| {
        let mut errors = Vec::new();
        for field in ["driverName", "parameters"] {
            if new.at(field) != old.at(field) {
                errors.push(FieldError::forbidden(field, format!("updates to {field} are forbidden.")));
            }
        }
        errors.extend(attributes(new));
        errors
    },
    whole_again: true,
    ..Strategy::PLAIN
};

/// A driver, and at least one parameter for it.
fn attributes(class: &Value) -> Vec<FieldError> {
    let driver = class.text("driverName");
    let mut errors = Vec::new();
    if driver.is_empty() {
        errors.push(FieldError::required("driverName", ""));
    } else {
        let lower = driver.to_lowercase();
        errors.extend(check::faults("driverName", &lower, names::qualified_name(&lower)));
    }
    errors.extend(parameters(class, "parameters"));
    if class.entries("parameters").is_empty() {
        errors.push(FieldError::required("parameters", "must contain at least one key/value pair"));
    }
    errors
}
