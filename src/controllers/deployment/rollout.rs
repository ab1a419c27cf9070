//! How many replicas each ReplicaSet of a Deployment gets.
//!
//! During a rolling update two promises hold at every moment: never more than `replicas + maxSurge`
//! Pods, never fewer available than `replicas - maxUnavailable`. Source:
//! pkg/controller/deployment/{rolling,recreate,sync}.go.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::sets::{MAX, Sets, annotation, desired, note, replicas};
use crate::controllers::plan::{Action, Note, Plan, reference};

/// Replicas the Deployment wants.
pub fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1)
}

/// `maxSurge` and `maxUnavailable` as counts; both zero would never move, so then one may be missing.
fn fenceposts(deployment: &Deployment) -> (i32, i32) {
    let strategy = deployment.spec.strategy.as_ref();
    if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate") {
        return (0, 0);
    }
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.clone()).unwrap_or_default();
    let quarter = || IntOrString::String("25%".into());
    let surge = resolve(&rolling.max_surge.unwrap_or_else(quarter), wanted(deployment), Round::Up);
    let unavailable = resolve(&rolling.max_unavailable.unwrap_or_else(quarter), wanted(deployment), Round::Down);
    (surge, if surge == 0 && unavailable == 0 { 1 } else { unavailable })
}

/// Which way a percentage rounds.
#[derive(Clone, Copy)]
pub enum Round {
    /// To the next count above.
    Up,
    /// To the next count below.
    Down,
}

/// A count, or a percentage of `total`.
pub fn resolve(value: &IntOrString, total: i32, round: Round) -> i32 {
    match value {
        IntOrString::Int(count) => *count,
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let share = percent * i64::from(total);
            let count = match round {
                Round::Up => (share + 99).div_euclid(100),
                Round::Down => share.div_euclid(100),
            };
            i32::try_from(count).unwrap_or(i32::MAX)
        }
    }
}

/// Pods beyond the wanted number that may exist.
pub fn max_surge(deployment: &Deployment) -> i32 {
    fenceposts(deployment).0
}

/// Pods below the wanted number that may be missing.
pub fn max_unavailable(deployment: &Deployment) -> i32 {
    fenceposts(deployment).1.min(wanted(deployment))
}

/// The new set's next size, from `now` replicas.
pub fn new_count(deployment: &Deployment, sets: &Sets, now: i32) -> i32 {
    let wanted = wanted(deployment);
    let recreate = deployment.spec.strategy.as_ref().and_then(|s| s.type_.as_deref()) == Some("Recreate");
    if recreate {
        return wanted;
    }
    let room = wanted + max_surge(deployment) - sets.total();
    if room <= 0 { now } else { now + room.min(wanted - now) }
}

/// Notes in a set what it was scaled for.
pub fn note_size(deployment: &Deployment, set: &mut ReplicaSet) -> bool {
    let wanted = wanted(deployment);
    note(set, wanted, wanted + max_surge(deployment))
}

/// Gives a set a size, if it has another.
fn resize(deployment: &Deployment, set: &Arc<ReplicaSet>, size: i32, plan: &mut Plan) -> Option<Arc<ReplicaSet>> {
    let mut scaled = (**set).clone();
    let noted = note_size(deployment, &mut scaled);
    let before = replicas(set);
    if before == size && !noted {
        return None;
    }
    scaled.spec.replicas = Some(size);
    let mut action = Action::update(&scaled);
    if before != size {
        let way = if before < size { "up" } else { "down" };
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let message = format!("Scaled {way} replica set {name} from {before} to {size}");
        action = action.said(Note::normal(reference(deployment), "ScalingReplicaSet", message));
    }
    plan.act(action);
    Some(Arc::new(scaled))
}

/// Scales the new set towards the wanted count. True when it did.
pub fn grow_new(deployment: &Deployment, sets: &mut Sets, plan: &mut Plan) -> bool {
    let Some(new) = sets.new.clone() else { return false };
    let now = replicas(&new);
    let wanted = wanted(deployment);
    let size = if now >= wanted { wanted } else { new_count(deployment, sets, now) };
    if size == now {
        return false;
    }
    sets.new = resize(deployment, &new, size, plan).or(Some(new));
    true
}

/// Scales old sets down as far as the promise of available Pods allows: first what does not work
/// anyway, then the oldest. True when it did.
pub fn shrink_old(deployment: &Deployment, sets: &mut Sets, plan: &mut Plan) -> bool {
    let Some(new) = sets.new.clone() else { return false };
    let total_old: i32 = sets.old.iter().map(|set| replicas(set)).sum();
    if total_old == 0 {
        return false;
    }
    let min_available = wanted(deployment) - max_unavailable(deployment);
    let allowed = sets.total() - min_available - (replicas(&new) - available(&new));
    if allowed <= 0 {
        return false;
    }
    let mut sizes: Vec<i32> = sets.old.iter().map(|set| replicas(set)).collect();
    let mut left = allowed;
    for (set, size) in sets.old.iter().zip(&mut sizes) {
        let broken = (*size - available(set)).clamp(0, left);
        *size -= broken;
        left -= broken;
    }
    let mut left = sets.all().map(|set| available(set)).sum::<i32>() - min_available;
    for size in &mut sizes {
        let fewer = (*size).clamp(0, left.max(0));
        *size -= fewer;
        left -= fewer;
    }
    let mut moved = false;
    for (set, size) in sets.old.iter_mut().zip(sizes) {
        if size < replicas(set)
            && let Some(scaled) = resize(deployment, set, size, plan)
        {
            *set = scaled;
            moved = true;
        }
    }
    moved
}

/// Scales all old sets to zero (Recreate). True when one was not there yet.
pub fn stop_old(deployment: &Deployment, sets: &mut Sets, plan: &mut Plan) -> bool {
    let mut moved = false;
    for set in sets.old.iter_mut().filter(|set| replicas(set) > 0) {
        if let Some(scaled) = resize(deployment, set, 0, plan) {
            *set = scaled;
            moved = true;
        }
    }
    moved
}

/// Follows a changed `spec.replicas` (or a pause): one active set takes it all; several, in the
/// middle of a rollout, share it in proportion to their sizes.
pub fn scale(deployment: &Deployment, sets: &mut Sets, plan: &mut Plan) {
    let wanted = wanted(deployment);
    let active: Vec<_> = sets.all().filter(|set| replicas(set) > 0).cloned().collect();
    if active.len() <= 1 {
        let only = active.first().cloned().or_else(|| sets.new.clone()).or_else(|| sets.old.last().cloned());
        if let Some(set) = only {
            apply(deployment, sets, &set, wanted, plan);
        }
        return;
    }
    let saturated = sets
        .new
        .as_ref()
        .is_some_and(|new| replicas(new) == wanted && desired(new) == Some(wanted) && available(new) == wanted);
    if saturated {
        for set in sets.active_old().cloned().collect::<Vec<_>>() {
            apply(deployment, sets, &set, 0, plan);
        }
        return;
    }
    share(deployment, sets, active, plan);
}

fn share(deployment: &Deployment, sets: &mut Sets, mut active: Vec<Arc<ReplicaSet>>, plan: &mut Plan) {
    let wanted = wanted(deployment);
    let allowed = if wanted > 0 { wanted + max_surge(deployment) } else { 0 };
    let to_add = allowed - active.iter().map(|set| replicas(set)).sum::<i32>();
    let age = |set: &ReplicaSet| set.metadata.creation_timestamp.clone().map(|time| time.0);
    active.sort_by(|a, b| {
        let (younger, older) = if to_add > 0 { (a, b) } else { (b, a) };
        replicas(b).cmp(&replicas(a)).then_with(|| age(older).cmp(&age(younger)))
    });
    let mut added = 0;
    let mut sizes = Vec::new();
    for set in &active {
        let more = fraction(deployment, set);
        let left = to_add - added;
        let more = match to_add {
            0 => 0,
            1.. => more.min(left),
            _ => more.max(left),
        };
        added += more;
        sizes.push(replicas(set) + more);
    }
    // What rounding left over goes to the largest.
    sizes[0] = (sizes[0] + to_add - added).max(0);
    for (set, size) in active.iter().zip(sizes) {
        apply(deployment, sets, set, size, plan);
    }
}

/// A set's share of a changed total.
fn fraction(deployment: &Deployment, set: &ReplicaSet) -> i32 {
    let wanted = wanted(deployment);
    let size = replicas(set);
    if wanted == 0 {
        return -size;
    }
    let status = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
    let before = annotation(&set.metadata, MAX).and_then(|max| max.parse().ok()).unwrap_or(status);
    if before == 0 {
        return 0;
    }
    let share = f64::from(size) * f64::from(wanted + max_surge(deployment)) / f64::from(before);
    #[allow(clippy::cast_possible_truncation, reason = "the float cast saturates, and counts are small")]
    let rounded = share.round() as i32;
    rounded - size
}

fn apply(deployment: &Deployment, sets: &mut Sets, set: &Arc<ReplicaSet>, size: i32, plan: &mut Plan) {
    let Some(scaled) = resize(deployment, set, size, plan) else { return };
    for slot in sets.old.iter_mut().chain(&mut sets.new) {
        if slot.metadata.uid == scaled.metadata.uid {
            *slot = scaled.clone();
        }
    }
}

fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn surge_rounds_up_and_unavailable_down() {
        // replicas, maxSurge, maxUnavailable → the two as counts.
        for (replicas, surge, unavailable, counts) in [
            (10, Value::Null, Value::Null, (3, 2)),
            (1, Value::Null, Value::Null, (1, 0)),
            (4, json!("25%"), json!("25%"), (1, 1)),
            (3, json!(0), json!("10%"), (0, 1)),
            (3, json!(0), json!(0), (0, 1)),
            (3, json!(2), json!(0), (2, 0)),
            (2, json!("100%"), json!(5), (2, 2)),
            (0, json!(1), json!(1), (1, 0)),
        ] {
            let rolling = json!({ "maxSurge": surge, "maxUnavailable": unavailable });
            let deployment: Deployment = serde_json::from_value(json!({ "spec": {
                "replicas": replicas, "selector": {}, "template": {},
                "strategy": { "type": "RollingUpdate", "rollingUpdate": rolling },
            } }))
            .unwrap();
            assert_eq!((max_surge(&deployment), max_unavailable(&deployment)), counts, "{replicas} {rolling}");
        }
    }
}
