//! The watch cache: every object of one stored resource, and what happened to them lately.
//!
//! In: events of the store, from [`feed`]. Out: snapshots for lists and cursors for watches. A
//! watcher holds no queue: it holds a place in the ring of recent events, so one that is slow costs
//! nothing, and one that falls off the end is told 410 and starts over. Nothing is dropped
//! silently, and nothing polls. Chapter: `book/src/inside/api-server.md`.

pub mod feed;
pub mod object;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

pub use object::{FieldsOf, Object};

/// Events kept for watchers of one resource.
const RING_EVENTS: usize = 8_192;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is new.
    Added,
    /// It was there and is different.
    Modified,
    /// It is gone.
    Deleted,
}

impl Change {
    /// As a watch event names it.
    pub fn name(self) -> &'static str {
        match self {
            Change::Added => "ADDED",
            Change::Modified => "MODIFIED",
            Change::Deleted => "DELETED",
        }
    }
}

/// One change of one object.
#[derive(Debug)]
pub struct Event {
    /// What happened.
    pub change: Change,
    /// The object after it; for a deletion its last state, under the deletion's revision.
    pub object: Arc<Object>,
    /// The object before it.
    pub previous: Option<Arc<Object>>,
}

/// All objects of one stored resource.
pub struct Cache {
    /// The key prefix of its objects in the store: `/registry/pods/`.
    pub prefix: String,
    /// How to read what field selectors ask for.
    pub fields_of: FieldsOf,
    state: RwLock<State>,
    /// Number of the newest event; wakes watchers.
    newest: watch::Sender<u64>,
}

struct State {
    objects: BTreeMap<Arc<str>, Arc<Object>>,
    ring: VecDeque<Arc<Event>>,
    /// Number of the ring's first event.
    first: u64,
    /// The ring holds every event after this revision.
    since: i64,
    /// The revision of the newest event, or of the load.
    revision: i64,
}

/// The watcher fell behind the ring, or asked for what is no longer in it. Carries the oldest
/// revision a watch may start after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOld(pub i64);

/// A watcher's place in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(u64);

/// Objects at one moment.
pub struct Snapshot {
    /// In key order.
    pub objects: Vec<Arc<Object>>,
    /// The newest change among all objects of the resource (not only these).
    pub revision: i64,
    /// Where a watch goes on from here.
    pub cursor: Cursor,
}

impl Cache {
    /// A cache of `objects` as they were at `revision`.
    pub fn new(prefix: String, fields_of: FieldsOf, objects: Vec<Arc<Object>>, revision: i64) -> Cache {
        let objects = objects.into_iter().map(|object| (object.key.clone(), object)).collect();
        let state = State { objects, ring: VecDeque::new(), first: 0, since: revision, revision };
        Cache { prefix, fields_of, state: RwLock::new(state), newest: watch::Sender::new(0) }
    }

    /// One object.
    pub fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.state.read().objects.get(key).cloned()
    }

    /// The objects whose key begins with `prefix` and comes at or after `start`.
    pub fn snapshot(&self, prefix: &str, start: &str) -> Snapshot {
        let state = self.state.read();
        let from = if start > prefix { start } else { prefix };
        let objects = state
            .objects
            .range::<str, _>((Bound::Included(from), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(_, object)| object.clone())
            .collect();
        Snapshot { objects, revision: state.revision, cursor: state.end() }
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest change.
    pub fn revision(&self) -> i64 {
        self.state.read().revision
    }

    /// The place just after `revision`.
    ///
    /// # Errors
    /// [`TooOld`] when the ring no longer reaches back that far.
    pub fn cursor_after(&self, revision: i64) -> Result<Cursor, TooOld> {
        let state = self.state.read();
        if revision < state.since {
            return Err(TooOld(state.since));
        }
        let passed = state.ring.partition_point(|event| event.object.revision <= revision);
        Ok(Cursor(state.first + passed as u64))
    }

    /// The events from `cursor` on, at most `limit`, and the place after them.
    ///
    /// # Errors
    /// [`TooOld`] when the cursor fell off the ring.
    pub fn events(&self, cursor: Cursor, limit: usize) -> Result<(Vec<Arc<Event>>, Cursor), TooOld> {
        let state = self.state.read();
        let Some(skip) = cursor.0.checked_sub(state.first) else { return Err(TooOld(state.since)) };
        let events: Vec<_> = state.ring.iter().skip(skip as usize).take(limit).cloned().collect();
        let next = Cursor(cursor.0 + events.len() as u64);
        Ok((events, next))
    }

    /// Wakes when there are events after the ones already seen.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Takes in one whole revision or more: each key with its stored value, or `None` when deleted.
    fn apply(&self, changes: impl Iterator<Item = (Arc<str>, i64, Option<bytes::Bytes>)>) {
        let mut state = self.state.write();
        for (key, revision, stored) in changes {
            state.take_in(key, revision, stored);
        }
        let end = state.end().0;
        drop(state);
        self.newest.send_replace(end);
    }

    /// Forgets everything and starts from a new load; watchers find their cursor gone.
    fn reset(&self, objects: Vec<Arc<Object>>, revision: i64) {
        let mut state = self.state.write();
        let end = state.end().0 + 1;
        state.objects = objects.into_iter().map(|object| (object.key.clone(), object)).collect();
        state.ring.clear();
        (state.first, state.since, state.revision) = (end, revision, revision);
        drop(state);
        self.newest.send_replace(end);
    }
}

impl State {
    fn end(&self) -> Cursor {
        Cursor(self.first + self.ring.len() as u64)
    }

    fn take_in(&mut self, key: Arc<str>, revision: i64, stored: Option<bytes::Bytes>) {
        let event = match stored {
            Some(stored) => {
                let object = Arc::new(Object::new(key.clone(), &stored, revision));
                let previous = self.objects.insert(key, object.clone());
                let change = if previous.is_some() { Change::Modified } else { Change::Added };
                Event { change, object, previous }
            }
            None => {
                let Some(previous) = self.objects.remove(&key) else { return };
                let object = Arc::new(previous.deleted_at(revision));
                Event { change: Change::Deleted, object, previous: Some(previous) }
            }
        };
        self.revision = revision;
        self.ring.push_back(Arc::new(event));
        if self.ring.len() > RING_EVENTS
            && let Some(oldest) = self.ring.pop_front()
        {
            self.first += 1;
            self.since = oldest.object.revision;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> Cache {
        Cache::new("/registry/pods/".into(), Arc::new(|_| Vec::new()), Vec::new(), 5)
    }

    fn put(cache: &Cache, name: &str, revision: i64) {
        let stored = format!("{{\"metadata\":{{\"name\":{name:?},\"uid\":\"u\"}}}}");
        cache.apply([(format!("default/{name}").into(), revision, Some(stored.into()))].into_iter());
    }

    #[test]
    fn a_watch_goes_on_where_a_list_ended() {
        let cache = cache();
        put(&cache, "a", 6);
        let list = cache.snapshot("default/", "");
        put(&cache, "b", 7);
        put(&cache, "a", 8);
        cache.apply([("default/b".into(), 9, None)].into_iter());
        let (events, end) = cache.events(list.cursor, 100).unwrap();
        let seen: Vec<_> = events.iter().map(|e| (e.change, e.object.name(), e.object.revision)).collect();
        assert_eq!(seen, [(Change::Added, "b", 7), (Change::Modified, "a", 8), (Change::Deleted, "b", 9)]);
        assert_eq!(cache.cursor_after(6).unwrap(), list.cursor);
        assert_eq!(cache.cursor_after(9).unwrap(), end);
        assert_eq!(cache.cursor_after(4), Err(TooOld(5)));
    }

    #[test]
    fn a_watcher_that_falls_off_the_ring_is_told() {
        let cache = cache();
        let cursor = cache.cursor_after(5).unwrap();
        for n in 0..=RING_EVENTS as i64 {
            put(&cache, "a", 6 + n);
        }
        assert_eq!(cache.events(cursor, 1).unwrap_err(), TooOld(6));
        assert!(cache.cursor_after(6).is_ok());
    }

    #[test]
    fn a_page_starts_at_its_key_and_stays_in_its_namespace() {
        let cache = cache();
        for (n, name) in ["a", "b", "c"].iter().enumerate() {
            put(&cache, name, 6 + n as i64);
        }
        let names = |start| -> Vec<String> {
            cache.snapshot("default/", start).objects.iter().map(|o| o.name().to_string()).collect()
        };
        assert_eq!(names(""), ["a", "b", "c"]);
        assert_eq!(names("default/a\0"), ["b", "c"]);
        assert!(cache.snapshot("other/", "").objects.is_empty());
    }
}
