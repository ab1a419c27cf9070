//! Whom the claims of a StatefulSet's Pods go with: `persistentVolumeClaimRetentionPolicy`, kept as owner references.
//!
//! A claim that goes with the set is owned by it; one that goes with a Pod that is scaled away, by that
//! Pod. The garbage collector does the rest. Source: stateful_set_utils.go,
//! updateClaimOwnerRefForSetAndPod. Pure.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::client::views::PodView;
use crate::controllers::plan::owner_reference;

/// The Pod of an ordinal, and whether the set still wants one there.
pub struct Place<'a> {
    /// The Pod.
    pub pod: &'a PodView,
    /// Its ordinal is one of the set's.
    pub wanted: bool,
}

/// Whether claims are deleted when the set is, and when it is scaled down.
fn deletes(set: &StatefulSet) -> (bool, bool) {
    let policy = set.spec.persistent_volume_claim_retention_policy.as_ref();
    let is_delete = |word: Option<&String>| word.is_some_and(|word| word == "Delete");
    (
        is_delete(policy.and_then(|policy| policy.when_deleted.as_ref())),
        is_delete(policy.and_then(|policy| policy.when_scaled.as_ref())),
    )
}

/// The claim with the owners that the policy wants; `None` when it has them, or when they are not this set's business.
pub fn owned(claim: &PersistentVolumeClaim, set: &StatefulSet, place: &Place<'_>) -> Option<PersistentVolumeClaim> {
    let (when_deleted, when_scaled) = deletes(set);
    let owners = claim.metadata.owner_references.as_deref().unwrap_or_default();
    let own = |owner: &OwnerReference| names_set(owner, set) || names_pod(owner, place.pod.metadata.name.as_deref());
    let uids = [set.metadata.uid.as_deref(), place.pod.metadata.uid.as_deref()];
    if owners.iter().any(|owner| own(owner) && !uids.contains(&Some(owner.uid.as_str()))) {
        // Of a set or Pod that is gone: the garbage collector's.
        return None;
    }
    let foreign = owners.iter().any(|owner| owner.controller == Some(true) && !own(owner));
    let wanted = if foreign {
        None
    } else if !place.wanted && when_scaled {
        Some(owner_reference(place.pod))
    } else {
        when_deleted.then(|| owner_reference(set))
    };
    let mut next: Vec<OwnerReference> = owners.iter().filter(|owner| !own(owner)).cloned().collect();
    let ours: Vec<&OwnerReference> = owners.iter().filter(|owner| own(owner)).collect();
    let same = match (&wanted, ours.as_slice()) {
        (None, []) => true,
        (Some(wanted), [known]) => known.uid == wanted.uid && known.controller == Some(true),
        _ => false,
    };
    if same {
        return None;
    }
    next.extend(wanted);
    let mut claim = claim.clone();
    claim.metadata.owner_references = Some(next);
    Some(claim)
}

/// The claim goes with an earlier Pod of this name: the next one must wait until it is gone.
pub fn is_stale(claim: &PersistentVolumeClaim, set: &StatefulSet, pod: &str) -> bool {
    let owners = claim.metadata.owner_references.as_deref().unwrap_or_default();
    deletes(set).1 && owners.iter().any(|owner| names_pod(owner, Some(pod)))
}

fn names_set(owner: &OwnerReference, set: &StatefulSet) -> bool {
    owner.kind == "StatefulSet"
        && owner.api_version.starts_with("apps/")
        && Some(&owner.name) == set.metadata.name.as_ref()
}

fn names_pod(owner: &OwnerReference, pod: Option<&str>) -> bool {
    owner.kind == "Pod" && owner.api_version == "v1" && Some(owner.name.as_str()) == pod
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn claim(owners: Value) -> PersistentVolumeClaim {
        serde_json::from_value(json!({ "metadata": { "name": "data-db-1", "ownerReferences": owners } })).unwrap()
    }

    fn owner(kind: &str, name: &str, uid: &str) -> Value {
        let version = if kind == "Pod" { "v1" } else { "apps/v1" };
        json!({ "apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true,
            "blockOwnerDeletion": true })
    }

    /// The kinds of owners that a claim gets from the policy, or `None` when it stays as it is.
    fn owners(policy: [&str; 2], wanted: bool, now: Value) -> Option<Vec<String>> {
        let set: StatefulSet = serde_json::from_value(json!({
            "metadata": { "name": "db", "uid": "s" },
            "spec": {
                "selector": {}, "template": {},
                "persistentVolumeClaimRetentionPolicy": { "whenDeleted": policy[0], "whenScaled": policy[1] },
            },
        }))
        .unwrap();
        let pod: PodView = serde_json::from_value(json!({ "metadata": { "name": "db-1", "uid": "p" } })).unwrap();
        let next = owned(&claim(now), &set, &Place { pod: &pod, wanted })?;
        Some(next.metadata.owner_references.unwrap().into_iter().map(|owner| owner.kind).collect())
    }

    #[test]
    fn the_policy_says_whom_a_claim_goes_with() {
        let (set, pod) = (owner("StatefulSet", "db", "s"), owner("Pod", "db-1", "p"));
        for (policy, wanted, now, then) in [
            (["Retain", "Retain"], true, json!([]), None),
            (["Retain", "Retain"], true, json!([set]), Some(vec![])),
            (["Delete", "Retain"], true, json!([]), Some(vec!["StatefulSet"])),
            (["Delete", "Retain"], true, json!([set]), None),
            (["Delete", "Retain"], false, json!([set]), None),
            (["Retain", "Delete"], true, json!([]), None),
            (["Retain", "Delete"], false, json!([]), Some(vec!["Pod"])),
            (["Retain", "Delete"], true, json!([pod]), Some(vec![])),
            (["Delete", "Delete"], false, json!([set]), Some(vec!["Pod"])),
            (["Delete", "Delete"], true, json!([pod]), Some(vec!["StatefulSet"])),
        ] {
            let then = then.map(|kinds| kinds.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(owners(policy, wanted, now.clone()), then, "{policy:?} {wanted} {now}");
        }
    }

    #[test]
    fn claims_of_others_are_left_alone() {
        let other = owner("Backup", "nightly", "b");
        assert_eq!(owners(["Delete", "Delete"], true, json!([other])), None);
        let both = json!([other, owner("StatefulSet", "db", "s")]);
        assert_eq!(owners(["Delete", "Delete"], true, both), Some(vec!["Backup".to_owned()]));
        assert_eq!(owners(["Delete", "Delete"], true, json!([owner("StatefulSet", "db", "gone")])), None);
    }
}
