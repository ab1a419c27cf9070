//! Columns of custom resources: JSONPaths with a type.
//!
//! A path that finds nothing, or a value of another type, is an empty (null) cell.

use super::{Column, Context, Row, age};
use crate::api::jsonpath::{self, JsonPath};
use crate::api::meta;
use serde_json::{Value, json};

/// A column's path; `None` when it cannot be read.
pub(super) type Path = Option<JsonPath>;

/// `Name`, then the columns asked for; `Age` when none is.
pub(super) fn columns(additional: &[Value]) -> (Vec<Column>, Vec<Path>) {
    let column = |name: &str, kind: &str, format: &str| Column {
        name: name.to_owned(),
        kind: kind.to_owned(),
        format: format.to_owned(),
        description: String::new(),
        priority: 0,
    };
    let mut columns = vec![column("Name", "string", "name")];
    if additional.is_empty() {
        columns.push(column("Age", "date", ""));
        return (columns, vec![JsonPath::parse(".metadata.creationTimestamp").ok()]);
    }
    let mut paths = Vec::new();
    for asked in additional {
        let text = |key: &str| meta::text(asked, &[key]);
        columns.push(Column {
            description: text("description").to_owned(),
            priority: meta::integer(asked, &["priority"]).unwrap_or(0),
            ..column(text("name"), text("type"), text("format"))
        });
        paths.push(JsonPath::parse(text("jsonPath")).ok());
    }
    (columns, paths)
}

/// The cells of one object.
pub(super) fn row(object: &Value, paths: &[Path], columns: &[Column], context: &Context<'_>) -> Row {
    let found = paths.iter().zip(&columns[1..]).map(|(path, column)| {
        let value = path.as_ref().and_then(|path| path.first(object));
        value.map_or(Value::Null, |value| cell(value, &column.kind, context))
    });
    let mut cells = vec![json!(meta::name(object))];
    cells.extend(found);
    Row::from(cells)
}

fn cell(value: &Value, kind: &str, context: &Context<'_>) -> Value {
    match (kind, value) {
        (_, Value::Null) => Value::Null,
        ("string", value) => json!(jsonpath::print(value)),
        ("integer", Value::Number(number)) => match number.as_i64() {
            Some(whole) => json!(whole),
            None => json!(number.as_f64().unwrap_or(0.0) as i64),
        },
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(_)) => match age::time(Some(value)) {
            Some(_) => json!(age::since(Some(value), context.now)),
            None => json!("<invalid>"),
        },
        _ => Value::Null,
    }
}
