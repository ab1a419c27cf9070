//! A simulated container's output as a stream.
//!
//! In: a container, options. Out: lines, to the present or on to the container's end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;

use super::container::Container;
use crate::clock::Clock;
use crate::kubelet::runtime::{LogLine, LogOptions};

/// The lines that the options ask for, oldest first.
pub(super) fn lines(container: Arc<Container>, clock: Clock, options: LogOptions) -> BoxStream<'static, LogLine> {
    let mut lines = container.lines(clock.now());
    let last = lines.last().map(|line| line.at);
    let seen = lines.iter().filter(|line| Some(line.at) == last).count();
    if let Some(since) = options.since {
        lines.retain(|line| line.at >= since);
    }
    if let Some(tail) = options.tail {
        lines.drain(..lines.len().saturating_sub(tail));
    }
    let so_far = stream::iter(lines);
    if !options.follow {
        return so_far.boxed();
    }
    so_far.chain(follow(container, clock, last, seen)).boxed()
}

/// The lines after those already given (`seen` of them at the time `last`), until the container ends.
fn follow(
    container: Arc<Container>,
    clock: Clock,
    last: Option<Timestamp>,
    seen: usize,
) -> impl futures::Stream<Item = LogLine> {
    /// How soon an answered request shows in a log that is followed.
    const LOOK: Duration = Duration::from_millis(250);
    let state = (container, last, seen, VecDeque::new());
    stream::unfold(state, move |(container, mut last, mut seen, mut ready): (_, _, _, VecDeque<LogLine>)| async move {
        loop {
            if let Some(line) = ready.pop_front() {
                return Some((line, (container, last, seen, ready)));
            }
            let now = clock.now();
            let ended = Container::exit(&container, now).is_some();
            let lines = container.lines(now);
            let known = lines.iter().filter(|line| last.is_some_and(|last| line.at < last)).count();
            ready.extend(lines.into_iter().skip(known + seen));
            if let Some(newest) = ready.back().map(|line| line.at) {
                let same = ready.iter().filter(|line| line.at == newest).count();
                seen = if last == Some(newest) { seen + same } else { same };
                last = Some(newest);
            } else if ended {
                return None;
            } else {
                clock.sleep(LOOK).await;
            }
        }
    })
}
