//! The editor's calls: what is wrong with a text, and what may be typed next; and the files it edits.
//!
//! | call | answers |
//! |---|---|
//! | `POST yaml/check {"text", "namespace"}` | `{"marks": [{"line", "column", "message"}]}` |
//! | `POST yaml/complete {"text", "line", "column"}` | `{"begun", "choices": [{"insert", "name", "kind", "about"}]}` |
//! | `GET files?path=` | `{"path", "text", "start"}`; `start`: what the exercise gives |
//! | `POST files {"path", "text"}` | `{"path"}` |
//!
//! Fields and types come from the OpenAPI document that the cluster serves; what only the API server can
//! know (a value that is not allowed, a field that may not change) from a dry run. Nothing is kept.

mod places;
mod schema;

use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use http::{Request, header};
use parking_lot::Mutex;
use serde_json::{Value, json};

use self::places::{Part, Path, Typing};
use self::schema::Schema;
use super::Site;
use super::api::body;
use super::guard::Asked;
use super::terminal::home::Home;
use crate::api::yaml;
use crate::course::catalogue::{self, Catalogue};
use crate::error::{Error, Result};
use crate::kubectl::manifests;
use crate::kubectl::session::FileKind;

/// What is offered at most.
const MOST_CHOICES: usize = 60;
/// Documents of the cluster's OpenAPI that are kept.
const MOST_DOCUMENTS: usize = 16;

/// OpenAPI documents by their address, which names their contents.
#[derive(Default)]
pub struct Documents(Mutex<HashMap<String, Arc<Value>>>);

/// Answers `POST yaml/check`.
pub async fn check(site: &Site, asked: &Asked) -> Result<Value> {
    let asked = body(asked, r#"{"text": "kind: Pod"}"#)?;
    let text = asked["text"].as_str().unwrap_or_default().to_owned();
    let namespace = asked["namespace"].as_str().unwrap_or("default").to_owned();
    let here = site.clone();
    site.apart("yaml", async move {
        let mut marks = Vec::new();
        for document in manifests::split(&text) {
            let first = text[..document.as_ptr() as usize - text.as_ptr() as usize].matches('\n').count();
            let found = Checker { site: &here, namespace: &namespace, text: document }.marks().await;
            marks.extend(
                found
                    .into_iter()
                    .map(|(line, column, message)| json!({"line": first + line, "column": column, "message": message})),
            );
        }
        Ok(json!({"marks": marks}))
    })
    .await
}

/// Of `yaml: line 2: did not find …`: the line, from zero, and what is wrong there. The mark says the line of the
/// whole text; the parser knows its own document alone.
fn place_and_words(fault: &str) -> (usize, String) {
    let told = fault.split_once("line ").and_then(|(before, rest)| {
        let (line, what) = rest.split_once(": ")?;
        Some((line.parse::<usize>().ok()?, format!("{before}{what}")))
    });
    match told {
        Some((line, words)) => (line.saturating_sub(1), words),
        None => (0, fault.to_owned()),
    }
}

struct Checker<'c> {
    site: &'c Site,
    namespace: &'c str,
    text: &'c str,
}

type Mark = (usize, usize, String);

impl Checker<'_> {
    async fn marks(&self) -> Vec<Mark> {
        let value = match yaml::parse(self.text.as_bytes()) {
            Ok(value) => value,
            Err(fault) => {
                let (line, words) = place_and_words(&fault.to_string());
                return vec![(line, 0, words)];
            }
        };
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        for (field, found, example) in [("apiVersion", api_version, "v1"), ("kind", kind, "Pod")] {
            if found.is_empty() {
                return vec![(self.first_line(), 0, format!("{field} is missing, such as {field}: {example}"))];
            }
        }
        let Some(document) = self.site.openapi(api_version).await else {
            return vec![self.mark(&places::parse("apiVersion"), format!("this cluster does not serve {api_version}"))];
        };
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let Some(schema) = Schema::of(&document, group, version, kind) else {
            return vec![self.mark(&places::parse("kind"), format!("{api_version} has no kind {kind}"))];
        };
        let mut wrongs = Vec::new();
        schema.wrongs(&value, &mut Path::default(), &mut wrongs);
        if wrongs.is_empty() {
            return self.dry_run(&value, api_version, kind).await;
        }
        wrongs.into_iter().map(|wrong| self.mark(&wrong.path, wrong.message)).collect()
    }

    fn first_line(&self) -> usize {
        self.text.lines().position(|line| !line.trim().is_empty() && !line.starts_with('#')).unwrap_or(0)
    }

    fn mark(&self, path: &Path, message: String) -> Mark {
        let all = places::places(self.text);
        match places::nearest(&all, path) {
            Some(place) => (place.line, place.column, message),
            None => (self.first_line(), 0, message),
        }
    }

    /// What the API server says to it, without keeping anything.
    async fn dry_run(&self, value: &Value, api_version: &str, kind: &str) -> Vec<Mark> {
        let Some(path) = self.path(value, api_version, kind).await else { return Vec::new() };
        let request =
            Request::patch(format!("{path}?dryRun=All&fieldManager=tutor-editor&force=true&fieldValidation=Strict"))
                .header(header::CONTENT_TYPE, "application/apply-patch+yaml")
                .body(value.to_string().into_bytes());
        let Ok(request) = request else { return Vec::new() };
        match self.site.0.cluster.client("tutor-editor").request::<Value>(request).await {
            Err(kube::Error::Api(status)) => {
                // The namespace of an exercise that was not started yet is no fault of the text.
                if status.code == 404 {
                    return Vec::new();
                }
                let causes = status.details.as_ref().map(|details| details.causes.clone()).unwrap_or_default();
                let told = causes.iter().filter(|cause| !cause.field.is_empty());
                let marks: Vec<Mark> =
                    told.map(|cause| self.mark(&places::parse(&cause.field), cause.message.clone())).collect();
                if marks.is_empty() { vec![(self.first_line(), 0, status.message.clone())] } else { marks }
            }
            _ => Vec::new(),
        }
    }

    /// Where the object lives; `None` when that is not known yet.
    async fn path(&self, value: &Value, api_version: &str, kind: &str) -> Option<String> {
        let name = value.pointer("/metadata/name").and_then(Value::as_str)?;
        let root =
            if api_version.contains('/') { format!("/apis/{api_version}") } else { format!("/api/{api_version}") };
        let served = self.site.get_json(&root).await?;
        let resources = served["resources"].as_array()?;
        let resource =
            resources.iter().find(|one| one["kind"] == kind && !one["name"].as_str().unwrap_or("/").contains('/'))?;
        let plural = resource["name"].as_str()?;
        let namespace = value.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or(self.namespace);
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c));
        if !plain(name) || !plain(namespace) {
            return None;
        }
        Some(match resource["namespaced"].as_bool() {
            Some(true) => format!("{root}/namespaces/{namespace}/{plural}/{name}"),
            _ => format!("{root}/{plural}/{name}"),
        })
    }
}

impl Site {
    async fn get_json(&self, path: &str) -> Option<Value> {
        let request = Request::get(path).body(Vec::new()).ok()?;
        self.0.cluster.client("tutor-editor").request(request).await.ok()
    }

    /// The OpenAPI document of an apiVersion. Its address changes with its contents, so it is read once.
    async fn openapi(&self, api_version: &str) -> Option<Arc<Value>> {
        let place =
            if api_version.contains('/') { format!("apis/{api_version}") } else { format!("api/{api_version}") };
        let index = self.get_json("/openapi/v3").await?;
        let address = index["paths"].get(&place)?["serverRelativeURL"].as_str()?.to_owned();
        if let Some(known) = self.0.documents.0.lock().get(&address) {
            return Some(known.clone());
        }
        let document = Arc::new(self.get_json(&address).await?);
        let mut kept = self.0.documents.0.lock();
        if kept.len() >= MOST_DOCUMENTS {
            kept.clear();
        }
        kept.insert(address, document.clone());
        Some(document)
    }
}

/// Answers `POST yaml/complete`.
pub async fn complete(site: &Site, asked: &Asked) -> Result<Value> {
    let asked = body(asked, r#"{"text": "ki", "line": 0, "column": 2}"#)?;
    let text = asked["text"].as_str().unwrap_or_default().to_owned();
    let number = |field: &str| asked[field].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(0);
    let (line, column) = (number("line"), number("column"));
    let here = site.clone();
    site.apart("yaml", async move { Ok(offer(&here, &text, line, column).await) }).await
}

async fn offer(site: &Site, text: &str, line: usize, column: usize) -> Value {
    // The document that the line is in.
    let lines: Vec<&str> = text.lines().collect();
    let is_end = |line: &&str| line.trim_end() == "---" || line.starts_with("--- ");
    let first = lines.iter().take(line).rposition(&is_end).map_or(0, |at| at + 1);
    let last = lines.iter().skip(line).position(is_end).map_or(lines.len(), |at| line + at);
    let document = lines[first..last.max(first)].join("\n");
    let root = |key: &str| {
        let all = places::places(&document);
        all.into_iter()
            .find(|place| place.path.0 == [Part::Key(key.to_owned())])
            .map(|place| place.value)
            .unwrap_or_default()
    };
    let (api_version, kind) = (root("apiVersion"), root("kind"));
    let typing = places::typing(&document, line - first.min(line), column);
    let (begun, choices) = match typing {
        Typing::Value { path, begun } if path.to_string() == "kind" => (begun, kinds(site, &api_version).await),
        Typing::Value { path, begun } if path.to_string() == "apiVersion" => (begun, api_versions(site, &kind).await),
        Typing::Value { path, begun } => {
            let openapi = site.openapi(&api_version).await;
            (begun, schema_at(openapi.as_deref(), &api_version, &kind, &path).map_or_else(Vec::new, values))
        }
        Typing::Key { owner, begun, taken } => {
            let openapi = site.openapi(&api_version).await;
            let fields = match schema_at(openapi.as_deref(), &api_version, &kind, &owner) {
                Some(schema) => schema.fields().iter().map(field).collect(),
                None if owner.0.is_empty() => {
                    ["apiVersion", "kind", "metadata", "spec"].iter().map(|name| plain(name, "")).collect()
                }
                None => Vec::new(),
            };
            let free = |choice: &Value| !taken.iter().any(|name| choice["name"] == name.as_str());
            (begun, fields.into_iter().filter(free).collect())
        }
    };
    let fits = |choice: &Value| {
        choice["name"].as_str().is_some_and(|name| name.to_lowercase().starts_with(&begun.to_lowercase()))
    };
    let choices: Vec<Value> = choices.into_iter().filter(fits).take(MOST_CHOICES).collect();
    json!({"begun": begun, "choices": choices})
}

fn schema_at<'d>(document: Option<&'d Value>, api_version: &str, kind: &str, path: &Path) -> Option<Schema<'d>> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    Schema::of(document?, group, version, kind)?.at(path)
}

fn plain(name: &str, about: &str) -> Value {
    json!({"name": name, "insert": name, "kind": "", "about": about})
}

fn values(schema: Schema<'_>) -> Vec<Value> {
    schema.values().iter().map(|value| plain(value, "")).collect()
}

fn field(field: &schema::Field) -> Value {
    let insert = match field.kind.as_str() {
        "object" | "map" => format!("{}:\n  ", field.name),
        kind if kind.starts_with("[]") => format!("{}:\n  - ", field.name),
        _ => format!("{}: ", field.name),
    };
    let kind = if field.required { format!("{}, required", field.kind) } else { field.kind.clone() };
    json!({"name": field.name, "insert": insert, "kind": kind, "about": field.about})
}

/// The kinds of an apiVersion, or of the most usual ones.
async fn kinds(site: &Site, api_version: &str) -> Vec<Value> {
    let versions = if api_version.is_empty() { vec!["v1", "apps/v1", "batch/v1"] } else { vec![api_version] };
    let mut found = Vec::new();
    for version in versions {
        let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
        let served = site.get_json(&root).await.unwrap_or_default();
        for resource in served["resources"].as_array().into_iter().flatten() {
            let creates = resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|verb| verb == "create"));
            if let Some(kind) =
                resource["kind"].as_str().filter(|_| creates && !resource["name"].as_str().unwrap_or("/").contains('/'))
            {
                found.push(plain(kind, version));
            }
        }
    }
    found.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    found
}

/// The apiVersions that have a kind; all of them when none is named yet.
async fn api_versions(site: &Site, kind: &str) -> Vec<Value> {
    let index = site.get_json("/openapi/v3").await.unwrap_or_default();
    let places = index["paths"].as_object().cloned().unwrap_or_default();
    let versions = places.keys().filter_map(|place| {
        let version = place.strip_prefix("apis/").filter(|rest| rest.contains('/')).or(place.strip_prefix("api/"))?;
        Some(version.to_owned())
    });
    let mut found = Vec::new();
    for version in versions {
        let fits = kind.is_empty() || {
            let (group, plain) = version.rsplit_once('/').unwrap_or(("", &version));
            site.openapi(&version).await.is_some_and(|document| Schema::of(&document, group, plain, kind).is_some())
        };
        if fits {
            found.push(plain(&version, ""));
        }
    }
    found
}

/// Answers `GET files?path=`.
pub fn read_file(site: &Site, asked: &Asked) -> Result<Value> {
    let path = asked.query("path").unwrap_or_default();
    let inside = Home::inside(FilePath::new(""), &path);
    let home = site.0.terminals.home();
    let start = starting_text(&inside);
    let text = match home.kind(&inside) {
        Some(FileKind::File) => {
            let bytes =
                home.read(&inside).map_err(|fault| Error::new(format!("{path} cannot be read"), fault.to_string()))?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => start
            .clone()
            .ok_or_else(|| Error::new(format!("there is no file {path}"), "").hint("the terminal's ls lists them"))?,
    };
    Ok(json!({"path": inside, "text": text, "start": start}))
}

/// Answers `POST files`.
pub fn write_file(site: &Site, asked: &Asked) -> Result<Value> {
    let wish = body(asked, r#"{"path": "first-contact/hello.yaml", "text": "kind: Pod"}"#)?;
    let (Some(path), Some(text)) = (wish["path"].as_str(), wish["text"].as_str()) else {
        return Err(Error::new("a path and a text are needed", ""));
    };
    let inside = Home::inside(FilePath::new(""), path);
    let written = site.0.terminals.home().write(&inside, text.as_bytes());
    written.map_err(|fault| Error::new(format!("{path} cannot be written"), fault.to_string()))?;
    Ok(json!({"path": inside}))
}

/// What an exercise gives as the file at this path.
fn starting_text(inside: &FilePath) -> Option<String> {
    let exercise = Catalogue::get().ok()?.find(inside.parent()?.to_str()?).ok()?;
    let name = inside.file_name()?.to_str()?;
    catalogue::folder(exercise, "start").into_iter().find(|(file, _)| file == name).map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::place_and_words;

    #[test]
    fn a_mark_says_its_line_once() {
        let told = |text: &str, line, words: &str| assert_eq!(place_and_words(text), (line, words.to_owned()));
        told("yaml: line 8: mapping values are not allowed", 7, "yaml: mapping values are not allowed");
        told(
            "yaml: found character that cannot start any token",
            0,
            "yaml: found character that cannot start any token",
        );
    }
}
