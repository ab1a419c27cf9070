//! A Pod's life on simulated nodes: placed, run, restarted, refused, evicted, gone.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tutor::cluster::{Link, Power};
use tutor::kubelet::PodView;
use tutor::kubelet::environment::Sources;
use tutor::kubelet::runtime::VolumeSource;
use tutor::kubelet::tokens::PodTokens;

use crate::harness::{Playground, condition, into, phase};

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

/// As a laptop that was closed for a minute: its nodes were given up, and are all right.
#[tokio::test(start_paused = true)]
async fn a_node_that_was_silent_for_a_minute_is_ready_long_before_its_next_regular_status() {
    let play = Playground::simulated().nodes(1).start().await;
    play.cluster.set_link("node-1", Link::Cut).unwrap();
    play.expect("node/node-1", condition("Ready", "Unknown")).await;
    play.cluster.set_link("node-1", Link::Joined).unwrap();
    let joined = play.clock().now();
    play.expect("node/node-1", condition("Ready", "True")).await;
    let back = play.clock().now().duration_since(joined).as_secs();
    assert!(back <= 30, "it was back after {back} s; its next regular status comes after minutes");
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_deletes_again_with_less_time_need_not_wait_for_the_first_grace() {
    let play = Playground::simulated().nodes(1).start().await;
    play.apply("apiVersion: v1\nkind: Pod\nmetadata: { name: deaf }\nspec: { containers: [{ name: c, image: 'tutor/shell:1' }] }\n")
        .await;
    play.expect("pod/deaf", condition("Ready", "True")).await;
    let pods = play.api("pod", "default");
    pods.delete("deaf", &DeleteParams::default().grace_period(300)).await.unwrap();
    play.advance(Duration::from_secs(5)).await;
    assert!(play.get("pod/deaf").await.is_some(), "it does not hear TERM");
    let asked = play.clock().now();
    pods.delete("deaf", &DeleteParams::default().grace_period(1)).await.unwrap();
    play.expect_gone("pod/deaf").await;
    let took = play.clock().now().duration_since(asked).as_secs();
    assert!(took <= 5, "it took {took} s");
    play.stop().await;
}

/// A Pod has its node's zone as a label.
const ZONE: &str = "topology.kubernetes.io/zone=\"zone-a\"";

/// Waits until a Pod that prints `turn` and then its files says this in a turn.
async fn shows(play: &Playground, pod: &str, expected: &[&str]) {
    let mut last = String::new();
    for _ in 0..120 {
        play.advance(Duration::from_secs(1)).await;
        let text = logs(play, pod).await;
        // The last turn may be under way.
        last = text.rsplit("turn\n").nth(1).unwrap_or_default().to_owned();
        if last.lines().eq(expected.iter().copied()) {
            return;
        }
    }
    panic!("{pod} shows\n{last}and not\n{expected:#?}");
}

async fn config_map(play: &Playground, name: &str, data: Value, extra: Value) {
    let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    json_patch::merge(&mut map, &extra);
    let map = serde_json::from_value(map).unwrap();
    play.api("configmap", "default").create(&Default::default(), &map).await.unwrap();
}

async fn patch(play: &Playground, kind: &str, name: &str, patch: Value) {
    let patch = kube::api::Patch::Merge(patch);
    play.api(kind, "default").patch(name, &Default::default(), &patch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn files_in_running_containers_follow_what_they_show() {
    let play = Playground::simulated().nodes(1).start().await;
    config_map(&play, "dials", json!({"color": "red", "shape": "round"}), json!({})).await;
    config_map(&play, "fixed", json!({"key": "first"}), json!({"immutable": true})).await;
    let files = ["/all/color", "/all/shape", "/one", "/some/tint", "/fixed/key", "/pod/labels"];
    let script = format!("while true; do echo turn; cat {}; sleep 1; done", files.join("; cat "));
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    let labels = json!({"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}});
    let some = json!({"name": "late", "optional": true, "items": [{"key": "tint", "path": "tint"}]});
    create(
        &play,
        "reads",
        json!({
            "metadata": {"labels": {"app": "x"}},
            "spec": {
                "containers": [{"name": "c", "image": "tutor/shell:1", "command": ["sh", "-c", script], "volumeMounts": [
                    mount("dials", "/all"),
                    {"name": "dials", "mountPath": "/one", "subPath": "color"},
                    mount("some", "/some"),
                    mount("fixed", "/fixed"),
                    mount("pod", "/pod"),
                ]}],
                "volumes": [
                    {"name": "dials", "configMap": {"name": "dials"}},
                    {"name": "some", "projected": {"sources": [{"secret": some}]}},
                    {"name": "fixed", "configMap": {"name": "fixed"}},
                    {"name": "pod", "downwardAPI": {"items": [labels]}},
                ],
            },
        }),
    )
    .await;
    play.expect("pod/reads", phase("Running")).await;
    let none = |path: &str| format!("cat: can't open '{path}': No such file or directory");
    let (no_shape, no_tint) = (none("/all/shape"), none("/some/tint"));
    shows(&play, "reads", &["red", "round", "red", &no_tint, "first", "app=\"x\"", ZONE]).await;

    patch(&play, "configmap", "dials", json!({"data": {"color": "blue", "shape": null}})).await;
    shows(&play, "reads", &["blue", &no_shape, "red", &no_tint, "first", "app=\"x\"", ZONE]).await;

    let late = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}, "stringData": {"tint": "pale", "x": "y"}});
    play.api("secret", "default").create(&Default::default(), &serde_json::from_value(late).unwrap()).await.unwrap();
    shows(&play, "reads", &["blue", &no_shape, "red", "pale", "first", "app=\"x\"", ZONE]).await;

    patch(&play, "pod", "reads", json!({"metadata": {"labels": {"app": "y"}}})).await;
    shows(&play, "reads", &["blue", &no_shape, "red", "pale", "first", "app=\"y\"", ZONE]).await;

    // What is deleted stays where it has to be, and goes where it may be missing.
    play.delete("configmap/dials").await;
    play.delete("secret/late").await;
    shows(&play, "reads", &["blue", &no_shape, "red", &no_tint, "first", "app=\"y\"", ZONE]).await;
    let why = "FailedMount: MountVolume.SetUp failed for volume \"dials\" : configmap \"dials\" not found";
    let events = said(&play, "reads").await;
    assert!(events.iter().any(|said| said == why), "{events:#?}");

    config_map(&play, "dials", json!({"color": "green", "shape": "flat"}), json!({})).await;
    shows(&play, "reads", &["green", "flat", "red", &no_tint, "first", "app=\"y\"", ZONE]).await;

    // Nobody watches what has said that it never changes.
    play.delete("configmap/fixed").await;
    config_map(&play, "fixed", json!({"key": "second"}), json!({})).await;
    play.advance(Duration::from_secs(60)).await;
    shows(&play, "reads", &["green", "flat", "red", &no_tint, "first", "app=\"y\"", ZONE]).await;
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_started_again_finds_the_files_of_what_is_gone() {
    let play = Playground::simulated().nodes(1).start().await;
    config_map(&play, "dials", json!({"color": "red"}), json!({})).await;
    let script = "echo turn; cat /all/color; sleep 60; exit 1";
    let container = json!({"name": "c", "image": "tutor/shell:1", "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "dials", "mountPath": "/all"}]});
    let volume = json!({"name": "dials", "configMap": {"name": "dials"}});
    create(&play, "again", json!({"spec": {"containers": [container], "volumes": [volume]}})).await;
    play.expect("pod/again", phase("Running")).await;
    play.delete("configmap/dials").await;
    let restarted = |pod: &Value| {
        let status = &pod["status"]["containerStatuses"][0];
        status["restartCount"] == 1 && status["state"]["running"].is_object()
    };
    play.expect("pod/again", restarted).await;
    assert_eq!(logs(&play, "again").await, "turn\nred\n");
    play.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pods_token_stays_until_another_is_due() {
    let play = Playground::simulated().nodes(1).start().await;
    create(&play, "web", json!({})).await;
    let pod: PodView = into(play.expect("pod/web", phase("Running")).await);
    let volume = pod.spec.volumes.iter().flatten().find(|volume| volume.projected.is_some()).unwrap();
    let mut tokens = PodTokens::default();
    let mut token = async || {
        let mut sources = Sources::new(&play.client, &pod, "", "").with_tokens(&mut tokens, play.clock().now());
        match sources.volume(volume).await.unwrap().source {
            VolumeSource::Files(files) => files["token"].content.clone(),
            other => panic!("{other:?}"),
        }
    };
    let first = token().await;
    assert!(!first.is_empty());
    play.advance(Duration::from_secs(40 * 60)).await;
    assert_eq!(token().await, first);
    play.advance(Duration::from_secs(20 * 60)).await;
    assert_ne!(token().await, first);
    play.stop().await;
}
