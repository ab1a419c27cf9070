//! One hint at a time, fitting the state the learner is in.
//!
//! In: the exercise's hints, the cluster, and how many were shown. Out: the next hint whose `when`
//! holds and which was not shown yet; when all that fit were shown, the last of them again.

use std::collections::BTreeSet;

use super::exercise::{Exercise, Hint};
use super::observer::Observer;
use super::target::Target;

/// A hint to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its place among the exercise's hints: what progress remembers.
    pub index: usize,
    /// What it says.
    pub say: String,
    /// How many more fit this state and were not shown.
    pub more: usize,
}

/// The next hint for the state of the cluster; `None` when no hint fits it.
pub async fn next(target: &Target, exercise: &Exercise, shown: &BTreeSet<usize>) -> Option<Shown> {
    let mut observer = Observer::new(target, &exercise.namespace);
    let mut fitting = Vec::new();
    for (index, hint) in exercise.hints.iter().enumerate() {
        if fits(&mut observer, hint).await {
            fitting.push(index);
        }
    }
    choose(&fitting, shown).map(|(index, more)| Shown { index, say: exercise.hints[index].say.trim().to_owned(), more })
}

async fn fits(observer: &mut Observer<'_>, hint: &Hint) -> bool {
    match &hint.when {
        Some(expression) => observer.is_true(expression).await,
        None => true,
    }
}

/// The first that was not shown, and how many follow it; the last again when all were.
fn choose(fitting: &[usize], shown: &BTreeSet<usize>) -> Option<(usize, usize)> {
    let fresh: Vec<usize> = fitting.iter().copied().filter(|index| !shown.contains(index)).collect();
    match fresh.first() {
        Some(first) => Some((*first, fresh.len() - 1)),
        None => fitting.last().map(|last| (*last, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_come_one_at_a_time() {
        let shown = |indices: &[usize]| indices.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(choose(&[0, 2], &shown(&[])), Some((0, 1)));
        assert_eq!(choose(&[0, 2], &shown(&[0])), Some((2, 0)));
        assert_eq!(choose(&[0, 2], &shown(&[0, 2])), Some((2, 0)));
        assert_eq!(choose(&[], &shown(&[])), None);
    }
}
