//! What a durable write costs, beside what the disk alone costs in the same run.
//!
//! `bare_fdatasync` is the floor: 4 KiB written and flushed. A lone put should take little more; 32
//! and 64 writers share flushes, so their time is for that many puts together. Run:
//! `cargo bench --bench store`.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use divan::Bencher;
use futures::future::join_all;
use tokio::runtime::Runtime;
use tutor::clock::Clock;
use tutor::etcd::{Etcd, Keys, LeaseId, Op, Options, RangeRequest, Store, Txn, Want};
use tutor::tasks::TaskGroup;

const OBJECT_BYTES: usize = 2048;

fn main() {
    divan::main();
}

struct Bench {
    etcd: Arc<Etcd>,
    tasks: TaskGroup,
    runtime: Runtime,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir_in(".").expect("the working folder is writable");
        let runtime = Runtime::new().expect("a runtime");
        let tasks = TaskGroup::new();
        let guard = runtime.enter();
        let etcd = Etcd::open(dir.path(), Clock::real(), &tasks, Options::default()).expect("an empty folder opens");
        drop(guard);
        Bench { etcd, tasks, runtime, dir }
    }

    fn filled() -> Bench {
        let bench = Bench::new();
        for start in (0..10_000).step_by(500) {
            let ops = (start..start + 500).flat_map(|number| put(number).success).collect();
            bench.runtime.block_on(bench.etcd.txn(Txn { success: ops, ..Txn::default() })).expect("the disk takes it");
        }
        bench
    }

    fn stop(&self) {
        self.runtime.block_on(self.tasks.shutdown(Clock::real(), Duration::from_secs(10)));
    }

    fn put_each(&self, count: usize) {
        let puts = (0..count).map(|number| {
            let etcd = self.etcd.clone();
            async move { etcd.txn(put(number)).await.expect("the disk takes it") }
        });
        self.runtime.block_on(join_all(puts));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop();
    }
}

fn put(number: usize) -> Txn {
    let key = Bytes::from(format!("/registry/pods/default/pod-{number:05}"));
    let value = Bytes::from(vec![b'x'; OBJECT_BYTES]);
    Txn { success: vec![Op::Put { key, value, lease: LeaseId(0) }], ..Txn::default() }
}

#[divan::bench(sample_count = 2000)]
fn bare_fdatasync(bencher: Bencher) {
    let dir = tempfile::tempdir_in(".").expect("the working folder is writable");
    let mut file = File::create(dir.path().join("file")).expect("a new file");
    file.set_len(1 << 20).and_then(|()| file.sync_all()).expect("room for 1 MiB");
    bencher.bench_local(|| {
        file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&[7; 4096])).expect("it is written");
        file.sync_data().expect("it is flushed");
    });
}

#[divan::bench(sample_count = 2000, args = [1, 32, 64])]
fn durable_puts(bencher: Bencher, writers: usize) {
    let bench = Bench::new();
    bencher.counter(divan::counter::ItemsCount::new(writers)).bench_local(|| bench.put_each(writers));
}

#[divan::bench(sample_count = 100)]
fn range_of_10_000(bencher: Bencher) {
    let bench = Bench::filled();
    let request = RangeRequest { keys: Keys::prefix("/registry/"), limit: 0, revision: None, want: Want::Values };
    bencher.bench_local(|| bench.runtime.block_on(bench.etcd.range(request.clone())).expect("it is readable"));
}

#[divan::bench(sample_count = 20)]
fn open_with_10_000(bencher: Bencher) {
    let bench = Bench::filled();
    bench.stop();
    let _guard = bench.runtime.enter();
    bencher.bench_local(|| {
        let tasks = TaskGroup::new();
        let etcd = Etcd::open(bench.dir.path(), Clock::real(), &tasks, Options::default()).expect("it opens again");
        bench.runtime.block_on(tasks.shutdown(Clock::real(), Duration::from_secs(10)));
        etcd
    });
}
