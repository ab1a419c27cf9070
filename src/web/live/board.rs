//! What the map shows now, and what changed since a reader looked last.
//!
//! In: objects as the map shows them. Out: those that changed after a mark. An object that is shown
//! as before (a heartbeat, a note of who wrote it) is no change. Bounded: a reader who was away for
//! longer than the deletions reach back is told everything anew.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

/// Deletions that are remembered.
const GONE: usize = 4_096;

/// The objects of the map, by their key.
#[derive(Debug, Default)]
pub struct Board {
    now: u64,
    shown: BTreeMap<String, (u64, Value)>,
    /// Keys by when they changed last.
    order: BTreeMap<u64, String>,
    gone: VecDeque<(u64, String)>,
    /// Deletions up to here are forgotten.
    forgotten: u64,
}

/// What a reader is told.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// Whether `put` is all there is.
    pub all: bool,
    /// Objects that are new or changed.
    pub put: Vec<Value>,
    /// Keys of those that are gone.
    pub gone: Vec<String>,
    /// Where the next look goes on.
    pub now: u64,
}

impl Board {
    /// Notes an object; true when it is shown differently from before. `shown["id"]` is its key.
    pub fn put(&mut self, key: &str, shown: Value) -> bool {
        match self.shown.get(key) {
            Some((_, before)) if *before == shown => return false,
            Some((at, _)) => _ = self.order.remove(at),
            None => {}
        }
        self.now += 1;
        self.order.insert(self.now, key.to_owned());
        self.shown.insert(key.to_owned(), (self.now, shown));
        true
    }

    /// Notes that an object is gone; true when it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let Some((at, _)) = self.shown.remove(key) else { return false };
        self.order.remove(&at);
        self.now += 1;
        self.gone.push_back((self.now, key.to_owned()));
        if self.gone.len() > GONE
            && let Some((at, _)) = self.gone.pop_front()
        {
            self.forgotten = at;
        }
        true
    }

    /// What changed after `mark`; everything for a new reader (`None`) or one who was away too long.
    pub fn since(&self, mark: Option<u64>) -> Changes {
        match mark.filter(|mark| *mark >= self.forgotten) {
            None => Changes {
                all: true,
                put: self.shown.values().map(|(_, shown)| shown.clone()).collect(),
                gone: Vec::new(),
                now: self.now,
            },
            Some(mark) => Changes {
                all: false,
                put: self.order.range(mark + 1..).map(|(_, key)| self.shown[key].1.clone()).collect(),
                gone: self.gone.iter().filter(|(at, _)| *at > mark).map(|(_, key)| key.clone()).collect(),
                now: self.now,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reader_is_told_what_changed_since_the_last_look() {
        let mut board = Board::default();
        assert!(board.put("a", json!({"id": "a", "n": 1})) && board.put("b", json!({"id": "b"})));
        let first = board.since(None);
        assert_eq!((first.all, first.put.len()), (true, 2));
        assert!(!board.put("a", json!({"id": "a", "n": 1})), "shown as before");
        assert!(board.put("a", json!({"id": "a", "n": 2})) && board.remove("b") && !board.remove("b"));
        let next = board.since(Some(first.now));
        assert_eq!((next.all, next.put, next.gone), (false, vec![json!({"id": "a", "n": 2})], vec!["b".to_owned()]));
        assert_eq!(board.since(Some(next.now)).put, Vec::<Value>::new());
    }

    #[test]
    fn who_was_away_too_long_is_told_everything() {
        let mut board = Board::default();
        board.put("stays", json!({"id": "stays"}));
        let mark = board.since(None).now;
        for at in 0..=GONE {
            board.put(&format!("x{at}"), json!({}));
            board.remove(&format!("x{at}"));
        }
        let told = board.since(Some(mark));
        assert!(told.all && told.put == [json!({"id": "stays"})]);
    }
}
