//! `kubectl create`: make the objects of a file, or one of a common kind from flags.

use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{DryRun, Flag, Kind, long};
use super::super::http::Call;
use super::super::manifests::hash_with_name;
use super::super::print::{self, Printer};
use super::super::selection::{self, Selection};
use super::super::write::{self, Writing};
use super::apply::with_last_applied;
use crate::api::schema::Schema;
use crate::api::{meta, typed};

mod access;
mod config;
mod network;
mod policy;
mod workloads;

/// `--save-config`
pub const SAVE: &[Flag] = &[long("save-config", Kind::Bool(false), "Note the object as applied, for a later apply")];
const FLAGS: &[Flag] = &[
    long("edit", Kind::Bool(false), "Edit the objects first"),
    long("raw", Kind::Text(""), "A path of the API server to post the file to"),
    long("windows-line-endings", Kind::Bool(false), "Accepted"),
];

/// The flags that every generator takes.
macro_rules! generator {
    ($name:literal, $aliases:expr, $usage:literal, $about:literal, $flags:expr, $run:path) => {
        super::Command {
            name: $name,
            aliases: $aliases,
            usage: $usage,
            about: $about,
            flags: &[
                super::print::OUTPUT,
                $flags,
                super::SAVE,
                super::write::DRY_RUN,
                super::write::MANAGER,
                super::write::VALIDATE,
            ],
            run: super::run!($run),
            ..super::BASE
        }
    };
}
use generator;

/// `create`
pub const COMMAND: Command = Command {
    name: "create",
    usage: "-f FILE",
    about: "Make objects",
    flags: &[
        print::OUTPUT,
        FLAGS,
        SAVE,
        selection::FILES,
        selection::LABELS,
        write::DRY_RUN,
        write::MANAGER,
        write::VALIDATE,
    ],
    commands: &[
        access::CLUSTERROLE,
        access::CLUSTERROLEBINDING,
        config::CONFIGMAP,
        workloads::CRONJOB,
        workloads::DEPLOYMENT,
        network::INGRESS,
        workloads::JOB,
        policy::NAMESPACE,
        policy::DISRUPTION_BUDGET,
        policy::PRIORITY_CLASS,
        policy::QUOTA,
        access::ROLE,
        access::ROLEBINDING,
        config::SECRET,
        network::SERVICE,
        access::SERVICEACCOUNT,
        access::TOKEN,
    ],
    run: run!(create),
    ..BASE
};

async fn create(call: &Invocation) -> Result {
    let flags = &call.flags;
    if !call.arguments().is_empty() {
        return Err(call.usage(format!("Unexpected args: [{}]", call.arguments().join(" "))));
    }
    let selection = Selection::of(call);
    if selection.files().is_empty() && flags.is("edit") {
        return Err(selection::no_resource());
    }
    if selection.files().is_empty() {
        return Err(Failure::new("must specify one of -f and -k"));
    }
    if !flags.text("raw").is_empty() {
        return raw(call, http::Method::POST).await;
    }
    let writing = Writing::of(call, "kubectl-create")?;
    let mut printer = writing.printer()?;
    let found = selection.read().await?;
    let mut failures = found.failures;
    let mut count = 0;
    for info in found.infos {
        let object = if flags.is("save-config") { with_last_applied(&info.object) } else { info.object.clone() };
        let created = match writing.dry_run {
            DryRun::Client => Ok(object),
            _ => writing.create(&info.mapping, &info.namespace, &object).await,
        };
        match created {
            Ok(created) => {
                count += 1;
                writing.say(&mut printer, &created, "created")?;
            }
            Err(failure) => failures.push(failure.from_source("creating", &info.source)),
        }
    }
    Failure::of(failures)?;
    if count == 0 {
        return Err(Failure::new("no objects passed to create"));
    }
    Ok(())
}

/// Sends the one file to `--raw`, and shows the answer.
pub(super) async fn raw(call: &Invocation, method: http::Method) -> Result {
    let [file] = call.flags.all("filename") else {
        return Err(Failure::new("--raw can only use a single local file or stdin"));
    };
    let body = match file.as_str() {
        "-" => call.session.read_stdin().await?,
        path => call.session.files.read(std::path::Path::new(path)).map_err(|fault| Failure::opening(path, &fault))?,
    };
    let post = Call::new(method, call.flags.text("raw")).body("application/json", body);
    let answer = call.cluster().await?.api.bytes(post).await?;
    call.console().out(answer);
    Ok(())
}

/// Five letters and digits, as Kubernetes ends generated names.
pub(super) fn random_ending() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
}

/// The one NAME that a generator takes.
///
/// # Errors
/// When there is none, or more.
pub fn name(call: &Invocation) -> Result<&str> {
    let count = call.flags.before_dash.unwrap_or(call.arguments().len());
    if count != 1 {
        return Err(call.usage(format!("exactly one NAME is required, got {count}")));
    }
    // What the flags say of the cluster, of trying and of printing is looked at before the object.
    super::super::connect::check(&call.session, &call.flags)?;
    call.flags.dry_run()?;
    Printer::of(&call.flags, call.session.files.as_ref(), false)?;
    Ok(&call.arguments()[0])
}

/// Fails when a flag without which nothing works is missing.
///
/// # Errors
/// Names the flags.
pub fn required(call: &Invocation, names: &[&str]) -> Result {
    let missing: Vec<String> =
        names.iter().filter(|name| !call.flags.given(name)).map(|name| format!("\"{name}\"")).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("required flag(s) {} not set", missing.join(", "))))
}

/// The object as its hash is made of: before the server fills in what was left out.
fn hashed(call: &Invocation, object: &Value) -> Value {
    let mut plain = object.clone();
    if plain.get("data").is_none_or(Value::is_null) {
        plain["data"] = serde_json::json!({});
    }
    if meta::kind(object) == "Secret" && matches!(meta::text(object, &["type"]), "" | "Opaque") {
        plain["type"] = call.flags.text("type").into();
    }
    plain
}

/// Creates what a generator made. `failed`: the words before a refusal; empty leaves the server's.
///
/// # Errors
/// The server's refusal.
pub async fn finish(call: &Invocation, mut object: Value, failed: &str) -> Result {
    let writing = Writing::of(call, "kubectl-create")?;
    let mut printer = writing.printer()?;
    printer.typed = true;
    if call.flags.is("append-hash") {
        let name = meta::name(&object).to_owned();
        let named = format!("{name}-{}", hash_with_name(&hashed(call, &object), &name));
        meta::set_text(&mut object, "name", &named);
    }
    let (group, version) = meta::group_version(&object);
    let (group, version, kind) = (group.to_owned(), version.to_owned(), meta::kind(&object).to_owned());
    let cluster = call.cluster().await;
    let namespaced = !matches!(kind.as_str(), "Namespace" | "ClusterRole" | "ClusterRoleBinding" | "PriorityClass");
    if let (true, Ok(cluster)) = (namespaced, &cluster)
        && cluster.namespace_enforced
    {
        meta::set_text(&mut object, "namespace", &cluster.namespace);
    }
    if let Some(schema) = Schema::of_kind(&group, &version, &kind) {
        typed::normalize(&mut object, &schema);
    }
    if call.flags.is("save-config") {
        object = with_last_applied(&object);
    }
    if writing.dry_run != DryRun::Client {
        let cluster = cluster?;
        let mapping = cluster.mapper().await?.of_object(&object)?;
        let namespace = if namespaced { cluster.namespace.as_str() } else { "" };
        object = writing.create(&mapping, namespace, &object).await.map_err(|failure| match (failed, &failure) {
            ("", _) => failure,
            (failed, _) => Failure::new(format!("{failed} {}", failure.words())),
        })?;
    }
    writing.say(&mut printer, &object, "created")
}
