//! What is wrong with volumes made of files: Secrets, ConfigMaps, the downward API, tokens, certificates,
//! alone or projected into one folder.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/validation`, `validateProjectionSources` and its neighbours.

use std::collections::HashSet;

use serde_json::Value;

use super::containers::descending_path;
use super::environment::{field_ref, resource_field_ref};
use crate::apiserver::kinds::certificates::signer_name;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, metadata, names, selectors};

const VOLUME_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

const KEY_TYPES: &[&str] = &["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];

/// The days that Kubernetes' own signers, and all others, may grant at most, in seconds.
const LONGEST: (i64, i64) = (24 * 60 * 60, 91 * 24 * 60 * 60);

/// What is wrong with a Secret or ConfigMap as a volume; `name` is the field that names it.
pub fn files(source: &Value, name: &str, path: &str) -> Vec<FieldError> {
    let mut errors = check::required(source, &[name], path);
    errors.extend(mode(source, "defaultMode", path));
    errors.extend(check::between(source, "defaultUser", path, 0, 2_147_483_647));
    errors.extend(items(source, path));
    errors
}

/// What is wrong with the downward API as a volume.
pub fn downward_api(source: &Value, path: &str) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = mode(source, "defaultMode", path).into_iter().collect();
    errors.extend(source.items("items").iter().flat_map(|item| downward_file(item, path)));
    errors
}

fn mode(source: &Value, field: &str, path: &str) -> Option<FieldError> {
    let bits = source.int(field).filter(|bits| !(0..=0o777).contains(bits))?;
    let detail = "must be a number between 0 and 0777 (octal), both inclusive";
    Some(FieldError::invalid(format!("{path}.{field}"), bits, detail))
}

fn items(source: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, item) in source.items("items").iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        errors.extend(check::required(item, &["key", "path"], &path));
        errors.extend(local_path(item.text("path"), &format!("{path}.path")));
        errors.extend(mode(item, "mode", &path));
        errors.extend(check::between(item, "user", &path, 0, 2_147_483_647));
    }
    errors
}

/// A path inside the volume that does not begin with `..`, which the kubelet keeps for itself.
fn local_path(path: &str, at: &str) -> Vec<FieldError> {
    let mut errors = descending_path(path, at);
    if path.starts_with("..") && !path.starts_with("../") {
        errors.push(FieldError::invalid(at, path, "must not start with '..'"));
    }
    errors
}

/// Errors name the volume, not the file in it.
fn downward_file(item: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = check::required(item, &["path"], path);
    errors.extend(local_path(item.text("path"), &format!("{path}.path")));
    if item.has("fieldRef") {
        errors.extend(field_ref(item.at("fieldRef"), &format!("{path}.fieldRef"), VOLUME_FIELDS));
        if item.has("resourceFieldRef") {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            errors.push(FieldError::invalid(path, "resource", detail));
        }
    } else if item.has("resourceFieldRef") {
        errors.extend(resource_field_ref(item.at("resourceFieldRef"), &format!("{path}.resourceFieldRef"), true));
    } else {
        errors.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required"));
    }
    errors.extend(mode(item, "mode", path));
    errors.extend(check::between(item, "user", path, 0, 2_147_483_647));
    errors
}

/// What is wrong with a projected volume.
pub fn validate(source: &Value, path: &str) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = mode(source, "defaultMode", path).into_iter().collect();
    errors.extend(check::between(source, "defaultUser", path, 0, 2_147_483_647));
    let mut seen = Paths { taken: HashSet::new(), volume: path };
    for (index, projection) in source.items("sources").iter().enumerate() {
        let at = format!("{path}.sources[{index}]");
        let mut count = 0;
        for (kind, check) in PROJECTIONS {
            if projection.has(kind) {
                count += 1;
                errors.extend(check(projection.at(kind), &format!("{at}.{kind}"), &mut seen));
            }
        }
        if count > 1 {
            errors.push(FieldError::forbidden(at, "may not specify more than 1 volume type per source"));
        }
    }
    errors
}

/// The paths that files of one volume have taken.
struct Paths<'a> {
    taken: HashSet<String>,
    volume: &'a str,
}

impl Paths<'_> {
    /// Takes a path; `shown` is what an error about it shows.
    fn take(&mut self, path: &str, shown: &str) -> Option<FieldError> {
        let again = !self.taken.insert(path.to_string());
        again.then(|| FieldError::invalid(self.volume, shown, "conflicting duplicate paths"))
    }
}

type Projection = fn(&Value, &str, &mut Paths) -> Vec<FieldError>;

const PROJECTIONS: &[(&str, Projection)] = &[
    ("secret", keys),
    ("configMap", keys),
    ("downwardAPI", downward),
    ("serviceAccountToken", token),
    ("clusterTrustBundle", trust_bundle),
    ("podCertificate", certificate),
];

fn keys(source: &Value, path: &str, seen: &mut Paths) -> Vec<FieldError> {
    let mut errors = check::required(source, &["name"], path);
    errors.extend(items(source, path));
    let files = source.items("items").iter().map(|item| item.text("path")).filter(|file| !file.is_empty());
    errors.extend(files.filter_map(|file| seen.take(file, source.text("name"))));
    errors
}

fn downward(source: &Value, path: &str, seen: &mut Paths) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for item in source.items("items") {
        errors.extend(downward_file(item, path));
        let file = item.text("path");
        errors.extend((!file.is_empty()).then(|| seen.take(file, file)).flatten());
    }
    errors
}

fn token(source: &Value, path: &str, seen: &mut Paths) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let at = format!("{path}.expirationSeconds");
    match source.int("expirationSeconds") {
        None => errors.push(FieldError::required(at, "")),
        Some(short) if short < 600 => {
            errors.push(FieldError::invalid(at, short, "may not specify a duration less than 10 minutes"));
        }
        Some(long) if long > 1 << 32 => {
            errors.push(FieldError::invalid(at, long, "may not specify a duration larger than 2^32 seconds"));
        }
        Some(_) => {}
    }
    // Errors about a token's path name the volume.
    errors.extend(check::required(source, &["path"], seen.volume));
    errors.extend(local_path(source.text("path"), &format!("{}.path", seen.volume)));
    errors.extend(check::between(source, "user", path, 0, 2_147_483_647));
    errors
}

fn trust_bundle(source: &Value, path: &str, seen: &mut Paths) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match (source.has("name"), source.has("signerName")) {
        (true, true) => {
            let fields = ["Name", "SignerName", "LabelSelector", "Optional", "Path"];
            let shown = check::go_struct(source, &fields);
            errors.push(FieldError::invalid_raw(path, shown, "only one of name and signerName may be used"));
        }
        (true, false) => errors.extend(bundle_name(source, path)),
        (false, true) => {
            if source.text("signerName").is_empty() {
                errors.push(FieldError::required(format!("{path}.signerName"), "must be a valid signer name"));
            }
            errors.extend(signer_name(source.text("signerName"), &format!("{path}.signerName")));
            errors.extend(selectors::validate(source.at("labelSelector"), &format!("{path}.labelSelector")));
        }
        (false, false) => errors.push(FieldError::required(path, "either name or signerName must be specified")),
    }
    errors.extend(check::required(source, &["path"], path));
    errors.extend(local_path(source.text("path"), &format!("{path}.path")));
    errors.extend(seen.take(source.text("path"), source.text("path")));
    errors
}

fn bundle_name(source: &Value, path: &str) -> Vec<FieldError> {
    let name = source.text("name");
    let at = format!("{path}.name");
    let mut errors = Vec::new();
    if name.is_empty() {
        errors.push(FieldError::required(at.as_str(), "must be a valid object name"));
    }
    // A bundle of a signer is named `signer:bundle`, the signer's slash a colon.
    let rest = name.rsplit_once(':').map_or(name, |(_, rest)| rest);
    let faults = names::dns_subdomain(rest).into_iter();
    errors.extend(check::faults(
        at,
        name,
        faults.map(|fault| format!("not a valid clustertrustbundlename: {fault}")).collect(),
    ));
    if source.has("labelSelector") {
        let shown = source.at("labelSelector").clone();
        let detail = "labelSelector must be unset if name is specified";
        errors.push(FieldError::invalid(format!("{path}.labelSelector"), shown, detail));
    }
    errors
}

/// Only a key with somebody's domain before it can be asked for: the signer must know whose it is.
fn user_annotations(annotations: &Value, path: &str) -> Vec<FieldError> {
    let keys = annotations.as_object().into_iter().flatten().map(|(key, _)| key.to_lowercase());
    let mut errors = Vec::new();
    for key in keys.filter(|key| !key.contains('/') && (key.is_empty() || names::qualified_name(key).is_empty())) {
        errors.push(match key.as_str() {
            "" => FieldError::required(path, ""),
            key => FieldError::invalid(path, key, "must be a domain-prefixed key (such as \"acme.io/foo\")"),
        });
    }
    let others = metadata::annotations(annotations, path).into_iter();
    errors.extend(others.filter(|error| error.value != "\"\""));
    errors
}

fn certificate(source: &Value, path: &str, seen: &mut Paths) -> Vec<FieldError> {
    let signer = source.text("signerName");
    let mut errors = signer_name(signer, &format!("{path}.signerName"));
    let annotations = format!("{path}.userAnnotations");
    errors.extend(user_annotations(source.at("userAnnotations"), &annotations));
    if !KEY_TYPES.contains(&source.text("keyType")) {
        errors.push(FieldError::not_supported(format!("{path}.keyType"), source.text("keyType"), KEY_TYPES));
    }
    let at = format!("{path}.maxExpirationSeconds");
    let own = signer.starts_with("kubernetes.io/");
    let most = if own { LONGEST.0 } else { LONGEST.1 };
    match source.int("maxExpirationSeconds") {
        Some(short) if short < 3600 => {
            errors.push(FieldError::invalid(at, short, "if provided, maxExpirationSeconds must be >= 3600"));
        }
        Some(long) if long > most => {
            let detail = format!("if provided, maxExpirationSeconds must be <= {most}");
            errors.push(FieldError::invalid(at, long, detail));
        }
        _ => {}
    }
    let fields = ["credentialBundlePath", "keyPath", "certificateChainPath"];
    let named: Vec<&str> = fields.into_iter().filter(|field| !source.text(field).is_empty()).collect();
    for field in &named {
        errors.extend(local_path(source.text(field), &format!("{path}.{field}")));
        errors.extend(seen.take(source.text(field), source.text(field)));
    }
    if named.is_empty() {
        let detail = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        errors.push(FieldError::required(path, detail));
    }
    errors
}
