//! How many replicas a metric asks for: `ceil(replicas × measured / wanted)`, with care. Pure.
//!
//! Comes in: samples, Pods, a target. Goes out: a number of replicas, and the usage that it comes from. The care
//! is about what is not known: a Pod without a sample counts against the change (as fully used when the others ask
//! for less, as idle when they ask for more), so does one that is not ready yet; and a ratio close to 1 changes
//! nothing. Source: kube-controller-manager, pkg/controller/podautoscaler/replica_calculator.go.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::readings::{Sample, Samples, millis};
use crate::client::views::{ContainerView, PodView};

/// Source: --horizontal-pod-autoscaler-cpu-initialization-period.
const CPU_INITIALIZATION: SignedDuration = SignedDuration::from_secs(300);
/// Source: --horizontal-pod-autoscaler-initial-readiness-delay.
const READINESS_DELAY: SignedDuration = SignedDuration::from_secs(30);
const NO_PODS: &str = "no pods returned by selector while calculating replica count";

/// How far from 1 a ratio may be without a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerances {
    /// Below 1.
    pub down: f64,
    /// Above 1.
    pub up: f64,
}

impl Tolerances {
    fn cover(self, ratio: f64) -> bool {
        (1.0 - self.down..=1.0 + self.up).contains(&ratio)
    }
}

/// What a calculation looks at, besides the metric.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The Pods of the target, finished and leaving ones among them.
    pub pods: &'a [Arc<PodView>],
    /// How many replicas are asked for now.
    pub current: i32,
    /// When a ratio changes nothing.
    pub tolerances: Tolerances,
    /// The time.
    pub now: Timestamp,
}

/// What each Pod should use.
#[derive(Clone, Copy, Debug)]
pub enum Goal<'a> {
    /// This share, in percent, of what it requests of a resource.
    Utilization {
        /// `cpu`, `memory`.
        resource: &'a str,
        /// The container that is meant; empty for the whole Pod.
        container: &'a str,
        /// 80 for 80 %.
        percent: i32,
    },
    /// This much of a resource, in thousandths.
    Usage {
        /// `cpu`, `memory`; empty for a custom metric.
        resource: &'a str,
        /// In thousandths.
        value: i64,
    },
}

/// What the Pods use, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Used by wanted.
    ratio: f64,
    /// In percent of what is requested, for a goal of utilization.
    pub percent: Option<i32>,
    /// In thousandths.
    pub value: i64,
}

/// The replicas that samples of the Pods ask for.
///
/// # Errors
/// There is nothing to calculate with.
pub fn by_samples(goal: Goal<'_>, mut samples: Samples, view: &View<'_>) -> Result<(i32, Usage), String> {
    if view.pods.is_empty() {
        return Err(NO_PODS.into());
    }
    let groups = Groups::of(view, &samples, goal.resource());
    samples.retain(|pod, _| !groups.ignored.contains(pod.as_str()) && !groups.unready.contains(pod.as_str()));
    if samples.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".into());
    }
    let requests = goal.requests(view.pods)?;
    let usage = goal.usage(&samples, &requests)?;
    let up_with_unready = !groups.unready.is_empty() && usage.ratio > 1.0;
    if !up_with_unready && groups.missing.is_empty() {
        let replicas = if view.tolerances.cover(usage.ratio) { view.current } else { times(usage.ratio, groups.ready) };
        return Ok((replicas, usage));
    }
    let mut assume = |pod: &str, value: i64| {
        let unknown = Sample { at: Timestamp::MIN, window: SignedDuration::ZERO, value };
        samples.insert(pod.to_owned(), unknown);
    };
    for pod in &groups.missing {
        if usage.ratio < 1.0 {
            assume(pod, goal.full(pod, &requests));
        } else if usage.ratio > 1.0 {
            assume(pod, 0);
        }
    }
    if up_with_unready {
        groups.unready.iter().for_each(|pod| assume(pod, 0));
    }
    let ratio = goal.usage(&samples, &requests)?.ratio;
    let replicas = times(ratio, samples.len());
    let turned = (usage.ratio < 1.0 && ratio > 1.0) || (usage.ratio > 1.0 && ratio < 1.0);
    let backwards = (ratio < 1.0 && replicas > view.current) || (ratio > 1.0 && replicas < view.current);
    let stays = view.tolerances.cover(ratio) || turned || backwards;
    Ok((if stays { view.current } else { replicas }, usage))
}

/// The replicas that one value for all of them asks for. From none, the ratio itself is the number.
///
/// # Errors
/// There are no Pods.
pub fn by_value(used: i64, wanted: i64, view: &View<'_>) -> Result<i32, String> {
    let ratio = used as f64 / wanted as f64;
    if view.current == 0 {
        return Ok(times(ratio, 1));
    }
    if view.tolerances.cover(ratio) {
        return Ok(view.current);
    }
    if view.pods.is_empty() {
        return Err(format!("unable to calculate ready pods: {NO_PODS}"));
    }
    let runs = |pod: &&Arc<PodView>| pod.status.phase.as_deref() == Some("Running") && pod.is_ready();
    Ok(times(ratio, view.pods.iter().filter(runs).count()))
}

/// The replicas among which a value is to be shared, and each one's share now; `running` is how many there are.
pub fn by_share(used: i64, wanted: i64, running: i32, tolerances: Tolerances) -> (i32, i64) {
    let ratio = used as f64 / (wanted as f64 * f64::from(running));
    let replicas = if tolerances.cover(ratio) { running } else { times(used as f64 / wanted as f64, 1) };
    (replicas, (used as f64 / f64::from(running)).ceil() as i64)
}

/// Rounded up; the largest number there is, when it is beyond that.
fn times(ratio: f64, replicas: usize) -> i32 {
    (ratio * replicas as f64).ceil() as i32
}

impl Goal<'_> {
    fn resource(&self) -> &str {
        match self {
            Goal::Utilization { resource, .. } | Goal::Usage { resource, .. } => resource,
        }
    }

    /// What each Pod requests, in thousandths, where that counts.
    fn requests<'a>(&self, pods: &'a [Arc<PodView>]) -> Result<BTreeMap<&'a str, i64>, String> {
        match *self {
            Goal::Utilization { resource, container, .. } => {
                pods.iter().map(|pod| Ok((name(pod), request(pod, container, resource)?))).collect()
            }
            Goal::Usage { .. } => Ok(BTreeMap::new()),
        }
    }

    fn usage(&self, samples: &Samples, requests: &BTreeMap<&str, i64>) -> Result<Usage, String> {
        match *self {
            Goal::Utilization { percent: wanted, .. } => {
                let known =
                    samples.iter().filter_map(|(pod, sample)| Some((sample.value, requests.get(pod.as_str())?)));
                let (mut used, mut requested, mut count) = (0i64, 0, 0);
                for (value, request) in known {
                    (used, requested, count) = (used + value, requested + request, count + 1);
                }
                if requested == 0 {
                    return Err("no metrics returned matched known pods".into());
                }
                let percent = (used.saturating_mul(100) / requested) as i32;
                let ratio = f64::from(percent) / f64::from(wanted);
                Ok(Usage { ratio, percent: Some(percent), value: used / count })
            }
            Goal::Usage { value: wanted, .. } => {
                let value = samples.values().map(|sample| sample.value).sum::<i64>() / samples.len() as i64;
                Ok(Usage { ratio: value as f64 / wanted as f64, percent: None, value })
            }
        }
    }

    /// What a Pod without a sample is taken to use when the others ask for less.
    fn full(&self, pod: &str, requests: &BTreeMap<&str, i64>) -> i64 {
        match *self {
            Goal::Utilization { percent, .. } => {
                requests.get(pod).copied().unwrap_or_default() * i64::from(percent.max(100)) / 100
            }
            Goal::Usage { value, .. } => value,
        }
    }
}

/// The Pods by what their samples are worth.
#[derive(Default)]
struct Groups<'a> {
    ready: usize,
    /// Starting: what they use says nothing yet.
    unready: BTreeSet<&'a str>,
    /// Running, without a sample.
    missing: BTreeSet<&'a str>,
    /// Failed, or leaving.
    ignored: BTreeSet<&'a str>,
}

impl<'a> Groups<'a> {
    fn of(view: &View<'a>, samples: &Samples, resource: &str) -> Self {
        let mut groups = Groups::default();
        for pod in view.pods {
            let (name, phase) = (name(pod), pod.status.phase.as_deref());
            let sample = samples.get(name);
            if pod.metadata.deletion_timestamp.is_some() || phase == Some("Failed") {
                groups.ignored.insert(name);
            } else if phase == Some("Pending") {
                groups.unready.insert(name);
            } else if let Some(sample) = sample {
                if resource == "cpu" && starts(pod, sample, view.now) {
                    groups.unready.insert(name);
                } else {
                    groups.ready += 1;
                }
            } else {
                groups.missing.insert(name);
            }
        }
        groups
    }
}

/// Whether a sample of cpu is that of a program that still starts.
fn starts(pod: &PodView, sample: &Sample, now: Timestamp) -> bool {
    let (Some(ready), Some(started)) = (pod.condition("Ready"), &pod.status.start_time) else { return true };
    let changed = ready.last_transition_time.as_ref().map_or(Timestamp::MIN, |time| time.0);
    let after = |time: Timestamp, wait| time.saturating_add(wait).unwrap_or(Timestamp::MAX);
    let unready = ready.status == "False";
    if after(started.0, CPU_INITIALIZATION) > now {
        unready || sample.at < after(changed, sample.window)
    } else {
        // It has never been ready.
        unready && after(started.0, READINESS_DELAY) > changed
    }
}

/// What a Pod, or one container of it, requests of a resource.
fn request(pod: &PodView, container: &str, resource: &str) -> Result<i64, String> {
    let of_pod = pod.spec.resources.as_ref().map(|resources| &resources.requests);
    let at_pod_level = |name: &String| name == "cpu" || name == "memory" || name.starts_with("hugepages-");
    if let Some(requests) = of_pod.filter(|requests| container.is_empty() && requests.keys().any(at_pod_level)) {
        let missing = || format!("missing pod-level request for {resource} in Pod {}", name(pod));
        return requests.get(resource).map(millis).ok_or_else(missing);
    }
    let always = |one: &&ContainerView| one.restart_policy.as_deref() == Some("Always");
    let all = pod.spec.containers.iter().chain(pod.spec.init_containers.iter().filter(always));
    let meant: Vec<_> = all.filter(|one| container.is_empty() || one.name == container).collect();
    if meant.is_empty() && !container.is_empty() {
        return Err(format!("container {container} not found in Pod {}", name(pod)));
    }
    let of = |one: &&ContainerView| {
        let missing = || format!("missing request for {resource} in container {} of Pod {}", one.name, name(pod));
        one.resources.requests.get(resource).map(millis).ok_or_else(missing)
    };
    meant.iter().map(of).sum()
}

fn name(pod: &PodView) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests;
