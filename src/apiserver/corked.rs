//! A connection of many streams that writes once for all of them.
//!
//! One HTTP/2 connection carries many requests and watches, each a task of its own that hands its bytes over and wants
//! them sent. So a change that a hundred watches see was a hundred small writes, each encrypted and sent alone. Here
//! the bytes wait until every stream that is ready has had its turn, and go out together.
//!
//! In: a socket, the future of the connection that HTTP made over it. Out: the same bytes, in fewer pieces. What a slow
//! client does not take waits where it did before, in the streams: no more than [`GATHERED_MAX`] is kept here.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::tasks::TaskGroup;

/// Bytes that may wait for the other streams' turn.
const GATHERED_MAX: usize = 64 * 1024;
/// A piece of at least this size, with none before it, goes out as it is: to copy it would win nothing.
const LARGE: usize = 16 * 1024;

/// What a connection reads from and writes to.
pub struct Corked<S> {
    gathered: Arc<Mutex<Gathered<S>>>,
    waits: bool,
}

struct Gathered<S> {
    socket: S,
    waiting: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
    /// Why the rest could not be sent: for whoever reads or writes next.
    failed: Option<ErrorKind>,
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Sends what waits.
    fn send(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        while self.sent < self.waiting.len() {
            match ready!(Pin::new(&mut self.socket).poll_write(context, &self.waiting[self.sent..]))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        (self.waiting, self.sent) = (Vec::new(), 0);
        Pin::new(&mut self.socket).poll_flush(context)
    }

    /// Takes pieces in, or sends them at once when they are large.
    fn gather(&mut self, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let size: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.waiting.len() + size > GATHERED_MAX {
            ready!(self.send(context))?;
        }
        if self.waiting.is_empty() && size >= LARGE {
            return Pin::new(&mut self.socket).poll_write_vectored(context, pieces);
        }
        self.waiting.reserve(size);
        pieces.iter().for_each(|piece| self.waiting.extend_from_slice(piece));
        Poll::Ready(Ok(size))
    }

    fn check(&self) -> Result<()> {
        self.failed.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Corked<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let mut gathered = self.gathered.lock();
        gathered.check()?;
        Pin::new(&mut gathered.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, piece: &[u8]) -> Poll<Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(piece)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let mut gathered = self.gathered.lock();
        gathered.check()?;
        match self.waits {
            true => gathered.gather(context, pieces),
            false => Pin::new(&mut gathered.socket).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What waits for the other streams is sent by [`Cork::drive`].
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let mut gathered = self.gathered.lock();
        gathered.check()?;
        if self.waits { Poll::Ready(Ok(())) } else { Pin::new(&mut gathered.socket).poll_flush(context) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let mut gathered = self.gathered.lock();
        ready!(gathered.send(context))?;
        Pin::new(&mut gathered.socket).poll_shutdown(context)
    }
}

/// Drives a connection, and sends what it wrote.
pub struct Cork<S> {
    gathered: Arc<Mutex<Gathered<S>>>,
    streams: Streams,
}

/// Corks a socket, if its writes are to wait: HTTP/1 has one request at a time, and may hand the socket to another
/// protocol. The connection's streams run in `tasks`.
pub fn cork<S>(socket: S, waits: bool, tasks: &TaskGroup) -> (Corked<S>, Cork<S>) {
    let gathered = Arc::new(Mutex::new(Gathered { socket, waiting: Vec::new(), sent: 0, failed: None }));
    let streams = Streams { tasks: tasks.clone(), running: Arc::default() };
    (Corked { gathered: gathered.clone(), waits }, Cork { gathered, streams })
}

impl<S: AsyncWrite + Unpin> Cork<S> {
    /// What runs the connection's streams.
    pub fn streams(&self) -> Streams {
        self.streams.clone()
    }

    /// Runs the connection until it ends. May be dropped and called again.
    pub async fn drive<C: Future>(&self, mut connection: Pin<&mut C>) -> C::Output {
        let mut stepped_back = false;
        poll_fn(|context| {
            // The streams that are ready are in line already: this task goes behind them, once.
            if self.streams.are_many() && !std::mem::replace(&mut stepped_back, true) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            stepped_back = false;
            let ended = connection.as_mut().poll(context);
            self.send(context);
            ended
        })
        .await
    }

    fn send(&self, context: &mut Context<'_>) {
        let mut gathered = self.gathered.lock();
        if gathered.failed.is_none()
            && let Poll::Ready(Err(error)) = gathered.send(context)
        {
            gathered.failed = Some(error.kind());
            // The connection hears of it when it reads.
            context.waker().wake_by_ref();
        }
    }
}

/// Runs the streams of a connection, and counts them.
#[derive(Clone)]
pub struct Streams {
    tasks: TaskGroup,
    running: Arc<AtomicUsize>,
}

impl Streams {
    fn are_many(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 1
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let place = Place::take(&self.running);
        // A stream is large. The task around it would be aligned to a cache line, and take as much again.
        let stream = Box::pin(stream);
        self.tasks.spawn_graceful("api stream", async move {
            stream.await;
            drop(place);
        });
    }
}

/// One stream among those that run.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(running: &Arc<AtomicUsize>) -> Place {
        running.fetch_add(1, Ordering::Relaxed);
        Place(running.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::sync::mpsc;

    use crate::clock::Clock;

    /// Notes what is written at once; or refuses it.
    #[derive(Clone, Default)]
    struct Socket {
        written: Arc<Mutex<Vec<usize>>>,
        broken: bool,
    }

    impl AsyncRead for Socket {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Socket {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, piece: &[u8]) -> Poll<Result<usize>> {
            if self.broken {
                return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
            }
            self.written.lock().push(piece.len());
            Poll::Ready(Ok(piece.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What a connection does: starts `count` streams, and writes what each says, `size` bytes.
    async fn converse(mut corked: Corked<Socket>, streams: Streams, count: usize, size: usize) -> Result<()> {
        let (say, mut said) = mpsc::unbounded_channel();
        for _ in 0..count {
            let say = say.clone();
            streams.execute(async move { say.send(vec![b'x'; size]).unwrap() });
        }
        for _ in 0..count {
            corked.write_all(&said.recv().await.unwrap()).await?;
            corked.flush().await?;
        }
        Ok(())
    }

    /// The pieces that reach the socket.
    async fn pieces(waits: bool, count: usize, size: usize) -> Vec<usize> {
        let (socket, tasks) = (Socket::default(), TaskGroup::new());
        let written = socket.written.clone();
        let (corked, cork) = cork(socket, waits, &tasks);
        let streams = cork.streams();
        tasks.spawn_graceful("connection", async move {
            cork.drive(std::pin::pin!(converse(corked, streams, count, size))).await.unwrap();
        });
        assert!(tasks.shutdown(Clock::real(), Duration::from_secs(60)).await);
        written.lock().clone()
    }

    /// As in a server, where whoever is woken comes before those who wait in line.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_many_streams_say_goes_out_together() {
        assert_eq!(pieces(true, 25, 100).await, [2_500]);
        assert_eq!(pieces(false, 3, 100).await, [100, 100, 100]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_is_kept_is_bounded_and_what_is_large_is_not_copied() {
        let pieces = pieces(true, 30, 10_000).await;
        assert_eq!(pieces.iter().sum::<usize>(), 300_000);
        assert!(pieces.iter().all(|piece| *piece <= GATHERED_MAX), "{pieces:?}");
        assert_eq!(super::tests::pieces(true, 2, GATHERED_MAX).await, [GATHERED_MAX, GATHERED_MAX]);
    }

    #[tokio::test]
    async fn a_connection_whose_bytes_cannot_be_sent_ends() {
        let tasks = TaskGroup::new();
        let (corked, cork) = cork(Socket { broken: true, ..Socket::default() }, true, &tasks);
        let connection = async move {
            let mut corked = corked;
            corked.write_all(b"hello").await?;
            tokio::io::AsyncReadExt::read_u8(&mut corked).await.map(drop)
        };
        let ended = cork.drive(std::pin::pin!(connection)).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
