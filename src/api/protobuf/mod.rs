//! Kubernetes' protobuf: the same objects as in JSON, by field numbers.
//!
//! In and out: JSON values; the numbers are in the schema ([`Field::wire`](super::schema::Field)), so
//! that no message is written down here. An object travels in an envelope: `k8s\0`, then the message
//! `runtime.Unknown` with the object's kind and its bytes. Custom resources have no protobuf.
//! Source: `generated.proto` of each API group; the Protocol Buffers encoding guide.

mod read;
mod tree;
pub(in crate::api) mod wire;
mod write;

use self::tree::Tree;
use super::decode::Target;
use super::resource::parse_api_version;
use super::schema::{Schema, SchemaRef};
use super::spread;
use super::status::Status;
use serde_json::{Map, Value};

/// What every object starts with.
pub(super) const MAGIC: &[u8; 4] = b"k8s\0";
/// Go's words for what does not.
pub(super) const NO_MESSAGE: &str =
    "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";

/// Reads an object in its envelope. An envelope without a kind holds `target`'s.
///
/// Errors: 400.
pub fn decode(bytes: &[u8], target: &Target) -> Result<Value, Status> {
    let broken = |why: &str| {
        let kind = target.kind;
        Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why}"))
    };
    let Some(unknown) = bytes.strip_prefix(MAGIC) else {
        return Err(super::decode::unrecognized_text(bytes, target, NO_MESSAGE));
    };
    let envelope = Envelope::read(unknown).ok_or_else(|| broken("unexpected EOF"))?;
    let own = envelope.kind.is_empty() || (envelope.kind == target.kind && envelope.api_version_is(target));
    let schema = match own {
        true => None,
        false => envelope.schema(),
    };
    let schema = schema.as_deref().unwrap_or(target.schema);
    let object = read::message(envelope.raw, schema).ok_or_else(|| broken("proto: illegal wireType"))?;
    let mut value = Map::new();
    if !envelope.kind.is_empty() {
        value.insert("kind".into(), envelope.kind.into());
        value.insert("apiVersion".into(), envelope.api_version.into());
    }
    value.extend(object);
    Ok(Value::Object(value))
}

/// Writes an object, list or Status in its envelope; `None` for kinds that have no protobuf.
pub fn encode(value: &Value) -> Option<Vec<u8>> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    let (group, version) = parse_api_version(api_version);
    // The documents of the oldest discovery do not say their version.
    let version = if api_version.is_empty() { "v1" } else { version };
    let schema = Schema::of_kind(group, version, kind)?;
    Some(encode_as(value, &schema, api_version, kind))
}

/// Writes an object of a known schema in its envelope.
pub fn encode_as(value: &Value, schema: &Schema, api_version: &str, kind: &str) -> Vec<u8> {
    let mut raw = Vec::new();
    write::message(&mut raw, &Tree::of(value), schema);
    envelope(&raw, api_version, kind)
}

/// Writes a list in its envelope, its items one after the other; `json` gives the JSON of one. `None` for kinds that
/// have no protobuf.
pub fn encode_list<T: Sync, Json: AsRef<[u8]>>(
    api_version: &str,
    kind: &str,
    metadata: &Value,
    items: &[T],
    json: impl Fn(&T) -> Json + Sync,
) -> Option<Vec<u8>> {
    let (group, version) = parse_api_version(api_version);
    let schema = Schema::of_kind(group, version, kind)?;
    let field = schema.field("items")?;
    let (number, item_schema) = (*field.wire.first()?, field.schema().items()?);
    let mut raw = Vec::new();
    // A list's own fields come before its items.
    write::message(&mut raw, &Tree::of(&serde_json::json!({"metadata": metadata})), &schema);
    spread::each(&mut raw, items, |out, item| {
        let json = json(item);
        let tree: Tree<'_> = serde_json::from_slice(json.as_ref()).unwrap_or_default();
        wire::put_message(out, number, |out| write::message(out, &tree, item_schema));
    });
    Some(envelope(&raw, api_version, kind))
}

/// A bare message, without an envelope.
pub(in crate::api) fn message(out: &mut Vec<u8>, value: &Value, schema: &Schema) {
    write::message(out, &Tree::of(value), schema);
}

/// What every object starts with, around the bytes of its message.
pub(in crate::api) fn envelope(raw: &[u8], api_version: &str, kind: &str) -> Vec<u8> {
    let mut type_meta = Vec::new();
    wire::put_bytes(&mut type_meta, 1, api_version.as_bytes());
    wire::put_bytes(&mut type_meta, 2, kind.as_bytes());
    let mut out = Vec::with_capacity(raw.len() + type_meta.len() + 32);
    out.extend(MAGIC);
    wire::put_bytes(&mut out, 1, &type_meta);
    wire::put_bytes(&mut out, 2, raw);
    wire::put_bytes(&mut out, 3, b"");
    wire::put_bytes(&mut out, 4, b"");
    out
}

/// One event of a watch: its length (four bytes, big-endian), then a bare `WatchEvent` around the
/// object's envelope.
pub fn watch_frame(event: &str, object: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    wire::put_bytes(&mut raw, 1, object);
    let mut message = Vec::new();
    wire::put_bytes(&mut message, 1, event.as_bytes());
    wire::put_bytes(&mut message, 2, &raw);
    let mut frame = (message.len() as u32).to_be_bytes().to_vec();
    frame.extend(message);
    frame
}

/// `runtime.Unknown`
#[derive(Default)]
struct Envelope<'a> {
    api_version: &'a str,
    kind: &'a str,
    raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Option<Envelope<'a>> {
        let mut envelope = Envelope::default();
        for field in wire::fields(bytes) {
            match field? {
                (1, wire::Scalar::Bytes(type_meta)) => {
                    for field in wire::fields(type_meta) {
                        match field? {
                            (1, wire::Scalar::Bytes(text)) => envelope.api_version = std::str::from_utf8(text).ok()?,
                            (2, wire::Scalar::Bytes(text)) => envelope.kind = std::str::from_utf8(text).ok()?,
                            _ => {}
                        }
                    }
                }
                (2, wire::Scalar::Bytes(raw)) => envelope.raw = raw,
                _ => {}
            }
        }
        Some(envelope)
    }

    fn api_version_is(&self, target: &Target) -> bool {
        parse_api_version(self.api_version) == (target.group, target.version)
    }

    fn schema(&self) -> Option<SchemaRef> {
        let (group, version) = parse_api_version(self.api_version);
        Schema::of_kind(group, version, self.kind)
    }
}

#[cfg(test)]
mod tests;
