//! A layer's tar archive, however it is packed: gzip, zstd, or not at all.
//!
//! In: a file. Out: the plain bytes. What packed it is read from its first bytes: media types are often wrong.
//! Several gzip members or zstd frames after one another are one stream. Source: RFC 1952, RFC 8878.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read, Seek};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use ruzstd::decoding::StreamingDecoder;

const BUFFER_BYTES: usize = 256 * 1024;
/// Pieces that wait to be taken.
const AHEAD: usize = 8;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Frames that a zstd reader skips begin with one of sixteen numbers.
const SKIPPED: std::ops::RangeInclusive<u32> = 0x184d_2a50..=0x184d_2a5f;

/// The plain bytes of a packed file.
///
/// # Errors
/// When it cannot be read.
pub fn plain(packed: File) -> io::Result<Box<dyn Read + Send>> {
    let mut packed = BufReader::with_capacity(BUFFER_BYTES, packed);
    let start = packed.fill_buf()?;
    let (gzip, zstd) = (start.starts_with(&GZIP), start.starts_with(&ZSTD));
    packed.rewind()?;
    Ok(if gzip {
        Box::new(flate2::bufread::MultiGzDecoder::new(packed))
    } else if zstd {
        Box::new(Frames { at: At::Between(packed) })
    } else {
        Box::new(packed)
    })
}

/// Reads what another thread of `scope` has read before: to unpack takes as long as to do something with what comes out.
pub fn ahead<'scope>(scope: &'scope Scope<'scope, '_>, mut from: Box<dyn Read + Send>) -> Ahead {
    let (give, pieces) = sync_channel(AHEAD);
    scope.spawn(move || {
        loop {
            let mut piece = Vec::with_capacity(BUFFER_BYTES);
            let read = from.by_ref().take(BUFFER_BYTES as u64).read_to_end(&mut piece);
            let ends = read.as_ref().map_or(true, |read| *read == 0);
            // Who takes it may have had enough. An empty piece is the end.
            if give.send(read.map(|_| piece)).is_err() || ends {
                return;
            }
        }
    });
    Ahead { pieces, now: Vec::new(), at: 0, ended: false }
}

/// What was read ahead.
pub struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    now: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.now.len() && !self.ended {
            let broken = |_| io::Error::from(io::ErrorKind::BrokenPipe);
            (self.now, self.at) = (self.pieces.recv().map_err(broken)??, 0);
            self.ended = self.now.is_empty();
        }
        let read = (&self.now[self.at..]).read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

type Source = Chain<Cursor<[u8; 4]>, BufReader<File>>;

/// zstd frames, one after another.
struct Frames {
    at: At,
}

enum At {
    Between(BufReader<File>),
    In(Box<StreamingDecoder<Source, ruzstd::decoding::FrameDecoder>>),
    End,
}

fn damaged(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

impl Frames {
    /// The next frame that holds something.
    fn open(mut source: BufReader<File>) -> io::Result<At> {
        loop {
            if source.fill_buf()?.is_empty() {
                return Ok(At::End);
            }
            let mut magic = [0; 4];
            source.read_exact(&mut magic)?;
            if !SKIPPED.contains(&u32::from_le_bytes(magic)) {
                let decoder = StreamingDecoder::new(Cursor::new(magic).chain(source)).map_err(damaged)?;
                return Ok(At::In(Box::new(decoder)));
            }
            let mut length = [0; 4];
            source.read_exact(&mut length)?;
            io::copy(&mut source.by_ref().take(u32::from_le_bytes(length).into()), &mut io::sink())?;
        }
    }
}

impl Read for Frames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            self.at = match std::mem::replace(&mut self.at, At::End) {
                At::End => return Ok(0),
                At::Between(source) => Frames::open(source)?,
                At::In(mut decoder) => {
                    let read = decoder.read(buffer)?;
                    if read > 0 {
                        self.at = At::In(decoder);
                        return Ok(read);
                    }
                    At::Between(decoder.into_inner().into_inner().1)
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut file = tempfile::tempfile()?;
        io::Write::write_all(&mut file, bytes)?;
        file.rewind()?;
        let mut text = Vec::new();
        plain(file)?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn what_is_read_ahead_is_what_there_is() {
        let bytes: Vec<u8> =
            (0..3 * BUFFER_BYTES as u32 + 7).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let read = |from: Box<dyn Read + Send>| {
            std::thread::scope(|scope| {
                let (mut all, mut from) = (Vec::new(), ahead(scope, from));
                from.read_to_end(&mut all)?;
                assert_eq!(from.read(&mut [0; 9])?, 0, "the end stays the end");
                Ok::<_, io::Error>(all)
            })
        };
        assert!(read(Box::new(Cursor::new(bytes.clone()))).unwrap() == bytes);
        assert_eq!(read(Box::new(io::empty())).unwrap(), b"");
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(damaged("torn"))
            }
        }
        let torn = Cursor::new(bytes.clone()).chain(Broken);
        assert_eq!(read(Box::new(torn)).unwrap_err().to_string(), "torn");
        // Nobody takes the rest: the thread ends all the same, or this would never return.
        std::thread::scope(|scope| ahead(scope, Box::new(io::repeat(1))).read_exact(&mut [0; 5])).unwrap();
    }

    /// Frames of one raw block each: what any zstd writer may write. Source: RFC 8878, section 3.1.1.
    fn frame(text: &[u8]) -> Vec<u8> {
        let block = ((text.len() as u32) << 3 | 1).to_le_bytes();
        [&ZSTD[..], &[0x20, text.len() as u8], &block[..3], text].concat()
    }

    #[test]
    fn every_packing_gives_the_same_bytes() {
        assert_eq!(read(b"plain").unwrap(), b"plain");
        assert_eq!(read(b"").unwrap(), b"");
        let skipped = [&0x184d_2a53_u32.to_le_bytes()[..], &2_u32.to_le_bytes(), b"xx"].concat();
        let frames = [frame(b"one "), skipped, frame(b"two")].concat();
        assert_eq!(read(&frames).unwrap(), b"one two");
        assert!(read(&frames[..frames.len() - 2]).is_err());
    }
}
