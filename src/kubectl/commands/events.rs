//! `kubectl events`: what happened, the oldest first.

use futures::StreamExt;
use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long, short};
use super::super::http::Call;
use super::super::print::tabwriter::Tabs;
use super::super::print::{self, Form, Printer};
use super::super::selection;
use crate::api::meta;
use crate::api::table::age::human;

const FLAGS: &[Flag] = &[
    long("for", Kind::Text(""), "Only about this object: TYPE/NAME"),
    long("types", Kind::List, "Only Normal or Warning"),
    short("watch", 'w', Kind::Bool(false), "Go on with what happens"),
    long("no-headers", Kind::Bool(false), "No header line"),
];

/// `events`
pub const COMMAND: Command = Command {
    name: "events",
    about: "Show what happened",
    flags: &[print::OUTPUT, FLAGS, selection::ALL_NAMESPACES, selection::CHUNKS],
    run: run!(events),
    ..BASE
};

async fn events(call: &Invocation) -> Result {
    super::super::connect::check(&call.session, &call.flags)?;
    let flags = &call.flags;
    let fields = about(call).await?;
    let mut printer = Printer::of(flags, call.session.files.as_ref(), false)?;
    let types = flags.all("types");
    if types.iter().any(|one| !one.eq_ignore_ascii_case("Normal") && !one.eq_ignore_ascii_case("Warning")) {
        return Err(Failure::new("valid --types are Normal or Warning"));
    }
    let wanted = |event: &Value| {
        types.is_empty() || types.iter().any(|one| one.eq_ignore_ascii_case(meta::text(event, &["type"])))
    };
    let everywhere = flags.is("all-namespaces");
    let cluster = call.cluster().await?;
    let namespace = if everywhere { "" } else { cluster.namespace.as_str() };
    let mapping = cluster.mapper().await?.named("events")?;
    let list = Call::get(mapping.path(namespace, None, "")).query("fieldSelector", &fields).query("limit", 500);
    let list = cluster.api.json(list).await?;
    let version = meta::text(&list, &["metadata", "resourceVersion"]).to_owned();
    let mut all = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    all.retain(wanted);
    all.iter_mut().for_each(|event| meta::set_type(event, "v1", "Event"));
    let mut timed: Vec<(Option<jiff::Timestamp>, Value)> =
        all.into_iter().map(|event| (last_seen(&event).parse().ok(), event)).collect();
    print::go_sort::sort(&mut timed, |(a, _), (b, _)| a < b);
    let all: Vec<Value> = timed.into_iter().map(|(_, event)| event).collect();
    let mut show = Show { tabs: Tabs::table(), headers: !flags.is("no-headers"), everywhere };
    if all.is_empty() && !flags.is("watch") {
        let place = if everywhere {
            "No events found.".to_owned()
        } else {
            format!("No events found in {namespace} namespace.")
        };
        call.err(place + "\n");
        return Ok(());
    }
    if printer.is_human() {
        call.out(show.lines(call, &all));
    } else {
        let shown = json!({"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": all});
        quietly(call, &mut printer, &shown);
    }
    if !flags.is("watch") {
        return Ok(());
    }
    call.console().flush().await?;
    let watched =
        Call::get(mapping.path(namespace, None, "")).query("fieldSelector", &fields).query("resourceVersion", version);
    let mut changes = selection::watch(cluster, watched).await?;
    while let Some(change) = changes.next().await {
        let (kind, event) = change?;
        if matches!(kind.as_str(), "ADDED" | "MODIFIED") && wanted(&event) {
            if printer.is_human() {
                call.out(show.lines(call, &[event]));
            } else {
                quietly(call, &mut printer, &event);
            }
            call.console().flush().await?;
        }
    }
    Ok(())
}

async fn about(call: &Invocation) -> Result<String> {
    let word = call.flags.text("for");
    if word.is_empty() {
        return Ok(String::new());
    }
    let parts: Vec<&str> = word.split('/').collect();
    let [kind, name] = parts[..] else {
        let words = if parts.len() > 2 {
            "arguments in resource/name form may not have more than one slash"
        } else {
            "--for must be in resource/name form"
        };
        return Err(Failure::new(words));
    };
    if kind.is_empty() {
        return Err(Failure::new("a resource must be present, got: /, Resource="));
    }
    let mapping = call.cluster().await?.mapper().await?.named(kind).map_err(Failure::bare)?;
    if name.is_empty() {
        return Ok(String::new());
    }
    let version = mapping.api_version();
    Ok(format!("involvedObject.apiVersion={version},involvedObject.kind={},involvedObject.name={name}", mapping.kind))
}

/// Prints in a form. What fails is not told, as the real one has it: a list has no `-o name`.
fn quietly(call: &Invocation, printer: &mut Printer, shown: &Value) {
    if matches!(printer.form, Form::Name) && shown.get("items").is_some() {
        return;
    }
    // A template that failed has written why.
    let _ = printer.show(call.console(), shown, "");
}

fn last_seen(event: &Value) -> &str {
    let series = meta::text(event, &["series", "lastObservedTime"]);
    let last = meta::text(event, &["lastTimestamp"]);
    match (series, last) {
        ("", "") => meta::text(event, &["eventTime"]),
        ("", last) => last,
        (series, _) => series,
    }
}

struct Show {
    tabs: Tabs,
    headers: bool,
    everywhere: bool,
}

impl Show {
    fn lines(&mut self, call: &Invocation, events: &[Value]) -> String {
        let mut text = String::new();
        let place = |namespace: &str| if self.everywhere { format!("{namespace}\t") } else { String::new() };
        if std::mem::take(&mut self.headers) {
            text.push_str(&format!("{}LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n", place("NAMESPACE")));
        }
        for event in events {
            let field = |path: &[&str]| meta::text(event, path).replace('\u{1b}', "^[");
            text.push_str(&format!(
                "{}{}\t{}\t{}\t{}/{}\t{}\n",
                place(meta::namespace(event)),
                when(call, event),
                field(&["type"]),
                field(&["reason"]),
                field(&["involvedObject", "kind"]),
                field(&["involvedObject", "name"]),
                field(&["message"]).trim(),
            ));
        }
        self.tabs.layout(&text)
    }
}

fn when(call: &Invocation, event: &Value) -> String {
    let now = call.session.clock.now();
    let age = |text: &str| match text.parse::<jiff::Timestamp>() {
        Ok(then) => human(now.duration_since(then).as_secs()),
        Err(_) => "<unknown>".to_owned(),
    };
    let first = match meta::text(event, &["eventTime"]) {
        "" => age(meta::text(event, &["firstTimestamp"])),
        time => age(time),
    };
    let count = meta::integer(event, &["count"]).unwrap_or(0);
    match event.get("series").filter(|series| !series.is_null()) {
        Some(series) => {
            let (last, count) =
                (meta::text(series, &["lastObservedTime"]), meta::integer(series, &["count"]).unwrap_or(0));
            format!("{} (x{count} over {first})", age(last))
        }
        None if count > 1 => format!("{} (x{count} over {first})", age(meta::text(event, &["lastTimestamp"]))),
        None => first,
    }
}
