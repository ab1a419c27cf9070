//! Defaults of a Pod's spec, shared by every template that holds one.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/v1/defaults.go`; recorded cases in the defaults test.

use serde_json::Value;

use super::off;
use crate::apiserver::kinds::json::Fill::{Choice, Empty, Flag, Int, NonZero, Text};
use crate::apiserver::kinds::json::{Defaults, Json, at_mut, fill, items_mut, object_mut, put};

const POD_SPEC: Defaults = &[
    ("dnsPolicy", Text("ClusterFirst")),
    ("restartPolicy", Text("Always")),
    ("terminationGracePeriodSeconds", Int(30)),
    ("securityContext", Empty),
    ("schedulerName", Text("default-scheduler")),
];

const CONTAINER: Defaults = &[
    ("resources", Empty),
    ("terminationMessagePath", Text("/dev/termination-log")),
    ("terminationMessagePolicy", Text("File")),
    ("ports[].protocol", Text("TCP")),
    ("env[].valueFrom.fieldRef.apiVersion", Text("v1")),
    ("env[].valueFrom.resourceFieldRef.divisor", Text("0")),
    ("env[].valueFrom.fileKeyRef.optional", Flag(false)),
    ("lifecycle.postStart.httpGet.path", Text("/")),
    ("lifecycle.postStart.httpGet.scheme", Text("HTTP")),
    ("lifecycle.preStop.httpGet.path", Text("/")),
    ("lifecycle.preStop.httpGet.scheme", Text("HTTP")),
];

const PROBE: Defaults = &[
    ("timeoutSeconds", NonZero(1)),
    ("periodSeconds", NonZero(10)),
    ("successThreshold", NonZero(1)),
    ("failureThreshold", NonZero(3)),
    ("httpGet.path", Text("/")),
    ("httpGet.scheme", Text("HTTP")),
    ("grpc.service", Text("")),
];

/// Of one volume source, inside a Pod's volume or a PersistentVolume's spec.
pub const VOLUME_SOURCE: Defaults = &[
    ("hostPath.type", Text("")),
    ("iscsi.iscsiInterface", Text("default")),
    ("rbd.pool", Text("rbd")),
    ("rbd.user", Text("admin")),
    ("rbd.keyring", Text("/etc/ceph/keyring")),
    ("azureDisk.cachingMode", Choice("ReadWrite")),
    ("azureDisk.fsType", Choice("ext4")),
    ("azureDisk.readOnly", Flag(false)),
    ("azureDisk.kind", Choice("Shared")),
    ("scaleIO.storageMode", Text("ThinProvisioned")),
    ("scaleIO.fsType", Text("xfs")),
];

const VOLUME: Defaults = &[
    ("secret.defaultMode", Int(420)),
    ("configMap.defaultMode", Int(420)),
    ("downwardAPI.defaultMode", Int(420)),
    ("downwardAPI.items[].fieldRef.apiVersion", Text("v1")),
    ("downwardAPI.items[].resourceFieldRef.divisor", Text("0")),
    ("projected.defaultMode", Int(420)),
    ("projected.sources[].serviceAccountToken.expirationSeconds", Int(3600)),
    ("projected.sources[].downwardAPI.items[].fieldRef.apiVersion", Text("v1")),
    ("projected.sources[].downwardAPI.items[].resourceFieldRef.divisor", Text("0")),
    ("ephemeral.volumeClaimTemplate.metadata", Empty),
    ("ephemeral.volumeClaimTemplate.spec.volumeMode", Choice("Filesystem")),
];

/// The lists of containers in a Pod's spec.
pub const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Fills in the spec of a Pod or of a template.
pub fn pod_spec(spec: &mut Value) {
    off::drop_fields(spec);
    fill(spec, POD_SPEC);
    let host_network = spec.flag("hostNetwork");
    for list in CONTAINER_LISTS {
        for container in items_mut(spec, list) {
            container_defaults(container);
            if host_network && list != "ephemeralContainers" {
                host_ports(container);
            }
        }
    }
    for volume in items_mut(spec, "volumes") {
        volume_defaults(volume);
    }
    service_account(spec);
}

/// What only a Pod has, not a template: service links, and requests that follow limits.
pub fn pod(pod: &mut Value) {
    let Some(spec) = pod.get_mut("spec") else { return };
    fill(spec, &[("enableServiceLinks", Flag(true))]);
    if spec.int("terminationGracePeriodSeconds").is_some_and(|grace| grace < 0) {
        put(spec, "terminationGracePeriodSeconds", 1);
    }
    for list in ["initContainers", "containers"] {
        for container in items_mut(spec, list) {
            requests_from_limits(container);
        }
    }
}

fn container_defaults(container: &mut Value) {
    fill(container, CONTAINER);
    if container.text("imagePullPolicy").is_empty() {
        let policy = pull_policy(container.text("image"));
        put(container, "imagePullPolicy", policy);
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = at_mut(container, probe).filter(|probe| probe.is_object()) {
            fill(probe, PROBE);
        }
    }
}

/// `Always` for the tag `latest`, said or implied, else `IfNotPresent`.
pub fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = match image.split_once('@') {
        Some((name, _)) => (name, true),
        None => (image, false),
    };
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':') {
        _ if !is_reference(name) => "IfNotPresent",
        Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
        None if digest || image.is_empty() => "IfNotPresent",
        None => "Always",
    }
}

/// The most letters of an image's name, without tag and digest.
const MOST_OF_A_NAME: usize = 255;

/// Whether a text names an image at all: `[registry/]path[:tag]`.
fn is_reference(name: &str) -> bool {
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (name, None),
    };
    let is_tag = |tag: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
    };
    if path.len() == 64 && path.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        // It looks like an image's id.
        return false;
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost" || part.to_lowercase() != part;
    let mut length = path.len();
    if parts.len() > 1 && is_host(parts[0]) {
        let host = parts.remove(0);
        if !is_registry(host) {
            return false;
        }
    } else {
        // The names that are left out count too.
        length += if parts.len() == 1 { "docker.io/library/".len() } else { "docker.io/".len() };
    }
    let is_part = |part: &&str| {
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'));
        end(part.chars().next()) && end(part.chars().last()) && inner && !part.contains("..") && !part.contains("___")
    };
    length <= MOST_OF_A_NAME && parts.iter().all(is_part) && tag.is_none_or(is_tag)
}

/// `host[:port]`, the host a name with dots or an address of IPv6 in brackets.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !label.is_empty() && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'),
        None => host.split('.').all(is_label),
    };
    is_host && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn host_ports(container: &mut Value) {
    for port in items_mut(container, "ports") {
        if port.int("hostPort").unwrap_or(0) == 0 {
            let number = port.at("containerPort").clone();
            put(port, "hostPort", number);
        }
    }
}

fn volume_defaults(volume: &mut Value) {
    let sources = volume
        .as_object()
        .map_or(0, |map| map.iter().filter(|(key, value)| *key != "name" && !value.is_null()).count());
    if sources == 0 {
        put(volume, "emptyDir", serde_json::json!({}));
    }
    fill(volume, VOLUME_SOURCE);
    fill(volume, VOLUME);
    if volume.has("image") && volume.text("image.pullPolicy").is_empty() {
        let policy = pull_policy(volume.text("image.reference"));
        put(volume, "image.pullPolicy", policy);
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are kept the same.
fn service_account(spec: &mut Value) {
    let name = match (spec.text("serviceAccountName"), spec.text("serviceAccount")) {
        ("", "") => return,
        ("", old) => old.to_string(),
        (name, _) => name.to_string(),
    };
    put(spec, "serviceAccountName", name.clone());
    put(spec, "serviceAccount", name);
}

fn requests_from_limits(container: &mut Value) {
    let limits: Vec<(String, Value)> = container
        .entries("resources.limits")
        .into_iter()
        .map(|(key, value)| (key.to_string(), value.clone()))
        .collect();
    if limits.is_empty() {
        return;
    }
    let requests = object_mut(container, "resources.requests");
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_decides_the_pull_policy() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("../up", "IfNotPresent"),
            ("-a.example/up", "IfNotPresent"),
            ("[::1]:5000/up", "Always"),
            ("registry.example:5000/up", "Always"),
            ("nginx:1.2", "IfNotPresent"),
            ("r.io:5000/a/b", "Always"),
            ("nginx@sha256:aa", "IfNotPresent"),
            ("nginx:latest@sha256:aa", "Always"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }
}
