//! Columns of one's own: `-o custom-columns=NAME:.metadata.name,NODE:.spec.nodeName`.

use serde_json::Value;

use super::super::failure::{Failure, Result};
use super::tabwriter::Tabs;
use crate::api::jsonpath::JsonPath;

/// How a file of columns is written.
const SHAPE: &str = "Expected format is one line of space separated headers, one line of space separated column specs.";

/// Headers, and the path behind each.
#[derive(Clone, Debug)]
pub struct Columns {
    /// A path that cannot be read is told when the first object comes.
    columns: Vec<(String, std::result::Result<JsonPath, String>)>,
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
            columns.push((header.to_owned(), read(path)?));
        }
        Ok(Columns { columns, no_headers })
    }

    /// A line of headers and a line of paths.
    ///
    /// # Errors
    /// When the lines do not fit each other.
    pub fn parse_file(text: &str, no_headers: bool) -> Result<Columns> {
        let mut lines = text.lines();
        let (Some(headers), Some(paths)) = (lines.next(), lines.next()) else {
            let missing = if text.is_empty() { "header" } else { "spec" };
            return Err(Failure::new(format!("invalid template, missing {missing} line. {SHAPE}")));
        };
        let headers: Vec<&str> = headers.split_whitespace().collect();
        let paths: Vec<&str> = paths.split_whitespace().collect();
        if headers.len() != paths.len() {
            return Err(Failure::new(format!(
                "number of headers ({}) and field specifications ({}) don't match",
                headers.len(),
                paths.len()
            )));
        }
        let pairs = headers.iter().zip(paths);
        let columns = pairs.map(|(header, path)| Ok(((*header).to_owned(), read(path)?))).collect::<Result<_>>()?;
        Ok(Columns { columns, no_headers })
    }

    /// The lines for an object or a list.
    ///
    /// # Errors
    /// When a path cannot be read, or does not fit an object: the lines until then, and why.
    pub fn print(&self, object: &Value, first: bool) -> std::result::Result<String, (String, Failure)> {
        let mut text = String::new();
        if first && !self.no_headers {
            let headers: Vec<&str> = self.columns.iter().map(|(header, _)| header.as_str()).collect();
            text.push_str(&(headers.join("\t") + "\n"));
        }
        let items = object.get("items").and_then(Value::as_array).map_or(std::slice::from_ref(object), Vec::as_slice);
        let mut done = Ok(());
        for item in items {
            match self.line(item) {
                Ok(line) => text.push_str(&line),
                Err(why) => {
                    done = Err(why);
                    break;
                }
            }
        }
        let text = Tabs::table().layout(&text);
        match done {
            Ok(()) => Ok(text),
            Err(why) => Err((text, Failure::new(why))),
        }
    }

    fn line(&self, object: &Value) -> std::result::Result<String, String> {
        let cell = |(_, path): &(String, std::result::Result<JsonPath, String>)| {
            let path = path.as_ref().map_err(Clone::clone)?;
            if *path == JsonPath::default() {
                return Ok("<none>".to_owned());
            }
            let found: Vec<String> = path.try_find(object)?.into_iter().map(shown).collect();
            Ok(if found.is_empty() { "<none>".to_owned() } else { found.join(",") })
        };
        let cells = self.columns.iter().map(cell).collect::<std::result::Result<Vec<_>, String>>()?;
        Ok(cells.join("\t") + "\n")
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
    read(text)?.map_err(Failure::new)
}

/// As [`relaxed`]; what is wrong inside of the path is for later.
fn read(text: &str) -> Result<std::result::Result<JsonPath, String>> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    if inner.contains(['{', '}']) || (text.starts_with('{') != text.ends_with('}')) {
        let words =
            "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'";
        return Err(Failure::new(words));
    }
    Ok(JsonPath::parse(inner).map_err(|why| why.0))
}
