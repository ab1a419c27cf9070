//! One look at one autoscaler whose target is found: what the number should be, and why.
//!
//! Comes in: the autoscaler, its target's scale, what is kept of earlier looks. Goes out: another number for the
//! target, and a report. First the number alone decides (nothing, beyond a limit), then the metrics, then limits and
//! stabilization. Source: kube-controller-manager, pkg/controller/podautoscaler/horizontal.go.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscalerSpec, MetricSpec, MetricStatus};
use kube::Client;
use parking_lot::Mutex;

use super::behavior::{Limits, Memory};
use super::metric::{Proposal, Site, Unknown};
use super::readings::Readings;
use super::replicas::{Tolerances, View};
use super::report::{ABLE, ACTIVE, LIMITED, Report, TO_ZERO};
use super::target::Target;
use crate::api::quantity::Quantity;
use crate::api::selector::LabelSelector;
use crate::client::ObjectKey;
use crate::client::views::PodView;
use crate::clock::Clock;

/// Source: --horizontal-pod-autoscaler-tolerance.
const TOLERANCE: f64 = 0.1;
/// Source: horizontal.go, validateAndParseSelector: that many are named.
const NAMED: usize = 2;

const ABOVE: &str = "Current number of replicas above Spec.MaxReplicas";
const BELOW: &str = "Current number of replicas below Spec.MinReplicas";

/// What is kept of each autoscaler from one look to the next.
pub type Kept = Mutex<BTreeMap<ObjectKey, Known>>;

/// What is kept of one autoscaler.
#[derive(Default)]
pub struct Known {
    memory: Memory,
    /// The Pods that its target had when last looked at.
    selector: Option<LabelSelector>,
}

/// One look.
pub struct Look<'a> {
    /// Which autoscaler.
    pub key: &'a ObjectKey,
    /// What it asks for.
    pub spec: &'a HorizontalPodAutoscalerSpec,
    /// Its limits, the number of replicas asked for now, and the time.
    pub limits: Limits<'a>,
    /// The Pods of its namespace.
    pub pods: Vec<Arc<PodView>>,
    /// What is kept of all autoscalers.
    pub kept: &'a Kept,
    /// Reads and writes as the loop's own user.
    pub client: &'a Client,
    /// What is found.
    pub report: Report<'a>,
}

/// A number, and why it should be that one.
struct Wish {
    replicas: i32,
    why: String,
}

/// How the metrics stand; nothing when they were not asked.
type Metrics = Option<Vec<MetricStatus>>;

impl<'a> Look<'a> {
    /// Looks, and scales the target if that is what comes of it.
    pub async fn run(mut self, target: Target, clock: Clock) -> Report<'a> {
        let current = self.limits.current;
        self.known(|known, limits| known.memory.begin(current, limits.now));
        let mut metrics = None;
        let wish = match course(self.spec, &self.limits, self.report.holds(TO_ZERO)) {
            Course::Off => {
                let message = "scaling is disabled since the replica count of the target is zero";
                self.report.set(ACTIVE, false, "ScalingDisabled", message);
                None
            }
            Course::Into(replicas, why) => Some(Wish { replicas, why: why.to_owned() }),
            Course::Measured => match self.measure(&target, &mut metrics).await {
                Ok((proposal, metric)) => Some(self.judge(proposal, &metric)),
                Err(why) => {
                    self.report.count(current, None, metrics);
                    self.report.warn("FailedComputeMetricsReplicas", why);
                    return self.report;
                }
            },
        };
        match wish.filter(|wish| wish.replicas != current) {
            Some(wish) => self.scale(target, &wish, metrics, clock).await,
            None => self.report.count(current, Some(current), metrics),
        }
        self.report
    }

    /// What is kept of this autoscaler.
    fn known<T>(&self, with: impl FnOnce(&mut Known, &Limits<'_>) -> T) -> T {
        with(self.kept.lock().entry(self.key.clone()).or_default(), &self.limits)
    }

    /// The most that a metric asks for, and which metric that is. Some may say nothing, as long as the others do not
    /// ask for less than there is.
    ///
    /// # Errors
    /// Why there is no number.
    async fn measure(&mut self, target: &Target, metrics: &mut Metrics) -> Result<(i32, String), String> {
        let selector = self.selector(target)?;
        self.pods.retain(|pod| selects(&selector, pod));
        self.alone(&selector)?;
        let site = Site {
            readings: Readings { client: self.client, namespace: &self.key.namespace },
            view: View {
                pods: &self.pods,
                current: self.limits.current,
                tolerances: tolerances(self.spec),
                now: self.limits.now,
            },
            selector: &selector,
            running: target.running(),
        };
        let specs: &[MetricSpec] = self.spec.metrics.as_deref().unwrap_or_default();
        let (mut most, mut name, mut unknown) = (0, String::new(), Vec::new());
        let statuses = metrics.insert(Vec::new());
        for spec in specs {
            match site.propose(spec).await {
                Ok(Proposal { replicas, name: metric, status }) => {
                    if most == 0 || replicas > most {
                        (most, name) = (replicas, metric);
                    }
                    statuses.push(status);
                }
                Err(why) => {
                    self.report.warn(why.reason, why.words.clone());
                    unknown.push(why);
                    statuses.push(MetricStatus::default());
                }
            }
        }
        if let Some(Unknown { reason, words, among_others }) = unknown.first()
            && (unknown.len() == specs.len() || most < self.limits.current)
        {
            let message = format!("the HPA was unable to compute the replica count: {words}");
            self.report.set(ACTIVE, false, reason, message);
            let (count, all) = (unknown.len(), specs.len());
            return Err(format!("invalid metrics ({count} invalid out of {all}), first error is: {among_others}"));
        }
        let message = format!("the HPA was able to successfully calculate a replica count from {name}");
        self.report.set(ACTIVE, true, "ValidMetricFound", message);
        Ok((most, name))
    }

    /// Which Pods the target's are.
    fn selector(&mut self, target: &Target) -> Result<LabelSelector, String> {
        target.selector().cloned().ok_or_else(|| {
            let words = "selector is required";
            self.report.warn("SelectorRequired", words);
            self.report.set(ACTIVE, false, "InvalidSelector", "the HPA target's scale is missing a selector");
            words.into()
        })
    }

    /// No other autoscaler has these Pods.
    fn alone(&mut self, selector: &LabelSelector) -> Result<(), String> {
        self.known(|known, _| known.selector = Some(selector.clone()));
        let has = |own: &LabelSelector| self.pods.iter().any(|pod| selects(own, pod));
        let named: Vec<_> = {
            let kept = self.kept.lock();
            let here = kept.iter().filter(|(other, _)| other.namespace == self.key.namespace);
            let these = here.filter(|(_, known)| known.selector.as_ref().is_some_and(has));
            these.map(|(key, _)| key.to_string()).take(NAMED).collect()
        };
        if named.len() < NAMED {
            return Ok(());
        }
        let named = named.join(" ");
        let words = format!("pods by selector {selector} are controlled by more than one HPA (e.g. [{named}])");
        self.report.warn("AmbiguousSelector", words.clone());
        self.report.set(ACTIVE, false, "AmbiguousSelector", words.clone());
        Err(words)
    }

    /// What becomes of the number that the metrics ask for.
    fn judge(&mut self, proposal: i32, metric: &str) -> Wish {
        let judgement = self.known(|known, limits| known.memory.judge(proposal, limits));
        self.report.set(ABLE, true, judgement.able.0, judgement.able.1);
        self.report.set(LIMITED, judgement.limited, judgement.limit.0, judgement.limit.1);
        let Limits { current, least, .. } = self.limits;
        let why = match proposal {
            more if more > current => format!("{metric} above target"),
            less if less < current => "All metrics below target".into(),
            _ => String::new(),
        };
        // What was scaled to nothing comes back with the number that is now the least.
        if current == 0 && self.report.holds(TO_ZERO) && judgement.replicas < least {
            let why = if why.is_empty() { BELOW.into() } else { why };
            return Wish { replicas: least, why };
        }
        Wish { replicas: judgement.replicas, why }
    }

    /// Asks the target for another number.
    async fn scale(&mut self, mut target: Target, wish: &Wish, metrics: Metrics, clock: Clock) {
        let (current, Wish { replicas, why }) = (self.limits.current, wish);
        if let Err(error) = target.rescale(self.client, *replicas, clock).await {
            self.report.warn("FailedRescale", format!("New size: {replicas}; reason: {why}; error: {error}"));
            let message = format!("the HPA controller was unable to update the target scale: {error}");
            self.report.set(ABLE, false, "FailedUpdateScale", message);
            self.report.count(current, None, metrics);
            return;
        }
        self.known(|known, limits| known.memory.changed(current, *replicas, limits));
        self.report.count(current, Some(*replicas), metrics);
        self.report.rescaled();
        self.report.say("SuccessfulRescale", format!("New size: {replicas}; reason: {why}"));
        let message = format!("the HPA controller was able to update the target scale to {replicas}");
        self.report.set(ABLE, true, "SucceededRescale", message);
        let to_zero = current > 0 && *replicas == 0 && self.limits.least == 0 && outside(self.spec);
        let (reason, message) = if to_zero {
            ("ScaledToZero", "the HPA controller scaled the workload to zero")
        } else {
            ("NotScaledToZero", "the HPA controller did not scale the workload to zero")
        };
        self.report.set(TO_ZERO, to_zero, reason, message);
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
