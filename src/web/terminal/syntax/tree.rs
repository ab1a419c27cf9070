//! What a read line is: pipelines of commands, commands of words, words of pieces.

use std::sync::Arc;

/// Pipelines, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script(pub Vec<Step>);

/// A pipeline, and when it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// After what.
    pub when: When,
    /// `!` before it.
    pub negated: bool,
    /// The commands, each reading what the one before it writes.
    pub commands: Vec<Command>,
}

/// After what a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// `;` or a new line.
    Always,
    /// `&&`
    IfTrue,
    /// `||`
    IfFalse,
}

/// A command with its redirections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What runs.
    pub kind: Kind,
    /// Where its streams lead.
    pub redirects: Vec<Redirect>,
}

/// What a command is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `NAME=value … words`
    Simple { assignments: Vec<(String, Word)>, words: Vec<Word> },
    /// `for NAME in words; do body; done`
    For { name: String, words: Vec<Word>, body: Script },
    /// `while condition; do body; done`; `until` goes on while the condition fails.
    While { goes_on: bool, condition: Script, body: Script },
    /// `if condition; then yes; else no; fi`
    If { condition: Script, yes: Script, no: Script },
    /// `{ body; }` or `( body )`
    Group(Script),
}

/// Where a stream leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// `< file`
    From(Word),
    /// `<< END`: the text.
    Here(Word),
    /// `> file`, `2> file`
    Into { stream: Stream, file: Word, append: bool },
    /// `2>&1`
    ErrorsToOutput,
    /// `>&2`
    OutputToErrors,
}

/// One of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Answers.
    Out,
    /// Messages.
    Err,
}

/// A word, in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word(pub Vec<Piece>);

/// A piece of a word. What is not quoted is split at blanks, and its `*` names files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text { text: String, quoted: bool },
    /// `$NAME`, `${NAME}`, `$?`
    Variable { name: String, quoted: bool },
    /// `$(script)`
    Output { script: Arc<Script>, quoted: bool },
}

impl Word {
    /// The text, when it has no pieces that change and no quotes.
    pub(super) fn bare(&self) -> Option<&str> {
        match &self.0[..] {
            [Piece::Text { text, quoted: false }] => Some(text),
            _ => None,
        }
    }

    pub(super) fn push(&mut self, letter: char, quotes: bool) {
        match self.0.last_mut() {
            Some(Piece::Text { text, quoted }) if *quoted == quotes => text.push(letter),
            _ => self.0.push(Piece::Text { text: letter.to_string(), quoted: quotes }),
        }
    }
}
