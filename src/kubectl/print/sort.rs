//! `--sort-by`: rows or objects in the order of one of their fields.

use std::cmp::Ordering;

use serde_json::Value;

use super::super::failure::{Failure, Result, quote};
use super::columns::relaxed;
use crate::api::jsonpath::JsonPath;
use crate::api::quantity::Quantity;

/// Sorts the rows of a table by a field of their objects.
///
/// # Errors
/// When no row has the field.
pub fn rows(table: &mut Value, field: &str) -> Result {
    let path = path(field)?;
    let Some(rows) = table.get_mut("rows").and_then(Value::as_array_mut) else { return Ok(()) };
    by(rows, field, |row| path.first(row.get("object").unwrap_or(&Value::Null)).cloned())
}

/// Sorts objects by a field.
///
/// # Errors
/// When no object has the field.
pub fn objects(objects: &mut [Value], field: &str) -> Result {
    let path = path(field)?;
    by(objects, field, |object| path.first(object).cloned())
}

fn path(field: &str) -> Result<JsonPath> {
    relaxed(field)
}

fn by(items: &mut [Value], field: &str, key: impl Fn(&Value) -> Option<Value>) -> Result {
    if items.is_empty() {
        return Ok(());
    }
    if items.iter().all(|item| key(item).is_none()) {
        let inner = field.trim_start_matches('{').trim_end_matches('}');
        let shown = if inner.starts_with('.') { format!("{{{inner}}}") } else { format!("{{.{inner}}}") };
        return Err(Failure::new(format!(
            "couldn't find any field with path {} in the list of objects",
            quote(&shown)
        )));
    }
    items.sort_by(|a, b| match (key(a), key(b)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) => compare(&a, &b),
    });
    Ok(())
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        (Value::String(a), Value::String(b)) => match (Quantity::parse(a), Quantity::parse(b)) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => natural(a, b),
        },
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}

/// Digits inside a text count as a number: `pod-2` before `pod-10`.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        match (a, b) {
            ([], []) => return Ordering::Equal,
            ([], _) => return Ordering::Less,
            (_, []) => return Ordering::Greater,
            ([x, ..], [y, ..]) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let (left, right) = (&a[..digits(a)], &b[..digits(b)]);
                let trim = |text: &[u8]| text.iter().position(|byte| *byte != b'0').unwrap_or(text.len());
                let (plain_left, plain_right) = (&left[trim(left)..], &right[trim(right)..]);
                let order = plain_left.len().cmp(&plain_right.len()).then_with(|| plain_left.cmp(plain_right));
                let order = order.then_with(|| left.len().cmp(&right.len()));
                if order.is_ne() {
                    return order;
                }
                (a, b) = (&a[left.len()..], &b[right.len()..]);
            }
            ([x, rest @ ..], [y, other @ ..]) => {
                if x != y {
                    return x.cmp(y);
                }
                (a, b) = (rest, other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_inside_names_count() {
        let mut names = ["pod-10", "pod-9", "pod-1", "a"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a", "pod-1", "pod-9", "pod-10"]);
    }
}
