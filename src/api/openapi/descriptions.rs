//! The texts of the API: what each definition and each field is for, as `k8s-openapi` carries them.
//!
//! In: `facts/descriptions.tsv`, which `tests/descriptions` writes. Out: a text, or that there is none.

use std::collections::HashMap;

/// A definition, a field of it (empty: the definition itself), a text with `\\`, `\n` and `\t` written so.
static TEXTS: &str = include_str!("../facts/descriptions.tsv");

/// Every text, by definition and field.
pub(super) struct Descriptions(HashMap<(&'static str, &'static str), &'static str>);

/// A definition whose `apiVersion` and `kind` are described as in every list.
const COMMON: &str = "io.k8s.api.core.v1.Pod";

impl Descriptions {
    /// Finds the texts; an index of three thousand places, which lives as long as the value.
    pub(super) fn read() -> Descriptions {
        let entry = |line: &'static str| {
            let (definition, rest) = line.split_once('\t')?;
            let (field, text) = rest.split_once('\t')?;
            Some(((definition, field), text))
        };
        Descriptions(TEXTS.lines().filter_map(entry).collect())
    }

    /// The names of a definition's fields.
    #[cfg(test)]
    pub(super) fn fields(&self, definition: &str) -> Option<Vec<&str>> {
        let _ = self.0.get(&(definition, ""))?;
        let own = self.0.keys().filter(|(of, field)| *of == definition && !field.is_empty());
        Some(own.map(|(_, field)| *field).collect())
    }

    /// The text of a definition or of one of its fields.
    pub(super) fn get(&self, definition: &str, field: Option<&str>) -> Option<String> {
        match (self.0.get(&(definition, field.unwrap_or_default())), field) {
            (Some(text), _) => (!text.is_empty()).then(|| unescaped(text)),
            (None, Some("apiVersion" | "kind")) if !self.0.contains_key(&(definition, "")) => self.get(COMMON, field),
            (None, _) => None,
        }
    }
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.extend(letters.next().map(|escaped| match escaped {
                'n' => '\n',
                't' => '\t',
                other => other,
            })),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_in_the_table_is_told_as_it_was() {
        assert_eq!(unescaped(r"a\nb\tc\\n"), "a\nb\tc\\n");
        let texts = Descriptions::read();
        let expression =
            texts.get("io.k8s.api.admissionregistration.v1.ApplyConfiguration", Some("expression")).unwrap();
        assert!(expression.contains("cel-spec\n\nApply") && !expression.contains('\\'), "{expression}");
        assert_eq!(texts.get("io.k8s.api.core.v1.Pod", Some("nothing")), None);
    }
}
