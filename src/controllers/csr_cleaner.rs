//! CertificateSigningRequests that nobody needs any more: deleted.
//!
//! An answered request stays an hour, an unanswered one a day, and one whose certificate has
//! expired goes at once. Source: kube-controller-manager, pkg/controller/certificates/cleaner.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use x509_parser::prelude::FromDer;

use super::csr_signing::certificate;
use super::plan::{Action, Plan};
use super::runner::Room;

/// Source: cleaner.go, approvedExpiration and deniedExpiration.
const ANSWERED: SignedDuration = SignedDuration::from_hours(1);
/// Source: cleaner.go, pendingExpiration.
const UNANSWERED: SignedDuration = SignedDuration::from_hours(24);

/// Starts the loop.
pub fn start(room: Room) {
    let requests = room.informer::<CertificateSigningRequest>();
    room.wake_self(&requests);
    room.run("certificatesigningrequest-cleaner-controller", 1, move |key, moment| {
        requests.get(key).map_or_else(Plan::none, |request| reconcile(&request, moment.now))
    });
}

/// What a request needs done.
pub fn reconcile(request: &CertificateSigningRequest, now: Timestamp) -> Plan {
    let mut plan = Plan::none();
    match ends(request) {
        _ if request.metadata.deletion_timestamp.is_some() => {}
        Some(end) if end <= now => plan.act(Action::delete::<CertificateSigningRequest>(&request.metadata)),
        Some(end) => plan.again_at(end, now),
        None => {}
    }
    plan
}

/// When the request is not needed any more.
fn ends(request: &CertificateSigningRequest) -> Option<Timestamp> {
    let conditions = request.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let after = |time: Timestamp, stay: SignedDuration| time.checked_add(stay).ok();
    let issued = certificate(request);
    let mut any = false;
    let mut first: Option<Timestamp> = None;
    for condition in conditions {
        any = true;
        let stay = match condition.type_.as_str() {
            "Denied" | "Failed" => ANSWERED,
            "Approved" if issued.is_some() => ANSWERED,
            "Approved" => UNANSWERED,
            _ => continue,
        };
        let end = condition.last_update_time.as_ref().and_then(|time| after(time.0, stay));
        let expires = issued.filter(|_| condition.type_ == "Approved").and_then(expires);
        first = [first, end, expires].into_iter().flatten().min();
    }
    if any {
        return first;
    }
    request.metadata.creation_timestamp.as_ref().and_then(|time| after(time.0, UNANSWERED))
}

/// When a certificate (PEM) expires.
fn expires(pem: &[u8]) -> Option<Timestamp> {
    let (_, block) = x509_parser::pem::parse_x509_pem(pem).ok()?;
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&block.contents).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_stays_for_as_long_as_its_answer_is_news() {
        // condition, whether a certificate was issued, hours it stays.
        for (condition, issued, hours) in [
            (None, false, 24),
            (Some("Denied"), false, 1),
            (Some("Failed"), false, 1),
            (Some("Approved"), true, 1),
            (Some("Approved"), false, 24),
        ] {
            let conditions: Vec<_> = condition
                .iter()
                .map(|type_| json!({ "type": type_, "status": "True", "lastUpdateTime": "1970-01-01T00:00:00Z" }))
                .collect();
            let request: CertificateSigningRequest = serde_json::from_value(json!({
                "metadata": { "name": "jane", "creationTimestamp": "1970-01-01T00:00:00Z" },
                "spec": { "request": "", "signerName": "example.com/mine", "usages": [] },
                "status": { "conditions": conditions, "certificate": issued.then_some("UEVN") },
            }))
            .unwrap();
            let end = Timestamp::from_second(hours * 3600).unwrap();
            assert!(reconcile(&request, end - SignedDuration::from_secs(1)).actions().is_empty());
            assert_eq!(reconcile(&request, end).actions().len(), 1, "{condition:?}");
        }
    }
}
