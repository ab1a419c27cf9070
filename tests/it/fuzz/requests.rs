//! Requests: method, path, query and headers, most of them nearly right.

use std::fmt::{self, Display};
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use serde_json::{Value, json};
use tutor::api::resource::{self, Resource};
use tutor::api::{protobuf, yaml};

use super::bodies;

/// One request.
pub struct Request {
    pub method: String,
    pub uri: String,
    pub headers: Vec<(&'static str, Vec<u8>)>,
    pub body: Bytes,
}

impl Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {} {}", self.method, self.uri)?;
        for (name, value) in &self.headers {
            writeln!(f, "  {name}: {}", value.escape_ascii())?;
        }
        write!(f, "  {}", self.body[..self.body.len().min(3000)].escape_ascii())
    }
}

/// Where a group's version is served.
pub fn root(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

/// Makes requests from a seed.
pub struct Generator {
    random: StdRng,
    resources: Vec<Arc<Resource>>,
    objects: Vec<Value>,
}

const METHODS: &[&str] =
    &["GET", "GET", "GET", "POST", "POST", "POST", "PUT", "PUT", "PATCH", "PATCH", "PATCH", "DELETE", "HEAD", "FROB"];
const NAMES: &[&str] = &["a", "b", "c", "x", "web", "kubernetes", "default", "%2e%2e", "a%2fb", "%00", "%ff", "A_B"];
const NAMESPACES: &[&str] = &["default", "default", "default", "kube-system", "fuzz", "nowhere", "%20"];
const PLAIN: &[&str] = &[
    "/",
    "/api",
    "/apis",
    "/apis/",
    "//api//v1",
    "/apis/apps",
    "/apis/nothing/v1",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/api/v1",
    "/openapi/v3/apis/apps/v1",
    "/openapi/v3/%ff",
    "/version",
    "/healthz",
    "/livez/ping",
    "/readyz/nothing",
    "/metrics",
    "/tutor/writes",
    "/.well-known/openid-configuration",
    "/openid/v1/jwks",
    "/api/v1/watch/pods",
    "/api/v1/namespaces/default/finalize",
    "/api/v1/namespaces/default/pods/x/log/more",
    "/logs",
    "/%",
    "/api/v1/namespaces//pods",
];
const ACCEPTS: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    "application/json;stream=watch",
    "application/cbor",
    "*/*",
    "*/*;q=0",
    "text/html",
    ";;;,,,",
    "application/json;as=",
];
const CONTENTS: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json; charset=utf-8",
    "application/x-www-form-urlencoded",
    "text/plain",
    ";",
    "",
];
const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];
const QUERIES: &[(&str, &[&str])] = &[
    ("labelSelector", &["a=b", "a in (b,c)", "!a", "a>1", "a in (", ",,", "=", "a==b,a!=b", "x notin ()"]),
    ("fieldSelector", &["metadata.name=a", "spec.nodeName=", "status.phase!=Running", "a=b", "=", "metadata.name"]),
    ("limit", &["1", "0", "-1", "9999999999999999999", "x"]),
    ("continue", &["x", "e30=", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiLi4vLi4ifQ", "%ff"]),
    ("resourceVersion", &["0", "1", "5", "-1", "99999999", "18446744073709551616", "x", ""]),
    ("resourceVersionMatch", &["Exact", "NotOlderThan", "Sometimes", ""]),
    ("watch", &["1", "true", "false", "x", ""]),
    ("timeoutSeconds", &["0", "1", "-1", "9223372036854775807", "x"]),
    ("sendInitialEvents", &["true", "false", "x"]),
    ("allowWatchBookmarks", &["true", "false", "x"]),
    ("dryRun", &["All", "all", "None", ""]),
    ("fieldManager", &["me", "", "%00", "kubectl"]),
    ("force", &["true", "false", "x"]),
    ("fieldValidation", &["Strict", "Warn", "Ignore", "strict"]),
    ("propagationPolicy", &["Orphan", "Background", "Foreground", "x"]),
    ("gracePeriodSeconds", &["0", "30", "-1", "9223372036854775807", "x"]),
    ("orphanDependents", &["true", "x"]),
    ("pretty", &["true", "1", "x"]),
    ("includeObject", &["None", "Metadata", "Object", "x"]),
    ("container", &["c", "x", "%00"]),
    ("follow", &["true", "x"]),
    ("tailLines", &["1", "-1", "x", "99999999999999999999"]),
    ("sinceSeconds", &["1", "0", "-1"]),
    ("sinceTime", &["2026-01-01T00:00:00Z", "x"]),
    ("limitBytes", &["1", "0", "-1"]),
    ("previous", &["true", "x"]),
    ("command", &["sh", ""]),
    ("ports", &["80", "x", "99999"]),
    ("resource", &["configmaps", "x"]),
    ("verbose", &[""]),
];
/// Kinds that make the server call others, or that decide on all writes: asked for, never kept.
const NOT_KEPT: &[&str] = &[
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "apiservices",
    "resourcequotas",
    "limitranges",
];

impl Generator {
    /// Begins at a seed.
    pub fn new(seed: u64) -> Generator {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/facts/defaults.jsonl");
        let lines = std::fs::read_to_string(path).unwrap();
        let objects = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["in"].take()).collect();
        Generator { random: StdRng::seed_from_u64(seed), resources: resource::builtin().to_vec(), objects }
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.random.random_range(0..one_in) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from.choose(&mut self.random).unwrap_or(&"")
    }

    /// The next request.
    pub fn request(&mut self) -> Request {
        let method = self.pick(METHODS).to_owned();
        let resource = self.resources.choose(&mut self.random).unwrap().clone();
        let path = if self.chance(12) { self.pick(PLAIN).to_owned() } else { self.path(&resource, &method) };
        let mut query = self.query();
        let writes = method != "GET" && method != "HEAD";
        if writes && NOT_KEPT.iter().any(|kind| path.contains(kind)) {
            query.retain(|part| !part.starts_with("dryRun"));
            query.push("dryRun=All".into());
        }
        let uri = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
        let (content, body) = if writes { self.body(&resource, &method) } else { (None, Vec::new()) };
        Request { headers: self.headers(content), method, uri, body: body.into() }
    }

    fn path(&mut self, resource: &Resource, method: &str) -> String {
        let mut path = root(&resource.group, &resource.version);
        if resource.namespaced() && !self.chance(15) {
            path.push_str(&format!("/namespaces/{}", self.pick(NAMESPACES)));
        }
        path.push_str(&format!("/{}", resource.plural));
        let named = if method == "POST" { self.chance(6) } else { !self.chance(4) };
        if named {
            path.push_str(&format!("/{}", self.pick(NAMES)));
            if self.chance(3) {
                // A proxy connects to whatever it is told; that is no matter of parsing.
                let own: Vec<&str> =
                    resource.subresources.iter().map(|sub| &*sub.name).filter(|sub| *sub != "proxy").collect();
                let sub = if own.is_empty() || self.chance(6) {
                    self.pick(&["status", "scale", "frob"])
                } else {
                    self.pick(&own)
                };
                path.push_str(&format!("/{sub}"));
            }
        }
        if self.chance(40) {
            path.push_str(self.pick(&["/", "//", "/..", "/%2f", "?", "/x/y/z"]));
        }
        path
    }

    fn query(&mut self) -> Vec<String> {
        let count = self.random.random_range(0..4);
        (0..count)
            .map(|_| {
                let (name, values) = QUERIES.choose(&mut self.random).unwrap();
                let value = if self.chance(10) {
                    escape(bodies::TEXTS.choose(&mut self.random).unwrap_or(&""))
                } else {
                    escape(self.pick(values))
                };
                format!("{name}={value}")
            })
            .collect()
    }

    fn headers(&mut self, content: Option<String>) -> Vec<(&'static str, Vec<u8>)> {
        let mut headers = Vec::new();
        if let Some(content) = content {
            headers.push(("content-type", content.into_bytes()));
        }
        if self.chance(2) {
            headers.push(("accept", self.pick(ACCEPTS).as_bytes().to_vec()));
        }
        let rare: &[(&'static str, &[&str])] = &[
            ("user-agent", &["kubectl/v1.37", "curl/8", "", "\u{ff}"]),
            ("accept-encoding", &["gzip", "br;q=x"]),
            ("if-none-match", &["*", "\"x\""]),
            ("authorization", &["Bearer x", "Bearer a.b.c", "Basic eDp5", "Bearer"]),
            ("impersonate-user", &["jane", "system:serviceaccount:default:default", "system:masters", ""]),
            ("impersonate-group", &["system:masters", "dev"]),
            ("impersonate-uid", &["1"]),
            ("impersonate-extra-a%2fb", &["x"]),
            ("tutor-cause", &["1,2,3", "x", "99999999999999999999"]),
            ("upgrade", &["websocket", "SPDY/3.1"]),
            ("content-encoding", &["gzip"]),
            ("x-stream-protocol-version", &["v4.channel.k8s.io"]),
        ];
        if self.chance(6) {
            let (name, values) = rare.choose(&mut self.random).unwrap();
            headers.push((name, self.pick(values).as_bytes().to_vec()));
        }
        headers
    }

    /// A body, and what it says it is.
    fn body(&mut self, resource: &Resource, method: &str) -> (Option<String>, Vec<u8>) {
        if self.chance(20) {
            let content = if method == "PATCH" { self.pick(PATCHES) } else { self.pick(CONTENTS) };
            return (Some(content.to_owned()), bodies::noise(&mut self.random));
        }
        let mut object = self.object(resource);
        if method == "PATCH" {
            return self.patch(&object);
        }
        if method == "DELETE" {
            object = match self.random.random_range(0..3) {
                0 => return (None, Vec::new()),
                1 => {
                    json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "propagationPolicy": "Background",
                    "preconditions": {"uid": "x"}, "dryRun": []})
                }
                _ => object,
            };
        }
        for _ in 0..self.random.random_range(0..3) {
            bodies::worsen(&mut self.random, &mut object);
        }
        let (content, mut bytes) = match self.random.random_range(0..8) {
            0 => ("application/yaml", yaml::to_string(&object).into_bytes()),
            1 | 2 => match protobuf::encode(&object) {
                Some(bytes) => ("application/vnd.kubernetes.protobuf", bytes),
                None => ("application/json", object.to_string().into_bytes()),
            },
            3 => (self.pick(CONTENTS), object.to_string().into_bytes()),
            _ => ("application/json", object.to_string().into_bytes()),
        };
        if self.chance(6) {
            bodies::damage(&mut self.random, &mut bytes);
        }
        (Some(content.to_owned()), bytes)
    }

    fn patch(&mut self, object: &Value) -> (Option<String>, Vec<u8>) {
        let content = if self.chance(20) { self.pick(CONTENTS) } else { self.pick(PATCHES) };
        let patch = match content {
            "application/json-patch+json" => bodies::json_patch(&mut self.random, object),
            _ => bodies::merge_patch(&mut self.random, object),
        };
        let mut bytes =
            if self.chance(4) { yaml::to_string(&patch).into_bytes() } else { patch.to_string().into_bytes() };
        if self.chance(8) {
            bodies::damage(&mut self.random, &mut bytes);
        }
        (Some(content.to_owned()), bytes)
    }

    /// An object of the resource, mostly; a name that others use too.
    fn object(&mut self, resource: &Resource) -> Value {
        let own: Vec<&Value> = self.objects.iter().filter(|object| object["kind"] == *resource.kind).collect();
        let mut object = match own.choose(&mut self.random) {
            Some(object) => (*object).clone(),
            None => json!({"apiVersion": resource.api_version(), "kind": &*resource.kind, "metadata": {"name": "x"}}),
        };
        if self.chance(30) {
            object = self.objects.choose(&mut self.random).cloned().unwrap_or_default();
        }
        if object["metadata"].is_object() && !self.chance(4) {
            object["metadata"]["name"] = json!(self.pick(&["a", "b", "c", "x", "web"]));
        }
        if self.chance(8) && object["metadata"].is_object() {
            object["metadata"]["labels"] = json!({"a": self.pick(&["b", "c", "1"])});
            object["metadata"]["ownerReferences"] =
                json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "u"}]);
        }
        object
    }
}

/// Percent-encodes what a URI cannot hold; what is encoded already stays.
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%,=!()".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
