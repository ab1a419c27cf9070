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

use super::go_type;
use crate::api::go_words::{printed, printed_as_text, type_of};
use crate::api::schema::{Field, Schema, Type};
use crate::api::status::{Reason, Status};
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

/// What Go calls an object.
const OBJECT: &str = "map[string]interface {}";

type Object = Map<String, Value>;

/// Applies a strategic merge patch. Errors: 400 when the patch is no object, 500 when a directive or
/// a list element is wrong.
pub fn apply(target: &mut Value, patch: &Value, schema: &Schema) -> Result<(), Status> {
    if patch.is_null() {
        return Ok(());
    }
    let Value::Object(patch) = patch else {
        let message = format!("json: cannot unmarshal {} into Go value of type {OBJECT}", go_type(patch));
        return Err(Status::new(Reason::BadRequest, message));
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

/// 500 without a reason: how the API server answers errors that are not Statuses.
fn internal(message: String) -> Status {
    if message == BAD_RETAIN_KEYS {
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
    delete_from_lists(&mut original, &mut patch, schema)?;
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

/// `$deleteFromPrimitiveList/finalizers: ["a"]`. What is no list deletes nothing from one, but `null` all of it;
/// objects are no primitives, and are merged.
fn delete_from_lists(original: &mut Object, patch: &mut Object, schema: Option<&Schema>) -> Result<(), String> {
    for directive in directives(patch, DELETE_FROM) {
        let (doomed, key) = (patch.shift_remove(&directive), &directive[DELETE_FROM.len()..]);
        match (original.get_mut(key), doomed) {
            (_, Some(Value::Null)) => drop(original.shift_remove(key)),
            (Some(Value::Array(items)), Some(Value::Array(doomed))) => {
                if same_type(items, &doomed)? {
                    let strategy = Strategy::of(schema, key);
                    *items = merge_list(std::mem::take(items), doomed, strategy)?;
                } else {
                    items.retain(|item| !doomed.contains(item));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// `$setElementOrder/containers: [...]`: merges that list now, and puts it in the order given.
fn order_lists(original: &mut Object, patch: &mut Object, schema: Option<&Schema>) -> Result<(), String> {
    for directive in directives(patch, SET_ORDER) {
        let wanted = match patch.shift_remove(&directive) {
            Some(Value::Array(wanted)) => wanted,
            other => return Err(no_list(&other.unwrap_or_default())),
        };
        let key = &directive[SET_ORDER.len()..];
        if let Some(wrong) = [original.get(key), patch.get(key)].into_iter().flatten().find(|list| !list.is_array()) {
            return Err(no_list(wrong));
        }
        if let Some(schema) = schema.filter(|schema| schema.kind() == Type::Object && schema.field(key).is_none()) {
            let name = schema.name().unwrap_or_default().rsplit('.').next().unwrap_or_default();
            return Err(format!("unable to find api field in struct {name} for the json field {key:?}"));
        }
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
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    if !same_type(&original, &patch)? {
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

/// Whether the items of both lists are objects; they must be of one type.
fn same_type(original: &[Value], patch: &[Value]) -> Result<bool, String> {
    let mut items = original.iter().chain(patch).map(type_of);
    let first = items.next();
    if items.any(|other| Some(other) != first) {
        let lists = Value::Array(vec![Value::Array(original.to_vec()), Value::Array(patch.to_vec())]);
        return Err(format!("list element types are not identical: {}", printed(&lists)));
    }
    Ok(first == Some(OBJECT))
}

fn no_list(value: &Value) -> String {
    let found = if value.is_null() { "%!s(<nil>)" } else { type_of(value) };
    format!("expected a []interface {{}}, but received a {found}")
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
    format!("map: {} does not contain declared merge key: {merge_key}", printed(item))
}

fn unknown_directive(directive: &Value, patch: &Object) -> String {
    let told = printed_as_text(directive);
    format!("unknown patch type: {told} in map: {}", printed(&Value::Object(patch.clone())))
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
