//! Asks a Pod's address something, as the kubelet's probes do, over a socket of the machine's network.
//!
//! In: a socket that was opened where the Pod can be reached, an address, a question. Out: the answer,
//! or the words a Go client would print, since events show them. Chapter: `book/src/inside/runtime.md`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream as StdStream};
use std::os::fd::OwnedFd;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

use crate::kubelet::runtime::{Answered, Dial};
use crate::tasks::TaskGroup;

/// More of an answer is not read. Source: kubelet `maxRespBodyLength`.
const MOST_BYTES: usize = 10 * 1024;

/// Connects a socket that was opened elsewhere.
///
/// # Errors
/// The words of a Go client.
pub async fn connect(socket: OwnedFd, address: Ipv4Addr, port: u16) -> Result<TcpStream, String> {
    let connected = TcpSocket::from_std_stream(StdStream::from(socket)).connect(SocketAddr::from((address, port)));
    connected.await.map_err(|fault| format!("dial tcp {address}:{port}: connect: {}", words(&fault)))
}

fn words(fault: &io::Error) -> String {
    let text = fault.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Asks.
///
/// # Errors
/// What the asker would see.
pub async fn ask(socket: OwnedFd, address: Ipv4Addr, dial: Dial, tasks: &TaskGroup) -> Result<Answered, String> {
    let port = port(&dial);
    let stream = connect(socket, address, port).await?;
    over(stream, &format!("{address}:{port}"), dial, tasks).await
}

/// The port that is asked.
pub fn port(dial: &Dial) -> u16 {
    match dial {
        Dial::Tcp { port } | Dial::Http { port, .. } | Dial::Grpc { port, .. } => *port,
    }
}

/// Asks over a connection that is open already, to a host of this name.
///
/// # Errors
/// What the asker would see.
pub async fn over<S>(stream: S, host: &str, dial: Dial, tasks: &TaskGroup) -> Result<Answered, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match dial {
        Dial::Tcp { .. } => Ok(Answered { status: 200, body: Bytes::new() }),
        Dial::Http { path, headers, .. } => get(stream, host, &path, &headers).await,
        Dial::Grpc { service, .. } => check_health(stream, host, &service, tasks).await,
    }
}

async fn get<S>(stream: S, host: &str, path: &str, headers: &[(String, String)]) -> Result<Answered, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let said = |fault: hyper::Error| match fault.is_incomplete_message() {
        true => "EOF".to_owned(),
        false => fault.to_string(),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
    let mut request = http::Request::get(path).header("Connection", "close");
    let named = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    for (name, value) in [("Host", host), ("User-Agent", "kube-probe/1.37"), ("Accept", "*/*")] {
        if !named(name) {
            request = request.header(name, value);
        }
    }
    let request = request.body(Full::<Bytes>::default()).map_err(|fault| fault.to_string())?;
    let asked = async {
        let response = sender.send_request(request).await.map_err(said)?;
        let status = response.status().as_u16();
        Ok(Answered { status, body: beginning(response.into_body()).await })
    };
    tokio::pin!(asked);
    tokio::select! {
        answered = &mut asked => answered,
        // The connection may be over before the answer was read to its end.
        _ = connection => asked.await,
    }
}

/// As much of a body as is looked at.
async fn beginning(body: Incoming) -> Bytes {
    let mut body = Limited::new(body, MOST_BYTES);
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        bytes.extend(frame.into_data().unwrap_or_default());
    }
    bytes.into()
}

/// Lets hyper's tasks belong to a group of ours.
#[derive(Clone)]
struct Within(TaskGroup);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Within {
    fn execute(&self, future: F) {
        self.0.spawn("grpc probe", future);
    }
}

/// `grpc.health.v1.Health/Check`. Source: grpc health checking protocol; field 1 of the request is the
/// service, field 1 of the answer is 1 when it serves.
async fn check_health<S>(stream: S, host: &str, service: &str, tasks: &TaskGroup) -> Result<Answered, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let said = |fault: hyper::Error| fault.to_string();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(Within(tasks.clone()), TokioIo::new(stream)).await.map_err(said)?;
    let mut message = Vec::new();
    if !service.is_empty() {
        message.extend([0x0a, u8::try_from(service.len()).map_err(|_| "the service's name is too long")?]);
        message.extend(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    let request = http::Request::post(format!("http://{host}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(frame)))
        .map_err(|fault| fault.to_string())?;
    let asked = async {
        let response = sender.send_request(request).await.map_err(said)?;
        let body = beginning(response.into_body()).await;
        let serves = body.get(5..7) == Some(&[0x08, 0x01]);
        Ok(Answered { status: if serves { 200 } else { 503 }, body })
    };
    tokio::select! {
        answered = asked => answered,
        ended = connection => Err(ended.err().map_or_else(|| "EOF".to_owned(), said)),
    }
}
