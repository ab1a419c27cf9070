//! What ownership means for one object: a pure decision. Source: garbagecollector.go,
//! attemptToDeleteItem and attemptToOrphan.

use kube::api::{ObjectMeta, PropagationPolicy};

use super::{FOREGROUND, ORPHAN, has};

/// One of an object's owners, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It is there.
    Solid,
    /// It is gone; this was its uid.
    Gone(String),
    /// It is there only until its dependents are deleted.
    Waiting(String),
}

/// What to do with an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing.
    Keep,
    /// Take these owners off it: others are left.
    LeaveOwners(Vec<String>),
    /// Delete it.
    Delete(PropagationPolicy),
    /// Delete what it owns first.
    WakeDependents,
    /// Nothing it has to wait for is left: let it go.
    Finish,
    /// Set its dependents free, then let it go.
    Orphan,
}

/// The dependent keeps its owner (with this uid) from going in the foreground.
pub fn blocks(dependent: &ObjectMeta, owner: Option<&str>) -> bool {
    let mut references = dependent.owner_references.iter().flatten();
    references.any(|known| Some(known.uid.as_str()) == owner && known.block_owner_deletion == Some(true))
}

/// Decides about an object with these owners.
pub fn decide(meta: &ObjectMeta, owners: &[Owner], has_dependents: bool, is_blocked: bool) -> Decision {
    if meta.deletion_timestamp.is_some() {
        return match (has(meta, ORPHAN), has(meta, FOREGROUND), is_blocked) {
            (true, _, _) => Decision::Orphan,
            (false, true, true) => Decision::WakeDependents,
            (false, true, false) => Decision::Finish,
            (false, false, _) => Decision::Keep,
        };
    }
    if owners.is_empty() {
        return Decision::Keep;
    }
    let leaving: Vec<_> = owners
        .iter()
        .filter_map(|owner| match owner {
            Owner::Solid => None,
            Owner::Gone(uid) | Owner::Waiting(uid) => Some(uid.clone()),
        })
        .collect();
    if leaving.len() < owners.len() {
        return if leaving.is_empty() { Decision::Keep } else { Decision::LeaveOwners(leaving) };
    }
    let waiting = owners.iter().any(|owner| matches!(owner, Owner::Waiting(_)));
    Decision::Delete(match (waiting && has_dependents, has(meta, ORPHAN), has(meta, FOREGROUND)) {
        (true, _, _) | (false, false, true) => PropagationPolicy::Foreground,
        (false, true, _) => PropagationPolicy::Orphan,
        (false, false, false) => PropagationPolicy::Background,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn meta(deleting: bool, finalizers: &[&str]) -> ObjectMeta {
        let time = deleting.then_some("2026-01-01T00:00:00Z");
        serde_json::from_value(json!({ "name": "x", "deletionTimestamp": time, "finalizers": finalizers })).unwrap()
    }

    #[test]
    fn owners_decide() {
        let gone = Owner::Gone("a".into());
        let waiting = Owner::Waiting("b".into());
        let table = [
            (vec![], false, Decision::Keep),
            (vec![Owner::Solid], false, Decision::Keep),
            (vec![Owner::Solid, gone.clone()], false, Decision::LeaveOwners(vec!["a".into()])),
            (vec![gone.clone()], true, Decision::Delete(PropagationPolicy::Background)),
            (vec![gone, waiting.clone()], true, Decision::Delete(PropagationPolicy::Foreground)),
            (vec![waiting], false, Decision::Delete(PropagationPolicy::Background)),
        ];
        for (owners, dependents, expected) in table {
            assert_eq!(decide(&meta(false, &[]), &owners, dependents, false), expected, "{owners:?}");
        }
    }

    #[test]
    fn finalizers_decide_how_an_owner_goes() {
        assert_eq!(decide(&meta(true, &[ORPHAN]), &[], true, false), Decision::Orphan);
        assert_eq!(decide(&meta(true, &[FOREGROUND]), &[], true, true), Decision::WakeDependents);
        assert_eq!(decide(&meta(true, &[FOREGROUND]), &[], true, false), Decision::Finish);
        assert_eq!(decide(&meta(true, &["other"]), &[], true, true), Decision::Keep);
    }
}
