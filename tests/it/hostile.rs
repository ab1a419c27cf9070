//! Hostile pages and hostile objects, in a real browser: another site finds every door shut, and what a cluster
//! contains is text wherever the page shows it.
//!
//! The other site is a server on another port of this machine. For a browser that is the same site, so it sends the
//! playground's cookie along: what refuses is the playground.

use std::io::{Read, Write};
use std::net::TcpListener;

use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use tutor::course::progress::ProgressFile;

use crate::page::Paged;
use crate::webdriver::Browser;

/// Tries every way that a page has to ask another server for something; says what came of each.
const EVIL: &str = r#"<!DOCTYPE html><html lang="en"><title>a nice page</title><p>Read me.</p>
<form id="form" method="post" enctype="text/plain" action="BOOKapi/exercises/first-contact/start"><input name="{}" value=""></form>
<script>
const book = "BOOK", start = `${book}api/exercises/first-contact/start`;
const came = (promise) => promise.then((answer) => `came: ${answer.type} ${answer.status}`, () => "refused");
const loads = (name, attributes) => new Promise((done) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.onload = () => done("came"); made.onerror = () => done("refused");
  document.body.append(made);
});
const opens = (stream) => new Promise((done) => { stream.onopen = () => done("open"); stream.onerror = () => { stream.close(); done("refused"); } });
window.tried = (async () => ({
  fetch: await came(fetch(start, { method: "POST", credentials: "include", body: "{}" })),
  json: await came(fetch(start, { method: "POST", credentials: "include", headers: { "content-type": "application/json" }, body: "{}" })),
  read: await came(fetch(`${book}api/status`, { credentials: "include" })),
  page: await came(fetch(book, { credentials: "include" })),
  script: await loads("script", { src: `${book}api/progress` }),
  socket: await opens(new WebSocket(`${book.replace("http", "ws")}api/terminal?tab=evil`)),
  events: await opens(new EventSource(`${book}api/cluster`, { withCredentials: true })),
}))();
</script></html>"#;

/// Serves a page on a port of its own, for as long as this process lives.
fn site(page: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let page = page.to_owned();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 4096];
            if stream.read(&mut asked).unwrap_or(0) == 0 {
                continue;
            }
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n";
            // A browser that has gone needs no answer.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(page.as_bytes()));
        }
    });
    format!("http://{address}/")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn another_sites_page_gets_nothing_and_does_nothing() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    // The reader has the book open: the browser keeps its cookie.
    browser.open(&play.playground.book);
    browser.wait("#mdbook-sidebar .tutor-progress");
    browser.open(&site(&EVIL.replace("BOOK", &play.playground.book)));
    let tried = browser.comes("window.tried.then(arguments[1])", "");
    let tried = tried.as_object().unwrap();
    assert_eq!(tried.len(), 7, "{tried:?}");
    let passed: Vec<_> = tried.iter().filter(|(_, came)| *came != "refused").collect();
    assert!(passed.is_empty(), "{passed:?}");
    browser.script("document.getElementById('form').submit()", "");
    browser.wait_for("body", "another site may not use the playground");
    let progress = ProgressFile::new(play.state()).read().unwrap();
    assert_eq!(progress.current, None, "nothing was started");
    drop(browser);
    play.stop().await;
}

const HOSTILE: &str = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>";

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_a_cluster_contains_is_text_on_the_map_and_in_the_trace() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.open(&format!("{}control-plane/one-command.html", play.playground.book));
    browser.wait("#tutor-terminal .toggle");
    let client = play.cluster.client("kubectl");
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "chain", "annotations": {"note": HOSTILE}},
        "spec": {"selector": {"matchLabels": {"app": "chain"}}, "template": {
            "metadata": {"labels": {"app": "chain"}, "annotations": {"note": HOSTILE}},
            "spec": {"containers": [{"name": "shell", "image": "tutor/shell:1", "env": [{"name": "NOTE", "value": HOSTILE}],
                "command": ["sh", "-c", "echo \"$NOTE\"; sleep 3600"]}]}}}});
    let request = http::Request::post("/apis/apps/v1/namespaces/default/deployments")
        .header("content-type", "application/json")
        .header("user-agent", "kubectl/v1.37")
        .body(deployment.to_string().into_bytes());
    client.request_text(request.unwrap()).await.unwrap();
    let event = json!({"metadata": {"name": "evil"}, "type": "Warning", "reason": HOSTILE, "message": HOSTILE,
        "reportingComponent": HOSTILE, "source": {"component": HOSTILE},
        "involvedObject": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": "chain"}});
    let events: Api<Event> = Api::namespaced(client.clone(), "default");
    events.create(&PostParams::default(), &serde_json::from_value(event).unwrap()).await.unwrap();

    browser.script("document.querySelector('.tutor-cluster').open = true", "");
    browser.wait(".tutor-cluster [data-id='Deployment/default/chain']");
    browser.script("document.querySelector(\"[data-id='Deployment/default/chain']\").click()", "");
    browser.wait_for(".tutor-cluster .inspect", "Events (");
    browser.wait_for(".tutor-cluster .inspect", "onerror=");
    browser.script(
        "for (const part of document.querySelectorAll('.tutor-cluster .inspect details')) part.open = true",
        "",
    );
    inert(&browser);
    browser.press("As a table");
    inert(&browser);
    browser.press("As a table");
    // What it prints.
    let printed = "const done = arguments[1]; (function look() {
        const pod = document.querySelector(\".tutor-cluster .pod.ready[data-id^='Pod/default/chain-']\");
        if (pod) { pod.click(); done(true); } else setTimeout(look, 50);
    })()";
    assert_eq!(browser.comes(printed, ""), true);
    let logs = "const done = arguments[1]; let asked = 0; (function look() {
        const logs = [...document.querySelectorAll('.tutor-cluster .inspect details')].find((part) => part.firstChild.textContent === 'Logs');
        if (logs) logs.open = true;
        if (logs?.textContent.includes('onerror=')) return done(true);
        if (asked++ % 20 === 19) document.querySelector(\".tutor-cluster .pod.ready[data-id^='Pod/default/chain-']\")?.click();
        setTimeout(look, 50);
    })()";
    assert_eq!(browser.comes(logs, ""), true, "its log is shown");
    inert(&browser);
    // And what every write of it changed, with the object as it was then.
    browser.press("Trace deployment/chain");
    browser.wait(".tutor-trace .steps li details");
    browser.script("for (const step of document.querySelectorAll('.tutor-trace .steps details')) step.open = true", "");
    browser.wait_for(".tutor-trace .steps .then", "onerror=");
    // The steps' objects come one by one, so another can be the first a moment later.
    let first = "const done = arguments[1]; (function look() {
        for (const part of document.querySelectorAll('.tutor-trace .then')) part.open = true;
        const shown = document.querySelector('.tutor-trace .then')?.innerText ?? '';
        if (shown.includes('The object at revision') && shown.includes('progressDeadlineSeconds')) return done(true);
        setTimeout(look, 50);
    })()";
    assert_eq!(browser.comes(first, ""), true, "the object of the first step is shown");
    inert(&browser);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}

/// Nothing of what was written has become an element, and nothing has run.
fn inert(browser: &Browser) {
    let made = "return document.querySelectorAll('main img[src=x], main .tutor-cluster script, main .tutor-trace script').length";
    assert_eq!(browser.script(made, ""), 0);
    assert_ne!(browser.script("return document.title", ""), Value::from("taken"));
}
