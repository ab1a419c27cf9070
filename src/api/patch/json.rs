//! JSON patch, RFC 6902: a list of operations, all of which succeed or none happens.
//!
//! Wrong operations and failed tests are one and the same answer, without details: the API server
//! hides the library's words.

use super::{go_type, unprocessable, wrong_type};
use crate::api::status::{Reason, Status};
use serde_json::Value;

/// Operations that one patch may hold.
const MAX_OPERATIONS: usize = 10_000;

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
    let json_patch::Patch(operations) = serde_json::from_value(patch.clone()).map_err(|_| unprocessable())?;
    let mut changed = target.clone();
    for operation in operations {
        if !is_test_of_nothing(&operation, &changed) {
            json_patch::patch(&mut changed, &[operation]).map_err(|_| unprocessable())?;
        }
    }
    *target = changed;
    Ok(())
}

/// What is not there passes the test for `null`.
fn is_test_of_nothing(operation: &json_patch::PatchOperation, target: &Value) -> bool {
    match operation {
        json_patch::PatchOperation::Test(test) => test.value.is_null() && target.pointer(test.path.as_str()).is_none(),
        _ => false,
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
        ] {
            assert_eq!(patched(bad).unwrap_err().code, 422);
        }
        assert_eq!(
            patched(json!({})).unwrap_err().message,
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        );
    }
}
