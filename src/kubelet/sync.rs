//! `sync_pod`: what is wanted and what is known in, what to do and what to report out.
//!
//! No time but `now`, no input, no output: the worker carries the actions out, notes their outcome in
//! [`PodState`], and asks again, until nothing is left to do. Order of a Pod's life: sandbox, init
//! containers one after the other (sidecars stay), main containers, restarts with back-off; and at the
//! end main containers, sidecars, sandbox. Chapter: `book/src/control-plane/kubelet.md`.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, PodStatus};

use super::pod::{PodView, Role};
use super::probes::ProbeKind;
use super::state::{Job, Life, PodState};
use super::status;

/// Something to do. Each ends with its outcome noted in the [`PodState`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the sandbox: namespaces, an address, the volumes.
    CreateSandbox,
    /// Pull the image if it is needed, create the container and start it.
    Start {
        /// The container's name.
        container: String,
    },
    /// Run the preStop hook, send TERM, wait, send KILL.
    Stop {
        /// The container's name.
        container: String,
        /// How long all of that may take.
        grace_seconds: i64,
        /// What the event Killing says.
        why: String,
    },
    /// Send KILL to what is being stopped: there is less time than was thought.
    Kill {
        /// The container's name.
        container: String,
    },
    /// Ask a probe.
    Probe {
        /// The container's name.
        container: String,
        /// Which.
        kind: ProbeKind,
    },
    /// Fill the volumes again that show something else: it changed, or a token gets old.
    RefillVolumes,
    /// Tell the reader that a restart waits.
    ReportBackOff {
        /// The container's name.
        container: String,
    },
    /// The Pod's time is up: note it, so that everything stops.
    End {
        /// For the Pod's status and the event.
        reason: &'static str,
        /// For the Pod's status and the event.
        message: &'static str,
    },
    /// Take the sandbox down.
    RemoveSandbox,
}

/// What `sync_pod` answers.
#[derive(Clone, Debug)]
pub struct Sync {
    /// What to do now; may be done at once.
    pub actions: Vec<Action>,
    /// What to report when nothing is left to do, or it takes long.
    pub status: PodStatus,
    /// When to ask again, if nothing happens before.
    pub wake: Option<Timestamp>,
    /// True when a Pod that is being deleted has nothing left on the node.
    pub gone: bool,
}

/// How long a failed image pull shows as ErrImagePull before it shows as ImagePullBackOff.
pub(super) const ERROR_SHOWN: SignedDuration = SignedDuration::from_secs(1);

/// Decides. The same arguments always give the same answer.
pub fn sync_pod(pod: &PodView, state: &PodState, now: Timestamp) -> Sync {
    let mut plan = Plan { pod, state, now, actions: Vec::new(), wake: None };
    let ending = pod.is_terminating() || state.ended.is_some();
    let outcome = if ending { None } else { outcome(pod, state) };
    if ending {
        plan.stop_everything();
    } else if outcome.is_some() || pod.is_finished() {
        plan.stop_sidecars();
    } else if plan.deadline_passed() {
        let message = "Pod was active on the node longer than the specified deadline";
        plan.actions.push(Action::End { reason: "DeadlineExceeded", message });
    } else if state.sandbox.is_none() {
        plan.create_sandbox();
    } else {
        plan.run_containers();
    }
    let Plan { actions, wake, .. } = plan;
    let quiet = actions.is_empty() && state.jobs.is_empty() && !state.any_alive() && state.sandbox.is_none();
    Sync { status: status::of(pod, state, now), actions, wake, gone: pod.is_terminating() && quiet }
}

/// How a Pod's work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Every main container exited with 0.
    Succeeded,
    /// One did not, or an init container did not and may not be tried again.
    Failed,
}

/// Whether the Pod's work is over: no container of it will be started again.
pub(super) fn outcome(pod: &PodView, state: &PodState) -> Option<Ended> {
    let policy = pod.restart_policy();
    let mut ended = Ended::Succeeded;
    for (container, role) in pod.containers() {
        let exit = match state.life(&container.name) {
            Life::Exited(exited) => Some(exited.code),
            _ => None,
        };
        match (role, exit) {
            (Role::Init, Some(code)) if code != 0 && policy == "Never" => return Some(Ended::Failed),
            (Role::Init | Role::Sidecar, _) => {}
            (Role::Main, Some(0)) if policy != "Always" => {}
            (Role::Main, Some(_)) if policy == "Never" => ended = Ended::Failed,
            (Role::Main, _) => return None,
        }
    }
    Some(ended)
}

struct Plan<'a> {
    pod: &'a PodView,
    state: &'a PodState,
    now: Timestamp,
    actions: Vec<Action>,
    wake: Option<Timestamp>,
}

impl Plan<'_> {
    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |known| known.min(at)));
    }

    fn busy(&self, job: &Job) -> bool {
        self.state.jobs.contains(job)
    }

    fn deadline_passed(&mut self) -> bool {
        let Some(seconds) = self.pod.spec.active_deadline_seconds else { return false };
        let deadline = self.state.started.saturating_add(SignedDuration::from_secs(seconds));
        let deadline = deadline.unwrap_or(Timestamp::MAX);
        self.wake_at(deadline);
        deadline <= self.now
    }

    fn create_sandbox(&mut self) {
        match self.state.sandbox_retry {
            Some(at) if at > self.now => self.wake_at(at),
            _ if self.busy(&Job::Sandbox) => {}
            _ => self.actions.push(Action::CreateSandbox),
        }
    }

    /// Init containers in order, then the main ones; probes of all that run.
    fn run_containers(&mut self) {
        let containers: Vec<(&Container, Role)> = self.pod.containers().collect();
        let main_began = self.pod.spec.containers.iter().any(|it| *self.state.life(&it.name) != Life::Fresh);
        let mut may_start = true;
        for (container, role) in containers {
            match role {
                Role::Init if main_began || self.completed(container) => continue,
                Role::Init | Role::Main if !may_start => continue,
                Role::Sidecar if !may_start && !self.state.is_running(&container.name) => continue,
                _ => {}
            }
            self.keep_running(container);
            may_start &= match role {
                Role::Init => false,
                Role::Sidecar => main_began || self.has_started(container),
                Role::Main => true,
            };
        }
        self.refill_volumes();
    }

    /// A container that is started finds its volumes filled; here it is about those that run.
    fn refill_volumes(&mut self) {
        let runs = |(container, _): (&Container, Role)| self.state.is_running(&container.name);
        if self.busy(&Job::Volumes) || !self.pod.containers().any(runs) {
            return;
        }
        match self.state.volumes_due {
            _ if self.state.volumes_changed => self.actions.push(Action::RefillVolumes),
            Some(due) if due <= self.now => self.actions.push(Action::RefillVolumes),
            Some(due) => self.wake_at(due),
            None => {}
        }
    }

    fn completed(&self, container: &Container) -> bool {
        matches!(self.state.life(&container.name), Life::Exited(exited) if exited.code == 0)
    }

    fn has_started(&self, container: &Container) -> bool {
        let record = self.state.containers.get(&container.name);
        record.is_some_and(|it| matches!(it.life, Life::Running(_)) && it.probes.has_started(container))
    }

    /// Starts the container, starts it again, or watches over it.
    fn keep_running(&mut self, container: &Container) {
        let name = &container.name;
        if self.busy(&Job::Start(name.clone())) || self.busy(&Job::Stop(name.clone())) {
            return;
        }
        let fresh = super::state::ContainerRecord::default();
        let record = self.state.containers.get(name).map_or(&fresh, |record| record);
        match &record.life {
            Life::Fresh => self.actions.push(Action::Start { container: name.clone() }),
            Life::Failed(failure) => {
                let shown = failure.at.saturating_add(ERROR_SHOWN).unwrap_or(Timestamp::MAX);
                let until = record.retry.until(failure.at).max(shown);
                if until <= self.now {
                    self.actions.push(Action::Start { container: name.clone() });
                    return;
                }
                self.wake_at(until);
                if shown > self.now {
                    self.wake_at(shown);
                } else if !record.backoff_reported {
                    self.actions.push(Action::ReportBackOff { container: name.clone() });
                }
            }
            Life::Exited(exited) if self.restarts(container, exited.code) => {
                let until = record.backoff.until(exited.finished);
                if until <= self.now {
                    self.actions.push(Action::Start { container: name.clone() });
                    return;
                }
                self.wake_at(until);
                if !record.backoff_reported {
                    self.actions.push(Action::ReportBackOff { container: name.clone() });
                }
            }
            Life::Exited(_) => {}
            Life::Running(running) => self.watch_over(container, &record.probes, running.started),
        }
    }

    fn restarts(&self, container: &Container, code: i32) -> bool {
        match self.pod.restart_policy() {
            _ if container.restart_policy.as_deref() == Some("Always") => true,
            "Always" => true,
            "OnFailure" => code != 0,
            _ => false,
        }
    }

    fn watch_over(&mut self, container: &Container, probes: &super::probes::Probes, started: Timestamp) {
        if let Some(kind) = probes.fatal(container) {
            let own = kind.of(container).and_then(|probe| probe.termination_grace_period_seconds);
            let grace_seconds = own.or(self.pod.spec.termination_grace_period_seconds).unwrap_or(30);
            let kind = kind.name().to_lowercase();
            let why = format!("Container {} failed {kind} probe, will be restarted", container.name);
            self.actions.push(Action::Stop { container: container.name.clone(), grace_seconds, why });
            return;
        }
        for kind in ProbeKind::ALL {
            let Some(due) = probes.due(kind, container, started) else { continue };
            if due > self.now {
                self.wake_at(due);
            } else if !self.busy(&Job::Probe(container.name.clone(), kind)) {
                self.actions.push(Action::Probe { container: container.name.clone(), kind });
            }
        }
    }

    /// The Pod is deleted, or ended by the node: main containers first, then sidecars, last one first.
    fn stop_everything(&mut self) {
        let asked = self.pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
        let left = asked.map(|at| at.duration_since(self.now).as_secs().max(0));
        let grace_seconds = left.or(self.pod.spec.termination_grace_period_seconds).unwrap_or(30);
        let running = |role_is: fn(Role) -> bool| {
            let all = self.pod.containers().filter(move |(_, role)| role_is(*role));
            all.filter(|(it, _)| self.state.is_running(&it.name)).map(|(it, _)| it.name.clone()).collect::<Vec<_>>()
        };
        let main = running(|role| role != Role::Sidecar);
        let sidecar = || running(|role| role == Role::Sidecar).pop();
        let stop = if main.is_empty() { sidecar().into_iter().collect() } else { main };
        for container in stop {
            match asked.filter(|_| self.busy(&Job::Stop(container.clone()))) {
                Some(at) => self.hurry(container, at),
                None => self.stop(container, grace_seconds),
            }
        }
        self.remove_sandbox();
    }

    /// A Pod that is being stopped was deleted again, with less time to go.
    fn hurry(&mut self, container: String, at: Timestamp) {
        if self.state.stop_by.is_none_or(|by| by <= at) || self.busy(&Job::Kill(container.clone())) {
            return;
        }
        if at > self.now {
            self.wake_at(at);
        } else {
            self.actions.push(Action::Kill { container });
        }
    }

    /// The Pod's work is over.
    fn stop_sidecars(&mut self) {
        let grace_seconds = self.pod.spec.termination_grace_period_seconds.unwrap_or(30);
        let running = self.pod.containers().filter(|(it, _)| self.state.is_running(&it.name));
        if let Some((last, _)) = running.last() {
            self.stop(last.name.clone(), grace_seconds);
        }
        self.remove_sandbox();
    }

    fn stop(&mut self, container: String, grace_seconds: i64) {
        if !self.busy(&Job::Stop(container.clone())) {
            let why = format!("Stopping container {container}");
            self.actions.push(Action::Stop { container, grace_seconds, why });
        }
    }

    fn remove_sandbox(&mut self) {
        let idle = self.state.jobs.is_empty() && !self.state.any_alive();
        if self.state.sandbox.is_some() && idle {
            self.actions.push(Action::RemoveSandbox);
        }
    }
}

#[cfg(test)]
#[path = "sync_tests.rs"]
mod tests;
