//! Reviews: questions about who somebody is and what they may do, asked as objects.
//!
//! `POST` a review and read its `status`; nothing is stored. `kubectl auth can-i` and `kubectl auth
//! whoami` are two of them. Source: `pkg/registry/authorization`, `pkg/registry/authentication`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::rbac::Rule;
use super::{Action, Auth, User};
use crate::api::status::Status;
use crate::apiserver::kinds::FieldError;
use crate::apiserver::objects::Objects;

/// Where a review comes from.
pub struct Asked<'a> {
    /// `SubjectAccessReview`, …
    pub kind: &'a str,
    /// Of the request; may be empty.
    pub namespace: &'a str,
    /// Who asks.
    pub user: &'a User,
    /// The rest of the cluster.
    pub objects: &'a dyn Objects,
    /// The time of the request.
    pub now: Timestamp,
}

/// The review with its `status`.
pub fn answer(auth: &Auth, asked: &Asked<'_>, mut review: Value) -> Result<Value, Status> {
    let spec = review["spec"].clone();
    let status = match asked.kind {
        "TokenReview" => token(auth, asked, &spec)?,
        "SelfSubjectReview" => json!({"userInfo": user_info(asked.user)}),
        "SelfSubjectRulesReview" => rules(auth, asked, &spec)?,
        "SelfSubjectAccessReview" => {
            check(attribute_errors(&spec).as_slice())?;
            access(auth, asked.user, &spec, asked.objects)
        }
        kind => {
            let mut errors: Vec<FieldError> = subject_errors(&spec).into_iter().collect();
            errors.extend(attribute_errors(&spec));
            if kind == "LocalSubjectAccessReview" {
                errors.extend(namespace_errors(&spec, asked.namespace));
            }
            check(&errors)?;
            access(auth, &subject(&spec), &spec, asked.objects)
        }
    };
    review["status"] = status;
    Ok(review)
}

/// The group is known, the kind is not: so Kubernetes says it, too.
fn check(errors: &[FieldError]) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(FieldError::status("authorization.k8s.io", "", "", errors)) }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn is_empty(list: &Value) -> bool {
    list.as_array().is_none_or(Vec::is_empty)
}

fn subject_errors(spec: &Value) -> Option<FieldError> {
    let nobody = text(spec, "user").is_empty() && is_empty(&spec["groups"]);
    nobody.then(|| FieldError::invalid("spec.user", "", "at least one of user or group must be specified"))
}

fn attribute_errors(spec: &Value) -> Option<FieldError> {
    let resource = !spec["resourceAttributes"].is_null();
    let path = !spec["nonResourceAttributes"].is_null();
    let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
    match (resource, path) {
        (false, false) => Some(FieldError::invalid("spec", Value::Null, why)),
        (true, true) => {
            let why = "cannot be specified in combination with resourceAttributes";
            Some(FieldError::invalid("spec.nonResourceAttributes", spec["nonResourceAttributes"].clone(), why))
        }
        _ => None,
    }
}

fn namespace_errors(spec: &Value, namespace: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !spec["nonResourceAttributes"].is_null() {
        let why = "disallowed on this kind of request";
        errors.push(FieldError::invalid("spec.nonResourceAttributes", spec["nonResourceAttributes"].clone(), why));
    }
    let named = text(&spec["resourceAttributes"], "namespace");
    if named != namespace {
        let why = "must match metadata.namespace";
        errors.push(FieldError::invalid("spec.resourceAttributes.namespace", named, why));
    }
    errors
}

fn subject(spec: &Value) -> User {
    let strings = |value: &Value| {
        value.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    User {
        name: text(spec, "user").to_owned(),
        uid: text(spec, "uid").to_owned(),
        groups: strings(&spec["groups"]),
        extra: spec["extra"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), strings(value)))
            .collect(),
    }
}

fn access(auth: &Auth, user: &User, spec: &Value, objects: &dyn Objects) -> Value {
    let resource = &spec["resourceAttributes"];
    let path = &spec["nonResourceAttributes"];
    let action = if resource.is_null() {
        Action { verb: text(path, "verb").to_owned(), path: text(path, "path").to_owned(), ..Action::default() }
    } else {
        let of = |field: &str| text(resource, field).to_owned();
        let version = if of("version").is_empty() { "*".to_owned() } else { of("version") };
        Action {
            verb: of("verb"),
            group: of("group"),
            version,
            resource: of("resource"),
            subresource: of("subresource"),
            namespace: of("namespace"),
            name: of("name"),
            path: String::new(),
        }
    };
    let decision = auth.authorize(user, &action, objects);
    let (super::Decision::Allow(reason) | super::Decision::NoOpinion(reason)) = &decision;
    let mut status = json!({"allowed": decision.is_allowed()});
    if !reason.is_empty() {
        status["reason"] = json!(reason);
    }
    status
}

fn rules(auth: &Auth, asked: &Asked<'_>, spec: &Value) -> Result<Value, Status> {
    let namespace = text(spec, "namespace");
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let held = auth.policy.now(asked.objects).rules(asked.user, namespace);
    let resource = |rule: &Rule| {
        let mut shown = json!({"verbs": rule.verbs, "apiGroups": rule.groups, "resources": rule.resources});
        if !rule.names.is_empty() {
            shown["resourceNames"] = json!(rule.names);
        }
        shown
    };
    let on_resources: Vec<Value> = held.iter().filter(|rule| !rule.resources.is_empty()).map(resource).collect();
    let on_paths: Vec<Value> = held
        .iter()
        .filter(|rule| !rule.paths.is_empty())
        .map(|rule| json!({"verbs": rule.verbs, "nonResourceURLs": rule.paths}))
        .collect();
    Ok(json!({"resourceRules": on_resources, "nonResourceRules": on_paths, "incomplete": false}))
}

fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name});
    if !user.uid.is_empty() {
        info["uid"] = json!(user.uid);
    }
    if !user.groups.is_empty() {
        info["groups"] = json!(user.groups);
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

fn token(auth: &Auth, asked: &Asked<'_>, spec: &Value) -> Result<Value, Status> {
    let shown = text(spec, "token");
    if shown.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences: Vec<String> =
        spec["audiences"].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect();
    if Some(shown) == auth.admin_token.as_deref() {
        let admin = User::new("kubernetes-admin", &["system:masters", "system:authenticated"]);
        return Ok(json!({"authenticated": true, "user": user_info(&admin), "audiences": [auth.tokens.issuer()]}));
    }
    Ok(match auth.tokens.verify(shown, &audiences, asked.objects, asked.now) {
        Ok((user, shared)) => json!({"authenticated": true, "user": user_info(&user), "audiences": shared}),
        Err(why) => json!({"user": {}, "error": format!("[invalid bearer token, {why}]")}),
    })
}
