//! Impersonation: acting as another user, when one may.
//!
//! In: the `Impersonate-*` headers of a request and the user who sends it. Out: the user to act as.
//! A request is allowed by the old rule (verb `impersonate` on each thing that is taken over), or
//! by the narrow one (1.36 on): `impersonate:user-info` on the user and `impersonate-on:user-info:list`
//! on what is done as that user. Source: `apiserver/pkg/endpoints/filters/impersonation`.

use http::HeaderMap;

use super::{Action, User};
use crate::api::status::Status;

const AUTHENTICATION: &str = "authentication.k8s.io";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// The user that the headers ask for; `None` when they ask for none.
///
/// # Errors
/// 400 when groups, uid or extra are given without a user.
pub fn requested(headers: &HeaderMap) -> Result<Option<User>, Status> {
    let all = |name: &str| {
        headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect::<Vec<_>>()
    };
    let name = all("impersonate-user").into_iter().next().unwrap_or_default();
    let mut user = User { name, groups: all("impersonate-group"), ..User::default() };
    user.uid = all("impersonate-uid").into_iter().next().unwrap_or_default();
    for header in headers.keys() {
        if let Some(key) = header.as_str().strip_prefix("impersonate-extra-") {
            let key = percent_decoded(key);
            user.extra.insert(key, all(header.as_str()));
        }
    }
    if !user.name.is_empty() {
        return Ok(Some(user));
    }
    if user == User::default() {
        return Ok(None);
    }
    let go = |texts: &[String]| format!("[]string{{{}}}", quoted(texts));
    let groups = if user.groups.is_empty() { "[]string(nil)".to_owned() } else { go(&user.groups) };
    let extra: Vec<String> = user.extra.iter().map(|(key, values)| format!("{key:?}:{}", go(values))).collect();
    let extra = if extra.is_empty() { "(nil)".to_owned() } else { format!("{{{}}}", extra.join(", ")) };
    Err(Status::bad_request(format!(
        "requested &user.DefaultInfo{{Name:\"\", UID:{:?}, Groups:{groups}, Extra:map[string][]string{extra}}} without \
         impersonating a user name",
        user.uid
    )))
}

fn quoted(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ")
}

/// `example.com%2fscopes` → `example.com/scopes`.
fn percent_decoded(text: &str) -> String {
    // A pair of the form `=TEXT` decodes the text and leaves the key empty.
    let pair = format!("={}", text.replace('+', "%2b"));
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// What `user` must be allowed to do, by the old rule: each thing that is taken over.
pub fn needed(wanted: &User) -> Vec<Action> {
    let action = |group: &str, resource: &str, name: &str| Action {
        verb: "impersonate".into(),
        group: group.into(),
        version: "v1".into(),
        resource: resource.into(),
        name: name.into(),
        ..Action::default()
    };
    let mut needed = vec![match service_account(&wanted.name) {
        Some((namespace, name)) => Action { namespace: namespace.into(), ..action("", "serviceaccounts", name) },
        None => action("", "users", &wanted.name),
    }];
    needed.extend(wanted.groups.iter().map(|group| action("", "groups", group)));
    if !wanted.uid.is_empty() {
        needed.push(action(AUTHENTICATION, "uids", &wanted.uid));
    }
    for (key, values) in &wanted.extra {
        let value = |value: &String| Action { subresource: key.clone(), ..action(AUTHENTICATION, "userextras", value) };
        needed.extend(values.iter().map(value));
    }
    needed
}

/// The narrow rule: the verb for what is done as the user, and those for the user itself.
pub fn needed_narrowly(wanted: &User, action: &Action) -> (Action, Vec<Action>) {
    let mode = match &wanted.name {
        name if name.starts_with(SERVICE_ACCOUNT) => "serviceaccount",
        name if name.starts_with("system:node:") => "arbitrary-node",
        _ => "user-info",
    };
    let on = Action { verb: format!("impersonate-on:{mode}:{}", action.verb), ..action.clone() };
    let whom = needed(wanted).into_iter().map(|one| Action {
        verb: format!("impersonate:{mode}"),
        group: AUTHENTICATION.into(),
        ..one
    });
    (on, whom.collect())
}

/// Adds the groups every such user is in.
pub fn complete(mut user: User) -> User {
    if user.groups.is_empty()
        && let Some((namespace, _)) = service_account(&user.name)
    {
        user.groups = service_account_groups(namespace);
    }
    let outside = ["system:authenticated", "system:unauthenticated"];
    if !user.groups.iter().any(|group| outside.contains(&group.as_str())) {
        let group = if user.name == "system:anonymous" { outside[1] } else { outside[0] };
        user.groups.push(group.into());
    }
    user
}

/// The groups of every service account of a namespace.
pub fn service_account_groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")]
}

/// `system:serviceaccount:NAMESPACE:NAME`, taken apart.
pub fn service_account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn headers_name_a_user_groups_and_extra() {
        let given = [
            ("impersonate-user", "jane"),
            ("impersonate-group", "a"),
            ("impersonate-group", "b"),
            ("impersonate-extra-x.io%2fk", "v"),
        ];
        let user = requested(&headers(&given)).unwrap().unwrap();
        assert_eq!((user.name.as_str(), user.groups.len()), ("jane", 2));
        assert_eq!(user.extra["x.io/k"], ["v"]);
        assert_eq!(requested(&HeaderMap::new()).unwrap(), None);
        assert!(requested(&headers(&[("impersonate-group", "a")])).is_err());
    }

    #[test]
    fn a_service_account_brings_its_groups() {
        let user = complete(User::new("system:serviceaccount:team:bot", &[]));
        assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated"]);
        assert_eq!(needed(&user)[0].resource, "serviceaccounts");
    }
}
