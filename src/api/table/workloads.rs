//! Controllers of pods: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob, and what
//! scales and guards them.

use super::cell::{
    NONE, UNKNOWN, UNSET, condition, containers, count, first, is_true, labels, or, plain, selector, size,
};
use super::{Context, Row, RowOf, age, cells};
use crate::api::meta;
use serde_json::Value;

pub(super) fn row_of(group: &str, plural: &str) -> Option<RowOf> {
    Some(match (group, plural) {
        ("apps", "deployments") => deployment,
        ("apps", "replicasets") => replica_set,
        ("apps", "statefulsets") => stateful_set,
        ("apps", "daemonsets") => daemon_set,
        ("apps", "controllerrevisions") => controller_revision,
        ("", "replicationcontrollers") => replication_controller,
        ("batch", "jobs") => job,
        ("batch", "cronjobs") => cron_job,
        ("autoscaling", "horizontalpodautoscalers") => autoscaler,
        ("policy", "poddisruptionbudgets") => disruption_budget,
        _ => return None,
    })
}

const TEMPLATE: [&str; 2] = ["spec", "template"];

fn ready_of_desired(object: &Value) -> String {
    format!("{}/{}", count(object, &["status", "readyReplicas"]), count(object, &["spec", "replicas"]))
}

fn deployment(object: &Value, context: &Context<'_>) -> Row {
    let (names, images) = containers(object, &TEMPLATE);
    cells![
        meta::name(object),
        ready_of_desired(object),
        count(object, &["status", "updatedReplicas"]),
        count(object, &["status", "availableReplicas"]),
        context.age(object),
        names,
        images,
        selector(object, &["spec", "selector"]),
    ]
}

fn replica_set(object: &Value, context: &Context<'_>) -> Row {
    replicas(object, context, selector(object, &["spec", "selector"]))
}

fn replication_controller(object: &Value, context: &Context<'_>) -> Row {
    replicas(object, context, labels(object, &["spec", "selector"]))
}

fn replicas(object: &Value, context: &Context<'_>, selector: String) -> Row {
    let (names, images) = containers(object, &TEMPLATE);
    cells![
        meta::name(object),
        count(object, &["spec", "replicas"]),
        count(object, &["status", "replicas"]),
        count(object, &["status", "readyReplicas"]),
        context.age(object),
        names,
        images,
        selector,
    ]
}

fn stateful_set(object: &Value, context: &Context<'_>) -> Row {
    let (names, images) = containers(object, &TEMPLATE);
    cells![meta::name(object), ready_of_desired(object), context.age(object), names, images]
}

fn daemon_set(object: &Value, context: &Context<'_>) -> Row {
    let (names, images) = containers(object, &TEMPLATE);
    let status = |field| count(object, &["status", field]);
    cells![
        meta::name(object),
        status("desiredNumberScheduled"),
        status("currentNumberScheduled"),
        status("numberReady"),
        status("updatedNumberScheduled"),
        status("numberAvailable"),
        labels(object, &["spec", "template", "spec", "nodeSelector"]),
        context.age(object),
        names,
        images,
        selector(object, &["spec", "selector"]),
    ]
}

fn controller_revision(object: &Value, context: &Context<'_>) -> Row {
    let controller = meta::controller_of(object).map_or(NONE.to_owned(), |owner| {
        let group = owner.api_version.split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
        format!("{}{group}/{}", owner.kind.to_lowercase(), owner.name)
    });
    cells![meta::name(object), controller, count(object, &["revision"]), context.age(object)]
}

fn job(object: &Value, context: &Context<'_>) -> Row {
    let (names, images) = containers(object, &TEMPLATE);
    let succeeded = count(object, &["status", "succeeded"]);
    let parallelism = count(object, &["spec", "parallelism"]);
    let completions = match meta::integer(object, &["spec", "completions"]) {
        Some(completions) => format!("{succeeded}/{completions}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    };
    let time = |field| age::time(meta::get(object, &["status", field]));
    let duration = time("startTime").map_or(String::new(), |start| {
        let end = time("completionTime").unwrap_or(context.now);
        age::human(end.duration_since(start).as_secs())
    });
    cells![
        meta::name(object),
        job_status(object),
        completions,
        duration,
        context.age(object),
        names,
        images,
        selector(object, &["spec", "selector"]),
    ]
}

fn job_status(object: &Value) -> &'static str {
    let is = |kind: &&&str| is_true(object, kind);
    let ended = ["Complete", "Failed"].iter().find(is);
    let deleted = meta::deletion_timestamp(object).map(|_| &"Terminating");
    let on_the_way = || ["Suspended", "FailureTarget", "SuccessCriteriaMet"].iter().find(is);
    ended.or(deleted).or_else(on_the_way).unwrap_or(&"Running")
}

fn cron_job(object: &Value, context: &Context<'_>) -> Row {
    let (names, images) = containers(object, &["spec", "jobTemplate", "spec", "template"]);
    let suspend = match meta::get(object, &["spec", "suspend"]).and_then(Value::as_bool) {
        Some(true) => "True",
        Some(false) => "False",
        None => UNSET,
    };
    let last = ["status", "lastScheduleTime"];
    let last = if meta::text(object, &last).is_empty() { NONE.to_owned() } else { context.since(object, &last) };
    cells![
        meta::name(object),
        meta::text(object, &["spec", "schedule"]),
        or(meta::text(object, &["spec", "timeZone"]), NONE),
        suspend,
        size(object, &["status", "active"]),
        last,
        context.age(object),
        names,
        images,
        selector(object, &["spec", "jobTemplate", "spec", "selector"]),
    ]
}

fn autoscaler(object: &Value, context: &Context<'_>) -> Row {
    let target = |field| meta::text(object, &["spec", "scaleTargetRef", field]);
    cells![
        meta::name(object),
        format!("{}/{}", target("kind"), target("name")),
        metrics(object),
        plain(meta::get(object, &["spec", "minReplicas"])).unwrap_or(UNSET.to_owned()),
        count(object, &["spec", "maxReplicas"]),
        count(object, &["status", "currentReplicas"]),
        context.age(object),
    ]
}

/// `cpu: 37%/50%, memory: <unknown>/100Mi + 1 more...`
fn metrics(object: &Value) -> String {
    if let Some(target) = meta::integer(object, &["spec", "targetCPUUtilizationPercentage"]) {
        let current = meta::integer(object, &["status", "currentCPUUtilizationPercentage"]);
        return format!("cpu: {}/{target}%", current.map_or(UNKNOWN.to_owned(), |percent| format!("{percent}%")));
    }
    let current = meta::list(object, &["status", "currentMetrics"]);
    let specs = meta::list(object, &["spec", "metrics"]).iter().enumerate();
    let shown: Vec<String> = specs.map(|(at, spec)| metric(spec, current.get(at))).collect();
    or(&first(&shown, 2, ", "), NONE).to_owned()
}

fn metric(spec: &Value, status: Option<&Value>) -> String {
    let kind = meta::text(spec, &["type"]);
    let field = match kind {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        _ => return "<unknown type>".to_owned(),
    };
    let target = |name| plain(meta::get(spec, &[field, "target", name]));
    let current = |name| plain(status.and_then(|status| meta::get(status, &[field, "current", name])));
    let known = |value: Option<String>| value.unwrap_or(UNKNOWN.to_owned());
    let resource = matches!(kind, "Resource" | "ContainerResource");
    let prefix = if resource { format!("{}: ", meta::text(spec, &[field, "name"])) } else { String::new() };
    if let Some(average) = target("averageValue") {
        let suffix = if matches!(kind, "External" | "Object") { " (avg)" } else { "" };
        return format!("{prefix}{}/{average}{suffix}", known(current("averageValue")));
    }
    if resource {
        let percent = |value: Option<String>| value.map(|value| format!("{value}%"));
        let wanted = percent(target("averageUtilization")).unwrap_or("<auto>".to_owned());
        return format!("{prefix}{}/{wanted}", known(percent(current("averageUtilization"))));
    }
    format!("{}/{}", known(current("value")), target("value").unwrap_or_default())
}

fn disruption_budget(object: &Value, context: &Context<'_>) -> Row {
    let bound = |field| plain(meta::get(object, &["spec", field])).unwrap_or("N/A".to_owned());
    cells![
        meta::name(object),
        bound("minAvailable"),
        bound("maxUnavailable"),
        count(object, &["status", "disruptionsAllowed"]),
        context.age(object),
    ]
}

/// The status of an APIService or another object by one condition: `True`, or `False (Reason)`.
pub(super) fn condition_words(object: &Value, kind: &str) -> String {
    match condition(object, kind) {
        None => "Unknown".to_owned(),
        Some(condition) if condition["status"] == "True" => "True".to_owned(),
        Some(condition) => format!("False ({})", meta::text(condition, &["reason"])),
    }
}
