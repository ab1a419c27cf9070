//! Carries bytes between two connections, both ways, until both sides are done.
//!
//! In: a client's connection, a Pod's. A short exchange is copied, as any program would. Of a long one tutor does not look
//! at the bytes any more: `splice(2)` moves them from one socket to the other inside the kernel, so that the way through
//! tutor costs little more than the way without it. Source: splice(2), pipe(7). Chapter: `book/src/inside/network.md`.

/// Bytes that wait in each direction of a connection.
const BUFFER: usize = 32 << 10;

/// Carries, until both sides are done.
///
/// # Errors
/// What one of the connections met with.
#[cfg(not(target_os = "linux"))]
pub async fn both_ways(client: &mut tokio::net::TcpStream, pod: &mut tokio::net::TcpStream) -> std::io::Result<()> {
    tokio::io::copy_bidirectional_with_sizes(client, pod, BUFFER, BUFFER).await.map(drop)
}

#[cfg(target_os = "linux")]
pub use linux::both_ways;

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, PipeReader, PipeWriter};
    use std::os::fd::AsFd;

    use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, splice};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
    use tokio::net::TcpStream;
    use tokio::net::tcp::{ReadHalf, WriteHalf};

    use super::BUFFER;

    /// After so much in one direction the kernel does it: a pipe takes two open files, which a short exchange is not worth.
    const LONG: usize = 256 << 10;
    /// Bytes to be moved at once, and the room asked of the pipe: what an ordinary user may have (pipe(7), `pipe-max-size`).
    const MOST: usize = 1 << 20;

    /// Carries, until both sides are done.
    ///
    /// # Errors
    /// What one of the connections met with.
    pub async fn both_ways(client: &mut TcpStream, pod: &mut TcpStream) -> io::Result<()> {
        let (from_client, to_client) = client.split();
        let (from_pod, to_pod) = pod.split();
        tokio::try_join!(one_way(from_client, to_pod), one_way(from_pod, to_client)).map(drop)
    }

    async fn one_way(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        let (mut buffer, mut copied) = (vec![0; BUFFER], 0);
        // Where the process is out of files it goes on as it began.
        let mut pipe = None;
        while pipe.is_none() {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                return to.shutdown().await;
            }
            to.write_all(&buffer[..read]).await?;
            copied += read;
            if copied >= LONG {
                (pipe, copied) = (io::pipe().ok(), 0);
                if let Some((_, into)) = &pipe {
                    // A user whose pipes are many gets a small one: slower, and as good.
                    _ = fcntl(into, FcntlArg::F_SETPIPE_SZ(MOST as i32));
                }
            }
        }
        drop(buffer);
        if let Some(pipe) = pipe {
            move_all(from.as_ref(), to.as_ref(), &pipe).await?;
        }
        to.shutdown().await
    }

    async fn move_all(from: &TcpStream, to: &TcpStream, (out, into): &(PipeReader, PipeWriter)) -> io::Result<()> {
        loop {
            let mut held = moved(from, Interest::READABLE, from, into, MOST).await?;
            if held == 0 {
                return Ok(());
            }
            // The pipe is empty again before it is filled again: when nothing can be moved, it is a socket that waits.
            while held > 0 {
                held -= moved(to, Interest::WRITABLE, out, to, held).await?;
            }
        }
    }

    async fn moved(
        waits: &TcpStream,
        interest: Interest,
        from: &impl AsFd,
        into: &impl AsFd,
        most: usize,
    ) -> io::Result<usize> {
        let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
        waits.async_io(interest, || Ok(splice(from, None, into, None, most, flags)?)).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (one, other) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (one.unwrap(), other.unwrap().0)
    }

    /// Sends the first half, and only when that was answered the second: long enough both ways to change hands midway.
    #[tokio::test]
    async fn all_bytes_come_both_ways_in_their_order_and_each_end_is_passed_on() {
        let ((mut client, mut here), (mut there, mut pod)) = (pair().await, pair().await);
        let bytes: Vec<u8> = (0..3_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let carried = both_ways(&mut here, &mut there);
        let (sent, answered) = (bytes.clone(), bytes.clone());
        let asks = async move {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let mut came = Vec::new();
            client.read_to_end(&mut came).await.unwrap();
            came
        };
        let answers = async move {
            let mut came = Vec::new();
            pod.read_to_end(&mut came).await.unwrap();
            // The client's end has come; the other direction is still open.
            for part in answered.chunks(1 << 20) {
                pod.write_all(part).await.unwrap();
            }
            pod.shutdown().await.unwrap();
            came
        };
        let (carried, at_client, at_pod) = tokio::join!(carried, asks, answers);
        carried.unwrap();
        assert!(at_client == bytes && at_pod == bytes);
    }

    #[tokio::test]
    async fn a_few_bytes_are_not_waited_with() {
        let ((mut client, mut here), (mut there, mut pod)) = (pair().await, pair().await);
        let talk = async move {
            for round in 0..100_u8 {
                client.write_all(&[round]).await.unwrap();
                let asked = pod.read_u8().await.unwrap();
                pod.write_all(&[asked + 1]).await.unwrap();
                assert_eq!(client.read_u8().await.unwrap(), round + 1);
            }
        };
        let (carried, ()) = tokio::join!(both_ways(&mut here, &mut there), talk);
        carried.unwrap();
    }
}
