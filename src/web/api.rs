//! The page's own API, for what Kubernetes has no API for. One function a call; JSON in and out.
//!
//! | call | does |
//! |---|---|
//! | `GET status` | nodes, runtime and why that one |
//! | `POST crash` | ends the playground as a power cut does; it starts again by itself |
//! | `GET switches`, `POST switches {name, state}` | the loops, and pausing, stepping, resuming one |
//! | `GET decisions?namespace=&name=` | the scheduler's last record for a Pod |
//! | `GET progress` | what was started and passed |
//! | `GET cluster` | the cluster as it changes (`live`) |
//! | `GET inspect?kind=&namespace=&name=` | one object: YAML, events, logs, verdict (`live`) |
//! | `POST nodes {name, do}` | cordons a node, pulls its plug, and back (`live`) |
//! | `GET trace…` | see `trace` |
//! | `quiz…` | see `quiz` |
//! | `yaml/…`, `files` | see `yaml` |
//! | `exercises…` | see `exercises` |
//! | `POST lab/…` | see `lab` |

use http::{Method, StatusCode};
use serde_json::{Value, json};
use warp::reply::Response;

use super::guard::{self, Asked, answer};
use super::{Site, exercises, lab, live, quiz, trace, yaml};
use crate::error::{Error, Result};

/// Answers `/api/{call}`.
pub async fn answer_call(site: &Site, call: &str, asked: &Asked) -> Response {
    let cluster = &site.0.cluster;
    let answered = match (&asked.method, call) {
        (&Method::GET, "status") => Ok(status(site)),
        (&Method::POST, "crash") => {
            site.0.crash.notify_one();
            Ok(json!({"life": site.0.life}))
        }
        (&Method::GET, "switches") => Ok(cluster.switches_shown()),
        (&Method::POST, "switches") => turn(site, asked),
        (&Method::GET, "decisions") => decision(site, asked),
        (&Method::GET, "progress") => exercises::progress(site),
        (&Method::GET, "exercises") => exercises::list(site),
        (&Method::GET, "trace") => trace::answer(site, asked).await,
        (&Method::GET, "inspect") => live::inspect::answer(site, asked).await,
        (&Method::POST, "nodes") => live::nodes::act(site, asked).await,
        (&Method::POST, "yaml/check") => yaml::check(site, asked).await,
        (&Method::POST, "yaml/complete") => yaml::complete(site, asked).await,
        (&Method::GET, "files") => yaml::read_file(site, asked),
        (&Method::POST, "files") => yaml::write_file(site, asked),
        (&Method::GET, "cluster") => return live::watch_cluster(site),
        (&Method::POST, "lab/boot") => lab::start_times(site).await,
        (&Method::POST, "lab/memory") => lab::memory(),
        (&Method::POST, "lab/container") => lab::container(site).await,
        (&Method::POST, "lab/orchestrate") => return lab::orchestrate(site, asked),
        (&Method::GET, "quiz") => quiz::answers(site),
        (&Method::POST, call) if call.starts_with("quiz/") => quiz::answer(site, &call["quiz/".len()..], asked),
        (method, call) => match exercises::Call::of(method, call) {
            Some(call) => return exercises::answer_call(site, call, asked).await,
            None => return guard::refuse(StatusCode::NOT_FOUND, &format!("the page has no call {method} {call}")),
        },
    };
    reply(answered)
}

/// A value, or the error that came instead of it.
pub fn reply(answered: Result<Value>) -> Response {
    match answered {
        Ok(body) => answer(StatusCode::OK, "application/json", body.to_string()),
        Err(error) => guard::failed(StatusCode::BAD_REQUEST, &error),
    }
}

/// The request's body as JSON; an empty object when there is none.
pub fn body(asked: &Asked, example: &str) -> Result<Value> {
    if asked.body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(&asked.body)
        .map_err(|e| Error::new("the body is not JSON", e.to_string()).hint(format!("send {example}")))
}

/// The cluster's; where the registry is; and `life`: another word each time the playground starts.
fn status(site: &Site) -> Value {
    let mut status = site.0.cluster.status();
    status["registry"] = site.0.playground.registry.as_str().into();
    status["life"] = site.0.life.as_str().into();
    status
}

fn turn(site: &Site, asked: &Asked) -> Result<Value> {
    let wish = body(asked, r#"{"name": "scheduler", "state": "paused"}"#)?;
    let text = |key: &str| wish[key].as_str().unwrap_or_default();
    site.0.cluster.turn_switch(text("name"), text("state"))?;
    Ok(site.0.cluster.switches_shown())
}

fn decision(site: &Site, asked: &Asked) -> Result<Value> {
    let namespace = asked.query("namespace").unwrap_or_else(|| "default".to_owned());
    let name = asked.query("name").unwrap_or_default();
    site.0.cluster.decision(&namespace, &name).ok_or_else(|| {
        Error::new(
            format!("the scheduler has no record of pod {namespace}/{name}"),
            "it has not looked at that Pod since it started",
        )
    })
}
