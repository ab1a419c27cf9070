//! The words of Go's `encoding/json` and `time` about input that is wrong.
//!
//! In: what was read and where it failed. Out: the exact message a Kubernetes client knows.

use super::schema::{Schema, Type};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What Go calls a JSON value: `object`, `array`, `string`, `number`, `bool`.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The Go name of a struct: the last part of its definition's name.
pub fn struct_name(schema: &Schema) -> &str {
    schema.name().and_then(|name| name.rsplit('.').next()).unwrap_or_default()
}

/// The structs inside `owner` that Go has a field in, outermost first: `Rule`, `RuleWithOperations`. JSON does
/// not show them, Go's errors do.
pub fn embedded(owner: &Schema, field: &str) -> Option<&'static str> {
    type Inside = HashMap<(&'static str, &'static str), &'static str>;
    static INSIDE: LazyLock<Inside> = LazyLock::new(|| {
        let rows = include_str!("facts/embedded.tsv").lines().filter_map(|line| {
            let mut columns = line.split('\t');
            Some((columns.next()?, columns.next()?, columns.next()?))
        });
        rows.flat_map(|(owner, path, fields)| fields.split(',').map(move |field| ((owner, field), path))).collect()
    });
    let owner = owner.name()?.strip_prefix("io.k8s.api.")?;
    INSIDE.get(&(owner, field)).copied()
}

/// The Go type of a node: `int32`, `[]v1.Container`, `map[string]string`. `string` is what Go calls its
/// strings there; empty: `string`.
pub fn type_name(schema: &Schema, string: &str) -> String {
    let inner = || schema.items().map(|items| type_name(items, string)).unwrap_or_default();
    match schema.kind() {
        Type::Boolean => "bool".into(),
        Type::Int32 | Type::IntOrString => "int32".into(),
        Type::Int64 => "int64".into(),
        Type::Number => "float64".into(),
        Type::Bytes => "[]uint8".into(),
        Type::List => format!("[]{}", element_name(schema, inner())),
        Type::Map => match schema.items().map(Schema::kind) {
            Some(Type::Quantity) => "v1.ResourceList".into(),
            _ => format!("map[string]{}", element_name(schema, inner())),
        },
        Type::Object => {
            let mut parts = schema.name().unwrap_or_default().rsplit('.');
            let (name, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            format!("{package}.{name}")
        }
        Type::String if !string.is_empty() => string.into(),
        _ => "string".into(),
    }
}

/// Some element types have a name of their own inside a list or a map.
fn element_name(schema: &Schema, plain: String) -> String {
    match schema.items().map(Schema::kind) {
        Some(Type::Quantity) => "resource.Quantity".into(),
        Some(Type::IntOrString) => "intstr.IntOrString".into(),
        Some(Type::Time) => "v1.Time".into(),
        Some(Type::RawExtension) => "runtime.RawExtension".into(),
        _ => plain,
    }
}

/// Go's message for text that is no JSON.
pub fn syntax_error(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.to_string().starts_with("recursion limit") {
        return "exceeded max depth".into();
    }
    Scanner { bytes, at: 0 }.document().err().unwrap_or_else(|| "unexpected end of JSON input".into())
}

/// As [`syntax_error`], of a decoder that reads a stream: it counts the bytes that it has read.
pub fn stream_error(bytes: &[u8]) -> String {
    let mut scanner = Scanner { bytes, at: 0 };
    match scanner.document() {
        Err(why) if scanner.at < bytes.len() => format!("json: offset {}: {why}", scanner.at + 1),
        _ => "unexpected EOF".into(),
    }
}

/// Go's message for text that is no base64; `None` if it is. Four letters make three bytes: text that ends
/// among four is wrong where the four began.
pub fn base64_error(text: &str) -> Option<String> {
    let wrong = |at: usize| Some(format!("illegal base64 data at input byte {at}"));
    let bytes = text.as_bytes();
    let break_at = |at: usize| matches!(bytes.get(at), Some(b'\r' | b'\n'));
    let (mut at, mut letters) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'\r' | b'\n' => continue,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => {
                letters = (letters + 1) % 4;
                continue;
            }
            b'=' if letters >= 2 => {}
            _ => return wrong(at - 1),
        }
        if letters == 2 {
            while break_at(at) {
                at += 1;
            }
            match bytes.get(at) {
                None => return wrong(bytes.len()),
                Some(b'=') => at += 1,
                Some(_) => return wrong(at - 1),
            }
        }
        while break_at(at) {
            at += 1;
        }
        return if at < bytes.len() { wrong(at) } else { None };
    }
    if letters == 0 { None } else { wrong(bytes.len() - letters) }
}

/// Go's message for text that is no RFC 3339 time; `None` if it is one.
pub fn time_error(text: &str, kind: Type) -> Option<String> {
    let exact = kind != Type::MicroTime || first_mismatch(text, kind).1 == "Z07:00";
    if exact && text.parse::<jiff::Timestamp>().is_ok() {
        return None;
    }
    let layout = match kind {
        Type::MicroTime => "2006-01-02T15:04:05.000000Z07:00",
        _ => "2006-01-02T15:04:05Z07:00",
    };
    let (rest, element) = first_mismatch(text, kind);
    Some(format!("parsing time {text:?} as \"{layout}\": cannot parse {rest:?} as {element:?}"))
}

/// What is left of `text` where it stops being a time, and the layout's element there.
fn first_mismatch(text: &str, kind: Type) -> (&str, &'static str) {
    let elements = [
        ("2006", 4),
        ("-", 0),
        ("01", 2),
        ("-", 0),
        ("02", 2),
        ("T", 0),
        ("15", 2),
        (":", 0),
        ("04", 2),
        (":", 0),
        ("05", 2),
    ];
    let mut rest = text;
    for (element, digits) in elements {
        let taken = match digits {
            0 => rest.strip_prefix(element),
            _ => rest.get(..digits).filter(|d| d.bytes().all(|b| b.is_ascii_digit())).map(|_| &rest[digits..]),
        };
        match taken {
            Some(left) => rest = left,
            None => return (rest, element),
        }
    }
    if kind == Type::MicroTime {
        let digits = rest.strip_prefix(['.', ',']).and_then(|digits| digits.get(..6));
        if !digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit())) {
            return (rest, ".000000");
        }
        rest = &rest[7..];
    }
    (rest, "Z07:00")
}

/// How deep Go reads. Source: encoding/json, maxNestingDepth.
const MAX_DEPTH: usize = 10_000;

/// A JSON reader that only knows how Go complains.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Scan = Result<(), String>;

impl Scanner<'_> {
    /// Reads everything. What is open is kept in a list and not on the stack: a body may open a
    /// million brackets.
    fn document(&mut self) -> Scan {
        let mut open = Vec::new();
        loop {
            self.space();
            match self.peek() {
                Some(b'{' | b'[') if open.len() == MAX_DEPTH => return Err("exceeded max depth".into()),
                Some(bracket @ (b'{' | b'[')) => {
                    self.at += 1;
                    self.space();
                    open.push(bracket);
                    if !self.closes(bracket) {
                        self.key(bracket)?;
                        continue;
                    }
                    self.at += 1;
                    open.pop();
                }
                _ => self.scalar()?,
            }
            if self.after_value(&mut open)? {
                return Ok(());
            }
        }
    }

    /// Closes what ends here; whether that was all.
    fn after_value(&mut self, open: &mut Vec<u8>) -> Result<bool, String> {
        loop {
            self.space();
            match (open.last().copied(), self.peek()) {
                (None, None) => return Ok(true),
                (None, Some(_)) => return self.invalid("after top-level value").map(|()| false),
                (Some(bracket), Some(b',')) => {
                    self.at += 1;
                    return self.key(bracket).map(|()| false);
                }
                (Some(bracket), _) if self.closes(bracket) => {
                    self.at += 1;
                    open.pop();
                }
                (Some(b'{'), _) => return self.invalid("after object key:value pair").map(|()| false),
                _ => return self.invalid("after array element").map(|()| false),
            }
        }
    }

    fn closes(&self, bracket: u8) -> bool {
        self.peek() == Some(if bracket == b'{' { b'}' } else { b']' })
    }

    /// The key before a value of an object; nothing in an array.
    fn key(&mut self, bracket: u8) -> Scan {
        if bracket != b'{' {
            return Ok(());
        }
        self.space();
        if self.peek() != Some(b'"') {
            return self.invalid("looking for beginning of object key string");
        }
        self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return self.invalid("after object key");
        }
        self.at += 1;
        Ok(())
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn invalid(&self, context: &str) -> Scan {
        let Some(byte) = self.peek() else { return Err("unexpected end of JSON input".into()) };
        let shown = match byte {
            b'\'' => r"'\''".to_string(),
            b'"' => "'\"'".to_string(),
            b'\\' => r"'\\'".to_string(),
            b'\t' | b'\r' | b'\n' => format!("'{}'", char::from(byte).escape_default()),
            0x07 => r"'\a'".to_string(),
            0x08 => r"'\b'".to_string(),
            0x0b => r"'\v'".to_string(),
            0x0c => r"'\f'".to_string(),
            0x00..0x20 | 0x7f => format!(r"'\x{byte:02x}'"),
            0x80..=0xa0 | 0xad => format!(r"'\u{byte:04x}'"),
            _ => format!("'{}'", char::from(byte)),
        };
        Err(format!("invalid character {shown} {context}"))
    }

    fn scalar(&mut self) -> Scan {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => self.invalid("looking for beginning of value"),
        }
    }

    fn string(&mut self) -> Scan {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break self.at += 1,
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => self.at += 1,
                        Some(b'u') => self.unicode()?,
                        _ => return self.invalid("in string escape code"),
                    }
                }
                Some(0x20..) => self.at += 1,
                _ => return self.invalid("in string literal"),
            }
        }
        Ok(())
    }

    fn unicode(&mut self) -> Scan {
        self.at += 1;
        for _ in 0..4 {
            if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                return self.invalid("in \\u hexadecimal character escape");
            }
            self.at += 1;
        }
        Ok(())
    }

    fn digits(&mut self, context: &str) -> Scan {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.invalid(context);
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Scan {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Scan {
        for expected in word.bytes() {
            if self.peek().is_none() {
                // Go puts a space after what it was given, to see whether that was all.
                return Err(format!("invalid character ' ' in literal {word} (expecting '{}')", char::from(expected)));
            }
            if self.peek() != Some(expected) {
                return self.invalid(&format!("in literal {word} (expecting '{}')", char::from(expected)));
            }
            self.at += 1;
        }
        Ok(())
    }
}
