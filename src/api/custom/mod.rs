//! Custom resources: what a version of a CustomResourceDefinition says besides the structure of its
//! objects, which is the [`Schema`](super::schema::Schema)'s.
//!
//! In: `spec.versions[i]`. Out: a [`Definition`] that hangs on the version's resource, read once and
//! asked for every request. Nothing here knows requests or the store.
//! Chapter: `book/src/inside/schema.md`.

pub mod coerce;
pub mod embedded;
pub mod format;
pub mod lists;
pub mod node;
pub mod rule_types;
pub mod rules;
pub mod value;

use self::node::Node;
use super::jsonpath::{self, JsonPath};
use super::meta;
use super::schema::SchemaRef;
use serde_json::Value;

/// One version of a custom resource.
#[derive(Debug)]
pub struct Definition {
    /// `additionalPrinterColumns`
    pub columns: Vec<Value>,
    /// `selectableFields`
    pub selectable: Vec<SelectableField>,
    /// `subresources.scale`
    pub scale: Option<ScalePaths>,
    /// The schema's rules about values.
    pub node: Node,
    /// `spec.conversion.webhook`, when a server converts between versions.
    pub conversion: Option<Value>,
    /// Which state of which definition this is.
    pub identity: String,
    /// The schema of the version that objects are stored in, where it is another.
    pub stored: Option<SchemaRef>,
    /// What every answer about the version warns of.
    pub deprecation: Option<String>,
}

/// A field that field selectors may name.
#[derive(Debug)]
pub struct SelectableField {
    /// `spec.color`
    pub name: String,
    path: JsonPath,
}

/// Where an object keeps what its `scale` shows; dotted, without the first dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// `spec.replicas`
    pub wanted: String,
    /// `status.replicas`
    pub running: String,
    /// `status.selector`
    pub selector: Option<String>,
}

impl Definition {
    /// Reads `version`, an element of `spec.versions` of a definition of `kind` in `group`.
    pub fn read(group: &str, kind: &str, version: &Value) -> Definition {
        let name = meta::text(version, &["name"]);
        let deprecated = version["deprecated"].as_bool().unwrap_or(false);
        let warning = match meta::text(version, &["deprecationWarning"]) {
            "" => format!("{group}/{name} {kind} is deprecated"),
            own => own.to_owned(),
        };
        let path = |field: &str| {
            let text = meta::text(version, &["subresources", "scale", field]).trim_start_matches('.');
            (!text.is_empty()).then(|| text.to_owned())
        };
        Definition {
            columns: meta::list(version, &["additionalPrinterColumns"]).to_vec(),
            selectable: meta::list(version, &["selectableFields"]).iter().filter_map(SelectableField::read).collect(),
            scale: path("specReplicasPath").map(|wanted| ScalePaths {
                wanted,
                running: path("statusReplicasPath").unwrap_or_default(),
                selector: path("labelSelectorPath"),
            }),
            conversion: None,
            stored: None,
            identity: String::new(),
            node: Node::read(&version["schema"]["openAPIV3Schema"]),
            deprecation: deprecated.then_some(warning),
        }
    }
}

impl SelectableField {
    fn read(field: &Value) -> Option<SelectableField> {
        let path = meta::text(field, &["jsonPath"]);
        let name = path.trim_start_matches('.').to_owned();
        Some(SelectableField { name, path: JsonPath::parse(path).ok()? })
    }

    /// The field's value in an object, as a selector compares it; empty when it is not there.
    pub fn value(&self, object: &Value) -> String {
        self.path.first(object).filter(|value| !value.is_null()).map(jsonpath::print).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_version_is_read() {
        let version = json!({
            "name": "v1", "deprecated": true, "selectableFields": [{"jsonPath": ".spec.color"}],
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}},
        });
        let definition = Definition::read("a.io", "Thing", &version);
        assert_eq!(definition.deprecation.as_deref(), Some("a.io/v1 Thing is deprecated"));
        assert_eq!(definition.selectable[0].value(&json!({"spec": {"color": "red"}})), "red");
        assert_eq!(definition.selectable[0].value(&json!({})), "");
        let scale = ScalePaths { wanted: "spec.n".into(), running: "status.n".into(), selector: None };
        assert_eq!(definition.scale, Some(scale));
    }
}
