//! What an autoscaler has to say after a look: conditions, numbers, events. Pure.
//!
//! Comes in: findings, in Kubernetes' words. Goes out: a plan, in which each event is said and the status is written
//! if it is another than before.

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus, MetricStatus,
};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::controllers::plan::{Action, Note, Plan, reference};

/// Whether the loop can read and write the target's scale.
pub const ABLE: &str = "AbleToScale";
/// Whether there are numbers to scale by.
pub const ACTIVE: &str = "ScalingActive";
/// Whether limits hold the number back.
pub const LIMITED: &str = "ScalingLimited";
/// Whether it was the loop that took the last replica.
pub const TO_ZERO: &str = "ScaledToZero";

/// What is found in one look.
pub struct Report<'a> {
    autoscaler: &'a HorizontalPodAutoscaler,
    about: ObjectReference,
    status: HorizontalPodAutoscalerStatus,
    notes: Vec<Note>,
    now: Timestamp,
}

impl<'a> Report<'a> {
    /// Begins with what the autoscaler says already.
    pub fn new(autoscaler: &'a HorizontalPodAutoscaler, now: Timestamp) -> Self {
        let status = autoscaler.status.clone().unwrap_or_default();
        Report { autoscaler, about: reference(autoscaler), status, notes: Vec::new(), now }
    }

    /// An event.
    pub fn say(&mut self, reason: &'static str, message: String) {
        self.notes.push(Note::normal(self.about.clone(), reason, message));
    }

    /// An event of the type `Warning`.
    pub fn warn(&mut self, reason: &'static str, message: impl Into<String>) {
        self.notes.push(Note::warning(self.about.clone(), reason, message));
    }

    /// Sets a condition; its time changes with its status only.
    pub fn set(&mut self, type_: &str, holds: bool, reason: &str, message: impl Into<String>) {
        let status = if holds { "True" } else { "False" };
        let conditions = self.status.conditions.get_or_insert_default();
        let at = conditions.iter().position(|known| known.type_ == type_).unwrap_or_else(|| {
            conditions.push(HorizontalPodAutoscalerCondition { type_: type_.into(), ..Default::default() });
            conditions.len() - 1
        });
        let condition = &mut conditions[at];
        if condition.status != status {
            condition.last_transition_time = Some(Time(self.now));
        }
        condition.status = status.into();
        condition.reason = Some(reason.into());
        condition.message = Some(message.into());
    }

    /// Whether a condition is `True`.
    pub fn holds(&self, type_: &str) -> bool {
        self.status.conditions.iter().flatten().any(|known| known.type_ == type_ && known.status == "True")
    }

    /// Notes the numbers. Without `desired`, the number asked for last stays.
    pub fn count(&mut self, current: i32, desired: Option<i32>, metrics: Option<Vec<MetricStatus>>) {
        self.status = HorizontalPodAutoscalerStatus {
            current_replicas: Some(current),
            desired_replicas: desired.unwrap_or(self.status.desired_replicas),
            current_metrics: metrics,
            observed_generation: self.autoscaler.metadata.generation,
            last_scale_time: self.status.last_scale_time.take(),
            conditions: self.status.conditions.take(),
        };
    }

    /// Notes that the target got another number now.
    pub fn rescaled(&mut self) {
        self.status.last_scale_time = Some(Time(self.now));
    }

    /// What to do about it.
    pub fn plan(self) -> Plan {
        let mut plan = Plan::none();
        self.notes.into_iter().for_each(|note| plan.say(note));
        let before = self.autoscaler.status.clone().unwrap_or_default();
        if plain(&before) != plain(&self.status) {
            let after = HorizontalPodAutoscaler { status: Some(self.status), ..self.autoscaler.clone() };
            let failed = Note::warning(self.about, "FailedUpdateStatus", "<err>");
            plan.act(Action::update_sub(&after, "status").failed(failed));
        }
        plan
    }
}

/// A status in which nothing, none and zero are the same.
fn plain(status: &HorizontalPodAutoscalerStatus) -> HorizontalPodAutoscalerStatus {
    HorizontalPodAutoscalerStatus {
        current_metrics: status.current_metrics.clone().filter(|metrics| !metrics.is_empty()),
        conditions: status.conditions.clone().filter(|conditions| !conditions.is_empty()),
        current_replicas: status.current_replicas.filter(|replicas| *replicas != 0),
        ..status.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn autoscaler() -> HorizontalPodAutoscaler {
        let condition = json!({ "type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale", "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z" });
        let value = json!({
            "metadata": { "name": "web", "namespace": "default", "generation": 2 },
            "spec": { "maxReplicas": 3, "scaleTargetRef": { "kind": "Deployment", "name": "web" } },
            "status": { "conditions": [condition], "currentReplicas": 1, "desiredReplicas": 1, "currentMetrics": null,
                "observedGeneration": 2 },
        });
        serde_json::from_value(value).unwrap()
    }

    fn report(autoscaler: &HorizontalPodAutoscaler) -> Report<'_> {
        Report::new(autoscaler, "2026-01-01T00:01:00Z".parse().unwrap())
    }

    #[test]
    fn what_is_as_before_is_not_written_again() {
        let autoscaler = autoscaler();
        let mut same = report(&autoscaler);
        same.set(ABLE, true, "ReadyForNewScale", "m");
        same.count(1, Some(1), Some(Vec::new()));
        assert_eq!(same.plan(), Plan::none());
    }

    #[test]
    fn a_conditions_time_is_that_of_its_last_turn() {
        let autoscaler = autoscaler();
        let mut other = report(&autoscaler);
        other.set(ABLE, true, "SucceededRescale", "n");
        other.set(ACTIVE, false, "FailedGetResourceMetric", "o");
        other.count(1, None, None);
        other.rescaled();
        assert!(other.holds(ABLE) && !other.holds(ACTIVE) && !other.holds(LIMITED));
        let plan = other.plan();
        let status = &plan.actions()[0].body["status"];
        let times: Vec<_> = status["conditions"].as_array().unwrap().iter().map(|c| &c["lastTransitionTime"]).collect();
        assert_eq!(times, ["2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"]);
        assert_eq!(status["lastScaleTime"], "2026-01-01T00:01:00Z");
        assert_eq!(status["desiredReplicas"], 1);
    }
}
