//! A reader who walks over the map with the arrow keys.

use k8s_openapi::api::core::v1::{Pod, PodSchedulingGate};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::page::Paged;
use crate::reader::{pod, send};
use crate::webdriver::Browser;

/// Waits until the map's button of this object has the focus.
const UNTIL_FOCUS: &str = "const [wanted, done] = arguments; (function look() {
        if (document.activeElement.dataset.id === wanted) done(true); else setTimeout(look, 20);
    })()";

/// Where the focus is: an object of the map, else an element.
const FOCUS: &str = "return document.activeElement.dataset.id ?? document.activeElement.tagName";

/// Keys, as WebDriver names them.
mod key {
    pub const TAB: &str = "\u{e004}";
    pub const ENTER: &str = "\u{e007}";
    pub const ESCAPE: &str = "\u{e00c}";
    pub const END: &str = "\u{e010}";
    pub const HOME: &str = "\u{e011}";
    pub const LEFT: &str = "\u{e012}";
    pub const UP: &str = "\u{e013}";
    pub const RIGHT: &str = "\u{e014}";
    pub const DOWN: &str = "\u{e015}";
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn arrow_keys_walk_over_the_map() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    let pods: Api<Pod> = Api::namespaced(play.cluster.client("kubectl"), "default");
    browser.open(&format!("{}control-plane/the-cluster.html", play.playground.book));
    browser.wait(".tutor-cluster");
    browser.script("document.querySelector('.tutor-cluster').open = true", "");
    browser.wait(".tutor-cluster [data-id='Node//node-3']");
    // One after the other, so that they stand in this order.
    for (name, node) in [("a1", "node-1"), ("a2", "node-1"), ("a3", "node-1"), ("b1", "node-2"), ("b2", "node-2")] {
        pods.create(&PostParams::default(), &pod(name, node)).await.unwrap();
        browser.wait(&format!(".tutor-cluster [data-id='Pod/default/{name}']"));
    }
    let focus = |id: &str| browser.script("document.querySelector(`[data-id='${arguments[0]}']`).focus()", id);
    let press = |keys: &[&str]| keys.iter().for_each(|key| browser.keys(key));
    let focused = || browser.script(FOCUS, "").as_str().unwrap().to_owned();
    focus("Pod/default/a1");
    for (key, stands_at) in [
        (key::DOWN, "Pod/default/a2"),
        (key::RIGHT, "Pod/default/b2"),
        (key::UP, "Pod/default/b1"),
        (key::LEFT, "Pod/default/a1"),
        (key::LEFT, "Pod/default/a1"),
        (key::END, "Pod/default/a3"),
        (key::DOWN, "Pod/default/a3"),
        (key::RIGHT, "Pod/default/b2"),
        // A node without Pods has its name, and its name's neighbours are names.
        (key::RIGHT, "Node//node-3"),
        (key::RIGHT, "Node//node-3"),
        (key::DOWN, "Node//node-3"),
        (key::LEFT, "Node//node-2"),
        (key::LEFT, "Node//node-1"),
        (key::DOWN, "Pod/default/a1"),
        (key::HOME, "Node//node-1"),
    ] {
        press(&[key]);
        assert_eq!(focused(), stands_at);
    }
    // The Tab key stops once at each node's Pods, where the reader was last.
    focus("Pod/default/a2");
    press(&[key::TAB, key::TAB]);
    // Past the name of node-2.
    assert_eq!(focused(), "Pod/default/b2");
    let stops = "return document.querySelectorAll('.tutor-cluster .pod[tabindex=\"0\"]').length";
    assert_eq!(browser.script(stops, ""), 2);
    // Looked into and closed, it has the focus again.
    press(&[key::ENTER]);
    browser.wait(".tutor-cluster .inspect summary");
    press(&[key::ESCAPE]);
    assert_eq!(focused(), "Pod/default/b2");
    // What is deleted under the reader leaves the focus beside it.
    pods.delete("b2", &DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() }).await.unwrap();
    assert_eq!(browser.comes(UNTIL_FOCUS, "Pod/default/b1"), true, "{}", focused());
    // What gets its node takes the focus along.
    let mut gated = pod("gated", "");
    let spec = gated.spec.as_mut().unwrap();
    spec.node_name = None;
    spec.scheduling_gates = Some(vec![PodSchedulingGate { name: "example.com/hold".into() }]);
    pods.create(&PostParams::default(), &gated).await.unwrap();
    browser.wait("[aria-label='Pods without a node'] [data-id='Pod/default/gated']");
    focus("Pod/default/gated");
    let open = json!({"spec": {"schedulingGates": null}});
    pods.patch("gated", &PatchParams::default(), &Patch::Merge(&open)).await.unwrap();
    browser.wait("[aria-label^='Pods on node-'] [data-id='Pod/default/gated']");
    assert_eq!(focused(), "Pod/default/gated");
    // Lists are walked down and up, and a table too.
    let client = play.cluster.client("kubectl");
    for name in ["one", "two"] {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
        send(&client, "/api/v1/namespaces/default/services", &service).await;
        browser.wait(&format!(".tutor-cluster .services [data-id='Service/default/{name}']"));
    }
    focus("Service/default/two");
    press(&[key::UP]);
    assert_eq!(focused(), "Service/default/one");
    browser.press("As a table");
    let first = "const buttons = document.querySelectorAll('.tutor-cluster tbody button'); buttons[0].focus(); return buttons[1].dataset.id";
    let second = browser.script(first, "");
    press(&[key::DOWN]);
    assert_eq!(focused(), second.as_str().unwrap());
    // No key has turned the page; neither does one that moves a slider.
    let page = "return location.pathname";
    assert_eq!(browser.script(page, ""), "/control-plane/the-cluster.html");
    browser.open(&format!("{}servers/dedicated-servers.html", play.playground.book));
    browser.wait(".tutor-packing input[type=range]");
    let slide = "const slider = document.querySelector('.tutor-packing input[type=range]'); slider.focus(); return slider.value";
    let before = browser.script(slide, "");
    press(&[key::RIGHT]);
    let after = browser.script("return document.querySelector('.tutor-packing input[type=range]')?.value", "");
    assert_ne!(before, after, "it has moved");
    assert_eq!(browser.script(page, ""), "/servers/dedicated-servers.html");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}
