//! A Pod's life on simulated nodes: placed, run, restarted, refused, evicted, gone.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tutor::cluster::{Link, Power};

use crate::harness::{Playground, condition, phase};

async fn create(play: &Playground, name: &str, extra: Value) {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "tutor/web:1"}]}});
    json_patch::merge(&mut pod, &extra);
    let pod = serde_json::from_value(pod).unwrap();
    play.api("pod", "default").create(&Default::default(), &pod).await.unwrap();
}

/// What was said about an object, oldest first, `reason: message`.
async fn said(play: &Playground, name: &str) -> Vec<String> {
    play.advance(Duration::from_secs(1)).await;
    let mut events = play.list("event", "").await;
    events.retain(|event| event["involvedObject"]["name"] == name);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| format!("{}: {}", text(&event["reason"]), text(&event["message"]))).collect()
}

async fn logs(play: &Playground, pod: &str) -> String {
    let object = play.get(&format!("pod/{pod}")).await.unwrap();
    let node = play.cluster.node(object["spec"]["nodeName"].as_str().unwrap()).unwrap();
    let request = http::Request::get(format!("/containerLogs/default/{pod}/c")).body(Bytes::new()).unwrap();
    let body = node.request(request).await.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

fn waiting(reason: &'static str) -> impl Fn(&Value) -> bool {
    move |pod| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
}

fn unschedulable(pod: &Value) -> Option<&str> {
    let conditions = pod["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["reason"] == "Unschedulable")?["message"].as_str()
}

fn asks(cpu: &str) -> Value {
    json!({"spec": {"containers": [{"name": "c", "image": "tutor/web:1", "resources": {"requests": {"cpu": cpu}}}]}})
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_run_and_gone() {
    let play = Playground::simulated().nodes(2).start().await;
    create(&play, "web", json!({})).await;
    let pod = play.expect("pod/web", phase("Running")).await;
    assert_eq!(play.cluster.decision("default", "web").unwrap()["node"], pod["spec"]["nodeName"]);
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().all(|condition| condition["status"] == "True"), "{conditions:#?}");
    assert!(pod["status"]["podIP"].as_str().unwrap().starts_with("10.244."));
    let said = said(&play, "web").await;
    for words in ["Scheduled: Successfully assigned default/web to node-", "Started: Container started"] {
        assert!(said.iter().any(|said| said.starts_with(words)), "{said:#?}");
    }
    assert_eq!(logs(&play, "web").await, "web version 1 on web\nlistening on :80\n");
    play.delete("pod/web").await;
    play.expect_gone("pod/web").await;
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn replicas_go_to_different_nodes_and_the_nodes_list_their_image() {
    let play = Playground::simulated().nodes(3).start().await;
    let template = json!({"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "tutor/web:1"}]}});
    let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template}});
    let web = serde_json::from_value(web).unwrap();
    play.api("deployment", "default").create(&Default::default(), &web).await.unwrap();
    play.expect("deployment/web", |web| web["status"]["readyReplicas"] == 3).await;
    let pods = play.list("pod", "app=web").await;
    let nodes: BTreeSet<&str> = pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
    let why = || pods.iter().map(|pod| play.cluster.decision("default", pod["metadata"]["name"].as_str()?));
    assert_eq!(nodes.len(), 3, "{:#?}", why().collect::<Vec<_>>());
    for node in nodes {
        let has = |node: &Value| node["status"]["images"].to_string().contains("tutor/web:1");
        play.expect(&format!("node/{node}"), has).await;
    }
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_fits_nowhere_says_why_and_gets_the_room_that_comes_free() {
    let play = Playground::simulated().nodes(1).start().await;
    create(&play, "first", asks("3")).await;
    play.expect("pod/first", phase("Running")).await;
    create(&play, "second", asks("2")).await;
    let pod = play.expect("pod/second", |pod| unschedulable(pod).is_some()).await;
    let words = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: \
                 1 No preemption victims found for incoming pod.";
    assert_eq!(unschedulable(&pod), Some(words));
    assert_eq!(said(&play, "second").await, [format!("FailedScheduling: {words}")]);
    play.delete("pod/first").await;
    play.expect("pod/second", phase("Running")).await;
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn crashes_wrong_images_and_ends_show_as_they_do() {
    let play = Playground::simulated().nodes(1).start().await;
    let runs = |policy: &str, script: &str| {
        json!({"spec": {"restartPolicy": policy, "containers": [
            {"name": "c", "image": "busybox", "command": ["sh", "-c", script]}]}})
    };
    let wrong = json!({"spec": {"containers": [{"name": "c", "image": "tutor/web:missing"}]}});
    create(&play, "wrong", wrong).await;
    play.expect("pod/wrong", waiting("ErrImagePull")).await;
    play.expect("pod/wrong", waiting("ImagePullBackOff")).await;
    create(&play, "done", runs("Never", "echo bye; sleep 5")).await;
    create(&play, "failed", runs("Never", "exit 3")).await;
    play.expect("pod/done", phase("Succeeded")).await;
    assert_eq!(logs(&play, "done").await, "bye\n");
    let failed = play.expect("pod/failed", phase("Failed")).await;
    assert_eq!(failed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 3);
    create(&play, "crashes", runs("Always", "false")).await;
    let restarted = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"] == 3;
    let pod = play.expect("pod/crashes", restarted).await;
    assert_eq!(pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 1);
    play.expect("pod/crashes", waiting("CrashLoopBackOff")).await;
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_more_important_pod_takes_the_room() {
    let play = Playground::simulated().nodes(1).start().await;
    play.apply("apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nvalue: 1000\n").await;
    create(&play, "low", asks("3")).await;
    play.expect("pod/low", phase("Running")).await;
    let mut high = asks("3");
    high["spec"]["priorityClassName"] = json!("high");
    create(&play, "high", high).await;
    play.expect("pod/high", phase("Running")).await;
    play.expect_gone("pod/low").await;
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pods_whose_node_was_off_run_again_under_whatever_address_they_get() {
    let play = Playground::simulated().nodes(1).start().await;
    // They come back in the order of their names, and so with each other's address.
    for name in ["b", "a"] {
        create(&play, name, json!({})).await;
        play.expect(&format!("pod/{name}"), phase("Running")).await;
    }
    play.cluster.set_power("node-1", Power::Off).unwrap();
    play.cluster.set_power("node-1", Power::On).unwrap();
    for name in ["a", "b"] {
        let again = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"] == 1;
        let pod = play.expect(&format!("pod/{name}"), again).await;
        let only = json!([{"ip": pod["status"]["podIP"]}]);
        assert_eq!(pod["status"]["podIPs"], only, "the address it had is not kept beside the new one");
    }
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_runs_on_is_replaced_and_comes_back() {
    let play = Playground::simulated().nodes(2).start().await;
    let template = json!({"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "tutor/web:1"}]}});
    let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}});
    play.api("deployment", "default").create(&Default::default(), &serde_json::from_value(web).unwrap()).await.unwrap();
    play.expect("deployment/web", |web| web["status"]["readyReplicas"] == 1).await;
    let old = play.list("pod", "app=web").await.remove(0);
    let (name, node) = (old["metadata"]["name"].as_str().unwrap(), old["spec"]["nodeName"].as_str().unwrap());

    play.cluster.set_link(node, Link::Cut).unwrap();
    assert!(play.cluster.set_link(node, Link::Cut).is_err(), "it is cut off already");
    play.expect(&format!("node/{node}"), condition("Ready", "Unknown")).await;
    play.expect(&format!("pod/{name}"), |pod| pod["metadata"].get("deletionTimestamp").is_some()).await;
    play.expect("deployment/web", |web| web["status"]["readyReplicas"] == 1).await;
    let running = play.list("pod", "app=web").await;
    assert_eq!(running.len(), 2, "nobody can say that the old one has ended: {running:#?}");
    assert_eq!(logs(&play, name).await.lines().count(), 2, "on its node it runs as before");
    let asked = play.client.request_text(
        http::Request::get(format!("/api/v1/namespaces/default/pods/{name}/log")).body(Vec::new()).unwrap(),
    );
    assert!(asked.await.unwrap_err().to_string().contains("i/o timeout"));

    play.cluster.set_link(node, Link::Joined).unwrap();
    play.expect(&format!("node/{node}"), condition("Ready", "True")).await;
    play.expect_gone(&format!("pod/{name}")).await;
    play.stop().await;
}
