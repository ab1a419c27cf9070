//! Copies of requests for somebody who only looks: the RequestMirror filter.
//!
//! In: a request that is on its way. Out: the same request, and copies of it to other Pods, whose answers are read and
//! thrown away. A copy never holds up what it is a copy of: one whose reader falls behind is given up, and its
//! connection is broken off, so that nobody takes a part for the whole. Source: Gateway API, HTTPRequestMirrorFilter.
//! Chapter: `book/src/inside/network.md`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::Request;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::forward::Sent;
use super::route::Route;
use super::{Door, backend, forward};

/// Pieces of a body that a copy may be behind.
const BEHIND: usize = 64;
/// How long one who only looks may take for all of it.
const LIMIT: Duration = Duration::from_secs(60);

/// Sends copies where the rule wants them; the request, whose body they are copied from as it is read.
pub fn copy(door: &Arc<Door>, route: &Route, request: Request<Sent>) -> Request<Sent> {
    let chosen = route.then.mirrors.iter().filter(|(_, share)| rand::random_range(0..share.all) < share.of);
    let mut readers = Vec::new();
    for (backend, _) in chosen {
        let found = backend::pick(std::slice::from_ref(backend), |key| door.services.get(key), &door.slices.all());
        // Nobody there to look is no fault of the request's.
        let Ok((target, _)) = found else { continue };
        let body = match request.body().is_end_stream() {
            true => BodyExt::boxed(Empty::new().map_err(|never| match never {})),
            false => {
                let (reader, body) = reader();
                readers.push(reader);
                body
            }
        };
        let mut copied = Request::new(body);
        *copied.method_mut() = request.method().clone();
        *copied.uri_mut() = request.uri().clone();
        *copied.headers_mut() = request.headers().clone();
        let at = door.clone();
        door.setup.tasks.spawn("ingress mirror", async move {
            let looked = async {
                let mut sender = forward::connect(&at, &target).await?;
                let answer = sender.send_request(copied).await.map_err(|fault| fault.to_string())?;
                let mut body = answer.into_body();
                while let Some(frame) = body.frame().await {
                    frame.map_err(|fault| fault.to_string())?;
                }
                Ok::<(), String>(())
            };
            match at.setup.clock.timeout(LIMIT, looked).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => tracing::debug!(why, "a mirrored request failed"),
                Err(_) => tracing::debug!("a mirrored request took too long"),
            }
        });
    }
    match readers.is_empty() {
        true => request,
        false => request.map(|inner| Copied { inner, readers }.boxed()),
    }
}

/// Where a copy goes.
struct Reader {
    pieces: mpsc::Sender<Frame<Bytes>>,
    /// Set when all of it was passed on.
    whole: Arc<AtomicBool>,
}

/// A reader, and the body that it reads.
fn reader() -> (Reader, Sent) {
    let (pieces, receiver) = mpsc::channel(BEHIND);
    let whole = Arc::new(AtomicBool::new(false));
    let is_whole = whole.clone();
    let end = futures::stream::once(async move {
        match is_whole.load(Ordering::SeqCst) {
            true => None,
            false => Some(Err(io::Error::other("the copy is not whole").into())),
        }
    });
    let stream = ReceiverStream::new(receiver).map(|frame| Some(Ok(frame))).chain(end);
    let stream = stream.filter_map(std::future::ready);
    (Reader { pieces, whole }, BodyExt::boxed(StreamBody::new(stream)))
}

/// A body that is passed on as it is read.
struct Copied {
    inner: Sent,
    readers: Vec<Reader>,
}

impl Body for Copied {
    type Data = Bytes;
    type Error = <Sent as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let came = ready!(Pin::new(&mut self.inner).poll_frame(context));
        match &came {
            Some(Ok(frame)) => {
                if let Some(bytes) = frame.data_ref() {
                    self.readers.retain(|reader| reader.pieces.try_send(Frame::data(bytes.clone())).is_ok());
                }
                // Who knows the length asks no more after the last byte.
                if self.inner.is_end_stream() {
                    self.end();
                }
            }
            Some(Err(_)) => self.readers.clear(),
            None => self.end(),
        }
        Poll::Ready(came)
    }

    fn is_end_stream(&self) -> bool {
        // Not before the readers were told: who hears that nothing is left asks no more.
        self.readers.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Copied {
    fn end(&mut self) {
        for reader in self.readers.drain(..) {
            reader.whole.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    fn copied(inner: Sent) -> (Copied, Sent) {
        let (reader, body) = reader();
        (Copied { inner, readers: vec![reader] }, body)
    }

    #[tokio::test]
    async fn a_copy_is_whole_or_broken_off() {
        let full = |text: &'static str| Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
        let (body, copy) = copied(full("all of it"));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "all of it");
        assert_eq!(copy.collect().await.unwrap().to_bytes(), "all of it");
        let (body, copy) = copied(Empty::new().map_err(|never| match never {}).boxed());
        body.collect().await.unwrap();
        assert_eq!(copy.collect().await.unwrap().to_bytes(), "");
        let (body, copy) = copied(full("lost"));
        drop(body);
        assert!(copy.collect().await.is_err(), "the client went away in the middle");
        let many = futures::stream::repeat_with(|| Ok(Frame::data(Bytes::from("x")))).take(BEHIND + 1);
        let (body, copy) = copied(BodyExt::boxed(StreamBody::new(many)));
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), BEHIND + 1, "nobody waits for who looks");
        assert!(copy.collect().await.is_err(), "who falls behind knows that it has not all");
    }
}
