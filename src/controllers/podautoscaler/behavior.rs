//! From the number that the metrics ask for to the number that is asked of the target. Pure.
//!
//! Comes in: a proposal, the limits, what was proposed and done of late. Goes out: the number, and in Kubernetes'
//! words what held it back. Two things do: stabilization (the largest recent proposal counts on the way down, so
//! that a short dip takes nothing away) and rates (so many, or so much, in a period). Without `behavior` the rules
//! are those from before it existed: 5 minutes of stabilization down, at most doubling (or 4) up at a time. Source:
//! kube-controller-manager, pkg/controller/podautoscaler/horizontal.go.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerBehavior};

/// Source: --horizontal-pod-autoscaler-downscale-stabilization.
const DOWN_WINDOW: i32 = 300;
/// Source: horizontal.go, scaleUpLimitFactor and scaleUpLimitMinimum.
const UP_FACTOR: i32 = 2;
const UP_LEAST: i32 = 4;

/// What an autoscaler has proposed and done. A restart forgets it, here as in Kubernetes: the number of replicas
/// found then is the first proposal.
///
/// Limit: what is older than the longest window (an hour at most) is dropped.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    proposed: Vec<(Timestamp, i32)>,
    /// By how much, up.
    grown: Vec<(Timestamp, i32)>,
    /// By how much, down.
    shrunk: Vec<(Timestamp, i32)>,
}

/// What counts, besides the proposal.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// `spec.minReplicas`.
    pub least: i32,
    /// `spec.maxReplicas`.
    pub most: i32,
    /// `spec.behavior`.
    pub behavior: Option<&'a HorizontalPodAutoscalerBehavior>,
    /// How many are asked for now.
    pub current: i32,
    /// The time.
    pub now: Timestamp,
}

/// A reason and its sentence.
pub type Words = (&'static str, &'static str);

/// The number, and why it is that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What to ask for.
    pub replicas: i32,
    /// Of the condition `AbleToScale`.
    pub able: Words,
    /// Whether limits changed the number: the status of the condition `ScalingLimited`.
    pub limited: bool,
    /// Of the condition `ScalingLimited`.
    pub limit: Words,
}

const READY: Words = ("ReadyForNewScale", "recommended size matches current size");
const STABLE_UP: Words = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const STABLE_DOWN: Words = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const WITHIN: Words = ("DesiredWithinRange", "the desired count is within the acceptable range");
const TOO_MANY: Words = ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const TOO_FEW: Words = ("TooFewReplicas", "the desired replica count is less than the minimum replica count");
const FAST_UP: Words = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const FAST_DOWN: Words =
    ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");

impl Memory {
    /// Notes the number of replicas found first.
    pub fn begin(&mut self, replicas: i32, now: Timestamp) {
        if self.proposed.is_empty() {
            self.proposed.push((now, replicas));
        }
    }

    /// Notes a change that was made.
    pub fn changed(&mut self, from: i32, to: i32, limits: &Limits<'_>) {
        let Some(behavior) = limits.behavior else { return };
        let (rules, events) =
            if to > from { (&behavior.scale_up, &mut self.grown) } else { (&behavior.scale_down, &mut self.shrunk) };
        let longest = policies(rules.as_ref()).iter().map(|policy| policy.period_seconds).max().unwrap_or_default();
        let old = before(limits.now, longest);
        events.retain(|(at, _)| *at >= old);
        events.push((limits.now, (to - from).abs()));
    }

    /// What becomes of a proposal, which is noted.
    pub fn judge(&mut self, proposal: i32, limits: &Limits<'_>) -> Judgement {
        let (stable, held) = match limits.behavior {
            None => self.hold(proposal, limits),
            Some(behavior) => self.hold_as_told(proposal, behavior, limits),
        };
        let able = if stable == proposal { READY } else { held };
        let (replicas, limit) = match limits.behavior {
            None => bound(stable, limits),
            Some(behavior) => self.bound_as_told(stable, behavior, limits),
        };
        Judgement { replicas, able, limited: replicas != stable, limit }
    }

    /// The largest proposal of the last five minutes.
    fn hold(&mut self, proposal: i32, limits: &Limits<'_>) -> (i32, Words) {
        let old = before(limits.now, DOWN_WINDOW);
        self.proposed.retain(|(at, _)| *at >= old);
        let largest = self.proposed.iter().map(|(_, replicas)| *replicas).fold(proposal, i32::max);
        self.proposed.push((limits.now, proposal));
        (largest, STABLE_DOWN)
    }

    /// The current number, moved up to the smallest proposal of one window, and down to the largest of the other.
    fn hold_as_told(
        &mut self,
        proposal: i32,
        behavior: &HorizontalPodAutoscalerBehavior,
        limits: &Limits<'_>,
    ) -> (i32, Words) {
        let window = |rules: &Option<HPAScalingRules>, usual: i32| {
            rules.as_ref().and_then(|rules| rules.stabilization_window_seconds).unwrap_or(usual)
        };
        let up = before(limits.now, window(&behavior.scale_up, 0));
        let down = before(limits.now, window(&behavior.scale_down, DOWN_WINDOW));
        self.proposed.retain(|(at, _)| *at >= up.min(down));
        let since =
            |start: Timestamp| self.proposed.iter().filter(move |(at, _)| *at > start).map(|(_, replicas)| *replicas);
        let smallest = since(up).fold(proposal, i32::min);
        let largest = since(down).fold(proposal, i32::max);
        let stable = limits.current.max(smallest).min(largest);
        self.proposed.push((limits.now, proposal));
        (stable, if proposal >= limits.current { STABLE_UP } else { STABLE_DOWN })
    }

    fn bound_as_told(
        &self,
        wanted: i32,
        behavior: &HorizontalPodAutoscalerBehavior,
        limits: &Limits<'_>,
    ) -> (i32, Words) {
        let current = limits.current;
        if wanted > current {
            let fastest = self.farthest(behavior.scale_up.as_ref(), Direction::Up, limits).max(current);
            let (most, words) = if limits.most > fastest { (fastest, FAST_UP) } else { (limits.most, TOO_MANY) };
            if wanted > most {
                return (most, words);
            }
        } else if wanted < current {
            let fastest = self.farthest(behavior.scale_down.as_ref(), Direction::Down, limits).min(current);
            let (least, words) = if limits.least < fastest { (fastest, FAST_DOWN) } else { (limits.least, TOO_FEW) };
            if wanted < least {
                return (least, words);
            }
        }
        (wanted, WITHIN)
    }

    /// How far the policies of a direction let the number go. Each counts from what there was when its period began.
    fn farthest(&self, rules: Option<&HPAScalingRules>, direction: Direction, limits: &Limits<'_>) -> i32 {
        let select = rules.and_then(|rules| rules.select_policy.as_deref()).unwrap_or("Max");
        if select == "Disabled" {
            return limits.current;
        }
        let ends = policies(rules).iter().map(|policy| {
            let since = before(limits.now, policy.period_seconds);
            let sum = |events: &[(Timestamp, i32)]| -> i32 {
                events.iter().filter(|(at, _)| *at > since).map(|(_, change)| change).sum()
            };
            direction.end(policy, limits.current - sum(&self.grown) + sum(&self.shrunk))
        });
        // `Min` is the least change: the smallest number on the way up, the largest on the way down.
        let farthest = match (direction, select) {
            (Direction::Up, "Min") | (Direction::Down, "Max") => ends.min(),
            _ => ends.max(),
        };
        farthest.unwrap_or(limits.current)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Up,
    Down,
}

impl Direction {
    /// Where a policy ends that starts with so many. A part of a replica counts as one on the way up, so that a
    /// small number grows at all; on the way down it is a replica that goes.
    fn end(self, policy: &HPAScalingPolicy, start: i32) -> i32 {
        let sign = if self == Direction::Up { 1 } else { -1 };
        if policy.type_ == "Pods" {
            return start.saturating_add(sign * policy.value);
        }
        let share = f64::from(start) * (1.0 + f64::from(sign * policy.value) / 100.0);
        (if self == Direction::Up { share.ceil() } else { share.trunc() }) as i32
    }
}

fn policies(rules: Option<&HPAScalingRules>) -> &[HPAScalingPolicy] {
    rules.and_then(|rules| rules.policies.as_deref()).unwrap_or_default()
}

/// Within the limits, at most doubled.
fn bound(wanted: i32, limits: &Limits<'_>) -> (i32, Words) {
    let fastest = limits.current.saturating_mul(UP_FACTOR).max(UP_LEAST);
    let (most, words) = if limits.most > fastest { (fastest, FAST_UP) } else { (limits.most, TOO_MANY) };
    if wanted < limits.least {
        (limits.least, TOO_FEW)
    } else if wanted > most {
        (most, words)
    } else {
        (wanted, WITHIN)
    }
}

fn before(now: Timestamp, seconds: i32) -> Timestamp {
    now.saturating_sub(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn behavior(value: Value) -> HorizontalPodAutoscalerBehavior {
        serde_json::from_value(value).unwrap()
    }

    fn limits(behavior: Option<&HorizontalPodAutoscalerBehavior>, current: i32, second: i64) -> Limits<'_> {
        Limits { least: 1, most: 10, behavior, current, now: at(second) }
    }

    /// The defaults that the API server writes into a `behavior`, with other windows.
    fn usual(up: i32, down: i32) -> HorizontalPodAutoscalerBehavior {
        let percent = json!({ "type": "Percent", "value": 100, "periodSeconds": 15 });
        let pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 15 });
        behavior(json!({
            "scaleUp": { "stabilizationWindowSeconds": up, "selectPolicy": "Max", "policies": [pods, percent] },
            "scaleDown": { "stabilizationWindowSeconds": down, "selectPolicy": "Max", "policies": [percent] },
        }))
    }

    #[test]
    fn without_behavior_the_number_is_bounded_and_at_most_doubled() {
        // current, proposal → replicas, reason.
        for (current, proposal, replicas, reason) in [
            (2, 3, 3, "DesiredWithinRange"),
            (1, 4, 4, "DesiredWithinRange"),
            (1, 5, 4, "ScaleUpLimit"),
            (3, 9, 6, "ScaleUpLimit"),
            (6, 12, 10, "TooManyReplicas"),
            (5, 10, 10, "DesiredWithinRange"),
            (4, 0, 1, "TooFewReplicas"),
        ] {
            let judgement = Memory::default().judge(proposal, &limits(None, current, 0));
            assert_eq!((judgement.replicas, judgement.limit.0), (replicas, reason), "{current} {proposal}");
            assert_eq!(judgement.limited, reason != "DesiredWithinRange");
        }
    }

    #[test]
    fn without_behavior_the_largest_proposal_of_five_minutes_counts() {
        let mut memory = Memory::default();
        memory.begin(4, at(0));
        memory.begin(9, at(0));
        for (second, proposal, replicas, reason) in [
            (15, 2, 4, "ScaleDownStabilized"),
            (300, 2, 4, "ScaleDownStabilized"),
            (301, 2, 2, "ReadyForNewScale"),
            (316, 5, 5, "ReadyForNewScale"),
            (330, 3, 5, "ScaleDownStabilized"),
        ] {
            let judgement = memory.judge(proposal, &limits(None, 4, second));
            assert_eq!((judgement.replicas, judgement.able.0), (replicas, reason), "at {second}");
        }
        assert!(memory.proposed.len() <= 4);
    }

    #[test]
    fn windows_hold_in_both_directions() {
        // Windows up and down, proposals 10 and 30 seconds ago, the one now → replicas.
        for (up, down, earlier, latest, proposal, replicas, reason) in [
            (0, 0, 9, 9, 2, 2, "ReadyForNewScale"),
            (0, 60, 3, 4, 2, 4, "ScaleDownStabilized"),
            (0, 20, 9, 3, 2, 3, "ScaleDownStabilized"),
            (60, 0, 5, 6, 8, 5, "ScaleUpStabilized"),
            (60, 0, 2, 6, 8, 4, "ScaleUpStabilized"),
            (0, 0, 2, 2, 8, 8, "ReadyForNewScale"),
        ] {
            let behavior = usual(up, down);
            let mut memory = Memory { proposed: vec![(at(70), earlier), (at(90), latest)], ..Memory::default() };
            let judgement = memory.judge(proposal, &limits(Some(&behavior), 4, 100));
            assert_eq!((judgement.replicas, judgement.able.0), (replicas, reason), "{up} {down} {proposal}");
        }
    }

    #[test]
    fn policies_say_how_fast() {
        let rules = |select: &str| {
            let policies = json!([
                { "type": "Pods", "value": 1, "periodSeconds": 60 },
                { "type": "Percent", "value": 50, "periodSeconds": 60 },
            ]);
            let rules = json!({ "stabilizationWindowSeconds": 0, "selectPolicy": select, "policies": policies });
            behavior(json!({ "scaleUp": rules, "scaleDown": rules }))
        };
        // select, current, proposal → replicas, reason.
        for (select, current, proposal, replicas, reason) in [
            ("Max", 5, 9, 8, "ScaleUpLimit"),
            ("Min", 5, 9, 6, "ScaleUpLimit"),
            ("Disabled", 5, 9, 5, "ScaleUpLimit"),
            ("Max", 9, 20, 10, "TooManyReplicas"),
            ("Max", 5, 1, 2, "ScaleDownLimit"),
            ("Min", 5, 1, 4, "ScaleDownLimit"),
            ("Disabled", 5, 1, 5, "ScaleDownLimit"),
            ("Max", 2, 0, 1, "TooFewReplicas"),
            ("Max", 5, 6, 6, "DesiredWithinRange"),
            ("Max", 5, 5, 5, "DesiredWithinRange"),
        ] {
            let behavior = rules(select);
            let judgement = Memory::default().judge(proposal, &limits(Some(&behavior), current, 100));
            assert_eq!((judgement.replicas, judgement.limit.0), (replicas, reason), "{select} {current} {proposal}");
        }
    }

    #[test]
    fn a_period_counts_what_was_done_in_it() {
        let behavior = usual(0, 0);
        let mut memory = Memory::default();
        memory.changed(2, 6, &limits(Some(&behavior), 2, 0));
        // The period began with two: four more is six, twice as many is four.
        let judgement = memory.judge(10, &limits(Some(&behavior), 6, 10));
        assert_eq!((judgement.replicas, judgement.limit.0), (6, "ScaleUpLimit"));
        let judgement = memory.judge(10, &limits(Some(&behavior), 6, 15));
        assert_eq!((judgement.replicas, judgement.limit.0), (10, "DesiredWithinRange"));
        memory.changed(6, 10, &limits(Some(&behavior), 6, 16));
        assert_eq!(memory.grown, [(at(16), 4)]);
        memory.changed(10, 7, &limits(Some(&behavior), 10, 20));
        assert_eq!(memory.shrunk, [(at(20), 3)]);
    }
}
