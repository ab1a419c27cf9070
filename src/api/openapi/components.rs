//! The schemas of a document: every definition its resources reach.

mod custom;

use super::super::resource::Resource;
use super::super::schema::{Field, ListType, Schema, SchemaRef, Type};
use super::Form;
use super::descriptions::Descriptions;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const EXTENSIONS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";

/// What every resource of some verbs reaches: the definition, and the verbs.
const BY_VERB: [(&str, &[&str]); 3] = [
    ("DeleteOptions", &["delete", "deletecollection"]),
    ("Status", &["delete", "deletecollection"]),
    ("WatchEvent", &["watch"]),
];

/// What is told of the body of a patch, which may be anything.
const PATCH: &str = "Patch is provided to give a concrete name and type to the Kubernetes PATCH request body.";

/// Groups whose kinds are not those of the server of custom resources.
const APART: [&str; 4] = ["admission.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "imagepolicy.k8s.io"];

/// The definitions that `served` reach.
pub(super) fn schemas(served: &[Arc<Resource>], form: Form) -> Map<String, Value> {
    // A custom resource's watch is not described.
    let custom = served.iter().all(|resource| resource.custom);
    let texts = Descriptions::read();
    let groups = match form {
        Form::V2 => own(&texts.groups()),
        // The server of custom resources is built without these.
        Form::V3 if custom => {
            own(&texts.groups()).into_iter().filter(|(group, _)| !APART.contains(&&**group)).collect()
        }
        Form::V3 => every_group(served),
    };
    let mut writer = Writer::new(form, texts, groups);
    let asks = |verbs: &[&str]| served.iter().any(|resource| verbs.iter().any(|verb| resource.allows(verb)));
    for (name, _) in BY_VERB.iter().filter(|(name, verbs)| asks(verbs) && !(custom && *name == "WatchEvent")) {
        writer.definition(Schema::builtin(&format!("{META}.{name}")));
    }
    if served.iter().any(|resource| !resource.custom) {
        writer.definition(Schema::builtin(&format!("{META}.APIResourceList")));
    }
    if asks(&["patch"]) {
        writer.definitions.insert(format!("{META}.Patch"), json!({"type": "object", "description": PATCH}));
    }
    for resource in served {
        if let Some(source) = resource.schema.source() {
            writer.custom(resource, source);
            let scales = resource.subresources.iter().filter(|sub| sub.group != resource.group);
            scales.for_each(|sub| writer.definition(sub.schema.clone()));
            continue;
        }
        writer.definition(Some(resource.schema.clone()));
        writer.definition(Schema::of_kind(&resource.group, &resource.version, &resource.list_kind));
        for sub in &resource.subresources {
            writer.definition(sub.schema.clone());
        }
    }
    writer.leaves();
    writer.definitions.into_iter().collect()
}

/// A definition and what it reaches.
pub(super) fn only(name: &str, form: Form) -> Map<String, Value> {
    let mut writer = Writer::new(form, Descriptions::read(), Vec::new());
    writer.definition(Schema::builtin(name));
    writer.leaves();
    writer.definitions.into_iter().collect()
}

fn every_group(all: &[Arc<Resource>]) -> Vec<(String, String)> {
    let own = all.iter().map(|r| (r.group.to_string(), r.version.to_string()));
    // They are of the first group, whoever else names them.
    let groups: BTreeSet<(String, String)> = own.chain([(String::new(), "v1".to_string())]).collect();
    groups.into_iter().collect()
}

fn own(groups: &[(&str, &str)]) -> Vec<(String, String)> {
    groups.iter().map(|(group, version)| ((*group).to_string(), (*version).to_string())).collect()
}

/// The name of a resource's definition; of custom ones, the group backwards.
pub(super) fn definition_name(resource: &Resource, kind: &str) -> String {
    if !resource.custom {
        let schema = Schema::of_kind(&resource.group, &resource.version, kind);
        return schema.and_then(|schema| schema.name().map(str::to_string)).unwrap_or_default();
    }
    let mut parts: Vec<&str> = resource.group.split('.').rev().collect();
    parts.extend([&*resource.version, kind]);
    parts.join(".")
}

struct Writer {
    form: Form,
    descriptions: Descriptions,
    every_group: Vec<(String, String)>,
    definitions: BTreeMap<String, Value>,
    scalars: BTreeSet<&'static str>,
}

impl Writer {
    fn new(form: Form, descriptions: Descriptions, every_group: Vec<(String, String)>) -> Writer {
        let (definitions, scalars) = (BTreeMap::new(), BTreeSet::new());
        Writer { form, descriptions, every_group, definitions, scalars }
    }

    fn definition(&mut self, schema: Option<SchemaRef>) {
        let Some(schema) = schema else { return };
        let Some(name) = schema.name().filter(|name| !self.definitions.contains_key(*name)) else { return };
        self.definitions.insert(name.to_string(), Value::Null); // a definition may reach itself
        let mut out = Map::new();
        self.describe(&mut out, name, None);
        out.insert("type".into(), json!("object"));
        let required: Vec<&str> = schema.fields().iter().filter(|f| f.required).map(|f| &*f.name).collect();
        if !required.is_empty() {
            out.insert("required".into(), json!(required));
        }
        let properties: Map<String, Value> =
            schema.fields().iter().map(|field| (field.name.to_string(), self.property(name, field))).collect();
        let mut properties = properties;
        if is_list(name)
            && let Some(items) = properties.get_mut("items").and_then(Value::as_object_mut)
        {
            items.shift_remove("x-kubernetes-list-type");
        }
        if !properties.is_empty() {
            out.insert("properties".into(), Value::Object(properties));
        }
        let kinds = self.kinds(&schema, name);
        if !kinds.is_empty() {
            out.insert("x-kubernetes-group-version-kind".into(), Value::Array(kinds));
        }
        if schema.atomic_map() {
            out.insert("x-kubernetes-map-type".into(), json!("atomic"));
        }
        if let Ok(Value::Object(extensions)) = serde_json::from_str(schema.extensions()) {
            out.extend(extensions);
        }
        self.definitions.insert(name.to_string(), Value::Object(out));
    }

    fn kinds(&self, schema: &Schema, name: &str) -> Vec<Value> {
        let gvk = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
        if schema.kinds() == "*" {
            let kind = name.rsplit('.').next().unwrap_or_default();
            return self.every_group.iter().map(|(group, version)| gvk(group, version, kind)).collect();
        }
        let kinds = schema.kinds().split(' ').filter(|kind| !kind.is_empty());
        kinds
            .map(|kind| {
                let mut parts = kind.split('/');
                let mut next = || parts.next().unwrap_or_default();
                gvk(next(), next(), next())
            })
            .collect()
    }

    fn describe(&self, out: &mut Map<String, Value>, definition: &str, field: Option<&str>) {
        if let Some(text) = self.descriptions.get(definition, field) {
            out.insert("description".into(), json!(text));
        }
    }

    fn property(&mut self, definition: &str, field: &Field) -> Value {
        let mut out = Map::new();
        self.describe(&mut out, definition, Some(&field.name));
        let node = self.node(field.schema_ref());
        // A reference has no neighbours in version 3; in version 2 they are ignored but for the text.
        match (self.form, node.contains_key("$ref") && !out.is_empty() || field.default.is_some()) {
            (Form::V3, true) if node.contains_key("$ref") => {
                out.insert("allOf".into(), json!([node]));
            }
            _ => out.extend(node),
        }
        if let (Form::V3, Some(default)) = (self.form, &field.default) {
            out.insert("default".into(), default.clone());
        }
        if !field.values.is_empty() {
            let inside = ["items", "additionalProperties"].into_iter().find(|inside| out.contains_key(*inside));
            let of = match inside.and_then(|inside| out.get_mut(inside)).and_then(Value::as_object_mut) {
                Some(element) => element,
                None => &mut out,
            };
            of.insert("enum".into(), json!(field.values));
        }
        if !field.format.is_empty() {
            out.insert("format".into(), json!(field.format));
        }
        let strategies =
            [(field.patch_merge, "merge"), (field.patch_retain_keys, "retainKeys"), (field.patch_replace, "replace")];
        let strategies: Vec<&str> = strategies.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
        if !strategies.is_empty() {
            out.insert("x-kubernetes-patch-strategy".into(), json!(strategies.join(",")));
        }
        if let Some((extension, value)) = field.owned {
            out.insert(extension.into(), json!(value));
        }
        if let Some(key) = &field.patch_merge_key {
            out.insert("x-kubernetes-patch-merge-key".into(), json!(key));
        }
        Value::Object(out)
    }

    /// A node's own schema: a reference for a named one.
    fn node(&mut self, schema: SchemaRef) -> Map<String, Value> {
        let value = match schema.kind() {
            Type::Boolean => json!({"type": "boolean"}),
            Type::Int32 => json!({"type": "integer", "format": "int32"}),
            Type::Int64 => json!({"type": "integer", "format": "int64"}),
            Type::Number => json!({"type": "number", "format": "double"}),
            Type::String => json!({"type": "string"}),
            Type::Bytes => json!({"type": "string", "format": "byte"}),
            Type::Any => json!({}),
            Type::List => self.list(&schema),
            Type::Map => self.map(&schema),
            Type::Object => {
                self.definition(Some(schema.clone()));
                self.form.reference(schema.name().unwrap_or_default())
            }
            kind => {
                let (name, _) = leaf(kind);
                self.scalars.insert(name);
                if let Type::SchemaOrBool | Type::SchemaOrArray | Type::SchemaOrStrings = kind {
                    self.definition(Schema::builtin(&format!("{EXTENSIONS}.JSONSchemaProps")));
                }
                self.form.reference(name)
            }
        };
        value.as_object().cloned().unwrap_or_default()
    }

    fn list(&mut self, schema: &Schema) -> Value {
        let mut out = json!({"type": "array", "items": self.element(schema)});
        match schema.list_type() {
            ListType::Atomic if schema.wrapped() => {}
            ListType::Atomic => out["x-kubernetes-list-type"] = json!("atomic"),
            ListType::Set => out["x-kubernetes-list-type"] = json!("set"),
            ListType::Map(keys) => {
                out["x-kubernetes-list-type"] = json!("map");
                out["x-kubernetes-list-map-keys"] = json!(keys);
            }
        }
        out
    }

    fn map(&mut self, schema: &Schema) -> Value {
        let mut out = json!({"type": "object", "additionalProperties": self.element(schema)});
        if schema.atomic_map() {
            out["x-kubernetes-map-type"] = json!("atomic");
        }
        out
    }

    /// What a list or a map holds.
    fn element(&mut self, schema: &Schema) -> Value {
        schema.items_ref().map_or_else(|| json!({}), |items| Value::Object(self.node(items)))
    }

    /// The definitions whose JSON is no struct.
    fn leaves(&mut self) {
        for name in std::mem::take(&mut self.scalars) {
            let mut out = Map::new();
            self.describe(&mut out, name, None);
            let kinds = [
                Type::Time,
                Type::MicroTime,
                Type::Quantity,
                Type::IntOrString,
                Type::Duration,
                Type::RawExtension,
                Type::FieldsV1,
                Type::Json,
                Type::SchemaOrBool,
                Type::SchemaOrArray,
                Type::SchemaOrStrings,
            ];
            let found = kinds.into_iter().map(leaf).find(|(leaf, _)| *leaf == name);
            let kind = found.map(|(_, kind)| if self.form == Form::V2 { flattened(kind) } else { kind });
            out.extend(kind.and_then(|kind| kind.as_object().cloned()).unwrap_or_default());
            self.definitions.insert(name.to_string(), Value::Object(out));
        }
    }
}

/// Whether a definition is the list of a kind.
fn is_list(name: &str) -> bool {
    name.ends_with("List") && Schema::builtin(name).is_some_and(|schema| !schema.kinds().is_empty())
}

/// Version 2 has no `oneOf`: such a scalar is told as a string.
fn flattened(kind: Value) -> Value {
    let Some(format) = kind.get("oneOf").map(|_| kind.get("format").cloned()) else { return kind };
    let mut out = json!({"type": "string"});
    if let Some(format) = format {
        out["format"] = format;
    }
    out
}

/// Name and schema of a definition whose JSON is no struct.
fn leaf(kind: Type) -> (&'static str, Value) {
    match kind {
        Type::Time => ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", json!({"type": "string", "format": "date-time"})),
        Type::MicroTime => {
            ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", json!({"type": "string", "format": "date-time"}))
        }
        Type::Quantity => (
            "io.k8s.apimachinery.pkg.api.resource.Quantity",
            json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        ),
        Type::IntOrString => (
            "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
            json!({"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"}),
        ),
        Type::Duration => ("io.k8s.apimachinery.pkg.apis.meta.v1.Duration", json!({"type": "string"})),
        Type::FieldsV1 => ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", json!({"type": "object"})),
        Type::Json => ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", json!({})),
        Type::SchemaOrBool => {
            ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool", json!({}))
        }
        Type::SchemaOrArray => {
            ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray", json!({}))
        }
        Type::SchemaOrStrings => {
            ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray", json!({}))
        }
        _ => ("io.k8s.apimachinery.pkg.runtime.RawExtension", json!({"type": "object"})),
    }
}
