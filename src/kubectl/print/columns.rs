//! Columns of one's own: `-o custom-columns=NAME:.metadata.name,NODE:.spec.nodeName`.

use serde_json::Value;

use super::super::failure::{Failure, Result};
use super::tabwriter::Tabs;
use crate::api::jsonpath::JsonPath;

/// Headers, and the path behind each.
#[derive(Clone, Debug)]
pub struct Columns {
    columns: Vec<(String, JsonPath)>,
    no_headers: bool,
}

impl Columns {
    /// `HEADER:path,HEADER:path`
    ///
    /// # Errors
    /// When a part is no header and path.
    pub fn parse(text: &str, no_headers: bool) -> Result<Columns> {
        let mut columns = Vec::new();
        for part in text.split(',') {
            let Some((header, path)) = part.split_once(':') else {
                let words = "unexpected custom-columns spec:";
                return Err(Failure::new(format!("{words} {part}, expected <header>:<json-path-expr>")));
            };
            columns.push((header.to_owned(), relaxed(path)?));
        }
        Ok(Columns { columns, no_headers })
    }

    /// A line of headers and a line of paths.
    ///
    /// # Errors
    /// When the lines do not fit each other.
    pub fn parse_file(text: &str, no_headers: bool) -> Result<Columns> {
        let mut lines = text.lines();
        let headers: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        let paths: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        if headers.len() != paths.len() {
            return Err(Failure::new(format!(
                "number of headers ({}) and field specifications ({}) don't match",
                headers.len(),
                paths.len()
            )));
        }
        let pairs = headers.iter().zip(paths);
        let columns = pairs.map(|(header, path)| Ok(((*header).to_owned(), relaxed(path)?))).collect::<Result<_>>()?;
        Ok(Columns { columns, no_headers })
    }

    /// The lines for an object or a list.
    pub fn print(&self, object: &Value, first: bool) -> String {
        let mut text = String::new();
        if first && !self.no_headers {
            let headers: Vec<&str> = self.columns.iter().map(|(header, _)| header.as_str()).collect();
            text.push_str(&(headers.join("\t") + "\n"));
        }
        match object.get("items").and_then(Value::as_array) {
            Some(items) => items.iter().for_each(|item| text.push_str(&self.line(item))),
            None => text.push_str(&self.line(object)),
        }
        Tabs::table().layout(&text)
    }

    fn line(&self, object: &Value) -> String {
        let cell = |(_, path): &(String, JsonPath)| {
            if *path == JsonPath::default() {
                return "<none>".to_owned();
            }
            let found: Vec<String> = path.find(object).into_iter().map(shown).collect();
            if found.is_empty() { "<none>".to_owned() } else { found.join(",") }
        };
        self.columns.iter().map(cell).collect::<Vec<_>>().join("\t") + "\n"
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<none>".to_owned(),
        other => super::go_value(other),
    }
}

/// `x.y`, `.x.y`, `{x.y}` and `{.x.y}` are one.
///
/// # Errors
/// When it is no path at all.
pub fn relaxed(text: &str) -> Result<JsonPath> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    if inner.contains(['{', '}']) || (text.starts_with('{') != text.ends_with('}')) {
        let words =
            "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'";
        return Err(Failure::new(words));
    }
    JsonPath::parse(inner).map_err(|why| Failure::new(why.0))
}
