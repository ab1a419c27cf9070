//! The page's experiments: what is measured on this machine, and a game on this cluster.
//!
//! | call | does |
//! |---|---|
//! | `POST lab/boot` | `{"starts"}`: how long a process, a container and a machine take to start |
//! | `POST lab/memory` | `{"kernelMib"}`: what this machine's kernel holds for itself |
//! | `POST lab/container` | `{"walls"}`: a container by hand, and what it sees after each wall |
//! | `POST lab/orchestrate {keeper}` | a line of JSON for all that happens in two minutes, then the score |
//!
//! Two at once would measure each other, so there is one at a time.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::{MutexGuard, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use warp::Reply;
use warp::reply::Response;

use super::Site;
use super::api::{body, reply};
use super::guard::{self, Asked};
use crate::client::current_namespace;
use crate::error::{Error, Result};
use crate::lab::orchestrator::{self, Board, Keeper, Rules, Told};
use crate::lab::{boot, memory, walls};

/// The game's length, and the time from one death to the next.
const LENGTH: Duration = Duration::from_secs(120);
const EVERY: Duration = Duration::from_secs(15);

/// Held while an experiment is made.
fn alone(site: &Site) -> Result<MutexGuard<'_, ()>> {
    site.0.lab.try_lock().map_err(|_| {
        Error::new("an experiment is under way", "two at once would disturb each other")
            .hint("wait until it is over; the longest takes two minutes")
    })
}

/// Answers `POST lab/boot`.
pub async fn start_times(site: &Site) -> Result<Value> {
    let _alone = alone(site)?;
    let inside = &site.0;
    let folder = inside.playground.state_dir.join(boot::FOLDER);
    Ok(json!({"starts": boot::measure(&folder, inside.clock, &inside.tasks).await}))
}

/// Answers `POST lab/memory`.
pub fn memory() -> Result<Value> {
    Ok(json!({"kernelMib": memory::kernel_mib()?}))
}

/// Answers `POST lab/container`.
pub async fn container(site: &Site) -> Result<Value> {
    let _alone = alone(site)?;
    Ok(json!({"walls": walls::build(&site.0.program, site.0.clock).await?}))
}

/// Answers `POST lab/orchestrate`. The game is the playground's, not the connection's: it ends, and removes its Pods,
/// also when nobody reads on.
pub fn orchestrate(site: &Site, asked: &Asked) -> Response {
    let keeper = match body(asked, r#"{"keeper": "deployment"}"#) {
        Ok(wish) if wish["keeper"] == "deployment" => Keeper::Deployment,
        Ok(_) => Keeper::You,
        Err(error) => return reply(Err(error)),
    };
    let site = site.clone();
    let (lines, received) = mpsc::unbounded_channel::<Result<Bytes, std::io::Error>>();
    site.0.tasks.clone().spawn("game", async move {
        // A reader who has gone misses the lines; nothing else does.
        let say = |line: Value| drop(lines.send(Ok(format!("{line}\n").into())));
        let _alone = match alone(&site) {
            Ok(alone) => alone,
            Err(busy) => return say(told(&busy)),
        };
        let namespace = current_namespace(&site.0.playground.kubeconfig).unwrap_or_else(|| "default".to_owned());
        say(json!({"what": "begun", "namespace": namespace}));
        let board = Board { informers: site.0.informers.clone(), namespace, clock: site.0.clock };
        let rules = Rules { keeper, length: LENGTH, every: EVERY };
        let mut tell = |told: Told| say(json!(told));
        if let Err(error) = orchestrator::play(&board, rules, &mut tell).await {
            say(told(&error));
        }
    });
    let mut response = warp::reply::stream(UnboundedReceiverStream::new(received)).into_response();
    guard::dress(&mut response, StatusCode::OK, "application/x-ndjson");
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn told(error: &Error) -> Value {
    json!({"error": {"what": error.what, "why": error.why, "hints": error.hints}})
}
