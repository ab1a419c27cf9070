//! Tables: what `kubectl get` prints, computed by the server.
//!
//! [`Printer`] turns objects into a `meta.k8s.io` Table: its columns are facts (`facts/columns.tsv`)
//! and its cells one row function a kind, in the files of this room by group; a custom resource's
//! columns are JSONPaths of its CustomResourceDefinition. `rows.jsonl` holds rows recorded from the
//! official server, and a test replays them.
//!
//! In: objects as stored, with their defaults. Never here: which objects, or how they are sent.
//! Source: `k8s.io/kubernetes/pkg/printers`. Chapter: `book/src/inside/schema.md`.

mod access;
pub mod age;
mod cell;
mod cluster;
mod core;
mod custom;
mod network;
mod pods;
mod rows;
mod storage;
mod workloads;

use crate::api::meta;
use crate::api::projection::{CONTENT, Projection};
use crate::api::resource::Resource;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a row carries beside its cells (`?includeObject=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// The object's metadata; the default.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl IncludeObject {
    /// Reads the query parameter; `None` for an unknown value.
    pub fn parse(text: &str) -> Option<IncludeObject> {
        match text {
            "None" => Some(IncludeObject::None),
            "" | "Metadata" => Some(IncludeObject::Metadata),
            "Object" => Some(IncludeObject::Object),
            _ => None,
        }
    }
}

/// How a table is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// What ages count from.
    pub now: Timestamp,
    /// What rows carry.
    pub include: IncludeObject,
    /// `v1`, or the older `v1beta1`.
    pub version: &'a str,
    /// Whether the objects are a list: defaults among them are marked.
    pub list: bool,
    /// Whether columns are sent: a watch sends them with its first event alone.
    pub headers: bool,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    name: String,
    kind: String,
    format: String,
    description: String,
    priority: i64,
}

/// A row before it becomes JSON.
#[derive(Default)]
struct Row {
    cells: Vec<Value>,
    conditions: Vec<Value>,
}

impl From<Vec<Value>> for Row {
    fn from(cells: Vec<Value>) -> Row {
        Row { cells, conditions: Vec::new() }
    }
}

/// What a row function may know beside its object.
struct Context<'a> {
    now: Timestamp,
    /// The object that is the default of its list (StorageClass, IngressClass), by uid.
    default: Option<&'a str>,
}

impl Context<'_> {
    fn age(&self, object: &Value) -> String {
        age::since(meta::get(object, &["metadata", "creationTimestamp"]), self.now)
    }

    fn since(&self, object: &Value, path: &[&str]) -> String {
        age::since(meta::get(object, path), self.now)
    }

    /// The name, marked when the object is its list's default.
    fn name(&self, object: &Value) -> String {
        let mark = if self.default.is_some_and(|uid| uid == meta::uid(object)) { " (default)" } else { "" };
        format!("{}{mark}", meta::name(object))
    }
}

type RowOf = fn(&Value, &Context<'_>) -> Row;

/// Writes the cells of a row: `cells![name, count]`.
macro_rules! cells {
    ($($cell:expr),* $(,)?) => { $crate::api::table::Row::from(vec![$(serde_json::json!($cell)),*]) };
}
use cells;

static COLUMNS: LazyLock<HashMap<&'static str, Vec<Column>>> = LazyLock::new(|| {
    let lines = include_str!("../facts/columns.tsv").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('\t')).map(|(key, columns)| (key, read_columns(columns))).collect()
});

fn read_columns(line: &str) -> Vec<Column> {
    let column = |text: &str| {
        let (priority, text) = text.strip_prefix('+').map_or((0, text), |rest| (1, rest));
        let mut parts = text.split(':').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Column { name: next(), kind: next(), format: next(), description: String::new(), priority }
    };
    line.split('\t').map(column).collect()
}

/// Columns and cells of one resource.
pub struct Printer {
    columns: Vec<Column>,
    cells: Cells,
    /// What the cells are read from.
    reads: &'static Projection,
    /// Whether one object of a list may be its default.
    has_default: bool,
}

enum Cells {
    Of(RowOf),
    Paths(Vec<custom::Path>),
}

impl Printer {
    /// The printer of a resource.
    pub fn builtin(resource: &Resource) -> Printer {
        if let Some(definition) = &resource.definition {
            return Printer::custom(&definition.columns);
        }
        let key = format!("{}/{}/{}", resource.group, resource.version, resource.plural);
        let columns = COLUMNS.get(key.as_str()).cloned();
        let columns = columns.unwrap_or_else(|| read_columns("Name:string:name\tCreated At:date"));
        Printer {
            columns,
            cells: Cells::Of(row_of(&resource.group, &resource.plural)),
            reads: pods::reads(&resource.group, &resource.plural).unwrap_or(&CONTENT),
            has_default: matches!(&*resource.plural, "storageclasses" | "ingressclasses"),
        }
    }

    /// The printer of a resource's `scale`: a Scale looks the same whatever it scales.
    pub fn scale(resource: &Resource) -> Printer {
        if resource.custom {
            let column = |name: &str, kind: &str, path: &str| json!({"name": name, "type": kind, "jsonPath": path});
            return Printer::custom(&[
                column("Desired", "integer", ".spec.replicas"),
                column("Available", "integer", ".status.replicas"),
                column("Age", "date", ".metadata.creationTimestamp"),
            ]);
        }
        let columns = read_columns("Name:string\tDesired:integer\tAvailable:integer\tAge:string");
        let row: RowOf = |scale, context| {
            let count = |part: &str| scale[part]["replicas"].as_i64().unwrap_or(0);
            cells![meta::name(scale), count("spec"), count("status"), context.age(scale)]
        };
        Printer { columns, cells: Cells::Of(row), reads: &CONTENT, has_default: false }
    }

    /// The printer of a custom resource, from its version's `additionalPrinterColumns`.
    pub fn custom(additional: &[Value]) -> Printer {
        let (columns, paths) = custom::columns(additional);
        Printer { columns, cells: Cells::Paths(paths), reads: &CONTENT, has_default: false }
    }

    /// The Table; `metadata` is the list's, or holds the object's `resourceVersion`.
    pub fn table(&self, objects: &[&Value], metadata: Value, options: &Options<'_>) -> Value {
        let default = default_of(objects).filter(|_| options.list && self.has_default);
        let context = Context { now: options.now, default };
        let rows: Vec<Value> = objects.iter().map(|object| self.row(object, &context, options)).collect();
        let columns = if options.headers { self.definitions() } else { Value::Null };
        json!({
            "kind": "Table", "apiVersion": format!("meta.k8s.io/{}", options.version), "metadata": metadata,
            "columnDefinitions": columns, "rows": rows,
        })
    }

    fn definitions(&self) -> Value {
        let column = |column: &Column| {
            json!({
                "name": column.name, "type": column.kind, "format": column.format,
                "description": column.description, "priority": column.priority,
            })
        };
        self.columns.iter().map(column).collect()
    }

    fn cells_of(&self, object: &Value, context: &Context<'_>) -> Row {
        match &self.cells {
            Cells::Of(row) => row(object, context),
            Cells::Paths(paths) => custom::row(object, paths, &self.columns, context),
        }
    }

    fn row(&self, object: &Value, context: &Context<'_>, options: &Options<'_>) -> Value {
        let row = self.cells_of(object, context);
        let mut entry = Map::new();
        entry.insert("cells".into(), Value::Array(row.cells));
        if !row.conditions.is_empty() {
            entry.insert("conditions".into(), Value::Array(row.conditions));
        }
        let carried = match options.include {
            IncludeObject::None => Value::Null,
            IncludeObject::Metadata => meta::partial_object(object, options.version),
            IncludeObject::Object => object.clone(),
        };
        entry.insert("object".into(), carried);
        Value::Object(entry)
    }
}

/// The Table of built-in objects, as a list shows them.
pub fn table(resource: &Resource, objects: &[&Value], now: Timestamp, include: IncludeObject) -> Value {
    let options = Options { now, include, version: "v1", list: true, headers: true };
    Printer::builtin(resource).table(objects, json!({}), &options)
}

/// The uid of the newest object that is annotated as its kind's default.
fn default_of<'a>(objects: &[&'a Value]) -> Option<&'a str> {
    const MARKS: [&str; 2] =
        ["storageclass.kubernetes.io/is-default-class", "ingressclass.kubernetes.io/is-default-class"];
    let marked = |object: &&&Value| MARKS.iter().any(|mark| meta::annotation(object, mark) == Some("true"));
    let newest = objects.iter().filter(marked).max_by(|a, b| {
        let key = |object: &'a Value| meta::creation_timestamp(object);
        key(a).cmp(key(b)).then_with(|| meta::name(b).cmp(meta::name(a)))
    });
    newest.map(|object| meta::uid(object))
}

/// The row function of a resource; kinds without one show their name and creation.
fn row_of(group: &str, plural: &str) -> RowOf {
    pods::row_of(group, plural)
        .or_else(|| workloads::row_of(group, plural))
        .or_else(|| core::row_of(group, plural))
        .or_else(|| network::row_of(group, plural))
        .or_else(|| storage::row_of(group, plural))
        .or_else(|| access::row_of(group, plural))
        .or_else(|| cluster::row_of(group, plural))
        .unwrap_or(plain)
}

fn plain(object: &Value, _: &Context<'_>) -> Row {
    cells![meta::name(object), meta::creation_timestamp(object)]
}

/// Name and age: kinds with nothing else to show.
fn aged(object: &Value, context: &Context<'_>) -> Row {
    cells![meta::name(object), context.age(object)]
}

#[cfg(test)]
mod tests;
