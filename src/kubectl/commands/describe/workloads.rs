//! Workloads: what they want, what there is, and the template they make Pods from.

use serde_json::Value;

use super::super::super::failure::Result;
use super::super::super::print::go_value;
use super::text::{Text, joined, selector, shown, when};
use super::{Story, pods};
use crate::api::meta;
use crate::api::selector::LabelSelector;

fn number(object: &Value, path: &[&str]) -> i64 {
    meta::integer(object, path).unwrap_or(0)
}

fn template(text: &mut Text, object: &Value) {
    pods::template(text, meta::get(object, &["spec", "template"]).unwrap_or(&Value::Null));
}

/// How many of a workload's own Pods run, wait, and have ended.
async fn pod_counts(story: &Story<'_>, selector: &str) -> Result<String> {
    let query = [("labelSelector", if selector == "<none>" { String::new() } else { selector.to_owned() })];
    let all = story.list("pods", story.namespace(), &query).await?;
    let uid = meta::uid(story.object);
    let own = all.iter().filter(|pod| meta::controller_of(pod).is_some_and(|owner| owner.uid == uid));
    let (mut running, mut waiting, mut succeeded, mut failed) = (0, 0, 0, 0);
    for pod in own {
        match meta::text(pod, &["status", "phase"]) {
            "Running" => running += 1,
            "Pending" => waiting += 1,
            "Succeeded" => succeeded += 1,
            "Failed" => failed += 1,
            _ => {}
        }
    }
    Ok(format!("{running} Running / {waiting} Waiting / {succeeded} Succeeded / {failed} Failed"))
}

fn conditions(text: &mut Text, object: &Value) {
    let all = meta::list(object, &["status", "conditions"]);
    if all.is_empty() {
        return;
    }
    text.line(0, "Conditions:\n  Type\tStatus\tReason");
    text.line(1, "----\t------\t------");
    for condition in all {
        let field = |name: &str| meta::text(condition, &[name]);
        text.line(1, format!("{} \t{}\t{}", field("type"), field("status"), field("reason")));
    }
}

fn owner(text: &mut Text, object: &Value) {
    if let Some(owner) = meta::controller_of(object) {
        text.field(0, "Controlled By", format!("{}/{}", owner.kind, owner.name));
    }
}

pub(super) async fn replication_controller(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let labels = joined(meta::map(object, &["spec", "selector"]));
    let mut text = Text::new();
    text.head(object);
    text.field(0, "Selector", &labels);
    text.metadata(object);
    replicas(&mut text, object);
    text.field(0, "Pods Status", pod_counts(story, &labels).await?);
    template(&mut text, object);
    conditions(&mut text, object);
    story.with_events(&mut text).await;
    Ok(text)
}

fn replicas(text: &mut Text, object: &Value) {
    let (current, desired) = (number(object, &["status", "replicas"]), number(object, &["spec", "replicas"]));
    text.field(0, "Replicas", format!("{current} current / {desired} desired"));
}

pub(super) async fn replica_set(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let labels = selector(meta::get(object, &["spec", "selector"]));
    let mut text = Text::new();
    text.head(object);
    text.field(0, "Selector", &labels);
    text.metadata(object);
    owner(&mut text, object);
    replicas(&mut text, object);
    match pod_counts(story, &labels).await {
        Ok(counts) => text.field(0, "Pods Status", counts),
        Err(failure) => text.field(0, "Pods Status", format!("error in fetching pods: {}", failure.words())),
    }
    template(&mut text, object);
    conditions(&mut text, object);
    story.with_events(&mut text).await;
    Ok(text)
}

pub(super) async fn deployment(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.head(object);
    text.field(0, "CreationTimestamp", when(meta::get(object, &["metadata", "creationTimestamp"])));
    text.metadata(object);
    text.field(0, "Selector", selector(meta::get(object, &["spec", "selector"])));
    let status = |field: &str| number(object, &["status", field]);
    text.field(
        0,
        "Replicas",
        format!(
            "{} desired | {} updated | {} total | {} available | {} unavailable",
            number(object, &["spec", "replicas"]),
            status("updatedReplicas"),
            status("replicas"),
            status("availableReplicas"),
            status("unavailableReplicas"),
        ),
    );
    text.field(0, "StrategyType", meta::text(object, &["spec", "strategy", "type"]));
    text.field(0, "MinReadySeconds", number(object, &["spec", "minReadySeconds"]));
    if let Some(rolling) =
        meta::get(object, &["spec", "strategy", "rollingUpdate"]).filter(|rolling| !rolling.is_null())
    {
        let (down, up) = (shown(rolling, &["maxUnavailable"]), shown(rolling, &["maxSurge"]));
        text.field(0, "RollingUpdateStrategy", format!("{down} max unavailable, {up} max surge"));
    }
    template(&mut text, object);
    conditions(&mut text, object);
    let (old, new) = replica_sets(story).await;
    if !old.is_empty() || !new.is_empty() {
        text.field(0, "OldReplicaSets", sets(&old));
        text.field(0, "NewReplicaSet", sets(&new));
    }
    story.with_events(&mut text).await;
    Ok(text)
}

fn sets(sets: &[Value]) -> String {
    let one = |set: &Value| {
        let (made, wanted) = (number(set, &["status", "replicas"]), number(set, &["spec", "replicas"]));
        format!("{} ({made}/{wanted} replicas created)", meta::name(set))
    };
    if sets.is_empty() { "<none>".into() } else { sets.iter().map(one).collect::<Vec<_>>().join(", ") }
}

/// A Deployment's ReplicaSets: the old ones, and the one with its template.
async fn replica_sets(story: &Story<'_>) -> (Vec<Value>, Vec<Value>) {
    let object = story.object;
    let selector = meta::get(object, &["spec", "selector"]).and_then(|value| LabelSelector::from_value(value).ok());
    let Some(selector) = selector else { return Default::default() };
    let all = story.list("replicasets", story.namespace(), &[]).await.unwrap_or_default();
    let uid = meta::uid(object);
    let own =
        |set: &Value| selector.matches_object(set) && meta::controller_of(set).is_some_and(|owner| owner.uid == uid);
    let mut own: Vec<Value> = all.into_iter().filter(own).collect();
    own.sort_by_key(|set| (meta::creation_timestamp(set).to_owned(), meta::name(set).to_owned()));
    let wanted = meta::get(object, &["spec", "template"]).cloned().unwrap_or_default();
    let same = |set: &Value| {
        let mut template = meta::get(set, &["spec", "template"]).cloned().unwrap_or_default();
        if let Some(Value::Object(labels)) = template.pointer_mut("/metadata/labels") {
            labels.shift_remove("pod-template-hash");
        }
        template == wanted
    };
    let at = own.iter().position(same);
    let new: Vec<Value> = at.map(|at| own.remove(at)).into_iter().collect();
    (own, new)
}

pub(super) async fn stateful_set(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let labels = selector(meta::get(object, &["spec", "selector"]));
    let mut text = Text::new();
    text.head(object);
    text.field(0, "CreationTimestamp", when(meta::get(object, &["metadata", "creationTimestamp"])));
    text.field(0, "Selector", &labels);
    text.metadata(object);
    for (field, title) in [("serviceName", "Service Name"), ("podManagementPolicy", "Pod Management Policy")] {
        let value = meta::text(object, &["spec", field]);
        if !value.is_empty() {
            text.field(0, title, value);
        }
    }
    let (wanted, total) = (number(object, &["spec", "replicas"]), number(object, &["status", "replicas"]));
    text.field(0, "Replicas", format!("{wanted} desired | {total} total"));
    text.field(0, "Update Strategy", meta::text(object, &["spec", "updateStrategy", "type"]));
    let rolling = meta::get(object, &["spec", "updateStrategy", "rollingUpdate"]).filter(|rolling| !rolling.is_null());
    if let Some(partition) = rolling.and_then(|rolling| rolling.get("partition")) {
        text.field(1, "Partition", go_value(partition));
        if let Some(most) = rolling.and_then(|rolling| rolling.get("maxUnavailable")) {
            text.field(1, "MaxUnavailable", go_value(most));
        }
    }
    if let Some(policy) = meta::get(object, &["spec", "persistentVolumeClaimRetentionPolicy"]) {
        text.line(0, "Persistent Volume Claim Retention Policy:");
        text.field(1, "WhenDeleted", meta::text(policy, &["whenDeleted"]));
        text.field(1, "WhenScaled", meta::text(policy, &["whenScaled"]));
    }
    text.field(0, "Pods Status", pod_counts(story, &labels).await?);
    template(&mut text, object);
    claims(&mut text, meta::list(object, &["spec", "volumeClaimTemplates"]));
    story.with_events(&mut text).await;
    Ok(text)
}

fn claims(text: &mut Text, claims: &[Value]) {
    if claims.is_empty() {
        text.field(0, "Volume Claims", "<none>");
        return;
    }
    text.line(0, "Volume Claims:");
    for claim in claims {
        text.field(1, "Name", meta::name(claim));
        text.field(1, "StorageClass", meta::text(claim, &["spec", "storageClassName"]));
        text.pairs("  ", "Labels", "\t", meta::labels(claim));
        text.pairs("  ", "Annotations", "\t", meta::annotations(claim));
        let size = shown(claim, &["spec", "resources", "requests", "storage"]);
        text.field(1, "Capacity", if size.is_empty() { "<default>".to_owned() } else { size });
        text.field(1, "Access Modes", go_value(&meta::list(claim, &["spec", "accessModes"]).to_vec().into()));
    }
}

pub(super) async fn daemon_set(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let labels = selector(meta::get(object, &["spec", "selector"]));
    let mut text = Text::new();
    text.head(object);
    text.field(0, "Selector", &labels);
    text.field(0, "Node-Selector", joined(meta::map(object, &["spec", "template", "spec", "nodeSelector"])));
    text.metadata(object);
    for (title, field) in [
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ] {
        text.line(0, format!("{title}: {}", number(object, &["status", field])));
    }
    text.field(0, "Pods Status", pod_counts(story, &labels).await?);
    template(&mut text, object);
    story.with_events(&mut text).await;
    Ok(text)
}

/// A field that may be unset.
fn or_unset(object: &Value, path: &[&str]) -> String {
    match meta::get(object, path).filter(|value| !value.is_null()) {
        Some(value) => go_value(value),
        None => "<unset>".to_owned(),
    }
}

pub(super) async fn job(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.head(object);
    text.field(0, "Selector", selector(meta::get(object, &["spec", "selector"])));
    text.metadata(object);
    owner(&mut text, object);
    for (field, title, needed) in [
        ("parallelism", "Parallelism", false),
        ("completions", "Completions", true),
        ("completionMode", "Completion Mode", false),
        ("suspend", "Suspend", false),
        ("backoffLimit", "Backoff Limit", false),
        ("ttlSecondsAfterFinished", "TTL Seconds After Finished", false),
    ] {
        let value = or_unset(object, &["spec", field]);
        if needed || value != "<unset>" {
            text.field(0, title, value);
        }
    }
    let time = |field: &str| meta::get(object, &["status", field]).filter(|time| !time.is_null());
    let (start, end) = (time("startTime"), time("completionTime"));
    if start.is_some() {
        text.field(0, "Start Time", when(start));
    }
    if end.is_some() {
        text.field(0, "Completed At", when(end));
    }
    if let (Some(start), Some(end)) = (start.and_then(Value::as_str), end.and_then(Value::as_str))
        && let Ok(end) = end.parse()
    {
        text.field(0, "Duration", super::text::age(start, end));
    }
    if let Some(seconds) = meta::integer(object, &["spec", "activeDeadlineSeconds"]) {
        text.field(0, "Active Deadline Seconds", format!("{seconds}s"));
    }
    let status = |field: &str| number(object, &["status", field]);
    let ready =
        meta::integer(object, &["status", "ready"]).map(|ready| format!("({ready} Ready) ")).unwrap_or_default();
    text.field(
        0,
        "Pods Statuses",
        format!("{} Active {ready}/ {} Succeeded / {} Failed", status("active"), status("succeeded"), status("failed")),
    );
    if meta::text(object, &["spec", "completionMode"]) == "Indexed" {
        text.field(0, "Completed Indexes", indexes(meta::text(object, &["status", "completedIndexes"])));
    }
    template(&mut text, object);
    story.with_events(&mut text).await;
    Ok(text)
}

/// A list of indexes, cut at the first comma after fifty letters.
fn indexes(text: &str) -> String {
    if text.is_empty() {
        return "<none>".to_owned();
    }
    match text.get(50..).and_then(|rest| rest.find(',')) {
        Some(at) => format!("{}...", &text[..50 + at + 1]),
        None => text.to_owned(),
    }
}

pub(super) async fn cron_job(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let spec = |field: &str| or_unset(object, &["spec", field]);
    let mut text = Text::new();
    text.head(object);
    text.metadata(object);
    text.field(0, "Schedule", meta::text(object, &["spec", "schedule"]));
    text.field(0, "Concurrency Policy", meta::text(object, &["spec", "concurrencyPolicy"]));
    text.field(0, "Suspend", title_case(&spec("suspend")));
    text.field(0, "Time Zone", spec("timeZone"));
    text.field(0, "Successful Job History Limit", spec("successfulJobsHistoryLimit"));
    text.field(0, "Failed Job History Limit", spec("failedJobsHistoryLimit"));
    let deadline = meta::integer(object, &["spec", "startingDeadlineSeconds"]);
    text.field(0, "Starting Deadline Seconds", deadline.map_or("<unset>".to_owned(), |seconds| format!("{seconds}s")));
    let job = meta::get(object, &["spec", "jobTemplate"]).cloned().unwrap_or_default();
    match meta::get(&job, &["spec", "selector"]) {
        Some(found) => text.field(0, "Selector", selector(Some(found))),
        None => text.field(0, "Selector", "<unset>"),
    }
    text.field(0, "Parallelism", or_unset(&job, &["spec", "parallelism"]));
    text.field(0, "Completions", or_unset(&job, &["spec", "completions"]));
    if let Some(seconds) = meta::integer(&job, &["spec", "activeDeadlineSeconds"]) {
        text.field(0, "Active Deadline Seconds", format!("{seconds}s"));
    }
    template(&mut text, &job);
    match meta::get(object, &["status", "lastScheduleTime"]) {
        Some(time) => text.field(0, "Last Schedule Time", when(Some(time))),
        None => text.field(0, "Last Schedule Time", "<unset>"),
    }
    let active: Vec<&str> =
        meta::list(object, &["status", "active"]).iter().map(|job| meta::text(job, &["name"])).collect();
    text.field(0, "Active Jobs", if active.is_empty() { "<none>".to_owned() } else { active.join(", ") });
    story.with_events(&mut text).await;
    Ok(text)
}

fn title_case(text: &str) -> String {
    match text {
        "true" => "True".to_owned(),
        "false" => "False".to_owned(),
        other => other.to_owned(),
    }
}

pub(super) async fn autoscaler(story: &Story<'_>) -> Result<Text> {
    let object = story.object;
    let mut text = Text::new();
    text.head(object);
    text.metadata(object);
    text.field(0, "CreationTimestamp", when(meta::get(object, &["metadata", "creationTimestamp"])));
    let target = |field: &str| meta::text(object, &["spec", "scaleTargetRef", field]);
    text.field(0, "Reference", format!("{}/{}", target("kind"), target("name")));
    text.line(0, "Metrics:\t( current / target )");
    let current = meta::list(object, &["status", "currentMetrics"]);
    for (at, metric) in meta::list(object, &["spec", "metrics"]).iter().enumerate() {
        autoscaler_metric(&mut text, metric, current.get(at).unwrap_or(&Value::Null));
    }
    text.field(0, "Min replicas", or_unset(object, &["spec", "minReplicas"]));
    text.field(0, "Max replicas", number(object, &["spec", "maxReplicas"]));
    if let Some(behavior) = meta::get(object, &["spec", "behavior"]) {
        text.line(0, "Behavior:");
        direction(&mut text, "Scale Up", behavior.get("scaleUp"));
        direction(&mut text, "Scale Down", behavior.get("scaleDown"));
    }
    let (now, wanted) =
        (number(object, &["status", "currentReplicas"]), number(object, &["status", "desiredReplicas"]));
    text.line(0, format!("{} pods:\t{now} current / {wanted} desired", target("kind")));
    let conditions = meta::list(object, &["status", "conditions"]);
    if !conditions.is_empty() {
        text.line(0, "Conditions:\n  Type\tStatus\tReason\tMessage");
        text.line(1, "----\t------\t------\t-------");
        for one in conditions {
            let field = |name: &str| meta::text(one, &[name]);
            text.line(1, format!("{}\t{}\t{}\t{}", field("type"), field("status"), field("reason"), field("message")));
        }
    }
    story.with_events(&mut text).await;
    Ok(text)
}

fn autoscaler_metric(text: &mut Text, metric: &Value, current: &Value) {
    let kind = meta::text(metric, &["type"]);
    let field = match kind {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        other => {
            text.line(1, format!("<unknown metric type {}>", super::super::super::failure::quote(other)));
            return;
        }
    };
    let source = metric.get(field).unwrap_or(&Value::Null);
    let now = |name: &str| match shown(current, &[field, "current", name]) {
        value if value.is_empty() => "<unknown>".to_owned(),
        value => value,
    };
    let target = |name: &str| shown(source, &["target", name]);
    let name = super::super::super::failure::quote(meta::text(source, &["metric", "name"]));
    let average = !target("averageValue").is_empty();
    match kind {
        "Resource" | "ContainerResource" => {
            let of = match meta::text(source, &["container"]) {
                "" => String::new(),
                container => format!(" of container \"{container}\""),
            };
            let what = format!("resource {}{of} on pods", meta::text(source, &["name"]));
            if average {
                text.line(1, format!("{what}:\t{} / {}", now("averageValue"), target("averageValue")));
            } else {
                let used = match now("averageUtilization").as_str() {
                    "<unknown>" => "<unknown>".to_owned(),
                    percent => format!("{percent}% ({})", shown(current, &[field, "current", "averageValue"])),
                };
                let goal = match target("averageUtilization").as_str() {
                    "" => "<auto>".to_owned(),
                    percent => format!("{percent}%"),
                };
                text.line(1, format!("{what}  (as a percentage of request):\t{used} / {goal}"));
            }
        }
        "Pods" => text.line(1, format!("{name} on pods:\t{} / {}", now("averageValue"), target("averageValue"))),
        "Object" => {
            let object = |part: &str| meta::text(source, &["describedObject", part]);
            let (how, field) = if average { ("average value", "averageValue") } else { ("value", "value") };
            let on = format!("{name} on {}/{}", object("kind"), object("name"));
            text.line(1, format!("{on} (target {how}):\t{} / {}", now(field), target(field)));
        }
        _ => {
            let (how, field) = if average { ("average value", "averageValue") } else { ("value", "value") };
            text.line(1, format!("{name} (target {how}):\t{} / {}", now(field), target(field)));
        }
    }
}

fn direction(text: &mut Text, title: &str, rules: Option<&Value>) {
    let Some(rules) = rules.filter(|rules| !rules.is_null()) else { return };
    text.line(1, format!("{title}:"));
    if let Some(seconds) = meta::integer(rules, &["stabilizationWindowSeconds"]) {
        text.line(2, format!("Stabilization Window: {seconds} seconds"));
    }
    let policies = meta::list(rules, &["policies"]);
    if policies.is_empty() {
        return;
    }
    let select = match meta::text(rules, &["selectPolicy"]) {
        "" => "Max",
        select => select,
    };
    text.line(2, format!("Select Policy: {select}"));
    text.line(2, "Policies:");
    for policy in policies {
        let (kind, value, period) =
            (meta::text(policy, &["type"]), number(policy, &["value"]), number(policy, &["periodSeconds"]));
        text.line(3, format!("- Type: {kind}\tValue: {value}\tPeriod: {period} seconds"));
    }
}
