//! What runs in a tab, and what a tab waits for.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::editor::Editing;
use super::handle::Event;
use super::pipes::Chunk;

/// What runs.
pub struct Job {
    /// Where keys go, while it takes any.
    pub keys: Option<mpsc::Sender<Bytes>>,
    /// Ends it.
    pub stop: CancellationToken,
    /// What it writes.
    pub chunks: mpsc::Receiver<Chunk>,
    /// Its exit code.
    pub done: oneshot::Receiver<i32>,
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
        // A command that was dropped has failed.
        code = &mut job.done => Found::Done(code.unwrap_or(1)),
    }
}
