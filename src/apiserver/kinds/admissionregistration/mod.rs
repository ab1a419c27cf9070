//! The `admissionregistration.k8s.io` group: what clusters add to admission.

mod binding;
pub mod matching;
pub mod policy;
pub mod webhook;

use super::Strategy;

/// The strategy of a kind of this group.
pub fn strategy(kind: &str) -> Option<&'static Strategy> {
    Some(match kind {
        "ValidatingWebhookConfiguration" => &webhook::VALIDATING,
        "MutatingWebhookConfiguration" => &webhook::MUTATING,
        "ValidatingAdmissionPolicy" => &policy::VALIDATING,
        "ValidatingAdmissionPolicyBinding" => &binding::VALIDATING,
        "MutatingAdmissionPolicy" => &policy::MUTATING,
        "MutatingAdmissionPolicyBinding" => &binding::MUTATING,
        _ => return None,
    })
}
