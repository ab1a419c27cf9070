//! A schema's rules about values, read once: what [`value`](super::value) walks.
//!
//! In: a structural OpenAPI schema as JSON. Out: a tree with its patterns compiled. A keyword that is
//! not there asks for nothing.

use super::rules::Rule;
use crate::api::go_regex;
use regex::Regex;
use serde_json::Value;

/// The rules of one place in an object.
#[derive(Debug, Default)]
pub struct Node {
    /// `type`; two for `x-kubernetes-int-or-string`; empty: any.
    pub types: Vec<&'static str>,
    /// `nullable`
    pub nullable: bool,
    /// `format`, where it is one that is checked.
    pub format: String,
    /// `enum`
    pub values: Vec<Value>,
    /// `minLength`, `maxLength`
    pub length: Range<i64>,
    /// `minItems`, `maxItems`
    pub items_count: Range<i64>,
    /// `minProperties`, `maxProperties`
    pub fields_count: Range<i64>,
    /// `uniqueItems`
    pub unique: bool,
    /// `pattern` and what it compiles to.
    pub pattern: Option<(String, Result<Regex, String>)>,
    /// `minimum` and `maximum`, and whether the bound itself is excluded.
    pub number: Range<(f64, bool)>,
    /// `multipleOf`
    pub multiple_of: Option<f64>,
    /// `required`
    pub required: Vec<String>,
    /// `properties`
    pub fields: Vec<(String, Node)>,
    /// `additionalProperties` as a schema.
    pub others: Option<Box<Node>>,
    /// `additionalProperties: false`
    pub closed: bool,
    /// `items`
    pub items: Option<Box<Node>>,
    /// `x-kubernetes-list-type`: `set`, `map`, or empty.
    pub list_type: String,
    /// `x-kubernetes-list-map-keys`
    pub keys: Vec<String>,
    /// `allOf`
    pub all_of: Vec<Node>,
    /// `anyOf`
    pub any_of: Vec<Node>,
    /// `oneOf`
    pub one_of: Vec<Node>,
    /// `not`
    pub not: Option<Box<Node>>,
    /// `x-kubernetes-embedded-resource`
    pub embedded: bool,
    /// `default`
    pub has_default: bool,
    /// `x-kubernetes-validations`
    pub rules: Vec<Rule>,
    /// Whether there are rules here or below.
    pub has_rules: bool,
}

/// A lower and an upper bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range<T> {
    /// Lower bound.
    pub min: Option<T>,
    /// Upper bound.
    pub max: Option<T>,
}

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

impl Node {
    /// Reads a schema.
    pub fn read(schema: &Value) -> Node {
        let text = |key: &str| schema[key].as_str().unwrap_or_default().to_owned();
        let flag = |key: &str| schema[key].as_bool().unwrap_or(false);
        let texts = |key: &str| -> Vec<String> {
            schema[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let nodes = |key: &str| -> Vec<Node> { schema[key].as_array().into_iter().flatten().map(Node::read).collect() };
        let node = |key: &str| schema[key].is_object().then(|| Box::new(Node::read(&schema[key])));
        let count = |key: &str| schema[key].as_i64();
        let bound = |key: &str, exclusive: &str| Some((schema[key].as_f64()?, flag(exclusive)));
        let own = schema["type"].as_str();
        let types: Vec<&'static str> = match flag("x-kubernetes-int-or-string") {
            true => vec!["integer", "string"],
            false => TYPES.into_iter().filter(|name| Some(*name) == own).collect(),
        };
        let pattern = text("pattern");
        let mut node = Node {
            nullable: flag("nullable"),
            format: checked_format(&types, text("format")),
            types,
            values: schema["enum"].as_array().cloned().unwrap_or_default(),
            length: Range { min: count("minLength"), max: count("maxLength") },
            items_count: Range { min: count("minItems"), max: count("maxItems") },
            fields_count: Range { min: count("minProperties"), max: count("maxProperties") },
            unique: flag("uniqueItems"),
            pattern: (!pattern.is_empty()).then(|| {
                let compiled = go_regex::compile(&pattern);
                (pattern, compiled)
            }),
            number: Range { min: bound("minimum", "exclusiveMinimum"), max: bound("maximum", "exclusiveMaximum") },
            multiple_of: schema["multipleOf"].as_f64(),
            required: texts("required"),
            fields: schema["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), Node::read(schema)))
                .collect(),
            others: node("additionalProperties"),
            closed: schema["additionalProperties"] == false,
            items: node("items"),
            list_type: text("x-kubernetes-list-type"),
            keys: texts("x-kubernetes-list-map-keys"),
            all_of: nodes("allOf"),
            any_of: nodes("anyOf"),
            one_of: nodes("oneOf"),
            not: node("not"),
            embedded: flag("x-kubernetes-embedded-resource"),
            has_default: !schema["default"].is_null(),
            rules: Rule::read_all(schema),
            has_rules: false,
        };
        let below = node.fields.iter().map(|(_, field)| field).chain(&node.all_of);
        node.has_rules = !node.rules.is_empty()
            || below.chain(node.others.as_deref()).chain(node.items.as_deref()).any(|node| node.has_rules);
        node
    }

    /// The node of a field.
    pub fn field(&self, name: &str) -> Option<&Node> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, node)| node)
    }

    /// The node of a field, by its name or by `additionalProperties`.
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.field(name).or(self.others.as_deref())
    }
}

/// A format is checked only on the type it is meant for, and only if it is known.
fn checked_format(types: &[&str], format: String) -> String {
    let known = match types {
        [] | ["string"] => super::format::is_known(&format),
        ["integer"] => matches!(format.as_str(), "int32" | "int64"),
        ["number"] => matches!(format.as_str(), "float" | "double"),
        _ => false,
    };
    if known { format } else { String::new() }
}
