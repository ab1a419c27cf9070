//! YAML as Kubernetes writes it: `kubectl get -o yaml`, `Accept: application/yaml`.
//!
//! In: a JSON value. Out: the text that `sigs.k8s.io/yaml` makes of it: keys in its natural order, two
//! spaces a level, list items level with their key, each string in the plainest style that reads back as
//! the same string, and plain or quoted text folded at a space once a line is past column 80.
//!
//! Source: the rules of libyaml's emitter.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::style::{Style, escape, needs_escape, style};

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
