//! CronJob: Jobs on a schedule.

use serde_json::Value;

use super::job;
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
    match parse_schedule(schedule) {
        Ok(()) => Vec::new(),
        Err(problem) => vec![FieldError::invalid("spec.schedule", schedule, problem)],
    }
}

const FIELDS: [(i64, i64, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// Checks a cron expression; the problems are in the words of `robfig/cron`.
fn parse_schedule(schedule: &str) -> Result<(), String> {
    if let Some(name) = schedule.strip_prefix('@') {
        let known = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        if known.contains(&name) || name.starts_with("every ") {
            return Ok(());
        }
        return Err(format!("unrecognized descriptor: {schedule}"));
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (field, (low, high, names)) in fields.iter().zip(FIELDS) {
        for part in field.split(',') {
            range(part, low, high, names)?;
        }
    }
    Ok(())
}

fn range(part: &str, low: i64, high: i64, names: &[&str]) -> Result<(), String> {
    let (span, step) = match part.split_once('/') {
        Some((span, step)) => (span, Some(step)),
        None => (part, None),
    };
    let number = |text: &str| -> Result<i64, String> {
        if let Some(index) = names.iter().position(|name| *name == text.to_lowercase()) {
            return Ok(index as i64 + if low == 1 { 1 } else { 0 });
        }
        text.parse::<i64>()
            .map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"))
    };
    let (start, end) = match span {
        "*" | "?" => (low, high),
        _ => match span.split_once('-') {
            Some((start, end)) => (number(start)?, number(end)?),
            None => {
                let only = number(span)?;
                (only, if step.is_some() { high } else { only })
            }
        },
    };
    if start < low {
        return Err(format!("beginning of range ({start}) below minimum ({low}): {part}"));
    }
    if end > high {
        return Err(format!("end of range ({end}) above maximum ({high}): {part}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
    }
    if let Some(step) = step
        && number(step)? == 0
    {
        return Err(format!("step of range should be a positive number: {part}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_judged_as_cron_does() {
        for good in ["* * * * *", "*/5 0-4 1,15 jan mon-fri", "@hourly", "0 0 * * ?"] {
            assert_eq!(parse_schedule(good), Ok(()), "{good}");
        }
        assert_eq!(parse_schedule("61 * * * *"), Err("end of range (61) above maximum (59): 61".to_string()));
        assert_eq!(parse_schedule("* * * *"), Err("expected exactly 5 fields, found 4: [* * * *]".to_string()));
    }
}
