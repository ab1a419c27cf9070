//! What is wrong at a line of a Dockerfile.
//!
//! A [`Fault`] knows its line; the builder adds the file's name and makes it the reader's error.

use std::fmt;

use crate::error::Error;

/// A mistake at a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    line: usize,
    what: String,
    why: String,
    hints: Vec<String>,
}

impl Fault {
    /// What is wrong at a line, and why.
    pub fn new(line: usize, what: impl Into<String>, why: impl Into<String>) -> Fault {
        Fault { line, what: what.into(), why: why.into(), hints: Vec::new() }
    }

    /// Adds something to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hints.push(hint.into());
        self
    }

    /// An error from below, at this line.
    pub fn from_error(line: usize, error: Error) -> Fault {
        Fault { line, what: error.what, why: error.why, hints: error.hints }
    }

    /// The same, at another line.
    #[must_use]
    pub fn at(self, line: usize) -> Fault {
        Fault { line, ..self }
    }

    /// For the reader: `Dockerfile:3: …`.
    pub fn in_file(self, file: &str) -> Error {
        let error = Error::new(format!("{file}:{}: {}", self.line, self.what), self.why);
        self.hints.into_iter().fold(error, Error::hint)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.what, self.why)
    }
}
