//! The schemas of the built-in kinds, read once from `facts/schema.tsv`.
//!
//! A line `#name map kinds other` opens a definition; each line after it is a field: name, type,
//! protobuf numbers, flags (`r`equired, `o`mitempty, omit`z`ero, `p`ointer, `e`mpty is not unset), default, allowed values,
//! list or map type, patch strategy, patch merge key, format, Go type. Fields stand in the order Go writes them.

use super::{Field, Fields, Link, ListType, Schema, SchemaRef, Type};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

static TABLE: &str = include_str!("../facts/schema.tsv");

struct Builtin {
    definitions: Vec<SchemaRef>,
    names: HashMap<&'static str, usize>,
    kinds: HashMap<&'static str, usize>,
}

static BUILTIN: LazyLock<Builtin> = LazyLock::new(read);

pub(super) fn definitions() -> &'static [SchemaRef] {
    &BUILTIN.definitions
}

pub(super) fn by_name(name: &str) -> Option<SchemaRef> {
    BUILTIN.names.get(short_name(name)).map(|i| BUILTIN.definitions[*i].clone())
}

pub(super) fn by_kind(group: &str, version: &str, kind: &str) -> Option<SchemaRef> {
    let find = |key: &str| BUILTIN.kinds.get(key).map(|i| BUILTIN.definitions[*i].clone());
    find(&format!("{group}/{version}/{kind}")).or_else(|| find(kind))
}

/// Where the Go packages of each family of definitions live.
const META: &str = "io.k8s.apimachinery.pkg.apis.";
const EXTENSIONS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.";
const AGGREGATOR: &str = "io.k8s.kube-aggregator.pkg.apis.";
const API: &str = "io.k8s.api.";

fn short_name(name: &str) -> &str {
    [META, EXTENSIONS, AGGREGATOR, API].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

fn full_name(short: &str) -> String {
    let prefix = match short.split('.').next() {
        Some("meta") => META,
        Some("apiextensions") => EXTENSIONS,
        Some("apiregistration") => AGGREGATOR,
        Some("io") => "",
        _ => API,
    };
    format!("{prefix}{short}")
}

fn read() -> Builtin {
    let headers: Vec<&str> = TABLE.lines().filter_map(|line| line.strip_prefix('#')).collect();
    let names: HashMap<&'static str, usize> =
        headers.iter().enumerate().map(|(i, line)| (column(line, 0), i)).collect();
    let mut kinds = HashMap::new();
    let mut reader = Reader { names: &names, nodes: HashMap::new() };
    let mut definitions: Vec<SchemaRef> = Vec::with_capacity(headers.len());
    let mut lines = TABLE.lines().peekable();
    while let Some(header) = lines.next() {
        let header = header.trim_start_matches('#');
        let mut fields = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            fields.push(reader.field(line, &definitions));
        }
        let mut columns = header.split('\t');
        let (name, map, gvks, other) = (
            columns.next().unwrap_or_default(),
            columns.next().unwrap_or_default(),
            columns.next().unwrap_or_default(),
            columns.next().unwrap_or_default(),
        );
        let key = if gvks == "*" { name.rsplit('.').next().unwrap_or_default() } else { gvks };
        for gvk in key.split(' ').filter(|gvk| !gvk.is_empty()) {
            kinds.insert(gvk, definitions.len());
        }
        definitions.push(Arc::new(Schema {
            name: Some(full_name(name).into()),
            fields: Arc::new(Fields::new(fields)),
            atomic_map: map == "a",
            kinds: gvks.into(),
            other: other.into(),
            ..Schema::leaf(Type::Object)
        }));
    }
    Builtin { definitions, names, kinds }
}

fn column(line: &'static str, index: usize) -> &'static str {
    line.split('\t').nth(index).unwrap_or_default()
}

struct Reader<'a> {
    names: &'a HashMap<&'static str, usize>,
    /// Equal nodes are one: there are some sixty among three thousand fields.
    nodes: HashMap<(&'static str, &'static str), SchemaRef>,
}

impl Reader<'_> {
    fn field(&mut self, line: &'static str, known: &[SchemaRef]) -> Field {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        let (name, kind, wire, flags, default, values) = (next(), next(), next(), next(), next(), next());
        let (shape, strategy, merge_key, format, go_type) = (next(), next(), next(), next(), next());
        Field {
            name: name.into(),
            required: flags.contains('r'),
            omitempty: flags.contains('o'),
            omitzero: flags.contains('z'),
            pointer: flags.contains('p'),
            keeps_empty: flags.contains('e'),
            default: serde_json::from_str(default).ok(),
            // The first may be the empty text.
            values: values.split(',').filter(|_| !values.is_empty()).map(Arc::from).collect(),
            patch_merge: strategy.contains("merge"),
            patch_retain_keys: strategy.contains("retainKeys"),
            patch_replace: strategy == "replace",
            patch_merge_key: Some(merge_key).filter(|key| !key.is_empty()).map(Arc::from),
            owned: match (shape, kind) {
                ("g", _) => Some(("x-kubernetes-map-type", "granular")),
                ("a", "y") => Some(("x-kubernetes-list-type", "atomic")),
                _ => None,
            },
            format: format.into(),
            go_type: go_type.into(),
            wire: wire.split('.').filter_map(|n| n.parse().ok()).collect(),
            link: self.divided(kind, shape, known).unwrap_or_else(|| self.link(kind, shape)),
        }
    }

    /// A field may divide what is elsewhere owned as a whole. Definitions come in the order of their names, and the
    /// one that is divided so comes before its field.
    fn divided(&self, kind: &'static str, shape: &'static str, known: &[SchemaRef]) -> Option<Link> {
        let name = kind.strip_prefix('=').filter(|_| shape == "g")?;
        let whole = known.get(self.names[name])?;
        Some(Link::Own(Arc::new(Schema { atomic_map: false, ..(**whole).clone() })))
    }

    fn link(&mut self, kind: &'static str, shape: &'static str) -> Link {
        match kind.strip_prefix('=') {
            Some(name) => Link::Definition(self.names[name]),
            None => Link::Own(self.node(kind, shape)),
        }
    }

    fn node(&mut self, kind: &'static str, shape: &'static str) -> SchemaRef {
        if let Some(node) = self.nodes.get(&(kind, shape)) {
            return node.clone();
        }
        let node = Arc::new(self.build(kind, shape));
        self.nodes.insert((kind, shape), node.clone());
        node
    }

    fn build(&mut self, kind: &'static str, shape: &'static str) -> Schema {
        if let Some(values) = kind.strip_prefix("{}") {
            let items = Some(self.link(values, ""));
            return Schema { items, atomic_map: shape == "a", ..Schema::leaf(Type::Map) };
        }
        if let Some(items) = kind.strip_prefix("[]").or_else(|| kind.strip_prefix('~')) {
            let list_type = match (shape, shape.strip_prefix("m:")) {
                (_, Some(keys)) => ListType::Map(keys.split(',').map(Arc::from).collect()),
                ("s", _) => ListType::Set,
                _ => ListType::Atomic,
            };
            let wrapped = kind.starts_with('~');
            return Schema { items: Some(self.link(items, "")), list_type, wrapped, ..Schema::leaf(Type::List) };
        }
        let kind = scalar(kind);
        let props = || Link::Definition(self.names["apiextensions.v1.JSONSchemaProps"]);
        let items = matches!(kind, Type::SchemaOrBool | Type::SchemaOrArray | Type::SchemaOrStrings).then(props);
        Schema { items, ..Schema::leaf(kind) }
    }
}

fn scalar(name: &str) -> Type {
    match name {
        "b" => Type::Boolean,
        "i" => Type::Int32,
        "l" => Type::Int64,
        "f" => Type::Number,
        "y" => Type::Bytes,
        "time" => Type::Time,
        "microtime" => Type::MicroTime,
        "quantity" => Type::Quantity,
        "intstr" => Type::IntOrString,
        "duration" => Type::Duration,
        "raw" => Type::RawExtension,
        "fieldsv1" => Type::FieldsV1,
        "json" => Type::Json,
        "orbool" => Type::SchemaOrBool,
        "orarray" => Type::SchemaOrArray,
        "orstrings" => Type::SchemaOrStrings,
        _ => Type::String,
    }
}
