//! The HTTPS listener: HTTP/1.1 and HTTP/2 over TLS, client certificates optional.
//!
//! In: a socket address and the API's filter. Out: answers. A client certificate that our authority
//! signed becomes a [`Peer`]. Connections are bounded; when the task group stops, they finish the
//! request they are in.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::Service;
use warp::Filter;
use warp::reply::Response;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::auth::Peer;
use super::corked;
use super::engine::Engine;
use crate::error::Result;
use crate::listen;

/// Connections at once.
const MAX_CONNECTIONS: usize = 4_096;
/// A client that does not finish its TLS greeting by then is let go.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Concurrent streams of one HTTP/2 connection.
const MAX_STREAMS: u32 = 1_000;
/// All headers of a request, as Go's server takes them; beyond it answers 431.
const MAX_HEADER_BYTES: usize = 1024 * 1024;
/// Headers of a request.
const MAX_HEADERS: usize = 1_000;

/// Serves `filter` on `address`.
///
/// # Errors
/// When the port is taken or the certificate is not usable.
pub async fn listen<F>(filter: F, address: SocketAddr, engine: &Arc<Engine>) -> Result<SocketAddr>
where
    F: Filter<Extract = (Response,), Error = Infallible, Future: Send> + Clone + Send + Sync + 'static,
{
    let acceptor = TlsAcceptor::from(Arc::new(engine.authority.server_config()?));
    let listener = listen::open(address, "--api-listen").await?;
    let local = listener
        .local_addr()
        .map_err(|error| crate::error::Error::new("the listener has no address", error.to_string()))?;
    let (tasks, engine) = (engine.tasks.clone(), engine.clone());
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    tasks.spawn("api listener", async move {
        while let Ok(seat) = connections.clone().acquire_owned().await {
            let Ok((socket, _)) = listener.accept().await else { continue };
            let _ = socket.set_nodelay(true);
            let connection = serve(filter.clone(), acceptor.clone(), socket, engine.clone(), seat);
            engine.tasks.spawn_graceful("api connection", connection);
        }
    });
    Ok(local)
}

async fn serve<F>(filter: F, acceptor: TlsAcceptor, socket: TcpStream, engine: Arc<Engine>, _seat: OwnedSemaphorePermit)
where
    F: Filter<Extract = (Response,), Error = Infallible, Future: Send> + Clone + Send + Sync + 'static,
{
    let greeting = engine.clock.timeout(HANDSHAKE_LIMIT, acceptor.accept(socket));
    let stream = tokio::select! {
        greeted = greeting => match greeted {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => return,
        },
        () = engine.tasks.stopping() => return,
    };
    let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map_or(Peer::None, peer);
    let service = tower::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        warp::service(filter.clone()).call(request)
    });
    let many_streams = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let (corked, cork) = corked::cork(stream, many_streams, &engine.tasks);
    let mut builder = Builder::new(cork.streams());
    builder.http1().timer(TokioTimer::new()).keep_alive(true).max_buf_size(MAX_HEADER_BYTES).max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .keep_alive_interval(Duration::from_secs(30));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(corked), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = cork.drive(connection.as_mut()) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
        }
        () = engine.tasks.stopping() => {
            connection.as_mut().graceful_shutdown();
            let _ = cork.drive(connection).await;
        }
    }
}

/// Who a certificate names: the user is the common name, the groups are the organizations.
fn peer(certificate: &CertificateDer<'_>) -> Peer {
    let fingerprint = Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect();
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Peer::None };
    let subject = certificate.subject();
    let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| attribute.as_str().ok().map(str::to_string);
    match subject.iter_common_name().next().and_then(text) {
        Some(common_name) => {
            let organizations = subject.iter_organization().filter_map(text).collect();
            Peer::Certificate { common_name, organizations, fingerprint }
        }
        None => Peer::None,
    }
}
