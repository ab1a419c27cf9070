//! HorizontalPodAutoscaler: as many replicas as the metrics ask for.
//!
//! Comes in: autoscalers, the scale of their targets, Pods, and what the metrics APIs say. Goes out: another number
//! in the target's scale, and in the autoscaler's status the numbers and the reasons. Each autoscaler is looked at
//! when its spec changes and every 15 seconds, on the queue; without autoscalers nothing runs. Metrics have no watch,
//! so this is the one loop that asks. Source: kube-controller-manager, pkg/controller/podautoscaler.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.
//!
//! The files: `target` (what is scaled), `readings` (what the metrics APIs say, asked through `answer`), `metric`
//! (one entry of `spec.metrics`), `replicas` (the calculation), `behavior` (limits and stabilization), `report`
//! (conditions and events), and here the order of it all.

mod answer;
mod behavior;
mod metric;
mod readings;
mod replicas;
mod report;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec};
use k8s_openapi::api::autoscaling::v2::{MetricSpec, MetricStatus};
use kube::Client;
use parking_lot::Mutex;

use self::behavior::{Limits, Memory};
use self::metric::{Site, Unknown};
use self::readings::Readings;
use self::replicas::{Tolerances, View};
use self::report::{ABLE, ACTIVE, LIMITED, Report, TO_ZERO};
use self::target::Target;
use super::plan::Plan;
use super::runner::{Executor, Room};
use crate::api::quantity::Quantity;
use crate::api::selector::LabelSelector;
use crate::client::views::PodView;
use crate::client::{Causes, Informer, ObjectKey, cause};
use crate::clock::Clock;

/// Source: --concurrent-horizontal-pod-autoscaler-syncs.
const WORKERS: usize = 5;
/// Source: --horizontal-pod-autoscaler-sync-period.
const PERIOD: Duration = Duration::from_secs(15);
/// Source: --horizontal-pod-autoscaler-tolerance.
const TOLERANCE: f64 = 0.1;
/// Source: horizontal.go, validateAndParseSelector: that many are named.
const NAMED: usize = 2;

const ABOVE: &str = "Current number of replicas above Spec.MaxReplicas";
const BELOW: &str = "Current number of replicas below Spec.MinReplicas";

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
    let known = Arc::new(Autoscalers { autoscalers, pods, client, clock, executor, kept: Mutex::default() });
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
    kept: Mutex<BTreeMap<ObjectKey, Kept>>,
}

/// What is known of an autoscaler from one look to the next.
#[derive(Default)]
struct Kept {
    memory: Memory,
    /// The Pods that its target had when last looked at.
    selector: Option<LabelSelector>,
}

/// A number, and why it should be that one.
struct Wish {
    replicas: i32,
    why: String,
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
        let now = self.clock.now();
        let mut report = Report::new(autoscaler, now);
        let spec = &autoscaler.spec;
        let mut target = match Target::find(client, &key.namespace, &spec.scale_target_ref).await {
            Ok(target) => target,
            Err(why) => {
                let message = format!("the HPA controller was unable to get the target's current scale: {why}");
                report.set(ABLE, false, "FailedGetScale", message);
                report.warn("FailedGetScale", why);
                return report.plan();
            }
        };
        report.set(ABLE, true, "SucceededGetScale", "the HPA controller was able to get the target's current scale");
        let current = target.wanted();
        self.kept.lock().entry(key.clone()).or_default().memory.begin(current, now);
        let limits = Limits {
            least: spec.min_replicas.unwrap_or(1),
            most: spec.max_replicas,
            behavior: spec.behavior.as_ref(),
            current,
            now,
        };
        let mut metrics = None;
        let wish = match course(spec, &limits, report.holds(TO_ZERO)) {
            Course::Off => {
                let message = "scaling is disabled since the replica count of the target is zero";
                report.set(ACTIVE, false, "ScalingDisabled", message);
                None
            }
            Course::Into(replicas, why) => Some(Wish { replicas, why: why.to_owned() }),
            Course::Measured => {
                let site = (key, client);
                match self.measure(spec, &target, site, &limits, &mut report, &mut metrics).await {
                    Ok((replicas, metric)) => Some(self.judge(replicas, &metric, key, &limits, &mut report)),
                    Err(why) => {
                        report.count(current, None, metrics);
                        report.warn("FailedComputeMetricsReplicas", why);
                        return report.plan();
                    }
                }
            }
        };
        match wish.filter(|wish| wish.replicas != current) {
            None => report.count(current, Some(current), metrics),
            Some(wish) => match target.rescale(client, wish.replicas, self.clock).await {
                Ok(()) => {
                    report.count(current, Some(wish.replicas), metrics);
                    rescaled(&mut report, spec, current, &wish);
                    if let Some(kept) = self.kept.lock().get_mut(key) {
                        kept.memory.changed(current, wish.replicas, &limits);
                    }
                }
                Err(why) => {
                    let Wish { replicas, why: reason } = wish;
                    report.warn("FailedRescale", format!("New size: {replicas}; reason: {reason}; error: {why}"));
                    let message = format!("the HPA controller was unable to update the target scale: {why}");
                    report.set(ABLE, false, "FailedUpdateScale", message);
                    report.count(current, None, metrics);
                }
            },
        }
        report.plan()
    }

    /// The most that a metric asks for, and which metric that is. Some may say nothing, as long as the others do not
    /// ask for less than there is.
    ///
    /// # Errors
    /// Why there is no number.
    async fn measure(
        &self,
        spec: &HorizontalPodAutoscalerSpec,
        target: &Target,
        (key, client): (&ObjectKey, &Client),
        limits: &Limits<'_>,
        report: &mut Report<'_>,
        metrics: &mut Option<Vec<MetricStatus>>,
    ) -> Result<(i32, String), String> {
        let selector = self.selector(target, report)?;
        let pods: Vec<_> = self.pods.in_namespace(&key.namespace);
        let pods: Vec<_> = pods.into_iter().filter(|pod| selects(&selector, pod)).collect();
        self.alone(key, target.selector(), &selector, &pods, report)?;
        let tolerances = tolerances(spec);
        let site = Site {
            readings: Readings { client, namespace: &key.namespace },
            view: View { pods: &pods, current: limits.current, tolerances, now: limits.now },
            selector: &selector,
            running: target.running(),
        };
        let specs: &[MetricSpec] = spec.metrics.as_deref().unwrap_or_default();
        let (mut most, mut name, mut unknown) = (0, String::new(), Vec::new());
        let statuses = metrics.insert(Vec::new());
        for spec in specs {
            match site.propose(spec).await {
                Ok(proposal) => {
                    if most == 0 || proposal.replicas > most {
                        (most, name) = (proposal.replicas, proposal.name);
                    }
                    statuses.push(proposal.status);
                }
                Err(why) => {
                    report.warn(why.reason, why.words.clone());
                    unknown.push(why);
                    statuses.push(MetricStatus::default());
                }
            }
        }
        if let Some(Unknown { reason, words, among_others }) = unknown.first()
            && (unknown.len() == specs.len() || most < limits.current)
        {
            let message = format!("the HPA was unable to compute the replica count: {words}");
            report.set(ACTIVE, false, reason, message);
            let (count, all) = (unknown.len(), specs.len());
            return Err(format!("invalid metrics ({count} invalid out of {all}), first error is: {among_others}"));
        }
        let message = format!("the HPA was able to successfully calculate a replica count from {name}");
        report.set(ACTIVE, true, "ValidMetricFound", message);
        Ok((most, name))
    }

    /// Which Pods the target's are.
    fn selector(&self, target: &Target, report: &mut Report<'_>) -> Result<LabelSelector, String> {
        if target.selector().is_empty() {
            let words = "selector is required";
            report.warn("SelectorRequired", words);
            report.set(ACTIVE, false, "InvalidSelector", "the HPA target's scale is missing a selector");
            return Err(words.into());
        }
        LabelSelector::parse(target.selector()).map_err(|error| {
            let words = format!("couldn't convert selector into a corresponding internal selector object: {}", error.0);
            report.warn("InvalidSelector", words.clone());
            report.set(ACTIVE, false, "InvalidSelector", words.clone());
            words
        })
    }

    /// No other autoscaler has these Pods.
    fn alone(
        &self,
        key: &ObjectKey,
        text: &str,
        selector: &LabelSelector,
        pods: &[Arc<PodView>],
        report: &mut Report<'_>,
    ) -> Result<(), String> {
        let mut kept = self.kept.lock();
        kept.entry(key.clone()).or_default().selector = Some(selector.clone());
        let here = kept.iter().filter(|(other, _)| other.namespace == key.namespace);
        let has = |kept: &Kept| kept.selector.as_ref().is_some_and(|own| pods.iter().any(|pod| selects(own, pod)));
        let named: Vec<_> = here.filter(|(_, kept)| has(kept)).map(|(key, _)| key.to_string()).take(NAMED).collect();
        if named.len() < NAMED {
            return Ok(());
        }
        let named = named.join(" ");
        let words = format!("pods by selector {text} are controlled by more than one HPA (e.g. [{named}])");
        report.warn("AmbiguousSelector", words.clone());
        report.set(ACTIVE, false, "AmbiguousSelector", words.clone());
        Err(words)
    }

    /// What becomes of the number that the metrics ask for.
    fn judge(
        &self,
        proposal: i32,
        metric: &str,
        key: &ObjectKey,
        limits: &Limits<'_>,
        report: &mut Report<'_>,
    ) -> Wish {
        let judgement = self.kept.lock().entry(key.clone()).or_default().memory.judge(proposal, limits);
        report.set(ABLE, true, judgement.able.0, judgement.able.1);
        report.set(LIMITED, judgement.limited, judgement.limit.0, judgement.limit.1);
        let current = limits.current;
        let why = match proposal {
            more if more > current => format!("{metric} above target"),
            less if less < current => "All metrics below target".into(),
            _ => String::new(),
        };
        // What was scaled to nothing comes back with the number that is now the least.
        let back = current == 0 && report.holds(TO_ZERO) && judgement.replicas < limits.least;
        if back {
            let why = if why.is_empty() { BELOW.into() } else { why };
            return Wish { replicas: limits.least, why };
        }
        Wish { replicas: judgement.replicas, why }
    }
}

/// What the number of replicas alone says.
#[derive(Debug, PartialEq, Eq)]
enum Course {
    /// Somebody has set it to nothing.
    Off,
    /// It is beyond a limit: back to that, and the reason.
    Into(i32, &'static str),
    /// The metrics decide.
    Measured,
}

fn course(spec: &HorizontalPodAutoscalerSpec, limits: &Limits<'_>, scaled_to_zero: bool) -> Course {
    let current = limits.current;
    if current == 0 {
        // Only a metric that is not the Pods' own can tell that some are needed again.
        let comes_back = scaled_to_zero && (limits.least != 0 || outside(spec));
        return if comes_back { Course::Measured } else { Course::Off };
    }
    if current > limits.most {
        Course::Into(limits.most, ABOVE)
    } else if current < limits.least {
        Course::Into(limits.least, BELOW)
    } else {
        Course::Measured
    }
}

/// Whether a metric is measured elsewhere than in the Pods.
fn outside(spec: &HorizontalPodAutoscalerSpec) -> bool {
    spec.metrics.iter().flatten().any(|metric| metric.type_ == "Object" || metric.type_ == "External")
}

fn rescaled(report: &mut Report<'_>, spec: &HorizontalPodAutoscalerSpec, current: i32, wish: &Wish) {
    let Wish { replicas, why } = wish;
    report.rescaled();
    report.say("SuccessfulRescale", format!("New size: {replicas}; reason: {why}"));
    let message = format!("the HPA controller was able to update the target scale to {replicas}");
    report.set(ABLE, true, "SucceededRescale", message);
    if current > 0 && *replicas == 0 && spec.min_replicas == Some(0) && outside(spec) {
        report.set(TO_ZERO, true, "ScaledToZero", "the HPA controller scaled the workload to zero");
    } else {
        report.set(TO_ZERO, false, "NotScaledToZero", "the HPA controller did not scale the workload to zero");
    }
}

fn tolerances(spec: &HorizontalPodAutoscalerSpec) -> Tolerances {
    let of = |rules: Option<&HPAScalingRules>| {
        let own = rules.and_then(|rules| rules.tolerance.as_ref());
        own.and_then(|own| Quantity::parse(&own.0).ok()).map_or(TOLERANCE, |own| own.as_f64())
    };
    let behavior = spec.behavior.as_ref();
    let (down, up) = behavior.map_or((None, None), |it| (it.scale_down.as_ref(), it.scale_up.as_ref()));
    Tolerances { down: of(down), up: of(up) }
}

fn selects(selector: &LabelSelector, pod: &PodView) -> bool {
    let labels = pod.metadata.labels.as_ref();
    selector.matches_with(|name| labels?.get(name).map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::{Value, json};

    fn spec(least: i32, metric: &str, behavior: Value) -> HorizontalPodAutoscalerSpec {
        let value = json!({ "scaleTargetRef": { "kind": "Deployment", "name": "web" }, "minReplicas": least,
            "maxReplicas": 5, "metrics": [{ "type": metric }], "behavior": behavior });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_number_alone_decides_first() {
        // least, metric, was it us, current → what comes.
        for (least, metric, us, current, expected) in [
            (1, "Resource", false, 3, Course::Measured),
            (1, "Resource", false, 0, Course::Off),
            (2, "Resource", false, 1, Course::Into(2, BELOW)),
            (2, "Resource", false, 6, Course::Into(5, ABOVE)),
            (0, "External", false, 0, Course::Off),
            (0, "External", true, 0, Course::Measured),
            (0, "Resource", true, 0, Course::Off),
            (1, "Resource", true, 0, Course::Measured),
        ] {
            let spec = spec(least, metric, Value::Null);
            let limits = Limits { least, most: 5, behavior: None, current, now: Timestamp::UNIX_EPOCH };
            assert_eq!(course(&spec, &limits, us), expected, "{least} {metric} {us} {current}");
        }
    }

    #[test]
    fn each_direction_may_have_its_tolerance() {
        for (behavior, down, up) in [
            (Value::Null, 0.1, 0.1),
            (json!({ "scaleUp": { "tolerance": "0" } }), 0.1, 0.0),
            (json!({ "scaleUp": { "tolerance": "50m" }, "scaleDown": { "tolerance": "0.2" } }), 0.2, 0.05),
        ] {
            assert_eq!(tolerances(&spec(1, "Resource", behavior)), Tolerances { down, up });
        }
    }
}
