//! Reads the text of a Go template.

use std::collections::HashMap;

use serde_json::Value;

use super::{Done, Node, Pipeline, Term};

type Read = (Vec<Node>, HashMap<String, Vec<Node>>);

/// The nodes of a template and those it defines.
pub(super) fn parse(text: &str) -> Done<Read> {
    let pieces = pieces(text)?;
    let mut reader = Reader { pieces: pieces.into_iter(), defined: HashMap::new() };
    let (nodes, ended) = reader.nodes()?;
    match ended {
        None => Ok((nodes, reader.defined)),
        Some(word) => Err(format!("1: unexpected {{{{{word}}}}}")),
    }
}

enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// The action that ended a list of nodes: its word, and the tokens after it.
type Ending = (String, Vec<Token>);

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// `.a.b` that stands alone; `true` when it follows the token before without a space.
    Field(Vec<String>, bool),
    Variable(String),
    Literal(Value),
    Sign(&'static str),
}

/// Texts and actions; `{{-` and `-}}` take the spaces beside them.
fn pieces(text: &str) -> Done<Vec<Piece>> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut trim = false;
    loop {
        let open = rest.find("{{");
        let mut before = &rest[..open.unwrap_or(rest.len())];
        if trim {
            before = before.trim_start();
        }
        let Some(open) = open else {
            found.push(Piece::Text(before.to_owned()));
            return Ok(found);
        };
        let mut inner = &rest[open + 2..];
        if let Some(trimmed) = inner.strip_prefix('-').filter(|left| left.starts_with([' ', '\n', '\t'])) {
            before = before.trim_end();
            inner = trimmed;
        }
        found.push(Piece::Text(before.to_owned()));
        if inner.trim_start().starts_with("/*") {
            let end = inner.find("*/").ok_or("1: unclosed comment")?;
            let after = inner[end + 2..].trim_start();
            trim = after.starts_with("-}}");
            rest =
                after.trim_start_matches('-').strip_prefix("}}").ok_or("1: comment ends before closing delimiter")?;
            continue;
        }
        let close = closing(inner).ok_or("1: unclosed action")?;
        let mut action = &inner[..close];
        rest = &inner[close + 2..];
        trim = action.ends_with(" -") || action.ends_with("\t-") || action.ends_with("\n-");
        if trim {
            action = &action[..action.len() - 1];
        }
        found.push(Piece::Action(tokens(action)?));
    }
}

fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut quote, mut at) = (0u8, 0);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (b'"' | b'\'', b'\\') => at += 1,
            (0, byte @ (b'"' | b'`' | b'\'')) => quote = byte,
            (open, byte) if open != 0 && open == byte => quote = 0,
            (0, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

fn tokens(text: &str) -> Done<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut touching = false;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
            touching = false;
            continue;
        }
        let name = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        let (token, used) = match first {
            '"' | '\'' | '`' => quoted(rest)?,
            '|' => (Token::Sign("|"), 1),
            '(' => (Token::Sign("("), 1),
            ')' => (Token::Sign(")"), 1),
            ',' => (Token::Sign(","), 1),
            ':' if rest.starts_with(":=") => (Token::Sign(":="), 2),
            '=' => (Token::Sign("="), 1),
            '$' => {
                let end = 1 + name(&rest[1..]);
                (Token::Variable(rest[..end].to_owned()), end)
            }
            '.' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
                let path = rest[1..end].split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
                (Token::Field(path, touching), end)
            }
            c if c.is_ascii_digit() || c == '-' || c == '+' => {
                let end = rest[1..].find(|c: char| !c.is_alphanumeric() && c != '.').map_or(rest.len(), |at| at + 1);
                let number = serde_json::from_str(rest[..end].trim_start_matches('+'));
                (Token::Literal(number.map_err(|_| format!("1: bad number syntax: \"{}\"", &rest[..end]))?), end)
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = name(rest);
                let token = match &rest[..end] {
                    "true" => Token::Literal(true.into()),
                    "false" => Token::Literal(false.into()),
                    "nil" => Token::Literal(Value::Null),
                    word => Token::Word(word.to_owned()),
                };
                (token, end)
            }
            other => return Err(format!("1: unexpected {other:?} in command")),
        };
        found.push(token);
        rest = &rest[used..];
        touching = true;
    }
    Ok(found)
}

fn quoted(text: &str) -> Done<(Token, usize)> {
    let open = text.chars().next().unwrap_or_default();
    let mut out = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            letter if letter == open => {
                let value = match open {
                    '\'' => Value::from(u32::from(out.chars().next().unwrap_or_default())),
                    _ => Value::from(out),
                };
                return Ok((Token::Literal(value), at + 1));
            }
            '\\' if open != '`' => out.push(match letters.next().map(|(_, letter)| letter) {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(other) => other,
                None => break,
            }),
            letter => out.push(letter),
        }
    }
    Err("1: unterminated quoted string".into())
}

struct Reader {
    pieces: std::vec::IntoIter<Piece>,
    defined: HashMap<String, Vec<Node>>,
}

impl Reader {
    /// Nodes up to `end` or `else`, which is told with its pipeline's tokens.
    fn nodes(&mut self) -> Done<(Vec<Node>, Option<String>)> {
        let (nodes, ended) = self.until()?;
        Ok((nodes, ended.map(|(word, _)| word)))
    }

    fn until(&mut self) -> Done<(Vec<Node>, Option<Ending>)> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let tokens = match piece {
                Piece::Text(text) => {
                    if !text.is_empty() {
                        nodes.push(Node::Text(text));
                    }
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            let word = match tokens.first() {
                Some(Token::Word(word)) => word.clone(),
                _ => String::new(),
            };
            let rest = tokens.get(1..).unwrap_or_default();
            match word.as_str() {
                "end" | "else" => return Ok((nodes, Some((word, rest.to_vec())))),
                "if" => nodes.push(self.if_node(rest)?),
                "with" | "range" => {
                    let pipeline = pipeline(rest)?;
                    let (body, otherwise) = self.two()?;
                    nodes.push(match word.as_str() {
                        "with" => Node::With(pipeline, body, otherwise),
                        _ => Node::Range(pipeline, body, otherwise),
                    });
                }
                "define" | "block" => {
                    let Some(Token::Literal(Value::String(name))) = rest.first() else {
                        return Err(format!("1: unexpected token in {word} clause"));
                    };
                    let (body, _) = self.two()?;
                    self.defined.insert(name.clone(), body);
                    if word == "block" {
                        nodes.push(Node::Call(name.clone(), Some(pipeline(&rest[1..])?)));
                    }
                }
                "template" => {
                    let Some(Token::Literal(Value::String(name))) = rest.first() else {
                        return Err("1: unexpected token in template clause".into());
                    };
                    let argument = if rest.len() > 1 { Some(pipeline(&rest[1..])?) } else { None };
                    nodes.push(Node::Call(name.clone(), argument));
                }
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                _ => nodes.push(Node::Print(pipeline(&tokens)?)),
            }
        }
        Ok((nodes, None))
    }

    fn two(&mut self) -> Done<(Vec<Node>, Vec<Node>)> {
        let (body, ended) = self.nodes()?;
        match ended.as_deref() {
            Some("end") => Ok((body, Vec::new())),
            Some("else") => {
                let (otherwise, ended) = self.nodes()?;
                if ended.is_none() { Err("1: unexpected EOF".into()) } else { Ok((body, otherwise)) }
            }
            _ => Err("1: unexpected EOF".into()),
        }
    }

    fn if_node(&mut self, condition: &[Token]) -> Done<Node> {
        let mut branches = Vec::new();
        let mut condition = condition.to_vec();
        loop {
            let (body, ended) = self.until()?;
            branches.push((pipeline(&condition)?, body));
            let Some((word, rest)) = ended else { return Err("1: unexpected EOF".into()) };
            if word == "end" {
                return Ok(Node::If(branches, Vec::new()));
            }
            match rest.split_first() {
                Some((Token::Word(word), more)) if word == "if" => condition = more.to_vec(),
                _ => {
                    let (otherwise, ended) = self.nodes()?;
                    return match ended.as_deref() {
                        Some("end") => Ok(Node::If(branches, otherwise)),
                        _ => Err("1: unexpected EOF".into()),
                    };
                }
            }
        }
    }
}

fn pipeline(tokens: &[Token]) -> Done<Pipeline> {
    let mut rest = tokens;
    let mut pipeline = Pipeline::default();
    let set = rest.iter().position(|token| matches!(token, Token::Sign(":=" | "=")));
    if let Some(at) = set {
        let names = rest[..at].iter().filter_map(|token| match token {
            Token::Variable(name) => Some(name.clone()),
            _ => None,
        });
        pipeline.variables = names.collect();
        pipeline.assigns = rest[at] == Token::Sign("=");
        rest = &rest[at + 1..];
    }
    let (commands, left) = commands(rest)?;
    if !left.is_empty() {
        return Err("1: unexpected right paren".into());
    }
    pipeline.commands = commands;
    if pipeline.commands.iter().any(Vec::is_empty) {
        return Err("1: missing value for command".into());
    }
    Ok(pipeline)
}

/// Commands up to the end or a closing parenthesis, and what is left from there.
fn commands(tokens: &[Token]) -> Done<(Vec<Vec<Term>>, &[Token])> {
    let mut found = vec![Vec::new()];
    let mut rest = tokens;
    while let Some((token, after)) = rest.split_first() {
        rest = after;
        let last = found.len() - 1;
        let command: &mut Vec<Term> = &mut found[last];
        match token {
            Token::Sign("|") => found.push(Vec::new()),
            Token::Sign(")") => return Ok((found, &tokens[tokens.len() - after.len() - 1..])),
            Token::Sign("(") => {
                let (inner, left) = commands(rest)?;
                let Some((Token::Sign(")"), after)) = left.split_first() else {
                    return Err("1: unclosed left paren".into());
                };
                rest = after;
                let pipeline = Pipeline { commands: inner, ..Pipeline::default() };
                command.push(Term::Inner(Box::new(pipeline), Vec::new()));
            }
            Token::Field(path, touching) => match command.last_mut() {
                Some(Term::Inner(_, fields) | Term::Variable(_, fields)) if *touching => fields.extend(path.clone()),
                _ => command.push(Term::Field(path.clone())),
            },
            Token::Variable(name) => command.push(Term::Variable(name.clone(), Vec::new())),
            Token::Literal(value) => command.push(Term::Literal(value.clone())),
            Token::Word(word) => command.push(Term::Function(word.clone())),
            Token::Sign(other) => return Err(format!("1: unexpected {other:?} in operand")),
        }
    }
    Ok((found, rest))
}
