//! The operations of a document: what one verb does to one resource, with which parameters and answers.
//!
//! In: a resource, a verb. Out: its OpenAPI, in Kubernetes' names for operations. Custom resources are told by
//! another server, which says less of them.

use super::super::resource::{Resource, Subresource};
use super::super::schema::Schema;
use super::Form;
use super::components::definition_name;
use super::descriptions::Descriptions;
use serde_json::{Map, Value, json};

/// The bodies a server writes.
const ANSWERS: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// The same as streams of events.
const STREAMS: [&str; 2] = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];
/// The patches it reads.
const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const KINDS: &str = "x-kubernetes-group-version-kind";

/// Query parameters: name, type, and the verbs that take it.
const QUERY: [(&str, &str, &[&str]); 19] = [
    ("allowWatchBookmarks", "boolean", &["list", "watch", "watchlist"]),
    ("continue", "string", &["list", "deletecollection", "watch", "watchlist"]),
    ("dryRun", "string", &["create", "update", "patch", "delete", "deletecollection"]),
    ("fieldManager", "string", &["create", "update", "patch"]),
    ("fieldSelector", "string", &["list", "deletecollection", "watch", "watchlist"]),
    ("fieldValidation", "string", &["create", "update", "patch"]),
    ("force", "boolean", &["patch"]),
    ("gracePeriodSeconds", "integer", &["delete", "deletecollection"]),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean", &["delete", "deletecollection"]),
    ("labelSelector", "string", &["list", "deletecollection", "watch", "watchlist"]),
    ("limit", "integer", &["list", "deletecollection", "watch", "watchlist"]),
    ("orphanDependents", "boolean", &["delete", "deletecollection"]),
    ("propagationPolicy", "string", &["delete", "deletecollection"]),
    ("resourceVersion", "string", &["list", "deletecollection", "watch", "watchlist"]),
    ("resourceVersionMatch", "string", &["list", "deletecollection", "watch", "watchlist"]),
    ("sendInitialEvents", "boolean", &["list", "deletecollection", "watch", "watchlist"]),
    ("shardSelector", "string", &["list", "deletecollection", "watch", "watchlist"]),
    ("timeoutSeconds", "integer", &["list", "deletecollection", "watch", "watchlist"]),
    ("watch", "boolean", &["list", "watch", "watchlist"]),
];

type Options = &'static [(&'static str, &'static str)];

const TERMINAL: [(&str, &str); 6] = [
    ("command", "string"),
    ("container", "string"),
    ("stderr", "boolean"),
    ("stdin", "boolean"),
    ("stdout", "boolean"),
    ("tty", "boolean"),
];
const LOG: [(&str, &str); 9] = [
    ("container", "string"),
    ("follow", "boolean"),
    ("insecureSkipTLSVerifyBackend", "boolean"),
    ("limitBytes", "integer"),
    ("previous", "boolean"),
    ("sinceSeconds", "integer"),
    ("stream", "string"),
    ("tailLines", "integer"),
    ("timestamps", "boolean"),
];

/// The query and the methods of a connection that a subresource opens; `None`: it opens none.
pub(super) fn connection(sub: &str) -> Option<(Options, &'static [&'static str])> {
    match sub {
        "exec" => Some((&TERMINAL, &["get", "post"])),
        "attach" => Some((&TERMINAL[1..], &["get", "post"])),
        "portforward" => Some((&[("ports", "integer")], &["get", "post"])),
        "proxy" => Some((&[("path", "string")], &["get", "put", "post", "delete", "options", "head", "patch"])),
        _ => None,
    }
}

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parameter {
    pub name: String,
    /// `path` or `query`
    pub place: &'static str,
    kind: &'static str,
    about: Option<String>,
}

impl Parameter {
    pub fn path(name: &str, about: impl Into<String>) -> Parameter {
        Parameter { name: name.to_string(), place: "path", kind: "string", about: Some(about.into()) }
    }

    pub fn query(name: &str, kind: &'static str, about: Option<String>) -> Parameter {
        Parameter { name: name.to_string(), place: "query", kind, about }
    }

    pub fn told(&self, form: Form) -> Value {
        let mut out = json!({"name": self.name, "in": self.place});
        match form {
            Form::V3 => out["schema"] = json!({"type": self.kind, "uniqueItems": true}),
            Form::V2 => {
                out["type"] = json!(self.kind);
                out["uniqueItems"] = json!(true);
            }
        }
        if let Some(about) = &self.about {
            out["description"] = json!(about);
        }
        if self.place == "path" {
            out["required"] = json!(true);
        }
        out
    }
}

/// One method of a path.
pub(super) struct Operation {
    pub method: String,
    /// Without its parameters.
    pub told: Value,
    pub parameters: Vec<Parameter>,
    /// Version 2 has the body among the parameters.
    pub body: Option<Value>,
}

/// What the path of a resource names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A collection of the whole cluster.
    Cluster,
    /// A collection in one namespace.
    Namespace,
    /// A collection across namespaces.
    Everywhere,
    /// An object without a namespace.
    Object,
    /// An object in one.
    NamespacedObject,
}

impl Place {
    /// One object of the collection.
    pub fn object(self) -> Place {
        if self == Place::Cluster { Place::Object } else { Place::NamespacedObject }
    }
}

/// What a path is about.
pub(super) struct Subject<'a> {
    pub resource: &'a Resource,
    pub sub: Option<&'a Subresource>,
    pub place: Place,
    pub texts: &'a Descriptions,
}

impl Subject<'_> {
    /// The group, version and kind of the bodies here. The server of custom resources names its own, also where a
    /// Scale is served.
    fn kind(&self) -> (&str, &str, &str) {
        match self.sub {
            Some(sub) if !self.resource.custom => (&sub.group, &sub.version, &sub.kind),
            _ => (&self.resource.group, &self.resource.version, &self.resource.kind),
        }
    }

    /// A query parameter, with what is told of it here.
    pub fn query(&self, name: &str, kind: &'static str, method: &str) -> Parameter {
        let sub = self.sub.map_or("", |sub| &sub.name);
        let leads_to = format!("{}/{sub}", self.resource.plural);
        Parameter::query(name, kind, self.texts.parameter(name, &[method, sub, &leads_to]))
    }

    fn definition(&self) -> String {
        let own = || definition_name(self.resource, &self.resource.kind);
        let Some(sub) = self.sub else { return own() };
        let builtin = Schema::of_kind(&sub.group, &sub.version, &sub.kind);
        builtin.and_then(|schema| schema.name().map(str::to_string)).unwrap_or_else(own)
    }

    pub fn path_parameters(&self) -> Vec<Parameter> {
        let mut out = Vec::new();
        if matches!(self.place, Place::Object | Place::NamespacedObject) {
            out.push(Parameter::path("name", format!("name of the {}", self.kind().2)));
        }
        if matches!(self.place, Place::Namespace | Place::NamespacedObject) {
            out.push(Parameter::path("namespace", "object name and auth scope, such as for teams and projects"));
        }
        let connects = self.sub.is_some_and(|sub| connection(&sub.name).is_some());
        if !connects {
            out.push(self.query("pretty", "string", ""));
        }
        if self.sub.is_some_and(|sub| &*sub.name == "log") {
            out.extend(LOG.iter().map(|(name, kind)| self.query(name, kind, "")));
        }
        out
    }

    /// `readCoreV1NamespacedPodStatus`
    fn operation_id(&self, does: &str, end: &str) -> String {
        let (group, version) = (upper(&word(&self.resource.group)), upper(&self.resource.version));
        let scope = if matches!(self.place, Place::Namespace | Place::NamespacedObject) { "Namespaced" } else { "" };
        let sub = self.sub.map(|sub| upper(&sub.name)).unwrap_or_default();
        let (does, method) = does.split_once(' ').unwrap_or((does, ""));
        let everywhere = if self.place == Place::Everywhere { "ForAllNamespaces" } else { "" };
        format!("{does}{group}{version}{method}{scope}{}{sub}{end}{everywhere}", self.resource.kind)
    }

    fn told(&self, does: &str, end: &str, about: String, action: &str) -> Value {
        let (group, version, kind) = self.kind();
        let kind = json!({"group": group, "version": version, "kind": kind});
        json!({"tags": [tag(&self.resource.group, &self.resource.version)], "description": about,
            "operationId": self.operation_id(does, end), "x-kubernetes-action": action, KINDS: kind})
    }

    /// What a method that opens a connection does.
    pub fn connect(&self, method: &str, with_path: bool, form: Form) -> Operation {
        let sub = self.sub.map_or("", |sub| &sub.name);
        let about = format!("connect {} requests to {sub} of {}", method.to_uppercase(), self.resource.kind);
        let end = if with_path { "WithPath" } else { "" };
        let mut told = self.told(&format!("connect {}", upper(method)), end, about, "connect");
        answers(&mut told, &[("200", "OK")], &["*/*"], &json!({"type": "string"}), form);
        if form == Form::V2 {
            told["consumes"] = json!(["*/*"]);
        }
        Operation { method: method.to_string(), told, parameters: Vec::new(), body: None }
    }

    /// What a verb does here.
    pub fn operation(&self, verb: &str, form: Form) -> Operation {
        let kind = &*self.resource.kind;
        let of = self.sub.map(|sub| format!("{} of ", sub.name)).unwrap_or_default();
        let one = with_article(kind);
        let instead = "deprecated: use the 'watch' parameter with a list operation instead";
        let (method, does, action, about) = match verb {
            "list" if self.resource.allows("watch") && !self.resource.custom => {
                ("get", "list", "list", format!("list or watch objects of kind {kind}"))
            }
            "list" => ("get", "list", "list", format!("list objects of kind {kind}")),
            "create" => ("post", "create", "post", format!("create {of}{one}")),
            "deletecollection" => {
                ("delete", "delete Collection", "deletecollection", format!("delete collection of {kind}"))
            }
            "get" => ("get", "read", "get", format!("read {of}the specified {kind}")),
            "update" => ("put", "replace", "put", format!("replace {of}the specified {kind}")),
            "patch" => ("patch", "patch", "patch", format!("partially update {of}the specified {kind}")),
            "delete" => ("delete", "delete", "delete", format!("delete {one}")),
            "watchlist" => ("get", "watch", verb, format!("watch individual changes to a list of {kind}. {instead}.")),
            _ => {
                let about = format!(
                    "watch changes to an object of kind {kind}. {instead}, filtered to a single item with the \
                     'fieldSelector' parameter."
                );
                ("get", "watch", "watch", about)
            }
        };
        let mut told = self.told(does, if verb == "watchlist" { "List" } else { "" }, about, action);
        let codes: &[(&str, &str)] = match verb {
            "create" => &[("200", "OK"), ("201", "Created"), ("202", "Accepted")],
            "patch" if self.resource.custom => &[("200", "OK")],
            "update" | "patch" => &[("200", "OK"), ("201", "Created")],
            "delete" => &[("200", "OK"), ("202", "Accepted")],
            _ => &[("200", "OK")],
        };
        let (mut forms, schema) = self.answer(verb, form);
        if self.resource.custom {
            forms.retain(|form| !form.contains("protobuf"));
        }
        answers(&mut told, codes, &forms, &schema, form);
        let body = self.body(verb, &mut told, form);
        let as_if = match verb {
            "deletecollection" if self.resource.custom => "list",
            verb => verb,
        };
        let reads = |name: &str| verb == "get" && name == "resourceVersion" && self.resource.custom;
        let taken = QUERY.iter().filter(|(name, _, verbs)| verbs.contains(&as_if) || reads(name));
        let parameters = taken.map(|(name, kind, _)| self.query(name, kind, method)).collect();
        Operation { method: method.to_string(), told, parameters, body }
    }

    /// The forms of a verb's answer, and what it says.
    fn answer(&self, verb: &str, form: Form) -> (Vec<&'static str>, Value) {
        let reference = |name: &str| form.reference(name);
        let mut forms = ANSWERS.to_vec();
        let schema = match verb {
            _ if self.sub.is_some_and(|sub| &*sub.name == "log") => {
                forms.insert(0, "text/plain");
                json!({"type": "string"})
            }
            "list" => {
                if !self.resource.custom {
                    forms.extend(STREAMS);
                }
                reference(&definition_name(self.resource, &self.resource.list_kind))
            }
            "watch" | "watchlist" => {
                forms.extend(STREAMS);
                reference(&format!("{META}.WatchEvent"))
            }
            "delete" if self.resource.is_returned_by_delete() => reference(&self.definition()),
            "delete" | "deletecollection" => reference(&format!("{META}.Status")),
            _ => reference(&self.definition()),
        };
        (forms, schema)
    }

    /// What a verb reads: told with the operation, or given back as version 2's parameter.
    fn body(&self, verb: &str, told: &mut Value, form: Form) -> Option<Value> {
        let any = if self.resource.custom { ANSWERS[..2].to_vec() } else { vec!["*/*"] };
        let (definition, forms): (String, Vec<&str>) = match verb {
            "create" | "update" => (self.definition(), any),
            "patch" => {
                let read = PATCHES.into_iter().filter(|patch| !self.resource.custom || !patch.contains("strategic"));
                (format!("{META}.Patch"), read.collect())
            }
            "deletecollection" if !self.resource.custom => (format!("{META}.DeleteOptions"), any),
            "delete" => (format!("{META}.DeleteOptions"), any),
            _ => {
                if form == Form::V2 {
                    told["consumes"] = json!(any);
                }
                return None;
            }
        };
        let schema = form.reference(&definition);
        let required = !verb.starts_with("delete");
        match form {
            Form::V3 => {
                told["requestBody"] = json!({"content": content(&forms, &schema)});
                if required {
                    told["requestBody"]["required"] = json!(true);
                }
                None
            }
            Form::V2 => {
                told["consumes"] = json!(forms);
                let mut body = json!({"name": "body", "in": "body", "schema": schema});
                if required {
                    body["required"] = json!(true);
                }
                Some(body)
            }
        }
    }
}

/// A document that only reads.
pub(super) fn reading(tag: &str, about: &str, id: &str, forms: &[&str], schema: &Value, form: Form) -> Operation {
    let mut told = json!({"tags": [tag], "description": about, "operationId": id});
    answers(&mut told, &[("200", "OK")], forms, schema, form);
    if form == Form::V2 && forms.len() > 1 {
        told["consumes"] = json!(forms);
    }
    Operation { method: "get".to_string(), told, parameters: Vec::new(), body: None }
}

/// What the path of a group and version answers.
pub(super) fn resources(group: &str, version: &str, form: Form) -> Operation {
    let id = format!("get{}{}APIResources", upper(&word(group)), upper(version));
    let schema = form.reference(&format!("{META}.APIResourceList"));
    reading(&tag(group, version), "get available resources", &id, &ANSWERS, &schema, form)
}

/// What the path of a group answers.
pub(super) fn group(group: &str, form: Form) -> Operation {
    let id = format!("get{}APIGroup", upper(&word(group)));
    let schema = form.reference(&format!("{META}.APIGroup"));
    reading(&word(group), "get information of a group", &id, &ANSWERS, &schema, form)
}

/// What `/api` and `/apis` answer.
pub(super) fn roots(path: &str, form: Form) -> Operation {
    let (tag, id, kind) = match path {
        "api" => ("core", "getCoreAPIVersions", "APIVersions"),
        _ => ("apis", "getAPIVersions", "APIGroupList"),
    };
    reading(tag, "get available API versions", id, &ANSWERS, &form.reference(&format!("{META}.{kind}")), form)
}

fn answers(told: &mut Value, codes: &[(&str, &str)], forms: &[&str], schema: &Value, form: Form) {
    let mut responses = Map::new();
    for (code, about) in codes {
        let answer = match form {
            Form::V3 => json!({"description": about, "content": content(forms, schema)}),
            Form::V2 => json!({"description": about, "schema": schema}),
        };
        responses.insert((*code).to_string(), answer);
    }
    responses.insert("401".into(), json!({"description": "Unauthorized"}));
    told["responses"] = Value::Object(responses);
    if form == Form::V2 {
        told["produces"] = json!(forms);
        told["schemes"] = json!(["https"]);
    }
}

fn content(forms: &[&str], schema: &Value) -> Value {
    forms.iter().map(|form| ((*form).to_string(), json!({"schema": schema}))).collect()
}

/// A group in one word: `core`, `apps`, `rbacAuthorization`.
fn word(group: &str) -> String {
    if group.is_empty() {
        return "core".to_string();
    }
    let mut parts = group.strip_suffix(".k8s.io").unwrap_or(group).split('.');
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |word, part| word + &upper(part))
}

fn tag(group: &str, version: &str) -> String {
    format!("{}_{version}", word(group))
}

fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// `a Pod`, `an Ingress`, `Endpoints`.
fn with_article(kind: &str) -> String {
    if kind.ends_with('s') && !kind.ends_with("ss") {
        return kind.to_string();
    }
    let article = if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
    format!("{article} {kind}")
}
