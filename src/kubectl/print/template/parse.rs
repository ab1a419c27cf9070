//! Reads the text of a Go template.

use std::collections::HashMap;

use serde_json::Value;

use super::super::super::failure::quote;
use super::functions;
use super::lex::{self, Kind, Token};
use super::{Body, Command, Done, Node, Pipeline, Place, Term, Word};

/// Which action holds a pipeline, and what ends it.
const PARENTHESIZED: &str = "parenthesized pipeline";

/// The nodes of a template and those it defines.
///
/// # Errors
/// `1: unexpected EOF`: the line and what is wrong.
pub(super) fn parse(text: &str) -> Done<(Body, HashMap<String, Body>)> {
    let mut reader = Reader {
        text,
        tokens: lex::tokens(text),
        at: 0,
        farthest: 0,
        action_line: 0,
        variables: vec!["$".into()],
        ranges: 0,
        defined: HashMap::new(),
    };
    let nodes = reader.whole()?;
    Ok((nodes, reader.defined))
}

/// What a text or an action is.
enum Item {
    Node(Node),
    /// `{{end}}` or `{{else}}`
    Ending(&'static str),
}

struct Reader<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    /// The last token that was looked at: its line is told.
    farthest: usize,
    /// Where the action begins that is read; zero outside.
    action_line: usize,
    variables: Vec<String>,
    /// How many ranges are open.
    ranges: usize,
    defined: HashMap<String, Body>,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
    }

    fn fault<T>(&self, words: impl AsRef<str>) -> Done<T> {
        let last = self.tokens.get(self.farthest).map_or(self.text.len(), |token| token.at);
        Err(format!("{}: {}", self.line(last), words.as_ref()))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Done<T> {
        if token.kind != Kind::Error {
            return self.fault(format!("unexpected {} in {context}", token.shown()));
        }
        let mut words = token.text.clone();
        if self.action_line != 0 && self.action_line != self.line(token.at) {
            let action = if words.ends_with(" action") { "" } else { " in action" };
            words.push_str(&format!("{action} started at output:{}", self.action_line));
        }
        self.fault(words)
    }

    fn peek(&mut self) -> Token {
        self.farthest = self.farthest.max(self.at);
        let end = || Token { kind: Kind::End, text: String::new(), at: self.text.len() };
        self.tokens.get(self.at).cloned().unwrap_or_else(end)
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn peek_word(&mut self) -> Token {
        while self.peek().kind == Kind::Space {
            self.at += 1;
        }
        self.peek()
    }

    fn next_word(&mut self) -> Token {
        self.peek_word();
        self.next()
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Done<Token> {
        let token = self.next_word();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    fn whole(&mut self) -> Done<Body> {
        let mut nodes = Vec::new();
        loop {
            match self.peek().kind {
                Kind::End => return Ok(nodes),
                Kind::LeftDelimiter => {
                    let begun = self.at;
                    self.next();
                    let word = self.next_word();
                    if word.kind == Kind::Keyword && word.text == "define" {
                        self.definition()?;
                        continue;
                    }
                    self.at = begun;
                }
                _ => {}
            }
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::Ending(ending) => return self.fault(format!("unexpected {ending}")),
            }
        }
    }

    fn definition(&mut self) -> Done<()> {
        let context = "define clause";
        let token = self.next_word();
        let name = self.name(&token, context)?;
        self.expect(Kind::RightDelimiter, context)?;
        self.apart(name, context)
    }

    /// A body of its own, up to its end.
    fn apart(&mut self, name: String, context: &str) -> Done<()> {
        let outer = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (body, ending) = self.list()?;
        (self.variables, self.ranges) = (outer, ranges);
        if ending != "{{end}}" {
            return self.fault(format!("unexpected {ending} in {context}"));
        }
        let says = |body: &Body| body.iter().any(|node| !matches!(node, Node::Text(text) if text.trim().is_empty()));
        match self.defined.get(&name) {
            Some(before) if says(before) && says(&body) => {
                self.fault(format!("template: multiple definition of template {}", quote(&name)))
            }
            Some(before) if says(before) => Ok(()),
            _ => {
                self.defined.insert(name, body);
                Ok(())
            }
        }
    }

    fn name(&mut self, token: &Token, context: &str) -> Done<String> {
        if token.kind != Kind::Quoted {
            return self.unexpected(token, context);
        }
        self.unquoted(&token.text)
    }

    fn unquoted(&self, text: &str) -> Done<String> {
        lex::unquote(text).map_or_else(|| self.fault("invalid syntax"), Ok)
    }

    /// Nodes up to an `end` or `else`.
    fn list(&mut self) -> Done<(Body, &'static str)> {
        let mut nodes = Vec::new();
        while self.peek_word().kind != Kind::End {
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::Ending(ending) => return Ok((nodes, ending)),
            }
        }
        self.fault("unexpected EOF")
    }

    fn item(&mut self) -> Done<Item> {
        let token = self.next_word();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text))),
            Kind::LeftDelimiter => {
                self.action_line = self.line(token.at);
                let item = self.action();
                self.action_line = 0;
                item
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Done<Item> {
        let token = self.peek_word();
        if token.kind != Kind::Keyword || token.text == "define" {
            return Ok(Item::Node(Node::Print(self.pipeline("command", Kind::RightDelimiter)?)));
        }
        self.next();
        let node = match token.text.as_str() {
            "end" => {
                self.expect(Kind::RightDelimiter, "end")?;
                return Ok(Item::Ending("{{end}}"));
            }
            "else" => {
                let word = self.peek_word();
                if word.kind != Kind::Keyword || !matches!(word.text.as_str(), "if" | "with") {
                    self.expect(Kind::RightDelimiter, "else")?;
                }
                return Ok(Item::Ending("{{else}}"));
            }
            word @ ("break" | "continue") => {
                let shown = format!("{{{{{word}}}}}");
                self.expect(Kind::RightDelimiter, &shown)?;
                if self.ranges == 0 {
                    return self.fault(format!("{shown} outside {{{{range}}}}"));
                }
                if word == "break" { Node::Break } else { Node::Continue }
            }
            "block" => self.called("block clause")?,
            "template" => self.called("template clause")?,
            word => self.control(word)?,
        };
        Ok(Item::Node(node))
    }

    /// `{{template "name" pipeline}}`, or a block, which defines it where it calls it.
    fn called(&mut self, context: &str) -> Done<Node> {
        let token = self.next_word();
        let name = self.name(&token, context)?;
        let block = context == "block clause";
        let argument = if !block && self.peek_word().kind == Kind::RightDelimiter {
            self.next();
            None
        } else {
            Some(self.pipeline(context, Kind::RightDelimiter)?)
        };
        if block {
            self.apart(name.clone(), context)?;
        }
        let with = argument.as_ref().map_or_else(String::new, |argument| format!(" {}", argument.place.text));
        let text = format!("{{{{template {}{with}}}}}", quote(&name));
        Ok(Node::Call(Place { at: token.at, text }, name, argument))
    }

    /// `if`, `with` and `range`, with all that belongs to them.
    fn control(&mut self, word: &str) -> Done<Node> {
        let known = self.variables.len();
        let pipeline = self.pipeline(word, Kind::RightDelimiter)?;
        self.ranges += usize::from(word == "range");
        let (body, ending) = self.list()?;
        self.ranges -= usize::from(word == "range");
        let mut otherwise = Vec::new();
        if ending == "{{else}}" {
            let next = self.peek();
            if next.kind == Kind::Keyword && next.text == word && word != "range" {
                // What follows an `else` ends with the same `end`.
                self.next();
                otherwise = vec![self.control(word)?];
            } else {
                let (body, ending) = self.list()?;
                if ending != "{{end}}" {
                    return self.fault(format!("expected end; found {ending}"));
                }
                otherwise = body;
            }
        }
        self.variables.truncate(known);
        Ok(match word {
            "if" => Node::If(pipeline, body, otherwise),
            "with" => Node::With(pipeline, body, otherwise),
            _ => Node::Range(pipeline, body, otherwise),
        })
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Done<Pipeline> {
        let at = self.peek_word().at;
        let (variables, assigns) = self.declared(context)?;
        let mut commands = Vec::new();
        loop {
            let token = self.peek_word();
            if token.kind == end {
                self.next();
                break;
            }
            if !begins_operand(token.kind) {
                self.next();
                return self.unexpected(&token, context);
            }
            commands.push(self.command()?);
        }
        if commands.is_empty() {
            return self.fault(format!("missing value for {context}"));
        }
        let plain = |command: &Command| {
            let first = command.words.first().map(|word| &word.term);
            matches!(first, Some(Term::Literal(_) | Term::Dot | Term::Nil))
        };
        if let Some(at) = commands.iter().skip(1).position(plain) {
            return self.fault(format!("non executable command in pipeline stage {}", at + 2));
        }
        let mut text = variables.join(", ");
        if !variables.is_empty() {
            text.push_str(if assigns { " = " } else { " := " });
        }
        text.push_str(&commands.iter().map(|one| one.place.text.as_str()).collect::<Vec<_>>().join(" | "));
        Ok(Pipeline { place: Place { at, text }, variables, assigns, commands })
    }

    /// The variables before `:=` or `=`, and whether it is `=`.
    fn declared(&mut self, context: &str) -> Done<(Vec<String>, bool)> {
        let mut variables = Vec::new();
        loop {
            let variable = self.peek_word();
            if variable.kind != Kind::Variable {
                return Ok((variables, false));
            }
            let begun = self.at;
            self.next();
            let sign = self.peek_word();
            match sign.kind {
                Kind::Assign | Kind::Declare => {
                    self.next();
                    self.variables.push(variable.text.clone());
                    variables.push(variable.text);
                    return Ok((variables, sign.kind == Kind::Assign));
                }
                Kind::Sign if sign.text == "," => {
                    self.next();
                    self.variables.push(variable.text.clone());
                    variables.push(variable.text);
                    if context != "range" || variables.len() >= 2 {
                        return self.fault(format!("too many declarations in {context}"));
                    }
                    if !matches!(self.peek_word().kind, Kind::Variable | Kind::RightDelimiter | Kind::RightParen) {
                        return self.fault("range can only initialize variables");
                    }
                }
                _ => {
                    self.at = begun;
                    return Ok((variables, false));
                }
            }
        }
    }

    fn command(&mut self) -> Done<Command> {
        let at = self.peek_word().at;
        let mut words = Vec::new();
        loop {
            self.peek_word();
            if let Some(word) = self.operand()? {
                words.push(word);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelimiter | Kind::RightParen => {
                    self.at -= 1;
                    break;
                }
                Kind::Pipe => break,
                _ => return self.unexpected(&token, "operand"),
            }
        }
        if words.is_empty() {
            return self.fault("empty command");
        }
        let text = words.iter().map(Word::shown).collect::<Vec<_>>().join(" ");
        Ok(Command { place: Place { at, text }, words })
    }

    /// A term and the fields behind it.
    fn operand(&mut self) -> Done<Option<Word>> {
        let Some(mut word) = self.term()? else { return Ok(None) };
        let at = self.peek().at;
        let mut more = Vec::new();
        while self.peek().kind == Kind::Field {
            more.push(self.next().text[1..].to_owned());
        }
        if more.is_empty() {
            return Ok(Some(word));
        }
        let text = format!("{}.{}", word.shown(), more.join("."));
        match &mut word.term {
            Term::Field(path) | Term::Variable(_, path) => path.extend(more),
            Term::Literal(_) | Term::Nil | Term::Dot => {
                return self.fault(format!("unexpected . after term {}", quote(&word.place.text)));
            }
            _ => {
                let inner = Box::new(word);
                return Ok(Some(Word { place: Place { at, text }, term: Term::Chain(inner, more) }));
            }
        }
        word.place = Place { at, text };
        Ok(Some(word))
    }

    fn term(&mut self) -> Done<Option<Word>> {
        let token = self.peek_word();
        if !begins_operand(token.kind) {
            return Ok(None);
        }
        self.next();
        let term = match token.kind {
            Kind::Identifier if functions::taken_by(&token.text).is_none() => {
                return self.fault(format!("function {} not defined", quote(&token.text)));
            }
            Kind::Identifier => Term::Function(token.text.clone()),
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Variable => {
                if !self.variables.contains(&token.text) {
                    return self.fault(format!("undefined variable {}", quote(&token.text)));
                }
                Term::Variable(token.text.clone(), Vec::new())
            }
            Kind::Field => Term::Field(vec![token.text[1..].to_owned()]),
            Kind::Bool => Term::Literal(Value::from(token.text == "true")),
            Kind::Number => match lex::number(&token.text) {
                Some(number) => Term::Literal(number),
                None => {
                    let digits = token.text.trim_start_matches(['+', '-']);
                    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                    let why = if whole { "integer overflow" } else { "illegal number syntax" };
                    return self.fault(format!("{why}: {}", quote(&token.text)));
                }
            },
            Kind::CharConstant => match lex::unquote(&token.text) {
                Some(text) if text.chars().count() == 1 => {
                    Term::Literal(Value::from(text.chars().next().map_or(0, u32::from)))
                }
                _ if token.text == "''" => return self.fault("invalid syntax"),
                _ => return self.fault(format!("malformed character constant: {}", token.text)),
            },
            Kind::LeftParen => {
                let inner = self.pipeline(PARENTHESIZED, Kind::RightParen)?;
                return Ok(Some(Word { place: inner.place.clone(), term: Term::Pipe(Box::new(inner)) }));
            }
            _ => Term::Literal(Value::from(self.unquoted(&token.text)?)),
        };
        Ok(Some(Word { place: Place { at: token.at, text: token.text }, term }))
    }
}

fn begins_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool
            | Kind::CharConstant
            | Kind::Dot
            | Kind::Field
            | Kind::Identifier
            | Kind::Number
            | Kind::Nil
            | Kind::Quoted
            | Kind::Variable
            | Kind::LeftParen
    )
}
