//! What the kubelet knows of one Pod on its node: the sandbox, each container's life, its probes.
//!
//! Changed only by the worker, when an action's outcome is known; read by `sync_pod`. The back-off
//! rule lives here: a container that ended is started again at once the first time, then after 10 s,
//! 20 s, 40 s … at most 5 minutes; ten quiet minutes forget it all. Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use k8s_openapi::api::core::v1::ContainerStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::pod::PodView;
use super::probes::{ProbeKind, Probes};

/// Source: kubelet `initialCrashLoopBackOff`, `imageBackOffPeriod`.
const FIRST_BACKOFF: SignedDuration = SignedDuration::from_secs(10);
/// Source: kubelet `MaxContainerBackOff`, `MaxImageBackOff`.
const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_secs(300);

/// A wait that doubles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff(Option<(SignedDuration, Timestamp)>);

impl Backoff {
    /// The wait after something that ended at `since`; zero when there is none.
    pub fn delay(&self, since: Timestamp) -> SignedDuration {
        match self.0 {
            Some((delay, updated)) if since.duration_since(updated) <= LONGEST_BACKOFF * 2 => delay,
            _ => SignedDuration::ZERO,
        }
    }

    /// Until when to wait after something that ended at `since`.
    pub fn until(&self, since: Timestamp) -> Timestamp {
        since.saturating_add(self.delay(since)).unwrap_or(Timestamp::MAX)
    }

    /// Another try begins now: the next wait is longer.
    pub fn advance(&mut self, since: Timestamp, now: Timestamp) {
        let delay = self.delay(since);
        let next = if delay.is_zero() { FIRST_BACKOFF } else { (delay * 2).min(LONGEST_BACKOFF) };
        self.0 = Some((next, now));
    }
}

/// The network and the namespaces that a Pod's containers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The runtime's id.
    pub id: String,
    /// The Pod's address.
    pub ip: String,
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The runtime's id.
    pub id: String,
    /// The image's digest form.
    pub image_id: String,
    /// When it started.
    pub started: Timestamp,
}

/// A container that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exited {
    /// What ran. Its id is empty when it could not be created.
    pub was: Running,
    /// When it ended.
    pub finished: Timestamp,
    /// Its exit code; 128 + signal when a signal ended it.
    pub code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, …
    pub reason: String,
    /// The last words; may be empty.
    pub message: String,
}

/// Why a container could not be started yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `ErrImagePull`, `ErrImageNeverPull`, `InvalidImageName`, `CreateContainerConfigError`, …
    pub reason: String,
    /// In the runtime's or Kubernetes' words.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// Where a container is in its life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// Not made yet.
    #[default]
    Fresh,
    /// Could not be made; tried again after a back-off.
    Failed(Failure),
    /// Runs.
    Running(Running),
    /// Ran, and ended.
    Exited(Exited),
}

/// One container's record.
#[derive(Clone, Debug, Default)]
pub struct ContainerRecord {
    /// Where it is.
    pub life: Life,
    /// How it ended the time before.
    pub last: Option<Exited>,
    /// How often it was started again.
    pub restarts: i32,
    /// The wait before it is started again.
    pub backoff: Backoff,
    /// The wait before its image is pulled again, or its start tried again.
    pub retry: Backoff,
    /// True once the present wait was reported as an event.
    pub backoff_reported: bool,
    /// What its probes said.
    pub probes: Probes,
}

/// Something that is being done for the Pod now, so that it is not begun twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Job {
    Sandbox,
    RemoveSandbox,
    Start(String),
    Stop(String),
    Kill(String),
    Probe(String, ProbeKind),
    Volumes,
}

/// One Pod's record.
#[derive(Clone, Debug)]
pub struct PodState {
    /// When this kubelet took the Pod in.
    pub started: Timestamp,
    /// The sandbox, while there is one.
    pub sandbox: Option<Sandbox>,
    /// The Pod's address; kept for the report after the sandbox has stopped.
    pub ip: Option<String>,
    /// Containers by name.
    pub containers: BTreeMap<String, Box<ContainerRecord>>,
    /// What is being done.
    pub jobs: BTreeSet<Job>,
    /// When the stop that was begun last kills what still runs.
    pub stop_by: Option<Timestamp>,
    /// Why the node refused the Pod, or ended it: reason and message.
    pub ended: Option<(String, String)>,
    /// When the sandbox may be tried again.
    pub sandbox_retry: Option<Timestamp>,
    /// True when something has changed that its volumes show.
    pub volumes_changed: bool,
    /// When its volumes have to be filled again, if nothing changes before: a token gets old, or a request failed.
    pub volumes_due: Option<Timestamp>,
}

impl PodState {
    /// A Pod that was just taken in.
    pub fn new(started: Timestamp) -> Self {
        PodState {
            started,
            sandbox: None,
            ip: None,
            containers: BTreeMap::new(),
            jobs: BTreeSet::new(),
            stop_by: None,
            ended: None,
            sandbox_retry: None,
            volumes_changed: false,
            volumes_due: None,
        }
    }

    /// A Pod that a kubelet before this one ran: its containers ended with that kubelet, and count as
    /// such, so that restart counts go on and finished init containers stay finished.
    pub fn resumed(pod: &PodView, now: Timestamp) -> Self {
        let mut state = PodState::new(pod.status.start_time.as_ref().map_or(now, |time| time.0));
        let statuses = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses).flatten();
        for status in statuses {
            let Some(exited) = ended(status, now) else { continue };
            let record = state.container(&status.name);
            record.restarts = status.restart_count;
            record.life = Life::Exited(exited);
        }
        state
    }

    /// A container's record; a fresh one when there is none.
    pub fn container(&mut self, name: &str) -> &mut ContainerRecord {
        self.containers.entry(name.to_owned()).or_default()
    }

    /// Where a container is in its life.
    pub fn life(&self, name: &str) -> &Life {
        static FRESH: Life = Life::Fresh;
        self.containers.get(name).map_or(&FRESH, |record| &record.life)
    }

    /// True while a container runs.
    pub fn is_running(&self, name: &str) -> bool {
        matches!(self.life(name), Life::Running(_))
    }

    /// True while any container runs or is being started.
    pub fn any_alive(&self) -> bool {
        self.containers.values().any(|record| matches!(record.life, Life::Running(_)))
            || self.jobs.iter().any(|job| matches!(job, Job::Start(_) | Job::Sandbox))
    }

    /// A container started.
    pub fn started(&mut self, name: &str, running: Running, now: Timestamp) {
        let record = self.container(name);
        if let Life::Exited(exited) = &record.life {
            record.backoff.advance(exited.finished, now);
            record.last = Some(exited.clone());
            record.restarts += 1;
        }
        record.retry = Backoff::default();
        record.backoff_reported = false;
        record.probes = Probes::default();
        record.life = Life::Running(running);
    }

    /// A container could not be started.
    pub fn failed(&mut self, name: &str, failure: Failure) {
        let record = self.container(name);
        if let Life::Exited(exited) = &record.life {
            record.last = Some(exited.clone());
            record.restarts += 1;
        }
        let since = match &record.life {
            Life::Failed(before) => before.at,
            _ => failure.at,
        };
        record.retry.advance(since, failure.at);
        record.backoff_reported = false;
        record.life = Life::Failed(failure);
    }

    /// A container was created and its process could not be run, which counts as a crash.
    pub fn start_failed(&mut self, name: &str, exited: Exited) {
        let now = exited.finished;
        self.started(name, exited.was.clone(), now);
        self.container(name).life = Life::Exited(exited);
    }

    /// A container ended.
    pub fn exited(&mut self, name: &str, exited: Exited) {
        self.container(name).life = Life::Exited(exited);
    }
}

/// How a container of an earlier kubelet ended, as far as can be known.
fn ended(status: &ContainerStatus, now: Timestamp) -> Option<Exited> {
    let was = |started: Option<&Time>| Running {
        id: String::new(),
        image_id: status.image_id.clone(),
        started: started.map_or(now, |time| time.0),
    };
    let state = status.state.as_ref()?;
    let before = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    if let Some(running) = &state.running {
        let (code, reason, message) = (255, "Unknown".to_owned(), String::new());
        return Some(Exited { was: was(running.started_at.as_ref()), finished: now, code, reason, message });
    }
    let terminated = state.terminated.as_ref().or(before)?;
    Some(Exited {
        was: was(terminated.started_at.as_ref()),
        finished: terminated.finished_at.as_ref().map_or(now, |time| time.0),
        code: terminated.exit_code,
        reason: terminated.reason.clone().unwrap_or_default(),
        message: terminated.message.clone().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_five_minutes_and_is_forgotten_after_ten() {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        let mut now = 0;
        for _ in 0..8 {
            let wait = backoff.delay(at(now)).as_secs();
            waits.push(wait);
            backoff.advance(at(now), at(now + wait));
            now += wait + 1;
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff.delay(at(now + 700)).as_secs(), 0);
    }
}
