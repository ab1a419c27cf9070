//! Are the values of a custom object what its schema says? In the words of go-openapi.
//!
//! In: a [`Node`], the value, and on an update the value before. Out: faults. What did not change is
//! not held against an update: an object may be older than the rule ("ratcheting"). Source:
//! kube-openapi, `validation/validate`; of several failed alternatives the one that got furthest is
//! told, counted as there.

use super::format;
use super::node::{Node, Range};
use crate::api::field_error::FieldError;
use serde_json::{Map, Value};
use std::fmt::Display;

/// What is wrong with `value`. `path` is where the schema's root lies in the object (empty, or
/// `status`); `old` is the value before.
pub fn validate(node: &Node, value: &Value, old: Option<&Value>, path: &str) -> Vec<FieldError> {
    let walk = Walk { root: path, ratchets: old.is_some() };
    walk.node(node, value, old, "").errors
}

/// Faults, and how many checks were made: the measure of a near miss.
#[derive(Default)]
struct Outcome {
    errors: Vec<FieldError>,
    checks: usize,
}

impl Outcome {
    fn add(&mut self, error: FieldError) {
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    fn merge(&mut self, other: Outcome) {
        self.checks += other.checks;
        for error in other.errors {
            self.add(error);
        }
    }
}

struct Walk<'a> {
    root: &'a str,
    ratchets: bool,
}

impl Walk<'_> {
    /// A place of the object, as an error names it: from the object's root.
    fn at(&self, path: &str) -> String {
        match (self.root, path.trim_start_matches('.')) {
            ("", "") => "<nil>".to_owned(),
            (root, "") => root.to_owned(),
            ("", path) => path.to_owned(),
            (root, path) => format!("{root}.{path}"),
        }
    }

    fn invalid(&self, path: &str, value: impl Into<Value>, why: impl Display) -> FieldError {
        FieldError::invalid(self.at(path), value, format!("{path} in body {why}"))
    }

    /// A fault of the whole that names its place in its own words.
    fn unplaced(&self, why: String) -> FieldError {
        FieldError::invalid(self.at(""), "", why)
    }

    fn wrong_type(&self, path: &str, wanted: &str, found: &str) -> FieldError {
        FieldError::type_invalid(self.at(path), found, format!("{path} in body must be of type {wanted}: {found:?}"))
    }

    /// A child, which is left alone when it is what it was.
    fn child(&self, node: &Node, value: &Value, old: Option<&Value>, path: &str) -> Outcome {
        let outcome = self.node(node, value, old, path);
        match self.ratchets && !outcome.errors.is_empty() && old == Some(value) {
            true => Outcome { errors: Vec::new(), checks: outcome.checks },
            false => outcome,
        }
    }

    fn node(&self, node: &Node, value: &Value, old: Option<&Value>, path: &str) -> Outcome {
        let mut out = Outcome::default();
        let typed = !node.types.is_empty() || !node.format.is_empty();
        if typed {
            out.merge(self.kind(node, value, path));
            out.checks += 1;
        }
        if value.is_null() {
            out.merge(self.one_of_values(node, value, path));
            return out;
        }
        out.merge(self.alternatives(node, value, old, path));
        out.checks += 1;
        match value {
            Value::String(text) => out.merge(self.text(node, text, path)),
            Value::Number(_) => out.merge(self.number(node, value, path)),
            Value::Array(items) => out.merge(self.list(node, items, old, path)),
            _ => {}
        }
        out.merge(self.one_of_values(node, value, path));
        out.checks += 2;
        if let Value::Object(map) = value {
            out.merge(self.object(node, map, old, path));
            out.checks += 1;
        }
        out
    }

    fn kind(&self, node: &Node, value: &Value, path: &str) -> Outcome {
        let mut out = Outcome { checks: 1, ..Outcome::default() };
        let found = type_of(value);
        let fits = match value {
            Value::Null => node.nullable || node.types.is_empty(),
            Value::String(_) | Value::Array(_) if node.format_of_text() => true,
            _ => node.types.iter().any(|wanted| {
                *wanted == found
                    || (*wanted == "number" && found == "integer")
                    || (*wanted == "integer" && whole(value).is_some())
            }),
        };
        let names_a_type = !node.types.is_empty() || !node.format.is_empty();
        if !fits && names_a_type {
            out.add(self.wrong_type(path, &node.types.join(","), found));
        }
        out
    }

    fn one_of_values(&self, node: &Node, value: &Value, path: &str) -> Outcome {
        let mut out = Outcome::default();
        if !node.values.is_empty() && !node.values.iter().any(|allowed| equal(allowed, value)) {
            let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let allowed: Vec<String> = node.values.iter().map(shown).collect();
            let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
            out.add(FieldError::not_supported(self.at(path), value.clone(), &allowed));
        }
        out
    }

    fn text(&self, node: &Node, text: &str, path: &str) -> Outcome {
        let mut out = Outcome { checks: 1, ..Outcome::default() };
        let length = text.chars().count() as i64;
        if let Some(max) = node.length.max.filter(|max| length > *max) {
            out.add(FieldError::too_long(self.at(path), max.max(0) as usize));
        } else if let Some(min) = node.length.min.filter(|min| length < *min) {
            out.add(self.invalid(path, text, format_args!("should be at least {min} chars long")));
        } else if let Some((pattern, compiled)) = &node.pattern {
            match compiled {
                Ok(compiled) if compiled.is_match(text) => {}
                Ok(_) => out.add(self.invalid(path, text, format_args!("should match '{pattern}'"))),
                Err(error) => out.add(self.invalid(
                    path,
                    text,
                    format_args!("should match '{pattern}, but pattern is invalid: {error}'"),
                )),
            }
        }
        if node.format_of_text() {
            out.checks += 1;
            if !format::is_valid(&node.format, text) {
                out.add(self.wrong_type(path, &node.format, text));
            }
        }
        out
    }

    fn number(&self, node: &Node, value: &Value, path: &str) -> Outcome {
        let mut out = Outcome { checks: 2, ..Outcome::default() };
        let number = value.as_f64().unwrap_or(f64::NAN);
        if node.types == ["integer"] && !fits(whole(value), &node.format) {
            let format = match node.format.as_str() {
                "" => "(default format)".to_owned(),
                format => format!("with format {format}"),
            };
            out.add(self.unplaced(format!("Checked value must be of type integer {format} in {path}")));
        }
        if let Some(factor) = node.multiple_of {
            let ratio = number / factor;
            if (ratio - ratio.round()).abs() > 1e-9 {
                out.add(self.invalid(path, value.clone(), format_args!("should be a multiple of {}", show(factor))));
            }
        }
        let Range { min, max } = node.number;
        // A whole number is held against whole bounds.
        let whole = |(bound, exclusive): (f64, bool)| (if value.is_f64() { bound } else { bound.trunc() }, exclusive);
        let (min, max) = (min.map(whole), max.map(whole));
        if let Some((max, exclusive)) = max.filter(|(max, exclusive)| number > *max || (*exclusive && number >= *max)) {
            let words = if exclusive { "less than" } else { "less than or equal to" };
            out.add(self.invalid(path, value.clone(), format_args!("should be {words} {}", show(max))));
        }
        if let Some((min, exclusive)) = min.filter(|(min, exclusive)| number < *min || (*exclusive && number <= *min)) {
            let words = if exclusive { "greater than" } else { "greater than or equal to" };
            out.add(self.invalid(path, value.clone(), format_args!("should be {words} {}", show(min))));
        }
        out
    }

    fn list(&self, node: &Node, items: &[Value], old: Option<&Value>, path: &str) -> Outcome {
        let mut out = Outcome { checks: 2, ..Outcome::default() };
        for (index, item) in items.iter().enumerate() {
            let Some(rules) = &node.items else { break };
            let before = correlated(node, item, old);
            out.merge(self.child(rules, item, before, &format!("{path}[{index}]")));
        }
        let count = items.len() as i64;
        if let Some(min) = node.items_count.min.filter(|min| count < *min) {
            out.add(self.invalid(path, count, format_args!("should have at least {min} items")));
        }
        if let Some(max) = node.items_count.max.filter(|max| count > *max) {
            out.add(FieldError::too_many(self.at(path), items.len(), max.max(0) as usize));
        }
        if node.unique && items.iter().enumerate().any(|(at, item)| items[..at].contains(item)) {
            out.add(self.invalid(path, "", "shouldn't contain duplicates"));
        }
        out
    }

    fn object(&self, node: &Node, map: &Map<String, Value>, old: Option<&Value>, path: &str) -> Outcome {
        let mut out = Outcome::default();
        let count = map.len() as i64;
        if let Some(min) = node.fields_count.min.filter(|min| count < *min) {
            out.add(self.invalid(path, count, format_args!("should have at least {min} properties")));
        }
        if let Some(max) = node.fields_count.max.filter(|max| count > *max) {
            out.add(FieldError::too_many(self.at(path), map.len(), max.max(0) as usize));
        }
        for (key, value) in map {
            let own = node.field(key);
            let Some(rules) = own.or(node.others.as_deref()) else {
                if node.closed {
                    let why = format!("{path}.{key} in body is a forbidden property");
                    out.add(FieldError::invalid(self.at(path), "", why));
                }
                continue;
            };
            // A field of the root is named without a dot, a key of a map there is not.
            let place = if path.is_empty() && own.is_some() { key.clone() } else { format!("{path}.{key}") };
            let before = old.and_then(|old| old.get(key));
            out.merge(self.child(rules, value, before, &place));
        }
        for name in node.required.iter().filter(|name| !map.contains_key(*name)) {
            out.add(FieldError::required(self.at(&format!("{path}.{name}")), ""));
        }
        out
    }

    fn alternatives(&self, node: &Node, value: &Value, old: Option<&Value>, path: &str) -> Outcome {
        let mut out = Outcome { checks: 1, ..Outcome::default() };
        let tried =
            |nodes: &[Node]| -> Vec<Outcome> { nodes.iter().map(|node| self.node(node, value, old, path)).collect() };
        if !node.any_of.is_empty() {
            let (passed, mut failed): (Vec<_>, Vec<_>) =
                tried(&node.any_of).into_iter().partition(|outcome| outcome.errors.is_empty());
            match passed.into_iter().next() {
                Some(first) => out.checks += first.checks,
                None => {
                    out.add(self.unplaced(format!("{path:?} must validate at least one schema (anyOf)")));
                    out.merge(furthest(&mut failed));
                }
            }
        }
        if !node.one_of.is_empty() {
            let (passed, mut failed): (Vec<_>, Vec<_>) =
                tried(&node.one_of).into_iter().partition(|outcome| outcome.errors.is_empty());
            let told = match passed.len() {
                1 => None,
                0 => Some("Found none valid".to_owned()),
                many => Some(format!("Found {many} valid alternatives")),
            };
            if let Some(told) = told {
                out.add(self.unplaced(format!("{path:?} must validate one and only one schema (oneOf). {told}")));
                if passed.is_empty() {
                    out.merge(furthest(&mut failed));
                }
            }
        }
        if !node.all_of.is_empty() {
            let outcomes = tried(&node.all_of);
            let passed = outcomes.iter().filter(|outcome| outcome.errors.is_empty()).count();
            let all = outcomes.len();
            outcomes.into_iter().for_each(|outcome| out.merge(outcome));
            if passed != all {
                let none = if passed == 0 { ". None validated" } else { "" };
                out.add(self.unplaced(format!("{path:?} must validate all the schemas (allOf){none}")));
            }
        }
        if let Some(not) = &node.not
            && self.node(not, value, old, path).errors.is_empty()
        {
            out.add(self.unplaced(format!("{path:?} must not validate the schema (not)")));
        }
        out
    }
}

impl Node {
    /// Whether the format is one of strings.
    fn format_of_text(&self) -> bool {
        !self.format.is_empty() && !self.types.iter().any(|name| matches!(*name, "integer" | "number"))
    }
}

/// The first of the failures that made most checks.
fn furthest(failed: &mut Vec<Outcome>) -> Outcome {
    let mut best = 0;
    for at in 1..failed.len() {
        if failed[at].checks > failed[best].checks {
            best = at;
        }
    }
    if failed.is_empty() { Outcome::default() } else { failed.swap_remove(best) }
}

/// The element of the old list that is the same one: only lists with keys can tell.
pub fn correlated<'a>(node: &Node, item: &Value, old: Option<&'a Value>) -> Option<&'a Value> {
    if node.list_type != "map" {
        return None;
    }
    let key = |item: &Value| -> Vec<Value> { node.keys.iter().map(|name| item[name.as_str()].clone()).collect() };
    old?.as_array()?.iter().find(|before| key(before) == key(item))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether a number is an integer of the format's size.
fn fits(number: Option<i64>, format: &str) -> bool {
    number.is_some_and(|number| format != "int32" || i32::try_from(number).is_ok())
}

/// A number without a fraction.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9.2e18).map(|n| n as i64))
}

fn equal(one: &Value, other: &Value) -> bool {
    one == other || matches!((one.as_f64(), other.as_f64()), (Some(a), Some(b)) if a == b)
}

/// A bound as Go's `%v` prints it.
fn show(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e21 { format!("{number:.0}") } else { number.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(schema: Value, value: Value, old: Option<Value>) -> Vec<String> {
        let mut faults: Vec<String> =
            validate(&Node::read(&schema), &value, old.as_ref(), "").iter().map(ToString::to_string).collect();
        faults.sort();
        faults
    }

    #[test]
    fn faults_read_as_go_openapi_writes_them() {
        let object = |fields: Value| json!({"type": "object", "properties": fields});
        let cases = [
            (
                json!({"a": {"type": "integer"}}),
                json!({"a": "x"}),
                r#"a: Invalid value: "string": a in body must be of type integer: "string""#,
            ),
            (
                json!({"a": {"x-kubernetes-int-or-string": true}}),
                json!({"a": 1.5}),
                r#"a: Invalid value: "number": a in body must be of type integer,string: "number""#,
            ),
            (
                json!({"a": {"type": "string", "enum": ["b", "c"]}}),
                json!({"a": "x"}),
                r#"a: Unsupported value: "x": supported values: "b", "c""#,
            ),
            (
                json!({"a": {"type": "string", "minLength": 3}}),
                json!({"a": "x"}),
                r#"a: Invalid value: "x": a in body should be at least 3 chars long"#,
            ),
            (
                json!({"a": {"type": "integer", "minimum": 0, "exclusiveMinimum": true}}),
                json!({"a": 0}),
                "a: Invalid value: 0: a in body should be greater than 0",
            ),
            (
                json!({"a": {"type": "array", "items": {"type": "string"}, "uniqueItems": true}}),
                json!({"a": ["x", "x"]}),
                r#"a: Invalid value: "": a in body shouldn't contain duplicates"#,
            ),
            (
                json!({"a": {"type": "object", "additionalProperties": {"type": "integer"}}}),
                json!({"a": {"b": "x"}}),
                r#"a.b: Invalid value: "string": a.b in body must be of type integer: "string""#,
            ),
            (
                json!({"a": {"type": "integer", "format": "int32"}}),
                json!({"a": 3_000_000_000_i64}),
                r#"<nil>: Invalid value: "": Checked value must be of type integer with format int32 in a"#,
            ),
            (
                json!({"a": {"type": "string"}}),
                json!({"a": null}),
                r#"a: Invalid value: "null": a in body must be of type string: "null""#,
            ),
        ];
        for (fields, value, words) in cases {
            assert_eq!(faults(object(fields), value, None), [words]);
        }
    }

    #[test]
    fn alternatives_and_what_is_required() {
        let schema = json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
        assert_eq!(
            faults(schema.clone(), json!({}), None),
            [
                "<nil>: Invalid value: \"\": \"\" must validate one and only one schema (oneOf). Found none valid",
                "a: Required value"
            ]
        );
        assert_eq!(faults(schema, json!({"a": 1}), None), [""; 0]);
    }

    #[test]
    fn what_did_not_change_is_left_alone() {
        let schema =
            json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 2}, "b": {"type": "string"}}});
        let old = json!({"a": "long", "b": "x"});
        assert_eq!(faults(schema.clone(), json!({"a": "long", "b": "y"}), Some(old.clone())), [""; 0]);
        assert_eq!(faults(schema, json!({"a": "longer"}), Some(old)), ["a: Too long: may not be more than 2 bytes"]);
    }
}
