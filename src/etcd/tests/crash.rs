//! Power cuts, full disks and failed flushes: what was acknowledged stays, what was refused is gone.

use proptest::prelude::*;

use super::*;

/// Writes the same number under two keys in each transaction until the power goes, looks at what a
/// reboot finds.
async fn survives(operations: usize, mut bits: u64) {
    let disk = TestDisk::instant();
    let store = Running::on(disk.clone(), Clock::real(), short_log());
    disk.power_off_after(operations);
    let mut acknowledged = 0;
    for number in 1..=40 {
        let value = format!("{number}{}", "x".repeat(700));
        let ops = vec![put(&format!("a{}", number % 7), &value, LeaseId(0)), put("last", &value, LeaseId(0))];
        match store.etcd.txn(Txn { success: ops, ..Txn::default() }).await {
            Ok(_) => acknowledged = number,
            Err(error) => {
                assert!(matches!(error, StoreError::Disk(_)), "{error}");
                break;
            }
        }
    }
    let image = disk.after_crash(|| {
        // xorshift: each sector's fate.
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        bits & 1 == 1
    });
    let store = Running::on(image, Clock::real(), short_log());
    let found = store.now().await;
    let number = |value: &str| value.trim_end_matches('x').parse::<usize>().unwrap();
    let last = found.iter().find(|(key, _)| key == "last").map_or(0, |(_, value)| number(value));
    assert!(last == acknowledged || last == acknowledged + 1, "{last} found, {acknowledged} acknowledged");
    assert_eq!(store.etcd.revision(), Revision(last as i64 + 1));
    for wanted in last.saturating_sub(6)..=last {
        let key = format!("a{}", wanted % 7);
        let value = found.iter().find(|(found, _)| *found == key).map_or(0, |(_, value)| number(value));
        assert_eq!(value, wanted, "{key}");
    }
    store.put("goes", "on").await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_acknowledged_write_survives_a_power_cut(operations in 0usize..900, bits in 1u64..) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(survives(operations, bits));
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_keeps_nothing_of_them() {
    for disk in [TestDisk::instant(), TestDisk::slow()] {
        let store = Running::on(disk.clone(), Clock::real(), Options::default());
        store.put("a", "1").await.unwrap();
        let mut watch = store.watch("", None).await.unwrap();

        disk.set_full(true);
        assert!(matches!(store.put("a", "2").await, Err(StoreError::Disk(_))));
        assert!(matches!(store.put("b", "2").await, Err(StoreError::Disk(_))));
        assert_eq!(store.now().await, pairs(&[("a", "1")]));
        assert_eq!(store.etcd.revision(), Revision(2));

        disk.set_full(false);
        assert_eq!(store.put("c", "3").await, Ok(Revision(3)));
        let mut response = watch.next().await.unwrap();
        if response.events.is_empty() {
            assert_eq!(response.revision, Revision(2), "a mark, because the revision was asked for");
            response = watch.next().await.unwrap();
        }
        assert_eq!((response.revision, response.events.len()), (Revision(3), 1));
        assert_eq!(response.events[0].kv.key, "c");
        let store = store.reopened().await;
        assert_eq!(store.now().await, pairs(&[("a", "1"), ("c", "3")]));
    }
}

#[tokio::test]
async fn a_write_whose_flush_failed_is_gone_though_its_pages_were_written() {
    let store = Running::new();
    store.put("a", "1").await.unwrap();
    store.disk.fail_flushes(1);
    assert!(matches!(store.put("a", "2").await, Err(StoreError::Disk(_))));
    assert_eq!(store.now().await, pairs(&[("a", "1")]));
    let crashed = Running::on(store.disk.after_crash(|| true), Clock::real(), Options::default());
    assert_eq!(crashed.now().await, pairs(&[("a", "1")]));
    let store = store.reopened().await;
    assert_eq!(store.now().await, pairs(&[("a", "1")]));
    assert_eq!(store.put("a", "3").await, Ok(Revision(3)));
    assert_eq!(store.at(Some(2)).await.unwrap(), pairs(&[("a", "1")]));
}

#[tokio::test]
async fn nothing_is_seen_before_it_is_durable_and_one_flush_serves_all_who_wait() {
    let store = Arc::new(Running::on(TestDisk::slow(), Clock::real(), Options::default()));
    let mut watch = store.watch("", None).await.unwrap();
    let flushes = store.disk.flushes();
    let (begins, release) = store.disk.hold_flushes();

    let keys: Vec<String> = (0..50).map(|number| format!("k{number:02}")).collect();
    let mut puts: Vec<_> = keys.iter().map(|key| Box::pin(store.put(key, "v"))).collect();
    for put in &mut puts {
        assert!(put.now_or_never().is_none(), "not acknowledged");
    }
    begins.recv().unwrap();
    assert_eq!(store.now().await, []);
    assert_eq!(store.etcd.revision(), Revision(1));
    assert_eq!(said(&mut watch), [""; 0]);

    release.send(()).unwrap();
    let revisions = futures::future::join_all(puts).await;
    assert_eq!(
        revisions.into_iter().map(Result::unwrap).collect::<Vec<_>>(),
        (2..52).map(Revision).collect::<Vec<_>>()
    );
    assert!(store.disk.flushes() - flushes <= 2, "those that came in time, then the others together");
}

#[tokio::test]
async fn what_only_the_log_holds_is_found_after_a_crash_with_its_history() {
    let store = Running::on(TestDisk::instant(), Clock::real(), Options::default());
    for number in 1..=5 {
        store.put("a", &number.to_string()).await.unwrap();
    }
    store.delete("a").await;
    let crashed = Running::on(store.disk.after_crash(|| false), Clock::real(), Options::default());
    assert_eq!(crashed.etcd.revision(), Revision(7));
    assert_eq!(crashed.now().await, []);
    assert_eq!(crashed.at(Some(4)).await.unwrap(), pairs(&[("a", "3")]));
}

#[tokio::test]
async fn a_value_larger_than_the_log_is_kept_like_any_other() {
    let store = Running::new();
    let large = "x".repeat(20 << 10);
    store.put("a", "1").await.unwrap();
    store.put("b", &large).await.unwrap();
    store.put("c", "3").await.unwrap();
    let crashed = Running::on(store.disk.after_crash(|| false), Clock::real(), short_log());
    assert_eq!(crashed.now().await, pairs(&[("a", "1"), ("b", &large), ("c", "3")]));
}

#[tokio::test]
async fn a_reader_from_before_the_tree_took_over_finds_what_it_saw() {
    let store = Running::new();
    store.put("a", "old").await.unwrap();
    store.put("a", "new").await.unwrap();
    let mut watch = store.watch("", Some(2)).await.unwrap();
    for _ in 0..40 {
        store.put("b", &"x".repeat(1000)).await.unwrap();
    }
    assert_eq!(said(&mut watch)[..2], ["2:a", "3:a"]);
    assert_eq!(store.at(Some(2)).await.unwrap(), pairs(&[("a", "old")]));
}
