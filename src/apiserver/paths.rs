//! Paths that are no resources: health, version, discovery, OpenAPI, keys, the journal.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use warp::reply::Response;

use super::aggregation::merge;
use super::catalog::List;
use super::engine::{Engine, not_allowed, not_served};
use super::health::{self, Found};
use super::metrics;
use super::negotiate::{self, Accepted, Route, routed};
use super::options::first;
use super::request::RequestInfo;
use super::respond;
use super::routes::is_own_group;
use super::zpages::Page;
use crate::api::decode::MediaType;
use crate::api::status::Status;
use crate::api::{discovery, openapi};

/// Paths that `/` lists besides the API's own.
const PATHS: &[&str] = &[
    "/.well-known/openid-configuration",
    "/apis/",
    "/flagz",
    "/healthz",
    "/livez",
    "/metrics",
    "/metrics/slis",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/openid/v1/jwks",
    "/readyz",
    "/statusz",
    "/tutor/etcd",
    "/tutor/writes",
    "/version",
];

/// Media types of the API's own documents.
const FORMS: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// Answers a path. Those that Kubernetes routes by method know only GET; the others do not look at it.
pub fn answer(
    engine: &Arc<Engine>,
    info: &RequestInfo,
    query: &[(String, String)],
    headers: &HeaderMap,
    form: Accepted,
) -> Response {
    let list = engine.catalog.now();
    let path = info.path.trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let produced: &[&str] = match parts.as_slice() {
        ["version"] | [".well-known", "openid-configuration"] => &["application/json"],
        ["openid", "v1", "jwks"] => &["application/jwk-set+json"],
        ["api"] => FORMS,
        ["api", version] if list.serves("", version) => FORMS,
        ["apis", group, version] if list.serves(group, version) => FORMS,
        ["api", ..] => return respond::error(&not_served(), form),
        ["apis", group, _, ..] if !group.is_empty() && is_own_group(&list, group) => {
            return respond::error(&not_served(), form);
        }
        ["version", ..] => return respond::error(&not_served(), form),
        _ => return unrouted(engine, info, &list, &parts, query, headers),
    };
    if info.verb != "get" {
        return respond::error(&not_allowed(), form);
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if let Err(status) = routed(accept, produced) {
        return respond::error(&status, form);
    }
    match parts.as_slice() {
        ["version"] => document(&version()),
        [".well-known", _] => for_an_hour(document(&openid(engine))),
        ["openid", ..] => {
            let keys = format!("{}\n", engine.auth.key_set());
            for_an_hour(respond::send(200, "application/jwk-set+json", keys.into()))
        }
        ["api"] => discover(&list, headers, "/api", |_| discovery::core_versions(SERVER), true),
        ["api", version] => found(discovery::resource_list(list.all(), "", version), accept),
        ["apis", group, version] => found(discovery::resource_list(list.all(), group, version), accept),
        _ => missing(),
    }
}

/// Paths that answer every method alike.
fn unrouted(
    engine: &Engine,
    info: &RequestInfo,
    list: &Arc<List>,
    parts: &[&str],
    query: &[(String, String)],
    headers: &HeaderMap,
) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    // Here a path is what it is to the letter; only groups may end in slashes.
    let slashes = info.path.len() - info.path.trim_end_matches('/').len();
    match parts {
        ["apis"] if slashes > 1 => return missing(),
        ["openapi", "v3", ..] if slashes > 0 => return bare(404),
        [] if slashes > 1 => return missing(),
        [] | ["apis", ..] => {}
        _ if slashes > 0 => return missing(),
        _ => {}
    }
    match parts {
        [] => document(&root(list)),
        ["statusz"] => zpage(engine, list, Page::Status, accept),
        ["flagz"] => zpage(engine, list, Page::Flags, accept),
        ["tutor", "writes"] => document(&engine.journal.list(query)),
        ["metrics"] if info.verb == "delete" => {
            engine.metrics.reset();
            respond::text(200, "metrics reset\n")
        }
        ["metrics"] => respond::send(200, metrics::MEDIA, engine.metrics.text(engine).into()),
        ["apis"] => discover(list, headers, "/apis", group_list, false),
        ["apis", name] => match discovery::group(&group_list(list), name) {
            Some(group) => negotiated(&group, accept),
            None => missing(),
        },
        // The index has one form, whatever is asked for.
        ["openapi", "v2"] | ["openapi", "v3", _, ..] if !takes_openapi(accept) => bare(406),
        ["openapi", "v2"] if wants_protobuf(headers) => {
            let make = |list: &List| Some(openapi::protobuf::encode(&swagger(list)).into());
            kept_bytes(list, headers, "openapi/v2 protobuf", openapi::protobuf::MEDIA[1], make)
        }
        ["openapi", "v2"] => {
            let mut response = kept(list, headers, "openapi/v2", |list| Some(swagger(list)));
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            response
        }
        ["openapi", "v3"] => {
            let make = |list: &List| Some(merge::openapi_index(openapi::index(list.all()), list));
            let make = |list: &List| make(list).map(|value| Bytes::from(format!("{value}\n")));
            let mut response = kept_bytes(list, headers, "openapi/v3", "text/plain; charset=utf-8", make);
            response.headers_mut().remove(header::ETAG);
            response
        }
        ["openapi", "v3", rest @ ..] => openapi_of(engine, list, &rest.join("/"), query, headers),
        _ => missing(),
    }
}

/// One document of OpenAPI. Who names its hash may keep it for good; who names an old one is sent to the new one.
fn openapi_of(
    engine: &Engine,
    list: &Arc<List>,
    path: &str,
    query: &[(String, String)],
    headers: &HeaderMap,
) -> Response {
    if let Some(document) = remote_openapi(list, path) {
        return respond::send(200, "application/json", document);
    }
    let key = format!("openapi/v3/{path}");
    let make = || openapi::document(list.all(), path).map(|value| format!("{value}\n").into());
    if list.document(&key, make).is_none() {
        return bare(404);
    }
    let own = openapi::hash(list.all(), path);
    let mut response = match first(query, "hash").filter(|hash| !hash.is_empty()) {
        Some(hash) if hash != own => {
            let mut response = respond::send(301, "application/json", Bytes::new());
            let place = HeaderValue::from_str(&format!("/{key}?hash={own}"));
            place.into_iter().for_each(|place| drop(response.headers_mut().insert(header::LOCATION, place)));
            response
        }
        Some(_) => {
            let mut response = kept(list, headers, &key, |_| None);
            let year = jiff::SignedDuration::from_hours(24 * 365);
            let expires = engine.clock.now().saturating_add(year).unwrap_or(jiff::Timestamp::MAX);
            let expires = expires.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let told = [(header::CACHE_CONTROL, "public, immutable"), (header::EXPIRES, &expires)];
            for (name, value) in told {
                HeaderValue::from_str(value).into_iter().for_each(|it| drop(response.headers_mut().insert(&name, it)));
            }
            response
        }
        None => kept(list, headers, &key, |_| None),
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

/// A document that anyone may keep for an hour.
fn for_an_hour(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

/// What `/api` says the server's address is.
const SERVER: &str = "127.0.0.1:6443";

/// `/apis` in the old form.
fn group_list(list: &List) -> Value {
    merge::group_list(discovery::group_list(list.all()), list)
}

/// The document of a group and version that another server answers for.
fn remote_openapi(list: &List, path: &str) -> Option<Bytes> {
    let remote = list.remotes().find(|remote| remote.path().trim_start_matches('/') == path)?;
    remote.told.openapi_v3.clone()
}

/// Everything in the old form, ours and that of aggregated servers.
fn swagger(list: &List) -> Value {
    merge::swagger(openapi::swagger(list.all()), list)
}

/// Whether the old document is asked for as protobuf.
fn wants_protobuf(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = accept.split(',').next().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    openapi::protobuf::MEDIA.contains(&first)
}

/// Whether a client takes any form that OpenAPI has.
fn takes_openapi(accept: Option<&str>) -> bool {
    let accept = accept.unwrap_or("").trim();
    let media = |clause: &str| clause.split(';').next().unwrap_or_default().trim().to_string();
    let known = |media: String| {
        matches!(media.as_str(), "*" | "*/*" | "application/*" | "application/json")
            || openapi::protobuf::MEDIA.contains(&&*media)
    };
    accept.is_empty() || accept.split(',').map(media).any(known)
}

/// A code and nothing else.
fn bare(code: u16) -> Response {
    let mut response = respond::send(code, "", Bytes::new());
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}

fn missing() -> Response {
    respond::text(404, "404 page not found\n")
}

fn document(value: &Value) -> Response {
    respond::send(200, "application/json", format!("{value}\n").into())
}

/// A document in the form that the client takes; what has no protobuf form stays JSON.
fn negotiated(value: &Value, accept: Option<&str>) -> Response {
    match negotiate::negotiate(accept, Route::Document, false) {
        Ok(accepted) => match respond::encode(value, accepted) {
            Ok(bytes) => respond::send(200, accepted.content_type(), bytes),
            Err(_) => document(value),
        },
        Err(status) => respond::error(&status, Accepted::JSON),
    }
}

fn found(value: Option<Value>, accept: Option<&str>) -> Response {
    value.map_or_else(|| respond::error(&not_served(), Accepted::JSON), |value| negotiated(&value, accept))
}

fn zpage(engine: &Engine, list: &List, page: Page, accept: Option<&str>) -> Response {
    let form = negotiate::for_errors(accept, false);
    engine.pages.answer(page, accept, &listed(list), engine.clock.now(), form)
}

fn root(list: &List) -> Value {
    json!({"paths": listed(list)})
}

/// The paths that `/` lists.
fn listed(list: &List) -> Vec<String> {
    let mut paths: Vec<String> = vec!["/api".into(), "/api/v1".into(), "/apis".into()];
    for group in discovery::groups(list.all()).into_iter().filter(|group| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(discovery::versions(list.all(), group).iter().map(|version| format!("/apis/{group}/{version}")));
    }
    for remote in list.remotes() {
        paths.extend([format!("/apis/{}", remote.group), remote.path()]);
    }
    for kind in health::KINDS {
        paths.extend(health::names(kind).map(|check| format!("/{kind}/{check}")));
    }
    paths.extend(PATHS.iter().map(|path| (*path).to_string()));
    paths.sort();
    paths.dedup();
    paths
}

/// The build this server answers as.
fn version() -> Value {
    json!({
        "major": "1", "minor": "37", "emulationMajor": "1", "emulationMinor": "37",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "36",
        "gitVersion": openapi::VERSION, "gitCommit": concat!("tutor-", env!("CARGO_PKG_VERSION")), "gitTreeState": "",
        "buildDate": "2026-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc", "platform": platform(),
    })
}

/// How to verify service account tokens.
fn openid(engine: &Engine) -> Value {
    // A key that is not made yet will be one for RS256.
    let algorithm = engine.authority.signing().get().map_or(Algorithm::RS256, |key| key.algorithm);
    json!({
        "issuer": super::ISSUER, "jwks_uri": format!("https://{SERVER}/openid/v1/jwks"),
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [format!("{algorithm:?}")],
    })
}

fn platform() -> String {
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}/{machine}", std::env::consts::OS)
}

/// `/livez`, `/readyz`, `/healthz`, one check of them, and all of them as numbers; `None`: another path.
pub async fn health(engine: &Engine, info: &RequestInfo, query: &[(String, String)]) -> Option<Response> {
    let path = info.path.strip_prefix('/')?;
    if path == "metrics/slis" {
        let text = metrics::slis(Found::ask(engine).await);
        return Some(respond::send(200, metrics::MEDIA, text.into()));
    }
    let (kind, check) = path.split_once('/').map_or((path, None), |(kind, check)| (kind, Some(check)));
    if !health::KINDS.contains(&kind) {
        return None;
    }
    if check == Some("") {
        return Some(missing());
    }
    let Some(answer) = health::answer(kind, check.unwrap_or(""), query, Found::ask(engine).await) else {
        return Some(missing());
    };
    Some(match (check, answer.code) {
        (Some(_), 200) => respond::send(200, "text/plain; charset=utf-8", answer.text.into()),
        (_, code) => respond::text(code, answer.text),
    })
}

/// `/api` and `/apis`: the old form, or everything at once for those who ask.
fn discover(
    list: &Arc<List>,
    headers: &HeaderMap,
    path: &str,
    old: impl FnOnce(&List) -> Value,
    core: bool,
) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    match form(accept) {
        Ok(Some(media)) => {
            let make = |list: &List| {
                let own = discovery::aggregated(list.all(), core);
                if core { own } else { merge::aggregated(own, list) }
            };
            let kind = negotiate::content_type(media);
            let mut response = match media {
                MediaType::Json => kept(list, headers, path, |list| Some(make(list))),
                MediaType::Yaml => {
                    let encode = |value: Value| respond::encode(&value, Accepted { media, ..Accepted::JSON }).ok();
                    kept_bytes(list, headers, &format!("{path} yaml"), kind, |list| encode(make(list)))
                }
                MediaType::Protobuf => {
                    let encode = |value: Value| Some(discovery::protobuf::encode(&value).into());
                    kept_bytes(list, headers, &format!("{path} protobuf"), kind, |list| encode(make(list)))
                }
            };
            let told = discovery::AGGREGATED.replacen("application/json", kind, 1);
            if let Ok(media) = HeaderValue::from_str(&told) {
                response.headers_mut().insert(header::CONTENT_TYPE, media);
            }
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
            response
        }
        Ok(None) => negotiated(&old(list), accept),
        Err(status) => respond::error(&status, Accepted::JSON),
    }
}

/// The form of the aggregated document, if any clause asks for it: whatever else is asked for comes after it.
fn form(accept: Option<&str>) -> Result<Option<MediaType>, Status> {
    let clauses = negotiate::clauses(accept.unwrap_or(""));
    let asks = |clause: &&negotiate::Clause<'_>| {
        let wanted = [("as", "APIGroupDiscoveryList"), ("g", "apidiscovery.k8s.io"), ("v", "v2")];
        wanted.iter().all(|pair| clause.params.contains(pair))
    };
    let found = clauses.iter().filter(asks).find_map(|clause| match clause.media {
        "*" | "*/*" | "application/*" => Some(MediaType::Json),
        media => negotiate::parse_media(media),
    });
    match found {
        Some(media) => Ok(Some(media)),
        None => negotiate::negotiate(accept, Route::Document, false).map(|_| None),
    }
}

/// A large document: made once for each list of resources, and named by an ETag.
fn kept(list: &Arc<List>, headers: &HeaderMap, key: &str, make: impl FnOnce(&List) -> Option<Value>) -> Response {
    let make = |list: &List| make(list).map(|value| Bytes::from(format!("{value}\n")));
    kept_bytes(list, headers, key, "application/json", make)
}

fn kept_bytes(
    list: &Arc<List>,
    headers: &HeaderMap,
    key: &str,
    media: &'static str,
    make: impl FnOnce(&List) -> Option<Bytes>,
) -> Response {
    let Some(bytes) = list.document(key, || make(list)) else { return missing() };
    let etag = discovery::etag(&bytes);
    let same = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()) == Some(etag.as_str());
    let (body, gzip) = respond::compressed(bytes, headers);
    let mut response = if same { respond::send(304, media, Bytes::new()) } else { respond::send(200, media, body) };
    if gzip && !same {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}
