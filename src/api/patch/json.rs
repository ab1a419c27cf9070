//! JSON patch, RFC 6902: a list of operations, all of which succeed or none happens.
//!
//! Wrong operations and failed tests are one and the same answer, without details: the API server
//! hides the library's words.

use super::{go_type, unprocessable, wrong_type};
use crate::api::depth;
use crate::api::status::{Reason, Status};
use json_patch::{AddOperation, PatchOperation};
use serde_json::Value;

/// Operations that one patch may hold.
const MAX_OPERATIONS: usize = 10_000;
/// Bytes that its copies may add. Source: apiserver, Config.JSONPatchMaxCopyBytes.
const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// Applies a JSON patch. Errors: 400 when the patch is no list of objects, 413 when it is too long,
/// 422 when an operation fails.
pub fn apply(target: &mut Value, patch: &Value) -> Result<(), Status> {
    let Value::Array(operations) = patch else {
        return if patch.is_null() { Ok(()) } else { Err(wrong_type(patch, "[]handlers.jsonPatchOp")) };
    };
    if let Some(wrong) = operations.iter().find(|operation| !operation.is_object()) {
        let message = format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type handlers.jsonPatchOp",
            go_type(wrong)
        );
        return Err(Status::new(Reason::BadRequest, message));
    }
    if operations.len() > MAX_OPERATIONS {
        let found = operations.len();
        let message = format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {found}");
        return Err(Status::new(Reason::RequestEntityTooLarge, message));
    }
    let mut patch = patch.clone();
    for operation in patch.as_array_mut().into_iter().flatten() {
        // The library that Kubernetes uses takes what is not said for `null`.
        if matches!(operation["op"].as_str(), Some("add" | "replace")) && operation.get("value").is_none() {
            operation["value"] = Value::Null;
        }
        // It also takes no notice of what stands before the first slash.
        for pointer in ["path", "from"] {
            let from_slash =
                operation[pointer].as_str().and_then(|text| text.find('/').map(|at| text[at..].to_string()));
            if let Some(text) = from_slash {
                operation[pointer] = text.into();
            }
        }
    }
    let patch: Vec<PatchOperation> = serde_json::from_value(patch).map_err(|_| unprocessable())?;
    let (mut patched, mut copied) = (target.clone(), 0);
    for operation in patch {
        check_growth(&patched, &operation, &mut copied)?;
        if names_no_member(&operation) {
            return Err(unprocessable());
        }
        if !is_test_of_nothing(&operation, &patched) {
            let operation = or_added(operation, &patched);
            json_patch::patch_unsafe(&mut patched, &[operation]).map_err(|_| unprocessable())?;
        }
    }
    *target = patched;
    Ok(())
}

/// Fields that no operation has, as `unknown field "[0].bogus"`.
pub fn unknown_fields(patch: &Value) -> Vec<String> {
    let operations = patch.as_array().into_iter().flatten().enumerate();
    let unknown = operations.flat_map(|(at, operation)| {
        let fields = operation.as_object().into_iter().flatten().map(|(field, _)| field);
        let unknown = fields.filter(|field| !matches!(field.as_str(), "op" | "path" | "from" | "value"));
        unknown.map(move |field| format!("unknown field \"[{at}].{field}\""))
    });
    unknown.collect()
}

/// The whole object can be tested and replaced; whatever else is done, is done to a member of something.
fn names_no_member(operation: &PatchOperation) -> bool {
    match operation {
        PatchOperation::Add(add) => add.path.is_root(),
        PatchOperation::Remove(remove) => remove.path.is_root(),
        PatchOperation::Move(moved) => moved.path.is_root() || moved.from.is_root(),
        PatchOperation::Copy(copy) => copy.path.is_root() || copy.from.is_root(),
        PatchOperation::Replace(_) | PatchOperation::Test(_) => false,
    }
}

/// Whether `path` names a field that an object could have and has not.
fn is_free(path: &str, target: &Value) -> bool {
    let parent = path.rsplit_once('/').and_then(|(parent, _)| target.pointer(parent));
    parent.is_some_and(Value::is_object) && target.pointer(path).is_none()
}

/// What is not there passes the test for `null`.
fn is_test_of_nothing(operation: &PatchOperation, target: &Value) -> bool {
    match operation {
        PatchOperation::Test(test) => test.value.is_null() && is_free(test.path.as_str(), target),
        _ => false,
    }
}

/// The library that Kubernetes uses replaces a field that is not there, and copies it as `null`, unlike RFC 6902.
fn or_added(operation: PatchOperation, target: &Value) -> PatchOperation {
    match operation {
        PatchOperation::Replace(replace) if is_free(replace.path.as_str(), target) => {
            PatchOperation::Add(AddOperation { path: replace.path, value: replace.value })
        }
        PatchOperation::Copy(copy) if is_free(copy.from.as_str(), target) => {
            PatchOperation::Add(AddOperation { path: copy.path, value: Value::Null })
        }
        other => other,
    }
}

/// A copy of the whole into itself doubles it, and a few dozen of those fill any memory; values put
/// into values nest without end. Neither goes on: Kubernetes limits what is copied, we also limit depth.
fn check_growth(target: &Value, operation: &PatchOperation, copied: &mut usize) -> Result<(), Status> {
    let at = |pointer: &str| target.pointer(pointer).unwrap_or(&Value::Null);
    let (path, value) = match operation {
        PatchOperation::Add(add) => (&add.path, &add.value),
        PatchOperation::Replace(replace) => (&replace.path, &replace.value),
        PatchOperation::Move(moved) => (&moved.path, at(moved.from.as_str())),
        PatchOperation::Copy(copy) => {
            let value = at(copy.from.as_str());
            *copied += size(value);
            if *copied > MAX_COPIED_BYTES {
                let message = format!(
                    "Unable to complete the copy, the accumulated size increase of the copy is {copied}, exceeding the limit {MAX_COPIED_BYTES}"
                );
                return Err(Status::new(Reason::RequestEntityTooLarge, message));
            }
            (&copy.path, value)
        }
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
    };
    let deep = path.tokens().count() + depth::of(value) > depth::MAX;
    if deep { Err(unprocessable()) } else { Ok(()) }
}

/// Roughly the bytes of a value as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(list) => 2 + list.iter().map(|one| size(one) + 1).sum::<usize>(),
        Value::Object(map) => 2 + map.iter().map(|(key, one)| key.len() + size(one) + 4).sum::<usize>(),
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_and_refusals() {
        let object = json!({"data": {"a": "1"}, "list": [1, 2]});
        let patched = |patch: Value| {
            let mut target = object.clone();
            apply(&mut target, &patch).map(|()| target)
        };
        let add = json!([{"op": "add", "path": "/data/c", "value": "3"}, {"op": "add", "path": "/list/-", "value": 3}]);
        assert_eq!(patched(add).unwrap(), json!({"data": {"a": "1", "c": "3"}, "list": [1, 2, 3]}));
        assert_eq!(patched(json!([])).unwrap(), object);
        for bad in [
            json!([{"op": "set", "path": "/data/a", "value": "1"}]),
            json!([{"op": "add", "value": "1"}]),
            json!([{"op": "remove", "path": "/data/none"}]),
            json!([{"op": "test", "path": "/data/a", "value": "2"}]),
            json!([{"op": "add", "path": "/nothing/x", "value": 1}]),
            json!([{"op": "replace", "path": "/nothing/x", "value": 1}]),
            json!([{"op": "replace", "path": "/list/5", "value": 1}]),
            json!([{"op": "test", "path": "/nothing/x", "value": null}]),
            json!([{"op": "add", "path": "", "value": {}}]),
            json!([{"op": "copy", "from": "", "path": "/data/b"}]),
            json!([{"op": "add", "path": "data", "value": 1}]),
        ] {
            assert_eq!(patched(bad).unwrap_err().code, 422);
        }
        let replace = json!([{"op": "replace", "path": "/data/none", "value": "1"}]);
        assert_eq!(patched(replace).unwrap()["data"]["none"], "1", "as the official server does");
        let slashless = json!([{"op": "replace", "path": "data/a", "value": "1"}]);
        assert_eq!(patched(slashless).unwrap()["a"], "1", "as if it said /a");
        let twice =
            |times| patched(Value::Array(vec![json!({"op": "copy", "from": "/data", "path": "/data/b"}); times]));
        assert_eq!(twice(1).unwrap()["data"]["b"], json!({"a": "1"}));
        assert!(matches!(twice(200).unwrap_err().code, 413 | 422), "doubling ends");
        assert_eq!(
            patched(json!({})).unwrap_err().message,
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        );
    }
}
