//! `kubectl get`: objects as tables, or in any other form; `-w` goes on with what changes.

use futures::StreamExt;
use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{Flag, Kind, long, short};
use super::super::http::{Call, TABLE};
use super::super::mapping::Mapping;
use super::super::print::table::{TableOptions, TablePrinter};
use super::super::print::{self, Form, Printer};
use super::super::selection::{self, Info, Selection};

mod watch;

const FLAGS: &[Flag] = &[
    long("no-headers", Kind::Bool(false), "No header line"),
    long("show-labels", Kind::Bool(false), "A column with the labels"),
    long("show-kind", Kind::Bool(false), "The kind before each name"),
    short("label-columns", 'L', Kind::List, "A column for each of these labels"),
    long("sort-by", Kind::Text(""), "Order by a field: .metadata.name"),
    short("watch", 'w', Kind::Bool(false), "Go on with what changes"),
    long("watch-only", Kind::Bool(false), "Only what changes"),
    long("output-watch-events", Kind::Bool(false), "Tell what kind of change each is"),
    long("ignore-not-found", Kind::Bool(false), "An object that is not there is no error"),
    long("raw", Kind::Text(""), "A path of the API server, printed as it answers"),
    long("server-print", Kind::Bool(true), "Let the server make the table"),
    long("subresource", Kind::Text(""), "The subresource to read: status, scale"),
];

/// `get`
pub const COMMAND: Command = Command {
    name: "get",
    usage: "(TYPE [NAME | -l LABELS] | TYPE/NAME ... | -f FILE)",
    about: "Show objects",
    flags: &[
        print::OUTPUT,
        FLAGS,
        selection::FILES,
        selection::LABELS,
        selection::FIELDS,
        selection::ALL_NAMESPACES,
        selection::CHUNKS,
    ],
    run: run!(get),
    ..BASE
};

/// The flags, checked.
struct Get<'a> {
    call: &'a Invocation,
    tables: bool,
    all_namespaces: bool,
    sort_by: &'a str,
}

async fn get(call: &Invocation) -> Result {
    let flags = &call.flags;
    if !flags.text("raw").is_empty() {
        return raw(call).await;
    }
    let get = Get::of(call)?;
    if flags.is("watch") || flags.is("watch-only") {
        return watch::run(&get).await;
    }
    let mut selection = get.selection();
    if !get.sort_by.is_empty() {
        selection.chunk = 0;
    }
    if get.tables { get.as_tables(selection).await } else { get.in_a_form(selection).await }
}

async fn raw(call: &Invocation) -> Result {
    let path = call.flags.text("raw");
    if !call.arguments().is_empty() {
        return Err(Failure::new("arguments may not be passed when --raw is specified"));
    }
    if !call.flags.text("output").is_empty() {
        return Err(Failure::new("--raw and --output are mutually exclusive"));
    }
    if call.flags.is("watch") || call.flags.is("watch-only") || call.flags.given("selector") {
        let words = "--raw may not be specified with other flags that filter the server request or alter the output";
        return Err(Failure::new(words));
    }
    if !path.starts_with('/') {
        return Err(Failure::new(format!("--raw must be a valid URL path: parse {path:?}: invalid URI for request")));
    }
    // It may be long, or never end: a log, a watch.
    let chunks = call.cluster().await?.api.stream(Call::get(path).accept("application/json, */*")).await?;
    let mut chunks = std::pin::pin!(chunks);
    while let Some(chunk) = chunks.next().await {
        call.console().out(chunk?);
        call.console().flush().await?;
    }
    Ok(())
}

impl<'a> Get<'a> {
    fn of(call: &'a Invocation) -> Result<Get<'a>> {
        let flags = &call.flags;
        let output = flags.text("output");
        let watches = flags.is("watch") || flags.is("watch-only");
        let files = flags.given("filename") || flags.given("kustomize");
        if call.arguments().is_empty() && !files && !watches {
            call.err("You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported resources.\n\n");
            return Err(call.usage("Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that resource (e.g. kubectl explain pods)."));
        }
        if flags.is("show-labels") && !matches!(output, "" | "wide") {
            return Err(Failure::new(format!("--show-labels option cannot be used with {output} printer")));
        }
        if !flags.all("label-columns").is_empty() && output.starts_with("custom-columns") {
            return Err(Failure::new(format!("--label-columns option cannot be used with {output} printer")));
        }
        if flags.is("output-watch-events") && !watches {
            return Err(Failure::new("--output-watch-events option can only be used with --watch or --watch-only"));
        }
        if watches && !flags.text("sort-by").is_empty() {
            let rest = if flags.is("watch") {
                "requested, --sort-by will be ignored for watch events received"
            } else {
                "requested, --sort-by will be ignored"
            };
            let flag = if flags.is("watch") { "--watch" } else { "--watch-only" };
            call.err(format!("warning: {flag} {rest}\n"));
        }
        let tables = output == "wide" || (output.is_empty() && flags.text("template").is_empty());
        let all_namespaces = flags.is("all-namespaces");
        Ok(Get { call, tables, all_namespaces, sort_by: flags.text("sort-by") })
    }

    fn selection(&self) -> Selection<'a> {
        let mut selection = Selection::of(self.call);
        selection.type_means_all = true;
        selection.latest = true;
        selection.chunk = self.call.flags.int("chunk-size");
        if self.tables && self.call.flags.is("server-print") {
            selection.accept = TABLE;
            if !self.sort_by.is_empty() {
                selection.query.push(("includeObject", "Object"));
            }
        }
        selection
    }

    fn options(&self, mapping: &Mapping, with_kind: bool) -> TableOptions {
        let flags = &self.call.flags;
        TableOptions {
            wide: flags.text("output") == "wide",
            no_headers: flags.is("no-headers"),
            with_namespace: self.all_namespaces && mapping.namespaced,
            with_kind: (with_kind || flags.is("show-kind")).then(|| mapping.shown()),
            show_labels: flags.is("show-labels"),
            label_columns: flags.all("label-columns").to_vec(),
            with_event: flags.is("output-watch-events"),
        }
    }

    async fn as_tables(&self, selection: Selection<'_>) -> Result {
        let call = self.call;
        Printer::of(&call.flags, call.session.files.as_ref(), true)?;
        let mut found = selection.read().await?;
        let ignore_missing = call.flags.is("ignore-not-found");
        if ignore_missing {
            found.failures.retain(|failure| !failure.is_not_found());
        }
        let mut infos: Vec<Info> = found.infos.into_iter().map(with_table).collect();
        if !self.sort_by.is_empty() {
            // Several tables are put in order as if each were an object, by a field of its own.
            if infos.len() > 1 {
                print::sort::objects(&call.session, &mut infos, self.sort_by, |info| &info.object)?;
            }
            for info in &mut infos {
                match print::sort::rows(&call.session, &mut info.object, self.sort_by) {
                    Err(Failure::Exit(code)) => return Err(Failure::Exit(code)),
                    // The real one does not tell why it shows nothing of a table.
                    Err(_) => info.object["rows"] = json!([]),
                    Ok(()) => {}
                }
            }
        }
        let kinds = infos.windows(2).any(|pair| pair[0].mapping != pair[1].mapping);
        let mut written = false;
        // Objects of one kind that follow one another stand in the same columns.
        for same in infos.chunk_by(|one, next| one.mapping == next.mapping) {
            let mut printer = TablePrinter::new(self.options(&same[0].mapping, kinds));
            let cells: String = same.iter().map(|info| printer.cells(&info.object, "")).collect();
            if cells.is_empty() {
                continue;
            }
            if std::mem::replace(&mut written, true) && !call.flags.is("no-headers") {
                call.out("\n");
            }
            call.out(printer.layout(&cells));
        }
        if !written && !ignore_missing && found.failures.is_empty() {
            let namespaced = !self.all_namespaces && infos.iter().all(|info| info.mapping.namespaced);
            if namespaced {
                call.err(format!("No resources found in {} namespace.\n", call.cluster().await?.namespace));
            } else {
                call.err("No resources found\n");
            }
        }
        Failure::listed(&found.failures)
    }

    async fn in_a_form(&self, selection: Selection<'_>) -> Result {
        let call = self.call;
        let mut found = selection.read().await?;
        if call.flags.is("ignore-not-found") {
            found.failures.retain(|failure| !failure.is_not_found());
        }
        if found.single && !found.failures.is_empty() {
            return Err(found.failures.remove(0));
        }
        if found.infos.is_empty() && call.flags.is("ignore-not-found") {
            return Failure::of(found.failures);
        }
        let mut printer = Printer::of(&call.flags, call.session.files.as_ref(), true)?;
        let mut objects: Vec<Value> = found.infos.into_iter().map(|info| info.object).collect();
        let shown = if found.single && objects.len() == 1 {
            objects.remove(0)
        } else {
            if !self.sort_by.is_empty() {
                print::sort::objects(&call.session, &mut objects, self.sort_by, |object| object)?;
            }
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": objects})
        };
        if let Err(failure) = printer.show(call.console(), &shown, "") {
            found.failures.push(failure);
        }
        Failure::of(found.failures)
    }
}

fn with_table(mut info: Info) -> Info {
    info.object = as_table(&info.name, info.object);
    info
}

/// An object that the server did not make a table of gets the plainest one: name and age.
fn as_table(name: &str, object: Value) -> Value {
    if object.get("kind").and_then(Value::as_str) == Some("Table") {
        return object;
    }
    let age = object.pointer("/metadata/creationTimestamp").cloned().unwrap_or_default();
    json!({
        "kind": "Table",
        "columnDefinitions": [{"name": "Name", "type": "string", "format": "name"}, {"name": "Age", "type": "string"}],
        "rows": [{"cells": [name, age], "object": object}],
    })
}

/// Whether a form shows whole objects as they come.
fn is_form(printer: &Printer) -> bool {
    !matches!(printer.form, Form::Human | Form::Wide)
}

/// Something that is no Table cannot be watched as one.
fn unexpected(kind: &str) -> Failure {
    Failure::new(format!("unexpected watch event: {}", quote(kind)))
}
