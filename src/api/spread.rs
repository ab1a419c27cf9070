//! Writing thousands of objects on all cores.
//!
//! In: objects, and how one is written. Out: the bytes of all, in their order. A list of 10,000 Pods as a Table is
//! work for a tenth of a second, and each Pod is work of its own.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

/// With fewer objects than this a thread costs more than it helps.
const OBJECTS_PER_THREAD: usize = 500;

/// The most that is set aside before it is known to be needed.
const ROOM_MAX: usize = 16 << 20;

/// Appends to `out` what `write` writes for each object, in their order. The caller's thread does its part.
///
/// # Panics
/// When `write` does.
pub fn each<T: Sync>(out: &mut Vec<u8>, objects: &[T], write: impl Fn(&mut Vec<u8>, &T) + Sync) {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = (objects.len() / OBJECTS_PER_THREAD).clamp(1, cores);
    let all = |out: &mut Vec<u8>, objects: &[T]| {
        let (mut objects, before) = (objects.iter(), out.len());
        objects.by_ref().take(1).for_each(|first| write(out, first));
        // Objects of one list are much alike; so the bytes need not move each time that there are twice as many.
        out.reserve(((out.len() - before) * objects.len()).min(ROOM_MAX));
        objects.for_each(|object| write(out, object));
    };
    thread::scope(|scope| {
        let mut parts = objects.chunks(objects.len().div_ceil(threads).max(1));
        let own = parts.next().unwrap_or_default();
        let begin = |objects| {
            scope.spawn(move || {
                let mut out = Vec::new();
                all(&mut out, objects);
                out
            })
        };
        let others: Vec<_> = parts.map(begin).collect();
        all(out, own);
        for other in others {
            out.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept_however_many_there_are() {
        let line = |out: &mut Vec<u8>, n: &usize| out.extend(format!("{n},").bytes());
        for count in [0, 1, OBJECTS_PER_THREAD, 5 * OBJECTS_PER_THREAD + 3] {
            let objects: Vec<usize> = (0..count).collect();
            let expected: String = objects.iter().map(|n| format!("{n},")).collect();
            let mut out = b"head:".to_vec();
            each(&mut out, &objects, line);
            assert_eq!(out, format!("head:{expected}").as_bytes(), "{count}");
        }
    }

    #[test]
    #[should_panic(expected = "the last one")]
    fn a_panic_of_one_part_is_the_caller_s() {
        let last = 4 * OBJECTS_PER_THREAD;
        each(&mut Vec::new(), &(0..=last).collect::<Vec<_>>(), |_, n| assert!(*n < last, "the last one"));
    }
}
