//! Sets of completion indexes as a Job's status writes them, and the failures of one index.
//!
//! With `backoffLimitPerIndex` each index fails by itself. How often it did is kept on its newest
//! Pod, in two annotations; so the last failed Pod of an index stays until its successor, which
//! takes the count over, is there. Source: indexed_job_utils.go, backoff_utils.go. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::JobSpec;

use super::counting::{ended, is_failed, is_held};
use super::policy::{self, Failure};
use super::{FIRST_BACKOFF, LONGEST_BACKOFF, index};
use crate::client::views::PodView;

/// How often the index failed before this Pod.
pub const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// How often it failed in a way that does not count.
pub const IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// `0-2,4` as a set; what is not below `completions` is left out.
pub fn parse(text: &str, completions: i32) -> BTreeSet<i32> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse::<i32>().ok()?..=to.parse::<i32>().ok()?.min(completions - 1))
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// A set as `0,1,4-6`: runs of three or more are joined by a dash, as Kubernetes does.
pub fn format(indexes: &BTreeSet<i32>) -> String {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for &index in indexes {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == index => *end = index,
            _ => runs.push((index, index)),
        }
    }
    let text = |&(from, to): &(i32, i32)| match to - from {
        0 => from.to_string(),
        1 => format!("{from},{to}"),
        _ => format!("{from}-{to}"),
    };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}

fn noted(pod: &PodView, key: &str) -> i32 {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(key)).and_then(|text| text.parse().ok()).filter(|n| *n >= 0).unwrap_or(0)
}

/// This failed Pod was its index's last chance.
pub fn is_last(spec: &JobSpec, pod: &PodView) -> bool {
    let Some(limit) = spec.backoff_limit_per_index else { return false };
    match policy::failure(spec, pod) {
        Failure::FailIndex => true,
        Failure::Ignore => false,
        Failure::Count | Failure::FailJob(_) => noted(pod, FAILURES) >= limit,
    }
}

/// The last failed Pod of each index that waits for a successor.
pub fn waiting(spec: &JobSpec, pods: &[Arc<PodView>], settled: &BTreeSet<i32>) -> BTreeMap<i32, Arc<PodView>> {
    let mut waiting: BTreeMap<i32, Arc<PodView>> = BTreeMap::new();
    if spec.backoff_limit_per_index.is_none() {
        return waiting;
    }
    let order = |pod: &PodView| (noted(pod, FAILURES) + noted(pod, IGNORED), ended(pod));
    for pod in pods.iter().filter(|pod| is_held(pod) && is_failed(spec, pod)) {
        let Some(index) = index(pod).filter(|index| !settled.contains(index)) else { continue };
        let newer = waiting.get(&index).is_none_or(|known| order(known) <= order(pod));
        if newer {
            waiting.insert(index, pod.clone());
        }
    }
    waiting
}

/// When the successor of an index's last failed Pod may be made.
pub fn retry_at(last: &PodView) -> Option<Timestamp> {
    let failures = noted(last, FAILURES) + noted(last, IGNORED) + 1;
    after(ended(last)?, usize::try_from(failures).unwrap_or(1))
}

/// After failures the next Pod waits: 10 s, 20 s, 40 s, up to ten minutes after the last one.
pub fn after(last: Timestamp, failures: usize) -> Option<Timestamp> {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(30);
    let seconds = FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
    last.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// The annotations of an index's next Pod, given the failed one that it replaces.
pub fn annotations(spec: &JobSpec, replaced: Option<&PodView>) -> Vec<(&'static str, i32)> {
    let Some(pod) = replaced else { return vec![(FAILURES, 0)] };
    let ignored = i32::from(matches!(policy::failure(spec, pod), Failure::Ignore));
    let mut notes = vec![(FAILURES, noted(pod, FAILURES) + 1 - ignored)];
    notes.extend(Some((IGNORED, noted(pod, IGNORED) + ignored)).filter(|(_, count)| *count > 0));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_sets_read_as_kubernetes_writes_them() {
        for text in ["", "0", "0,1", "0-2,4", "3,7-9"] {
            assert_eq!(format(&parse(text, 10)), text);
        }
        assert_eq!(format(&parse("0,3-9,12", 5)), "0,3,4");
    }
}
