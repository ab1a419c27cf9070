//! What may stand next on a command line: commands, flags, kinds, the names of objects.
//!
//! In: the words so far and the beginning of the next one. Out: whole words that begin so. The cluster is
//! asked for names as any command asks it; where it does not answer, there is nothing to offer.

use serde_json::Value;

use super::command::{Command, Invocation};
use super::flags::{Flag, Flags, Kind};
use super::http::Call;
use super::mapping::Mapping;
use super::session::Session;
use super::{commands, locate};
use crate::api::meta;

/// What is offered at most.
const MOST: usize = 200;
/// What is read of a collection at most.
const MOST_NAMES: i64 = 500;
/// The list of objects' names alone.
const NAMES: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// What the arguments of a command are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arguments {
    /// A kind, then names of that kind; or `kind/name`.
    Objects,
    /// A kind.
    Kinds,
    /// Pods, or `kind/name` of what owns Pods.
    Pods,
    /// Names of this kind.
    Named(&'static str),
    /// Something else.
    Other,
}

/// What to offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// These words.
    Words(Vec<String>),
    /// Files of the session.
    Files,
}

/// The words that may stand behind `words` and begin with `begun`.
pub async fn complete(session: &Session, words: &[String], begun: &str) -> Offer {
    let Ok((command, path, rest)) = locate(&commands::ROOT, words) else { return Offer::Words(Vec::new()) };
    let known = command.all_flags();
    if let Some(flag) = words.last().and_then(|last| waiting(&known, last)) {
        return value(session, command, &path, &rest, flag, begun).await;
    }
    if begun.starts_with('-') {
        let names = known.iter().map(|flag| match flag.kind {
            Kind::Bool(_) | Kind::Optional(..) => format!("--{}", flag.name),
            _ => format!("--{}=", flag.name),
        });
        return fitting(names, begun);
    }
    if !command.commands.is_empty() && rest.iter().all(|word| word.starts_with('-')) {
        return fitting(command.commands.iter().map(|command| command.name.to_owned()), begun);
    }
    let mut flags = Flags::of(known);
    // What is wrong with flags is told when the line is run.
    let _ = flags.parse(&rest);
    let call = Invocation::new(session.clone(), flags, path.clone(), command);
    let offered = arguments(&call, &path, begun).await.unwrap_or_default();
    fitting(offered.into_iter(), begun)
}

fn fitting(words: impl Iterator<Item = String>, begun: &str) -> Offer {
    let mut words: Vec<String> = words.filter(|word| word.starts_with(begun)).collect();
    words.sort();
    words.dedup();
    words.truncate(MOST);
    Offer::Words(words)
}

/// The flag that waits for its value behind this word.
fn waiting<'f>(known: &'f [Flag], word: &str) -> Option<&'f Flag> {
    let flag = match (word.strip_prefix("--"), word.strip_prefix('-')) {
        (Some(name), _) => known.iter().find(|flag| flag.name == name),
        (None, Some(letters)) => known.iter().find(|flag| flag.short != '\0' && letters.ends_with(flag.short)),
        _ => None,
    };
    flag.filter(|flag| !matches!(flag.kind, Kind::Bool(_) | Kind::Optional(..)))
}

async fn value(
    session: &Session,
    command: &'static Command,
    path: &str,
    rest: &[String],
    flag: &Flag,
    begun: &str,
) -> Offer {
    let fixed = |words: &[&str]| fitting(words.iter().map(|word| (*word).to_owned()), begun);
    match flag.name {
        "filename" | "kustomize" | "from-file" | "from-env-file" | "patch-file" => Offer::Files,
        "output" => fixed(&["json", "yaml", "name", "wide", "jsonpath=", "custom-columns=", "go-template="]),
        "restart" => fixed(&["Always", "OnFailure", "Never"]),
        "namespace" => {
            let before = rest.split_last().map_or(&[][..], |(_, before)| before);
            let mut flags = Flags::of(command.all_flags());
            let _ = flags.parse(before);
            let call = Invocation::new(session.clone(), flags, path.to_owned(), command);
            fitting(names(&call, "namespaces").await.unwrap_or_default().into_iter(), begun)
        }
        _ => fixed(&[]),
    }
}

/// What a command's arguments are, by its path.
fn kind_of(path: &str) -> Arguments {
    match path.trim_start_matches("kubectl ") {
        "get" | "describe" | "delete" | "edit" | "label" | "annotate" | "patch" | "wait" | "scale" | "autoscale"
        | "expose" | "rollout status" | "rollout history" | "rollout restart" | "rollout undo" | "rollout pause"
        | "rollout resume" | "set image" | "set env" | "set resources" | "taint" => Arguments::Objects,
        "explain" => Arguments::Kinds,
        "logs" | "exec" | "attach" | "port-forward" | "debug" => Arguments::Pods,
        "cordon" | "uncordon" | "drain" | "top node" => Arguments::Named("nodes"),
        "top pod" => Arguments::Named("pods"),
        "certificate approve" | "certificate deny" => Arguments::Named("certificatesigningrequests"),
        _ => Arguments::Other,
    }
}

async fn arguments(call: &Invocation, path: &str, begun: &str) -> Option<Vec<String>> {
    let given = call.arguments();
    let kind = kind_of(path);
    if kind == Arguments::Other {
        return None;
    }
    if let Some((kind, _)) = begun.split_once('/').filter(|_| !matches!(kind_of(path), Arguments::Kinds)) {
        let names = names(call, kind).await?;
        return Some(names.into_iter().map(|name| format!("{kind}/{name}")).collect());
    }
    match (kind, given) {
        (Arguments::Objects, []) => {
            let (before, last) = begun.rsplit_once(',').map_or(("", begun), |(before, last)| (before, last));
            let kinds = kinds(call, last).await?;
            let joint = if before.is_empty() { String::new() } else { format!("{before},") };
            Some(kinds.into_iter().map(|kind| format!("{joint}{kind}")).collect())
        }
        (Arguments::Objects, [kind, ..]) if !kind.contains('/') => names(call, kind).await,
        (Arguments::Kinds, []) => kinds(call, begun).await,
        (Arguments::Pods, []) => names(call, "pods").await,
        (Arguments::Named(kind), _) => names(call, kind).await,
        _ => None,
    }
}

/// The kinds that begin so: by their plurals, and by their other names where no plural fits.
async fn kinds(call: &Invocation, begun: &str) -> Option<Vec<String>> {
    let mapper = call.cluster().await.ok()?.mapper().await.ok()?;
    let listed = || mapper.mappings.iter().filter(|mapping| mapping.allows("list"));
    let fits = |name: &String| name.starts_with(begun);
    let plurals: Vec<String> = listed().map(|mapping| mapping.plural.clone()).filter(fits).collect();
    let others =
        |mapping: &std::sync::Arc<Mapping>| [vec![mapping.singular.clone()], mapping.short_names.clone()].concat();
    let more: Vec<String> = listed().flat_map(others).filter(fits).collect();
    let all = "all".to_owned();
    Some([if plurals.is_empty() { more } else { plurals }, Some(all).filter(fits).into_iter().collect()].concat())
}

/// The names of a kind's objects.
async fn names(call: &Invocation, kind: &str) -> Option<Vec<String>> {
    let cluster = call.cluster().await.ok()?;
    let mapping = cluster.mapper().await.ok()?.named(kind).ok()?;
    let list = Call::get(mapping.path(&cluster.namespace, None, "")).accept(NAMES).query("limit", MOST_NAMES);
    let list: Value = cluster.api.json(list).await.ok()?;
    Some(meta::list(&list, &["items"]).iter().map(|object| meta::name(object).to_owned()).collect())
}
