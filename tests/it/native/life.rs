//! What the kernel keeps of a container's processes: their limits, their terminal, and who collects them when they end.

use std::fs;
use std::time::Duration;

use futures::SinkExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, PostParams, TerminalSize as ApiSize};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tutor::kubelet::runtime::config::{Namespaces, Processes, Resources};
use tutor::kubelet::runtime::session::TerminalSize;
use tutor::kubelet::runtime::{ContainerConfig, Exec, SandboxConfig, Session, Streams};

use super::{Machine, images, machine};
use crate::harness::into;
use crate::process::Serve;

/// Source: containerd's default.
const MOST_OPEN_FILES: u64 = 1_048_576;
/// Above what this user runs beside the test, below what it may.
const MOST_PROCESSES: i64 = 3000;
const LIMITS: [&str; 2] = ["cat", "/proc/self/limits"];
const TERMINAL: Streams = Streams { stdin: true, stdout: true, stderr: false, tty: true };

/// Prints the size of its terminal: at first, when the terminal tells it of another, and with each word that is typed.
/// What perl's `%SIG` calls waits for perl's next step, so a signal that comes while it answers one can lie until the next
/// key; what sigaction(2) calls does not.
const SIZES: &str = r#"$| = 1;
sub size { my $size = "\0" x 8; ioctl(STDIN, 0x5413, $size) or die "no terminal: $!"; join "x", (unpack "S2", $size)[1, 0] }
use POSIX; sigaction(SIGWINCH, POSIX::SigAction->new(sub { print "now ", size(), ".\n" }));
print "begun ", size(), ".\n";
while (my $word = <STDIN>) { exit 3 if $word =~ /^end/; print "asked ", size(), ".\n" }"#;

/// A line of `/proc/PID/limits`: soft and hard.
fn limit(limits: &str, name: &str) -> (String, String) {
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {limits}"));
    let mut words = line.split_whitespace().map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

/// Everything but what a container is given anew.
fn others(limits: &str) -> Vec<&str> {
    let given = ["Max open files", "Max processes"];
    limits.lines().filter(|line| !given.iter().any(|name| line.starts_with(name))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_has_the_limits_that_it_is_given_and_so_has_a_command_beside_it() {
    let Some(machine) = machine().await else { return };
    let ours = fs::read_to_string("/proc/self/limits").unwrap();
    let most: u64 = limit(&ours, "Max open files").1.parse().unwrap_or(u64::MAX);
    let files = MOST_OPEN_FILES.min(most).to_string();
    let few = Resources { pids_limit: Some(MOST_PROCESSES), ..Resources::default() };
    let config = || ContainerConfig { resources: few, ..ContainerConfig::default() };
    let (first, code, _) = machine.run(&LIMITS.join(" "), config()).await;
    assert_eq!(code, 0, "{first}");
    let sandbox = machine.sandbox("beside").await;
    let id = machine.start(&sandbox, "sleep 600", config()).await;
    let beside = machine.node.exec_sync(&id, &LIMITS.map(str::to_owned)).await.unwrap();
    let beside = String::from_utf8(beside.output.to_vec()).unwrap();
    // Where a control group counts them, that is the limit.
    let (soft, hard) = limit(&ours, "Max processes");
    let capped = hard.parse().unwrap_or(i64::MAX).min(MOST_PROCESSES).to_string();
    let processes = if machine.counts_processes() { (soft, hard) } else { (capped.clone(), capped) };
    for limits in [&first, &beside] {
        assert_eq!(limit(limits, "Max open files"), (files.clone(), files.clone()), "{limits}");
        assert_eq!(limit(limits, "Max processes"), processes, "{}\n{limits}", machine.host.limits_said());
        assert_eq!(others(limits), others(&ours));
    }
    machine.node.remove_sandbox(&sandbox).await.unwrap();
    machine.stop().await;
}

/// A signal that is held back from the start would never come: a shell or a supervisor would not hear that its child ended.
#[tokio::test(flavor = "multi_thread")]
async fn no_signal_is_held_back_from_a_container_or_a_command_beside_it() {
    const STATUS: [&str; 2] = ["cat", "/proc/self/status"];
    let Some(machine) = machine().await else { return };
    let (first, code, _) = machine.run(&STATUS.join(" "), ContainerConfig::default()).await;
    assert_eq!(code, 0, "{first}");
    let sandbox = machine.sandbox("signals").await;
    let id = machine.start(&sandbox, "sleep 600", ContainerConfig::default()).await;
    let beside = machine.node.exec_sync(&id, &STATUS.map(str::to_owned)).await.unwrap();
    for status in [first, String::from_utf8(beside.output.to_vec()).unwrap()] {
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        assert_eq!(blocked.map(str::trim), Some("0000000000000000"), "{status}");
    }
    machine.node.remove_sandbox(&sandbox).await.unwrap();
    machine.stop().await;
}

/// What tutor itself may open, less or more, is nothing to its containers.
#[tokio::test(flavor = "multi_thread")]
async fn a_shell_s_soft_limit_for_tutor_is_none_for_its_containers() {
    if super::is_refused() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::below("ulimit -S -n 512", state.path(), &["--runtime", "native"]);
    let pods = Api::<Pod>::default_namespaced(serve.client().await);
    let container = json!({"name": "c", "image": "tutor/shell:1", "command": LIMITS});
    let spec = json!({"restartPolicy": "Never", "containers": [container]});
    pods.create(&PostParams::default(), &into(json!({"metadata": {"name": "limits"}, "spec": spec}))).await.unwrap();
    let over = |pod: Option<&Pod>| pod.is_some_and(|pod| phase(pod) == "Succeeded" || phase(pod) == "Failed");
    let ended = tokio::time::timeout(images::LIMIT, await_condition(pods.clone(), "limits", over)).await;
    assert!(ended.is_ok(), "{:?}", pods.get("limits").await.map(|pod| pod.status));
    let limits = pods.logs("limits", &Default::default()).await.unwrap();
    let (soft, hard) = limit(&limits, "Max open files");
    assert!(soft == hard && soft.parse::<u64>().unwrap() > 512, "{limits}");
    assert!(serve.interrupt().success());
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Reads until it has come.
async fn until(screen: &mut (impl AsyncRead + Unpin), seen: &mut String, wanted: &str) {
    let mut buffer = [0; 1024];
    while !seen.contains(wanted) {
        let length = screen.read(&mut buffer).await.unwrap();
        assert!(length > 0, "it ended before {wanted:?}: {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    seen.clear();
}

/// Resizes the terminal and types, until the program has ended; its exit code.
async fn resizes(mut session: Session) -> i32 {
    let (mut screen, mut keyboard) = (session.stdout.take().unwrap(), session.stdin.take().unwrap());
    let sizes = session.resize.take().unwrap();
    let talk = async {
        let mut seen = String::new();
        keyboard.write_all(b"what\r").await.unwrap();
        until(&mut screen, &mut seen, "asked 0x0.").await;
        for (width, height) in [(80, 24), (132, 50)] {
            sizes.send(TerminalSize { width, height }).await.unwrap();
            until(&mut screen, &mut seen, &format!("now {width}x{height}.")).await;
        }
        keyboard.write_all(b"what\r").await.unwrap();
        until(&mut screen, &mut seen, "asked 132x50.").await;
        keyboard.write_all(b"end\r").await.unwrap();
        let mut rest = Vec::new();
        screen.read_to_end(&mut rest).await.unwrap();
    };
    let both = async { tokio::join!(session.exit, talk) };
    let (code, ()) = tokio::time::timeout(images::LIMIT, both).await.expect("it stalled");
    code.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_resizes_a_terminal_tells_the_program_on_it() {
    let Some(machine) = machine().await else { return };
    let sandbox = machine.sandbox("terminal").await;
    let tty = ContainerConfig { tty: true, stdin: true, ..ContainerConfig::default() };
    let own = machine.start(&sandbox, &format!("exec perl -e '{SIZES}'"), tty).await;
    let command = ["perl", "-e", SIZES].map(str::to_owned).into();
    let beside = machine.node.exec(&own, Exec { command, streams: TERMINAL }).await.unwrap();
    assert_eq!(resizes(beside).await, 3, "a command beside it");
    assert_eq!(resizes(machine.node.attach(&own, TERMINAL).await.unwrap()).await, 3, "its own program");
    assert_eq!(machine.node.wait(&own).await.unwrap().code, 3);
    machine.node.remove_sandbox(&sandbox).await.unwrap();
    machine.stop().await;
}

/// As `kubectl attach -it` asks, through the API server and the kubelet.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_attached_to_and_resized_through_the_api() {
    if super::is_refused() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::with(state.path(), &["--runtime", "native"]);
    let pods = Api::<Pod>::default_namespaced(serve.client().await);
    // The host's perl: the course's image has no program that asks for a terminal's size.
    let host = ["usr", "lib", "lib64"].map(|name| (name, format!("/{name}")));
    let host: Vec<_> = host.into_iter().filter(|(_, path)| fs::metadata(path).is_ok()).collect();
    let mounts: Vec<_> =
        host.iter().map(|(name, path)| json!({"name": name, "mountPath": path, "readOnly": true})).collect();
    let volumes: Vec<_> = host.iter().map(|(name, path)| json!({"name": name, "hostPath": {"path": path}})).collect();
    let container = json!({"name": "c", "image": "tutor/shell:1", "command": ["/usr/bin/perl", "-e", SIZES],
        "tty": true, "stdin": true, "volumeMounts": mounts});
    let spec = json!({"restartPolicy": "Never", "containers": [container], "volumes": volumes});
    pods.create(&PostParams::default(), &into(json!({"metadata": {"name": "wide"}, "spec": spec}))).await.unwrap();
    let running = await_condition(pods.clone(), "wide", conditions::is_pod_running());
    let running = tokio::time::timeout(images::LIMIT, running).await;
    assert!(running.is_ok(), "{:?}", pods.get("wide").await.map(|pod| pod.status));
    let mut attached = pods.attach("wide", &AttachParams::interactive_tty()).await.unwrap();
    let (mut screen, mut keyboard) = (attached.stdout().unwrap(), attached.stdin().unwrap());
    let mut sizes = attached.terminal_size().unwrap();
    let talk = async {
        let mut seen = String::new();
        // Who is resized before it listens for that hears nothing of it: first it has to answer.
        keyboard.write_all(b"what\r").await.unwrap();
        until(&mut screen, &mut seen, "asked ").await;
        for (width, height) in [(100, 30), (61, 17)] {
            sizes.send(ApiSize { width, height }).await.unwrap();
            until(&mut screen, &mut seen, &format!("now {width}x{height}.")).await;
        }
        keyboard.write_all(b"what\r").await.unwrap();
        until(&mut screen, &mut seen, "asked 61x17.").await;
        keyboard.write_all(b"end\r").await.unwrap();
    };
    tokio::time::timeout(images::LIMIT, talk).await.expect("it stalled");
    let over = |pod: Option<&Pod>| pod.is_some_and(|pod| phase(pod) == "Failed");
    let ended = tokio::time::timeout(images::LIMIT, await_condition(pods.clone(), "wide", over)).await;
    assert!(ended.is_ok(), "{:?}", pods.get("wide").await.map(|pod| pod.status));
    let said = pods.logs("wide", &Default::default()).await.unwrap();
    assert!(said.contains("asked 61x17."), "{said}");
    assert!(serve.interrupt().success());
}

/// Processes below another that have ended and that nobody has collected.
fn uncollected(process: u32) -> usize {
    let mut found = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|number| number.parse().ok()) {
            let about = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            found += usize::from(about.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')));
            found += uncollected(child);
        }
    }
    found
}

/// A program three of whose grandchildren lose their parents, and that collects none of them.
const DEAF: &str = "exec perl -e 'for (1..3) { my $child = fork // die; if (!$child) { fork; exit } waitpid $child, 0 } sleep 600 while 1'";

async fn deaf(machine: &Machine, pid: Processes, last: u8) -> (String, String) {
    let config = SandboxConfig {
        namespace: "default".into(),
        name: "deaf".into(),
        hostname: "deaf".into(),
        ip: format!("10.244.0.{last}"),
        namespaces: Namespaces { pid, ..Namespaces::default() },
        ..SandboxConfig::default()
    };
    let sandbox = machine.node.run_sandbox(config).await.unwrap();
    let id = machine.start(&sandbox, DEAF, ContainerConfig::default()).await;
    (sandbox, id)
}

/// Waits until so many are left uncollected, and of all that was started no process but the container's first still runs.
async fn settles(machine: &Machine, id: &str, wanted: usize) {
    let states = "for status in /proc/[0-9]*/stat; do cat $status; done 2>/dev/null";
    let settled = async {
        loop {
            let seen = machine.node.exec_sync(id, &["sh", "-c", states].map(str::to_owned)).await.unwrap();
            let seen = String::from_utf8_lossy(&seen.output).into_owned();
            let mut alive = seen.lines().filter(|line| !line.contains(") Z"));
            let ended = alive.clone().filter(|line| line.contains("(perl)")).count() == 1;
            if ended && !alive.any(|line| line.contains("(sleep)")) && uncollected(machine.host.process()) == wanted {
                return;
            }
            machine.clock.sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(images::LIMIT, settled).await.is_ok();
    assert!(in_time, "{} are not collected, {wanted} should be", uncollected(machine.host.process()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pause_process_collects_whom_nobody_else_does() {
    let Some(machine) = machine().await else { return };
    let (sandbox, id) = deaf(&machine, Processes::Pod, 240).await;
    settles(&machine, &id, 0).await;
    // A command that leaves somebody behind.
    let leaves = ["sh", "-c", "(sleep 0.1 &); exit 0"].map(str::to_owned);
    assert_eq!(machine.node.exec_sync(&id, &leaves).await.unwrap().code, 0);
    settles(&machine, &id, 0).await;
    machine.node.remove_sandbox(&sandbox).await.unwrap();
    machine.stop().await;
}

/// In a process namespace of its own a container's first process is the one who has to collect, as in every cluster;
/// one that does not keeps them until it ends, and no longer.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_never_collected_goes_with_the_container() {
    let Some(machine) = machine().await else { return };
    let (sandbox, id) = deaf(&machine, Processes::Container, 241).await;
    settles(&machine, &id, 3).await;
    machine.node.stop_container(&id, Duration::ZERO).await.unwrap();
    let gone = async {
        while uncollected(machine.host.process()) > 0 {
            machine.clock.sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(images::LIMIT, gone).await.is_ok(), "they outlived their container");
    machine.node.remove_sandbox(&sandbox).await.unwrap();
    machine.stop().await;
}
