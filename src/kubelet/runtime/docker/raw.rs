//! A terminal's bytes as docker sends them: all of them, and nothing else.
//!
//! In: docker's socket and a request that turns its connection into a stream. Out: both halves of the stream. Without
//! a terminal docker sends pieces, each behind a header that says of which stream it is. With one it sends what is
//! printed, as it is. bollard tells the two apart by the first byte (a header begins with 0, 1 or 2), so a program that
//! prints such a byte first would be waited for, until as much has come as the next bytes happen to say. Source: Docker
//! Engine API, "Attach to a container". Chapter: `book/src/inside/runtime.md`.

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::host::Host;

/// More of docker's words about what is wrong is not read.
const MOST_WORDS_BYTES: usize = 64 * 1024;

/// Asks, and takes the connection over.
///
/// # Errors
/// Docker's words, or why it cannot be asked.
pub async fn open(
    host: &Host,
    path: &str,
    body: Option<&Value>,
) -> Result<(impl AsyncRead + Send + use<>, impl AsyncWrite + Send + use<>), String> {
    let stream = UnixStream::connect(&host.connected.socket).await.map_err(|fault| fault.to_string())?;
    let said = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
    host.tasks.spawn("docker terminal", async move {
        // However it ends, the stream ends with it.
        let _ = connection.with_upgrades().await;
    });
    let request = Request::post(path)
        .header(header::HOST, "docker")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "tcp")
        .header(header::CONTENT_TYPE, "application/json")
        // Docker would take a body that it does not expect for something typed.
        .body(Full::new(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default()))
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(said)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let words = Limited::new(answer.into_body(), MOST_WORDS_BYTES).collect().await;
        let words = words.map(|words| words.to_bytes()).unwrap_or_default();
        let parsed: Value = serde_json::from_slice(&words).unwrap_or_default();
        return Err(parsed["message"]
            .as_str()
            .map_or_else(|| String::from_utf8_lossy(&words).into_owned(), str::to_owned));
    }
    let stream = hyper::upgrade::on(answer).await.map_err(said)?;
    Ok(tokio::io::split(TokioIo::new(stream)))
}
