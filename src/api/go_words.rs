//! A JSON value in Go's words, as Kubernetes' errors and kubectl's columns show it.
//! In: a value. Out: what `%v` prints of it, or the name that `%T` gives its type.

use serde_json::Value;

/// As Go's `%v` prints it: `map[a:1 b:[x y]]`.
pub fn printed(value: &Value) -> String {
    print(value, |single| match single {
        Value::Null => "<nil>".to_owned(),
        Value::Number(number) if number.is_f64() => float(number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    })
}

/// As Go's `%s` prints it, which takes offence at what is no text: `%!s(bool=true)`.
pub fn printed_as_text(value: &Value) -> String {
    print(value, |single| match single {
        Value::Null => "%!s(<nil>)".to_owned(),
        other => format!("%!s({}={})", type_of(other), printed(other)),
    })
}

/// Lists, maps and texts look alike with all of Go's verbs; `single` prints the rest.
fn print(value: &Value, single: fn(&Value) -> String) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| print(item, single)).collect::<Vec<_>>().join(" "))
        }
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let fields = keys.into_iter().map(|key| format!("{key}:{}", print(&map[key], single)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        other => single(other),
    }
}

/// `%v` of a `float64`: plain digits while the exponent is small, else `1e+21`.
fn float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..21).contains(&exponent) {
        number.to_string()
    } else {
        format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
    }
}

/// As Go's `%T` names the type that an `interface{}` holds once JSON was read into it.
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_printed_as_go_prints_them() {
        let value = json!({"a-b": [1, "x", null], "a": {"n": 2.5}, "big": 1e21, "small": 0.00001, "whole": 3.0});
        assert_eq!(printed(&value), "map[a:map[n:2.5] a-b:[1 x <nil>] big:1e+21 small:1e-05 whole:3]");
    }

    #[test]
    fn what_is_no_text_is_told_apart() {
        let value = json!({"a": ["x", null, true], "b": 1.0});
        assert_eq!(printed_as_text(&value), "map[a:[x %!s(<nil>) %!s(bool=true)] b:%!s(float64=1)]");
    }

    #[test]
    fn types_are_named_as_go_names_them() {
        let named = json!([null, true, 1, 1.5, "x", [], {}]);
        let names: Vec<&str> = named.as_array().expect("a list").iter().map(type_of).collect();
        let wanted = ["<nil>", "bool", "int64", "float64", "string", "[]interface {}", "map[string]interface {}"];
        assert_eq!(names, wanted);
    }
}
