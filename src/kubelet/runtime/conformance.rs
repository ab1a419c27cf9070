//! What every runtime must do, checked on any of them.

use std::time::Duration;

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::session::{Exec, Output, Session, Streams};
use super::{
    ContainerConfig, Dial, LogOptions, Mount, Runtime, SandboxConfig, Stream, Volume, VolumeFile, VolumeSource,
};
use crate::clock::Clock;

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// Runs a Pod's worth of operations and checks each outcome.
pub async fn check(runtime: &dyn Runtime, clock: Clock) {
    let config = SandboxConfig {
        namespace: "default".into(),
        name: "web-1".into(),
        uid: "u1".into(),
        hostname: "web-1".into(),
        ip: "10.244.0.2".into(),
        ..SandboxConfig::default()
    };
    let sandbox = runtime.run_sandbox(config).await.unwrap();
    images(runtime, &sandbox).await;
    ends(runtime, &sandbox).await;
    stops(runtime, &sandbox, clock).await;
    serves(runtime, &sandbox, clock).await;
    volumes(runtime, &sandbox).await;
    executes(runtime, &sandbox).await;
    attaches(runtime, &sandbox).await;
    runtime.stop_sandbox(&sandbox).await.unwrap();
    runtime.remove_sandbox(&sandbox).await.unwrap();
}

async fn images(runtime: &dyn Runtime, sandbox: &str) {
    assert_eq!(runtime.image("tutor/shell:1").await, None);
    let image = runtime.pull_image(sandbox, "tutor/shell:1", None).await.unwrap();
    assert_eq!(runtime.image("tutor/shell:1").await, Some(image.clone()));
    assert!(runtime.images().await.contains(&image));
    assert_eq!(runtime.pull_image(sandbox, "tutor/web:missing", None).await.unwrap_err().reason, "ErrImagePull");
}

async fn start(runtime: &dyn Runtime, sandbox: &str, name: &str, command: &[&str]) -> String {
    let image = if command.is_empty() { "tutor/web:1" } else { "tutor/shell:1" };
    let config =
        ContainerConfig { name: name.into(), image: image.into(), command: words(command), ..Default::default() };
    runtime.pull_image(sandbox, image, None).await.unwrap();
    let id = runtime.create_container(sandbox, config).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    id
}

async fn ends(runtime: &dyn Runtime, sandbox: &str) {
    let id = start(runtime, sandbox, "ends", &["sh", "-c", "echo one; sleep 1; echo two; exit 3"]).await;
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let followed: Vec<String> =
        runtime.logs(&id, follow).await.unwrap().map(|line| line.text().into_owned()).collect().await;
    assert_eq!(followed, ["one", "two"]);
    let exit = runtime.wait(&id).await.unwrap();
    assert_eq!((exit.code, exit.reason), (3, "Error"));
    let tail = LogOptions { tail: Some(1), ..LogOptions::default() };
    let tailed: Vec<String> =
        runtime.logs(&id, tail).await.unwrap().map(|line| line.text().into_owned()).collect().await;
    assert_eq!(tailed, ["two"]);
    runtime.remove_container(&id).await.unwrap();
    assert!(runtime.wait(&id).await.is_err());
    let config = ContainerConfig { command: words(&["/no/such"]), image: "tutor/shell:1".into(), ..Default::default() };
    let failed = match runtime.create_container(sandbox, config).await {
        Ok(id) => runtime.start_container(&id).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(failed.reason, "RunContainerError");
    assert!(failed.message.contains("no such file or directory"), "{failed}");
}

async fn stops(runtime: &dyn Runtime, sandbox: &str, clock: Clock) {
    let id = start(runtime, sandbox, "deaf", &["sleep", "3600"]).await;
    let before = clock.tick();
    let exit = runtime.stop_container(&id, Duration::from_secs(2)).await.unwrap();
    assert_eq!(exit.code, 137);
    assert!(clock.since(before) >= Duration::from_secs(2));
    assert_eq!(runtime.wait(&id).await.unwrap(), exit);
}

async fn serves(runtime: &dyn Runtime, sandbox: &str, clock: Clock) {
    let id = start(runtime, sandbox, "web", &[]).await;
    let http = Dial::Http { port: 80, path: "/".into(), headers: Vec::new() };
    // A process that runs does not listen yet.
    let answers = async {
        loop {
            match runtime.dial(sandbox, http.clone()).await {
                Ok(answered) => return answered,
                Err(_) => clock.sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let answered = clock.timeout(Duration::from_secs(120), answers).await.unwrap();
    assert_eq!(answered.status, 200);
    let refused = runtime.dial(sandbox, Dial::Tcp { port: 9 }).await.unwrap_err();
    assert_eq!(refused, "dial tcp 10.244.0.2:9: connect: connection refused");
    assert_eq!(runtime.exec_sync(&id, &words(&["true"])).await.unwrap().code, 0);
    assert_eq!(runtime.exec_sync(&id, &words(&["cat", "/no/such"])).await.unwrap().code, 1);
    assert_eq!(forwarded(runtime, sandbox).await, "HTTP/1.1 200 OK");
    let refused = runtime.port_forward(sandbox, 9).await.err().unwrap();
    assert!(refused.message.ends_with(":9: connect: connection refused"), "{refused}");
    assert!(runtime.stats(&id).await.unwrap().memory_bytes > 0);
    assert_eq!(runtime.stop_container(&id, Duration::from_secs(30)).await.unwrap().code, 0);
}

/// The first line that the web server answers over a forwarded connection.
async fn forwarded(runtime: &dyn Runtime, sandbox: &str) -> String {
    let mut connection = runtime.port_forward(sandbox, 80).await.unwrap();
    connection.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

fn files(pairs: &[(&str, &str)]) -> Volume {
    let file = |text: &str| VolumeFile { content: text.as_bytes().to_vec(), mode: 0o644, owner: None };
    let files = pairs.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect();
    Volume { name: "config".into(), source: VolumeSource::Files(files), fs_group: None }
}

async fn volumes(runtime: &dyn Runtime, sandbox: &str) {
    runtime.set_volume(sandbox, files(&[("color", "red"), ("shape", "round")])).await.unwrap();
    let mount = |path: &str, part: &str| Mount {
        volume: "config".into(),
        container_path: path.into(),
        sub_path: part.into(),
        read_only: true,
        ..Mount::default()
    };
    let config = ContainerConfig {
        name: "reads".into(),
        image: "tutor/shell:1".into(),
        command: words(&["sleep", "3600"]),
        mounts: vec![mount("/etc/config", ""), mount("/etc/one", "color")],
        ..ContainerConfig::default()
    };
    let id = runtime.create_container(sandbox, config).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    let read = async |path: &str| {
        let done = runtime.exec_sync(&id, &words(&["cat", path])).await.unwrap();
        (done.code == 0).then(|| String::from_utf8_lossy(&done.output).trim_end().to_owned())
    };
    assert_eq!(read("/etc/config/color").await.as_deref(), Some("red"));
    assert_eq!(read("/etc/one").await.as_deref(), Some("red"));
    runtime.set_volume(sandbox, files(&[("color", "blue")])).await.unwrap();
    assert_eq!(read("/etc/config/color").await.as_deref(), Some("blue"));
    assert_eq!(read("/etc/config/shape").await, None);
    assert_eq!(read("/etc/one").await.as_deref(), Some("red"));
    runtime.stop_container(&id, Duration::ZERO).await.unwrap();
}

/// What a session prints on both streams, and its exit code.
async fn finish(mut session: Session) -> (String, String, super::Result<i32>) {
    async fn all(output: Option<Output>) -> String {
        let mut bytes = Vec::new();
        if let Some(mut output) = output {
            output.read_to_end(&mut bytes).await.unwrap();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
    let (stdout, stderr) = (all(session.stdout.take()), all(session.stderr.take()));
    drop(session.stdin.take());
    futures::join!(stdout, stderr, session.exit)
}

async fn executes(runtime: &dyn Runtime, sandbox: &str) {
    let id = start(runtime, sandbox, "shell", &["sleep", "3600"]).await;
    let all = Streams { stdin: true, stdout: true, stderr: true, tty: false };
    let run = async |command: &[&str], streams: Streams| {
        runtime.exec(&id, Exec { command: words(command), streams }).await.unwrap()
    };
    let script = "echo out; cat /no/such; exit 7";
    let (stdout, stderr, code) = finish(run(&["sh", "-c", script], Streams { stdin: false, ..all }).await).await;
    assert_eq!((stdout.as_str(), code), ("out\n", Ok(7)));
    assert!(stderr.contains("/no/such"), "{stderr}");

    let mut session = run(&["cat"], all).await;
    session.stdin.as_mut().unwrap().write_all(b"over\nand out\n").await.unwrap();
    let (stdout, _, code) = finish(session).await;
    assert_eq!((stdout.as_str(), code), ("over\nand out\n", Ok(0)));

    let mut session = run(&["sh"], Streams { tty: true, stderr: false, ..all }).await;
    assert!(session.stderr.is_none() && session.resize.is_some());
    session.stdin.as_mut().unwrap().write_all(b"x=ped; echo ty$x\rexit 4\r").await.unwrap();
    let (stdout, _, code) = finish(session).await;
    assert_eq!(code, Ok(4));
    assert!(stdout.contains("typed\r\n"), "{stdout:?}");

    let (_, _, code) = finish(run(&["no-such-program"], all).await).await;
    let why = code.unwrap_err().message;
    assert!(why.contains("\"no-such-program\": executable file not found in $PATH"), "{why}");
    runtime.stop_container(&id, Duration::ZERO).await.unwrap();
    let dead = runtime.exec(&id, Exec { command: words(&["true"]), streams: all }).await;
    assert!(dead.is_err());
}

async fn attaches(runtime: &dyn Runtime, sandbox: &str) {
    let config = ContainerConfig {
        name: "asks".into(),
        image: "tutor/shell:1".into(),
        command: words(&["sh"]),
        stdin: true,
        stdin_once: true,
        ..ContainerConfig::default()
    };
    let id = runtime.create_container(sandbox, config).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    let streams = Streams { stdin: true, stdout: true, stderr: true, tty: false };
    let mut session = runtime.attach(&id, streams).await.unwrap();
    session.stdin.as_mut().unwrap().write_all(b"echo attached; nonsense\nexit 5\n").await.unwrap();
    let (stdout, _, code) = finish(session).await;
    assert_eq!((stdout.as_str(), code), ("attached\n", Ok(5)));
    assert_eq!(runtime.wait(&id).await.unwrap().code, 5);
    let logged: Vec<_> = runtime.logs(&id, LogOptions::default()).await.unwrap().collect().await;
    // Two streams: which of two lines comes first is nobody's promise.
    let of = |stream| logged.iter().filter(|line| line.stream == stream).map(|line| line.text()).collect::<Vec<_>>();
    assert_eq!(of(Stream::Stdout), ["attached"]);
    assert!(of(Stream::Stderr).iter().any(|line| line.contains("nonsense")), "{logged:?}");
}
