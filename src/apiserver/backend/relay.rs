//! A whole request passed through to another server, and its answer back: bodies as they come,
//! upgraded connections (WebSocket, SPDY) joined end to end.
//!
//! What concerns one connection alone (`Connection`, `Transfer-Encoding`, …) is not passed on, and
//! neither is what proves to us who asks. Source: RFC 9110 section 7.6.1, `apimachinery/pkg/util/proxy`.

use std::io;

use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt, stream};
use http::header::{self, HeaderName};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Frame};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tower::BoxError;
use warp::Reply;

use crate::tasks::TaskGroup;

/// A body that is passed on as it comes.
pub type Passed = UnsyncBoxBody<Bytes, BoxError>;

/// Of one connection alone.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];
/// A browser's permission is for this server, not for the one behind it.
const CORS: [HeaderName; 4] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
];
/// Frames on their way.
const IN_FLIGHT: usize = 8;

/// A request's body as a stream, as a body to send.
pub fn body<B, D, E>(parts: B) -> Passed
where
    B: Stream<Item = Result<D, E>> + Send + 'static,
    D: Buf,
    E: Into<BoxError>,
{
    let frames = parts.map(|part| match part {
        Ok(mut data) => Ok(Frame::data(data.copy_to_bytes(data.remaining()))),
        Err(error) => Err(error.into()),
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Whether a request wants its connection for something else than HTTP.
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    let tokens = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    tokens.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

/// The headers of a request that the server behind gets.
pub fn request_headers(from: &HeaderMap) -> HeaderMap {
    let upgrade = is_upgrade(from);
    let mut headers = from.clone();
    strip(&mut headers, upgrade);
    headers.remove(header::AUTHORIZATION);
    let own: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
    own.iter().for_each(|name| drop(headers.remove(name)));
    headers
}

fn strip(headers: &mut HeaderMap, upgrade: bool) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        if !(upgrade && matches!(name.as_str(), "connection" | "upgrade")) {
            headers.remove(name);
        }
    }
    if !upgrade {
        headers.remove(header::UPGRADE);
    }
}

/// The answer of the server behind, as ours. `client` is the client's connection, for upgrades.
pub fn answer<B>(mut response: Response<B>, client: Option<OnUpgrade>, tasks: &TaskGroup) -> warp::reply::Response
where
    B: Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + Unpin + 'static,
{
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if let (true, Some(client)) = (upgraded, client) {
        join(client, hyper::upgrade::on(&mut response), tasks);
    }
    let (parts, body) = response.into_parts();
    let mut answer = match upgraded {
        true => warp::reply::Response::new(Bytes::new().into()),
        false => warp::reply::stream(shared(body, tasks)).into_response(),
    };
    *answer.status_mut() = parts.status;
    *answer.headers_mut() = parts.headers;
    strip(answer.headers_mut(), upgraded);
    CORS.iter().for_each(|name| drop(answer.headers_mut().remove(name)));
    answer
}

/// A body may be moved between threads but not shared, which an answer has to be: a task hands it on.
fn shared<B>(mut body: B, tasks: &TaskGroup) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static
where
    B: Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + Unpin + 'static,
{
    let (send, receive) = mpsc::channel(IN_FLIGHT);
    tasks.spawn("passed answer", async move {
        while let Some(frame) = body.frame().await {
            let part = match frame {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => Ok(data),
                    Err(_) => continue,
                },
                Err(error) => Err(io::Error::other(error.into())),
            };
            let failed = part.is_err();
            if send.send(part).await.is_err() || failed {
                return;
            }
        }
    });
    stream::unfold(receive, |mut receive| async move { Some((receive.recv().await?, receive)) })
}

/// Joins two connections until either ends.
fn join(client: OnUpgrade, server: OnUpgrade, tasks: &TaskGroup) {
    tasks.spawn("joined connections", async move {
        let (Ok(client), Ok(server)) = futures::future::join(client, server).await else { return };
        let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
        if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut server).await {
            tracing::debug!(%error, "a joined connection ended");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_is_of_one_connection_or_proves_the_client_stays_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("authorization", "Bearer secret"),
            ("impersonate-user", "root"),
            ("accept", "application/json"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let names: Vec<String> = request_headers(&headers).keys().map(ToString::to_string).collect();
        assert_eq!(names, ["accept"]);
        headers.insert("connection", HeaderValue::from_static("Upgrade"));
        headers.insert("upgrade", HeaderValue::from_static("websocket"));
        assert!(request_headers(&headers).contains_key("upgrade"));
    }
}
