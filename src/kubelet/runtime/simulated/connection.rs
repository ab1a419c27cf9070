//! A simulated server's end of a connection: HTTP/1.1 in memory.
//!
//! In: the container that listens. Out: a connection for port-forward. The server has no task of its
//! own: it works whenever the other end is read or written.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Fuse};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use super::container::Container;
use crate::clock::Clock;
use crate::kubelet::runtime::{Connection, Dial};

const PIPE_BYTES: usize = 64 * 1024;

/// A connection to what the container serves on a port.
pub(super) fn serve(container: Arc<Container>, port: u16, clock: Clock) -> Connection {
    let (near, far) = duplex(PIPE_BYTES);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let dial = Dial::Http { port, path, headers: Vec::new() };
        let answered = container.answer(&dial, clock.now());
        let mut response = Response::new(Full::new(answered.body));
        *response.status_mut() = http::StatusCode::from_u16(answered.status).unwrap_or(http::StatusCode::OK);
        async move { Ok::<Response<Full<Bytes>>, Infallible>(response) }
    });
    let server = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service);
    // How the connection ended, its client sees for itself.
    Box::new(Driven { pipe: near, server: server.map(drop).boxed().fuse() })
}

/// A pipe whose other end is worked by a future that lives in it.
struct Driven {
    pipe: DuplexStream,
    server: Fuse<BoxFuture<'static, ()>>,
}

impl Driven {
    fn drive(&mut self, context: &mut Context<'_>) {
        let _ = self.server.poll_unpin(context);
    }
}

impl AsyncRead for Driven {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.drive(context);
        Pin::new(&mut self.pipe).poll_read(context, buffer)
    }
}

impl AsyncWrite for Driven {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.pipe).poll_write(context, bytes);
        self.drive(context);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.drive(context);
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.pipe).poll_shutdown(context);
        self.drive(context);
        done
    }
}
