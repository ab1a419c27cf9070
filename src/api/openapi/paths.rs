//! The paths of a document: what may be done with each resource, and with which parameters.

use super::super::resource::{Resource, Subresource};
use super::super::schema::Schema;
use super::Form;
use super::components::definition_name;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The bodies a server writes.
const ANSWERS: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// The patches it reads.
const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Verb of the API, HTTP method, action told in `x-kubernetes-action`, and whether the path names an object.
const OPERATIONS: [(&str, &str, &str, bool); 7] = [
    ("list", "get", "list", false),
    ("create", "post", "post", false),
    ("deletecollection", "delete", "deletecollection", false),
    ("get", "get", "get", true),
    ("update", "put", "put", true),
    ("patch", "patch", "patch", true),
    ("delete", "delete", "delete", true),
];

/// Every path below which `resources` are served.
pub(super) fn paths(resources: &[Arc<Resource>], form: Form) -> Map<String, Value> {
    let mut paths = Map::new();
    for resource in resources {
        let prefix = match &*resource.group {
            "" => format!("/api/{}", resource.version),
            group => format!("/apis/{group}/{}", resource.version),
        };
        let plural = &resource.plural;
        let scoped = if resource.namespaced() { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{prefix}{scoped}/{plural}");
        let object = format!("{collection}/{{name}}");
        let own = Subject::own(resource);
        add(&mut paths, &collection, &own, false, form);
        add(&mut paths, &object, &own, true, form);
        if resource.namespaced() && resource.allows("list") {
            let everywhere = Subject { verbs: &[Arc::from("list")], everywhere: true, ..own };
            add(&mut paths, &format!("{prefix}/{plural}"), &everywhere, false, form);
        }
        for sub in &resource.subresources {
            add(&mut paths, &format!("{object}/{}", sub.name), &Subject::sub(resource, sub), true, form);
        }
    }
    paths
}

/// What a path is about.
#[derive(Clone)]
struct Subject<'a> {
    resource: &'a Resource,
    sub: Option<&'a Subresource>,
    verbs: &'a [Arc<str>],
    definition: String,
    list_definition: String,
    everywhere: bool,
}

impl<'a> Subject<'a> {
    fn own(resource: &'a Resource) -> Subject<'a> {
        Subject {
            resource,
            sub: None,
            verbs: &resource.verbs,
            definition: definition_name(resource, &resource.kind),
            list_definition: definition_name(resource, &resource.list_kind),
            everywhere: false,
        }
    }

    fn sub(resource: &'a Resource, sub: &'a Subresource) -> Subject<'a> {
        let builtin = Schema::of_kind(&sub.group, &sub.version, &sub.kind);
        let named = builtin.and_then(|schema| schema.name().map(str::to_string));
        Subject {
            resource,
            sub: Some(sub),
            verbs: &sub.verbs,
            definition: named.unwrap_or_else(|| definition_name(resource, &resource.kind)),
            list_definition: String::new(),
            everywhere: false,
        }
    }

    fn kind(&self) -> Value {
        match self.sub {
            Some(sub) => json!({"group": sub.group, "version": sub.version, "kind": sub.kind}),
            None => {
                json!({"group": self.resource.group, "version": self.resource.version, "kind": self.resource.kind})
            }
        }
    }

    /// `readCoreV1NamespacedPodStatus`
    fn operation_id(&self, verb: &str) -> String {
        let upper = |text: &str| {
            let mut chars = text.chars();
            chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>()).unwrap_or_default()
        };
        let does = match verb {
            "get" => "read",
            "update" => "replace",
            "deletecollection" => "deleteCollection",
            verb => verb,
        };
        let group = match self.resource.group.split('.').next() {
            Some("") | None => "core",
            Some(first) => first,
        };
        let scope = if self.resource.namespaced() && !self.everywhere { "Namespaced" } else { "" };
        let end = if self.everywhere { "ForAllNamespaces" } else { "" };
        let sub = self.sub.map(|sub| upper(&sub.name)).unwrap_or_default();
        format!("{does}{}{}{scope}{}{sub}{end}", upper(group), upper(&self.resource.version), self.resource.kind)
    }
}

fn add(paths: &mut Map<String, Value>, path: &str, subject: &Subject, object: bool, form: Form) {
    let mut item = Map::new();
    for (verb, method, action, on_object) in OPERATIONS {
        // A subresource is created below its object.
        let here = on_object == object || (subject.sub.is_some() && verb == "create");
        if here && subject.verbs.iter().any(|v| &**v == verb) {
            item.insert(method.into(), operation(subject, verb, action, form));
        }
    }
    if item.is_empty() {
        return;
    }
    let mut parameters = Vec::new();
    if object {
        parameters.push(parameter("name", "path", "string", form));
    }
    if path.contains("{namespace}") {
        parameters.push(parameter("namespace", "path", "string", form));
    }
    parameters.push(parameter("pretty", "query", "string", form));
    item.insert("parameters".into(), Value::Array(parameters));
    paths.insert(path.to_string(), Value::Object(item));
}

/// Query parameters: name, type, and the verbs that take it.
const QUERY: [(&str, &str, &[&str]); 17] = [
    ("allowWatchBookmarks", "boolean", &["list"]),
    ("continue", "string", &["list", "deletecollection"]),
    ("dryRun", "string", &["create", "update", "patch", "delete", "deletecollection"]),
    ("fieldManager", "string", &["create", "update", "patch"]),
    ("fieldSelector", "string", &["list", "deletecollection"]),
    ("fieldValidation", "string", &["create", "update", "patch"]),
    ("force", "boolean", &["patch"]),
    ("gracePeriodSeconds", "integer", &["delete", "deletecollection"]),
    ("labelSelector", "string", &["list", "deletecollection"]),
    ("limit", "integer", &["list", "deletecollection"]),
    ("orphanDependents", "boolean", &["delete", "deletecollection"]),
    ("propagationPolicy", "string", &["delete", "deletecollection"]),
    ("resourceVersion", "string", &["list", "deletecollection"]),
    ("resourceVersionMatch", "string", &["list", "deletecollection"]),
    ("sendInitialEvents", "boolean", &["list", "deletecollection"]),
    ("timeoutSeconds", "integer", &["list", "deletecollection"]),
    ("watch", "boolean", &["list"]),
];

fn operation(subject: &Subject, verb: &str, action: &str, form: Form) -> Value {
    let mut parameters: Vec<Value> = QUERY
        .iter()
        .filter(|(_, _, verbs)| verbs.contains(&verb))
        .map(|(name, kind, _)| parameter(name, "query", kind, form))
        .collect();
    let status = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
    let answer = match verb {
        "list" => &subject.list_definition,
        "delete" | "deletecollection" => status,
        _ => &subject.definition,
    };
    let mut out = json!({"operationId": subject.operation_id(verb), "tags": [tag(subject.resource)]});
    if let Some((definition, forms)) = body(subject, verb) {
        let schema = form.reference(definition);
        match form {
            Form::V3 => out["requestBody"] = json!({"content": content(forms, &schema), "required": verb != "delete"}),
            Form::V2 => {
                let required = !verb.starts_with("delete");
                parameters.push(json!({"name": "body", "in": "body", "required": required, "schema": schema}));
                out["consumes"] = json!(forms);
            }
        }
    }
    out["parameters"] = json!(parameters);
    let codes: &[&str] = match verb {
        "create" => &["200", "201", "202"],
        "update" | "patch" => &["200", "201"],
        "delete" => &["200", "202"],
        _ => &["200"],
    };
    let schema = form.reference(answer);
    let told = match form {
        Form::V3 => json!({"description": "OK", "content": content(&ANSWERS, &schema)}),
        Form::V2 => json!({"description": "OK", "schema": schema}),
    };
    out["responses"] = codes.iter().map(|code| (code.to_string(), told.clone())).collect();
    out["responses"]["401"] = json!({"description": "Unauthorized"});
    if form == Form::V2 {
        out["produces"] = json!(ANSWERS);
        out["schemes"] = json!(["https"]);
    }
    out["x-kubernetes-action"] = json!(action);
    out["x-kubernetes-group-version-kind"] = subject.kind();
    out
}

fn body<'a>(subject: &'a Subject, verb: &str) -> Option<(&'a str, &'static [&'static str])> {
    match verb {
        "create" | "update" => Some((&subject.definition, &["*/*"])),
        "patch" => Some(("io.k8s.apimachinery.pkg.apis.meta.v1.Patch", &PATCHES)),
        "delete" | "deletecollection" => Some(("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", &["*/*"])),
        _ => None,
    }
}

fn content(forms: &[&str], schema: &Value) -> Value {
    forms.iter().map(|form| (form.to_string(), json!({"schema": schema}))).collect()
}

fn tag(resource: &Resource) -> String {
    let group = match resource.group.split('.').next() {
        Some("") | None => "core",
        Some(first) => first,
    };
    format!("{group}_{}", resource.version)
}

fn parameter(name: &str, place: &str, kind: &str, form: Form) -> Value {
    let mut out = json!({"name": name, "in": place});
    match form {
        Form::V3 => out["schema"] = json!({"type": kind, "uniqueItems": true}),
        Form::V2 => {
            out["type"] = json!(kind);
            out["uniqueItems"] = json!(true);
        }
    }
    if place == "path" {
        out["required"] = json!(true);
    }
    out
}
