//! Regular expressions as Go reads them, on Rust's engine.
//!
//! Both are linear-time and nearly the same language. Go's `\d`, `\w`, `\s` and `\b` know ASCII alone,
//! and inside a class `[`, `&&`, `--` and `~~` are ordinary letters.

use regex::Regex;

/// Compiles a Go expression.
///
/// # Errors
/// Go's words for what Go cannot read; the engine's for what only the engine cannot.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    if let Some(fault) = super::go_regex_error::find(pattern) {
        return Err(format!("error parsing regexp: {fault}"));
    }
    Regex::new(&translate(pattern)).map_err(|error| error.to_string())
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut letters = pattern.chars().peekable();
    let mut in_class = false;
    let mut first = false;
    while let Some(letter) = letters.next() {
        let at_start = std::mem::take(&mut first);
        match letter {
            '\\' => match letters.next() {
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str("[\\t\\n\\f\\r ]"),
                Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
                Some('b') if !in_class => out.push_str("(?-u:\\b)"),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' if !in_class => {
                (in_class, first) = (true, true);
                out.push('[');
                if letters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            '[' if letters.peek() == Some(&':') => {
                // A named class ends with the next bracket.
                out.push('[');
                for inner in letters.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            ']' if in_class && at_start => out.push_str("\\]"),
            ']' => {
                in_class = false;
                out.push(']');
            }
            '[' | '&' | '~' if in_class => out.extend(['\\', letter]),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_means_what_it_means_in_go() {
        for (pattern, text, matches) in [
            ("^[A-Z]{3}$", "ABC", true),
            (r"^\d+$", "٣", false),
            (r"^[\w.-]+$", "a.b-c", true),
            ("^[[]$", "[", true),
            ("^[]a]$", "]", true),
            ("^[[:alpha:]&&]+$", "a&", true),
        ] {
            assert_eq!(compile(pattern).unwrap().is_match(text), matches, "{pattern} {text}");
        }
        assert!(compile("(").is_err());
    }
}
