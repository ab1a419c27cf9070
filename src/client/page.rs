//! Talks to the page's own API of a running playground: switches, decisions, status.
//!
//! Kubernetes objects go through `kube::Client`; this is for what Kubernetes has no API for.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::state::Playground;

/// A connection to the page's API, with its token.
#[derive(Clone, Debug)]
pub struct Page {
    base: String,
    token: String,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl Page {
    /// The page of this playground.
    pub fn of(playground: &Playground) -> Page {
        Page {
            base: playground.book.trim_end_matches('/').to_owned(),
            token: playground.token.clone(),
            http: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Reads a JSON document, `path` beginning with `/`.
    ///
    /// # Errors
    /// When the page cannot be reached, or answers with an error (its words are kept).
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// Sends a JSON document and reads the answer.
    ///
    /// # Errors
    /// As [`Page::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(Method::POST, path, body.to_string().into()).await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Value> {
        let unreachable = |why: String| {
            Error::new(format!("the playground's page at {} does not answer", self.base), why)
                .hint("see whether it runs: tutor status")
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|e| unreachable(e.to_string()))?;
        let response = self.http.request(request).await.map_err(|e| unreachable(e.to_string()))?;
        let code = response.status();
        let bytes = response.into_body().collect().await.map_err(|e| unreachable(e.to_string()))?.to_bytes();
        let json: Value = serde_json::from_slice(&bytes).map_err(|e| unreachable(e.to_string()))?;
        if code.is_success() {
            return Ok(json);
        }
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let mut error = Error::new(text("what"), text("why"));
        error.hints =
            json["hints"].as_array().into_iter().flatten().filter_map(|h| h.as_str().map(str::to_owned)).collect();
        Err(error)
    }
}
