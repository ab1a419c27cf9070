//! OpenAPI: every path and every field of the API, for clients that ask (`kubectl explain`, `kubectl
//! apply`, code generators).
//!
//! In: the resources that are served. Out: one version 3 document a group and version, their index, and
//! one version 2 document for all. The schemas come from [`super::schema`], the texts from
//! `k8s-openapi`, custom resources from their CustomResourceDefinition. Documents are large and
//! slow to make: whoever serves them keeps the bytes, by [`hash`].

mod components;
mod descriptions;
mod paths;
pub mod protobuf;

use super::discovery;
use super::resource::Resource;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The two forms of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Swagger 2.0
    V2,
    /// OpenAPI 3.0
    V3,
}

impl Form {
    /// How a definition is pointed at.
    fn reference(self, name: &str) -> Value {
        match self {
            Form::V2 => json!({"$ref": format!("#/definitions/{name}")}),
            Form::V3 => json!({"$ref": format!("#/components/schemas/{name}")}),
        }
    }
}

/// `/openapi/v3`: where each group and version's document is.
pub fn index(resources: &[Arc<Resource>]) -> Value {
    let mut paths = Map::new();
    let mut add = |path: String| {
        let url = format!("/openapi/v3/{path}?hash={}", hash(resources, &path));
        paths.insert(path, json!({"serverRelativeURL": url}));
    };
    for path in ["api", "apis", "version", ".well-known/openid-configuration", "openid/v1/jwks", "logs"] {
        add(path.to_string());
    }
    for group in discovery::groups(resources) {
        if !group.is_empty() {
            add(format!("apis/{group}"));
        }
        for version in discovery::versions(resources, group) {
            add(document_path(group, version));
        }
    }
    json!({"paths": paths})
}

/// `/openapi/v3/{path}`: the document of `api/v1`, `apis/apps/v1`, `apis/apps`, `version`, …; `None` if
/// there is none.
pub fn document(resources: &[Arc<Resource>], path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').collect();
    let served: Vec<Arc<Resource>> = match parts[..] {
        ["api", version] => of(resources, "", version),
        ["apis", group, version] => of(resources, group, version),
        ["apis", group] if discovery::groups(resources).contains(&group) => return Some(plain(path)),
        ["api" | "apis" | "version" | "logs"] | [".well-known", _] | ["openid", ..] => return Some(plain(path)),
        _ => return None,
    };
    if served.is_empty() {
        return None;
    }
    let mut info = base();
    info["paths"] = Value::Object(paths::paths(&served, Form::V3));
    info["components"] = json!({"schemas": components::schemas(&served, resources, Form::V3)});
    Some(info)
}

/// `/openapi/v2`: one document for everything.
pub fn swagger(resources: &[Arc<Resource>]) -> Value {
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths::paths(resources, Form::V2),
        "definitions": components::schemas(resources, resources, Form::V2),
        "securityDefinitions": {"BearerToken": {
            "description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header"}},
        "security": [{"BearerToken": []}],
    })
}

/// The version whose API this is.
pub const VERSION: &str = "v1.37.2";

/// Changes when a document may have: of the resources below `path`, or of all for the empty path.
pub fn hash(resources: &[Arc<Resource>], path: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(VERSION);
    digest.update(path);
    for resource in resources.iter().filter(|r| document_path(&r.group, &r.version).starts_with(path)) {
        digest.update(&*resource.plural);
        for sub in &resource.subresources {
            digest.update(&*sub.name);
        }
        if let Some(source) = resource.schema.source() {
            digest.update(source.to_string());
        }
    }
    digest.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
}

fn document_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn of(resources: &[Arc<Resource>], group: &str, version: &str) -> Vec<Arc<Resource>> {
    resources.iter().filter(|r| &*r.group == group && &*r.version == version).cloned().collect()
}

fn base() -> Value {
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": {}, "components": {"schemas": {}}})
}

/// A document of one path that only reads.
fn plain(path: &str) -> Value {
    let mut document = base();
    let get = json!({"get": {"description": "get available information", "responses": {"200": {"description": "OK"}}}});
    document["paths"][format!("/{path}/")] = get;
    document
}

#[cfg(test)]
mod tests;
