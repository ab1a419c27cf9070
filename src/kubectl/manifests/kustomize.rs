//! Plain kustomizations: resources, names, namespaces, labels, images, replicas, patches, generators.
//!
//! In: a folder with a `kustomization.yaml`. Out: the objects it stands for. What this does not know is an
//! error that names the field, never silently left out.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::failure::{Failure, Result, quote};
use super::super::print::json_line;
use super::super::session::{FileKind, Files};
use crate::api::meta;
use crate::api::schema::Schema;

const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// What is built in; the first six say what there is, the others change it.
const FIELDS: [&str; 18] = [
    "apiVersion",
    "kind",
    "metadata",
    "resources",
    "bases",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "images",
    "replicas",
    "patches",
    "patchesStrategicMerge",
];

/// The kinds that come first, in this order; those named in [`LAST`] come last. Source: kustomize, `legacy` order.
const FIRST: [&str; 21] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Builds the kustomization in a folder: what others need comes before what needs it.
///
/// # Errors
/// When it cannot be read, or uses a field that is not built in.
pub fn build(files: &dyn Files, folder: &Path) -> Result<Vec<Value>> {
    let mut objects = accumulate(files, folder)?;
    objects.sort_by_cached_key(|object| {
        let kind = meta::kind(object);
        let first = FIRST.iter().position(|known| *known == kind);
        let last = LAST.iter().position(|known| *known == kind).map(|at| FIRST.len() + 1 + at);
        let or = |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
        let (group, version) = meta::group_version(object);
        let kinds = format!("{}_{}_{kind}", or(group, "~G"), or(version, "~V"));
        let name = format!("{}|{}", or(meta::namespace(object), "~X"), or(meta::name(object), "~N"));
        (first.or(last).unwrap_or(FIRST.len()), kinds, name)
    });
    Ok(objects)
}

/// What a folder stands for, in the order in which it says so.
fn accumulate(files: &dyn Files, folder: &Path) -> Result<Vec<Value>> {
    let Some(path) = NAMES.iter().map(|name| folder.join(name)).find(|path| files.kind(path).is_some()) else {
        let shown = folder.to_string_lossy();
        if files.kind(folder).is_none() {
            return Err(Failure::new(format!(
                "must build at directory: not a valid directory: evalsymlink failure on '{shown}' : lstat {shown}: no such file or directory"
            )));
        }
        let whole = files.whole(folder);
        return Err(Failure::new(format!(
            "unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '{}'",
            whole.display()
        )));
    };
    let mut plan = read(files, &path)?.into_iter().next().unwrap_or_default();
    if !plan.is_object() {
        plan = json!({});
    }
    if let Some(field) =
        plan.as_object().into_iter().flatten().map(|(key, _)| key).find(|key| !FIELDS.contains(&key.as_str()))
    {
        return Err(Failure::new(format!("the kustomization field {} is not built into this kubectl", quote(field))));
    }
    let mut objects = Vec::new();
    for entry in texts(&plan, "resources").into_iter().chain(texts(&plan, "bases")) {
        let path = joined(folder, entry);
        match files.kind(&path) {
            Some(FileKind::Folder) => objects.extend(accumulate(files, &path)?),
            Some(FileKind::File) => objects.extend(read(files, &path)?),
            None => return Err(Failure::new(format!("accumulating resources: {} does not exist", quote(entry)))),
        }
    }
    let mut hashed = Vec::new();
    for (field, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
        for generator in meta::list(&plan, &[field]) {
            objects.push(generated(files, folder, generator, kind)?);
            if is_hashed(generator, &plan) {
                hashed.push((kind.to_owned(), meta::text(generator, &["name"]).to_owned()));
            }
        }
    }
    for patch in meta::list(&plan, &["patches"]) {
        apply_patch(files, folder, patch, &mut objects)?;
    }
    for patch in meta::list(&plan, &["patchesStrategicMerge"]) {
        let text = patch.as_str().unwrap_or_default();
        let key = if files.kind(&joined(folder, text)).is_some() { "path" } else { "patch" };
        apply_patch(files, folder, &json!({key: text}), &mut objects)?;
    }
    transform(&plan, &mut objects);
    let prefix = (meta::text(&plan, &["namePrefix"]), meta::text(&plan, &["nameSuffix"]));
    add_hashes(&hashed, prefix.0, prefix.1, &mut objects);
    Ok(objects)
}

fn texts<'a>(value: &'a Value, field: &str) -> Vec<&'a str> {
    meta::list(value, &[field]).iter().filter_map(Value::as_str).collect()
}

/// A path below or beside a folder, with `..` taken out.
fn joined(folder: &Path, entry: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in folder.join(entry).components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if path.file_name().is_some() => {
                path.pop();
            }
            part => path.push(part),
        }
    }
    path
}

fn read(files: &dyn Files, path: &Path) -> Result<Vec<Value>> {
    let shown = path.to_string_lossy().into_owned();
    let bytes = files.read(path).map_err(|fault| Failure::new(format!("{shown}: {fault}")))?;
    let text = String::from_utf8_lossy(&bytes);
    let one = |text: &&str| super::parse(text).map_err(|why| Failure::new(format!("{shown}: {why}")));
    super::split(&text).iter().map(one).collect()
}

/// A ConfigMap or Secret; its hash comes when its name and namespace are final.
fn generated(files: &dyn Files, folder: &Path, generator: &Value, kind: &str) -> Result<Value> {
    use base64::Engine;
    let mut data: Vec<(String, Vec<u8>)> = Vec::new();
    let contents = |path: &str| {
        let found = files.read(&joined(folder, path));
        found.map_err(|fault| Failure::new(format!("{path}: {fault}")))
    };
    for literal in texts(generator, "literals") {
        let Some((key, value)) = literal.split_once('=') else {
            return Err(Failure::new(format!("invalid literal source {literal}, expected key=value")));
        };
        data.push((key.to_owned(), value.trim_matches(['\'', '"']).as_bytes().to_vec()));
    }
    for source in texts(generator, "files") {
        let (key, path) = source.split_once('=').unwrap_or((source.rsplit('/').next().unwrap_or(source), source));
        data.push((key.to_owned(), contents(path)?));
    }
    for path in texts(generator, "envs") {
        let bytes = contents(path)?;
        for line in String::from_utf8_lossy(&bytes)
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            data.push((key.to_owned(), value.as_bytes().to_vec()));
        }
    }
    let mut map = Map::new();
    for (key, value) in data {
        let text = match kind {
            "Secret" => base64::engine::general_purpose::STANDARD.encode(value),
            _ => String::from_utf8_lossy(&value).into_owned(),
        };
        map.insert(key, text.into());
    }
    let mut object =
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": meta::text(generator, &["name"])}, "data": map});
    if kind == "Secret" {
        object["type"] = match meta::text(generator, &["type"]) {
            "" => "Opaque".into(),
            kind => kind.into(),
        };
    }
    Ok(object)
}

/// Whether a generator's name ends with a hash.
fn is_hashed(generator: &Value, plan: &Value) -> bool {
    let off =
        |value: Option<&Value>| value.is_some_and(|one| one.get("disableNameSuffixHash") == Some(&Value::Bool(true)));
    !off(generator.get("options")) && !off(plan.get("generatorOptions"))
}

/// The ten letters behind a generated name: a hash of what the object holds. Source: kustomize, `hasher`.
fn hash(object: &Value) -> String {
    // The name is part of it, and always empty there: kustomize looks it up under a path that leads nowhere.
    hash_with_name(object, "")
}

/// As [`hash`], of an object with its name: what `kubectl create --append-hash` puts behind it.
pub fn hash_with_name(object: &Value, name: &str) -> String {
    let data = object.get("data").cloned().unwrap_or_else(|| "".into());
    let mut shown = json!({"kind": meta::kind(object), "name": name, "data": data});
    for field in ["type", "binaryData", "stringData"] {
        if let Some(value) = object.get(field) {
            shown[field] = value.clone();
        }
    }
    let digest = Sha256::digest(json_line(&shown));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let letter = |digit: char| match digit {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    };
    hex.chars().take(10).map(letter).collect()
}

/// Gives generated objects their hash, and what refers to them the new names.
fn add_hashes(hashed: &[(String, String)], prefix: &str, suffix: &str, objects: &mut [Value]) {
    let mut renamed = Vec::new();
    for object in objects.iter_mut() {
        let name = meta::name(object).to_owned();
        let is =
            |(kind, plain): &(String, String)| kind == meta::kind(object) && format!("{prefix}{plain}{suffix}") == name;
        if hashed.iter().any(is) {
            let full = format!("{name}-{}", hash(object));
            renamed.push((meta::kind(object).to_owned(), name, full.clone()));
            meta::set_text(object, "name", &full);
        }
    }
    objects.iter_mut().for_each(|object| references(object, &renamed));
}

fn apply_patch(files: &dyn Files, folder: &Path, patch: &Value, objects: &mut [Value]) -> Result {
    let text = match meta::text(patch, &["patch"]) {
        "" => {
            let path = meta::text(patch, &["path"]);
            let bytes = files.read(&joined(folder, path)).map_err(|fault| Failure::new(format!("{path}: {fault}")))?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        text => text.to_owned(),
    };
    let wanted = super::parse(&text).map_err(Failure::new)?;
    let target = |field: &str| match meta::text(patch, &["target", field]) {
        "" if field == "name" => meta::name(&wanted).to_owned(),
        "" if field == "kind" => meta::kind(&wanted).to_owned(),
        text => text.to_owned(),
    };
    let (kind, name) = (target("kind"), target("name"));
    let fits = |object: &&mut Value| {
        (kind.is_empty() || meta::kind(object) == kind) && (name.is_empty() || meta::name(object) == name)
    };
    let mut found = false;
    for object in objects.iter_mut().filter(fits) {
        found = true;
        if wanted.is_array() {
            let operations: json_patch::Patch =
                serde_json::from_value(wanted.clone()).map_err(|fault| Failure::new(fault.to_string()))?;
            json_patch::patch(object, &operations).map_err(|fault| Failure::new(fault.to_string()))?;
            continue;
        }
        let (group, version) = meta::group_version(object);
        let schema = Schema::of_kind(group, version, meta::kind(object));
        let mut patch = wanted.clone();
        // The patch's own name is only how it finds its object.
        meta::remove(&mut patch, &["metadata", "name"]);
        match schema {
            Some(schema) => crate::api::patch::strategic::apply(object, &patch, &schema)
                .map_err(|status| Failure::new(status.message))?,
            None => json_patch::merge(object, &patch),
        }
    }
    if found { Ok(()) } else { Err(Failure::new(format!("no matches for the patch of {kind}/{name}"))) }
}

fn transform(plan: &Value, objects: &mut [Value]) {
    let (prefix, suffix) = (meta::text(plan, &["namePrefix"]), meta::text(plan, &["nameSuffix"]));
    let namespace = meta::text(plan, &["namespace"]);
    let renamed: Vec<(String, String, String)> = objects
        .iter()
        .map(|object| {
            let name = meta::name(object);
            (meta::kind(object).to_owned(), name.to_owned(), format!("{prefix}{name}{suffix}"))
        })
        .collect();
    for object in objects.iter_mut() {
        let cluster_wide = matches!(
            meta::kind(object),
            "Namespace"
                | "ClusterRole"
                | "ClusterRoleBinding"
                | "CustomResourceDefinition"
                | "PersistentVolume"
                | "StorageClass"
                | "PriorityClass"
        );
        if !namespace.is_empty() && !cluster_wide {
            meta::set_text(object, "namespace", namespace);
        }
        if !(prefix.is_empty() && suffix.is_empty()) && meta::kind(object) != "Namespace" {
            let name = format!("{prefix}{}{suffix}", meta::name(object));
            meta::set_text(object, "name", &name);
            references(object, &renamed);
        }
        labels(plan, object);
        for (key, value) in meta::map(plan, &["commonAnnotations"]).into_iter().flatten() {
            meta::set_annotation(object, key, value.as_str().unwrap_or_default());
            for template in
                [&["spec", "template"][..], &["spec", "jobTemplate"], &["spec", "jobTemplate", "spec", "template"]]
            {
                if meta::get(object, template).is_some() {
                    let path: Vec<&str> = template.iter().copied().chain(["metadata", "annotations", key]).collect();
                    meta::set(object, &path, value.clone());
                }
            }
        }
        images(plan, object);
        for entry in meta::list(plan, &["replicas"]) {
            let named =
                [meta::text(entry, &["name"]).to_owned(), format!("{prefix}{}{suffix}", meta::text(entry, &["name"]))];
            if named.iter().any(|name| name == meta::name(object)) && meta::get(object, &["spec"]).is_some() {
                meta::set(object, &["spec", "replicas"], entry.get("count").cloned().unwrap_or_default());
            }
        }
    }
}

/// Names of ConfigMaps, Secrets, claims and accounts inside a Pod's spec follow their objects.
fn references(value: &mut Value, renamed: &[(String, String, String)]) {
    let follow = |kind: &str, slot: &mut Value| {
        let Some(name) = slot.as_str() else { return };
        if let Some((_, _, new)) = renamed.iter().find(|(known, old, _)| known == kind && old == name) {
            *slot = new.clone().into();
        }
    };
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                match key.as_str() {
                    "configMapRef" | "configMapKeyRef" | "configMap" => {
                        if let Some(slot) = inner.get_mut("name") {
                            follow("ConfigMap", slot);
                        }
                    }
                    "secretRef" | "secretKeyRef" => {
                        if let Some(slot) = inner.get_mut("name") {
                            follow("Secret", slot);
                        }
                    }
                    "secretName" => follow("Secret", inner),
                    "claimName" => follow("PersistentVolumeClaim", inner),
                    "serviceAccountName" => follow("ServiceAccount", inner),
                    "scaleTargetRef" => {
                        let kind = meta::text(inner, &["kind"]).to_owned();
                        if let Some(slot) = inner.get_mut("name") {
                            follow(&kind, slot);
                        }
                    }
                    _ => {}
                }
                references(inner, renamed);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| references(item, renamed)),
        _ => {}
    }
}

fn labels(plan: &Value, object: &mut Value) {
    let mut sets: Vec<(Map<String, Value>, bool, bool)> = Vec::new();
    if let Some(common) = meta::map(plan, &["commonLabels"]) {
        sets.push((common.clone(), true, true));
    }
    for entry in meta::list(plan, &["labels"]) {
        let on = |field: &str| meta::get(entry, &[field]) == Some(&Value::Bool(true));
        let pairs = meta::map(entry, &["pairs"]).cloned().unwrap_or_default();
        sets.push((pairs, on("includeSelectors"), on("includeSelectors") || on("includeTemplates")));
    }
    for (pairs, selectors, templates) in sets {
        for (key, value) in pairs {
            meta::set_label(object, &key, value.as_str().unwrap_or_default());
            if templates && meta::get(object, &["spec", "template"]).is_some() {
                meta::set(object, &["spec", "template", "metadata", "labels", &key], value.clone());
            }
            if selectors {
                let path: &[&str] = match meta::kind(object) {
                    "Service" | "ReplicationController" => &["spec", "selector"],
                    "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => &["spec", "selector", "matchLabels"],
                    _ => continue,
                };
                let full: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
                meta::set(object, &full, value.clone());
            }
        }
    }
}

fn images(plan: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                if matches!(key.as_str(), "containers" | "initContainers") {
                    for container in inner.as_array_mut().into_iter().flatten() {
                        if let Some(image) =
                            container.get("image").and_then(Value::as_str).map(|image| image_of(plan, image))
                        {
                            container["image"] = image.into();
                        }
                    }
                }
                images(plan, inner);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| images(plan, item)),
        _ => {}
    }
}

fn image_of(plan: &Value, image: &str) -> String {
    let slash = image.rfind('/').map_or(0, |at| at + 1);
    let end = image[slash..].find([':', '@']).map_or(image.len(), |at| slash + at);
    let (name, rest) = image.split_at(end);
    let Some(entry) = meta::list(plan, &["images"]).iter().find(|entry| meta::text(entry, &["name"]) == name) else {
        return image.to_owned();
    };
    let field = |field: &str| meta::text(entry, &[field]);
    let name = if field("newName").is_empty() { name } else { field("newName") };
    match (field("digest"), field("newTag")) {
        ("", "") => format!("{name}{rest}"),
        ("", tag) => format!("{name}:{tag}"),
        (digest, _) => format!("{name}@{digest}"),
    }
}
