//! What a reader does with a page in a real browser: answers its questions, looks at the map, plays
//! with a picture; with a keyboard, with a screen reader, in the dark, on paper.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tutor::course::progress::ProgressFile;

use crate::page::Paged;
use crate::webdriver::Browser;

const PODS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_question_is_answered_explained_and_kept() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    let url = format!("{}control-plane/etcd.html", play.playground.book);
    browser.open(&url);
    browser.wait("#quiz-fourth-member.asked form");
    let hidden = "return document.querySelector('#quiz-fourth-member .because').hidden";
    assert_eq!(browser.script(hidden, ""), true, "the answer is not shown before yours");
    let choose = "document.querySelectorAll('#quiz-fourth-member input')[arguments[0]].click();
        document.querySelector('#quiz-fourth-member form button').click()";
    browser.script(choose, "0");
    assert!(browser.wait("#quiz-fourth-member .said.failed").contains("Not quite"));
    assert!(browser.wait("#quiz-fourth-member .because:not([hidden])").contains("survives one failure"));
    browser.script(choose, "1");
    assert!(browser.wait("#quiz-fourth-member .said.passed").contains("Right"));
    let kept = ProgressFile::new(play.state()).read().unwrap().answers;
    assert_eq!(kept["fourth-member"], "No: one may fail, as before.");
    browser.open(&url);
    assert!(browser.wait("#quiz-fourth-member .said.passed").contains("Right"), "and it is there after a reload");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn two_of_three_members_lead_and_write_and_one_does_not() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.open(&format!("{}control-plane/etcd.html", play.playground.book));
    browser.wait(".tutor-quorum button");
    browser.press("Take away etcd-1");
    browser.wait_for(".tutor-quorum .said", "leads in term 2");
    browser.press("Write");
    browser.wait_for(".tutor-quorum .said", "2 of 3 disks");
    browser.press("Take away etcd-2");
    browser.press("Write");
    browser.wait_for(".tutor-quorum .said", "Refused");
    browser.press("Bring back etcd-1");
    browser.wait_for(".tutor-quorum .said", "it lacks a committed write");
    drop(browser);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_map_shows_who_owns_whom_and_what_is_inside() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.open(&format!("{}control-plane/the-cluster.html", play.playground.book));
    browser.wait(".tutor-cluster");
    browser.script("document.querySelector('.tutor-cluster').open = true", "");
    browser.wait(".tutor-cluster [data-id='Node//node-3']");
    let client = play.cluster.client("kubectl");
    let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 2,
        "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "tutor/web:1"}]}}}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    let lights = "window.lit = new Set(); new MutationObserver((changes) => {
        for (const { target } of changes) if (target.classList.contains('lit')) window.lit.add(target.dataset.part);
    }).observe(document.querySelector('.tutor-cluster .parts'), { subtree: true, attributes: true, attributeFilter: ['class'] })";
    browser.script(lights, "");
    send(&client, "/apis/apps/v1/namespaces/default/deployments", &web).await;
    send(&client, "/api/v1/namespaces/default/services", &service).await;
    // Each part lights up as a request passes through it, from whoever wrote to the store.
    let lit = "const done = arguments[1], parts = ['you', 'api', 'etcd', 'controllers', 'kube-scheduler', 'kubelet'];
        (function look() { if (parts.every((part) => window.lit.has(part))) done(true); else setTimeout(look, 50); })()";
    assert_eq!(browser.comes(lit, ""), true, "every part has lit up");
    let owned = browser.wait(".tutor-cluster .owners > li > ul > li [data-id^='ReplicaSet/default/web-']");
    assert!(owned.starts_with("ReplicaSet web-"), "the ReplicaSet stands under its Deployment: {owned}");
    until_text(&browser, ".tutor-cluster .services", "reaches web-");
    let both = browser.comes(UNTIL_MANY, ".tutor-cluster .pod[data-id^='Pod/default/web-']|2");
    assert_eq!(both, 2, "both Pods are on the map");
    browser.script("document.querySelector(\"[data-id='Deployment/default/web']\").focus()", "");
    let related = "return document.querySelectorAll('.tutor-cluster .pod.related').length";
    assert_eq!(browser.script(related, ""), 2, "its Pods are marked");
    browser.script("document.querySelector('.tutor-cluster .node button.pod').click()", "");
    for words in ["The scheduler chose node-", "points", "Scheduled"] {
        until_text(&browser, ".tutor-cluster .inspect", words);
    }
    browser.press("Close");
    browser.script("document.querySelector(\"[data-id='Node//node-3']\").click()", "");
    for (button, said) in [
        ("Cordon", "Closed to new Pods"),
        ("Uncordon", "Open to new Pods"),
        ("Power off", "The plug is pulled"),
        ("Power on", "It boots"),
        ("Pull its cable", "It runs on"),
        ("Put its cable in", "Its kubelet reaches"),
    ] {
        browser.press(button);
        until_text(&browser, ".tutor-cluster .inspect [role=status]", said);
        let node = play.cluster.node("node-3").unwrap();
        assert_eq!(node.is_off(), button == "Power off");
        if button == "Cordon" {
            until_text(&browser, ".tutor-cluster .nodes", "SchedulingDisabled");
        }
    }
    browser.press("As a table");
    let rows = until_text(&browser, ".tutor-cluster tbody", "ReplicaSet web-");
    assert!(rows.contains("EndpointSlice") && !rows.contains("1/1"), "{rows}");
    browser.press("As a table");
    browser.press("Pause");
    send(
        &client,
        "/api/v1/namespaces/default/services",
        &json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "later"}, "spec": {"ports": [{"port": 80}]}}),
    )
    .await;
    // It has come, and waits to be shown.
    let waits = "const done = arguments[1]; (function look() {
        if (/[1-9]\\d* steps? wait/.test(document.querySelector('.tutor-cluster .buttons').innerText)) done(true);
        else setTimeout(look, 20); })()";
    assert_eq!(browser.comes(waits, ""), true, "a step waits");
    let later = "return document.querySelector(\"[data-id='Service/default/later']\") !== null";
    assert_eq!(browser.script(later, ""), false, "nothing moves while it is paused");
    browser.press("Step");
    // In slow motion one write follows the other, the ones that waited first.
    browser.press("Slow motion");
    browser.wait(".tutor-cluster [data-id='Service/default/later']");
    let pressed = "return document.querySelector('.tutor-cluster [data-pace=slow]').getAttribute('aria-pressed')";
    assert_eq!(browser.script(pressed, ""), "true", "it came in slow motion");
    browser.press("Live");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}

/// Waits until the text of an element has these words; the text.
#[track_caller]
fn until_text(browser: &Browser, selector: &str, words: &str) -> String {
    let found = browser.comes(UNTIL_TEXT, &format!("{selector}|{words}"));
    found.as_str().unwrap_or_else(|| panic!("{words:?} does not come in {selector}: {found}")).to_owned()
}

/// Waits for an element whose text has these words: `selector|words`. Its text.
const UNTIL_TEXT: &str = "const [wanted, done] = arguments; const [selector, words] = wanted.split('|');
    (function look() {
        const found = document.querySelector(selector)?.innerText ?? '';
        if (found.includes(words)) done(found); else setTimeout(look, 20);
    })()";

/// Waits until so many elements are there.
const UNTIL_MANY: &str = "const [wanted, done] = arguments; const [selector, count] = wanted.split('|');
    (function look() {
        const found = document.querySelectorAll(selector).length;
        if (found >= Number(count)) done(found); else setTimeout(look, 20);
    })()";

pub async fn send(client: &kube::Client, path: &str, object: &Value) {
    let request =
        http::Request::post(path).header("content-type", "application/json").header("user-agent", "kubectl/v1.37");
    client.request_text(request.body(object.to_string().into_bytes()).unwrap()).await.unwrap();
}

pub fn pod(name: &str, node: &str) -> Pod {
    let object = json!({"metadata": {"name": name}, "spec": {"nodeName": node,
        "containers": [{"name": "web", "image": "tutor/web:1"}]}});
    serde_json::from_value(object).unwrap()
}

fn milliseconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1e3
}

/// Prints what a reader feels; nothing here is a promise about another machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_thousand_pods_stay_smooth() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    let pods: Api<Pod> = Api::namespaced(play.cluster.client("kubectl"), "default");
    for at in 0..PODS {
        // On a node of no kubelet, so that the map has work and the simulation has none.
        let made = pod(&format!("p{at}"), &format!("elsewhere-{}", at % 5));
        pods.create(&PostParams::default(), &made).await.unwrap();
    }
    browser.open(&play.playground.book);
    browser.wait(".tutor-cluster");
    browser.script("document.querySelector('.tutor-cluster').open = true", "");
    browser.wait(".tutor-cluster [data-id='Pod/default/p999']");
    let mut delays = Vec::new();
    for at in 0..20 {
        let name = format!("new{at}");
        browser.script(
            "window.seen = new Promise((done) => { const id = arguments[0]; new MutationObserver((_, observer) => {
                if (!document.querySelector(`[data-id='Pod/default/${id}']`)) return;
                observer.disconnect(); done(performance.timeOrigin + performance.now());
            }).observe(document.querySelector('.tutor-cluster'), { childList: true, subtree: true }) })",
            &name,
        );
        let sent = milliseconds();
        pods.create(&PostParams::default(), &pod(&name, "elsewhere-0")).await.unwrap();
        let seen = browser.comes("window.seen.then(arguments[1])", "").as_f64().unwrap();
        delays.push(seen - sent);
    }
    browser.script(
        "window.frames_ = []; let last = performance.now(); (function frame() {
            const now = performance.now(); window.frames_.push(now - last); last = now; requestAnimationFrame(frame); })()",
        "",
    );
    for at in 0..400 {
        let change = json!({"metadata": {"labels": {"turn": at.to_string()}}, "status": {"phase": if at % 2 == 0 { "Running" } else { "Pending" }}});
        let name = format!("p{}", at * 7 % PODS);
        pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    }
    let frames: Vec<f64> = serde_json::from_value(browser.script("return window.frames_", "")).unwrap();
    let (delays, frames) = (sorted(delays), sorted(frames));
    println!(
        "{PODS} Pods: object to map p50 {:.0} ms, worst {:.0} ms; {} frames, p50 {:.1} ms, p95 {:.1} ms, worst {:.1} ms",
        delays[delays.len() / 2],
        delays[delays.len() - 1],
        frames.len(),
        frames[frames.len() / 2],
        frames[frames.len() * 95 / 100],
        frames[frames.len() - 1],
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}

fn sorted(mut numbers: Vec<f64>) -> Vec<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers
}

/// The accessibility rules of `axe-core`, which `.ci/install` puts on the PATH.
fn axe() -> Option<String> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/tutor-tools/bin"));
    let found = std::env::split_paths(&folders)
        .chain(home)
        .find_map(|folder| std::fs::read_to_string(folder.join("axe.min.js")).ok());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "axe-core is missing: run .ci/install");
        eprintln!("skipped: needs axe-core");
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn every_page_can_be_read_by_everybody() {
    let Some(axe) = axe() else { return };
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.open(&play.playground.book);
    browser.wait("#mdbook-sidebar .tutor-progress");
    let links = "return [...document.querySelectorAll('#mdbook-sidebar a[href]')].map(a => a.href.split('#')[0])";
    let links: BTreeSet<String> = serde_json::from_value(browser.script(links, "")).unwrap();
    hold_still(&browser);
    let mut found = Vec::new();
    for theme in ["light", "navy"] {
        browser.script("localStorage.setItem('mdbook-theme', arguments[0])", theme);
        for link in &links {
            browser.open(link);
            browser.wait(&format!("html.{theme} #mdbook-sidebar .tutor-progress"));
            browser.script(&axe, "");
            browser.script("for (const part of document.querySelectorAll('main details')) part.open = true", "");
            let page = link.rsplit('/').next().unwrap();
            found.extend(faults(&browser, theme).into_iter().map(|fault| format!("{page}: {fault}")));
        }
    }
    assert!(found.is_empty(), "{} faults\n{}", found.len(), found.join("\n"));
    drop(browser);
    play.stop().await;
}

/// What axe finds on the page once nothing moves on it, under the rules of WCAG 2.2 AA: `[rule: where, …]`. The live
/// map goes on; its parts have no state in between, since this reader's screen should not move.
const RULES: &str = "const [theme, done] = arguments;
    const quiet = new Promise((still) => {
        const ended = () => { watch.disconnect(); still(); };
        let timer = setTimeout(ended, 150);
        const watch = new MutationObserver((changes) => {
            if (changes.every(({ target }) => target.parentElement?.closest('.tutor-cluster'))) return;
            clearTimeout(timer);
            timer = setTimeout(ended, 150);
        });
        watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    });
    quiet.then(() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })).then(({ violations }) =>
        done(violations.map(({ id, nodes }) => `${theme}: ${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} (${node.any[0]?.message ?? node.failureSummary})`).join(' | ')}`)))";

/// What axe finds.
#[track_caller]
fn faults(browser: &Browser, theme: &str) -> Vec<String> {
    let found = browser.comes(RULES, theme);
    serde_json::from_value(found.clone()).unwrap_or_else(|_| panic!("axe does not end: {found}"))
}

/// A screen on which nothing should move: no colour is halfway to another when it is looked at.
fn hold_still(browser: &Browser) {
    let still = json!({"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]});
    browser.devtools("Emulation.setEmulatedMedia", &still);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_a_reader_opens_can_be_read_by_everybody() {
    let Some(axe) = axe() else { return };
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.open(&play.playground.book);
    hold_still(&browser);
    let mut found: Vec<String> = Vec::new();
    for theme in ["light", "navy"] {
        browser.script("localStorage.setItem('mdbook-theme', arguments[0])", theme);
        browser.open(&format!("{}start/first-contact.html", play.playground.book));
        browser.wait(&format!("html.{theme} #tutor-terminal .toggle"));
        browser.script(&axe, "");
        let mut look = |what: &str| {
            found.extend(faults(&browser, theme).into_iter().map(|fault| format!("{what}: {fault}")));
        };
        browser.press("Run");
        browser.wait_for("#tutor-terminal .panel:not([hidden]) .output", "node-3");
        browser.wait("#tutor-terminal .line[data-ready=true]:not(.running)");
        look("the terminal");
        browser.script("document.querySelector('#tutor-terminal .more').click()", "");
        browser.wait("#tutor-terminal .head:nth-child(2) .close");
        look("two terminals");
        browser.script("document.querySelector('#tutor-terminal .head:nth-child(2) .close').click()", "");
        browser.wait("#tutor-terminal .head:only-child");
        browser.press_summary("Edit its files here");
        browser.wait(".tutor-editor .field textarea");
        look("the editor");
        browser.script("document.querySelector('.tutor-cluster').open = true", "");
        browser.wait(".tutor-cluster [data-id='Node//node-2']");
        browser.script("document.querySelector(\"[data-id='Node//node-2']\").click()", "");
        browser.wait(".tutor-cluster .inspect .buttons");
        look("the map, and a node of it");
        browser.press("As a table");
        browser.wait(".tutor-cluster .table tbody tr");
        look("the map as a table");
        let answer = "for (const form of document.querySelectorAll('details.asked form')) {
            form.querySelector('input').checked = true; form.requestSubmit(); }";
        browser.script(answer, "");
        browser.wait("details.asked .said.failed, details.asked .said.passed");
        browser.press("Check");
        browser.wait_for("section.exercise .results .verdict", "Not yet.");
        look("questions answered, an exercise checked");
        for (page, place) in [
            ("servers/dedicated-servers", ".tutor-packing table"),
            ("servers/virtual-machines", ".tutor-memory table"),
            ("servers/docker", ".tutor-orchestrator button"),
            ("control-plane/etcd", ".tutor-quorum button"),
        ] {
            browser.open(&format!("{}{page}.html", play.playground.book));
            browser.wait(place);
            browser.script(&axe, "");
            found.extend(faults(&browser, theme).into_iter().map(|fault| format!("{page}: {fault}")));
        }
    }
    assert!(found.is_empty(), "{} faults\n{}", found.len(), found.join("\n"));
    drop(browser);
    play.stop().await;
}

/// Prints what a first visit costs.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_page_is_light() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.open(&format!("{}control-plane/etcd.html", play.playground.book));
    browser.wait("#mdbook-sidebar .tutor-progress");
    let cost = "const [, done] = arguments; const loaded = performance.getEntriesByType('resource');
        const page = performance.getEntriesByType('navigation')[0];
        done({ bytes: [page, ...loaded].reduce((sum, part) => sum + part.encodedBodySize, 0), parts: loaded.length + 1,
            heavy: loaded.sort((a, b) => b.encodedBodySize - a.encodedBodySize).slice(0, 6).map((part) => `${part.name.split('/').pop()} ${part.encodedBodySize}`),
            drawn: performance.getEntriesByName('first-contentful-paint')[0]?.startTime, loaded: page.domContentLoadedEventEnd })";
    println!("first visit: {}", browser.script_async(cost, ""));
    browser.open(&format!("{}control-plane/kubelet.html", play.playground.book));
    browser.wait("#mdbook-sidebar .tutor-progress");
    println!("next page: {}", browser.script_async(cost, ""));
    let outside = "return performance.getEntriesByType('resource').filter((part) => !part.name.startsWith(location.origin)).length";
    assert_eq!(browser.script(outside, ""), 0, "no request leaves the machine");
    drop(browser);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_reader_needs_no_mouse() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.open(&format!("{}control-plane/etcd.html#quiz-fourth-member", play.playground.book));
    browser.wait("#quiz-fourth-member.asked form");
    // What is dressed above it moves it, and the browser follows at the next frame.
    let there = "const done = arguments[1]; (function look() {
        const place = document.querySelector('#quiz-fourth-member').getBoundingClientRect();
        if (place.top < innerHeight && place.bottom > 0) done(true); else setTimeout(look, 20); })()";
    assert_eq!(browser.comes(there, ""), true, "a deep link leads to its place");
    browser.script("document.querySelector('#quiz-fourth-member summary').focus()", "");
    browser.keys("\u{e004}");
    browser.keys("\u{e00d}");
    browser.keys("\u{e015}");
    browser.keys("\u{e004}");
    browser.keys("\u{e007}");
    assert!(browser.wait("#quiz-fourth-member .said.passed").contains("Right"));
    drop(browser);
    play.stop().await;
}
