//! `kubectl wait`: until a condition holds, a field has a value, or an object is there or gone.

use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{Flag, Kind, long};
use super::super::http::Call;
use super::super::print::{self, Printer, columns::relaxed};
use super::super::selection::{self, Info, Selection};
use crate::api::jsonpath::JsonPath;
use crate::api::meta;

const FLAGS: &[Flag] = &[
    long("for", Kind::Array, "What to wait for: condition=Ready, jsonpath='{.status.phase}'=Running, create, delete"),
    long("timeout", Kind::Duration("30s"), "How long; 0 looks once, negative waits for a week"),
    long("local", Kind::Bool(false), "Accepted"),
];
const WEEK: Duration = Duration::from_secs(168 * 3600);

/// `wait`
pub const COMMAND: Command = Command {
    name: "wait",
    usage: "(-f FILE | TYPE/NAME ... | TYPE -l LABELS | TYPE --all) --for=CONDITION",
    about: "Wait until something holds",
    flags: &[
        print::OUTPUT,
        FLAGS,
        selection::FOLDERS,
        selection::LABELS,
        selection::FIELDS,
        selection::ALL,
        selection::ALL_NAMESPACES,
    ],
    run: run!(wait),
    ..BASE
};

/// What is waited for.
enum Goal {
    Created,
    Deleted,
    Condition(String, String),
    Field(JsonPath, Option<String>),
}

impl Goal {
    fn parse(text: &str) -> Result<Goal> {
        let lower = text.to_lowercase();
        if lower == "delete" {
            return Ok(Goal::Deleted);
        }
        if lower == "create" {
            return Ok(Goal::Created);
        }
        if let Some(condition) = text.strip_prefix("condition=") {
            let (name, status) = condition.split_once('=').unwrap_or((condition, "true"));
            return Ok(Goal::Condition(name.to_owned(), status.to_owned()));
        }
        let Some(field) = text.strip_prefix("jsonpath=") else {
            return Err(Failure::new(format!("unrecognized condition: {}", quote(text))));
        };
        let parts = split(field);
        let words = "jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or --for=jsonpath='{.status.readyReplicas}'";
        match parts.as_slice() {
            [path] if path.is_empty() => Err(Failure::new("jsonpath expression cannot be empty")),
            [path] => Ok(Goal::Field(relaxed(path)?, None)),
            [path, value] => {
                let value = value.trim_matches(['\'', '"']);
                if value.is_empty() {
                    return Err(Failure::new(
                        "jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3",
                    ));
                }
                Ok(Goal::Field(relaxed(path)?, Some(value.to_owned())))
            }
            _ => Err(Failure::new(words)),
        }
    }

    fn holds(&self, object: &Value) -> Result<bool> {
        match self {
            Goal::Created => Ok(true),
            Goal::Deleted => Ok(false),
            Goal::Condition(name, status) => Ok(condition_holds(object, name, status)),
            Goal::Field(path, wanted) => field_holds(object, path, wanted.as_deref()),
        }
    }
}

/// Parts at single `=`; `==` belongs to a filter.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let last = parts.len() - 1;
        if letter == '=' {
            if letters.next_if_eq(&'=').is_some() {
                parts[last].push_str("==");
            } else {
                parts.push(String::new());
            }
        } else {
            parts[last].push(letter);
        }
    }
    parts
}

fn condition_holds(object: &Value, name: &str, status: &str) -> bool {
    let text =
        |condition: &Value, field: &str| condition.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let conditions = meta::list(object, &["status", "conditions"]);
    let Some(found) = conditions.iter().find(|one| text(one, "type").eq_ignore_ascii_case(name)) else { return false };
    let observed = found.get("observedGeneration").and_then(Value::as_i64);
    let observed = observed.or_else(|| meta::integer(object, &["status", "observedGeneration"]));
    if observed.is_some_and(|observed| observed < meta::generation(object)) {
        return false;
    }
    text(found, "status").eq_ignore_ascii_case(status)
}

fn field_holds(object: &Value, path: &JsonPath, wanted: Option<&str>) -> Result<bool> {
    let found = path.find(object);
    match (found.as_slice(), wanted) {
        ([], _) => Ok(false),
        ([_], None) => Ok(true),
        ([Value::Object(_) | Value::Array(_)], Some(_)) => {
            Err(Failure::new("jsonpath leads to a nested object or list which is not supported"))
        }
        ([one], Some(wanted)) => Ok(print::go_value(one).trim() == wanted.trim()),
        _ => Err(Failure::new("given jsonpath expression matches more than one value")),
    }
}

async fn wait(call: &Invocation) -> Result {
    let mut printer = Printer::of(&call.flags, call.session.files.as_ref(), false)?;
    super::super::connect::check(&call.session, &call.flags)?;
    let goals = call.flags.all("for").iter().map(|text| Goal::parse(text)).collect::<Result<Vec<_>>>()?;
    if goals.is_empty() {
        return Err(Failure::new("unrecognized condition: []"));
    }
    if call.flags.is("local") && !call.arguments().is_empty() {
        return Err(Failure::new(selection::ONLY_FILES));
    }
    let seconds = call.flags.seconds("timeout");
    let limit = if seconds < 0.0 { WEEK } else { Duration::from_secs_f64(seconds) };
    let deadline = call.session.clock.now() + jiff::SignedDuration::try_from(limit).unwrap_or_default();
    if goals.iter().any(|goal| matches!(goal, Goal::Created)) {
        let created = until_created(call);
        let late = || Failure::new("timed out waiting for the condition");
        call.session.clock.timeout(limit, created).await.map_err(|_| late())??;
    }
    let for_delete = goals.iter().any(|goal| matches!(goal, Goal::Deleted));
    let mut found = selected(call).read().await?;
    if for_delete {
        found.failures.retain(|failure| !failure.is_not_found());
    }
    let mut failures = found.failures;
    if found.infos.is_empty() && failures.is_empty() && !for_delete {
        return Err(Failure::new("no matching resources found"));
    }
    for info in &found.infos {
        for goal in &goals {
            let left = deadline.duration_since(call.session.clock.now());
            let left = if limit.is_zero() { None } else { Some(left.unsigned_abs()).filter(|_| left.is_positive()) };
            match reached(call, info, goal, limit, left).await {
                Ok(object) => {
                    // A form that fails is not told, as the real one has it.
                    let _ = printer.show(call.console(), &object, "condition met");
                    call.console().flush().await?;
                }
                Err(failure) => {
                    failures.push(failure);
                    break;
                }
            }
        }
    }
    Failure::of(failures)
}

/// What is waited for. `--all` says something of a type that stands alone, and nothing beside other words.
fn selected(call: &Invocation) -> Selection<'_> {
    let mut selection = Selection::of(call);
    selection.latest = true;
    selection.type_means_all = std::mem::take(&mut selection.all);
    selection
}

/// Waits until something is selected at all.
async fn until_created(call: &Invocation) -> Result {
    loop {
        let found = selected(call).read().await?;
        let missing = found.failures.iter().any(Failure::is_not_found);
        if !missing {
            Failure::of(found.failures)?;
            if !found.infos.is_empty() {
                return Ok(());
            }
        }
        call.session.clock.sleep(Duration::from_millis(500)).await;
    }
}

async fn reached(
    call: &Invocation,
    info: &Info,
    goal: &Goal,
    limit: Duration,
    left: Option<Duration>,
) -> Result<Value> {
    let late = || Failure::new(format!("timed out waiting for the condition on {}/{}", info.mapping.plural, info.name));
    let not_met = || Failure::new(format!("condition not met for {}/{}", info.mapping.plural, info.name));
    if let Goal::Deleted = goal {
        let gone = until_gone(call, info, None);
        return match (limit.is_zero(), left) {
            (true, _) => match get(call, info).await {
                Err(failure) if failure.is_not_found() => Ok(named(info)),
                Err(failure) => Err(failure),
                Ok(_) => Err(not_met()),
            },
            (false, None) => Err(late()),
            (false, Some(left)) => {
                call.session.clock.timeout(left, gone).await.map_err(|_| late())??;
                Ok(named(info))
            }
        };
    }
    if limit.is_zero() {
        let object = get(call, info).await?;
        return if goal.holds(&object)? { Ok(object) } else { Err(not_met()) };
    }
    let Some(left) = left else { return Err(late()) };
    let until = until(call, info, |object| goal.holds(object));
    call.session.clock.timeout(left, until).await.map_err(|_| late())?
}

/// What is known of an object that is gone.
fn named(info: &Info) -> Value {
    if !info.object.is_null() {
        return info.object.clone();
    }
    serde_json::json!({"apiVersion": info.mapping.api_version(), "kind": info.mapping.kind, "metadata": {"name": info.name}})
}

async fn get(call: &Invocation, info: &Info) -> Result<Value> {
    call.cluster().await?.api.json(Call::get(info.path())).await
}

/// Watches one object until a condition holds.
///
/// # Errors
/// When the object is not there or is deleted meanwhile.
pub async fn until(call: &Invocation, info: &Info, holds: impl Fn(&Value) -> Result<bool>) -> Result<Value> {
    loop {
        let object = get(call, info).await?;
        if holds(&object)? {
            return Ok(object);
        }
        let mut events = watch(call, info, &object).await?;
        while let Some(event) = events.next().await {
            match event {
                Ok((kind, _)) if kind == "DELETED" => break,
                Ok((kind, object)) if kind == "ADDED" || kind == "MODIFIED" => {
                    if holds(&object)? {
                        return Ok(object);
                    }
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}

async fn watch(
    call: &Invocation,
    info: &Info,
    object: &Value,
) -> Result<std::pin::Pin<Box<dyn futures::Stream<Item = Result<(String, Value)>> + Send>>> {
    let watched = Call::get(info.mapping.path(&info.namespace, None, ""))
        .query("fieldSelector", format!("metadata.name={}", info.name))
        .query("resourceVersion", meta::resource_version(object));
    selection::watch(call.cluster().await?, watched).await
}

/// Waits until an object is gone, or another one has its name.
///
/// # Errors
/// The server's refusal.
pub async fn until_gone(call: &Invocation, info: &Info, uid: Option<&str>) -> Result {
    loop {
        let object = match get(call, info).await {
            Ok(object) => object,
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(failure) => return Err(failure),
        };
        if uid.is_some_and(|uid| !uid.is_empty() && uid != meta::uid(&object)) {
            return Ok(());
        }
        let mut events = watch(call, info, &object).await?;
        while let Some(event) = events.next().await {
            match event {
                Ok((kind, _)) if kind == "DELETED" => return Ok(()),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}

/// Waits for many deletions; `limit` zero is a week.
///
/// # Errors
/// When the time is over.
pub async fn until_all_gone(call: &Invocation, deleted: Vec<(Info, String)>, limit: Duration) -> Result {
    let limit = if limit.is_zero() { WEEK } else { limit };
    for (info, uid) in deleted {
        let gone = until_gone(call, &info, Some(&uid));
        let late =
            || Failure::new(format!("timed out waiting for the condition on {}/{}", info.mapping.plural, info.name));
        match call.session.clock.timeout(limit, gone).await.map_err(|_| late())? {
            // Whoever may delete but not read does not wait.
            Err(failure) if matches!(failure.reason(), "Forbidden" | "MethodNotAllowed") => return Ok(()),
            other => other?,
        }
    }
    Ok(())
}
