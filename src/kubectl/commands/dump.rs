//! `kubectl cluster-info dump`: everything that helps to find out what is wrong, in one text or one folder.

use std::path::Path;

use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long};
use super::super::http::Call;
use super::super::print::{self, Printer};
use super::super::selection;
use crate::api::meta;

const FLAGS: &[Flag] = &[
    long("output-directory", Kind::Text(""), "A folder to write files to; - for standard output"),
    long("namespaces", Kind::List, "The namespaces [default: kube-system and the current one]"),
    long("pod-running-timeout", Kind::Duration("20s"), "Accepted"),
];

/// `dump`
pub const COMMAND: Command = Command {
    name: "dump",
    about: "Show everything that helps to find out what is wrong",
    flags: &[print::OUTPUT, FLAGS, selection::ALL_NAMESPACES],
    run: run!(dump),
    ..BASE
};

/// What is told of each namespace: the file, and the kind.
const LISTS: [(&str, &str); 7] = [
    ("events", "events"),
    ("replication-controllers", "replicationcontrollers"),
    ("services", "services"),
    ("daemonsets", "daemonsets.apps"),
    ("deployments", "deployments.apps"),
    ("replicasets", "replicasets.apps"),
    ("pods", "pods"),
];

/// Where the texts go.
struct Place<'c> {
    call: &'c Invocation,
    folder: &'c str,
}

impl Place<'_> {
    fn put(&self, file: &str, text: &[u8]) -> Result {
        if self.folder.is_empty() || self.folder == "-" {
            self.call.console().out(text);
            return Ok(());
        }
        let path = Path::new(self.folder).join(file);
        self.call.session.files.write(&path, text).map_err(|fault| Failure::new(format!("{}: {fault}", path.display())))
    }
}

async fn dump(call: &Invocation) -> Result {
    let flags = &call.flags;
    let cluster = call.cluster().await?;
    let form = if flags.given("output") { flags.text("output") } else { "json" };
    let ending = match form {
        "json" => "json",
        "yaml" => "yaml",
        _ => "txt",
    };
    let place = Place { call, folder: flags.text("output-directory") };
    let show = |list: &Value| -> Result<String> {
        if form == "json" {
            return Ok(print::json_text(list));
        }
        Printer::of(flags, call.session.files.as_ref(), false)?.print(list)
    };
    place.put(&format!("nodes.{ending}"), show(&list(call, "nodes", "").await?)?.as_bytes())?;
    let namespaces: Vec<String> = if flags.is("all-namespaces") {
        let all = list(call, "namespaces", "").await?;
        meta::list(&all, &["items"]).iter().map(|one| meta::name(one).to_owned()).collect()
    } else {
        match flags.all("namespaces") {
            [] => vec!["kube-system".to_owned(), cluster.namespace.clone()],
            named => named.to_vec(),
        }
    };
    for namespace in &namespaces {
        let mut pods = Value::Null;
        for (file, kind) in LISTS {
            let found = list(call, kind, namespace).await?;
            place.put(&format!("{namespace}/{file}.{ending}"), show(&found)?.as_bytes())?;
            pods = found;
        }
        for pod in meta::list(&pods, &["items"]) {
            let logs = logs(call, pod).await?;
            place.put(&format!("{namespace}/{}/logs.txt", meta::name(pod)), &logs)?;
        }
        call.console().flush().await?;
    }
    if !matches!(place.folder, "" | "-") {
        call.out(format!("Cluster info dumped to {}\n", place.folder));
    }
    Ok(())
}

/// A collection, each object with its kind.
async fn list(call: &Invocation, kind: &str, namespace: &str) -> Result<Value> {
    let cluster = call.cluster().await?;
    let mapping = cluster.mapper().await?.named(kind)?;
    cluster.api.json(Call::get(mapping.path(namespace, None, ""))).await
}

/// The logs of a Pod's containers, those that run first before the others.
async fn logs(call: &Invocation, pod: &Value) -> Result<Vec<u8>> {
    let cluster = call.cluster().await?;
    let mapping = cluster.mapper().await?.named("pods")?;
    let (namespace, name) = (meta::namespace(pod), meta::name(pod));
    let mut text = Vec::new();
    for field in ["initContainers", "containers"] {
        for container in meta::list(pod, &["spec", field]) {
            let container = meta::text(container, &["name"]);
            let title = format!("logs for container {container} of pod {namespace}/{name} ====\n");
            text.extend(format!("==== START {title}").bytes());
            let log = Call::get(mapping.path(namespace, Some(name), "log")).query("container", container);
            match cluster.api.bytes(log).await {
                Ok(bytes) => text.extend_from_slice(&bytes),
                Err(failure) => text.extend(format!("Request log error: {}\n", failure.words()).bytes()),
            }
            text.extend(format!("==== END {title}").bytes());
        }
    }
    Ok(text)
}
