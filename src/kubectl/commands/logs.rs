//! `kubectl logs`: what containers print, of one Pod or of many.

use futures::StreamExt;
use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{Flag, Kind, long, short};
use super::super::http::Call;
use super::super::selection::{self, Info, Selection};
use crate::api::meta;
use crate::api::selector::LabelSelector;

const FLAGS: &[Flag] = &[
    short("container", 'c', Kind::Text(""), "The container"),
    long("all-containers", Kind::Bool(false), "Every container of the Pods"),
    long("all-pods", Kind::Bool(false), "Every Pod of the workload"),
    short("follow", 'f', Kind::Bool(false), "Go on with what is printed"),
    short("previous", 'p', Kind::Bool(false), "Of the run before the last restart"),
    long("tail", Kind::Int(-1), "Only the last so many lines"),
    long("since", Kind::Duration("0s"), "Only what is newer: 5m"),
    long("since-time", Kind::Text(""), "Only what is newer than a time"),
    long("timestamps", Kind::Bool(false), "The time before each line"),
    long("prefix", Kind::Bool(false), "The Pod and container before each line"),
    long("limit-bytes", Kind::Int(0), "At most so many bytes"),
    long("max-log-requests", Kind::Int(5), "Follow at most so many containers"),
    long("ignore-errors", Kind::Bool(false), "Go on with the others when one fails"),
    long("pod-running-timeout", Kind::Duration("20s"), "How long to wait until a Pod runs"),
    long("insecure-skip-tls-verify-backend", Kind::Bool(false), "Do not check the kubelet's certificate"),
];

const USAGE: &str = "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command";

/// `logs`
pub const COMMAND: Command = Command {
    name: "logs",
    usage: "(POD | TYPE/NAME | -l LABELS) [-c CONTAINER]",
    about: "Show what containers print",
    flags: &[FLAGS, selection::LABELS],
    run: run!(logs),
    ..BASE
};

/// One container of a Pod.
struct Source {
    namespace: String,
    pod: String,
    container: String,
}

async fn logs(call: &Invocation) -> Result {
    let flags = &call.flags;
    let arguments = call.arguments();
    let selector = flags.text("selector");
    let container = match arguments {
        [] if selector.is_empty() => return Err(call.usage(USAGE)),
        [_] if !selector.is_empty() => return Err(call.usage("only a selector (-l) or a POD name is allowed")),
        [] | [_] => flags.text("container"),
        [_, container] => container.as_str(),
        _ => return Err(call.usage(USAGE)),
    };
    check(call, container)?;
    let sources = sources(call, container).await?;
    let follow = flags.is("follow");
    let most = flags.int("max-log-requests");
    if follow && sources.len() > 1 && sources.len() as i64 > most {
        return Err(Failure::new(format!(
            "you are attempting to follow {} log streams, but maximum allowed concurrency is {most}, use --max-log-requests to increase the limit",
            sources.len(),
        )));
    }
    if follow {
        let all = sources.iter().map(|source| one(call, source));
        for done in futures::future::join_all(all).await {
            done?;
        }
        return Ok(());
    }
    for source in &sources {
        match one(call, source).await {
            Err(failure) if flags.is("ignore-errors") => call.out(format!("error: {}\n", failure.words())),
            other => other?,
        }
    }
    Ok(())
}

fn check(call: &Invocation, container: &str) -> Result {
    let flags = &call.flags;
    if let Some(why) = no_time(flags.text("since-time")) {
        return Err(Failure::new(why));
    }
    let wrong = match () {
        () if !flags.text("since-time").is_empty() && flags.seconds("since") != 0.0 => {
            "at most one of `sinceTime` or `sinceSeconds` may be specified"
        }
        () if flags.is("all-containers") && !container.is_empty() => {
            return Err(Failure::new(format!(
                "--all-containers=true should not be specified with container name {container}"
            )));
        }
        () if flags.given("container") && call.arguments().len() == 2 => {
            "only one of -c or an inline [CONTAINER] arg is allowed"
        }
        () if flags.int("limit-bytes") < 0 => "--limit-bytes must be greater than 0",
        () if flags.seconds("since") < 0.0 => "--since must be greater than 0",
        () if flags.int("tail") < -1 => "--tail must be greater than or equal to -1",
        () => return Ok(()),
    };
    Err(Failure::new(wrong))
}

/// The containers that the words name.
async fn sources(call: &Invocation, container: &str) -> Result<Vec<Source>> {
    let flags = &call.flags;
    if !flags.text("selector").is_empty() {
        let words = ["pods".to_owned()];
        let pods = Selection::with(call, &words).read().await?.all()?;
        if pods.is_empty() {
            call.err(format!("No resources found in {} namespace.\n", call.namespace()?));
        }
        return pods.iter().map(|pod| of_pod(call, &pod.object, container)).collect::<Result<Vec<_>>>().map(flat);
    }
    let info = named(call, &call.arguments()[0]).await?;
    if info.mapping.kind == "Pod" {
        return of_pod(call, &info.object, container);
    }
    let pods = pods_of(call, &info).await?;
    if pods.is_empty() {
        return Err(Failure::new("timed out waiting for the condition"));
    }
    if flags.is("all-pods") {
        return pods.iter().map(|pod| of_pod(call, pod, container)).collect::<Result<Vec<_>>>().map(flat);
    }
    if pods.len() > 1 {
        call.err(format!("Found {} pods, using pod/{}\n", pods.len(), meta::name(&pods[0])));
    }
    of_pod(call, &pods[0], container)
}

fn flat(lists: Vec<Vec<Source>>) -> Vec<Source> {
    lists.into_iter().flatten().collect()
}

/// A Pod by its name, or another object as `TYPE/NAME`; that it is not there is told with its namespace.
///
/// # Errors
/// When it is not there.
pub async fn named(call: &Invocation, word: &str) -> Result<Info> {
    match found(call, word).await {
        Err(failure) if failure.is_not_found() => {
            let namespace = quote(&call.namespace()?);
            Err(Failure::new(format!("error from server (NotFound): {} in namespace {namespace}", failure.words())))
        }
        found => found,
    }
}

/// A Pod by its name, or another object as `TYPE/NAME`.
///
/// # Errors
/// When it is not there.
pub async fn found(call: &Invocation, word: &str) -> Result<Info> {
    let words = if word.contains('/') { vec![word.to_owned()] } else { vec!["pods".to_owned(), word.to_owned()] };
    let mut selection = Selection::with(call, &words);
    (selection.labels, selection.all) = (None, false);
    let mut found = selection.read().await?;
    if let Some(failure) = found.failures.pop() {
        return Err(failure);
    }
    found.infos.pop().ok_or_else(|| Failure::new("expected a resource"))
}

/// The Pods behind a workload or a Service, those that work first.
///
/// # Errors
/// When the object has no Pods by its kind.
pub async fn pods_of(call: &Invocation, info: &Info) -> Result<Vec<Value>> {
    let selector = match info.mapping.kind.as_str() {
        "Service" | "ReplicationController" => {
            meta::map(&info.object, &["spec", "selector"]).map(LabelSelector::from_map)
        }
        _ => meta::get(&info.object, &["spec", "selector"]).and_then(|value| LabelSelector::from_value(value).ok()),
    };
    let Some(selector) = selector else {
        let kind = format!("*{}.{}", info.mapping.version, info.mapping.kind);
        return Err(Failure::new(format!("cannot get the logs from {kind}: selector for {kind} not implemented")));
    };
    let cluster = call.cluster().await?;
    let mapping = cluster.mapper().await?.named("pods")?;
    let list = cluster.api.json(Call::get(mapping.path(&info.namespace, None, ""))).await?;
    let mut pods = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    pods.retain(|pod| selector.matches_object(pod));
    let rank = |pod: &Value| {
        let ready = meta::list(pod, &["status", "conditions"])
            .iter()
            .any(|one| meta::text(one, &["type"]) == "Ready" && meta::text(one, &["status"]) == "True");
        let phase = match meta::text(pod, &["status", "phase"]) {
            "Running" => 0,
            "Pending" => 2,
            _ => 1,
        };
        (meta::text(pod, &["spec", "nodeName"]).is_empty(), phase, !ready, meta::creation_timestamp(pod).to_owned())
    };
    pods.sort_by_key(rank);
    Ok(pods)
}

fn of_pod(call: &Invocation, pod: &Value, container: &str) -> Result<Vec<Source>> {
    let source = |container: &str| Source {
        namespace: meta::namespace(pod).to_owned(),
        pod: meta::name(pod).to_owned(),
        container: container.to_owned(),
    };
    let names = |field: &str| -> Vec<&str> {
        meta::list(pod, &["spec", field]).iter().map(|one| meta::text(one, &["name"])).collect()
    };
    let (first, plain, debug) = (names("initContainers"), names("containers"), names("ephemeralContainers"));
    if call.flags.is("all-containers") {
        return Ok(first.into_iter().chain(plain).chain(debug).map(source).collect());
    }
    if container.is_empty() {
        let chosen = default_container(call, pod, &plain, &first);
        return Ok(vec![source(chosen)]);
    }
    if ![&first, &plain, &debug].iter().any(|list| list.contains(&container)) {
        let (pod, known) = (meta::name(pod), [first, plain, debug].concat().join(", "));
        return Err(Failure::new(format!("container {container} is not valid for pod {pod} out of: {known}")));
    }
    Ok(vec![source(container)])
}

/// The container that the Pod's annotation names, else the first, which is told where there are more.
fn default_container<'a>(call: &Invocation, pod: &'a Value, plain: &[&'a str], first: &[&'a str]) -> &'a str {
    let annotated = meta::annotation(pod, "kubectl.kubernetes.io/default-container");
    if let Some(name) = annotated.filter(|name| plain.contains(name)) {
        return name;
    }
    let chosen = plain.first().copied().unwrap_or_default();
    if plain.len() + first.len() > 1 {
        let mut all: Vec<String> = plain.iter().map(|name| (*name).to_owned()).collect();
        all.extend(first.iter().map(|name| format!("{name} (init)")));
        call.err(format!("Defaulted container {} out of: {}\n", quote(chosen), all.join(", ")));
    }
    chosen
}

async fn one(call: &Invocation, source: &Source) -> Result {
    let flags = &call.flags;
    let on = |flag: &str| if flags.is(flag) { "true" } else { "" };
    let tail = match flags.int("tail") {
        -1 if !flags.text("selector").is_empty() && !flags.given("tail") => "10".to_owned(),
        -1 => String::new(),
        tail => tail.to_string(),
    };
    let since = flags.seconds("since").round();
    let limit = flags.int("limit-bytes");
    let path = format!("/api/v1/namespaces/{}/pods/{}/log", source.namespace, source.pod);
    let request = Call::get(path)
        .accept("application/json, */*")
        .query("container", &source.container)
        .query("follow", on("follow"))
        .query("previous", on("previous"))
        .query("timestamps", on("timestamps"))
        .query("sinceTime", flags.text("since-time"))
        .query("sinceSeconds", if since > 0.0 { since.to_string() } else { String::new() })
        .query("tailLines", tail)
        .query("limitBytes", if limit > 0 { limit.to_string() } else { String::new() });
    let prefixed = flags.is("prefix") || flags.is("all-pods");
    let api = &call.cluster().await?.api;
    if !prefixed {
        let mut chunks = Box::pin(api.stream(request).await?);
        while let Some(chunk) = chunks.next().await {
            call.console().out(chunk?);
            call.console().flush().await?;
        }
        return Ok(());
    }
    let mut lines = Box::pin(api.lines(request).await?);
    while let Some(line) = lines.next().await {
        let mut text = format!("[pod/{}/{}] ", source.pod, source.container).into_bytes();
        text.extend(line?);
        text.push(b'\n');
        call.console().out(text);
        call.console().flush().await?;
    }
    Ok(())
}

/// Why a text is no time, in the words of Go: the part of the form that it does not fit.
fn no_time(text: &str) -> Option<String> {
    if text.is_empty() || text.parse::<jiff::Timestamp>().is_ok() {
        return None;
    }
    let mut rest = text;
    let form = ["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05", "Z07:00"];
    let missed = form.into_iter().find(|part| {
        let fits = match *part {
            "Z07:00" => return true,
            "-" | "T" | ":" => rest.starts_with(part),
            digits => rest.len() >= digits.len() && rest.bytes().take(digits.len()).all(|byte| byte.is_ascii_digit()),
        };
        if fits {
            rest = &rest[part.len()..];
        }
        !fits
    });
    let (text, rest) = (quote(text), quote(rest));
    let form = "\"2006-01-02T15:04:05Z07:00\"";
    Some(format!("parsing time {text} as {form}: cannot parse {rest} as \"{}\"", missed.unwrap_or("Z07:00")))
}
