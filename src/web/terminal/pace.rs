//! How much a page is sent before it says what it has drawn.
//!
//! In: messages for a page, and the numbers of those it has drawn. Out: whether it takes more. What counts is
//! bytes, so that a program that writes line by line is as fast as one that writes much at once; a message
//! costs [`LEAST_BYTES`] at least, so that the channel to the page always has room for what is not counted.

use std::collections::VecDeque;

use serde_json::Value;
use tokio::sync::mpsc;

/// What a page may not have drawn yet.
const WINDOW_BYTES: usize = 64 * 1024;
/// What a message costs at least.
const LEAST_BYTES: usize = 4 * 1024;

/// The page that shows a tab.
pub struct Page {
    number: u64,
    sender: mpsc::Sender<String>,
    pace: Pace,
}

impl Page {
    /// A page that was sent nothing yet.
    pub fn new(number: u64, sender: mpsc::Sender<String>) -> Page {
        Page { number, sender, pace: Pace::default() }
    }

    /// Whether it is the page of this number.
    pub fn is(&self, number: u64) -> bool {
        self.number == number
    }

    /// A way to it for answers that come later.
    pub fn sender(&self) -> mpsc::Sender<String> {
        self.sender.clone()
    }

    /// Whether it takes more text.
    pub fn takes_more(&self) -> bool {
        self.pace.bytes < WINDOW_BYTES
    }

    /// It has drawn everything up to this message.
    pub fn has_drawn(&mut self, number: u64) {
        self.pace.drawn(number);
    }

    /// Sends a message; false when the page takes none any more, so it has gone.
    pub fn tell(&self, message: &Value) -> bool {
        self.sender.try_send(message.to_string()).is_ok()
    }

    /// Sends a message that the page confirms once it has drawn it.
    pub fn count(&mut self, mut message: Value) -> bool {
        message["n"] = (self.pace.sent + 1).into();
        let text = message.to_string();
        self.pace.send(text.len());
        self.sender.try_send(text).is_ok()
    }
}

#[derive(Default)]
struct Pace {
    /// Messages, ever.
    sent: u64,
    /// Those that are not drawn: their numbers and what they cost.
    open: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Pace {
    fn send(&mut self, bytes: usize) {
        self.sent += 1;
        let cost = bytes.max(LEAST_BYTES);
        self.open.push_back((self.sent, cost));
        self.bytes += cost;
    }

    fn drawn(&mut self, number: u64) {
        while let Some((sent, cost)) = self.open.front().copied().filter(|(sent, _)| *sent <= number) {
            debug_assert!(sent <= self.sent);
            self.open.pop_front();
            self.bytes -= cost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn a_page_takes_so_many_bytes_and_more_once_they_are_drawn() {
        let (sender, mut received) = mpsc::channel(64);
        let mut page = Page::new(1, sender);
        let mut sent = 0;
        while page.takes_more() {
            assert!(page.count(json!({"text": ["out", "x\n"]})));
            sent += 1;
        }
        assert_eq!(sent, WINDOW_BYTES / LEAST_BYTES, "small messages leave the channel room");
        page.has_drawn(3);
        assert!(page.takes_more());
        page.has_drawn(u64::MAX);
        let long = "x".repeat(WINDOW_BYTES);
        assert!(page.takes_more() && page.count(json!({"text": ["out", long]})) && !page.takes_more());
        let first: Value = serde_json::from_str(&received.recv().await.unwrap()).unwrap();
        assert_eq!(first["n"], 1);
    }
}
