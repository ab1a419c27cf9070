//! `kubectl autoscale`: a HorizontalPodAutoscaler for a workload.

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{DryRun, Flag, Kind, long};
use super::super::print;
use super::super::selection::{self, Selection};
use super::super::write::{self, Writing};
use super::create::SAVE;
use super::generate::make;
use crate::api::quantity::Quantity;

const FLAGS: &[Flag] = &[
    long("min", Kind::Int(-1), "The least replicas"),
    long("max", Kind::Int(-1), "The most replicas"),
    long("cpu-percent", Kind::Int(-1), "The use of CPU to aim at, in percent of what is requested"),
    long("cpu", Kind::Text(""), "The use of CPU to aim at: 70% or 500m"),
    long("memory", Kind::Text(""), "The use of memory to aim at: 70% or 200Mi"),
    long("name", Kind::Text(""), "The autoscaler's name"),
];

/// `autoscale`
pub const COMMAND: Command = Command {
    name: "autoscale",
    usage: "(-f FILE | TYPE NAME) --max=N [--min=N] [--cpu=70%]",
    about: "Let the cluster set how many replicas there are",
    flags: &[print::OUTPUT, FLAGS, SAVE, selection::FILES, write::DRY_RUN, write::MANAGER],
    run: run!(autoscale),
    ..BASE
};

async fn autoscale(call: &Invocation) -> Result {
    let flags = &call.flags;
    if !flags.given("max") {
        return Err(Failure::new("required flag(s) \"max\" not set"));
    }
    let (least, most) = (flags.int("min"), flags.int("max"));
    if most < 1 {
        return Err(Failure::new(format!("--max=MAXPODS is required and must be at least 1, max: {most}")));
    }
    if most < least {
        return Err(Failure::new(format!(
            "--max=MAXPODS must be larger or equal to --min=MINPODS, max: {most}, min: {least}"
        )));
    }
    if flags.given("cpu-percent") {
        call.err("Flag --cpu-percent has been deprecated, Use --cpu with percentage or resource quantity format (e.g., '70%' for utilization or '500m' for milliCPU).\n");
    }
    if flags.given("cpu-percent") && flags.given("cpu") {
        return Err(Failure::new(
            "if any flags in the group [cpu-percent cpu] are set none of the others can be; [cpu cpu-percent] were all set",
        ));
    }
    let metrics = metrics(call)?;
    let writing = Writing::of(call, "kubectl-autoscale")?;
    let mut printer = writing.printer()?;
    printer.typed = true;
    let selection = Selection::of(call);
    let found = selection.read().await?;
    let mut failures = found.failures;
    for info in found.infos {
        if !matches!(info.mapping.kind.as_str(), "Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet")
        {
            failures.push(Failure::new(format!(
                "cannot autoscale a {}: could not find scale subresource for {} in discovery information",
                info.mapping.group_kind(),
                info.mapping.group_version_resource()
            )));
            continue;
        }
        let name = if flags.text("name").is_empty() { &info.name } else { flags.text("name") };
        let mut spec = json!({"maxReplicas": most, "scaleTargetRef": {"apiVersion": info.mapping.api_version(),
            "kind": info.mapping.kind, "name": info.name}});
        if !metrics.is_empty() {
            spec["metrics"] = metrics.clone().into();
        }
        if least > 0 {
            spec["minReplicas"] = least.into();
        }
        let object = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name}, "spec": spec});
        let done = if writing.dry_run == DryRun::Client { "created" } else { "autoscaled" };
        match make(call, &writing, object).await {
            Ok(made) => writing.say(&mut printer, &made, done)?,
            Err(failure) => failures.push(without_the_older_way(call, failure)),
        }
    }
    Failure::of(failures)
}

/// The real one tries again with autoscaling/v1, which knows a percentage of CPU and nothing else.
fn without_the_older_way(call: &Invocation, failure: Failure) -> Failure {
    let words = "failed to create autoscaling/v2 HPA and the configuration is incompatible with autoscaling/v1";
    match (call.flags.text("cpu"), call.flags.text("memory")) {
        ("", _) => Failure::new(format!("{words}: empty input")),
        (cpu, "") if cpu.ends_with('%') => failure,
        _ => Failure::new(format!("{words}: %!w(<nil>)")),
    }
}

fn metrics(call: &Invocation) -> Result<Vec<Value>> {
    let flags = &call.flags;
    let metric = |name: &str, target: Value| json!({"type": "Resource", "resource": {"name": name, "target": target}});
    let mut found = Vec::new();
    if flags.int("cpu-percent") > 0 {
        found.push(metric("cpu", json!({"type": "Utilization", "averageUtilization": flags.int("cpu-percent")})));
    }
    for name in ["cpu", "memory"] {
        let text = flags.text(name);
        if text.is_empty() {
            continue;
        }
        let target = match text.strip_suffix('%') {
            Some(percent) => {
                let percent: i64 =
                    percent.parse().map_err(|_| Failure::new(format!("invalid {name} percentage: {text}")))?;
                json!({"type": "Utilization", "averageUtilization": percent})
            }
            None => {
                let quantity =
                    Quantity::parse(text).map_err(|_| Failure::new(format!("invalid {name} quantity: {text}")))?;
                json!({"type": "AverageValue", "averageValue": quantity.to_string()})
            }
        };
        found.push(metric(name, target));
    }
    Ok(found)
}
