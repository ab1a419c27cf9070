//! Two texts beside each other as a unified diff, line for line as Go's `go-difflib` writes it (which
//! follows Python's `difflib`).
//!
//! In: two texts. Out: hunks with three lines around each change, no file header, empty when nothing
//! differs. It looks for the longest run of equal lines, then left and right of it. In a text of 200
//! lines or more, a line that stands in more than one in a hundred is too common to start a run.

use std::collections::HashMap;
use std::ops::Range;

/// Lines shown around a change.
const CONTEXT: usize = 3;

/// From this many lines on, common lines start no run.
const LONG: usize = 200;

/// What happens to a stretch of lines: the old ones' places and the new ones'.
#[derive(Clone, Debug)]
struct Step {
    equal: bool,
    old: Range<usize>,
    new: Range<usize>,
}

/// A run of equal lines.
#[derive(Clone, Copy)]
struct Run {
    old: usize,
    new: usize,
    length: usize,
}

/// The difference between two texts.
pub fn unified(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let mut text = String::new();
    for hunk in hunks(steps(&old, &new)) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { continue };
        let range = |start: usize, end: usize| match end - start {
            1 => format!("{}", start + 1),
            0 => format!("{start},0"),
            length => format!("{},{length}", start + 1),
        };
        let (was, now) = (range(first.old.start, last.old.end), range(first.new.start, last.new.end));
        text += &format!("@@ -{was} +{now} @@\n");
        for step in hunk {
            let mut lines =
                |sign: char, lines: &[&str]| lines.iter().for_each(|line| text += &format!("{sign}{line}\n"));
            if step.equal {
                lines(' ', &old[step.old]);
            } else {
                lines('-', &old[step.old]);
                lines('+', &new[step.new]);
            }
        }
    }
    text
}

/// Cuts long equal stretches, so that each hunk holds changes that are near each other.
fn hunks(mut steps: Vec<Step>) -> Vec<Vec<Step>> {
    let shorten = |step: &Step, from: usize, to: usize| Step {
        equal: true,
        old: step.old.start + from..step.old.start + to,
        new: step.new.start + from..step.new.start + to,
    };
    if let Some(first) = steps.first_mut().filter(|step| step.equal) {
        *first = shorten(first, first.old.len().saturating_sub(CONTEXT), first.old.len());
    }
    if let Some(last) = steps.last_mut().filter(|step| step.equal) {
        *last = shorten(last, 0, last.old.len().min(CONTEXT));
    }
    let (mut hunks, mut hunk) = (Vec::new(), Vec::new());
    for step in steps {
        if step.equal && step.old.len() > 2 * CONTEXT {
            hunk.push(shorten(&step, 0, CONTEXT));
            hunks.push(std::mem::take(&mut hunk));
            hunk.push(shorten(&step, step.old.len() - CONTEXT, step.old.len()));
        } else {
            hunk.push(step);
        }
    }
    hunks.push(hunk);
    hunks.retain(|hunk| hunk.iter().any(|step| !step.equal));
    hunks
}

fn steps(old: &[&str], new: &[&str]) -> Vec<Step> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, line) in new.iter().enumerate() {
        places.entry(line).or_default().push(place);
    }
    if new.len() >= LONG {
        places.retain(|_, places| places.len() <= new.len() / 100 + 1);
    }
    let mut runs = Vec::new();
    Search { old, new, places }.runs(0..old.len(), 0..new.len(), &mut runs);
    runs.push(Run { old: old.len(), new: new.len(), length: 0 });
    let mut steps: Vec<Step> = Vec::new();
    let (mut was, mut now) = (0, 0);
    for run in runs {
        if was < run.old || now < run.new {
            steps.push(Step { equal: false, old: was..run.old, new: now..run.new });
        }
        (was, now) = (run.old + run.length, run.new + run.length);
        match steps.last_mut().filter(|last| last.equal) {
            Some(last) => (last.old.end, last.new.end) = (was, now),
            None if run.length > 0 => steps.push(Step { equal: true, old: run.old..was, new: run.new..now }),
            None => {}
        }
    }
    steps
}

struct Search<'a> {
    old: &'a [&'a str],
    new: &'a [&'a str],
    places: HashMap<&'a str, Vec<usize>>,
}

impl Search<'_> {
    fn runs(&self, old: Range<usize>, new: Range<usize>, runs: &mut Vec<Run>) {
        let run = self.longest(&old, &new);
        if run.length == 0 {
            return;
        }
        if old.start < run.old && new.start < run.new {
            self.runs(old.start..run.old, new.start..run.new, runs);
        }
        runs.push(run);
        let (was, now) = (run.old + run.length, run.new + run.length);
        if was < old.end && now < new.end {
            self.runs(was..old.end, now..new.end, runs);
        }
    }

    /// The longest run that starts with uncommon lines, the first of equals; then grown over any lines.
    fn longest(&self, old: &Range<usize>, new: &Range<usize>) -> Run {
        let mut best = Run { old: old.start, new: new.start, length: 0 };
        let mut lengths: HashMap<usize, usize> = HashMap::new();
        for was in old.clone() {
            let mut next = HashMap::new();
            let places = self.places.get(self.old[was]).map_or(&[][..], Vec::as_slice);
            for &now in places.iter().filter(|place| new.contains(place)) {
                let length = now.checked_sub(1).and_then(|before| lengths.get(&before)).unwrap_or(&0) + 1;
                next.insert(now, length);
                if length > best.length {
                    best = Run { old: was + 1 - length, new: now + 1 - length, length };
                }
            }
            lengths = next;
        }
        while best.old > old.start && best.new > new.start && self.old[best.old - 1] == self.new[best.new - 1] {
            best = Run { old: best.old - 1, new: best.new - 1, length: best.length + 1 };
        }
        let same = |run: &Run| self.old[run.old + run.length] == self.new[run.new + run.length];
        while best.old + best.length < old.end && best.new + best.length < new.end && same(&best) {
            best.length += 1;
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_no_difference() {
        assert_eq!(unified("a\nb", "a\nb"), "");
    }

    #[test]
    fn a_change_stands_among_three_lines_on_each_side() {
        let lines = |middle: &str| format!("1\n2\n3\n4\n{middle}\n6\n7\n8\n9");
        assert_eq!(unified(&lines("five"), &lines("FIVE")), "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-five\n+FIVE\n 6\n 7\n 8\n");
    }

    #[test]
    fn far_changes_are_two_hunks_and_near_ones_are_one() {
        let old: Vec<String> = (1..=20).map(|n| n.to_string()).collect();
        let (mut far, mut near) = (old.clone(), old.clone());
        (far[0], far[19]) = ("x".into(), "y".into());
        near.remove(10);
        near.insert(4, "z".into());
        assert_eq!(unified(&old.join("\n"), &far.join("\n")).matches("@@ -").count(), 2);
        assert_eq!(
            unified(&old.join("\n"), &near.join("\n")),
            "@@ -2,13 +2,13 @@\n 2\n 3\n 4\n+z\n 5\n 6\n 7\n 8\n 9\n 10\n-11\n 12\n 13\n 14\n"
        );
    }

    #[test]
    fn a_line_that_comes_from_nothing_has_the_range_before_it() {
        assert_eq!(unified("a", "a\nb"), "@@ -1 +1,2 @@\n a\n+b\n");
    }
}
