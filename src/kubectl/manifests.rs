//! Objects from files: `-f web.yaml`, `-f folder/ -R`, `-f -`, `-k overlay/`.
//!
//! In: what `-f` and `-k` name, and the session's files. Out: objects in the order they stand, each with its source
//! for error messages. A List is taken apart. What is no object is told in kubectl's words.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::failure::{Failure, Result, quote};
use super::session::{FileKind, Files, Session};
use crate::api::{go_json, yaml};

mod fetch;
mod kustomize;

pub use kustomize::{build as kustomize, hash_with_name};

const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// An object and where it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The object.
    pub object: Value,
    /// `web.yaml`, or `STDIN`.
    pub source: String,
}

/// What `-f`, `-k` and `-R` say.
#[derive(Clone, Debug, Default)]
pub struct Sources<'a> {
    /// `-f`
    pub files: &'a [String],
    /// `-k`
    pub kustomize: &'a str,
    /// `-R`
    pub recursive: bool,
    /// `--validate`: a document must say what it is before anything else is asked of it.
    pub validated: bool,
}

impl Sources<'_> {
    /// True when no file is named.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.kustomize.is_empty()
    }

    /// Whether one file is named, which may hold one object.
    pub fn is_single(&self, files: &dyn Files) -> bool {
        let single = |name: &String| name != "-" && files.kind(Path::new(name)) == Some(FileKind::File);
        self.kustomize.is_empty() && self.files.len() == 1 && self.files.iter().all(single)
    }
}

/// Reads everything that is named. A failure stands where its file stood.
///
/// # Errors
/// When a name is wrong at all.
pub async fn read(session: &Session, sources: &Sources<'_>) -> Result<Vec<Result<Manifest>>> {
    if !sources.files.is_empty() && !sources.kustomize.is_empty() {
        return Err(Failure::new("only one of -f or -k can be specified"));
    }
    if !sources.kustomize.is_empty() {
        if sources.recursive {
            return Err(Failure::new("the -k flag can't be used with -f or -R"));
        }
        let objects = match kustomize::build(session.files.as_ref(), Path::new(sources.kustomize)) {
            Ok(objects) => objects,
            Err(failure) => return Ok(vec![Err(failure)]),
        };
        let source = sources.kustomize.to_owned();
        return Ok(objects.into_iter().map(|object| Ok(Manifest { object, source: source.clone() })).collect());
    }
    check(session.files.as_ref(), sources)?;
    let mut found = Vec::new();
    for name in sources.files {
        if name == "-" {
            documents(&session.read_stdin().await?, "STDIN", sources.validated, &mut found);
        } else if name.starts_with("http://") || name.starts_with("https://") {
            match fetch::read(session, name).await {
                Ok(bytes) => documents(&bytes, name, sources.validated, &mut found),
                Err(failure) => found.push(Err(failure)),
            }
        } else {
            for path in expand(session.files.as_ref(), Path::new(name), sources.recursive)? {
                let shown = path.to_string_lossy().into_owned();
                match session.files.read(&path) {
                    Ok(bytes) => documents(&bytes, &shown, sources.validated, &mut found),
                    Err(fault) => found.push(Err(Failure::new(format!("open {shown}: {fault}")))),
                }
            }
        }
    }
    Ok(found)
}

/// Fails when a name stands for no file at all. That is told before anything else.
///
/// # Errors
/// What is not there.
pub fn check(files: &dyn Files, sources: &Sources<'_>) -> Result {
    let is_file = |name: &&String| *name != "-" && !name.starts_with("http://") && !name.starts_with("https://");
    let expanded = sources.files.iter().filter(is_file).map(|name| expand(files, Path::new(name), sources.recursive));
    Failure::of(expanded.filter_map(std::result::Result::err).collect())
}

/// The files behind a name: itself, a folder's, or those that a pattern fits.
fn expand(files: &dyn Files, path: &Path, recursive: bool) -> Result<Vec<PathBuf>> {
    match files.kind(path) {
        Some(FileKind::File) => Ok(vec![path.to_path_buf()]),
        Some(FileKind::Folder) => {
            let mut found = Vec::new();
            walk(files, path, recursive, &mut found)?;
            if found.is_empty() {
                let words = format!(
                    "error reading {:?}: recognized file extensions are {EXTENSIONS:?}",
                    [path.to_string_lossy()]
                );
                return Err(Failure::new(
                    words
                        .replace(['"', ','], "")
                        .replace("json", ".json")
                        .replace("yaml", ".yaml")
                        .replace(" yml", " .yml"),
                ));
            }
            Ok(found)
        }
        None => {
            let found = matching(files, path);
            if found.is_empty() {
                return Err(Failure::new(format!("the path {} does not exist", quote(&path.to_string_lossy()))));
            }
            Ok(found)
        }
    }
}

fn walk(files: &dyn Files, folder: &Path, recursive: bool, found: &mut Vec<PathBuf>) -> Result {
    let names = files.list(folder).map_err(|fault| Failure::new(format!("open {}: {fault}", folder.display())))?;
    for name in names {
        let path = folder.join(&name);
        match files.kind(&path) {
            Some(FileKind::Folder) if recursive => walk(files, &path, recursive, found)?,
            Some(FileKind::File) => {
                let fits = path.extension().is_some_and(|end| EXTENSIONS.iter().any(|known| end == *known));
                if fits {
                    found.push(path);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A pattern with `*` and `?` in its last part.
fn matching(files: &dyn Files, pattern: &Path) -> Vec<PathBuf> {
    let folder = pattern.parent().unwrap_or(Path::new(""));
    let Some(last) = pattern.file_name().map(|name| name.to_string_lossy().into_owned()) else { return Vec::new() };
    if !last.contains(['*', '?']) {
        return Vec::new();
    }
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let names = files.list(listed).unwrap_or_default();
    names.into_iter().filter(|name| fits(last.as_bytes(), name.as_bytes())).map(|name| folder.join(name)).collect()
}

fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|at| fits(rest, &name[at..])),
        ([b'?', rest @ ..], [_, left @ ..]) => fits(rest, left),
        ([first, rest @ ..], [letter, left @ ..]) => first == letter && fits(rest, left),
        _ => false,
    }
}

/// The documents of a YAML or JSON text.
fn documents(bytes: &[u8], source: &str, validated: bool, found: &mut Vec<Result<Manifest>>) {
    let text = String::from_utf8_lossy(bytes);
    for document in split(&text) {
        let value = match parse(document) {
            Ok(Value::Null) => continue,
            Ok(value) => value,
            Err(why) => {
                found.push(Err(Failure::new(format!("error parsing {source}: {why}"))));
                return;
            }
        };
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
        if let Some(words) = unreadable(&value, source, validated) {
            found.push(Err(Failure::new(words)));
            continue;
        }
        let items = value.get("items").and_then(Value::as_array).filter(|_| kind.ends_with("List"));
        let of = |object: &Value| Ok(Manifest { object: object.clone(), source: source.to_owned() });
        match items {
            Some(items) => found.extend(items.iter().map(of)),
            None => found.push(of(&value)),
        }
    }
}

/// Why a document is no object that kubectl could send.
fn unreadable(value: &Value, source: &str, validated: bool) -> Option<String> {
    let says = |field: &str| value.get(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let missing: Vec<String> =
        ["apiVersion", "kind"].iter().filter(|field| !says(field)).map(|field| format!("{field} not set")).collect();
    let off = "if you choose to ignore these errors, turn validation off with --validate=false";
    match &missing[..] {
        _ if validated && !value.is_object() => {
            return Some(format!(
                "error validating {}: error validating data: invalid object to validate; {off}",
                quote(source)
            ));
        }
        [one] if validated => {
            return Some(format!("error validating {}: error validating data: {one}; {off}", quote(source)));
        }
        [_, _] if validated => {
            let all = missing.join(", ");
            return Some(format!("error validating {}: error validating data: [{all}]; {off}", quote(source)));
        }
        _ => {}
    }
    if !value.is_object() {
        let why =
            format!("json: cannot unmarshal {} into Go value of type unstructured.detector", go_json::kind_of(value));
        return Some(format!("unable to decode {}: {why}", quote(source)));
    }
    if !says("kind") {
        return Some(format!("unable to decode {}: Object 'Kind' is missing in '{value}'", quote(source)));
    }
    let wrong = ["name", "namespace"].into_iter().find_map(|field| {
        let is = match value.pointer(&format!("/metadata/{field}"))? {
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            Value::Object(_) => "object",
            Value::Array(_) => "array",
            Value::Null | Value::String(_) => return None,
        };
        Some(format!("json: cannot unmarshal {is} into Go struct field ObjectMeta.metadata.{field} of type string"))
    });
    wrong.map(|why| format!("unable to decode {}: {why}", quote(source)))
}

/// Whether a text begins as a JSON object does.
pub fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// One document as JSON.
///
/// # Errors
/// In the words of Kubernetes' YAML reader.
pub fn parse(document: &str) -> std::result::Result<Value, String> {
    let as_json = is_json(document);
    if as_json && let Ok(value) = serde_json::from_str(document) {
        return Ok(value);
    }
    yaml::parse(document.as_bytes()).map_err(|fault| match as_json {
        // What begins like JSON was meant as JSON.
        true => go_json::stream_error(document.as_bytes()),
        false => format!("error converting YAML to JSON: {fault}"),
    })
}

/// The texts between `---` lines that say anything.
pub fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            parts.push(&text[start..at]);
            start = at + line.len();
        }
        at += line.len();
    }
    parts.push(&text[start..]);
    let says = |part: &&str| part.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    parts.into_iter().filter(says).collect()
}
