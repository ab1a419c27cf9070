//! Words of an instruction: split at spaces, quotes taken off, variables put in.
//!
//! Pure. Source: the Dockerfile reference, "Environment replacement".

use std::iter::Peekable;
use std::str::Chars;

/// Puts variables into words.
pub struct Expander<'a> {
    /// The character that makes the next one plain.
    pub escape: char,
    /// A variable's value.
    pub value: &'a dyn Fn(&str) -> Option<String>,
}

/// Splits at spaces that are in no quotes. Quotes and escapes stay in the words.
pub fn split(text: &str, escape: char) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (letter, None) if letter.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            ('"' | '\'', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (letter, quote) if letter == escape && quote != Some('\'') => {
                word.push(letter);
                word.extend(letters.next());
                continue;
            }
            _ => {}
        }
        word.push(letter);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

impl Expander<'_> {
    /// One word, without quotes, with its variables.
    ///
    /// # Errors
    /// A quote or a brace without its end, a form of `${…}` that is not known.
    pub fn word(&self, text: &str) -> Result<String, String> {
        let (mut out, mut letters) = (String::new(), text.chars().peekable());
        while let Some(letter) = letters.next() {
            match letter {
                '\'' => loop {
                    match letters.next() {
                        Some('\'') => break,
                        Some(inside) => out.push(inside),
                        None => return Err(format!("a ' in {text} has no end")),
                    }
                },
                '"' => self.quoted(text, &mut letters, &mut out)?,
                '$' => self.variable(text, &mut letters, &mut out)?,
                letter if letter == self.escape => out.extend(letters.next()),
                letter => out.push(letter),
            }
        }
        Ok(out)
    }

    /// A text in which quotes mean nothing: a here-document's.
    ///
    /// # Errors
    /// As for [`Expander::word`].
    pub fn document(&self, text: &str) -> Result<String, String> {
        let (mut out, mut letters) = (String::new(), text.chars().peekable());
        while let Some(letter) = letters.next() {
            match letter {
                '$' => self.variable(text, &mut letters, &mut out)?,
                letter if letter == self.escape && letters.peek() == Some(&'$') => out.extend(letters.next()),
                letter => out.push(letter),
            }
        }
        Ok(out)
    }

    fn quoted(&self, text: &str, letters: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
        loop {
            match letters.next() {
                Some('"') => return Ok(()),
                Some('$') => self.variable(text, letters, out)?,
                Some(letter) if letter == self.escape => {
                    let next = letters.next();
                    if !next.is_some_and(|next| next == '"' || next == '$' || next == self.escape) {
                        out.push(letter);
                    }
                    out.extend(next);
                }
                Some(letter) => out.push(letter),
                None => return Err(format!("a \" in {text} has no end")),
            }
        }
    }

    /// What follows a `$`.
    fn variable(&self, text: &str, letters: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
        if letters.next_if_eq(&'{').is_none() {
            let name = name(letters);
            if name.is_empty() {
                out.push('$');
            }
            out.push_str(&(self.value)(&name).unwrap_or_default());
            return Ok(());
        }
        let name = name(letters);
        let (mut rest, mut depth) = (String::new(), 1);
        for letter in letters.by_ref() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            rest.push(letter);
        }
        if depth > 0 || name.is_empty() {
            return Err(format!("a ${{ in {text} has no end or no name"));
        }
        let value = (self.value)(&name);
        let (empty_counts, operator) = rest.strip_prefix(':').map_or((true, rest.as_str()), |rest| (false, rest));
        let set = value.as_ref().is_some_and(|value| empty_counts || !value.is_empty());
        let given = match operator.chars().next() {
            None if empty_counts => value.unwrap_or_default(),
            Some('-') if set => value.unwrap_or_default(),
            Some('-') => self.word(&operator[1..])?,
            Some('+') if set => self.word(&operator[1..])?,
            Some('+') => String::new(),
            Some('?') if set => value.unwrap_or_default(),
            Some('?') => return Err(format!("{name}: {}", self.word(&operator[1..])?)),
            _ => {
                return Err(format!(
                    "${{{name}{rest}}} is not known: write ${{{name}}}, ${{{name}:-word}} or ${{{name}:+word}}"
                ));
            }
        };
        out.push_str(&given);
        Ok(())
    }
}

fn name(letters: &mut Peekable<Chars<'_>>) -> String {
    let mut name = String::new();
    while let Some(letter) = letters.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        name.push(letter);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, String> {
        let value = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        Expander { escape: '\\', value: &value }.word(text)
    }

    #[test]
    fn variables_are_put_in_as_a_shell_does() {
        for (text, expected) in [
            ("$A-x", "one-x"),
            ("${A}x", "onex"),
            ("$NONE", ""),
            ("${NONE:-b$A}", "bone"),
            ("${EMPTY:-b}", "b"),
            ("${EMPTY-b}", ""),
            ("${A:+yes}${NONE:+no}", "yes"),
            ("'$A'", "$A"),
            ("\"$A \\\"q\\\" \\n\"", "one \"q\" \\n"),
            ("\\$A", "$A"),
            ("a$", "a$"),
            ("${NONE:-${A}}", "one"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
        }
        for wrong in ["\"a", "'a", "${A", "${}", "${A!x}", "${NONE:?must be set}"] {
            assert!(expand(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_are_split_outside_of_quotes() {
        assert_eq!(split(r#"a "b c"  d\ e 'f g'=h"#, '\\'), ["a", "\"b c\"", "d\\ e", "'f g'=h"]);
    }
}
