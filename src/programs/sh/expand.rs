//! From a word to the words that a command gets: variables, commands, arithmetic, splitting, patterns.
//!
//! Source: POSIX.1-2017, Shell Command Language, section 2.6.

use std::io::Read;

use super::arithmetic;
use super::io::{Io, file};
use super::pattern::{self, Mark};
use super::run::Shell;
use super::syntax::{Change, Part, Word};

/// A command's output, at most.
const MOST_OUTPUT_BYTES: u64 = 64 << 20;

/// A word that is being put together: several, once it was split.
#[derive(Default)]
struct Fields {
    done: Vec<Vec<Mark>>,
    /// `None`: nothing has been put into the next one yet, not even an empty quote.
    open: Option<Vec<Mark>>,
}

impl Fields {
    fn push(&mut self, c: char, quoted: bool) {
        self.open.get_or_insert_default().push((c, quoted));
    }

    fn end(&mut self) {
        self.done.extend(self.open.take());
    }

    /// The text of an expansion: split where it is not quoted.
    fn add(&mut self, text: &str, quoted: bool, separators: &str) {
        if quoted {
            self.open.get_or_insert_default();
        }
        for c in text.chars() {
            if !quoted && separators.contains(c) {
                self.end();
            } else {
                self.push(c, quoted);
            }
        }
    }
}

impl Shell {
    /// The words that words become.
    ///
    /// # Errors
    /// What cannot be expanded, in `sh`'s words.
    pub fn expand_all(&mut self, words: &[Word], io: &Io) -> Result<Vec<String>, String> {
        let mut all = Vec::new();
        for word in words {
            let separators = self.get("IFS").unwrap_or_else(|| " \t\n".to_owned());
            let mut fields = Fields::default();
            self.expand_into(word, io, &separators, &mut fields)?;
            fields.end();
            for field in fields.done {
                let found = if pattern::is_plain(&field) { Vec::new() } else { pattern::files(&field, &self.cwd) };
                match found.is_empty() {
                    true => all.push(field.into_iter().map(|(c, _)| c).collect()),
                    false => all.extend(found),
                }
            }
        }
        Ok(all)
    }

    /// The text that a word becomes where it is not split: an assignment, a file's name, a `case`.
    ///
    /// # Errors
    /// What cannot be expanded.
    pub fn expand(&mut self, word: &Word, io: &Io) -> Result<String, String> {
        Ok(self.expand_marked(word, io)?.into_iter().map(|(c, _)| c).collect())
    }

    /// As [`Shell::expand`], with what is a pattern still told apart.
    ///
    /// # Errors
    /// What cannot be expanded.
    pub fn expand_marked(&mut self, word: &Word, io: &Io) -> Result<Vec<Mark>, String> {
        let mut fields = Fields::default();
        self.expand_into(word, io, "", &mut fields)?;
        fields.end();
        Ok(fields.done.join(&(' ', true)))
    }

    fn expand_into(&mut self, word: &Word, io: &Io, separators: &str, fields: &mut Fields) -> Result<(), String> {
        for (at, part) in word.0.iter().enumerate() {
            match part {
                Part::Text { text, quoted: false } if at == 0 && (text == "~" || text.starts_with("~/")) => {
                    fields.add(&self.get("HOME").unwrap_or_else(|| "/".to_owned()), true, "");
                    text.chars().skip(1).for_each(|c| fields.push(c, false));
                }
                Part::Text { text, quoted } => {
                    fields.open.get_or_insert_default();
                    text.chars().for_each(|c| fields.push(c, *quoted));
                }
                Part::Parameter { name, change, quoted } if name == "@" && change.is_none() && *quoted => {
                    let arguments = self.arguments.clone();
                    for (at, argument) in arguments.iter().skip(1).enumerate() {
                        if at > 0 {
                            fields.end();
                        }
                        fields.add(argument, true, "");
                    }
                }
                Part::Parameter { name, change, quoted } => {
                    self.parameter(name, change.as_ref(), *quoted, io, separators, fields)?;
                }
                Part::Command { script, quoted } => {
                    let text = self.output_of(script, io)?;
                    fields.add(text.trim_end_matches('\n'), *quoted, separators);
                }
                Part::Arithmetic { text, quoted } => {
                    let text = self.expand(text, io)?;
                    let value = arithmetic::evaluate(&text, &|name| self.get(name).unwrap_or_default())?;
                    fields.add(&value.to_string(), *quoted, separators);
                }
            }
        }
        Ok(())
    }

    fn parameter(
        &mut self,
        name: &str,
        change: Option<&Change>,
        quoted: bool,
        io: &Io,
        separators: &str,
        fields: &mut Fields,
    ) -> Result<(), String> {
        let value = self.get(name);
        let set = |colon: bool| value.as_ref().is_some_and(|value| !colon || !value.is_empty());
        let text = match change {
            Some(Change::Length) => value.unwrap_or_default().chars().count().to_string(),
            Some(Change::Unset { how: '+', colon, .. }) if !set(*colon) => String::new(),
            Some(Change::Unset { how, colon, word }) if *how == '+' || !set(*colon) => match *how {
                '=' => {
                    let text = self.expand(word, io)?;
                    self.set(name, &text);
                    text
                }
                '?' => {
                    let text = self.expand(word, io)?;
                    let why = if text.is_empty() { "parameter not set" } else { &text };
                    return Err(format!("{name}: {why}"));
                }
                _ => return self.expand_into(word, io, separators, fields),
            },
            Some(Change::Trim { end, longest, pattern }) => {
                let pattern = self.expand_marked(pattern, io)?;
                trimmed(&value.unwrap_or_default(), &pattern, *end, *longest)
            }
            Some(Change::Unset { .. }) => value.unwrap_or_default(),
            None if value.is_none() && self.no_unset && !matches!(name, "@" | "*") => {
                return Err(format!("{name}: parameter not set"));
            }
            None => value.unwrap_or_default(),
        };
        fields.add(&text, quoted, separators);
        Ok(())
    }

    /// What a script prints.
    fn output_of(&mut self, script: &super::syntax::List, io: &Io) -> Result<String, String> {
        let (reader, writer) = std::io::pipe().map_err(|error| error.to_string())?;
        let mut inner = self.subshell();
        let io = io.with(1, file(writer));
        let mut bytes = Vec::new();
        self.status = std::thread::scope(|scope| {
            let running = scope.spawn(move || inner.run_subshell(script, io));
            // What was read before a fault is the output.
            let _ = reader.take(MOST_OUTPUT_BYTES).read_to_end(&mut bytes);
            running.join().unwrap_or(2)
        });
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The text without what fits the pattern at one end.
fn trimmed(text: &str, pattern: &[Mark], end: bool, longest: bool) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut cuts = 0..=chars.len();
    let fits = |cut: &usize| match end {
        true => pattern::matches(pattern, &chars[chars.len() - cut..]),
        false => pattern::matches(pattern, &chars[..*cut]),
    };
    let cut = if longest { cuts.rev().find(fits) } else { cuts.find(fits) };
    let cut = cut.unwrap_or(0);
    if end { chars[..chars.len() - cut].iter().collect() } else { chars[cut..].iter().collect() }
}
