//! Reads shell text. Pure.
//!
//! In: text. Out: a tree, or what is wrong; a text that only needs more lines is told apart, so that a
//! prompt can ask for them. Source: POSIX.1-2017, Shell Command Language, section 2.10.

use std::sync::{Arc, OnceLock};

use super::syntax::{Body, Command, Item, Joint, List, Part, Pipeline, Redirect, Target, Word};
use super::word::expandable;

/// Why a text is no script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It ends too early.
    Incomplete,
    /// It is wrong here, in `sh`'s words.
    Syntax(String),
}

/// Parts in one another, at most: the stack is finite.
const MOST_DEPTH: usize = 100;
/// Words that end a list.
const CLOSERS: [&str; 9] = ["then", "else", "elif", "fi", "do", "done", "esac", "}", ")"];

/// Reads a whole script.
///
/// # Errors
/// What is wrong.
pub fn parse(text: &str) -> Result<List, Wrong> {
    let mut parser = Parser::new(text, 0);
    let list = parser.list(&[])?;
    match parser.peek() {
        None => Ok(list),
        Some(_) => Err(parser.unexpected()),
    }
}

/// A here-document whose lines have not come yet, and where they go.
pub(super) struct Here {
    end: String,
    literal: bool,
    tabs: bool,
    content: Arc<OnceLock<Word>>,
}

pub(super) struct Parser {
    pub(super) text: Vec<char>,
    pub(super) at: usize,
    pub(super) depth: usize,
    heres: Vec<Here>,
}

impl Parser {
    pub(super) fn new(text: &str, depth: usize) -> Parser {
        Parser { text: text.chars().collect(), at: 0, depth, heres: Vec::new() }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    pub(super) fn looking_at(&self, what: &str) -> bool {
        what.chars().enumerate().all(|(offset, c)| self.text.get(self.at + offset) == Some(&c))
    }

    pub(super) fn take(&mut self, what: &str) -> bool {
        let found = self.looking_at(what);
        if found {
            self.at += what.chars().count();
        }
        found
    }

    /// One part more inside others.
    pub(super) fn deeper(&mut self) -> Result<(), Wrong> {
        self.depth += 1;
        match self.depth > MOST_DEPTH {
            true => Err(Wrong::Syntax("syntax error: too deeply nested".to_owned())),
            false => Ok(()),
        }
    }

    pub(super) fn unexpected(&self) -> Wrong {
        let rest: String = self.text[self.at..].iter().take_while(|c| !c.is_whitespace()).collect();
        match (self.peek(), rest.is_empty()) {
            (None, _) => Wrong::Incomplete,
            (_, true) => Wrong::Syntax("syntax error: unexpected newline".to_owned()),
            _ => Wrong::Syntax(format!("syntax error: unexpected \"{rest}\"")),
        }
    }

    /// Skips blanks, line joins and a comment.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.text.get(self.at + 1) == Some(&'\n') => self.at += 2,
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    /// Skips line ends too; here-documents that wait are read after the first.
    fn lines(&mut self) -> Result<(), Wrong> {
        loop {
            self.blanks();
            if self.peek() != Some('\n') {
                return Ok(());
            }
            self.newline()?;
        }
    }

    fn newline(&mut self) -> Result<(), Wrong> {
        self.at += 1;
        for here in std::mem::take(&mut self.heres) {
            let content = self.here_document(&here)?;
            // Each is set here alone, once.
            let _ = here.content.set(content);
        }
        Ok(())
    }

    fn here_document(&mut self, here: &Here) -> Result<Word, Wrong> {
        let mut content = String::new();
        loop {
            if self.peek().is_none() {
                return Err(Wrong::Incomplete);
            }
            let mut line = String::new();
            while let Some(c) = self.peek() {
                self.at += 1;
                if c == '\n' {
                    break;
                }
                line.push(c);
            }
            let line = if here.tabs { line.trim_start_matches('\t') } else { &line };
            if line == here.end {
                break;
            }
            content.push_str(line);
            content.push('\n');
        }
        match here.literal {
            true => Ok(Word(vec![Part::Text { text: content, quoted: true }])),
            false => expandable(&content, self.depth),
        }
    }

    /// The keyword that comes next, if it is one of these; not taken.
    fn keyword<'k>(&self, words: &[&'k str]) -> Option<&'k str> {
        let ends = |c: Option<&char>| c.is_none_or(|c| c.is_whitespace() || ";&|()<>".contains(*c));
        let is_next = |word: &&&str| {
            self.looking_at(word) && (**word == ")" || ends(self.text.get(self.at + word.chars().count())))
        };
        words.iter().find(is_next).copied()
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), Wrong> {
        self.lines()?;
        if self.keyword(&[word]).is_none() {
            return Err(self.unexpected());
        }
        self.at += word.chars().count();
        Ok(())
    }

    /// Commands up to one of `ends`, which is not taken.
    pub(super) fn list(&mut self, ends: &[&str]) -> Result<List, Wrong> {
        self.deeper()?;
        let mut list = List::new();
        loop {
            self.lines()?;
            if self.peek().is_none() || self.keyword(ends).is_some() || self.looking_at(";;") {
                break;
            }
            if self.keyword(&CLOSERS).is_some() {
                return Err(self.unexpected());
            }
            let mut item = Item { chain: self.chain()?, background: false };
            self.blanks();
            if !self.looking_at(";;") {
                match self.peek() {
                    Some('&') => {
                        self.at += 1;
                        item.background = true;
                    }
                    Some(';') => self.at += 1,
                    Some('\n') | None => {}
                    Some(_) if self.keyword(ends).is_some() => {}
                    Some(_) => return Err(self.unexpected()),
                }
            }
            list.push(item);
        }
        self.depth -= 1;
        if self.peek().is_none() && (!ends.is_empty() || !self.heres.is_empty()) {
            return Err(Wrong::Incomplete);
        }
        Ok(list)
    }

    fn chain(&mut self) -> Result<Vec<(Joint, Pipeline)>, Wrong> {
        let mut chain = vec![(Joint::Always, self.pipeline()?)];
        loop {
            self.blanks();
            let joint = if self.take("&&") {
                Joint::IfTrue
            } else if self.take("||") {
                Joint::IfFalse
            } else {
                return Ok(chain);
            };
            self.lines()?;
            chain.push((joint, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, Wrong> {
        self.blanks();
        let negated = self.keyword(&["!"]).is_some();
        if negated {
            self.at += 1;
        }
        let mut commands = vec![self.command()?];
        loop {
            self.blanks();
            if self.looking_at("||") || !self.take("|") {
                return Ok(Pipeline { negated, commands });
            }
            self.lines()?;
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Result<Command, Wrong> {
        self.blanks();
        let body = match self.keyword(&["if", "while", "until", "for", "case", "{"]) {
            Some(word) => {
                self.at += word.len();
                match word {
                    "if" => self.condition()?,
                    "for" => self.for_loop()?,
                    "case" => self.case()?,
                    "{" => {
                        let list = self.list(&["}"])?;
                        self.expect("}")?;
                        Body::Group(list)
                    }
                    word => {
                        let condition = self.list(&["do"])?;
                        self.expect("do")?;
                        let body = self.list(&["done"])?;
                        self.expect("done")?;
                        Body::Loop { until: word == "until", condition, body }
                    }
                }
            }
            None if self.peek() == Some('(') => {
                self.at += 1;
                let list = self.list(&[")"])?;
                self.expect(")")?;
                Body::Subshell(list)
            }
            None => return self.simple(),
        };
        let mut redirects = Vec::new();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
        }
        Ok(Command { body, redirects })
    }

    fn condition(&mut self) -> Result<Body, Wrong> {
        let mut branches = Vec::new();
        loop {
            let condition = self.list(&["then"])?;
            self.expect("then")?;
            let body = self.list(&["elif", "else", "fi"])?;
            branches.push((condition, body));
            if self.keyword(&["elif"]).is_none() {
                break;
            }
            self.expect("elif")?;
        }
        let mut otherwise = List::new();
        if self.keyword(&["else"]).is_some() {
            self.expect("else")?;
            otherwise = self.list(&["fi"])?;
        }
        self.expect("fi")?;
        Ok(Body::If { branches, otherwise })
    }

    fn for_loop(&mut self) -> Result<Body, Wrong> {
        self.blanks();
        let name = self.name();
        if name.is_empty() {
            return Err(self.unexpected());
        }
        self.lines()?;
        let mut words = None;
        if self.keyword(&["in"]).is_some() {
            self.at += 2;
            let mut given = Vec::new();
            loop {
                self.blanks();
                match self.peek() {
                    None => return Err(Wrong::Incomplete),
                    Some('\n' | ';') => break,
                    Some(_) => given.push(self.word()?),
                }
            }
            words = Some(given);
        }
        self.blanks();
        self.take(";");
        self.expect("do")?;
        let body = self.list(&["done"])?;
        self.expect("done")?;
        Ok(Body::For { name, words, body })
    }

    fn case(&mut self) -> Result<Body, Wrong> {
        self.blanks();
        let word = self.word()?;
        self.expect("in")?;
        let mut arms = Vec::new();
        loop {
            self.lines()?;
            if self.keyword(&["esac"]).is_some() {
                self.at += 4;
                return Ok(Body::Case { word, arms });
            }
            self.take("(");
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                patterns.push(self.word()?);
                self.blanks();
                if !self.take("|") {
                    break;
                }
            }
            if !self.take(")") {
                return Err(self.unexpected());
            }
            let body = self.list(&["esac"])?;
            self.take(";;");
            arms.push((patterns, body));
        }
    }

    fn simple(&mut self) -> Result<Command, Wrong> {
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if self.peek().is_none_or(|c| c.is_whitespace() || ";&|()".contains(c)) {
                break;
            }
            let start = self.at;
            let name = self.name();
            if words.is_empty() && !name.is_empty() && self.take("=") {
                let value = if self.at_word_end() { Word::default() } else { self.word()? };
                assignments.push((name, value));
                continue;
            }
            self.at = start;
            words.push(self.word()?);
        }
        let only_word = words.len() == 1 && assignments.is_empty() && redirects.is_empty();
        if only_word && self.looking_at("(") {
            self.at += 1;
            self.blanks();
            let name = words[0].literal().map(str::to_owned);
            let Some(name) = name.filter(|_| self.take(")")) else { return Err(self.unexpected()) };
            self.lines()?;
            self.deeper()?;
            let body = Box::new(self.command()?);
            self.depth -= 1;
            return Ok(Command { body: Body::Function { name, body }, redirects: Vec::new() });
        }
        if words.is_empty() && assignments.is_empty() && redirects.is_empty() {
            return Err(self.unexpected());
        }
        Ok(Command { body: Body::Simple { assignments, words }, redirects })
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, Wrong> {
        self.blanks();
        let start = self.at;
        let mut number = String::new();
        while let Some(digit) = self.peek().filter(char::is_ascii_digit) {
            number.push(digit);
            self.at += 1;
        }
        let Some(direction) = self.peek().filter(|c| matches!(c, '<' | '>')) else {
            self.at = start;
            return Ok(None);
        };
        let default = if direction == '<' { 0 } else { 1 };
        let stream = number.parse().unwrap_or(default);
        let operators = ["<<-", "<<", "<&", "<", ">>", ">&", ">|", ">"];
        let operator = operators.into_iter().find(|operator| self.take(operator)).unwrap_or(">");
        self.blanks();
        if self.at_word_end() {
            return Err(self.unexpected());
        }
        if operator.starts_with("<<") {
            let word = self.word()?;
            let literal = word.0.iter().any(|part| matches!(part, Part::Text { quoted: true, .. }));
            let text = |part: &Part| match part {
                Part::Text { text, .. } => text.clone(),
                _ => String::new(),
            };
            let end = word.0.iter().map(text).collect();
            let content = Arc::new(OnceLock::new());
            self.heres.push(Here { end, literal, tabs: operator == "<<-", content: content.clone() });
            return Ok(Some(Redirect { stream, to: Target::Here(content) }));
        }
        let word = self.word()?;
        let to = match operator {
            "<" => Target::Read(word),
            ">>" => Target::Append(word),
            "<&" | ">&" => Target::Same(word),
            _ => Target::Write(word),
        };
        Ok(Some(Redirect { stream, to }))
    }

    pub(super) fn at_word_end(&self) -> bool {
        self.peek().is_none_or(|c| c.is_whitespace() || ";&|()<>".contains(c))
    }

    pub(super) fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            let fits = c == '_' || c.is_ascii_alphabetic() || c.is_ascii_digit() && !name.is_empty();
            if !fits {
                break;
            }
            name.push(c);
            self.at += 1;
        }
        name
    }
}
