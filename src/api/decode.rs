//! Request bodies: bytes in, an object out, with Kubernetes' words for everything that is wrong.
//!
//! JSON and YAML pass through one schema-driven reader. For built-in kinds it does what Go's decoder
//! does: fields that the type does not have are dropped and told (`fieldValidation`), a field set twice
//! is told, and a value of the wrong type ends the request. Field names are case-sensitive.
//! Custom resources are read as they are, then pruned by their schema. Protobuf bodies go to
//! [`super::protobuf`]. Never here: defaults and rules of a kind.

mod reader;

use super::custom::coerce::coerce;
use super::depth;
use super::field_error::FieldError;
use super::go_json;
use super::go_values::empties;
use super::meta;
use super::prune;
use super::resource::{Resource, Subresource, api_version, parse_api_version};
use super::schema::{Schema, SchemaRef};
use super::status::Status;
use super::typed;
use super::yaml;
use serde_json::{Map, Value};

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

impl Target<'_> {
    /// Whether a body says that it is of this kind, or does not say.
    pub fn is_kind_of(&self, bytes: &[u8], media: MediaType) -> bool {
        let value = match media {
            MediaType::Json => reader::read_type(bytes).ok(),
            MediaType::Yaml => yaml::parse_document(bytes).ok().map(|document| document.value),
            MediaType::Protobuf => None,
        };
        value.is_none_or(|value| is_of(&value, self))
    }
}

/// A body that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object, with `kind` and `apiVersion` set.
    pub value: Value,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
    /// Where the body's lists and maps were empty, of which the object has nothing.
    pub empties: Option<Value>,
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
            let value = reader::read_type(bytes).map_err(|error| unrecognized(bytes, target, &error))?;
            type_is_text(&value).map_err(|error| unrecognized(bytes, target, &error))?;
            check_version(&value).map_err(|error| unrecognized_text(bytes, target, &error))?;
            check_custom(&value, target, bytes)?;
            let by = |schema: Option<&Schema>| reader::read(schema, &mut serde_json::Deserializer::from_slice(bytes));
            check_kind(&value, target, validation, by)?;
            let read = by(typed_schema(target));
            read.map_err(|error| cannot_handle(target, &value, max_depth(&error)))?
        }
        MediaType::Yaml => {
            let document =
                yaml::parse_document(bytes).map_err(|error| unrecognized_text(bytes, target, &error.to_string()))?;
            return decode_document(&document, bytes, target, validation);
        }
    };
    finish(value, problems, target, validation)
}

/// Reads a body of options, whose group and version do not matter.
///
/// Errors: the words of Go's decoder alone.
pub fn options(bytes: &[u8], media: MediaType, target: &Target) -> Result<Value, String> {
    match media {
        MediaType::Protobuf if !bytes.starts_with(super::protobuf::MAGIC) => {
            Err(super::protobuf::NO_MESSAGE.to_string())
        }
        MediaType::Protobuf => super::protobuf::decode(bytes, target).map_err(|status| status.message),
        MediaType::Json => {
            let value = reader::read_type(bytes).map_err(|error| no_type(&error))?;
            check_options(&value, target)?;
            Ok(reader::read(Some(target.schema), &mut serde_json::Deserializer::from_slice(bytes))?.0)
        }
        MediaType::Yaml => {
            let document = yaml::parse_document(bytes).map_err(|error| error.to_string())?;
            reader::root(&document.value).map_err(|error| no_type(&error))?;
            check_options(&document.value, target)?;
            Ok(reader::read(Some(target.schema), &document.value)?.0)
        }
    }
}

fn no_type(error: &str) -> String {
    format!("couldn't get version/kind; json parse error: {error}")
}

/// `kind` and `apiVersion` are read before anything else, in a type that has nothing else.
fn type_is_text(value: &Value) -> Result<(), String> {
    let wrong =
        ["apiVersion", "kind"].into_iter().find(|key| value.get(key).is_some_and(|v| !v.is_string() && !v.is_null()));
    match wrong {
        Some(key) => {
            let found = go_json::kind_of(&value[key]);
            Err(format!("json: cannot unmarshal {found} into Go struct field .{key} of type string"))
        }
        None => Ok(()),
    }
}

fn check_options(value: &Value, target: &Target) -> Result<(), String> {
    type_is_text(value).map_err(|error| no_type(&error))?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let given = text("apiVersion").unwrap_or("meta.k8s.io/v1");
    check_version(value)?;
    match text("kind").unwrap_or(target.kind) {
        kind if kind == target.kind => Ok(()),
        kind @ ("Status" | "CreateOptions" | "GetOptions" | "ListOptions" | "PatchOptions" | "UpdateOptions"
        | "WatchEvent")
            if given == "meta.k8s.io/v1" =>
        {
            Err(format!("converting (v1.{kind}) to (v1.{}): unknown conversion", target.kind))
        }
        kind => Err(no_kind(kind, given)),
    }
}

/// An API version has one slash at most.
fn check_version(value: &Value) -> Result<(), String> {
    let given = value["apiVersion"].as_str().unwrap_or_default();
    if given.matches('/').count() > 1 { Err(format!("unexpected GroupVersion string: {given}")) } else { Ok(()) }
}

/// Go's words for a kind that it does not know.
pub fn no_kind(kind: &str, version: &str) -> String {
    format!("no kind \"{kind}\" is registered for version \"{version}\" in scheme \"pkg/runtime/scheme.go:111\"")
}

/// As [`decode`], for YAML that was read from `bytes` already.
///
/// Errors: as [`decode`].
pub fn decode_document(
    document: &yaml::Document,
    bytes: &[u8],
    target: &Target,
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    reader::root(&document.value).map_err(|error| unrecognized(bytes, target, &error))?;
    type_is_text(&document.value).map_err(|error| unrecognized(bytes, target, &error))?;
    check_version(&document.value).map_err(|error| unrecognized_text(bytes, target, &error))?;
    check_custom(&document.value, target, bytes)?;
    check_kind(&document.value, target, validation, |schema| reader::read(schema, &document.value))?;
    let (value, mut problems) = reader::read(typed_schema(target), &document.value)
        .map_err(|error| cannot_handle(target, &document.value, &error))?;
    problems.splice(0..0, document.duplicates.iter().cloned());
    finish(value, problems, target, validation)
}

/// Reads what another server answered, as Go's client reads it: JSON, or YAML where it is none. Of what kind it is,
/// the reader sees to.
///
/// # Errors
/// The words of Go's decoders.
pub fn answer(bytes: &[u8]) -> Result<Value, String> {
    let json = bytes.trim_ascii_start().starts_with(b"{");
    let told = match json {
        true => reader::read_type(bytes).map_err(|error| no_type(&error))?,
        false => yaml::parse(bytes).map_err(|error| error.to_string())?,
    };
    reader::root(&told).and_then(|()| type_is_text(&told)).map_err(|error| no_type(&error))?;
    check_version(&told)?;
    match json {
        true => reader::read(None, &mut serde_json::Deserializer::from_slice(bytes)).map(|(value, _)| value),
        false => Ok(told),
    }
}

/// Reads JSON that is of no kind, and tells the fields that are there twice.
///
/// # Errors
/// Text that is no JSON.
pub fn plain(bytes: &[u8]) -> Result<(Value, Vec<String>), String> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = reader::read(None, &mut json)?;
    json.end().map_err(|error| error.to_string())?;
    Ok(read)
}

/// Reads an object that is already a value (a patch's result) as `target`'s kind.
pub fn decode_value(value: &Value, target: &Target, validation: FieldValidation) -> Result<Decoded, Status> {
    check_kind(value, target, validation, |schema| reader::read(schema, value))?;
    let read = reader::read(typed_schema(target), value);
    let (value, problems) = read.map_err(|error| cannot_handle(target, value, &error))?;
    finish(value, problems, target, validation)
}

/// JSON as it is, if a YAML reader would find the same in it: an object without duplicate keys and
/// without fractions, in whose spelling the two differ.
pub(super) fn plain_json(bytes: &[u8]) -> Option<Value> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let (value, problems) = reader::read(None, &mut json).ok()?;
    json.end().ok()?;
    (value.is_object() && problems.is_empty() && has_no_fraction(&value)).then_some(value)
}

fn has_no_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_f64(),
        Value::Array(list) => list.iter().all(has_no_fraction),
        Value::Object(map) => map.values().all(has_no_fraction),
        _ => true,
    }
}

/// The unknown fields and the object without them, or the first wrong type in Go's words; no check of
/// the kind. For patches, whose errors are worded otherwise.
pub fn check(value: &Value, schema: &Schema) -> Result<(Value, Vec<String>), String> {
    reader::read(Some(schema), value)
}

/// Custom resources have no Go type: they are read as they are.
fn typed_schema<'a>(target: &Target<'a>) -> Option<&'a Schema> {
    (!target.custom).then_some(target.schema)
}

/// Kubernetes' words for a body that nests too deeply.
fn max_depth(error: &str) -> &str {
    if error.starts_with("recursion limit") { "exceeded max depth" } else { error }
}

fn finish(
    mut value: Value,
    mut problems: Vec<String>,
    target: &Target,
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    if depth::of(&value) > depth::MAX {
        return Err(cannot_handle(target, &value, "exceeded max depth"));
    }
    if target.custom {
        coerce(&mut value, target.schema).map_err(|error| cannot_handle(target, &value, &error))?;
        problems.extend(prune::prune(&mut value, target.schema));
    }
    problems.truncate(MAX_PROBLEMS);
    if validation == FieldValidation::Strict && !problems.is_empty() {
        return Err(cannot_handle(target, &value, &strict(&problems)));
    }
    if let Value::Object(map) = &mut value {
        set_type(map, target);
    }
    let empties = if target.custom { None } else { empties(&value) };
    match (target.custom, target.schema.field("metadata"), value.get_mut("metadata")) {
        (false, ..) => typed::normalize(&mut value, target.schema),
        // Of a custom resource only the metadata has a Go type.
        (true, Some(field), Some(metadata)) => typed::normalize(metadata, field.schema()),
        _ => {}
    }
    let warnings = if validation == FieldValidation::Warn { warnings(&problems) } else { Vec::new() };
    Ok(Decoded { value, warnings, empties })
}

/// Each problem as a warning: keys that are there twice are one problem, and a line each.
pub fn warnings(problems: &[String]) -> Vec<String> {
    let lines = problems.iter().flat_map(|problem| problem.split('\n'));
    lines.map(str::trim).filter(|line| !line.ends_with("yaml: unmarshal errors:")).map(str::to_string).collect()
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

/// What a body says it is, or what it is taken for: kind and API version.
fn named(value: &Value, target: &Target) -> (String, String) {
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_string);
    let expected = || api_version(target.group, target.version);
    (text("kind").unwrap_or_else(|| target.kind.to_string()), text("apiVersion").unwrap_or_else(expected))
}

fn is_of(value: &Value, target: &Target) -> bool {
    named(value, target) == (target.kind.to_string(), api_version(target.group, target.version))
}

/// A custom object has no Go type that would say what it is: it says so itself.
fn check_custom(value: &Value, target: &Target, bytes: &[u8]) -> Result<(), Status> {
    let missing = |key: &str| value.get(key).and_then(Value::as_str).is_none_or(str::is_empty);
    if !target.custom {
        return Ok(());
    }
    if missing("kind") {
        let body = String::from_utf8_lossy(bytes);
        return Err(unrecognized_text(bytes, target, &format!("Object 'Kind' is missing in '{body}'")));
    }
    if missing("apiVersion") {
        let expected = api_version(target.group, target.version);
        let message = format!("the API version in the data () does not match the expected API version ({expected})");
        return Err(Status::bad_request(message));
    }
    Ok(())
}

/// Of another kind that Go's types know, a body is read as that before it is refused: what is wrong in it is said
/// first. `read` reads it.
fn check_kind(
    value: &Value,
    target: &Target,
    validation: FieldValidation,
    read: impl FnOnce(Option<&Schema>) -> Result<(Value, Vec<String>), String>,
) -> Result<(), Status> {
    if is_of(value, target) {
        return Ok(());
    }
    let (kind, given) = named(value, target);
    let expected = api_version(target.group, target.version);
    let other_version =
        || format!("the API version in the data ({given}) does not match the expected API version ({expected})");
    if target.custom {
        if given != expected {
            return Err(Status::bad_request(other_version()));
        }
        let error = FieldError::invalid("kind", kind.as_str(), format!("must be {}", target.kind));
        let whole = read(None).map(|(value, _)| value).unwrap_or_default();
        return Err(FieldError::status(target.group, &kind, meta::name(&whole), &[error]));
    }
    let problems = match known(&kind, &given, target) {
        Some(schema) => read(Some(&schema)).map_err(|error| cannot_handle(target, value, max_depth(&error)))?.1,
        None => Vec::new(),
    };
    match other_kind(&kind, &given, target) {
        Some(why) => Err(cannot_handle(target, value, &why)),
        None if validation == FieldValidation::Strict && !problems.is_empty() => {
            Err(cannot_handle(target, value, &strict(&problems)))
        }
        None => Err(Status::bad_request(other_version())),
    }
}

/// The schema of a kind that is served, by the server that would read it for `target`.
fn known(kind: &str, given: &str, target: &Target) -> Option<SchemaRef> {
    let (group, version) = parse_api_version(given);
    Schema::of_kind(group, version, kind).filter(|_| go_scheme(group) == go_scheme(target.group))
}

/// Why a kind cannot be made into `target`'s, if it is not the same in another version.
fn other_kind(kind: &str, given: &str, target: &Target) -> Option<String> {
    let (group, version) = parse_api_version(given);
    let known = known(kind, given, target).is_some();
    if kind == target.kind && (known || super::scheme::is_old(group, version, kind)) {
        return None;
    }
    Some(if known || kind == "List" {
        let (from, into) = (version, go_package(target.group));
        format!("converting ({from}.{kind}) to ({into}.{}): unknown conversion", target.kind)
    } else {
        no_kind(kind, given)
    })
}

/// Whether what a patch made of an object can still be read as it: a patch may write `kind` and `apiVersion`.
///
/// # Errors
/// The words of Go's decoder.
pub fn retyped(value: &Value, target: &Target) -> Result<(), String> {
    type_is_text(value).map_err(|error| no_type(&error))?;
    check_version(value)?;
    let (kind, given) = named(value, target);
    match is_of(value, target) {
        true => Ok(()),
        false => other_kind(&kind, &given, target).map_or(Ok(()), Err),
    }
}

fn strict(problems: &[String]) -> String {
    format!("strict decoding error: {}", problems.join(", "))
}

/// Which of the servers that Kubernetes' API server is made of knows a group.
fn go_scheme(group: &str) -> &str {
    match group {
        "apiextensions.k8s.io" | "apiregistration.k8s.io" => group,
        _ => "",
    }
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
    let error = no_type(error);
    unrecognized_text(bytes, target, &error)
}

/// How much of a body an error shows.
const SHOWN_BYTES: usize = 30;

pub(super) fn unrecognized_text(bytes: &[u8], target: &Target, error: &str) -> Status {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let mut start = match shown.first() {
        None => "<empty>".to_string(),
        Some(b'{') => String::from_utf8_lossy(shown).into_owned(),
        Some(_) => shown.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if bytes.len() > SHOWN_BYTES {
        start.push_str(" ...");
    }
    let kind = target.kind;
    Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {error} ({start})"))
}

#[cfg(test)]
mod tests;
