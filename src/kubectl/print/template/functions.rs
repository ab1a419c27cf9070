//! The functions of Go templates, over JSON values.

use base64::Engine;
use serde_json::Value;

use super::super::go_value;
use super::Done;
use super::operand::{Found, Operand, bare, truth};

/// How many arguments a function takes.
pub(super) struct Taken {
    fixed: usize,
    more: bool,
    /// The first must be a text.
    pub text_first: bool,
}

impl Taken {
    /// What is wrong with so many arguments, and one that is piped.
    pub fn misfit(&self, name: &str, given: usize, piped: bool) -> Option<String> {
        let all = given + usize::from(piped);
        let wrong = format!("wrong number of args for {name}");
        match self.more {
            true if all < self.fixed => Some(format!("{wrong}: want at least {} got {given}", self.fixed)),
            false if all != self.fixed => Some(format!("{wrong}: want {} got {all}", self.fixed)),
            _ => None,
        }
    }
}

/// What a function takes; `None` for one that there is not.
pub(super) fn taken_by(name: &str) -> Option<Taken> {
    let (fixed, more) = match name {
        "html" | "js" | "print" | "println" | "urlquery" => (0, true),
        "and" | "or" | "call" | "index" | "slice" | "printf" | "eq" | "exists" => (1, true),
        "len" | "not" | "base64decode" => (1, false),
        "ne" | "lt" | "le" | "gt" | "ge" => (2, false),
        _ => return None,
    };
    Some(Taken { fixed, more, text_first: matches!(name, "printf" | "base64decode") })
}

/// Calls a function by name.
///
/// # Errors
/// In Go's words, without `error calling …`.
pub(super) fn call(name: &str, arguments: &[Found]) -> Done<Found> {
    let first = arguments.first().and_then(Option::as_ref);
    let rest = arguments.get(1..).unwrap_or_default();
    let values = || arguments.iter().map(plain).collect::<Vec<_>>();
    let text = || {
        let told = |value: Value| if value.is_null() { "<no value>".into() } else { value };
        spaced(&values().into_iter().map(told).collect::<Vec<_>>())
    };
    let made = |value: Value| Ok(Some(Operand::made(value)));
    let less = || less(first, rest.first().and_then(Option::as_ref));
    let same = || equal(first, rest);
    match name {
        "not" => made((!truth(&first.cloned())).into()),
        "len" => made(length(first)?.into()),
        "index" => index(first, rest),
        "slice" => slice(first, rest),
        "print" => made(spaced(&values()).into()),
        "println" => made((values().iter().map(go_value).collect::<Vec<_>>().join(" ") + "\n").into()),
        "printf" => made(format(&go_value(&plain(&first.cloned())), rest).into()),
        "eq" if rest.is_empty() => Err("missing argument for comparison".into()),
        "eq" => made(same()?.into()),
        "ne" => made((!same()?).into()),
        "lt" => made(less()?.into()),
        "le" => made((less()? || same()?).into()),
        "gt" => made((!(less()? || same()?)).into()),
        "ge" => made((!less()?).into()),
        "html" => made(html(&text()).into()),
        "js" => made(javascript(&text()).into()),
        "urlquery" => made(form_urlencoded::byte_serialize(text().as_bytes()).collect::<String>().into()),
        "exists" => {
            let keys = &values()[1..];
            let start = first.map(|one| &one.value);
            let found = keys.iter().try_fold(start, |value, key| Some(Some(value?.get(key.as_str()?)?)));
            made(found.is_some().into())
        }
        "base64decode" => {
            let text = text();
            let decoded = base64::engine::general_purpose::STANDARD.decode(&text);
            let bytes = decoded.map_err(|_| {
                let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '\n' | '\r');
                let at = text.find(|c| !fits(c)).unwrap_or(text.len() / 4 * 4);
                format!("base64 decode failed: illegal base64 data at input byte {at}")
            })?;
            made(String::from_utf8_lossy(&bytes).into_owned().into())
        }
        // No value of JSON can be called; `call` is told by the one who knows its words.
        _ => Err("call of nil".into()),
    }
}

fn plain(found: &Found) -> Value {
    found.as_ref().map_or(Value::Null, |one| one.value.clone())
}

/// Go looks into what is not there, which it may not.
const NOTHING: &str = "reflect: call of reflect.Value.Type on zero Value";

fn length(item: Option<&Operand>) -> Done<usize> {
    let Some(item) = item else { return Err(NOTHING.into()) };
    match &item.value {
        Value::String(text) => Ok(text.len()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(map) => Ok(map.len()),
        Value::Null => Err("len of nil pointer".into()),
        _ => Err(format!("len of type {}", item.inner_type_name())),
    }
}

/// A place in a list of this length; the one behind its end is one, too.
fn place(key: &Found, length: usize) -> Done<usize> {
    let Some(key) = bare(key.clone()) else { return Err("cannot index slice/array with nil".into()) };
    let Some(at) = key.value.as_i64() else {
        return Err(format!("cannot index slice/array with type {}", key.inner_type_name()));
    };
    usize::try_from(at).ok().filter(|at| *at <= length).ok_or_else(|| format!("index out of range: {at}"))
}

fn index(item: Option<&Operand>, keys: &[Found]) -> Done<Found> {
    let Some(mut item) = bare(item.cloned()) else { return Err("index of untyped nil".into()) };
    for key in keys {
        item = match &item.value {
            Value::Array(items) => {
                let found = items.get(place(key, items.len())?);
                Operand::inside(found.ok_or("reflect: slice index out of range")?.clone())
            }
            Value::String(text) => {
                let found = text.as_bytes().get(place(key, text.len())?);
                Operand::made((*found.ok_or("reflect: string index out of range")?).into())
            }
            Value::Object(map) => match bare(key.clone()) {
                Some(Operand { value: Value::String(key), .. }) => {
                    Operand::inside(map.get(&key).cloned().unwrap_or(Value::Null))
                }
                Some(other) => {
                    return Err(format!("value has type {}; should be string", other.inner_type_name()));
                }
                None => return Err("value is nil; should be of type string".into()),
            },
            Value::Null => return Err("index of nil pointer".into()),
            _ => return Err(format!("can't index item of type {}", item.inner_type_name())),
        };
    }
    Ok(Some(item))
}

fn slice(item: Option<&Operand>, bounds: &[Found]) -> Done<Found> {
    let Some(item) = bare(item.cloned()) else { return Err("slice of untyped nil".into()) };
    if bounds.len() > 3 {
        return Err(format!("too many slice indexes: {}", bounds.len()));
    }
    let length = match &item.value {
        Value::String(_) if bounds.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        _ => return Err(format!("can't slice item of type {}", item.inner_type_name())),
    };
    let mut ends = [0, length, length];
    for (end, bound) in ends.iter_mut().zip(bounds) {
        *end = place(bound, length)?;
    }
    for pair in [[ends[0], ends[1]], [ends[1], ends[2]]] {
        if pair[0] > pair[1] {
            return Err(format!("invalid slice index: {} > {}", pair[0], pair[1]));
        }
    }
    Ok(Some(Operand::made(match &item.value {
        Value::String(text) => String::from_utf8_lossy(&text.as_bytes()[ends[0]..ends[1]]).into_owned().into(),
        Value::Array(items) => items[ends[0]..ends[1]].to_vec().into(),
        other => other.clone(),
    })))
}

/// Go's `fmt.Sprint`: a space between operands when neither is a text.
fn spaced(values: &[Value]) -> String {
    let mut out = String::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 && !value.is_string() && !values[at - 1].is_string() {
            out.push(' ');
        }
        out.push_str(&go_value(value));
    }
    out
}

/// What can be compared with what.
#[derive(PartialEq)]
enum Sort {
    Bool,
    Whole,
    Float,
    Text,
    Other,
}

fn sort(value: &Value) -> Sort {
    match value {
        Value::Bool(_) => Sort::Bool,
        Value::Number(number) if number.is_f64() => Sort::Float,
        Value::Number(_) => Sort::Whole,
        Value::String(_) => Sort::Text,
        Value::Null | Value::Array(_) | Value::Object(_) => Sort::Other,
    }
}

fn incompatible(a: &Operand, b: &Operand) -> String {
    format!("incompatible types for comparison: {} and {}", a.inner_type_name(), b.inner_type_name())
}

/// Whether a value is one of the others.
fn equal(first: Option<&Operand>, others: &[Found]) -> Done<bool> {
    let first = bare(first.cloned());
    for other in others {
        let same = match (&first, bare(other.clone())) {
            (None, None) => true,
            (None, Some(_)) | (Some(_), None) => false,
            (Some(a), Some(b)) if sort(&a.value) != sort(&b.value) => return Err(incompatible(a, &b)),
            (Some(a), Some(b)) if sort(&a.value) != Sort::Other => a.value == b.value,
            (Some(a), Some(b)) if a.inner_type_name() == b.inner_type_name() => {
                return Err(format!("non-comparable type {}: {}", as_text(&b.value), b.inner_type_name()));
            }
            (Some(a), Some(b)) => {
                let (shown, other) = (as_text(&a.value), go_value(&b.value));
                let (kind, other_kind) = (a.inner_type_name(), b.inner_type_name());
                return Err(format!("non-comparable types {shown}: {kind}, {other_kind}: {other}"));
            }
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn less(a: Option<&Operand>, b: Option<&Operand>) -> Done<bool> {
    let (Some(a), Some(b)) = (bare(a.cloned()), bare(b.cloned())) else {
        return Err("invalid type for comparison".into());
    };
    let (left, right) = (sort(&a.value), sort(&b.value));
    if left == Sort::Other || right == Sort::Other || (left == right && left == Sort::Bool) {
        return Err("invalid type for comparison".into());
    }
    match (&a.value, &b.value) {
        (Value::String(a), Value::String(b)) => Ok(a < b),
        (Value::Number(x), Value::Number(y)) if left == right => Ok(match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x < y,
            _ => x.as_f64() < y.as_f64(),
        }),
        _ => Err(incompatible(&a, &b)),
    }
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\'', "&#39;")
}

fn javascript(text: &str) -> String {
    let escaped = |letter: char| match letter {
        '\\' | '\'' | '"' => format!("\\{letter}"),
        '<' | '>' | '&' | '=' | '\0'..='\u{1f}' => format!("\\u{:04X}", u32::from(letter)),
        letter => letter.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// Go's `fmt.Sprintf` for the verbs that JSON values have.
fn format(pattern: &str, values: &[Found]) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-' | ' ' | '#')).unwrap_or(rest.len());
        let (flags, after) = rest.split_at(end);
        let Some(verb) = after.chars().next() else {
            out.push_str("%!(NOVERB)");
            return out;
        };
        rest = &after[verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = values.next() else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        out.push_str(&padded(flags, &formatted(verb, flags, value)));
    }
    out.push_str(rest);
    let left: Vec<String> = values.map(typed).collect();
    if !left.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", left.join(", ")));
    }
    out
}

/// `int64=3`
fn typed(found: &Found) -> String {
    match found {
        Some(one) if !one.value.is_null() => format!("{}={}", one.inner_type_name(), go_value(&one.value)),
        _ => "<nil>".into(),
    }
}

fn formatted(verb: char, flags: &str, found: &Found) -> String {
    let precision = flags.split_once('.').and_then(|(_, digits)| digits.parse::<usize>().ok());
    let value = plain(found);
    let whole = value.as_i64();
    match (verb, &value) {
        ('v', value) => signed(flags, value),
        ('T', _) => found.as_ref().map_or("<nil>", Operand::inner_type_name).to_owned(),
        ('s', Value::String(text)) => match precision {
            Some(limit) => text.chars().take(limit).collect(),
            None => text.clone(),
        },
        ('q', Value::String(text)) => super::super::super::failure::quote(text),
        ('s' | 'q', Value::Array(items)) => {
            let shown = |item: &Value| formatted(verb, "", &Some(Operand::inside(item.clone())));
            format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
        ('s', Value::Object(_)) => as_text(&value),
        ('t', Value::Bool(_)) => go_value(&value),
        ('d', Value::Number(_)) if whole.is_some() => signed(flags, &value),
        ('f' | 'F', Value::Number(number)) if number.is_f64() => {
            format!("{:.*}", precision.unwrap_or(6), number.as_f64().unwrap_or_default())
        }
        ('g', Value::Number(number)) if number.is_f64() => go_value(&value),
        _ => match (verb, whole) {
            ('x', Some(number)) => in_base(number, |number| format!("{number:x}")),
            ('X', Some(number)) => in_base(number, |number| format!("{number:X}")),
            ('o', Some(number)) => in_base(number, |number| format!("{number:o}")),
            ('b', Some(number)) => in_base(number, |number| format!("{number:b}")),
            ('c', Some(number)) => {
                u32::try_from(number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER).to_string()
            }
            _ => format!("%!{verb}({})", typed(found)),
        },
    }
}

/// A number with its sign, where a flag wants one.
fn signed(flags: &str, value: &Value) -> String {
    let sign = if flags.contains('+') && value.as_f64().is_some_and(|number| number >= 0.0) { "+" } else { "" };
    format!("{sign}{}", go_value(value))
}

fn in_base(number: i64, digits: impl Fn(u64) -> String) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", digits(number.unsigned_abs()))
}

/// A value as Go's `%s`: what is no text says so.
fn as_text(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(as_text).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let fields: Vec<String> = keys.into_iter().map(|key| format!("{key}:{}", as_text(&map[key]))).collect();
            format!("map[{}]", fields.join(" "))
        }
        Value::Bool(_) | Value::Number(_) => format!("%!s({})", typed(&Some(Operand::read(value.clone())))),
        Value::String(_) | Value::Null => go_value(value),
    }
}

fn padded(flags: &str, text: &str) -> String {
    let left = flags.contains('-');
    let digits = flags.trim_start_matches(['-', '+', ' ', '#']);
    let zero = digits.starts_with('0') && !left;
    let width: usize = digits.split('.').next().unwrap_or_default().parse().unwrap_or(0);
    let missing = width.saturating_sub(text.chars().count());
    match (left, zero) {
        (true, _) => format!("{text}{}", " ".repeat(missing)),
        (false, true) => format!("{}{text}", "0".repeat(missing)),
        (false, false) => format!("{}{text}", " ".repeat(missing)),
    }
}
