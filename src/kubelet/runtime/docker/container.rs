//! One container: made, started, watched to its end, stopped.
//!
//! In: its configuration, its Pod. Out: how it ended, as docker tells it. A task per running container waits
//! for its end and writes down what came of it. Chapter: `book/src/inside/runtime.md`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerState, Mount};
use bollard::query_parameters::{KillContainerOptions, WaitContainerOptions};
use futures::StreamExt;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::host::{Host, bind};
use super::pod::Pod;
use super::words::{failed, is_missing, not_started, refused, said};
use super::{create, labels, pod};
use crate::clock::Clock;
use crate::kubelet::runtime::sample::Sample;
use crate::kubelet::runtime::{ContainerConfig, Exit, Result, RuntimeError};

/// How long until docker is asked again when it lost the thread.
const AGAIN: Duration = Duration::from_millis(500);
/// The exit code of a process that SIGKILL ended.
const KILLED: i32 = 137;
/// Source: kubelet `MaxContainerTerminationMessageLength`.
const LONGEST_MESSAGE: usize = 4096;

/// A container.
pub struct Container {
    /// Docker's id.
    pub id: String,
    /// What it was made from.
    pub config: ContainerConfig,
    /// Where it runs.
    pub pod: Arc<Pod>,
    /// What it used when it was last asked.
    pub sample: Mutex<Option<Sample>>,
    stop_signal: String,
    folder: PathBuf,
    life: watch::Sender<Life>,
    /// We have sent SIGKILL.
    killed: AtomicBool,
}

/// How far it has come.
#[derive(Clone)]
enum Life {
    Made,
    Running,
    Ended(Exit),
}

impl Container {
    /// Makes it; nothing runs yet.
    pub async fn make(host: &Host, pod: Arc<Pod>, config: ContainerConfig) -> Result<Container> {
        let reason = "CreateContainerError";
        let missing = || RuntimeError::new(reason, format!("image \"{}\": not found", config.image));
        let image = host.images.get(&config.image).await.ok_or_else(missing)?;
        let folder = pod.folder.join("containers").join(uuid::Uuid::new_v4().simple().to_string());
        fs::create_dir_all(&folder).map_err(refused(reason))?;
        let mut marks = labels::of_pod(&host.cluster, &pod.node, "container", &pod.config);
        marks.insert(labels::CONTAINER.to_owned(), config.name.clone());
        marks.insert(labels::ATTEMPT.to_owned(), config.attempt.to_string());
        let own = message_file(&folder, &config).map_err(refused(reason))?;
        let own = own.into_iter().chain(pod.names()).collect();
        let body = create::container(&config, &image, &pod, own, marks);
        let body = body.map_err(|why| RuntimeError::new(reason, why))?;
        let words = [pod.config.namespace.as_str(), &pod.config.name, &config.name];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let wanted = pod::name(&host.cluster, &words);
        let made = host.connected.docker.create_container(Some(wanted), body).await.map_err(failed(reason))?;
        let stop_signal = [&config.stop_signal, &image.stop_signal].into_iter().find(|name| !name.is_empty()).cloned();
        Ok(Container {
            id: made.id,
            config,
            pod,
            sample: Mutex::default(),
            stop_signal: stop_signal.unwrap_or_else(|| "SIGTERM".to_owned()),
            folder,
            life: watch::Sender::new(Life::Made),
            killed: AtomicBool::new(false),
        })
    }

    /// Starts its process, and what watches over it: the future, which has to be run.
    pub async fn start(
        self: &Arc<Self>,
        docker: &Docker,
        clock: Clock,
    ) -> Result<(Timestamp, impl Future<Output = ()> + Send + use<>)> {
        docker.start_container(&self.id, None).await.map_err(|error| not_started(&said(&error)))?;
        self.life.send_replace(Life::Running);
        Ok((clock.now(), self.clone().watch(docker.clone(), clock)))
    }

    /// Waits for the end and writes down how it came.
    async fn watch(self: Arc<Self>, docker: Docker, clock: Clock) {
        let ended = loop {
            let options = WaitContainerOptions { condition: "not-running".to_owned() };
            // Whatever comes of the wait, docker is asked how it is.
            let _ = docker.wait_container(&self.id, Some(options)).next().await;
            match docker.inspect_container(&self.id, None).await {
                Ok(found) => {
                    let state = found.state.unwrap_or_default();
                    if state.running != Some(true) {
                        break state;
                    }
                }
                Err(error) if is_missing(&error) => break ContainerState::default(),
                Err(_) => {}
            }
            clock.sleep(AGAIN).await;
        };
        self.life.send_replace(Life::Ended(self.exit_of(&ended, clock)));
    }

    /// Whether the kernel killed it for its memory. Docker may never hear of that: containerd looks for the notice in
    /// the container's control group, and the group may be gone by then (control groups of version 1). But its first
    /// process can be killed from outside only, and if it was not we, its limit was the reason.
    fn is_killed_for_memory(&self, state: &ContainerState) -> bool {
        let limited = self.config.resources.memory_limit_bytes.is_some();
        let killed = state.exit_code == Some(KILLED.into()) && !self.killed.load(Ordering::Relaxed);
        state.oom_killed == Some(true) || (killed && limited)
    }

    /// How it ended; one whose end docker does not know was killed together with its record.
    fn exit_of(&self, state: &ContainerState, clock: Clock) -> Exit {
        let code = state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(KILLED);
        let reason = match code {
            0 => "Completed",
            _ if self.is_killed_for_memory(state) => "OOMKilled",
            _ => "Error",
        };
        let at = state.finished_at.as_ref().and_then(|text| text.to_string().parse().ok());
        Exit { code, reason, at: at.unwrap_or_else(|| clock.now()), message: self.last_message() }
    }

    fn last_message(&self) -> String {
        let bytes = fs::read(self.folder.join(MESSAGE)).unwrap_or_default();
        String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_MESSAGE)]).into_owned()
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        matches!(*self.life.borrow(), Life::Running)
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        match &*self.life.borrow() {
            Life::Ended(exit) => Some(exit.clone()),
            Life::Made | Life::Running => None,
        }
    }

    /// Waits for its end; `None` when it was removed before.
    pub async fn wait(&self) -> Option<Exit> {
        let mut life = self.life.subscribe();
        let ended = life.wait_for(|life| matches!(life, Life::Ended(_))).await.ok()?;
        match &*ended {
            Life::Ended(exit) => Some(exit.clone()),
            Life::Made | Life::Running => None,
        }
    }

    /// What a client is told that comes too early or too late.
    pub fn not_running(&self) -> RuntimeError {
        RuntimeError::new("ContainerNotRunning", format!("container \"{}\" is not running", self.config.name))
    }

    /// Asks it to end, and kills it when the time is up.
    pub async fn stop(&self, docker: &Docker, grace: Duration, clock: Clock) -> Result<Exit> {
        if let Some(exit) = self.exit() {
            return Ok(exit);
        }
        if !self.is_running() {
            let message = format!("container \"{}\" was never started", self.config.name);
            return Err(RuntimeError::new("ContainerNotRunning", message));
        }
        let lost = || RuntimeError::new("ContainerNotFound", "the container was removed while it was stopped");
        if !grace.is_zero() {
            self.signal(docker, &self.stop_signal).await?;
        }
        if let Ok(exit) = clock.timeout(grace, self.wait()).await {
            return exit.ok_or_else(lost);
        }
        self.kill(docker).await?;
        self.wait().await.ok_or_else(lost)
    }

    /// Kills it at once.
    pub async fn kill(&self, docker: &Docker) -> Result<()> {
        self.killed.store(true, Ordering::Relaxed);
        self.signal(docker, "SIGKILL").await
    }

    async fn signal(&self, docker: &Docker, signal: &str) -> Result<()> {
        let options = KillContainerOptions { signal: signal.to_owned() };
        match docker.kill_container(&self.id, Some(options)).await {
            // It may have ended meanwhile: that is what was wanted.
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) | Ok(()) => Ok(()),
            Err(error) => Err(failed("StopContainerError")(error)),
        }
    }

    /// Removes it and its files.
    pub async fn remove(&self, host: &Host) -> Result<()> {
        labels::remove_container(&host.connected.docker, &self.id).await.map_err(failed("RemoveContainerError"))?;
        host.remove_folder(self.folder.clone()).await;
        Ok(())
    }
}

/// Where a container's last words are in its folder.
const MESSAGE: &str = "termination-log";

/// The file of its last words, which it may write whoever it is; none when it says so.
fn message_file(folder: &std::path::Path, config: &ContainerConfig) -> std::io::Result<Option<Mount>> {
    let path = &config.termination_message_path;
    if path.is_empty() {
        return Ok(None);
    }
    let file = folder.join(MESSAGE);
    fs::write(&file, "")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666))?;
    Ok(Some(bind(&file, path)))
}
