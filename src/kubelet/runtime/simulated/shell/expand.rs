//! What stands behind a `$`: variables, defaults, what a command prints, sums.
//!
//! In: a word as it was read. Out: the word as a command sees it. What runs inside `$(…)` takes its time and writes its
//! files like any command; its variables are its own. Source: POSIX, word expansions.

use super::super::syntax::{enclosed, parse, unquote};
use super::{Flow, Machine};
use crate::kubelet::runtime::Stream;

impl Machine<'_> {
    /// Puts in variables and what commands print: `$NAME`, `${NAME}`, `${NAME:-else}`, `$(command)`, `$((1 + 2))`, `$?`.
    /// `None`: past the time that was asked about.
    pub(super) fn expand(&mut self, word: &str) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = word;
        while let Some(at) = rest.find('$') {
            expanded.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some((inside, after)) = enclosed(rest).filter(|_| rest.starts_with('(')) {
                expanded.push_str(&self.substitute(inside.trim())?);
                rest = after;
            } else if let Some((inside, after)) = enclosed(rest).filter(|_| rest.starts_with('{')) {
                expanded.push_str(&self.parameter(inside)?);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('?') {
                expanded.push_str(&self.status.to_string());
                rest = after;
            } else {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                expanded.push_str(self.variable(&rest[..end]));
                rest = &rest[end..];
            }
        }
        expanded.push_str(rest);
        Some(unquote(&expanded))
    }

    fn variable(&self, name: &str) -> &str {
        self.played.env.get(name).map_or("", String::as_str)
    }

    /// What is inside `$(…)`: as Kubernetes means it, a variable; else as a shell does, what a command prints.
    fn substitute(&mut self, inside: &str) -> Option<String> {
        match inside {
            "hostname" => return Some(self.variable("HOSTNAME").to_owned()),
            "date" => return Some(format!("{}s", self.at.as_secs())),
            name if self.played.env.contains_key(name) => return Some(self.variable(name).to_owned()),
            sum if sum.starts_with('(') && sum.ends_with(')') => return self.arithmetic(&sum[1..sum.len() - 1]),
            _ => {}
        }
        let (env, before) = (self.played.env.clone(), self.played.lines.len());
        match self.run(&parse(inside)) {
            Flow::Go => {}
            Flow::Exit(code) => self.status = code,
            Flow::Later => return None,
        }
        self.played.env = env;
        let (printed, complaints): (Vec<_>, Vec<_>) =
            self.played.lines.split_off(before).into_iter().partition(|line| line.stream == Stream::Stdout);
        self.played.lines.extend(complaints);
        let printed: Vec<String> = printed.into_iter().map(|line| line.text).collect();
        Some(printed.join("\n").trim_end_matches('\n').to_owned())
    }

    /// What is inside `$((…))`: whole numbers, names, `+ - * / %` and brackets.
    fn arithmetic(&mut self, inside: &str) -> Option<String> {
        let text = self.expand(inside)?;
        let mut rest = text.as_str();
        match self.sum(&mut rest).filter(|_| rest.trim().is_empty()) {
            Some(value) => Some(value.to_string()),
            None => {
                self.print(Stream::Stderr, &format!("sh: arithmetic syntax error: {inside}"));
                self.status = 2;
                Some(String::new())
            }
        }
    }

    fn sum(&self, rest: &mut &str) -> Option<i64> {
        let mut value = self.product(rest)?;
        while let Some(operator) = take(rest, &['+', '-']) {
            let next = self.product(rest)?;
            value = if operator == '+' { value.checked_add(next)? } else { value.checked_sub(next)? };
        }
        Some(value)
    }

    fn product(&self, rest: &mut &str) -> Option<i64> {
        let mut value = self.number(rest)?;
        while let Some(operator) = take(rest, &['*', '/', '%']) {
            let next = self.number(rest)?;
            value = match operator {
                '*' => value.checked_mul(next)?,
                '/' => value.checked_div(next)?,
                _ => value.checked_rem(next)?,
            };
        }
        Some(value)
    }

    /// A number, a variable (one that is none counts as 0), or a sum in brackets.
    fn number(&self, rest: &mut &str) -> Option<i64> {
        if take(rest, &['(']).is_some() {
            let value = self.sum(rest)?;
            return take(rest, &[')']).map(|_| value);
        }
        if take(rest, &['-']).is_some() {
            return self.number(rest)?.checked_neg();
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        *rest = after;
        match word.starts_with(|c: char| c.is_ascii_digit()) {
            true => word.parse().ok(),
            false if word.is_empty() => None,
            false => Some(self.variable(word).trim().parse().unwrap_or(0)),
        }
    }

    /// What is inside `${…}`. Source: POSIX, parameter expansion.
    fn parameter(&mut self, inside: &str) -> Option<String> {
        let end = inside.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inside.len());
        let (name, rest) = inside.split_at(end);
        let after = rest.strip_prefix(':').unwrap_or(rest);
        let Some(operator @ ('-' | '=' | '+')) = after.chars().next() else {
            return Some(self.variable(name).to_owned());
        };
        let word = after[1..].replace(['"', '\''], "");
        // With a colon, an empty one counts as none.
        let set = match after.len() < rest.len() {
            true => !self.variable(name).is_empty(),
            false => self.played.env.contains_key(name),
        };
        match (operator, set) {
            ('-' | '=', true) => Some(self.variable(name).to_owned()),
            ('+', false) => Some(String::new()),
            ('=', false) => {
                let value = self.expand(&word)?;
                self.played.env.insert(name.to_owned(), value.clone());
                Some(value)
            }
            _ => self.expand(&word),
        }
    }
}

/// Takes one of these off the front, and the space before and after it.
fn take(rest: &mut &str, operators: &[char]) -> Option<char> {
    *rest = rest.trim_start();
    let found = rest.chars().next().filter(|c| operators.contains(c))?;
    *rest = rest[found.len_utf8()..].trim_start();
    Some(found)
}
