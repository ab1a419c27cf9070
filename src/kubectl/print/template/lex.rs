//! Parts the text of a Go template into texts and the words of its actions.

use serde_json::Value;

use super::super::super::failure::quote;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What is wrong, in the token's text; nothing comes behind it.
    Error,
    Bool,
    /// A sign that means nothing by itself: `,`
    Sign,
    CharConstant,
    Assign,
    Declare,
    End,
    Field,
    Identifier,
    LeftDelimiter,
    LeftParen,
    Number,
    Pipe,
    RightDelimiter,
    RightParen,
    Space,
    /// In `"` or in backquotes.
    Quoted,
    Text,
    Variable,
    Dot,
    Nil,
    Keyword,
}

/// A piece of the text.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    pub text: String,
    /// Where it begins, in bytes.
    pub at: usize,
}

impl Token {
    /// As Go names it where it is not expected.
    pub fn shown(&self) -> String {
        match self.kind {
            Kind::End => "EOF".into(),
            Kind::Error => self.text.clone(),
            Kind::Dot | Kind::Nil | Kind::Keyword => format!("<{}>", self.text),
            _ if self.text.len() > 10 => format!("{}...", quote(&self.text.chars().take(10).collect::<String>())),
            _ => quote(&self.text),
        }
    }
}

const KEYWORDS: [&str; 10] = ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

/// Tokens up to the end or the first fault.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, at: 0, start: 0, inside: false, depth: 0, found: Vec::new() };
    loop {
        let goes_on = if lexer.inside { lexer.inside_action() } else { lexer.outside() };
        if !goes_on {
            return lexer.found;
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    /// How far it was read.
    at: usize,
    /// Where the token begins that is read.
    start: usize,
    inside: bool,
    /// Parentheses that are open.
    depth: usize,
    found: Vec<Token>,
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

fn is_word(letter: char) -> bool {
    letter == '_' || letter.is_alphabetic() || letter.is_numeric()
}

/// `U+0040 '@'`
fn code_point(letter: char) -> String {
    format!("U+{:04X} '{letter}'", u32::from(letter))
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    fn skip(&mut self) {
        self.start = self.at;
    }

    /// Ends the token; always true, so that a state can end with it.
    fn emit(&mut self, kind: Kind) -> bool {
        self.found.push(Token { kind, text: self.text[self.start..self.at].to_owned(), at: self.start });
        self.start = self.at;
        true
    }

    /// Ends the reading with what is wrong.
    fn fault(&mut self, words: impl Into<String>) -> bool {
        self.found.push(Token { kind: Kind::Error, text: words.into(), at: self.start });
        false
    }

    /// A delimiter that takes the spaces before it away: `{{- `.
    fn trims_left(text: &str) -> bool {
        text.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space))
    }

    /// The delimiter `}}` here, and how long the mark before it is that takes the spaces behind it away: ` -}}`.
    fn right_delimiter(&self) -> Option<usize> {
        let rest = self.rest();
        if rest.starts_with("}}") {
            return Some(0);
        }
        let marked = rest.strip_prefix(is_space).is_some_and(|rest| rest.starts_with("-}}"));
        marked.then_some(2)
    }

    fn outside(&mut self) -> bool {
        let Some(open) = self.rest().find("{{") else {
            self.at = self.text.len();
            if self.at > self.start {
                self.emit(Kind::Text);
            }
            self.emit(Kind::End);
            return false;
        };
        let delimiter = self.at + open;
        let trims = Self::trims_left(&self.text[delimiter + 2..]);
        let before = &self.text[self.at..delimiter];
        self.at += if trims { before.trim_end_matches(is_space).len() } else { before.len() };
        if self.at > self.start {
            self.emit(Kind::Text);
        }
        self.at = delimiter;
        self.skip();
        let inner = delimiter + 2 + if trims { 2 } else { 0 };
        if self.text[inner..].starts_with("/*") {
            self.at = inner;
            self.skip();
            return self.comment();
        }
        self.at = delimiter + 2;
        self.emit(Kind::LeftDelimiter);
        self.at = inner;
        self.skip();
        (self.inside, self.depth) = (true, 0);
        true
    }

    fn comment(&mut self) -> bool {
        let Some(end) = self.rest()[2..].find("*/") else { return self.fault("unclosed comment") };
        self.at += end + 4;
        let Some(mark) = self.right_delimiter() else { return self.fault("comment ends before closing delimiter") };
        self.at += mark + 2;
        self.after_delimiter(mark);
        true
    }

    fn after_delimiter(&mut self, mark: usize) {
        if mark > 0 {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches(is_space).len();
        }
        self.skip();
    }

    fn inside_action(&mut self) -> bool {
        if let Some(mark) = self.right_delimiter() {
            if self.depth > 0 {
                return self.fault("unclosed left paren");
            }
            self.at += mark;
            self.skip();
            self.at += 2;
            self.emit(Kind::RightDelimiter);
            self.after_delimiter(mark);
            self.inside = false;
            return true;
        }
        let Some(letter) = self.next() else { return self.fault("unclosed action") };
        match letter {
            letter if is_space(letter) => self.space(),
            '=' => self.emit(Kind::Assign),
            ':' if self.next() == Some('=') => self.emit(Kind::Declare),
            ':' => self.fault("expected :="),
            '|' => self.emit(Kind::Pipe),
            '"' => self.quoted('"', "unterminated quoted string", Kind::Quoted),
            '\'' => self.quoted('\'', "unterminated character constant", Kind::CharConstant),
            '`' => match self.rest().find('`') {
                Some(end) => {
                    self.at += end + 1;
                    self.emit(Kind::Quoted)
                }
                None => self.fault("unterminated raw quoted string"),
            },
            '$' => self.name(Kind::Variable, Kind::Variable),
            '.' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => self.name(Kind::Field, Kind::Dot),
            '.' | '+' | '-' | '0'..='9' => {
                self.at = self.start;
                self.number()
            }
            letter if is_word(letter) => self.identifier(),
            '(' => {
                self.depth += 1;
                self.emit(Kind::LeftParen)
            }
            ')' if self.depth == 0 => self.fault("unexpected right paren"),
            ')' => {
                self.depth -= 1;
                self.emit(Kind::RightParen)
            }
            letter if letter.is_ascii_graphic() => self.emit(Kind::Sign),
            letter => self.fault(format!("unrecognized character in action: {}", code_point(letter))),
        }
    }

    fn space(&mut self) -> bool {
        while self.peek().is_some_and(is_space) {
            self.next();
        }
        // The last space may belong to the delimiter behind it.
        if self.rest().starts_with("-}}") {
            self.at -= 1;
        }
        self.at == self.start || self.emit(Kind::Space)
    }

    fn quoted(&mut self, close: char, fault: &str, kind: Kind) -> bool {
        loop {
            match self.next() {
                Some('\\') if self.peek().is_some_and(|next| next != '\n') => {
                    self.next();
                }
                None | Some('\\' | '\n') => return self.fault(fault),
                Some(letter) if letter == close => return self.emit(kind),
                Some(_) => {}
            }
        }
    }

    /// Whether a name may end here.
    fn ends(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(letter) => is_space(letter) || self.rest().starts_with("}}"),
        }
    }

    /// What follows a `.` or a `$`.
    fn name(&mut self, named: Kind, bare: Kind) -> bool {
        if self.ends() {
            return self.emit(bare);
        }
        self.word(named)
    }

    fn word(&mut self, kind: Kind) -> bool {
        while self.peek().is_some_and(is_word) {
            self.next();
        }
        match self.peek() {
            Some(letter) if !self.ends() => self.fault(format!("bad character {}", code_point(letter))),
            _ => self.emit(kind),
        }
    }

    fn identifier(&mut self) -> bool {
        let begun = self.start;
        if !self.word(Kind::Identifier) {
            return false;
        }
        let Some(token) = self.found.last_mut() else { return true };
        token.kind = match &self.text[begun..self.at] {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        true
    }

    fn accept(&mut self, valid: &str) -> bool {
        let fits = self.peek().is_some_and(|letter| valid.contains(letter));
        if fits {
            self.next();
        }
        fits
    }

    fn number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            digits = match () {
                () if self.accept("xX") => "0123456789abcdefABCDEF_",
                () if self.accept("oO") => "01234567_",
                () if self.accept("bB") => "01_",
                () => digits,
            };
        }
        while self.accept(digits) {}
        if self.accept(".") {
            while self.accept(digits) {}
        }
        if digits.len() == 11 && self.accept("eE") {
            self.accept("+-");
            while self.accept(digits) {}
        }
        if self.peek().is_some_and(is_word) {
            self.next();
            let words = format!("bad number syntax: {}", quote(&self.text[self.start..self.at]));
            return self.fault(words);
        }
        self.emit(Kind::Number)
    }
}

/// A number of Go's: `12`, `0x1f`, `1_000`, `1.5e3`.
pub(super) fn number(text: &str) -> Option<Value> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.replace('_', "");
    let based = |prefix: [&str; 2], base: u32| {
        let digits = prefix.iter().find_map(|prefix| digits.strip_prefix(prefix))?;
        i64::from_str_radix(digits, base).ok()
    };
    let whole = based(["0x", "0X"], 16).or_else(|| based(["0o", "0O"], 8)).or_else(|| based(["0b", "0B"], 2));
    if let Some(whole) = whole.or_else(|| digits.parse().ok()) {
        return Some(Value::from(sign * whole));
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let float: f64 = digits.parse().ok().filter(|_| digits.starts_with(|c: char| c.is_ascii_digit() || c == '.'))?;
    Some(Value::from(if sign < 0 { -float } else { float }))
}

/// What a text in quotes says, as Go's `strconv.Unquote`.
pub(super) fn unquote(text: &str) -> Option<String> {
    let inner = text.get(1..text.len().checked_sub(1)?)?;
    if text.starts_with('`') {
        return Some(inner.replace('\r', ""));
    }
    let mut out = Vec::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.extend(letter.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        let escape = letters.next()?;
        let mut digits = |count: usize, base: u32| {
            let digits: String = letters.by_ref().take(count).collect();
            u32::from_str_radix(&digits, base).ok().filter(|_| digits.len() == count)
        };
        let point = match escape {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            '\\' | '"' | '\'' if escape == '\\' || text.starts_with(escape) => u32::from(escape),
            'x' => {
                out.push(u8::try_from(digits(2, 16)?).ok()?);
                continue;
            }
            'u' => digits(4, 16)?,
            'U' => digits(8, 16)?,
            first @ '0'..='7' => {
                let rest = digits(2, 8)?;
                out.push(u8::try_from(first.to_digit(8)? * 64 + rest).ok()?);
                continue;
            }
            _ => return None,
        };
        out.extend(char::from_u32(point)?.encode_utf8(&mut [0; 4]).bytes());
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}
