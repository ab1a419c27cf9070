//! The text form of label selectors: tokens, and the small grammar over them.
//!
//! `in` and `notin` are words of the grammar only where an operator may stand; elsewhere they are
//! names like any other, so `in in (x)` asks for the label `in`.

use super::labels::{Operator, Requirement};
use super::{SelectorError, qualified_name_errors};

const BINARY_OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Name,
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    Not,
    Open,
    Close,
    Comma,
    End,
}

/// Longest first, so that `==` is one token.
const SYMBOLS: [(&str, Kind); 9] = [
    ("==", Kind::DoubleEquals),
    ("!=", Kind::NotEquals),
    ("=", Kind::Equals),
    ("!", Kind::Not),
    (">", Kind::Greater),
    ("<", Kind::Less),
    ("(", Kind::Open),
    (")", Kind::Close),
    (",", Kind::Comma),
];

/// Reads every requirement of a selector's text.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            (Kind::End, _) => return Ok(requirements),
            (Kind::Name | Kind::Not, _) => {}
            (_, found) => return fail(format!("found '{found}', expected: !, identifier, or 'end of string'")),
        }
        let requirement = parser
            .requirement()
            .map_err(|error| SelectorError::new(format!("unable to parse requirement: {error}")))?;
        requirements.push(requirement);
        match parser.take() {
            (Kind::End, _) => return Ok(requirements),
            (Kind::Comma, _) => match parser.peek() {
                (Kind::Name | Kind::Not, _) => {}
                (_, found) => return fail(format!("found '{found}', expected: identifier after ','")),
            },
            (_, found) => return fail(format!("found '{found}', expected: ',' or 'end of string'")),
        }
    }
}

fn fail<T>(message: String) -> Result<T, SelectorError> {
    Err(SelectorError(message))
}

fn tokens(text: &str) -> Vec<(Kind, &str)> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if rest.is_empty() {
            return tokens;
        }
        let symbol = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol));
        let (kind, length) = match symbol {
            Some((symbol, kind)) => (*kind, symbol.len()),
            None => {
                let stop = |letter: char| " \t\r\n=!(),><".contains(letter);
                let length = rest.find(stop).unwrap_or(rest.len());
                let kind = match &rest[..length] {
                    "in" => Kind::In,
                    "notin" => Kind::NotIn,
                    _ => Kind::Name,
                };
                (kind, length)
            }
        };
        tokens.push((kind, &rest[..length]));
        rest = &rest[length..];
    }
}

struct Parser<'a> {
    tokens: Vec<(Kind, &'a str)>,
    at: usize,
}

impl<'a> Parser<'a> {
    /// The next token where a name or value may stand.
    fn peek(&self) -> (Kind, &'a str) {
        match self.raw() {
            (Kind::In | Kind::NotIn, text) => (Kind::Name, text),
            token => token,
        }
    }

    fn take(&mut self) -> (Kind, &'a str) {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn raw(&self) -> (Kind, &'a str) {
        self.tokens.get(self.at).copied().unwrap_or((Kind::End, ""))
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let negated = self.peek().0 == Kind::Not;
        if negated {
            self.at += 1;
        }
        let (kind, key) = self.take();
        if kind != Kind::Name {
            return fail(format!("found '{key}', expected: identifier"));
        }
        let errors = qualified_name_errors(key);
        if !errors.is_empty() {
            return fail(format!("<nil>: Invalid value: {key:?}: {}", errors.join("; ")));
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek().0, Kind::End | Kind::Comma) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        Requirement::new(key, operator, values)
    }

    fn operator(&mut self) -> Result<Operator, SelectorError> {
        let (kind, found) = self.raw();
        self.at += 1;
        Ok(match kind {
            Kind::In => Operator::In,
            Kind::NotIn => Operator::NotIn,
            Kind::Equals => Operator::Equals,
            Kind::DoubleEquals => Operator::DoubleEquals,
            Kind::NotEquals => Operator::NotEquals,
            Kind::Greater => Operator::GreaterThan,
            Kind::Less => Operator::LessThan,
            _ => return fail(format!("found '{found}', expected: {BINARY_OPERATORS}")),
        })
    }

    /// `=` may be followed by nothing: the empty value.
    fn exact_value(&mut self) -> Result<String, SelectorError> {
        match self.peek() {
            (Kind::End | Kind::Comma, _) => Ok(String::new()),
            (Kind::Name, value) => {
                self.at += 1;
                Ok(value.to_owned())
            }
            (_, found) => fail(format!("found '{found}', expected: identifier")),
        }
    }

    /// `(a,b)`; an empty place between commas is the empty value.
    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        match self.take() {
            (Kind::Open, _) => {}
            (_, found) => return fail(format!("found '{found}' expected: '('")),
        }
        let values = match self.peek() {
            (Kind::Name | Kind::Comma, _) => self.value_list()?,
            // Nothing between the brackets is the empty value too.
            (Kind::Close, _) => vec![String::new()],
            (_, found) => return fail(format!("found '{found}', expected: ',', ')' or identifier")),
        };
        match self.take() {
            (Kind::Close, _) => Ok(values),
            (_, found) => fail(format!("found '{found}', expected: ')'")),
        }
    }

    fn value_list(&mut self) -> Result<Vec<String>, SelectorError> {
        let mut values = Vec::new();
        loop {
            match self.take() {
                (Kind::Name, value) => {
                    values.push(value.to_owned());
                    match self.peek() {
                        (Kind::Comma, _) => {}
                        (Kind::Close, _) => return Ok(values),
                        (_, found) => return fail(format!("found '{found}', expected: ',' or ')'")),
                    }
                }
                (Kind::Comma, _) => {
                    let next = self.peek().0;
                    if values.is_empty() || matches!(next, Kind::Close | Kind::Comma) {
                        values.push(String::new());
                    }
                    match next {
                        Kind::Close => return Ok(values),
                        Kind::Comma => self.at += 1,
                        _ => {}
                    }
                }
                (_, found) => return fail(format!("found '{found}', expected: ',', or identifier")),
            }
        }
    }
}
