//! Which RBAC rules allow what others allow: the comparison behind `kubectl auth reconcile`.
//!
//! In: two lists of rules. Out: what the second allows and the first does not, one verb, resource and name
//! a rule. Source: Kubernetes' own comparison of policy rules, which the API server makes too before it
//! lets anybody give rights away.

use serde_json::{Map, Value, json};

use crate::api::meta;

fn texts<'a>(rule: &'a Value, field: &str) -> Vec<&'a str> {
    meta::list(rule, &[field]).iter().filter_map(Value::as_str).collect()
}

/// What `wanted` allows and `owned` does not.
pub(super) fn uncovered(owned: &[Value], wanted: &[Value]) -> Vec<Value> {
    let single = wanted.iter().flat_map(apart);
    single.filter(|rule| !owned.iter().any(|owner| covers(owner, rule))).collect()
}

/// A rule as rules of one verb, one resource, one name each.
fn apart(rule: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    let (verbs, names) = (texts(rule, "verbs"), texts(rule, "resourceNames"));
    for group in texts(rule, "apiGroups") {
        for resource in texts(rule, "resources") {
            for verb in &verbs {
                let one = json!({"verbs": [verb], "apiGroups": [group], "resources": [resource]});
                if names.is_empty() {
                    found.push(one);
                    continue;
                }
                found.extend(names.iter().map(|name| {
                    let mut named = one.clone();
                    named["resourceNames"] = json!([name]);
                    named
                }));
            }
        }
    }
    for url in texts(rule, "nonResourceURLs") {
        found.extend(verbs.iter().map(|verb| json!({"verbs": [verb], "nonResourceURLs": [url]})));
    }
    found
}

/// Whether a rule allows what a rule taken apart allows.
fn covers(owner: &Value, one: &Value) -> bool {
    let all_in = |field: &str, star: &str| {
        let own = texts(owner, field);
        own.contains(&star) || texts(one, field).iter().all(|wanted| own.contains(wanted))
    };
    let resources = texts(owner, "resources");
    let resource = all_in("resources", "*")
        || texts(one, "resources").iter().all(|wanted| {
            let sub = wanted.split_once('/').map(|(_, sub)| format!("*/{sub}"));
            resources.contains(wanted) || sub.is_some_and(|any| resources.contains(&any.as_str()))
        });
    let urls = texts(owner, "nonResourceURLs");
    let url = texts(one, "nonResourceURLs").iter().all(|path| {
        let fits = |own: &&str| *own == *path || (own.ends_with('*') && path.starts_with(own.trim_end_matches('*')));
        urls.iter().any(fits)
    });
    let (own, wanted) = (texts(owner, "resourceNames"), texts(one, "resourceNames"));
    let name = own.is_empty() || (!wanted.is_empty() && wanted.iter().all(|name| own.contains(name)));
    all_in("verbs", "*") && all_in("apiGroups", "*") && resource && url && name
}

/// A rule or subject as Go prints the struct: `{Verbs:[get] APIGroups:[] …}`.
pub(super) fn shown(value: &Value, fields: &[(&str, &str)]) -> String {
    let none = Map::new();
    let map = value.as_object().unwrap_or(&none);
    let part = |(title, field): &(&str, &str)| match map.get(*field) {
        Some(Value::Array(items)) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            format!("{title}:[{}]", items.join(" "))
        }
        Some(Value::String(text)) => format!("{title}:{text}"),
        _ if title.ends_with('s') => format!("{title}:[]"),
        _ => format!("{title}:"),
    };
    format!("{{{}}}", fields.iter().map(part).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_already_is_not_missing() {
        let rule = |groups: &[&str], resources: &[&str], verbs: &[&str], names: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": verbs, "resourceNames": names});
        let wanted = rule(&["", "apps"], &["pods/log"], &["get", "list"], &[]);
        let table = [
            (rule(&["*"], &["*"], &["*"], &[]), 0),
            (rule(&["*"], &["*/log"], &["get"], &[]), 2),
            (rule(&[""], &["pods/log"], &["get", "list"], &[]), 2),
            (rule(&["*"], &["*"], &["*"], &["only"]), 4),
            (json!({"nonResourceURLs": ["*"], "verbs": ["*"]}), 4),
        ];
        for (owner, missing) in table {
            assert_eq!(
                uncovered(std::slice::from_ref(&owner), std::slice::from_ref(&wanted)).len(),
                missing,
                "{owner}"
            );
        }
        let path = json!({"nonResourceURLs": ["/logs/x"], "verbs": ["get"]});
        let under = json!({"nonResourceURLs": ["/logs/*"], "verbs": ["get"]});
        assert!(uncovered(std::slice::from_ref(&under), std::slice::from_ref(&path)).is_empty());
        assert_eq!(uncovered(&[path], &[under]).len(), 1);
    }
}
