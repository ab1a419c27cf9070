//! One task per Pod: asks `sync_pod` what to do, does it, notes the outcome, reports.
//!
//! In: the Pod's versions as the API server makes them, containers that end, times that come. Out:
//! calls to the runtime, status patches with the Pod's revision as their cause, events, and at the end
//! the final DELETE. The worker decides nothing. Chapter: `book/src/control-plane/kubelet.md`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{HostIP, ObjectReference, PodCondition, PodStatus};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use tokio::sync::{Mutex, watch};

use super::followed::Follows;
use super::jobs::{self, Outcome};
use super::mounted::Mounted;
use super::pod::PodView;
use super::run::Node;
use super::runtime::Exit;
use super::state::{Exited, Job, Life, PodState};
use super::sync::{Action, sync_pod};
use super::volumes;
use crate::client::cause::{self, Causes};
use crate::client::events::Type;

/// Work that is done sooner than this is not reported as under way.
const QUICK: Duration = Duration::from_millis(50);
/// How long to wait before a report that failed is sent again.
const REPORT_RETRY: SignedDuration = SignedDuration::from_secs(1);

/// Runs a Pod until it is gone. `versions` holds the newest version; `None`: it was deleted.
pub async fn run(node: Arc<Node>, mut versions: watch::Receiver<Option<Arc<PodView>>>) {
    let Some(pod) = versions.borrow_and_update().clone() else { return };
    let mut state = PodState::resumed(&pod, node.clock.now());
    if !pod.is_finished() && !pod.is_terminating() {
        state.ended = node.admit(&pod);
    }
    let mut worker = Worker {
        node,
        pod,
        state,
        sandbox: None,
        reported: None,
        report_again: None,
        follows: Follows::default(),
        mounted: Arc::default(),
        jobs: FuturesUnordered::new(),
        exits: FuturesUnordered::new(),
    };
    if let Some((reason, message)) = &worker.state.ended {
        worker.event("", Type::Warning, reason, message.clone());
    }
    worker.live(&mut versions).await;
    Box::pin(worker.clean_up()).await;
}

struct Worker {
    node: Arc<Node>,
    /// Shared with the informer, until a report is remembered before the watch tells of it.
    pod: Arc<PodView>,
    state: PodState,
    /// The sandbox's id, kept until its records are removed.
    sandbox: Option<String>,
    /// The last status that was sent, as JSON: as a tree it would be most of what a Pod takes here.
    reported: Option<Box<str>>,
    report_again: Option<Timestamp>,
    /// The objects that its volumes show.
    follows: Follows,
    mounted: Arc<Mutex<Mounted>>,
    jobs: FuturesUnordered<BoxFuture<'static, Outcome>>,
    exits: FuturesUnordered<BoxFuture<'static, (String, String, Option<Exit>)>>,
}

impl Worker {
    async fn live(&mut self, versions: &mut watch::Receiver<Option<Arc<PodView>>>) {
        loop {
            let sync = sync_pod(&self.pod, &self.state, self.node.clock.now());
            let mut again = false;
            for action in sync.actions {
                again |= self.begin(action);
            }
            if again {
                continue;
            }
            if !self.jobs.is_empty()
                && let Ok(Some(outcome)) = self.node.clock.timeout(QUICK, self.jobs.next()).await
            {
                self.note(outcome);
                continue;
            }
            // Boxed, like what follows: a Pod that only waits for something keeps no room for them.
            Box::pin(self.report(sync.status)).await;
            if sync.gone && self.report_again.is_none() {
                Box::pin(self.delete()).await;
                return;
            }
            let wake = [sync.wake, self.report_again].into_iter().flatten().min();
            let clock = self.node.clock;
            let timer = async {
                match wake {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(outcome) = self.jobs.next(), if !self.jobs.is_empty() => self.note(outcome),
                Some((name, id, exit)) = self.exits.next(), if !self.exits.is_empty() => self.ended(&name, &id, exit),
                () = timer => {}
                () = self.follows.changed() => self.state.volumes_changed = true,
                changed = versions.changed() => {
                    let newest = versions.borrow_and_update().clone();
                    match newest.filter(|_| changed.is_ok()) {
                        Some(newest) => {
                            self.state.volumes_changed |= volumes::shows_change(&self.pod, &newest);
                            self.pod = newest;
                        }
                        None => return,
                    }
                }
            }
        }
    }

    /// Begins an action; true when it is done at once, so that `sync_pod` is asked again.
    fn begin(&mut self, action: Action) -> bool {
        let (job, work) = match action {
            Action::ReportBackOff { container } => {
                self.report_back_off(&container);
                return true;
            }
            Action::End { reason, message } => {
                self.event("", Type::Normal, reason, message);
                self.state.ended = Some((reason.to_owned(), message.to_owned()));
                return true;
            }
            Action::CreateSandbox => (Job::Sandbox, jobs::sandbox(self.node.clone(), self.pod.clone()).boxed()),
            Action::RemoveSandbox => {
                let sandbox = self.state.sandbox.as_ref().map(|sandbox| sandbox.id.clone()).unwrap_or_default();
                (Job::RemoveSandbox, jobs::stop_sandbox(self.node.clone(), sandbox).boxed())
            }
            Action::Start { container } => {
                let Some(sandbox) = self.state.sandbox.clone() else { return false };
                let record = self.state.container(&container);
                let exited = matches!(record.life, Life::Exited(_));
                let attempt = record.restarts as u32 + u32::from(exited);
                self.follow(&container);
                let (node, pod, mounted) = (self.node.clone(), self.pod.clone(), self.mounted.clone());
                let work = jobs::start(node, pod, sandbox, container.clone(), attempt, mounted);
                (Job::Start(container), work.boxed())
            }
            Action::RefillVolumes => {
                let Some(sandbox) = self.state.sandbox.clone() else { return false };
                self.state.volumes_changed = false;
                let work = jobs::refill(self.node.clone(), self.pod.clone(), sandbox, self.mounted.clone());
                (Job::Volumes, work.boxed())
            }
            Action::Stop { container, grace_seconds, why } => {
                let Life::Running(running) = self.state.life(&container) else { return false };
                let id = running.id.clone();
                self.event(&container, Type::Normal, "Killing", why);
                let grace = Duration::from_secs(grace_seconds.max(0) as u64);
                self.state.stop_by = self.node.clock.now().saturating_add(grace).ok();
                let sandbox = self.state.sandbox.clone();
                let work = jobs::stop(self.node.clone(), self.pod.clone(), sandbox, container.clone(), id, grace);
                (Job::Stop(container), work.boxed())
            }
            Action::Kill { container } => {
                let Life::Running(running) = self.state.life(&container) else { return false };
                let (id, sandbox) = (running.id.clone(), self.state.sandbox.clone());
                let now = Duration::ZERO;
                let work = jobs::stop(self.node.clone(), self.pod.clone(), sandbox, container.clone(), id, now);
                (Job::Kill(container), work.boxed())
            }
            Action::Probe { container, kind } => {
                let Some(sandbox) = self.state.sandbox.clone() else { return false };
                let Life::Running(running) = self.state.life(&container) else { return false };
                let id = running.id.clone();
                let work = jobs::probe(self.node.clone(), self.pod.clone(), sandbox, container.clone(), id, kind);
                (Job::Probe(container, kind), work.boxed())
            }
        };
        self.state.jobs.insert(job);
        self.jobs.push(work);
        false
    }

    /// Follows what a container's volumes show of other objects.
    fn follow(&mut self, container: &str) {
        let Some((container, _)) = self.pod.container(container) else { return };
        for (kind, name) in volumes::named(&self.pod, container, &*self.node.runtime) {
            self.follows.add(&self.node.followed, kind, self.pod.namespace(), name);
        }
    }

    /// Notes the outcome of an action.
    fn note(&mut self, outcome: Outcome) {
        let now = self.node.clock.now();
        match outcome {
            Outcome::Sandbox(made) => {
                self.state.jobs.remove(&Job::Sandbox);
                match made {
                    Ok(sandbox) => {
                        self.sandbox = Some(sandbox.id.clone());
                        self.state.ip = Some(sandbox.ip.clone());
                        self.node.sandboxes.lock().insert(self.pod.uid().to_owned(), sandbox.clone());
                        self.state.sandbox = Some(sandbox);
                    }
                    Err(why) => {
                        let message = format!("Failed to create pod sandbox: {why}");
                        self.event("", Type::Warning, "FailedCreatePodSandBox", message);
                        self.state.sandbox_retry = now.saturating_add(SignedDuration::from_secs(10)).ok();
                    }
                }
            }
            Outcome::SandboxStopped => {
                self.state.jobs.remove(&Job::RemoveSandbox);
                self.state.sandbox = None;
                self.follows.clear();
                self.node.sandboxes.lock().remove(self.pod.uid());
            }
            Outcome::Started { container, running, refill } => {
                self.state.volumes_due = refill;
                self.state.jobs.remove(&Job::Start(container.clone()));
                let (runtime, id, name) = (self.node.runtime.clone(), running.id.clone(), container.clone());
                let wait = async move {
                    let exit = runtime.wait(&id).await.ok();
                    (name, id, exit)
                };
                self.exits.push(wait.boxed());
                self.state.started(&container, running, now);
            }
            Outcome::Refilled { again } => {
                self.state.jobs.remove(&Job::Volumes);
                self.state.volumes_due = again;
            }
            Outcome::NotStarted { container, failure } => {
                self.state.jobs.remove(&Job::Start(container.clone()));
                self.state.failed(&container, failure);
            }
            Outcome::Crashed { container, exited } => {
                self.state.jobs.remove(&Job::Start(container.clone()));
                self.state.start_failed(&container, exited);
            }
            Outcome::Stopped { container, id, exit } => {
                self.state.jobs.remove(&Job::Stop(container.clone()));
                self.state.jobs.remove(&Job::Kill(container.clone()));
                self.ended(&container, &id, exit);
            }
            Outcome::Probed { container, id, kind, answer, output } => {
                self.state.jobs.remove(&Job::Probe(container.clone(), kind));
                if let Some(output) = output {
                    let message = format!("{} probe failed: {output}", kind.name());
                    self.event(&container, Type::Warning, "Unhealthy", message);
                }
                let spec = self.pod.container(&container).and_then(|(spec, _)| kind.of(spec).cloned());
                let same = matches!(self.state.life(&container), Life::Running(running) if running.id == id);
                if let Some(probe) = spec.filter(|_| same) {
                    self.state.container(&container).probes.answered(kind, &probe, answer, now);
                }
            }
        }
    }

    /// A container ended, by itself or because it was stopped; told twice, it counts once.
    fn ended(&mut self, container: &str, id: &str, exit: Option<Exit>) {
        let Life::Running(running) = self.state.life(container) else { return };
        if running.id != id {
            return;
        }
        let now = self.node.clock.now();
        let lost = Exit { code: 137, reason: "ContainerStatusUnknown", at: now, message: String::new() };
        let exit = exit.unwrap_or(lost);
        let (code, reason) = (exit.code, exit.reason.to_owned());
        let exited = Exited { was: running.clone(), finished: exit.at, code, reason, message: exit.message };
        self.state.exited(container, exited);
    }

    fn report_back_off(&mut self, container: &str) {
        let image = self.pod.container(container).and_then(|(spec, _)| spec.image.clone()).unwrap_or_default();
        match self.state.life(container) {
            Life::Failed(failure) if failure.reason == "ErrImagePull" => {
                let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {}", failure.message);
                self.event(container, Type::Normal, "BackOff", message);
                self.event(container, Type::Warning, "Failed", "Error: ImagePullBackOff");
            }
            Life::Exited(_) => {
                let (pod, namespace, uid) = (self.pod.name(), self.pod.namespace(), self.pod.uid());
                let message =
                    format!("Back-off restarting failed container {container} in pod {pod}_{namespace}({uid})");
                self.event(container, Type::Warning, "BackOff", message);
            }
            Life::Failed(_) | Life::Fresh | Life::Running(_) => {}
        }
        self.state.container(container).backoff_reported = true;
    }

    fn event(&self, container: &str, type_: Type, reason: &str, message: impl Into<String>) {
        let about = reference(&self.pod, container);
        self.node.recorder.record(&about, type_, reason, message, &Causes::of(&self.pod.metadata));
    }

    /// Sends the status if it says something new.
    async fn report(&mut self, mut status: PodStatus) {
        status.host_ip = Some(self.node.config.address.clone());
        status.host_ips = Some(vec![HostIP { ip: self.node.config.address.clone() }]);
        let Ok(complete) = serde_json::to_string(&status) else { return };
        if self.reported.as_deref() == Some(&complete) {
            self.report_again = None;
            return;
        }
        let fields = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
        let (mut value, before) = (fields(&complete), self.reported.as_deref().map(fields).unwrap_or_default());
        if let Some(fields) = value.as_object_mut() {
            // What was said before and holds no more has to be taken back by name.
            for name in before.as_object().into_iter().flat_map(serde_json::Map::keys) {
                fields.entry(name.clone()).or_insert(serde_json::Value::Null);
            }
            take_back_reasons(fields, self.pod.status.conditions.as_deref().unwrap_or_default());
            // These lists merge by address: the one that a Pod had before its node lost power would stay.
            for addresses in ["podIPs", "hostIPs"] {
                if let Some(list) = fields.get_mut(addresses).and_then(serde_json::Value::as_array_mut) {
                    list.push(serde_json::json!({"$patch": "replace"}));
                }
            }
        }
        let patch = serde_json::json!({"metadata": {"uid": self.pod.uid()}, "status": value});
        let sent = self.api().patch_status(self.pod.name(), &PatchParams::default(), &Patch::Strategic(patch)).await;
        match sent {
            Ok(_) => self.report_again = None,
            Err(kube::Error::Api(refused)) if refused.code < 500 && refused.code != 429 => {
                tracing::debug!(pod = self.pod.name(), message = refused.message, "status refused");
                self.report_again = None;
            }
            Err(failure) => {
                tracing::debug!(%failure, pod = self.pod.name(), "status not reported");
                self.report_again = self.node.clock.now().saturating_add(REPORT_RETRY).ok();
                return;
            }
        }
        self.reported = Some(complete.into_boxed_str());
        self.remember(status);
    }

    /// Takes what was reported into the own copy of the Pod, so that times of unchanged conditions hold
    /// before the watch has told of the write. Conditions of others stay.
    fn remember(&mut self, mut status: PodStatus) {
        let own = status.conditions.get_or_insert_default();
        let pod = Arc::make_mut(&mut self.pod);
        let others = pod.status.conditions.take().into_iter().flatten();
        let others: Vec<_> = others.filter(|other| own.iter().all(|mine| mine.type_ != other.type_)).collect();
        own.extend(others);
        pod.status = status;
        if self.pod.is_finished() {
            self.node.give_back(&self.pod);
        }
    }

    /// The last word: the Pod has nothing left here, its object may go.
    async fn delete(&mut self) {
        let uid = self.pod.metadata.uid.clone();
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid, resource_version: None }),
            ..DeleteParams::default()
        };
        while let Err(failure) = self.api().delete(self.pod.name(), &params).await {
            match failure {
                kube::Error::Api(refused) if refused.code < 500 && refused.code != 429 => return,
                _ => self.node.clock.sleep(REPORT_RETRY.unsigned_abs()).await,
            }
        }
    }

    async fn clean_up(&mut self) {
        self.node.sandboxes.lock().remove(self.pod.uid());
        if let Some(sandbox) = &self.sandbox
            && let Err(failure) = self.node.runtime.remove_sandbox(sandbox).await
        {
            tracing::debug!(%failure, "sandbox not removed");
        }
        self.node.forget(&self.pod, self.state.ip.as_deref());
    }

    fn api(&self) -> Api<PodView> {
        let client = cause::with(&self.node.client, &Causes::of(&self.pod.metadata));
        Api::namespaced(client, self.pod.namespace())
    }
}

/// What an event is about: the Pod, or one of its containers.
pub(super) fn reference(pod: &PodView, container: &str) -> ObjectReference {
    let init = pod.spec.init_containers.iter().flatten().any(|it| it.name == container);
    let list = if init { "initContainers" } else { "containers" };
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        resource_version: pod.metadata.resource_version.clone(),
        field_path: (!container.is_empty()).then(|| format!("spec.{list}{{{container}}}")),
    }
}

/// Conditions merge by their type: a reason that one had and has no more is taken back by name.
fn take_back_reasons(fields: &mut serde_json::Map<String, serde_json::Value>, before: &[PodCondition]) {
    let conditions = fields.get_mut("conditions").and_then(serde_json::Value::as_array_mut).into_iter().flatten();
    for condition in conditions.filter_map(serde_json::Value::as_object_mut) {
        let type_ = condition.get("type").and_then(serde_json::Value::as_str);
        let Some(known) = before.iter().find(|known| Some(known.type_.as_str()) == type_) else { continue };
        for (name, text) in [("reason", &known.reason), ("message", &known.message)] {
            if text.is_some() {
                condition.entry(name).or_insert(serde_json::Value::Null);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reason_that_holds_no_more_is_taken_back() {
        let before: Vec<PodCondition> = serde_json::from_value(json!([
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "[web]"},
            {"type": "Initialized", "status": "True"},
        ]))
        .unwrap();
        let mut status =
            json!({"conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}]});
        take_back_reasons(status.as_object_mut().unwrap(), &before);
        assert_eq!(
            status["conditions"],
            json!([
                {"type": "Ready", "status": "True", "reason": null, "message": null},
                {"type": "Initialized", "status": "True"},
            ])
        );
    }
}
