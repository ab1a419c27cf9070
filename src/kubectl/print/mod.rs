//! How objects are shown: `-o yaml|json|name|jsonpath|go-template|custom-columns`, and tables.
//!
//! In: objects as JSON, and the flags. Out: text. Every command shows objects through this one place, so a
//! form that one knows, all know.

use serde_json::Value;

use super::failure::{Failure, Result, quote};
use super::flags::{Flag, Flags, Kind, long, short};
use super::session::{Console, Files};
use crate::api::schema::Schema;
use crate::api::{meta, yaml};

pub mod columns;
pub mod go_sort;
pub mod jsonpath;
pub mod kyaml;
pub mod sort;
pub mod table;
pub mod tabwriter;
pub mod template;

pub use crate::api::go_words::printed as go_value;

/// `-o` and what belongs to it.
pub const OUTPUT: &[Flag] = &[
    short("output", 'o', Kind::Text(""), "The form: yaml, json, name, jsonpath=…, go-template=…"),
    long("template", Kind::Text(""), "The template of -o go-template or jsonpath"),
    long("allow-missing-template-keys", Kind::Bool(true), "A field that is not there is no error"),
    long("show-managed-fields", Kind::Bool(false), "Keep metadata.managedFields in YAML and JSON"),
];

const FORMATS: &[&str] = &[
    "go-template",
    "go-template-file",
    "json",
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
    "kyaml",
    "name",
    "template",
    "templatefile",
    "yaml",
];

/// A form to print objects in.
#[derive(Clone, Debug)]
pub enum Form {
    /// Tables, or a command's own sentence.
    Human,
    /// Tables with more columns.
    Wide,
    /// `pod/web`
    Name,
    /// Indented JSON.
    Json,
    /// YAML documents.
    Yaml,
    /// YAML with braces and quotes.
    Kyaml,
    /// A JSONPath template; `true`: its results as a JSON list.
    JsonPath(jsonpath::Template, bool),
    /// A Go template.
    GoTemplate(template::Template),
    /// Columns of one's own.
    Columns(columns::Columns),
}

/// Prints objects one after another in one form.
pub struct Printer {
    /// The form.
    pub form: Form,
    /// Objects come from Go structs: JSON keeps their order of fields.
    pub typed: bool,
    keep_managed_fields: bool,
    printed: usize,
    /// What was written of an object before it turned out not to fit.
    begun: String,
}

impl Printer {
    /// The form that `-o` and `--template` name. `tables`: `wide` and `custom-columns` are among them.
    ///
    /// # Errors
    /// When there is no such form, or its template cannot be read.
    pub fn of(flags: &Flags, files: &dyn Files, tables: bool) -> Result<Printer> {
        let form = form(flags, files, tables)?;
        Ok(Printer {
            form,
            typed: false,
            keep_managed_fields: flags.is("show-managed-fields"),
            printed: 0,
            begun: String::new(),
        })
    }

    /// A printer of this form.
    pub fn new(form: Form) -> Printer {
        Printer { form, typed: false, keep_managed_fields: false, printed: 0, begun: String::new() }
    }

    /// Whether objects are printed as sentences or tables.
    pub fn is_human(&self) -> bool {
        matches!(self.form, Form::Human | Form::Wide)
    }

    /// An object in this form. `Human` prints its name.
    ///
    /// # Errors
    /// When the template fails on it.
    pub fn print(&mut self, object: &Value) -> Result<String> {
        self.printed += 1;
        let first = self.printed == 1;
        let ordered = self.ordered(object);
        let object = ordered.as_ref().unwrap_or(object);
        let printed = match &self.form {
            Form::Columns(columns) => columns.print(object, first),
            Form::GoTemplate(template) => template.print(object).map_err(|fault| {
                let raw = compact(object, !self.typed);
                template.explained(&fault, &raw, object)
            }),
            _ => self.print_whole(object, first).map_err(|failure| (String::new(), failure)),
        };
        printed.map_err(|(begun, failure)| {
            self.begun = begun;
            failure
        })
    }

    fn print_whole(&self, object: &Value, first: bool) -> Result<String> {
        Ok(match &self.form {
            Form::Human | Form::Wide | Form::Name => names(object, ""),
            Form::Json => json_in_order(&self.cleaned(object), !self.typed),
            Form::Yaml => {
                let text = yaml::to_string(&self.cleaned(object));
                if first { text } else { format!("---\n{text}") }
            }
            Form::Kyaml if self.typed => kyaml::in_order(&self.cleaned(object)),
            Form::Kyaml => kyaml::to_string(&self.cleaned(object)),
            Form::JsonPath(template, as_json) => template.print(object, *as_json)?,
            // Those that may have written something when they fail.
            Form::GoTemplate(_) | Form::Columns(_) => String::new(),
        })
    }

    /// Prints an object for a console, also what was written of it before it turned out not to fit.
    ///
    /// # Errors
    /// When the template fails on it.
    pub fn show(&mut self, console: &Console, object: &Value, done: &str) -> Result {
        let printed = self.answer(object, done);
        console.out(self.begun());
        console.out(&printed?);
        Ok(())
    }

    /// What was written before the last object turned out not to fit.
    pub fn begun(&mut self) -> String {
        std::mem::take(&mut self.begun)
    }

    /// A command's answer about an object: the sentence, or the object in another form.
    ///
    /// # Errors
    /// When the template fails on it.
    pub fn answer(&mut self, object: &Value, done: &str) -> Result<String> {
        match self.form {
            Form::Human | Form::Wide => Ok(names(object, done)),
            _ => self.print(object),
        }
    }

    /// An object that went through a Go struct, as it comes out of it.
    fn ordered(&self, object: &Value) -> Option<Value> {
        let (group, version) = meta::group_version(object);
        let schema = Schema::of_kind(group, version, meta::kind(object)).filter(|_| self.typed)?;
        let mut object = object.clone();
        crate::api::typed::normalize(&mut object, &schema);
        Some(object)
    }

    fn cleaned(&self, object: &Value) -> Value {
        if self.keep_managed_fields {
            return object.clone();
        }
        let mut object = object.clone();
        let drop = |object: &mut Value| {
            if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
                metadata.shift_remove("managedFields");
            }
        };
        drop(&mut object);
        object.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten().for_each(drop);
        object
    }
}

fn form(flags: &Flags, files: &dyn Files, tables: bool) -> Result<Form> {
    let output = flags.text("output");
    let template = flags.text("template");
    let (name, argument) = match output.split_once('=').filter(|(name, _)| !name.is_empty()) {
        Some((name, argument)) => (name, argument),
        None if output.is_empty() && !template.is_empty() => ("go-template", template),
        None => (output, template),
    };
    let missing_is_error = !flags.is("allow-missing-template-keys");
    let needs = |what: &str| match argument {
        "" => Err(Failure::new(format!("{what} format specified but no {} given", what.replace('-', " ")))),
        text => Ok(text),
    };
    let file = |path: &str| {
        let bytes = files.read(std::path::Path::new(path));
        let what = if name.starts_with("custom") { "template" } else { "--template" };
        let bytes = bytes.map_err(|fault| {
            Failure::new(format!("error reading {what} {path}, {}\n", Failure::opening(path, &fault).words()))
        })?;
        Ok::<String, Failure>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let jsonpath = |text: &str, as_json: bool| {
        jsonpath::Template::parse(text, missing_is_error).map(|template| Form::JsonPath(template, as_json))
    };
    match name.to_lowercase().as_str() {
        "" => Ok(Form::Human),
        "wide" if tables => Ok(Form::Wide),
        "name" => Ok(Form::Name),
        "json" => Ok(Form::Json),
        "yaml" => Ok(Form::Yaml),
        "kyaml" => Ok(Form::Kyaml),
        "jsonpath" => jsonpath(needs("template")?, false),
        "jsonpath-as-json" => jsonpath(needs("template")?, true),
        "jsonpath-file" => jsonpath(&file(needs("template")?)?, false),
        "go-template" | "template" => {
            template::Template::parse(needs("template")?, missing_is_error).map(Form::GoTemplate)
        }
        "go-template-file" | "templatefile" => {
            template::Template::parse(&file(needs("template")?)?, missing_is_error).map(Form::GoTemplate)
        }
        "custom-columns" if tables => {
            let no_headers = flags.is("no-headers");
            columns::Columns::parse(needs("custom-columns")?, no_headers).map(Form::Columns)
        }
        "custom-columns-file" if tables => {
            columns::Columns::parse_file(&file(needs("custom-columns")?)?, flags.is("no-headers")).map(Form::Columns)
        }
        _ => {
            let mut formats: Vec<&str> = FORMATS.to_vec();
            if tables {
                formats.extend(["custom-columns", "custom-columns-file", "wide"]);
            }
            formats.sort_unstable();
            let words = "unable to match a printer suitable for the output format";
            Err(Failure::new(format!("{words} {}, allowed formats are: {}", quote(output), formats.join(","))))
        }
    }
}

/// `deployment.apps/web scaled`; a list's objects each on a line.
pub fn names(object: &Value, done: &str) -> String {
    if let Some(items) = object.get("items").and_then(Value::as_array) {
        return items.iter().map(|item| names(item, done)).collect();
    }
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let group = text("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    let kind = text("/kind").to_lowercase();
    let kind = if group.is_empty() { kind } else { format!("{kind}.{group}") };
    let done = if done.is_empty() { String::new() } else { format!(" {done}") };
    let name = match text("/metadata/name") {
        "" => "<unknown>",
        name => name,
    };
    format!("{kind}/{name}{done}\n")
}

/// Indented JSON with sorted keys, as Go writes maps.
pub fn json_text(value: &Value) -> String {
    json_in_order(value, true)
}

/// Indented JSON with its keys as they stand, as Go writes structs.
pub fn typed_json(value: &Value) -> String {
    json_in_order(value, false)
}

fn json_in_order(value: &Value, sorted: bool) -> String {
    let mut text = String::new();
    write_json(value, 0, sorted, &mut text);
    text.push('\n');
    text
}

fn write_json(value: &Value, depth: usize, sorted: bool, text: &mut String) {
    let line = |depth: usize, text: &mut String| {
        text.push('\n');
        text.extend(std::iter::repeat_n("    ", depth));
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut keys: Vec<&String> = map.keys().collect();
            if sorted {
                keys.sort();
            }
            text.push('{');
            for (at, key) in keys.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                line(depth + 1, text);
                text.push_str(&json_string(key));
                text.push_str(": ");
                write_json(&map[key], depth + 1, sorted, text);
            }
            line(depth, text);
            text.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                line(depth + 1, text);
                write_json(item, depth + 1, sorted, text);
            }
            line(depth, text);
            text.push(']');
        }
        Value::String(string) => text.push_str(&json_string(string)),
        other => text.push_str(&other.to_string()),
    }
}

/// A JSON string as Go writes it: what HTML reads specially is escaped.
pub fn json_string(string: &str) -> String {
    Value::from(string)
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// JSON on one line with sorted keys, as Go's `json.Marshal` of a map.
pub fn json_line(value: &Value) -> String {
    compact(value, true)
}

fn compact(value: &Value, sorted: bool) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            if sorted {
                keys.sort();
            }
            let field = |key: &String| format!("{}:{}", json_string(key), compact(&map[key], sorted));
            format!("{{{}}}", keys.into_iter().map(field).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| compact(item, sorted)).collect::<Vec<_>>().join(","))
        }
        Value::String(string) => json_string(string),
        other => other.to_string(),
    }
}

/// A value as Go's `%#v` prints it: `map[string]interface {}{"a":1, "b":[]interface {}{"x", "y"}}`.
pub fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => super::failure::quote(text),
        Value::Array(items) => {
            format!("[]interface {{}}{{{}}}", items.iter().map(go_syntax).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let field = |key: &String| format!("{}:{}", super::failure::quote(key), go_syntax(&map[key]));
            let fields: Vec<String> = keys.into_iter().map(field).collect();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
        other => go_value(other),
    }
}
