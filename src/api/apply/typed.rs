//! The four questions server-side apply asks of values with a schema: which fields does this value
//! set, what differs between two values, what do two values give together, what remains without
//! some fields.
//!
//! Source: `sigs.k8s.io/structured-merge-diff/typed`.

use super::set::FieldSet;
use super::shape::{Node, Shape, element, field, is_blank, name_step, shape};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The fields that a value sets: leaves, list elements, keys of maps, and empty objects.
pub(super) fn field_set(value: &Value, node: Node<'_>) -> FieldSet {
    let mut set = FieldSet::default();
    match shape(node, [Some(value), None]) {
        Shape::Leaf => set.own(),
        Shape::Map => {
            for (key, child) in value.as_object().into_iter().flatten() {
                let (below, named) = field(node, key);
                let mut owned = field_set(child, below);
                if !named || child.is_null() || child.as_object().is_some_and(Map::is_empty) {
                    owned.own();
                }
                set.set_child(name_step(key), owned);
            }
        }
        list @ (Shape::Set(below) | Shape::Keyed(below, _)) => {
            for item in value.as_array().into_iter().flatten() {
                if let Ok(step) = element(list, item) {
                    let mut owned = field_set(item, below);
                    owned.own();
                    set.set_child(step, owned);
                }
            }
        }
    }
    set
}

/// What a change added, changed and removed.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

impl Comparison {
    /// Leaves out fields that the writer cannot change.
    pub(super) fn excluding(self, ignored: &FieldSet) -> Comparison {
        Comparison {
            added: self.added.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            removed: self.removed.recursive_difference(ignored),
        }
    }

    fn nest(&mut self, step: String, below: Comparison) {
        self.added.set_child(step.clone(), below.added);
        self.modified.set_child(step.clone(), below.modified);
        self.removed.set_child(step, below.removed);
    }
}

/// Compares two values; at least one is there.
pub(super) fn compare(old: Option<&Value>, new: Option<&Value>, node: Node<'_>) -> Comparison {
    let mut result = Comparison::default();
    if old == new {
        // Most of an object is what it was: nothing below needs to be named.
        return result;
    }
    let kind = shape(node, [old, new]);
    let leaf = matches!(kind, Shape::Leaf) || (is_blank(old) && is_blank(new));
    if !leaf {
        match kind {
            Shape::Map => compare_maps(old, new, node, &mut result),
            list => compare_lists(old, new, list, &mut result),
        }
    }
    match (old, new) {
        (None, _) => result.added.own(),
        (_, None) => result.removed.own(),
        (Some(old), Some(new)) if leaf && !same(old, new) => result.modified.own(),
        _ => {}
    }
    result
}

/// Equality of JSON values in which `1` and `1.0` are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn compare_maps(old: Option<&Value>, new: Option<&Value>, node: Node<'_>, result: &mut Comparison) {
    let empty = Map::new();
    let old = old.and_then(Value::as_object).unwrap_or(&empty);
    let new = new.and_then(Value::as_object).unwrap_or(&empty);
    let added = new.keys().filter(|key| !old.contains_key(*key));
    for key in old.keys().chain(added) {
        result.nest(name_step(key), compare(old.get(key), new.get(key), field(node, key).0));
    }
}

fn compare_lists(old: Option<&Value>, new: Option<&Value>, list: Shape<'_>, result: &mut Comparison) {
    let (old, new) = (Indexed::new(old, list), Indexed::new(new, list));
    let added = new.steps.iter().filter(|step| !old.items.contains_key(*step));
    for step in old.steps.iter().chain(added) {
        let (left, right) = (old.all(step), new.all(step));
        if left.len() <= 1 && right.len() <= 1 {
            let below = compare(left.first().copied(), right.first().copied(), list_node(list));
            result.nest(step.clone(), below);
        } else if left != right {
            // Elements that share their keys are told apart only as a whole.
            let mut below = Comparison::default();
            match (left.is_empty(), right.is_empty()) {
                (true, _) => below.added.own(),
                (_, true) => below.removed.own(),
                _ => below.modified.own(),
            }
            result.nest(step.clone(), below);
        }
    }
}

fn list_node<'a>(list: Shape<'a>) -> Node<'a> {
    match list {
        Shape::Set(node) | Shape::Keyed(node, _) => node,
        _ => None,
    }
}

/// A list's elements by their steps, in order; an element without its keys is left out.
struct Indexed<'a> {
    steps: Vec<String>,
    items: HashMap<String, Vec<&'a Value>>,
}

impl<'a> Indexed<'a> {
    fn new(value: Option<&'a Value>, list: Shape<'_>) -> Indexed<'a> {
        let (mut steps, mut items) = (Vec::new(), HashMap::<String, Vec<&Value>>::new());
        for item in value.and_then(Value::as_array).into_iter().flatten() {
            let Ok(step) = element(list, item) else { continue };
            let found = items.entry(step.clone()).or_default();
            if found.is_empty() {
                steps.push(step);
            }
            found.push(item);
        }
        Indexed { steps, items }
    }

    fn all(&self, step: &str) -> &[&'a Value] {
        self.items.get(step).map_or(&[], Vec::as_slice)
    }
}

/// What `applied` makes of `live`: its fields win, the others stay, and a list follows the
/// applier's order.
pub(super) fn merge(live: Option<&Value>, applied: Option<&Value>, node: Node<'_>) -> Option<Value> {
    let kind = shape(node, [live, applied]);
    if matches!(kind, Shape::Leaf) || (is_blank(live) && is_blank(applied)) {
        return applied.or(live).cloned();
    }
    match kind {
        Shape::Map => merge_maps(live, applied, node),
        list => merge_lists(live, applied, list),
    }
}

fn merge_maps(live: Option<&Value>, applied: Option<&Value>, node: Node<'_>) -> Option<Value> {
    let empty = Map::new();
    let live = live.and_then(Value::as_object).unwrap_or(&empty);
    let applied = applied.and_then(Value::as_object).unwrap_or(&empty);
    let mut merged = Map::new();
    let added = applied.keys().filter(|key| !live.contains_key(*key));
    for key in live.keys().chain(added) {
        if let Some(value) = merge(live.get(key), applied.get(key), field(node, key).0) {
            merged.insert(key.clone(), value);
        }
    }
    (!merged.is_empty()).then_some(Value::Object(merged))
}

/// Weaves two lists: shared elements in the applier's order, live-only ones where they stood
/// between them.
fn merge_lists(live: Option<&Value>, applied: Option<&Value>, list: Shape<'_>) -> Option<Value> {
    let (live, applied) = (Indexed::new(live, list), Indexed::new(applied, list));
    let node = list_node(list);
    let join = |step: &str| merge(live.all(step).first().copied(), applied.all(step).first().copied(), node);
    let mut shared = applied.steps.iter().filter(|step| live.items.contains_key(*step)).peekable();
    let mut merged = Vec::new();
    let mut taken = std::collections::HashSet::new();
    let (mut left, mut right) = (live.steps.iter().peekable(), applied.steps.iter().peekable());
    loop {
        match (left.peek().copied(), right.peek().copied()) {
            (None, None) => break,
            (Some(l), Some(r)) if l == r => {
                merged.extend(join(l));
                taken.insert(l.clone());
                left.next();
                right.next();
                shared.next();
            }
            (Some(l), Some(_)) if applied.items.contains_key(l) && shared.peek().is_some_and(|next| *next != l) => {
                left.next();
            }
            (Some(l), _) if !applied.items.contains_key(l) => {
                merged.extend(live.all(l).iter().map(|item| (*item).clone()));
                left.next();
            }
            (l, r) => {
                if let Some(step) = r {
                    if l.is_some_and(|step| taken.contains(step)) {
                        left.next();
                    }
                    merged.extend(join(step));
                    taken.insert(step.clone());
                    right.next();
                    if shared.peek().is_some_and(|next| *next == step) {
                        shared.next();
                    }
                } else {
                    left.next();
                }
            }
        }
    }
    (!merged.is_empty()).then_some(Value::Array(merged))
}

/// The value without the fields of a set. What becomes empty by it is null afterwards: still there
/// for whoever else owns it.
pub(super) fn remove(value: &Value, doomed: &FieldSet, node: Node<'_>) -> Option<Value> {
    match (shape(node, [Some(value), None]), value) {
        (Shape::Map, Value::Object(map)) if !map.is_empty() => {
            let mut kept = Map::new();
            for (key, child) in map {
                if let Some(child) = remove_child(child, doomed.child(&name_step(key)), field(node, key).0) {
                    kept.insert(key.clone(), child);
                }
            }
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        (list @ (Shape::Set(below) | Shape::Keyed(below, _)), Value::Array(items)) if !items.is_empty() => {
            let mut kept = Vec::new();
            for item in items {
                let set = element(list, item).ok().and_then(|step| doomed.child(&step).cloned());
                kept.extend(remove_child(item, set.as_ref(), below));
            }
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        (Shape::Map, Value::Object(_)) | (Shape::Set(..) | Shape::Keyed(..), Value::Array(_)) => None,
        _ => Some(value.clone()),
    }
}

fn remove_child(child: &Value, doomed: Option<&FieldSet>, node: Node<'_>) -> Option<Value> {
    match doomed {
        None => Some(child.clone()),
        Some(set) if set.is_member() => None,
        Some(set) => Some(remove(child, set, node).unwrap_or(Value::Null)),
    }
}

/// The set with every struct field on the way to a member a member itself, so that removing all of
/// a struct's content removes the struct.
pub(super) fn with_named_fields(set: &FieldSet, node: Node<'_>) -> FieldSet {
    let mut named = FieldSet::default();
    if set.is_member() {
        named.own();
    }
    for (step, child) in set.children() {
        let (below, is_field) = match step.strip_prefix("f:") {
            Some(key) => field(node, key),
            None => (node.and_then(|schema| schema.items()), false),
        };
        let mut child = with_named_fields(child, below);
        if is_field {
            child.own();
        }
        named.set_child(step.to_owned(), child);
    }
    named
}
