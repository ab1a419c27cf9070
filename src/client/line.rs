//! A line between a component and the API server that can be cut, as when a node's cable is pulled.
//!
//! In: a service that answers, and a [`Line`]. Out: one that answers while the line is whole. While it is cut, a request
//! waits, and fails when it has waited long enough; an answer that is under way (a watch) breaks off. Who is
//! at the end of the line notices nothing else: that is what a partition looks like.
//! Chapter: `book/src/inside/network.md`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tower::{BoxError, Service};

use crate::clock::Clock;

/// How long a request waits for an answer. Source: kubelet, the timeout of its lease's client.
const PATIENCE: Duration = Duration::from_secs(10);

/// A line. Cheap to clone: all clones are the same line.
#[derive(Clone, Debug)]
pub struct Line(Arc<watch::Sender<bool>>);

impl Default for Line {
    fn default() -> Self {
        Line(Arc::new(watch::Sender::new(true)))
    }
}

impl Line {
    /// Joins it, or cuts it.
    pub fn set(&self, whole: bool) {
        self.0.send_replace(whole);
    }

    /// Whether it is cut.
    pub fn is_cut(&self) -> bool {
        !*self.0.borrow()
    }

    /// Waits until it is whole, or cut.
    fn until(&self, whole: bool) -> impl Future<Output = ()> + Send + 'static {
        let mut changes = self.0.subscribe();
        async move {
            if changes.wait_for(|now| *now == whole).await.is_err() {
                // Nobody can change it any more.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// A service at the other end of a line.
#[derive(Clone)]
pub struct AtLine<S> {
    inner: S,
    line: Line,
    clock: Clock,
}

impl<S> AtLine<S> {
    /// Puts a service there.
    pub fn new(inner: S, line: Line, clock: Clock) -> Self {
        AtLine { inner, line, clock }
    }
}

impl<S, B> Service<Request<Full<Bytes>>> for AtLine<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Severed<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let AtLine { mut inner, line, clock } = self.clone();
        async move {
            if line.is_cut() && clock.timeout(PATIENCE, line.until(true)).await.is_err() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "dial tcp: i/o timeout").into());
            }
            tokio::select! {
                () = line.until(false) => Err(broken()),
                answer = inner.call(request) => {
                    let cut = line.until(false).boxed();
                    answer.map(|answer| answer.map(|body| Severed { body: Box::pin(body), cut })).map_err(Into::into)
                }
            }
        }
        .boxed()
    }
}

fn broken() -> BoxError {
    io::Error::new(io::ErrorKind::ConnectionReset, "the line was cut").into()
}

/// An answer that breaks off when the line is cut.
pub struct Severed<B> {
    body: Pin<Box<B>>,
    cut: BoxFuture<'static, ()>,
}

impl<B> Body for Severed<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.cut.poll_unpin(context).is_ready() {
            return Poll::Ready(Some(Err(broken())));
        }
        self.body.as_mut().poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
