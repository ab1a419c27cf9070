//! Pods and their templates. STATUS is not the phase: it is the most telling reason among the
//! pod's, its init containers' and its containers' states.

use super::cell::{NONE, containers, count, flag, is_true, labels, or};
use super::{Context, Row, RowOf, age, cells};
use crate::api::meta;
use crate::api::projection::Projection;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::LazyLock;

pub(super) fn row_of(group: &str, plural: &str) -> Option<RowOf> {
    match (group, plural) {
        ("", "pods") => Some(pod),
        ("", "podtemplates") => Some(pod_template),
        _ => None,
    }
}

/// What a row is read from, for lists of thousands.
pub(super) fn reads(group: &str, plural: &str) -> Option<&'static Projection> {
    static POD: LazyLock<Projection> = LazyLock::new(|| {
        Projection::only(&[
            "metadata.name",
            "metadata.creationTimestamp",
            "metadata.deletionTimestamp",
            "spec.containers.name",
            "spec.initContainers.name",
            "spec.initContainers.restartPolicy",
            "spec.nodeName",
            "spec.readinessGates",
            "status.phase",
            "status.reason",
            "status.conditions.type",
            "status.conditions.status",
            "status.conditions.reason",
            "status.podIPs",
            "status.nominatedNodeName",
            "status.initContainerStatuses",
            "status.containerStatuses",
        ])
    });
    ((group, plural) == ("", "pods")).then_some(&*POD)
}

fn pod(object: &Value, context: &Context<'_>) -> Row {
    let state = PodState::read(object);
    let gates = meta::list(object, &["spec", "readinessGates"]);
    let passed = gates.iter().filter(|gate| is_true(object, meta::text(gate, &["conditionType"]))).count();
    let gates = if gates.is_empty() { NONE.to_owned() } else { format!("{passed}/{}", gates.len()) };
    let first_ip = meta::list(object, &["status", "podIPs"]).first().map_or("", |ip| meta::text(ip, &["ip"]));
    let mut row = cells![
        meta::name(object),
        format!("{}/{}", state.ready, state.total),
        state.reason,
        state.restarts.text(context.now),
        context.age(object),
        or(first_ip, NONE),
        or(meta::text(object, &["spec", "nodeName"]), NONE),
        or(meta::text(object, &["status", "nominatedNodeName"]), NONE),
        gates,
    ];
    let completed = |reason: &str, message: &str| json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]);
    let conditions = match phase(object) {
        "Succeeded" => completed("Succeeded", "The pod has completed successfully."),
        "Failed" => completed("Failed", "The pod failed."),
        _ => json!([]),
    };
    row.conditions = conditions.as_array().cloned().unwrap_or_default();
    row
}

fn phase(pod: &Value) -> &str {
    meta::text(pod, &["status", "phase"])
}

/// Restarts, and when the last one was.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += count(status, &["restartCount"]);
        self.last = self.last.max(age::time(meta::get(status, &["lastState", "terminated", "finishedAt"])));
    }

    fn text(self, now: Timestamp) -> String {
        match self.last {
            Some(last) if self.count != 0 => {
                format!("{} ({} ago)", self.count, age::human(now.duration_since(last).as_secs()))
            }
            _ => self.count.to_string(),
        }
    }
}

/// What the columns READY, STATUS and RESTARTS say.
struct PodState {
    ready: usize,
    total: usize,
    reason: String,
    restarts: Restarts,
}

impl PodState {
    fn read(pod: &Value) -> PodState {
        let sidecars = meta::list(pod, &["spec", "initContainers"]).iter().filter(|container| is_sidecar(container));
        let mut state = PodState {
            ready: 0,
            total: meta::list(pod, &["spec", "containers"]).len() + sidecars.count(),
            reason: or(meta::text(pod, &["status", "reason"]), phase(pod)).to_owned(),
            restarts: Restarts::default(),
        };
        let conditions = meta::list(pod, &["status", "conditions"]);
        if conditions
            .iter()
            .any(|condition| condition["type"] == "PodScheduled" && condition["reason"] == "SchedulingGated")
        {
            state.reason = "SchedulingGated".to_owned();
        }
        let (initializing, sidecar_restarts) = state.read_init(pod);
        if !initializing || is_true(pod, "Initialized") {
            state.restarts = sidecar_restarts;
            state.read_containers(pod);
        }
        if meta::deletion_timestamp(pod).is_some() {
            if meta::text(pod, &["status", "reason"]) == "NodeLost" {
                state.reason = "Unknown".to_owned();
            } else if !matches!(phase(pod), "Succeeded" | "Failed") {
                state.reason = "Terminating".to_owned();
            }
        }
        state
    }

    /// The first init container that is not done gives the reason.
    fn read_init(&mut self, pod: &Value) -> (bool, Restarts) {
        let specs = meta::list(pod, &["spec", "initContainers"]);
        let mut sidecar_restarts = Restarts::default();
        for (at, status) in meta::list(pod, &["status", "initContainerStatuses"]).iter().enumerate() {
            self.restarts.add(status);
            let sidecar = specs.iter().any(|spec| spec["name"] == status["name"] && is_sidecar(spec));
            if sidecar {
                sidecar_restarts.add(status);
            }
            let terminated = meta::get(status, &["state", "terminated"]).filter(|state| state.is_object());
            if terminated.is_some_and(|state| count(state, &["exitCode"]) == 0) {
                continue;
            }
            if sidecar && flag(status, &["started"]) {
                self.ready += usize::from(flag(status, &["ready"]));
                continue;
            }
            let waiting = meta::text(status, &["state", "waiting", "reason"]);
            self.reason = match terminated {
                Some(state) => format!("Init:{}", ended(state)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
                None => format!("Init:{at}/{}", specs.len()),
            };
            return (true, sidecar_restarts);
        }
        (false, sidecar_restarts)
    }

    /// From the last container to the first, so that the first one's reason wins.
    fn read_containers(&mut self, pod: &Value) {
        let mut running = false;
        for status in meta::list(pod, &["status", "containerStatuses"]).iter().rev() {
            self.restarts.add(status);
            let waiting = meta::text(status, &["state", "waiting", "reason"]);
            let terminated = meta::get(status, &["state", "terminated"]).filter(|state| state.is_object());
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if let Some(state) = terminated {
                self.reason = ended(state);
            } else if flag(status, &["ready"]) && meta::map(status, &["state", "running"]).is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            self.reason = if is_true(pod, "Ready") { "Running" } else { "NotReady" }.to_owned();
        }
    }
}

fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn ended(state: &Value) -> String {
    match (meta::text(state, &["reason"]), count(state, &["signal"])) {
        ("", 0) => format!("ExitCode:{}", count(state, &["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn pod_template(object: &Value, _: &Context<'_>) -> Row {
    let (names, images) = containers(object, &["template"]);
    cells![meta::name(object), names, images, labels(object, &["template", "metadata", "labels"])]
}
