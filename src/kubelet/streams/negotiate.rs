//! Which protocol a client and the kubelet agree on, and the headers that say so.
//!
//! In: a request's headers. Out: an [`Offer`] that can be accepted and served, or the refusal. WebSocket
//! clients list their protocols in `Sec-WebSocket-Protocol`, SPDY clients in `X-Stream-Protocol-Version`; the
//! kubelet takes the newest that both know. Source: `cri-streaming`, `httpstream`.

use futures::FutureExt;
use http::{HeaderMap, Response, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::remote_command::{self, Channels, Ending, Task};
use super::spdy;
use super::websocket::{self, Coding, Way};
use crate::kubelet::http::{Body, Refused, text};
use crate::kubelet::runtime::{Session, Streams};

/// What SPDY clients upgrade to.
const SPDY: &str = "SPDY/3.1";
/// SPDY frames in a WebSocket.
pub(super) const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
/// SPDY's protocol for port-forward.
pub(super) const PORT_FORWARD: &str = "portforward.k8s.io";

/// WebSocket protocols of exec and attach, what they mean.
pub(super) const PROTOCOLS: [(&str, Coding, Ending); 6] = [
    ("v5.channel.k8s.io", Coding::Binary, Ending::Wrapped),
    ("v4.channel.k8s.io", Coding::Binary, Ending::Status),
    ("v4.base64.channel.k8s.io", Coding::Base64, Ending::Status),
    ("channel.k8s.io", Coding::Binary, Ending::Text),
    ("base64.channel.k8s.io", Coding::Base64, Ending::Text),
    ("", Coding::Binary, Ending::Text),
];

/// SPDY protocols of exec and attach, newest first, and whether a terminal can be resized.
const SPDY_PROTOCOLS: [(&str, Ending, bool); 4] = [
    ("v4.channel.k8s.io", Ending::Status, true),
    ("v3.channel.k8s.io", Ending::Text, true),
    ("v2.channel.k8s.io", Ending::Text, false),
    ("channel.k8s.io", Ending::Text, false),
];

/// The protocol that was agreed on for exec and attach.
#[derive(Clone, Debug)]
pub(super) enum Offer {
    WebSocket { accept: String, protocol: &'static str, coding: Coding, ending: Ending, streams: Streams },
    Spdy { protocol: &'static str, ending: Ending, resize: bool, streams: Streams },
}

impl Offer {
    pub(super) fn choose(headers: &HeaderMap, streams: Streams) -> Result<Offer, Refused> {
        if let Some(accept) = websocket_key(headers) {
            let wanted = websocket_protocols(headers);
            let known = PROTOCOLS.iter().find(|(name, ..)| wanted.iter().any(|wanted| wanted == name));
            let (protocol, coding, ending) = *known.ok_or_else(|| {
                (StatusCode::FORBIDDEN, format!("requested protocol(s) are not supported: {wanted:?}"))
            })?;
            return Ok(Offer::WebSocket { accept, protocol, coding, ending, streams });
        }
        if !is_spdy(headers) {
            return Err((StatusCode::BAD_REQUEST, "Upgrade request required".to_owned()));
        }
        let wanted = spdy_protocols(headers);
        let known = SPDY_PROTOCOLS.iter().find(|(name, ..)| wanted.iter().any(|wanted| wanted == name));
        // A client that names none speaks the first version.
        let known = known.or(SPDY_PROTOCOLS.last().filter(|_| wanted.is_empty()));
        let (protocol, ending, resize) = *known.ok_or_else(|| {
            let known: Vec<&str> = SPDY_PROTOCOLS.iter().map(|(name, ..)| *name).collect();
            let (wanted, known) = (wanted.join(" "), known.join(" "));
            let why = format!(
                "unable to upgrade: unable to negotiate protocol: client supports [{wanted}], server accepts [{known}]"
            );
            (StatusCode::FORBIDDEN, why)
        })?;
        Ok(Offer::Spdy { protocol, ending, resize, streams })
    }

    pub(super) fn accepted(&self) -> Response<Body> {
        match self {
            Offer::WebSocket { accept, protocol, .. } => switch_to_websocket(accept, protocol),
            Offer::Spdy { protocol, .. } => switch_to_spdy(protocol),
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn serve(self, io: impl AsyncRead + AsyncWrite + Unpin, session: Session, task: Task) {
        match self {
            Offer::WebSocket { coding, ending, streams, .. } => {
                let ways = ways(streams);
                let greeting = ways.iter().position(|way| *way == Way::Out).map(|number| number as u8);
                let socket = websocket::accept(io).await;
                let (ends, carry) = websocket::channels(socket, &ways, coding, greeting);
                let mut ends = ends.into_iter();
                let mut next = || ends.next().flatten();
                let channels =
                    Channels { stdin: next(), stdout: next(), stderr: next(), error: next(), resize: next() };
                // The process is let go when the client leaves, and the last words are still carried.
                let run = remote_command::run(session, channels, task, ending).then(|()| std::future::pending());
                tokio::select! {
                    () = carry => {}
                    () = run => {}
                }
            }
            Offer::Spdy { ending, resize, streams, protocol } => {
                let (mut opened, carry) = spdy::serve(io);
                let expected = usize::from(protocol != "channel.k8s.io" || streams.stdin || streams.stdout)
                    + usize::from(streams.stdin)
                    + usize::from(streams.stdout)
                    + usize::from(streams.stderr)
                    + usize::from(streams.tty && resize);
                let run = async move {
                    let none = || Channels { stdin: None, stdout: None, stderr: None, error: None, resize: None };
                    let mut channels = none();
                    for _ in 0..expected {
                        let Some(stream) = opened.recv().await else { return std::future::pending().await };
                        let kind = stream.header("streamType").unwrap_or_default().to_owned();
                        match kind.as_str() {
                            "stdin" => channels.stdin = Some(stream.pipe),
                            "stdout" => channels.stdout = Some(stream.pipe),
                            "stderr" => channels.stderr = Some(stream.pipe),
                            "resize" => channels.resize = Some(stream.pipe),
                            _ => channels.error = Some(stream.pipe),
                        }
                    }
                    remote_command::run(session, channels, task, ending).await;
                    drop(opened);
                    std::future::pending().await
                };
                tokio::select! {
                    () = carry => {}
                    () = run => {}
                }
            }
        }
    }
}

/// The channels of exec and attach: stdin, stdout, stderr, error, resize.
fn ways(streams: Streams) -> [Way; 5] {
    let way = |wanted: bool, way: Way| if wanted { way } else { Way::Closed };
    [
        way(streams.stdin, Way::In),
        way(streams.stdout, Way::Out),
        way(streams.stderr, Way::Out),
        Way::Out,
        way(streams.tty, Way::In),
    ]
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What a WebSocket client's key is answered with; `None` for another client.
pub(super) fn websocket_key(headers: &HeaderMap) -> Option<String> {
    let asks = header_text(headers, "upgrade").eq_ignore_ascii_case("websocket");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| asks)?;
    Some(derive_accept_key(key.as_bytes()))
}

pub(super) fn websocket_protocols(headers: &HeaderMap) -> Vec<String> {
    let named = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<String> = named.flat_map(|list| list.split(',')).map(|name| name.trim().to_owned()).collect();
    if named.is_empty() { vec![String::new()] } else { named }
}

pub(super) fn is_spdy(headers: &HeaderMap) -> bool {
    header_text(headers, "upgrade").eq_ignore_ascii_case(SPDY)
}

pub(super) fn spdy_protocols(headers: &HeaderMap) -> Vec<String> {
    let named = headers.get_all("x-stream-protocol-version").iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|list| list.split(',')).map(|name| name.trim().to_owned()).collect()
}

fn switch(upgrade: &'static str, more: &[(&'static str, &str)]) -> Response<Body> {
    let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = response.headers_mut();
    headers.clear();
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, header::HeaderValue::from_static(upgrade));
    for (name, value) in more.iter().filter(|(_, value)| !value.is_empty()) {
        if let Ok(value) = header::HeaderValue::from_str(value) {
            headers.insert(*name, value);
        }
    }
    response
}

pub(super) fn switch_to_websocket(accept: &str, protocol: &str) -> Response<Body> {
    switch("websocket", &[("sec-websocket-accept", accept), ("sec-websocket-protocol", protocol)])
}

pub(super) fn switch_to_spdy(protocol: &str) -> Response<Body> {
    switch(SPDY, &[("x-stream-protocol-version", protocol)])
}
