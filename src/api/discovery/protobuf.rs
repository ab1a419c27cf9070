//! Aggregated discovery as protobuf. Its messages are no kinds of the API: nothing else knows their numbers.
//!
//! In: the document as JSON. Out: its bytes in the usual envelope. Source: `generated.proto` of
//! `k8s.io/api/apidiscovery/v2`.

use serde_json::Value;

use crate::api::protobuf;
use crate::api::protobuf::wire::{put_bytes, put_message};
use crate::api::schema::Schema;

/// What a field holds. Texts and metadata are always written, the rest where it is there.
#[derive(Clone, Copy)]
enum Part {
    Text,
    Texts,
    One(Message),
    Each(Message),
    /// A type of `meta.v1`.
    Meta(&'static str),
}

/// Fields by name and number.
type Message = &'static [(&'static str, u32, Part)];

const KIND: Message = &[("group", 1, Part::Text), ("version", 2, Part::Text), ("kind", 3, Part::Text)];
const SUBRESOURCE: Message = &[
    ("subresource", 1, Part::Text),
    ("responseKind", 2, Part::One(KIND)),
    ("acceptedTypes", 3, Part::Each(KIND)),
    ("verbs", 4, Part::Texts),
];
const RESOURCE: Message = &[
    ("resource", 1, Part::Text),
    ("responseKind", 2, Part::One(KIND)),
    ("scope", 3, Part::Text),
    ("singularResource", 4, Part::Text),
    ("verbs", 5, Part::Texts),
    ("shortNames", 6, Part::Texts),
    ("categories", 7, Part::Texts),
    ("subresources", 8, Part::Each(SUBRESOURCE)),
];
const VERSION: Message =
    &[("version", 1, Part::Text), ("resources", 2, Part::Each(RESOURCE)), ("freshness", 3, Part::Text)];
const GROUP: Message = &[("metadata", 1, Part::Meta("ObjectMeta")), ("versions", 2, Part::Each(VERSION))];
const LIST: Message = &[("metadata", 1, Part::Meta("ListMeta")), ("items", 2, Part::Each(GROUP))];

/// An APIGroupDiscoveryList.
pub fn encode(document: &Value) -> Vec<u8> {
    let mut raw = Vec::new();
    message(&mut raw, document, LIST);
    protobuf::envelope(&raw, "apidiscovery.k8s.io/v2", "APIGroupDiscoveryList")
}

fn message(out: &mut Vec<u8>, value: &Value, fields: Message) {
    for &(name, number, part) in fields {
        let value = &value[name];
        let text = |out: &mut Vec<u8>, value: &Value| put_bytes(out, number, value.as_str().unwrap_or("").as_bytes());
        let items = || value.as_array().into_iter().flatten();
        match part {
            Part::Text => text(out, value),
            Part::Texts => items().for_each(|item| text(out, item)),
            Part::One(_) if value.is_null() => {}
            Part::One(inner) => put_message(out, number, |out| message(out, value, inner)),
            Part::Each(inner) => items().for_each(|item| put_message(out, number, |out| message(out, item, inner))),
            Part::Meta(kind) => {
                let schema = Schema::builtin(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}"));
                if let Some(schema) = schema {
                    put_message(out, number, |out| protobuf::message(out, value, &schema));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::protobuf::wire::{Scalar, fields};
    use serde_json::json;

    fn field(bytes: &[u8], number: u32) -> Vec<Vec<u8>> {
        let found = fields(bytes).map(Option::unwrap).filter(|(own, _)| *own == number);
        found.map(|(_, value)| if let Scalar::Bytes(bytes) = value { bytes.to_vec() } else { panic!() }).collect()
    }

    #[test]
    fn a_document_has_its_groups_versions_and_resources() {
        let bytes = encode(&json!({"metadata": {}, "items": [{"metadata": {"name": "apps"}, "versions": [
            {"version": "v1", "freshness": "Current", "resources": [{"resource": "deployments", "scope": "Namespaced",
                "responseKind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "singularResource": "deployment",
                "verbs": ["get", "list"], "subresources": [{"subresource": "scale", "verbs": ["get"]}]}]}]}]}));
        let raw = field(bytes.strip_prefix(b"k8s\0").unwrap(), 2).concat();
        let group = field(&raw, 2).concat();
        assert_eq!(field(&field(&group, 1).concat(), 1), [b"apps".to_vec()]);
        let version = field(&group, 2).concat();
        assert_eq!((field(&version, 1), field(&version, 3)), (vec![b"v1".to_vec()], vec![b"Current".to_vec()]));
        let resource = field(&version, 2).concat();
        assert_eq!(field(&resource, 5), [b"get".to_vec(), b"list".to_vec()]);
        assert_eq!(field(&field(&resource, 2).concat(), 3), [b"Deployment".to_vec()]);
        let scale = field(&resource, 8).concat();
        assert_eq!((field(&scale, 1), field(&scale, 2)), (vec![b"scale".to_vec()], Vec::new()));
    }
}
