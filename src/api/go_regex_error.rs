//! What is wrong with a regular expression, in the words of Go's `regexp/syntax`.
//!
//! In: an expression. Out: the first fault that Go would tell, as `missing closing ]: `[a``; nothing for one
//! that Go can read. It judges the form alone: what matches is [`super::go_regex`]'s.

/// The most that a part may be repeated.
const MAX_REPEAT: u32 = 1000;

/// The first fault of `pattern`.
pub(super) fn find(pattern: &str) -> Option<String> {
    Reader { whole: pattern, at: 0, open: 0 }.read().err()
}

struct Reader<'a> {
    whole: &'a str,
    at: usize,
    /// Brackets that wait to be closed.
    open: usize,
}

/// What a repetition may follow.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Nothing,
    Something,
    /// A repetition, and where it begins.
    Repetition(usize),
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.whole[self.at..]
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.rest().chars().next()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    fn read(&mut self) -> Result<(), String> {
        let mut last = Last::Nothing;
        while let Some(letter) = self.rest().chars().next() {
            let start = self.at;
            last = match letter {
                '(' => self.group()?,
                '|' => self.skip(Last::Nothing),
                ')' if self.open == 0 => return Err(fault("unexpected )", self.whole)),
                ')' => {
                    self.open -= 1;
                    self.skip(Last::Something)
                }
                '*' | '+' | '?' => {
                    self.at += 1;
                    self.repetition(start, last)?
                }
                '{' => match self.counts() {
                    None => self.skip(Last::Something),
                    Some((low, high, length)) => {
                        self.at += length;
                        let wrong = low > MAX_REPEAT || high.is_some_and(|high| high > MAX_REPEAT || high < low);
                        if wrong {
                            return Err(fault("invalid repeat count", &self.whole[start..self.at]));
                        }
                        self.repetition(start, last)?
                    }
                },
                '[' => self.class()?,
                '\\' => self.escape()?,
                _ => {
                    self.at += letter.len_utf8();
                    Last::Something
                }
            };
        }
        if self.open > 0 { Err(fault("missing closing )", self.whole)) } else { Ok(()) }
    }

    fn skip(&mut self, last: Last) -> Last {
        self.at += 1;
        last
    }

    /// A `?` after a repetition makes it lazy; another repetition after it is one too many.
    fn repetition(&mut self, start: usize, last: Last) -> Result<Last, String> {
        if self.rest().starts_with('?') {
            self.at += 1;
        }
        match last {
            Last::Something => Ok(Last::Repetition(start)),
            Last::Nothing => Err(fault("missing argument to repetition operator", &self.whole[start..self.at])),
            Last::Repetition(first) => Err(fault("invalid nested repetition operator", &self.whole[first..self.at])),
        }
    }

    /// `{2}`, `{2,}` or `{2,5}`: the numbers, and how long it is. Anything else is text.
    fn counts(&self) -> Option<(u32, Option<u32>, usize)> {
        let inside = self.rest().strip_prefix('{')?.split_once('}')?.0;
        let number = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
            (plain && (text.len() == 1 || !text.starts_with('0'))).then(|| text.parse().unwrap_or(u32::MAX))
        };
        let (low, high) = match inside.split_once(',') {
            None => (number(inside)?, None),
            Some((low, "")) => (number(low)?, None),
            Some((low, high)) => (number(low)?, Some(number(high)?)),
        };
        Some((low, high, inside.len() + 2))
    }

    /// `(`, `(?:`, `(?P<name>`, `(?<name>`, `(?i)`.
    fn group(&mut self) -> Result<Last, String> {
        let start = self.at;
        self.at += 1;
        self.open += 1;
        let Some(special) = self.rest().strip_prefix('?') else { return Ok(Last::Nothing) };
        if let Some(named) = special.strip_prefix("P<").or_else(|| special.strip_prefix('<')) {
            let Some((name, _)) = named.split_once('>') else {
                return Err(fault("invalid named capture", &self.whole[start..]));
            };
            let end = self.whole.len() - named.len() + name.len() + 1;
            if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
                return Err(fault("invalid named capture", &self.whole[start..end]));
            }
            self.at = end;
            return Ok(Last::Nothing);
        }
        self.at += 1;
        let (mut minus, mut after_minus) = (false, false);
        while let Some(letter) = self.next() {
            match letter {
                'i' | 'm' | 's' | 'U' => after_minus = minus,
                '-' if !minus => minus = true,
                ':' | ')' if !minus || after_minus => {
                    self.open -= usize::from(letter == ')');
                    return Ok(Last::Nothing);
                }
                _ => break,
            }
        }
        let what = "invalid or unsupported Perl syntax";
        Err(fault(what, &self.whole[start..self.at]))
    }

    /// `[…]`.
    fn class(&mut self) -> Result<Last, String> {
        let start = self.at;
        let missing = || fault("missing closing ]", &self.whole[start..]);
        self.at += 1;
        if self.rest().starts_with('^') {
            self.at += 1;
        }
        let mut first = true;
        while first || !self.rest().starts_with(']') {
            if self.rest().is_empty() {
                return Err(missing());
            }
            if self.rest().starts_with('-') && !first {
                let after = self.rest().chars().nth(1);
                if after.is_some_and(|after| after != ']') {
                    let end = self.at + 1 + after.map_or(0, char::len_utf8);
                    return Err(fault("invalid character class range", &self.whole[self.at..end]));
                }
            }
            first = false;
            if let Some((name, _)) = self.rest().strip_prefix("[:").and_then(|rest| rest.split_once(":]")) {
                let end = self.at + name.len() + 4;
                let known = [
                    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
                    "upper", "word", "xdigit",
                ];
                if !known.contains(&name.trim_start_matches('^')) {
                    return Err(fault("invalid character class range", &self.whole[self.at..end]));
                }
                self.at = end;
                continue;
            }
            let from = self.at;
            let Some(low) = self.class_letter()? else { continue };
            let range = self.rest().starts_with('-') && !self.rest().starts_with("-]") && self.rest().len() > 1;
            if range {
                self.at += 1;
                let high = self.class_letter()?;
                if high.is_none_or(|high| high < low) {
                    return Err(fault("invalid character class range", &self.whole[from..self.at]));
                }
            }
        }
        Ok(self.skip(Last::Something))
    }

    /// One letter of a class; nothing for a class within it, as `\\d`.
    fn class_letter(&mut self) -> Result<Option<char>, String> {
        if self.rest().starts_with('\\') {
            let start = self.at;
            self.escape()?;
            let escaped = self.whole[start + 1..self.at].chars().next();
            return Ok(escaped.filter(char::is_ascii_punctuation));
        }
        Ok(self.next())
    }

    fn escape(&mut self) -> Result<Last, String> {
        let start = self.at;
        self.at += 1;
        match self.next() {
            None => return Err(fault("trailing backslash at end of expression", "")),
            Some('p' | 'P') => {
                if self.rest().starts_with('{') {
                    self.at += self.rest().find('}').map_or(self.rest().len(), |end| end + 1);
                } else {
                    let _ = self.next();
                }
            }
            Some('x') if self.rest().starts_with('{') => {
                self.at += self.rest().find('}').map_or(self.rest().len(), |end| end + 1);
            }
            Some('x') => {
                let digits = self.rest().chars().take(2).filter(char::is_ascii_hexdigit).count();
                if digits < 2 {
                    let end = (self.at + 1).min(self.whole.len());
                    let shown = self.whole.get(start..end).unwrap_or(&self.whole[start..]);
                    return Err(fault("invalid escape sequence", shown));
                }
                self.at += 2;
            }
            Some('Q') => {
                let end = self.rest().find("\\E").map_or(self.rest().len(), |end| end + 2);
                self.at += end;
            }
            Some('A' | 'b' | 'B' | 'C' | 'z' | 'd' | 'D' | 's' | 'S' | 'w' | 'W') => {}
            Some('a' | 'f' | 'n' | 'r' | 't' | 'v' | '0'..='7' | 'E') => {}
            Some(letter) if letter.is_ascii_punctuation() => {}
            Some(_) => return Err(fault("invalid escape sequence", &self.whole[start..self.at])),
        }
        Ok(Last::Something)
    }
}

fn fault(what: &str, at: &str) -> String {
    format!("{what}: `{at}`")
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn faults_are_told_in_the_words_of_go() {
        for (pattern, words) in [
            ("[", "missing closing ]: `[`"),
            ("x[a-", "missing closing ]: `[a-`"),
            ("(a", "missing closing ): `(a`"),
            ("a)", "unexpected ): `a)`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("a|*", "missing argument to repetition operator: `*`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            (r"\y", r"invalid escape sequence: `\y`"),
            ("a\\", "trailing backslash at end of expression: ``"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("a{2,1}", "invalid repeat count: `{2,1}`"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ] {
            assert_eq!(find(pattern).as_deref(), Some(words), "{pattern}");
        }
    }

    #[test]
    fn what_go_reads_has_no_fault() {
        for pattern in [
            "",
            "^a+?$",
            "a{,3}",
            "a{2,5}?",
            "[]a]",
            "[^]-]",
            "[a-z0-9-]",
            r"[\w.-]+",
            r"\p{Greek}",
            "(?i)a(?:b|c)",
            "(?P<n>x)",
            "[[:alpha:]]",
            r"\Q[\E",
            "(|a)",
            r"[\[\]]",
            "x*|y*",
            "()*",
        ] {
            assert_eq!(find(pattern), None, "{pattern}");
        }
    }
}
