//! YAML as Kubernetes reads and writes it.
//!
//! In: a YAML document, the older rules of YAML 1.1 included (`yes` is true, `0644` is octal). Out: the
//! JSON it stands for. Keys become strings. A key that is set twice is told, the last one holds.

mod duplicates;
mod keys;
mod style;
mod words;
mod writer;

pub use writer::to_string;

use super::decode;
use serde_json::Value;

/// A document that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it says.
    pub value: Value,
    /// Keys that are set twice, in Kubernetes' words.
    pub duplicates: Vec<String>,
}

/// Why a text is no YAML: `yaml: line 2: mapping values are not allowed in this context`; or none that JSON could say:
/// `json: unsupported value: NaN`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct YamlError(String);

/// Reads one document as the JSON it stands for.
pub fn parse(bytes: &[u8]) -> Result<Value, YamlError> {
    parse_document(bytes).map(|document| document.value)
}

/// Reads one document, and tells the keys that are set twice.
pub fn parse_document(bytes: &[u8]) -> Result<Document, YamlError> {
    use serde_saphyr::DuplicateKeyPolicy::{Error, LastWins};
    // Most programs send JSON, which is YAML and which is read a good deal faster as what it is.
    if let Some(value) = plain_json(bytes) {
        return Ok(Document { value, duplicates: Vec::new() });
    }
    let bytes = first_document(bytes);
    if bytes.contains(&b'\t') && bytes.trim_ascii().is_empty() {
        return Err(YamlError("yaml: found character that cannot start any token".to_string()));
    }
    let strict = serde_saphyr::options! { duplicate_keys: Error, legacy_octal_numbers: true };
    let error = match serde_saphyr::from_slice_with_options::<Value>(bytes, strict) {
        Ok(value) => return Ok(Document { value, duplicates: Vec::new() }),
        Err(error) => error,
    };
    let relaxed = serde_saphyr::options! { duplicate_keys: LastWins, legacy_octal_numbers: true };
    match serde_saphyr::from_slice_with_options::<Value>(bytes, relaxed) {
        Ok(value) => Ok(Document { value, duplicates: duplicates(bytes, &error) }),
        Err(error) => Err(YamlError(words::of(&error, bytes))),
    }
}

/// Of several documents the first one counts; what follows is not even read.
fn first_document(text: &[u8]) -> &[u8] {
    let mut at = 0;
    let mut begun = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let plain = line.trim_ascii_end();
        let mark = |mark: &[u8]| line.starts_with(mark) && line.get(3).is_none_or(|byte| byte.is_ascii_whitespace());
        if begun && (mark(b"---") || mark(b"...")) {
            return &text[..at];
        }
        begun |= mark(b"---") || !(plain.is_empty() || plain.starts_with(b"#") || plain.starts_with(b"%"));
        at += line.len();
    }
    text
}

/// The value of a JSON object in which a YAML reader would find the same: without tabs and escapes
/// by number, which YAML treats otherwise.
fn plain_json(bytes: &[u8]) -> Option<Value> {
    let alike = bytes.starts_with(b"{") && !bytes.contains(&b'\t') && !bytes.windows(2).any(|pair| pair == b"\\u");
    alike.then(|| decode::plain_json(bytes)).flatten()
}

fn line(error: &serde_saphyr::Error) -> u64 {
    error.location().map_or(0, |location| location.line())
}

/// All of them in one text, as Kubernetes' reader tells them; when they cannot be found, the one that the
/// reader met.
fn duplicates(bytes: &[u8], error: &serde_saphyr::Error) -> Vec<String> {
    let mut found = duplicates::of(&String::from_utf8_lossy(bytes));
    if found.is_empty() {
        let key = match error.without_snippet() {
            serde_saphyr::Error::DuplicateMappingKey { key, .. } => key.clone().unwrap_or_default(),
            other => other.to_string(),
        };
        found.push((usize::try_from(line(error)).unwrap_or(0), key));
    }
    let lines = found.iter().map(|(line, key)| format!("\n  line {line}: key {key:?} already set in map"));
    vec![format!("yaml: unmarshal errors:{}", lines.collect::<String>())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_are_libyamls() {
        let cases = [
            ("a: b: c", "yaml: mapping values are not allowed in this context"),
            ("x: 1\na: b: c", "yaml: line 2: mapping values are not allowed in this context"),
            ("a:\n  b: 1\n c: 2", "yaml: line 2: did not find expected key"),
            ("a: [", "yaml: line 1: did not find expected node content"),
            ("a: [1, 2", "yaml: line 1: did not find expected ',' or ']'"),
            ("a: [1,\n2", "yaml: line 2: did not find expected ',' or ']'"),
            ("a: {b: 1\n", "yaml: line 1: did not find expected ',' or '}'"),
            ("a: \"x", "yaml: found unexpected end of stream"),
            ("a: 1\nb: *c", "yaml: unknown anchor 'c' referenced"),
            ("%", "yaml: could not find expected directive name"),
            ("\t", "yaml: found character that cannot start any token"),
            ("a: * b", "yaml: did not find expected alphabetic or numeric character"),
            ("a: @x", "yaml: found character that cannot start any token"),
            ("a: 'it's'", "yaml: did not find expected key"),
            ("x: 1\na: \"say \"hi\"\"", "yaml: line 1: did not find expected key"),
            ("a: [1}", "yaml: did not find expected ',' or ']'"),
            ("a: 1\nb", "yaml: line 3: could not find expected ':'"),
            ("a: 1\nb\n", "yaml: line 3: could not find expected ':'"),
            ("a\nb: 1", "yaml: line 2: mapping values are not allowed in this context"),
            ("a: 1\n\tb: 2", "yaml: line 2: found a tab character that violates indentation"),
            ("a: \u{1}", "yaml: control characters are not allowed"),
            ("<<: 5", "yaml: map merge requires map or sequence of maps as the value"),
            ("a: .inf", "json: unsupported value: +Inf"),
            ("a: {{ .x }}", "yaml: invalid map key: map[interface {}]interface {}{\".x\":interface {}(nil)}"),
            ("? [a, 1]\n: b", "yaml: invalid map key: []interface {}{\"a\", 1}"),
        ];
        for (text, error) in cases {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), error, "{text}");
        }
    }

    #[test]
    fn of_several_documents_the_first_counts() {
        for text in ["---\na: 1\n---\nb: [", "# x\na: 1\n...\n]", "a: 1\n--- b\n"] {
            assert_eq!(parse(text.as_bytes()), Ok(json!({"a": 1})), "{text}");
        }
        assert_eq!(parse(b"a: |\n  ---\n"), Ok(json!({"a": "---\n"})));
    }

    #[test]
    fn json_is_read_as_yaml_would_read_it() {
        let read = |text: &str| plain_json(text.as_bytes());
        let texts = [
            r#"{"a":"yes","b":[true,null,0,-7,18446744073709551615],"c":{"0x10":"1e3","":"\\n\"~"},"d":"é/\/"}"#,
            "{\n  \"a\": [\n    {\"b\": \"1_000\"}\n  ],\n  \"c\": {}\n}\n",
        ];
        for text in texts {
            let yaml: Value = serde_saphyr::from_str(text).unwrap();
            assert_eq!(read(text), Some(yaml), "{text}");
        }
        let unlike = [r#"{"a":1,"a":2}"#, r#"{"a":1.5}"#, r#"{"a":"\u00e9"}"#, "{\t\"a\":1}", "{a: 1}", "[1]", "{} x"];
        for text in unlike {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let tricky = [
            "yes",
            "on",
            "null",
            "~",
            "1e3",
            "0644",
            "0x10",
            "true",
            "2020-01-02",
            "a: b",
            "- x",
            "",
            " a",
            "a\nb\n",
            "*a",
            "1_000",
            ".inf",
            "12:30:45",
            "<<",
            "y",
            "\t",
            "\u{1}",
            "a #b",
            "\"",
            "-1",
            "key:",
        ];
        for text in tricky {
            // A key of several lines is written `? |`, as Kubernetes writes it; the reader does not know that.
            let key = if text.contains('\n') { "key" } else { text };
            let value = json!({"k": text, "m": {key: 1}, "l": [text, {"a": text}]});
            assert_eq!(parse(to_string(&value).as_bytes()), Ok(value));
        }
    }
}
