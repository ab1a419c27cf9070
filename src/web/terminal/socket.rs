//! A page's connection to one of its tabs: a WebSocket with messages of JSON.
//!
//! It is opened by our own pages alone: `guard` has seen Host, Origin and token before. What the page sends
//! is in [`Told`]; what it gets is written in `tab`. A message that is none ends the connection.

use futures::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use warp::reply::Response;

use super::super::Site;
use super::super::guard::{self, Asked};
use super::handle::{Event, Handle};
use super::home::LONGEST_FILE;

/// Messages that wait to be written to a page.
const WAITING: usize = 32;
/// The longest message of a page: a file that the editor saves, with room for its escapes.
const LONGEST_MESSAGE: usize = 2 * LONGEST_FILE;
/// The longest name of a tab.
const LONGEST_NAME: usize = 64;

/// What a page says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Told {
    /// A line was entered.
    Run(String),
    /// Keys for the program that runs.
    Keys(String),
    /// The program that runs gets no more keys.
    End,
    /// Ctrl-C.
    Stop,
    /// Width and height.
    Size(u16, u16),
    /// Tab was pressed behind this text; the number comes back with the answer.
    Complete(String, u64),
    /// Everything up to this message is drawn.
    Seen(u64),
    /// The text that was edited; none when the reader cancelled.
    Saved(Option<String>),
    /// The tab was closed.
    Close,
}

/// Answers `GET /api/terminal?tab=NAME`.
pub fn connect(site: &Site, asked: &Asked, upgrade: Option<OnUpgrade>) -> Response {
    let is = |name: header::HeaderName, word: &str| {
        asked.header(name).is_some_and(|text| text.to_ascii_lowercase().split(',').any(|part| part.trim() == word))
    };
    let key = asked.header(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let asks = is(header::UPGRADE, "websocket")
        && is(header::CONNECTION, "upgrade")
        && asked.header(header::SEC_WEBSOCKET_VERSION) == Some("13");
    let (Some(upgrade), Some(key), true) = (upgrade, key.and_then(|key| HeaderValue::try_from(key).ok()), asks) else {
        return guard::refuse(StatusCode::UPGRADE_REQUIRED, "the terminal speaks WebSocket");
    };
    let name = asked.query("tab").unwrap_or_default();
    if name.is_empty() || name.len() > LONGEST_NAME {
        return guard::refuse(StatusCode::BAD_REQUEST, "the terminal's tab has no name, or a long one");
    }
    let tab = site.0.terminals.tab(&name);
    site.0.tasks.spawn("terminal", async move {
        if let Ok(connection) = upgrade.await {
            serve(TokioIo::new(connection), tab).await;
        }
    });
    let mut response = guard::answer(StatusCode::SWITCHING_PROTOCOLS, "application/json", Vec::new());
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    response
}

async fn serve(io: impl AsyncRead + AsyncWrite + Unpin, tab: Handle) {
    let config =
        WebSocketConfig::default().max_message_size(Some(LONGEST_MESSAGE)).max_frame_size(Some(LONGEST_MESSAGE));
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let (mut sink, mut stream) = socket.split();
    let (sender, mut messages) = mpsc::channel::<String>(WAITING);
    let page = tab.attach(sender).await;
    let write = async {
        while let Some(message) = messages.recv().await {
            if sink.send(Message::text(message)).await.is_err() {
                return;
            }
        }
        // The tab has closed, or another page shows it now; a page that is gone need not be told.
        let _ = sink.close().await;
    };
    let read = async {
        while let Some(Ok(message)) = stream.next().await {
            match message {
                Message::Text(text) => match serde_json::from_str::<Told>(&text) {
                    Ok(told) => {
                        if !tab.send(Event::Told(page, told)).await {
                            return;
                        }
                    }
                    Err(_) => return,
                },
                Message::Close(_) => return,
                _ => {}
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    tab.send(Event::Left(page)).await;
}
