//! Which Pod is next: the important and the old first; those that failed wait until it may help.
//!
//! Pure. A Pod is *active* (ready to be tried), *backing off* (tried a moment ago: 1 s, then 2, 4, 8,
//! at most 10), or *unschedulable* (waits for an event that could change a refusing plugin's mind, or
//! five minutes). Source: kube-scheduler `backend/queue`. Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::decision::Plugin;
use super::pod::PodInfo;

/// Source: `podInitialBackoffSeconds`, `podMaxBackoffSeconds`.
const FIRST_BACKOFF: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_secs(10);
/// Source: `DefaultPodMaxInUnschedulablePodsDuration`.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// Something that happened and could let a waiting Pod in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A node came or changed.
    Node,
    /// A Pod was placed.
    PodPlaced,
    /// A placed Pod went or ended.
    PodGone,
    /// A claim, a volume or a class came or changed.
    Storage,
}

impl Happening {
    fn may_help(self, refused_by: &[Plugin]) -> bool {
        let spacing = |plugin: &Plugin| matches!(plugin, Plugin::InterPodAffinity | Plugin::PodTopologySpread);
        let room = |plugin: &Plugin| matches!(plugin, Plugin::NodeResourcesFit | Plugin::NodePorts);
        match self {
            Happening::Node => true,
            Happening::PodPlaced => refused_by.iter().any(spacing),
            Happening::PodGone => refused_by.iter().any(|plugin| spacing(plugin) || room(plugin)),
            Happening::Storage => refused_by.contains(&Plugin::VolumeBinding),
        }
    }
}

#[derive(Clone, Debug)]
enum Place {
    Active,
    BackingOff,
    Unschedulable(Vec<Plugin>),
    /// Given out by [`Queue::next`], not yet answered.
    Tried,
}

#[derive(Clone, Debug)]
struct Waiting {
    pod: Arc<PodInfo>,
    place: Place,
    /// When it came here, the order among equals.
    since: Timestamp,
    attempts: u32,
    tried: Timestamp,
}

impl Waiting {
    fn backoff_over(&self) -> Timestamp {
        let doubled = FIRST_BACKOFF * (1 << self.attempts.saturating_sub(1).min(4));
        let wait = if self.attempts == 0 { SignedDuration::ZERO } else { doubled.min(LONGEST_BACKOFF) };
        self.tried.saturating_add(wait).unwrap_or(Timestamp::MAX)
    }

    fn rank(&self) -> Rank {
        (Reverse(self.pod.priority), self.since, self.pod.uid.clone())
    }
}

type Rank = (Reverse<i32>, Timestamp, Arc<str>);

/// The Pods that wait for a node.
#[derive(Debug, Default)]
pub struct Queue {
    pods: HashMap<Arc<str>, Waiting>,
    active: BTreeSet<Rank>,
    /// Backing off or unschedulable, by the time they become active without an event.
    timers: BTreeSet<(Timestamp, Arc<str>)>,
}

impl Queue {
    /// A Pod came, or changed. A change of a Pod that failed makes it ready to be tried again.
    pub fn add(&mut self, pod: Arc<PodInfo>, now: Timestamp) {
        let uid = pod.uid.clone();
        let known = self.take(&uid);
        let waiting = match known {
            // A version that only reports the last failure changes nothing.
            Some(known) if known.pod.generation == pod.generation && known.pod.labels == pod.labels => {
                Waiting { pod, ..known }
            }
            Some(known) => Waiting { pod, place: Place::Active, ..known },
            None => Waiting { pod, place: Place::Active, since: now, attempts: 0, tried: now },
        };
        self.put(waiting);
    }

    /// A Pod went, or has a node.
    pub fn remove(&mut self, uid: &str) {
        self.take(uid);
    }

    /// True when a Pod is ready to be tried.
    pub fn is_ready(&self) -> bool {
        !self.active.is_empty()
    }

    /// The Pod to try now. Answer with [`Queue::unschedulable`], [`Queue::retry`] or [`Queue::remove`].
    pub fn next(&mut self, now: Timestamp) -> Option<Arc<PodInfo>> {
        let (_, _, uid) = self.active.pop_first()?;
        let waiting = self.pods.get_mut(&uid)?;
        waiting.place = Place::Tried;
        waiting.attempts += 1;
        waiting.tried = now;
        Some(waiting.pod.clone())
    }

    /// No node fits: it waits for something that could change these plugins' minds.
    pub fn unschedulable(&mut self, uid: &str, refused_by: Vec<Plugin>) {
        if let Some(mut waiting) = self.take(uid) {
            waiting.place = Place::Unschedulable(refused_by);
            self.put(waiting);
        }
    }

    /// It failed for another reason: it is tried again after its back-off.
    pub fn retry(&mut self, pod: Arc<PodInfo>, now: Timestamp) {
        let mut waiting = self.take(&pod.uid).unwrap_or(Waiting {
            pod: pod.clone(),
            place: Place::BackingOff,
            since: now,
            attempts: 1,
            tried: now,
        });
        waiting.place = Place::BackingOff;
        self.put(waiting);
    }

    /// Something happened.
    pub fn wake(&mut self, happening: Happening) {
        let woken = self.pods.iter().filter(|(_, waiting)| match &waiting.place {
            Place::Unschedulable(refused_by) => happening.may_help(refused_by),
            _ => false,
        });
        let woken: Vec<Arc<str>> = woken.map(|(uid, _)| uid.clone()).collect();
        for uid in woken {
            if let Some(mut waiting) = self.take(&uid) {
                waiting.place = Place::BackingOff;
                self.put(waiting);
            }
        }
    }

    /// Time passed: those whose wait is over become active.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some((at, uid)) = self.timers.first().cloned().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, uid.clone()));
            if let Some(waiting) = self.pods.get_mut(&uid) {
                waiting.place = Place::Active;
                self.active.insert(waiting.rank());
            }
        }
    }

    /// When the next wait is over.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn timer(waiting: &Waiting) -> Option<(Timestamp, Arc<str>)> {
        let at = match waiting.place {
            Place::Active | Place::Tried => return None,
            Place::BackingOff => waiting.backoff_over(),
            Place::Unschedulable(_) => waiting.tried.saturating_add(LONGEST_WAIT).unwrap_or(Timestamp::MAX),
        };
        Some((at, waiting.pod.uid.clone()))
    }

    fn take(&mut self, uid: &str) -> Option<Waiting> {
        let waiting = self.pods.remove(uid)?;
        self.active.remove(&waiting.rank());
        if let Some(timer) = Self::timer(&waiting) {
            self.timers.remove(&timer);
        }
        Some(waiting)
    }

    fn put(&mut self, waiting: Waiting) {
        if let Some(timer) = Self::timer(&waiting) {
            self.timers.insert(timer);
        }
        if matches!(waiting.place, Place::Active) {
            self.active.insert(waiting.rank());
        }
        self.pods.insert(waiting.pod.uid.clone(), waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    fn pod(name: &str, priority: i32) -> Arc<PodInfo> {
        Arc::new(PodInfo { name: name.into(), uid: name.into(), priority, ..PodInfo::default() })
    }

    fn drain(queue: &mut Queue, now: i64) -> Vec<String> {
        queue.tick(at(now));
        std::iter::from_fn(|| queue.next(at(now))).map(|pod| pod.name.to_string()).collect()
    }

    #[test]
    fn the_important_come_first_then_the_old() {
        let mut queue = Queue::default();
        for (number, (name, priority)) in [("a", 0), ("b", 0), ("high", 10), ("c", 0)].into_iter().enumerate() {
            queue.add(pod(name, priority), at(number as i64));
        }
        queue.remove("b");
        assert_eq!(drain(&mut queue, 10), ["high", "a", "c"]);
    }

    #[test]
    fn a_refused_pod_waits_for_an_event_that_may_help_and_for_its_back_off() {
        let mut queue = Queue::default();
        queue.add(pod("a", 0), at(0));
        assert_eq!(drain(&mut queue, 0), ["a"]);
        queue.unschedulable("a", vec![Plugin::NodeResourcesFit]);
        queue.wake(Happening::PodPlaced);
        assert!(drain(&mut queue, 2000).is_empty());
        queue.wake(Happening::PodGone);
        assert_eq!(drain(&mut queue, 2000), ["a"]);
        queue.unschedulable("a", vec![Plugin::NodeResourcesFit]);
        queue.wake(Happening::Node);
        assert!(drain(&mut queue, 3999).is_empty());
        assert_eq!(drain(&mut queue, 4000), ["a"]);
        queue.unschedulable("a", Vec::new());
        assert_eq!(queue.next_timer(), Some(at(304_000)));
        assert_eq!(drain(&mut queue, 304_000), ["a"]);
    }
}
