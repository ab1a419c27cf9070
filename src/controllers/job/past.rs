//! What a Job has seen fail and succeed, Pods that are gone since included: it decides how long the next Pod waits.
//!
//! It lives as long as the loop does, and no longer: after a restart only Pods that are there count, as in
//! Kubernetes. Source: backoff_utils.go.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use parking_lot::Mutex;

use super::indexes;
use crate::client::ObjectKey;

/// Failures remembered: the wait has long stopped growing by then.
const MOST_FAILURES: usize = 16;

/// The Pods of one Job that have ended.
#[derive(Debug, Default)]
pub struct Past {
    /// Of the Job: another one of this name has its own.
    uid: String,
    last_success: Option<Timestamp>,
    /// When each Pod failed, by its uid; the latest.
    failures: BTreeMap<String, Timestamp>,
}

impl Past {
    /// A Pod succeeded: what failed before it is forgiven.
    pub fn succeeded(&mut self, at: Option<Timestamp>) {
        self.last_success = self.last_success.max(at);
        let forgiven = self.last_success;
        self.failures.retain(|_, at| Some(*at) > forgiven);
    }

    /// A Pod failed. To say it again changes nothing.
    pub fn failed(&mut self, uid: &str, at: Timestamp) {
        if Some(at) <= self.last_success {
            return;
        }
        self.failures.insert(uid.to_owned(), at);
        if self.failures.len() > MOST_FAILURES
            && let Some(oldest) = self.failures.iter().min_by_key(|(_, at)| **at).map(|(uid, _)| uid.clone())
        {
            self.failures.remove(&oldest);
        }
    }

    /// When the next Pod may come, if something failed since the last success.
    pub fn next_at(&self) -> Option<Timestamp> {
        indexes::after(*self.failures.values().max()?, self.failures.len())
    }
}

/// The pasts of all Jobs that are not over.
#[derive(Default)]
pub struct Pasts(Mutex<HashMap<ObjectKey, Past>>);

impl Pasts {
    /// Lends a Job's past to who reconciles it.
    pub fn with<T>(&self, key: &ObjectKey, uid: &str, work: impl FnOnce(&mut Past) -> T) -> T {
        // Nobody else works on the same key meanwhile.
        let known = self.0.lock().remove(key).filter(|past| past.uid == uid);
        let mut past = known.unwrap_or_else(|| Past { uid: uid.to_owned(), ..Past::default() });
        let result = work(&mut past);
        if !past.failures.is_empty() {
            self.0.lock().insert(key.clone(), past);
        }
        result
    }

    /// The Job is gone, or over.
    pub fn forget(&self, key: &ObjectKey) {
        self.0.lock().remove(key);
    }
}
