//! The texts of the API: what each definition, each field and each query parameter is for.
//!
//! In: `facts/descriptions.tsv`, as `k8s-openapi` carries them, and `facts/texts.tsv`, what the official server tells
//! beyond them: lists, values, parameters. `tests/descriptions` writes both. Out: a text, or that there is none.

use std::collections::HashMap;

/// A definition, a field of it (empty: the definition itself), a text with `\\`, `\n` and `\t` written so.
static TEXTS: &str = include_str!("../facts/descriptions.tsv");

/// The same for what that crate leaves out; a text that begins with `+` goes on where the other table's ends.
static REST: &str = include_str!("../facts/texts.tsv");

type Texts = HashMap<(&'static str, &'static str), &'static str>;

/// Every text, by definition and field.
pub(super) struct Descriptions {
    known: Texts,
    rest: Texts,
}

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
        Descriptions {
            known: TEXTS.lines().filter_map(entry).collect(),
            rest: REST.lines().filter_map(entry).collect(),
        }
    }

    /// The names of a definition's fields.
    #[cfg(test)]
    pub(super) fn fields(&self, definition: &str) -> Option<Vec<&str>> {
        let _ = self.known.get(&(definition, ""))?;
        let own = self.known.keys().filter(|(of, field)| *of == definition && !field.is_empty());
        Some(own.map(|(_, field)| *field).collect())
    }

    /// The text of a definition or of one of its fields.
    pub(super) fn get(&self, definition: &str, field: Option<&str>) -> Option<String> {
        let place = (definition, field.unwrap_or_default());
        let known = self.known.get(&place);
        if let Some(text) = self.rest.get(&place) {
            let text = match text.strip_prefix('+') {
                Some(end) => format!("{}{end}", known.unwrap_or(&"")),
                None => (*text).to_string(),
            };
            return Some(unescaped(&text));
        }
        match (known, field) {
            (Some(text), _) => (!text.is_empty()).then(|| unescaped(text)),
            (None, Some("apiVersion" | "kind")) if !self.known.contains_key(&(definition, "")) => {
                self.get(COMMON, field)
            }
            (None, _) => None,
        }
    }

    /// The text of a query parameter: of one place (a subresource, a method) if that has its own, else the one of all.
    pub(super) fn parameter(&self, name: &str, places: &[&str]) -> Option<String> {
        let own = places.iter().filter(|place| !place.is_empty());
        let own = own.into_iter().find_map(|place| self.rest.get(&(format!("?{place}").as_str(), name)).copied());
        own.or_else(|| self.rest.get(&("?", name)).copied()).map(unescaped)
    }

    /// The groups and versions of kinds that every group has: all that Kubernetes was built with.
    pub(super) fn groups(&self) -> Vec<(&'static str, &'static str)> {
        let all = self.rest.get(&("*", "")).copied().unwrap_or_default();
        all.split(' ').filter_map(|one| one.split_once('/')).collect()
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

    #[test]
    fn lists_values_and_parameters_are_told_too() {
        let texts = Descriptions::read();
        let about = |definition: &str, field: Option<&str>| texts.get(definition, field).unwrap_or_default();
        assert_eq!(about("io.k8s.api.core.v1.PodList", None), "PodList is a list of Pods.");
        let kind = about("io.k8s.api.core.v1.PodList", Some("kind"));
        assert_eq!(kind, about("io.k8s.api.core.v1.Pod", Some("kind")));
        let of_exec = texts.parameter("container", &["", "exec"]);
        assert!(of_exec.is_some() && of_exec != texts.parameter("container", &["", "attach"]));
        let policy = about("io.k8s.api.core.v1.Container", Some("imagePullPolicy"));
        assert!(
            policy.contains("Cannot be updated. More info") && policy.contains("\n - `\"Always\"` means"),
            "{policy}"
        );
        let of_patch = texts.parameter("fieldManager", &["patch"]);
        assert!(of_patch.is_some() && of_patch != texts.parameter("fieldManager", &["put"]));
        assert!(texts.groups().contains(&("storagemigration.k8s.io", "v1beta1")));
    }
}
