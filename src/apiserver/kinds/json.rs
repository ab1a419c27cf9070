//! Reading and filling JSON objects by dotted path, as defaults and validation need it.
//!
//! Reading never fails: what is not there is null, empty or false, which is how Go's zero values
//! read. [`fill`] is the engine behind every defaults table.

use serde_json::{Map, Value};

static NULL: Value = Value::Null;

/// Dotted-path reads on a JSON value.
pub trait Json {
    /// The value at `path` (`spec.template.spec`), or null.
    fn at(&self, path: &str) -> &Value;
    /// The text at `path`, or `""`.
    fn text(&self, path: &str) -> &str;
    /// The integer at `path`.
    fn int(&self, path: &str) -> Option<i64>;
    /// Whether `path` is `true`.
    fn flag(&self, path: &str) -> bool;
    /// The elements of the list at `path`.
    fn items(&self, path: &str) -> &[Value];
    /// The entries of the object at `path`, in order.
    fn entries(&self, path: &str) -> Vec<(&str, &Value)>;
    /// Whether something other than null is at `path`.
    fn has(&self, path: &str) -> bool;
}

impl Json for Value {
    fn at(&self, path: &str) -> &Value {
        let mut here = self;
        for key in path.split('.') {
            here = match here.get(key) {
                Some(next) => next,
                None => return &NULL,
            };
        }
        here
    }

    fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or("")
    }

    fn int(&self, path: &str) -> Option<i64> {
        self.at(path).as_i64()
    }

    fn flag(&self, path: &str) -> bool {
        self.at(path).as_bool().unwrap_or(false)
    }

    fn items(&self, path: &str) -> &[Value] {
        self.at(path).as_array().map_or(&[], Vec::as_slice)
    }

    fn entries(&self, path: &str) -> Vec<(&str, &Value)> {
        let map = self.at(path).as_object();
        map.map(|map| map.iter().map(|(key, value)| (key.as_str(), value)).collect()).unwrap_or_default()
    }

    fn has(&self, path: &str) -> bool {
        !self.at(path).is_null()
    }
}

/// The value at `path`, to change; `None` when a parent is missing.
pub fn at_mut<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut here = value;
    for key in path.split('.') {
        here = here.get_mut(key)?;
    }
    Some(here)
}

/// The elements of the list at `path`, to change.
pub fn items_mut<'a>(value: &'a mut Value, path: &str) -> impl Iterator<Item = &'a mut Value> {
    at_mut(value, path).and_then(Value::as_array_mut).into_iter().flatten()
}

/// The object at `path`, made (with its parents) if it is not there.
pub fn object_mut<'a>(value: &'a mut Value, path: &str) -> &'a mut Map<String, Value> {
    let mut here = value;
    for key in path.split('.') {
        here = ensure(here).entry(key).or_insert(Value::Null);
    }
    ensure(here)
}

/// Sets the value at `path`, making parents.
pub fn put(value: &mut Value, path: &str, new: impl Into<Value>) {
    match path.rsplit_once('.') {
        Some((parent, key)) => object_mut(value, parent).insert(key.to_string(), new.into()),
        None => ensure(value).insert(path.to_string(), new.into()),
    };
}

/// Takes the value at `path` away.
pub fn drop_at(value: &mut Value, path: &str) -> Option<Value> {
    match path.rsplit_once('.') {
        Some((parent, key)) => at_mut(value, parent)?.as_object_mut()?.shift_remove(key),
        None => value.as_object_mut()?.shift_remove(path),
    }
}

/// Makes `path` of `new` what it is in `old` (also when it is not there).
pub fn copy(new: &mut Value, old: &Value, path: &str) {
    let kept = old.at(path);
    if kept.is_null() && path.split('.').try_fold(old, |here, key| here.get(key)).is_none() {
        drop_at(new, path);
    } else {
        put(new, path, kept.clone());
    }
}

fn ensure(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// What a defaults table puts where nothing is.
#[derive(Clone, Copy, Debug)]
pub enum Fill {
    /// A string, where nothing or an empty one is.
    Text(&'static str),
    /// A string, where nothing is: an empty one is a wrong choice.
    Choice(&'static str),
    /// An integer, where nothing is.
    Int(i64),
    /// An integer, where nothing or 0 is.
    NonZero(i64),
    /// A boolean.
    Flag(bool),
    /// An empty object.
    Empty,
}

/// A table of defaults: path and value, in order. In a path, `[]` after a key means each element
/// of the list, and `+` means "make this object if it is missing"; otherwise a missing parent
/// makes the row do nothing. A null or absent value is filled; so is `""`, by a non-empty text.
pub type Defaults = &'static [(&'static str, Fill)];

/// Applies a defaults table.
pub fn fill(value: &mut Value, table: Defaults) {
    for (path, default) in table {
        fill_one(value, path, *default);
    }
}

fn fill_one(value: &mut Value, path: &str, default: Fill) {
    let (key, rest) = match path.split_once('.') {
        Some((key, rest)) => (key, Some(rest)),
        None => (path, None),
    };
    let Some(map) = value.as_object_mut() else { return };
    if let Some(list_key) = key.strip_suffix("[]") {
        let elements = map.get_mut(list_key).and_then(Value::as_array_mut).into_iter().flatten();
        for element in elements {
            match rest {
                Some(rest) => fill_one(element, rest, default),
                None => fill_here(element, default),
            }
        }
        return;
    }
    if let Some(made) = key.strip_suffix('+') {
        let child = map.entry(made).or_insert(Value::Null);
        ensure(child);
        if let Some(rest) = rest {
            fill_one(child, rest, default);
        }
        return;
    }
    match rest {
        Some(rest) => {
            if let Some(child) = map.get_mut(key) {
                fill_one(child, rest, default);
            }
        }
        None => fill_here(map.entry(key).or_insert(Value::Null), default),
    }
}

fn fill_here(slot: &mut Value, default: Fill) {
    let missing = match (&*slot, default) {
        (Value::Null, _) => true,
        (Value::String(text), Fill::Text(new)) => text.is_empty() && !new.is_empty(),
        (Value::Number(number), Fill::NonZero(_)) => number.as_i64() == Some(0),
        _ => false,
    };
    if missing {
        *slot = match default {
            Fill::Text(text) | Fill::Choice(text) => text.into(),
            Fill::Int(number) | Fill::NonZero(number) => number.into(),
            Fill::Flag(flag) => flag.into(),
            Fill::Empty => Value::Object(Map::new()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_fills_what_is_missing_and_only_that() {
        let mut value = json!({"a": [{"x": 1}, {}], "s": "", "strategy": null});
        fill(
            &mut value,
            &[
                ("a[].x", Fill::Int(7)),
                ("s", Fill::Text("t")),
                ("none.b", Fill::Flag(true)),
                ("strategy+.type", Fill::Text("R")),
                ("e", Fill::Empty),
            ],
        );
        assert_eq!(value, json!({"a": [{"x": 1}, {"x": 7}], "s": "t", "strategy": {"type": "R"}, "e": {}}));
    }
}
