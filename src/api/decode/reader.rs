//! The reader itself: JSON, or YAML already read, walked beside a schema as Go's decoder would.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::depth;
use super::super::go_json;
use super::super::projection::Projection;
use super::super::quantity::{Quantity, QuantityError};
use super::super::schema::{Schema, Type};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;
use std::sync::LazyLock;

static TYPE: LazyLock<Projection> = LazyLock::new(|| Projection::only(&["kind", "apiVersion"]));

/// The body's `kind` and `apiVersion` alone, if it is a JSON object; the rest is only checked for syntax.
///
/// Errors: Go's words.
pub(super) fn read_type(bytes: &[u8]) -> Result<Value, String> {
    if depth::of_text(bytes) > depth::MAX_READ {
        return Err("exceeded max depth".to_string());
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = TYPE.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    let parsed = parsed.map_err(|error| go_json::syntax_error(bytes, &error))?;
    root(&parsed)?;
    Ok(if parsed.is_null() { Value::Object(Map::new()) } else { parsed })
}

/// A body must be an object, or nothing.
pub(super) fn root(value: &Value) -> Result<(), String> {
    if value.is_object() || value.is_null() {
        return Ok(());
    }
    let meta = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    Err(format!("json: cannot unmarshal {} into Go value of type {meta}", go_json::kind_of(value)))
}

/// Reads a value as `schema` says (`None`: as it is): what was read, and its unknown and duplicate fields.
///
/// Errors: the first wrong type, or what the format's own reader says.
pub(super) fn read<'de, D: Deserializer<'de>>(
    schema: Option<&Schema>,
    from: D,
) -> Result<(Value, Vec<String>), String> {
    let walk = Walk::default();
    let value =
        Node { schema, string: "", path: None, walk: &walk }.deserialize(from).map_err(|error| error.to_string())?;
    match walk.fatal.into_inner().or(walk.error.into_inner()) {
        Some(error) => Err(error),
        None => Ok((value, walk.problems.into_inner())),
    }
}

/// What the reader met.
#[derive(Default)]
struct Walk {
    problems: RefCell<Vec<String>>,
    error: RefCell<Option<String>>,
    /// What a type that reads itself said first: with it the reading ends.
    fatal: RefCell<Option<String>>,
}

/// Where the reader is: a step, and the place it was taken from. It becomes text only when there is
/// something to say about it.
#[derive(Clone, Copy)]
struct Path<'a> {
    step: Step<'a>,
    parent: Option<&'a Path<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    /// A field of this Go struct.
    Field(&'a Schema, &'a str),
    Key(&'a str),
    Index(usize),
}

/// From the root down.
fn steps<'a>(path: Option<&'a Path<'a>>) -> Vec<Step<'a>> {
    let mut steps: Vec<_> = std::iter::successors(path, |path| path.parent).map(|path| path.step).collect();
    steps.reverse();
    steps
}

impl Walk {
    fn problem(&self, what: &str, path: Option<&Path<'_>>, name: &str) {
        let mut parent = String::new();
        for step in steps(path) {
            match step {
                Step::Field(_, name) | Step::Key(name) if parent.is_empty() => parent.push_str(name),
                Step::Field(_, name) | Step::Key(name) => parent.extend([".", name]),
                Step::Index(index) => parent.push_str(&format!("[{index}]")),
            }
        }
        let dot = if parent.is_empty() { "" } else { "." };
        self.problems.borrow_mut().push(format!("{what} field \"{parent}{dot}{name}\""));
    }

    /// Go keeps the first error and reads on.
    fn fail(&self, error: String) {
        self.error.borrow_mut().get_or_insert(error);
    }

    fn end(&self, error: String) {
        self.fatal.borrow_mut().get_or_insert(error);
    }

    /// `json: cannot unmarshal string into Go struct field PodSpec.spec.priority of type int32`
    fn wrong_type(&self, path: Option<&Path<'_>>, found: &str, wanted: &str) {
        let fields: Vec<(&Schema, &str)> = steps(path)
            .into_iter()
            .filter_map(|step| if let Step::Field(owner, name) = step { Some((owner, name)) } else { None })
            .collect();
        let place = match fields.last() {
            Some((owner, _)) => {
                let names: Vec<&str> = fields
                    .iter()
                    .flat_map(|(owner, name)| go_json::embedded(owner, name).into_iter().chain([*name]))
                    .collect();
                format!("struct field {}.{} of type {wanted}", go_json::struct_name(owner), names.join("."))
            }
            None => format!("value of type {wanted}"),
        };
        self.fail(format!("json: cannot unmarshal {found} into Go {place}"));
    }
}

/// One value: what it should be (`None`: anything), where it is, and the walk it belongs to.
struct Node<'a> {
    schema: Option<&'a Schema>,
    /// What Go calls its strings here; empty: `string`.
    string: &'a str,
    path: Option<&'a Path<'a>>,
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
        matches!(self.kind(), Type::Any | Type::Json | Type::RawExtension)
    }

    fn wrong(&self, found: &str) -> Value {
        if self.kind() == Type::Quantity {
            self.walk.end(QuantityError::Format.to_string());
            return Value::Null;
        }
        if let Some(schema) = self.schema {
            self.walk.wrong_type(self.path, found, &go_json::type_name(schema, self.string));
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
            Type::Any | Type::Json | Type::RawExtension | Type::String | Type::IntOrString => Value::String(text),
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
            Type::Bytes => go_json::base64_error(&text),
            kind @ (Type::Time | Type::MicroTime) => go_json::time_error(&text, kind),
            _ => None,
        };
        match (error, self.kind()) {
            (None, _) => {}
            (Some(error), Type::Bytes) => self.walk.fail(error),
            (Some(error), _) => self.walk.end(error),
        }
        match (self.kind(), value) {
            // Go reads bytes and writes them anew: on one line.
            (Type::Bytes, Value::String(text)) if text.contains(['\r', '\n']) => text.replace(['\r', '\n'], "").into(),
            (_, value) => value,
        }
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
            Type::Any | Type::Json | Type::RawExtension => None,
            Type::Bytes => {
                // Go takes a list of numbers for bytes.
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element::<u8>()? {
                    bytes.push(byte);
                }
                return Ok(Value::String(STANDARD.encode(bytes)));
            }
            Type::List | Type::SchemaOrArray => self.schema.and_then(Schema::items),
            Type::SchemaOrStrings => None,
            _ => {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(self.wrong("array"));
            }
        };
        let mut list = Vec::new();
        loop {
            let here = Path { step: Step::Index(list.len()), parent: self.path };
            let next = Node { schema: items, string: self.string, path: Some(&here), walk: self.walk };
            match seq.next_element_seed(next)? {
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
        while let Some(key) = map.next_key::<String>()? {
            if read.contains_key(&key) {
                self.walk.problem("duplicate", self.path, &key);
            }
            let (child, string, step) = match schema {
                Some(schema) if schema.kind() == Type::Map => (schema.values(), "", Step::Key(&key)),
                Some(schema) => match schema.field(&key) {
                    Some(field) => (Some(field.schema()), &*field.go_type, Step::Field(schema, &key)),
                    None => {
                        self.walk.problem("unknown", self.path, &key);
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                },
                None => (None, "", Step::Key(&key)),
            };
            let here = Path { step, parent: self.path };
            let value = map.next_value_seed(Node { schema: child, string, path: Some(&here), walk: self.walk })?;
            read.insert(key, value);
        }
        Ok(Value::Object(read))
    }
}
