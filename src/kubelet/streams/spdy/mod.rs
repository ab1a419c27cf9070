//! A SPDY/3.1 server connection: many streams over one, for clients from before WebSockets and for
//! port-forward.
//!
//! In: an upgraded connection (or a tunnel in a WebSocket). Out: each stream that the client opens, as a
//! pipe with its headers. The future that carries all of it is driven by its owner and ends with the
//! connection. Chapter: `book/src/control-plane/kubelet.md`.

mod frame;

use std::collections::HashMap;

use bytes::Bytes;
use futures::stream::{BoxStream, SelectAll, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, WriteHalf, duplex};
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

use frame::{Frame, Headers, Reader, Writer};

use super::remote_command::PIPE_BYTES;

/// Streams at once; more are refused.
const MOST_STREAMS: usize = 1024;
/// Frames that wait to be written.
const QUEUE: usize = 64;

/// A stream that the client opened.
pub struct Opened {
    headers: Headers,
    /// The kubelet's end.
    pub pipe: DuplexStream,
}

impl Opened {
    /// A header's value; names know no case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// The streams as they are opened, and what carries their bytes. Dropping the receiver says that no more
/// streams are wanted: the connection ends once those that there are have ended.
pub fn serve<S>(io: S) -> (mpsc::Receiver<Opened>, impl Future<Output = ()>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (opened, streams) = mpsc::channel(MOST_STREAMS);
    let (read, write) = tokio::io::split(io);
    let (commands, queue) = mpsc::channel(QUEUE);
    let wanted = opened.clone();
    let carry = async move {
        tokio::select! {
            () = receive(Reader::new(read), opened, commands) => {}
            // A client that is gone cannot be told anything.
            _ = send(write, queue, wanted) => {}
        }
    };
    (streams, carry)
}

enum Command {
    Frame(Frame),
    /// A new stream's outgoing bytes.
    Outgoing(BoxStream<'static, Frame>),
}

/// Takes frames in until the connection ends.
async fn receive<R>(mut reader: Reader<R>, opened: mpsc::Sender<Opened>, commands: mpsc::Sender<Command>)
where
    R: AsyncRead + Unpin,
{
    let mut inputs: HashMap<u32, WriteHalf<DuplexStream>> = HashMap::new();
    while let Ok(frame) = reader.frame().await {
        let answer = match frame {
            Frame::SynStream { stream, .. } if inputs.len() >= MOST_STREAMS => {
                Command::Frame(Frame::RstStream { stream })
            }
            Frame::SynStream { stream, headers, fin } => {
                let (near, far) = duplex(PIPE_BYTES);
                let (output, mut input) = tokio::io::split(far);
                if commands.send(Command::Frame(Frame::SynReply { stream })).await.is_err() {
                    return;
                }
                if fin {
                    // The pipe is new: nobody can have closed it.
                    let _ = input.shutdown().await;
                } else {
                    inputs.insert(stream, input);
                }
                if opened.send(Opened { headers, pipe: near }).await.is_err() {
                    return;
                }
                Command::Outgoing(outgoing(stream, ReaderStream::with_capacity(output, PIPE_BYTES / 2)))
            }
            Frame::Data { stream, bytes, fin } => {
                if let Some(input) = inputs.get_mut(&stream) {
                    // Who reads it may have had enough; the rest is dropped.
                    let _ = input.write_all(&bytes).await;
                }
                if fin && let Some(mut input) = inputs.remove(&stream) {
                    let _ = input.shutdown().await;
                }
                continue;
            }
            Frame::RstStream { stream } => {
                inputs.remove(&stream);
                continue;
            }
            Frame::Ping { id } => Command::Frame(Frame::Ping { id }),
            Frame::GoAway => return,
            Frame::SynReply { .. } | Frame::Other => continue,
        };
        if commands.send(answer).await.is_err() {
            return;
        }
    }
}

/// A pipe's bytes as frames; the last one says so.
fn outgoing<R>(stream: u32, bytes: ReaderStream<R>) -> BoxStream<'static, Frame>
where
    R: AsyncRead + Send + 'static,
{
    let data = bytes.take_while(|bytes| std::future::ready(bytes.is_ok())).filter_map(|bytes| async { bytes.ok() });
    let frames = data.map(move |bytes| Frame::Data { stream, bytes, fin: false });
    let last = Frame::Data { stream, bytes: Bytes::new(), fin: true };
    frames.chain(futures::stream::iter([last])).boxed()
}

async fn send<W>(mut io: W, mut queue: mpsc::Receiver<Command>, wanted: mpsc::Sender<Opened>) -> std::io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let mut writer = Writer::default();
    let mut outputs: SelectAll<BoxStream<'static, Frame>> = SelectAll::new();
    loop {
        let frame = tokio::select! {
            biased;
            command = queue.recv() => match command {
                Some(Command::Frame(frame)) => frame,
                Some(Command::Outgoing(frames)) => {
                    outputs.push(frames);
                    continue;
                }
                None => return Ok(()),
            },
            Some(frame) = outputs.next(), if !outputs.is_empty() => frame,
            () = wanted.closed(), if outputs.is_empty() => return io.shutdown().await,
        };
        io.write_all(&writer.bytes(&frame)).await?;
        io.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn streams_carry_bytes_both_ways_and_end() {
        let (client, server) = duplex(PIPE_BYTES);
        let (mut streams, carry) = serve(server);
        let serving = async {
            let mut opened = streams.recv().await.unwrap();
            assert_eq!(opened.header("streamType"), Some("data"));
            let mut asked = String::new();
            opened.pipe.read_to_string(&mut asked).await.unwrap();
            opened.pipe.write_all(asked.to_uppercase().as_bytes()).await.unwrap();
            opened.pipe.shutdown().await.unwrap();
        };
        let asking = async move {
            let (read, mut write) = tokio::io::split(client);
            let (mut writer, mut reader) = (Writer::default(), Reader::new(read));
            let headers = vec![("Streamtype".into(), "data".into())];
            for frame in [
                Frame::SynStream { stream: 1, headers, fin: false },
                Frame::Data { stream: 1, bytes: Bytes::from_static(b"quiet"), fin: true },
                Frame::Ping { id: 9 },
            ] {
                write.write_all(&writer.bytes(&frame)).await.unwrap();
            }
            let (mut said, mut pinged) = (Vec::new(), false);
            loop {
                match reader.frame().await.unwrap() {
                    Frame::Ping { id: 9 } => pinged = true,
                    Frame::Data { fin: true, .. } => break,
                    Frame::Data { bytes, .. } => said.extend_from_slice(&bytes),
                    _ => {}
                }
            }
            while !pinged {
                pinged = matches!(reader.frame().await.unwrap(), Frame::Ping { id: 9 });
            }
            String::from_utf8(said).unwrap()
        };
        let (_, said, ()) = tokio::select! {
            both = async { let (said, ()) = futures::join!(asking, serving); ((), said, ()) } => both,
            () = carry => unreachable!("the client is still there"),
        };
        assert_eq!(said, "QUIET");
    }
}
