//! SPDY/3.1 frames: the part that Kubernetes' clients use.
//!
//! In: bytes. Out: [`Frame`]s, and back. Header blocks are one zlib stream a connection, begun with the
//! dictionary that the specification gives. Flow control is not used by either side: `client-go`'s
//! library knows none. Source: <https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/>.

use std::io;

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tokio::io::{AsyncRead, AsyncReadExt};

/// A frame's payload at most; a longer one ends the connection.
const MOST_PAYLOAD_BYTES: usize = 1024 * 1024;
/// A header block at most, unpacked.
const MOST_HEADER_BYTES: usize = 64 * 1024;
const VERSION: u16 = 3;
const FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;

/// Names and values, in order.
pub type Headers = Vec<(String, String)>;

/// What travels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Frame {
    /// A new stream; `fin`: its opener sends nothing on it.
    SynStream {
        stream: u32,
        headers: Headers,
        fin: bool,
    },
    /// The stream is accepted.
    SynReply {
        stream: u32,
    },
    /// The stream is over, both ways.
    RstStream {
        stream: u32,
    },
    Ping {
        id: u32,
    },
    GoAway,
    /// Bytes of a stream; `fin`: the last ones.
    Data {
        stream: u32,
        bytes: Bytes,
        fin: bool,
    },
    /// Anything else; it means nothing here.
    Other,
}

/// Reads and unpacks frames.
pub struct Reader<R> {
    io: R,
    inflate: Decompress,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads from the beginning of a connection.
    pub fn new(io: R) -> Self {
        Reader { io, inflate: Decompress::new(true) }
    }

    /// The next frame.
    ///
    /// # Errors
    /// At the end of the connection, or when what comes is no SPDY.
    pub async fn frame(&mut self) -> io::Result<Frame> {
        let mut head = [0; 8];
        self.io.read_exact(&mut head).await?;
        let length = usize::from(head[5]) << 16 | usize::from(head[6]) << 8 | usize::from(head[7]);
        if length > MOST_PAYLOAD_BYTES {
            return Err(invalid("a frame is too long"));
        }
        let mut payload = vec![0; length];
        self.io.read_exact(&mut payload).await?;
        let word = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let fin = head[4] & FIN != 0;
        if word >> 31 == 0 {
            return Ok(Frame::Data { stream: word, bytes: Bytes::from(payload), fin });
        }
        let kind = (word & 0xffff) as u16;
        let number = |at: usize| -> io::Result<u32> {
            let bytes = payload.get(at..at + 4).ok_or_else(|| invalid("a frame is too short"))?;
            Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & 0x7fff_ffff)
        };
        Ok(match kind {
            SYN_STREAM => {
                let stream = number(0)?;
                let block = payload.get(10..).ok_or_else(|| invalid("a frame is too short"))?;
                Frame::SynStream { stream, headers: self.headers(block)?, fin }
            }
            // Each header block moves the zlib stream on, wanted or not.
            HEADERS | SYN_REPLY => {
                self.headers(payload.get(4..).unwrap_or_default())?;
                Frame::Other
            }
            RST_STREAM => Frame::RstStream { stream: number(0)? },
            PING => Frame::Ping { id: number(0)? },
            GOAWAY => Frame::GoAway,
            _ => Frame::Other,
        })
    }

    fn headers(&mut self, block: &[u8]) -> io::Result<Headers> {
        let plain = inflate(&mut self.inflate, block)?;
        let mut rest = plain.as_slice();
        let count = take_number(&mut rest)?;
        let mut headers = Headers::new();
        for _ in 0..count {
            let (name, value) = (take_text(&mut rest)?, take_text(&mut rest)?);
            // Several values of one name are separated by NUL.
            headers.extend(value.split('\0').map(|value| (name.clone(), value.to_owned())));
        }
        Ok(headers)
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn take_number(rest: &mut &[u8]) -> io::Result<u32> {
    let (number, after) = rest.split_first_chunk().ok_or_else(|| invalid("a header block is too short"))?;
    *rest = after;
    Ok(u32::from_be_bytes(*number))
}

fn take_text(rest: &mut &[u8]) -> io::Result<String> {
    let length = take_number(rest)? as usize;
    let text = rest.get(..length).ok_or_else(|| invalid("a header block is too short"))?;
    *rest = &rest[length..];
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn inflate(stream: &mut Decompress, block: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::with_capacity(4096);
    let began = stream.total_in();
    loop {
        let used = (stream.total_in() - began) as usize;
        let before = plain.len();
        match stream.decompress_vec(&block[used..], &mut plain, FlushDecompress::Sync) {
            Ok(Status::StreamEnd) => return Ok(plain),
            Ok(_) => {}
            Err(error) if error.needs_dictionary().is_some() => {
                stream.set_dictionary(&dictionary()).map_err(|error| invalid(&error.to_string()))?;
                continue;
            }
            Err(error) => return Err(invalid(&error.to_string())),
        }
        if plain.len() > MOST_HEADER_BYTES {
            return Err(invalid("headers are too long"));
        }
        let all_used = (stream.total_in() - began) as usize == block.len();
        if all_used && (plain.len() < plain.capacity() || plain.len() == before) {
            return Ok(plain);
        }
        plain.reserve(4096);
    }
}

/// Packs frames.
pub struct Writer {
    deflate: Compress,
}

impl Default for Writer {
    fn default() -> Self {
        // Without the dictionary, which a reader asks for only when the stream says so.
        Writer { deflate: Compress::new(Compression::fast(), true) }
    }
}

impl Writer {
    /// A frame's bytes. [`Frame::Other`] has none.
    pub fn bytes(&mut self, frame: &Frame) -> Vec<u8> {
        match frame {
            Frame::Data { stream, bytes, fin } => {
                let mut whole = Vec::with_capacity(8 + bytes.len());
                whole.extend_from_slice(&stream.to_be_bytes());
                whole.extend_from_slice(&length_word(*fin, bytes.len()));
                whole.extend_from_slice(bytes);
                whole
            }
            Frame::SynStream { stream, headers, fin } => {
                let mut payload = [&stream.to_be_bytes()[..], &[0; 6]].concat();
                payload.extend(self.headers(headers));
                control(SYN_STREAM, *fin, &payload)
            }
            Frame::SynReply { stream } => {
                let mut payload = stream.to_be_bytes().to_vec();
                payload.extend(self.headers(&Headers::new()));
                control(SYN_REPLY, false, &payload)
            }
            Frame::RstStream { stream } => {
                const CANCEL: u32 = 5;
                control(RST_STREAM, false, &[stream.to_be_bytes(), CANCEL.to_be_bytes()].concat())
            }
            Frame::Ping { id } => control(PING, false, &id.to_be_bytes()),
            Frame::GoAway => control(GOAWAY, false, &[0; 8]),
            Frame::Other => Vec::new(),
        }
    }

    fn headers(&mut self, headers: &Headers) -> Vec<u8> {
        let mut plain = (headers.len() as u32).to_be_bytes().to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend_from_slice(&(text.len() as u32).to_be_bytes());
            plain.extend_from_slice(text.as_bytes());
        }
        let mut packed = Vec::with_capacity(plain.len() + 64);
        let began = self.deflate.total_in();
        loop {
            let used = (self.deflate.total_in() - began) as usize;
            // Packing into memory cannot fail; a stream that is never finished takes bytes for ever.
            let _ = self.deflate.compress_vec(&plain[used..], &mut packed, FlushCompress::Sync);
            if packed.len() < packed.capacity() {
                return packed;
            }
            packed.reserve(4096);
        }
    }
}

fn length_word(fin: bool, length: usize) -> [u8; 4] {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    [if fin { FIN } else { 0 }, a, b, c]
}

fn control(kind: u16, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut whole = (0x8000 | VERSION).to_be_bytes().to_vec();
    whole.extend_from_slice(&kind.to_be_bytes());
    whole.extend_from_slice(&length_word(fin, payload.len()));
    whole.extend_from_slice(payload);
    whole
}

/// The text that zlib begins with: words with their lengths, then frequent values in one piece.
fn dictionary() -> Vec<u8> {
    const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language \
        accept-ranges age allow authorization cache-control connection content-base content-encoding \
        content-language content-length content-location content-md5 content-range content-type date etag expect \
        expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified \
        location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te \
        trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get status 200+OK \
        version HTTP/1.1 url public set-cookie keep-alive origin";
    const REST: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 \
        Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 \
        Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr \
        May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,\
        image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,public\
        privatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";
    let mut bytes = Vec::new();
    for word in WORDS.split(' ') {
        let word = word.replace('+', " ");
        bytes.extend_from_slice(&(word.len() as u32).to_be_bytes());
        bytes.extend_from_slice(word.as_bytes());
    }
    bytes.extend_from_slice(REST.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> Headers {
        vec![("streamtype".into(), "error".into()), ("port".into(), "80".into())]
    }

    #[tokio::test]
    async fn frames_come_back_as_they_were() {
        let frames = [
            Frame::SynStream { stream: 1, headers: headers(), fin: false },
            Frame::SynStream { stream: 3, headers: headers(), fin: true },
            Frame::Data { stream: 1, bytes: Bytes::from_static(b"hello"), fin: true },
            Frame::Ping { id: 7 },
            Frame::RstStream { stream: 3 },
            Frame::GoAway,
        ];
        let mut writer = Writer::default();
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| writer.bytes(frame)).collect();
        let mut reader = Reader::new(bytes.as_slice());
        for frame in frames {
            assert_eq!(reader.frame().await.unwrap(), frame);
        }
        assert!(reader.frame().await.is_err());
    }

    #[tokio::test]
    async fn headers_packed_with_the_dictionary_are_read() {
        let dictionary = dictionary();
        // Source: the specification's own length and Adler-32 of its dictionary.
        assert_eq!(dictionary.len(), 1423);
        let mut deflate = Compress::new(Compression::best(), true);
        assert_eq!(deflate.set_dictionary(&dictionary).unwrap(), 0xe3c6_a7c2);
        let mut writer = Writer { deflate };
        let mut bytes = Vec::new();
        for stream in [1, 3, 5] {
            bytes.extend(writer.bytes(&Frame::SynStream { stream, headers: headers(), fin: false }));
        }
        let mut reader = Reader::new(bytes.as_slice());
        for stream in [1, 3, 5] {
            let expected = Frame::SynStream { stream, headers: headers(), fin: false };
            assert_eq!(reader.frame().await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn what_is_no_spdy_is_refused() {
        for bytes in
            [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x80, 3, 0, 1, 0, 0, 0, 2, 1, 2], &[0x80, 3, 0, 1, 0, 0xff, 0, 0]]
        {
            assert!(Reader::new(bytes).frame().await.is_err());
        }
    }
}
