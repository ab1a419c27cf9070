//! Shell patterns: `*`, `?`, `[a-z]`. Pure, but for [`files`], which looks at folders.

use std::path::Path;

/// A character, and whether it was quoted: a quoted one means itself.
pub type Mark = (char, bool);

/// True when nothing in it is a pattern.
pub fn is_plain(pattern: &[Mark]) -> bool {
    !pattern.iter().any(|(c, quoted)| !quoted && matches!(c, '*' | '?' | '['))
}

/// Whether the pattern fits all of the text.
pub fn matches(pattern: &[Mark], text: &[char]) -> bool {
    // Where to go on when what follows the last `*` does not fit: the `*` takes one character more.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        let fits = match pattern.get(p) {
            Some(('*', false)) => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(('?', false)) => Some(p + 1),
            Some(('[', false)) => set(pattern, p, text[t]),
            Some((c, _)) if *c == text[t] => Some(p + 1),
            _ => None,
        };
        match (fits, star) {
            (Some(next), _) => {
                p = next;
                t += 1;
            }
            (None, Some((from, taken))) => {
                star = Some((from, taken + 1));
                p = from + 1;
                t = taken + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|mark| *mark == ('*', false))
}

/// Where a set ends, if the character is in it; a `[` that is never closed means itself.
fn set(pattern: &[Mark], at: usize, c: char) -> Option<usize> {
    let negated = matches!(pattern.get(at + 1), Some(('!' | '^', false)));
    let start = at + 1 + usize::from(negated);
    let Some(end) = pattern[start..].iter().skip(1).position(|mark| *mark == (']', false)) else {
        return (c == '[').then_some(at + 1);
    };
    let end = start + 1 + end;
    let (mut i, mut found) = (start, false);
    while i < end {
        if i + 2 < end && pattern[i + 1] == ('-', false) {
            found |= (pattern[i].0..=pattern[i + 2].0).contains(&c);
            i += 3;
        } else {
            found |= pattern[i].0 == c;
            i += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

/// The paths that fit, sorted; none when none does.
pub fn files(pattern: &[Mark], cwd: &Path) -> Vec<String> {
    let absolute = pattern.first().is_some_and(|(c, _)| *c == '/');
    let mut found = vec![if absolute { "/".to_owned() } else { String::new() }];
    for part in pattern.split(|(c, _)| *c == '/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for base in &found {
            let join = |name: &str| match base.as_str() {
                "" => name.to_owned(),
                base if base.ends_with('/') => format!("{base}{name}"),
                base => format!("{base}/{name}"),
            };
            if is_plain(part) {
                let path = join(&part.iter().map(|(c, _)| *c).collect::<String>());
                if cwd.join(&path).symlink_metadata().is_ok() {
                    next.push(path);
                }
                continue;
            }
            let Ok(entries) = std::fs::read_dir(cwd.join(base)) else { continue };
            for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
                let hidden = name.starts_with('.') && part[0].0 != '.';
                if !hidden && matches(part, &name.chars().collect::<Vec<_>>()) {
                    next.push(join(&name));
                }
            }
        }
        found = next;
    }
    found.retain(|path| !path.is_empty());
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_texts() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*c", "abcbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("[", "[", true),
            ("*.txt", "a.txt.gz", false),
            ("**a*", "bbab", true),
        ] {
            let marks: Vec<Mark> = pattern.chars().map(|c| (c, false)).collect();
            assert_eq!(matches(&marks, &text.chars().collect::<Vec<_>>()), fits, "{pattern} {text}");
        }
        assert!(!matches(&[('*', true)], &['a']));
    }
}
