//! What a Pod's status says, given what is known of it.
//!
//! Pure. In: the Pod (whose last status gives the times of unchanged conditions) and the
//! [`PodState`]. Out: the whole `PodStatus` that belongs to the kubelet. Source: Kubernetes document
//! "Pod Lifecycle". Chapter: `book/src/control-plane/kubelet.md`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::pod::{PodView, Role};
use super::state::{ContainerRecord, Exited, Life, PodState};
use super::sync::{ERROR_SHOWN, Ended, outcome};

/// The scheme of container ids: `simulated://…`.
pub const ID_SCHEME: &str = "tutor://";

/// A container whose volumes are not there yet looks like one that is being made.
pub const WAITS_FOR_VOLUMES: &str = "ContainerCreating";

/// The status to report. Address and host are filled in by the worker, which knows the node.
pub fn of(pod: &PodView, state: &PodState, now: Timestamp) -> PodStatus {
    if pod.is_finished() && state.containers.is_empty() {
        return pod.status.clone();
    }
    let reporter = Reporter { pod, state, now };
    let phase = reporter.phase();
    let statuses = |wanted: fn(Role) -> bool| {
        let containers = pod.containers().filter(|(_, role)| wanted(*role));
        let all: Vec<_> = containers.map(|(container, role)| reporter.container(container, role)).collect();
        Some(all).filter(|all| !all.is_empty())
    };
    let (reason, message) = match &state.ended {
        Some((reason, message)) => (Some(reason.clone()), Some(message.clone())),
        None => (pod.status.reason.clone(), pod.status.message.clone()),
    };
    let rejected = state.ended.is_some() && state.containers.is_empty();
    let init_container_statuses = if rejected { None } else { statuses(|role| role != Role::Main) };
    let container_statuses = if rejected { None } else { statuses(|role| role == Role::Main) };
    let conditions = reporter.conditions(phase, &init_container_statuses, &container_statuses);
    PodStatus {
        phase: Some(phase.to_owned()),
        reason,
        message,
        observed_generation: pod.metadata.generation,
        conditions: Some(conditions),
        start_time: Some(pod.status.start_time.clone().unwrap_or(whole_seconds(state.started))),
        pod_ip: state.ip.clone(),
        pod_ips: state.ip.clone().map(|ip| vec![PodIP { ip }]),
        init_container_statuses,
        container_statuses,
        qos_class: pod.status.qos_class.clone(),
        ..PodStatus::default()
    }
}

struct Reporter<'a> {
    pod: &'a PodView,
    state: &'a PodState,
    now: Timestamp,
}

impl Reporter<'_> {
    fn phase(&self) -> &'static str {
        let lives = || self.pod.containers().map(|(it, role)| (self.state.life(&it.name), role));
        let main = || lives().filter(|(_, role)| *role == Role::Main).map(|(life, _)| life);
        if self.state.ended.is_some() {
            return "Failed";
        }
        match (self.pod.status.phase.as_deref(), outcome(self.pod, self.state)) {
            (Some("Succeeded"), _) => return "Succeeded",
            (Some("Failed"), _) => return "Failed",
            // Sidecars still run: the Pod is over when they have stopped too.
            (_, Some(_)) if lives().any(|(life, _)| matches!(life, Life::Running(_))) => return "Running",
            (_, Some(Ended::Succeeded)) => return "Succeeded",
            (_, Some(Ended::Failed)) => return "Failed",
            (_, None) => {}
        }
        if self.pod.is_terminating() && !self.state.any_alive() && main().any(|life| *life != Life::Fresh) {
            let failed = main().any(|life| !matches!(life, Life::Exited(exited) if exited.code == 0));
            return if failed { "Failed" } else { "Succeeded" };
        }
        let begun = |life: &Life| matches!(life, Life::Running(_) | Life::Exited(_));
        let restarted = |name: &str| self.state.containers.get(name).is_some_and(|record| record.last.is_some());
        let every = self.pod.spec.containers.iter().all(|it| begun(self.state.life(&it.name)) || restarted(&it.name));
        if every { "Running" } else { "Pending" }
    }

    fn container(&self, container: &Container, role: Role) -> ContainerStatus {
        let fresh = ContainerRecord::default();
        let record = self.state.containers.get(&container.name).map_or(&fresh, |record| record);
        let running = matches!(record.life, Life::Running(_));
        let has_started = running && record.probes.has_started(container);
        let ready = match (&record.life, role) {
            (Life::Exited(exited), Role::Init) => exited.code == 0,
            (_, Role::Init) => false,
            (_, Role::Sidecar | Role::Main) => running && record.probes.is_ready(container),
        };
        let (state, mut last) = self.states(container, record);
        if last.is_none() {
            last = record.last.as_ref().map(terminated);
        }
        let was = match &record.life {
            Life::Running(running) => Some(running),
            Life::Exited(exited) => Some(&exited.was),
            Life::Fresh | Life::Failed(_) => record.last.as_ref().map(|exited| &exited.was),
        };
        let id = was.map(|was| &was.id).filter(|id| !id.is_empty());
        let resources = container.resources.clone();
        ContainerStatus {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            image_id: was.map(|was| was.image_id.clone()).unwrap_or_default(),
            container_id: id.map(|id| format!("{ID_SCHEME}{id}")),
            ready,
            started: Some(has_started),
            restart_count: record.restarts,
            state: Some(state),
            last_state: Some(last.unwrap_or_default()),
            allocated_resources: resources.as_ref().and_then(|resources| resources.requests.clone()),
            resources,
            ..ContainerStatus::default()
        }
    }

    /// The present state, and the one before it where the present one hides it.
    fn states(&self, container: &Container, record: &ContainerRecord) -> (ContainerState, Option<ContainerState>) {
        match &record.life {
            Life::Fresh => (waiting(self.waits_for(container), None), None),
            Life::Failed(failure) => {
                let shown = failure.at.saturating_add(ERROR_SHOWN).unwrap_or(Timestamp::MAX);
                let image = container.image.as_deref().unwrap_or_default();
                if failure.reason == "ErrImagePull" && self.now >= shown {
                    let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {}", failure.message);
                    return (waiting("ImagePullBackOff", Some(message)), None);
                }
                let message = Some(failure.message.clone()).filter(|_| failure.reason != WAITS_FOR_VOLUMES);
                (waiting(&failure.reason, message), None)
            }
            Life::Running(running) => {
                let started_at = Some(whole_seconds(running.started));
                let running = Some(ContainerStateRunning { started_at });
                (ContainerState { running, ..ContainerState::default() }, None)
            }
            Life::Exited(exited) => {
                if record.backoff_reported && outcome(self.pod, self.state).is_none() && !self.pod.is_terminating() {
                    let delay = record.backoff.delay(exited.finished).as_secs();
                    let wait = duration(delay);
                    let message = format!(
                        "back-off {wait} restarting failed container={} pod={}_{}({})",
                        container.name,
                        self.pod.name(),
                        self.pod.namespace(),
                        self.pod.uid()
                    );
                    return (waiting("CrashLoopBackOff", Some(message)), Some(terminated(exited)));
                }
                (terminated(exited), None)
            }
        }
    }

    fn waits_for(&self, container: &Container) -> &'static str {
        let init = self.pod.spec.init_containers.iter().flatten();
        let is_init = init.clone().any(|it| it.name == container.name);
        if !is_init && init.count() > 0 { "PodInitializing" } else { "ContainerCreating" }
    }

    fn conditions(
        &self,
        phase: &str,
        init: &Option<Vec<ContainerStatus>>,
        main: &Option<Vec<ContainerStatus>>,
    ) -> Vec<PodCondition> {
        let over = match phase {
            "Succeeded" => Some("PodCompleted"),
            "Failed" => Some("PodFailed"),
            _ => None,
        };
        let incomplete = |status: &&ContainerStatus| {
            let done = if self.is_sidecar(&status.name) { status.started == Some(true) } else { status.ready };
            !done
        };
        let incomplete: Vec<_> = init.iter().flatten().filter(incomplete).map(|it| it.name.as_str()).collect();
        let unready = |status: &&ContainerStatus| !status.ready;
        let sidecars = init.iter().flatten().filter(|it| self.is_sidecar(&it.name));
        let unready: Vec<_> =
            sidecars.chain(main.iter().flatten()).filter(unready).map(|it| it.name.as_str()).collect();
        let listed = |text: &str, names: &[&str]| format!("containers with {text} status: [{}]", names.join(" "));
        let initialized = match over {
            Some(reason) if phase == "Succeeded" => ("True", Some(reason), None),
            Some(reason) => (if incomplete.is_empty() { "True" } else { "False" }, Some(reason), None),
            None if incomplete.is_empty() => ("True", None, None),
            None => ("False", Some("ContainersNotInitialized"), Some(listed("incomplete", &incomplete))),
        };
        let containers_ready = match over {
            Some(reason) => ("False", Some(reason), None),
            None if unready.is_empty() => ("True", None, None),
            None => ("False", Some("ContainersNotReady"), Some(listed("unready", &unready))),
        };
        let ready = match self.closed_gate() {
            Some(message) if containers_ready.0 == "True" => ("False", Some("ReadinessGatesNotReady"), Some(message)),
            _ => containers_ready.clone(),
        };
        let sandbox = if self.state.sandbox.is_some() { "True" } else { "False" };
        vec![
            self.condition("PodReadyToStartContainers", (sandbox, None, None)),
            self.condition("Initialized", initialized),
            self.condition("Ready", ready),
            self.condition("ContainersReady", containers_ready),
            self.condition("PodScheduled", ("True", None, None)),
        ]
    }

    fn is_sidecar(&self, name: &str) -> bool {
        self.pod.container(name).is_some_and(|(_, role)| role == Role::Sidecar)
    }

    fn before(&self, type_: &str) -> Option<&PodCondition> {
        self.pod.status.conditions.iter().flatten().find(|condition| condition.type_ == type_)
    }

    fn closed_gate(&self) -> Option<String> {
        self.pod.spec.readiness_gates.iter().flatten().find_map(|gate| {
            let type_ = &gate.condition_type;
            match self.before(type_) {
                None => Some(format!("corresponding condition of pod readiness gate \"{type_}\" does not exist.")),
                Some(condition) if condition.status != "True" => Some(format!(
                    "the status of pod readiness gate \"{type_}\" is not \"True\", but {}",
                    condition.status
                )),
                Some(_) => None,
            }
        })
    }

    fn condition(&self, type_: &str, value: (&str, Option<&str>, Option<String>)) -> PodCondition {
        let (status, reason, message) = value;
        let unchanged = self.before(type_).filter(|before| before.status == status);
        let since = unchanged.and_then(|before| before.last_transition_time.clone());
        PodCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
            message,
            last_transition_time: Some(since.unwrap_or(whole_seconds(self.now))),
            observed_generation: self.pod.metadata.generation,
            ..PodCondition::default()
        }
    }
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn terminated(exited: &Exited) -> ContainerState {
    let id = Some(&exited.was.id).filter(|id| !id.is_empty());
    let terminated = ContainerStateTerminated {
        exit_code: exited.code,
        reason: Some(exited.reason.clone()),
        message: Some(exited.message.clone()).filter(|message| !message.is_empty()),
        started_at: Some(whole_seconds(exited.was.started)),
        finished_at: Some(whole_seconds(exited.finished)),
        container_id: id.map(|id| format!("{ID_SCHEME}{id}")),
        ..ContainerStateTerminated::default()
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

/// Kubernetes' times have no fractions.
fn whole_seconds(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// As Go prints it: `10s`, `1m20s`.
fn duration(seconds: i64) -> String {
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m{}s", seconds / 60, seconds % 60) }
}
