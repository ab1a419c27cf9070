//! What is wrong with a Pod's `resourceClaims`.

use std::collections::HashSet;

use serde_json::Value;

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, check, names};

const MIRROR: &str = "kubernetes.io/config.mirror";

/// The names that containers may use, and what is wrong.
pub fn validate<'a>(spec: &'a Value, path: &str, meta: Option<&Value>) -> (Vec<&'a str>, Vec<FieldError>) {
    let claims = spec.items("resourceClaims");
    let known = claims.iter().map(|claim| claim.text("name")).filter(|name| !name.is_empty()).collect();
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    let mirror = meta.is_some_and(|meta| meta.at("annotations").get(MIRROR).is_some());
    for (index, claim) in claims.iter().enumerate() {
        if mirror {
            errors.push(FieldError::forbidden("", "static pods do not support resource claims"));
            continue;
        }
        let path = format!("{path}.resourceClaims[{index}]");
        let name = claim.text("name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        } else {
            errors.extend(check::faults(format!("{path}.name"), name, names::dns_label(name)));
        }
        errors.extend(source(claim, &path));
    }
    (known, errors)
}

fn source(claim: &Value, path: &str) -> Vec<FieldError> {
    const FIELDS: [&str; 2] = ["resourceClaimName", "resourceClaimTemplateName"];
    let set: Vec<&str> = FIELDS.into_iter().filter(|field| claim.has(field)).collect();
    let shown = || check::go_struct(claim, &["Name", "ResourceClaimName", "ResourceClaimTemplateName"]);
    let mut errors = Vec::new();
    match set.len() {
        0 => errors.push(FieldError::invalid_raw(
            path,
            shown(),
            "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
        )),
        1 => {}
        _ => errors.push(FieldError::invalid_raw(
            path,
            shown(),
            "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
        )),
    }
    for field in set {
        let name = claim.text(field);
        errors.extend(check::faults(format!("{path}.{field}"), name, names::dns_subdomain(name)));
    }
    errors
}
