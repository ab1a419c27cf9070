//! One question in JSON to a webhook's server, whose address its `clientConfig` says.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt, Full, Limited};
use serde_json::Value;

use super::tls::{self, Trust};
use super::{Objects, Place};
use crate::apiserver::kinds::json::Json;

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 3 * 1024 * 1024;

/// Where a webhook's server is, and whom to trust there.
pub struct Address {
    /// As errors show it.
    url: String,
    /// Path and query.
    path: String,
    place: Place,
    trust: Trust,
}

impl Address {
    /// From a `clientConfig`; the server is told of a limit.
    ///
    /// # Errors
    /// When its URL or CA bundle cannot be read.
    pub fn of(client: &Value, limit: Duration) -> Result<Address, String> {
        let trust = Trust::Bundle(STANDARD.decode(client.text("caBundle")).map_err(|error| error.to_string())?);
        let query = format!("timeout={}s", limit.as_secs());
        let service = client.at("service");
        if !service.is_null() {
            let port = service.int("port").and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
            let path = format!("/{}?{query}", service.text("path").trim_start_matches('/'));
            let place = Place::service(service.text("namespace"), service.text("name"), port);
            return Ok(Address { url: format!("https://{}{path}", place.authority()), path, place, trust });
        }
        let uri: http::Uri = client.text("url").parse().map_err(|_| format!("invalid URL {:?}", client.text("url")))?;
        let host = uri.host().unwrap_or("").trim_matches(['[', ']']).to_string();
        let path = format!("{}?{query}", uri.path());
        let shown = uri.authority().map_or("", |authority| authority.as_str());
        let url = format!("https://{shown}{path}");
        Ok(Address { url, path, place: Place { host, port: uri.port_u16().unwrap_or(443), service: None }, trust })
    }

    /// A failure of the request, as Go's client tells it.
    pub fn failed(&self, why: impl std::fmt::Display) -> String {
        format!("Post {:?}: {why}", self.url)
    }
}

/// Posts the question and gives back the answer's JSON.
///
/// # Errors
/// Why there is no answer.
pub async fn post(address: &Address, question: &Value, objects: &dyn Objects) -> Result<Value, String> {
    let connector = tls::connector(&address.trust, None).map_err(|why| address.failed(why))?;
    let (mut sender, connection) = address.place.open(connector, objects).await.map_err(|why| address.failed(why))?;
    let request = http::Request::post(&address.path)
        .header(header::HOST, address.place.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, */*")
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(Bytes::from(question.to_string())))
        .map_err(|error| address.failed(error))?;
    // The connection ends once its sender is gone, which the exchange drops.
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let code = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        body.map(|body| (code, body.to_bytes())).map_err(|error| error.to_string())
    };
    let (answer, ()) = futures::future::join(exchange, connection).await;
    let (code, body) = answer.map_err(|why| address.failed(why))?;
    if !code.is_success() {
        return Err(match code.as_u16() {
            404 => "the server could not find the requested resource".to_string(),
            500.. => "an error on the server (\"unknown\") has prevented the request from succeeding".to_string(),
            _ => "the server rejected our request for an unknown reason".to_string(),
        });
    }
    serde_json::from_slice(&body).map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))
}
