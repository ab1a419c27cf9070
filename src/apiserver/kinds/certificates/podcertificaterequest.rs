//! PodCertificateRequest: a node's wish for a certificate in the name of one of its Pods.

use serde_json::Value;

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata::immutable;
use crate::apiserver::kinds::{FieldError, Strategy, names};

/// The shortest life that may be asked for.
const SHORTEST_SECONDS: i64 = 60 * 60;
/// The longest, of a signer of Kubernetes' own.
const LONGEST_OWN_SECONDS: i64 = 24 * 60 * 60;
/// The longest, of any other.
const LONGEST_SECONDS: i64 = 91 * 24 * 60 * 60;
/// The longest uid.
const MOST_UID_BYTES: usize = 128;

/// Of PodCertificateRequests.
pub const STRATEGY: Strategy = Strategy {
    validate: |request, _| validate(request),
    validate_update: |new, old, _| immutable(new, old, "spec").into_iter().collect(),
    selectable_fields: |request| {
        vec![
            ("spec.signerName", request.text("spec.signerName").to_string()),
            ("spec.podName", request.text("spec.podName").to_string()),
            ("spec.nodeName", request.text("spec.nodeName").to_string()),
        ]
    },
    selectable_names: &["spec.signerName", "spec.podName", "spec.nodeName"],
    unconditional_update: false,
    ..Strategy::WITH_STATUS
};

fn validate(request: &Value) -> Vec<FieldError> {
    let spec = request.at("spec");
    let signer = spec.text("signerName");
    let mut errors = super::signer_name(signer, "spec.signerName");
    for (name, uid) in [("podName", "podUID"), ("serviceAccountName", "serviceAccountUID"), ("nodeName", "nodeUID")] {
        let faults = names::dns_subdomain(spec.text(name)).into_iter();
        errors.extend(faults.map(|fault| FieldError::invalid(format!("spec.{name}"), spec.text(name), fault)));
        let (path, value) = (format!("spec.{uid}"), spec.text(uid));
        if value.is_empty() {
            errors.push(FieldError::invalid(path, value, "must not be empty"));
        } else if value.len() > MOST_UID_BYTES {
            errors.push(FieldError::too_long(path, MOST_UID_BYTES));
        }
    }
    let Some(seconds) = spec.int("maxExpirationSeconds") else {
        errors.push(FieldError::required("spec.maxExpirationSeconds", "must be set"));
        return errors;
    };
    let longest = if super::is_kubernetes(signer) { LONGEST_OWN_SECONDS } else { LONGEST_SECONDS };
    if !(SHORTEST_SECONDS..=longest).contains(&seconds) {
        let detail = format!("must be in the range [{SHORTEST_SECONDS}, {longest}]");
        errors.push(FieldError::invalid("spec.maxExpirationSeconds", seconds, detail));
    }
    let given = ["stubPKCS10Request", "pkixPublicKey", "proofOfPossession"].map(|field| !spec.text(field).is_empty());
    if !matches!(given, [true, false, false] | [false, true, true]) {
        let detail = "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set";
        errors.push(FieldError::invalid_raw("spec", "", detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_certificate_lives_as_long_as_its_signer_may_give() {
        let faults = |signer: &str, seconds: i64| {
            let spec = json!({"signerName": signer, "podName": "p", "podUID": "1", "serviceAccountName": "s",
                "serviceAccountUID": "2", "nodeName": "n", "nodeUID": "3", "maxExpirationSeconds": seconds,
                "stubPKCS10Request": "x"});
            let errors = validate(&json!({"spec": spec}));
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(faults("example.com/x", LONGEST_SECONDS).is_empty());
        let range = |most: i64, value: i64| {
            vec![format!("spec.maxExpirationSeconds: Invalid value: {value}: must be in the range [3600, {most}]")]
        };
        assert_eq!(faults("kubernetes.io/x", LONGEST_SECONDS), range(LONGEST_OWN_SECONDS, LONGEST_SECONDS));
        assert_eq!(faults("example.com/x", 60), range(LONGEST_SECONDS, 60));
    }
}
