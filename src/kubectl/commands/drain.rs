//! `kubectl cordon`, `uncordon` and `drain`: keep new Pods off a node, and move the old ones away.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{DryRun, Flag, Kind, long};
use super::super::http::Call;
use super::super::selection::{self, Info, Selection};
use super::super::write::{self, STRATEGIC, Writing};
use crate::api::meta;
use crate::api::selector::LabelSelector;

const FLAGS: &[Flag] = &[
    long("force", Kind::Bool(false), "Also Pods that nothing makes again"),
    long("ignore-daemonsets", Kind::Bool(false), "Leave the Pods of DaemonSets"),
    long("delete-emptydir-data", Kind::Bool(false), "Also Pods whose data is lost with them"),
    long("grace-period", Kind::Int(-1), "Seconds each Pod gets to end"),
    long("timeout", Kind::Duration("0s"), "How long to wait; 0 for as long as it takes"),
    long("pod-selector", Kind::Text(""), "Only Pods with these labels"),
    long("disable-eviction", Kind::Bool(false), "Delete, whatever disruption budgets say"),
    long("skip-wait-for-delete-timeout", Kind::Int(0), "Do not wait for Pods that were deleted so many seconds ago"),
];

/// `cordon`
pub const CORDON: Command = Command {
    name: "cordon",
    usage: "NODE",
    about: "Keep new Pods off a node",
    flags: &[selection::LABELS, write::DRY_RUN],
    run: run!(cordon),
    ..BASE
};
/// `uncordon`
pub const UNCORDON: Command = Command {
    name: "uncordon",
    usage: "NODE",
    about: "Let new Pods onto a node again",
    flags: &[selection::LABELS, write::DRY_RUN],
    run: run!(uncordon),
    ..BASE
};
/// `drain`
pub const DRAIN: Command = Command {
    name: "drain",
    usage: "NODE",
    about: "Move a node's Pods away",
    flags: &[FLAGS, selection::LABELS, selection::CHUNKS, write::DRY_RUN],
    run: run!(drain),
    ..BASE
};

async fn nodes(call: &Invocation) -> Result<Vec<Info>> {
    let selector = call.flags.text("selector");
    if call.arguments().is_empty() && !call.flags.given("selector") {
        return Err(call.usage(format!("USAGE: {} {} [flags]", call.command.name, call.command.usage)));
    }
    if !call.arguments().is_empty() && !selector.is_empty() {
        return Err(call.usage("error: cannot specify both a node name and a --selector option"));
    }
    let mut words: Vec<String> = Vec::new();
    if call.arguments().iter().any(|word| word.contains('/')) {
        words.extend(call.arguments().iter().cloned());
    } else {
        words.push("nodes".into());
        words.extend(call.arguments().iter().cloned());
    }
    let infos = Selection::with(call, &words).read().await?.all()?;
    match infos.iter().find(|info| info.mapping.kind != "Node") {
        Some(other) => Err(Failure::new(format!(
            "error: expected resource of type node, got {}",
            quote(&other.mapping.group_version_resource())
        ))),
        None => Ok(infos),
    }
}

async fn cordon(call: &Invocation) -> Result {
    set_all(call, &Writing::of(call, "")?, &nodes(call).await?, true).await
}

async fn uncordon(call: &Invocation) -> Result {
    set_all(call, &Writing::of(call, "")?, &nodes(call).await?, false).await
}

async fn set_all(call: &Invocation, writing: &Writing<'_>, nodes: &[Info], cordoned: bool) -> Result {
    let verb = if cordoned { "cordon" } else { "uncordon" };
    for info in nodes {
        let now = meta::get(&info.object, &["spec", "unschedulable"]) == Some(&Value::Bool(true));
        let mut done = format!("{verb}ed");
        if now == cordoned {
            done = format!("already {verb}ed");
        } else if writing.dry_run != DryRun::Client {
            let value = if cordoned { json!(true) } else { Value::Null };
            let patch = json!({"spec": {"unschedulable": value}});
            if let Err(failure) = writing.patch(info, "", STRATEGIC, &patch).await {
                call.err(format!("error: unable to {verb} node {}: {}\n", quote(&info.name), failure.words()));
                continue;
            }
        }
        call.out(format!("node/{} {done}{}\n", info.name, writing.dry_run.suffix()));
    }
    Ok(())
}

async fn drain(call: &Invocation) -> Result {
    let writing = Writing::of(call, "")?;
    if LabelSelector::parse(call.flags.text("pod-selector")).is_err() {
        return Err(Failure::new("--pod-selector=<pod_selector> must be a valid label selector"));
    }
    let nodes = nodes(call).await?;
    set_all(call, &writing, &nodes, true).await?;
    call.console().flush().await?;
    let (mut failures, mut left) = (Vec::new(), Vec::new());
    for info in &nodes {
        match empty(call, &writing, info).await {
            Ok(()) => call.out(format!("node/{} drained{}\n", info.name, writing.dry_run.suffix())),
            Err(failure) => {
                let words = failure.words();
                call.err(format!(
                    "error: unable to drain node {} due to error: {words}, continuing command...\n",
                    quote(&info.name)
                ));
                failures.push(failure);
                left.push(&info.name);
            }
        }
    }
    if !left.is_empty() {
        call.err("There are pending nodes to be drained:\n");
        left.iter().for_each(|name| call.err(format!(" {name}\n")));
    }
    // Told as they are, each on its line.
    let each = failures.into_iter().flat_map(|failure| match failure {
        Failure::Many(all) => all,
        one => vec![one],
    });
    Failure::of(each.map(|failure| Failure::Plain(failure.words())).collect())
}

/// What is done with a Pod, and why it is told.
enum Verdict {
    Move,
    MoveWithWarning(&'static str),
    Leave,
    LeaveWithWarning(&'static str),
    Refuse(&'static str),
}

fn verdict(call: &Invocation, pod: &Value, daemon_set_exists: bool) -> Verdict {
    let flags = &call.flags;
    let ended = matches!(meta::text(pod, &["status", "phase"]), "Succeeded" | "Failed");
    let owner = meta::controller_of(pod);
    if meta::annotation(pod, "kubernetes.io/config.mirror").is_some() {
        return Verdict::Leave;
    }
    if owner.as_ref().is_some_and(|owner| owner.kind == "DaemonSet") {
        return match () {
            () if ended => Verdict::Move,
            () if !daemon_set_exists && flags.is("force") => {
                Verdict::MoveWithWarning("ignoring DaemonSet-managed Pods")
            }
            () if flags.is("ignore-daemonsets") => Verdict::LeaveWithWarning("ignoring DaemonSet-managed Pods"),
            () => Verdict::Refuse("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"),
        };
    }
    let local = meta::list(pod, &["spec", "volumes"])
        .iter()
        .any(|volume| volume.get("emptyDir").is_some_and(|dir| !dir.is_null()));
    if local && !ended && !flags.is("delete-emptydir-data") {
        return Verdict::Refuse("Pods with local storage (use --delete-emptydir-data to override)");
    }
    if owner.is_none() && !ended {
        let kept = "deleting Pods that declare no controller";
        let refused = "cannot delete Pods that declare no controller (use --force to override)";
        return if flags.is("force") { Verdict::MoveWithWarning(kept) } else { Verdict::Refuse(refused) };
    }
    Verdict::Move
}

async fn empty(call: &Invocation, writing: &Writing<'_>, node: &Info) -> Result {
    let cluster = call.cluster().await?;
    let mapping = cluster.mapper().await?.named("pods")?;
    let list = Call::get(mapping.path("", None, ""))
        .query("fieldSelector", format!("spec.nodeName={}", node.name))
        .query("labelSelector", call.flags.text("pod-selector"));
    let list = cluster.api.json(list).await?;
    let mut moved = Vec::new();
    let mut warnings: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut refusals: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for pod in list.get("items").and_then(Value::as_array).into_iter().flatten() {
        let shown = format!("{}/{}", meta::namespace(pod), meta::name(pod));
        match verdict(call, pod, true) {
            Verdict::Move => moved.push(pod),
            Verdict::MoveWithWarning(why) => {
                warnings.entry(why).or_default().push(shown);
                moved.push(pod);
            }
            Verdict::Leave => {}
            Verdict::LeaveWithWarning(why) => warnings.entry(why).or_default().push(shown),
            Verdict::Refuse(why) => refusals.entry(why).or_default().push(shown),
        }
    }
    if !refusals.is_empty() {
        let words = |(why, pods): (&str, Vec<String>)| {
            let why = why.strip_prefix("cannot delete ").unwrap_or(why);
            Failure::new(format!("cannot delete {why}: {}", pods.join(", ")))
        };
        return Failure::of(refusals.into_iter().map(words).collect());
    }
    if !warnings.is_empty() {
        let words: Vec<String> =
            warnings.into_iter().map(|(why, pods)| format!("{why}: {}", pods.join(", "))).collect();
        call.err(format!("Warning: {}\n", words.join("; ")));
    }
    let info = |pod: &Value| Info {
        mapping: mapping.clone(),
        namespace: meta::namespace(pod).to_owned(),
        name: meta::name(pod).to_owned(),
        object: pod.clone(),
        source: String::new(),
    };
    let infos: Vec<Info> = moved.into_iter().map(info).collect();
    if writing.dry_run == DryRun::Client {
        infos.iter().for_each(|info| call.out(format!("evicting pod {}/{} (dry run)\n", info.namespace, info.name)));
        return Ok(());
    }
    let all = futures::future::join_all(infos.iter().map(|info| evict(call, writing, info)));
    let limit = call.flags.duration("timeout");
    let done = if limit.is_zero() {
        all.await
    } else {
        let late = || Failure::new(format!("drain did not complete within {}s", limit.as_secs()));
        call.session.clock.timeout(limit, all).await.map_err(|_| late())?
    };
    Failure::of(done.into_iter().filter_map(Result::err).collect())
}

async fn evict(call: &Invocation, writing: &Writing<'_>, pod: &Info) -> Result {
    const RETRY: Duration = Duration::from_secs(5);
    let grace = Some(call.flags.int("grace-period")).filter(|seconds| *seconds >= 0);
    let uid = meta::uid(&pod.object).to_owned();
    let deleting = call.flags.is("disable-eviction");
    loop {
        let asked = if deleting {
            writing.delete(pod, grace, "Background").await
        } else {
            let dry = if writing.dry_run == DryRun::Server { " (server dry run)" } else { "" };
            call.out(format!("evicting pod {}/{}{dry}\n", pod.namespace, pod.name));
            call.console().flush().await?;
            let mut options = json!({});
            if let Some(seconds) = grace {
                options["gracePeriodSeconds"] = seconds.into();
            }
            let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
                "metadata": {"name": pod.name, "namespace": pod.namespace}, "deleteOptions": options});
            let post = Call::new(http::Method::POST, pod.subpath("eviction")).json(&eviction);
            let post = if writing.dry_run == DryRun::Server { post.query("dryRun", "All") } else { post };
            call.cluster().await?.api.json(post).await
        };
        match asked {
            Ok(_) => break,
            Err(failure) if failure.is_not_found() => break,
            Err(failure) if failure.reason() == "TooManyRequests" => {
                call.err(format!(
                    "error when evicting pods/{} -n {} (will retry after 5s): {}\n",
                    quote(&pod.name),
                    quote(&pod.namespace),
                    failure.words(),
                ));
                call.console().flush().await?;
                call.session.clock.sleep(RETRY).await;
            }
            Err(failure) => {
                let words = format!(
                    "error when evicting pods/{} -n {}: {}",
                    quote(&pod.name),
                    quote(&pod.namespace),
                    failure.words()
                );
                return Err(Failure::new(words));
            }
        }
    }
    if writing.dry_run != DryRun::None {
        return Ok(());
    }
    super::wait::until_gone(call, pod, Some(&uid)).await?;
    let done = if deleting { "deleted" } else { "evicted" };
    call.out(format!("pod/{} {done}\n", pod.name));
    call.console().flush().await
}
