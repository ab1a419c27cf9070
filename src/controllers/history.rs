//! ControllerRevisions: the templates a StatefulSet or DaemonSet has had, so that it can go back.
//!
//! Source: kube-controller-manager, pkg/controller/history.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::Resource;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use super::names;
use super::plan::{Action, Plan, owner_reference};

/// The label by which a Pod says from which revision it was made.
pub const HASH: &str = "controller-revision-hash";

/// The revisions an object owns, oldest first, and the one for its template now.
#[derive(Debug)]
pub struct History {
    /// All, the wanted one included.
    pub all: Vec<Arc<ControllerRevision>>,
    /// The name of the one for the template now.
    pub update: String,
    /// Its hash alone.
    pub hash: String,
}

/// Sorts the revisions and creates (or renumbers) the one for `template`.
pub fn follow<O>(owner: &O, template: &PodTemplateSpec, owned: Vec<Arc<ControllerRevision>>, plan: &mut Plan) -> History
where
    O: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let mut all = owned;
    all.sort_by_key(|revision| (revision.revision, revision.metadata.name.clone()));
    let data = data(template);
    let newest = all.last().and_then(|revision| revision.revision).unwrap_or(0);
    if let Some(known) = all.iter().find(|revision| revision.data.0 == data).cloned() {
        if known.revision.unwrap_or(0) < newest {
            let mut next = (*known).clone();
            next.revision = Some(newest + 1);
            plan.act(Action::update(&next));
        }
        let hash = known.metadata.labels.as_ref().and_then(|labels| labels.get(HASH)).cloned().unwrap_or_default();
        return History { update: known.metadata.name.clone().unwrap_or_default(), hash, all };
    }
    let hash = names::safe_encode(names::fnv(data.to_string().as_bytes()));
    let name = format!("{}-{hash}", owner.meta().name.as_deref().unwrap_or_default());
    let mut labels = template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
    labels.insert(HASH.into(), hash.clone());
    let revision = ControllerRevision {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: owner.meta().namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![owner_reference(owner)]),
            ..Default::default()
        },
        data: RawExtension(data),
        revision: Some(newest + 1),
    };
    plan.act(Action::create(&revision));
    all.push(Arc::new(revision));
    History { all, update: name, hash }
}

impl History {
    /// The template of a revision.
    pub fn template(&self, name: &str) -> Option<PodTemplateSpec> {
        let found = self.all.iter().find(|revision| revision.metadata.name.as_deref() == Some(name))?;
        let mut template = found.data.0["spec"]["template"].clone();
        template.as_object_mut()?.shift_remove("$patch");
        serde_json::from_value(template).ok()
    }

    /// Deletes the oldest revisions beyond `limit` that are not in `used`.
    pub fn clean_up(&self, limit: i32, used: &dyn Fn(&str) -> bool, plan: &mut Plan) {
        let name = |revision: &ControllerRevision| revision.metadata.name.clone().unwrap_or_default();
        let idle: Vec<_> = self.all.iter().filter(|r| name(r) != self.update && !used(&name(r))).collect();
        let surplus = idle.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        for revision in idle.into_iter().take(surplus) {
            plan.act(Action::delete::<ControllerRevision>(&revision.metadata));
        }
    }
}

/// What `kubectl rollout undo` applies: the template, to replace the one there is. Fields are in the
/// order of their names: who looks for the revision of a template compares bytes.
fn data(template: &PodTemplateSpec) -> Value {
    // Kubernetes types have string keys only, so they are always representable.
    let mut value = serde_json::to_value(template).unwrap_or_default();
    value["$patch"] = "replace".into();
    value.sort_all_objects();
    json!({ "spec": { "template": value } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_one_spelling() {
        let template = json!({ "spec": { "restartPolicy": "Always", "containers": [{ "name": "c", "image": "i" }] } });
        let text = data(&serde_json::from_value(template).unwrap()).to_string();
        let expected = r#"{"spec":{"template":{"$patch":"replace","spec":{"containers":[{"image":"i","name":"c"}],"restartPolicy":"Always"}}}}"#;
        assert_eq!(text, expected);
    }
}
