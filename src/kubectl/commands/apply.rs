//! `kubectl apply`: make the cluster hold what the files say, from the client or on the server.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{DryRun, Flag, Kind, long};
use super::super::print::{self, Printer, json_line};
use super::super::selection::{self, Info, Selection};
use super::super::three_way;
use super::super::write::{self, APPLY, MERGE, STRATEGIC, Writing, is_empty};
use crate::api::meta;
use crate::api::schema::Schema;

mod applyset;
mod last_applied;
pub(super) mod prune;

use applyset::ApplySet;

/// Where the client keeps what it applied last.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

const FLAGS: &[Flag] = &[
    long("server-side", Kind::Bool(false), "Let the server merge, by who owns which field"),
    long("force-conflicts", Kind::Bool(false), "With --server-side: take fields from other managers"),
    long("overwrite", Kind::Bool(true), "Settle differences in favour of the file"),
    long("prune", Kind::Bool(false), "Delete what earlier applies made and the files no longer name"),
    long("applyset", Kind::Text(""), "With --prune: the object that remembers what belongs together: NAME, TYPE/NAME"),
    long("prune-allowlist", Kind::Array, "With --prune: only these, as group/version/kind"),
    long("openapi-patch", Kind::Bool(true), "Accepted"),
    long("subresource", Kind::Text(""), "With --server-side: the subresource to apply to"),
    long("cascade", Kind::Optional("background", "background"), "What pruning does with dependents"),
    long("force", Kind::Bool(false), "Delete and create again what cannot be patched"),
    long("grace-period", Kind::Int(-1), "Seconds that a deleted object gets to end"),
    long("timeout", Kind::Duration("0s"), "How long --force waits for a deletion"),
    long("wait", Kind::Bool(false), "Wait for deletions"),
];

/// `apply`
pub const COMMAND: Command = Command {
    name: "apply",
    usage: "(-f FILE | -k FOLDER)",
    about: "Make the cluster hold what files say",
    flags: &[
        print::OUTPUT,
        FLAGS,
        selection::FILES,
        selection::LABELS,
        selection::ALL,
        write::DRY_RUN,
        write::MANAGER,
        write::VALIDATE,
    ],
    commands: last_applied::COMMANDS,
    run: run!(apply),
    ..BASE
};

async fn apply(call: &Invocation) -> Result {
    let flags = &call.flags;
    if !call.arguments().is_empty() {
        return Err(call.usage(format!("Unexpected args: [{}]", call.arguments().join(" "))));
    }
    let mut selection = Selection::of(call);
    if selection.files().is_empty() {
        return Err(Failure::new("must specify one of -f and -k"));
    }
    selection.all = false;
    let server_side = flags.is("server-side");
    let manager = if server_side { "kubectl" } else { "kubectl-client-side-apply" };
    let writing = Writing::of(call, manager)?;
    let set = ApplySet::of(call).await?;
    check(call, &writing, set.as_ref()).await?;
    let printer = writing.printer()?;
    let mut found = selection.read().await?;
    let mut failures = found.failures;
    if found.infos.is_empty() && failures.is_empty() {
        return Err(Failure::new("no objects passed to apply"));
    }
    let set = match set {
        Some(set) => Some(set.before(&writing, &mut found.infos).await?),
        None => None,
    };
    let mut run = Apply { call, writing, printer, server_side, uids: BTreeSet::new(), printed: Vec::new() };
    let mut namespaces = BTreeSet::new();
    for info in found.infos {
        if info.mapping.namespaced {
            namespaces.insert(info.namespace.clone());
        }
        if let Err(failure) = run.one(info).await {
            failures.push(failure);
        }
    }
    run.print_objects()?;
    Failure::of(failures)?;
    if let Some(set) = set {
        set.prune(&mut run).await?;
        run.print_objects()?;
    } else if flags.is("prune") {
        prune::run(&mut run, &namespaces).await?;
        run.print_objects()?;
    }
    Ok(())
}

async fn check(call: &Invocation, writing: &Writing<'_>, set: Option<&ApplySet<'_>>) -> Result {
    let flags = &call.flags;
    let (server_side, prune) = (flags.is("server-side"), flags.is("prune"));
    check_flags(call, writing)?;
    if let Some(set) = set {
        if !prune {
            return Err(Failure::new("--applyset requires --prune"));
        }
        set.check().await?;
    }
    let wrong = match () {
        () if !prune => "",
        () if flags.is("force") => "--force cannot be used with --prune",
        () if set.is_some() && flags.is("all") => "--all is incompatible with --applyset",
        () if set.is_some() && !flags.text("selector").is_empty() => "--selector is incompatible with --applyset",
        () if set.is_some() && flags.given("prune-allowlist") => "--prune-allowlist is incompatible with --applyset",
        () if set.is_some() => "",
        () if !flags.is("all") && flags.text("selector").is_empty() => {
            "all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all flag. If you did not mean to prune all resources, specify a label selector"
        }
        () if server_side => "--prune is in alpha and doesn't currently work on objects created by server-side apply",
        () => "",
    };
    match wrong {
        "" if !flags.text("subresource").is_empty() && !server_side => {
            Err(Failure::new("--subresource can only be specified for --server-side"))
        }
        "" => Ok(()),
        wrong => Err(Failure::new(wrong)),
    }
}

fn check_flags(call: &Invocation, writing: &Writing<'_>) -> Result {
    let flags = &call.flags;
    let server_side = flags.is("server-side");
    let wrong = match () {
        () if flags.is("force-conflicts") && !server_side => "--force-conflicts only works with --server-side",
        () if writing.dry_run == DryRun::Client && server_side => {
            "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)"
        }
        () if server_side && flags.is("force") => "--force cannot be used with --server-side",
        () if writing.dry_run == DryRun::Server && flags.is("force") => "--dry-run=server cannot be used with --force",
        () if flags.is("all") && !flags.text("selector").is_empty() => {
            "cannot set --all and --selector at the same time"
        }
        () => return Ok(()),
    };
    Err(Failure::new(wrong))
}

/// One apply of many objects.
struct Apply<'a> {
    call: &'a Invocation,
    writing: Writing<'a>,
    printer: Printer,
    server_side: bool,
    /// The objects that were applied.
    uids: BTreeSet<String>,
    /// Objects to print together at the end (`-o yaml`).
    printed: Vec<Value>,
}

impl Apply<'_> {
    async fn one(&mut self, info: Info) -> Result {
        if info.name.is_empty() {
            let generated = meta::text(&info.object, &["metadata", "generateName"]);
            if !generated.is_empty() {
                return Err(Failure::new(format!("from {generated}: cannot use generate name with apply")));
            }
        }
        if self.server_side { self.on_the_server(info).await } else { self.on_the_client(info).await }
    }

    async fn on_the_server(&mut self, info: Info) -> Result {
        let force = self.call.flags.is("force-conflicts").to_string();
        let subresource = self.call.flags.text("subresource");
        let sent = self.writing.patch_with(&info, subresource, APPLY, &info.object, &[("force", &force)]).await;
        let object = sent.map_err(|failure| if failure.is_conflict() { conflict(&failure) } else { failure })?;
        self.warn_if_deleting(&object, &info);
        self.done(object, "serverside-applied")
    }

    async fn on_the_client(&mut self, info: Info) -> Result {
        let failed = |failure: Failure| {
            let verb = format!("retrieving current configuration of:\n{}\nfrom server for:", described(&info));
            failure.from_source(&verb, &info.source)
        };
        if info.name.is_empty() {
            // The path of no name is that of all objects.
            return Err(failed(Failure::new("resource name may not be empty")));
        }
        let modified = with_last_applied(&info.object);
        let api = &self.call.cluster().await?.api;
        let current = match api.json_of(super::super::http::Call::get(info.path()), &info.namespace).await {
            Ok(current) => current,
            Err(failure) if failure.is_not_found() => return self.create(info, modified).await,
            Err(failure) => return Err(failed(failure)),
        };
        if meta::annotation(&current, LAST_APPLIED).is_none() {
            self.call.err(format!(
                "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.\n",
                info.mapping.plural, info.name,
            ));
        }
        let (kind, patch) = three_way_patch(&info, &modified, &current);
        if is_empty(&patch) {
            self.warn_if_deleting(&current, &info);
            return self.done(current, "unchanged");
        }
        let patched = match self.writing.dry_run {
            DryRun::Client => patched_here(&info, current, kind, &patch)?,
            _ => self.patch(&info, &modified, kind, &patch).await?,
        };
        self.warn_if_deleting(&patched, &info);
        self.done(patched, "configured")
    }

    async fn create(&mut self, info: Info, modified: Value) -> Result {
        let object = without_nulls(modified);
        let created = match self.writing.dry_run {
            DryRun::Client => object,
            _ => {
                let created = self.writing.create(&info.mapping, &info.namespace, &object).await;
                created.map_err(|failure| failure.from_source("creating", &info.source))?
            }
        };
        self.done(created, "created")
    }

    async fn patch(&self, info: &Info, modified: &Value, kind: &str, patch: &Value) -> Result<Value> {
        let refused = match self.writing.patch(info, "", kind, patch).await {
            Ok(patched) => return Ok(patched),
            Err(refused) => refused,
        };
        if self.call.flags.is("force") && (refused.is_conflict() || refused.reason() == "Invalid") {
            self.writing.delete(info, None, "Background").await?;
            super::wait::until_gone(self.call, info, None).await?;
            return self.writing.create(&info.mapping, &info.namespace, &without_nulls(modified.clone())).await;
        }
        let refused = refused.from_source("patching", &info.source);
        let verb = format!("applying patch:\n{}\nto:\n{}\nfor:", json_line(patch), described(info));
        Err(refused.from_source(&verb, &info.source))
    }

    fn warn_if_deleting(&self, object: &Value, info: &Info) {
        if meta::deletion_timestamp(object).is_some() {
            let words = "which is currently being deleted.";
            self.call.err(format!("Warning: Detected changes to resource {} {words}\n", info.name));
        }
    }

    fn done(&mut self, object: Value, done: &str) -> Result {
        self.uids.insert(meta::uid(&object).to_owned());
        if self.printer.is_human() || matches!(self.printer.form, print::Form::Name) {
            return self.writing.say(&mut self.printer, &object, done);
        }
        self.printed.push(object);
        Ok(())
    }

    /// Whole objects are printed together: one as it is, several as a list.
    fn print_objects(&mut self) -> Result {
        let mut objects = std::mem::take(&mut self.printed);
        let shown = match objects.len() {
            0 => return Ok(()),
            1 => objects.remove(0),
            _ => json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": objects}),
        };
        self.printer.show(self.call.console(), &shown, "")
    }
}

/// How error messages describe an object.
fn described(info: &Info) -> String {
    let (group, version, kind) = (&info.mapping.group, &info.mapping.version, &info.mapping.kind);
    let version = if group.is_empty() { format!("/{version}") } else { format!("{group}/{version}") };
    format!(
        "Resource: {}, GroupVersionKind: {}\nName: {}, Namespace: {}",
        quote(&format!("{version}, Resource={}", info.mapping.plural)),
        quote(&format!("{version}, Kind={kind}")),
        quote(&info.name),
        quote(&info.namespace),
    )
}

pub(super) fn three_way_patch(info: &Info, modified: &Value, current: &Value) -> (&'static str, Value) {
    let original = meta::annotation(current, LAST_APPLIED).and_then(|text| serde_json::from_str(text).ok());
    let original: Value = original.unwrap_or_default();
    match Schema::of_kind(&info.mapping.group, &info.mapping.version, &info.mapping.kind) {
        Some(schema) => (STRATEGIC, three_way::strategic(&original, modified, current, &schema)),
        None => (MERGE, three_way::json_merge(&original, modified, current)),
    }
}

/// The patch carried out on this side.
///
/// # Errors
/// When the patch does not fit the object.
pub fn patched_here(info: &Info, mut object: Value, kind: &str, patch: &Value) -> Result<Value> {
    let schema = Schema::of_kind(&info.mapping.group, &info.mapping.version, &info.mapping.kind);
    match (kind, schema) {
        (STRATEGIC, Some(schema)) => crate::api::patch::strategic::apply(&mut object, patch, &schema)
            .map_err(|status| Failure::new(status.message))?,
        _ => json_patch::merge(&mut object, patch),
    }
    Ok(object)
}

/// The object with itself as its last-applied annotation.
pub fn with_last_applied(object: &Value) -> Value {
    let mut bare = object.clone();
    meta::remove_annotation(&mut bare, LAST_APPLIED);
    if meta::annotations(&bare).is_none() {
        meta::set(&mut bare, &["metadata", "annotations"], json!({}));
    }
    let text = json_line(&bare) + "\n";
    let mut modified = bare;
    meta::set_annotation(&mut modified, LAST_APPLIED, &text);
    modified
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

fn conflict(failure: &Failure) -> Failure {
    Failure::new(format!(
        "{}\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this warning:\n* If you intend to manage all of these fields, please re-run the apply\n  command with the `--force-conflicts` flag.\n* If you do not intend to manage all of the fields, please edit your\n  manifest to remove references to the fields that should keep their\n  current managers.\n* You may co-own fields by updating your manifest to match the existing\n  value; in this case, you'll become the manager if the other manager(s)\n  stop managing the field (remove it from their configuration).\nSee https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts",
        failure.words(),
    ))
}
