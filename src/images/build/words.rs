//! Words of an instruction: split at spaces, quotes taken off, variables put in.
//!
//! Pure. Source: the Dockerfile reference, "Environment replacement".

use std::iter::Peekable;
use std::str::Chars;

use super::ignore::fits;

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
        if let Some(changed) = self.changed(&rest, value.as_deref().unwrap_or_default())? {
            out.push_str(&changed);
            return Ok(());
        }
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

    /// A value without what fits a pattern (`#`, `##`, `%`, `%%`), or with something else for it (`/`, `//`); none
    /// where something else was asked.
    fn changed(&self, asked: &str, value: &str) -> Result<Option<String>, String> {
        let twice = |sign: char| {
            asked.strip_prefix(sign).map(|rest| rest.strip_prefix(sign).map_or((rest, false), |rest| (rest, true)))
        };
        let ends = || value.char_indices().map(|(at, _)| at).chain([value.len()]);
        if let Some((pattern, longest)) = twice('#') {
            let pattern = self.pattern(pattern)?;
            let mut fitting = ends().filter(|at| fits(&pattern, &value[..*at]));
            let at = if longest { fitting.next_back() } else { fitting.next() };
            return Ok(Some(value[at.unwrap_or(0)..].to_owned()));
        }
        if let Some((pattern, longest)) = twice('%') {
            let pattern = self.pattern(pattern)?;
            let mut fitting = ends().filter(|at| fits(&pattern, &value[*at..]));
            let at = if longest { fitting.next() } else { fitting.next_back() };
            return Ok(Some(value[..at.unwrap_or(value.len())].to_owned()));
        }
        let Some((rest, all)) = twice('/') else { return Ok(None) };
        let (pattern, with) = self.halves(rest);
        let (pattern, with) = (self.pattern(pattern)?, self.word(with)?);
        let (mut out, mut at) = (String::new(), 0);
        while at < value.len() {
            let Some(end) = ends().rfind(|end| *end > at && fits(&pattern, &value[at..*end])) else {
                let letter = value[at..].chars().next().map_or(1, char::len_utf8);
                out.push_str(&value[at..at + letter]);
                at += letter;
                continue;
            };
            out.push_str(&with);
            at = end;
            if !all {
                break;
            }
        }
        out.push_str(&value[at..]);
        Ok(Some(out))
    }

    /// `pattern/replacement`, divided at the first slash that nothing escapes.
    fn halves<'t>(&self, text: &'t str) -> (&'t str, &'t str) {
        let mut letters = text.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '/' => return (&text[..at], &text[at + 1..]),
                letter if letter == self.escape => drop(letters.next()),
                _ => {}
            }
        }
        (text, "")
    }

    /// A pattern with its variables, as [`fits`] reads it: only `*` and `?` stand for others.
    fn pattern(&self, text: &str) -> Result<String, String> {
        let (mut out, mut letters) = (String::new(), text.chars().peekable());
        while let Some(letter) = letters.next() {
            let plain = match letter {
                '$' => {
                    self.variable(text, &mut letters, &mut out)?;
                    continue;
                }
                '*' | '?' => {
                    out.push(letter);
                    continue;
                }
                letter if letter == self.escape => letters.next().unwrap_or(letter),
                letter => letter,
            };
            out.extend(['\\', plain]);
        }
        Ok(out)
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
            "FOO" => Some("foobarbaz".to_owned()),
            "STARS" => Some("a*/b".to_owned()),
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
            ("${FOO#f*b}", "arbaz"),
            ("${FOO##f*b}", "az"),
            ("${FOO%b*}", "foobar"),
            ("${FOO%%b*}", "foo"),
            ("${FOO/ba/fo}", "fooforbaz"),
            ("${FOO//ba/fo}", "fooforfoz"),
            ("${FOO//o}", "fbarbaz"),
            ("${FOO#x}${NONE#x}${FOO%[o]*}", "foobarbazfoobarbaz"),
            ("${FOO/o?b/-$A-}", "f-one-arbaz"),
            ("${STARS/\\*\\//x}", "axb"),
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
