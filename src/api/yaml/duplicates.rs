//! Keys that a YAML document sets twice, all of them, where they stand.
//!
//! The reader of values knows only the first: it ends there. This walks over the document's events and
//! keeps the keys of every mapping that is open.

use std::collections::HashSet;

use granit_parser::{Event, Parser};

/// A mapping or a sequence that is open.
enum Open {
    /// The keys so far, whether a key comes next, and a key that was there before, with the line of its value.
    Mapping {
        keys: HashSet<String>,
        key_is_next: bool,
        again: Option<(usize, String)>,
    },
    Sequence,
}

/// The line (from 1) where the value of every second setting begins, and the key, in order.
pub fn of(text: &str) -> Vec<(usize, String)> {
    let mut open: Vec<Open> = Vec::new();
    let mut found = Vec::new();
    for read in Parser::new_from_str(text) {
        let Ok((event, span)) = read else { break };
        let starts =
            matches!(event, Event::Scalar(..) | Event::Alias(_) | Event::MappingStart(..) | Event::SequenceStart(..));
        if let Some(Open::Mapping { again: Some((line, _)), .. }) = open.last_mut()
            && starts
        {
            *line = span.start.line();
        }
        match event {
            Event::Scalar(key, ..) => {
                if let Some(Open::Mapping { keys, key_is_next: true, again }) = open.last_mut()
                    && !keys.insert(key.to_string())
                {
                    *again = Some((span.start.line(), key.to_string()));
                }
                node(&mut open, &mut found);
            }
            Event::Alias(_) => node(&mut open, &mut found),
            Event::MappingStart(..) => {
                open.push(Open::Mapping { keys: HashSet::new(), key_is_next: true, again: None });
            }
            Event::SequenceStart(..) => open.push(Open::Sequence),
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                node(&mut open, &mut found);
            }
            Event::DocumentEnd => break,
            _ => {}
        }
    }
    found
}

/// A node has ended: in a mapping, keys and values take turns.
fn node(open: &mut [Open], found: &mut Vec<(usize, String)>) {
    if let Some(Open::Mapping { key_is_next, again, .. }) = open.last_mut() {
        *key_is_next = !*key_is_next;
        if *key_is_next {
            found.extend(again.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_setting_is_found() {
        let text = "a: 1\nb: {x: 1, x: 2}\nl:\n- {k: a, v: a}\n- k: b\n  k: c\na: 2\na: 3\na:\n  z: 1\n  z:\n  - 1\n";
        let found: Vec<String> = of(text).into_iter().map(|(line, key)| format!("{line} {key}")).collect();
        assert_eq!(found, ["2 x", "6 k", "7 a", "8 a", "12 z", "10 a"]);
        assert!(of("a: {b: 1}\nc: {b: 1}\nd: a\n").is_empty());
    }
}
