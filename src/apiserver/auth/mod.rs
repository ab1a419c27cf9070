//! Who is asking, and may they? Authentication, impersonation, authorization.
//!
//! In: what the connection and the headers prove, then what the request wants to do. Out: a
//! [`User`], then a [`Decision`]. Nothing here writes.

use std::collections::BTreeMap;

use http::HeaderMap;
use jiff::Timestamp;

use super::objects::Objects;
use crate::api::status::{Reason, Status};

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
    /// PEM of the private key that signs service account tokens (PKCS#8, ECDSA P-256 or RSA).
    pub service_account_key: String,
    /// `iss` of those tokens and the audience of this server.
    pub issuer: String,
    /// A static bearer token that is `kubernetes-admin` in `system:masters`; `None` for none.
    pub admin_token: Option<String>,
}

/// Authentication and authorization of one API server.
pub struct Auth {
    #[allow(dead_code, reason = "tokens read it in the next commit")]
    config: Config,
}

impl Auth {
    /// From its configuration.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn new(config: Config) -> Result<Auth, Status> {
        Ok(Auth { config })
    }

    /// Who is asking, impersonation not yet applied.
    ///
    /// # Errors
    /// 401 when credentials were given and are not good.
    pub fn authenticate(
        &self,
        peer: &Peer,
        _headers: &HeaderMap,
        _objects: &dyn Objects,
        _now: Timestamp,
    ) -> Result<User, Status> {
        match peer {
            Peer::Certificate { common_name, organizations } => Ok(User {
                name: common_name.clone(),
                groups: organizations.iter().cloned().chain(["system:authenticated".to_string()]).collect(),
                ..User::default()
            }),
            Peer::InProcess { user, groups } => Ok(User {
                name: user.clone(),
                groups: groups.iter().cloned().chain(["system:authenticated".to_string()]).collect(),
                ..User::default()
            }),
            Peer::None => Ok(User::new("system:anonymous", &["system:unauthenticated"])),
        }
    }

    /// The user that `Impersonate-*` headers ask for, when `user` may; otherwise `user` itself.
    ///
    /// # Errors
    /// 403 when the user may not impersonate.
    pub fn impersonate(
        &self,
        user: User,
        _action: &Action,
        _headers: &HeaderMap,
        _objects: &dyn Objects,
    ) -> Result<User, Status> {
        Ok(user)
    }

    /// Whether `user` may do `action`.
    pub fn authorize(&self, user: &User, _action: &Action, _objects: &dyn Objects) -> Decision {
        if user.is_in("system:masters") { Decision::Allow(String::new()) } else { Decision::NoOpinion(String::new()) }
    }

    /// The 403 for an action that was not allowed.
    pub fn forbidden(&self, _user: &User, _action: &Action, reason: &str) -> Status {
        Status::new(Reason::Forbidden, reason)
    }
}
