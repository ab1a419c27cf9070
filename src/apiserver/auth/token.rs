//! Service account tokens: signed statements that a Pod can show, which end by themselves.
//!
//! In: a ServiceAccount and a `TokenRequest`, or a token that somebody shows. Out: a JWT (RS256),
//! or the user it stands for, if the account and the object it is bound to still exist. Source:
//! `pkg/serviceaccount`; claims as Kubernetes writes them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Header, Validation};
use serde_json::{Value, json};

use super::User;
use super::impersonation::service_account_groups;
use super::signing::SigningKeys;
use crate::api::status::Status;
use crate::apiserver::kinds::FieldError;
use crate::apiserver::objects::{Collection, Objects, collection};

const ACCOUNTS: Collection = collection("", "serviceaccounts");
/// Source: `pkg/apis/authentication/validation`.
const SHORTEST_SECONDS: i64 = 10 * 60;
const LONGEST_SECONDS: i64 = 1 << 32;
const DEFAULT_SECONDS: i64 = 60 * 60;

/// The cluster's tokens.
pub struct Tokens {
    keys: Arc<SigningKeys>,
    issuer: String,
}

impl Tokens {
    /// Signed with these keys.
    pub fn new(keys: Arc<SigningKeys>, issuer: &str) -> Tokens {
        Tokens { keys, issuer: issuer.to_owned() }
    }

    /// The issuer, which is also the audience of this server.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The public key as a JSON Web Key Set, for `/openid/v1/jwks`; empty while there is none.
    pub fn key_set(&self) -> Value {
        json!({"keys": self.keys.get().iter().map(|key| &key.public).collect::<Vec<_>>()})
    }

    /// Fills in what a request leaves out: how long, and for whom.
    ///
    /// # Errors
    /// 422 for an expiry out of range.
    pub fn complete(&self, request: &mut Value) -> Result<(), Status> {
        let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
        check_expiry(seconds)?;
        request["spec"]["expirationSeconds"] = json!(seconds);
        if request["spec"]["audiences"].as_array().is_none_or(Vec::is_empty) {
            request["spec"]["audiences"] = json!([self.issuer]);
        }
        if let Value::Object(fields) = request {
            fields.shift_remove("status");
        }
        Ok(())
    }

    /// Answers a completed `TokenRequest` for an account: the request with its `status`.
    ///
    /// # Errors
    /// 404 and 409 for a bound object that is not there.
    pub fn issue(
        &self,
        account: &Value,
        request: &Value,
        objects: &dyn Objects,
        now: Timestamp,
    ) -> Result<Value, Status> {
        let spec = &request["spec"];
        let seconds = spec["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
        let audiences = spec["audiences"].clone();
        let meta = |field: &str| account["metadata"][field].as_str().unwrap_or_default();
        let mut bound = json!({
            "namespace": meta("namespace"),
            "serviceaccount": {"name": meta("name"), "uid": meta("uid")},
        });
        bind(&mut bound, &spec["boundObjectRef"], account, objects)?;
        let expires = now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
        let claims = json!({
            "aud": audiences, "exp": expires.as_second(), "iat": now.as_second(), "iss": self.issuer,
            "jti": uuid::Uuid::new_v4().to_string(), "kubernetes.io": bound, "nbf": now.as_second(),
            "sub": format!("system:serviceaccount:{}:{}", meta("namespace"), meta("name")),
        });
        let key = self.keys.get().ok_or_else(|| Status::internal("the key of service account tokens is not made"))?;
        let header = Header { kid: Some(key.id.clone()), typ: None, ..Header::new(key.algorithm) };
        let token = jsonwebtoken::encode(&header, &claims, &key.signing).map_err(Status::internal)?;
        let mut answer = request.clone();
        answer["status"] =
            json!({"token": token, "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()});
        Ok(answer)
    }

    /// The user a token stands for, and which of `audiences` (this server's, if none) it is for.
    /// `Err` says why it is not good.
    pub fn verify(
        &self,
        token: &str,
        audiences: &[String],
        objects: &dyn Objects,
        now: Timestamp,
    ) -> Result<(User, Vec<String>), String> {
        let key = self.keys.get().ok_or("no token has been signed yet")?;
        let mut rules = Validation::new(key.algorithm);
        rules.validate_exp = false; // Time is the Clock's: checked below.
        rules.validate_aud = false; // The audiences that match are part of the answer.
        rules.required_spec_claims.clear();
        rules.set_issuer(&[&self.issuer]);
        let read = jsonwebtoken::decode::<Value>(token, &key.verifying, &rules).map_err(|e| e.to_string())?;
        let claims = read.claims;
        let seconds = |claim: &str| claims[claim].as_i64().unwrap_or(i64::MAX);
        if seconds("exp") < now.as_second() {
            return Err("service account token has expired".into());
        }
        if seconds("nbf") > now.as_second() {
            return Err("service account token is not valid yet".into());
        }
        let own = [self.issuer.clone()];
        let asked = if audiences.is_empty() { &own[..] } else { audiences };
        let has = |audience: &String| claims["aud"].as_array().into_iter().flatten().any(|one| one == audience);
        let shared: Vec<String> = asked.iter().filter(|audience| has(audience)).cloned().collect();
        if shared.is_empty() {
            return Err(format!("token audiences {} is invalid for the target audiences {asked:?}", claims["aud"]));
        }
        Ok((owner(&claims, objects)?, shared))
    }
}

fn check_expiry(seconds: i64) -> Result<(), Status> {
    let why = match seconds {
        ..SHORTEST_SECONDS => "may not specify a duration less than 10 minutes",
        SHORTEST_SECONDS..=LONGEST_SECONDS => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let fault = FieldError::invalid("spec.expirationSeconds", seconds, why);
    Err(FieldError::status("authentication.k8s.io", "TokenRequest", "", &[fault]))
}

/// Writes what the token is bound to into its claims, once it is sure to exist.
fn bind(claims: &mut Value, reference: &Value, account: &Value, objects: &dyn Objects) -> Result<(), Status> {
    if reference.is_null() {
        return Ok(());
    }
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let (name, uid) = (text("name"), text("uid"));
    let (what, claim) = match (text("apiVersion"), text("kind")) {
        ("v1", "Pod") => (collection("", "pods"), "pod"),
        ("v1", "Secret") => (collection("", "secrets"), "secret"),
        ("v1", "Node") => (collection("", "nodes"), "node"),
        (version, kind) => {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    };
    let namespace = if claim == "node" { "" } else { account["metadata"]["namespace"].as_str().unwrap_or_default() };
    let found = objects.get(what, namespace, name).ok_or_else(|| Status::not_found("", what.plural, name))?;
    let real = found["metadata"]["uid"].as_str().unwrap_or_default();
    if !uid.is_empty() && uid != real {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict("", what.plural, name, why));
    }
    if claim == "pod" && found["spec"]["serviceAccountName"] != account["metadata"]["name"] {
        let name = account["metadata"]["name"].as_str().unwrap_or_default();
        return Err(Status::bad_request(format!(
            "cannot bind token for serviceaccount {name:?} to pod running with different serviceaccount name."
        )));
    }
    claims[claim] = json!({"name": name, "uid": real});
    let node = found["spec"]["nodeName"].as_str().unwrap_or_default();
    if claim == "pod"
        && !node.is_empty()
        && let Some(node) = objects.get(collection("", "nodes"), "", node)
    {
        claims["node"] = json!({"name": node["metadata"]["name"], "uid": node["metadata"]["uid"]});
    }
    Ok(())
}

/// The account a token's claims name, if it and what the token is bound to are still the same.
fn owner(claims: &Value, objects: &dyn Objects) -> Result<User, String> {
    let bound = &claims["kubernetes.io"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let namespace = text(&bound["namespace"]);
    let (name, uid) = (text(&bound["serviceaccount"]["name"]), text(&bound["serviceaccount"]["uid"]));
    let same = |what: Collection, home: &str, claim: &Value| {
        let name = claim["name"].as_str().unwrap_or_default();
        objects.get(what, home, name).is_some_and(|found| found["metadata"]["uid"] == claim["uid"])
    };
    if !same(ACCOUNTS, &namespace, &bound["serviceaccount"]) {
        return Err("service account token has been invalidated".into());
    }
    for (claim, what) in [("pod", collection("", "pods")), ("secret", collection("", "secrets"))] {
        if !bound[claim].is_null() && !same(what, &namespace, &bound[claim]) {
            return Err("service account token has been invalidated".into());
        }
    }
    let mut user = User { name: format!("system:serviceaccount:{namespace}:{name}"), uid, ..User::default() };
    user.groups = service_account_groups(&namespace);
    user.groups.push("system:authenticated".into());
    let mut extra = |key: &str, value: &Value| {
        if let Some(value) = value.as_str() {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
        }
    };
    extra("credential-id", &json!(format!("JTI={}", text(&claims["jti"]))));
    for (key, claim) in [("pod", &bound["pod"]), ("node", &bound["node"])] {
        extra(&format!("{key}-name"), &claim["name"]);
        extra(&format!("{key}-uid"), &claim["uid"]);
    }
    Ok(user)
}
