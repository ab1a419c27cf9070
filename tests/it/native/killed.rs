//! tutor is killed again and again while Pods run: each time nobody outlives it, and the next one goes on.
//!
//! Processes are known by number and start time, found through their parents; `TUTOR_LONG=1` makes it a hundred
//! rounds, as issue-sized promises are kept where there is time for them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher;
use serde_json::json;
use tutor::clock::Clock;

use super::images::{LIMIT, serve};

/// Replicas that run while tutor is killed.
const PODS: usize = 2;

/// A process: its number, and when it started in ticks since the machine did.
type Process = (u32, u64);

#[tokio::test(flavor = "multi_thread")]
async fn a_tutor_killed_with_running_pods_leaves_nobody_and_the_next_goes_on() {
    if super::is_refused() {
        return;
    }
    let rounds = if std::env::var_os("TUTOR_LONG").is_some() { 100 } else { 5 };
    let state = tempfile::tempdir().unwrap();
    let mut known = BTreeSet::new();
    for round in 0..rounds {
        let (mut child, ready) = serve(state.path()).await;
        let kubeconfig = Path::new(ready["kubeconfig"].as_str().unwrap());
        let client = tutor::client::from_kubeconfig(kubeconfig, None).await.unwrap();
        if round == 0 {
            Api::default_namespaced(client.clone()).create(&PostParams::default(), &sleepers()).await.unwrap();
        }
        let running = new_containers(Api::default_namespaced(client), &known).await;
        let family = family(child.id().unwrap());
        // tutor, the machine, and for each Pod its pause process and its container.
        assert!(family.len() >= 2 + 2 * PODS, "round {round}: {family:?}");
        child.kill().await.unwrap();
        let gone = Clock::real().timeout(LIMIT, until_gone(&family)).await;
        assert!(
            gone.is_ok(),
            "round {round}: {:?} outlive it",
            family.iter().filter(|it| lives(it)).collect::<Vec<_>>()
        );
        known.extend(running);
    }
    let (mut child, _) = serve(state.path()).await;
    let last = family(child.id().unwrap());
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(child.id().unwrap() as i32).unwrap(),
        rustix::process::Signal::INT,
    )
    .unwrap();
    assert!(Clock::real().timeout(LIMIT, child.wait()).await.unwrap().unwrap().success());
    Clock::real().timeout(LIMIT, until_gone(&last)).await.expect("somebody outlives a stop");
    let left = fs::read_dir(state.path().join("native/pods")).map_or(0, |pods| pods.count());
    assert_eq!(left, 0, "files of Pods are left");
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(state.path().to_str().unwrap()), "{mounts}");
}

fn sleepers() -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "sleeper"},
        "spec": {"replicas": PODS, "selector": {"matchLabels": {"app": "sleeper"}}, "template": {
            "metadata": {"labels": {"app": "sleeper"}},
            "spec": {"terminationGracePeriodSeconds": 0,
                     "containers": [{"name": "c", "image": "tutor/shell:1", "command": ["sleep", "3600"]}]}
        }}
    }))
    .unwrap()
}

/// Waits until every Pod runs a container that is none of these; their ids.
async fn new_containers(pods: Api<Pod>, known: &BTreeSet<String>) -> BTreeSet<String> {
    let container = |pod: &Pod| {
        let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?.clone();
        status.state?.running.and(status.container_id).filter(|id| !known.contains(id))
    };
    let looks = watcher(pods, watcher::Config::default()).default_backoff().touched_objects();
    let mut looks = std::pin::pin!(looks);
    let mut found = std::collections::BTreeMap::new();
    let all = async {
        use futures::StreamExt;
        while found.len() < PODS {
            // A watch that breaks off is begun anew.
            let Some(Ok(pod)) = looks.next().await else { continue };
            if let Some(id) = container(&pod) {
                found.insert(pod.metadata.name.clone(), id);
            }
        }
    };
    Clock::real().timeout(LIMIT, all).await.expect("the Pods do not run again in time");
    found.into_values().collect()
}

/// A process and all that descend from it.
fn family(of: u32) -> Vec<Process> {
    let all: Vec<(u32, u32, u64)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_string_lossy().parse().ok())
        .filter_map(|pid: u32| stat(pid).map(|(_, parent, started)| (pid, parent, started)))
        .collect();
    let mut family: Vec<Process> = all.iter().filter(|it| it.0 == of).map(|it| (it.0, it.2)).collect();
    let mut next = 0;
    while next < family.len() {
        let parent = family[next].0;
        family.extend(all.iter().filter(|it| it.1 == parent).map(|it| (it.0, it.2)));
        next += 1;
    }
    family
}

/// A process's state, parent and start time. Source: proc(5), `/proc/pid/stat`; the name may hold anything but its last `)`.
fn stat(pid: u32) -> Option<(char, u32, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    Some((fields.first()?.chars().next()?, fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
}

/// Whether it still runs: one that ended and waits to be collected does not.
fn lives(&(pid, started): &Process) -> bool {
    stat(pid).is_some_and(|(state, _, since)| since == started && state != 'Z' && state != 'X')
}

async fn until_gone(family: &[Process]) {
    while family.iter().any(lives) {
        Clock::real().sleep(Duration::from_millis(20)).await;
    }
}
