//! Volumes: where each comes from.

use serde_json::Value;

use super::super::super::print::go_value;
use super::text::{Text, shown};
use crate::api::meta;

/// The volumes of a Pod or a template.
pub(super) fn write(text: &mut Text, volumes: &[Value], space: &str) {
    if volumes.is_empty() {
        text.line(0, format!("{space}Volumes:\t<none>"));
        return;
    }
    text.line(0, format!("{space}Volumes:"));
    for volume in volumes {
        let indent = if space.is_empty() { "" } else { " " };
        text.line(1, format!("{indent}{}:", meta::text(volume, &["name"])));
        source(text, volume);
    }
}

/// A source: the fields of its type, each on a line.
pub(super) fn source(text: &mut Text, volume: &Value) {
    let part = |name: &str| volume.get(name).filter(|part| !part.is_null());
    let flag = |from: &Value, name: &str| (meta::get(from, &[name]) == Some(&Value::Bool(true))).to_string();
    let or = |from: &Value, name: &str, otherwise: &str| match shown(from, &[name]) {
        value if value.is_empty() => otherwise.to_owned(),
        value => value,
    };
    let mut lines = |kind: &str, fields: &[(&str, String)]| {
        text.field(2, "Type", kind);
        fields.iter().for_each(|(name, value)| text.field(2, name, value));
    };
    if let Some(from) = part("hostPath") {
        lines(
            "HostPath (bare host directory volume)",
            &[
                ("Path", shown(from, &["path"])),
                ("HostPathType", or(from, "type", if from.get("type").is_some() { "" } else { "<none>" })),
            ],
        );
    } else if let Some(from) = part("emptyDir") {
        lines(
            "EmptyDir (a temporary directory that shares a pod's lifetime)",
            &[("Medium", shown(from, &["medium"])), ("SizeLimit", or(from, "sizeLimit", "<unset>"))],
        );
    } else if let Some(from) = part("secret") {
        lines(
            "Secret (a volume populated by a Secret)",
            &[("SecretName", shown(from, &["secretName"])), ("Optional", flag(from, "optional"))],
        );
    } else if let Some(from) = part("configMap") {
        lines(
            "ConfigMap (a volume populated by a ConfigMap)",
            &[("Name", shown(from, &["name"])), ("Optional", flag(from, "optional"))],
        );
    } else if let Some(from) = part("nfs") {
        lines(
            "NFS (an NFS mount that lasts the lifetime of a pod)",
            &[
                ("Server", shown(from, &["server"])),
                ("Path", shown(from, &["path"])),
                ("ReadOnly", flag(from, "readOnly")),
            ],
        );
    } else if let Some(from) = part("persistentVolumeClaim") {
        lines(
            "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
            &[("ClaimName", shown(from, &["claimName"])), ("ReadOnly", flag(from, "readOnly"))],
        );
    } else if let Some(from) = part("local") {
        lines(
            "LocalVolume (a persistent volume backed by local storage on a node)",
            &[("Path", shown(from, &["path"]))],
        );
    } else if let Some(from) = part("projected") {
        lines("Projected (a volume that contains injected data from multiple sources)", &[]);
        projected(text, from);
    } else if let Some(from) = part("downwardAPI") {
        text.line(2, "Type:\tDownwardAPI (a volume populated by information about the pod)\n    Items:");
        for item in meta::list(from, &["items"]) {
            let path = meta::text(item, &["path"]);
            if let Some(field) = item.get("fieldRef") {
                text.line(3, format!("{} -> {path}", meta::text(field, &["fieldPath"])));
            }
            if let Some(field) = item.get("resourceFieldRef") {
                text.line(3, format!("{} -> {path}", meta::text(field, &["resource"])));
            }
        }
    } else if let Some(from) = part("csi") {
        csi(text, from);
    } else if let Some(from) = part("image") {
        let fields = [("Reference", shown(from, &["reference"])), ("PullPolicy", shown(from, &["pullPolicy"]))];
        lines("Image (a container image or OCI artifact)", &fields);
    } else if let Some(from) = part("ephemeral") {
        lines("EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)", &[]);
        if let Some(claim) = meta::get(from, &["volumeClaimTemplate"]) {
            claim_template(text, claim);
        }
    } else {
        text.line(1, "<unknown>");
    }
}

fn projected(text: &mut Text, from: &Value) {
    for source in meta::list(from, &["sources"]) {
        let optional = |part: &Value| meta::get(part, &["optional"]) == Some(&Value::Bool(true));
        if let Some(secret) = source.get("secret") {
            text.field(2, "SecretName", meta::text(secret, &["name"]));
            text.field(2, "Optional", optional(secret));
        } else if source.get("downwardAPI").is_some() {
            text.field(2, "DownwardAPI", "true");
        } else if let Some(map) = source.get("configMap") {
            text.field(2, "ConfigMapName", meta::text(map, &["name"]));
            text.field(2, "Optional", optional(map));
        } else if let Some(token) = source.get("serviceAccountToken") {
            text.field(2, "TokenExpirationSeconds", shown(token, &["expirationSeconds"]));
        }
    }
}

fn csi(text: &mut Text, from: &Value) {
    let read_only = meta::get(from, &["readOnly"]) == Some(&Value::Bool(true));
    text.field(2, "Type", "CSI (a Container Storage Interface (CSI) volume source)");
    text.field(2, "Driver", shown(from, &["driver"]));
    text.field(2, "FSType", shown(from, &["fsType"]));
    if from.get("volumeHandle").is_some() {
        text.field(2, "VolumeHandle", shown(from, &["volumeHandle"]));
    }
    text.field(2, "ReadOnly", read_only);
    let attributes = meta::map(from, &["volumeAttributes"]);
    text.write(2, "VolumeAttributes:\t");
    let mut pairs: Vec<_> = attributes.into_iter().flatten().collect();
    if pairs.is_empty() {
        text.line(0, "<none>");
    }
    pairs.sort_by_key(|(key, _)| *key);
    for (at, (key, value)) in pairs.into_iter().enumerate() {
        let start = if at > 0 { "          \t" } else { "" };
        text.line(0, format!("{start}{key}={}", go_value(value)));
    }
}

fn claim_template(text: &mut Text, claim: &Value) {
    text.field(0, "StorageClass", shown(claim, &["spec", "storageClassName"]));
    text.field(0, "Volume", "");
    text.metadata(claim);
    text.field(0, "Capacity", "");
    text.field(0, "Access Modes", "");
    if let Some(mode) = meta::get(claim, &["spec", "volumeMode"]) {
        text.field(0, "VolumeMode", go_value(mode));
    }
}
