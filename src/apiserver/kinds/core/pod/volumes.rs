//! Validation of a Pod's volumes and of the sources that PersistentVolumes share with them.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`.

use std::collections::HashSet;

use serde_json::Value;

use super::containers::descending_path;
use super::environment::{field_ref, resource_field_ref};
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, names};

const VOLUME_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// What is wrong with `spec.volumes`.
pub fn validate(volumes: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = volume.text("name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else {
            let faults = names::dns_label(name);
            errors.extend(faults.into_iter().map(|fault| FieldError::invalid(format!("{path}.name"), name, fault)));
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
        errors.extend(sources(volume, &path));
    }
    errors
}

fn sources(volume: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut count = 0;
    for (kind, source) in volume.as_object().into_iter().flatten() {
        if kind == "name" || source.is_null() {
            continue;
        }
        count += 1;
        let path = format!("{path}.{kind}");
        if count > 1 {
            errors.push(FieldError::forbidden(path, "may not specify more than 1 volume type"));
            continue;
        }
        errors.extend(source_of(kind, source, &path));
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
    errors
}

/// Fields that a source of this kind must have, as text.
const REQUIRED_TEXT: &[(&str, &[&str])] = &[
    ("nfs", &["server", "path"]),
    ("secret", &["secretName"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("configMap", &["name"]),
    ("glusterfs", &["endpoints", "path"]),
    ("csi", &["driver"]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("gcePersistentDisk", &["pdName"]),
    ("cinder", &["volumeID"]),
    ("vsphereVolume", &["volumePath"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("quobyte", &["registry", "volume"]),
    ("portworxVolume", &["volumeID"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("rbd", &["image"]),
    ("image", &["reference"]),
    ("hostPath", &["path"]),
    ("local", &["path"]),
];

/// What is wrong with one source, of a Pod or of a PersistentVolume.
pub fn source_of(kind: &str, source: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let required = REQUIRED_TEXT.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, fields)| *fields);
    for field in required {
        if source.text(field).is_empty() {
            errors.push(FieldError::required(format!("{path}.{field}"), ""));
        }
    }
    match kind {
        "hostPath" => errors.extend(host_path(source, path)),
        "nfs" if !source.text("path").is_empty() && !source.text("path").starts_with('/') => {
            errors.push(FieldError::invalid(format!("{path}.path"), source.text("path"), "must be an absolute path"));
        }
        "secret" | "configMap" => {
            errors.extend(mode(source, "defaultMode", path));
            errors.extend(items(source.items("items"), &format!("{path}.items")));
        }
        "downwardAPI" => {
            errors.extend(mode(source, "defaultMode", path));
            errors.extend(downward_items(source.items("items"), &format!("{path}.items")));
        }
        "projected" => {
            errors.extend(mode(source, "defaultMode", path));
            errors.extend(projections(source.items("sources"), &format!("{path}.sources")));
        }
        "emptyDir" => errors.extend(empty_dir(source, path)),
        "ephemeral" => errors.extend(ephemeral(source, path)),
        "image" => {
            errors.extend(super::spec::supported(source, "pullPolicy", path, &["Always", "IfNotPresent", "Never"]));
        }
        _ => {}
    }
    errors
}

fn host_path(source: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let host = source.text("path");
    if !names::no_backsteps(host) {
        errors.push(FieldError::invalid(format!("{path}.path"), host, "must not contain '..'"));
    }
    let kinds = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let kind = source.text("type");
    if !kinds.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{path}.type"), kind, &kinds));
    }
    errors
}

fn empty_dir(source: &Value, path: &str) -> Vec<FieldError> {
    let limit = crate::apiserver::kinds::core::resources::quantity(source.at("sizeLimit"));
    if limit.is_some_and(|limit| limit.signum() < 0) {
        return vec![FieldError::forbidden(
            format!("{path}.sizeLimit"),
            "SizeLimit field must be a valid resource quantity",
        )];
    }
    Vec::new()
}

fn ephemeral(source: &Value, path: &str) -> Vec<FieldError> {
    if !source.has("volumeClaimTemplate") {
        return vec![FieldError::required(format!("{path}.volumeClaimTemplate"), "")];
    }
    crate::apiserver::kinds::core::persistentvolumeclaim::validate_spec(
        source.at("volumeClaimTemplate.spec"),
        &format!("{path}.volumeClaimTemplate.spec"),
    )
}

fn mode(source: &Value, field: &str, path: &str) -> Vec<FieldError> {
    match source.int(field) {
        Some(bits) if !(0..=0o777).contains(&bits) => vec![FieldError::invalid(
            format!("{path}.{field}"),
            bits,
            "must be a number between 0 and 0777 (octal), both inclusive",
        )],
        _ => Vec::new(),
    }
}

fn items(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if item.text("key").is_empty() {
            errors.push(FieldError::required(format!("{path}.key"), ""));
        }
        errors.extend(file_path(item.text("path"), &format!("{path}.path")));
        errors.extend(mode(item, "mode", &path));
    }
    errors
}

/// A relative path that does not begin with `..`.
fn file_path(path: &str, at: &str) -> Vec<FieldError> {
    if path.is_empty() {
        return vec![FieldError::required(at, "")];
    }
    let mut errors = descending_path(path, at);
    if path.starts_with("..") && !path.starts_with("../") && path != ".." {
        errors.push(FieldError::invalid(at, path, "must not start with '..'"));
    }
    errors
}

fn downward_items(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        errors.extend(file_path(item.text("path"), &format!("{path}.path")));
        match (item.has("fieldRef"), item.has("resourceFieldRef")) {
            (true, true) => {
                errors.push(FieldError::invalid(
                    path.clone(),
                    "resource",
                    "fieldRef and resourceFieldRef can not be specified simultaneously",
                ));
            }
            (true, false) => {
                errors.extend(field_ref(item.at("fieldRef"), &format!("{path}.fieldRef"), VOLUME_FIELDS));
            }
            (false, true) => {
                errors.extend(resource_field_ref(
                    item.at("resourceFieldRef"),
                    &format!("{path}.resourceFieldRef"),
                    true,
                ));
            }
            (false, false) => {
                errors.push(FieldError::required(path.clone(), "one of fieldRef and resourceFieldRef is required"));
            }
        }
        errors.extend(mode(item, "mode", &path));
    }
    errors
}

fn projections(list: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut paths = HashSet::new();
    for (index, source) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let mut count = 0;
        for kind in
            ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"]
        {
            if !source.has(kind) {
                continue;
            }
            count += 1;
            let at = format!("{path}.{kind}");
            if count > 1 {
                errors.push(FieldError::forbidden(at, "may not specify more than 1 volume type"));
                continue;
            }
            errors.extend(projection(kind, source.at(kind), &at, &mut paths));
        }
        if count == 0 {
            errors.push(FieldError::required(path, "must specify a projected volume type"));
        }
    }
    errors
}

fn projection(kind: &str, source: &Value, path: &str, paths: &mut HashSet<String>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match kind {
        "secret" | "configMap" => {
            if source.text("name").is_empty() {
                errors.push(FieldError::required(format!("{path}.name"), ""));
            }
            errors.extend(items(source.items("items"), &format!("{path}.items")));
        }
        "downwardAPI" => errors.extend(downward_items(source.items("items"), &format!("{path}.items"))),
        "serviceAccountToken" => {
            let seconds = source.int("expirationSeconds").unwrap_or(3600);
            let at = format!("{path}.expirationSeconds");
            if seconds < 600 {
                errors.push(FieldError::invalid(at, seconds, "may not specify a duration less than 10 minutes"));
            } else if seconds > 1 << 32 {
                errors.push(FieldError::invalid(at, seconds, "may not specify a duration larger than 2^32 seconds"));
            }
            if source.text("path").is_empty() {
                errors.push(FieldError::required(format!("{path}.path"), ""));
            } else {
                errors.extend(file_path(source.text("path"), &format!("{path}.path")));
            }
        }
        _ => {}
    }
    let own: Vec<&str> = match kind {
        "serviceAccountToken" => vec![source.text("path")],
        _ => source.items("items").iter().map(|item| item.text("path")).collect(),
    };
    for used in own.into_iter().filter(|used| !used.is_empty()) {
        if !paths.insert(used.to_string()) {
            errors.push(FieldError::invalid(path, source.text("name"), "conflicting duplicate paths"));
        }
    }
    errors
}
