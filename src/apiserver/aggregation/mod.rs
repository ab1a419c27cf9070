//! API aggregation: groups and versions that other servers answer for, behind this one.
//!
//! In: APIService objects. Out: for those with a Service, requests passed through ([`proxy`]), with who
//! asks in headers and our front-proxy certificate to vouch for them; their `Available` condition
//! ([`availability`]); their part in discovery and OpenAPI ([`merge`]). For the others, which this
//! server answers itself, only their order. [`registration`] keeps one for every custom group. The loop
//! over all of it is [`controller`]. Source: `k8s.io/kube-aggregator`.
//! Chapter: `book/src/inside/api-server.md`.

pub mod availability;
pub mod controller;
pub mod merge;
pub mod proxy;
pub mod registration;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

use super::backend::Place;
use super::backend::tls::Trust;
use super::kinds::json::Json;
use super::objects::{Collection, collection};

/// The group of APIServices.
pub const GROUP: &str = "apiregistration.k8s.io";
/// Where APIServices are.
pub const SERVICES: Collection = collection(GROUP, "apiservices");

/// What one APIService says.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// The group; empty for the core.
    pub group: String,
    /// The version.
    pub version: String,
    /// Groups with a higher number come first.
    pub group_priority: i64,
    /// Versions of a group with a higher number come first.
    pub version_priority: i64,
    /// Who answers; `None`: this server.
    pub remote: Option<Arc<Remote>>,
}

/// Another server that answers for a group and version.
#[derive(Clone, Debug, PartialEq)]
pub struct Remote {
    /// The group.
    pub group: String,
    /// The version.
    pub version: String,
    /// Where it is.
    pub place: Place,
    /// Whom to trust there.
    pub trust: Trust,
    /// Whether it answered when it was last asked.
    pub available: bool,
    /// What it tells about itself.
    pub told: Told,
}

/// What an aggregated server told about itself when it was last asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// Its version in aggregated discovery; `None`: it never answered.
    pub discovery: Option<Value>,
    /// The document of its group and version.
    pub openapi_v3: Option<Bytes>,
    /// Everything it serves, in the old form.
    pub openapi_v2: Option<Arc<Value>>,
}

impl Remote {
    /// The server of an APIService, as far as its object says; `None` for one that we answer for.
    pub fn of(service: &Value) -> Option<Remote> {
        let place = service.at("spec.service");
        if place.is_null() {
            return None;
        }
        let port = place.int("port").and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
        let trust = match service.flag("spec.insecureSkipTLSVerify") {
            true => Trust::Anyone,
            false => Trust::Bundle(STANDARD.decode(service.text("spec.caBundle")).unwrap_or_default()),
        };
        Some(Remote {
            group: service.text("spec.group").to_string(),
            version: service.text("spec.version").to_string(),
            place: Place::service(place.text("namespace"), place.text("name"), port),
            trust,
            available: is_available(service),
            told: Told::default(),
        })
    }

    /// Where its group and version begin.
    pub fn path(&self) -> String {
        match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        }
    }
}

/// Whether an APIService's condition `Available` is `True`.
pub fn is_available(service: &Value) -> bool {
    let conditions = service.items("status.conditions").iter();
    conditions.into_iter().any(|condition| condition.text("type") == "Available" && condition.text("status") == "True")
}
