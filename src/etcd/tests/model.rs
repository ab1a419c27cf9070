//! Any sequence of writes, reads, watches, compactions and restarts, against a model that keeps
//! every state the store was ever in.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Snapshot = BTreeMap<Bytes, KeyValue>;

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Write>),
    Guarded { key: u8, version: i64, then: Vec<Write>, otherwise: Vec<Write> },
    Range { keys: (u8, u8), back: i64, limit: usize, want: Want },
    Compact { back: i64 },
    Watch { keys: (u8, u8), back: i64 },
    Drain,
    Reopen,
}

#[derive(Clone, Debug)]
enum Write {
    Put(u8, u16),
    Delete(u8, u8),
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        3 => (0..12u8, any::<u16>()).prop_map(|(key, value)| Write::Put(key, value)),
        1 => (0..12u8, 1..4u8).prop_map(|(key, span)| Write::Delete(key, span)),
    ]
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    prop::collection::vec(write(), 0..4)
}

fn step() -> impl Strategy<Value = Step> {
    let keys = (0..12u8, 0..12u8);
    let want = prop_oneof![Just(Want::Values), Just(Want::Keys), Just(Want::Count)];
    prop_oneof![
        8 => writes().prop_map(Step::Write),
        2 => (0..12u8, 0..3i64, writes(), writes())
            .prop_map(|(key, version, then, otherwise)| Step::Guarded { key, version, then, otherwise }),
        4 => (keys.clone(), -1..12i64, 0..4usize, want)
            .prop_map(|(keys, back, limit, want)| Step::Range { keys, back, limit, want }),
        1 => (-1..6i64).prop_map(|back| Step::Compact { back }),
        2 => (keys, -2..10i64).prop_map(|(keys, back)| Step::Watch { keys, back }),
        1 => Just(Step::Drain),
        1 => Just(Step::Reopen),
    ]
}

fn key(number: u8) -> Bytes {
    Bytes::from(vec![b'a' + number])
}

fn span((start, length): (u8, u8)) -> Keys {
    match length {
        0 => Keys::Span { start: key(start), end: Bytes::new() },
        1 => Keys::One(key(start)),
        _ => Keys::Span { start: key(start), end: key(start + length) },
    }
}

fn ops(writes: &[Write]) -> Vec<Op> {
    let op = |write: &Write| match *write {
        Write::Put(number, value) => Op::Put { key: key(number), value: value.to_string().into(), lease: LeaseId(0) },
        Write::Delete(number, length) => Op::Delete { keys: span((number, length)) },
    };
    writes.iter().map(op).collect()
}

/// Every state and every event since the beginning; revision 1 is the empty store.
struct Model {
    states: Vec<Snapshot>,
    events: Vec<Event>,
    compacted: i64,
}

impl Model {
    fn revision(&self) -> i64 {
        self.states.len() as i64
    }

    fn state(&self, revision: i64) -> &Snapshot {
        &self.states[revision as usize - 1]
    }

    fn apply(&mut self, writes: &[Write]) {
        let revision = Revision(self.revision() + 1);
        let mut state = self.states.last().unwrap().clone();
        let before = self.events.len();
        for write in writes {
            match *write {
                Write::Put(number, value) => {
                    let prev_kv = state.get(&key(number)).cloned();
                    let kv = KeyValue {
                        key: key(number),
                        value: value.to_string().into(),
                        create_revision: prev_kv.as_ref().map_or(revision, |kv| kv.create_revision),
                        mod_revision: revision,
                        version: prev_kv.as_ref().map_or(0, |kv| kv.version) + 1,
                        lease: LeaseId(0),
                    };
                    state.insert(key(number), kv.clone());
                    self.events.push(Event { kind: EventKind::Put, kv, prev_kv });
                }
                Write::Delete(number, length) => {
                    let keys = span((number, length));
                    for (key, prev) in state.extract_if(.., |key, _| keys.contains(key)) {
                        let kv = KeyValue {
                            key,
                            value: Bytes::new(),
                            create_revision: Revision(0),
                            mod_revision: revision,
                            version: 0,
                            lease: LeaseId(0),
                        };
                        self.events.push(Event { kind: EventKind::Delete, kv, prev_kv: Some(prev) });
                    }
                }
            }
        }
        if self.events.len() > before {
            self.states.push(state);
        }
    }

    fn range(&self, request: &RangeRequest) -> Result<(Vec<KeyValue>, usize, bool), StoreError> {
        let revision = request.revision.map_or(self.revision(), |revision| revision.0);
        if revision > self.revision() {
            return Err(StoreError::FutureRevision);
        }
        if revision < self.compacted {
            return Err(StoreError::Compacted { oldest: Revision(self.compacted) });
        }
        let state = if revision < 1 { self.state(1) } else { self.state(revision) };
        let all: Vec<_> = state.values().filter(|kv| request.keys.contains(&kv.key)).cloned().collect();
        let count = all.len();
        let mut kvs = if request.want == Want::Count { Vec::new() } else { all };
        if request.limit != 0 {
            kvs.truncate(request.limit);
        }
        if request.want == Want::Keys {
            kvs.iter_mut().for_each(|kv| kv.value = Bytes::new());
        }
        let more = request.want != Want::Count && kvs.len() < count;
        Ok((kvs, count, more))
    }
}

/// A watch, and what it has delivered of the model's events.
struct Watched {
    watch: Box<dyn Watching>,
    keys: Keys,
    /// Everything before this was delivered.
    next: i64,
}

impl Watched {
    /// Takes all it has to say and compares; false when it has ended.
    fn drain(&mut self, model: &Model) -> bool {
        while let Some(response) = self.watch.next().now_or_never() {
            let response = match response {
                Ok(response) => response,
                Err(StoreError::Compacted { oldest }) => {
                    assert_eq!(oldest.0, model.compacted);
                    assert!(self.next < model.compacted);
                    return false;
                }
                Err(error) => panic!("{error}"),
            };
            let within = |event: &&Event| {
                let revision = event.kv.mod_revision.0;
                revision >= self.next && revision <= response.revision.0 && self.keys.contains(&event.kv.key)
            };
            let wanted: Vec<&Event> = model.events.iter().filter(within).collect();
            assert_eq!(response.events.len(), wanted.len(), "{:?} from {}", self.keys, self.next);
            for (event, wanted) in response.events.iter().zip(wanted) {
                assert_eq!((event.kind, &event.kv), (wanted.kind, &wanted.kv));
                let forgotten = event.prev_kv.is_none() && event.kv.mod_revision.0 <= model.compacted;
                assert!(forgotten || event.prev_kv == wanted.prev_kv, "{event:?} {wanted:?}");
            }
            self.next = self.next.max(response.revision.0 + 1);
        }
        let left =
            model.events.iter().any(|event| event.kv.mod_revision.0 >= self.next && self.keys.contains(&event.kv.key));
        assert!(!left, "a watch that has nothing to say has said all");
        true
    }
}

async fn follow(steps: Vec<Step>) {
    let mut store = Running::new();
    let mut model = Model { states: vec![Snapshot::new()], events: Vec::new(), compacted: 0 };
    let mut watches: Vec<Watched> = Vec::new();
    for step in steps {
        match step {
            Step::Write(writes) => {
                model.apply(&writes);
                let done = store.etcd.txn(Txn { success: ops(&writes), ..Txn::default() }).await.unwrap();
                assert_eq!(done.revision.0, model.revision());
            }
            Step::Guarded { key: number, version, then, otherwise } => {
                let found = model.state(model.revision()).get(&key(number)).map_or(0, |kv| kv.version);
                model.apply(if found > version { &then } else { &otherwise });
                let compare = Compare { key: key(number), test: Test::Version(Ordering::Greater, version) };
                let txn = Txn { compare: vec![compare], success: ops(&then), failure: ops(&otherwise) };
                let done = store.etcd.txn(txn).await.unwrap();
                assert_eq!((done.succeeded, done.revision.0), (found > version, model.revision()));
            }
            Step::Range { keys, back, limit, want } => {
                let revision = (back != 0).then(|| Revision((model.revision() - back).max(1)));
                let request = RangeRequest { keys: span(keys), limit, revision, want };
                let found = store.etcd.range(request.clone()).await;
                assert_eq!(found.map(|found| (found.kvs, found.count, found.more)), model.range(&request));
            }
            Step::Compact { back } => {
                let revision = model.revision() - back;
                let wanted = match revision {
                    _ if revision <= model.compacted => {
                        Err(StoreError::Compacted { oldest: Revision(model.compacted) })
                    }
                    _ if back < 0 => Err(StoreError::FutureRevision),
                    _ => Ok(()),
                };
                assert_eq!(store.etcd.compact(Revision(revision)).await, wanted);
                if wanted.is_ok() {
                    model.compacted = revision;
                }
            }
            Step::Watch { keys, back } => {
                let from = (model.revision() - back).max(1);
                match store.etcd.watch(span(keys), Some(Revision(from))).await {
                    Ok(watch) => watches.push(Watched { watch, keys: span(keys), next: from }),
                    Err(error) => {
                        assert_eq!(error, StoreError::Compacted { oldest: Revision(model.compacted) });
                        assert!(from < model.compacted);
                    }
                }
            }
            Step::Drain => watches.retain_mut(|watch| watch.drain(&model)),
            Step::Reopen => {
                watches.retain_mut(|watch| watch.drain(&model));
                watches.clear();
                store = store.reopened().await;
                assert_eq!(store.etcd.revision().0, model.revision());
            }
        }
    }
    watches.retain_mut(|watch| watch.drain(&model));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow(steps));
    }
}
