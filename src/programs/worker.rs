//! `worker`: takes tasks from nowhere and says so, until it is asked to end.
//!
//! Environment: `TASK_SECONDS` (5), `TASKS` (for ever).

use std::time::Duration;

use super::time::pause;
use super::{asked_to_end, pod_name, print, version};

pub(super) fn main(_: &[String]) -> i32 {
    let asked = asked_to_end();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<f64>().ok());
    let wait = Duration::try_from_secs_f64(number("TASK_SECONDS").unwrap_or(5.0)).unwrap_or(Duration::from_secs(5));
    let tasks = number("TASKS").map_or(u64::MAX, |tasks| tasks as u64);
    let mut said = print(&format!("worker version {} on {}\n", version(), pod_name()));
    for _ in 0..tasks {
        said = said.and_then(|()| print("took a task\n"));
        if said.is_err() || !pause(wait, &asked) {
            break;
        }
    }
    i32::from(said.is_err())
}
