//! OpenAPI: every path and every field of the API, for clients that ask (`kubectl explain`, `kubectl
//! apply`, code generators).
//!
//! In: the resources that are served. Out: one version 3 document a group and version, their index, and
//! one version 2 document for all. The schemas come from [`super::schema`], the texts from
//! `k8s-openapi`, custom resources from their CustomResourceDefinition. Documents are large and
//! slow to make: whoever serves them keeps the bytes, by [`hash`].

mod components;
mod descriptions;
mod operations;
mod paths;
pub mod protobuf;
mod shared;

use self::operations::Operation;
use super::discovery;
use super::resource::Resource;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};
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
    for path in PLAIN {
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
        ["apis", group] if !discovery::groups(resources).contains(&group) => return None,
        _ => {
            let (operation, definition) = plain(path, Form::V3)?;
            let mut out = base();
            out["paths"][format!("/{path}/")] = paths::item(&[operation], &[], Form::V3);
            if let Some(definition) = definition {
                out["components"]["schemas"] = json!(components::only(&definition, Form::V3));
            }
            return Some(out);
        }
    };
    if served.is_empty() {
        return None;
    }
    let mut out = base();
    if served.iter().all(|resource| resource.custom) {
        out["info"] = json!({"title": "Kubernetes CRD Swagger", "version": "v0.1.0"});
        out["components"] = json!({});
    }
    out["paths"] = Value::Object(paths::paths(&served, Form::V3));
    out["components"]["schemas"] = json!(components::schemas(&served, Form::V3));
    Some(out)
}

/// `/openapi/v2`: one document for everything.
pub fn swagger(resources: &[Arc<Resource>]) -> Value {
    let mut served = paths::paths(resources, Form::V2);
    let mut definitions = components::schemas(resources, Form::V2);
    // A group of custom resources has no path of its own here.
    let known: Vec<Arc<Resource>> = resources.iter().filter(|resource| !resource.custom).cloned().collect();
    let groups = discovery::groups(&known).into_iter().filter(|group| !group.is_empty());
    let own = PLAIN.iter().map(|path| (*path).to_string()).chain(groups.map(|group| format!("apis/{group}")));
    for path in own {
        let Some((operation, definition)) = plain(&path, Form::V2) else { continue };
        served.insert(format!("/{path}/"), paths::item(&[operation], &[], Form::V2));
        definitions.extend(definition.map(|name| components::only(&name, Form::V2)).unwrap_or_default());
    }
    served.sort_keys();
    let parameters = shared::refer(&mut served);
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": SHORT_VERSION},
        "paths": served,
        "definitions": definitions,
        "parameters": parameters,
        "securityDefinitions": {"BearerToken": bearer_token()},
        "security": [{"BearerToken": []}],
    })
}

/// The version whose API this is.
pub const VERSION: &str = "v1.37.2";
/// As documents name it.
const SHORT_VERSION: &str = "1.37";
/// Paths that are no groups and have a document of their own.
const PLAIN: [&str; 5] = ["api", "apis", "version", ".well-known/openid-configuration", "openid/v1/jwks"];

fn bearer_token() -> Value {
    json!({"description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header"})
}

/// Changes when a document may have: of the resources below `path`, or of all for the empty path.
pub fn hash(resources: &[Arc<Resource>], path: &str) -> String {
    let mut digest = Sha512::new();
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
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": SHORT_VERSION}, "paths": {},
        "components": {"securitySchemes": {"BearerToken": bearer_token()}}})
}

/// What a path that is no resource answers, and the definition of it.
fn plain(path: &str, form: Form) -> Option<(Operation, Option<String>)> {
    const JSON: [&str; 1] = ["application/json"];
    let text = json!({"type": "string"});
    let meta = |kind: &str| Some(format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}"));
    Some(match path {
        "api" => (operations::roots(path, form), meta("APIVersions")),
        "apis" => (operations::roots(path, form), meta("APIGroupList")),
        "version" => {
            let info = "io.k8s.apimachinery.pkg.version.Info".to_string();
            let about = "get the version information for this server";
            let schema = form.reference(&info);
            let mut operation = operations::reading("version", about, "getCodeVersion", &JSON, &schema, form);
            if form == Form::V2 {
                operation.told["consumes"] = json!(JSON);
            }
            (operation, Some(info))
        }
        ".well-known/openid-configuration" => {
            let about = "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'";
            let id = "getServiceAccountIssuerOpenIDConfiguration";
            (operations::reading("WellKnown", about, id, &JSON, &text, form), None)
        }
        "openid/v1/jwks" => {
            let about = "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)";
            let (id, forms) = ("getServiceAccountIssuerOpenIDKeyset", ["application/jwk-set+json"]);
            (operations::reading("openid", about, id, &forms, &text, form), None)
        }
        group => (operations::group(group.strip_prefix("apis/")?, form), meta("APIGroup")),
    })
}

#[cfg(test)]
mod tests;
