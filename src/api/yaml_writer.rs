//! YAML as Kubernetes writes it: `kubectl get -o yaml`, `Accept: application/yaml`.
//!
//! In: a JSON value. Out: the text that `sigs.k8s.io/yaml` makes of it: keys in its natural order, two
//! spaces a level, list items level with their key, each string in the plainest style that reads back as
//! the same string, and plain or quoted text folded at a space once a line is past column 80.
//!
//! One file because the styles of a string, and what tells them apart, are read together.
//! Source: the rules of libyaml's emitter and the resolver of `go.yaml.in/yaml/v2`.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// A line is folded at the next space once it has passed this column.
const BEST_WIDTH: usize = 80;
/// A key longer than this (in bytes) is written as `? key`.
const LONGEST_SIMPLE_KEY: usize = 128;

/// Writes a value as one YAML document.
pub fn to_string(value: &Value) -> String {
    let mut out = Writer { text: String::new(), column: 0 };
    match value {
        Value::Object(map) if !map.is_empty() => out.mapping(map, 0, false),
        Value::Array(items) if !items.is_empty() => out.sequence(items, 0, false),
        other => out.scalar(other, 0),
    }
    out.line_break();
    out.text
}

struct Writer {
    text: String,
    column: usize,
}

/// How a string is written.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

impl Writer {
    fn put(&mut self, letter: char) {
        self.text.push(letter);
        self.column += 1;
    }

    fn write(&mut self, text: &str) {
        text.chars().for_each(|letter| self.put(letter));
    }

    fn line_break(&mut self) {
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.column = 0;
    }

    fn indent(&mut self, columns: usize) {
        self.line_break();
        (0..columns).for_each(|_| self.put(' '));
    }

    /// `started`: the first key goes on the line that `- ` began.
    fn mapping(&mut self, map: &Map<String, Value>, indent: usize, started: bool) {
        let mut keys: Vec<&String> = map.keys().collect();
        keys.sort_by(|a, b| natural_order(a, b));
        for (at, key) in keys.into_iter().enumerate() {
            if at > 0 || !started && indent > 0 {
                self.indent(indent);
            }
            let simple = !key.contains('\n') && key.len() <= LONGEST_SIMPLE_KEY;
            if !simple {
                self.write("? ");
            }
            self.string(key, indent, simple);
            if !simple {
                self.indent(indent);
            }
            self.put(':');
            self.value(&map[key], indent);
        }
    }

    fn sequence(&mut self, items: &[Value], indent: usize, started: bool) {
        for (at, item) in items.iter().enumerate() {
            if at > 0 || (!started && indent > 0) || (!started && !self.text.is_empty()) {
                self.indent(indent);
            }
            self.write("- ");
            match item {
                Value::Object(map) if !map.is_empty() => self.mapping(map, indent + 2, true),
                Value::Array(inner) if !inner.is_empty() => self.sequence(inner, indent + 2, true),
                other => self.scalar(other, indent + 2),
            }
        }
    }

    /// What follows `key:`.
    fn value(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => self.mapping(map, indent + 2, false),
            Value::Array(items) if !items.is_empty() => self.sequence(items, indent, false),
            other => {
                self.put(' ');
                self.scalar(other, indent + 2);
            }
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.write("null"),
            Value::Bool(true) => self.write("true"),
            Value::Bool(false) => self.write("false"),
            Value::Number(number) => self.write(&number_text(number)),
            Value::String(text) => self.string(text, indent, false),
            Value::Array(_) => self.write("[]"),
            Value::Object(_) => self.write("{}"),
        }
    }

    fn string(&mut self, text: &str, indent: usize, key: bool) {
        match style(text, key) {
            Style::Plain => self.folded(text, indent, !key, false),
            Style::Single => {
                self.put('\'');
                self.folded(text, indent, !key, true);
                self.put('\'');
            }
            Style::Double => self.double_quoted(text, indent, !key),
            Style::Literal => self.literal(text, indent),
        }
    }

    /// Plain and single-quoted text: a single space past the best width becomes a line's end.
    fn folded(&mut self, text: &str, indent: usize, breaks: bool, quoted: bool) {
        let letters: Vec<char> = text.chars().collect();
        let mut after_space = false;
        for (at, &letter) in letters.iter().enumerate() {
            let inside = !quoted || (at > 0 && at + 1 < letters.len());
            let alone = letters.get(at + 1).is_some_and(|next| *next != ' ');
            if letter == ' ' && breaks && !after_space && self.column > BEST_WIDTH && inside && alone {
                self.indent(indent);
            } else {
                if letter == '\'' && quoted {
                    self.put('\'');
                }
                self.put(letter);
            }
            after_space = letter == ' ';
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, breaks: bool) {
        let letters: Vec<char> = text.chars().collect();
        let mut after_space = false;
        self.put('"');
        for (at, &letter) in letters.iter().enumerate() {
            if needs_escape(letter) {
                self.write(&escape(letter));
                after_space = false;
                continue;
            }
            let inside = at > 0 && at + 1 < letters.len();
            if letter == ' ' && breaks && !after_space && self.column > BEST_WIDTH && inside {
                self.indent(indent);
                if letters.get(at + 1) == Some(&' ') {
                    self.put('\\');
                }
            } else {
                self.put(letter);
            }
            after_space = letter == ' ';
        }
        self.put('"');
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put('|');
        if text.starts_with([' ', '\n', '\r']) {
            self.put('2');
        }
        let without = text.strip_suffix('\n');
        match without {
            None => self.put('-'),
            Some(rest) if rest.is_empty() || rest.ends_with('\n') => self.put('+'),
            Some(_) => {}
        }
        self.text.push('\n');
        self.column = 0;
        let body = without.unwrap_or(text);
        for (at, line) in body.split('\n').enumerate() {
            if at > 0 {
                self.text.push('\n');
                self.column = 0;
            }
            if !line.is_empty() {
                (0..indent).for_each(|_| self.put(' '));
                self.write(line);
            }
        }
        if without.is_some() {
            self.text.push('\n');
            self.column = 0;
        }
    }
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if !number.is_i64() && !number.is_u64() => go_float(float),
        _ => number.to_string(),
    }
}

/// Go's shortest `%g`: an exponent below -4 and from 21 on.
fn go_float(float: f64) -> String {
    if float == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..21).contains(&exponent) {
        return float.to_string();
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn printable(letter: char) -> bool {
    matches!(letter, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && letter != '\u{feff}'
}

fn is_break(letter: char) -> bool {
    matches!(letter, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn needs_escape(letter: char) -> bool {
    !printable(letter) || is_break(letter) || matches!(letter, '"' | '\\')
}

fn escape(letter: char) -> String {
    let short = match letter {
        '\0' => "0",
        '\u{7}' => "a",
        '\u{8}' => "b",
        '\t' => "t",
        '\n' => "n",
        '\u{b}' => "v",
        '\u{c}' => "f",
        '\r' => "r",
        '\u{1b}' => "e",
        '"' => "\"",
        '\\' => "\\",
        '\u{85}' => "N",
        '\u{a0}' => "_",
        '\u{2028}' => "L",
        '\u{2029}' => "P",
        other => {
            return match u32::from(other) {
                code @ ..=0xff => format!("\\x{code:02X}"),
                code @ ..=0xffff => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}

fn style(text: &str, key: bool) -> Style {
    let facts = Facts::of(text);
    let wanted = match () {
        () if text.contains('\n') => Style::Literal,
        () if is_plain_string(text) => Style::Plain,
        () => Style::Double,
    };
    let wanted = if key && facts.breaks { Style::Double } else { wanted };
    match wanted {
        Style::Plain if facts.plain && !(text.is_empty() && key) => Style::Plain,
        Style::Plain if facts.single => Style::Single,
        Style::Literal if facts.block && !key => Style::Literal,
        _ => Style::Double,
    }
}

/// What a text's letters allow.
struct Facts {
    breaks: bool,
    plain: bool,
    single: bool,
    block: bool,
}

impl Facts {
    fn of(text: &str) -> Facts {
        let letters: Vec<char> = text.chars().collect();
        let blank = |at: usize| letters.get(at).is_none_or(|letter| matches!(letter, ' ' | '\t'));
        let after_blank = |at: usize| matches!(letters[at - 1], ' ' | '\t') || is_break(letters[at - 1]);
        let indicator = |at: usize, letter: char| match (at, letter) {
            (0, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`') => true,
            (0, '?' | ':' | '-') => blank(1),
            (at, ':') => blank(at + 1),
            (at, '#') => after_blank(at),
            _ => false,
        };
        let indicators = text.starts_with("---")
            || text.starts_with("...")
            || letters.iter().enumerate().any(|(at, letter)| indicator(at, *letter));
        let breaks = letters.iter().any(|letter| is_break(*letter));
        let edge = |letter: Option<&char>| letter.is_some_and(|letter| *letter == ' ' || is_break(*letter));
        let pair = |first: fn(char) -> bool, second: fn(char) -> bool| {
            letters.windows(2).any(|pair| first(pair[0]) && second(pair[1]))
        };
        let break_space = pair(is_break, |letter| letter == ' ');
        let space_break = pair(|letter| letter == ' ', is_break);
        let special = letters.iter().any(|letter| !printable(*letter));
        let trailing_space = letters.last() == Some(&' ');
        let edges = edge(letters.first()) || edge(letters.last());
        Facts {
            breaks,
            plain: !(indicators || breaks || edges || break_space || space_break || special),
            single: !(break_space || space_break || special),
            block: !(trailing_space || space_break || special || text.is_empty()),
        }
    }
}

/// Whether a plain text would be read as a string, and not as a number, a boolean, null or a time.
fn is_plain_string(text: &str) -> bool {
    const WORDS: [&str; 26] = [
        "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "n", "N", "no", "No", "NO", "false",
        "False", "FALSE", "off", "Off", "OFF", "~", "null", "Null", "NULL",
    ];
    const SIGNS: [&str; 10] = ["", "<<", ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "-.inf"];
    const MORE: [&str; 4] = ["+.Inf", "+.INF", "-.Inf", "-.INF"];
    if WORDS.contains(&text) || SIGNS.contains(&text) || MORE.contains(&text) {
        return false;
    }
    match text.as_bytes()[0] {
        b'.' => text.parse::<f64>().is_err() || !text.bytes().all(|b| b.is_ascii_digit() || b".eE+-_".contains(&b)),
        b'+' | b'-' | b'0'..=b'9' => {
            let plain = text.replace('_', "");
            !(is_timestamp(text) || is_integer(&plain) || is_float(&plain) || is_base_60(text))
        }
        _ => true,
    }
}

/// Go's `strconv.ParseInt(text, 0, 64)`, or `ParseUint`.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = digits.to_ascii_lowercase();
    let (base, rest) = match () {
        () if lower.starts_with("0x") => (16, &lower[2..]),
        () if lower.starts_with("0b") => (2, &lower[2..]),
        () if lower.starts_with("0o") => (8, &lower[2..]),
        () if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        () => (10, lower.as_str()),
    };
    !rest.is_empty() && !rest.starts_with(['+', '-']) && u64::from_str_radix(rest, base).is_ok()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_fits = all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    exponent_fits && mantissa_fits && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// `12:30:45`, which YAML 1.1 reads as a number.
fn is_base_60(text: &str) -> bool {
    let mut parts = text.strip_prefix(['+', '-']).unwrap_or(text).split(':');
    let first = parts.next().unwrap_or_default();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else { return false };
    let sixty = |part: &str| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    let fraction_fits = fraction.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    digits(first)
        && first.as_bytes()[0] != b'_'
        && middle.iter().all(|part| sixty(part))
        && sixty(last)
        && fraction_fits
}

/// `2006-1-2`, alone or with a time behind `T`, `t` or a space.
fn is_timestamp(text: &str) -> bool {
    let number = |part: &str, most: u32| {
        (1..=2).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u32>().is_ok_and(|number| number <= most)
    };
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let date_fits = year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()) && number(month, 12) && number(day, 31);
    let time_fits = time.is_none_or(|time| {
        let zoned = !time.starts_with(' ');
        let clock = &time[1..];
        let (clock, zone) = match clock.find(['Z', '+', '-']) {
            Some(at) => (&clock[..at], &clock[at..]),
            None => (clock, ""),
        };
        let parts: Vec<&str> = clock.split(':').collect();
        let [hour, minute, second] = parts[..] else { return false };
        let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
        let zone_fits = zone == "Z" || (zone.len() == 6 && zone.as_bytes()[3] == b':');
        number(hour, 23)
            && number(minute, 59)
            && number(second, 59)
            && fraction.bytes().all(|byte| byte.is_ascii_digit())
            && (if zoned { zone_fits } else { zone.is_empty() })
    });
    date_fits && time_fits
}

/// The order of keys: numbers inside names count as numbers, letters come after other signs.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = (0..a.len().min(b.len())).find(|at| a[*at] != b[*at]) else { return a.len().cmp(&b.len()) };
    let (left, right) = (a[at], b[at]);
    match (left.is_alphabetic(), right.is_alphabetic()) {
        (true, true) => return left.cmp(&right),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let digits_before = a[..at].iter().rev().take_while(|letter| letter.is_ascii_digit());
    let started = (left == '0' || right == '0') && digits_before.clone().any(|letter| *letter != '0');
    let number = |letters: &[char]| {
        let digits = letters[at..].iter().take_while(|letter| letter.is_ascii_digit());
        let start = i64::from(started);
        digits.fold((start, at), |(number, end), digit| {
            let value = i64::from(u32::from(*digit) - u32::from('0'));
            (number.wrapping_mul(10).wrapping_add(value), end + 1)
        })
    };
    number(&a).cmp(&number(&b)).then(left.cmp(&right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn strings_are_written_in_the_plainest_style_that_reads_back() {
        let table = [
            ("plain", "plain"),
            ("", "\"\""),
            ("yes", "\"yes\""),
            ("1", "\"1\""),
            ("1.5", "\"1.5\""),
            ("100m", "100m"),
            ("0x1f", "\"0x1f\""),
            ("12:30", "\"12:30\""),
            ("10.0.0.1", "10.0.0.1"),
            ("2020-01-02", "\"2020-01-02\""),
            ("2020-01-02T03:04:05Z", "\"2020-01-02T03:04:05Z\""),
            ("a: b", "'a: b'"),
            ("a:b", "a:b"),
            ("it's", "it's"),
            ("'quoted'", "'''quoted'''"),
            ("*star", "'*star'"),
            (" lead", "' lead'"),
            ("tab\there", "\"tab\\there\""),
            ("a\nb\n", "|\n  a\n  b"),
            ("a\nb", "|-\n  a\n  b"),
            ("- x", "'- x'"),
            ("-x", "-x"),
            ("a #b", "'a #b'"),
        ];
        for (text, expected) in table {
            assert_eq!(to_string(&json!({"k": text})), format!("k: {expected}\n"), "{text:?}");
        }
    }

    #[test]
    fn lists_stand_level_with_their_key() {
        let value = json!({"b": [{"y": 1, "x": [1, [2]]}, "s"], "a": {}, "c": [], "d": null, "e10": 1, "e9": 1.5});
        let text = "a: {}\nb:\n- x:\n  - 1\n  - - 2\n  \"y\": 1\n- s\nc: []\nd: null\ne9: 1.5\ne10: 1\n";
        assert_eq!(to_string(&value), text);
    }

    #[test]
    fn long_text_is_folded_at_a_space() {
        let words = "0/1 nodes are available: 1 node(s) had a taint that the pod does not tolerate, and so on and on";
        let text = "message: '0/1 nodes are available: 1 node(s) had a taint that the pod does not tolerate,\n  and so on and on'\n";
        assert_eq!(to_string(&json!({"message": words})), text);
    }
}
