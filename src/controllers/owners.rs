//! Who owns what: adoption and release by label selector.
//!
//! An object belongs to at most one controller. A controller whose selector matches an object
//! without one adopts it; one whose selector no longer matches its own object lets it go. Source:
//! kube-controller-manager, controller_ref_manager.go. Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::{Selector, SelectorExt};
use serde_json::json;

use super::plan::{Action, STRATEGIC, owner_reference};
use crate::client::{Informer, ObjectKey, Watched};

/// The owner that is this object's controller.
pub fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// The key of the object's controller, if that is of this kind.
pub fn controller_key(meta: &ObjectMeta, kind: &str) -> Option<ObjectKey> {
    let owner = controller_of(meta).filter(|owner| owner.kind == kind)?;
    Some(ObjectKey::new(meta.namespace.clone().unwrap_or_default(), owner.name.clone()))
}

/// The selector of an API object; `None` when it is malformed or (as for every workload) empty.
pub fn selector(labels: &LabelSelector) -> Option<Selector> {
    let selector = Selector::try_from(labels.clone()).ok()?;
    Some(selector).filter(|selector| !selector.selects_all())
}

/// Whether the selector matches the object's labels.
pub fn matches(selector: &Selector, meta: &ObjectMeta) -> bool {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    selector.matches(meta.labels.as_ref().unwrap_or(&NONE))
}

/// What a controller owns after adoption and release, and the patches that make it so.
#[derive(Debug)]
pub struct Claim<D> {
    /// The dependents, adopted ones included.
    pub owned: Vec<Arc<D>>,
    /// Patches to send.
    pub patches: Vec<Action>,
}

/// Goes through what `owner` owns and what nobody owns in its namespace.
pub fn claim<O, D>(owner: &O, selector: &Selector, dependents: &Informer<D>) -> Claim<D>
where
    O: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    D: Watched + Resource<DynamicType = ()> + Clone + std::fmt::Debug,
{
    let mut candidates = dependents.owned_by(owner.meta().uid.as_deref().unwrap_or_default());
    candidates.extend(dependents.orphans_in(owner.meta().namespace.as_deref().unwrap_or_default()));
    claim_from(owner, selector, candidates)
}

/// As [`claim`], from these candidates.
pub fn claim_from<O, D>(owner: &O, selector: &Selector, candidates: Vec<Arc<D>>) -> Claim<D>
where
    O: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    D: Resource<DynamicType = ()>,
{
    let uid = owner.meta().uid.as_deref().unwrap_or_default();
    let leaving = owner.meta().deletion_timestamp.is_some();
    let mut claim = Claim { owned: Vec::new(), patches: Vec::new() };
    for candidate in candidates {
        let meta = candidate.meta();
        match controller_of(meta) {
            Some(controller) if controller.uid != uid => {}
            Some(_) if matches(selector, meta) => claim.owned.push(candidate),
            Some(_) if leaving => {}
            Some(_) => claim.patches.push(release::<D>(meta, uid)),
            None if leaving || meta.deletion_timestamp.is_some() || !matches(selector, meta) => {}
            None => {
                claim.patches.push(adopt::<D>(meta, &owner_reference(owner)));
                claim.owned.push(candidate);
            }
        }
    }
    claim
}

fn adopt<D: Resource<DynamicType = ()>>(meta: &ObjectMeta, owner: &OwnerReference) -> Action {
    let patch = json!({ "metadata": { "uid": meta.uid, "ownerReferences": [owner] } });
    Action::patch::<D>(meta, "", STRATEGIC, patch)
}

fn release<D: Resource<DynamicType = ()>>(meta: &ObjectMeta, owner_uid: &str) -> Action {
    let gone = json!([{ "$patch": "delete", "uid": owner_uid }]);
    Action::patch::<D>(meta, "", STRATEGIC, json!({ "metadata": { "uid": meta.uid, "ownerReferences": gone } }))
}
