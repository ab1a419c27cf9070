//! JSON → protobuf → JSON is the identity, for objects made from every kind's schema.

use super::*;
use crate::api::resource;
use crate::api::schema::Type;
use crate::api::typed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

/// Objects of the official server in both forms; made by `tests/differential/record_bytes`.
const OFFICIAL: &str = include_str!("../../../tests/facts/protobuf.jsonl");

/// A value of `schema` drawn from `seed`; every field is present or not by a coin.
fn draw(schema: &Schema, seed: &mut impl FnMut() -> u32, depth: usize) -> Value {
    let roll = seed();
    match schema.kind() {
        Type::Boolean => json!(roll.is_multiple_of(2)),
        Type::Int32 => json!(roll as i32),
        Type::Int64 => json!((i64::from(roll) << 20) - 7),
        Type::Number => json!(f64::from(roll) / 8.0),
        Type::String => json!(["", "a", "näh"][roll as usize % 3]),
        Type::Bytes => json!(["", "YQ==", "YWJj"][roll as usize % 3]),
        Type::Time => json!("2020-01-02T03:04:05Z"),
        Type::MicroTime => json!("2020-01-02T03:04:05.678901Z"),
        Type::Quantity => json!(["0", "250m", "1Gi"][roll as usize % 3]),
        Type::IntOrString => [json!(80), json!("http"), json!(0)][roll as usize % 3].clone(),
        Type::Duration => json!(["1m0s", "1h0m0.5s", "0s", "15ms"][roll as usize % 4]),
        Type::RawExtension | Type::FieldsV1 => json!({"f:a": {}, "n": 1.5}),
        Type::Json | Type::Any => [json!("x"), json!({"a": [1]}), json!(false)][roll as usize % 3].clone(),
        Type::SchemaOrBool if roll.is_multiple_of(2) || depth == 0 => json!(roll.is_multiple_of(4)),
        Type::SchemaOrStrings if roll.is_multiple_of(2) || depth == 0 => json!(["a", "b"]),
        Type::SchemaOrArray if roll.is_multiple_of(2) && depth > 0 => {
            json!([draw(schema.items().unwrap(), seed, depth - 1)])
        }
        Type::SchemaOrBool | Type::SchemaOrArray | Type::SchemaOrStrings => {
            draw(schema.items().unwrap(), seed, depth.saturating_sub(1))
        }
        Type::List => {
            let count = if depth == 0 { 0 } else { roll % 3 };
            Value::Array((0..count).map(|_| draw(schema.items().unwrap(), seed, depth - 1)).collect())
        }
        Type::Map => {
            let count = if depth == 0 { 0 } else { roll % 3 };
            let entries = (0..count).map(|i| (format!("k{i}"), draw(schema.values().unwrap(), seed, depth - 1)));
            Value::Object(entries.collect())
        }
        Type::Object => {
            let mut map = Map::new();
            for field in schema.fields().iter().filter(|field| !field.wire.is_empty()) {
                if depth > 0 && !seed().is_multiple_of(3) {
                    let value = draw(field.schema(), seed, depth - 1);
                    // Protobuf has no list that is there and empty.
                    if !(field.keeps_empty && value == json!([])) {
                        map.insert(field.name.to_string(), value);
                    }
                }
            }
            Value::Object(map)
        }
    }
}

/// The kinds that travel in an envelope.
fn kinds() -> Vec<(String, String, SchemaRef)> {
    Schema::definitions()
        .iter()
        .filter(|schema| !matches!(schema.kinds(), "" | "*"))
        .map(|schema| {
            let (api_version, kind) = schema.kinds().rsplit_once('/').unwrap();
            (api_version.trim_start_matches('/').to_string(), kind.to_string(), schema.clone())
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_kind_survives_protobuf(start in any::<u32>()) {
        let mut state = start | 1;
        let mut seed = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        for (api_version, kind, schema) in kinds() {
            let mut value = draw(&schema, &mut seed, 7);
            value["kind"] = json!(kind);
            value["apiVersion"] = json!(api_version);
            typed::normalize(&mut value, &schema);
            let bytes = encode(&value).unwrap();
            let (group, version) = parse_api_version(&api_version);
            let target = Target { group, version, kind: &kind, schema: &schema, custom: false };
            let mut back = decode(&bytes, &target).unwrap();
            typed::normalize(&mut back, &schema);
            prop_assert_eq!(&back, &value, "{}", kind);
        }
    }
}

/// A value of `schema` with every field set to something that is not its zero; `depth` ends schemas that hold
/// themselves. Notes each field of each definition that was filled.
fn full(schema: &Schema, depth: usize, filled: &mut BTreeSet<String>) -> Value {
    match schema.kind() {
        Type::Boolean => json!(true),
        Type::Int32 => json!(-7),
        Type::Int64 => json!(1_i64 << 40),
        Type::Number => json!(2.5),
        Type::String => json!("text"),
        Type::Bytes => json!("YWJj"),
        Type::Time => json!("2020-01-02T03:04:05Z"),
        Type::MicroTime => json!("2020-01-02T03:04:05.678901Z"),
        Type::Quantity => json!("250m"),
        Type::IntOrString => json!("http"),
        Type::Duration => json!("1m0s"),
        Type::RawExtension | Type::FieldsV1 => json!({"f:a": {}}),
        Type::Json | Type::Any => json!({"a": [1]}),
        Type::SchemaOrBool => json!(true),
        Type::SchemaOrStrings => json!(["a"]),
        Type::SchemaOrArray if depth == 0 => json!({}),
        Type::SchemaOrArray => json!([full(schema.items().unwrap(), depth - 1, filled)]),
        Type::List if depth == 0 => json!([]),
        Type::List => json!([full(schema.items().unwrap(), depth - 1, filled)]),
        Type::Map if depth == 0 => json!({}),
        Type::Map => json!({"k": full(schema.values().unwrap(), depth - 1, filled)}),
        Type::Object => {
            let mut map = Map::new();
            for field in schema.fields().iter().filter(|field| !field.wire.is_empty() && depth > 0) {
                filled.insert(format!("{}.{}", schema.name().unwrap_or_default(), field.name));
                map.insert(field.name.to_string(), full(field.schema(), depth - 1, filled));
            }
            Value::Object(map)
        }
    }
}

#[test]
fn every_field_of_every_kind_survives_protobuf() {
    let mut filled = BTreeSet::new();
    for (api_version, kind, schema) in kinds() {
        // Deep enough for a CronJob's probes; a schema of schemas would have no end.
        let depth = if &*kind == "CustomResourceDefinition" { 9 } else { 14 };
        let mut value = full(&schema, depth, &mut filled);
        value["kind"] = json!(kind);
        value["apiVersion"] = json!(api_version);
        typed::normalize(&mut value, &schema);
        let bytes = encode(&value).unwrap();
        let (group, version) = parse_api_version(&api_version);
        let target = Target { group, version, kind: &kind, schema: &schema, custom: false };
        let mut back = decode(&bytes, &target).unwrap();
        typed::normalize(&mut back, &schema);
        assert_eq!(back, value, "{kind}");
    }
    let reachable = Schema::definitions().iter().flat_map(|schema| {
        let named = schema.fields().iter().filter(|field| !field.wire.is_empty());
        named.map(|field| format!("{}.{}", schema.name().unwrap_or_default(), field.name))
    });
    let known: BTreeSet<String> = reachable.collect();
    let left: Vec<&String> = filled.difference(&known).collect();
    assert!(left.is_empty(), "fields of no definition: {left:?}");
    // Two belong to definitions that no kind holds.
    let missing: Vec<&String> = known.difference(&filled).collect();
    assert!(missing.len() <= 2, "fields of no kind: {missing:?}");
}

#[test]
fn the_official_bytes_and_ours_say_the_same() {
    let (mut same, mut other) = (0, Vec::new());
    for line in OFFICIAL.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (mut value, bytes) = (case["json"].clone(), STANDARD.decode(case["protobuf"].as_str().unwrap()).unwrap());
        let text = |key: &str| value[key].as_str().unwrap().to_string();
        let (kind, api_version) = (text("kind"), text("apiVersion"));
        let (group, version) = parse_api_version(&api_version);
        let schema = Schema::of_kind(group, version, &kind).unwrap();
        let target = Target { group, version, kind: &kind, schema: &schema, custom: false };
        let mut back = decode(&bytes, &target).unwrap();
        typed::normalize(&mut back, &schema);
        typed::normalize(&mut value, &schema);
        let templates = value["spec"].get("volumeClaimTemplates").is_some();
        if !templates {
            // Templates have a kind in JSON, and none in protobuf.
            assert_eq!(back, value, "{}", case["case"]);
        }
        match encode(&value).unwrap() == bytes {
            true => same += 1,
            false => other.push(case["case"].to_string()),
        }
    }
    // JSON inside protobuf keeps the spaces that its writer made, and an empty text of bytes is told from none.
    assert!(same >= 92, "{same} of {} are equal to the byte; not: {other:?}", same + other.len());
}

#[test]
fn a_config_map_has_the_official_bytes() {
    let value = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"k": "v"}});
    let bytes = encode(&value).unwrap();
    let mut expected = b"k8s\0\n\x0f\n\x02v1\x12\tConfigMap\x12".to_vec();
    let meta = b"\n\x01a\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\x00";
    let raw = [b"\n\x11".as_slice(), meta, b"\x12\x06\n\x01k\x12\x01v"].concat();
    expected.push(raw.len() as u8);
    expected.extend(raw);
    expected.extend(b"\x1a\x00\"\x00");
    assert_eq!(bytes, expected);
}

#[test]
fn an_envelope_without_a_kind_holds_what_the_path_names() {
    let pods = resource::builtin().iter().find(|r| &*r.plural == "pods").unwrap();
    let target = Target::resource(pods);
    let mut bytes = b"k8s\0".to_vec();
    wire::put_bytes(&mut bytes, 2, b"\n\x03\n\x01x");
    assert_eq!(decode(&bytes, &target).unwrap(), json!({"metadata": {"name": "x"}}));
    assert_eq!(decode(b"nope", &target).unwrap_err().code, 400);
}

#[test]
fn a_list_written_item_by_item_is_the_list_written_whole() {
    let mut rolls = 1_u32;
    let mut seed = move || {
        rolls = rolls.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        rolls >> 8
    };
    let schema = Schema::of_kind("", "v1", "Pod").unwrap();
    let items: Vec<Value> = (0..8).map(|_| draw(&schema, &mut seed, 6)).collect();
    let metadata = json!({"resourceVersion": "7", "continue": "x", "remainingItemCount": 3});
    let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items});
    assert_eq!(encode_list("v1", "PodList", &metadata, &items, Value::to_string), encode(&list));
    assert!(encode(&list).unwrap().len() > 1_000, "a message of more than 127 bytes has a longer length");
    assert_eq!(encode_list("example.com/v1", "ThingList", &metadata, &items, Value::to_string), None);
}
