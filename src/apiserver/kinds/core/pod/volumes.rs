//! Validation of a Pod's volumes.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `ValidateVolumes`. What each source must hold is
//! in [`super::volume_sources`] and [`super::projected`].

use std::collections::HashSet;

use serde_json::Value;

use super::{projected, volume_sources};
use crate::apiserver::kinds::core::resources::quantity;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, metadata, names};

/// Every source, in the order they are looked at: its field, and how errors about it spell the field.
const SOURCES: &[(&str, &str)] = &[
    ("emptyDir", "emptyDir"),
    ("hostPath", "hostPath"),
    ("gitRepo", "gitRepo"),
    ("gcePersistentDisk", "gcePersistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("secret", "secret"),
    ("nfs", "nfs"),
    ("iscsi", "iscsi"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("persistentVolumeClaim", "persistentVolumeClaim"),
    ("rbd", "rbd"),
    ("cinder", "cinder"),
    ("cephfs", "cephFS"),
    ("quobyte", "quobyte"),
    ("downwardAPI", "downwarAPI"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("configMap", "configMap"),
    ("azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("storageos", "storageos"),
    ("projected", "projected"),
    ("scaleIO", "scaleIO"),
    ("csi", "csi"),
    ("ephemeral", "ephemeral"),
    ("image", "image"),
];

/// What is wrong with `volumes`, and those that are good, by name: only they can be mounted.
/// `pod` is the Pod's name where it has one.
pub fn validate<'a>(volumes: &'a [Value], path: &str, pod: &str) -> (Vec<(&'a str, &'a Value)>, Vec<FieldError>) {
    let claims: HashSet<String> = volumes
        .iter()
        .filter(|volume| !pod.is_empty() && volume.has("ephemeral"))
        .map(|volume| format!("{pod}-{}", volume.text("name")))
        .collect();
    let (mut good, mut errors): (Vec<(&str, &Value)>, Vec<FieldError>) = (Vec::new(), Vec::new());
    for (index, volume) in volumes.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = volume.text("name");
        let at = format!("{path}.name");
        let mut own = sources(volume, &path, pod);
        if name.is_empty() {
            own.push(FieldError::required(at.as_str(), ""));
        } else {
            own.extend(check::faults(at.as_str(), name, names::dns_label(name)));
        }
        if good.iter().any(|(known, _)| *known == name) {
            own.push(FieldError::duplicate(at, name));
        }
        if own.is_empty() {
            good.push((name, volume));
        }
        errors.extend(own);
        let claim = volume.text("persistentVolumeClaim.claimName");
        if volume.has("persistentVolumeClaim") && claims.contains(claim) {
            errors.push(FieldError::invalid(
                format!("{path}.persistentVolumeClaim.claimName"),
                claim,
                "must not reference a PVC that gets created for an ephemeral volume",
            ));
        }
    }
    (good, errors)
}

fn sources(volume: &Value, path: &str, pod: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut count = 0;
    let name = volume.text("name");
    for (kind, spelled) in SOURCES.iter().filter(|(kind, _)| volume.has(kind)) {
        count += 1;
        let source = volume.at(kind);
        if count > 1 {
            errors.push(FieldError::forbidden(format!("{path}.{spelled}"), "may not specify more than 1 volume type"));
        } else {
            errors.extend(source_of(kind, source, path));
        }
        if *kind == "iscsi" {
            errors.extend(long_initiator(name, source, &format!("{path}.name"), name));
        }
        if *kind == "ephemeral" && count == 1 && !pod.is_empty() && !name.is_empty() {
            let claim = format!("{pod}-{name}");
            let faults = names::dns_subdomain(&claim).into_iter().map(|fault| format!("PVC name {claim:?}: {fault}"));
            errors.extend(check::faults(format!("{path}.name"), name, faults.collect()));
        }
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
    errors
}

/// The initiator's name is made of the volume's and the portal's.
pub fn long_initiator(volume: &str, source: &Value, at: &str, shown: &str) -> Option<FieldError> {
    let long = source.has("initiatorName") && volume.len() + 1 + source.text("targetPortal").len() > 64;
    let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
    long.then(|| FieldError::invalid(at, shown, detail))
}

fn source_of(kind: &str, source: &Value, path: &str) -> Vec<FieldError> {
    let at = format!("{path}.{}", if kind == "gcePersistentDisk" { "persistentDisk" } else { kind });
    match kind {
        "emptyDir" => empty_dir(source, &at),
        "secret" => projected::files(source, "secretName", &at),
        "configMap" => projected::files(source, "name", &at),
        "downwardAPI" => projected::downward_api(source, &at),
        "projected" => projected::validate(source, &at),
        "ephemeral" => ephemeral(source, &at),
        "image" => {
            let policies = ["Always", "IfNotPresent", "Never"];
            let mut errors = check::required(source, &["reference"], &at);
            errors.extend(check::choice(source, "pullPolicy", &at, &policies));
            errors
        }
        "csi" => volume_sources::inline_csi(source, &at),
        _ => volume_sources::validate(kind, source, &at),
    }
}

fn empty_dir(source: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if quantity(source.at("sizeLimit")).is_some_and(|limit| limit.signum() < 0) {
        let detail = "SizeLimit field must be a valid resource quantity";
        errors.push(FieldError::forbidden(format!("{path}.sizeLimit"), detail));
    }
    if let Some(bits) = source.int("mode").filter(|bits| !(0..=0o1777).contains(bits)) {
        let detail = "must be a number between 0 and 01777 (octal), both inclusive";
        errors.push(FieldError::invalid(format!("{path}.mode"), bits, detail));
    }
    errors
}

fn ephemeral(source: &Value, path: &str) -> Vec<FieldError> {
    let path = format!("{path}.volumeClaimTemplate");
    if !source.has("volumeClaimTemplate") {
        return vec![FieldError::required(path, "")];
    }
    let meta = source.at("volumeClaimTemplate.metadata");
    let mut errors = metadata::of_template(meta, &format!("{path}.metadata"));
    let spec = source.at("volumeClaimTemplate.spec");
    errors.extend(crate::apiserver::kinds::core::persistentvolumeclaim::validate_spec(spec, &format!("{path}.spec")));
    errors
}
