//! Which names a definition may have: within a group every name is taken once.
//!
//! In: the definition and the accepted names of the others. Out: `acceptedNames` and the condition
//! that tells of conflicts. Source: apiextensions-apiserver, naming controller.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::api::meta;

/// What became of the names a definition asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    /// `status.acceptedNames`
    pub accepted: Value,
    /// The reason and the message of the last conflict; `None` when there is none.
    pub conflict: Option<(&'static str, String)>,
}

/// Names that definitions of a group hold.
#[derive(Default)]
struct Taken<'a> {
    resources: HashSet<&'a str>,
    kinds: HashSet<&'a str>,
}

/// Decides on the names of `definition`; `others` are the other definitions, of any group.
pub fn decide<'a>(definition: &Value, others: impl Iterator<Item = &'a Value>) -> Names {
    let group = meta::text(definition, &["spec", "group"]);
    let mut taken = Taken::default();
    for other in others.filter(|other| meta::text(other, &["spec", "group"]) == group) {
        let held = &other["status"]["acceptedNames"];
        taken.resources.extend(["plural", "singular"].map(|field| meta::text(held, &[field])));
        taken.resources.extend(meta::list(held, &["shortNames"]).iter().filter_map(Value::as_str));
        taken.kinds.extend(["kind", "listKind"].map(|field| meta::text(held, &[field])));
    }
    let (asked, held) = (&definition["spec"]["names"], &definition["status"]["acceptedNames"]);
    let mut accepted = json!({"plural": "", "kind": ""});
    let mut conflict = None;
    let fields = [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("shortNames", "ShortNamesConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
    ];
    for (field, reason, taken) in fields {
        let given = match in_use(&asked[field], &held[field], taken) {
            Some(message) => {
                conflict = Some((reason, message));
                &held[field]
            }
            None => &asked[field],
        };
        keep(&mut accepted, field, given);
    }
    keep(&mut accepted, "categories", &asked["categories"]);
    Names { accepted, conflict }
}

fn keep(accepted: &mut Value, field: &str, given: &Value) {
    let empty = given.as_str().is_none_or(str::is_empty) && given.as_array().is_none_or(Vec::is_empty);
    if !empty {
        accepted[field] = given.clone();
    }
}

/// The names (one, or a list) among those asked for that others hold, told in a sentence.
fn in_use(asked: &Value, held: &Value, taken: &HashSet<&str>) -> Option<String> {
    let list = |value: &Value| -> Vec<String> {
        let one = value.as_str().map(str::to_string).into_iter();
        let many = value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string);
        one.chain(many).collect()
    };
    let own = list(held);
    let wanted = list(asked).into_iter().filter(|name| !own.contains(name) && taken.contains(name.as_str()));
    let faults: Vec<String> = wanted.map(|name| format!("{name:?} is already in use")).collect();
    match faults.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_once_in_a_group() {
        let held = json!({"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList", "shortNames": ["t"]});
        let first = json!({"spec": {"group": "a.io", "names": held}, "status": {"acceptedNames": held}});
        let names = decide(&first, std::iter::empty());
        assert_eq!((names.accepted, names.conflict), (held.clone(), None));
        let second = json!({"spec": {"group": "a.io", "names": {
            "plural": "others", "singular": "thing", "kind": "Thing", "listKind": "ThingList", "shortNames": ["t", "u"]}}});
        let names = decide(&second, [&first].into_iter());
        assert_eq!(names.accepted, json!({"plural": "others", "kind": ""}));
        assert_eq!(names.conflict, Some(("ListKindConflict", "\"ThingList\" is already in use".into())));
        let mut elsewhere = second.clone();
        elsewhere["spec"]["group"] = json!("b.io");
        assert_eq!(decide(&elsewhere, [&first].into_iter()).conflict, None);
    }
}
