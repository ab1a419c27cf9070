//! ConfigMaps, Secrets, volumes, claims and storage classes.

use base64::Engine;
use serde_json::Value;

use super::super::super::failure::Result;
use super::super::super::print::go_value;
use super::text::{Text, joined, shown, texts, when};
use super::{Story, volumes};
use crate::api::meta;

fn decoded(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_default();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()
}

fn sorted<'a>(object: &'a Value, field: &str) -> Vec<(&'a String, &'a Value)> {
    let mut pairs: Vec<_> = meta::map(object, &[field]).into_iter().flatten().collect();
    pairs.sort_by_key(|(key, _)| *key);
    pairs
}

pub(super) async fn config_map(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.head(object);
    text.metadata(object);
    text.line(0, "\nData\n====");
    for (key, value) in sorted(object, "data") {
        text.line(0, format!("{key}:\n----\n{}\n", value.as_str().unwrap_or_default()));
    }
    text.line(0, "\nBinaryData\n====");
    for (key, value) in sorted(object, "binaryData") {
        text.line(0, format!("{key}: {} bytes", decoded(value).len()));
    }
    text.line(0, "");
    story.with_events(&mut text).await;
    Ok(text)
}

pub(super) async fn secret(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let kind = meta::text(object, &["type"]);
    let mut text = Text::new();
    text.head(object);
    text.metadata(object);
    text.line(0, format!("\nType:\t{kind}\n\nData\n===="));
    for (key, value) in sorted(object, "data") {
        let bytes = decoded(value);
        if key == "token" && kind == "kubernetes.io/service-account-token" {
            text.field(0, key, String::from_utf8_lossy(&bytes));
        } else {
            text.field(0, key, format!("{} bytes", bytes.len()));
        }
    }
    Ok(text)
}

/// `ReadWriteOnce` is `RWO`.
fn access_modes(object: &Value, path: &[&str]) -> String {
    const MODES: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let own = texts(object, path);
    MODES.iter().filter(|(mode, _)| own.contains(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

fn finalizers(object: &Value) -> String {
    format!("[{}]", meta::finalizers(object).collect::<Vec<_>>().join(" "))
}

fn phase(story: &Story<'_>) -> String {
    match meta::deletion_timestamp(story.object) {
        Some(time) => format!("Terminating (lasts {})", story.age(time)),
        None => meta::text(story.object, &["status", "phase"]).to_owned(),
    }
}

fn class_of(object: &Value) -> String {
    let old = meta::annotation(object, "volume.beta.kubernetes.io/storage-class");
    old.map_or_else(|| shown(object, &["spec", "storageClassName"]), str::to_owned)
}

pub(super) async fn volume(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.field(0, "Name", meta::name(object));
    text.metadata(object);
    text.field(0, "Finalizers", finalizers(object));
    text.field(0, "StorageClass", class_of(object));
    text.field(0, "Status", phase(story));
    let claim = |field: &str| meta::text(object, &["spec", "claimRef", field]);
    let bound = meta::get(object, &["spec", "claimRef"]).is_some();
    text.field(0, "Claim", if bound { format!("{}/{}", claim("namespace"), claim("name")) } else { String::new() });
    text.field(0, "Reclaim Policy", shown(object, &["spec", "persistentVolumeReclaimPolicy"]));
    text.field(0, "Access Modes", access_modes(object, &["spec", "accessModes"]));
    if let Some(mode) = meta::get(object, &["spec", "volumeMode"]) {
        text.field(0, "VolumeMode", go_value(mode));
    }
    let size = shown(object, &["spec", "capacity", "storage"]);
    text.field(0, "Capacity", if size.is_empty() { "0".to_owned() } else { size });
    node_affinity(&mut text, object);
    text.field(0, "Message", shown(object, &["status", "message"]));
    text.line(0, "Source:");
    volumes::source(&mut text, object.get("spec").unwrap_or(&Value::Null));
    story.with_events(&mut text).await;
    Ok(text)
}

fn node_affinity(text: &mut Text, object: &Value) {
    let Some(required) = meta::get(object, &["spec", "nodeAffinity", "required"]) else {
        text.field(0, "Node Affinity", "<none>");
        return;
    };
    text.line(0, "Node Affinity:\t");
    let terms = meta::list(required, &["nodeSelectorTerms"]);
    text.line(1, if terms.is_empty() { "Required Terms:\t<none>" } else { "Required Terms:\t" });
    for (at, term) in terms.iter().enumerate() {
        selected(text, 2, at, meta::list(term, &["matchExpressions"]), None);
    }
}

fn selected(text: &mut Text, level: usize, at: usize, expressions: &[Value], operator: Option<&str>) {
    text.write(level, format!("Term {at}:\t"));
    if expressions.is_empty() {
        text.line(0, "<none>");
    }
    for (at, expression) in expressions.iter().enumerate() {
        if at > 0 {
            text.write(level, "\t");
        }
        let own = meta::text(expression, &["operator"]).to_lowercase();
        let values = texts(expression, &["values"]);
        let values = if values.is_empty() { String::new() } else { format!(" [{}]", values.join(", ")) };
        text.line(0, format!("{} {}{values}", meta::text(expression, &["key"]), operator.unwrap_or(&own)));
    }
}

pub(super) async fn claim(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.head(object);
    text.field(0, "StorageClass", class_of(object));
    text.field(0, "Status", phase(story));
    let volume = shown(object, &["spec", "volumeName"]);
    text.field(0, "Volume", &volume);
    text.metadata(object);
    text.field(0, "Finalizers", finalizers(object));
    let bound = !volume.is_empty();
    let size = match shown(object, &["status", "capacity", "storage"]) {
        size if size.is_empty() => "0".to_owned(),
        size => size,
    };
    text.field(0, "Capacity", if bound { size } else { String::new() });
    let modes = access_modes(object, &["status", "accessModes"]);
    text.field(0, "Access Modes", if bound { modes } else { String::new() });
    if let Some(mode) = meta::get(object, &["spec", "volumeMode"]) {
        text.field(0, "VolumeMode", go_value(mode));
    }
    if let Some(source) = meta::get(object, &["spec", "dataSource"]).filter(|source| !source.is_null()) {
        text.line(0, "DataSource:");
        for (field, title) in [("apiGroup", "APIGroup"), ("kind", "Kind"), ("name", "Name")] {
            if source.get(field).is_some() {
                text.field(1, title, shown(source, &[field]));
            }
        }
    }
    used_by(&mut text, story).await?;
    let conditions = meta::list(object, &["status", "conditions"]);
    if !conditions.is_empty() {
        text.line(0, "Conditions:\n  Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage");
        text.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    }
    for one in conditions {
        let field = |name: &str| meta::text(one, &[name]);
        let (probed, changed) = (when(one.get("lastProbeTime")), when(one.get("lastTransitionTime")));
        text.line(
            1,
            format!(
                "{} \t{} \t{probed} \t{changed} \t{} \t{}",
                field("type"),
                field("status"),
                field("reason"),
                field("message")
            ),
        );
    }
    story.with_events(&mut text).await;
    Ok(text)
}

async fn used_by(text: &mut Text, story: &Story<'_>) -> Result {
    let name = meta::name(story.object);
    let pods = story.list("pods", story.namespace(), &[]).await?;
    let uses = |pod: &&Value| {
        let pod_name = meta::name(pod);
        meta::list(pod, &["spec", "volumes"]).iter().any(|volume| {
            let ephemeral =
                volume.get("ephemeral").is_some() && format!("{pod_name}-{}", meta::text(volume, &["name"])) == name;
            meta::text(volume, &["persistentVolumeClaim", "claimName"]) == name || ephemeral
        })
    };
    let mut names: Vec<&str> = pods.iter().filter(uses).map(meta::name).collect();
    names.sort_unstable();
    text.write(0, "Used By:\t");
    if names.is_empty() {
        text.line(0, "<none>");
    }
    for (at, name) in names.into_iter().enumerate() {
        text.line(0, if at > 0 { format!("\t{name}") } else { name.to_owned() });
    }
    Ok(())
}

pub(super) async fn class(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    let is_default =
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
            .iter()
            .any(|mark| meta::annotation(object, mark) == Some("true"));
    text.field(0, "Name", meta::name(object));
    text.field(0, "IsDefaultClass", if is_default { "Yes" } else { "No" });
    text.field(0, "Annotations", joined(meta::annotations(object)));
    text.field(0, "Provisioner", shown(object, &["provisioner"]));
    text.field(0, "Parameters", joined(meta::map(object, &["parameters"])));
    text.field(
        0,
        "AllowVolumeExpansion",
        match meta::get(object, &["allowVolumeExpansion"]) {
            Some(Value::Bool(true)) => "True",
            Some(Value::Bool(false)) => "False",
            _ => "<unset>",
        },
    );
    let options = texts(object, &["mountOptions"]);
    if options.is_empty() {
        text.field(0, "MountOptions", "<none>");
    } else {
        text.line(0, "MountOptions:");
        options.iter().for_each(|option| text.line(1, option));
    }
    for (field, title) in [("reclaimPolicy", "ReclaimPolicy"), ("volumeBindingMode", "VolumeBindingMode")] {
        if let Some(value) = object.get(field) {
            text.field(0, title, go_value(value));
        }
    }
    if object.get("allowedTopologies").is_some() {
        let terms = meta::list(object, &["allowedTopologies"]);
        text.line(0, if terms.is_empty() { "AllowedTopologies:\t<none>" } else { "AllowedTopologies:\t" });
        for (at, term) in terms.iter().enumerate() {
            selected(&mut text, 1, at, meta::list(term, &["matchLabelExpressions"]), Some("in"));
        }
    }
    story.with_events(&mut text).await;
    Ok(text)
}
