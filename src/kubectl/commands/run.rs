//! `kubectl run`: one Pod from an image.

use serde_json::{Map, Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{DryRun, Flag, Kind, long, short};
use super::super::print::{self, Printer};
use super::super::write::{self, Writing};
use super::create::SAVE;
use super::generate::{OVERRIDES, labels, make, overrides};
use crate::api::meta;

const FLAGS: &[Flag] = &[
    long("image", Kind::Text(""), "The image"),
    long("env", Kind::Array, "NAME=VALUE"),
    short("labels", 'l', Kind::Text(""), "Labels: a=b,c=d"),
    long("annotations", Kind::Array, "KEY=VALUE"),
    long("port", Kind::Text(""), "The port that the container listens on"),
    long("expose", Kind::Bool(false), "A Service in front of it"),
    long("restart", Kind::Text("Always"), "Always, OnFailure or Never"),
    long("command", Kind::Bool(false), "The words behind -- are the command, not its arguments"),
    long("image-pull-policy", Kind::Text(""), "Always, IfNotPresent or Never"),
    long("privileged", Kind::Bool(false), "With all rights"),
    short("stdin", 'i', Kind::Bool(false), "Keep standard input open"),
    short("tty", 't', Kind::Bool(false), "With a terminal"),
    long("attach", Kind::Bool(false), "Attach to it"),
    long("leave-stdin-open", Kind::Bool(false), "Keep standard input open after the first"),
    long("rm", Kind::Bool(false), "Delete it after it was attached to"),
    short("quiet", 'q', Kind::Bool(false), "Tell nothing"),
    long("pod-running-timeout", Kind::Duration("1m0s"), "How long to wait until it runs"),
    long("grace-period", Kind::Int(-1), "With --rm: seconds it gets to end"),
    long("detach-keys", Kind::Text(""), "Accepted"),
    long("cascade", Kind::Optional("background", "background"), "Accepted"),
    long("force", Kind::Bool(false), "Accepted"),
    short("filename", 'f', Kind::List, "Accepted; it is ignored"),
    short("kustomize", 'k', Kind::Text(""), "Accepted"),
    short("recursive", 'R', Kind::Bool(false), "Accepted"),
    long("timeout", Kind::Duration("0s"), "Accepted"),
    long("wait", Kind::Bool(false), "Accepted"),
];

/// `run`
pub const COMMAND: Command = Command {
    name: "run",
    usage: "NAME --image=IMAGE [-- ARGS...]",
    about: "Run one Pod",
    flags: &[print::OUTPUT, FLAGS, OVERRIDES, SAVE, write::DRY_RUN, write::MANAGER],
    run: run!(run),
    ..BASE
};

async fn run(call: &Invocation) -> Result {
    let flags = &call.flags;
    if flags.given("filename") {
        call.err("Flag --filename has been deprecated, it is ignored by kubectl run and will be removed in a future release\n");
    }
    let writing = Writing::of(call, "kubectl-run")?;
    let attach = if flags.given("attach") { flags.is("attach") } else { flags.is("stdin") || flags.is("tty") };
    check(call, &writing, attach)?;
    let name = &call.arguments()[0];
    let given = labels(flags.text("labels"))?;
    let selector =
        if given.is_empty() { Map::from_iter([("run".to_owned(), Value::from(name.as_str()))]) } else { given.clone() };
    let pod = pod(call, name, &selector)?;
    let pod = make(call, &writing, pod).await?;
    let mut objects = vec![pod];
    let mut failures = Vec::new();
    if flags.is("expose") {
        let port: i64 = flags.text("port").parse().unwrap_or(0);
        let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": selector, "ports": [{"port": port, "protocol": "TCP", "targetPort": port}]}});
        if !given.is_empty() {
            service["metadata"]["labels"] = given.into();
        }
        match make(call, &writing, service).await {
            Ok(service) => objects.push(service),
            Err(failure) => failures.push(failure),
        }
    }
    if attach {
        return super::attach::to_new_pod(call, &objects[0]).await;
    }
    let mut printer = Printer::of(flags, call.session.files.as_ref(), false)?;
    printer.typed = true;
    for object in &objects {
        writing.say(&mut printer, object, "created")?;
    }
    Failure::of(failures)
}

fn check(call: &Invocation, writing: &Writing<'_>, attach: bool) -> Result {
    let flags = &call.flags;
    let wrong = match () {
        () if !flags.given("image") => "required flag(s) \"image\" not set",
        () if flags.text("image").is_empty() => "--image is required",
        () if call.arguments().is_empty() || flags.before_dash == Some(0) => "NAME is required for run",
        () if !image_fits(flags.text("image")) => {
            return Err(Failure::new(format!(
                "invalid image name {}: invalid reference format",
                quote(flags.text("image"))
            )));
        }
        () if flags.is("tty") && !flags.is("stdin") => "-i/--stdin is required for containers with -t/--tty=true",
        () if flags.is("expose") && flags.text("port").is_empty() => "--port must be set when exposing a service",
        () if !flags.text("port").is_empty() && flags.text("port").parse::<i64>().is_err() => "--port must be a number",
        () if !attach && flags.is("rm") => "--rm should only be used for attached containers",
        () if attach && writing.dry_run != DryRun::None => {
            "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)"
        }
        () => "",
    };
    if wrong.is_empty() {
        restart_policy(flags.text("restart"))?;
        return Ok(());
    }
    Err(Failure::new(wrong))
}

fn restart_policy(text: &str) -> Result {
    if matches!(text, "Always" | "OnFailure" | "Never") {
        return Ok(());
    }
    Err(Failure::new(format!("invalid restart policy: {text}, valid values are: Always, OnFailure, Never")))
}

/// A reference to an image: `[host[:port]/]path[:tag][@digest]`.
fn image_fits(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match name[slash..].find(':') {
        Some(at) => (&name[..slash + at], Some(&name[slash + at + 1..])),
        None => (name, None),
    };
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let host = path.contains('/')
        && path.split('/').next().is_some_and(|first| first.contains(['.', ':']) || first == "localhost");
    let parts = path.split('/').skip(usize::from(host));
    let part = |text: &str| {
        word(text)
            && !text.bytes().any(|b| b.is_ascii_uppercase())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let mut parts = parts.peekable();
    parts.peek().is_some()
        && parts.all(part)
        && tag.is_none_or(|tag| word(tag) && tag.len() <= 128 && !tag.starts_with(['.', '-']))
        && digest.is_none_or(|digest| digest.split_once(':').is_some_and(|(kind, hex)| word(kind) && hex.len() >= 32))
}

fn pod(call: &Invocation, name: &str, labels: &Map<String, Value>) -> Result<Value> {
    let flags = &call.flags;
    let mut container = json!({"name": name, "image": flags.text("image")});
    let mut variables = Vec::new();
    for pair in flags.all("env") {
        let named = |name: &&str| {
            !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_graphic() && c != '=')
        };
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| named(name)) else {
            return Err(Failure::new(format!("invalid env: {pair}")));
        };
        variables.push(json!({"name": name, "value": value}));
    }
    if !variables.is_empty() {
        container["env"] = variables.into();
    }
    if let Ok(port) = flags.text("port").parse::<i64>() {
        container["ports"] = json!([{"containerPort": port}]);
    }
    let words = &call.arguments()[1..];
    if !words.is_empty() {
        container[if flags.is("command") { "command" } else { "args" }] = words.into();
    }
    if !flags.text("image-pull-policy").is_empty() {
        container["imagePullPolicy"] = flags.text("image-pull-policy").into();
    }
    if flags.is("privileged") {
        container["securityContext"] = json!({"privileged": true});
    }
    if flags.is("stdin") {
        container["stdin"] = true.into();
        if !flags.is("leave-stdin-open") {
            container["stdinOnce"] = true.into();
        }
    }
    if flags.is("tty") {
        container["tty"] = true.into();
    }
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": flags.text("restart")}});
    for pair in flags.all("annotations") {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Failure::new(format!("invalid annotation format: {pair}")));
        };
        meta::set_annotation(&mut pod, key, value);
    }
    overrides(call, &mut pod, "Invalid JSON Patch")?;
    Ok(pod)
}
