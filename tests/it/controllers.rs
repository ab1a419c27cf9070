//! The loops together, on a whole playground: what a Deployment promises, what ownership means, and
//! what happens when a node goes silent.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams, PropagationPolicy};
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
