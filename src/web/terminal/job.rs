//! What runs in a tab, and what a tab waits for.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::editor::Editing;
use super::handle::Event;
use super::pipes::Chunk;
use crate::clock::Clock;

/// How long a typed line may wait for its program, before the reader is told that it does.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most letters of a command that are told.
const MOST_LETTERS: usize = 40;

/// What runs.
pub struct Job {
    /// Its beginning, as it was typed.
    pub name: String,
    /// Where keys go, while it takes any.
    pub keys: Option<mpsc::Sender<Bytes>>,
    /// Ends it.
    pub stop: CancellationToken,
    /// What it writes.
    pub chunks: mpsc::Receiver<Chunk>,
    /// Its exit code.
    pub done: oneshot::Receiver<i32>,
    /// Ends some time after a line was typed.
    pub look: Option<BoxFuture<'static, ()>>,
    /// Whether the reader was told that it reads nothing.
    pub told: bool,
}

impl Job {
    /// Hands over keys; false where it takes none, or much has been typed that it does not read.
    pub fn take(&mut self, text: &str, clock: Clock) -> bool {
        let taken = self.keys.as_ref().is_some_and(|keys| keys.try_send(text.to_owned().into()).is_ok());
        if !self.told && self.look.is_none() && text.ends_with('\n') {
            self.look = Some(Box::pin(async move { clock.sleep(PATIENCE).await }));
        }
        taken
    }

    /// What a reader should know whose line was not read: once for a program.
    pub fn remark(&mut self) -> Option<String> {
        self.look = None;
        let reads = self.keys.as_ref().is_some_and(|keys| keys.capacity() == keys.max_capacity());
        if reads || self.told {
            return None;
        }
        self.told = true;
        Some(format!("{} is running here and reads nothing: Ctrl-C ends it, + opens another tab\n", self.name))
    }
}

/// A command as it is told: its first line, as far as that is short.
pub fn name(command: &str) -> String {
    let line = command.trim().lines().next().unwrap_or_default();
    let short: String = line.chars().take(MOST_LETTERS).collect();
    if short.len() < line.len() { format!("{}…", short.trim_end()) } else { short }
}

/// What a turn of the tab's loop found.
pub enum Found {
    /// The tab was told something, or forgotten.
    Event(Option<Event>),
    /// A program wants each key, or no longer.
    Raw(bool),
    /// A program wants a text edited.
    Editing(Editing),
    /// The program wrote.
    Chunk(Chunk),
    /// A typed line has had its time.
    Unread,
    /// It has ended.
    Done(i32),
    /// The tab is to close.
    Closed,
}

/// What the job does next: a chunk, if one may be shown, or its end.
pub async fn work(job: &mut Option<Job>, shows: bool) -> Found {
    let Some(job) = job else { return std::future::pending().await };
    tokio::select! {
        biased;
        // The end of its output is not its own end.
        Some(chunk) = job.chunks.recv(), if shows => Found::Chunk(chunk),
        () = async { job.look.as_mut().expect("looked at only where it is").await }, if job.look.is_some() => Found::Unread,
        // A command that was dropped has failed.
        code = &mut job.done => Found::Done(code.unwrap_or(1)),
    }
}
