//! What each volume source must hold, in a Pod's volume or a PersistentVolume.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::containers::descending_path;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, names};

/// Fields that a source of this kind must have, as text.
const REQUIRED: &[(&str, &[&str])] = &[
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["image"]),
    ("cinder", &["volumeID"]),
    ("quobyte", &["volume"]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("storageos", &["volumeName"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("hostPath", &["path"]),
    ("local", &["path"]),
];

/// Sources that may name a secret, which then must have a name.
const NAMED_SECRET: &[&str] = &["cinder", "storageos"];

/// What is wrong with one source.
pub fn validate(kind: &str, source: &Value, path: &str) -> Vec<FieldError> {
    let fields = REQUIRED.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, fields)| *fields);
    let mut errors = check::required(source, fields, path);
    if NAMED_SECRET.contains(&kind) && source.has("secretRef") {
        errors.extend(check::required(source, &["secretRef.name"], path));
    }
    match kind {
        "hostPath" => errors.extend(host_path(source, path)),
        "local" => errors.extend(backsteps(source.text("path"), &format!("{path}.path"))),
        "gitRepo" => errors.extend(descending_path(source.text("directory"), &format!("{path}.directory"))),
        "gcePersistentDisk" | "awsElasticBlockStore" => errors.extend(partition(source, path)),
        "nfs" if !source.text("path").starts_with('/') => {
            errors.push(FieldError::invalid(format!("{path}.path"), source.text("path"), "must be an absolute path"));
        }
        "iscsi" => errors.extend(iscsi(source, path)),
        "flocker" => errors.extend(flocker(source, path)),
        "rbd" | "cephfs" if source.items("monitors").is_empty() => {
            errors.push(FieldError::required(format!("{path}.monitors"), ""));
        }
        "quobyte" => errors.extend(quobyte(source, path)),
        "fc" => errors.extend(fibre_channel(source, path)),
        "flexVolume" => errors.extend(reserved_options(source, path)),
        "azureDisk" => errors.extend(azure_disk(source, path)),
        "storageos" => errors.extend(storage_os(source, path)),
        _ => {}
    }
    errors
}

fn host_path(source: &Value, path: &str) -> Vec<FieldError> {
    let host = source.text("path");
    if host.is_empty() {
        return Vec::new();
    }
    let kinds = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let mut errors = backsteps(host, &format!("{path}.path"));
    errors.extend(super::spec::supported(source, "type", path, &kinds));
    errors
}

/// `must not contain '..'`, if the path does.
pub fn backsteps(path: &str, at: &str) -> Vec<FieldError> {
    let bad = !names::no_backsteps(path);
    bad.then(|| FieldError::invalid(at, path, "must not contain '..'")).into_iter().collect()
}

fn partition(source: &Value, path: &str) -> Option<FieldError> {
    let number = source.int("partition").unwrap_or(0);
    (!(0..=255).contains(&number))
        .then(|| FieldError::invalid(format!("{path}.partition"), number, "must be between 1 and 255, inclusive"))
}

/// An iSCSI name: which of its three forms it begins as, and whether the rest fits.
fn iscsi_name(name: &str, volume: bool) -> Result<(), &'static str> {
    static FORMS: LazyLock<[(&str, Regex); 3]> = LazyLock::new(|| {
        let form = |pattern| Regex::new(pattern).expect("a pattern of ours");
        [
            ("iqn", form(r"iqn\.[0-9]{4}-[0-9]{2}\.([A-Za-z0-9\-.]+)(:[^,;*&$|\s]+)$")),
            ("eui", form(r"^eui.[A-Za-z0-9]{16}$")),
            ("naa", form(r"^naa.[A-Za-z0-9]{32}$")),
        ]
    });
    match FORMS.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        None if volume => Err("must be valid format"),
        None => Err("must be valid format starting with iqn, eui, or naa"),
        Some((_, form)) if !form.is_match(name) => Err("must be valid format"),
        Some(_) => Ok(()),
    }
}

fn iscsi(source: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    // Of a PersistentVolume less is said.
    let volume = path.starts_with("spec.iscsi");
    let name = source.text("iqn");
    if !name.is_empty()
        && let Err(detail) = iscsi_name(name, volume)
    {
        errors.push(FieldError::invalid(format!("{path}.iqn"), name, detail));
    }
    errors.extend(check::between(source, "lun", path, 0, 255));
    if (source.flag("chapAuthDiscovery") || source.flag("chapAuthSession")) && !source.has("secretRef") {
        errors.push(FieldError::required(format!("{path}.secretRef"), ""));
    }
    if source.has("initiatorName")
        && let Err(detail) = iscsi_name(source.text("initiatorName"), volume)
    {
        errors.push(FieldError::invalid(format!("{path}.initiatorname"), source.text("initiatorName"), detail));
    }
    errors
}

fn flocker(source: &Value, path: &str) -> Vec<FieldError> {
    let (name, uuid) = (source.text("datasetName"), source.text("datasetUUID"));
    let mut errors = Vec::new();
    if name.is_empty() && uuid.is_empty() {
        errors.push(FieldError::required(path, "one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !uuid.is_empty() {
        let detail = "datasetName and datasetUUID can not be specified simultaneously";
        errors.push(FieldError::invalid(path, "resource", detail));
    }
    if name.contains('/') {
        errors.push(FieldError::invalid(format!("{path}.datasetName"), name, "must not contain '/'"));
    }
    errors
}

fn quobyte(source: &Value, path: &str) -> Vec<FieldError> {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    let registry = source.text("registry");
    let at = format!("{path}.registry");
    if registry.is_empty() {
        return vec![FieldError::required(at, PAIRS)];
    }
    if source.text("tenant").len() >= 65 {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        return vec![FieldError::required(format!("{path}.tenant"), detail)];
    }
    let pair = |pair: &str| match pair.rsplit_once(':') {
        Some((host, _)) => host.starts_with('[') && host.ends_with(']') || !host.contains(':'),
        None => false,
    };
    registry.split(',').filter(|text| !pair(text)).map(|_| FieldError::invalid(at.as_str(), registry, PAIRS)).collect()
}

fn fibre_channel(source: &Value, path: &str) -> Vec<FieldError> {
    let at = format!("{path}.targetWWNs");
    let (targets, wwids) = (source.items("targetWWNs"), source.items("wwids"));
    let mut errors = Vec::new();
    if targets.is_empty() && wwids.is_empty() {
        errors.push(FieldError::required(at.as_str(), "must specify either targetWWNs or wwids, but not both"));
    }
    if !targets.is_empty() && !wwids.is_empty() {
        let detail = "targetWWNs and wwids can not be specified simultaneously";
        errors.push(FieldError::invalid(at, Value::Array(targets.to_vec()), detail));
    }
    if !targets.is_empty() {
        if source.has("lun") {
            errors.extend(check::between(source, "lun", path, 0, 255));
        } else {
            errors.push(FieldError::required(format!("{path}.lun"), "lun is required if targetWWNs is specified"));
        }
    }
    errors
}

fn reserved_options(source: &Value, path: &str) -> Vec<FieldError> {
    let reserved = |key: &str| {
        let domain = format!(".{}", key.split('/').next().unwrap_or(key).to_lowercase());
        domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io")
    };
    let options = source.entries("options").into_iter().filter(|(key, _)| reserved(key));
    let detail = "kubernetes.io and k8s.io namespaces are reserved";
    options.map(|(key, _)| FieldError::invalid(format!("{path}.options[{key}]"), key, detail)).collect()
}

fn azure_disk(source: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    errors.extend(super::spec::supported(source, "cachingMode", path, &["None", "ReadOnly", "ReadWrite"]));
    errors.extend(super::spec::supported(source, "kind", path, &["Dedicated", "Managed", "Shared"]));
    let (uri, at) = (source.text("diskURI"), format!("{path}.diskURI"));
    if source.text("kind") == "Managed" {
        if !uri.starts_with("/subscriptions/") {
            let form =
                "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
            errors.push(FieldError::not_supported(at, uri, &[form]));
        }
    } else if source.has("kind") && !uri.starts_with("https://") {
        let form = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
        errors.push(FieldError::not_supported(at, uri, &[form]));
    }
    errors
}

fn storage_os(source: &Value, path: &str) -> Vec<FieldError> {
    let named = ["volumeName", "volumeNamespace"].into_iter().filter(|field| !source.text(field).is_empty());
    named
        .flat_map(|field| {
            check::faults(format!("{path}.{field}"), source.text(field), names::dns_label(source.text(field)))
        })
        .collect()
}

/// What is wrong with the name of a CSI driver.
pub fn csi_driver_name(name: &str, path: &str) -> Vec<FieldError> {
    if name.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let mut errors = Vec::new();
    if name.len() > 63 {
        errors.push(FieldError::too_long(path, 63));
    }
    errors.extend(check::faults(path, name, names::dns_subdomain(&name.to_lowercase())));
    errors
}

/// What is wrong with a CSI volume that a Pod names directly.
pub fn inline_csi(source: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = csi_driver_name(source.text("driver"), &format!("{path}.driver"));
    if source.has("nodePublishSecretRef") {
        let name = source.text("nodePublishSecretRef.name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.nodePublishSecretRef.name"), ""));
        } else {
            errors.extend(check::faults(format!("{path}.name"), name, names::dns_subdomain(name)));
        }
    }
    errors
}
