//! The watch cache: every object of one stored resource, and what happened to them lately.
//!
//! In: events of the store, from [`feed`]. Out: snapshots for lists and cursors for watches. A
//! watcher holds no queue: it holds a place in the ring of recent events, so one that is slow costs
//! nothing, and one that falls off the end is told 410 and starts over. Nothing is dropped
//! silently, and nothing polls. Chapter: `book/src/inside/api-server.md`.

pub mod feed;
pub mod object;
mod ring;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

pub use object::{FieldsOf, Object};
pub use ring::Lane;
use ring::{Cursor, Lanes, Ring};

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
}

struct State {
    objects: BTreeMap<Arc<str>, Arc<Object>>,
    ring: Ring,
    lanes: Lanes,
    /// The ring holds every event after this revision.
    since: i64,
    /// The revision of the newest event, or of the load.
    revision: i64,
    /// No more events come: the resource is served no more, or by another cache.
    closed: bool,
}

/// The watcher fell behind the ring, or asked for what is no longer in it. Carries the oldest
/// revision a watch may start after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOld(pub i64);

/// Objects at one moment.
pub struct Snapshot {
    /// In key order.
    pub objects: Vec<Arc<Object>>,
    /// The newest change among all objects of the resource (not only these).
    pub revision: i64,
}

impl Cache {
    /// A cache of `objects` as they were at `revision`.
    pub fn new(prefix: String, fields_of: FieldsOf, objects: Vec<Arc<Object>>, revision: i64) -> Cache {
        let objects = objects.into_iter().map(|object| (object.key.clone(), object)).collect();
        let state =
            State { objects, ring: Ring::default(), lanes: Lanes::default(), since: revision, revision, closed: false };
        Cache { prefix, fields_of, state: RwLock::new(state) }
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
        Snapshot { objects, revision: state.revision }
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

    /// Follows what happens after `revision`: everything, or one lane of it.
    ///
    /// # Errors
    /// [`TooOld`] when the ring no longer reaches back that far.
    pub fn follow(self: &Arc<Self>, lane: Option<Lane>, revision: i64) -> Result<Follower, TooOld> {
        let state = &mut *self.state.write();
        if revision < state.since {
            return Err(TooOld(state.since));
        }
        if let Some(lane) = &lane {
            state.lanes.join(lane, &state.ring, &self.fields_of);
        }
        let ring = state.ring_of(lane.as_ref());
        Ok(Follower { cursor: ring.after(revision), newest: ring.subscribe(), cache: self.clone(), lane })
    }

    /// Wakes when anything happens.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.state.read().ring.subscribe()
    }

    /// Takes in one whole revision or more: each key with its stored value, or `None` when deleted.
    fn apply(&self, changes: impl Iterator<Item = (Arc<str>, i64, Option<bytes::Bytes>)>) {
        let mut state = self.state.write();
        for (key, revision, stored) in changes {
            state.take_in(key, revision, stored, &self.fields_of);
        }
        state.ring.tell();
    }

    /// Nothing more comes; watchers are told what is left, and end.
    fn close(&self) {
        let mut state = self.state.write();
        state.closed = true;
        state.ring.tell();
        state.lanes.tell();
    }

    /// Forgets everything and starts from a new load; watchers find their cursor gone.
    fn reset(&self, objects: Vec<Arc<Object>>, revision: i64) {
        let mut state = self.state.write();
        state.objects = objects.into_iter().map(|object| (object.key.clone(), object)).collect();
        state.ring.clear();
        state.lanes.clear();
        (state.since, state.revision) = (revision, revision);
        state.ring.tell();
    }
}

impl State {
    /// The ring of a lane that has a watcher, or that of all events.
    fn ring_of(&self, lane: Option<&Lane>) -> &Ring {
        lane.and_then(|lane| self.lanes.get(lane)).unwrap_or(&self.ring)
    }

    fn take_in(&mut self, key: Arc<str>, revision: i64, stored: Option<bytes::Bytes>, fields_of: &FieldsOf) {
        let event = match stored {
            Some(stored) => {
                let object = Arc::new(Object::new(key.clone(), stored, revision));
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
        let event = Arc::new(event);
        self.lanes.push(&event, fields_of);
        self.ring.push(event);
        if self.ring.len() > RING_EVENTS
            && let Some(oldest) = self.ring.pop()
        {
            self.lanes.pop(&oldest, fields_of);
            self.since = oldest.object.revision;
        }
    }
}

/// A watcher: its place among the events, and its bell.
pub struct Follower {
    cache: Arc<Cache>,
    lane: Option<Lane>,
    cursor: Cursor,
    newest: watch::Receiver<u64>,
}

impl Follower {
    /// The next events, at most `limit`; none when there are no more for now.
    ///
    /// # Errors
    /// [`TooOld`] when the place fell off the ring.
    pub fn events(&mut self, limit: usize) -> Result<Vec<Arc<Event>>, TooOld> {
        self.newest.borrow_and_update();
        let state = self.cache.state.read();
        let found = state.ring_of(self.lane.as_ref()).events(self.cursor, limit);
        let (events, next) = found.ok_or(TooOld(state.since))?;
        self.cursor = next;
        Ok(events)
    }

    /// Whether no more events come than those that [`Follower::events`] has yet to give.
    pub fn has_ended(&self) -> bool {
        self.cache.state.read().closed
    }

    /// Waits for events after those of [`Follower::events`].
    pub async fn changed(&mut self) {
        // The cache, which has the other end, lives as long as `self`.
        let _ = self.newest.changed().await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(lane) = &self.lane {
            self.cache.state.write().lanes.leave(lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> Arc<Cache> {
        let node = |object: &serde_json::Value| {
            vec![("spec.nodeName".into(), object["spec"]["nodeName"].as_str().unwrap_or("").to_string())]
        };
        Arc::new(Cache::new("/registry/pods/".into(), Arc::new(node), Vec::new(), 5))
    }

    fn put(cache: &Cache, name: &str, revision: i64) {
        put_on(cache, name, "", revision);
    }

    fn put_on(cache: &Cache, name: &str, node: &str, revision: i64) {
        let stored = format!("{{\"metadata\":{{\"name\":{name:?},\"uid\":\"u\"}},\"spec\":{{\"nodeName\":{node:?}}}}}");
        cache.apply([(format!("default/{name}").into(), revision, Some(stored.into()))].into_iter());
    }

    fn seen(follower: &mut Follower) -> Vec<(Change, String, i64)> {
        let events = follower.events(100).unwrap();
        events.iter().map(|event| (event.change, event.object.name().to_string(), event.object.revision)).collect()
    }

    #[test]
    fn a_watch_goes_on_where_a_list_ended() {
        let cache = cache();
        put(&cache, "a", 6);
        let mut follower = cache.follow(None, cache.snapshot("default/", "").revision).unwrap();
        put(&cache, "b", 7);
        put(&cache, "a", 8);
        cache.apply([("default/b".into(), 9, None)].into_iter());
        let expected =
            [(Change::Added, "b".into(), 7), (Change::Modified, "a".into(), 8), (Change::Deleted, "b".into(), 9)];
        assert_eq!(seen(&mut follower), expected);
        assert_eq!(seen(&mut follower), []);
        assert_eq!(seen(&mut cache.follow(None, 7).unwrap()), expected[1..]);
        assert_eq!(cache.follow(None, 4).err(), Some(TooOld(5)));
    }

    #[test]
    fn a_watcher_that_falls_off_the_ring_is_told() {
        let cache = cache();
        let lane = || Some(Lane { field: "metadata.name".into(), value: "a".into() });
        let (mut all, mut one) = (cache.follow(None, 5).unwrap(), cache.follow(lane(), 5).unwrap());
        for n in 0..=RING_EVENTS as i64 {
            put(&cache, "a", 6 + n);
        }
        assert_eq!(all.events(1).unwrap_err(), TooOld(6));
        assert_eq!(one.events(1).unwrap_err(), TooOld(6));
        assert!(cache.follow(None, 6).is_ok());
    }

    #[test]
    fn a_lane_has_its_own_events_alone_and_wakes_for_no_other() {
        let cache = cache();
        let on = |node: &str| Some(Lane { field: "spec.nodeName".into(), value: node.into() });
        put_on(&cache, "early", "n1", 6);
        let (mut first, mut late) = (cache.follow(on("n1"), 6).unwrap(), cache.follow(on("n1"), 5).unwrap());
        put_on(&cache, "other", "n2", 7);
        assert!(!first.newest.has_changed().unwrap());
        put_on(&cache, "mine", "n1", 8);
        assert!(first.newest.has_changed().unwrap());
        put_on(&cache, "mine", "n2", 9);
        let mine = [(Change::Added, "mine".into(), 8), (Change::Modified, "mine".into(), 9)];
        assert_eq!(seen(&mut first), mine);
        assert_eq!(seen(&mut late)[1..], mine);
        drop((first, late));
        assert!(cache.state.read().lanes.get(&on("n1").unwrap()).is_none());
        let mut again = cache.follow(on("n1"), 7).unwrap();
        assert_eq!(seen(&mut again), mine);
        cache.reset(Vec::new(), 12);
        assert_eq!(again.events(1).unwrap_err(), TooOld(12));
    }

    #[test]
    fn a_lane_keeps_nothing_that_the_ring_has_dropped() {
        let cache = cache();
        let lane = Lane { field: "spec.nodeName".into(), value: "n1".into() };
        let mut follower = cache.follow(Some(lane.clone()), 5).unwrap();
        put_on(&cache, "mine", "n1", 6);
        assert_eq!(seen(&mut follower).len(), 1);
        for n in 0..RING_EVENTS as i64 {
            put_on(&cache, "other", "n2", 7 + n);
        }
        assert_eq!(cache.state.read().lanes.get(&lane).unwrap().len(), 0);
        assert_eq!(seen(&mut follower), []);
        put_on(&cache, "mine", "n1", 100_000);
        assert_eq!(seen(&mut follower).len(), 1);
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
