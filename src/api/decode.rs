//! Request bodies: bytes in, an object out, with Kubernetes' words for everything that is wrong.
//!
//! JSON and YAML pass through one schema-driven reader. For built-in kinds it does what Go's decoder
//! does: fields that the type does not have are dropped and told (`fieldValidation`), a field set twice
//! is told, and a value of the wrong type ends the request. Field names are case-sensitive.
//! Custom resources are read as they are, then pruned by their schema. Protobuf bodies go to
//! [`super::protobuf`]. Never here: defaults and rules of a kind.

use super::go_json;
use super::prune;
use super::quantity::Quantity;
use super::resource::{Resource, Subresource, api_version, parse_api_version};
use super::schema::{Schema, Type};
use super::status::Status;
use super::typed;
use super::yaml;
use base64::Engine as _;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// What is done about unknown and duplicate fields: the query parameter `fieldValidation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped, and told in `Warning` headers.
    #[default]
    Warn,
    /// The request fails.
    Strict,
}

/// The forms a body may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

/// The kind a body must be.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// API group; empty for the core.
    pub group: &'a str,
    /// Version.
    pub version: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Its schema.
    pub schema: &'a Schema,
    /// Whether a CustomResourceDefinition makes it.
    pub custom: bool,
}

impl<'a> Target<'a> {
    /// The kind of a resource's own objects.
    pub fn resource(resource: &'a Resource) -> Target<'a> {
        Target {
            group: &resource.group,
            version: &resource.version,
            kind: &resource.kind,
            schema: &resource.schema,
            custom: resource.custom,
        }
    }

    /// The kind of a subresource's bodies; `None` where it takes none.
    pub fn subresource(sub: &'a Subresource, custom: bool) -> Option<Target<'a>> {
        let schema = sub.schema.as_deref()?;
        Some(Target { group: &sub.group, version: &sub.version, kind: &sub.kind, schema, custom })
    }
}

/// A body that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object, with `kind` and `apiVersion` set.
    pub value: Value,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
}

/// At most so many unknown and duplicate fields are told.
const MAX_PROBLEMS: usize = 100;

/// Reads a body that must be an object of `target`'s kind.
///
/// Errors: 400 with the words of Kubernetes' decoders.
pub fn decode(bytes: &[u8], media: MediaType, target: &Target, validation: FieldValidation) -> Result<Decoded, Status> {
    let (value, problems) = match media {
        MediaType::Protobuf => (super::protobuf::decode(bytes, target)?, Vec::new()),
        MediaType::Json => {
            let value = read_json(bytes).map_err(|error| unrecognized(bytes, target, &error))?;
            check_kind(&value, target)?;
            read(target, &mut serde_json::Deserializer::from_slice(bytes))
                .map_err(|e| cannot_handle(target, &value, &e))?
        }
        MediaType::Yaml => {
            let document = yaml::parse_document(bytes)
                .map_err(|error| unrecognized_text(bytes, target, &error.to_string(), false))?;
            check_kind(&document.value, target)?;
            let (value, mut problems) =
                read(target, &document.value).map_err(|e| cannot_handle(target, &document.value, &e))?;
            problems.splice(0..0, document.duplicates);
            (value, problems)
        }
    };
    finish(value, problems, target, validation)
}

/// Reads an object that is already a value (a patch's result) as `target`'s kind.
pub fn decode_value(value: &Value, target: &Target, validation: FieldValidation) -> Result<Decoded, Status> {
    check_kind(value, target)?;
    let (value, problems) = read(target, value).map_err(|error| cannot_handle(target, value, &error))?;
    finish(value, problems, target, validation)
}

/// The unknown fields and the object without them, or the first wrong type in Go's words; no check of
/// the kind. For patches, whose errors are worded otherwise.
pub fn check(value: &Value, schema: &Schema) -> Result<(Value, Vec<String>), String> {
    let walk = Walk::default();
    let read = Node { schema: Some(schema), walk: &walk }.deserialize(value).map_err(|error| error.to_string())?;
    match walk.error.into_inner() {
        Some(error) => Err(error),
        None => Ok((read, walk.problems.into_inner())),
    }
}

fn finish(
    mut value: Value,
    mut problems: Vec<String>,
    target: &Target,
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    if target.custom {
        problems.extend(prune::prune(&mut value, target.schema));
    }
    problems.truncate(MAX_PROBLEMS);
    if validation == FieldValidation::Strict && !problems.is_empty() {
        let problem = format!("strict decoding error: {}", problems.join(", "));
        return Err(cannot_handle(target, &value, &problem));
    }
    if let Value::Object(map) = &mut value {
        set_type(map, target);
    }
    if !target.custom {
        typed::normalize(&mut value, target.schema);
    }
    let warnings = if validation == FieldValidation::Warn { problems } else { Vec::new() };
    Ok(Decoded { value, warnings })
}

/// A body without `kind` or `apiVersion` is of the kind that its path names.
fn set_type(map: &mut Map<String, Value>, target: &Target) {
    let missing = |map: &Map<String, Value>, key| map.get(key).and_then(Value::as_str).is_none_or(str::is_empty);
    if missing(map, "kind") {
        map.insert("kind".into(), target.kind.into());
    }
    if missing(map, "apiVersion") {
        map.insert("apiVersion".into(), api_version(target.group, target.version).into());
    }
}

fn read_json(bytes: &[u8]) -> Result<Value, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| go_json::syntax_error(bytes, &error))?;
    let wrong = match &value {
        Value::Object(_) => return Ok(value),
        Value::Null => return Ok(Value::Object(Map::new())),
        other => go_json::kind_of(other),
    };
    let meta = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    Err(format!("json: cannot unmarshal {wrong} into Go value of type {meta}"))
}

fn check_kind(value: &Value, target: &Target) -> Result<(), Status> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let expected = api_version(target.group, target.version);
    let (kind, given) = (text("kind").unwrap_or(target.kind), text("apiVersion").unwrap_or(&expected));
    if kind == target.kind && given == expected {
        return Ok(());
    }
    let (group, version) = parse_api_version(given);
    if target.custom {
        let message = match given == expected {
            true => format!("the kind in the data ({kind}) does not match the expected kind ({})", target.kind),
            false => {
                format!("the API version in the data ({given}) does not match the expected API version ({expected})")
            }
        };
        return Err(Status::bad_request(message));
    }
    let known = Schema::of_kind(group, version, kind).is_some();
    if kind == target.kind && (known || super::scheme::is_old_version(group, version)) {
        let message =
            format!("the API version in the data ({given}) does not match the expected API version ({expected})");
        return Err(Status::bad_request(message));
    }
    let why = if known || kind == "List" {
        let (from, into) = (version, go_package(target.group));
        format!("converting ({from}.{kind}) to ({into}.{}): unknown conversion", target.kind)
    } else {
        format!("no kind \"{kind}\" is registered for version \"{given}\" in scheme \"pkg/runtime/scheme.go:111\"")
    };
    Err(Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {}: {why}", target.kind)))
}

/// The Go package of a group's internal types.
fn go_package(group: &str) -> &str {
    match group.split('.').next() {
        Some("") | None => "core",
        Some(first) => first,
    }
}

fn cannot_handle(target: &Target, value: &Value, why: &str) -> Status {
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let kind = text("kind").unwrap_or(target.kind);
    let version = text("apiVersion").map_or(target.version, |given| parse_api_version(given).1);
    Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {}: {why}", target.kind))
}

fn unrecognized(bytes: &[u8], target: &Target, error: &str) -> Status {
    let error = format!("couldn't get version/kind; json parse error: {error}");
    unrecognized_text(bytes, target, &error, bytes.first() == Some(&b'{'))
}

/// How much of a body an error shows.
const SHOWN_BYTES: usize = 30;

fn unrecognized_text(bytes: &[u8], target: &Target, error: &str, readable: bool) -> Status {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let mut start = match readable {
        true => String::from_utf8_lossy(shown).into_owned(),
        false => shown.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if bytes.len() > SHOWN_BYTES {
        start.push_str(" ...");
    }
    let kind = target.kind;
    Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {error} ({start})"))
}

fn read<'de, D: Deserializer<'de>>(target: &Target, from: D) -> Result<(Value, Vec<String>), String>
where
    D::Error: fmt::Display,
{
    let walk = Walk::default();
    let schema = (!target.custom).then_some(target.schema);
    let value = Node { schema, walk: &walk }.deserialize(from).map_err(|error| error.to_string())?;
    match walk.error.into_inner() {
        Some(error) => Err(error),
        None => Ok((value, walk.problems.into_inner())),
    }
}

/// Where the reader is, and what it met.
#[derive(Default)]
struct Walk {
    path: RefCell<Vec<Step>>,
    problems: RefCell<Vec<String>>,
    error: RefCell<Option<String>>,
}

enum Step {
    /// A field of the Go struct of this name.
    Field(String, String),
    Key(String),
    Index(usize),
}

impl Walk {
    fn path(&self) -> String {
        let mut text = String::new();
        for step in self.path.borrow().iter() {
            match step {
                Step::Field(_, name) | Step::Key(name) if text.is_empty() => text.push_str(name),
                Step::Field(_, name) | Step::Key(name) => text.extend([".", name]),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    fn problem(&self, what: &str, name: &str) {
        let parent = self.path();
        let dot = if parent.is_empty() { "" } else { "." };
        self.problems.borrow_mut().push(format!("{what} field \"{parent}{dot}{name}\""));
    }

    /// Go keeps the first error and reads on.
    fn fail(&self, error: String) {
        self.error.borrow_mut().get_or_insert(error);
    }

    /// `json: cannot unmarshal string into Go struct field PodSpec.spec.priority of type int32`
    fn wrong_type(&self, found: &str, wanted: &str) {
        let path = self.path.borrow();
        let fields: Vec<&str> =
            path.iter().filter_map(|step| if let Step::Field(_, name) = step { Some(&**name) } else { None }).collect();
        let owner =
            path.iter().rev().find_map(|step| if let Step::Field(owner, _) = step { Some(owner) } else { None });
        let place = match owner {
            Some(owner) => format!("struct field {owner}.{} of type {wanted}", fields.join(".")),
            None => format!("value of type {wanted}"),
        };
        self.fail(format!("json: cannot unmarshal {found} into Go {place}"));
    }

    fn inside<T>(&self, step: Step, read: impl FnOnce() -> T) -> T {
        self.path.borrow_mut().push(step);
        let value = read();
        self.path.borrow_mut().pop();
        value
    }
}

/// One value: what it should be (`None`: anything), and the walk it belongs to.
struct Node<'a> {
    schema: Option<&'a Schema>,
    walk: &'a Walk,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl Node<'_> {
    fn kind(&self) -> Type {
        self.schema.map_or(Type::Any, Schema::kind)
    }

    fn free(&self) -> bool {
        matches!(self.kind(), Type::Any | Type::Json)
    }

    fn wrong(&self, found: &str) -> Value {
        if let Some(schema) = self.schema {
            self.walk.wrong_type(found, &go_json::type_name(schema));
        }
        Value::Null
    }

    fn number(&self, number: Number) -> Value {
        let fits = match self.kind() {
            Type::Int32 => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            Type::Int64 => number.as_i64().is_some(),
            Type::IntOrString => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            Type::Number | Type::Quantity => true,
            _ => self.free(),
        };
        if fits {
            return self.checked(Value::Number(number));
        }
        match self.kind() {
            Type::Int32 | Type::Int64 | Type::IntOrString => self.wrong(&format!("number {number}")),
            _ => self.wrong("number"),
        }
    }

    fn text(&self, text: String) -> Value {
        match self.kind() {
            Type::Any | Type::Json | Type::String | Type::IntOrString => Value::String(text),
            Type::Bytes | Type::Time | Type::MicroTime | Type::Quantity | Type::Duration => {
                self.checked(Value::String(text))
            }
            _ => self.wrong("string"),
        }
    }

    /// Scalars with a syntax of their own.
    fn checked(&self, value: Value) -> Value {
        let text = match &value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return value,
        };
        let error = match self.kind() {
            Type::Quantity => Quantity::parse(&text).err().map(|error| error.to_string()),
            Type::Bytes => base64::engine::general_purpose::STANDARD
                .decode(text.replace(['\r', '\n'], ""))
                .err()
                .map(|error| go_json::base64_error(&text, &error)),
            kind @ (Type::Time | Type::MicroTime) => go_json::time_error(&text, kind),
            _ => None,
        };
        if let Some(error) = error {
            self.walk.fail(error);
        }
        value
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        let fits = self.free() || matches!(self.kind(), Type::Boolean | Type::SchemaOrBool);
        Ok(if fits { Value::Bool(value) } else { self.wrong("bool") })
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(self.number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(self.number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, |number| self.number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(self.text(value.to_string()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(self.text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let items = match self.kind() {
            Type::Any | Type::Json => None,
            Type::List | Type::SchemaOrArray => self.schema.and_then(Schema::items),
            Type::SchemaOrStrings => None,
            _ => {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(self.wrong("array"));
            }
        };
        let mut list = Vec::new();
        loop {
            let next = || seq.next_element_seed(Node { schema: items, walk: self.walk });
            match self.walk.inside(Step::Index(list.len()), next)? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let schema = match (self.schema, self.kind()) {
            (Some(schema), Type::SchemaOrBool | Type::SchemaOrArray | Type::SchemaOrStrings) => schema.items(),
            (Some(schema), Type::Object | Type::Map) => Some(schema),
            (_, Type::Any | Type::Json | Type::RawExtension | Type::FieldsV1) => None,
            _ => {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(self.wrong("object"));
            }
        };
        let mut read = Map::new();
        let owner = schema.map(go_json::struct_name);
        while let Some(key) = map.next_key::<String>()? {
            if read.contains_key(&key) {
                self.walk.problem("duplicate", &key);
            }
            let (child, step) = match (schema, &owner) {
                (Some(schema), _) if schema.kind() == Type::Map => (schema.values(), Step::Key(key.clone())),
                (Some(schema), Some(owner)) => match schema.field(&key) {
                    Some(field) => (Some(field.schema()), Step::Field(owner.to_string(), key.clone())),
                    None => {
                        self.walk.problem("unknown", &key);
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                },
                _ => (None, Step::Key(key.clone())),
            };
            let next = || map.next_value_seed(Node { schema: child, walk: self.walk });
            let value = self.walk.inside(step, next)?;
            read.insert(key, value);
        }
        Ok(Value::Object(read))
    }
}

#[cfg(test)]
mod tests;
