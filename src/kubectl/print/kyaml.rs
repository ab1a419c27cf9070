//! KYAML: YAML that is always quoted and braced, so that no indentation and no bare word can surprise.

use serde_json::Value;

/// Writes an object as one KYAML document, its keys sorted.
pub fn to_string(value: &Value) -> String {
    document(value, true)
}

/// Writes an object as one KYAML document, its keys as they stand.
pub fn in_order(value: &Value) -> String {
    document(value, false)
}

fn document(value: &Value, sorted: bool) -> String {
    let mut text = "---\n".to_owned();
    write(value, 0, sorted, &mut text);
    text.push('\n');
    text
}

fn write(value: &Value, depth: usize, sorted: bool, text: &mut String) {
    let line = |depth: usize, text: &mut String| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Object(map) if map.is_empty() => text.push_str("{}"),
        Value::Array(items) if items.is_empty() => text.push_str("[]"),
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            if sorted {
                keys.sort();
            }
            text.push('{');
            for key in keys {
                line(depth + 1, text);
                text.push_str(&self::key(key));
                text.push_str(": ");
                write(&map[key], depth + 1, sorted, text);
                text.push(',');
            }
            line(depth, text);
            text.push('}');
        }
        Value::Array(items) if items.iter().all(|item| item.is_object() && item != &serde_json::json!({})) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push_str(", ");
                }
                write(item, depth, sorted, text);
            }
            text.push(']');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                line(depth + 1, text);
                write(item, depth + 1, sorted, text);
                text.push(',');
            }
            line(depth, text);
            text.push(']');
        }
        Value::String(string) => text.push_str(&quoted(string, depth)),
        other => text.push_str(&other.to_string()),
    }
}

/// A key stays bare where it is plainly a word.
fn key(key: &str) -> String {
    const WORDS: [&str; 12] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", "is", "not"];
    let bare = key.chars().next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && key.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-./".contains(letter))
        && !WORDS[..10].contains(&key.to_lowercase().as_str());
    if bare { key.to_owned() } else { super::super::failure::quote(key) }
}

/// A text with line breaks goes over several lines, each escaped at its end.
fn quoted(string: &str, depth: usize) -> String {
    if !string.contains('\n') {
        return super::super::failure::quote(string);
    }
    let indent = "  ".repeat(depth + 1);
    let mut text = "\"\\\n".to_owned();
    for line in string.split_inclusive('\n') {
        let inner = super::super::failure::quote(line);
        // A space at the beginning would be taken for indentation.
        let lead = if line.starts_with(' ') { '\\' } else { ' ' };
        text.push_str(&format!("{indent}{lead}{}\\\n", &inner[1..inner.len() - 1]));
    }
    text.push_str(&format!("{indent}\""));
    text
}
