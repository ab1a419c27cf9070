//! The order of a merged list: the patch's items in the patch's order, the others where the server
//! had them relative to those.

use super::{OBJECT, no_merge_key};
use crate::api::go_words::{printed, type_of};
use serde_json::Value;

/// Where an item stands in a list: by its merge key, or as a whole when there is none.
fn index(list: &[Value], item: &Value, merge_key: &str) -> Option<usize> {
    if merge_key.is_empty() {
        return list.iter().position(|other| other == item);
    }
    list.iter().position(|other| other.get(merge_key) == item.get(merge_key))
}

/// Arranges a merged list: items named by `wanted` in that order, woven into the rest, which keeps
/// the `server`'s order.
pub(super) fn arrange(
    merged: Vec<Value>,
    wanted: &[Value],
    server: &[Value],
    merge_key: &str,
) -> Result<Vec<Value>, String> {
    if !merge_key.is_empty() && !merged.is_empty() {
        // Go looks for the first item until it is found, and stumbles over what is no object.
        let before = index(wanted, &merged[0], merge_key).unwrap_or(wanted.len());
        if let Some(at) = wanted[..before].iter().position(|item| !item.is_object()) {
            return Err(format!("value for key {at} is not a map"));
        }
    }
    let nameless = |item: &&Value| !merge_key.is_empty() && item.get(merge_key).is_none();
    if let Some(item) = merged.iter().chain(wanted).find(nameless) {
        let message = format!("expected a {OBJECT}, but received a {}", type_of(item));
        return Err(if item.is_object() { no_merge_key(item, merge_key) } else { message });
    }
    let (mut named, mut rest): (Vec<_>, Vec<_>) =
        merged.into_iter().partition(|item| index(wanted, item, merge_key).is_some());
    named.sort_by_key(|item| index(wanted, item, merge_key));
    rest.sort_by_key(|item| index(server, item, merge_key).unwrap_or(usize::MAX));
    Ok(weave(rest, named, server, merge_key))
}

/// Takes from `rest` only while its next item stood before the next named one on the server.
fn weave(rest: Vec<Value>, named: Vec<Value>, server: &[Value], merge_key: &str) -> Vec<Value> {
    let mut woven = Vec::with_capacity(rest.len() + named.len());
    let (mut rest, mut named) = (rest.into_iter().peekable(), named.into_iter().peekable());
    loop {
        let take_rest = match (rest.peek(), named.peek()) {
            (None, None) => return woven,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(left), Some(right)) => match (index(server, left, merge_key), index(server, right, merge_key)) {
                (Some(left), Some(right)) => left < right,
                _ => false,
            },
        };
        woven.extend(if take_rest { rest.next() } else { named.next() });
    }
}

/// A patch's items must be among those whose order it gives, and in the same order.
pub(super) fn check(patch: &[Value], wanted: &[Value], merge_key: &str) -> Result<(), String> {
    let mut from = 0;
    for item in patch {
        if item.get("$patch").is_some_and(|directive| directive == "delete" || directive == "replace") {
            continue;
        }
        if !merge_key.is_empty() && item.get(merge_key).is_none() {
            return Err(no_merge_key(item, merge_key));
        }
        let rest = &wanted[from..];
        let found = index(rest, item, merge_key);
        let passed = &rest[..found.unwrap_or(rest.len())];
        if let Some(odd) = passed.iter().find(|other| !merge_key.is_empty() && !other.is_object()) {
            return Err(format!("expected a {OBJECT}, but received a {}", type_of(odd)));
        }
        match found {
            Some(at) => from += at + 1,
            None => {
                return Err("The order in patch list:\n".to_owned()
                    + &format!("{}\n doesn't match $setElementOrder list:\n{}\n", list(patch), list(wanted)));
            }
        }
    }
    Ok(())
}

fn list(items: &[Value]) -> String {
    printed(&Value::Array(items.to_vec()))
}
