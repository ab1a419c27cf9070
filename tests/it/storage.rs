//! Claims, volumes and the Pods that use them: the scheduler, the binder and the collector together.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{Playground, phase};

/// A disk that is in one node.
fn disk(name: &str, class: &str, node: &str) -> String {
    format!(
        "apiVersion: v1
kind: PersistentVolume
metadata: {{ name: {name} }}
spec:
  capacity: {{ storage: 1Gi }}
  accessModes: [ReadWriteOnce]
  storageClassName: {class}
  local: {{ path: /disks/{name} }}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{{ key: kubernetes.io/hostname, operator: In, values: [{node}] }}]
---
"
    )
}

const CLASS: &str = "apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: by-hand }
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
---
";

const WRITER: &str = "apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: notes }
spec:
  storageClassName: by-hand
  accessModes: [ReadWriteOnce]
  resources: { requests: { storage: 1Gi } }
---
apiVersion: v1
kind: Pod
metadata: { name: writer }
spec:
  containers: [{ name: main, image: 'tutor/web:1', volumeMounts: [{ name: notes, mountPath: /notes }] }]
  volumes: [{ name: notes, persistentVolumeClaim: { claimName: notes } }]
";

#[tokio::test(start_paused = true)]
async fn a_pod_gets_the_node_of_its_disk_and_the_disk_comes_first() {
    let play = Playground::simulated().nodes(3).start().await;
    play.apply(&format!("{CLASS}{WRITER}")).await;
    let refused = |pod: &Value| {
        let all = pod["status"]["conditions"].as_array().into_iter().flatten();
        let mut said = all.filter_map(|condition| condition["message"].as_str());
        said.any(|text| text.contains("3 node(s) didn't find available persistent volumes to bind"))
    };
    play.expect("pod/writer", refused).await;
    assert_eq!(play.get("persistentvolumeclaim/notes").await.unwrap()["status"]["phase"], "Pending");
    play.apply(&disk("second", "by-hand", "node-2")).await;
    let pod = play.expect("pod/writer", phase("Running")).await;
    assert_eq!(pod["spec"]["nodeName"], "node-2");
    let claim = play.expect("persistentvolumeclaim/notes", phase("Bound")).await;
    assert_eq!(claim["spec"]["volumeName"], "second");
    let failed = play.list("events", "").await.into_iter().find(|event| event["reason"] == "FailedMount");
    assert_eq!(failed, None, "the kubelet found the claim bound");
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_class_with_a_provisioner_is_told_the_node() {
    let play = Playground::simulated().nodes(3).start().await;
    let class = CLASS.replace("kubernetes.io/no-provisioner", "disks.example.com");
    play.apply(&format!(
        "{class}{}",
        WRITER.replace("  containers", "  nodeSelector: { kubernetes.io/hostname: node-3 }\n  containers")
    ))
    .await;
    let told = |claim: &Value| claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] == "node-3";
    play.expect("persistentvolumeclaim/notes", told).await;
    assert_eq!(play.get("pod/writer").await.unwrap()["spec"]["nodeName"], Value::Null, "it waits for its volume");
    // What the provisioner does: a volume that names the claim.
    let claim = play.get("persistentvolumeclaim/notes").await.unwrap();
    play.apply(&disk("made", "by-hand", "node-3")).await;
    let to = json!({ "spec": { "claimRef": { "kind": "PersistentVolumeClaim", "apiVersion": "v1",
        "namespace": "default", "name": "notes", "uid": claim["metadata"]["uid"] } } });
    let volumes = play.api("persistentvolume", "");
    volumes.patch("made", &PatchParams::default(), &Patch::Merge(to)).await.unwrap();
    let pod = play.expect("pod/writer", phase("Running")).await;
    assert_eq!(pod["spec"]["nodeName"], "node-3");
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn claims_go_with_their_set_or_with_its_pods_as_the_policy_says() {
    let play = Playground::simulated().nodes(3).start().await;
    let disks: String =
        ["node-1", "node-2", "node-3"].map(|node| disk(&format!("on-{node}"), "by-hand", node)).concat();
    let set = "apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db }
spec:
  replicas: 2
  serviceName: db
  persistentVolumeClaimRetentionPolicy: { whenDeleted: Delete, whenScaled: Delete }
  selector: { matchLabels: { app: db } }
  template:
    metadata: { labels: { app: db } }
    spec:
      containers: [{ name: db, image: 'tutor/web:1', volumeMounts: [{ name: data, mountPath: /data }] }]
  volumeClaimTemplates:
    - metadata: { name: data }
      spec: { storageClassName: by-hand, accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
";
    play.apply(&format!("{CLASS}{disks}{set}")).await;
    play.expect("statefulset/db", |set| set["status"]["readyReplicas"] == 2).await;
    let owned = |claim: &Value| claim["metadata"]["ownerReferences"][0]["kind"] == "StatefulSet";
    play.expect("persistentvolumeclaim/data-db-0", owned).await;
    let scale = |replicas: u32| Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    let sets = play.api("statefulset", "default");
    sets.patch("db", &PatchParams::default(), &scale(1)).await.unwrap();
    play.expect_gone("persistentvolumeclaim/data-db-1").await;
    // One that comes again gets a claim of its own.
    sets.patch("db", &PatchParams::default(), &scale(2)).await.unwrap();
    play.expect("statefulset/db", |set| set["status"]["readyReplicas"] == 2).await;
    play.delete("statefulset/db").await;
    play.expect_gone("persistentvolumeclaim/data-db-0").await;
    play.expect_gone("persistentvolumeclaim/data-db-1").await;
    play.stop().await;
}
