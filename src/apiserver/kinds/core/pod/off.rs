//! What Pods and their templates lose at the door: fields of features that are off by default in Kubernetes 1.37.
//!
//! Source: `k8s.io/kubernetes/pkg/api/pod/util.go`, `dropDisabledFields`; each was tried on the official server.

use serde_json::{Map, Value};

use super::defaults::CONTAINER_LISTS;
use crate::apiserver::kinds::json::{Json, drop_at, items_mut};

const OF_SPEC: [&str; 2] = ["schedulingGroup", "evictionResponders"];
const OF_CONTAINERS: [&str; 8] = [
    "lifecycle.postStart.httpGet.protocol",
    "lifecycle.preStop.httpGet.protocol",
    "livenessProbe.httpGet.protocol",
    "livenessProbe.grpc.mode",
    "readinessProbe.httpGet.protocol",
    "readinessProbe.grpc.mode",
    "startupProbe.httpGet.protocol",
    "startupProbe.grpc.mode",
];
/// Volumes of files, which another user than the container's may own.
const OF_FILES: [&str; 4] = ["configMap", "secret", "downwardAPI", "projected"];
/// Single files of projected volumes.
const PROJECTED_FILES: [&str; 3] = ["serviceAccountToken", "clusterTrustBundle", "podCertificate"];

/// Takes them out of a Pod's spec.
pub fn drop_fields(spec: &mut Value) {
    for field in OF_SPEC {
        drop_at(spec, field);
    }
    for list in CONTAINER_LISTS {
        items_mut(spec, list).for_each(of_container);
    }
    items_mut(spec, "volumes").for_each(of_volume);
}

fn of_container(container: &mut Value) {
    for field in OF_CONTAINERS {
        drop_at(container, field);
    }
    let signalled = drop_at(container, "lifecycle.stopSignal").is_some();
    if signalled && container.at("lifecycle").as_object().is_some_and(Map::is_empty) {
        drop_at(container, "lifecycle");
    }
}

fn of_volume(volume: &mut Value) {
    drop_at(volume, "emptyDir.mode");
    of_files(volume);
    for projection in items_mut(volume, "projected.sources") {
        for source in PROJECTED_FILES {
            if let Some(source) = projection.get_mut(source) {
                drop_at(source, "user");
            }
        }
        of_files(projection);
    }
}

/// Of a volume or projection that shows files: who owns them.
fn of_files(volume: &mut Value) {
    for source in OF_FILES {
        let Some(source) = volume.get_mut(source) else { continue };
        drop_at(source, "defaultUser");
        items_mut(source, "items").for_each(|file| _ = drop_at(file, "user"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_off_goes_and_what_is_beside_it_stays() {
        let mut spec = json!({
            "schedulingGroup": {}, "dnsPolicy": "Default",
            "containers": [{"name": "c", "lifecycle": {"stopSignal": "SIGINT"},
                "livenessProbe": {"grpc": {"port": 1, "mode": "TLS"}}, "startupProbe": {"httpGet": {"port": 1, "protocol": "HTTP2"}}}],
            "volumes": [
                {"name": "a", "emptyDir": {"mode": 7, "medium": "Memory"}},
                {"name": "b", "secret": {"secretName": "s", "defaultUser": 1, "items": [{"key": "k", "path": "p", "user": 1}]}},
                {"name": "c", "projected": {"defaultUser": 1, "sources": [
                    {"serviceAccountToken": {"path": "t", "user": 1}}, {"configMap": {"items": [{"path": "p", "user": 1}]}}]}},
            ],
        });
        drop_fields(&mut spec);
        let kept = json!({
            "dnsPolicy": "Default",
            "containers": [{"name": "c", "livenessProbe": {"grpc": {"port": 1}}, "startupProbe": {"httpGet": {"port": 1}}}],
            "volumes": [
                {"name": "a", "emptyDir": {"medium": "Memory"}},
                {"name": "b", "secret": {"secretName": "s", "items": [{"key": "k", "path": "p"}]}},
                {"name": "c", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"configMap": {"items": [{"path": "p"}]}}]}},
            ],
        });
        assert_eq!(spec, kept);
    }
}
