//! A kind without words of its own: every field, as it stands.

use serde_json::{Map, Value};

use super::super::super::failure::Result;
use super::super::super::print::go_value;
use super::Story;
use super::text::Text;

const SKIPPED: [&str; 5] =
    [".metadata.managedFields", ".metadata.name", ".metadata.namespace", ".metadata.labels", ".metadata.annotations"];

pub(super) async fn object(story: &Story<'_>) -> Result<Text> {
    let mut text = Text::new();
    text.head(story.object);
    text.metadata(story.object);
    if let Value::Object(map) = story.object {
        fields(&mut text, 0, map, "");
    }
    story.with_events(&mut text).await;
    Ok(text)
}

fn fields(text: &mut Text, level: usize, map: &Map<String, Value>, path: &str) {
    let mut keys: Vec<&String> = map.keys().collect();
    keys.sort();
    for key in keys {
        let inner = format!("{path}.{key}");
        if SKIPPED.contains(&inner.as_str()) {
            continue;
        }
        match &map[key] {
            Value::Object(child) => {
                text.line(level, format!("{}:", title(key)));
                fields(text, level + 1, child, &inner);
            }
            Value::Array(items) => {
                text.line(level, format!("{}:", title(key)));
                for item in items {
                    match item {
                        Value::Object(child) => fields(text, level + 1, child, &inner),
                        other => text.line(level + 1, go_value(other)),
                    }
                }
            }
            other => text.field(level, &title(key), go_value(other)),
        }
    }
}

/// `creationTimestamp` is `Creation Timestamp`; a name with digits or dots stays as it is.
fn title(field: &str) -> String {
    if field.chars().any(|letter| !letter.is_alphabetic() && letter != '-') {
        return field.to_owned();
    }
    let word = |part: String| {
        let upper = part.to_uppercase();
        if ["API", "URL", "UID", "GUID"].contains(&upper.as_str()) {
            return upper;
        }
        if part.to_lowercase() != part {
            return part;
        }
        let mut letters = part.chars();
        letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
    };
    let parts = joined(split(field));
    parts.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Parts of a camel-case name: a lower-case run with the upper-case letter before it, or an upper-case run.
fn split(field: &str) -> Vec<String> {
    #[derive(PartialEq, Clone, Copy)]
    enum Class {
        Lower,
        Upper,
        Other,
    }
    let class = |letter: char| match () {
        () if letter.is_lowercase() => Class::Lower,
        () if letter.is_uppercase() => Class::Upper,
        () => Class::Other,
    };
    let mut runs: Vec<(Class, Vec<char>)> = Vec::new();
    for letter in field.chars() {
        match runs.last_mut() {
            Some((last, run)) if *last == class(letter) => run.push(letter),
            _ => runs.push((class(letter), vec![letter])),
        }
    }
    for at in 0..runs.len().saturating_sub(1) {
        if runs[at].0 == Class::Upper
            && runs[at + 1].0 == Class::Lower
            && let Some(letter) = runs[at].1.pop()
        {
            runs[at + 1].1.insert(0, letter);
        }
    }
    runs.into_iter().map(|(_, run)| run.into_iter().collect::<String>()).filter(|run| !run.is_empty()).collect()
}

/// An acronym belongs to the capitalised part behind it: `podIPs` is `Pod IPs`.
fn joined(parts: Vec<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut parts = parts.into_iter().peekable();
    while let Some(part) = parts.next() {
        let acronym =
            part.chars().count() >= 2 && part.chars().all(|letter| !letter.is_alphabetic() || letter.is_uppercase());
        match parts.next_if(|next| acronym && next.starts_with(char::is_uppercase)) {
            Some(next) => found.push(part + &next),
            None => found.push(part),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::title;

    #[test]
    fn names_of_fields_become_titles() {
        let table = [
            ("kind", "Kind"),
            ("apiVersion", "API Version"),
            ("creationTimestamp", "Creation Timestamp"),
            ("uid", "UID"),
            ("a.b", "a.b"),
            ("v1", "v1"),
        ];
        for (field, expected) in table {
            assert_eq!(title(field), expected);
        }
    }
}
