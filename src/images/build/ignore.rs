//! `.dockerignore`: which files of the context count as not there; and patterns with `*`.
//!
//! Pure. Source: the Dockerfile reference, ".dockerignore file"; Go's `filepath.Match`, with `**` for any
//! number of folders. The last pattern that fits decides; what fits a folder fits what is in it.

use std::path::Path;

/// The patterns of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    parts: Vec<String>,
    keeps: bool,
}

impl Ignore {
    /// Reads the file.
    pub fn read(text: &str) -> Ignore {
        let pattern = |line: &str| {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                return None;
            }
            let (line, keeps) = line.strip_prefix('!').map_or((line, false), |rest| (rest.trim(), true));
            let mut parts: Vec<String> = Vec::new();
            for part in line.split('/').filter(|part| !part.is_empty() && *part != ".") {
                match part {
                    ".." => drop(parts.pop()),
                    part => parts.push(part.to_owned()),
                }
            }
            (!parts.is_empty()).then_some(Pattern { parts, keeps })
        };
        Ignore { patterns: text.lines().filter_map(pattern).collect() }
    }

    /// True when a path in the context is to be overlooked.
    pub fn overlooks(&self, path: &Path) -> bool {
        let parts: Vec<String> =
            path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        let fits = |pattern: &&Pattern| (1..=parts.len()).any(|end| fits_path(&pattern.parts, &parts[..end]));
        self.patterns.iter().rfind(fits).is_some_and(|pattern| !pattern.keeps)
    }

    /// True when nothing below an overlooked folder can be wanted.
    pub fn closes_folders(&self) -> bool {
        self.patterns.iter().all(|pattern| !pattern.keeps)
    }
}

fn fits_path(pattern: &[String], path: &[String]) -> bool {
    match (pattern.first(), path.first()) {
        (None, None) => true,
        (Some(any), _) if any == "**" => {
            fits_path(&pattern[1..], path) || (!path.is_empty() && fits_path(pattern, &path[1..]))
        }
        (Some(pattern_part), Some(part)) => fits(pattern_part, part) && fits_path(&pattern[1..], &path[1..]),
        _ => false,
    }
}

/// True when a text has a letter that makes it a pattern.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a name fits a pattern of `*`, `?`, `[a-z]`, `[^a]` and escaped letters.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // Where the last `*` was, and what it took: one star is enough to come back to.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(_) => one(&pattern[p..], name[n]),
            None => None,
        };
        match (step, star) {
            (Some(taken), _) => (p, n) = (p + taken, n + 1),
            (None, Some((at, taken))) => {
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|letter| *letter == '*')
}

/// How many letters of the pattern stand for this one; none when they do not.
fn one(pattern: &[char], letter: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == letter).then_some(2),
        ['[', ..] => {
            let end = pattern.iter().skip(2).position(|it| *it == ']')? + 2;
            let (not, set) = match pattern[1] {
                '^' => (true, &pattern[2..end]),
                _ => (false, &pattern[1..end]),
            };
            let mut at = 0;
            let mut found = false;
            while at < set.len() {
                if at + 2 < set.len() && set[at + 1] == '-' {
                    found |= (set[at]..=set[at + 2]).contains(&letter);
                    at += 3;
                } else {
                    found |= set[at] == letter;
                    at += 1;
                }
            }
            (found != not).then_some(end + 1)
        }
        [plain, ..] => (*plain == letter).then_some(1),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pattern_that_fits_decides() {
        let ignore = Ignore::read("# comment\n*.log\nbuild/\n**/cache\n!keep.log\n/deep/*.tmp\n./x\n");
        for (path, overlooked) in [
            ("a.log", true),
            ("keep.log", false),
            ("in/a.log", false),
            ("build/out/a", true),
            ("a/b/cache/c", true),
            ("cache", true),
            ("deep/a.tmp", true),
            ("deep/er/a.tmp", false),
            ("x", true),
            ("src", false),
        ] {
            assert_eq!(ignore.overlooks(Path::new(path)), overlooked, "{path}");
        }
        let only = Ignore::read("*\n!src\n");
        assert!(!only.overlooks(Path::new("src/a")) && only.overlooks(Path::new("b")) && !only.closes_folders());
    }

    #[test]
    fn names_fit_patterns() {
        for (pattern, name, expected) in [
            ("*.py", "a.py", true),
            ("*.py", "a.pyc", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("a*b*c", "axxbxxc", true),
            ("a*b*c", "axxcxxb", false),
            ("\\*", "*", true),
            ("*", "", true),
            ("[a", "a", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
