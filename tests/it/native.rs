//! Real containers: the runtime's conformance, what an attacker finds, and that nothing is left behind.
//!
//! They run as whoever runs the tests: `.ci/run` does it as root and once more as an ordinary user.
//! Where the kernel refuses user namespaces they say `skipped`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt;
use tutor::clock::Clock;
use tutor::kubelet::runtime::config::{Resources, Security};
use tutor::kubelet::runtime::native::borrowed::Borrowed;
use tutor::kubelet::runtime::native::host::{Options, Place};
use tutor::kubelet::runtime::native::{Host, doctor};
use tutor::kubelet::runtime::{ContainerConfig, LogOptions, Runtime, SandboxConfig, conformance};
use tutor::tasks::TaskGroup;

mod attack;
mod images;
mod killed;
mod life;
mod many_services;
mod partition;

/// tutor, which the runtime starts again; elsewhere than cargo put it when another user runs this.
pub fn program() -> PathBuf {
    std::env::var_os("TUTOR_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_tutor").into(), PathBuf::from)
}

/// One node with real containers.
struct Machine {
    host: Arc<Host>,
    node: Arc<dyn Runtime>,
    folder: tempfile::TempDir,
    clock: Clock,
    next: AtomicU32,
}

/// Whether user namespaces are refused here; says so.
pub fn is_refused() -> bool {
    let obstacles = doctor::obstacles();
    let refused = obstacles.first().filter(|_| !rustix::process::geteuid().is_root());
    if let Some((what, command)) = refused {
        println!("skipped: needs user namespaces: {what}; {command}");
    }
    refused.is_some()
}

/// `None` where user namespaces are refused.
async fn machine() -> Option<Machine> {
    if is_refused() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::real();
    let options = Options { program: program(), ..Options::new(folder.path().join("native"), clock) };
    let host = Arc::new(Host::start(options, &TaskGroup::new()).await.unwrap());
    let images = Arc::new(Borrowed::new(&folder.path().join("images")).unwrap());
    let place = Place { node: "node-0", pod_cidr: "10.244.0.0/24", address: "172.18.0.2" };
    let node = host.node(&place, images).unwrap();
    Some(Machine { host, node, folder, clock, next: AtomicU32::default() })
}

impl Machine {
    async fn sandbox(&self, name: &str) -> String {
        let number = 2 + self.next.fetch_add(1, Ordering::SeqCst) % 250;
        let config = SandboxConfig {
            namespace: "default".into(),
            name: name.into(),
            hostname: name.into(),
            ip: format!("10.244.0.{number}"),
            ..SandboxConfig::default()
        };
        self.node.run_sandbox(config).await.unwrap()
    }

    async fn start(&self, sandbox: &str, script: &str, config: ContainerConfig) -> String {
        let words = ["sh", "-c", script].map(str::to_owned).into();
        let config = ContainerConfig { name: "c".into(), image: "tutor/shell:1".into(), command: words, ..config };
        self.node.pull_image(sandbox, "tutor/shell:1", None).await.unwrap();
        let id = self.node.create_container(sandbox, config).await.unwrap();
        self.node.start_container(&id).await.unwrap();
        id
    }

    /// Runs a script in a Pod of its own: what it printed, its exit code, and the reason of its end.
    async fn run(&self, script: &str, config: ContainerConfig) -> (String, i32, &'static str) {
        let sandbox = self.sandbox("runs").await;
        let id = self.start(&sandbox, script, config).await;
        let exit = self.node.wait(&id).await.unwrap();
        let lines: Vec<_> = self.node.logs(&id, LogOptions::default()).await.unwrap().collect().await;
        self.node.remove_sandbox(&sandbox).await.unwrap();
        let text: Vec<_> = lines.iter().map(|line| line.text().into_owned()).collect();
        (text.join("\n"), exit.code, exit.reason)
    }

    /// Whether the kernel counts a container's processes.
    fn counts_processes(&self) -> bool {
        self.host.limits_said().split(['(', ';']).next().is_some_and(|kernel| kernel.contains("processes"))
    }

    async fn stop(self) {
        self.host.stop().await;
        let native = self.folder.path().join("native");
        let left: Vec<_> = fs::read_dir(native).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// What this machine has now that a container could leave behind.
#[derive(Debug, PartialEq, Eq)]
struct Had {
    mounts: [usize; 2],
    cards: [usize; 2],
    /// Open files of the machine's own processes.
    open: usize,
    /// Sockets in the machine's network.
    ports: usize,
    processes: Vec<String>,
    groups: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Had {
    /// Of processes and groups only those of this test's machine.
    fn now(machine: &Machine) -> Had {
        let lines = |path: &str| fs::read_to_string(path).unwrap_or_default().lines().count();
        // In this process's own namespaces other tests mount and unmount, too.
        let folder = machine.folder.path().display().to_string();
        let own = |path: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            text.lines().filter(|line| line.contains(&folder)).count()
        };
        let outer = machine.host.process();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
        let inner: u32 = children.trim().parse().unwrap();
        let open = |pid: u32| fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let mut files = Vec::new();
        collect(&machine.folder.path().join("native/pods"), &mut files);
        Had {
            mounts: [own("/proc/self/mountinfo"), lines(&format!("/proc/{inner}/mountinfo"))],
            cards: ["self", &inner.to_string()].map(|who| lines(&format!("/proc/{who}/net/dev"))),
            open: open(outer) + open(inner),
            ports: ["tcp", "udp"].map(|kind| lines(&format!("/proc/{inner}/net/{kind}"))).iter().sum(),
            processes: descendants(outer),
            groups: groups(&machine.host),
            files,
        }
    }

    /// Waits until there is what there was: the kernel puts away what has ended a moment later.
    async fn again(&self, machine: &Machine, when: &str) {
        let begun = machine.clock.tick();
        while Had::now(machine) != *self {
            if machine.clock.since(begun) > Duration::from_secs(60) {
                assert_eq!(Had::now(machine), *self, "{when}");
            }
            machine.clock.sleep(Duration::from_millis(50)).await;
        }
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        found.push(entry.path());
        collect(&entry.path(), found);
    }
}

fn groups(host: &Host) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for top in host.group_folders() {
        let below = fs::read_dir(top).into_iter().flatten().flatten();
        found.extend(below.filter(|entry| entry.path().is_dir()).map(|entry| entry.path()));
    }
    found
}

/// Pauses and containers below a process. The machine's own processes stay as long as it does.
fn descendants(process: u32) -> Vec<String> {
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|number| number.parse().ok()) {
            let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            let name = String::from_utf8_lossy(&line).split('\0').next().unwrap_or_default().to_owned();
            found.extend(Some(name).filter(|name| name.starts_with("tutor-pause") || name == "sleep"));
            found.extend(descendants(child));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_native_runtime_conforms() {
    let Some(machine) = machine().await else { return };
    conformance::check(&*machine.node, machine.clock).await;
    machine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_its_own_world() {
    let Some(machine) = machine().await else { return };
    let (seen, code, _) =
        machine.run("echo $$; hostname; id -u; ls /proc | grep -c '^[0-9]'", Default::default()).await;
    assert_eq!(code, 0, "{seen}");
    let seen: Vec<&str> = seen.lines().collect();
    assert_eq!(seen[..3], ["1", "runs", "0"]);
    assert!(seen[3].parse::<u32>().unwrap() <= 4, "it sees other processes: {seen:?}");
    let security = Security { user: Some(1000), ..Security::default() };
    let (seen, ..) = machine.run("id -u; echo mine > /tmp/x && stat -c %u /tmp/x", with(security)).await;
    assert_eq!(seen, "1000\n1000");
    machine.stop().await;
}

fn with(security: Security) -> ContainerConfig {
    ContainerConfig { security, ..ContainerConfig::default() }
}

/// Each line is one attempt; it prints what it must not, or nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_attacker_gets_nowhere() {
    let Some(machine) = machine().await else { return };
    let secret = machine.folder.path().join("secret");
    fs::write(&secret, "the host's secret").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!(
        "perl -MIO::Socket::INET -e 'exit(IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => {port}) ? 0 : 1)'"
    );
    let read_secret = format!("cat {}", secret.display());
    let through_root = format!("cat /proc/1/root{}", secret.display());
    for (what, attempt) in [
        ("changes the kernel's settings", "echo 1 > /proc/sys/kernel/panic"),
        ("asks the kernel to do something", "echo b > /proc/sysrq-trigger"),
        ("renames the Pod", "hostname other"),
        ("makes a device", "mknod /tmp/disk b 8 0"),
        ("mounts", "mount -t tmpfs none /mnt"),
        ("unmounts what hides", "umount /proc/sys"),
        ("makes a namespace to be root in", "unshare --user --map-root-user true"),
        ("reads the host's files", &read_secret),
        ("reads them through a process", &through_root),
        ("reads the kernel's memory", "head -c 1 /proc/kcore | grep -c ."),
        ("loads a module", "echo > /tmp/m.ko && insmod /tmp/m.ko"),
        ("sets the clock", "date -s 2000-01-01"),
        ("writes to the machine's programs", "touch /usr/bin/x"),
        ("enters another's namespaces", "nsenter --target 1 --mount true"),
        ("reaches the host's loopback", &connect),
    ] {
        let (printed, code, _) = machine.run(attempt, ContainerConfig::default()).await;
        assert_ne!(code, 0, "it {what}: {attempt}\n{printed}");
    }
    let kept =
        "grep CapBnd /proc/self/status | grep -q '00000000a80425fb$' && grep -q 'NoNewPrivs:.1' /proc/self/status";
    assert_eq!(machine.run(kept, ContainerConfig::default()).await.1, 0, "capabilities are not as they should be");
    let none =
        Security { capabilities_drop: vec!["ALL".into()], read_only_root_filesystem: true, ..Security::default() };
    let (printed, code, _) =
        machine.run("touch /x; grep -q 'CapEff:.0000000000000000' /proc/self/status", with(none)).await;
    assert!(code == 0 && printed.contains("Read-only file system"), "{printed}");
    machine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold() {
    let Some(machine) = machine().await else { return };
    let limited = |resources| ContainerConfig { resources, ..ContainerConfig::default() };
    let memory = Resources { memory_limit_bytes: Some(32 << 20), ..Resources::default() };
    let eats = "exec perl -e '$x = \"a\" x 200_000_000; sleep 60'";
    let (_, code, reason) = machine.run(eats, limited(memory)).await;
    assert_eq!((code, reason), (137, "OOMKilled"), "{}", machine.host.limits_said());
    if !machine.counts_processes() && rustix::process::geteuid().is_root() {
        println!("skipped: needs the control group pids: {}", machine.host.limits_said());
        return machine.stop().await;
    }
    let few = Resources { pids_limit: Some(64), ..Resources::default() };
    let bomb = "i=0; while [ $i -lt 500 ]; do sleep 60 & i=$((i+1)); done; echo no limit";
    let (printed, ..) = machine.run(bomb, limited(few)).await;
    assert!(!printed.contains("no limit"), "{printed}");
    machine.stop().await;
}

/// By the kernel where it gives tutor a control group, else by tutor, which lets the processes pause.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_use_a_fifth_of_a_core_uses_no_half_of_one() {
    let Some(machine) = machine().await else { return };
    let busy = "perl -MTime::HiRes=time -e '$b = time; 1 while time - $b < 4; @t = times; \
                printf \"%.0f\", 100 * ($t[0] + $t[1]) / (time - $b)'";
    let resources = Resources { cpu_limit_millis: Some(200), ..Resources::default() };
    let (percent, code, _) = machine.run(busy, ContainerConfig { resources, ..ContainerConfig::default() }).await;
    let used: u32 = percent.parse().unwrap();
    assert!(code == 0 && (1..50).contains(&used), "{used} percent of a core: {}", machine.host.limits_said());
    machine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_two_nodes_reach_each_other_by_address() {
    let Some(machine) = machine().await else { return };
    let images = Arc::new(Borrowed::new(&machine.folder.path().join("images")).unwrap());
    let place = Place { node: "node-1", pod_cidr: "10.244.1.0/24", address: "172.18.0.3" };
    let other = machine.host.node(&place, images).unwrap();
    let config = SandboxConfig { ip: "10.244.1.2".into(), hostname: "web".into(), ..SandboxConfig::default() };
    let far = other.run_sandbox(config).await.unwrap();
    other.pull_image(&far, "tutor/web:1", None).await.unwrap();
    let web = ContainerConfig { name: "web".into(), image: "tutor/web:1".into(), ..ContainerConfig::default() };
    let web = other.create_container(&far, web).await.unwrap();
    other.start_container(&web).await.unwrap();
    let asks = "perl -MIO::Socket::INET -e 'for (1..600) { \
                my $c = IO::Socket::INET->new(PeerAddr => \"10.244.1.2\", PeerPort => 80); \
                if ($c) { print $c \"GET / HTTP/1.0\\r\\n\\r\\n\"; print <$c>; exit 0 } select undef, undef, undef, 0.1 } exit 1'";
    let (answer, code, _) = machine.run(asks, ContainerConfig::default()).await;
    assert!(code == 0 && answer.contains("web version 1 on web"), "{answer}");
    other.remove_sandbox(&far).await.unwrap();
    machine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pods_leave_nothing() {
    let Some(machine) = machine().await else { return };
    let begin = async || {
        let sandbox = machine.sandbox("short").await;
        machine.start(&sandbox, "sleep 600 & touch /tmp/x; chmod 0 /tmp; wait", ContainerConfig::default()).await;
        sandbox
    };
    // The first Pod makes the node's bridge.
    machine.node.remove_sandbox(&begin().await).await.unwrap();
    let before = Had::now(&machine);
    assert_eq!(before.files, Vec::<PathBuf>::new());
    for _ in 0..200 {
        machine.node.remove_sandbox(&begin().await).await.unwrap();
    }
    before.again(&machine, "after 200 in a row").await;
    let all = futures::future::join_all((0..50).map(|_| begin())).await;
    for sandbox in &all {
        machine.node.remove_sandbox(sandbox).await.unwrap();
    }
    before.again(&machine, "after 50 at once").await;
    machine.stop().await;
}

/// The machine process is the lifeline: without it no container is left; what is on disk the next start removes.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_killed_takes_all_with_it_and_the_next_cleans_up() {
    let Some(machine) = machine().await else { return };
    let sandbox = machine.sandbox("orphan").await;
    let id = machine.start(&sandbox, "sleep 600", ContainerConfig::default()).await;
    let process = rustix::process::Pid::from_raw(machine.host.process() as i32).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    assert_eq!(machine.node.wait(&id).await.unwrap().code, 137);
    let native = machine.folder.path().join("native");
    assert!(native.join("ledger.json").exists() && fs::read_dir(native.join("pods")).unwrap().count() == 1);
    let groups = machine.host.group_folders();
    let options = Options { program: program(), ..Options::new(native.clone(), machine.clock) };
    let next = Host::start(options, &TaskGroup::new()).await;
    assert_eq!(fs::read_dir(native.join("pods")).unwrap().count(), 0);
    assert!(groups.iter().all(|group| !group.exists()), "{groups:?}");
    next.unwrap().stop().await;
}
