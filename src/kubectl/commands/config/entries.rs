//! `kubectl config set-cluster` and `set-credentials`: where a cluster is, and who you are to it.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::super::failure::{Failure, Result, quote};
use super::super::super::flags::{Flag, Kind, long};
use super::super::super::kubeconfig::ensure_object;
use super::change::{change, entry, one};
use crate::api::meta;

const CLUSTER: &[Flag] = &[
    long("server", Kind::Text(""), "The API server's URL"),
    long("tls-server-name", Kind::Text(""), "The name that the API server's certificate must carry"),
    long("insecure-skip-tls-verify", Kind::Bool(false), "Do not check the API server's certificate"),
    long("certificate-authority", Kind::Text(""), "A file with the certificate authority"),
    long("embed-certs", Kind::Bool(false), "Put the file's content into the kubeconfig"),
    long("proxy-url", Kind::Text(""), "The proxy on the way"),
];
const USER: &[Flag] = &[
    long("client-certificate", Kind::Text(""), "A file with your certificate"),
    long("client-key", Kind::Text(""), "A file with your key"),
    long("token", Kind::Text(""), "A bearer token"),
    long("username", Kind::Text(""), "Your name"),
    long("password", Kind::Text(""), "Your password"),
    long("auth-provider", Kind::Text(""), "An auth provider"),
    long("auth-provider-arg", Kind::List, "KEY=VALUE for the auth provider; KEY- removes"),
    long("exec-command", Kind::Text(""), "A program that knows how to log in"),
    long("exec-api-version", Kind::Text(""), "The version of its API"),
    long("exec-interactive-mode", Kind::Text(""), "Never, IfAvailable or Always"),
    long("exec-provide-cluster-info", Kind::Bool(false), "Tell the program about the cluster"),
    long("exec-arg", Kind::List, "The program's arguments"),
    long("exec-env", Kind::Array, "A variable of the program: KEY=VALUE; KEY- removes"),
    long("embed-certs", Kind::Bool(false), "Put the files' content into the kubeconfig"),
];

pub(super) const SET_CLUSTER: Command = Command {
    name: "set-cluster",
    usage: "NAME [--server=URL] [--certificate-authority=FILE]",
    about: "Say where a cluster is",
    flags: &[CLUSTER],
    run: run!(set_cluster),
    ..BASE
};
pub(super) const SET_CREDENTIALS: Command = Command {
    name: "set-credentials",
    usage: "NAME [--client-certificate=FILE --client-key=FILE | --token=TOKEN]",
    about: "Say who you are",
    flags: &[USER],
    run: run!(set_credentials),
    ..BASE
};

async fn set_cluster(call: &Invocation) -> Result {
    let flags = &call.flags;
    let name = one(call)?;
    let file = flags.text("certificate-authority");
    if name.is_empty() {
        return Err(Failure::new("you must specify a non-empty cluster name"));
    }
    if flags.is("insecure-skip-tls-verify") && !file.is_empty() {
        let words = "you cannot specify a certificate authority and insecure mode at the same time";
        return Err(Failure::new(words));
    }
    if flags.is("embed-certs") {
        if file.is_empty() {
            return Err(Failure::new("you must specify a --certificate-authority to embed"));
        }
        must_be(call, "certificate-authority")?;
    }
    change(call, |value| {
        let cluster = ensure_object(entry(value, "clusters", "cluster", name));
        if flags.given("server") {
            put(cluster, "server", flags.text("server"));
            // The old name was the old server's.
            cluster.shift_remove("tls-server-name");
        }
        if flags.given("tls-server-name") {
            put(cluster, "tls-server-name", flags.text("tls-server-name"));
        }
        if flags.given("insecure-skip-tls-verify") {
            if flags.is("insecure-skip-tls-verify") {
                cluster.insert("insecure-skip-tls-verify".into(), true.into());
                cluster.shift_remove("certificate-authority");
                cluster.shift_remove("certificate-authority-data");
            } else {
                cluster.shift_remove("insecure-skip-tls-verify");
            }
        }
        if flags.given("certificate-authority") {
            file_or_content(call, cluster, "certificate-authority")?;
            if !file.is_empty() {
                cluster.shift_remove("insecure-skip-tls-verify");
            }
        }
        if flags.given("proxy-url") {
            put(cluster, "proxy-url", flags.text("proxy-url"));
        }
        Ok(format!("Cluster {} set.\n", quote(name)))
    })
}

async fn set_credentials(call: &Invocation) -> Result {
    let flags = &call.flags;
    let [name] = call.arguments() else {
        call.out(call.command.help(&call.path));
        return Err(Failure::new(format!("unexpected args: [{}]", call.arguments().join(" "))));
    };
    let provider = pairs(flags.all("auth-provider-arg"), "auth-provider-arg");
    let variables = pairs(flags.all("exec-env"), "exec-env");
    let (provider, variables) = match (provider, variables) {
        (Ok(provider), Ok(variables)) => (provider, variables),
        (Err(failure), _) | (_, Err(failure)) => {
            call.out(call.command.help(&call.path));
            return Err(failure);
        }
    };
    check_user(call, name)?;
    change(call, |value| {
        let user = ensure_object(entry(value, "users", "user", name));
        for field in ["client-certificate", "client-key"].into_iter().filter(|field| flags.given(field)) {
            file_or_content(call, user, field)?;
        }
        let filled = |field: &str| flags.given(field) && !flags.text(field).is_empty();
        for field in ["token", "username", "password"].into_iter().filter(|field| flags.given(field)) {
            put(user, field, flags.text(field));
        }
        let (token, basic) = (filled("token"), filled("username") || filled("password"));
        // One way to log in takes the place of the other.
        if token && !basic {
            user.shift_remove("username");
            user.shift_remove("password");
        }
        if basic && !token {
            user.shift_remove("token");
        }
        set_provider(call, user, &provider);
        set_program(call, user, &variables);
        Ok(format!("User {} set.\n", quote(name)))
    })
}

fn check_user(call: &Invocation, name: &str) -> Result {
    let flags = &call.flags;
    if name.is_empty() {
        return Err(Failure::new("you must specify a non-empty user name"));
    }
    let filled = |field: &str| !flags.text(field).is_empty();
    if filled("token") && (filled("username") || filled("password")) {
        let words =
            "you cannot specify more than one authentication method at the same time: --token, --username/--password";
        return Err(Failure::new(words));
    }
    if flags.is("embed-certs") {
        if !filled("client-certificate") && !filled("client-key") {
            return Err(Failure::new("you must specify a --client-certificate or --client-key to embed"));
        }
        for field in ["client-certificate", "client-key"].into_iter().filter(|field| filled(field)) {
            must_be(call, field)?;
        }
    }
    let mode = flags.text("exec-interactive-mode");
    if flags.given("exec-interactive-mode") && !matches!(mode, "IfAvailable" | "Always" | "Never") {
        return Err(Failure::new("invalid interactive mode type, can be only IfAvailable, Never, Always"));
    }
    Ok(())
}

fn set_provider(call: &Invocation, user: &mut Map<String, Value>, (set, remove): &Pairs) {
    let name = call.flags.text("auth-provider");
    let known = user.get("auth-provider").map(|provider| meta::text(provider, &["name"]).to_owned());
    if call.flags.given("auth-provider") && known.as_deref() != Some(name) {
        user.insert("auth-provider".into(), json!({"name": name, "config": {}}));
    }
    let Some(provider) = user.get_mut("auth-provider") else { return };
    let config = ensure_object(&mut ensure_object(provider)["config"]);
    remove.iter().for_each(|key| {
        config.shift_remove(key);
    });
    config.extend(set.iter().map(|(key, value)| (key.clone(), value.as_str().into())));
}

fn set_program(call: &Invocation, user: &mut Map<String, Value>, (set, remove): &Pairs) {
    let flags = &call.flags;
    if flags.given("exec-command") {
        let program = user.entry("exec").or_insert_with(|| json!({"env": null, "provideClusterInfo": false}));
        let program = ensure_object(program);
        program.insert("command".into(), flags.text("exec-command").into());
        program.insert("args".into(), Value::Null);
    }
    let Some(program) = user.get_mut("exec") else { return };
    let program = ensure_object(program);
    for (flag, field) in [("exec-api-version", "apiVersion"), ("exec-interactive-mode", "interactiveMode")] {
        if flags.given(flag) {
            program.insert(field.into(), flags.text(flag).into());
        }
    }
    if !flags.all("exec-arg").is_empty() {
        program.insert("args".into(), flags.all("exec-arg").into());
    }
    if flags.given("exec-provide-cluster-info") {
        program.insert("provideClusterInfo".into(), flags.is("exec-provide-cluster-info").into());
    }
    if set.is_empty() && remove.is_empty() {
        return;
    }
    let mut all = program.get("env").and_then(Value::as_array).cloned().unwrap_or_default();
    all.retain(|variable| !remove.iter().any(|name| meta::text(variable, &["name"]) == name));
    for (name, value) in set {
        match all.iter_mut().find(|variable| meta::text(variable, &["name"]) == name) {
            Some(known) => known["value"] = value.as_str().into(),
            None => all.push(json!({"name": name, "value": value})),
        }
    }
    program.insert("env".into(), all.into());
}

/// What is set, and what is removed.
type Pairs = (Vec<(String, String)>, Vec<String>);

fn pairs(words: &[String], what: &str) -> Result<Pairs> {
    let (mut found, mut wrong) = (Pairs::default(), Vec::new());
    for word in words {
        match (word.split_once('=').filter(|(key, _)| !key.is_empty()), word.strip_suffix('-')) {
            (Some((key, value)), _) => found.0.push((key.to_owned(), value.to_owned())),
            (None, Some(key)) if !key.is_empty() && !word.contains('=') => found.1.push(key.to_owned()),
            _ => wrong.push(word.as_str()),
        }
    }
    match wrong.is_empty() {
        true => Ok(found),
        false => Err(Failure::new(format!("invalid {what} format: {}", wrong.join(", ")))),
    }
}

/// Sets a field; an empty text takes it away.
fn put(map: &mut Map<String, Value>, field: &str, text: &str) {
    if text.is_empty() && field != "server" {
        map.shift_remove(field);
    } else {
        map.insert(field.into(), text.into());
    }
}

/// The file that a flag names must be there.
fn must_be(call: &Invocation, flag: &str) -> Result {
    let path = call.flags.text(flag);
    if call.session.files.kind(Path::new(path)).is_some() {
        return Ok(());
    }
    Err(Failure::new(format!("could not stat {flag} file {path}: stat {path}: no such file or directory")))
}

/// The path that a flag names, or with `--embed-certs` what is in that file.
fn file_or_content(call: &Invocation, map: &mut Map<String, Value>, field: &str) -> Result {
    let path = Path::new(call.flags.text(field));
    let data = format!("{field}-data");
    if call.flags.is("embed-certs") {
        let bytes = call.session.files.read(path).map_err(|fault| Failure::new(fault.to_string()))?;
        map.insert(data, BASE64.encode(bytes).into());
        map.shift_remove(field);
        return Ok(());
    }
    let whole = PathBuf::from(call.session.variable("PWD")).join(path);
    map.insert(field.into(), whole.to_string_lossy().into_owned().into());
    map.shift_remove(&data);
    Ok(())
}
