//! The line discipline that a kernel's terminal would have: echo, erase, ^C, ^D, `\n` as `\r\n`.
//!
//! In: bytes as a client types them. Out: whole lines; bytes for its screen. What is typed while a command runs waits
//! for whoever reads next. Without a terminal both are plain pipes. A client that is gone is no error: what is printed
//! then is lost.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::container::Container;
use crate::clock::Clock;
use crate::kubelet::runtime::{LogLine, Stream};

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const ESCAPE: u8 = 0x1b;
/// A line that is longer is cut.
const MOST_LINE_BYTES: usize = 64 * 1024;

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// A line, without its end.
    Line(String),
    /// ^C.
    Interrupted,
    /// ^D, or the client is gone.
    End,
}

/// What a client types.
pub(super) struct Keyboard {
    input: Option<BufReader<DuplexStream>>,
    /// What was typed before anybody read it.
    ahead: VecDeque<u8>,
    terminal: bool,
}

impl Keyboard {
    pub(super) fn new(input: Option<DuplexStream>, terminal: bool) -> Self {
        Keyboard { input: input.map(BufReader::new), ahead: VecDeque::new(), terminal }
    }

    /// The bytes as they come.
    pub(super) fn raw(&mut self) -> Option<&mut BufReader<DuplexStream>> {
        self.input.as_mut()
    }

    async fn byte(&mut self) -> Option<u8> {
        if let Some(byte) = self.ahead.pop_front() {
            return Some(byte);
        }
        self.input.as_mut()?.read_u8().await.ok()
    }

    /// The next line; at a terminal it shows on the screen while it is typed.
    pub(super) async fn line(&mut self, screen: &mut Screen) -> Typed {
        let mut line = Vec::new();
        while let Some(byte) = self.byte().await {
            match byte {
                b'\n' if !self.terminal => return Typed::Line(String::from_utf8_lossy(&line).into_owned()),
                b'\r' | b'\n' if self.terminal => {
                    screen.raw("\n").await;
                    return Typed::Line(String::from_utf8_lossy(&line).into_owned());
                }
                INTERRUPT if self.terminal => {
                    screen.raw("^C\n").await;
                    return Typed::Interrupted;
                }
                END if self.terminal && line.is_empty() => {
                    return Typed::End;
                }
                0x7f | 0x08 if self.terminal => {
                    // A character of several bytes is erased as one.
                    while line.pop().is_some_and(|byte: u8| byte & 0xc0 == 0x80) {}
                    screen.raw("\u{8} \u{8}").await;
                }
                ESCAPE if self.terminal => self.skip_sequence().await,
                _ if line.len() < MOST_LINE_BYTES => {
                    line.push(byte);
                    if self.terminal {
                        screen.echo(&[byte]).await;
                    }
                }
                _ => {}
            }
        }
        match line.is_empty() {
            true => Typed::End,
            false => Typed::Line(String::from_utf8_lossy(&line).into_owned()),
        }
    }

    /// An arrow key and its like: `ESC [ … letter`.
    async fn skip_sequence(&mut self) {
        if self.byte().await == Some(b'[') {
            while self.byte().await.is_some_and(|byte| !byte.is_ascii_alphabetic() && byte != b'~') {}
        }
    }

    /// Waits for ^C; without a terminal there is none. What else is typed waits for the next line, but ^C takes it away,
    /// as at a kernel's terminal. May be dropped at any time: no byte is lost.
    pub(super) async fn interrupted(&mut self) {
        if let Some(input) = self.input.as_mut().filter(|_| self.terminal) {
            if self.ahead.contains(&INTERRUPT) {
                self.ahead.clear();
                return;
            }
            while let Ok(byte) = input.read_u8().await {
                if byte == INTERRUPT {
                    self.ahead.clear();
                    return;
                }
                if self.ahead.len() < MOST_LINE_BYTES {
                    self.ahead.push_back(byte);
                }
            }
        }
        std::future::pending().await
    }
}

/// What a client sees.
pub(super) struct Screen {
    stdout: Option<DuplexStream>,
    stderr: Option<DuplexStream>,
    terminal: bool,
    /// Whose log has what is printed here.
    log: Option<(Arc<Container>, Clock)>,
}

impl Screen {
    pub(super) fn new(stdout: Option<DuplexStream>, stderr: Option<DuplexStream>, terminal: bool) -> Self {
        Screen { stdout, stderr, terminal, log: None }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// A whole line.
    pub(super) async fn line(&mut self, stream: Stream, text: &str) {
        if let Some((container, clock)) = &self.log {
            container.print(LogLine { stream, ..LogLine::new(clock.now(), text) });
        }
        let line = format!("{text}\n");
        match stream {
            Stream::Stderr if !self.terminal => send(&mut self.stderr, line.as_bytes()).await,
            _ => self.raw(&line).await,
        }
    }

    /// Text as it is, with a terminal's line ends.
    pub(super) async fn raw(&mut self, text: &str) {
        let shown = if self.terminal { text.replace('\n', "\r\n") } else { text.to_owned() };
        send(&mut self.stdout, shown.as_bytes()).await;
    }

    async fn echo(&mut self, bytes: &[u8]) {
        send(&mut self.stdout, bytes).await;
    }

    /// Bytes that are no text.
    pub(super) async fn bytes(&mut self, bytes: &[u8]) {
        send(&mut self.stdout, bytes).await;
    }

    /// What is printed from now on is in the container's log too.
    pub(super) fn log_to(&mut self, container: Arc<Container>, clock: Clock) {
        self.log = Some((container, clock));
    }
}

/// A client that has left is not written to again.
async fn send(pipe: &mut Option<DuplexStream>, bytes: &[u8]) {
    if let Some(open) = pipe
        && open.write_all(bytes).await.is_err()
    {
        *pipe = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    #[tokio::test]
    async fn what_is_typed_while_a_command_runs_waits_for_the_next_line() {
        let (mut client, input) = duplex(1024);
        let mut keyboard = Keyboard::new(Some(input), true);
        let mut screen = Screen::new(None, None, true);
        client.write_all(b"exit\r").await.unwrap();
        tokio::select! {
            biased;
            () = keyboard.interrupted() => panic!("nobody pressed ^C"),
            () = tokio::task::yield_now() => {}
        }
        client.write_all(b"more\r").await.unwrap();
        assert_eq!(keyboard.line(&mut screen).await, Typed::Line("exit".into()));
        assert_eq!(keyboard.line(&mut screen).await, Typed::Line("more".into()));
        client.write_all(b"gone\r\x03").await.unwrap();
        keyboard.interrupted().await;
        client.write_all(b"new\r").await.unwrap();
        assert_eq!(keyboard.line(&mut screen).await, Typed::Line("new".into()));
    }

    #[tokio::test]
    async fn a_terminal_echoes_erases_and_ends() {
        let (mut client, input) = duplex(1024);
        let (output, mut shown) = duplex(1024);
        let mut keyboard = Keyboard::new(Some(input), true);
        let mut screen = Screen::new(Some(output), None, true);
        client.write_all(b"lx\x7fs\x1b[A\rab\x03\x04").await.unwrap();
        assert_eq!(keyboard.line(&mut screen).await, Typed::Line("ls".into()));
        assert_eq!(keyboard.line(&mut screen).await, Typed::Interrupted);
        assert_eq!(keyboard.line(&mut screen).await, Typed::End);
        drop(screen);
        let mut seen = String::new();
        shown.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen, "lx\u{8} \u{8}s\r\nab^C\r\n");
    }
}
