//! An object as Go prints the server's own types: every field there, under its Go name, zero or not.
//!
//! Kubernetes shows what a refused update would have changed by writing both objects this way and
//! taking the difference. The server's internal types have the fields of the API's, in their order,
//! and no JSON tags: the name is the Go name and nothing is left out. The types of `meta/v1` keep
//! their tags, and a field `metadata` is embedded.
//! In: two values of one definition. Out: a unified diff of their JSON, indented by one. Or one value, which an
//! error shows.

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::field_error::FieldError;
use super::line_diff;
use super::resource::parse_api_version;
use super::schema::{Field, Schema, Type};

/// Which part of a definition is compared.
pub enum Part<'a> {
    /// All of it.
    Whole,
    /// Some fields of it.
    Fields(&'a dyn Fn(&str) -> bool),
}

/// Go names that are not the JSON name with a capital, and in which definitions (empty: in all).
const NAMES: &[(&str, &str, &str)] = &[
    ("apiGroup", "APIGroup", ""),
    ("apiGroups", "APIGroups", ""),
    ("apiVersion", "APIVersion", ""),
    ("apiVersions", "APIVersions", ""),
    ("awsElasticBlockStore", "AWSElasticBlockStore", ""),
    ("bool", "BoolValue", ".DeviceAttribute"),
    ("bools", "BoolValues", ".DeviceAttribute"),
    ("caBundle", "CABundle", ""),
    ("cel", "CEL", ""),
    ("cephfs", "CephFS", ""),
    ("chapAuthDiscovery", "DiscoveryCHAPAuth", ""),
    ("chapAuthSession", "SessionCHAPAuth", ""),
    ("cidr", "CIDR", ""),
    ("cidrs", "CIDRs", ""),
    ("csi", "CSI", ""),
    ("diskURI", "DataDiskURI", ""),
    ("dnsConfig", "DNSConfig", ""),
    ("dnsPolicy", "DNSPolicy", ""),
    ("endpoints", "EndpointsName", ".Glusterfs"),
    ("fc", "FC", ""),
    ("fsGroup", "FSGroup", ""),
    ("fsGroupChangePolicy", "FSGroupChangePolicy", ""),
    ("fsGroupPolicy", "FSGroupPolicy", ""),
    ("fsType", "FSType", ""),
    ("gcePersistentDisk", "GCEPersistentDisk", ""),
    ("gid", "GID", ""),
    ("gmsaCredentialSpec", "GMSACredentialSpec", ""),
    ("gmsaCredentialSpecName", "GMSACredentialSpecName", ""),
    ("grpc", "GRPC", ""),
    ("http", "HTTP", ""),
    ("httpGet", "HTTPGet", ""),
    ("httpHeaders", "HTTPHeaders", ""),
    ("image", "RBDImage", ".RBD"),
    ("int", "IntValue", ".DeviceAttribute"),
    ("ints", "IntValues", ".DeviceAttribute"),
    ("ip", "IP", ""),
    ("ipBlock", "IPBlock", ""),
    ("ipFamilies", "IPFamilies", ""),
    ("ipFamilyPolicy", "IPFamilyPolicy", ""),
    ("ipMode", "IPMode", ""),
    ("ips", "IPs", ""),
    ("iqn", "IQN", ""),
    ("iscsi", "ISCSI", ""),
    ("iscsiInterface", "ISCSIInterface", ""),
    ("jsonPatch", "JSONPatch", ""),
    ("monitors", "CephMonitors", ".RBD"),
    ("nfs", "NFS", ""),
    ("os", "OS", ""),
    ("osImage", "OSImage", ""),
    ("pdName", "PDName", ""),
    ("pool", "RBDPool", ".RBD"),
    ("qosClass", "QOSClass", ""),
    ("rbd", "RBD", ""),
    ("seLinuxChangePolicy", "SELinuxChangePolicy", ""),
    ("seLinuxMount", "SELinuxMount", ""),
    ("seLinuxOptions", "SELinuxOptions", ""),
    ("serviceAccount", "DeprecatedServiceAccount", ".PodSpec"),
    ("sslEnabled", "SSLEnabled", ""),
    ("storageos", "StorageOS", ""),
    ("string", "StringValue", ".DeviceAttribute"),
    ("strings", "StringValues", ".DeviceAttribute"),
    ("tcpSocket", "TCPSocket", ""),
    ("tls", "TLS", ""),
    ("ttlSecondsAfterFinished", "TTLSecondsAfterFinished", ""),
    ("tty", "TTY", ""),
    ("uid", "UID", ""),
    ("url", "URL", ""),
    ("user", "RadosUser", ".RBD"),
    ("version", "VersionValue", ".DeviceAttribute"),
    ("versions", "VersionValues", ".DeviceAttribute"),
    ("wwids", "WWIDs", ""),
];

thread_local! {
    /// Of the object that is being judged, where lists and maps came empty.
    static EMPTY: RefCell<Value> = const { RefCell::new(Value::Null) };
}

/// Judges an object. It is kept without its empty lists and maps, which mean what none means; but where the one that
/// came had them, Go shows them, also in the errors that `judge` finds.
pub fn with_empties(came: Option<&Value>, schema: &Schema, judge: impl FnOnce() -> Vec<FieldError>) -> Vec<FieldError> {
    let Some(empty) = came else { return judge() };
    EMPTY.with(|place| *place.borrow_mut() = empty.clone());
    let mut errors = judge();
    EMPTY.with(|place| place.take());
    for error in errors.iter_mut().filter(|error| error.value == "null") {
        let (found, kind) = found(empty, schema, &error.field);
        if is_empty(found) && matches!(kind, Type::List | Type::Map) {
            error.value = found.to_string();
        }
    }
    errors
}

/// The value without what is not empty and leads to nothing empty.
pub fn empties(value: &Value) -> Option<Value> {
    match value {
        value if is_empty(value) => Some(value.clone()),
        Value::Array(items) => {
            let inner: Vec<Option<Value>> = items.iter().map(empties).collect();
            let any = inner.iter().any(Option::is_some);
            any.then(|| Value::Array(inner.into_iter().map(Option::unwrap_or_default).collect()))
        }
        Value::Object(map) => {
            let inner: Map<String, Value> =
                map.iter().filter_map(|(key, value)| Some((key.clone(), empties(value)?))).collect();
            (!inner.is_empty()).then_some(Value::Object(inner))
        }
        _ => None,
    }
}

/// Whether a list or a map of this schema came empty, where now is none. Go tells it from none where it compares by reflection.
pub fn came_empty(schema: &Schema, came: &Value, now: &Value) -> bool {
    match (schema.kind(), came) {
        (Type::List | Type::Map, came) if is_empty(came) => now.is_null(),
        (Type::List, Value::Array(items)) => schema
            .items()
            .is_some_and(|schema| items.iter().enumerate().any(|(index, item)| came_empty(schema, item, &now[index]))),
        (Type::Map, Value::Object(map)) => schema
            .values()
            .is_some_and(|schema| map.iter().any(|(key, value)| came_empty(schema, value, &now[key.as_str()]))),
        (Type::Object, Value::Object(map)) => map.iter().any(|(key, value)| {
            schema.field(key).is_some_and(|field| came_empty(field.schema(), value, &now[key.as_str()]))
        }),
        _ => false,
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

/// What of the object that is judged came empty at an error's place: `[]` or `{}`, or what leads to such; null: nothing.
pub fn empty_at(place: &str) -> Value {
    EMPTY.with(|empty| {
        let inside = |here: Value, step: String| match here {
            Value::Array(mut items) => match step.parse() {
                Ok(index) if index < items.len() => items.swap_remove(index),
                _ => Value::Null,
            },
            mut here => here.get_mut(&step).map(Value::take).unwrap_or_default(),
        };
        steps(place).fold(empty.borrow().clone(), inside)
    })
}

/// The steps of an error's place: `spec.rules[0].values`.
fn steps(place: &str) -> impl Iterator<Item = String> {
    place.split(['.', '[']).map(|step| step.trim_end_matches(']').to_owned())
}

/// The value at an error's place, and what it is.
fn found<'a>(value: &'a Value, schema: &Schema, place: &str) -> (&'a Value, Type) {
    let mut here = (value, Some(schema));
    for step in steps(place) {
        let step = step.as_str();
        here = match (here.0, here.1) {
            (Value::Array(items), schema) => {
                let item = step.parse().ok().and_then(|index: usize| items.get(index));
                (item.unwrap_or(&Value::Null), schema.and_then(Schema::items))
            }
            (inner, schema) => (&inner[step], schema.and_then(|schema| schema.field(step)).map(Field::schema)),
        };
    }
    (here.0, here.1.map_or(Type::Any, Schema::kind))
}

fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |here, key| &here[key])
}

/// What changes from `old` to `new`, both of the definition with this OpenAPI name.
pub fn difference(definition: &str, part: &Part, old: &Value, new: &Value) -> String {
    let Some(schema) = Schema::builtin(definition) else { return String::new() };
    // What is compared in this way is all in the spec.
    let came = match definition.ends_with("Spec") {
        true => EMPTY.with(|place| place.borrow()["spec"].clone()),
        false => Value::Null,
    };
    line_diff::unified(&print(&schema, part, old, &Value::Null), &print(&schema, part, new, &came))
}

/// The value at `path` of an object, as an error shows it that comes from rules over the server's own types:
/// all on one line. The object says its kind.
pub fn shown(object: &Value, path: &str) -> Option<String> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = parse_api_version(text("apiVersion"));
    let whole = Schema::of_kind(group, version, text("kind"))?;
    let (mut schema, mut value, mut pointer) = (&*whole, object, false);
    for key in path.split('.') {
        let field = schema.field(key)?;
        (schema, pointer) = (field.schema(), field.pointer);
        value = value.get(key).unwrap_or(&Value::Null);
    }
    let mut printer = Printer { text: String::new(), depth: None };
    let came = EMPTY.with(|place| at(&place.borrow(), path).clone());
    printer.value(schema, value, pointer, &came);
    Some(printer.text)
}

/// A value of the definition with this OpenAPI name, shown in the same way.
pub fn value_of(definition: &str, value: &Value) -> Option<String> {
    let schema = Schema::builtin(definition)?;
    let mut printer = Printer { text: String::new(), depth: None };
    printer.value(&schema, value, false, &Value::Null);
    Some(printer.text)
}

fn print(schema: &Schema, part: &Part, value: &Value, came: &Value) -> String {
    let mut printer = Printer { text: String::new(), depth: Some(0) };
    match part {
        Part::Whole => printer.structure(schema, value, &|_| true, came),
        Part::Fields(keep) => printer.structure(schema, value, keep, came),
    }
    printer.text
}

struct Printer {
    text: String,
    /// How far lines are indented; `None`: all on one line.
    depth: Option<usize>,
}

impl Printer {
    /// `came` says where it came empty.
    fn value(&mut self, schema: &Schema, value: &Value, pointer: bool, came: &Value) {
        let zero = if pointer { "null" } else { zero(schema.kind()) };
        match (schema.kind(), value) {
            (Type::Object, Value::Null) if pointer => self.text += "null",
            (Type::Object, _) => self.structure(schema, value, &|_| true, came),
            (Type::List, Value::Null) if came.is_array() => self.text += "[]",
            (Type::Map, Value::Null) if came.is_object() => self.text += "{}",
            (_, Value::Null) => self.text += zero,
            (Type::List, _) => self.list(schema, value, came),
            (Type::Map, _) => self.map(schema, value, came),
            _ => self.scalar(value),
        }
    }

    fn structure(&mut self, schema: &Schema, value: &Value, keep: &dyn Fn(&str) -> bool, came: &Value) {
        let mut empty = true;
        self.open('{');
        self.fields(schema, (value, came), keep, &mut empty);
        self.close('}', empty);
    }

    fn fields(
        &mut self,
        schema: &Schema,
        (value, came): (&Value, &Value),
        keep: &dyn Fn(&str) -> bool,
        empty: &mut bool,
    ) {
        // An object in the server does not say what it is; its Go type does.
        let typed = |name: &str| !schema.kinds().is_empty() && matches!(name, "kind" | "apiVersion");
        for field in schema.fields().iter().filter(|field| keep(&field.name) && !typed(&field.name)) {
            let inner = value.get(&*field.name).unwrap_or(&Value::Null);
            let came = &came[&*field.name];
            let tagged = schema.name().is_some_and(|name| name.contains("meta.v1."));
            if field.schema().name().is_some_and(|name| name.ends_with(".ObjectMeta")) {
                self.fields(field.schema(), (inner, came), &|_| true, empty);
                continue;
            }
            if tagged && left_out(field, inner) {
                continue;
            }
            self.next(empty);
            let name = if tagged { field.name.to_string() } else { go_name(schema, &field.name) };
            self.text += &format!("\"{name}\":");
            self.space();
            self.value(field.schema(), inner, field.pointer, came);
        }
    }

    fn list(&mut self, schema: &Schema, value: &Value, came: &Value) {
        let mut empty = true;
        self.open('[');
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            self.next(&mut empty);
            match schema.items() {
                Some(items) => self.value(items, item, false, &came[index]),
                None => self.scalar(item),
            }
        }
        self.close(']', empty);
    }

    fn map(&mut self, schema: &Schema, value: &Value, came: &Value) {
        let mut entries: Vec<(&String, &Value)> = value.as_object().into_iter().flatten().collect();
        entries.sort_by_key(|(key, _)| *key);
        let mut empty = true;
        self.open('{');
        for (key, inner) in entries {
            self.next(&mut empty);
            self.scalar(&Value::String(key.clone()));
            self.text.push(':');
            self.space();
            match schema.values() {
                Some(values) => self.value(values, inner, false, &came[key.as_str()]),
                None => self.scalar(inner),
            }
        }
        self.close('}', empty);
    }

    /// JSON on one line, with the characters escaped that Go keeps out of web pages.
    fn scalar(&mut self, value: &Value) {
        for character in value.to_string().chars() {
            match character {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => self.text += &format!("\\u{:04x}", character as u32),
                plain => self.text.push(plain),
            }
        }
    }

    fn open(&mut self, bracket: char) {
        self.text.push(bracket);
        self.depth = self.depth.map(|depth| depth + 1);
    }

    fn space(&mut self) {
        if self.depth.is_some() {
            self.text.push(' ');
        }
    }

    fn next(&mut self, empty: &mut bool) {
        if !std::mem::replace(empty, false) {
            self.text.push(',');
        }
        self.line();
    }

    fn close(&mut self, bracket: char, empty: bool) {
        self.depth = self.depth.map(|depth| depth - 1);
        if !empty {
            self.line();
        }
        self.text.push(bracket);
    }

    fn line(&mut self) {
        if let Some(depth) = self.depth {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n(' ', depth));
        }
    }
}

fn zero(kind: Type) -> &'static str {
    match kind {
        Type::Boolean => "false",
        Type::Int32 | Type::Int64 | Type::Number | Type::IntOrString => "0",
        Type::String => "\"\"",
        Type::Quantity => "\"0\"",
        Type::Duration => "\"0s\"",
        _ => "null",
    }
}

fn left_out(field: &Field, value: &Value) -> bool {
    let empty = match value {
        Value::Null => field.schema().kind() != Type::Object || field.pointer || field.omitzero,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty() && field.schema().kind() == Type::Map,
        Value::String(text) => text.is_empty() && !field.pointer,
        _ => false,
    };
    empty && (field.omitempty || field.omitzero)
}

fn go_name(schema: &Schema, name: &str) -> String {
    let owner = schema.name().unwrap_or_default();
    let known = NAMES.iter().find(|(json, _, part)| *json == name && owner.contains(part));
    known.map(|(_, go, _)| go.to_string()).unwrap_or_else(|| {
        let mut letters = name.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_that_grows_shows_the_line_among_its_neighbours() {
        let claim =
            |size: &str| json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}});
        assert_eq!(
            difference("io.k8s.api.core.v1.PersistentVolumeClaimSpec", &Part::Whole, &claim("1Gi"), &claim("2Gi")),
            "@@ -6,7 +6,7 @@\n  \"Resources\": {\n   \"Limits\": null,\n   \"Requests\": {\n-   \"storage\": \"1Gi\"\n+   \"storage\": \"2Gi\"\n   }\n  },\n  \"VolumeName\": \"\",\n"
        );
    }

    #[test]
    fn the_types_of_metadata_keep_their_tags() {
        let selector = json!({"accessModes": [], "selector": {"matchLabels": {"a": "<b>"}}});
        let schema = Schema::builtin("io.k8s.api.core.v1.PersistentVolumeClaimSpec").expect("a definition");
        let text =
            print(&schema, &Part::Fields(&|name| name == "accessModes" || name == "selector"), &selector, &Value::Null);
        assert_eq!(
            text,
            "{\n \"AccessModes\": [],\n \"Selector\": {\n  \"matchLabels\": {\n   \"a\": \"\\u003cb\\u003e\"\n  }\n }\n}"
        );
    }

    #[test]
    fn an_error_shows_the_servers_own_type_on_one_line() {
        let event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "related": {"kind": "Pod"}});
        let related =
            r#"{"Kind":"Pod","Namespace":"","Name":"","UID":"","APIVersion":"","ResourceVersion":"","FieldPath":""}"#;
        assert_eq!(shown(&event, "related").as_deref(), Some(related));
        let template = json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate",
            "spec": {"metadata": {"labels": {"a": "b"}}, "spec": {"devices": {}}}});
        let spec = r#"{"labels":{"a":"b"},"Spec":{"Devices":{"Requests":null,"Constraints":null,"Config":null}}}"#;
        assert_eq!(shown(&template, "spec").as_deref(), Some(spec));
        let class = json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass"});
        assert_eq!(shown(&class, "spec.controller").as_deref(), Some("\"\""));
    }
}
