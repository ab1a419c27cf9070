//! The answers etcd gives, one by one.

use jiff::Timestamp;

use super::*;

#[tokio::test]
async fn a_key_knows_its_revisions_and_its_generation() {
    let store = Running::new();
    store.put("a", "1").await.unwrap();
    store.put("a", "2").await.unwrap();
    store.delete("a").await;
    store.put("a", "3").await.unwrap();
    let get = |revision| RangeRequest {
        keys: Keys::One(bytes("a")),
        limit: 0,
        revision: Some(Revision(revision)),
        want: Want::Values,
    };
    let mut seen = Vec::new();
    for revision in 1..=5 {
        let found = store.etcd.range(get(revision)).await.unwrap();
        assert_eq!(found.revision, Revision(5));
        seen.push(found.kvs.first().map(|kv| (kv.create_revision.0, kv.mod_revision.0, kv.version)));
    }
    assert_eq!(seen, [None, Some((2, 2, 1)), Some((2, 3, 2)), None, Some((5, 5, 1))]);
    assert_eq!(store.etcd.range(get(6)).await.unwrap_err(), StoreError::FutureRevision);
}

#[tokio::test]
async fn a_transaction_sees_its_own_writes_and_is_one_revision() {
    let store = Running::new();
    let range = RangeRequest { keys: Keys::prefix(""), limit: 1, revision: None, want: Want::Keys };
    let txn = Txn {
        compare: vec![Compare { key: bytes("a"), test: Test::ModRevision(std::cmp::Ordering::Equal, Revision(0)) }],
        success: vec![put("a", "1", LeaseId(0)), put("b", "1", LeaseId(0)), Op::Range(range)],
        failure: vec![Op::Delete { keys: Keys::prefix("") }],
    };
    let first = store.etcd.txn(txn.clone()).await.unwrap();
    assert_eq!((first.succeeded, first.revision), (true, Revision(2)));
    let OpResponse::Range(range) = &first.responses[2] else { panic!("the third answer is a range") };
    assert_eq!((range.kvs.len(), range.count, range.more), (1, 2, true));
    assert!(range.kvs[0].value.is_empty());

    let second = store.etcd.txn(txn.clone()).await.unwrap();
    assert_eq!((second.succeeded, second.revision), (false, Revision(3)));
    let OpResponse::Delete { prev } = &second.responses[0] else { panic!("the answer is a delete") };
    assert_eq!(prev.len(), 2);

    let nothing = store.etcd.txn(Txn { success: vec![Op::Delete { keys: Keys::prefix("") }], ..Txn::default() }).await;
    assert_eq!(nothing.unwrap().revision, Revision(3), "a transaction that changes nothing makes no revision");
}

#[tokio::test]
async fn several_keys_of_one_revision_come_in_one_response() {
    let store = Running::new();
    let mut watch = store.watch("", None).await.unwrap();
    let ops = (0..1500).map(|number| put(&format!("{number:04}"), "v", LeaseId(0))).collect();
    store.etcd.txn(Txn { success: ops, ..Txn::default() }).await.unwrap();
    store.put("x", "v").await.unwrap();
    let sizes = async |watch: &mut Box<dyn Watching>| {
        let first = watch.next().await.unwrap();
        let second = watch.next().await.unwrap();
        (first.events.len(), first.revision, second.events.len(), second.revision)
    };
    assert_eq!(sizes(&mut watch).await, (1500, Revision(2), 1, Revision(3)));
    let store = store.reopened().await;
    let mut late = store.watch("", Some(2)).await.unwrap();
    assert_eq!(sizes(&mut late).await, (1500, Revision(2), 1, Revision(3)), "from history too");
}

#[tokio::test]
async fn a_slow_watch_reads_history_and_one_that_is_too_late_is_told() {
    let store = Running::new();
    let mut slow = store.watch("a", None).await.unwrap();
    let mut idle = store.watch("b", None).await.unwrap();
    let large = "x".repeat(100_000);
    for _ in 0..100 {
        store.put("a", &large).await.unwrap();
    }
    let revisions: Vec<String> = (2..102).map(|revision| format!("{revision}:a")).collect();
    assert_eq!(said(&mut slow), revisions);

    for _ in 0..100 {
        store.put("a", &large).await.unwrap();
    }
    store.etcd.compact(Revision(150)).await.unwrap();
    assert_eq!(slow.next().await.unwrap_err(), StoreError::Compacted { oldest: Revision(150) });
    assert_eq!(store.watch("a", Some(149)).await.err(), Some(StoreError::Compacted { oldest: Revision(150) }));
    store.put("b", "1").await.unwrap();
    assert_eq!(said(&mut idle), ["202:b"], "nothing it wanted was compacted");
    let mut kept = store.watch("a", Some(150)).await.unwrap();
    assert_eq!(said(&mut kept).len(), 52);
}

#[tokio::test]
async fn a_watch_says_how_far_it_is_when_asked() {
    let store = Running::new();
    let mut watch = store.watch("a", None).await.unwrap();
    store.put("b", "1").await.unwrap();
    assert_eq!(said(&mut watch), [""; 0]);
    assert_eq!(store.etcd.revision(), Revision(2));
    assert_eq!(said(&mut watch), ["2"]);
    store.put("b", "1").await.unwrap();
    assert_eq!(said(&mut watch), [""; 0]);
    store.put("a", "1").await.unwrap();
    assert_eq!(store.etcd.revision(), Revision(4));
    assert_eq!(said(&mut watch), ["4:a"], "an event says it too");
}

#[tokio::test]
async fn dropping_the_wait_for_a_response_loses_nothing() {
    let store = Running::on(TestDisk::slow(), Clock::real(), Options::default());
    store.put("a", "1").await.unwrap();
    let store = store.reopened().await;
    let mut watch = store.watch("", Some(2)).await.unwrap();
    // History is read on another thread, which may be so fast that the first poll has the answer.
    let response = match watch.next().now_or_never() {
        Some(response) => response,
        None => watch.next().await,
    };
    assert_eq!(response.unwrap().events.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_die_with_their_lease_in_one_revision() {
    for disk in [TestDisk::instant(), TestDisk::slow()] {
        let clock = Clock::virtual_from(Timestamp::UNIX_EPOCH);
        let store = Running::on(disk, clock, Options::default());
        let lease = store.etcd.lease_grant(30).await.unwrap();
        store.put_leased("a", "1", lease).await.unwrap();
        store.put_leased("b", "1", lease).await.unwrap();
        store.put_leased("c", "1", lease).await.unwrap();
        store.put("c", "2").await.unwrap();
        let store = store.reopened().await;
        assert_eq!(store.etcd.lease_keep_alive(lease), Ok(30), "a lease survives a restart");

        clock.sleep(Duration::from_secs(20)).await;
        assert_eq!(store.etcd.lease_keep_alive(lease), Ok(30));
        let mut watch = store.watch("", None).await.unwrap();
        clock.sleep(Duration::from_secs(29)).await;
        assert_eq!(store.now().await.len(), 3);
        let died = loop {
            let response = watch.next().await.unwrap();
            if !response.events.is_empty() {
                break response;
            }
        };
        assert_eq!(died.events.len(), 2);
        assert_eq!(clock.now().as_second() % 50, 0, "exactly when its time is over");
        assert_eq!(store.now().await, pairs(&[("c", "2")]));
        assert_eq!(store.put_leased("d", "1", lease).await, Err(StoreError::LeaseNotFound));
        assert_eq!(store.etcd.lease_revoke(lease).await, Err(StoreError::LeaseNotFound));
        assert_eq!(store.reopened().await.now().await, pairs(&[("c", "2")]));
    }
}

#[tokio::test]
async fn a_revoked_lease_takes_its_keys() {
    let store = Running::new();
    let lease = store.etcd.lease_grant(30).await.unwrap();
    store.put_leased("a", "1", lease).await.unwrap();
    store.etcd.lease_revoke(lease).await.unwrap();
    assert_eq!(store.now().await, []);
}

#[tokio::test(start_paused = true)]
async fn history_is_forgotten_by_age_though_nobody_writes() {
    let clock = Clock::virtual_from(Timestamp::UNIX_EPOCH);
    let store = Running::on(TestDisk::instant(), clock, Options::default());
    store.put("a", "1").await.unwrap();
    store.put("a", "2").await.unwrap();
    clock.sleep(Duration::from_secs(3500)).await;
    assert!(store.at(Some(2)).await.is_ok());
    clock.sleep(Duration::from_secs(200)).await;
    assert_eq!(store.at(Some(2)).await, Err(StoreError::Compacted { oldest: Revision(3) }));
    assert_eq!(store.now().await, pairs(&[("a", "2")]));
}

#[tokio::test]
async fn the_revision_never_goes_down() {
    let store = Running::new();
    store.put("a", "1").await.unwrap();
    store.delete("a").await;
    store.put("b", "1").await.unwrap();
    store.delete("b").await;
    store.etcd.compact(Revision(5)).await.unwrap();
    let store = store.reopened().await.reopened().await;
    assert_eq!(store.etcd.revision(), Revision(5));
    assert_eq!(store.put("c", "1").await, Ok(Revision(6)));
    assert_eq!(store.etcd.compact(Revision(7)).await, Err(StoreError::FutureRevision));
    assert_eq!(store.etcd.compact(Revision(5)).await, Err(StoreError::Compacted { oldest: Revision(5) }));
}

#[tokio::test]
async fn a_stopped_store_says_so() {
    let store = Running::new();
    let mut watch = store.watch("", None).await.unwrap();
    store.stop().await;
    assert_eq!(watch.next().await.unwrap_err(), StoreError::Stopped);
    assert_eq!(store.put("a", "1").await, Err(StoreError::Stopped));
}
