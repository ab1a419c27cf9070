//! CertificateSigningRequests that are approved: signed by the cluster's authority.
//!
//! Comes in: requests for one of the signers that Kubernetes itself serves. Goes out: the
//! certificate in `status`, or the condition `Failed` that says why this signer does not sign it.
//! The private key of the authority stays where it is; the loop is lent a way to sign. Source:
//! kube-controller-manager, pkg/controller/certificates/signer.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::plan::{Action, Plan};
use super::runner::Room;

/// Source: kube-controller-manager's certificates.go.
const WORKERS: usize = 5;
/// Source: --cluster-signing-duration.
const LONGEST: SignedDuration = SignedDuration::from_hours(365 * 24);
/// Source: signer.go, duration.
const SHORTEST: SignedDuration = SignedDuration::from_mins(10);
/// A certificate is good from a little earlier, for clocks that are behind.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// What is good for less than this ends when it was asked to. Source: signer.go, Short.
const SHORT: SignedDuration = SignedDuration::from_hours(8);

const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
const LEGACY: &str = "kubernetes.io/legacy-unknown";

/// What the authority is asked to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The request (PEM, PKCS#10).
    pub request: String,
    /// Kubernetes' names of what the key may do: `client auth`, `digital signature`, …
    pub usages: Vec<String>,
    /// Good from.
    pub not_before: Timestamp,
    /// Good until.
    pub not_after: Timestamp,
}

/// Signs in the name of an authority whose key it does not show. The answer is the certificate
/// (PEM), or why it cannot be made.
#[derive(Clone)]
pub struct Signer(Arc<Sign>);

type Sign = dyn Fn(&Wish) -> Result<String, String> + Send + Sync;

impl Signer {
    /// A signer that signs with this.
    pub fn new(sign: impl Fn(&Wish) -> Result<String, String> + Send + Sync + 'static) -> Self {
        Signer(Arc::new(sign))
    }

    fn sign(&self, wish: &Wish) -> Result<String, String> {
        (self.0)(wish)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// Starts the loop.
pub fn start(room: Room) {
    let requests = room.informer::<CertificateSigningRequest>();
    let signer = room.signer.clone();
    room.wake_self(&requests);
    room.run("certificatesigningrequest-signing-controller", WORKERS, move |key, moment| {
        let Some(request) = requests.get(key) else { return Plan::none() };
        reconcile(&request, &|wish| signer.sign(wish), moment.now)
    });
}

/// Whether the request has this condition.
pub fn is(request: &CertificateSigningRequest, type_: &str) -> bool {
    let conditions = request.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == type_ && condition.status == "True")
}

/// The certificate was issued.
pub fn certificate(request: &CertificateSigningRequest) -> Option<&[u8]> {
    let certificate = request.status.as_ref()?.certificate.as_ref()?;
    Some(certificate.0.as_slice()).filter(|bytes| !bytes.is_empty())
}

/// What a request needs done. `sign` gives the certificate (PEM), or why it cannot be made.
pub fn reconcile(
    request: &CertificateSigningRequest,
    sign: &dyn Fn(&Wish) -> Result<String, String>,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::none();
    let served = [CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY].contains(&request.spec.signer_name.as_str());
    let open = is(request, "Approved") && !is(request, "Denied") && !is(request, "Failed");
    if !served || !open || certificate(request).is_some() || request.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let mut next = request.clone();
    let status = next.status.get_or_insert_default();
    let usages = request.spec.usages.clone().unwrap_or_default();
    let text = String::from_utf8_lossy(&request.spec.request.0).into_owned();
    let validity = validity(request.spec.expiration_seconds, now);
    let signed = checked(&text, &request.spec.signer_name, &usages)
        .and_then(|()| sign(&Wish { request: text, usages, not_before: validity.0, not_after: validity.1 }));
    match signed {
        Ok(certificate) => status.certificate = Some(ByteString(certificate.into_bytes())),
        Err(why) => fail(status, why, now),
    }
    plan.act(Action::update_sub(&next, "status"));
    plan
}

fn fail(status: &mut CertificateSigningRequestStatus, why: String, now: Timestamp) {
    status.conditions.get_or_insert_default().push(CertificateSigningRequestCondition {
        type_: "Failed".into(),
        status: "True".into(),
        reason: Some("SignerValidationFailure".into()),
        message: Some(why),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    });
}

/// From when until when. Source: authority/policies.go.
fn validity(seconds: Option<i32>, now: Timestamp) -> (Timestamp, Timestamp) {
    let wanted = seconds.map_or(LONGEST, |seconds| SignedDuration::from_secs(seconds.into()));
    let lasts = wanted.clamp(SHORTEST, LONGEST);
    let end = if lasts < SHORT { lasts } else { lasts - BACKDATE };
    let at = |offset: SignedDuration| now.checked_add(offset).unwrap_or(now);
    (at(-BACKDATE), at(end))
}

/// Whether this signer may sign it. Source: pkg/apis/certificates/helpers.go, signer.go.
fn checked(pem: &str, signer: &str, usages: &[String]) -> Result<(), String> {
    match signer {
        CLIENT => client_usages(usages),
        KUBELET_CLIENT => {
            let subject = Subject::read(pem)?;
            subject.is_node()?;
            for (there, name) in [
                (subject.dns, "DNS subjectAltNames"),
                (subject.email, "Email subjectAltNames"),
                (subject.ip, "IP subjectAltNames"),
                (subject.uri, "URI subjectAltNames"),
            ] {
                if there {
                    return Err(format!("{name} are not allowed"));
                }
            }
            subject.is_named_as_node()?;
            node_usages(usages, "client auth")
        }
        KUBELET_SERVING => {
            let subject = Subject::read(pem)?;
            subject.is_node()?;
            if !subject.dns && !subject.ip {
                return Err("DNS or IP subjectAltName is required".into());
            }
            for (there, name) in [(subject.email, "Email subjectAltNames"), (subject.uri, "URI subjectAltNames")] {
                if there {
                    return Err(format!("{name} are not allowed"));
                }
            }
            node_usages(usages, "server auth")?;
            subject.is_named_as_node()
        }
        _ => Ok(()),
    }
}

fn client_usages(usages: &[String]) -> Result<(), String> {
    let optional = ["digital signature", "key encipherment", "client auth"];
    if let Some(other) = usages.iter().find(|usage| !optional.contains(&usage.as_str())) {
        return Err(format!("invalid usage for client certificate: {other}"));
    }
    if usages.iter().any(|usage| usage == "client auth") {
        return Ok(());
    }
    Err("missing required usage for client certificate: client auth".into())
}

/// A node's key signs and proves; an RSA key may encipher too.
fn node_usages(usages: &[String], purpose: &str) -> Result<(), String> {
    let given: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    let most = BTreeSet::from(["digital signature", "key encipherment", purpose]);
    let least = BTreeSet::from(["digital signature", purpose]);
    if given == most || given == least {
        return Ok(());
    }
    let words = if purpose == "client auth" {
        "client auth digital signature key encipherment"
    } else {
        "digital signature key encipherment server auth"
    };
    Err(format!("usages did not match [{words}]"))
}

/// Who the certificate would be for.
#[derive(Default)]
struct Subject {
    common_name: String,
    organizations: Vec<String>,
    dns: bool,
    email: bool,
    ip: bool,
    uri: bool,
}

impl Subject {
    fn read(pem: &str) -> Result<Subject, String> {
        let unreadable = "PEM block type must be CERTIFICATE REQUEST";
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| unreadable)?;
        let (_, request) = X509CertificationRequest::from_der(&block.contents).map_err(|error| error.to_string())?;
        let subject = &request.certification_request_info.subject;
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue| attribute.as_str().unwrap_or("").to_owned();
        let mut read = Subject {
            common_name: subject.iter_common_name().map(text).next().unwrap_or_default(),
            organizations: subject.iter_organization().map(text).collect(),
            ..Subject::default()
        };
        for extension in request.requested_extensions().into_iter().flatten() {
            let ParsedExtension::SubjectAlternativeName(names) = extension else { continue };
            for name in &names.general_names {
                match name {
                    GeneralName::DNSName(_) => read.dns = true,
                    GeneralName::RFC822Name(_) => read.email = true,
                    GeneralName::IPAddress(_) => read.ip = true,
                    GeneralName::URI(_) => read.uri = true,
                    _ => {}
                }
            }
        }
        Ok(read)
    }

    fn is_node(&self) -> Result<(), String> {
        if self.organizations == ["system:nodes"] {
            return Ok(());
        }
        Err("subject organization is not system:nodes".into())
    }

    fn is_named_as_node(&self) -> Result<(), String> {
        if self.common_name.starts_with("system:node:") {
            return Ok(());
        }
        Err("subject common name does not begin with system:node:".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What makes a request in the form of openssl.
    fn pem(organization: &str, name: &str) -> String {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, organization);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap()
    }

    fn request(pem: String, signer: &str, usages: Value, conditions: Value) -> CertificateSigningRequest {
        let mut request: CertificateSigningRequest = serde_json::from_value(json!({
            "metadata": { "name": "jane" },
            "spec": { "request": "", "signerName": signer, "usages": usages },
            "status": { "conditions": conditions },
        }))
        .unwrap();
        request.spec.request = ByteString(pem.into_bytes());
        request
    }

    fn status(plan: &Plan) -> Option<CertificateSigningRequestStatus> {
        plan.actions().first().map(|action| serde_json::from_value(action.body["status"].clone()).unwrap())
    }

    #[test]
    fn only_what_is_approved_and_asked_of_us_is_signed() {
        let approved = json!([{ "type": "Approved", "status": "True" }]);
        let failed = json!([{ "type": "Approved", "status": "True" }, { "type": "Failed", "status": "True" }]);
        for (signer, conditions, signed) in [
            (CLIENT, approved.clone(), true),
            (LEGACY, approved.clone(), true),
            (CLIENT, json!([]), false),
            (CLIENT, failed, false),
            ("example.com/mine", approved, false),
        ] {
            let request = request(pem("devs", "jane"), signer, json!(["client auth"]), conditions);
            let plan = reconcile(&request, &|_| Ok("PEM".into()), Timestamp::UNIX_EPOCH);
            let certificate = status(&plan).and_then(|status| status.certificate);
            assert_eq!(certificate.is_some(), signed, "{signer}");
        }
    }

    #[test]
    fn a_signer_says_why_it_does_not_sign() {
        let node = || pem("system:nodes", "system:node:n1");
        let approved = json!([{ "type": "Approved", "status": "True" }]);
        let usages = json!(["digital signature", "client auth"]);
        for (pem, signer, usages, why) in [
            (node(), CLIENT, json!(["server auth"]), "invalid usage for client certificate: server auth"),
            (
                node(),
                CLIENT,
                json!(["digital signature"]),
                "missing required usage for client certificate: client auth",
            ),
            (pem("devs", "jane"), KUBELET_CLIENT, usages.clone(), "subject organization is not system:nodes"),
            (
                pem("system:nodes", "jane"),
                KUBELET_CLIENT,
                usages.clone(),
                "subject common name does not begin with system:node:",
            ),
            (node(), KUBELET_SERVING, usages.clone(), "DNS or IP subjectAltName is required"),
            (node(), KUBELET_CLIENT, usages, ""),
        ] {
            let request = request(pem, signer, usages, approved.clone());
            let status = status(&reconcile(&request, &|_| Ok("PEM".into()), Timestamp::UNIX_EPOCH)).unwrap();
            let failure = status.conditions.unwrap().into_iter().find(|condition| condition.type_ == "Failed");
            assert_eq!(failure.and_then(|failure| failure.message).unwrap_or_default(), why);
        }
    }

    #[test]
    fn a_short_life_is_given_in_full() {
        for (seconds, from, until) in [(Some(600), -300, 600), (Some(60), -300, 600), (Some(86_400), -300, 86_100)] {
            let (before, after) = validity(seconds, Timestamp::UNIX_EPOCH);
            assert_eq!((before.as_second(), after.as_second()), (from, until));
        }
    }
}
