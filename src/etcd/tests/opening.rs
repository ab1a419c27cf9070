//! Folders that cannot be opened: the reader learns what, why and what to do, and nothing is lost.

use std::fs;

use super::*;

const TABLE: redb::TableDefinition<&str, i64> = redb::TableDefinition::new("meta");

async fn written(dir: &Path) {
    let tasks = TaskGroup::new();
    let etcd = Etcd::open(dir, Clock::real(), &tasks, Options::default()).unwrap();
    for number in 0..50 {
        let ops = vec![put(&format!("k{number}"), &"v".repeat(500), LeaseId(0))];
        etcd.txn(Txn { success: ops, ..Txn::default() }).await.unwrap();
    }
    assert!(tasks.shutdown(Clock::real(), Duration::from_secs(60)).await);
}

fn refusal(dir: &Path) -> crate::error::Error {
    let opened = Etcd::open(dir, Clock::real(), &TaskGroup::new(), Options::default());
    opened.err().expect("the store is refused")
}

#[tokio::test]
async fn a_folder_is_opened_again_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    let etcd = Etcd::open(dir.path(), Clock::real(), &TaskGroup::new(), Options::default()).unwrap();
    assert_eq!(etcd.revision(), Revision(51));
    let request = RangeRequest { keys: Keys::prefix("k"), limit: 0, revision: None, want: Want::Values };
    let found = etcd.range(request).await.unwrap();
    assert_eq!(found.kvs.iter().filter(|kv| kv.value.len() == 500).count(), 50);
}

#[tokio::test]
async fn a_second_opener_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Etcd::open(dir.path(), Clock::real(), &TaskGroup::new(), Options::default()).unwrap();
    assert!(refusal(dir.path()).what.ends_with("is in use"));
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    let database = redb::Database::open(dir.path().join("store.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(TABLE).unwrap().insert("format", 3).unwrap();
    txn.commit().unwrap();
    drop(database);
    let error = refusal(dir.path());
    assert!(error.what.ends_with("was written by a newer tutor"), "{error}");
    assert_eq!(error.why, "it has format 3; this tutor reads formats up to 2");
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("store.redb");
    written(dir.path()).await;
    let whole = fs::read(&file).unwrap();
    let position = whole.windows(100).position(|bytes| bytes == [b'v'; 100]).unwrap();
    let mut flipped = whole.clone();
    flipped[position] = b'w';
    for damaged in [b"this is no store at all".repeat(500), flipped, whole[..whole.len() / 2].to_vec()] {
        fs::write(&file, &damaged).unwrap();
        let error = refusal(dir.path());
        assert!(error.what.ends_with("is damaged"), "{error}");
        let path = dir.path().display();
        assert_eq!(error.hints, [format!("keep it aside and start with an empty one: mv {path} {path}.damaged")]);
        assert_eq!(fs::metadata(&file).unwrap().len(), damaged.len() as u64);
    }
}

/// A folder as a crash leaves it: three records are in its log alone.
async fn crashed() -> tempfile::TempDir {
    let (dir, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tasks = TaskGroup::new();
    let etcd = Etcd::open(dir.path(), Clock::real(), &tasks, Options::default()).unwrap();
    for number in 0..3 {
        let ops = vec![put(&format!("k{number}"), &"v".repeat(500), LeaseId(0))];
        etcd.txn(Txn { success: ops, ..Txn::default() }).await.unwrap();
    }
    for file in ["store.redb", "store.log"] {
        fs::copy(dir.path().join(file), left.path().join(file)).unwrap();
    }
    assert!(tasks.shutdown(Clock::real(), Duration::from_secs(60)).await);
    left
}

#[tokio::test]
async fn a_log_that_is_not_as_it_was_written_is_refused_and_left_as_it_is() {
    let dir = crashed().await;
    let file = dir.path().join("store.log");
    let whole = fs::read(&file).unwrap();
    let position = whole.windows(100).position(|bytes| bytes == [b'v'; 100]).unwrap();
    let mut flipped = whole.clone();
    flipped[position] = b'w';
    for (damaged, why) in [
        (flipped, "record 1 of its log is not as it was written"),
        (b"this is no log at all".repeat(500), "its log does not begin as a log does"),
        (whole[..whole.len() / 2].to_vec(), "the end of its log is missing"),
    ] {
        fs::write(&file, &damaged).unwrap();
        let error = refusal(dir.path());
        assert!(error.what.ends_with("is damaged"), "{error}");
        assert!(error.why.ends_with(why), "{error}");
        assert_eq!(fs::read(&file).unwrap(), damaged);
    }
    fs::write(&file, whole).unwrap();
    let etcd = Etcd::open(dir.path(), Clock::real(), &TaskGroup::new(), Options::default()).unwrap();
    assert_eq!(etcd.revision(), Revision(4), "nothing was lost by the refusals");
}

#[tokio::test]
async fn a_log_that_is_empty_though_it_was_not_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    fs::write(dir.path().join("store.log"), b"").unwrap();
    assert!(refusal(dir.path()).why.ends_with("its log is empty, and was not"));
}
