//! One command in a container, from its start to its end, as `kubectl exec` runs it.
//!
//! In: a client over a socket (the connection is upgraded), a Pod, words. Out: what the command printed.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The most that is read of what a command prints.
const MOST_BYTES: u64 = 1 << 20;

/// Runs `words` in a container of `(namespace, pod, container)`; the only one, when its name is empty.
///
/// # Errors
/// Why it could not be started, or how it failed and what it said to standard error.
pub async fn run_in(client: kube::Client, place: (&str, &str, &str), words: &[String]) -> Result<String, String> {
    let (namespace, pod, container) = place;
    let pods: Api<Pod> = Api::namespaced(client, namespace);
    let mut asked = AttachParams::default().stdin(false).stdout(true).stderr(true);
    if !container.is_empty() {
        asked = asked.container(container);
    }
    let mut running = pods.exec(pod, words.to_vec(), &asked).await.map_err(in_words)?;
    let ended = running.take_status();
    let (out, err) = (running.stdout(), running.stderr());
    let (out, err) = tokio::join!(read(out), read(err));
    let ended = match ended {
        Some(ended) => ended.await,
        None => None,
    };
    match ended.and_then(|ended| ended.status.map(|word| (word, ended.message.unwrap_or_default()))) {
        Some((word, message)) if word != "Success" => Err(format!("{message}: {}", err.trim())),
        _ => Ok(out),
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // A stream that breaks has said what it said.
        let _ = stream.take(MOST_BYTES).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn in_words(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
