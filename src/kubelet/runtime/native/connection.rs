//! tutor's end of a conversation with a process it started: ask, be answered, hear of ends.
//!
//! In: requests with files beside them. Out: each one's answer, in order, and what the process tells by
//! itself. One task reads and writes; whoever asks only waits, and may stop waiting at any point without
//! the conversation losing its place. Chapter: `book/src/inside/runtime.md`.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::{mpsc, oneshot};

use super::messages::{Answer, FromInside};
use super::wire;
use crate::tasks::TaskGroup;

/// A socket of [`wire::pair`], for tasks. Its messages have bounds, as datagrams have; that it is connected
/// as a stream is, so that its end shows, tokio need not know.
pub struct Connection(UnixDatagram);

impl Connection {
    /// Takes an end over.
    pub fn new(socket: OwnedFd) -> io::Result<Connection> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Connection(UnixDatagram::from_std(socket.into())?))
    }

    /// Sends a message with files beside it.
    pub async fn send(&self, message: &(impl Serialize + Sync), files: &[OwnedFd]) -> io::Result<()> {
        let send = || {
            let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
            wire::send(&self.0, message, &files)
        };
        self.0.async_io(Interest::WRITABLE, send).await
    }

    /// The next message; `None` when the other end is gone. A dropped wait loses nothing.
    pub async fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        self.0.async_io(Interest::READABLE, || wire::receive(&self.0)).await
    }
}

/// How a process ended, as `wait(2)` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// As it was given when the process was started.
    pub token: u64,
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal.
    pub signal: Option<i32>,
}

/// Asks the process at the other end. When it is dropped, the connection closes, and the process ends.
pub struct Caller<Request> {
    asked: mpsc::UnboundedSender<Asked<Request>>,
}

struct Asked<Request> {
    request: Request,
    files: Vec<OwnedFd>,
    answer: oneshot::Sender<io::Result<Option<OwnedFd>>>,
}

impl<Request: Serialize + Send + Sync + 'static> Caller<Request> {
    /// Takes a connection over. `ended` is told of processes that end, and `None` once when the other
    /// end is gone.
    pub fn new(
        connection: Connection,
        tasks: &TaskGroup,
        name: &'static str,
        ended: impl Fn(Option<Ended>) + Send + Sync + 'static,
    ) -> Self {
        let (asked, requests) = mpsc::unbounded_channel();
        tasks.spawn(name, async move {
            // However the conversation ends, whoever still waits is told by its channel's end.
            let _ = converse(connection, requests, &ended).await;
            ended(None);
        });
        Caller { asked }
    }

    /// Asks, and waits for the answer; a socket may come with it.
    pub async fn call(&self, request: Request, files: Vec<OwnedFd>) -> io::Result<Option<OwnedFd>> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the process that was asked is gone");
        let (answer, answered) = oneshot::channel();
        self.asked.send(Asked { request, files, answer }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

async fn converse<Request: Serialize + Sync>(
    connection: Connection,
    mut requests: mpsc::UnboundedReceiver<Asked<Request>>,
    ended: &(impl Fn(Option<Ended>) + Send + Sync),
) -> io::Result<()> {
    let mut waiting: VecDeque<oneshot::Sender<io::Result<Option<OwnedFd>>>> = VecDeque::new();
    loop {
        tokio::select! {
            asked = requests.recv() => {
                let Some(Asked { request, files, answer }) = asked else { return Ok(()) };
                connection.send(&request, &files).await?;
                waiting.push_back(answer);
            }
            received = connection.receive::<FromInside>() => {
                let Some((message, files)) = received? else { return Ok(()) };
                match message {
                    FromInside::Answer(outcome) => answer(waiting.pop_front(), outcome, files),
                    FromInside::Ended { token, code, signal } => ended(Some(Ended { token, code, signal })),
                }
            }
        }
    }
}

fn answer(to: Option<oneshot::Sender<io::Result<Option<OwnedFd>>>>, outcome: Answer, files: Vec<OwnedFd>) {
    let outcome = outcome.map(|()| files.into_iter().next()).map_err(io::Error::other);
    // Whoever asked may have stopped waiting.
    let _ = to.map(|to| to.send(outcome));
}
