//! What every runtime must do, checked on any of them.

use std::time::Duration;

use futures::StreamExt;

use super::{ContainerConfig, Dial, LogOptions, Runtime, SandboxConfig};
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
    serves(runtime, &sandbox).await;
    runtime.stop_sandbox(&sandbox).await.unwrap();
    runtime.remove_sandbox(&sandbox).await.unwrap();
}

async fn images(runtime: &dyn Runtime, sandbox: &str) {
    assert_eq!(runtime.image("tutor/shell:1").await, None);
    let image = runtime.pull_image(sandbox, "tutor/shell:1").await.unwrap();
    assert_eq!(runtime.image("tutor/shell:1").await, Some(image.clone()));
    assert!(runtime.images().await.contains(&image));
    assert_eq!(runtime.pull_image(sandbox, "tutor/web:missing").await.unwrap_err().reason, "ErrImagePull");
}

async fn start(runtime: &dyn Runtime, sandbox: &str, name: &str, command: &[&str]) -> String {
    let image = if command.is_empty() { "tutor/web:1" } else { "tutor/shell:1" };
    let config =
        ContainerConfig { name: name.into(), image: image.into(), command: words(command), ..Default::default() };
    runtime.pull_image(sandbox, image).await.unwrap();
    let id = runtime.create_container(sandbox, config).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    id
}

async fn ends(runtime: &dyn Runtime, sandbox: &str) {
    let id = start(runtime, sandbox, "ends", &["sh", "-c", "echo one; sleep 1; echo two; exit 3"]).await;
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let followed: Vec<String> = runtime.logs(&id, follow).await.unwrap().map(|line| line.text).collect().await;
    assert_eq!(followed, ["one", "two"]);
    let exit = runtime.wait(&id).await.unwrap();
    assert_eq!((exit.code, exit.reason), (3, "Error"));
    let tail = LogOptions { tail: Some(1), ..LogOptions::default() };
    let tailed: Vec<String> = runtime.logs(&id, tail).await.unwrap().map(|line| line.text).collect().await;
    assert_eq!(tailed, ["two"]);
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

async fn serves(runtime: &dyn Runtime, sandbox: &str) {
    let id = start(runtime, sandbox, "web", &[]).await;
    let http = Dial::Http { port: 80, path: "/".into(), headers: Vec::new() };
    let answered = runtime.dial(sandbox, http).await.unwrap();
    assert_eq!(answered.status, 200);
    let refused = runtime.dial(sandbox, Dial::Tcp { port: 9 }).await.unwrap_err();
    assert_eq!(refused, "dial tcp 10.244.0.2:9: connect: connection refused");
    assert_eq!(runtime.exec(&id, &words(&["true"])).await.unwrap().code, 0);
    assert_eq!(runtime.exec(&id, &words(&["cat", "/no/such"])).await.unwrap().code, 1);
    assert!(runtime.stats(&id).await.unwrap().memory_bytes > 0);
    assert_eq!(runtime.stop_container(&id, Duration::from_secs(30)).await.unwrap().code, 0);
}
