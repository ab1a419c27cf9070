//! JSONPath templates: `{.metadata.name}{"\n"}`, `{range .items[*]}…{end}`.
//!
//! In: a template and an object. Out: text. What stands outside braces is printed as it is; inside, paths
//! (`api::jsonpath`) print what they find, with a space between several values.

use serde_json::Value;

use super::super::failure::{Failure, Result};
use crate::api::jsonpath::{JsonPath, PathError};

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
    missing_is_error: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    /// A word that begins no path. It stands for nothing.
    Word(String),
    Path {
        path: JsonPath,
        text: String,
        from_root: bool,
    },
    Range {
        path: JsonPath,
        from_root: bool,
        body: Vec<Part>,
    },
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str, missing_is_error: bool) -> Result<Template> {
        let wrong = |why: PathError| Failure::new(format!("error parsing jsonpath {text}, {}\n", why.0));
        let mut actions = actions(text).map_err(wrong)?.into_iter();
        let parts = parts(&mut actions, false).map_err(wrong)?;
        Ok(Template { text: text.to_owned(), parts, missing_is_error })
    }

    /// The text for an object; `as_json`: what was found, as a JSON list.
    ///
    /// # Errors
    /// When a path does not fit the object, or finds nothing and that is an error. Nothing is written then.
    pub fn print(&self, object: &Value, as_json: bool) -> Result<String> {
        let mut out = String::new();
        let mut found = Vec::new();
        let done = match as_json {
            true => collect(&self.parts, object, object, &mut found),
            false => self.write(&self.parts, object, object, &mut out),
        };
        if let Err(why) = done {
            let words = "Printing more information for debugging the template:";
            let shown = super::go_syntax(object);
            return Err(Failure::new(format!(
                "error executing jsonpath {}: Error executing template: {why}. {words}\n\ttemplate was:\n\t\t{}\n\tobject given to jsonpath engine was:\n\t\t{shown}\n\n\n",
                super::super::failure::quote(&self.text),
                self.text,
            )));
        }
        Ok(if as_json { super::json_text(&Value::Array(found.into_iter().cloned().collect())) } else { out })
    }

    fn write(&self, parts: &[Part], root: &Value, here: &Value, out: &mut String) -> std::result::Result<(), String> {
        for part in parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Word(word) => return Err(format!("unrecognized identifier {word}")),
                Part::Path { path, text, from_root } => {
                    let start = if *from_root { root } else { here };
                    let found = path.try_find(start)?;
                    if found.is_empty() && self.missing_is_error {
                        return Err(format!("{} is not found", path.missing(start).unwrap_or(text)));
                    }
                    out.push_str(&found.into_iter().map(shown).collect::<Vec<_>>().join(" "));
                }
                Part::Range { path, from_root, body } => {
                    for item in path.try_find(if *from_root { root } else { here })? {
                        self.write(body, root, item, out)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn collect<'a>(
    parts: &[Part],
    root: &'a Value,
    here: &'a Value,
    found: &mut Vec<&'a Value>,
) -> std::result::Result<(), String> {
    for part in parts {
        match part {
            Part::Text(_) => {}
            Part::Word(word) => return Err(format!("unrecognized identifier {word}")),
            Part::Path { path, from_root, .. } => found.extend(path.try_find(if *from_root { root } else { here })?),
            Part::Range { path, from_root, body } => {
                for item in path.try_find(if *from_root { root } else { here })? {
                    collect(body, root, item, found)?;
                }
            }
        }
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => super::json_line(value),
        other => super::go_value(other),
    }
}

/// A word inside braces, or the text outside.
enum Action {
    Text(String),
    Word(String),
}

fn actions(text: &str) -> std::result::Result<Vec<Action>, PathError> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            found.push(Action::Text(rest[..open].to_owned()));
        }
        let inner = &rest[open + 1..];
        let close = closing(inner).ok_or_else(|| PathError(unclosed(inner).to_owned()))?;
        found.extend(words(&inner[..close]).into_iter().map(Action::Word));
        rest = &inner[close + 1..];
    }
    if !rest.is_empty() {
        found.push(Action::Text(rest.to_owned()));
    }
    Ok(found)
}

/// What is open where an action has no end.
fn unclosed(text: &str) -> &'static str {
    match (text.rfind('['), text.rfind(']')) {
        (Some(open), close) if close.is_none_or(|close| close < open) => "unterminated array",
        _ => "unclosed action",
    }
}

/// The brace that ends an action, past quotes and brackets.
fn closing(text: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '}') => return Some(at),
            _ => {}
        }
    }
    None
}

/// The words of an action: spaces part them, except inside quotes, brackets and parentheses.
fn words(text: &str) -> Vec<String> {
    let (mut found, mut word) = (Vec::new(), String::new());
    let (mut quote, mut depth, mut escaped) = (None, 0, false);
    for letter in text.chars() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => depth -= 1,
            (None, letter) if letter.is_whitespace() && depth == 0 => {
                if !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(letter);
    }
    if !word.is_empty() {
        found.push(word);
    }
    found
}

fn parts(actions: &mut impl Iterator<Item = Action>, inside: bool) -> std::result::Result<Vec<Part>, PathError> {
    let mut found = Vec::new();
    let mut range = false;
    while let Some(action) = actions.next() {
        let word = match action {
            Action::Text(text) => {
                found.push(Part::Text(text));
                continue;
            }
            Action::Word(word) => word,
        };
        match word.as_str() {
            "range" => range = true,
            "end" if inside => return Ok(found),
            "end" => return Err(PathError("not in range, nothing to end".to_owned())),
            literal if literal.starts_with(['"', '\'']) => found.push(Part::Text(unquote(literal)?)),
            number if number.parse::<f64>().is_ok() => found.push(Part::Text(number.to_owned())),
            text if text.starts_with(char::is_alphabetic) => {
                let end = text.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(text.len());
                found.push(match &text[..end] {
                    word @ ("true" | "false") => Part::Text(word.to_owned()),
                    word => Part::Word(word.to_owned()),
                });
            }
            text => {
                let path = JsonPath::parse(text)?;
                let from_root = text.starts_with('$');
                if std::mem::take(&mut range) {
                    found.push(Part::Range { path, from_root, body: parts(actions, true)? });
                } else {
                    found.push(Part::Path { path, text: text.to_owned(), from_root });
                }
            }
        }
    }
    // A range may go on to the end of the text.
    Ok(found)
}

/// A quoted text with Go's escapes.
fn unquote(text: &str) -> std::result::Result<String, PathError> {
    let inner = text.get(1..text.len() - 1).unwrap_or_default();
    let mut out = String::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        out.push(match letters.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some(other) => other,
            None => return Err(PathError("unterminated quoted string".to_owned())),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_print_text_paths_and_ranges() {
        let object = json!({"items": [{"n": "a", "p": [1, 2]}, {"n": "b", "p": []}], "m": {"k": true}});
        let table = [
            ("{.items[*].n}", "a b"),
            ("x{.m}y", "x{\"k\":true}y"),
            ("{range .items[*]}{.n}:{range .p[*]}{@}{','}{end}{\"\\n\"}{end}", "a:1,2,\nb:\n"),
            ("{.items[0].n}{\"\\t\"}{.missing}", "a\t"),
            ("{.items[?(@.n=='b')].n} end", "b end"),
        ];
        for (text, expected) in table {
            assert_eq!(Template::parse(text, false).unwrap().print(&object, false).unwrap(), expected, "{text}");
        }
        assert!(Template::parse("{.a}", true).unwrap().print(&object, false).is_err());
        assert!(Template::parse("{range .a}", false).is_ok(), "a range may go on to the end");
    }
}
