//! Reads one word of shell text: quotes, `$NAME`, `${…}`, `$(…)`, `$((…))`, `` `…` ``. Pure.

use super::parse::{Parser, Wrong, parse};
use super::syntax::{Change, Part, Word};

/// Reads the text of a here-document or of `"…"`: no splitting, only what `$` and `` ` `` bring.
pub(super) fn expandable(text: &str, depth: usize) -> Result<Word, Wrong> {
    let mut parser = Parser::new(text, depth);
    let mut parts = Vec::new();
    parser.quoted_until(None, &mut parts)?;
    Ok(Word(parts))
}

impl Parser {
    pub(super) fn word(&mut self) -> Result<Word, Wrong> {
        if self.at_word_end() {
            return Err(self.unexpected());
        }
        let mut parts = Vec::new();
        self.parts(&mut parts, |parser| parser.at_word_end())?;
        Ok(Word(parts))
    }

    /// Pieces of a word until `ends`.
    fn parts(&mut self, parts: &mut Vec<Part>, ends: impl Fn(&Parser) -> bool) -> Result<(), Wrong> {
        while !ends(self) {
            match self.peek() {
                None => return Ok(()),
                Some('\'') => {
                    self.at += 1;
                    let mut text = String::new();
                    loop {
                        match self.peek() {
                            None => return Err(Wrong::Incomplete),
                            Some(c) => {
                                self.at += 1;
                                if c == '\'' {
                                    break;
                                }
                                text.push(c);
                            }
                        }
                    }
                    parts.push(Part::Text { text, quoted: true });
                }
                Some('"') => {
                    self.at += 1;
                    let before = parts.len();
                    self.quoted_until(Some('"'), parts)?;
                    if parts.len() == before {
                        parts.push(Part::Text { text: String::new(), quoted: true });
                    }
                }
                Some('\\') => {
                    self.at += 1;
                    match self.peek() {
                        None => return Err(Wrong::Incomplete),
                        Some('\n') => self.at += 1,
                        Some(c) => {
                            self.at += 1;
                            parts.push(Part::Text { text: c.to_string(), quoted: true });
                        }
                    }
                }
                Some('$' | '`') => self.dollar(parts, false)?,
                Some(c) => {
                    self.at += 1;
                    add_text(parts, c, false);
                }
            }
        }
        Ok(())
    }

    /// What stands between `"` and `"`, or to the end.
    fn quoted_until(&mut self, end: Option<char>, parts: &mut Vec<Part>) -> Result<(), Wrong> {
        loop {
            match self.peek() {
                None if end.is_none() => return Ok(()),
                None => return Err(Wrong::Incomplete),
                c if c == end => {
                    self.at += 1;
                    return Ok(());
                }
                Some('\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some('\n') => self.at += 1,
                        Some(c) if matches!(c, '$' | '`' | '\\') || Some(c) == end => {
                            self.at += 1;
                            add_text(parts, c, true);
                        }
                        _ => add_text(parts, '\\', true),
                    }
                }
                Some('$' | '`') => self.dollar(parts, true)?,
                Some(c) => {
                    self.at += 1;
                    add_text(parts, c, true);
                }
            }
        }
    }

    fn dollar(&mut self, parts: &mut Vec<Part>, quoted: bool) -> Result<(), Wrong> {
        self.deeper()?;
        self.expansion(parts, quoted)?;
        self.depth -= 1;
        Ok(())
    }

    fn expansion(&mut self, parts: &mut Vec<Part>, quoted: bool) -> Result<(), Wrong> {
        if self.take("`") {
            let mut inside = String::new();
            loop {
                let Some(c) = self.peek() else { return Err(Wrong::Incomplete) };
                self.at += 1;
                match c {
                    '`' => break,
                    '\\' if self.peek().is_some_and(|c| matches!(c, '`' | '\\' | '$')) => {
                        inside.extend(self.peek());
                        self.at += 1;
                    }
                    c => inside.push(c),
                }
            }
            parts.push(Part::Command { script: parse(&inside)?, quoted });
            return Ok(());
        }
        if self.take("$((") {
            let text = self.balanced()?;
            if !self.take("))") {
                return Err(self.unexpected());
            }
            parts.push(Part::Arithmetic { text: expandable(&text, self.depth + 1)?, quoted });
            return Ok(());
        }
        if self.take("$(") {
            let script = self.list(&[")"])?;
            self.expect(")")?;
            parts.push(Part::Command { script, quoted });
            return Ok(());
        }
        if self.take("${") {
            return self.braced(parts, quoted);
        }
        self.at += 1;
        let special = self.peek().filter(|c| "?$#@*!-".contains(*c) || c.is_ascii_digit());
        let name = match special {
            Some(c) => {
                self.at += 1;
                c.to_string()
            }
            None => self.name(),
        };
        match name.is_empty() {
            true => add_text(parts, '$', quoted),
            false => parts.push(Part::Parameter { name, change: None, quoted }),
        }
        Ok(())
    }

    /// Text up to the `)` that closes what is open here; not taken.
    fn balanced(&mut self) -> Result<String, Wrong> {
        let (mut text, mut open) = (String::new(), 0);
        loop {
            match self.peek() {
                None => return Err(Wrong::Incomplete),
                Some(')') if open == 0 => return Ok(text),
                Some(c) => {
                    open += i32::from(c == '(') - i32::from(c == ')');
                    self.at += 1;
                    text.push(c);
                }
            }
        }
    }

    fn braced(&mut self, parts: &mut Vec<Part>, quoted: bool) -> Result<(), Wrong> {
        let length = self.looking_at("#") && self.text.get(self.at + 1) != Some(&'}');
        if length {
            self.at += 1;
        }
        let mut name = self.name();
        if name.is_empty() {
            while let Some(c) = self.peek().filter(char::is_ascii_digit) {
                name.push(c);
                self.at += 1;
            }
        }
        if name.is_empty() && self.peek().is_some_and(|c| "?$#@*!-".contains(c)) {
            name.extend(self.peek());
            self.at += 1;
        }
        let bad = || Wrong::Syntax("syntax error: bad substitution".to_owned());
        let mut change = length.then_some(Change::Length);
        if !self.looking_at("}") {
            let colon = self.take(":");
            let how = self.peek().ok_or(Wrong::Incomplete)?;
            self.at += 1;
            let longest = matches!(how, '#' | '%') && self.peek() == Some(how);
            if longest {
                self.at += 1;
            }
            let mut word = Vec::new();
            self.parts(&mut word, |parser| parser.looking_at("}"))?;
            if quoted {
                word.iter_mut().for_each(quote);
            }
            change = Some(match how {
                '-' | '=' | '+' | '?' => Change::Unset { how, colon, word: Word(word) },
                '#' | '%' if !colon => Change::Trim { end: how == '%', longest, pattern: Word(word) },
                _ => return Err(bad()),
            });
        }
        if self.peek().is_none() {
            return Err(Wrong::Incomplete);
        }
        if name.is_empty() || !self.take("}") {
            return Err(bad());
        }
        parts.push(Part::Parameter { name, change, quoted });
        Ok(())
    }
}

/// Takes a part as standing in quotes.
fn quote(part: &mut Part) {
    match part {
        Part::Text { quoted, .. }
        | Part::Parameter { quoted, .. }
        | Part::Command { quoted, .. }
        | Part::Arithmetic { quoted, .. } => *quoted = true,
    }
}

fn add_text(parts: &mut Vec<Part>, c: char, is_quoted: bool) {
    match parts.last_mut() {
        Some(Part::Text { text, quoted }) if *quoted == is_quoted => text.push(c),
        _ => parts.push(Part::Text { text: c.to_string(), quoted: is_quoted }),
    }
}
