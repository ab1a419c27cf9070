//! How the terminal's text is read: words, quotes, pipes, redirections, heredocs, loops.
//!
//! In: what was typed. Out: a tree that `shell` runs, or [`Fault::Incomplete`] when a quote, a heredoc or a
//! loop is not closed yet. The part of `sh` that a learner's lines use; pure.
//!
//! One file because the rules of a grammar call each other: a word holds a script, a script holds words.

use std::sync::Arc;

/// Why a text is no script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// More lines must come.
    Incomplete,
    /// It makes no sense; why.
    Wrong(String),
}

type Parse<T> = Result<T, Fault>;

mod tree;

pub use tree::{Command, Kind, Piece, Redirect, Script, Step, Stream, When, Word};

/// Reads a script.
///
/// # Errors
/// When it is not complete, or makes no sense.
pub fn parse(text: &str) -> Parse<Script> {
    let mut reader = Reader { rest: text, bodies: Vec::new(), depth: 0 };
    let script = reader.script(&[])?;
    reader.space();
    if reader.rest.is_empty() { Ok(script) } else { Err(reader.unexpected()) }
}

/// Words that only end or divide a loop or a condition.
const RESERVED: [&str; 7] = ["do", "done", "then", "elif", "else", "fi", "}"];

/// How deep loops and `$(…)` may nest.
const DEEPEST: usize = 24;

struct Reader<'t> {
    rest: &'t str,
    /// Heredocs whose text begins at the next line: the end word, and whether `$` is text.
    bodies: Vec<(String, bool)>,
    depth: usize,
}

/// A heredoc's place, until its text is read.
const PENDING: &str = "\u{0}heredoc";

impl<'t> Reader<'t> {
    fn unexpected(&self) -> Fault {
        let word: String = self.rest.chars().take_while(|letter| !letter.is_whitespace()).take(20).collect();
        Fault::Wrong(format!("unexpected {word:?}"))
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest.strip_prefix(text);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(letter)
    }

    /// Blanks, comments, and lines that go on behind a backslash.
    fn space(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t']);
            if self.take("\\\n") {
                continue;
            }
            if self.rest.starts_with('#') {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
            }
            return;
        }
    }

    /// Up to one of the `ends`, which is left to be read.
    fn script(&mut self, ends: &[&str]) -> Parse<Script> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Fault::Wrong("it nests too deep".into()));
        }
        let mut script = Script::default();
        let mut when = When::Always;
        loop {
            self.blank_lines(&mut script)?;
            if self.rest.is_empty() || ends.iter().any(|end| self.is_word(end)) {
                break;
            }
            let negated = self.is_word("!") && self.take("!");
            let commands = self.pipeline()?;
            script.0.push(Step { when, negated, commands });
            self.space();
            when = if self.take("&&") {
                When::IfTrue
            } else if self.take("||") {
                When::IfFalse
            } else if self.rest.starts_with(";;") || (self.rest.starts_with('&') && !self.rest.starts_with("&&")) {
                let why = "a command cannot go on in the background here; open another tab";
                return Err(if self.rest.starts_with('&') { Fault::Wrong(why.into()) } else { self.unexpected() });
            } else if self.rest.starts_with([';', '\n']) {
                When::Always
            } else if self.rest.is_empty() || ends.iter().any(|end| self.is_word(end)) {
                break;
            } else {
                return Err(self.unexpected());
            };
            if when != When::Always {
                self.blank_lines(&mut script)?;
                if self.rest.is_empty() {
                    return Err(Fault::Incomplete);
                }
            }
        }
        if !self.bodies.is_empty() {
            return Err(Fault::Incomplete);
        }
        self.depth -= 1;
        Ok(script)
    }

    /// Ends of lines and `;`. Behind the end of a line stand the heredocs that it began.
    fn blank_lines(&mut self, script: &mut Script) -> Parse<()> {
        loop {
            self.space();
            if self.take("\n") {
                for (end, literal) in std::mem::take(&mut self.bodies) {
                    let body = self.body(&end, literal)?;
                    fill(script, &mut Some(body));
                }
            } else if !self.take(";") {
                return Ok(());
            }
        }
    }

    fn body(&mut self, end: &str, literal: bool) -> Parse<Word> {
        let strips = end.starts_with('\t');
        let end = end.trim_start_matches('\t');
        let mut text = String::new();
        loop {
            if self.rest.is_empty() {
                return Err(Fault::Incomplete);
            }
            let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
            self.rest = rest;
            let line = if strips { line.trim_start_matches('\t') } else { line };
            if line == end {
                break;
            }
            text.push_str(line);
            text.push('\n');
        }
        if literal {
            return Ok(Word(vec![Piece::Text { text, quoted: true }]));
        }
        let mut inside = Reader { rest: &text, bodies: Vec::new(), depth: self.depth };
        let mut word = Word::default();
        while let Some(letter) = inside.next() {
            match letter {
                '$' => inside.dollar(&mut word, true)?,
                '\\' if inside.rest.starts_with(['$', '\\', '`']) => word.push(inside.next().unwrap_or('\\'), true),
                letter => word.push(letter, true),
            }
        }
        Ok(word)
    }

    /// Whether this word stands next, with an end behind it.
    fn is_word(&self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word);
        rest.is_some_and(|rest| {
            word == ")" || rest.is_empty() || rest.starts_with([' ', '\t', '\n', ';', '|', '&', ')'])
        })
    }

    fn expect(&mut self, word: &str) -> Parse<()> {
        self.space();
        if self.rest.is_empty() {
            return Err(Fault::Incomplete);
        }
        if self.is_word(word) && self.take(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn pipeline(&mut self) -> Parse<Vec<Command>> {
        let mut commands = vec![self.command()?];
        loop {
            self.space();
            if self.rest.starts_with("||") || !self.take("|") {
                return Ok(commands);
            }
            if self.take("&")
                && let Some(last) = commands.last_mut()
            {
                last.redirects.push(Redirect::ErrorsToOutput);
            }
            self.space();
            while self.take("\n") {
                self.space();
            }
            if self.rest.is_empty() {
                return Err(Fault::Incomplete);
            }
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Parse<Command> {
        self.space();
        let kind = if self.is_word("for") && self.take("for") {
            self.each()?
        } else if self.is_word("while") && self.take("while") {
            self.repeat(true)?
        } else if self.is_word("until") && self.take("until") {
            self.repeat(false)?
        } else if self.is_word("if") && self.take("if") {
            self.condition()?
        } else if self.is_word("{") && self.take("{") {
            let body = self.script(&["}"])?;
            self.expect("}")?;
            Kind::Group(body)
        } else if self.take("(") {
            let body = self.script(&[")"])?;
            self.expect(")")?;
            Kind::Group(body)
        } else if RESERVED.iter().any(|word| self.is_word(word)) {
            return Err(self.unexpected());
        } else {
            return self.simple();
        };
        let mut redirects = Vec::new();
        self.space();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
            self.space();
        }
        Ok(Command { kind, redirects })
    }

    fn each(&mut self) -> Parse<Kind> {
        self.space();
        let name = self.word()?.bare().map(str::to_owned).ok_or_else(|| self.unexpected())?;
        self.expect("in")?;
        let mut words = Vec::new();
        self.space();
        while !self.rest.is_empty() && !self.rest.starts_with([';', '\n']) {
            words.push(self.word()?);
            self.space();
        }
        self.blank_lines(&mut Script::default())?;
        self.expect("do")?;
        let body = self.script(&["done"])?;
        self.expect("done")?;
        Ok(Kind::For { name, words, body })
    }

    fn repeat(&mut self, goes_on: bool) -> Parse<Kind> {
        let condition = self.script(&["do"])?;
        self.expect("do")?;
        let body = self.script(&["done"])?;
        self.expect("done")?;
        Ok(Kind::While { goes_on, condition, body })
    }

    fn condition(&mut self) -> Parse<Kind> {
        let condition = self.script(&["then"])?;
        self.expect("then")?;
        let yes = self.script(&["elif", "else", "fi"])?;
        self.space();
        let no = if self.is_word("elif") && self.take("elif") {
            let nested = Command { kind: self.condition()?, redirects: Vec::new() };
            return Ok(Kind::If {
                condition,
                yes,
                no: Script(vec![Step { when: When::Always, negated: false, commands: vec![nested] }]),
            });
        } else if self.is_word("else") && self.take("else") {
            self.script(&["fi"])?
        } else {
            Script::default()
        };
        self.expect("fi")?;
        Ok(Kind::If { condition, yes, no })
    }

    fn simple(&mut self) -> Parse<Command> {
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.space();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if self.rest.is_empty() || self.rest.starts_with(['\n', ';', '|', '&', ')']) {
                break;
            }
            if self.rest.starts_with('(') {
                return Err(self.unexpected());
            }
            if words.is_empty()
                && let Some(name) = self.assigned()
            {
                let value = if self.rest.starts_with([' ', '\t', '\n', ';', '|', '&', ')']) || self.rest.is_empty() {
                    Word::default()
                } else {
                    self.word()?
                };
                assignments.push((name, value));
                continue;
            }
            words.push(self.word()?);
        }
        if assignments.is_empty() && words.is_empty() && redirects.is_empty() {
            return Err(self.unexpected());
        }
        Ok(Command { kind: Kind::Simple { assignments, words }, redirects })
    }

    /// `NAME=`
    fn assigned(&mut self) -> Option<String> {
        let (name, rest) = self.rest.split_once('=')?;
        let is_name = is_name(name);
        if is_name {
            self.rest = rest;
        }
        is_name.then(|| name.to_owned())
    }

    fn redirect(&mut self) -> Parse<Option<Redirect>> {
        let into = |stream, append| (stream, append);
        let (stream, append) = if self.take("2>&1") {
            return Ok(Some(Redirect::ErrorsToOutput));
        } else if self.take(">&2") || self.take("1>&2") {
            return Ok(Some(Redirect::OutputToErrors));
        } else if self.take("<<<") {
            self.space();
            let mut word = self.word()?;
            word.push('\n', true);
            return Ok(Some(Redirect::Here(word)));
        } else if self.take("<<") {
            let strips = self.take("-");
            self.space();
            let end = self.word()?;
            let literal = end.0.iter().any(|piece| matches!(piece, Piece::Text { quoted: true, .. }));
            let text = |piece: &Piece| match piece {
                Piece::Text { text, .. } => text.clone(),
                _ => String::new(),
            };
            let end: String = end.0.iter().map(text).collect();
            self.bodies.push((format!("{}{end}", if strips { "\t" } else { "" }), literal));
            return Ok(Some(Redirect::Here(Word(vec![Piece::Text { text: PENDING.into(), quoted: true }]))));
        } else if self.take("<") {
            self.space();
            return Ok(Some(Redirect::From(self.word()?)));
        } else if self.take("2>>") {
            into(Stream::Err, true)
        } else if self.take("2>") {
            into(Stream::Err, false)
        } else if self.take(">>") || self.take("1>>") {
            into(Stream::Out, true)
        } else if self.take(">") || self.take("1>") {
            into(Stream::Out, false)
        } else {
            return Ok(None);
        };
        self.space();
        if self.rest.is_empty() {
            return Err(Fault::Wrong("a file's name is missing behind >".into()));
        }
        Ok(Some(Redirect::Into { stream, file: self.word()?, append }))
    }

    fn word(&mut self) -> Parse<Word> {
        let mut word = Word::default();
        let before = self.rest;
        loop {
            if self.rest.is_empty() || self.rest.starts_with([' ', '\t', '\n', ';', '|', '&', '<', '>', '(', ')']) {
                break;
            }
            match self.next().unwrap_or(' ') {
                '\'' => {
                    let (inside, rest) = self.rest.split_once('\'').ok_or(Fault::Incomplete)?;
                    self.rest = rest;
                    word.0.push(Piece::Text { text: inside.to_owned(), quoted: true });
                }
                '"' => self.quoted(&mut word)?,
                '$' => self.dollar(&mut word, false)?,
                '`' => return Err(Fault::Wrong("write $(command) in place of `command`".into())),
                '\\' => match self.next() {
                    None => return Err(Fault::Incomplete),
                    Some('\n') => {}
                    Some(letter) => word.push(letter, true),
                },
                letter => word.push(letter, false),
            }
        }
        if self.rest.len() == before.len() { Err(self.unexpected()) } else { Ok(word) }
    }

    fn quoted(&mut self, word: &mut Word) -> Parse<()> {
        word.0.push(Piece::Text { text: String::new(), quoted: true });
        loop {
            match self.next().ok_or(Fault::Incomplete)? {
                '"' => return Ok(()),
                '$' => self.dollar(word, true)?,
                '\\' => match self.next().ok_or(Fault::Incomplete)? {
                    '\n' => {}
                    letter @ ('"' | '$' | '\\' | '`') => word.push(letter, true),
                    letter => {
                        word.push('\\', true);
                        word.push(letter, true);
                    }
                },
                letter => word.push(letter, true),
            }
        }
    }

    /// What stands behind a `$`.
    fn dollar(&mut self, word: &mut Word, quoted: bool) -> Parse<()> {
        if self.take("(") {
            let mut inside = Reader { rest: self.rest, bodies: Vec::new(), depth: self.depth };
            let script = inside.script(&[")"])?;
            if !inside.take(")") {
                return Err(if inside.rest.is_empty() { Fault::Incomplete } else { inside.unexpected() });
            }
            self.rest = inside.rest;
            word.0.push(Piece::Output { script: Arc::new(script), quoted });
        } else if self.take("{") {
            let (name, rest) = self.rest.split_once('}').ok_or(Fault::Incomplete)?;
            if !is_name(name) && name != "?" {
                return Err(Fault::Wrong(format!("${{{name}}} is more than this shell knows; it knows ${{NAME}}")));
            }
            self.rest = rest;
            word.0.push(Piece::Variable { name: name.to_owned(), quoted });
        } else if self.take("?") {
            word.0.push(Piece::Variable { name: "?".into(), quoted });
        } else {
            let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
            match &self.rest[..end] {
                name if is_name(name) => {
                    word.0.push(Piece::Variable { name: name.to_owned(), quoted });
                    self.rest = &self.rest[end..];
                }
                _ => word.push('$', quoted),
            }
        }
        Ok(())
    }
}

/// Whether a word can name a variable.
pub fn is_name(word: &str) -> bool {
    !word.is_empty()
        && !word.starts_with(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Puts a heredoc's text in the first place that waits for one.
fn fill(script: &mut Script, body: &mut Option<Word>) {
    for command in script.0.iter_mut().flat_map(|step| &mut step.commands) {
        for redirect in &mut command.redirects {
            if let Redirect::Here(word) = redirect
                && matches!(&word.0[..], [Piece::Text { text, .. }] if text == PENDING)
                && let Some(body) = body.take()
            {
                *word = body;
                return;
            }
        }
        match &mut command.kind {
            Kind::Simple { .. } => {}
            Kind::For { body: inner, .. } | Kind::Group(inner) => fill(inner, body),
            Kind::While { condition, body: inner, .. } => {
                fill(condition, body);
                fill(inner, body);
            }
            Kind::If { condition, yes, no } => [condition, yes, no].into_iter().for_each(|inner| fill(inner, body)),
        }
    }
}

#[cfg(test)]
#[path = "syntax_tests.rs"]
mod tests;
