//! A watch: what changes, event by event, as the server sends it.

use futures::StreamExt;
use serde_json::Value;

use super::connect::Cluster;
use super::failure::{Failure, Result};
use super::http::Call;

/// The events of a watch: type and object, as the server sends them.
///
/// # Errors
/// The server's refusal.
pub async fn events(
    cluster: &Cluster,
    call: Call,
) -> Result<std::pin::Pin<Box<dyn futures::Stream<Item = Result<(String, Value)>> + Send>>> {
    let lines = cluster.api.lines(call.query("watch", "true")).await?;
    let event = |line: Result<Vec<u8>>| {
        let mut event: Value = serde_json::from_slice(&line?)
            .map_err(|fault| Failure::new(format!("unable to decode an event from the watch stream: {fault}")))?;
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let object = event.get_mut("object").map(Value::take).unwrap_or_default();
        Ok((kind, object))
    };
    Ok(Box::pin(lines.map(event)))
}
