//! Channels over a WebSocket: each message begins with its channel's number.
//!
//! In: an upgraded connection, which channels go which way. Out: pipes, one a channel, and a future that
//! carries their bytes; it ends when the client leaves or all outgoing pipes have ended. Version 5 adds
//! the message `255, channel`: the client has nothing more to say there. Source: `wsstream`.
//! Chapter: `book/src/control-plane/kubelet.md`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{SelectAll, StreamExt};
use futures::{Sink, SinkExt, Stream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_util::io::ReaderStream;

use super::remote_command::PIPE_BYTES;

/// Larger messages end the connection.
const MOST_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// Says that a channel has no more input.
const CLOSE: u8 = 255;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// A byte for the channel, then bytes.
    Binary,
    /// A digit for the channel, then base64.
    Base64,
}

/// Which way a channel goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nobody uses it.
    Closed,
    /// From the client.
    In,
    /// To the client.
    Out,
    /// Both.
    Both,
}

/// A server's WebSocket over an upgraded connection.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(io: S) -> WebSocketStream<S> {
    let config = WebSocketConfig::default().max_message_size(Some(MOST_MESSAGE_BYTES));
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await
}

/// The kubelet's ends of the channels, in order, and what carries their bytes. The first thing the client
/// gets is an empty message on channel `greeting`: the connection is there.
pub fn channels<S>(
    socket: WebSocketStream<S>,
    ways: &[Way],
    coding: Coding,
    greeting: Option<u8>,
) -> (Vec<Option<DuplexStream>>, impl Future<Output = ()>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut ends, mut inputs, mut outputs) = (Vec::new(), Vec::new(), SelectAll::new());
    for (number, way) in ways.iter().enumerate() {
        if *way == Way::Closed {
            ends.push(None);
            inputs.push(None);
            continue;
        }
        let (near, far) = duplex(PIPE_BYTES);
        let (read, write) = tokio::io::split(far);
        ends.push(Some(near));
        inputs.push(matches!(way, Way::In | Way::Both).then_some(write));
        if matches!(way, Way::Out | Way::Both) {
            outputs.push(outgoing(number as u8, read, coding).boxed());
        }
    }
    if let Some(number) = greeting {
        outputs.push(futures::stream::iter([Ok(message(number, &[], coding))]).boxed());
    }
    let (sink, stream) = socket.split();
    let carry = async move {
        tokio::select! {
            () = receive(stream, inputs, coding) => {}
            // A client that is gone cannot be told anything.
            _ = send(sink, outputs) => {}
        }
    };
    (ends, carry)
}

fn outgoing(
    number: u8,
    read: ReadHalf<DuplexStream>,
    coding: Coding,
) -> impl Stream<Item = Result<Message, Error>> + Send {
    ReaderStream::with_capacity(read, PIPE_BYTES / 2).map(move |bytes| {
        let bytes = bytes.map_err(Error::Io)?;
        Ok(message(number, &bytes, coding))
    })
}

fn message(number: u8, bytes: &[u8], coding: Coding) -> Message {
    match coding {
        Coding::Binary => {
            let mut whole = Vec::with_capacity(bytes.len() + 1);
            whole.push(number);
            whole.extend_from_slice(bytes);
            Message::Binary(Bytes::from(whole))
        }
        Coding::Base64 => Message::text(format!("{}{}", char::from(b'0' + number), STANDARD.encode(bytes))),
    }
}

async fn send<K>(
    mut sink: K,
    mut outputs: SelectAll<futures::stream::BoxStream<'static, Result<Message, Error>>>,
) -> Result<(), Error>
where
    K: Sink<Message, Error = Error> + Unpin,
{
    while let Some(message) = outputs.next().await {
        sink.send(message?).await?;
    }
    let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    sink.send(Message::Close(Some(normal))).await
}

async fn receive<R>(mut stream: R, mut inputs: Vec<Option<WriteHalf<DuplexStream>>>, coding: Coding)
where
    R: Stream<Item = Result<Message, Error>> + Unpin,
{
    while let Some(Ok(message)) = stream.next().await {
        let data = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Message::Close(_) => return,
            _ => continue,
        };
        let Some((number, rest)) = data.split_first() else { continue };
        if *number == CLOSE {
            if let Some(input) = rest.first().and_then(|number| inputs.get_mut(usize::from(*number))) {
                end(input).await;
            }
            continue;
        }
        let (number, bytes) = match coding {
            Coding::Binary => (*number, rest.to_vec()),
            Coding::Base64 => match STANDARD.decode(rest) {
                Ok(bytes) => (number.wrapping_sub(b'0'), bytes),
                Err(_) => continue,
            },
        };
        // A process that has closed its input does not get any; a channel that is not there has none.
        if let Some(Some(input)) = inputs.get_mut(usize::from(number)) {
            let _ = input.write_all(&bytes).await;
        }
    }
}

async fn end(input: &mut Option<WriteHalf<DuplexStream>>) {
    if let Some(mut input) = input.take() {
        // Closed already is closed.
        let _ = input.shutdown().await;
    }
}

/// A WebSocket whose messages together are one stream of bytes: SPDY inside.
pub fn tunnel<S>(socket: WebSocketStream<S>) -> (DuplexStream, impl Future<Output = ()>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (near, far) = duplex(PIPE_BYTES);
    let (read, mut write) = tokio::io::split(far);
    let (mut sink, mut stream) = socket.split();
    let carry = async move {
        let inward = async {
            while let Some(Ok(message)) = stream.next().await {
                match message {
                    Message::Binary(bytes) if write.write_all(&bytes).await.is_err() => return,
                    Message::Close(_) | Message::Text(_) => return,
                    _ => {}
                }
            }
        };
        let outward = async {
            let mut bytes = ReaderStream::with_capacity(read, PIPE_BYTES / 2);
            while let Some(Ok(bytes)) = bytes.next().await {
                if sink.send(Message::Binary(bytes)).await.is_err() {
                    return;
                }
            }
            let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            // A client that is gone knows.
            let _ = sink.send(Message::Close(Some(normal))).await;
        };
        tokio::select! {
            () = inward => {}
            () = outward => {}
        }
    };
    (near, carry)
}
