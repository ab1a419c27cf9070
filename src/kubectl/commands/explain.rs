//! `kubectl explain`: what a field is for, from the cluster's own OpenAPI document.
//!
//! In: `deployment.spec.strategy`. Out: the description of the resource or field, and the fields under it.
//! Custom resources are explained in the same way, from what their definition says.

use serde_json::{Map, Value};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{Flag, Kind, long, short};
use super::super::http::Call;
use super::super::mapping::Mapping;
use super::super::print::go_value;
use crate::api::meta;

mod swagger;

const FLAGS: &[Flag] = &[
    short("recursive", 'R', Kind::Bool(false), "All fields under it, without their descriptions"),
    long("max-depth", Kind::Int(0), "With --recursive: only so deep"),
    long("api-version", Kind::Text(""), "Another version: apps/v1"),
    short("output", 'o', Kind::Text("plaintext"), "plaintext or plaintext-openapiv2"),
];

/// `explain`
pub const COMMAND: Command = Command {
    name: "explain",
    usage: "TYPE[.FIELD...]",
    about: "Tell what a field is for",
    flags: &[FLAGS],
    run: run!(explain),
    ..BASE
};

/// The text is this wide, and what stands at an indentation accordingly less.
const WIDTH: usize = 76;

async fn explain(call: &Invocation) -> Result {
    let flags = &call.flags;
    let [word] = call.arguments() else {
        let words = if call.arguments().is_empty() {
            "You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of supported resources.\n"
        } else {
            "We accept only this format: explain RESOURCE\n"
        };
        return Err(Failure::new(words));
    };
    if flags.int("max-depth") > 0 && !flags.is("recursive") {
        return Err(Failure::new("--max-depth requires --recursive"));
    }
    if flags.int("max-depth") < 0 {
        return Err(Failure::new("--max-depth must be non-negative"));
    }
    let cluster = call.cluster().await?;
    let (mut mapping, path) = named(cluster.mapper().await?, word)?;
    if let Some((group, version)) = flags.some("api-version").map(|text| text.rsplit_once('/').unwrap_or(("", text))) {
        (mapping.group, mapping.version) = (group.to_owned(), version.to_owned());
    }
    if flags.text("output") == "plaintext-openapiv2" {
        let document = cluster.api.json(Call::get("/openapi/v2")).await?;
        let (recursive, most) = (flags.is("recursive"), flags.int("max-depth"));
        call.out(swagger::Page { document: &document, recursive, most }.text(&mapping, &path)?);
        return Ok(());
    }
    if flags.text("output") != "plaintext" {
        return Err(Failure::new(format!("unrecognized format: {}", flags.text("output"))));
    }
    let place = if mapping.group.is_empty() { "api".to_owned() } else { format!("apis/{}", mapping.group) };
    let document = cluster.api.json(Call::get(format!("/openapi/v3/{place}/{}", mapping.version))).await;
    let document = document.map_err(|failure| {
        let shown = mapping.group_version_resource();
        if failure.is_not_found() {
            Failure::new(format!("couldn't find resource for {}", quote(&shown)))
        } else {
            failure
        }
    })?;
    let explainer = Explainer { document: &document, recursive: flags.is("recursive"), most: flags.int("max-depth") };
    let mut text = String::new();
    let ended = explainer.text(&mapping, &path, &mut text);
    call.out(text);
    ended
}

/// The resource that begins a path, and the fields behind it.
fn named(mapper: &super::super::mapping::Mapper, word: &str) -> Result<(Mapping, Vec<String>)> {
    let (first, rest) = word.split_once('.').unwrap_or((word, ""));
    // `deployments.apps.spec` names the group before the fields.
    for mapping in &mapper.mappings {
        let full = mapping.group_resource();
        if !mapping.group.is_empty() && (word == full || word.starts_with(&format!("{full}."))) {
            let rest = word[full.len()..].trim_start_matches('.');
            return Ok((Mapping::clone(mapping), fields(rest)));
        }
    }
    Ok((Mapping::clone(&*mapper.named(first).map_err(Failure::bare)?), fields(rest)))
}

fn fields(text: &str) -> Vec<String> {
    text.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

struct Explainer<'a> {
    document: &'a Value,
    recursive: bool,
    most: i64,
}

impl Explainer<'_> {
    fn text(&self, mapping: &Mapping, path: &[String], text: &mut String) -> Result {
        let kind = |schema: &Value| {
            meta::list(schema, &["x-kubernetes-group-version-kind"]).iter().any(|one| {
                let field = |name: &str| meta::text(one, &[name]);
                field("group") == mapping.group && field("version") == mapping.version && field("kind") == mapping.kind
            })
        };
        let schemas = meta::map(self.document, &["components", "schemas"]);
        let Some(schema) = schemas.into_iter().flatten().map(|(_, schema)| schema).find(|schema| kind(schema)) else {
            return Err(Failure::new(format!(
                "GVR ({}/{}, Resource={}) not found in OpenAPI schema",
                mapping.group, mapping.version, mapping.plural
            )));
        };
        if !mapping.group.is_empty() {
            text.push_str(&format!("GROUP:      {}\n", mapping.group));
        }
        text.push_str(&format!("KIND:       {}\nVERSION:    {}\n\n", mapping.kind, mapping.version));
        let Some(found) = self.output(schema, path, &mut Vec::new()) else {
            let last = path.last().map_or("", String::as_str);
            return Err(Failure::new(format!("field {} does not exist", quote(last))));
        };
        text.push_str(&found);
        text.push('\n');
        Ok(())
    }

    fn resolve<'b>(&'b self, schema: &'b Value) -> &'b Value {
        let found = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|path| self.document.pointer(path.trim_start_matches('#')));
        found.unwrap_or(schema)
    }

    /// Follows the path and tells what is at its end; `None` when there is no such field.
    fn output(&self, schema: &Value, path: &[String], seen: &mut Vec<String>) -> Option<String> {
        let reference = schema.get("$ref").and_then(Value::as_str).unwrap_or_default().to_owned();
        let resolved = self.resolve(schema);
        let Some((first, rest)) = path.split_first() else { return Some(self.description(resolved)) };
        if !reference.is_empty() {
            if seen.contains(&reference) {
                return None;
            }
            seen.push(reference);
        }
        if let Some(child) = meta::get(resolved, &["properties", first]) {
            let mut head = String::new();
            if rest.is_empty() {
                head = format!("FIELD: {first} <{}>\n{}\n\n", self.guess(child), enumeration(child, None));
            }
            return Some(head + &self.output(child, rest, &mut Vec::new())?);
        }
        for inner in ["items", "additionalProperties"] {
            if let Some(child) = resolved.get(inner).filter(|child| child.is_object()) {
                return self.output(child, path, seen);
            }
        }
        meta::list(resolved, &["allOf"]).iter().find_map(|child| self.output(child, path, seen))
    }

    fn description(&self, schema: &Value) -> String {
        let mut words = String::new();
        self.words(schema, &mut words);
        let words = if words.is_empty() { "<empty>".to_owned() } else { words };
        let mut text = format!("DESCRIPTION:\n{}\n", indent(4, &wrap(WIDTH, &words)));
        if let Some(docs) = schema.get("externalDocs") {
            text.push_str(&format!("\nEXTERNAL DOCS:\n{}", documents(docs, 0)));
        }
        let mut list = String::new();
        self.list(schema, 1, &mut Vec::new(), &mut list);
        if !list.is_empty() {
            text.push_str(&format!("FIELDS:\n{list}"));
        }
        text
    }

    /// The descriptions of a schema and of what it is made from.
    fn words(&self, schema: &Value, words: &mut String) {
        let resolved = self.resolve(schema);
        if let Some(own) = resolved.get("description").and_then(Value::as_str).filter(|own| !own.is_empty()) {
            words.push_str(&format!("{own}\n"));
        }
        meta::list(resolved, &["allOf"]).iter().for_each(|child| self.words(child, words));
        for inner in ["items", "additionalProperties"] {
            if let Some(child) = resolved.get(inner).filter(|child| child.is_object()) {
                self.words(child, words);
            }
        }
    }

    fn list(&self, schema: &Value, level: usize, seen: &mut Vec<String>, text: &mut String) {
        let reference = schema.get("$ref").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !reference.is_empty() && seen.contains(&reference) {
            return;
        }
        let depth = seen.len();
        seen.push(reference);
        let resolved = self.resolve(schema);
        let none = Map::new();
        let properties = meta::map(resolved, &["properties"]).unwrap_or(&none);
        let mut names: Vec<&String> = properties.keys().collect();
        names.sort();
        for name in names {
            self.field(resolved, name, &properties[name], level, text);
            if self.recursive && (self.most == 0 || (level as i64) < self.most) {
                self.list(&properties[name], level + 1, seen, text);
            }
        }
        meta::list(resolved, &["allOf"]).iter().for_each(|child| self.list(child, level, seen, text));
        for inner in ["items", "additionalProperties"] {
            if let Some(child) = resolved.get(inner).filter(|child| child.is_object()) {
                self.list(child, level, seen, text);
            }
        }
        seen.truncate(depth);
    }

    fn field(&self, parent: &Value, name: &str, schema: &Value, level: usize, text: &mut String) {
        let space = level * 2;
        let required = meta::list(parent, &["required"]).iter().any(|one| one.as_str() == Some(name));
        let mark = if required { " -required-" } else { "" };
        text.push_str(&format!(
            "{}\t<{}>{mark}{}\n",
            indent(space, name),
            self.guess(schema),
            enumeration(schema, Some(space))
        ));
        if self.recursive {
            return;
        }
        let words = match meta::text(schema, &["description"]) {
            "" => "<no description>",
            words => words,
        };
        text.push_str(&format!("{}\n", indent(space + 2, &wrap(78 - space, words))));
        if let Some(docs) = schema.get("externalDocs") {
            text.push_str(&format!("\n{}\n{}", indent(space + 2, "EXTERNAL DOCS:"), documents(docs, space)));
        }
        text.push('\n');
    }

    /// `[]Container`, `map[string]string`, `integer`.
    fn guess(&self, schema: &Value) -> String {
        if let Some(items) = schema.get("items") {
            return format!("[]{}", self.guess(items));
        }
        if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            return format!("map[string]{}", self.guess(values));
        }
        if let ([only], None) = (meta::list(schema, &["allOf"]), schema.get("properties")) {
            return self.guess(only);
        }
        let or_object = |kind: &str| if kind.is_empty() { "Object".to_owned() } else { kind.to_owned() };
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let kind = meta::text(self.resolve(schema), &["type"]);
            return match kind {
                "" | "object" => or_object(reference.rsplit(['/', '.']).next().unwrap_or_default()),
                kind => kind.to_owned(),
            };
        }
        match meta::text(schema, &["type"]) {
            "object" => "Object".to_owned(),
            kind => or_object(kind),
        }
    }
}

/// The values a field may have: some on a line under its name, or all, each on its own line.
fn enumeration(schema: &Value, indent_by: Option<usize>) -> String {
    const MOST: usize = 4;
    let values = meta::list(schema, &["enum"]);
    if values.is_empty() {
        return String::new();
    }
    let shown = |value: &Value| if value == "" { "\"\"".to_owned() } else { go_value(value) };
    match indent_by {
        None => format!("ENUM:{}", values.iter().map(|value| format!("\n    {}", shown(value))).collect::<String>()),
        Some(space) => {
            let some: Vec<String> = values.iter().take(MOST).map(shown).collect();
            let more = if values.len() > MOST { ", ...." } else { "" };
            format!("\n{}enum: {}{more}", " ".repeat(space), some.join(", "))
        }
    }
}

fn documents(docs: &Value, space: usize) -> String {
    let mut text = String::new();
    if !meta::text(docs, &["description"]).is_empty() {
        text.push_str(&format!("{}\n", indent(space + 4, &wrap(WIDTH - space, meta::text(docs, &["description"])))));
    }
    if !meta::text(docs, &["url"]).is_empty() {
        text.push_str(&format!("{}\n", indent(space + 4, &format!("URL: {}", meta::text(docs, &["url"])))));
    }
    text
}

fn indent(columns: usize, text: &str) -> String {
    let pad = " ".repeat(columns);
    format!("{pad}{}", text.replace('\n', &format!("\n{pad}")))
}

/// Breaks lines at spaces so that none is longer than `limit`; breaks that are there stay.
fn wrap(limit: usize, text: &str) -> String {
    let mut out = String::new();
    let (mut column, mut word, mut space) = (0, String::new(), String::new());
    let length = |text: &str| text.chars().count();
    for letter in text.chars() {
        if letter == '\n' {
            if word.is_empty() {
                if column + length(&space) <= limit {
                    out.push_str(&space);
                }
            } else {
                out.push_str(&space);
                out.push_str(&word);
            }
            space.clear();
            word.clear();
            out.push('\n');
            column = 0;
        } else if letter.is_whitespace() && letter != '\u{a0}' {
            if space.is_empty() || !word.is_empty() {
                column += length(&space) + length(&word);
                out.push_str(&std::mem::take(&mut space));
                out.push_str(&std::mem::take(&mut word));
            }
            space.push(letter);
        } else {
            word.push(letter);
            if column + length(&space) + length(&word) > limit && length(&word) < limit {
                out.push('\n');
                column = 0;
                space.clear();
            }
        }
    }
    if word.is_empty() {
        if column + length(&space) <= limit {
            out.push_str(&space);
        }
    } else {
        out.push_str(&space);
        out.push_str(&word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap(10, "one two three four"), "one two\nthree four");
        assert_eq!(wrap(10, "a\nb c"), "a\nb c");
        assert_eq!(wrap(4, "toolongword x"), "toolongword\nx");
    }
}
