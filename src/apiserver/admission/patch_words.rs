//! Why an operation of a JSON patch cannot be done, in the words of the library that Kubernetes uses.
//!
//! In: an operation that failed, and the object that it was done to. Out: the words; nothing for a test of what
//! is there, which only says no. Source: `gopkg.in/evanphx/json-patch.v4`.

use serde_json::Value;

use crate::apiserver::kinds::json::Json;

/// The words; `None`: a test that found another value.
pub fn why_not(operation: &Value, object: &Value) -> Option<String> {
    let (kind, path, from) = (operation.text("op"), operation.text("path"), operation.text("from"));
    let container = |path: &str| {
        path.rsplit_once('/')
            .and_then(|(parent, _)| object.pointer(parent))
            .filter(|it| it.is_object() || it.is_array())
    };
    let key = |path: &str| path.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~");
    let at = |path: &str| match container(path) {
        Some(Value::Array(_)) => format!("Unable to access invalid index: {}: invalid index referenced", key(path)),
        _ => format!("Unable to remove nonexistent key: {}: missing value", key(path)),
    };
    Some(match (kind, container(path)) {
        ("test", Some(_)) => return None,
        ("test", None) => format!("test operation does not apply: is missing path: {path}: missing value"),
        ("remove", None) => format!("remove operation does not apply: doc is missing path: \"{path}\": missing value"),
        ("remove", Some(_)) => format!("error in remove for path: '{path}': {}", at(path)),
        ("add", None) => format!("add operation does not apply: doc is missing path: \"{path}\": missing value"),
        ("add", Some(_)) => format!("error in add for path: '{path}': {}", at(path)),
        ("replace", None) => format!("replace operation does not apply: doc is missing path: {path}: missing value"),
        ("replace", Some(_)) => format!("replace operation does not apply: doc is missing key: {path}: missing value"),
        ("copy" | "move", None) if container(from).is_some() => {
            format!("{kind} operation does not apply: doc is missing destination path: {path}: missing value")
        }
        ("copy" | "move", _) if container(from).is_none() => {
            format!("{kind} operation does not apply: doc is missing from path: {from}: missing value")
        }
        ("copy", _) => format!("error in copy for from: '{from}': {}", at(from)),
        ("move", _) => format!("error in move for path: '{}': {}", key(from), at(from)),
        (other, _) => format!("Unexpected kind: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_operation_says_what_it_misses() {
        let object = json!({"data": {"a": "1"}, "list": [1]});
        for (operation, words) in [
            (
                json!({"op": "remove", "path": "/data/no"}),
                "error in remove for path: '/data/no': Unable to remove nonexistent key: no: missing value",
            ),
            (
                json!({"op": "replace", "path": "/data/no"}),
                "replace operation does not apply: doc is missing key: /data/no: missing value",
            ),
            (
                json!({"op": "add", "path": "/no/a"}),
                "add operation does not apply: doc is missing path: \"/no/a\": missing value",
            ),
            (json!({"op": "nope", "path": "/data/a"}), "Unexpected kind: nope"),
        ] {
            assert_eq!(why_not(&operation, &object).as_deref(), Some(words));
        }
        assert_eq!(why_not(&json!({"op": "test", "path": "/data/a"}), &object), None);
    }
}
