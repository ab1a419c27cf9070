//! CronJob: Jobs on a schedule.

use serde_json::Value;

use super::job;
use crate::api::cron::Schedule;
use crate::apiserver::kinds::core::pod::warnings;
use crate::apiserver::kinds::json::Fill::{Empty, Flag, Int, Text};
use crate::apiserver::kinds::json::{Json, at_mut, drop_at, fill};
use crate::apiserver::kinds::metadata::non_negative;
use crate::apiserver::kinds::{Context, FieldError, Strategy, check};

/// Of CronJobs.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    validate: |cron, _| {
        let mut errors = validate(cron, None);
        let name = cron.text("metadata.name");
        if name.len() > 52 {
            errors.push(FieldError::invalid("metadata.name", name, "must be no more than 52 characters"));
        }
        errors
    },
    validate_update: |new, old, _| validate(new, Some(old)),
    warnings: |new, old| warnings::named_template(new, old, "spec.jobTemplate.spec.template"),
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
        // The feature is off.
        drop_at(spec, "scheduling");
        job::template_defaults(spec);
    }
}

fn validate(cron: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let spec = cron.at("spec");
    let old_style = old.is_some_and(|old| old.text("spec.schedule").contains("TZ"));
    let mut errors = schedule(spec.text("schedule"), old_style, spec.has("timeZone"));
    if old.is_none_or(|old| old.at("spec.timeZone") != spec.at("timeZone")) {
        errors.extend(time_zone(spec));
    }
    if let Some(deadline) = spec.int("startingDeadlineSeconds") {
        errors.extend(non_negative(deadline, "spec.startingDeadlineSeconds"));
    }
    errors.extend(check::choice(spec, "concurrencyPolicy", "spec", &["Allow", "Forbid", "Replace"]));
    for field in ["spec.successfulJobsHistoryLimit", "spec.failedJobsHistoryLimit"] {
        errors.extend(non_negative(cron.int(field).unwrap_or(0), field));
    }
    let job = spec.at("jobTemplate.spec");
    let path = "spec.jobTemplate.spec";
    errors.extend(job::validate_spec(job, path));
    if job.flag("manualSelector") {
        errors.push(FieldError::not_supported(format!("{path}.manualSelector"), true, &["nil", "false"]));
    }
    if job.has("selector") {
        let shown = job.at("selector").clone();
        errors.push(FieldError::invalid(format!("{path}.selector"), shown, "`selector` will be auto-generated"));
    }
    errors
}

fn time_zone(spec: &Value) -> Vec<FieldError> {
    if !spec.has("timeZone") {
        return Vec::new();
    }
    let zone = spec.text("timeZone");
    let wrong = |detail: String| FieldError::invalid("spec.timeZone", zone, detail);
    if zone.is_empty() {
        return vec![wrong("timeZone must be nil or non-empty string".to_string())];
    }
    let unknown = || wrong(format!("unknown time zone {zone}"));
    let letters = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b'+');
    let bad = |part: &&str| {
        matches!(*part, "." | "..")
            || part.starts_with('-')
            || !(1..=14).contains(&part.len())
            || !part.bytes().all(letters)
    };
    let mut errors: Vec<FieldError> = zone.split('/').filter(bad).map(|_| unknown()).collect();
    if zone.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(wrong(detail.to_string()));
    }
    if zone != "Local" && jiff::tz::TimeZone::get(zone).is_err() {
        errors.push(unknown());
    }
    errors
}

fn schedule(schedule: &str, old_style: bool, zoned: bool) -> Vec<FieldError> {
    if schedule.is_empty() {
        return vec![FieldError::required("spec.schedule", "")];
    }
    let wrong = |detail: String| FieldError::invalid("spec.schedule", schedule, detail);
    let own = schedule.split_once(' ').filter(|(zone, _)| zone.starts_with("TZ=") || zone.starts_with("CRON_TZ="));
    let mut errors: Vec<FieldError> =
        Schedule::parse(own.map_or(schedule, |(_, rest)| rest.trim())).err().map(&wrong).into_iter().collect();
    if schedule.contains("TZ") {
        if !old_style {
            errors.push(wrong("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".to_string()));
        } else if zoned {
            errors.push(wrong("cannot use both timeZone field and TZ or CRON_TZ in schedule".to_string()));
        }
    }
    errors
}
