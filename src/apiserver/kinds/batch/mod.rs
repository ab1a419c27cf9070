//! The `batch` group: work that ends.

pub mod cronjob;
pub mod job;
pub mod job_policies;
pub mod job_status;

use super::Strategy;

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "CronJob" => &cronjob::STRATEGY,
        "Job" => &job::STRATEGY,
        _ => return None,
    })
}
