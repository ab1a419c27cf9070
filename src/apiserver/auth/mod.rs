//! Who is asking, and may they? Authentication, impersonation, authorization.
//!
//! In: what the connection and the headers prove, then what the request wants to do. Out: a
//! [`User`], then a [`Decision`]. Nothing here writes.

pub mod grants;
pub mod impersonation;
mod node;
mod rbac;
mod reviews;
pub mod signing;
mod token;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use http::{HeaderMap, header};
use jiff::Timestamp;
use parking_lot::Mutex;

use serde_json::Value;

use self::rbac::Compiled;
use self::signing::SigningKeys;
use self::token::Tokens;
use super::objects::Objects;
use crate::api::status::{Details, Reason, Status};

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// `system:serviceaccount:default:web`, `kubernetes-admin`, …
    pub name: String,
    /// May be empty.
    pub uid: String,
    /// Groups, in the order the authenticator gave them.
    pub groups: Vec<String>,
    /// Whatever else is known, by key.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user with these groups.
    pub fn new(name: &str, groups: &[&str]) -> User {
        let groups = groups.iter().map(|group| (*group).to_string()).collect();
        User { name: name.to_string(), groups, ..User::default() }
    }

    /// Whether the user is in `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

/// What the connection itself proves; the listener puts it in the request's extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Peer {
    /// Nothing: the bearer token decides, or the user is anonymous.
    #[default]
    None,
    /// A client certificate that our authority signed.
    Certificate {
        /// The user's name.
        common_name: String,
        /// The user's groups.
        organizations: Vec<String>,
        /// The certificate's SHA-256, in hexadecimal digits.
        fingerprint: String,
    },
    /// A part of this process.
    InProcess {
        /// The user's name.
        user: String,
        /// The user's groups.
        groups: Vec<String>,
    },
}

/// What a request wants to do, as authorization sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or a
    /// lower-case HTTP method for a path that is no resource.
    pub verb: String,
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource name; empty for a path that is no resource.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Object name, or empty.
    pub name: String,
    /// The URL path when it is no resource (`/healthz`), else empty.
    pub path: String,
    /// What a list or a watch is narrowed to: fields that must have a value.
    pub fields: Vec<(String, String)>,
}

impl Action {
    /// Whether the request is narrowed to objects whose `field` is `value`.
    pub fn selects(&self, field: &str, value: &str) -> bool {
        self.fields.iter().any(|(own, wanted)| own == field && wanted == value)
    }
}

/// The fields that a field selector wants to be equal to something.
pub fn selected_fields(selector: &str) -> Vec<(String, String)> {
    let pair = |term: &str| {
        let (field, value) = term.split_once('=').filter(|(field, _)| !field.ends_with('!'))?;
        Some((field.trim().to_string(), value.strip_prefix('=').unwrap_or(value).to_string()))
    };
    selector.split(',').filter_map(pair).collect()
}

/// The answer of an authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes, and why (for `SubjectAccessReview`).
    Allow(String),
    /// Nobody said yes; the reason may be empty.
    NoOpinion(String),
}

impl Decision {
    /// Whether it is yes.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Decision::Allow(_))
    }
}

/// What authentication needs to know.
pub struct Config {
    /// The key pair that signs service account tokens.
    pub signing: Arc<SigningKeys>,
    /// `iss` of those tokens and the audience of this server.
    pub issuer: String,
    /// A static bearer token that is `kubernetes-admin` in `system:masters`; `None` for none.
    pub admin_token: Option<String>,
}

/// Authentication and authorization of one API server.
pub struct Auth {
    admin_token: Option<String>,
    tokens: Tokens,
    policy: Compiled,
    /// Who impersonated last by the old rule.
    impersonated: Mutex<HashSet<String>>,
}

/// The most names of impersonators that are kept.
const MAX_IMPERSONATORS: usize = 1024;

impl Auth {
    /// From its configuration.
    pub fn new(config: Config) -> Auth {
        let tokens = Tokens::new(config.signing, &config.issuer);
        Auth { admin_token: config.admin_token, tokens, policy: Compiled::default(), impersonated: Mutex::default() }
    }

    /// Who is asking, impersonation not yet applied.
    ///
    /// # Errors
    /// 401 when a bearer token was given and is not good.
    pub fn authenticate(
        &self,
        peer: &Peer,
        headers: &HeaderMap,
        objects: &dyn Objects,
        now: Timestamp,
    ) -> Result<User, Status> {
        let known = |name: &str, groups: &[String]| User {
            name: name.to_owned(),
            groups: groups.iter().cloned().chain(["system:authenticated".to_string()]).collect(),
            ..User::default()
        };
        match peer {
            Peer::Certificate { common_name, organizations, fingerprint } => {
                let mut user = known(common_name, organizations);
                let id = vec![format!("X509SHA256={fingerprint}")];
                user.extra.insert("authentication.kubernetes.io/credential-id".to_string(), id);
                Ok(user)
            }
            Peer::InProcess { user, groups } => Ok(known(user, groups)),
            Peer::None => match bearer(headers) {
                Some(token) if Some(token) == self.admin_token.as_deref() => {
                    Ok(known("kubernetes-admin", &["system:masters".to_owned()]))
                }
                Some(token) => {
                    let user = self.tokens.verify(token, &[], objects, now);
                    user.map(|(user, _)| user).map_err(|_| Status::unauthorized())
                }
                None => Ok(User::new("system:anonymous", &["system:unauthenticated"])),
            },
        }
    }

    /// The user that `Impersonate-*` headers ask for, when `user` may; otherwise `user` itself.
    ///
    /// # Errors
    /// 403 when the user may not impersonate.
    pub fn impersonate(
        &self,
        user: User,
        action: impl FnOnce() -> Action,
        headers: &HeaderMap,
        objects: &dyn Objects,
    ) -> Result<User, Status> {
        let Some(wanted) = impersonation::requested(headers)? else { return Ok(user) };
        let missing = |needed: &[Action]| {
            needed.iter().find(|action| !self.authorize(&user, action, objects).is_allowed()).cloned()
        };
        // As the official server, what worked last for whoever asks is tried first, and its refusal is told.
        let worked = self.impersonated.lock().contains(&user.name);
        let old = missing(&impersonation::needed(&wanted));
        if worked && old.is_none() {
            return Ok(impersonation::complete(wanted));
        }
        let (on, whom) = impersonation::needed_narrowly(&wanted, &action());
        let narrow = missing(&std::iter::once(on).chain(whom).collect::<Vec<_>>());
        match (narrow, old) {
            (None, _) => drop(self.impersonated.lock().remove(&user.name)),
            (Some(_), None) => self.remember(&user.name),
            (Some(narrow), Some(old)) => {
                return Err(self.forbidden(&user, if worked { &old } else { &narrow }, ""));
            }
        }
        Ok(impersonation::complete(wanted))
    }

    /// Notes that a user may impersonate by the old rule.
    fn remember(&self, user: &str) {
        let mut known = self.impersonated.lock();
        if known.len() >= MAX_IMPERSONATORS {
            known.clear();
        }
        known.insert(user.to_owned());
    }

    /// Whether `user` may do `action`: the super-users, then the node authorizer, then RBAC.
    pub fn authorize(&self, user: &User, action: &Action, objects: &dyn Objects) -> Decision {
        if user.is_in("system:masters") {
            return Decision::Allow(String::new());
        }
        if let Some(decision) = node::authorize(user, action, objects) {
            return decision;
        }
        self.policy.now(objects).authorize(user, action)
    }

    /// The 403 for an action that was not allowed.
    pub fn forbidden(&self, user: &User, action: &Action, reason: &str) -> Status {
        let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        if action.resource.is_empty() {
            let message =
                format!("forbidden: User {:?} cannot {} path {:?}{because}", user.name, action.verb, action.path);
            return Status::new(Reason::Forbidden, message).details(Details::default());
        }
        let resource = match action.subresource.as_str() {
            "" => action.resource.clone(),
            sub => format!("{}/{sub}", action.resource),
        };
        let place = match action.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let why = format!(
            "User {:?} cannot {} resource {resource:?} in API group {:?} {place}{because}",
            user.name, action.verb, action.group
        );
        Status::forbidden(&action.group, &action.resource, &action.name, why)
    }

    /// Answers a review of group `authentication.k8s.io` or `authorization.k8s.io`: the object with
    /// its `status`. `namespace` is the request's, empty for cluster-wide reviews.
    ///
    /// # Errors
    /// 400 and 422 for a review that asks nothing or too much.
    pub fn review(
        &self,
        kind: &str,
        review: Value,
        namespace: &str,
        user: &User,
        objects: &dyn Objects,
        now: Timestamp,
    ) -> Result<Value, Status> {
        reviews::answer(self, &reviews::Asked { kind, namespace, user, objects, now }, review)
    }

    /// Fills in what a `TokenRequest` leaves out, and checks the rest.
    ///
    /// # Errors
    /// 422 for an expiry out of range.
    pub fn complete_token_request(&self, request: &mut Value) -> Result<(), Status> {
        self.tokens.complete(request)
    }

    /// Answers a `TokenRequest` for a service account.
    ///
    /// # Errors
    /// 422 for an expiry out of range; 404, 409 and 400 for a bound object that does not fit.
    pub fn issue_token(
        &self,
        account: &Value,
        request: &Value,
        objects: &dyn Objects,
        now: Timestamp,
    ) -> Result<Value, Status> {
        self.tokens.issue(account, request, objects, now)
    }

    /// The public key of the cluster's tokens, as a JSON Web Key Set.
    pub fn key_set(&self) -> Value {
        self.tokens.key_set()
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
