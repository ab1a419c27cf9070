//! The version 2 document as protobuf, for clients that ask for it: older kubectl and helm, and whatever
//! uses client-go's `OpenAPISchema`.
//!
//! In: the document as JSON. Out: message `openapi.v2.Document`. The tables say which JSON key is which
//! field; what has no place in them (`x-kubernetes-…`) is an extension, written as YAML, which JSON is.
//! Source: `gnostic-models/openapiv2/OpenAPIv2.proto`.

use serde_json::{Map, Value};

use crate::api::protobuf::wire::{put_bytes, put_double, put_int, put_message};

/// The media type that is asked for; the older of two spellings comes first.
pub const MEDIA: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];

/// How a field is written.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Int,
    Double,
    Texts,
    /// Any JSON, as YAML.
    Any,
    /// A list of any JSON.
    Anys,
    One(&'static Message),
    Many(&'static Message),
    /// A map: a message whose field is a list of pairs of a name and a message.
    Named(u32, &'static Message),
    /// What only its own rule can write.
    Rule(fn(&mut Vec<u8>, &Value)),
}

/// A message: JSON key, number and kind of each field, and the number that extensions have (0: none).
struct Message {
    fields: &'static [(&'static str, u32, Kind)],
    extensions: u32,
}

use Kind::{Any, Anys, Double, Flag, Int, Many, Named, One, Rule, Text, Texts};

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, Text),
        ("info", 2, One(&INFO)),
        ("host", 3, Text),
        ("basePath", 4, Text),
        ("schemes", 5, Texts),
        ("consumes", 6, Texts),
        ("produces", 7, Texts),
        ("paths", 8, Named(2, &PATH)),
        ("definitions", 9, Named(1, &SCHEMA)),
        ("parameters", 10, Rule(parameters)),
        ("security", 12, Many(&REQUIREMENT)),
        ("securityDefinitions", 13, Named(1, &SECURITY)),
    ],
    extensions: 16,
};
static INFO: Message =
    Message { fields: &[("title", 1, Text), ("version", 2, Text), ("description", 3, Text)], extensions: 7 };
static PATH: Message = Message {
    fields: &[
        ("get", 2, One(&OPERATION)),
        ("put", 3, One(&OPERATION)),
        ("post", 4, One(&OPERATION)),
        ("delete", 5, One(&OPERATION)),
        ("options", 6, One(&OPERATION)),
        ("head", 7, One(&OPERATION)),
        ("patch", 8, One(&OPERATION)),
        ("parameters", 9, Rule(|out, list| each(out, list, 9, parameter))),
    ],
    extensions: 10,
};
static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Texts),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("produces", 6, Texts),
        ("consumes", 7, Texts),
        ("parameters", 8, Rule(|out, list| each(out, list, 8, parameter))),
        ("responses", 9, Rule(responses)),
        ("schemes", 10, Texts),
        ("deprecated", 11, Flag),
        ("security", 12, Many(&REQUIREMENT)),
    ],
    extensions: 13,
};
static BODY: Message = Message {
    fields: &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Flag),
        ("schema", 5, One(&SCHEMA)),
    ],
    extensions: 6,
};
static QUERY: Message = Message {
    fields: &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("allowEmptyValue", 5, Flag),
        ("type", 6, Text),
        ("format", 7, Text),
        ("items", 8, One(&ITEMS)),
        ("collectionFormat", 9, Text),
        ("default", 10, Any),
        ("uniqueItems", 20, Flag),
        ("enum", 21, Anys),
    ],
    extensions: 23,
};
/// Of a path or a header.
static PLACE: Message = Message {
    fields: &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 5, Text),
        ("format", 6, Text),
        ("items", 7, One(&ITEMS)),
        ("collectionFormat", 8, Text),
        ("default", 9, Any),
        ("uniqueItems", 19, Flag),
        ("enum", 20, Anys),
    ],
    extensions: 22,
};
static ITEMS: Message = Message { fields: &[("type", 1, Text), ("format", 2, Text)], extensions: 18 };
static RESPONSE: Message = Message {
    fields: &[
        ("description", 1, Text),
        ("schema", 2, Rule(|out, schema| put_message(out, 2, |out| one(out, 1, &SCHEMA, schema)))),
    ],
    extensions: 5,
};
static API_KEY: Message = Message {
    fields: &[("type", 1, Text), ("name", 2, Text), ("in", 3, Text), ("description", 4, Text)],
    extensions: 5,
};
/// Only API keys are used.
static SECURITY: Message = Message { fields: &[("", 2, One(&API_KEY))], extensions: 0 };
static REQUIREMENT: Message = Message { fields: &[("", 1, Rule(requirement))], extensions: 0 };
static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Text),
        ("format", 2, Text),
        ("title", 3, Text),
        ("description", 4, Text),
        ("default", 5, Any),
        ("multipleOf", 6, Double),
        ("maximum", 7, Double),
        ("exclusiveMaximum", 8, Flag),
        ("minimum", 9, Double),
        ("exclusiveMinimum", 10, Flag),
        ("maxLength", 11, Int),
        ("minLength", 12, Int),
        ("pattern", 13, Text),
        ("maxItems", 14, Int),
        ("minItems", 15, Int),
        ("uniqueItems", 16, Flag),
        ("maxProperties", 17, Int),
        ("minProperties", 18, Int),
        ("required", 19, Texts),
        ("enum", 20, Anys),
        ("additionalProperties", 21, Rule(additional)),
        ("type", 22, Rule(types)),
        ("items", 23, Rule(|out, schema| put_message(out, 23, |out| one(out, 1, &SCHEMA, schema)))),
        ("allOf", 24, Many(&SCHEMA)),
        ("properties", 25, Named(1, &SCHEMA)),
        ("discriminator", 26, Text),
        ("readOnly", 27, Flag),
        ("example", 30, Any),
    ],
    extensions: 31,
};

/// The document as protobuf.
pub fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 << 20);
    message(&mut out, &DOCUMENT, document);
    out
}

fn message(out: &mut Vec<u8>, message: &'static Message, value: &Value) {
    for (key, number, kind) in message.fields {
        // A field without a key takes the whole value.
        let found = if key.is_empty() { Some(value) } else { value.get(key) };
        if let Some(found) = found {
            field(out, *number, *kind, found);
        }
    }
    let extensions = value.as_object().into_iter().flatten().filter(|(key, _)| key.starts_with("x-"));
    for (key, value) in extensions.filter(|_| message.extensions > 0) {
        put_message(out, message.extensions, |out| {
            put_bytes(out, 1, key.as_bytes());
            any(out, 2, value);
        });
    }
}

fn field(out: &mut Vec<u8>, number: u32, kind: Kind, value: &Value) {
    let list = || value.as_array().into_iter().flatten();
    match kind {
        Text => text(out, number, value),
        Flag if value == &Value::Bool(true) => put_int(out, number, 1),
        Flag => {}
        Int => put_int(out, number, value.as_i64().unwrap_or(0)),
        Double => put_double(out, number, value.as_f64().unwrap_or(0.0)),
        Texts => list().for_each(|value| text(out, number, value)),
        Any => any(out, number, value),
        Anys => list().for_each(|value| any(out, number, value)),
        One(inner) => one(out, number, inner, value),
        Many(inner) => list().for_each(|value| one(out, number, inner, value)),
        Named(inside, inner) => put_message(out, number, |out| {
            for (name, value) in value.as_object().into_iter().flatten() {
                put_message(out, inside, |out| {
                    put_bytes(out, 1, name.as_bytes());
                    one(out, 2, inner, value);
                });
            }
        }),
        Rule(write) => write(out, value),
    }
}

fn one(out: &mut Vec<u8>, number: u32, inner: &'static Message, value: &Value) {
    put_message(out, number, |out| message(out, inner, value));
}

fn text(out: &mut Vec<u8>, number: u32, value: &Value) {
    if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
        put_bytes(out, number, text.as_bytes());
    }
}

/// Message `Any`, whose second field is YAML.
fn any(out: &mut Vec<u8>, number: u32, value: &Value) {
    put_message(out, number, |out| put_bytes(out, 2, value.to_string().as_bytes()));
}

fn each(out: &mut Vec<u8>, list: &Value, number: u32, write: fn(&mut Vec<u8>, &Value)) {
    for value in list.as_array().into_iter().flatten() {
        put_message(out, number, |out| write(out, value));
    }
}

/// Those that operations refer to, by name.
fn parameters(out: &mut Vec<u8>, value: &Value) {
    put_message(out, 10, |out| {
        for (name, shared) in value.as_object().into_iter().flatten() {
            put_message(out, 1, |out| {
                put_bytes(out, 1, name.as_bytes());
                put_message(out, 2, |out| one_parameter(out, shared));
            });
        }
    });
}

/// `ParametersItem`: a reference, or a parameter of one of five shapes.
fn parameter(out: &mut Vec<u8>, value: &Value) {
    if let Some(reference) = value["$ref"].as_str() {
        return put_message(out, 2, |out| put_bytes(out, 1, reference.as_bytes()));
    }
    put_message(out, 1, |out| one_parameter(out, value));
}

fn one_parameter(out: &mut Vec<u8>, value: &Value) {
    match value["in"].as_str().unwrap_or_default() {
        "body" => one(out, 1, &BODY, value),
        place => put_message(out, 2, |out| match place {
            "header" => one(out, 1, &PLACE, value),
            "formData" => one(out, 2, &QUERY, value),
            "query" => one(out, 3, &QUERY, value),
            _ => one(out, 4, &PLACE, value),
        }),
    }
}

fn responses(out: &mut Vec<u8>, value: &Value) {
    put_message(out, 9, |out| {
        for (code, response) in value.as_object().into_iter().flatten() {
            put_message(out, 1, |out| {
                put_bytes(out, 1, code.as_bytes());
                put_message(out, 2, |out| one(out, 1, &RESPONSE, response));
            });
        }
    });
}

/// `BearerToken: []`
fn requirement(out: &mut Vec<u8>, value: &Value) {
    let empty = Map::new();
    for (name, scopes) in value.as_object().unwrap_or(&empty) {
        put_message(out, 1, |out| {
            put_bytes(out, 1, name.as_bytes());
            put_message(out, 2, |out| scopes.as_array().into_iter().flatten().for_each(|scope| text(out, 1, scope)));
        });
    }
}

fn additional(out: &mut Vec<u8>, value: &Value) {
    put_message(out, 21, |out| match value {
        Value::Bool(flag) => put_int(out, 2, i64::from(*flag)),
        schema => one(out, 1, &SCHEMA, schema),
    });
}

fn types(out: &mut Vec<u8>, value: &Value) {
    put_message(out, 22, |out| match value {
        Value::Array(many) => many.iter().for_each(|value| text(out, 1, value)),
        value => text(out, 1, value),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::protobuf::wire::{Scalar, fields};
    use serde_json::json;

    /// The message in a field, the first of that number.
    fn inside(bytes: &[u8], number: u32) -> &[u8] {
        let found = fields(bytes).flatten().find(|(own, _)| *own == number);
        match found {
            Some((_, Scalar::Bytes(bytes))) => bytes,
            other => panic!("field {number}: {other:?}"),
        }
    }

    #[test]
    fn a_definition_is_found_by_its_numbers() {
        let document = json!({"swagger": "2.0", "definitions": {"a.B": {"type": "object",
            "properties": {"n": {"type": "integer", "maxLength": 3}}, "x-kubernetes-group-version-kind": [{"kind": "B"}]}},
            "paths": {"/x": {"get": {"operationId": "read", "parameters": [{"in": "query", "name": "q", "type": "string"}],
                "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/a.B"}}}}}}});
        let bytes = encode(&document);
        assert_eq!(inside(&bytes, 1), b"2.0");
        let named = inside(inside(&bytes, 9), 1);
        assert_eq!(inside(named, 1), b"a.B");
        let schema = inside(named, 2);
        assert_eq!(inside(inside(schema, 22), 1), b"object");
        assert_eq!(
            inside(inside(inside(inside(schema, 25), 1), 2), 22),
            [10, 7, b'i', b'n', b't', b'e', b'g', b'e', b'r']
        );
        let extension = inside(schema, 31);
        assert_eq!(inside(extension, 1), b"x-kubernetes-group-version-kind");
        assert_eq!(inside(inside(extension, 2), 2), b"[{\"kind\":\"B\"}]");
        let get = inside(inside(inside(inside(&bytes, 8), 2), 2), 2);
        assert_eq!(inside(get, 5), b"read");
        let query = inside(inside(inside(inside(get, 8), 1), 2), 3);
        assert_eq!(inside(query, 4), b"q");
        let response = inside(inside(inside(inside(get, 9), 1), 2), 1);
        assert_eq!(inside(inside(inside(response, 2), 1), 1), b"#/definitions/a.B");
    }
}
