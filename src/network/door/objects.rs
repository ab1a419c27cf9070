//! Gateway API objects, as much of them as is read.
//!
//! These kinds are CustomResourceDefinitions (`gateway-api.yaml`), as in other clusters, so their types are here and not
//! in `k8s-openapi`. Source: gateway.networking.k8s.io/v1. Chapter: `book/src/inside/network.md`.

use kube::api::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Watched, view};

/// A kind of Gateway.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as the API has them")]
pub struct GatewayClassView {
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    pub spec: ClassSpec,
    pub status: Value,
}

/// Whose it is.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct ClassSpec {
    pub controller_name: String,
}

/// Where requests come in.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as the API has them")]
pub struct GatewayView {
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    pub spec: GatewaySpec,
    pub status: Value,
}

/// Its listeners.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct GatewaySpec {
    pub gateway_class_name: String,
    pub listeners: Vec<Listener>,
}

/// One of them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct Listener {
    pub name: String,
    pub hostname: Option<String>,
    pub port: u16,
    pub protocol: String,
    pub tls: Option<ListenerTls>,
    pub allowed_routes: AllowedRoutes,
}

/// Its certificates.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct ListenerTls {
    pub mode: Option<String>,
    pub certificate_refs: Vec<BackendRef>,
}

/// Whose routes it takes.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct AllowedRoutes {
    pub namespaces: RouteNamespaces,
}

/// Those of which namespaces.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct RouteNamespaces {
    pub from: Option<String>,
    pub selector: Value,
}

/// Where requests go.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as the API has them")]
pub struct HttpRouteView {
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    pub spec: RouteSpec,
    pub status: Value,
}

/// Its rules, and the Gateways it wants to be attached to.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct RouteSpec {
    pub parent_refs: Vec<ParentRef>,
    pub hostnames: Vec<String>,
    pub rules: Vec<Rule>,
}

/// A Gateway, or one of its listeners.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct ParentRef {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A rule.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct Rule {
    pub matches: Vec<Match>,
    pub filters: Vec<Filter>,
    pub backend_refs: Vec<BackendRef>,
    pub timeouts: Timeouts,
    pub retry: Option<Retry>,
}

/// When a request is sent once more. Source: GEP-1731.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as the API has them")]
pub struct Retry {
    pub codes: Vec<u16>,
    pub attempts: Option<u32>,
    pub backoff: Option<String>,
}

/// How long it may take, as durations: `1m30s`. Source: GEP-2257.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct Timeouts {
    pub request: Option<String>,
    pub backend_request: Option<String>,
}

/// What a request must have.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct Match {
    pub path: Option<Wanted>,
    pub method: Option<String>,
    pub headers: Vec<Wanted>,
    pub query_params: Vec<Wanted>,
}

/// A text to be met: a path, a header, a parameter.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct Wanted {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub name: String,
    pub value: Option<String>,
}

/// A change of a request or its answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct Filter {
    #[serde(rename = "type")]
    pub kind: String,
    pub request_header_modifier: Option<Modifier>,
    pub response_header_modifier: Option<Modifier>,
    pub request_redirect: Option<Elsewhere>,
    pub url_rewrite: Option<Elsewhere>,
    pub request_mirror: Option<Mirror>,
}

/// Who gets a copy of requests, and of how many: a share, or all.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct Mirror {
    pub backend_ref: BackendRef,
    pub percent: Option<u32>,
    pub fraction: Option<Fraction>,
}

/// A share.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as the API has them")]
pub struct Fraction {
    pub numerator: u32,
    pub denominator: Option<u32>,
}

/// Changes of headers.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct Modifier {
    pub set: Vec<Pair>,
    pub add: Vec<Pair>,
    pub remove: Vec<String>,
}

/// A header.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as the API has them")]
pub struct Pair {
    pub name: String,
    pub value: String,
}

/// Another place.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct Elsewhere {
    pub scheme: Option<String>,
    pub hostname: Option<String>,
    pub port: Option<u16>,
    pub path: Option<OtherPath>,
    pub status_code: Option<u16>,
}

/// Another path.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct OtherPath {
    pub replace_full_path: Option<String>,
    pub replace_prefix_match: Option<String>,
}

/// Who may answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as the API has them")]
pub struct BackendRef {
    pub group: Option<String>,
    pub kind: Option<String>,
    pub namespace: Option<String>,
    pub name: String,
    pub port: Option<u16>,
    pub weight: Option<u32>,
    pub filters: Vec<Filter>,
}

/// Lets objects of other namespaces refer to objects of its own.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as the API has them")]
pub struct ReferenceGrantView {
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
    pub spec: GrantSpec,
}

/// Whom, and to what.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as the API has them")]
pub struct GrantSpec {
    pub from: Vec<GrantFrom>,
    pub to: Vec<GrantTo>,
}

/// Objects of a kind in a namespace.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as the API has them")]
pub struct GrantFrom {
    pub group: String,
    pub kind: String,
    pub namespace: String,
}

/// Objects of a kind: all, or the one of this name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as the API has them")]
pub struct GrantTo {
    pub group: String,
    pub kind: String,
    pub name: Option<String>,
}

view!(GatewayClassView, "gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses", Cluster);
view!(GatewayView, "gateway.networking.k8s.io", "v1", "Gateway", "gateways", Namespace);
view!(HttpRouteView, "gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", Namespace);

view!(ReferenceGrantView, "gateway.networking.k8s.io", "v1beta1", "ReferenceGrant", "referencegrants", Namespace);

impl Watched for ReferenceGrantView {}
impl Watched for GatewayClassView {}
impl Watched for GatewayView {}
impl Watched for HttpRouteView {}
