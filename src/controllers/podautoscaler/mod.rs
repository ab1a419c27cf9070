//! HorizontalPodAutoscaler: as many replicas as the metrics ask for.
//!
//! Comes in: autoscalers, the scale of their targets, Pods, and what the metrics APIs say. Goes out: another number
//! in the target's scale, and in the autoscaler's status the numbers and the reasons. Each autoscaler is looked at
//! when its spec changes and every 15 seconds, on the queue; without autoscalers nothing runs. Metrics have no watch,
//! so this is the one loop that asks. Source: kube-controller-manager, pkg/controller/podautoscaler.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.
//!
//! The files: `target` (what is scaled), `look` (one look, in order), `metric` (one entry of `spec.metrics`),
//! `readings` (what the metrics APIs say, asked through `answer`), `replicas` (the calculation), `behavior` (limits
//! and stabilization), `report` (conditions and events), and here when it is looked.

mod answer;
mod behavior;
mod look;
mod metric;
mod readings;
mod replicas;
mod report;
mod target;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Client;

use self::behavior::Limits;
use self::look::{Kept, Look};
use self::report::{ABLE, Report};
use self::target::Target;
use super::plan::Plan;
use super::runner::{Executor, Room};
use crate::client::views::PodView;
use crate::client::{Causes, Informer, ObjectKey, cause};
use crate::clock::Clock;

/// Source: --concurrent-horizontal-pod-autoscaler-syncs.
const WORKERS: usize = 5;
/// Source: --horizontal-pod-autoscaler-sync-period.
const PERIOD: Duration = Duration::from_secs(15);

/// Starts the loop.
pub fn start(room: Room) {
    let (autoscalers, pods) = (room.informer::<HorizontalPodAutoscaler>(), room.informer::<PodView>());
    let queue = room.queue.clone();
    autoscalers.subscribe(move |change| {
        let meta = &change.object().metadata;
        // A change of the status alone is the loop's own, most often: it waits for its turn.
        if change.old().is_none_or(|old| old.metadata.generation != meta.generation) {
            queue.add(ObjectKey::of(meta), &Causes::of(meta));
        }
    });
    let executor = Executor {
        client: room.client.clone(),
        informers: room.informers.clone(),
        clock: room.clock,
        recorder: room.recorder.clone(),
    };
    let (client, clock) = (room.client.clone(), room.clock);
    let known = Arc::new(Autoscalers { autoscalers, pods, client, clock, executor, kept: Kept::default() });
    room.run_async("horizontal-pod-autoscaler-controller", WORKERS, move |key, causes| {
        let known = known.clone();
        async move { Ok(known.look(&key, &causes).await) }
    });
}

/// What the workers share.
struct Autoscalers {
    autoscalers: Informer<HorizontalPodAutoscaler>,
    pods: Informer<PodView>,
    client: Client,
    clock: Clock,
    executor: Executor,
    kept: Kept,
}

impl Autoscalers {
    /// One look. Whatever it finds, the next is in 15 seconds, unless the autoscaler is gone.
    async fn look(&self, key: &ObjectKey, causes: &Causes) -> Option<Duration> {
        let Some(autoscaler) = self.autoscalers.get(key) else {
            self.kept.lock().remove(key);
            return None;
        };
        let client = cause::with(&self.client, causes);
        let plan = self.reconcile(&autoscaler, key, &client).await;
        if let Err(failure) = self.executor.carry_out(plan, causes).await {
            tracing::debug!(%key, ?failure, "an autoscaler's status was not written");
        }
        Some(PERIOD)
    }

    async fn reconcile(&self, autoscaler: &HorizontalPodAutoscaler, key: &ObjectKey, client: &Client) -> Plan {
        let (now, spec) = (self.clock.now(), &autoscaler.spec);
        let mut report = Report::new(autoscaler, now);
        let target = match Target::find(client, &key.namespace, &spec.scale_target_ref).await {
            Ok(target) => target,
            Err(why) => {
                let message = format!("the HPA controller was unable to get the target's current scale: {why}");
                report.set(ABLE, false, "FailedGetScale", message);
                report.warn("FailedGetScale", why);
                return report.plan();
            }
        };
        let message = "the HPA controller was able to get the target's current scale";
        report.set(ABLE, true, "SucceededGetScale", message);
        let limits = Limits {
            least: spec.min_replicas.unwrap_or(1),
            most: spec.max_replicas,
            behavior: spec.behavior.as_ref(),
            current: target.wanted(),
            now,
        };
        let (pods, kept) = (self.pods.in_namespace(&key.namespace), &self.kept);
        Look { key, spec, limits, pods, kept, client, report }.run(target, self.clock).await.plan()
    }
}
