//! The `certificates.k8s.io` group.

pub mod certificatesigningrequest;
pub mod podcertificaterequest;

use super::json::Json;
use super::metadata::immutable;
use super::{FieldError, NameRule, Strategy, check, names};

/// What is wrong with the name of a signer (`example.com/name`).
pub fn signer_name(name: &str, path: &str) -> Vec<FieldError> {
    if name.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let Some((domain, rest)) = name.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return vec![FieldError::invalid(path, name, detail)];
    };
    let mut errors = Vec::new();
    if domain.len() > 253 {
        errors.push(FieldError::too_long(path, 253));
    }
    for (whole, rule) in [(domain, names::dns_label as fn(&str) -> Vec<String>), (rest, names::dns_subdomain)] {
        let bad = whole.split('.').map(|part| (part, rule(part))).find(|(_, faults)| !faults.is_empty());
        if let Some((part, faults)) = bad {
            let faults = faults.into_iter().map(|fault| format!("validating label {part:?}: {fault}"));
            errors.extend(check::faults(path, whole, faults.collect()));
        }
        if whole == domain && !domain.contains('.') {
            let detail = "should be a domain with at least two segments separated by dots";
            errors.push(FieldError::invalid(path, domain, detail));
        }
    }
    if name.len() > 571 {
        errors.push(FieldError::too_long(path, 571));
    }
    errors
}

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "CertificateSigningRequest" => &certificatesigningrequest::STRATEGY,
        "ClusterTrustBundle" => &TRUST_BUNDLE,
        "PodCertificateRequest" => &podcertificaterequest::STRATEGY,
        _ => return None,
    })
}

const TRUST_BUNDLE: Strategy = Strategy {
    name: NameRule::Any,
    validate: |bundle, _| {
        let pem = bundle.text("spec.trustBundle");
        if pem.contains("-----BEGIN CERTIFICATE-----") {
            return Vec::new();
        }
        vec![FieldError::invalid("spec.trustBundle", "<value omitted>", "at least one trust anchor must be provided")]
    },
    validate_update: |new, old, _| immutable(new, old, "spec.signerName").into_iter().collect(),
    unconditional_update: false,
    whole_again: true,
    ..Strategy::PLAIN
};

/// Whether a signer is one of Kubernetes' own.
fn is_kubernetes(signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    domain == "kubernetes.io" || domain.ends_with(".kubernetes.io")
}
