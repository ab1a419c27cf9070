//! JSON merge patch, RFC 7386: an object that looks like the change; `null` removes.

use super::wrong_type;
use crate::api::status::Status;
use serde_json::{Map, Value};

/// Applies a merge patch. Errors: 400 when the patch is no JSON object.
pub fn apply(target: &mut Value, patch: &Value) -> Result<(), Status> {
    match patch {
        Value::Object(_) => merge(target, patch),
        Value::Null => return Err(Status::bad_request("Invalid JSON Patch")),
        other => return Err(wrong_type(other, "map[string]interface {}")),
    }
    Ok(())
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            fields.shift_remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The table of RFC 7386, appendix A, as far as the patch is an object.
    #[test]
    fn the_rfcs_examples() {
        let table = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ];
        for (mut target, patch, expected) in table {
            apply(&mut target, &patch).unwrap();
            assert_eq!(target, expected);
        }
        let message = apply(&mut json!({}), &json!([1])).unwrap_err().message;
        assert_eq!(
            message,
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        );
    }
}
