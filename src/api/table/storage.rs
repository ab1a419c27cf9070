//! Volumes, claims, classes and drivers.

use super::cell::{NONE, UNSET, each, flag, or, plain, size};
use super::{Context, Row, RowOf, cells};
use crate::api::meta;
use serde_json::Value;

pub(super) fn row_of(group: &str, plural: &str) -> Option<RowOf> {
    Some(match (group, plural) {
        ("", "persistentvolumes") => volume,
        ("", "persistentvolumeclaims") => claim,
        ("storage.k8s.io", "storageclasses") => storage_class,
        ("storage.k8s.io", "csidrivers") => csi_driver,
        ("storage.k8s.io", "csinodes") => csi_node,
        ("storage.k8s.io", "volumeattachments") => attachment,
        ("storage.k8s.io", "volumeattributesclasses") => attributes_class,
        _ => return None,
    })
}

/// `RWO,ROX`: each mode once, in Kubernetes' order.
fn access_modes(object: &Value, path: &[&str]) -> String {
    const MODES: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let present = meta::list(object, path);
    let shown = MODES.iter().filter(|(mode, _)| present.iter().any(|found| found == mode));
    shown.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

fn phase(object: &Value) -> &str {
    if meta::deletion_timestamp(object).is_some() { "Terminating" } else { meta::text(object, &["status", "phase"]) }
}

fn class(object: &Value) -> &str {
    let annotated = meta::annotation(object, "volume.beta.kubernetes.io/storage-class");
    annotated.unwrap_or(meta::text(object, &["spec", "storageClassName"]))
}

fn volume(object: &Value, context: &Context<'_>) -> Row {
    let spec = |field| meta::text(object, &["spec", field]);
    let claim = |field| meta::text(object, &["spec", "claimRef", field]);
    let claimed = match claim("name") {
        "" => String::new(),
        name => format!("{}/{name}", claim("namespace")),
    };
    cells![
        meta::name(object),
        plain(meta::get(object, &["spec", "capacity", "storage"])).unwrap_or_default(),
        access_modes(object, &["spec", "accessModes"]),
        spec("persistentVolumeReclaimPolicy"),
        phase(object),
        claimed,
        class(object),
        or(spec("volumeAttributesClassName"), UNSET),
        meta::text(object, &["status", "reason"]),
        context.age(object),
        or(spec("volumeMode"), UNSET),
    ]
}

fn claim(object: &Value, context: &Context<'_>) -> Row {
    let spec = |field| meta::text(object, &["spec", field]);
    let bound = !spec("volumeName").is_empty();
    let capacity = bound.then(|| plain(meta::get(object, &["status", "capacity", "storage"])).unwrap_or("0".into()));
    let modes = if bound { access_modes(object, &["status", "accessModes"]) } else { String::new() };
    cells![
        meta::name(object),
        phase(object),
        spec("volumeName"),
        capacity.unwrap_or_default(),
        modes,
        class(object),
        or(spec("volumeAttributesClassName"), UNSET),
        context.age(object),
        or(spec("volumeMode"), UNSET),
    ]
}

fn storage_class(object: &Value, context: &Context<'_>) -> Row {
    cells![
        context.name(object),
        meta::text(object, &["provisioner"]),
        or(meta::text(object, &["reclaimPolicy"]), "Delete"),
        or(meta::text(object, &["volumeBindingMode"]), "Immediate"),
        flag(object, &["allowVolumeExpansion"]),
        context.age(object),
    ]
}

fn csi_driver(object: &Value, context: &Context<'_>) -> Row {
    let modes = meta::list(object, &["spec", "volumeLifecycleModes"]).iter().filter_map(Value::as_str);
    let audiences = each(object, &["spec", "tokenRequests"], "audience").join(",");
    cells![
        meta::name(object),
        meta::get(object, &["spec", "attachRequired"]).is_none_or(|required| required != false),
        flag(object, &["spec", "podInfoOnMount"]),
        flag(object, &["spec", "storageCapacity"]),
        if meta::list(object, &["spec", "tokenRequests"]).is_empty() { UNSET } else { &audiences },
        flag(object, &["spec", "requiresRepublish"]),
        or(&modes.collect::<Vec<_>>().join(","), NONE),
        context.age(object),
    ]
}

fn csi_node(object: &Value, context: &Context<'_>) -> Row {
    cells![meta::name(object), size(object, &["spec", "drivers"]), context.age(object)]
}

fn attachment(object: &Value, context: &Context<'_>) -> Row {
    cells![
        meta::name(object),
        meta::text(object, &["spec", "attacher"]),
        meta::text(object, &["spec", "source", "persistentVolumeName"]),
        meta::text(object, &["spec", "nodeName"]),
        flag(object, &["status", "attached"]),
        context.age(object),
    ]
}

fn attributes_class(object: &Value, context: &Context<'_>) -> Row {
    cells![meta::name(object), meta::text(object, &["driverName"]), context.age(object)]
}
