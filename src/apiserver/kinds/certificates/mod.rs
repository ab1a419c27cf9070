//! The `certificates.k8s.io` group.

pub mod certificatesigningrequest;

use super::json::Json;
use super::metadata::immutable;
use super::{FieldError, NameRule, Strategy};

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "CertificateSigningRequest" => &certificatesigningrequest::STRATEGY,
        "ClusterTrustBundle" => &TRUST_BUNDLE,
        "PodCertificateRequest" => &POD_REQUEST,
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
    ..Strategy::PLAIN
};

const POD_REQUEST: Strategy = Strategy {
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
