//! FlowSchemas and PriorityLevelConfigurations: whose requests wait behind whose.
//!
//! tutor keeps and checks them; it does not queue by them. Source:
//! `k8s.io/kubernetes/pkg/apis/flowcontrol/validation`.

use serde_json::Value;

use super::super::json::Fill::{Int, NonZero};
use super::super::json::{Json, fill};
use super::super::{FieldError, Strategy, check, names};

const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
/// Bits of a hash that may be used to deal queues.
const HASH_BITS: f64 = 60.0;

/// What FlowSchemas do.
pub const SCHEMA: Strategy = Strategy {
    defaults: |schema, _| fill(schema, &[("spec.matchingPrecedence", NonZero(1000))]),
    validate: |schema, _| validate_schema(schema),
    validate_update: |new, _, _| validate_schema(new),
    whole_again: true,
    ..Strategy::WITH_STATUS_AND_GENERATION
};

/// What PriorityLevelConfigurations do.
pub const LEVEL: Strategy = Strategy {
    defaults: |level, _| {
        fill(
            level,
            &[
                ("spec.limited.nominalConcurrencyShares", Int(30)),
                ("spec.limited.lendablePercent", Int(0)),
                ("spec.limited.limitResponse.queuing.queues", NonZero(64)),
                ("spec.limited.limitResponse.queuing.handSize", NonZero(8)),
                ("spec.limited.limitResponse.queuing.queueLengthLimit", NonZero(50)),
                ("spec.exempt.nominalConcurrencyShares", Int(0)),
                ("spec.exempt.lendablePercent", Int(0)),
            ],
        );
    },
    validate: |level, _| validate_level(level),
    validate_update: |new, _, _| validate_level(new),
    whole_again: true,
    ..Strategy::WITH_STATUS_AND_GENERATION
};

fn validate_schema(schema: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = "spec.matchingPrecedence";
    let precedence = schema.int(path).unwrap_or(0);
    if precedence <= 0 {
        errors.push(FieldError::invalid(path, precedence, "must be a positive value"));
    }
    if precedence > 10000 {
        errors.push(FieldError::invalid(path, precedence, "must not be greater than 10000"));
    }
    if precedence == 1 && schema.text("metadata.name") != "exempt" {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        errors.push(FieldError::invalid(path, precedence, detail));
    }
    let method = schema.at("spec.distinguisherMethod");
    if method.is_object() && !["ByNamespace", "ByUser"].contains(&method.text("type")) {
        let shown = check::go_struct(method, &["Type"]);
        let mut error = FieldError::not_supported("spec.distinguisherMethod.type", "", &["ByNamespace", "ByUser"]);
        error.value = shown;
        errors.push(error);
    }
    let level = schema.text("spec.priorityLevelConfiguration.name");
    let path = "spec.priorityLevelConfiguration.name";
    if level.is_empty() {
        errors.push(FieldError::required(path, "must reference a priority level"));
    } else {
        errors.extend(check::faults(path, level, names::dns_subdomain(level)));
    }
    for (index, rule) in schema.items("spec.rules").iter().enumerate() {
        errors.extend(validate_rule(rule, &format!("spec.rules[{index}]")));
    }
    errors
}

fn validate_rule(rule: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let subjects = rule.items("subjects");
    if subjects.is_empty() {
        errors.push(FieldError::required(format!("{path}.subjects"), "subjects must contain at least one value"));
    }
    for (index, subject) in subjects.iter().enumerate() {
        errors.extend(validate_subject(subject, &format!("{path}.subjects[{index}]")));
    }
    let (resources, paths) = (rule.items("resourceRules"), rule.items("nonResourceRules"));
    if resources.is_empty() && paths.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(FieldError::required(path, detail));
    }
    for (index, rule) in resources.iter().enumerate() {
        errors.extend(resource_rule(rule, &format!("{path}.resourceRules[{index}]")));
    }
    for (index, rule) in paths.iter().enumerate() {
        let path = format!("{path}.nonResourceRules[{index}]");
        errors.extend(verbs(rule, &path));
        let urls = rule.items("nonResourceURLs");
        let at = format!("{path}.nonResourceURLs");
        if urls.is_empty() {
            errors.push(FieldError::required(at, "nonResourceURLs must contain at least one value"));
        } else if is_all(urls) {
            if urls.len() > 1 {
                let detail = "if '*' is present, must not specify other non-resource URLs";
                errors.push(FieldError::invalid(at, rule.at("nonResourceURLs").clone(), detail));
            }
        } else {
            errors.extend(urls.iter().enumerate().filter_map(|(index, url)| {
                let url = url.as_str().unwrap_or("");
                wrong_url(url).map(|detail| FieldError::invalid(format!("{at}[{index}]"), url, detail))
            }));
        }
    }
    errors
}

fn wrong_url(url: &str) -> Option<&'static str> {
    if url == "/" {
        return None;
    }
    let Some(rest) = url.strip_prefix('/') else {
        return Some(if url.is_empty() { "must not be empty" } else { "must start with slash" });
    };
    let stars = rest.matches('*').count();
    let star = stars > 1 || (stars == 1 && !url.ends_with("/*"));
    match () {
        () if url.contains(' ') => Some("must not contain white-space"),
        () if url.contains("//") => Some("must not contain double slash"),
        () if star => Some("wildcard can only do suffix matching"),
        () => None,
    }
}

fn is_all(list: &[Value]) -> bool {
    list.iter().any(|item| item == "*")
}

fn verbs(rule: &Value, path: &str) -> Option<FieldError> {
    let list = rule.items("verbs");
    let at = format!("{path}.verbs");
    if list.is_empty() {
        Some(FieldError::required(at, "verbs must contain at least one value"))
    } else if is_all(list) {
        let detail = "if '*' is present, must not specify other verbs";
        (list.len() > 1).then(|| FieldError::invalid(at, rule.at("verbs").clone(), detail))
    } else {
        let known = list.iter().all(|verb| VERBS.contains(&verb.as_str().unwrap_or("")));
        (!known).then(|| FieldError::not_supported(at, rule.at("verbs").clone(), VERBS))
    }
}

fn resource_rule(rule: &Value, path: &str) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = verbs(rule, path).into_iter().collect();
    let lists = [
        ("apiGroups", "resource rules must supply at least one api group", "api groups"),
        ("resources", "resource rules must supply at least one resource", "resources"),
    ];
    for (field, missing, others) in lists {
        let list = rule.items(field);
        let at = format!("{path}.{field}");
        if list.is_empty() {
            errors.push(FieldError::required(at, missing));
        } else if list.len() > 1 && is_all(list) {
            let detail = format!("if '*' is present, must not specify other {others}");
            errors.push(FieldError::invalid(at, rule.at(field).clone(), detail));
        }
    }
    let namespaces = rule.items("namespaces");
    let at = format!("{path}.namespaces");
    if namespaces.is_empty() && !rule.flag("clusterScope") {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.push(FieldError::required(at, detail));
    } else if is_all(namespaces) {
        if namespaces.len() > 1 {
            let detail = "if '*' is present, must not specify other namespaces";
            errors.push(FieldError::invalid(at, rule.at("namespaces").clone(), detail));
        }
    } else {
        for (index, namespace) in namespaces.iter().enumerate() {
            let name = namespace.as_str().unwrap_or("");
            let faults = names::dns_label(name);
            let told = |fault| format!("each member of this list must be '*' or a DNS-1123 label; {fault}");
            errors.extend(check::faults(format!("{at}[{index}]"), name, faults.into_iter().map(told).collect()));
        }
    }
    errors
}

fn validate_subject(subject: &Value, path: &str) -> Vec<FieldError> {
    let kinds = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let kind = subject.text("kind");
    let Some((_, own)) = kinds.into_iter().find(|(name, _)| *name == kind) else {
        let supported = ["Group", "ServiceAccount", "User"];
        return vec![FieldError::not_supported(format!("{path}.kind"), kind, &supported)];
    };
    let mut errors = Vec::new();
    let at = format!("{path}.{own}");
    let named = subject.at(own);
    if named.is_null() {
        let detail = format!("{own} is required when subject kind is '{kind}'");
        errors.push(FieldError::required(at, detail));
    } else {
        let name = named.text("name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{at}.name"), ""));
        } else if kind == "ServiceAccount" && name != "*" {
            errors.extend(check::faults(format!("{at}.name"), name, names::dns_subdomain(name)));
        }
        let namespace = named.text("namespace");
        if kind == "ServiceAccount" && namespace.is_empty() {
            let detail = "must specify namespace for service account";
            errors.push(FieldError::required(format!("{at}.namespace"), detail));
        } else if kind == "ServiceAccount" {
            errors.extend(check::faults(format!("{at}.namespace"), namespace, names::dns_label(namespace)));
        }
    }
    let others = match own {
        "serviceAccount" => ["user", "group"],
        "user" => ["serviceAccount", "group"],
        _ => ["serviceAccount", "user"],
    };
    for other in others.into_iter().filter(|other| subject.has(other)) {
        let of = kinds.iter().find(|(_, field)| *field == other).map_or("", |(name, _)| *name);
        let detail = format!("{other} is forbidden when subject kind is not '{of}'");
        errors.push(FieldError::forbidden(format!("{path}.{other}"), detail));
    }
    errors
}

fn validate_level(level: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (kind, exempt) = (level.text("spec.type"), level.text("metadata.name") == "exempt");
    if exempt != (kind == "Exempt") {
        let detail = "must be 'Exempt' if and only if `name` is 'exempt'";
        errors.push(FieldError::invalid("spec.type", kind, detail));
    }
    // Which branch goes with the type is declared beside the types: no words.
    let branches = [("Exempt", "spec.exempt"), ("Limited", "spec.limited")];
    for (name, field) in branches {
        if kind != name && level.has(field) {
            errors.push(FieldError::forbidden(field, ""));
            // Nor is what goes with a branch left unsaid when the branch should not be there.
            let response = level.at("spec.limited.limitResponse");
            if name == "Limited" && response.text("type").is_empty() {
                errors.push(FieldError::required("spec.limited.limitResponse.type", ""));
            }
            if name == "Limited" && response.text("type") != "Queue" && response.has("queuing") {
                errors.push(FieldError::forbidden("spec.limited.limitResponse.queuing", ""));
            }
        }
    }
    match kind {
        "Exempt" => {
            errors.extend(shares(level, "spec.exempt"));
            errors.extend(percent(level, "spec.exempt.lendablePercent"));
        }
        "Limited" if !level.has("spec.limited") => errors.push(FieldError::required("spec.limited", "")),
        "Limited" => {
            errors.extend(shares(level, "spec.limited"));
            errors.extend(limit_response(level.at("spec.limited.limitResponse"), "spec.limited.limitResponse"));
            errors.extend(percent(level, "spec.limited.lendablePercent"));
            let borrowing = "spec.limited.borrowingLimitPercent";
            if let Some(share) = level.int(borrowing).filter(|share| *share < 0) {
                errors.push(FieldError::invalid(borrowing, share, "if specified, must be a non-negative integer"));
            }
        }
        "" => errors.push(FieldError::required("spec.type", "")),
        _ => errors.push(FieldError::not_supported("spec.type", kind, &["Exempt", "Limited"])),
    }
    errors
}

fn shares(level: &Value, path: &str) -> Option<FieldError> {
    let at = format!("{path}.nominalConcurrencyShares");
    let shares = level.int(&at).filter(|shares| *shares < 0)?;
    Some(FieldError::invalid(at, shares, "must be a non-negative integer"))
}

fn percent(level: &Value, path: &str) -> Option<FieldError> {
    let share = level.int(path).filter(|share| !(0..=100).contains(share))?;
    Some(FieldError::invalid(path, share, "must be between 0 and 100, inclusive"))
}

fn limit_response(response: &Value, path: &str) -> Vec<FieldError> {
    let kind = response.text("type");
    let at = format!("{path}.queuing");
    let mut errors = Vec::new();
    if kind != "Queue" && response.has("queuing") {
        errors.push(FieldError::forbidden(at.as_str(), ""));
    }
    match kind {
        "Reject" => {}
        "Queue" if !response.has("queuing") => errors.push(FieldError::required(at, "")),
        "Queue" => errors.extend(queuing(response.at("queuing"), &at)),
        "" => errors.push(FieldError::required(format!("{path}.type"), "")),
        _ => errors.push(FieldError::not_supported(format!("{path}.type"), kind, &["Queue", "Reject"])),
    }
    errors
}

fn queuing(queuing: &Value, path: &str) -> Vec<FieldError> {
    let number = |field: &str| queuing.int(field).unwrap_or(0);
    let (queues, hand) = (number("queues"), number("handSize"));
    let mut errors = Vec::new();
    let mut wrong = |field: &str, value: i64, detail: String| {
        errors.push(FieldError::invalid(format!("{path}.{field}"), value, detail));
    };
    if number("queueLengthLimit") <= 0 {
        wrong("queueLengthLimit", number("queueLengthLimit"), "must be positive".to_owned());
    }
    if queues <= 0 {
        wrong("queues", queues, "must be positive".to_owned());
    } else if queues > 10_000_000 {
        wrong("queues", queues, "must not be greater than 10000000".to_owned());
    }
    if hand <= 0 {
        wrong("handSize", hand, "must be positive".to_owned());
    } else if hand > queues {
        wrong("handSize", hand, format!("should not be greater than queues ({queues})"));
    } else {
        let bits = ((queues as f64).log2() * hand as f64).ceil();
        if bits > HASH_BITS {
            let detail = format!(
                "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS}"
            );
            wrong("handSize", hand, detail);
        }
    }
    errors
}
