//! One request, and a refusal in client-go's words.
//!
//! Comes in: a path, and how the asked-for thing is called. Goes out: the JSON that came, or why none did. A
//! refusal that is a Status has its own words; any other (no such API, a server that is away) gets those that
//! client-go has for its code. They end up in conditions and events, where people search for them.
//! Source: `k8s.io/apimachinery/pkg/api/errors`, NewGenericServerResponse.

use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP code; 0 when nothing came at all.
    pub code: u16,
    /// What is said about it.
    pub words: String,
}

impl Refusal {
    fn other(error: impl ToString) -> Self {
        Refusal { code: 0, words: error.to_string() }
    }
}

/// Reads what is at `path`. `about` names it in a refusal without words of its own: `pods.metrics.k8s.io`,
/// or with a name behind a space.
///
/// # Errors
/// A refusal, or an answer of another shape.
pub async fn get<T: DeserializeOwned>(client: &Client, path: &str, about: &str) -> Result<T, Refusal> {
    let bytes = send(client, Method::GET, path, None, about).await?;
    serde_json::from_slice(&bytes).map_err(Refusal::other)
}

/// Replaces what is at `path`.
///
/// # Errors
/// As [`get`].
pub async fn put(client: &Client, path: &str, body: &Value, about: &str) -> Result<Value, Refusal> {
    let bytes = send(client, Method::PUT, path, Some(body), about).await?;
    serde_json::from_slice(&bytes).map_err(Refusal::other)
}

async fn send(
    client: &Client,
    method: Method,
    path: &str,
    body: Option<&Value>,
    about: &str,
) -> Result<Vec<u8>, Refusal> {
    let verb = method.as_str().to_lowercase();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.map(|body| body.to_string().into_bytes()).unwrap_or_default()))
        .map_err(Refusal::other)?;
    let (parts, body) = client.send(request).await.map_err(Refusal::other)?.into_parts();
    let bytes = body.collect().await.map_err(Refusal::other)?.to_bytes().to_vec();
    if parts.status.is_success() {
        return Ok(bytes);
    }
    let plain = parts.headers.get(header::CONTENT_TYPE).is_none_or(|media| media.as_bytes().starts_with(b"text/"));
    Err(refusal(parts.status, &bytes, plain, &format!("{verb} {about}")))
}

fn refusal(status: StatusCode, bytes: &[u8], plain: bool, about: &str) -> Refusal {
    let code = status.as_u16();
    let own = serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    if own["kind"] == "Status" && own["status"] == "Failure" {
        return Refusal { code, words: own["message"].as_str().unwrap_or_default().to_owned() };
    }
    let told = if plain { String::from_utf8_lossy(bytes).trim().to_owned() } else { "unknown".to_owned() };
    let words = match code {
        400 => "the server rejected our request for an unknown reason",
        401 => "the server has asked for the client to provide credentials",
        403 => &told,
        404 => "the server could not find the requested resource",
        405 => "the server does not allow this method on the requested resource",
        409 => "the server reported a conflict",
        422 => "the server rejected our request due to an error in our request",
        429 => "the server has received too many requests and has asked us to try again later",
        503 => "the server is currently unable to handle the request",
        504 => {
            "the server was unable to return a response in the time allotted, but may still be processing the request"
        }
        500.. => &format!("an error on the server ({told:?}) has prevented the request from succeeding"),
        _ => &format!("the server responded with the status code {code} but did not return more information"),
    };
    Refusal { code, words: format!("{words} ({about})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_its_own_words_or_client_gos() {
        let status = br#"{"kind":"Status","status":"Failure","message":"pods.metrics.k8s.io is forbidden","code":403}"#;
        for (code, body, plain, words) in [
            (403, &status[..], false, "pods.metrics.k8s.io is forbidden"),
            (
                404,
                b"404 page not found\n",
                true,
                "the server could not find the requested resource (get pods.metrics.k8s.io)",
            ),
            (
                503,
                b"service unavailable\n",
                true,
                "the server is currently unable to handle the request (get pods.metrics.k8s.io)",
            ),
            (
                500,
                b"oh no\n",
                true,
                "an error on the server (\"oh no\") has prevented the request from succeeding (get pods.metrics.k8s.io)",
            ),
            (
                500,
                b"{}",
                false,
                "an error on the server (\"unknown\") has prevented the request from succeeding (get pods.metrics.k8s.io)",
            ),
        ] {
            let code = StatusCode::from_u16(code).unwrap();
            assert_eq!(refusal(code, body, plain, "get pods.metrics.k8s.io").words, words);
        }
    }
}
