//! Job: Pods that run until enough of them succeed.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/batch/{v1,validation}`, `pkg/registry/batch/job`.

use serde_json::{Value, json};

use super::{job_policies, job_status};
use crate::api::go_values::empty_at;
use crate::api::meta;
use crate::apiserver::kinds::core::pod::{self, defaults, warnings};
use crate::apiserver::kinds::json::Fill::{Choice, Flag, Int, Text};
use crate::apiserver::kinds::json::{Json, at_mut, copy, drop_at, fill, items_mut, object_mut, put};
use crate::apiserver::kinds::metadata::{immutable, non_negative, refused};
use crate::apiserver::kinds::{Context, FieldError, Strategy, Subresource, check, lifecycle, names, selectors};

/// Of Jobs.
pub const STRATEGY: Strategy = Strategy {
    defaults,
    prepare_create: |job, context| {
        lifecycle::first_generation(job, context);
        select_own_pods(job, context.unlabelled);
    },
    named: |job| {
        let name = meta::name(job).to_string();
        for labels in ["spec.template.metadata.labels", "metadata.labels"] {
            let labels = at_mut(job, labels).and_then(Value::as_object_mut).into_iter().flatten();
            let unnamed = |(key, value): &(&String, &mut Value)| NAME_LABELS.contains(&key.as_str()) && *value == "";
            labels.filter(unnamed).for_each(|(_, value)| *value = name.as_str().into());
        }
    },
    validate: |job, _| validate(job),
    validate_update: |new, old, _| validate_update(new, old),
    warnings: |new, old| warnings::named_template(new, old, "spec.template"),
    selectable_fields: |job| vec![("status.successful", job.int("status.succeeded").unwrap_or(0).to_string())],
    selectable_names: &["status.successful"],
    subresources: &[Subresource { validate: |new, old, _| job_status::validate(new, old), ..lifecycle::STATUS }],
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
    // The feature is off.
    drop_at(spec, "scheduling");
    if !spec.has("completions") && !spec.has("parallelism") {
        fill(spec, &[("completions", Int(1)), ("parallelism", Int(1))]);
    }
    fill(spec, &[("parallelism", Int(1))]);
    if spec.has("backoffLimitPerIndex") {
        fill(spec, &[("backoffLimit", Int(2_147_483_647))]);
    }
    fill(spec, &[("backoffLimit", Int(6))]);
    fill(spec, &[("completionMode", Choice("NonIndexed")), ("suspend", Flag(false)), ("manualSelector", Flag(false))]);
    if !spec.has("podReplacementPolicy") {
        let policy = if spec.has("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
        put(spec, "podReplacementPolicy", policy);
    }
    template_defaults(spec);
}

/// Defaults of the Pods, and of what is judged of them: all that a CronJob's template gets.
pub fn template_defaults(spec: &mut Value) {
    for rule in items_mut(spec, "podFailurePolicy.rules") {
        fill(rule, &[("onPodConditions[].status", Text("True"))]);
    }
    if let Some(spec) = at_mut(spec, "template.spec") {
        defaults::pod_spec(spec);
    }
}

/// Labels the template with the Job's own uid and name, and selects by the uid.
fn select_own_pods(job: &mut Value, unlabelled: bool) {
    if job.flag("spec.manualSelector") {
        return;
    }
    let uid = meta::uid(job).to_string();
    let name = meta::name(job).to_string();
    let labels = object_mut(job, "spec.template.metadata.labels");
    let shared = unlabelled && !labels.is_empty();
    for key in NAME_LABELS {
        labels.entry(key).or_insert_with(|| name.clone().into());
    }
    for key in UID_LABELS {
        labels.entry(key).or_insert_with(|| uid.clone().into());
    }
    let labels = labels.clone();
    // A Job that came without labels has those of its Pods, and Go keeps both in one map.
    if shared {
        put(job, "metadata.labels", labels);
    }
    object_mut(job, "spec.selector.matchLabels").insert(UID_LABELS[0].to_string(), uid.into());
}

fn validate(job: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !job.flag("spec.manualSelector") && job.has("spec.selector") {
        errors.extend(generated_selector(job));
    }
    errors.extend(validate_selected(job));
    errors.extend(last_host_name(job));
    errors
}

/// What is wrong with the spec and with how it selects its Pods.
fn validate_selected(job: &Value) -> Vec<FieldError> {
    let spec = job.at("spec");
    let selector = spec.at("selector");
    let labels = spec.at("template.metadata.labels");
    let mut errors = validate_spec(spec, "spec");
    let fits = if selector.is_null() {
        errors.push(FieldError::required("spec.selector", ""));
        false
    } else {
        errors.extend(selectors::validate(selector, "spec.selector"));
        !selectors::is_usable(selector) || selectors::matches(selector, labels)
    };
    if !fits {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels.clone(), detail));
    }
    errors
}

fn generated_selector(job: &Value) -> Vec<FieldError> {
    let selector = job.at("spec.selector");
    let uid = meta::uid(job);
    let own = json!({"matchLabels": {UID_LABELS[0]: uid}});
    let legacy = json!({"matchLabels": {UID_LABELS[1]: uid}});
    let mut errors = Vec::new();
    let own_labels = job.at("spec.template.metadata.labels");
    for (keys, wanted) in [(UID_LABELS, uid), (NAME_LABELS, meta::name(job))] {
        for key in keys {
            let (path, detail) = (format!("spec.template.metadata.labels[{key}]"), format!("must be '{wanted}'"));
            match own_labels.get(key) {
                None => errors.push(FieldError::required(path, detail)),
                Some(value) if value != wanted => errors.push(FieldError::invalid(path, own_labels.clone(), detail)),
                Some(_) => {}
            }
        }
    }
    let labels = selector.at("matchLabels");
    let is_own = labels == own.at("matchLabels") || labels == legacy.at("matchLabels");
    if selectors::is_usable(selector) && (!is_own || selector.has("matchExpressions")) {
        errors.push(FieldError::invalid("spec.selector", selector.clone(), "`selector` not auto-generated"));
    }
    errors
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
    if spec.has("maxFailedIndexes") && !spec.has("backoffLimitPerIndex") {
        let detail = "when maxFailedIndexes is specified";
        errors.push(FieldError::required(format!("{path}.backoffLimitPerIndex"), detail));
    }
    errors.extend(managed_by(spec, path));
    let mode = spec.text("completionMode");
    if spec.has("completionMode") && !["NonIndexed", "Indexed"].contains(&mode) {
        errors.push(FieldError::not_supported(format!("{path}.completionMode"), mode, &["NonIndexed", "Indexed"]));
    }
    if mode == "Indexed" {
        errors.extend(indexed(spec, path));
    } else if mode == "NonIndexed" || !spec.has("completionMode") {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(number) = spec.int(field) {
                let detail = "requires indexed completion mode";
                errors.push(FieldError::invalid(format!("{path}.{field}"), number, detail));
            }
        }
    }
    if spec.has("podFailurePolicy") {
        errors.extend(job_policies::failure(spec, path));
    }
    if spec.has("successPolicy") {
        if mode == "Indexed" {
            errors.extend(job_policies::success(spec, path));
        } else {
            let rules = spec.items("successPolicy.rules").iter();
            let rules: Vec<String> =
                rules.map(|rule| check::go_struct(rule, &["SucceededIndexes", "SucceededCount"])).collect();
            let shown = match spec.at("successPolicy.rules") {
                Value::Array(_) => format!("{{\"Rules\":[{}]}}", rules.join(",")),
                _ if empty_at(&format!("{path}.successPolicy.rules")).is_array() => "{\"Rules\":[]}".to_string(),
                _ => "{\"Rules\":null}".to_string(),
            };
            let detail = "requires indexed completion mode";
            errors.push(FieldError::invalid_raw(format!("{path}.successPolicy"), shown, detail));
        }
    }
    if spec.has("podReplacementPolicy") {
        let policy = spec.text("podReplacementPolicy");
        let known: &[&str] =
            if spec.has("podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        if !known.contains(&policy) {
            errors.push(FieldError::not_supported(format!("{path}.podReplacementPolicy"), policy, known));
        }
    }
    let template = spec.at("template");
    errors.extend(pod::validate_template(template, &format!("{path}.template")));
    let restart = template.text("spec.restartPolicy");
    let at = format!("{path}.template.spec.restartPolicy");
    if restart.is_empty() || restart == "Always" {
        errors.push(FieldError::required(at, "valid values: \"OnFailure\", \"Never\""));
    } else if restart != "OnFailure" && restart != "Never" {
        errors.push(FieldError::not_supported(at, restart, &["OnFailure", "Never"]));
    } else if spec.has("podFailurePolicy") && restart != "Never" {
        errors.push(FieldError::invalid(at, restart, "only \"Never\" is supported when podFailurePolicy is specified"));
    }
    errors
}

fn managed_by(spec: &Value, path: &str) -> Vec<FieldError> {
    if !spec.has("managedBy") {
        return Vec::new();
    }
    let (name, at) = (spec.text("managedBy"), format!("{path}.managedBy"));
    let mut errors = names::domain_prefixed_path(name, &at);
    if name.len() > 63 {
        errors.push(FieldError::too_long(at, 63));
    }
    errors
}

/// What is wrong with the numbers of a Job whose Pods are counted by index.
fn indexed(spec: &Value, path: &str) -> Vec<FieldError> {
    const MANY: i64 = 100_000;
    const LESS: i64 = 10_000;
    let mut errors = Vec::new();
    let (completions, parallelism) = (spec.int("completions"), spec.int("parallelism"));
    let failed = spec.int("maxFailedIndexes");
    if completions.is_none() {
        errors.push(FieldError::required(format!("{path}.completions"), "when completion mode is Indexed"));
    }
    let mut over = |field: &str, number: Option<i64>, most: i64, rest: &str| {
        if let Some(number) = number.filter(|number| *number > most) {
            let detail = format!("must be less than or equal to {rest}");
            errors.push(FieldError::invalid(format!("{path}.{field}"), number, detail));
        }
    };
    over("parallelism", parallelism, MANY, &format!("{MANY} when completion mode is Indexed"));
    if let Some(completions) = completions {
        over("maxFailedIndexes", failed, completions, "completions");
    }
    over("maxFailedIndexes", failed, MANY, &MANY.to_string());
    if completions.is_some_and(|completions| completions > MANY) && spec.has("backoffLimitPerIndex") {
        let rest = format!("{LESS} when completions are above {MANY} and used with backoff limit per index");
        over("parallelism", parallelism, LESS, &rest);
        over("maxFailedIndexes", failed, LESS, &rest);
        if failed.is_none() {
            let detail = format!("must be specified when completions is above {MANY}");
            errors.push(FieldError::required(format!("{path}.maxFailedIndexes"), detail));
        }
    }
    errors
}

/// The last Pod of an indexed Job has its index in its host name.
fn last_host_name(job: &Value) -> Vec<FieldError> {
    let last = job.int("spec.completions").unwrap_or(0) - 1;
    if job.text("spec.completionMode") != "Indexed" || last < 0 {
        return Vec::new();
    }
    let name = job.text("metadata.name");
    let host = format!("{name}-{last}");
    let detail = format!("will not able to create pod with invalid DNS label: {host}");
    let bad = !names::dns_label(&host).is_empty();
    bad.then(|| FieldError::invalid("metadata.name", name, detail)).into_iter().collect()
}

fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate_selected(new);
    errors.extend(last_host_name(new));
    let indexed = new.text("spec.completionMode") == "Indexed";
    if new.at("spec.completions") != old.at("spec.completions") {
        if !indexed {
            errors.extend(immutable(new, old, "spec.completions"));
        } else if new.has("spec.completions") && new.at("spec.completions") != new.at("spec.parallelism") {
            errors.push(FieldError::invalid(
                "spec.completions",
                new.at("spec.completions").clone(),
                "can only be modified in tandem with spec.parallelism",
            ));
        }
    }
    errors.extend(immutable(new, old, "spec.selector"));
    errors.extend(template_change(new, old));
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        errors.extend(immutable(new, old, &format!("spec.{field}")));
    }
    errors
}

/// The template stays, but for where the Pods of a suspended Job may go and, in time, what they need.
fn template_change(new: &Value, old: &Value) -> Option<FieldError> {
    let suspended = old.flag("spec.suspend");
    let is_suspended = |condition: &Value| condition.text("type") == "Suspended" && condition.text("status") == "True";
    let stopped = !old.has("status.startTime") || old.items("status.conditions").iter().any(is_suspended);
    let open = suspended && stopped && old.int("status.active").unwrap_or(0) == 0;
    let mut allowed = old.clone();
    if open {
        node_affinity(&mut allowed, new);
        for field in
            ["spec.nodeSelector", "spec.tolerations", "spec.schedulingGates", "metadata.annotations", "metadata.labels"]
        {
            copy(&mut allowed, new, &format!("spec.template.{field}"));
        }
        for list in ["containers", "initContainers"] {
            let path = format!("spec.template.spec.{list}");
            let wanted = new.items(&path);
            if wanted.len() == old.items(&path).len() {
                for (kept, wanted) in items_mut(&mut allowed, &path).zip(wanted) {
                    if kept.text("name") == wanted.text("name") {
                        copy(kept, wanted, "resources");
                    }
                }
            }
        }
    }
    let path = if open { "spec.template.spec" } else { "spec.template" };
    (new.at(path) != allowed.at(path)).then(|| refused(new, path, "field is immutable"))
}

/// Of the affinity only what it says of nodes may change.
fn node_affinity(allowed: &mut Value, new: &Value) {
    const AFFINITY: &str = "spec.template.spec.affinity";
    let node = new.at(AFFINITY).get("nodeAffinity").filter(|node| !node.is_null());
    if new.has(AFFINITY) && !allowed.has(AFFINITY) {
        put(allowed, AFFINITY, json!({}));
    }
    if let Some(affinity) = at_mut(allowed, AFFINITY).and_then(Value::as_object_mut) {
        affinity.shift_remove("nodeAffinity");
        if let Some(node) = node {
            affinity.insert("nodeAffinity".to_owned(), node.clone());
        }
        if affinity.is_empty() && !new.has(AFFINITY) {
            drop_at(allowed, AFFINITY);
        }
    }
}
