//! `--sort-by`: rows or objects in the order of one of their fields, and what is equal as the real kubectl
//! leaves it. Source: kubectl's `get/sorter.go`.

use serde_json::Value;

use super::super::failure::{Failure, Result, quote};
use super::super::session::Session;
use super::columns::relaxed;
use super::go_sort;
use crate::api::jsonpath::JsonPath;
use crate::api::quantity::Quantity;

/// Sorts the rows of a table by a field of their objects; one row is in order.
///
/// # Errors
/// When no row has the field, or it has no order.
pub fn rows(session: &Session, table: &mut Value, field: &str) -> Result {
    let Some(rows) = table.get_mut("rows").and_then(Value::as_array_mut).filter(|rows| rows.len() > 1) else {
        return Ok(());
    };
    // What is no path may be a text with a path before it; a text alone puts nothing in order.
    let path = match (relaxed(field), field.find('{'), field.find('}')) {
        (Err(_), Some(0), Some(end)) => relaxed(&field[..=end])?,
        (Err(_), None, _) if field.contains('}') => return Ok(()),
        (path, ..) => path?,
    };
    let key = |row: &Value| path.first(row.get("object").unwrap_or(&Value::Null)).cloned();
    Sort { session, field, of: "[][][]reflect.Value" }.sort(rows, key)
}

/// Sorts what belongs to objects by a field of these.
///
/// # Errors
/// When no object has the field, or it has no order.
pub fn objects<T>(session: &Session, items: &mut Vec<T>, field: &str, object: impl Fn(&T) -> &Value) -> Result {
    let path: JsonPath = relaxed(field)?;
    Sort { session, field, of: "*unstructured.Unstructured" }.sort(items, |item| path.first(object(item)).cloned())
}

struct Sort<'a> {
    session: &'a Session,
    field: &'a str,
    /// What is sorted, by its name in the real one's program.
    of: &'static str,
}

impl Sort<'_> {
    fn sort<T>(&self, items: &mut Vec<T>, key: impl Fn(&T) -> Option<Value>) -> Result {
        let mut keyed: Vec<(Option<Value>, T)> = items.drain(..).map(|item| (key(&item), item)).collect();
        let inner = self.field.trim_start_matches('{').trim_end_matches('}');
        let shown = if inner.starts_with('.') { format!("{{{inner}}}") } else { format!("{{.{inner}}}") };
        if !keyed.is_empty() && keyed.iter().all(|(key, _)| key.is_none()) {
            let words = format!("couldn't find any field with path {} in the list of objects", quote(&shown));
            return Err(Failure::new(words));
        }
        let mut unsortable = None;
        go_sort::sort(&mut keyed, |(a, _), (b, _)| {
            less(a.as_ref(), b.as_ref()).unwrap_or_else(|why| {
                unsortable.get_or_insert(why);
                false
            })
        });
        items.extend(keyed.into_iter().map(|(_, item)| item));
        let Some(why) = unsortable else { return Ok(()) };
        let words = format!("Field {shown} in {} is an unsortable type: interface, err: {why}", self.of);
        self.session.log('F', "sorter.go:350", &words);
        Err(Failure::Exit(1))
    }
}

/// Whether one comes before the other; one without the field comes before all, even before its like.
///
/// # Errors
/// When they have no order.
fn less(a: Option<&Value>, b: Option<&Value>) -> std::result::Result<bool, String> {
    let (Some(a), Some(b)) = (a, b) else { return Ok(a.is_none()) };
    match (a, b) {
        (Value::Null, other) => Ok(!other.is_null()),
        (_, Value::Null) => Ok(false),
        (Value::Number(a), Value::Number(b)) if a.is_f64() == b.is_f64() => Ok(match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a < b,
            _ => a.as_f64() < b.as_f64(),
        }),
        (Value::String(a), Value::String(b)) => Ok(match (Quantity::parse(a), Quantity::parse(b)) {
            (Ok(a), Ok(b)) => a.cmp(&b).is_lt(),
            _ => a < b,
        }),
        (Value::Bool(_), _) => Err("unsortable type: bool".into()),
        (Value::Array(_), _) => Err("unsortable type: []interface {}".into()),
        (Value::Object(_), _) => Err("unsortable type: map[string]interface {}".into()),
        _ => Err("unsortable interface: interface".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_has_an_order_is_less_or_not() {
        let table = [
            (json!("pod-10"), json!("pod-9"), Ok(true)),
            (json!("900m"), json!("1"), Ok(true)),
            (json!(2), json!(10), Ok(true)),
            (json!(null), json!(1), Ok(true)),
            (json!(1), json!(null), Ok(false)),
            (json!(1), json!("a"), Err("unsortable interface: interface".to_owned())),
            (json!(true), json!(false), Err("unsortable type: bool".to_owned())),
            (json!({}), json!({}), Err("unsortable type: map[string]interface {}".to_owned())),
        ];
        for (a, b, expected) in table {
            assert_eq!(less(Some(&a), Some(&b)), expected, "{a} {b}");
        }
        assert_eq!((less(None, None), less(Some(&json!(1)), None)), (Ok(true), Ok(false)));
    }
}
