//! Values as texts: `string(x)` and `'%s'.format([x])`.
//!
//! In: values. Out: the text that cel-go makes of them. Whole lists and maps are written as CEL would write
//! them, numbers with `%f` and `%e` as Americans do. Source: cel-go, `ext/formatting.go`.

use cel::Value as Cel;
use cel::objects::Key;

use super::call;
use super::functions::{Answer, Own};
use crate::api::field_error::go_quote;

/// `string(x)`.
pub(super) fn string(value: &Cel) -> Answer {
    text_of(value).map(|text| Cel::String(text.into()))
}

fn text_of(value: &Cel) -> Result<String, String> {
    match value {
        Cel::Float(number) => Ok(float(*number)),
        Cel::Opaque(opaque) => match opaque.downcast_ref::<Own>() {
            Some(Own::Ip(ip)) => Ok(ip.to_string()),
            Some(Own::Cidr(ip, bits)) => Ok(format!("{ip}/{bits}")),
            _ => convert(value),
        },
        other => convert(other),
    }
}

/// As the language itself does it.
fn convert(value: &Cel) -> Result<String, String> {
    match call("string", std::slice::from_ref(value))? {
        Cel::String(text) => Ok((*text).clone()),
        _ => Err("no such overload".to_owned()),
    }
}

/// As Go's `%g`.
fn float(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let shown = format!("{number:e}");
    let (digits, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || number.is_nan() || (-4..6).contains(&exponent) {
        return number.to_string();
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// `'…'.format([…])`.
pub(super) fn format(pattern: &str, given: &[Cel]) -> Answer {
    let (mut out, mut rest, mut used) = (String::new(), pattern, 0);
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let value = given.get(used).ok_or_else(|| format!("index {used} out of range"))?;
        used += 1;
        let mut precision = 6;
        if let Some(after) = rest.strip_prefix('.') {
            rest = after.trim_start_matches(|letter: char| letter.is_ascii_digit());
            precision = after[..after.len() - rest.len()].parse().unwrap_or(precision);
        }
        let mut letters = rest.chars();
        let letter = letters.next().ok_or_else(|| "unexpected end of string".to_owned())?;
        rest = letters.as_str();
        out.push_str(&clause(letter, precision, value).map_err(|why| format!("error during formatting: {why}"))?);
    }
    out.push_str(rest);
    Ok(Cel::String(out.into()))
}

fn clause(letter: char, precision: usize, value: &Cel) -> Result<String, String> {
    let kind = || super::type_name(value);
    let number = match value {
        Cel::String(text) if matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity") => text.parse().ok(),
        Cel::Float(number) => Some(*number),
        _ => None,
    };
    Ok(match (letter, value) {
        ('s', value) => plain(value)?,
        ('d', Cel::Int(number)) => number.to_string(),
        ('d', Cel::UInt(number)) => number.to_string(),
        ('d', _) => return Err(format!("decimal clause can only be used on integers, was given {}", kind())),
        ('f', _) => match number {
            Some(number) => grouped(&format!("{number:.precision$}"), number),
            None => return Err(format!("fixed-point clause can only be used on doubles, was given {}", kind())),
        },
        ('e', _) => match number {
            Some(number) => scientific(number),
            None => return Err(format!("scientific clause can only be used on doubles, was given {}", kind())),
        },
        ('b', Cel::Bool(bool)) => u8::from(*bool).to_string(),
        ('b' | 'o' | 'x' | 'X', Cel::Int(number)) => {
            let sign = if *number < 0 { "-" } else { "" };
            format!("{sign}{}", in_base(letter, number.unsigned_abs()))
        }
        ('b' | 'o' | 'x' | 'X', Cel::UInt(number)) => in_base(letter, *number),
        ('x' | 'X', Cel::String(text)) => hex(letter, text.as_bytes()),
        ('x' | 'X', Cel::Bytes(bytes)) => hex(letter, bytes),
        ('b', _) => return Err(format!("only integers and bools can be formatted as binary, was given {}", kind())),
        ('o', _) => return Err(format!("octal clause can only be used on integers, was given {}", kind())),
        ('x' | 'X', _) => {
            let takes = "only integers, byte buffers, and strings can be formatted as hex";
            return Err(format!("{takes}, was given {}", kind()));
        }
        (other, _) => {
            return Err(format!("could not parse formatting clause: unrecognized formatting clause \"{other}\""));
        }
    })
}

fn in_base(letter: char, number: u64) -> String {
    match letter {
        'b' => format!("{number:b}"),
        'o' => format!("{number:o}"),
        'x' => format!("{number:x}"),
        _ => format!("{number:X}"),
    }
}

fn hex(letter: char, bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if letter == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") }).collect()
}

/// `1,234.5`
fn grouped(shown: &str, number: f64) -> String {
    if !number.is_finite() {
        return if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "∞"
        } else {
            "-∞"
        }
        .to_owned();
    }
    let (sign, digits) = shown.strip_prefix('-').map_or(("", shown), |digits| ("-", digits));
    let (whole, rest) = digits.find('.').map_or((digits, ""), |at| digits.split_at(at));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    format!("{sign}{out}{rest}")
}

/// `1.200000×10⁰³`; what precision was asked for does not count.
fn scientific(number: f64) -> String {
    if !number.is_finite() {
        return grouped("", number);
    }
    let shown = format!("{number:.6e}");
    let (digits, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let raised = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let high = format!("{:02}", exponent.abs());
    let high: String = high.bytes().map(|digit| raised[usize::from(digit - b'0')]).collect();
    format!("{digits}×10{}{high}", if exponent < 0 { "⁻" } else { "" })
}

/// As `%s` writes a value.
fn plain(value: &Cel) -> Result<String, String> {
    match value {
        Cel::List(items) => {
            let items: Result<Vec<String>, String> = items.iter().map(inner).collect();
            Ok(format!("[{}]", items?.join(", ")))
        }
        Cel::Map(map) => {
            let pairs = map.map.iter().map(|(key, value)| Ok(format!("{}:{}", key_text(key), inner(value)?)));
            let mut pairs = pairs.collect::<Result<Vec<String>, String>>()?;
            pairs.sort();
            Ok(format!("{{{}}}", pairs.join(", ")))
        }
        Cel::Null => Ok("null".to_owned()),
        Cel::Opaque(opaque) if opaque.downcast_ref::<Own>().is_some() => {
            let takes = "strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps";
            Err(format!("string clause can only be used on {takes}, was given {}", super::type_name(value)))
        }
        Cel::Opaque(_) => {
            match super::call_on(Some(&Cel::String("%s".to_owned().into())), "format", &[list_of(value)])? {
                Cel::String(text) => Ok((*text).clone()),
                _ => Err("no such overload".to_owned()),
            }
        }
        other => text_of(other),
    }
}

fn list_of(value: &Cel) -> Cel {
    Cel::List(vec![value.clone()].into())
}

/// As a value in a list or a map is written.
fn inner(value: &Cel) -> Result<String, String> {
    let shown = plain(value)?;
    Ok(match value {
        Cel::String(_) => go_quote(&shown),
        Cel::Bytes(_) => format!("b{}", go_quote(&shown)),
        Cel::Float(number) if !number.is_finite() => go_quote(&shown),
        Cel::Float(number) => format!("{number:.6}"),
        Cel::Timestamp(_) => format!("timestamp({})", go_quote(&shown)),
        Cel::Duration(_) => format!("duration({})", go_quote(&shown)),
        _ => shown,
    })
}

fn key_text(key: &Key) -> String {
    match key {
        Key::Int(number) => number.to_string(),
        Key::Uint(number) => number.to_string(),
        Key::Bool(bool) => bool.to_string(),
        Key::String(text) => go_quote(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::cel::to_cel;
    use serde_json::json;

    #[test]
    fn values_are_written_as_cel_go_writes_them() {
        for (pattern, given, expected) in [
            ("%s %d %f%%", json!(["a", 1, 1234.5]), "a 1 1,234.500000%"),
            ("%.2f %e %x %X %o %b", json!([1.234, 1200.5, 255, 255, 8, 5]), "1.23 1.200500×10⁰³ ff FF 10 101"),
            ("%s", json!([[1, "a", true, null]]), "[1, \"a\", true, null]"),
            ("%s", json!([{"b": [2], "a": 1.5}]), "{\"a\":1.500000, \"b\":[2]}"),
            ("%s", json!([1e21]), "1e+21"),
            ("%x", json!(["hi"]), "6869"),
        ] {
            let Cel::List(items) = to_cel(&given) else { panic!("a list") };
            assert_eq!(format(pattern, &items), Ok(Cel::String(expected.to_owned().into())), "{pattern}");
        }
        assert_eq!(
            format("%d", &[Cel::Bool(true)]).unwrap_err(),
            "error during formatting: decimal clause can only be used on integers, was given bool"
        );
    }
}
