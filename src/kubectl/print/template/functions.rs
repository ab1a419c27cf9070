//! The functions of Go templates, over JSON values.

use std::cmp::Ordering;

use base64::Engine;
use serde_json::Value;

use super::super::go_value;
use super::Done;

/// What is printed of a value: texts bare, the rest as Go's `%v`.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        other => go_value(other),
    }
}

/// Whether a value counts as true: not zero and not empty.
pub(super) fn truth(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
    }
}

/// Calls a function by name.
pub(super) fn call(name: &str, arguments: &[Value]) -> Done<Value> {
    let first = arguments.first().unwrap_or(&Value::Null);
    let rest = arguments.get(1..).unwrap_or_default();
    let text = || arguments.iter().map(go_value).collect::<String>();
    let ordered = |fits: fn(Ordering) -> bool| compare(name, first, rest.first()).map(|order| Value::from(fits(order)));
    match name {
        "not" => Ok(Value::from(!truth(Some(first)))),
        "len" => length(first).map(Value::from),
        "index" => rest.iter().try_fold(first.clone(), |value, key| index(&value, key)),
        "slice" => slice(first, rest),
        "print" => Ok(Value::from(spaced(arguments))),
        "println" => Ok(Value::from(arguments.iter().map(go_value).collect::<Vec<_>>().join(" ") + "\n")),
        "printf" => Ok(Value::from(format(&go_value(first), rest))),
        "eq" => Ok(Value::from(rest.iter().any(|other| equal(first, other)))),
        "ne" => Ok(Value::from(!rest.first().is_some_and(|other| equal(first, other)))),
        "lt" => ordered(Ordering::is_lt),
        "le" => ordered(Ordering::is_le),
        "gt" => ordered(Ordering::is_gt),
        "ge" => ordered(Ordering::is_ge),
        "html" => Ok(Value::from(html(&text()))),
        "js" => Ok(Value::from(
            text().replace('\\', "\\\\").replace('\'', "\\'").replace('"', "\\\"").replace('\n', "\\u000A"),
        )),
        "urlquery" => Ok(Value::from(form_urlencoded::byte_serialize(text().as_bytes()).collect::<String>())),
        "exists" => Ok(Value::from(rest.iter().try_fold(first, |value, key| value.get(key.as_str()?)).is_some())),
        "base64decode" => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(text());
            let bytes = decoded.map_err(|why| format!("error calling base64decode: {why}"))?;
            Ok(Value::from(String::from_utf8_lossy(&bytes).into_owned()))
        }
        other => Err(format!("function \"{other}\" not defined")),
    }
}

fn length(value: &Value) -> Done<usize> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(map) => Ok(map.len()),
        Value::Null => Err("error calling len: len of nil pointer".into()),
        other => Err(format!("error calling len: len of type {}", go_value(other))),
    }
}

fn index(value: &Value, key: &Value) -> Done<Value> {
    match (value, key) {
        (Value::Array(items), Value::Number(at)) => {
            let at = at.as_i64().unwrap_or(-1);
            let found = usize::try_from(at).ok().and_then(|at| items.get(at));
            found.cloned().ok_or_else(|| format!("error calling index: index out of range: {at}"))
        }
        (Value::Object(map), Value::String(key)) => Ok(map.get(key).cloned().unwrap_or(Value::Null)),
        (Value::Null, _) => Err("error calling index: index of untyped nil".into()),
        _ => Err("error calling index: can't index item of this type".into()),
    }
}

fn slice(value: &Value, bounds: &[Value]) -> Done<Value> {
    let bound = |at: usize, default: usize| {
        bounds.get(at).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok()).unwrap_or(default)
    };
    let out_of_range = || "error calling slice: index out of range".to_owned();
    match value {
        Value::String(text) => {
            let part = text.get(bound(0, 0)..bound(1, text.len()));
            part.map(Value::from).ok_or_else(out_of_range)
        }
        Value::Array(items) => {
            let part = items.get(bound(0, 0)..bound(1, items.len()));
            part.map(|part| Value::Array(part.to_vec())).ok_or_else(out_of_range)
        }
        _ => Err("error calling slice: can't slice item of this type".into()),
    }
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

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn compare(name: &str, a: &Value, b: Option<&Value>) -> Done<Ordering> {
    let order = match (a, b) {
        (Value::Number(a), Some(Value::Number(b))) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Some(Value::String(b))) => Some(a.cmp(b)),
        _ => None,
    };
    order.ok_or_else(|| format!("error calling {name}: incompatible types for comparison"))
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\'', "&#39;")
}

/// Go's `fmt.Sprintf` for the verbs that JSON values have.
fn format(pattern: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(|c: char| c.is_alphabetic() || c == '%').unwrap_or(rest.len());
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
    out
}

fn formatted(verb: char, flags: &str, value: &Value) -> String {
    let precision = flags.split_once('.').and_then(|(_, digits)| digits.parse::<usize>().ok());
    match (verb, value) {
        ('q', Value::String(text)) => super::super::super::failure::quote(text),
        ('f', Value::Number(number)) => format!("{:.*}", precision.unwrap_or(6), number.as_f64().unwrap_or_default()),
        ('x', Value::Number(number)) => format!("{:x}", number.as_i64().unwrap_or_default()),
        ('T', value) => match value {
            Value::String(_) => "string",
            Value::Bool(_) => "bool",
            Value::Number(number) if number.is_f64() => "float64",
            Value::Number(_) => "int64",
            Value::Array(_) => "[]interface {}",
            Value::Object(_) => "map[string]interface {}",
            Value::Null => "<nil>",
        }
        .to_owned(),
        ('s', Value::String(text)) => match precision {
            Some(limit) => text.chars().take(limit).collect(),
            None => text.clone(),
        },
        ('s', value) if !matches!(value, Value::Array(_) | Value::Object(_)) => {
            let kind = if value.is_boolean() { "bool" } else { "int64" };
            format!("%!s({kind}={})", go_value(value))
        }
        ('d', Value::String(text)) => format!("%!d(string={text})"),
        _ => go_value(value),
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
