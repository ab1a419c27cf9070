//! `format.dns1123Label().validate(text)`: the formats that an expression can ask about by name.
//!
//! In: a text. Out: what is wrong with it, in the words that Kubernetes' own validation has.
//! Source: `k8s.io/apiserver/pkg/cel/library/format.go`.

use crate::api::custom::format::is_valid;
use crate::api::names::{self, Faults, NameRule};

/// A format's name, and what is wrong with a text that claims to have it.
type Format = (&'static str, fn(&str) -> Faults);

const FORMATS: &[Format] = &[
    ("dns1123Label", |text| NameRule::Label.check(text, false)),
    ("dns1123Subdomain", |text| NameRule::Subdomain.check(text, false)),
    ("dns1035Label", |text| names::dns_1035_label(text)),
    ("qualifiedName", names::qualified_name),
    ("dns1123LabelPrefix", |text| NameRule::Label.check(&completed(text), false)),
    ("dns1123SubdomainPrefix", |text| NameRule::Subdomain.check(&completed(text), false)),
    ("dns1035LabelPrefix", |text| names::dns_1035_label(&completed(text))),
    ("labelValue", names::label_value),
    ("uri", |text| super::url::parse(text).err().into_iter().collect()),
    ("uuid", |text| by_form(text, "uuid", "does not match the UUID format")),
    ("byte", |text| by_form(text, "byte", "invalid base64")),
    ("date", |text| by_form(text, "date", "invalid date")),
    ("datetime", |text| by_form(text, "datetime", "invalid datetime")),
];

/// A beginning as a whole: a dash at the end, and the letter before it, stand for a letter.
fn completed(text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    if letters.len() > 1 && letters.last() == Some(&'-') {
        letters.truncate(letters.len() - 2);
        letters.push('a');
    }
    letters.into_iter().collect()
}

fn by_form(text: &str, form: &str, fault: &str) -> Faults {
    if is_valid(form, text) { Vec::new() } else { vec![fault.to_string()] }
}

/// The formats' names, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().map(|(name, _)| *name)
}

/// The place of a format.
pub fn place(name: &str) -> Option<usize> {
    names().position(|known| known == name)
}

/// What is wrong with a text of the format at `place`.
pub fn faults(place: usize, text: &str) -> Faults {
    FORMATS.get(place).map_or_else(Vec::new, |(_, check)| check(text))
}
