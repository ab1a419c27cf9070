//! Resources: what a client can name in a path, and the kind behind it.
//!
//! Built-in resources come from `facts/resources.tsv` in the order `/apis` lists them; a
//! CustomResourceDefinition makes more at run time. One type serves both, shared as `Arc<Resource>`.

use super::custom::Definition;
use super::schema::{Schema, SchemaRef};
use std::sync::{Arc, LazyLock};

/// Whether objects live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In the cluster.
    Cluster,
}

/// A resource: `deployments` of `apps/v1`.
#[derive(Clone, Debug)]
pub struct Resource {
    /// API group; empty for the core.
    pub group: Arc<str>,
    /// Version that this resource is served in.
    pub version: Arc<str>,
    /// `deployments`
    pub plural: Arc<str>,
    /// `deployment`
    pub singular: Arc<str>,
    /// `Deployment`
    pub kind: Arc<str>,
    /// `DeploymentList`
    pub list_kind: Arc<str>,
    /// Where its objects live.
    pub scope: Scope,
    /// What may be done with it, sorted.
    pub verbs: Vec<Arc<str>>,
    /// `deploy`
    pub short_names: Vec<Arc<str>>,
    /// `all`
    pub categories: Vec<Arc<str>>,
    /// `deployments/scale`, `deployments/status`
    pub subresources: Vec<Subresource>,
    /// What its objects look like.
    pub schema: SchemaRef,
    /// Which group and version is in the store: resources that share it show the same objects.
    pub storage: Storage,
    /// Whether it comes from a CustomResourceDefinition.
    pub custom: bool,
    /// What the CustomResourceDefinition says besides the schema.
    pub definition: Option<Arc<Definition>>,
}

/// A resource under a resource: `scale` of `deployments`.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// `scale`
    pub name: Arc<str>,
    /// Group of its kind: `autoscaling`
    pub group: Arc<str>,
    /// Version of its kind: `v1`
    pub version: Arc<str>,
    /// `Scale`
    pub kind: Arc<str>,
    /// What may be done with it, sorted.
    pub verbs: Vec<Arc<str>>,
    /// What its bodies look like; `None` for connections (`exec`), whose kind is their query.
    pub schema: Option<SchemaRef>,
}

/// The stored form of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// API group of the stored objects.
    pub group: Arc<str>,
    /// Version of the stored objects.
    pub version: Arc<str>,
}

/// Kinds whose delete answers with the object; the others answer with a Status.
const RETURNED_BY_DELETE: &[(&str, &str)] = &[
    ("", "pods"),
    ("", "podtemplates"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("", "resourcequotas"),
    ("", "persistentvolumes"),
    ("", "persistentvolumeclaims"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "volumeattachments"),
    ("storage.k8s.io", "volumeattributesclasses"),
    ("resource.k8s.io", "deviceclasses"),
    ("resource.k8s.io", "resourceclaims"),
    ("resource.k8s.io", "resourceclaimtemplates"),
    ("resource.k8s.io", "resourceslices"),
];

impl Resource {
    /// Whether a delete answers with the object itself.
    pub fn is_returned_by_delete(&self) -> bool {
        !self.custom && RETURNED_BY_DELETE.contains(&(&*self.group, &*self.plural))
    }

    /// `apps/v1`, or `v1` for the core group: an object's `apiVersion`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The `apiVersion` of its objects in the store.
    pub fn stored_api_version(&self) -> String {
        api_version(&self.storage.group, &self.storage.version)
    }

    /// `deployments.apps`, or `pods` for the core group.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_string() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Whether its objects live in a namespace.
    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Whether `verb` is served.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| &**v == verb)
    }

    /// A subresource by its name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|sub| &*sub.name == name)
    }
}

impl Subresource {
    /// `autoscaling/v1`: the `apiVersion` of its bodies.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// Whether `verb` is served.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| &**v == verb)
    }
}

/// `group/version`, or the bare version for the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_string() } else { format!("{group}/{version}") }
}

/// The group and the version of an `apiVersion`.
pub fn parse_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// Every built-in resource in discovery order.
pub fn builtin() -> &'static [Arc<Resource>] {
    static BUILTIN: LazyLock<Vec<Arc<Resource>>> = LazyLock::new(read);
    &BUILTIN
}

static TABLE: &str = include_str!("facts/resources.tsv");

/// Resources whose objects are stored as another group or version: (group, version) → stored as.
const STORED_AS: [(&str, &str, &str, &str); 2] =
    [("events.k8s.io", "v1", "", "v1"), ("autoscaling", "v1", "autoscaling", "v2")];

/// Lines: `#group version`, then `name singular kind scope verbs shortNames categories kindGroup/kindVersion`,
/// a resource before its subresources.
fn read() -> Vec<Arc<Resource>> {
    let (mut group, mut version) = ("", "");
    let mut resources: Vec<Resource> = Vec::new();
    for line in TABLE.lines() {
        if let Some(header) = line.strip_prefix('#') {
            (group, version) = header.split_once('\t').unwrap_or(("", header));
            continue;
        }
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        let (name, singular, kind, scope, verbs) = (next(), next(), next(), next(), next());
        let (short_names, categories, of) = (next(), next(), next());
        if let Some((parent, name)) = name.split_once('/') {
            let (kind_group, kind_version) = of.split_once('/').unwrap_or((group, version));
            let schema = Schema::of_kind(kind_group, kind_version, kind);
            let sub = Subresource {
                name: name.into(),
                group: kind_group.into(),
                version: kind_version.into(),
                kind: kind.into(),
                verbs: list(verbs),
                schema,
            };
            if let Some(parent) = resources.iter_mut().rev().find(|r| &*r.plural == parent) {
                parent.subresources.push(sub);
            }
            continue;
        }
        resources.push(Resource {
            group: group.into(),
            version: version.into(),
            plural: name.into(),
            singular: singular.into(),
            kind: kind.into(),
            list_kind: format!("{kind}List").into(),
            scope: if scope == "n" { Scope::Namespaced } else { Scope::Cluster },
            verbs: list(verbs),
            short_names: list(short_names),
            categories: list(categories),
            subresources: Vec::new(),
            schema: Schema::of_kind(group, version, kind).unwrap_or_else(|| Arc::new(Schema::any())),
            storage: storage(group, version),
            custom: false,
            definition: None,
        });
    }
    resources.into_iter().map(Arc::new).collect()
}

fn storage(group: &str, version: &str) -> Storage {
    let stored = STORED_AS.iter().find(|(g, v, ..)| (*g, *v) == (group, version));
    let (group, version) = stored.map_or((group, version), |(_, _, g, v)| (*g, *v));
    Storage { group: group.into(), version: version.into() }
}

fn list(text: &str) -> Vec<Arc<str>> {
    text.split(',').filter(|item| !item.is_empty()).map(Arc::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_has_a_schema_and_its_subresources() {
        for resource in builtin() {
            assert!(resource.schema.field("metadata").is_some() || &*resource.kind == "Binding", "{}", resource.kind);
        }
        let pods = builtin().iter().find(|r| &*r.plural == "pods").unwrap();
        assert_eq!(pods.subresource("eviction").unwrap().api_version(), "policy/v1");
        assert!(pods.subresource("eviction").unwrap().schema.is_some());
        assert!(pods.subresource("exec").unwrap().schema.is_none());
        let events = builtin().iter().find(|r| &*r.group == "events.k8s.io").unwrap();
        assert_eq!(events.storage, Storage { group: "".into(), version: "v1".into() });
        assert_eq!(builtin().len(), 72);
    }
}
