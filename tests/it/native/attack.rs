//! What else an attacker tries: open files that were left lying, programs that make one root, the API without a name.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, LogParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::json;
use tutor::kubelet::runtime::config::Security;

use super::{machine, with};
use crate::harness::into;
use crate::process::Serve;

const PATIENCE: Duration = Duration::from_secs(120);

/// Prints each open file besides the three streams: its number and what it is.
const OPEN_FILES: &str = "exec perl -e 'for (3..4095) { my $what = readlink(\"/proc/self/fd/$_\"); print \"$_ $what\\n\" if defined $what }'";

/// A file that is open leads out of any wall: what the shell that started tutor had left open, a socket to tutor.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_inherits_three_open_files_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let left_open = std::fs::File::create(folder.path().join("secret")).unwrap();
    rustix::io::fcntl_setfd(&left_open, rustix::io::FdFlags::empty()).unwrap();
    let Some(machine) = machine().await else { return };
    let (first, code, _) = machine.run(OPEN_FILES, Default::default()).await;
    assert_eq!((first.as_str(), code), ("", 0), "its own process has more");
    let sandbox = machine.sandbox("open").await;
    let id = machine.start(&sandbox, "sleep 600", Default::default()).await;
    let command = ["sh", "-c", OPEN_FILES].map(str::to_owned);
    let beside = machine.node.exec_sync(&id, &command).await.unwrap();
    assert_eq!((&beside.output[..], beside.code), (&b""[..], 0), "a command beside it has more");
    machine.node.remove_sandbox(&sandbox).await.unwrap();
    drop(left_open);
    machine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_makes_one_root_makes_nobody_root() {
    let Some(machine) = machine().await else { return };
    // 4755 is root's own program for everybody; 77 says that this user has no other number to become.
    let script = "cp $(command -v id) /tmp/id && chmod 4755 /tmp/id && exec perl -MPOSIX -e \
                  'POSIX::setgid(1000) && POSIX::setuid(1000) or exit 77; exec \"/tmp/id\", \"-u\"'";
    let (seen, code, _) = machine.run(script, Default::default()).await;
    assert!(code == 77 || seen == "1000", "{code}: {seen}");
    let plain = Security { user: Some(1000), ..Security::default() };
    let (seen, code, _) = machine.run("cp $(command -v id) /tmp/id; chmod 4755 /tmp/id; /tmp/id -u", with(plain)).await;
    assert_eq!((seen.as_str(), code), ("1000", 0));
    machine.stop().await;
}

/// Tutor's own client is in every course image, so an attacker need not bring one.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_without_a_token_is_nobody_to_the_api() {
    if super::is_refused() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::with(state.path(), &["--runtime", "native"]);
    let client = serve.client().await;
    let secret: Secret = into(json!({"metadata": {"name": "jewel"}, "stringData": {"colour": "ruby"}}));
    Api::<Secret>::default_namespaced(client.clone()).create(&PostParams::default(), &secret).await.unwrap();
    let pods = Api::<Pod>::default_namespaced(client);
    let script = "ls /var/run/secrets && echo a token is there; ln -s /bin/sh /tmp/kubectl
        for what in 'get secrets' 'get secret jewel -o yaml' 'delete pod spy' 'auth whoami'; do
            /tmp/kubectl --server https://10.96.0.1 --certificate-authority /ca/ca.crt $what && echo it may: $what
        done; echo done";
    let container = json!({"name": "c", "image": "tutor/shell:1", "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "ca", "mountPath": "/ca"}]});
    // The authority's certificate is no secret: every namespace has it.
    let spec = json!({"automountServiceAccountToken": false, "restartPolicy": "Never", "containers": [container],
        "volumes": [{"name": "ca", "configMap": {"name": "kube-root-ca.crt"}}]});
    pods.create(&PostParams::default(), &into(json!({"metadata": {"name": "spy"}, "spec": spec}))).await.unwrap();
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let over = |pod: Option<&Pod>| pod.is_some_and(|pod| matches!(&*phase(pod), "Succeeded" | "Failed"));
    let ended = tokio::time::timeout(PATIENCE, await_condition(pods.clone(), "spy", over)).await;
    assert!(ended.is_ok(), "the Pod does not end: {:?}", pods.get("spy").await.map(|pod| pod.status));
    let said = pods.logs("spy", &LogParams::default()).await.unwrap();
    assert!(said.contains("done") && said.contains("system:anonymous"), "it did reach the API: {said}");
    assert!(!said.contains("it may: ") && !said.contains("ruby") && !said.contains("a token is there"), "{said}");
    assert!(serve.interrupt().success());
}
