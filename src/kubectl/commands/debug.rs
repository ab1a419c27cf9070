//! `kubectl debug`: look into a Pod or a node from inside.
//!
//! In: a Pod or a node, and an image. Out: one more container in the Pod that runs, a copy of the Pod with
//! something changed (`--copy-to`), or a Pod that sees its node as the node sees itself. What each may do is
//! the profile's ([`profile`]).

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{Flag, Kind, long, short};
use super::super::http::Call;
use super::super::selection::{self, Info};
use super::super::write::STRATEGIC;
use super::create::random_ending;
use super::{attach, exec, logs};
use crate::api::patch::strategic;
use crate::api::schema::Schema;
use crate::api::{meta, yaml};

mod profile;

use profile::{Profile, Style};

const FLAGS: &[Flag] = &[
    long("image", Kind::Text(""), "The image of the new container"),
    long("target", Kind::Text(""), "The container whose processes it shall see"),
    short("container", 'c', Kind::Text(""), "The new container's name"),
    short("stdin", 'i', Kind::Bool(false), "Send standard input"),
    short("tty", 't', Kind::Bool(false), "With a terminal"),
    short("quiet", 'q', Kind::Bool(false), "Only the container's own output"),
    long("attach", Kind::Bool(false), "Wait and attach; true with -i"),
    long("env", Kind::Pairs, "A variable: KEY=VALUE"),
    long("arguments-only", Kind::Bool(false), "What follows -- are arguments of the image's own command"),
    long("image-pull-policy", Kind::Text(""), "Always, IfNotPresent or Never"),
    long("custom", Kind::Text(""), "A file with a part of a container: what differs from the profile"),
    long("profile", Kind::Text("general"), "general, baseline, restricted, netadmin or sysadmin"),
];
const COPY: &[Flag] = &[
    long("copy-to", Kind::Text(""), "Make a copy of the Pod, of this name"),
    long("replace", Kind::Bool(false), "With --copy-to: delete the original"),
    long("same-node", Kind::Bool(false), "With --copy-to: on the same node"),
    long("set-image", Kind::Pairs, "With --copy-to: CONTAINER=IMAGE, or *=IMAGE"),
    long("share-processes", Kind::Bool(true), "With --copy-to: containers see each other's processes"),
    long("keep-labels", Kind::Bool(false), "With --copy-to: keep the labels"),
    long("keep-annotations", Kind::Bool(false), "With --copy-to: keep the annotations"),
    long("keep-liveness", Kind::Bool(false), "With --copy-to: keep the liveness probes"),
    long("keep-readiness", Kind::Bool(false), "With --copy-to: keep the readiness probes"),
    long("keep-startup", Kind::Bool(false), "With --copy-to: keep the startup probes"),
    long("keep-init-containers", Kind::Bool(true), "With --copy-to: keep the init containers"),
];

/// `debug`
pub const COMMAND: Command = Command {
    name: "debug",
    usage: "(POD | TYPE/NAME) --image=IMAGE [-it] [--target=CONTAINER | --copy-to=NAME] [-- COMMAND [ARGS...]]",
    about: "Look into a Pod or a node from inside",
    flags: &[FLAGS, COPY, selection::FILE],
    run: run!(debug),
    ..BASE
};

async fn debug(call: &Invocation) -> Result {
    let at = call.flags.before_dash.unwrap_or(call.arguments().len());
    let (names, command) = call.arguments().split_at(at);
    let profile = check(call, names, command)?;
    for name in names {
        let info = logs::found(call, name).await?;
        let copies = !call.flags.text("copy-to").is_empty();
        let started = match info.mapping.kind.as_str() {
            "Node" => on_node(call, &info, profile, command).await?,
            "Pod" if copies => by_copy(call, &info, profile, command).await?,
            "Pod" => in_pod(call, &info, profile, command).await?,
            _ => {
                let mapping = &info.mapping;
                let group = if mapping.group.is_empty() { "/" } else { &format!("{}/", mapping.group) };
                let shown = format!("{group}{}, Kind={}", mapping.version, mapping.kind);
                return Err(Failure::new(format!("{} not supported by debug", quote(&shown))));
            }
        };
        let attaches = if call.flags.given("attach") { call.flags.is("attach") } else { call.flags.is("stdin") };
        if let Some(place) = started.filter(|_| attaches) {
            look(call, &place).await?;
        }
    }
    Ok(())
}

/// The rules for the flags, in the order in which kubectl has them.
fn check(call: &Invocation, names: &[String], command: &[String]) -> Result<Profile> {
    let flags = &call.flags;
    let profile = Profile::of(flags.text("profile"))?;
    let has = |flag: &str| !flags.text(flag).is_empty();
    let wrong = |words: &str| Err(Failure::new(words));
    if flags.given("attach") && flags.is("attach") && !has("image") && !has("container") {
        return wrong("you must specify --container or create a new container using --image in order to attach.");
    }
    if has("copy-to") {
        if !has("image") && flags.all("set-image").is_empty() && command.is_empty() {
            return wrong("you must specify --image, --set-image or command arguments.");
        }
        if !command.is_empty() && !has("container") && !has("image") {
            return wrong("you must specify an existing container or a new image when specifying args.");
        }
    } else if flags.is("replace") {
        return wrong("--replace may only be used with --copy-to.");
    } else if flags.is("same-node") {
        return wrong("--same-node may only be used with --copy-to.");
    } else if !flags.all("set-image").is_empty() {
        return wrong("--set-image may only be used with --copy-to.");
    } else if !has("image") {
        return wrong("you must specify --image when not using --copy-to.");
    }
    if names.is_empty() {
        return wrong("NAME or filename is required for debug");
    }
    if !["", "Always", "IfNotPresent", "Never"].contains(&flags.text("image-pull-policy")) {
        return Err(Failure::new(format!("invalid image pull policy: {}", flags.text("image-pull-policy"))));
    }
    if has("target") {
        if has("copy-to") {
            return wrong("--target is incompatible with --copy-to. Use --share-processes instead.");
        }
        if !flags.is("quiet") {
            let target = quote(flags.text("target"));
            call.out(format!("Targeting container {target}. If you don't see processes from this container it may be because the container runtime doesn't support this feature.\n"));
        }
    }
    if flags.is("tty") && !flags.is("stdin") {
        return wrong("-i/--stdin is required for containers with -t/--tty=true");
    }
    customization(call)?;
    if profile == Profile::Legacy {
        call.err("--profile=legacy is deprecated and planned to be removed in v1.39. It is recommended to specify other profile, for example \"--profile=general\".\n");
    }
    Ok(profile)
}

/// One more container in a Pod that runs.
async fn in_pod(call: &Invocation, info: &Info, profile: Profile, command: &[String]) -> Result<Option<exec::Place>> {
    let name = container_name(call, &info.object);
    let mut container = container(call, &name, command);
    if !call.flags.text("target").is_empty() {
        container["targetContainerName"] = call.flags.text("target").into();
    }
    let mut pod = json!({"spec": {"ephemeralContainers": [container]}});
    profile.apply(&mut pod, &name, Style::Ephemeral, &call.flags);
    customize(call, &mut pod, "ephemeralContainers", &name)?;
    // Without the order the server would put the new container first.
    let known = meta::list(&info.object, &["spec", "ephemeralContainers"]).iter();
    let order = known.map(|one| meta::text(one, &["name"]).to_owned()).chain([name.clone()]);
    let order: Vec<Value> = order.map(|name| json!({"name": name})).collect();
    pod["spec"]["$setElementOrder/ephemeralContainers"] = order.into();
    let request = Call::new(http::Method::PATCH, info.subpath("ephemeralcontainers"));
    call.cluster().await?.api.json(request.body(STRATEGIC, pod.to_string().into_bytes())).await?;
    Ok(Some(exec::Place { namespace: info.namespace.clone(), pod: info.name.clone(), container: name }))
}

/// A copy of the Pod in which something differs.
async fn by_copy(call: &Invocation, info: &Info, profile: Profile, command: &[String]) -> Result<Option<exec::Place>> {
    let flags = &call.flags;
    let mut copy = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": flags.text("copy-to"), "namespace": info.namespace},
        "spec": info.object.get("spec").cloned().unwrap_or_default(),
    });
    for field in ["labels", "annotations"] {
        if let Some(kept) = meta::map(&info.object, &["metadata", field]) {
            copy["metadata"][field] = kept.clone().into();
        }
    }
    meta::remove(&mut copy, &["spec", "ephemeralContainers"]);
    if flags.given("share-processes") {
        meta::set(&mut copy, &["spec", "shareProcessNamespace"], flags.is("share-processes").into());
    }
    if !flags.is("same-node") {
        meta::remove(&mut copy, &["spec", "nodeName"]);
    }
    let images: Vec<(String, String)> = flags
        .all("set-image")
        .iter()
        .filter_map(|pair| pair.split_once('=').map(|(name, image)| (name.to_owned(), image.to_owned())))
        .collect();
    let containers = copy["spec"]["containers"].as_array_mut().into_iter().flatten();
    for container in containers {
        let named = |wanted: &str| images.iter().find(|(name, _)| name == wanted).map(|(_, image)| image.clone());
        if let Some(image) = named(meta::text(container, &["name"])).or_else(|| named("*")) {
            container["image"] = image.into();
        }
    }
    let wanted = flags.text("container").to_owned();
    let known = |pod: &Value, name: &str| {
        let lists = ["containers", "initContainers"];
        lists.into_iter().any(|list| meta::list(pod, &["spec", list]).iter().any(|c| meta::text(c, &["name"]) == name))
    };
    let name = if known(&copy, &wanted) {
        wanted
    } else if flags.text("image").is_empty() {
        if images.is_empty() {
            return Err(Failure::new("you must specify image when creating new container"));
        }
        String::new()
    } else {
        let name = container_name(call, &copy);
        if let Some(containers) = copy["spec"]["containers"].as_array_mut() {
            containers.push(json!({"name": name, "resources": {}, "terminationMessagePolicy": "File"}));
        }
        name
    };
    if !name.is_empty() {
        profile::container(&mut copy, &name, |container| change(call, container, command));
        profile.apply(&mut copy, &name, Style::Copy, flags);
        customize(call, &mut copy, "containers", &name)?;
    }
    let cluster = call.cluster().await?;
    let pods = format!("/api/v1/namespaces/{}/pods", info.namespace);
    cluster.api.json(Call::new(http::Method::POST, pods).json(&copy)).await?;
    if flags.is("replace") {
        let now = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0});
        cluster.api.json(Call::new(http::Method::DELETE, info.path()).json(&now)).await?;
    }
    let place =
        exec::Place { namespace: info.namespace.clone(), pod: flags.text("copy-to").to_owned(), container: name };
    Ok(Some(place).filter(|place| !place.container.is_empty()))
}

/// A Pod on the node that sees what the node sees.
async fn on_node(call: &Invocation, info: &Info, profile: Profile, command: &[String]) -> Result<Option<exec::Place>> {
    let flags = &call.flags;
    let name = if flags.text("container").is_empty() { "debugger" } else { flags.text("container") };
    let pod = format!("node-debugger-{}-{}", info.name, random_ending());
    if !flags.is("quiet") {
        call.out(format!("Creating debugging pod {pod} with container {name} on node {}.\n", info.name));
    }
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod, "labels": {"app.kubernetes.io/managed-by": "kubectl-debug"}},
        "spec": {
            "containers": [container(call, name, command)],
            "nodeName": info.name,
            "restartPolicy": "Never",
            "tolerations": [{"operator": "Exists"}],
        },
    });
    profile.apply(&mut object, name, Style::Node, flags);
    customize(call, &mut object, "containers", name)?;
    let namespace = call.namespace()?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    call.cluster().await?.api.json(Call::new(http::Method::POST, pods).json(&object)).await?;
    Ok(Some(exec::Place { namespace, pod, container: name.to_owned() }))
}

/// The name given, or a new one.
fn container_name(call: &Invocation, pod: &Value) -> String {
    let given = call.flags.text("container");
    if !given.is_empty() {
        return given.to_owned();
    }
    let taken = |name: &str| {
        ["containers", "initContainers", "ephemeralContainers"]
            .into_iter()
            .any(|list| meta::list(pod, &["spec", list]).iter().any(|one| meta::text(one, &["name"]) == name))
    };
    let mut name = format!("debugger-{}", random_ending());
    while taken(&name) {
        name = format!("debugger-{}", random_ending());
    }
    if !call.flags.is("quiet") {
        call.out(format!("Defaulting debug container name to {name}.\n"));
    }
    name
}

/// A new container, before its profile.
fn container(call: &Invocation, name: &str, command: &[String]) -> Value {
    let mut container = json!({"name": name, "resources": {}, "terminationMessagePolicy": "File"});
    change(call, &mut container, command);
    container
}

/// What the flags say of a container.
fn change(call: &Invocation, container: &mut Value, command: &[String]) {
    let flags = &call.flags;
    if !command.is_empty() {
        if flags.is("arguments-only") {
            container["args"] = json!(command);
        } else {
            container["command"] = json!(command);
            meta::remove(container, &["args"]);
        }
    }
    let variables = flags.all("env");
    let variables = variables.iter().filter_map(|pair| pair.split_once('='));
    let variables: Vec<Value> = variables.map(|(name, value)| json!({"name": name, "value": value})).collect();
    if !variables.is_empty() {
        container["env"] = variables.into();
    }
    for (flag, field) in [("image", "image"), ("image-pull-policy", "imagePullPolicy")] {
        if !flags.text(flag).is_empty() {
            container[field] = flags.text(flag).into();
        }
    }
    for field in ["stdin", "tty"] {
        meta::remove(container, &[field]);
        if flags.is(field) {
            container[field] = true.into();
        }
    }
}

/// The part of a container that `--custom` names.
fn customization(call: &Invocation) -> Result<Option<Value>> {
    let file = call.flags.text("custom");
    if file.is_empty() {
        return Ok(None);
    }
    let wrong = |why: String| Failure::new(format!("{file} does not contain a valid container spec: {why}"));
    let bytes = call.session.files.read(std::path::Path::new(file)).map_err(|fault| {
        let why = Failure::opening(file, &fault).words();
        Failure::new(format!("must pass a container spec json file for custom profile: {why}"))
    })?;
    let part = yaml::parse(&bytes).map_err(|fault| wrong(fault.to_string()))?;
    if !part.is_object() {
        return Err(wrong("it is no object".into()));
    }
    const FIXED: [&str; 5] = ["name", "command", "image", "lifecycle", "volumeDevices"];
    if FIXED.iter().any(|field| part.get(field).is_some()) {
        let words = "name, command, image, lifecycle and volume devices are not modifiable via custom profile";
        return Err(Failure::new(words));
    }
    Ok(Some(part))
}

/// Puts what `--custom` says over the new container.
fn customize(call: &Invocation, pod: &mut Value, list: &str, name: &str) -> Result {
    let Some(mut part) = customization(call)? else { return Ok(()) };
    part["name"] = name.into();
    let Some(schema) = Schema::of_kind("", "v1", "Pod") else { return Ok(()) };
    strategic::apply(pod, &json!({"spec": {list: [part]}}), &schema).map_err(|status| Failure::new(status.message))
}

/// Waits for the container and attaches to it; of one that has ended already, its log.
async fn look(call: &Invocation, place: &exec::Place) -> Result {
    call.console().flush().await?;
    let info = logs::found(call, &format!("pods/{}", place.pod)).await?;
    let state = |pod: &Value, state: &str| {
        ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"].into_iter().any(|list| {
            let mut found = meta::list(pod, &["status", list]).iter();
            found
                .any(|one| meta::text(one, &["name"]) == place.container && meta::get(one, &["state", state]).is_some())
        })
    };
    let pod = super::wait::until(call, &info, |pod| Ok(state(pod, "running") || state(pod, "terminated"))).await?;
    if state(&pod, "terminated") {
        let log = Call::get(info.subpath("log")).query("container", &place.container);
        call.console().out(call.cluster().await?.api.bytes(log).await?);
        return Ok(());
    }
    attach::to(call, place).await
}
