//! Reviews: questions about who somebody is and what they may do, asked as objects.
//!
//! `POST` a review and read its `status`; nothing is stored. `kubectl auth can-i` and `kubectl auth
//! whoami` are two of them. Source: `pkg/registry/authorization`, `pkg/registry/authentication`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::rbac::Rule;
use super::{Action, Auth, User, selected_fields};
use crate::api::selector::{FieldSelector, LabelSelector};
use crate::api::status::Status;
use crate::apiserver::kinds::{FieldError, check, names};
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
        "TokenReview" => {
            // What is not found out stays as it was sent.
            let mut status = review["status"].as_object().cloned().unwrap_or_default();
            status.shift_remove("authenticated");
            if let Value::Object(found) = token(auth, asked, &spec)? {
                status.extend(found);
            }
            status.entry("user").or_insert_with(|| json!({}));
            Value::Object(status)
        }
        "SelfSubjectReview" => {
            review["metadata"] = json!({"creationTimestamp": whole_seconds(asked.now)});
            json!({"userInfo": user_info(asked.user)})
        }
        "SelfSubjectRulesReview" => {
            let rules = rules(auth, asked, &spec)?;
            // The answer does not repeat the question.
            review["spec"] = json!({});
            rules
        }
        "SelfSubjectAccessReview" => {
            let mut errors: Vec<FieldError> = attribute_errors(&spec).into_iter().collect();
            errors.extend(selector_errors(&spec));
            errors.extend(metadata_errors(&review, ""));
            check(&errors)?;
            access(auth, asked.user, &spec, asked.objects)
        }
        kind => {
            let mut errors: Vec<FieldError> = attribute_errors(&spec).into_iter().collect();
            errors.extend(subject_errors(&spec));
            errors.extend(selector_errors(&spec));
            let namespace = if kind == "LocalSubjectAccessReview" { asked.namespace } else { "" };
            errors.extend(metadata_errors(&review, namespace));
            if kind == "LocalSubjectAccessReview" {
                errors.extend(namespace_errors(&spec, asked.namespace));
                review["metadata"]["namespace"] = json!(asked.namespace);
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
        (true, true) => Some(FieldError::invalid("spec", path_shown(spec), why)),
        _ => None,
    }
}

/// A selector that is there says what it selects, in one of two ways.
fn selector_errors(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["fieldSelector", "labelSelector"] {
        let selector = &spec["resourceAttributes"][field];
        if selector.is_null() {
            continue;
        }
        let path = format!("spec.resourceAttributes.{field}");
        let (raw, none) = (text(selector, "rawSelector"), is_empty(&selector["requirements"]));
        if raw.is_empty() && none {
            let why = format!("when {path} is specified, requirements or rawSelector is required");
            errors.push(FieldError::required(format!("{path}.requirements"), why));
        } else if !raw.is_empty() && !none {
            let why = "may not specified at the same time as requirements";
            errors.push(FieldError::invalid(format!("{path}.rawSelector"), raw, why));
        }
        let requirements = selector["requirements"].as_array().into_iter().flatten().enumerate();
        for (index, one) in requirements {
            errors.extend(requirement(one, field == "labelSelector", &format!("{path}.requirements[{index}]")));
        }
    }
    errors
}

/// One requirement of a selector. An operator that is not known may be a newer client's, and is let pass.
fn requirement(one: &Value, of_labels: bool, path: &str) -> Vec<FieldError> {
    let (key, values) = (text(one, "key"), one["values"].as_array().map_or(&[][..], Vec::as_slice));
    let mut errors = Vec::new();
    if !of_labels && key.is_empty() {
        errors.push(FieldError::required(format!("{path}.key"), "must be specified"));
    }
    let at = format!("{path}.values");
    match text(one, "operator") {
        "In" | "NotIn" if values.is_empty() => {
            errors.push(FieldError::required(at, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(at, detail));
        }
        _ => {}
    }
    if of_labels {
        errors.extend(check::faults(format!("{path}.key"), key, names::qualified_name(key)));
        for (index, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            errors.extend(check::faults(format!("{path}.values[{index}]"), value, names::label_value(value)));
        }
    }
    errors
}

/// The path that is asked about, as Go writes it.
fn path_shown(spec: &Value) -> Value {
    let asked = &spec["nonResourceAttributes"];
    json!({"Path": text(asked, "path"), "Verb": text(asked, "verb")})
}

/// A question has no metadata but, where it is asked in one, its namespace.
fn metadata_errors(review: &Value, namespace: &str) -> Option<FieldError> {
    let metadata = review["metadata"].as_object()?;
    let extra = metadata.iter().any(|(field, value)| match field.as_str() {
        "managedFields" | "creationTimestamp" => false,
        "namespace" => namespace.is_empty(),
        _ => !value.is_null() && value != "",
    });
    let why = if namespace.is_empty() { "must be empty" } else { "must be empty except for namespace" };
    extra.then(|| FieldError::invalid("metadata", review["metadata"].clone(), why))
}

fn whole_seconds(now: Timestamp) -> Value {
    Timestamp::from_second(now.as_second()).map_or(Value::Null, |now| json!(now.to_string()))
}

fn namespace_errors(spec: &Value, namespace: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !spec["nonResourceAttributes"].is_null() {
        let why = "disallowed on this kind of request";
        errors.push(FieldError::invalid("spec.nonResourceAttributes", path_shown(spec), why));
    }
    let named = text(&spec["resourceAttributes"], "namespace");
    if !spec["resourceAttributes"].is_null() && named != namespace {
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
            fields: asked_fields(&resource["fieldSelector"]),
        }
    };
    let decision = auth.authorize(user, &action, objects);
    let (super::Decision::Allow(reason) | super::Decision::NoOpinion(reason)) = &decision;
    let mut status = json!({"allowed": decision.is_allowed()});
    if !reason.is_empty() {
        status["reason"] = json!(reason);
    }
    let unread: Vec<String> = [
        ("fieldSelector", unread_fields(&resource["fieldSelector"])),
        ("labelSelector", unread_labels(&resource["labelSelector"])),
    ]
    .into_iter()
    .filter_map(|(field, unread)| Some(format!("spec.resourceAttributes.{field} {}", unread?.words())))
    .collect();
    if !unread.is_empty() {
        status["evaluationError"] = json!(unread.join("; "));
    }
    status
}

/// What of a selector could not be understood: authorization goes without it.
enum Unread {
    All,
    Some,
}

impl Unread {
    /// Of so many requirements, so many could be read.
    fn of(all: usize, read: usize) -> Option<Unread> {
        match read {
            0 if all > 0 => Some(Unread::All),
            read if read < all => Some(Unread::Some),
            _ => None,
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Unread::All => "ignored due to parse error",
            Unread::Some => "partially ignored due to parse error",
        }
    }
}

fn requirements(selector: &Value) -> &[Value] {
    selector["requirements"].as_array().map_or(&[], Vec::as_slice)
}

/// A field can be compared with one value, for being it or not.
fn reads_as_field(one: &Value) -> bool {
    matches!(text(one, "operator"), "In" | "NotIn") && one["values"].as_array().is_some_and(|values| values.len() == 1)
}

fn asked_fields(selector: &Value) -> Vec<(String, String)> {
    let raw = text(selector, "rawSelector");
    if !raw.is_empty() {
        return FieldSelector::parse(raw).map(|_| selected_fields(raw)).unwrap_or_default();
    }
    let equal = requirements(selector).iter().filter(|one| reads_as_field(one) && text(one, "operator") == "In");
    let pair = |one: &Value| (text(one, "key").to_owned(), one["values"][0].as_str().unwrap_or_default().to_owned());
    equal.map(pair).collect()
}

fn unread_fields(selector: &Value) -> Option<Unread> {
    let raw = text(selector, "rawSelector");
    if !raw.is_empty() {
        return FieldSelector::parse(raw).is_err().then_some(Unread::All);
    }
    let all = requirements(selector);
    Unread::of(all.len(), all.iter().filter(|one| reads_as_field(one)).count())
}

fn unread_labels(selector: &Value) -> Option<Unread> {
    let raw = text(selector, "rawSelector");
    if !raw.is_empty() {
        return LabelSelector::parse(raw).is_err().then_some(Unread::All);
    }
    let all = requirements(selector);
    let known = ["In", "NotIn", "Exists", "DoesNotExist"];
    Unread::of(all.len(), all.iter().filter(|one| known.contains(&text(one, "operator"))).count())
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
    let mut told = json!({"resourceRules": on_resources, "nonResourceRules": on_paths, "incomplete": false});
    if super::node::is_node(asked.user) {
        told["incomplete"] = json!(true);
        told["evaluationError"] = json!("node authorizer does not support user rule resolution");
    }
    Ok(told)
}

/// Whether a token says of itself that this server issued it: only then is there more to say about it.
fn names_issuer(token: &str, issuer: &str) -> bool {
    let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Option<Value> = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    claims.is_some_and(|claims| claims["iss"] == issuer)
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
    // The token is put into a header: the first word counts, and there is none after another space.
    if shown.starts_with(' ') || shown.trim().is_empty() {
        let nobody = User::new("system:anonymous", &["system:unauthenticated"]);
        return Ok(json!({"authenticated": true, "user": user_info(&nobody), "audiences": [auth.tokens.issuer()]}));
    }
    let shown = shown.split_whitespace().next().unwrap_or(shown);
    let audiences: Vec<String> =
        spec["audiences"].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect();
    if Some(shown) == auth.admin_token.as_deref() {
        let admin = User::new("kubernetes-admin", &["system:masters", "system:authenticated"]);
        return Ok(json!({"authenticated": true, "user": user_info(&admin), "audiences": [auth.tokens.issuer()]}));
    }
    Ok(match auth.tokens.verify(shown, &audiences, asked.objects, asked.now) {
        Ok((user, shared)) => json!({"authenticated": true, "user": user_info(&user), "audiences": shared}),
        Err(_) if !names_issuer(shown, auth.tokens.issuer()) => json!({"error": "invalid bearer token"}),
        Err(why) => json!({"error": format!("[invalid bearer token, {why}]")}),
    })
}
