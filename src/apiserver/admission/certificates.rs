//! CertificateApproval, CertificateSigning, ClusterTrustBundleAttest, CertificateSubjectRestriction: who may
//! say yes in the name of a signer, and what nobody may ask of it.
//!
//! Four plugins in one file: three are the same question, whether the user may `approve`, `sign` or
//! `attest` for `signers` of a name or of its domain (`example.com/*`).
//! Source: `plugin/pkg/admission/certificates`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::{Attributes, Operation, Plugin};
use crate::api::meta;
use crate::api::status::Status;
use crate::apiserver::auth::Action;
use crate::apiserver::kinds::json::Json;

const GROUP: &str = "certificates.k8s.io";
/// The signer whose certificates the API server believes.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";
/// May do everything.
const MASTERS: &str = "system:masters";

/// Who approves a request may approve for its signer.
pub struct CertificateApproval;

/// Who writes a certificate may sign for the request's signer.
pub struct CertificateSigning;

/// Who publishes a signer's bundle may attest for it.
pub struct ClusterTrustBundleAttest;

/// Nobody becomes a super-user by a certificate.
pub struct CertificateSubjectRestriction;

impl Plugin for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let wanted = is_update_of(request, "approval").then(|| signer(request.old)).flatten();
        Box::pin(std::future::ready(check(request, "approve", wanted, "approve requests with")))
    }
}

impl Plugin for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let differs = |field: &str| {
            let at = |object: Option<&Value>| object.map(|object| object.at(field).clone()).unwrap_or_default();
            at(request.old) != at(request.object.as_ref())
        };
        let signs = is_update_of(request, "status") && (differs("status.certificate") || differs("status.conditions"));
        let wanted = signs.then(|| signer(request.old)).flatten();
        Box::pin(std::future::ready(check(request, "sign", wanted, "sign requests with")))
    }
}

impl Plugin for ClusterTrustBundleAttest {
    fn name(&self) -> &'static str {
        "ClusterTrustBundleAttest"
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let is_bundle = request.group == GROUP
            && request.resource == "clustertrustbundles"
            && matches!(request.operation, Operation::Create | Operation::Update);
        // The garbage collector and storage migration change nothing of what it says.
        let same = || request.operation == Operation::Update && only_collected(request.object.as_ref(), request.old);
        let wanted = (is_bundle && !same()).then(|| signer(request.object.as_ref())).flatten();
        Box::pin(std::future::ready(check(request, "attest", wanted, "attest for")))
    }
}

impl Plugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(restrict(request)))
    }
}

fn is_update_of(request: &Attributes<'_>, subresource: &str) -> bool {
    request.operation == Operation::Update
        && request.group == GROUP
        && request.resource == "certificatesigningrequests"
        && request.subresource == subresource
}

fn signer(object: Option<&Value>) -> Option<String> {
    object.map(|object| object.text("spec.signerName").to_string()).filter(|name| !name.is_empty())
}

/// Whether only finalizers and owners differ.
fn only_collected(new: Option<&Value>, old: Option<&Value>) -> bool {
    let rest = |object: &Value| {
        let mut object = object.clone();
        for field in ["finalizers", "ownerReferences", "managedFields", "resourceVersion"] {
            meta::remove(&mut object, &["metadata", field]);
        }
        object
    };
    new.zip(old).is_some_and(|(new, old)| rest(new) == rest(old))
}

/// 403 unless the user may `verb` for the signer, by name or by domain.
fn check(request: &Attributes<'_>, verb: &str, signer: Option<String>, what: &str) -> Result<(), Status> {
    let Some(signer) = signer else { return Ok(()) };
    let domain = signer.split('/').next().unwrap_or_default();
    let may = |name: String| {
        let action = Action {
            verb: verb.to_string(),
            group: GROUP.to_string(),
            version: "*".to_string(),
            resource: "signers".to_string(),
            name,
            ..Action::default()
        };
        request.authorizer.decide(request.user, &action).is_allowed()
    };
    if may(signer.clone()) || may(format!("{domain}/*")) {
        return Ok(());
    }
    Err(request.forbidden(&format!("user not permitted to {what} signerName {signer:?}")))
}

fn restrict(request: &Attributes<'_>) -> Result<(), Status> {
    let Some(wish) = request
        .object
        .as_ref()
        .filter(|_| request.operation == Operation::Create && request.is(GROUP, "certificatesigningrequests"))
    else {
        return Ok(());
    };
    if wish.text("spec.signerName") != CLIENT_SIGNER {
        return Ok(());
    }
    let groups = organizations(wish.text("spec.request"))
        .map_err(|why| request.forbidden(&format!("failed to parse CSR: {why}")))?;
    if groups.iter().any(|group| group == MASTERS) {
        let why = format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed");
        return Err(request.forbidden(&why));
    }
    Ok(())
}

/// The organizations of a certificate request's subject.
fn organizations(encoded: &str) -> Result<Vec<String>, String> {
    let pem = STANDARD.decode(encoded).map_err(|error| error.to_string())?;
    let der = CertificateSigningRequestDer::from_pem_slice(&pem)
        .map_err(|_| "PEM block type must be CERTIFICATE REQUEST".to_string())?;
    let (_, request) = X509CertificationRequest::from_der(&der).map_err(|error| error.to_string())?;
    let names = request.certification_request_info.subject.iter_organization();
    Ok(names.filter_map(|name| name.as_str().ok()).map(str::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_request_are_read() {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, MASTERS);
        let pem = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap();
        assert_eq!(organizations(&STANDARD.encode(pem)), Ok(vec![MASTERS.to_string()]));
        assert!(organizations("bm8=").is_err());
    }
}
