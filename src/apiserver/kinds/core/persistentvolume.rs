//! PersistentVolume: a piece of storage, made before or for a claim.

use serde_json::{Value, json};

use super::pod::defaults::VOLUME_SOURCE;
use super::pod::spec::supported;
use super::pod::volumes::long_initiator;
use super::pod::warnings::node_selector_term;
use super::pod::{scheduling, seconds, volume_sources};
use super::resources;
use crate::api::go_values::{Part, difference};
use crate::apiserver::kinds::json::Fill::{Choice, Text};
use crate::apiserver::kinds::json::{Json, copy, drop_at, fill, put};
use crate::apiserver::kinds::{Context, FieldError, Strategy, Subresource, check, names};

/// Of PersistentVolumes.
pub const STRATEGY: Strategy = Strategy {
    defaults: |volume, _| {
        fill(
            volume,
            &[("spec.persistentVolumeReclaimPolicy", Text("Retain")), ("spec.volumeMode", Choice("Filesystem"))],
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
    warnings: |volume, _| warnings(volume),
    subresources: &[Subresource { name: "status", prepare: prepare_status, validate: |_, _, _| Vec::new() }],
    whole_again: true,
    ..Strategy::PLAIN
};

fn warnings(volume: &Value) -> Vec<String> {
    const OLD: &[(&str, &str, &str)] = &[
        ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
        ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
        ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ];
    let spec = volume.at("spec");
    let mut warnings = Vec::new();
    if spec.text("persistentVolumeReclaimPolicy") == "Recycle" {
        let text = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.";
        warnings.push(format!("spec.persistentVolumeReclaimPolicy: {text}"));
    }
    for (index, term) in spec.items("nodeAffinity.required.nodeSelectorTerms").iter().enumerate() {
        let path = format!("spec.nodeAffinity.required.nodeSelectorTerms[{index}]");
        warnings.extend(node_selector_term(term, &path, false));
    }
    let old = OLD.iter().filter(|(field, ..)| spec.has(field));
    warnings.extend(old.map(|(_, spelled, text)| format!("spec.{spelled}: {text}")));
    warnings
}

fn prepare_status(new: &mut Value, old: &Value, context: &Context) {
    copy(new, old, "spec");
    const SINCE: &str = "status.lastPhaseTransitionTime";
    let moved = new.text("status.phase") != old.text("status.phase");
    if moved && (!new.has(SINCE) || new.at(SINCE) == old.at(SINCE)) {
        put(new, SINCE, seconds(context.now));
    } else if !moved && !new.has(SINCE) {
        copy(new, old, SINCE);
    }
}

/// Every source, in the order they are looked at: its field, how errors spell it, where errors in it are.
const SOURCES: &[(&str, &str, &str)] = &[
    ("hostPath", "hostPath", "hostPath"),
    ("gcePersistentDisk", "gcePersistentDisk", "persistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore", "awsElasticBlockStore"),
    ("glusterfs", "glusterfs", "glusterfs"),
    ("flocker", "flocker", "flocker"),
    ("nfs", "nfs", "nfs"),
    ("rbd", "rbd", "rbd"),
    ("quobyte", "quobyte", "quobyte"),
    ("cephfs", "cephFS", "cephfs"),
    ("iscsi", "iscsi", "iscsi"),
    ("cinder", "cinder", "cinder"),
    ("fc", "fc", "fc"),
    ("flexVolume", "flexVolume", "flexVolume"),
    ("azureFile", "azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk", "azureDisk"),
    ("scaleIO", "scaleIO", "scaleIO"),
    ("local", "local", "local"),
    ("storageos", "storageos", "storageos"),
    ("csi", "csi", "csi"),
];

/// The access modes there are.
pub const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

fn sources(volume: &Value) -> Vec<(&'static str, &Value)> {
    let spec = volume.at("spec");
    SOURCES.iter().filter(|(field, ..)| spec.has(field)).map(|(field, ..)| (*field, spec.at(field))).collect()
}

fn validate(volume: &Value) -> Vec<FieldError> {
    let spec = volume.at("spec");
    let mut errors = access_modes(spec, "spec", "");
    errors.extend(capacity(volume));
    errors.extend(supported(spec, "persistentVolumeReclaimPolicy", "spec", &["Delete", "Recycle", "Retain"]));
    if spec.has("nodeAffinity") {
        let at = "spec.nodeAffinity.required";
        if spec.has("nodeAffinity.required") {
            errors.extend(scheduling::node_selector(spec.at("nodeAffinity.required"), at));
        } else {
            errors.push(FieldError::required(at, "must specify required node constraints"));
        }
    }
    errors.extend(source(volume));
    let root = spec.text("hostPath.path").split('/').all(|part| part.is_empty() || part == ".");
    let recycled = spec.text("persistentVolumeReclaimPolicy") == "Recycle";
    if spec.has("hostPath") && spec.text("hostPath.path").starts_with('/') && root && recycled {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden("spec.persistentVolumeReclaimPolicy", detail));
    }
    let class = spec.text("storageClassName");
    if !class.is_empty() {
        errors.extend(check::faults("spec.storageClassName", class, names::dns_subdomain(class)));
    }
    errors.extend(supported(spec, "volumeMode", "spec", &["Block", "Filesystem"]));
    errors.extend(attributes_class(spec));
    errors
}

/// What is wrong with a volume that is part of another object, at `path`.
pub fn validate_inline(inline: &Value, path: &str) -> Vec<FieldError> {
    const CONTEXT: &str = "in the context of inline volumes";
    let volume = json!({"spec": inline});
    let spec = volume.at("spec");
    let mut errors = Vec::new();
    let forbid =
        |field: &str| FieldError::forbidden(format!("spec.{field}"), format!("may not be specified {CONTEXT}"));
    errors.extend(["claimRef", "capacity"].into_iter().filter(|field| spec.has(field)).map(forbid));
    if !spec.has("csi") {
        errors.push(FieldError::required("spec.csi", format!("has to be specified {CONTEXT}")));
    }
    errors.extend(access_modes(spec, "spec", ""));
    let only = |field: &str, value: &str, detail: String| {
        let other = !spec.text(field).is_empty() && spec.text(field) != value;
        other.then(|| FieldError::forbidden(format!("spec.{field}"), detail))
    };
    errors.extend(only("persistentVolumeReclaimPolicy", "Retain", format!("may only be Retain {CONTEXT}")));
    errors.extend(["nodeAffinity"].into_iter().filter(|field| spec.has(field)).map(forbid));
    errors.extend(source(&volume));
    errors.extend(["storageClassName"].into_iter().filter(|field| !spec.text(field).is_empty()).map(forbid));
    let detail = format!("may not specify volumeMode other than Filesystem {CONTEXT}");
    errors.extend(only("volumeMode", "Filesystem", detail));
    let moved = |fault: FieldError| FieldError { field: fault.field.replacen("spec", path, 1), ..fault };
    errors.into_iter().map(moved).collect()
}

fn attributes_class(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if spec.has("volumeAttributesClassName") {
        let (name, at) = (spec.text("volumeAttributesClassName"), "spec.volumeAttributesClassName");
        if name.is_empty() {
            errors.push(FieldError::required(at, "an empty string is disallowed"));
        } else {
            errors.extend(check::faults(at, name, names::dns_subdomain(name)));
        }
        if !spec.has("csi") {
            errors.push(FieldError::required("spec.csi", "has to be specified when using volumeAttributesClassName"));
        }
    }
    errors
}

fn capacity(volume: &Value) -> Vec<FieldError> {
    let capacity = volume.entries("spec.capacity");
    let mut errors = Vec::new();
    if capacity.is_empty() {
        errors.push(FieldError::required("spec.capacity", ""));
    }
    if capacity.len() != 1 || capacity[0].0 != "storage" {
        let shown = volume.at("spec.capacity").clone();
        errors.push(FieldError::not_supported("spec.capacity", shown, &["storage"]));
    }
    for (name, amount) in capacity {
        let path = format!("spec.capacity[{name}]");
        let Some(size) = resources::quantity(amount) else { continue };
        if size.value() < 0 {
            errors.push(FieldError::invalid(path.as_str(), size.value(), "must be a valid resource quantity"));
        }
        if size.signum() <= 0 {
            errors.push(FieldError::invalid(path, size.to_string(), "must be greater than zero"));
        }
    }
    errors
}

fn source(volume: &Value) -> Vec<FieldError> {
    let spec = volume.at("spec");
    let mut errors = Vec::new();
    let mut count = 0;
    for (field, spelled, place) in SOURCES.iter().filter(|(field, ..)| spec.has(field)) {
        count += 1;
        let source = spec.at(field);
        let path = format!("spec.{place}");
        if count > 1 && *field != "flexVolume" {
            errors.push(FieldError::forbidden(format!("spec.{spelled}"), "may not specify more than 1 volume type"));
            continue;
        }
        errors.extend(volume_sources::validate(field, source, &path));
        match *field {
            "local" if !spec.has("nodeAffinity.required") => {
                errors.push(FieldError::required("spec.nodeAffinity", "Local volume requires node affinity"));
            }
            "iscsi" => {
                let (name, portal) = (volume.text("metadata.name"), source.text("targetPortal"));
                errors.extend(long_initiator(name, source, &format!("{path}.targetportal"), portal));
                if source.has("secretRef") {
                    errors.extend(check::required(source, &["secretRef.name"], &path));
                }
            }
            "cinder" | "storageos" if source.has("secretRef") => {
                errors.extend(check::required(source, &["secretRef.namespace"], &path));
            }
            "azureFile" if source.has("secretNamespace") => {
                errors.extend(check::required(source, &["secretNamespace"], &path));
            }
            "glusterfs" if source.has("endpointsNamespace") => {
                let (name, at) = (source.text("endpointsNamespace"), format!("{path}.endpointsNamespace"));
                if name.is_empty() {
                    let detail = "if the endpointnamespace is set, it must be a valid namespace name";
                    errors.push(FieldError::invalid(at, name, detail));
                } else {
                    errors.extend(check::faults(at, name, names::dns_label(name)));
                }
            }
            "csi" => errors.extend(csi(source, &path)),
            _ => {}
        }
    }
    if count == 0 {
        errors.push(FieldError::required("spec", "must specify a volume type"));
    }
    errors
}

fn csi(source: &Value, path: &str) -> Vec<FieldError> {
    const SECRETS: [&str; 4] =
        ["controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"];
    let mut errors = volume_sources::csi_driver_name(source.text("driver"), &format!("{path}.driver"));
    errors.extend(check::required(source, &["volumeHandle"], path));
    for field in SECRETS.into_iter().filter(|field| source.has(field)) {
        let (secret, at) = (source.at(field), format!("{path}.{field}"));
        errors.extend(check::required(secret, &["name", "namespace"], &at));
        let (name, namespace) = (secret.text("name"), secret.text("namespace"));
        if !name.is_empty() {
            errors.extend(check::faults(format!("{at}.name"), name, names::dns_subdomain(name)));
        }
        if !namespace.is_empty() {
            errors.extend(check::faults(format!("{at}.namespace"), namespace, names::dns_label(namespace)));
        }
    }
    errors
}

/// What is wrong with `accessModes`, of a volume or a claim; `missing` is said when there is none.
pub fn access_modes(spec: &Value, path: &str, missing: &str) -> Vec<FieldError> {
    let modes = spec.items("accessModes");
    let at = format!("{path}.accessModes");
    if modes.is_empty() {
        return vec![FieldError::required(at, missing)];
    }
    let mut errors = Vec::new();
    for mode in modes {
        if !ACCESS_MODES.contains(&mode.as_str().unwrap_or("")) {
            errors.push(FieldError::not_supported(at.clone(), mode.clone(), ACCESS_MODES));
        }
    }
    let known = |mode: &&Value| mode.as_str().is_some_and(|mode| ACCESS_MODES.contains(&mode));
    let (alone, shared): (Vec<&Value>, _) = modes.iter().filter(known).partition(|mode| *mode == "ReadWriteOncePod");
    if !alone.is_empty() && !shared.is_empty() {
        errors.push(FieldError::forbidden(at, "may not use ReadWriteOncePod with other access modes"));
    }
    errors
}

fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate(new);
    let mut allowed = new.clone();
    if old.has("spec.csi") && !old.has("spec.csi.controllerExpandSecretRef") && new.has("spec.csi") {
        drop_at(&mut allowed, "spec.csi.controllerExpandSecretRef");
    }
    if sources(&allowed) != sources(old) {
        let part = Part::Fields(&|name| SOURCES.iter().any(|(field, ..)| *field == name));
        let change = difference("io.k8s.api.core.v1.PersistentVolumeSpec", &part, old.at("spec"), allowed.at("spec"));
        errors.push(FieldError::forbidden(
            "spec.persistentvolumesource",
            format!("spec.persistentvolumesource is immutable after creation\n{change}"),
        ));
    }
    // Errors about these two name no parent.
    for field in ["volumeMode", "nodeAffinity"] {
        let path = format!("spec.{field}");
        if new.at(&path) != old.at(&path) && (field == "volumeMode" || old.has(&path)) {
            let detail = match field {
                "nodeAffinity" => "field is immutable, except for updating from beta label to GA",
                _ => "field is immutable",
            };
            errors.push(FieldError::invalid(field, new.at(&path).clone(), detail));
        }
    }
    if old.has("spec.volumeAttributesClassName") && !new.has("spec.volumeAttributesClassName") {
        let detail = "update from non-nil value to nil is forbidden";
        errors.push(FieldError::forbidden("spec.volumeAttributesClassName", detail));
    }
    errors
}
