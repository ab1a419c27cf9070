//! What a user may do, asked of the API server as that user.
//!
//! In: a user and deeds, as `list pods`, `create pods/exec in default`, `delete jobs.batch/night everywhere`. Out:
//! those that are allowed. A deed is a verb, a resource (its group after a dot), a subresource or a name after the
//! slash, and a place; without one, the exercise's namespace is meant. Rules are never read here: the server judges.
//! Chapter: `book/src/running/rbac.md`.

use http::Method;
use serde_json::{Value, json};

use super::target::Target;

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// What follows a slash and is no object's name.
const SUBRESOURCES: [&str; 10] =
    ["approval", "attach", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "proxy", "scale", "token"];

/// Those of `deeds` that `user` may do.
///
/// # Errors
/// What is wrong with a deed, or the server's words when it does not judge.
pub async fn allowed(target: &Target, user: &str, namespace: &str, deeds: &[String]) -> Result<Vec<String>, String> {
    let mut allowed = Vec::new();
    for deed in deeds {
        let attributes =
            attributes(deed, namespace).ok_or_else(|| format!("{deed:?} is no deed, as \"list pods\" is"))?;
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes}});
        let answer =
            target.ask_as(user, Method::POST, REVIEWS, Some(&review)).await.map_err(|error| error.to_string())?;
        match answer.body.pointer("/status/allowed").and_then(Value::as_bool) {
            Some(true) => allowed.push(deed.clone()),
            Some(false) => {}
            None => return Err(answer.words()),
        }
    }
    Ok(allowed)
}

/// A deed as the API server is asked about it.
fn attributes(deed: &str, here: &str) -> Option<Value> {
    let words: Vec<&str> = deed.split_whitespace().collect();
    let (verb, what, namespace) = match words[..] {
        [verb, what] => (verb, what, here),
        [verb, what, "in", namespace] => (verb, what, namespace),
        [verb, what, "everywhere"] => (verb, what, ""),
        _ => return None,
    };
    let (resource, rest) = what.split_once('/').unwrap_or((what, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let (name, subresource) = if SUBRESOURCES.contains(&rest) { ("", rest) } else { (rest, "") };
    Some(json!({"verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": name,
        "namespace": namespace}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_are_read() {
        for (deed, parts) in [
            ("list pods", ["list", "", "pods", "", "", "here"]),
            ("create pods/exec in default", ["create", "", "pods", "exec", "", "default"]),
            ("delete jobs.batch/night everywhere", ["delete", "batch", "jobs", "", "night", ""]),
            (
                "bind clusterroles.rbac.authorization.k8s.io",
                ["bind", "rbac.authorization.k8s.io", "clusterroles", "", "", "here"],
            ),
        ] {
            let found = attributes(deed, "here").unwrap();
            let found =
                ["verb", "group", "resource", "subresource", "name", "namespace"].map(|part| found[part].clone());
            assert_eq!(found, parts.map(Value::from), "{deed}");
        }
        assert!(attributes("list", "here").is_none() && attributes("list pods of mine", "here").is_none());
    }
}
