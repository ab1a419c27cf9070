//! `kubectl get -w`: the list, then each change as it comes.

use futures::StreamExt;
use serde_json::{Value, json};

use super::super::super::command::Invocation;
use super::super::super::failure::{Failure, Result};
use super::super::super::http::{Call, TABLE};
use super::super::super::print::table::TablePrinter;
use super::super::super::print::{Form, Printer};
use super::super::super::selection::{self, Info};
use super::{Get, as_table, is_form, unexpected};

pub(super) async fn run(get: &Get<'_>) -> Result {
    let call = get.call;
    let mut selection = get.selection();
    selection.flatten = false;
    selection.one_type = true;
    selection.go_on = false;
    let found = selection.read().await?;
    if call.flags.is("ignore-not-found") && found.failures.iter().any(Failure::is_not_found) {
        return Ok(());
    }
    let single = found.single;
    let Some(info) = found.all()?.into_iter().next() else { return Ok(()) };
    let mut show = Show::of(get, &info)?;
    let version = if single { "0" } else { resource_version(&info.object) };
    let call_watch = watch_call(get, &info, version, single);
    if call.flags.is("watch-only") {
        show.learn(&info.object);
    } else {
        show.initial(call, &info.object)?;
    }
    call.console().flush().await?;
    let follow = follow(call, &mut show, call_watch, single);
    match call.cluster().await?.api.timeout() {
        Some(limit) => call.session.clock.timeout(limit, follow).await.unwrap_or(Ok(())),
        None => follow.await,
    }
}

fn resource_version(object: &Value) -> &str {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default()
}

fn watch_call(get: &Get<'_>, info: &Info, version: &str, single: bool) -> Call {
    let name = format!("metadata.name={}", info.name);
    let fields = if single { name.as_str() } else { get.call.flags.text("field-selector") };
    let watched = Call::get(info.mapping.path(&info.namespace, None, ""))
        .query("resourceVersion", version)
        .query("labelSelector", get.call.flags.text("selector"))
        .query("fieldSelector", fields);
    if get.tables { watched.accept(TABLE) } else { watched }
}

async fn follow(call: &Invocation, show: &mut Show, watched: Call, single: bool) -> Result {
    let cluster = call.cluster().await?;
    let mut events = selection::watch(cluster, watched).await?;
    // A watch of one object begins with the object that was already shown.
    let mut skip = single && !call.flags.is("output-watch-events");
    while let Some(event) = events.next().await {
        let (kind, object) = event?;
        match kind.as_str() {
            "BOOKMARK" => continue,
            "ERROR" => return Err(Failure::Server(Box::new(object))),
            "ADDED" | "MODIFIED" | "DELETED" => {}
            other => return Err(unexpected(other)),
        }
        if std::mem::take(&mut skip) {
            show.learn(&object);
            continue;
        }
        show.event(call, &kind, object)?;
        call.console().flush().await?;
    }
    Ok(())
}

/// How the list and each change are shown.
struct Show {
    table: TablePrinter,
    printer: Printer,
    events: bool,
}

impl Show {
    fn of(get: &Get<'_>, info: &Info) -> Result<Show> {
        let flags = &get.call.flags;
        let printer = Printer::of(flags, get.call.session.files.as_ref(), true)?;
        let table = TablePrinter::new(get.options(&info.mapping, false));
        Ok(Show { table, printer, events: flags.is("output-watch-events") })
    }

    /// Takes the columns of a table without printing its rows.
    fn learn(&mut self, object: &Value) {
        if let (Some(columns), false) = (object.get("columnDefinitions"), is_form(&self.printer)) {
            self.table.print(&json!({"columnDefinitions": columns, "rows": []}), "");
        }
    }

    fn initial(&mut self, call: &Invocation, object: &Value) -> Result {
        if let (true, Some(items)) = (is_form(&self.printer), object.get("items").and_then(Value::as_array)) {
            let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().trim_end_matches("List");
            for item in items {
                let mut item = item.clone();
                if let Value::Object(map) = &mut item {
                    map.entry("apiVersion").or_insert_with(|| object["apiVersion"].clone());
                    map.entry("kind").or_insert_with(|| kind.into());
                }
                self.event(call, "ADDED", item)?;
            }
            return Ok(());
        }
        self.event(call, "ADDED", object.clone())
    }

    fn event(&mut self, call: &Invocation, kind: &str, object: Value) -> Result {
        if !is_form(&self.printer) {
            let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
            call.out(self.table.print(&as_table(&name, object), kind));
            return Ok(());
        }
        let shown = match (&self.printer.form, self.events) {
            (Form::Name, _) | (_, false) => object,
            (_, true) => json!({"type": kind, "object": object}),
        };
        self.printer.show(call.console(), &shown, "")
    }
}
