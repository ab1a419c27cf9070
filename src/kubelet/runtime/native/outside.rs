//! A RUN's way out: a proxy between the network that it is alone in, and this computer's.
//!
//! In: requests of programs that heed `http_proxy` and `https_proxy`, as package managers do. Out: a connection to
//! another computer (CONNECT), or a request carried there. Names are looked up out here. Never this computer's own
//! loopback, unless the build asked for it: what listens there trusts whoever reaches it. Source: RFC 9110, 9.3.6;
//! curl's variables. Chapter: `book/src/inside/images.md`.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::clock::Clock;
use crate::images::build::Network;
use crate::tasks::TaskGroup;

/// How long another computer may take to take a connection.
const LIMIT: Duration = Duration::from_secs(30);
/// How long after a failed accept the next is tried: the process is out of files then.
const PAUSE: Duration = Duration::from_millis(100);
/// Headers that are about one connection.
const OF_CONNECTION: [&str; 4] = ["proxy-connection", "proxy-authorization", "connection", "keep-alive"];

type Body = BoxBody<Bytes, hyper::Error>;

/// The variables by which programs find a proxy at an address.
pub fn variables(at: SocketAddr, network: Network) -> Vec<(String, String)> {
    let names = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"];
    let mut all: Vec<(String, String)> = names.map(|name| (name.to_owned(), format!("http://{at}"))).into();
    if network == Network::Default {
        // A program that serves itself needs nobody else.
        all.extend(["no_proxy", "NO_PROXY"].map(|name| (name.to_owned(), "localhost,127.0.0.1".to_owned())));
    }
    all
}

/// Carries what comes.
pub async fn serve(listener: TcpListener, network: Network, clock: Clock, tasks: TaskGroup) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            clock.sleep(PAUSE).await;
            continue;
        };
        let own = tasks.clone();
        tasks.spawn("build proxy", async move {
            let answer = service_fn(move |request| {
                let tasks = own.clone();
                async move { Ok::<_, Infallible>(answer(request, network, clock, tasks).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            // How it ended, its client sees for itself.
            let _ = connection.with_upgrades().await;
        });
    }
}

fn own(status: StatusCode, words: &str) -> Response<Body> {
    let full = Full::new(Bytes::from(format!("{words}\n")));
    let mut response = Response::new(full.map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

async fn answer(request: Request<Incoming>, network: Network, clock: Clock, tasks: TaskGroup) -> Response<Body> {
    let uri = request.uri().clone();
    let (Some(host), usual) = (uri.host(), if request.method() == Method::CONNECT { 443 } else { 80 }) else {
        return own(StatusCode::BAD_REQUEST, "this is a proxy: ask it for a whole URL");
    };
    let port = uri.port_u16().unwrap_or(usual);
    let host = host.trim_matches(['[', ']']);
    let stream = match clock.timeout(LIMIT, connect(host, port, network)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(fault)) if fault.kind() == io::ErrorKind::PermissionDenied => {
            return own(StatusCode::FORBIDDEN, &fault.to_string());
        }
        Ok(Err(fault)) => return own(StatusCode::BAD_GATEWAY, &format!("{host}:{port}: {fault}")),
        Err(_) => return own(StatusCode::GATEWAY_TIMEOUT, &format!("{host}:{port} takes no connection")),
    };
    match *request.method() {
        Method::CONNECT => {
            tasks.spawn("build tunnel", tunnel(request, stream));
            Response::new(Full::new(Bytes::new()).map_err(|never| match never {}).boxed())
        }
        _ => carry(request, stream, &tasks)
            .await
            .unwrap_or_else(|fault| own(StatusCode::BAD_GATEWAY, &format!("{host}:{port}: {fault}"))),
    }
}

async fn tunnel(request: Request<Incoming>, mut there: TcpStream) {
    if let Ok(here) = hyper::upgrade::on(request).await {
        // How it ended, both sides see for themselves.
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(here), &mut there).await;
    }
}

async fn carry(
    mut request: Request<Incoming>,
    there: TcpStream,
    tasks: &TaskGroup,
) -> Result<Response<Body>, hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(there)).await?;
    tasks.spawn("build request", async move {
        // How it ended, the request sees for itself.
        let _ = connection.await;
    });
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    if let Some(authority) = request.uri().authority().and_then(|it| HeaderValue::from_str(it.as_str()).ok()) {
        request.headers_mut().insert(header::HOST, authority);
    }
    *request.uri_mut() = path.parse::<Uri>().unwrap_or_default();
    OF_CONNECTION.iter().for_each(|name| _ = request.headers_mut().remove(*name));
    sender.send_request(request).await.map(|response| response.map(BodyExt::boxed))
}

/// Connects to the first address of a host that may be reached, and takes it.
async fn connect(host: &str, port: u16, network: Network) -> io::Result<TcpStream> {
    let why = format!("{host} is this computer itself, which a RUN reaches with: tutor image build --network host");
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    // What was looked at is what is connected to: a name cannot mean something else a moment later.
    for address in tokio::net::lookup_host((host, port)).await? {
        if network != Network::Host && is_own(address.ip()) {
            last = io::Error::new(io::ErrorKind::PermissionDenied, why.clone());
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

/// Whether an address means this computer or its nearest wire, which no other computer's does.
fn is_own(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(it) => {
            it.is_loopback() || it.is_unspecified() || it.is_link_local() || it.is_broadcast() || it.is_multicast()
        }
        IpAddr::V6(it) => it.is_loopback() || it.is_unspecified() || it.is_unicast_link_local() || it.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_this_computer_is_taken_for_another() {
        for own in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "169.254.169.254",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "fe80::1",
            "224.0.0.1",
        ] {
            assert!(is_own(own.parse().unwrap()), "{own}");
        }
        for other in ["10.0.0.1", "192.168.1.7", "93.184.215.14", "2001:db8::1"] {
            assert!(!is_own(other.parse().unwrap()), "{other}");
        }
    }

    #[tokio::test]
    async fn this_computer_is_reached_only_when_the_build_asks_for_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "::ffff:127.0.0.1"] {
            let refused = connect(host, port, Network::Default).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{host}");
        }
        assert!(connect("127.0.0.1", port, Network::Host).await.is_ok());
    }
}
