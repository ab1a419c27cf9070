//! The journal: who wrote what, and because of which earlier writes.
//!
//! In: every write the server acknowledged. Out: the latest ones, as JSON. A client says what made
//! it write in the header `tutor-cause`; from these `tutor trace` draws the chain from a command to
//! a running process. Bounded; never stored; says nothing about values. Chapter: `book/src/inside/api-server.md`.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Writes that are remembered.
const ENTRIES: usize = 8_192;
/// Changed fields named for one write.
const FIELDS: usize = 32;

/// One acknowledged write. Its texts are few and repeat, so writes share them.
#[derive(Clone, Debug)]
pub struct Write {
    /// The store's revision it made.
    pub revision: i64,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub user: Arc<str>,
    /// With which program: the User-Agent up to the first slash.
    pub component: Arc<str>,
    /// `create`, `update`, `patch`, `apply`, `delete`.
    pub verb: &'static str,
    /// API group.
    pub group: Arc<str>,
    /// Plural resource name.
    pub resource: Arc<str>,
    /// Subresource, or empty.
    pub subresource: Arc<str>,
    /// Namespace, or empty.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Box<str>,
    /// Paths that changed: `spec.nodeName`.
    pub fields: Arc<[String]>,
    /// Revisions that made the client write.
    pub causes: Box<[i64]>,
}

/// The latest writes.
#[derive(Default)]
pub struct Journal {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    writes: VecDeque<Write>,
    texts: Pool<str>,
    paths: Pool<[String]>,
}

/// What several writes say alike is kept once, for as long as one of them says it.
struct Pool<T: ?Sized>(HashSet<Arc<T>>);

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Pool(HashSet::new())
    }
}

impl<T: ?Sized + Hash + Eq> Pool<T> {
    fn share(&mut self, own: &mut Arc<T>) {
        match self.0.get(own) {
            Some(known) => *own = known.clone(),
            None => _ = self.0.insert(own.clone()),
        }
    }

    /// Forgets what nobody else holds any more.
    fn release(&mut self, own: Arc<T>) {
        const THIS_AND_THE_POOLS: usize = 2;
        if Arc::strong_count(&own) == THIS_AND_THE_POOLS {
            self.0.remove(&own);
        }
    }
}

impl Write {
    fn texts(&mut self) -> [&mut Arc<str>; 4] {
        [&mut self.user, &mut self.component, &mut self.subresource, &mut self.namespace]
    }
}

impl Journal {
    /// Notes a write.
    pub fn note(&self, mut write: Write) {
        let state = &mut *self.state.lock();
        if state.writes.len() == ENTRIES
            && let Some(mut oldest) = state.writes.pop_front()
        {
            oldest.texts().into_iter().for_each(|text| state.texts.release(std::mem::take(text)));
            state.paths.release(oldest.fields);
        }
        write.texts().into_iter().for_each(|text| state.texts.share(text));
        state.paths.share(&mut write.fields);
        state.writes.push_back(write);
    }

    /// The writes that match every given pair of `resource`, `group`, `namespace`, `name`,
    /// `component`, `revision`, `after` (a revision); oldest first.
    pub fn list(&self, query: &[(String, String)]) -> Value {
        let writes = &self.state.lock().writes;
        let wanted = |write: &&Write| {
            query.iter().all(|(key, value)| match key.as_str() {
                "resource" => *write.resource == **value,
                "group" => *write.group == **value,
                "namespace" => *write.namespace == **value,
                "name" => *write.name == **value,
                "component" => *write.component == **value,
                "revision" => write.revision.to_string() == *value,
                "after" => value.parse().is_ok_and(|after| write.revision > after),
                _ => true,
            })
        };
        json!({"items": writes.iter().filter(wanted).map(entry).collect::<Vec<_>>()})
    }
}

fn entry(write: &Write) -> Value {
    json!({
        "revision": write.revision, "time": write.time.to_string(), "user": *write.user,
        "component": *write.component, "verb": write.verb, "group": *write.group, "resource": *write.resource,
        "subresource": *write.subresource, "namespace": *write.namespace, "name": *write.name,
        "fields": *write.fields, "causes": *write.causes,
    })
}

/// Revisions named by the header `tutor-cause`.
pub fn causes(header: Option<&str>) -> Vec<i64> {
    header.unwrap_or("").split(',').filter_map(|text| text.trim().parse().ok()).take(64).collect()
}

/// Paths whose values differ, two levels below the top where there are objects; bookkeeping
/// (`managedFields`, `resourceVersion`) left out.
pub fn changed_fields(old: Option<&Value>, new: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    differences(old.unwrap_or(&Value::Null), new, String::new(), 0, &mut paths);
    paths.truncate(FIELDS);
    paths
}

fn differences(old: &Value, new: &Value, path: String, depth: usize, out: &mut Vec<String>) {
    const BOOKKEEPING: [&str; 5] =
        ["kind", "apiVersion", "metadata.managedFields", "metadata.resourceVersion", "metadata.uid"];
    if old == new || BOOKKEEPING.contains(&path.as_str()) {
        return;
    }
    let empty = serde_json::Map::new();
    let (before, after) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    if depth == 3 || (before.is_empty() && after.is_empty()) || (depth > 0 && (before.is_empty() || after.is_empty())) {
        out.push(path);
        return;
    }
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    for key in after.keys().chain(gone) {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let (old, new) = (before.get(key).unwrap_or(&Value::Null), after.get(key).unwrap_or(&Value::Null));
        differences(old, new, path, depth + 1, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_writes_say_alike_is_kept_once_and_not_for_ever() {
        let journal = Journal::default();
        let write = |user: &str, field: &str| Write {
            revision: 1,
            time: Timestamp::UNIX_EPOCH,
            user: user.into(),
            component: "".into(),
            verb: "create",
            group: "".into(),
            resource: "pods".into(),
            subresource: "".into(),
            namespace: "".into(),
            name: "x".into(),
            fields: vec![field.to_string()].into(),
            causes: Box::default(),
        };
        journal.note(write("first", "spec.first"));
        for _ in 0..ENTRIES {
            journal.note(write("all", "spec.others"));
        }
        let state = journal.state.lock();
        assert_eq!(state.writes.len(), ENTRIES);
        assert_eq!(state.texts.0, HashSet::from(["all".into(), "".into()]));
        assert_eq!(state.paths.0.len(), 1);
        assert!(state.writes.iter().all(|write| Arc::ptr_eq(&write.fields, &state.writes[0].fields)));
    }

    #[test]
    fn a_write_names_the_fields_it_changed() {
        let old = json!({"metadata": {"name": "a", "resourceVersion": "1"}, "spec": {"replicas": 1, "x": [1]}});
        let new = json!({"metadata": {"name": "a", "resourceVersion": "2"}, "spec": {"replicas": 2, "nodeName": "n"}});
        let mut fields = changed_fields(Some(&old), &new);
        fields.sort();
        assert_eq!(fields, ["spec.nodeName", "spec.replicas", "spec.x"]);
        assert_eq!(causes(Some("4, 7,x")), [4, 7]);
    }
}
