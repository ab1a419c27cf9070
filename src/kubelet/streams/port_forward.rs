//! Port-forward: pairs of streams, one for the connection's bytes and one for what went wrong.
//!
//! In: pairs as a client opens them, the sandbox. Out: a connection to the sandbox's `localhost` for each;
//! an error is told on the pair's error stream, in Kubernetes' words. Source: `cri-streaming/portforward`.
//! Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncWriteExt, DuplexStream, copy_bidirectional};
use tokio::sync::mpsc;

use super::spdy::Opened;
use crate::kubelet::runtime::Runtime;

/// Halves of pairs that wait for the other half.
const MOST_WAITING: usize = 1024;

/// The Pod that ports are forwarded to.
#[derive(Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Target {
    pub runtime: Arc<dyn Runtime>,
    pub sandbox: String,
    pub uid: String,
}

/// Forwards one connection until both sides have closed it.
pub async fn forward(target: &Target, port: u16, mut data: DuplexStream, mut error: DuplexStream) {
    match target.runtime.port_forward(&target.sandbox, port).await {
        Ok(mut connection) => {
            // How the connection ends is between its two ends.
            let _ = copy_bidirectional(&mut data, &mut connection).await;
        }
        Err(failure) => {
            let Target { sandbox, uid, .. } = target;
            let words = format!("error forwarding port {port} to pod {sandbox}, uid {uid}: {failure}");
            // A client that left does not read it.
            let _ = error.write_all(words.as_bytes()).await;
            let _ = error.shutdown().await;
        }
    }
}

/// Joins streams to pairs by their request and forwards each pair, until the client leaves.
pub async fn serve(target: Target, mut streams: mpsc::Receiver<Opened>) {
    let mut waiting: HashMap<String, Opened> = HashMap::new();
    let mut running = FuturesUnordered::new();
    loop {
        let opened = tokio::select! {
            opened = streams.recv() => opened,
            Some(()) = running.next(), if !running.is_empty() => continue,
        };
        let Some(opened) = opened else { return };
        let text = |name: &str| opened.header(name).unwrap_or_default().to_owned();
        let request = text("requestID");
        let Some(other) = waiting.remove(&request) else {
            if waiting.len() < MOST_WAITING {
                waiting.insert(request, opened);
            }
            continue;
        };
        let Ok(port) = text("port").parse::<u16>() else { continue };
        let (data, error) = match text("streamType").as_str() {
            "data" => (opened.pipe, other.pipe),
            _ => (other.pipe, opened.pipe),
        };
        running.push(forward(&target, port, data, error));
    }
}
