//! The streams of the terminal's programs: what one writes, another or the page reads.
//!
//! Every stream is bounded: who writes faster than is read waits, and who writes to a reader that has gone
//! is told so ([`Fault::Gone`]), as a process is by SIGPIPE.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Wake, Poll};

use bytes::Bytes;
use futures::{SinkExt, StreamExt, future};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};
use tokio_util::sync::PollSender;

use super::syntax::Stream;
use crate::kubectl::session::{Reader, Writer};

/// The largest chunk.
const CHUNK_BYTES: usize = 8 * 1024;
/// Chunks that wait in a pipe.
const WAITING: usize = 8;
/// What a program that needs all of its input reads at most.
const MOST_INPUT_BYTES: u64 = 32 * 1024 * 1024;
/// A longer line is cut in two.
const LONGEST_LINE: usize = 1024 * 1024;

/// What comes out of a program.
#[derive(Clone, Debug)]
pub enum Chunk {
    /// Text on one of the two streams.
    Text(Stream, Bytes),
    /// A whole picture that takes the place of the one before (`watch`).
    Frame(String),
    /// Everything that was shown is to go (`clear`).
    Clear,
}

/// Why a program ended badly.
#[derive(Debug)]
pub enum Fault {
    /// What it has to say, printed behind its name.
    Said(String),
    /// Nobody reads what it writes.
    Gone,
}

impl From<io::Error> for Fault {
    fn from(fault: io::Error) -> Fault {
        match fault.kind() {
            io::ErrorKind::BrokenPipe => Fault::Gone,
            _ => Fault::Said(fault.to_string()),
        }
    }
}

/// How a program ended: an exit code, or a complaint.
pub type Ended = Result<i32, Fault>;

/// An output stream. Cheap to clone; its reader sees the end when all clones are gone.
#[derive(Clone)]
pub struct Out {
    sender: mpsc::Sender<Chunk>,
    stream: Stream,
}

impl Out {
    /// Sends text.
    ///
    /// # Errors
    /// [`Fault::Gone`]
    pub async fn write(&self, text: impl Into<Bytes>) -> Result<(), Fault> {
        let mut text = text.into();
        while !text.is_empty() {
            let now = text.split_to(text.len().min(CHUNK_BYTES));
            self.send(Chunk::Text(self.stream, now)).await?;
        }
        Ok(())
    }

    /// Sends a line.
    ///
    /// # Errors
    /// [`Fault::Gone`]
    pub async fn line(&self, line: &[u8]) -> Result<(), Fault> {
        self.write([line, b"\n"].concat()).await
    }

    /// Sends a chunk as it is.
    ///
    /// # Errors
    /// [`Fault::Gone`]
    pub async fn send(&self, chunk: Chunk) -> Result<(), Fault> {
        self.sender.send(chunk).await.map_err(|_| Fault::Gone)
    }

    /// The same, as a writer.
    pub fn writer(&self) -> Writer {
        let stream = self.stream;
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        let sink = PollSender::new(self.sender.clone()).sink_map_err(gone);
        let sink = Box::pin(sink.with(move |bytes: Bytes| future::ok::<_, io::Error>(Chunk::Text(stream, bytes))));
        Box::pin(InChunks(SinkWriter::new(CopyToBytes::new(sink))))
    }

    /// The other stream's name on the same way out.
    pub fn as_stream(&self, stream: Stream) -> Out {
        Out { stream, ..self.clone() }
    }
}

/// A writer that takes a chunk at a time.
struct InChunks<W>(W);

impl<W: AsyncWrite + Unpin> AsyncWrite for InChunks<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Wake<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &bytes[..bytes.len().min(CHUNK_BYTES)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Wake<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Wake<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What a program reads. Cheap to clone: clones read on where another stopped.
pub type In = Arc<Mutex<Reader>>;

/// Bytes as an input.
pub fn input(bytes: Vec<u8>) -> In {
    Arc::new(Mutex::new(Box::pin(io::Cursor::new(bytes))))
}

/// A way out and what comes out of it.
pub fn way_out() -> (Out, mpsc::Receiver<Chunk>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Out { sender, stream: Stream::Out }, receiver)
}

/// Both ends of a pipe.
pub fn pipe() -> (Out, In) {
    let (out, receiver) = way_out();
    let bytes = ReceiverStream::new(receiver).map(|chunk| {
        Ok::<_, io::Error>(match chunk {
            Chunk::Text(_, bytes) => bytes,
            Chunk::Frame(text) => text.into(),
            Chunk::Clear => Bytes::new(),
        })
    });
    // The end of the stream is an empty read, so an empty chunk must not be one.
    let bytes = bytes.filter(|bytes| future::ready(bytes.as_ref().is_ok_and(|bytes| !bytes.is_empty())));
    (out, Arc::new(Mutex::new(Box::pin(StreamReader::new(bytes)))))
}

/// Keys as an input.
pub fn typed(keys: mpsc::Receiver<Bytes>) -> In {
    let bytes = ReceiverStream::new(keys).map(Ok::<_, io::Error>);
    Arc::new(Mutex::new(Box::pin(StreamReader::new(Box::pin(bytes)))))
}

/// All of an input.
///
/// # Errors
/// When it cannot be read, or is longer than a program may read.
pub async fn read_all(input: &In) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut reader = input.lock().await;
    (&mut *reader).take(MOST_INPUT_BYTES + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > MOST_INPUT_BYTES {
        return Err(Fault::Said(format!("the input is longer than {MOST_INPUT_BYTES} bytes")));
    }
    Ok(bytes)
}

/// The lines of an input, without their ends, one by one.
pub struct Lines<'a> {
    reader: MutexGuard<'a, Reader>,
    buffer: Vec<u8>,
    searched: usize,
}

impl<'a> Lines<'a> {
    /// Begins to read.
    pub async fn of(input: &'a In) -> Lines<'a> {
        Lines { reader: input.lock().await, buffer: Vec::new(), searched: 0 }
    }

    /// The next line.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.searched + at + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            let full = self.buffer.len() >= LONGEST_LINE;
            if full || self.reader.read_buf(&mut self.buffer).await? == 0 {
                self.searched = 0;
                let last = std::mem::take(&mut self.buffer);
                return Ok((!last.is_empty()).then_some(last));
            }
        }
    }
}
