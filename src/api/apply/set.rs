//! [`FieldSet`]: which fields of an object someone owns, as a trie; and its text, `fieldsV1`.
//!
//! A step of a path is written as in `fieldsV1`: `f:name` (field or map key), `k:{"name":"app"}`
//! (list element by its keys), `v:"x"` (set element), `i:0` (index). A node may be owned itself
//! (`.`), and have owned children.
//!
//! Source: KEP 555, `sigs.k8s.io/structured-merge-diff/fieldpath`.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A set of field paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    member: bool,
    children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// The set of these paths, each a list of field names: `&[&["status"]]`.
    pub fn of_fields(paths: &[&[&str]]) -> FieldSet {
        let mut set = FieldSet::default();
        for path in paths {
            let steps: Vec<String> = path.iter().map(|name| format!("f:{name}")).collect();
            set.insert(&steps);
        }
        set
    }

    /// Reads `fieldsV1`. `None` when it is not an object of objects.
    pub fn decode(fields: &Value) -> Option<FieldSet> {
        let mut set = FieldSet::default();
        for (key, below) in fields.as_object()? {
            if key == "." {
                set.member = true;
                continue;
            }
            let mut child = FieldSet::decode(below)?;
            if below.as_object()?.is_empty() {
                child.member = true;
            }
            set.children.insert(canonical(key)?, child);
        }
        Some(set)
    }

    /// Writes `fieldsV1`.
    pub fn encode(&self) -> Value {
        let mut fields = Map::new();
        if self.member && !self.children.is_empty() {
            fields.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (step, child) in &self.children {
            fields.insert(step.clone(), child.encode());
        }
        Value::Object(fields)
    }

    /// Adds a path.
    pub fn insert(&mut self, path: &[String]) {
        let node = path.iter().fold(self, |node, step| node.children.entry(step.clone()).or_default());
        node.member = true;
    }

    /// Whether the path itself is in the set.
    pub fn has(&self, path: &[String]) -> bool {
        path.iter().try_fold(self, |node, step| node.children.get(step)).is_some_and(|node| node.member)
    }

    /// Whether the set holds nothing.
    pub fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(FieldSet::is_empty)
    }

    /// Whether this node itself is owned.
    pub(super) fn is_member(&self) -> bool {
        self.member
    }

    /// The set below one step.
    pub(super) fn child(&self, step: &str) -> Option<&FieldSet> {
        self.children.get(step)
    }

    /// Every step below this node, with its set.
    pub(super) fn children(&self) -> impl Iterator<Item = (&str, &FieldSet)> {
        self.children.iter().map(|(step, child)| (step.as_str(), child))
    }

    /// Puts a set below one step; an empty one is left out.
    pub(super) fn set_child(&mut self, step: String, child: FieldSet) {
        if !child.is_empty() {
            self.children.insert(step, child);
        }
    }

    /// Marks this node itself as owned.
    pub(super) fn own(&mut self) {
        self.member = true;
    }

    /// Paths in either.
    #[must_use]
    pub fn union(&self, other: &FieldSet) -> FieldSet {
        let mut joined = self.clone();
        joined.member |= other.member;
        for (step, child) in &other.children {
            let merged = joined.children.get(step).map_or_else(|| child.clone(), |own| own.union(child));
            joined.children.insert(step.clone(), merged);
        }
        joined
    }

    /// Paths in both.
    #[must_use]
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        let mut both = FieldSet { member: self.member && other.member, ..FieldSet::default() };
        for (step, child) in &self.children {
            if let Some(theirs) = other.children.get(step) {
                both.set_child(step.clone(), child.intersection(theirs));
            }
        }
        both
    }

    /// Paths here and not there; a path's children stay.
    #[must_use]
    pub fn difference(&self, other: &FieldSet) -> FieldSet {
        self.without(other, false)
    }

    /// Whether `other` has every path of this set.
    pub fn is_within(&self, other: &FieldSet) -> bool {
        let within =
            |step: &str, child: &FieldSet| other.children.get(step).is_some_and(|theirs| child.is_within(theirs));
        (other.member || !self.member)
            && self.children.iter().all(|(step, child)| child.is_empty() || within(step, child))
    }

    /// As [`FieldSet::difference`], but a path that goes takes everything below it along.
    #[must_use]
    pub fn recursive_difference(&self, other: &FieldSet) -> FieldSet {
        self.without(other, true)
    }

    fn without(&self, other: &FieldSet, recursive: bool) -> FieldSet {
        if recursive && other.member {
            return FieldSet::default();
        }
        let mut left = FieldSet { member: self.member && !other.member, ..FieldSet::default() };
        for (step, child) in &self.children {
            let rest =
                other.children.get(step).map_or_else(|| child.clone(), |theirs| child.without(theirs, recursive));
            left.set_child(step.clone(), rest);
        }
        left
    }

    /// Every path as people read it, a level's own before what lies deeper: `.spec.replicas`.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        let members = self.children.iter().filter(|(_, child)| child.member);
        paths.extend(members.map(|(step, _)| format!("{prefix}{}", show(step))));
        for (step, child) in &self.children {
            child.collect(&format!("{prefix}{}", show(step)), paths);
        }
    }
}

/// A step as people read it: `.name`, `[name="app"]`, `[="x"]`, `[0]`.
pub(super) fn show(step: &str) -> String {
    let (kind, rest) = step.split_at(step.len().min(2));
    match kind {
        "f:" => format!(".{rest}"),
        "k:" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).unwrap_or_default();
            let pairs: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", pairs.join(","))
        }
        "v:" => format!("[={rest}]"),
        _ => format!("[{rest}]"),
    }
}

/// The step of a list element told apart by these keys.
pub(super) fn key_step(mut keys: Vec<(String, Value)>) -> String {
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    format!("k:{}", Value::Object(keys.into_iter().collect()))
}

/// The same step however its JSON was written; `None` for an unknown kind of step.
fn canonical(step: &str) -> Option<String> {
    let (kind, rest) = step.split_once(':')?;
    match kind {
        "f" => Some(step.to_owned()),
        "k" => Some(key_step(serde_json::from_str::<Map<String, Value>>(rest).ok()?.into_iter().collect())),
        "v" => Some(format!("v:{}", serde_json::from_str::<Value>(rest).ok()?)),
        "i" => rest.parse::<u64>().ok().map(|_| step.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn fields_v1_survives_reading_and_writing() {
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:finalizers": {"v:\"x\"": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}}}},
        });
        let set = FieldSet::decode(&fields).unwrap();
        assert_eq!(set.encode(), fields);
        assert_eq!(
            set.paths(),
            [
                ".metadata.labels",
                ".metadata.finalizers[=\"x\"]",
                ".metadata.labels.app",
                ".spec.containers[name=\"a\"]",
                ".spec.containers[name=\"a\"].image",
            ]
        );
        assert!(FieldSet::decode(&json!({"x:y": {}})).is_none());
    }

    fn build(paths: &BTreeSet<Vec<String>>) -> FieldSet {
        let mut set = FieldSet::default();
        paths.iter().for_each(|path| set.insert(path));
        set
    }

    fn some_paths() -> impl Strategy<Value = BTreeSet<Vec<String>>> {
        let step = proptest::sample::select(vec!["f:a", "f:b", "k:{\"n\":1}"]).prop_map(str::to_owned);
        proptest::collection::btree_set(proptest::collection::vec(step, 1..4), 0..8)
    }

    proptest! {
        #[test]
        fn the_trie_is_a_set_of_paths(a in some_paths(), b in some_paths()) {
            let (x, y) = (build(&a), build(&b));
            prop_assert_eq!(x.union(&y), build(&(&a | &b)));
            prop_assert_eq!(x.intersection(&y), build(&(&a & &b)));
            prop_assert_eq!(x.difference(&y), build(&(&a - &b)));
            prop_assert_eq!(x.is_within(&y), a.is_subset(&b));
            prop_assert!(x.intersection(&y).is_within(&y));
            prop_assert_eq!(FieldSet::decode(&x.encode()).unwrap(), x);
        }
    }
}
