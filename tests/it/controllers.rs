//! The loops together, on a whole playground: what a Deployment promises, what ownership means, and
//! what happens when a node goes silent.

use std::time::Duration;

use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy};
use serde_json::{Value, json};
use tutor::cluster::Power;

use crate::harness::{Playground, condition, minutes, ready};

fn web(image: &str, replicas: u32) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web }}
spec:
  replicas: {replicas}
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec:
      containers: [{{ name: web, image: '{image}' }}]
"
    )
}

/// A Job whose only index fails, and is tried again.
const FAILING_SHARD: &str = "
apiVersion: batch/v1
kind: Job
metadata: { name: shard, namespace: shop }
spec:
  completionMode: Indexed
  completions: 1
  backoffLimitPerIndex: 4
  template:
    spec:
      restartPolicy: Never
      containers: [{ name: c, image: 'tutor/shell:1', command: [sh, -c, exit 1] }]
";

async fn patch(play: &Playground, kind: &str, name: &str, patch: Value) {
    play.api(kind, "default").patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

fn names(objects: &[Value]) -> Vec<String> {
    objects.iter().map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// All replicas are of the newest template, and the Deployment says so.
fn rolled_out(n: i64) -> impl Fn(&Value) -> bool {
    move |object| {
        let status = &object["status"];
        ready(n)(object)
            && status["updatedReplicas"] == n
            && status["replicas"] == n
            && status["availableReplicas"] == n
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_rolls_out_heals_scales_and_goes_back() {
    let play = Playground::simulated().start().await;
    play.apply(&web("tutor/web:1", 3)).await;
    play.expect("deployment/web", rolled_out(3)).await;
    let first = play.list("pods", "app=web").await;

    play.delete(&format!("pod/{}", names(&first)[0])).await;
    play.expect_gone(&format!("pod/{}", names(&first)[0])).await;
    play.expect("deployment/web", rolled_out(3)).await;

    play.apply(&web("tutor/web:2", 5)).await;
    let second = play.expect("deployment/web", rolled_out(5)).await;
    assert_eq!(second["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    assert!(condition("Progressing", "True")(&second));

    play.apply(&web("tutor/web:1", 2)).await;
    let third = play.expect("deployment/web", rolled_out(2)).await;
    assert_eq!(third["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
    let sets = play.list("replicasets", "app=web").await;
    assert_eq!(sets.len(), 2, "the first ReplicaSet is used again");
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_follows_its_pods() {
    let play = Playground::simulated().start().await;
    play.apply("apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { selector: { app: web }, ports: [{ port: 80 }] }\n").await;
    play.apply(&web("tutor/web:1", 2)).await;
    let endpoints =
        |n: usize| move |object: &Value| object["subsets"][0]["addresses"].as_array().map_or(0, Vec::len) == n;
    play.expect("endpoints/web", endpoints(2)).await;
    let slices = play.list("endpointslices", "kubernetes.io/service-name=web").await;
    assert_eq!(slices[0]["endpoints"].as_array().map(Vec::len), Some(2));
    patch(&play, "deployment", "web", json!({ "spec": { "replicas": 0 } })).await;
    play.expect("endpoints/web", endpoints(0)).await;
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn orphans_are_left_behind_and_adopted_again() {
    let play = Playground::simulated().start().await;
    play.apply(&web("tutor/web:1", 2)).await;
    play.expect("deployment/web", rolled_out(2)).await;
    let set = names(&play.list("replicasets", "app=web").await).remove(0);
    let orphan = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..Default::default() };
    play.api("deployment", "default").delete("web", &orphan).await.unwrap();
    play.expect_gone("deployment/web").await;
    let alone = |set: &Value| set["metadata"]["ownerReferences"].is_null();
    play.expect(&format!("replicaset/{set}"), alone).await;
    assert_eq!(play.list("pods", "app=web").await.len(), 2);

    play.apply(&web("tutor/web:1", 2)).await;
    play.expect(&format!("replicaset/{set}"), |set| !alone(set)).await;
    play.expect("deployment/web", rolled_out(2)).await;
    assert_eq!(play.list("replicasets", "app=web").await.len(), 1);
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn deleting_an_owner_deletes_what_it_owns() {
    let play = Playground::simulated().start().await;
    for policy in [PropagationPolicy::Background, PropagationPolicy::Foreground] {
        play.apply(&web("tutor/web:1", 2)).await;
        play.expect("deployment/web", rolled_out(2)).await;
        let pods = names(&play.list("pods", "app=web").await);
        let options = DeleteParams { propagation_policy: Some(policy), ..Default::default() };
        play.api("deployment", "default").delete("web", &options).await.unwrap();
        play.expect_gone("deployment/web").await;
        for pod in pods {
            play.expect_gone(&format!("pod/{pod}")).await;
        }
        assert!(play.list("replicasets", "").await.is_empty());
    }
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_has_its_account_and_takes_everything_with_it() {
    let play = Playground::simulated().start().await;
    play.apply("apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n").await;
    play.expect("shop/serviceaccount/default", |_| true).await;
    play.expect("shop/configmap/kube-root-ca.crt", |copy| copy["data"]["ca.crt"].is_string()).await;
    let text = web("tutor/web:1", 2).replace("{ name: web }\nspec", "{ name: web, namespace: shop }\nspec");
    play.apply(&text).await;
    play.expect("shop/deployment/web", rolled_out(2)).await;
    // Its failed Pod is held until the next one is made, ten seconds later, which is too late.
    play.apply(FAILING_SHARD).await;
    play.expect("shop/job/shard", |job| job["status"]["active"] == 1).await;
    play.advance(Duration::from_secs(5)).await;
    let shards = play.api("pod", "shop").list(&ListParams::default().labels("job-name=shard")).await.unwrap();
    assert_eq!(shards.items[0].data["status"]["phase"], "Failed");
    play.delete("namespace/shop").await;
    play.expect_gone("namespace/shop").await;
    assert!(play.get("shop/deployment/web").await.is_none());
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pods_leave_a_silent_node_after_fifty_and_three_hundred_seconds() {
    let play = Playground::simulated().nodes(2).start().await;
    play.apply(&web("tutor/web:1", 4)).await;
    play.expect("deployment/web", rolled_out(4)).await;
    let on = |pods: &[Value], node: &str| pods.iter().filter(|pod| pod["spec"]["nodeName"] == node).count();
    assert!(on(&play.list("pods", "app=web").await, "node-1") > 0);

    play.cluster.set_power("node-1", Power::Off).unwrap();
    let died = play.clock().now();
    play.expect("node/node-1", condition("Ready", "Unknown")).await;
    let noticed = play.clock().now().duration_since(died).as_secs();
    assert!((40..=60).contains(&noticed), "noticed after {noticed} s");
    play.advance(Duration::from_secs(290)).await;
    let leaving = |pods: &[Value]| pods.iter().filter(|pod| !pod["metadata"]["deletionTimestamp"].is_null()).count();
    assert_eq!(leaving(&play.list("pods", "app=web").await), 0, "tolerated for 300 s");
    play.advance(minutes(1)).await;
    play.expect("deployment/web", ready(4)).await;
    let alive: Vec<Value> = play.list("pods", "app=web").await;
    let alive: Vec<Value> = alive.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect();
    assert_eq!((on(&alive, "node-1"), alive.len()), (0, 4));
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn endpoints_written_by_hand_are_mirrored() {
    let play = Playground::simulated().start().await;
    play.apply("apiVersion: v1\nkind: Service\nmetadata: { name: db }\nspec: { ports: [{ name: sql, port: 5432 }] }\n")
        .await;
    play.apply(
        "apiVersion: v1\nkind: Endpoints\nmetadata: { name: db }\nsubsets:\n- addresses: [{ ip: 192.0.2.7 }]\n  \
         ports: [{ name: sql, port: 5432 }]\n",
    )
    .await;
    let slices = mirrored(&play, 1).await;
    assert_eq!(slices[0]["endpoints"][0]["addresses"][0], "192.0.2.7");
    play.delete("endpoints/db").await;
    mirrored(&play, 0).await;
    play.stop().await;
}

/// Waits until the Service `db` has so many slices.
async fn mirrored(play: &Playground, count: usize) -> Vec<Value> {
    for _ in 0..100 {
        let slices = play.list("endpointslices", "kubernetes.io/service-name=db").await;
        if slices.len() == count {
            return slices;
        }
        play.advance(Duration::from_secs(1)).await;
    }
    panic!("there never were {count} slices");
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_deleted_job_go_with_it() {
    let play = Playground::simulated().start().await;
    play.apply(
        "apiVersion: batch/v1\nkind: Job\nmetadata: { name: sum }\nspec:\n  completions: 2\n  parallelism: 2\n  template:\n    \
         spec:\n      restartPolicy: Never\n      containers: [{ name: c, image: busybox, command: [sleep, '3600'] }]\n",
    )
    .await;
    play.expect("job/sum", |job| job["status"]["ready"] == 2).await;
    let pods = names(&play.list("pods", "job-name=sum").await);
    let background = DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..Default::default() };
    play.api("job", "default").delete("sum", &background).await.unwrap();
    play.expect_gone("job/sum").await;
    for pod in pods {
        play.expect_gone(&format!("pod/{pod}")).await;
    }
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_index_that_suffices_ends_the_job() {
    let play = Playground::simulated().start().await;
    play.apply(
        "apiVersion: batch/v1\nkind: Job\nmetadata: { name: race }\nspec:\n  completions: 3\n  parallelism: 3\n  \
         completionMode: Indexed\n  successPolicy: { rules: [{ succeededIndexes: '0' }] }\n  template:\n    spec:\n      \
         restartPolicy: Never\n      containers: [{ name: c, image: busybox, command: [sh, -c, \
         'if [ \"$JOB_COMPLETION_INDEX\" = 0 ]; then exit 0; fi; sleep 3600'] }]\n",
    )
    .await;
    let done = play.expect("job/race", condition("Complete", "True")).await;
    assert!(condition("SuccessCriteriaMet", "True")(&done));
    assert_eq!((&done["status"]["succeeded"], &done["status"]["completedIndexes"]), (&json!(1), &json!("0")));
    assert!(done["status"]["failed"].is_null(), "what was stopped did not fail: {:#}", done["status"]);
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_eviction_says_so_and_a_job_may_ignore_it() {
    let play = Playground::simulated().start().await;
    play.apply(
        "apiVersion: batch/v1\nkind: Job\nmetadata: { name: train }\nspec:\n  backoffLimit: 0\n  podFailurePolicy:\n    \
         rules: [{ action: Ignore, onPodConditions: [{ type: DisruptionTarget, status: 'True' }] }]\n  template:\n    \
         spec:\n      restartPolicy: Never\n      containers: [{ name: c, image: busybox, command: [sleep, '600'] }]\n",
    )
    .await;
    play.expect("job/train", |job| job["status"]["ready"] == 1).await;
    let pod = names(&play.list("pods", "job-name=train").await).remove(0);
    let eviction =
        json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod, "namespace": "default" } });
    let request = http::Request::post(format!("/api/v1/namespaces/default/pods/{pod}/eviction"))
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&eviction).unwrap())
        .unwrap();
    play.client.request_text(request).await.unwrap();
    let done = play.expect("job/train", condition("Complete", "True")).await;
    assert!(done["status"]["failed"].is_null(), "an eviction is not a failure: {:#}", done["status"]);
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_approved_request_gets_its_certificate() {
    let play = Playground::simulated().start().await;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "jane");
    let pem = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pem);
    play.apply(&format!(
        "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {{ name: jane }}\nspec:\n  \
         request: {encoded}\n  signerName: kubernetes.io/kube-apiserver-client\n  usages: [client auth]\n"
    ))
    .await;
    let approved = json!({ "status": { "conditions": [
        { "type": "Approved", "status": "True", "reason": "ByHand", "message": "I know her" }] } });
    let api = play.api("certificatesigningrequests", "default");
    api.patch_subresource("approval", "jane", &PatchParams::default(), &Patch::Merge(&approved)).await.unwrap();
    let signed = play.expect("certificatesigningrequest/jane", |csr| csr["status"]["certificate"].is_string()).await;
    assert!(condition("Approved", "True")(&signed));
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_lets_its_pods_end_before_it_takes_the_rest() {
    let play = Playground::simulated().start().await;
    play.apply("apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n").await;
    play.expect("shop/serviceaccount/default", |_| true).await;
    play.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: { name: till, namespace: shop, finalizers: [example.com/hold] }\nspec: { \
         containers: [{ name: c, image: tutor/pause:1 }] }\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: \
         prices, namespace: shop }\n",
    )
    .await;
    play.expect("shop/pod/till", condition("Ready", "True")).await;
    play.delete("namespace/shop").await;
    play.expect("namespace/shop", condition("NamespaceFinalizersRemaining", "True")).await;
    play.advance(minutes(2)).await;
    assert!(play.get("shop/configmap/prices").await.is_some(), "a Pod is still there");
    let free = json!({ "metadata": { "finalizers": null } });
    play.api("pod", "shop").patch("till", &PatchParams::default(), &Patch::Merge(free)).await.unwrap();
    play.expect_gone("namespace/shop").await;
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn owners_in_a_circle_go_together() {
    let play = Playground::simulated().start().await;
    let mut uids = Vec::new();
    for name in ["a", "b", "c"] {
        play.apply(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\n")).await;
        uids.push(play.get(&format!("configmap/{name}")).await.unwrap()["metadata"]["uid"].clone());
    }
    for (name, owner, uid) in [("a", "c", &uids[2]), ("b", "a", &uids[0]), ("c", "b", &uids[1])] {
        let reference =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid, "blockOwnerDeletion": true });
        patch(&play, "configmap", name, json!({ "metadata": { "ownerReferences": [reference] } })).await;
    }
    let foreground = DeleteParams { propagation_policy: Some(PropagationPolicy::Foreground), ..Default::default() };
    play.api("configmap", "default").delete("a", &foreground).await.unwrap();
    for name in ["a", "b", "c"] {
        play.expect_gone(&format!("configmap/{name}")).await;
    }
    play.stop().await;
}
