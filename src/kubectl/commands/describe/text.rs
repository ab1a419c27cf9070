//! A description as it is written: lines with tabs, laid out in columns at the end.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::super::print::tabwriter::Tabs;
use crate::api::meta;
use crate::api::table::age::human as human_age;

/// Annotations that only machines read.
const SKIPPED: [&str; 1] = ["kubectl.kubernetes.io/last-applied-configuration"];
/// Longer annotations stand on lines of their own.
const LONGEST_ANNOTATION: usize = 140;

/// A description.
pub struct Text {
    done: String,
    pending: String,
    columns: bool,
}

impl Text {
    /// An empty one, laid out in columns.
    pub fn new() -> Text {
        Text { done: String::new(), pending: String::new(), columns: true }
    }

    /// An empty one whose tabs stay tabs.
    pub fn bare() -> Text {
        Text { columns: false, ..Text::new() }
    }

    /// Adds text at a level of indentation.
    pub fn write(&mut self, level: usize, text: impl AsRef<str>) {
        (0..level).for_each(|_| self.pending.push_str("  "));
        self.pending.push_str(&text.as_ref().replace('\u{1b}', "^[").replace('\r', "\\r"));
    }

    /// Adds a line at a level.
    pub fn line(&mut self, level: usize, text: impl AsRef<str>) {
        self.write(level, text);
        self.pending.push('\n');
    }

    /// `Name:    value`
    pub fn field(&mut self, level: usize, name: &str, value: impl std::fmt::Display) {
        self.line(level, format!("{name}:\t{value}"));
    }

    /// What follows shares no columns with what stands.
    pub fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if self.columns {
            self.done.push_str(&Tabs::description().layout(&pending));
        } else {
            self.done.push_str(&pending);
        }
    }

    /// The whole text.
    pub fn finish(&mut self) -> String {
        self.flush();
        std::mem::take(&mut self.done)
    }

    /// `Labels:  a=b` and one line for each further pair.
    pub fn labels(&mut self, title: &str, labels: Option<&Map<String, Value>>) {
        self.pairs("", title, "\t", labels);
    }

    /// The same, indented.
    pub fn pairs(&mut self, indent: &str, title: &str, inner: &str, labels: Option<&Map<String, Value>>) {
        self.write(0, format!("{indent}{title}:{inner}"));
        let mut pairs: Vec<(&String, &Value)> = labels.into_iter().flatten().collect();
        if pairs.is_empty() {
            self.line(0, "<none>");
            return;
        }
        pairs.sort_by_key(|(key, _)| *key);
        for (at, (key, value)) in pairs.into_iter().enumerate() {
            if at > 0 {
                self.write(0, format!("{indent}{inner}"));
            }
            self.line(0, format!("{key}={}", value.as_str().unwrap_or_default()));
        }
    }

    /// `Annotations:  a: b`
    pub fn annotations(&mut self, title: &str, annotations: Option<&Map<String, Value>>) {
        self.write(0, format!("{title}:\t"));
        let shown = |(key, _): &(&String, &Value)| !SKIPPED.contains(&key.as_str());
        let mut pairs: Vec<(&String, &Value)> = annotations.into_iter().flatten().filter(shown).collect();
        if pairs.is_empty() {
            self.line(0, "<none>");
            return;
        }
        pairs.sort_by_key(|(key, _)| *key);
        for (at, (key, value)) in pairs.into_iter().enumerate() {
            if at > 0 {
                self.write(0, "\t");
            }
            let value = value.as_str().unwrap_or_default();
            let value = value.strip_suffix('\n').unwrap_or(value);
            if value.len() + key.len() + 2 > LONGEST_ANNOTATION || value.contains('\n') {
                self.line(0, format!("{key}:"));
                for line in value.split('\n') {
                    self.line(0, format!("\t  {}", shortened(line, LONGEST_ANNOTATION - 2)));
                }
            } else {
                self.line(0, format!("{key}: {value}"));
            }
        }
    }

    /// Name, and where it has one the namespace.
    pub fn head(&mut self, object: &Value) {
        self.field(0, "Name", meta::name(object));
        self.field(0, "Namespace", meta::namespace(object));
    }

    /// Labels and annotations.
    pub fn metadata(&mut self, object: &Value) {
        self.labels("Labels", meta::labels(object));
        self.annotations("Annotations", meta::annotations(object));
    }
}

fn shortened(line: &str, most: usize) -> String {
    if line.len() <= most {
        return line.to_owned();
    }
    let end = (0..=most).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", &line[..end])
}

/// A time as `Mon, 02 Jan 2006 15:04:05 +0000`; a missing one as Go's zero time.
pub fn when(time: Option<&Value>) -> String {
    let time = time.and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    match time {
        Some(time) => time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
        None => "Mon, 01 Jan 0001 00:00:00 +0000".to_owned(),
    }
}

/// How long ago a time is.
pub fn age(time: &str, now: Timestamp) -> String {
    match time.parse::<Timestamp>() {
        Ok(then) => human_age(now.duration_since(then).as_secs()),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// Labels on one line: `a=b,c=d`.
pub fn joined(labels: Option<&Map<String, Value>>) -> String {
    labels.map_or_else(|| "<none>".to_owned(), super::super::super::print::table::joined)
}

/// A text, or `<none>`.
pub fn or_none(text: &str) -> &str {
    if text.is_empty() { "<none>" } else { text }
}

/// A field as Go prints it; nothing when it is not there.
pub fn shown(object: &Value, path: &[&str]) -> String {
    meta::get(object, path).map(super::super::super::print::go_value).unwrap_or_default()
}

/// A list of texts.
pub fn texts<'a>(object: &'a Value, path: &[&str]) -> Vec<&'a str> {
    meta::list(object, path).iter().filter_map(Value::as_str).collect()
}

/// A label selector as `a=b,c in (d,e)`: its `matchLabels` first, each part in the order of the keys.
pub fn selector(value: Option<&Value>) -> String {
    let Some(value) = value.filter(|value| !value.is_null()) else { return "<none>".to_owned() };
    let mut parts: Vec<(String, String)> = Vec::new();
    for (key, label) in meta::map(value, &["matchLabels"]).into_iter().flatten() {
        parts.push((key.clone(), format!("{key}={}", label.as_str().unwrap_or_default())));
    }
    for expression in meta::list(value, &["matchExpressions"]) {
        let key = meta::text(expression, &["key"]);
        let mut values = texts(expression, &["values"]);
        values.sort_unstable();
        let values = values.join(",");
        parts.push((
            key.to_owned(),
            match meta::text(expression, &["operator"]) {
                "In" => format!("{key} in ({values})"),
                "NotIn" => format!("{key} notin ({values})"),
                "Exists" => key.to_owned(),
                _ => format!("!{key}"),
            },
        ));
    }
    if parts.is_empty() {
        return "<none>".to_owned();
    }
    parts.sort();
    parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}
