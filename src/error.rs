//! The error that a learner reads: what happened, why, and what to do about it.
//!
//! Errors inside the control plane are Kubernetes' own (`api::status::Status`). This one is for
//! everything around it: a port that is taken, a state folder that cannot be read, an exercise
//! that does not exist. It is built where the knowledge is and printed by `cli/` alone. Hints are
//! data, so the page can show the same ones.

use std::fmt;

/// The result of anything that can fail in front of a learner.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What happened, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// One clause, lower case, no full stop: `port 6443 is taken`.
    pub what: String,
    /// The reason, where it is known; may be empty.
    pub why: String,
    /// What the reader can do, most likely first; each a sentence or a command.
    pub hints: Vec<String>,
}

impl Error {
    /// An error with its reason (empty when there is none to give).
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Error { what: what.into(), why: why.into(), hints: Vec::new() }
    }

    /// Adds something the reader can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
