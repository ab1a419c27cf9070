//! What the cluster serves, and which resource a word means.
//!
//! In: the two aggregated discovery documents. Out: the [`Mapping`] that `po`, `pods`, `pod`,
//! `deployments.apps`, `deployments.v1.apps` or an object's apiVersion and kind stand for. Nothing here
//! knows a kind by name: a CustomResourceDefinition is found in the same way.

use std::sync::Arc;

use serde_json::Value;

use super::failure::{Failure, Result, quote};
use super::http::{Api, Call};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// How long the server may take to say what it serves.
pub const DISCOVERY_TIMEOUT: &str = "32s";

/// A resource and its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// API group; empty for the core.
    pub group: String,
    /// The version.
    pub version: String,
    /// `deployments`
    pub plural: String,
    /// `deployment`
    pub singular: String,
    /// `Deployment`
    pub kind: String,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// `create`, `delete`, …
    pub verbs: Vec<String>,
    /// `deploy`
    pub short_names: Vec<String>,
    /// `all`
    pub categories: Vec<String>,
    /// `scale`, `status`, …
    pub subresources: Vec<String>,
}

impl Mapping {
    /// A kind about which nothing else is known.
    pub fn of_kind_only(group: &str, version: &str, kind: &str) -> Mapping {
        Mapping {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: String::new(),
            singular: kind.to_lowercase(),
            kind: kind.to_owned(),
            namespaced: false,
            verbs: Vec::new(),
            short_names: Vec::new(),
            categories: Vec::new(),
            subresources: Vec::new(),
        }
    }

    /// `apps/v1`
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `apps/v1, Resource=deployments`, or `/v1, Resource=pods`.
    pub fn group_version_resource(&self) -> String {
        format!("{}/{}, Resource={}", self.group, self.version, self.plural)
    }

    /// `Deployment.apps`, or `Pod`.
    pub fn group_kind(&self) -> String {
        dotted(&self.kind, &self.group)
    }

    /// `deployments.apps`, or `pods`.
    pub fn group_resource(&self) -> String {
        dotted(&self.plural, &self.group)
    }

    /// `deployment.apps`, or `pod`: how answers name a kind.
    pub fn shown(&self) -> String {
        dotted(&self.kind.to_lowercase(), &self.group)
    }

    /// The path of a collection (`name` is `None`), an object, or its subresource.
    pub fn path(&self, namespace: &str, name: Option<&str>, subresource: &str) -> String {
        let root = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        let mut path = format!("{root}/{}", self.version);
        if self.namespaced && !namespace.is_empty() {
            path.push_str(&format!("/namespaces/{}", escape(namespace)));
        }
        path.push_str(&format!("/{}", self.plural));
        if let Some(name) = name {
            path.push_str(&format!("/{}", escape(name)));
        }
        if !subresource.is_empty() {
            path.push_str(&format!("/{subresource}"));
        }
        path
    }

    /// Whether the server does this with it.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }
}

fn dotted(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

/// A part of a path, with what is special there escaped.
pub fn escape(part: &str) -> String {
    let mut out = String::new();
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'~'
            | b'$'
            | b'&'
            | b'+'
            | b'='
            | b':'
            | b'@' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A group and its versions, the preferred one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Empty for the core.
    pub name: String,
    /// `v2`, `v1`
    pub versions: Vec<String>,
}

/// Everything a cluster serves.
#[derive(Clone, Debug, Default)]
pub struct Mapper {
    /// Groups in the server's order, the core first.
    pub groups: Vec<Group>,
    /// Resources of every group and version, in the server's order.
    pub mappings: Vec<Arc<Mapping>>,
}

impl Mapper {
    /// Asks the cluster.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn discover(api: &Api) -> Result<Mapper> {
        let ask = |path: &str| api.json(Call::get(path).query("timeout", DISCOVERY_TIMEOUT).accept(AGGREGATED));
        let (core, groups) = futures::try_join!(ask("/api"), ask("/apis"))?;
        let mut mapper = Mapper::default();
        mapper.read(&core);
        mapper.read(&groups);
        Ok(mapper)
    }

    fn read(&mut self, document: &Value) {
        for group in list(document, "items") {
            let name = group.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            let versions = list(group, "versions");
            let named = versions.iter().map(|version| text(version, "version"));
            self.groups.push(Group { name: name.to_owned(), versions: named.collect() });
            for version in versions {
                let resources = list(version, "resources");
                let mapping = |resource: &Value| Arc::new(mapping(name, &text(version, "version"), resource));
                self.mappings.extend(resources.iter().map(mapping));
            }
        }
    }

    /// The mapping of a kind, in the version asked for or the preferred one.
    pub fn of_kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Mapping>> {
        let fits = |mapping: &&Arc<Mapping>| {
            mapping.group == group && mapping.kind == kind && (version.is_empty() || mapping.version == version)
        };
        self.mappings.iter().find(fits).cloned()
    }

    /// The mapping of an object.
    ///
    /// # Errors
    /// When the cluster serves no such kind, in the words kubectl has for it.
    pub fn of_object(&self, object: &Value) -> Result<Arc<Mapping>> {
        let (api_version, kind) = (text(object, "apiVersion"), text(object, "kind"));
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
        self.of_kind(group, version, &kind).ok_or_else(|| {
            let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
            Failure::new(format!(
                "resource mapping not found for name: {} namespace: {} from \"SOURCE\": no matches for kind {} in version {}\nensure CRDs are installed first",
                quote(name), quote(namespace), quote(&kind), quote(&api_version),
            ))
        })
    }

    /// The mapping that a word of the command line names.
    ///
    /// # Errors
    /// When the cluster serves nothing of that name.
    pub fn named(&self, word: &str) -> Result<Arc<Mapping>> {
        let lower = word.to_lowercase();
        let mut parts = lower.splitn(3, '.');
        let (resource, second, third) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        if let (Some(version), Some(group)) = (second, third) {
            let found = self.find(resource, |mapping| mapping.version == version && mapping.group == group);
            if let Some(found) = found {
                return Ok(found);
            }
        }
        let (resource, group) = lower.split_once('.').unwrap_or((&lower, ""));
        let found = if group.is_empty() {
            self.find(resource, |_| true)
        } else {
            self.find(resource, |mapping| mapping.group == group)
                .or_else(|| self.find(resource, |mapping| mapping.group.starts_with(group)))
        };
        found.or_else(|| self.kind_named(word)).ok_or_else(|| {
            let (resource, group) = word.split_once('.').unwrap_or((word, ""));
            let place = if group.is_empty() { String::new() } else { format!(" in group {}", quote(group)) };
            Failure::new(format!("the server doesn't have a resource type {}{place}", quote(resource)))
        })
    }

    /// Other resources with the short name by which this one was found.
    pub fn also_short<'a>(&'a self, word: &str, found: &Mapping) -> Vec<&'a Mapping> {
        let has = |mapping: &Mapping| mapping.short_names.iter().any(|name| name == word);
        if !has(found) {
            return Vec::new();
        }
        let same = |one: &Mapping, other: &Mapping| one.group == other.group && one.plural == other.plural;
        let mut others: Vec<&Mapping> = Vec::new();
        for mapping in self.mappings.iter().filter(|mapping| has(mapping) && !same(mapping, found)) {
            if !others.iter().any(|known| same(known, mapping)) {
                others.push(mapping);
            }
        }
        others
    }

    fn find(&self, word: &str, fits: impl Fn(&Mapping) -> bool) -> Option<Arc<Mapping>> {
        let candidates = || self.mappings.iter().filter(|mapping| fits(mapping));
        let short = candidates().find(|mapping| mapping.short_names.iter().any(|name| name == word));
        let full = candidates().find(|mapping| mapping.plural == word || mapping.singular == word);
        full.or(short).cloned()
    }

    /// `Deployment`, `Deployment.apps`, `Deployment.v1.apps`.
    fn kind_named(&self, word: &str) -> Option<Arc<Mapping>> {
        let mut parts = word.splitn(3, '.');
        let (kind, second, third) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        if let (Some(version), Some(group)) = (second, third)
            && let Some(found) = self.of_kind(group, version, kind)
        {
            return Some(found);
        }
        let (kind, group) = word.split_once('.').unwrap_or((word, ""));
        self.mappings.iter().find(|m| m.kind == kind && (group.is_empty() || m.group == group)).cloned()
    }

    /// The resources of a category (`all`), or `None` when there is no such category.
    pub fn category(&self, name: &str) -> Option<Vec<Arc<Mapping>>> {
        let mut found: Vec<Arc<Mapping>> = Vec::new();
        for mapping in &self.mappings {
            let known = found.iter().any(|other| other.group == mapping.group && other.plural == mapping.plural);
            if mapping.categories.iter().any(|category| category == name) && !known {
                found.push(mapping.clone());
            }
        }
        (!found.is_empty()).then_some(found)
    }
}

fn mapping(group: &str, version: &str, resource: &Value) -> Mapping {
    let texts = |field: &str| {
        list(resource, field).iter().filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let kind = resource.pointer("/responseKind/kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let singular = text(resource, "singularResource");
    Mapping {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: text(resource, "resource"),
        singular: if singular.is_empty() { kind.to_lowercase() } else { singular },
        kind,
        namespaced: text(resource, "scope") == "Namespaced",
        verbs: texts("verbs"),
        short_names: texts("shortNames"),
        categories: texts("categories"),
        subresources: list(resource, "subresources").iter().map(|sub| text(sub, "subresource")).collect(),
    }
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mapper() -> Mapper {
        let resource = |plural: &str, kind: &str, short: &[&str]| {
            json!({"resource": plural, "singularResource": kind.to_lowercase(), "scope": "Namespaced",
                "responseKind": {"kind": kind}, "shortNames": short, "verbs": ["get"], "categories": ["all"]})
        };
        let group = |name: &str, resources: Vec<Value>| json!({"metadata": {"name": name}, "versions": [{"version": "v1", "resources": resources}]});
        let mut mapper = Mapper::default();
        mapper.read(&json!({"items": [group("", vec![resource("pods", "Pod", &["po"]), resource("events", "Event", &["ev"])])]}));
        mapper.read(&json!({"items": [group("apps", vec![resource("deployments", "Deployment", &["deploy"])]),
            group("events.k8s.io", vec![resource("events", "Event", &["ev"])])]}));
        mapper
    }

    #[test]
    fn a_word_names_a_resource_in_many_ways() {
        let mapper = mapper();
        for word in [
            "deploy",
            "deployment",
            "deployments",
            "Deployments",
            "deployments.apps",
            "deployment.v1.apps",
            "Deployment.apps",
        ] {
            assert_eq!(mapper.named(word).unwrap().group_resource(), "deployments.apps", "{word}");
        }
        assert_eq!(mapper.named("ev").unwrap().group, "");
        assert_eq!(mapper.named("events.events.k8s.io").unwrap().group, "events.k8s.io");
        let words = mapper.named("nothing.here").unwrap_err().words();
        assert_eq!(words, "the server doesn't have a resource type \"nothing\" in group \"here\"");
        assert_eq!(mapper.named("po").unwrap().path("a", Some("b/c"), "log"), "/api/v1/namespaces/a/pods/b%2Fc/log");
    }
}
