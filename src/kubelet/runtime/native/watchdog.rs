//! Limits where the kernel gives tutor no control group: measured, and enforced by hand.
//!
//! In: a container's limits, what its processes have used. Out: a verdict ten times a second: kill it (memory),
//! let it stand still for a while (CPU), or let it be. Coarser than the kernel: what happens between two looks is
//! seen at the next one. `Host::limits_said` tells the reader who watches. Chapter: `book/src/inside/runtime.md`.

use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};

use crate::kubelet::runtime::Resources;

/// How often is looked.
pub const LOOK: Duration = Duration::from_millis(100);
/// The longest pause at once: a signal to end must reach its process soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The CPU time that a container may use, as it comes and goes. It cannot be saved up for longer than one look.
#[derive(Debug, Default)]
pub struct Budget {
    /// In nanoseconds; below zero it has used what it did not have.
    left: i128,
    used: u64,
}

impl Budget {
    /// Counts what was used in the time that has passed: how long it must pause, if it must.
    pub fn spend(&mut self, limit_millis: i64, used_nanoseconds: u64, passed: Duration) -> Option<Duration> {
        let limit = i128::from(limit_millis.max(1));
        let income = |time: Duration| time.as_nanos() as i128 * limit / 1000;
        let spent = used_nanoseconds.saturating_sub(self.used);
        self.used = self.used.max(used_nanoseconds);
        self.left = (self.left + income(passed)).min(income(LOOK)) - i128::from(spent);
        let debt = u64::try_from(-self.left).ok().filter(|debt| *debt > 0)?;
        let pause = Duration::from_nanos(debt).mul_f64(1000.0 / limit as f64);
        Some(pause.min(LONGEST_PAUSE))
    }
}

/// Which limits nobody watches but tutor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a core.
    pub cpu: Option<i64>,
}

impl Watched {
    /// Of these limits, those that the kernel does not enforce.
    pub fn of(resources: &Resources, kernel_limits: impl Fn(&str) -> bool) -> Watched {
        let memory = resources.memory_limit_bytes.and_then(|limit| u64::try_from(limit).ok());
        Watched {
            memory: memory.filter(|_| !kernel_limits("memory")),
            cpu: resources.cpu_limit_millis.filter(|_| !kernel_limits("cpu")),
        }
    }

    /// True when there is nothing to watch.
    pub fn is_nothing(&self) -> bool {
        self.memory.is_none() && self.cpu.is_none()
    }
}

/// Lets these processes stand still, or go on. `now` tells which are the container's at this moment: a number
/// that was given to somebody else meanwhile is not among them.
pub fn signal_all(processes: &[u32], signal: Signal, now: impl Fn() -> Vec<u32>) {
    let held: Vec<_> = processes
        .iter()
        .filter_map(|number| {
            let pid = Pid::from_raw(i32::try_from(*number).ok()?)?;
            Some((*number, rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?))
        })
        .collect();
    let still = now();
    for (_, handle) in held.iter().filter(|(number, _)| still.contains(number)) {
        // One that has ended meanwhile needs no signal.
        let _ = rustix::process::pidfd_send_signal(handle, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn who_stays_below_the_limit_never_pauses() {
        let mut budget = Budget::default();
        for look in 1..100 {
            assert_eq!(budget.spend(200, look * 20 * MS, LOOK), None, "{look}");
        }
    }

    #[test]
    fn who_uses_a_core_may_run_a_fifth_of_the_time() {
        let mut budget = Budget::default();
        let (mut used, mut passed) = (0, Duration::ZERO);
        for _ in 0..200 {
            used += 100 * MS;
            let pause = budget.spend(200, used, LOOK).unwrap_or_default();
            passed += LOOK;
            // Nothing is used in the pause, and what it brings in pays the debt.
            budget.spend(200, used, pause);
            passed += pause;
        }
        let share = used as f64 / passed.as_nanos() as f64;
        assert!((0.19..0.22).contains(&share), "{share}");
    }

    #[test]
    fn quiet_times_are_not_saved_up_and_no_pause_is_long() {
        let mut budget = Budget::default();
        assert_eq!(budget.spend(500, 0, Duration::from_secs(3600)), None);
        assert_eq!(budget.spend(500, 10_000 * MS, LOOK), Some(LONGEST_PAUSE));
        let mut tiny = Budget::default();
        assert_eq!(tiny.spend(0, 100 * MS, LOOK), Some(LONGEST_PAUSE), "a limit of nothing is a very small one");
    }

    #[test]
    fn only_what_the_kernel_leaves_is_watched() {
        let resources =
            Resources { cpu_limit_millis: Some(100), memory_limit_bytes: Some(1 << 20), ..Resources::default() };
        assert!(Watched::of(&resources, |_| true).is_nothing());
        let memory = Watched::of(&resources, |name| name == "cpu");
        assert_eq!(memory, Watched { memory: Some(1 << 20), cpu: None });
        assert_eq!(Watched::of(&resources, |_| false).cpu, Some(100));
        assert!(Watched::of(&Resources::default(), |_| false).is_nothing());
    }
}
