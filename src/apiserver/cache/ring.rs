//! Recent events in order, and the places that watchers hold among them.
//!
//! In: events as they happen. Out: the events after a place, or that they are gone. Besides the
//! ring of all events there are [`Lanes`]: a watcher that wants one value of one field, as each
//! kubelet wants the Pods of its node, reads a ring of those events alone and sleeps through all
//! others. A lane is a part of the ring, in the ring's order, and holds nothing that the ring has
//! dropped. Source for the idea: kube-apiserver's watch cache, "triggers".

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::watch;

use super::{Event, FieldsOf};

/// A watcher's place in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor(u64);

/// Events, oldest first.
pub(super) struct Ring {
    events: VecDeque<Arc<Event>>,
    /// Number of the first event.
    first: u64,
    /// Number after the newest one; wakes watchers.
    newest: watch::Sender<u64>,
}

impl Default for Ring {
    fn default() -> Self {
        Ring { events: VecDeque::new(), first: 0, newest: watch::Sender::new(0) }
    }
}

impl Ring {
    pub fn len(&self) -> usize {
        self.events.len()
    }

    pub fn push(&mut self, event: Arc<Event>) {
        self.events.push_back(event);
    }

    pub fn pop(&mut self) -> Option<Arc<Event>> {
        self.events.pop_front().inspect(|_| self.first += 1)
    }

    /// Drops everything; whoever has a place here finds it gone.
    pub fn clear(&mut self) {
        self.first = self.end() + 1;
        self.events.clear();
    }

    /// Wakes those who wait for more.
    pub fn tell(&self) {
        self.newest.send_replace(self.end());
    }

    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// The place after the last event of `revision` and before the next one.
    pub fn after(&self, revision: i64) -> Cursor {
        Cursor(self.first + self.events.partition_point(|event| event.object.revision <= revision) as u64)
    }

    /// At most `limit` events from a place on, and the place after them; `None`: it is gone.
    pub fn events(&self, cursor: Cursor, limit: usize) -> Option<(Vec<Arc<Event>>, Cursor)> {
        let skip = cursor.0.checked_sub(self.first)?;
        let events: Vec<_> = self.events.iter().skip(skip as usize).take(limit).cloned().collect();
        let next = Cursor(cursor.0 + events.len() as u64);
        Some((events, next))
    }

    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

/// The events of objects that have, or had until then, one value in one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// `spec.nodeName`
    pub field: String,
    /// The value; a field that is not set is the empty text.
    pub value: String,
}

/// The lanes that have watchers, by field and value.
#[derive(Default)]
pub(super) struct Lanes(HashMap<String, HashMap<String, Watched>>);

#[derive(Default)]
struct Watched {
    ring: Ring,
    watchers: usize,
}

impl Lanes {
    pub fn get(&self, lane: &Lane) -> Option<&Ring> {
        Some(&self.0.get(&lane.field)?.get(&lane.value)?.ring)
    }

    /// One watcher more; the first one makes the lane, from what the ring still has.
    pub fn join(&mut self, lane: &Lane, all: &Ring, fields_of: &FieldsOf) {
        let values = self.0.entry(lane.field.clone()).or_default();
        let watched = values.entry(lane.value.clone()).or_insert_with(|| {
            let concerns = |event: &&Arc<Event>| values_of(event, &lane.field, fields_of).contains(&Some(&*lane.value));
            let events = all.events.iter().filter(concerns).cloned().collect();
            Watched { ring: Ring { events, ..Ring::default() }, watchers: 0 }
        });
        watched.watchers += 1;
    }

    /// One watcher less; the last one takes the lane along.
    pub fn leave(&mut self, lane: &Lane) {
        let Some(values) = self.0.get_mut(&lane.field) else { return };
        if let Some(watched) = values.get_mut(&lane.value) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                values.remove(&lane.value);
            }
        }
        if values.is_empty() {
            self.0.remove(&lane.field);
        }
    }

    /// Wakes all watchers.
    pub fn tell(&self) {
        self.0.values().flat_map(HashMap::values).for_each(|watched| watched.ring.tell());
    }

    /// Puts an event into its lanes.
    pub fn push(&mut self, event: &Arc<Event>, fields_of: &FieldsOf) {
        self.each(event, fields_of, |ring| {
            ring.push(event.clone());
            ring.tell();
        });
    }

    /// Drops the ring's oldest event from its lanes, where it is the oldest too.
    pub fn pop(&mut self, event: &Arc<Event>, fields_of: &FieldsOf) {
        self.each(event, fields_of, |ring| {
            if ring.events.front().is_some_and(|oldest| Arc::ptr_eq(oldest, event)) {
                ring.pop();
            }
        });
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        for watched in self.0.values_mut().flat_map(HashMap::values_mut) {
            watched.ring.clear();
            watched.ring.tell();
        }
    }

    fn each(&mut self, event: &Event, fields_of: &FieldsOf, mut act: impl FnMut(&mut Ring)) {
        for (field, values) in &mut self.0 {
            let [now, before] = values_of(event, field, fields_of);
            for value in now.into_iter().chain(before.filter(|before| Some(*before) != now)) {
                if let Some(watched) = values.get_mut(value) {
                    act(&mut watched.ring);
                }
            }
        }
    }
}

/// What an event's object has in a field, and what it had before.
fn values_of<'a>(event: &'a Event, field: &str, fields_of: &FieldsOf) -> [Option<&'a str>; 2] {
    [Some(event.object.field(field, fields_of)), event.previous.as_ref().map(|object| object.field(field, fields_of))]
}
