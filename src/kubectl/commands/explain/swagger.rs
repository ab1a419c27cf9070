//! `kubectl explain -o plaintext-openapiv2`: the older page, from the one document `/openapi/v2`.
//!
//! In: the document, a kind and a path of fields. Out: the page, or which field is not there. What leads to
//! an object on the way (references, lists, maps) gives its description, too. Source: kubectl's `explain`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::super::failure::{Failure, Result, quote};
use super::super::super::mapping::Mapping;
use crate::api::meta;

/// The page is this wide.
const WIDTH: usize = 80;

/// What is told of a resource or field.
pub(super) struct Page<'a> {
    pub document: &'a Value,
    pub recursive: bool,
    /// How deep; zero is all.
    pub most: i64,
}

/// What a schema is.
enum Shape<'a> {
    Reference(&'a str, &'a Value),
    Object(&'a serde_json::Map<String, Value>),
    /// Its values' schema, where it has one.
    Map(Option<&'a Value>),
    List(&'a Value),
    Primitive(&'a str),
    Anything,
}

impl<'a> Page<'a> {
    /// The page of a field of a kind.
    ///
    /// # Errors
    /// When there is no such kind or field.
    pub fn text(&self, mapping: &Mapping, path: &[String]) -> Result<String> {
        let (group, version, kind) = (&mapping.group, &mapping.version, &mapping.kind);
        let is_it = |schema: &&Value| {
            meta::list(schema, &["x-kubernetes-group-version-kind"]).iter().any(|one| {
                let is = |field: &str, wanted: &str| meta::text(one, &[field]) == wanted;
                is("group", group) && is("version", version) && is("kind", kind)
            })
        };
        let definitions = self.document.get("definitions").and_then(Value::as_object);
        let Some(schema) = definitions.and_then(|all| all.values().find(is_it)) else {
            let shown = quote(&format!("{group}/{version}, Kind={kind}"));
            return Err(Failure::new(format!("couldn't find resource for {shown}")));
        };
        let found = self.field(schema, path)?;
        let mut text = format!("KIND:     {kind}\nVERSION:  {}\n\n", mapping.api_version());
        self.model(found, path.last().map_or("", String::as_str), &mut text);
        Ok(text)
    }

    fn shape(&self, schema: &'a Value) -> Shape<'a> {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let target = name.rsplit('/').next().and_then(|name| self.document.get("definitions")?.get(name));
            return target.map_or(Shape::Anything, |target| Shape::Reference(name, target));
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        match (meta::text(schema, &["type"]), properties) {
            ("" | "object", Some(properties)) => Shape::Object(properties),
            ("", None) => Shape::Anything,
            ("object", None) => Shape::Map(schema.get("additionalProperties").filter(|one| one.is_object())),
            ("array", _) => Shape::List(schema.get("items").unwrap_or(&Value::Null)),
            (primitive, _) => Shape::Primitive(primitive),
        }
    }

    /// What a path leads to; what has no fields is where it ends.
    fn field(&self, schema: &'a Value, path: &[String]) -> Result<&'a Value> {
        let Some((first, rest)) = path.split_first() else { return Ok(schema) };
        match self.shape(schema) {
            Shape::Reference(_, inner) | Shape::List(inner) | Shape::Map(Some(inner)) => self.field(inner, path),
            Shape::Object(properties) => match properties.get(first) {
                Some(inner) => self.field(inner, rest),
                None => Err(Failure::new(format!("field {} does not exist", quote(first)))),
            },
            Shape::Map(None) | Shape::Primitive(_) | Shape::Anything => Ok(schema),
        }
    }

    fn type_name(&self, schema: &'a Value) -> String {
        match self.shape(schema) {
            Shape::Reference(_, inner) => self.type_name(inner),
            Shape::List(inner) => format!("[]{}", self.type_name(inner)),
            Shape::Map(inner) => {
                format!("map[string]{}", inner.map_or_else(String::new, |inner| self.type_name(inner)))
            }
            Shape::Object(_) => "Object".into(),
            Shape::Primitive(name) => name.into(),
            Shape::Anything => String::new(),
        }
    }

    fn model(&self, schema: &'a Value, name: &str, text: &mut String) {
        let mut descriptions = Vec::new();
        let (mut inner, mut kind) = (schema, String::new());
        loop {
            let shape = self.shape(inner);
            if kind.is_empty() && !matches!(shape, Shape::Reference(..)) {
                kind = self.type_name(inner);
            }
            descriptions.push(meta::text(inner, &["description"]));
            match shape {
                Shape::Reference(_, next) | Shape::List(next) | Shape::Map(Some(next)) => inner = next,
                Shape::Object(_) if !name.is_empty() => {
                    text.push_str(&format!("RESOURCE: {name} <{kind}>\n\n"));
                    break;
                }
                Shape::Primitive(_) => {
                    text.push_str(&format!("FIELD:    {name} <{kind}>\n\n"));
                    break;
                }
                _ => break,
            }
        }
        text.push_str("DESCRIPTION:\n");
        if descriptions.iter().all(|one| one.is_empty()) {
            descriptions = vec!["<empty>"];
        }
        for (at, description) in descriptions.iter().enumerate().filter(|(_, one)| !one.is_empty()) {
            if at != 0 {
                text.push('\n');
            }
            wrapped(description, 5, text);
        }
        let Shape::Object(properties) = self.shape(inner) else { return };
        text.push_str("\nFIELDS:\n");
        if self.recursive {
            self.tree(inner, 1, &mut BTreeSet::new(), text);
            return;
        }
        let required = meta::list(inner, &["required"]);
        for (name, field) in in_order(properties) {
            let mark = if required.iter().any(|one| one.as_str() == Some(name)) { " -required-" } else { "" };
            text.push_str(&format!("   {name}\t<{}>{mark}\n", self.type_name(field)));
            wrapped(meta::text(field, &["description"]), 5, text);
            text.push('\n');
        }
    }

    /// All fields under a schema, without those of a kind that is being told already.
    fn tree(&self, schema: &'a Value, depth: i64, told: &mut BTreeSet<&'a str>, text: &mut String) {
        match self.shape(schema) {
            Shape::Reference(name, inner) => {
                if told.insert(name) {
                    self.tree(inner, depth, told, text);
                    told.remove(name);
                }
            }
            Shape::List(inner) | Shape::Map(Some(inner)) => self.tree(inner, depth, told, text),
            Shape::Object(properties) => {
                for (name, field) in in_order(properties) {
                    let indent = usize::try_from(depth).unwrap_or(0) * 3;
                    text.push_str(&format!("{:indent$}{name}\t<{}>\n", "", self.type_name(field)));
                    if self.most == 0 || depth < self.most {
                        self.tree(field, depth + 1, told, text);
                    }
                }
            }
            Shape::Map(None) | Shape::Primitive(_) | Shape::Anything => {}
        }
    }
}

fn in_order(properties: &serde_json::Map<String, Value>) -> Vec<(&str, &Value)> {
    let mut fields: Vec<(&str, &Value)> = properties.iter().map(|(name, field)| (name.as_str(), field)).collect();
    fields.sort_by_key(|(name, _)| *name);
    fields
}

/// Writes a text in lines that are not too long. Lists, code and empty lines stay as they are.
fn wrapped(description: &str, indent: usize, text: &mut String) {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for given in description.split('\n') {
        let empty = given.trim().is_empty();
        let kept = given.starts_with("    ");
        // An empty line stays where a line stands before it; the one that is being filled does not yet.
        let parts = empty && !lines.is_empty();
        if kept || empty || line.ends_with(':') || begins_item(given.trim()) {
            lines.extend(Some(std::mem::take(&mut line)).filter(|line| !line.is_empty()));
        }
        if kept {
            lines.push(given.to_owned());
            continue;
        }
        if parts {
            lines.push(String::new());
        }
        for word in given.split_whitespace() {
            if !line.is_empty() && line.len() + 1 + word.len() > WIDTH - indent {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.extend(Some(line).filter(|line| !line.is_empty()));
    for line in lines {
        let indent = if line.is_empty() { 0 } else { indent };
        text.push_str(&format!("{:indent$}{line}\n", ""));
    }
}

/// Whether a line begins as an item of a list does: `1. `, `- `, `* `.
fn begins_item(line: &str) -> bool {
    let digits = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let rest = match digits.len() < line.len() {
        true => Some(digits.strip_prefix('.').unwrap_or(digits)),
        false => line.strip_prefix(['-', '*']),
    };
    rest.is_some_and(|rest| rest.starts_with(char::is_whitespace))
}
