//! A `kube::Client` over the API server's warp filter: no socket, no TLS, no copy of the answer.
//!
//! Comes in: the filter, who is asking, and the component's name. Goes out: a client that behaves
//! as one over HTTPS does; a watch's body streams as the server writes it. Never: any shortcut
//! around authentication or authorization. The peer travels in the request's extensions, where the
//! TLS listener puts a certificate's owner, and the server judges both the same way.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use tower::{BoxError, Service};
use warp::Filter;

use super::line::{AtLine, Line};
use crate::apiserver::auth::Peer;
use crate::clock::Clock;

/// Sent after the component's name in `User-Agent`.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The future of one request's answer.
type Answer<B> = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

/// A client over a warp filter. `peer` is put in each request's extensions (the server's own
/// `auth::Peer`); `component` becomes `User-Agent: <component>/<version>`.
///
/// # Panics
/// When called outside a tokio runtime.
pub fn over_filter<F, P>(filter: F, peer: P, component: &str) -> kube::Client
where
    F: Filter<Extract = (warp::reply::Response,), Error = Infallible> + Clone + Send + Sync + 'static,
    F::Future: Send,
    P: Clone + Send + Sync + 'static,
{
    over_service(warp::service(filter), peer, component)
}

/// A client of this process that is `user`. A service account's user name
/// (`system:serviceaccount:<namespace>:<name>`) brings its groups; `groups` adds others, and
/// `system:authenticated` always belongs.
///
/// # Panics
/// When called outside a tokio runtime.
pub fn as_user<F>(filter: F, user: &str, groups: &[&str], component: &str) -> kube::Client
where
    F: Filter<Extract = (warp::reply::Response,), Error = Infallible> + Clone + Send + Sync + 'static,
    F::Future: Send,
{
    let mut all: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    if let Some((namespace, _)) = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        all.push("system:serviceaccounts".into());
        all.push(format!("system:serviceaccounts:{namespace}"));
    }
    all.push("system:authenticated".into());
    over_filter(filter, Peer::InProcess { user: user.into(), groups: all }, component)
}

/// As [`over_filter`], over a line that can be cut.
///
/// # Panics
/// When called outside a tokio runtime.
pub fn over_line<F, P>(filter: F, peer: P, component: &str, line: Line, clock: Clock) -> kube::Client
where
    F: Filter<Extract = (warp::reply::Response,), Error = Infallible> + Clone + Send + Sync + 'static,
    F::Future: Send,
    P: Clone + Send + Sync + 'static,
{
    over_service(AtLine::new(warp::service(filter), line, clock), peer, component)
}

/// As [`over_filter`], over any HTTP service that takes whole bodies.
///
/// # Panics
/// When called outside a tokio runtime.
pub fn over_service<S, P, B>(service: S, peer: P, component: &str) -> kube::Client
where
    S: Service<Request<Full<bytes::Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: hyper::body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    P: Clone + Send + Sync + 'static,
{
    let agent = HeaderValue::from_str(&format!("{component}/{VERSION}"))
        .unwrap_or_else(|_| HeaderValue::from_static(concat!("tutor/", env!("CARGO_PKG_VERSION"))));
    let send = move |request: Request<kube::client::Body>| -> Answer<B> {
        let (mut service, peer, agent) = (service.clone(), peer.clone(), agent.clone());
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            parts.headers.entry(header::USER_AGENT).or_insert(agent);
            parts.headers.entry(header::HOST).or_insert(HeaderValue::from_static("kubernetes.default.svc"));
            parts.extensions.insert(peer);
            let body = Full::new(body.collect_bytes().await?);
            service.call(Request::from_parts(parts, body)).await.map_err(Into::into)
        })
    };
    kube::Client::new(tower::service_fn(send), "default")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Asking(&'static str);

    #[tokio::test]
    async fn a_request_says_who_asks_and_with_which_program() {
        let filter =
            warp::ext::get::<Asking>().and(warp::header::<String>("user-agent")).map(|who: Asking, agent: String| {
                warp::reply::Response::new(format!("{} {}", who.0, agent.split('/').next().unwrap_or("")).into())
            });
        let filter = filter.or(warp::any().map(|| warp::reply::Response::new("nobody".into()))).unify();
        let client = over_filter(filter, Asking("alice"), "scheduler");
        let answer = client.request_text(Request::get("/x").body(Vec::new()).unwrap()).await.unwrap();
        assert_eq!(answer, "alice scheduler");
    }
}
