//! What a shell script is made of: the tree that `parse` makes and `run` walks.

use std::sync::{Arc, OnceLock};

/// Commands one after another.
pub type List = Vec<Item>;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `a && b || c`
    pub chain: Vec<(Joint, Pipeline)>,
    /// Ended by `&`: nobody waits for it.
    pub background: bool,
}

/// What decides whether a pipeline of a chain runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Joint {
    Always,
    IfTrue,
    IfFalse,
}

/// `a | b | c`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Begun by `!`.
    pub negated: bool,
    /// At least one.
    pub commands: Vec<Command>,
}

/// A command and where its streams lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What it does.
    pub body: Body,
    /// In order.
    pub redirects: Vec<Redirect>,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Body {
    Simple {
        assignments: Vec<(String, Word)>,
        words: Vec<Word>,
    },
    Group(List),
    Subshell(List),
    If {
        branches: Vec<(List, List)>,
        otherwise: List,
    },
    Loop {
        until: bool,
        condition: List,
        body: List,
    },
    /// Without words: over the script's own arguments.
    For {
        name: String,
        words: Option<Vec<Word>>,
        body: List,
    },
    Case {
        word: Word,
        arms: Vec<(Vec<Word>, List)>,
    },
    Function {
        name: String,
        body: Box<Command>,
    },
}

/// `2>file`, `<file`, `>&2`, `<<END`
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Redirect {
    pub stream: u32,
    pub to: Target,
}

/// Where a stream leads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Target {
    Read(Word),
    Write(Word),
    Append(Word),
    Same(Word),
    /// Its lines, once they were read.
    Here(Arc<OnceLock<Word>>),
}

/// A word, in the pieces it is expanded from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word(pub Vec<Part>);

/// A piece of a word; a quoted one is not split and has no patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Part {
    Text { text: String, quoted: bool },
    Parameter { name: String, change: Option<Change>, quoted: bool },
    Command { script: List, quoted: bool },
    Arithmetic { text: Word, quoted: bool },
}

/// `${NAME:-word}` and its like.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Change {
    /// `#`: how long it is.
    Length,
    /// `-`, `=`, `+`, `?`; `colon`: also when it is empty.
    Unset { how: char, colon: bool, word: Word },
    /// `#`, `##`, `%`, `%%`: without a pattern at one end.
    Trim { end: bool, longest: bool, pattern: Word },
}

impl Word {
    /// A word of plain text.
    pub fn plain(text: &str) -> Word {
        Word(vec![Part::Text { text: text.to_owned(), quoted: false }])
    }

    /// Its text, if it is nothing but unquoted text: keywords and names are.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Text { text, quoted: false }] => Some(text),
            _ => None,
        }
    }
}
