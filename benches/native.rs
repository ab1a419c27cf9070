//! Measures real containers: from "make it" to "its program runs", and a command's round trip in one.
//!
//! `cargo bench --bench native`, on Linux, as any user who may make user namespaces. Prints a table for
//! `benches/README.md`. The start of a bare process is measured in the same run to compare with.

#[cfg(target_os = "linux")]
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use tutor::{
    clock::Clock,
    kubelet::runtime::native::{Host, borrowed::Borrowed, host::Options, host::Place},
    kubelet::runtime::{ContainerConfig, Runtime, SandboxConfig},
    tasks::TaskGroup,
};

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("native containers need Linux");
}

#[cfg(target_os = "linux")]
fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

#[cfg(target_os = "linux")]
async fn measure() {
    const ROUNDS: u32 = 100;
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_tutor").into();
    let options = Options { program, ..Options::new(folder.path().join("native"), Clock::real()) };
    let begun = Instant::now();
    let host = Arc::new(Host::start(options, &TaskGroup::new()).await.unwrap());
    println!("{:<44} {:>8.1} ms", "machine process ready", milliseconds(begun.elapsed()));
    let images = Arc::new(Borrowed::new(&folder.path().join("images")).unwrap());
    let place = Place { node: "node-0", pod_cidr: "10.244.0.0/16", address: "172.18.0.2" };
    let node = host.node(&place, images).unwrap();
    let (mut sandboxes, mut starts, mut execs, mut ends, mut bare) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let begun = Instant::now();
        std::process::Command::new("true").status().unwrap();
        bare.push(begun.elapsed());
        let ip = format!("10.244.{}.{}", round / 200, 2 + round % 200);
        let begun = Instant::now();
        let config = SandboxConfig { name: "p".into(), hostname: "p".into(), ip, ..SandboxConfig::default() };
        let sandbox = node.run_sandbox(config).await.unwrap();
        sandboxes.push(begun.elapsed());
        node.pull_image(&sandbox, "tutor/shell:1", None).await.unwrap();
        let begun = Instant::now();
        let id = start(&*node, &sandbox).await;
        starts.push(begun.elapsed());
        let begun = Instant::now();
        assert_eq!(node.exec_sync(&id, &["true".into()]).await.unwrap().code, 0);
        execs.push(begun.elapsed());
        let begun = Instant::now();
        node.remove_sandbox(&sandbox).await.unwrap();
        ends.push(begun.elapsed());
    }
    for (what, times) in [
        ("a process that ends at once, bare", bare),
        ("sandbox: namespaces, network, pause", sandboxes),
        ("container: create to program running", starts),
        ("exec_sync of true", execs),
        ("kill and remove all of it", ends),
    ] {
        print(what, times);
    }
    host.stop().await;
}

#[cfg(target_os = "linux")]
async fn start(node: &dyn Runtime, sandbox: &str) -> String {
    let command = ["sleep", "600"].map(str::to_owned).into();
    let config =
        ContainerConfig { name: "c".into(), image: "tutor/shell:1".into(), command, ..ContainerConfig::default() };
    let id = node.create_container(sandbox, config).await.unwrap();
    node.start_container(&id).await.unwrap();
    id
}

#[cfg(target_os = "linux")]
fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| milliseconds(times[(times.len() * part / 100).min(times.len() - 1)]);
    println!("{what:<44} {:>8.1} ms p50 {:>8.1} ms p99", at(50), at(99));
}

#[cfg(target_os = "linux")]
fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
