//! [`FieldSelector`]: `metadata.name=web,status.phase!=Running`.
//!
//! Values may hold `,`, `=` and `\` when each is escaped by a backslash.

use super::SelectorError;
use std::fmt;

/// One comparison of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// The field's path, as the kind names it: `spec.nodeName`.
    pub field: String,
    /// The value, unescaped.
    pub value: String,
    /// `!=` instead of `=`.
    pub negated: bool,
}

/// Comparisons that must all hold; none: everything matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

impl FieldSelector {
    /// Reads a selector's text.
    pub fn parse(text: &str) -> Result<FieldSelector, SelectorError> {
        let mut terms = Vec::new();
        for part in split(text).into_iter().filter(|part| !part.is_empty()) {
            let (field, operator, value) = operator(part)
                .ok_or_else(|| SelectorError::new(format!("invalid selector: '{text}'; can't understand '{part}'")))?;
            let value = unescape(value)?;
            if field.is_empty() && value.is_empty() {
                // Nothing must equal nothing: it always does.
                continue;
            }
            terms.push(FieldTerm { field: field.to_owned(), value, negated: operator == "!=" });
        }
        Ok(FieldSelector { terms })
    }

    /// Whether every comparison holds; a field that `get` does not know is the empty text.
    pub fn matches(&self, get: &dyn Fn(&str) -> Option<String>) -> bool {
        self.terms.iter().all(|term| (get(&term.field).unwrap_or_default() == term.value) != term.negated)
    }

    /// The comparisons, in order.
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// The value that `field` must have, if one is demanded: `metadata.name` of a single-object watch.
    pub fn requires(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| !term.negated && term.field == field).map(|term| term.value.as_str())
    }

    /// The same comparisons of fields that have other names elsewhere.
    #[must_use]
    pub fn renamed(mut self, name: impl Fn(&str) -> String) -> FieldSelector {
        for term in &mut self.terms {
            term.field = name(&term.field);
        }
        self
    }

    /// Refuses a field that the kind does not offer.
    pub fn check(&self, known: impl Fn(&str) -> bool) -> Result<(), SelectorError> {
        match self.terms.iter().find(|term| !known(&term.field)) {
            Some(term) => Err(SelectorError::new(format!("field label not supported: {}", term.field))),
            None => Ok(()),
        }
    }

    /// Whether it matches every object.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.terms.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let operator = if term.negated { "!=" } else { "=" };
            write!(f, "{comma}{}{operator}{}", term.field, escape(&term.value))?;
        }
        Ok(())
    }
}

fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn operator(part: &str) -> Option<(&str, &'static str, &str)> {
    (0..part.len()).filter(|at| part.is_char_boundary(*at)).find_map(|at| {
        let found = ["!=", "==", "="].into_iter().find(|operator| part[at..].starts_with(operator))?;
        Some((&part[..at], found, &part[at + found.len()..]))
    })
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut plain = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                other => {
                    let sequence: String = ['\\'].into_iter().chain(other).collect();
                    return Err(SelectorError::new(format!(
                        "invalid field selector: invalid escape sequence: {sequence}"
                    )));
                }
            },
            // The number of the character, as the API server prints it.
            ',' | '=' => {
                return Err(SelectorError::new(format!(
                    "invalid field selector: unescaped character in value: {}",
                    letter as u32
                )));
            }
            _ => plain.push(letter),
        }
    }
    Ok(plain)
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_escapes_and_errors() {
        let selector = FieldSelector::parse(r"metadata.name=a\,b,status.phase!=Running,x==y,").unwrap();
        assert_eq!(selector.to_string(), r"metadata.name=a\,b,status.phase!=Running,x=y");
        assert_eq!(selector.requires("metadata.name"), Some("a,b"));
        let get = |field: &str| match field {
            "metadata.name" => Some("a,b".to_owned()),
            "x" => Some("y".to_owned()),
            _ => None,
        };
        assert!(selector.matches(&get));
        let message = |text: &str| FieldSelector::parse(text).unwrap_err().0;
        assert_eq!(message("abc"), "invalid selector: 'abc'; can't understand 'abc'");
        assert_eq!(message(r"a=\x"), r"invalid field selector: invalid escape sequence: \x");
        assert_eq!(message("a=b=c"), "invalid field selector: unescaped character in value: 61");
        let unknown = FieldSelector::parse("spec.image=x").unwrap().check(|field| field == "metadata.name");
        assert_eq!(unknown.unwrap_err().0, "field label not supported: spec.image");
    }
}
