//! Job: Pods that run until enough of them succeed.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/batch/{v1,validation}`, `pkg/registry/batch/job`.

use serde_json::{Value, json};

use crate::api::meta;
use crate::apiserver::kinds::core::pod::{self, defaults, warnings};
use crate::apiserver::kinds::json::Fill::{Flag, Int, Text};
use crate::apiserver::kinds::json::{Json, at_mut, copy, fill, object_mut, put};
use crate::apiserver::kinds::metadata::{immutable, non_negative};
use crate::apiserver::kinds::{Context, FieldError, Strategy, lifecycle, selectors};

/// Of Jobs.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    prepare_create: |job, context| {
        lifecycle::first_generation(job, context);
        select_own_pods(job);
    },
    validate: |job, _| validate(job),
    validate_update: |new, old, _| validate_update(new, old),
    warnings: |new, old| warnings::template(new, old, "spec.template"),
    selectable_fields: |job| vec![("status.successful", job.int("status.succeeded").unwrap_or(0).to_string())],
    selectable_names: &["status.successful"],
    ..Strategy::WITH_STATUS_AND_GENERATION
};

/// The legacy and the present label that tie a Pod to its Job.
const UID_LABELS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
const NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

fn defaults(job: &mut Value, _: &Context) {
    if let Some(spec) = job.get_mut("spec") {
        spec_defaults(spec);
    }
    let labels = job.at("spec.template.metadata.labels").clone();
    if job.entries("metadata.labels").is_empty() && labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        put(job, "metadata.labels", labels);
    }
}

/// Defaults of a Job's spec.
pub fn spec_defaults(spec: &mut Value) {
    if !spec.has("completions") && !spec.has("parallelism") {
        fill(spec, &[("completions", Int(1)), ("parallelism", Int(1))]);
    }
    fill(spec, &[("parallelism", Int(1))]);
    if spec.has("backoffLimitPerIndex") {
        fill(spec, &[("backoffLimit", Int(2_147_483_647))]);
    }
    fill(spec, &[("backoffLimit", Int(6))]);
    fill(spec, &[("completionMode", Text("NonIndexed")), ("suspend", Flag(false)), ("manualSelector", Flag(false))]);
    if !spec.has("podReplacementPolicy") {
        let policy = if spec.has("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
        put(spec, "podReplacementPolicy", policy);
    }
    if let Some(rules) = at_mut(spec, "podFailurePolicy.rules") {
        for rule in rules.as_array_mut().into_iter().flatten() {
            fill(rule, &[("onPodConditions[].status", Text("True"))]);
        }
    }
    template_defaults(spec);
}

/// Defaults of the Pods alone: all that a CronJob's template gets.
pub fn template_defaults(spec: &mut Value) {
    if let Some(spec) = at_mut(spec, "template.spec") {
        defaults::pod_spec(spec);
    }
}

/// Labels the template with the Job's own uid and name, and selects by the uid.
fn select_own_pods(job: &mut Value) {
    if job.flag("spec.manualSelector") {
        return;
    }
    let uid = meta::uid(job).to_string();
    let name = meta::name(job).to_string();
    let labels = object_mut(job, "spec.template.metadata.labels");
    for key in NAME_LABELS {
        labels.insert(key.to_string(), name.clone().into());
    }
    for key in UID_LABELS {
        labels.insert(key.to_string(), uid.clone().into());
    }
    object_mut(job, "spec.selector.matchLabels").insert(UID_LABELS[0].to_string(), uid.into());
}

fn validate(job: &Value) -> Vec<FieldError> {
    let spec = job.at("spec");
    let mut errors = Vec::new();
    let selector = spec.at("selector");
    if selector.is_null() {
        errors.push(FieldError::required("spec.selector", ""));
    } else {
        errors.extend(selectors::validate(selector, "spec.selector"));
        if !spec.flag("manualSelector") {
            errors.extend(generated_selector(job));
        }
        let labels = spec.at("template.metadata.labels");
        if !selectors::matches(selector, labels) {
            errors.push(FieldError::invalid(
                "spec.template.metadata.labels",
                labels.clone(),
                "`selector` does not match template `labels`",
            ));
        }
    }
    errors.extend(validate_spec(spec, "spec"));
    errors
}

fn generated_selector(job: &Value) -> Vec<FieldError> {
    let selector = job.at("spec.selector");
    let uid = meta::uid(job);
    let own = json!({"matchLabels": {UID_LABELS[0]: uid}});
    let legacy = json!({"matchLabels": {UID_LABELS[1]: uid}});
    let labels = selector.at("matchLabels");
    if labels != own.at("matchLabels") && labels != legacy.at("matchLabels") || selector.has("matchExpressions") {
        return vec![FieldError::invalid("spec.selector", selector.clone(), "`selector` not auto-generated")];
    }
    Vec::new()
}

/// What is wrong with a Job's spec, but for its selector.
pub fn validate_spec(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        errors.extend(non_negative(spec.int(field).unwrap_or(0), &format!("{path}.{field}")));
    }
    let mode = spec.text("completionMode");
    if !mode.is_empty() && !["NonIndexed", "Indexed"].contains(&mode) {
        errors.push(FieldError::not_supported(format!("{path}.completionMode"), mode, &["Indexed", "NonIndexed"]));
    }
    if mode == "Indexed" {
        if !spec.has("completions") {
            errors.push(FieldError::required(format!("{path}.completions"), "when completion mode is Indexed"));
        }
    } else if spec.has("backoffLimitPerIndex") {
        errors.push(FieldError::invalid(
            format!("{path}.backoffLimitPerIndex"),
            spec.at("backoffLimitPerIndex").clone(),
            "requires indexed completion mode",
        ));
    }
    let template = spec.at("template");
    errors.extend(pod::validate_template(template, &format!("{path}.template")));
    let restart = template.text("spec.restartPolicy");
    let at = format!("{path}.template.spec.restartPolicy");
    if restart.is_empty() || restart == "Always" {
        errors.push(FieldError::required(at, "valid values: \"OnFailure\", \"Never\""));
    } else if restart != "OnFailure" && restart != "Never" {
        errors.retain(|error| error.field != at);
        errors.push(FieldError::not_supported(at, restart, &["OnFailure", "Never"]));
    } else if spec.has("podFailurePolicy") && restart != "Never" {
        errors.push(FieldError::invalid(at, restart, "only \"Never\" is supported when podFailurePolicy is specified"));
    }
    errors
}

fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate_spec(new.at("spec"), "spec");
    let indexed = new.text("spec.completionMode") == "Indexed";
    if new.at("spec.completions") != old.at("spec.completions") {
        let elastic = indexed && new.at("spec.completions") == new.at("spec.parallelism");
        if !elastic {
            errors.extend(immutable(new, old, "spec.completions"));
        }
    }
    errors.extend(immutable(new, old, "spec.selector"));
    let mut template = new.clone();
    if old.flag("spec.suspend") && !old.has("status.startTime") {
        for field in ["affinity", "nodeSelector", "tolerations", "schedulingGates"] {
            copy(&mut template, old, &format!("spec.template.spec.{field}"));
        }
        copy(&mut template, old, "spec.template.metadata.annotations");
        copy(&mut template, old, "spec.template.metadata.labels");
    }
    if template.at("spec.template") != old.at("spec.template") {
        errors.push(FieldError::invalid("spec.template", new.at("spec.template").clone(), "field is immutable"));
    }
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        errors.extend(immutable(new, old, &format!("spec.{field}")));
    }
    errors
}
