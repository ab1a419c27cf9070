//! What a tab has shown, so that a page that is loaded anew shows it again. Bounded; the oldest goes first.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// The most bytes that are kept.
const MOST_BYTES: usize = 192 * 1024;
/// A piece that grows beyond this is followed by another.
const PIECE_BYTES: usize = 8 * 1024;

/// What kind of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the reader typed, behind its prompt.
    Typed,
    /// Answers.
    Out,
    /// Messages.
    Err,
    /// What the terminal itself remarks.
    Note,
}

impl Kind {
    /// The name the page knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Typed => "typed",
            Kind::Out => "out",
            Kind::Err => "err",
            Kind::Note => "note",
        }
    }
}

/// Pieces of text in order.
#[derive(Debug, Default)]
pub struct Transcript {
    pieces: VecDeque<(Kind, String)>,
    bytes: usize,
}

impl Transcript {
    /// Adds text.
    pub fn add(&mut self, kind: Kind, text: &str) {
        self.bytes += text.len();
        match self.pieces.back_mut() {
            Some((last, piece)) if *last == kind && piece.len() < PIECE_BYTES => piece.push_str(text),
            _ => self.pieces.push_back((kind, text.to_owned())),
        }
        while self.bytes > MOST_BYTES && self.pieces.len() > 1 {
            self.bytes -= self.pieces.pop_front().map_or(0, |(_, text)| text.len());
        }
    }

    /// Whether the next piece begins a line.
    pub fn ends_a_line(&self) -> bool {
        self.pieces.back().is_none_or(|(_, text)| text.ends_with('\n'))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Transcript::default();
    }

    /// `[["typed", "~ $ ls\n"], …]`
    pub fn shown(&self) -> Value {
        self.pieces.iter().map(|(kind, text)| json!([kind.name(), text])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let mut transcript = Transcript::default();
        for number in 0..10_000 {
            transcript.add(Kind::Out, &format!("line {number} {}\n", "x".repeat(100)));
        }
        assert!(transcript.ends_a_line());
        transcript.add(Kind::Out, "no end");
        assert!(!transcript.ends_a_line());
        let shown = transcript.shown().to_string();
        assert!(
            shown.len() < MOST_BYTES + MOST_BYTES / 4 && shown.contains("line 9999 ") && !shown.contains("line 1 ")
        );
    }
}
