//! CronJob: Jobs on a schedule.

use serde_json::Value;

use super::job;
use crate::api::cron::Schedule;
use crate::apiserver::kinds::core::pod::warnings;
use crate::apiserver::kinds::json::Fill::{Empty, Flag, Int, Text};
use crate::apiserver::kinds::json::{Json, at_mut, fill};
use crate::apiserver::kinds::metadata::non_negative;
use crate::apiserver::kinds::{Context, FieldError, Strategy};

/// Of CronJobs.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    validate: |cron, _| validate(cron),
    validate_update: |new, _, _| validate(new),
    warnings: |new, old| warnings::template(new, old, "spec.jobTemplate.spec.template"),
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn defaults(cron: &mut Value, _: &Context) {
    fill(
        cron,
        &[
            ("spec.concurrencyPolicy", Text("Allow")),
            ("spec.suspend", Flag(false)),
            ("spec.successfulJobsHistoryLimit", Int(3)),
            ("spec.failedJobsHistoryLimit", Int(1)),
            ("spec.jobTemplate.metadata", Empty),
        ],
    );
    if let Some(spec) = at_mut(cron, "spec.jobTemplate.spec") {
        job::template_defaults(spec);
    }
}

fn validate(cron: &Value) -> Vec<FieldError> {
    let spec = cron.at("spec");
    let mut errors = schedule(spec.text("schedule"), !spec.text("timeZone").is_empty());
    let zone = spec.text("timeZone");
    if spec.has("timeZone") {
        if zone.is_empty() {
            errors.push(FieldError::invalid("spec.timeZone", "", "timeZone must be nil or non-empty string"));
        } else if jiff::tz::TimeZone::get(zone).is_err() {
            errors.push(FieldError::invalid("spec.timeZone", zone, format!("unknown time zone {zone}")));
        }
    }
    if let Some(deadline) = spec.int("startingDeadlineSeconds") {
        errors.extend(non_negative(deadline, "spec.startingDeadlineSeconds"));
    }
    let policy = spec.text("concurrencyPolicy");
    let policies = ["Allow", "Forbid", "Replace"];
    if policy.is_empty() {
        errors.push(FieldError::required("spec.concurrencyPolicy", ""));
    } else if !policies.contains(&policy) {
        errors.push(FieldError::not_supported("spec.concurrencyPolicy", policy, &policies));
    }
    for field in ["spec.successfulJobsHistoryLimit", "spec.failedJobsHistoryLimit"] {
        errors.extend(non_negative(cron.int(field).unwrap_or(0), field));
    }
    errors.extend(job::validate_spec(spec.at("jobTemplate.spec"), "spec.jobTemplate.spec"));
    if cron.text("metadata.name").len() > 52 {
        errors.push(FieldError::invalid(
            "metadata.name",
            cron.text("metadata.name"),
            "must be no more than 52 characters",
        ));
    }
    errors
}

fn schedule(schedule: &str, zoned: bool) -> Vec<FieldError> {
    if schedule.is_empty() {
        return vec![FieldError::required("spec.schedule", "")];
    }
    if schedule.contains("TZ") {
        let detail = if zoned {
            "cannot use both timeZone field and TZ or CRON_TZ in schedule"
        } else {
            "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        };
        return vec![FieldError::invalid("spec.schedule", schedule, detail)];
    }
    match Schedule::parse(schedule) {
        Ok(_) => Vec::new(),
        Err(problem) => vec![FieldError::invalid("spec.schedule", schedule, problem)],
    }
}
