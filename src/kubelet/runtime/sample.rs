//! Lately's CPU: what was used since it was asked before.
//!
//! In: the CPU time a container has used so far. Out: thousandths of a core.

use parking_lot::Mutex;

use crate::clock::{Clock, Tick};

/// A measurement to compare the next with.
#[derive(Clone, Copy)]
pub struct Sample {
    at: Tick,
    cpu_nanoseconds: u64,
    cpu_millis: i64,
}

/// Takes the place of the measurement before; 0 for the first.
pub fn cpu_millis(before: &Mutex<Option<Sample>>, cpu_nanoseconds: u64, clock: Clock) -> i64 {
    let mut before = before.lock();
    let passed = before.map(|sample| (clock.since(sample.at).as_nanos() as u64, sample));
    let cpu_millis = match passed {
        // Too short a time says nothing.
        Some((passed, sample)) if passed < 100_000_000 => return sample.cpu_millis,
        Some((passed, sample)) => {
            i64::try_from(cpu_nanoseconds.saturating_sub(sample.cpu_nanoseconds) * 1000 / passed).unwrap_or(i64::MAX)
        }
        None => 0,
    };
    *before = Some(Sample { at: clock.tick(), cpu_nanoseconds, cpu_millis });
    cpu_millis
}
