//! Strategic merge patch: a merge patch that knows which lists are sets of named things.
//!
//! `{"containers": [{"name": "app", "image": "x:2"}]}` changes one container and leaves the others;
//! the schema says by which key (`patch_merge_key`). Directives inside the patch say more:
//! `$patch: replace|delete|merge`, `$retainKeys`, `$deleteFromPrimitiveList/<list>` and
//! `$setElementOrder/<list>`. Only built-in kinds have this patch. Element order is in [`order`].
//!
//! Source: `k8s.io/apimachinery/pkg/util/strategicpatch`. Errors keep its words and its codes: 400 for a
//! directive of the wrong form, else 500.

mod order;

use super::wrong_type;
use crate::api::schema::{Field, Schema};
use crate::api::status::{Reason, Status};
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

type Object = Map<String, Value>;

/// Applies a strategic merge patch. Errors: 400 when the patch is no object, 500 when a directive or
/// a list element is wrong.
pub fn apply(target: &mut Value, patch: &Value, schema: &Schema) -> Result<(), Status> {
    if patch.is_null() {
        return Ok(());
    }
    let Value::Object(patch) = patch else {
        return Err(wrong_type(patch, "map[string]interface {}"));
    };
    let original = match std::mem::take(target) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    *target = Value::Object(merge_map(original, patch.clone(), Some(schema)).map_err(internal)?);
    Ok(())
}

/// A directive that is no list.
const BAD_RETAIN_KEYS: &str = "invalid patch format of retainKeys";
const BAD_PRIMITIVE_LIST: &str = "invalid patch format of primitive list";
const BAD_ORDER: &str = "invalid patch format of setElementOrder list";

/// 500 without a reason: how the API server answers errors that are not Statuses.
fn internal(message: String) -> Status {
    if [BAD_RETAIN_KEYS, BAD_PRIMITIVE_LIST, BAD_ORDER].contains(&message.as_str()) {
        return Status::new(Reason::BadRequest, message);
    }
    let mut status = Status::new(Reason::InternalError, message);
    status.reason = None;
    status
}

/// How a field's list or object is patched.
#[derive(Clone, Copy, Default)]
struct Strategy<'a> {
    merge: bool,
    replace: bool,
    merge_key: &'a str,
    schema: Option<&'a Schema>,
}

impl<'a> Strategy<'a> {
    /// The strategy of `key` inside an object; maps and unknown fields have none.
    fn of(parent: Option<&'a Schema>, key: &str) -> Strategy<'a> {
        let field: Option<&Field> = parent.and_then(|schema| schema.field(key));
        Strategy {
            merge: field.is_some_and(|field| field.patch_merge),
            replace: field.is_some_and(|field| field.patch_replace),
            merge_key: field.and_then(|field| field.patch_merge_key.as_deref()).unwrap_or_default(),
            schema: parent.and_then(|schema| schema.child(key)),
        }
    }
}

fn merge_map(mut original: Object, mut patch: Object, schema: Option<&Schema>) -> Result<Object, String> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => {
                patch.shift_remove(DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(unknown_directive(directive, &patch)),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    delete_from_lists(&mut original, &mut patch)?;
    order_lists(&mut original, &mut patch, schema)?;
    for (key, change) in patch {
        if change.is_null() {
            original.shift_remove(&key);
            continue;
        }
        let strategy = Strategy::of(schema, &key);
        let merged = match (original.get_mut(&key).map(std::mem::take), change) {
            (Some(Value::Object(current)), Value::Object(change)) if !strategy.replace => {
                Some(Value::Object(merge_map(current, change, strategy.schema)?))
            }
            (Some(Value::Array(current)), Value::Array(change)) if strategy.merge => {
                Some(Value::Array(merge_list(current, change, strategy)?))
            }
            // What replaces its like stays as it was sent: a directive in it is an unknown field.
            (Some(Value::Object(_)), change @ Value::Object(_)) | (Some(Value::Array(_)), change @ Value::Array(_)) => {
                Some(change)
            }
            (_, change) => without_directives(change),
        };
        match merged {
            Some(merged) => original.insert(key, merged),
            None => original.shift_remove(&key),
        };
    }
    Ok(original)
}

/// What a patch adds where nothing was: nulls and what `$patch` directs are left out.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let live = map.into_iter().filter(|(_, value)| !value.is_null());
            Some(Value::Object(live.filter_map(|(key, value)| Some((key, without_directives(value)?))).collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        scalar => Some(scalar),
    }
}

fn is_list_directive(key: &str) -> bool {
    key.starts_with(DELETE_FROM) || key.starts_with(SET_ORDER)
}

/// `$retainKeys`: everything of the original that the list does not name goes.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), String> {
    let Some(retain) = patch.shift_remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(names) = retain else {
        return Err(BAD_RETAIN_KEYS.to_owned());
    };
    let unlisted = |key: &String| !names.iter().any(|name| name == key.as_str());
    if patch.iter().any(|(key, value)| !is_list_directive(key) && !value.is_null() && unlisted(key)) {
        return Err(BAD_RETAIN_KEYS.to_owned());
    }
    original.retain(|key, _| !unlisted(key));
    Ok(())
}

/// `$deleteFromPrimitiveList/finalizers: ["a"]`.
fn delete_from_lists(original: &mut Object, patch: &mut Object) -> Result<(), String> {
    for directive in directives(patch, DELETE_FROM) {
        let Some(Value::Array(doomed)) = patch.shift_remove(&directive) else {
            return Err(BAD_PRIMITIVE_LIST.to_owned());
        };
        if let Some(Value::Array(items)) = original.get_mut(&directive[DELETE_FROM.len()..]) {
            items.retain(|item| !doomed.contains(item));
        }
    }
    Ok(())
}

/// `$setElementOrder/containers: [...]`: merges that list now, and puts it in the order given.
fn order_lists(original: &mut Object, patch: &mut Object, schema: Option<&Schema>) -> Result<(), String> {
    for directive in directives(patch, SET_ORDER) {
        let Some(Value::Array(wanted)) = patch.shift_remove(&directive) else {
            return Err(BAD_ORDER.to_owned());
        };
        let key = &directive[SET_ORDER.len()..];
        let strategy = Strategy::of(schema, key);
        let server = match original.get(key) {
            Some(Value::Array(items)) => items.clone(),
            _ => Vec::new(),
        };
        let change = match patch.shift_remove(key) {
            Some(Value::Array(items)) => Some(items),
            _ => None,
        };
        if let Some(change) = &change {
            order::check(change, &wanted, strategy.merge_key)?;
        }
        let merged = match (change, strategy.merge) {
            (Some(change), _) if !original.contains_key(key) => {
                change.into_iter().filter_map(without_directives).collect()
            }
            (Some(change), true) => merge_list(server.clone(), change, strategy)?,
            (Some(change), false) => change,
            (None, _) => server.clone(),
        };
        let merged = order::arrange(merged, &wanted, &server, strategy.merge_key)?;
        if !merged.is_empty() || original.contains_key(key) {
            original.insert(key.to_owned(), Value::Array(merged));
        }
    }
    Ok(())
}

fn directives(patch: &Object, prefix: &str) -> Vec<String> {
    patch.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
}

fn merge_list(original: Vec<Value>, patch: Vec<Value>, strategy: Strategy<'_>) -> Result<Vec<Value>, String> {
    let Some(first) = original.first().or(patch.first()) else { return Ok(original) };
    let objects = first.is_object();
    if original.iter().chain(&patch).any(|item| item.is_object() != objects) {
        let lists = Value::Array(vec![Value::Array(original), Value::Array(patch)]);
        return Err(format!("list element types are not identical: {}", go_print(&lists)));
    }
    if !objects {
        let mut merged = original.clone();
        for item in &patch {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return order::arrange(merged, &patch, &original, "");
    }
    if strategy.merge_key.is_empty() {
        let name = strategy.schema.and_then(Schema::name).unwrap_or_default();
        return Err(format!("cannot merge lists without merge key for {name}"));
    }
    let (original, patch) = special_elements(original, patch, strategy.merge_key)?;
    let merged = merge_elements(original.clone(), &patch, strategy)?;
    order::arrange(merged, &patch, &original, strategy.merge_key)
}

/// Elements with a `$patch` of their own: `replace` the whole list, `delete` one.
fn special_elements(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    merge_key: &str,
) -> Result<(Vec<Value>, Vec<Value>), String> {
    let mut plain = Vec::new();
    let mut replace = false;
    for item in patch {
        let Some(directive) = item.get(DIRECTIVE).cloned() else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let Some(wanted) = item.get(merge_key) else { return Err(no_merge_key(&item, merge_key)) };
                original.retain(|element| element.get(merge_key) != Some(wanted));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err("merging lists cannot yet be specified in the patch".to_owned());
            }
            _ => return Err(unknown_directive(&directive, item.as_object().unwrap_or(&Map::new()))),
        }
    }
    Ok(if replace { (plain, Vec::new()) } else { (original, plain) })
}

fn merge_elements(mut original: Vec<Value>, patch: &[Value], strategy: Strategy<'_>) -> Result<Vec<Value>, String> {
    let schema = strategy.schema.and_then(Schema::items);
    for change in patch {
        let Some(wanted) = change.get(strategy.merge_key) else {
            return Err(no_merge_key(change, strategy.merge_key));
        };
        match original.iter().position(|item| item.get(strategy.merge_key) == Some(wanted)) {
            Some(at) => {
                let (Value::Object(current), Value::Object(change)) =
                    (std::mem::take(&mut original[at]), change.clone())
                else {
                    return Err("list element types are not identical".to_owned());
                };
                original[at] = Value::Object(merge_map(current, change, schema)?);
            }
            None => original.push(change.clone()),
        }
    }
    Ok(original)
}

fn no_merge_key(item: &Value, merge_key: &str) -> String {
    format!("map: {} does not contain declared merge key: {merge_key}", go_print(item))
}

fn unknown_directive(directive: &Value, patch: &Object) -> String {
    format!("unknown patch type: {} in map: {}", go_print(directive), go_print(&Value::Object(patch.clone())))
}

/// A value as Go's `%v` prints it: `map[a:1 b:[x y]]`.
fn go_print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_print).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().map(|(key, value)| format!("{key}:{}", go_print(value))).collect();
            entries.sort();
            format!("map[{}]", entries.join(" "))
        }
        other => other.to_string(),
    }
}

/// What Go has left of a patch once it was applied to `old`, which is what an error shows of it: directives that
/// were carried out are gone, and so is a list that was put in order. What is new was taken as it is.
pub fn carried_out(patch: &Value, old: &Value) -> Value {
    let (Value::Object(map), Value::Object(old)) = (patch, old) else { return patch.clone() };
    let ordered = |key: &str| map.contains_key(&format!("{SET_ORDER}{key}"));
    let done = |key: &str, value: &Value| {
        key == RETAIN_KEYS || key.starts_with(SET_ORDER) || ordered(key) || key == DIRECTIVE && value == "replace"
    };
    let kept = map.iter().filter(|(key, value)| !done(key, value));
    kept.map(|(key, value)| (key.clone(), carried_out(value, old.get(key).unwrap_or(&Value::Null))))
        .collect::<Object>()
        .into()
}

#[cfg(test)]
mod tests;
