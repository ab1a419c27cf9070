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
    /// Let it hold none of its owners up any more, then delete it in the foreground: a dependent of it
    /// waits too, so they may all wait for each other.
    BreakCircle,
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

/// An object's dependents, as far as its fate depends on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dependents {
    /// There are some.
    pub any: bool,
    /// Some keep it from going in the foreground.
    pub block: bool,
    /// Some wait for their own dependents.
    pub wait: bool,
}

/// Decides about an object with these owners.
pub fn decide(meta: &ObjectMeta, owners: &[Owner], dependents: Dependents) -> Decision {
    if meta.deletion_timestamp.is_some() {
        return match (has(meta, ORPHAN), has(meta, FOREGROUND), dependents.block) {
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
    if waiting && dependents.wait {
        return Decision::BreakCircle;
    }
    Decision::Delete(match (waiting && dependents.any, has(meta, ORPHAN), has(meta, FOREGROUND)) {
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
        for (owners, any, expected) in table {
            let dependents = Dependents { any, ..Dependents::default() };
            assert_eq!(decide(&meta(false, &[]), &owners, dependents), expected, "{owners:?}");
        }
    }

    #[test]
    fn those_who_may_wait_for_each_other_do_not() {
        let dependents = Dependents { any: true, block: true, wait: true };
        assert_eq!(decide(&meta(false, &[]), &[Owner::Waiting("b".into())], dependents), Decision::BreakCircle);
        assert_eq!(
            decide(&meta(false, &[]), &[Owner::Gone("b".into())], dependents),
            Decision::Delete(PropagationPolicy::Background)
        );
    }

    #[test]
    fn finalizers_decide_how_an_owner_goes() {
        let some = |block: bool| Dependents { any: true, block, wait: false };
        assert_eq!(decide(&meta(true, &[ORPHAN]), &[], some(false)), Decision::Orphan);
        assert_eq!(decide(&meta(true, &[FOREGROUND]), &[], some(true)), Decision::WakeDependents);
        assert_eq!(decide(&meta(true, &[FOREGROUND]), &[], some(false)), Decision::Finish);
        assert_eq!(decide(&meta(true, &["other"]), &[], some(true)), Decision::Keep);
    }
}
