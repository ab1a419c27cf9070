//! The whole API as one warp filter: every path under one roof, so that the TLS listener, the
//! in-process client and a test ask the same thing the same way.
//!
//! In: any HTTP request. Out: always an answer; a panic in a handler is a logged 500. In this
//! order: who asks, a seat, may they, what they ask for, the verb.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures::{FutureExt, Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Method, header};
use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;
use warp::Filter;
use warp::reply::Response;

use super::aggregation::{self, proxy::Passing};
use super::auth::{Decision, Peer, User};
use super::engine::{Call, Engine, bad_request, not_allowed, not_served};
use super::metrics::Manner;
use super::negotiate::{self, Accepted, Route};
use super::request::{self, RequestInfo};
use super::verbs::{
    apply, ask, binding, connect, create, delete, deletecollection, eviction, get, list, patch, proxy, scale, update,
    watch,
};
use super::{deadline, etcd_view, paths, priority, respond, routes};
use crate::api::status::{Reason, Status};

/// The largest request body.
const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;
/// The largest request body that is passed on to a Pod.
const MAX_PROXIED_BYTES: usize = 64 * 1024 * 1024;

/// The API of an engine.
pub fn filter(
    engine: Arc<Engine>,
) -> impl Filter<Extract = (Response,), Error = Infallible, Future: Send> + Clone + Send + Sync + 'static {
    warp::any()
        .map(move || engine.clone())
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .and(warp::ext::optional::<OnUpgrade>())
        .and(warp::body::stream())
        .then(
            |engine: Arc<Engine>,
             method: Method,
             path: warp::path::FullPath,
             query: String,
             headers: HeaderMap,
             peer,
             upgrade,
             body| async move {
                let request = Request { method, path: path.as_str().to_string(), query, headers, peer, upgrade };
                let guarded = AssertUnwindSafe(answer(engine, request, body)).catch_unwind().await;
                guarded.unwrap_or_else(|_| {
                    tracing::error!("a request's handler panicked");
                    let status = Status::new(
                        Reason::InternalError,
                        "This request caused apiserver to panic. Look in the logs for details.",
                    );
                    respond::error(&status, Accepted::JSON)
                })
            },
        )
        .recover(|_| async { Ok::<_, Infallible>(no_page()) })
        .unify()
}

/// A request before anything is known about it.
struct Request {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    peer: Option<Peer>,
    /// The connection itself, for who asks for another protocol.
    upgrade: Option<OnUpgrade>,
}

impl Request {
    /// How errors are written for whoever asks.
    fn form_of_errors(&self, query: &[(String, String)]) -> Accepted {
        let header = |name: header::HeaderName| self.headers.get(name).and_then(|value| value.to_str().ok());
        negotiate::for_errors(header(header::ACCEPT), wants_pretty(query, header(header::USER_AGENT)))
    }

    /// What of it is counted besides its path.
    fn manner(&self, query: &[(String, String)], lasts: bool) -> Manner {
        let media = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Manner {
            applies: media.is_some_and(|media| media.starts_with(apply::MEDIA)),
            dry_run: query.iter().any(|(key, value)| key == "dryRun" && value == "All"),
            lasts,
        }
    }

    /// The request as another server gets it.
    fn passing(self, user: User) -> Passing {
        let target = if self.query.is_empty() { self.path } else { format!("{}?{}", self.path, self.query) };
        Passing { method: self.method, target, headers: self.headers, upgrade: self.upgrade, user }
    }
}

async fn answer<B, D>(engine: Arc<Engine>, request: Request, body: B) -> Response
where
    B: Stream<Item = Result<D, warp::Error>> + Send + Unpin + 'static,
    D: Buf,
{
    let query = request::pairs(&request.query);
    let info = RequestInfo::parse(&request.method, &request.path, &query);
    let began = engine.clock.tick();
    let clock = engine.clock;
    let serving = engine.metrics.serving(&info, request.manner(&query, is_long(&info)));
    let answer = Box::pin(timely(engine, request, query, info, body)).await;
    serving.answered(answer.status().as_u16(), clock.since(began));
    answer
}

/// Every answer is given in time, but for those that may last.
async fn timely<B, D>(
    engine: Arc<Engine>,
    request: Request,
    query: Vec<(String, String)>,
    info: RequestInfo,
    body: B,
) -> Response
where
    B: Stream<Item = Result<D, warp::Error>> + Send + Unpin + 'static,
    D: Buf,
{
    if is_long(&info) {
        return serve(engine, request, query, info, body).await;
    }
    match deadline::of(&query) {
        Err(status) => respond::error(&status, request.form_of_errors(&query)),
        Ok(limit) if deadline::is_over(limit) => deadline::passed(),
        Ok(limit) => {
            let clock = engine.clock;
            let served = clock.timeout(limit, serve(engine, request, query, info, body)).await;
            served.unwrap_or_else(|_| deadline::passed())
        }
    }
}

async fn serve<B, D>(
    engine: Arc<Engine>,
    request: Request,
    query: Vec<(String, String)>,
    info: RequestInfo,
    body: B,
) -> Response
where
    B: Stream<Item = Result<D, warp::Error>> + Send + Unpin + 'static,
    D: Buf,
{
    let form = request.form_of_errors(&query);
    let user = match afresh(&engine, || identify(&engine, &request, &info)).await {
        Ok(user) => user,
        Err(status) => return respond::error(&status, form),
    };
    let _seat = match is_long(&info) {
        true => None,
        false => match engine.levels.seat(&user, &info, &engine.clock).await {
            Ok(seat) => seat,
            Err(priority::Busy) => return respond::busy(),
        },
    };
    if let Err(status) = afresh(&engine, || authorize(&engine, &user, &info)).await {
        return respond::error(&status, form);
    }
    if let Some(remote) = engine.catalog.now().remote(&info.group, &info.version) {
        return aggregation::proxy::pass(&engine, &remote, request.passing(user), body).await;
    }
    if info.path.starts_with("/openid/")
        && let Err(status) = engine.signing_key().await
    {
        return respond::error(&status, form);
    }
    if !info.is_resource {
        if info.verb == "get" && info.path == "/tutor/etcd" {
            return etcd_view::answer(&engine, &query).await;
        }
        if let Some(answer) = Box::pin(paths::health(&engine, &info, &query)).await {
            return answer;
        }
        return paths::answer(&engine, &info, &query, &request.headers, form);
    }
    let answered = resource(engine, request, query, info, user, body, form).await;
    answered.unwrap_or_else(|status| respond::error(&status, form))
}

/// Whether a request may last as long as it likes, and takes no seat.
fn is_long(info: &RequestInfo) -> bool {
    info.verb == "watch" || matches!(info.subresource.as_str(), "attach" | "exec" | "log" | "portforward" | "proxy")
}

/// Who is refused is judged once more when everything that was written before is known here: a right, an account or a
/// token that was made a moment ago counts.
async fn afresh<T>(engine: &Engine, judge: impl Fn() -> Result<T, Status>) -> Result<T, Status> {
    match judge() {
        Ok(found) => Ok(found),
        Err(_) => {
            engine.caches.fresh().await;
            judge()
        }
    }
}

/// Who asks, or as whom.
fn identify(engine: &Engine, request: &Request, info: &RequestInfo) -> Result<User, Status> {
    let peer = request.peer.clone().unwrap_or_default();
    let user = engine.auth.authenticate(&peer, &request.headers, engine, engine.clock.now())?;
    engine.auth.impersonate(user, || info.action(), &request.headers, engine)
}

/// Whether they may.
fn authorize(engine: &Engine, user: &User, info: &RequestInfo) -> Result<(), Status> {
    let action = info.action();
    match engine.auth.authorize(user, &action, engine) {
        Decision::Allow(_) => Ok(()),
        Decision::NoOpinion(reason) => Err(engine.auth.forbidden(user, &action, &reason)),
    }
}

async fn resource<B, D>(
    engine: Arc<Engine>,
    request: Request,
    query: Vec<(String, String)>,
    info: RequestInfo,
    user: User,
    body: B,
    form: Accepted,
) -> Result<Response, Status>
where
    B: Stream<Item = Result<D, warp::Error>> + Send + Unpin,
    D: Buf,
{
    let served = engine.catalog.now();
    let Some(resource) = served.find(&info.group, &info.version, &info.resource) else {
        if routes::is_own_group(&served, &info.group) && !(info.group.is_empty() && request.path.starts_with("/apis")) {
            return Err(not_served());
        }
        return Ok(no_page());
    };
    if resource.custom && routes::is_no_page(&resource, &info) {
        return Ok(no_page());
    }
    routes::check(&resource, &info, &request.method)?;
    let header = |name: header::HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
    if info.verb == "patch" && !resource.custom && info.subresource != "proxy" {
        patch::check_media(header(header::CONTENT_TYPE))?;
    }
    let pretty = wants_pretty(&query, header(header::USER_AGENT));
    let route = match info.verb {
        _ if resource.custom => Route::Custom,
        _ if engine.cache(&resource).is_none() || routes::has_no_table(&info) => Route::Answer,
        "list" | "watch" => Route::List,
        _ => Route::Object,
    };
    let accepted = negotiate::negotiate(header(header::ACCEPT), route, pretty)?;
    let proxied = info.subresource == "proxy";
    let limit = if proxied { MAX_PROXIED_BYTES } else { MAX_BODY_BYTES };
    let body = read_body(body, limit).await?;
    let raw = proxy::Raw {
        method: request.method,
        path: request.path,
        query: request.query,
        upgrade: request.upgrade.clone(),
    };
    let now = engine.clock.now();
    let (warnings, empties) = (Mutex::default(), Mutex::default());
    let (headers, upgrade) = (request.headers, request.upgrade);
    let call = Call { engine, info, query, headers, user, resource, accepted, body, upgrade, now, warnings, empties };
    call.warn(deprecation(&call.resource));
    let answered = if proxied { proxy::proxy(&call, raw).await } else { verb(&call).await };
    let mut response = answered.unwrap_or_else(|status| respond::error(&status, form));
    add_warnings(&mut response, &call.warnings.lock());
    Ok(response)
}

fn no_page() -> Response {
    respond::text(404, "404 page not found\n")
}

/// Which file answers.
async fn verb(call: &Call) -> Result<Response, Status> {
    let reviews = matches!(&*call.resource.group, "authentication.k8s.io" | "authorization.k8s.io");
    match (call.info.subresource.as_str(), call.info.verb) {
        ("scale", _) => return scale::scale(call).await,
        ("binding", "create") => return binding::bind(call).await,
        ("eviction", "create") => return eviction::evict(call).await,
        ("token", "create") => return ask::token(call).await,
        ("log" | "exec" | "attach" | "portforward", _) => return connect::connect(call).await,
        ("", "create") if reviews => return ask::review(call).await,
        ("", "create") if &*call.resource.plural == "bindings" => return binding::bind_by_body(call).await,
        ("", _) => {}
        (own, _) if call.strategy().subresource(own).is_some() => {}
        _ => return Err(not_served()),
    }
    match call.info.verb {
        "get" => get::get(call).await,
        "list" => list::list(call).await,
        "watch" => watch::watch(call).await,
        "create" => create::create(call).await,
        "update" => update::update(call).await,
        "patch" if call.header("content-type").is_some_and(|text| text.starts_with(apply::MEDIA)) => {
            apply::apply(call).await
        }
        "patch" => patch::patch(call).await,
        "delete" => delete::delete(call).await,
        "deletecollection" => deletecollection::delete_collection(call).await,
        _ => Err(not_allowed()),
    }
}

async fn read_body<B, D>(mut body: B, limit: usize) -> Result<Bytes, Status>
where
    B: Stream<Item = Result<D, warp::Error>> + Send + Unpin,
    D: Buf,
{
    let mut whole = BytesMut::new();
    while let Some(part) = body.next().await {
        let mut part = part.map_err(|error| bad_request(format!("the body could not be read: {error}")))?;
        if whole.len() + part.remaining() > limit {
            return Err(Status::new(
                Reason::RequestEntityTooLarge,
                format!("Request entity too large: limit is {limit}"),
            ));
        }
        while part.has_remaining() {
            let chunk = part.chunk();
            whole.extend_from_slice(chunk);
            let taken = chunk.len();
            part.advance(taken);
        }
    }
    Ok(whole.freeze())
}

/// What is said with every answer about a resource that is on its way out.
fn deprecation(resource: &crate::api::resource::Resource) -> Option<String> {
    let text = match (&*resource.group, &*resource.plural) {
        ("", "endpoints") => "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        ("", "componentstatuses") => "v1 ComponentStatus is deprecated in v1.19+",
        _ => return resource.definition.as_ref()?.deprecation.clone(),
    };
    Some(text.to_string())
}

/// Indented answers: when asked for, and for people at a terminal.
fn wants_pretty(query: &[(String, String)], agent: Option<&str>) -> bool {
    match query.iter().find(|(key, _)| key == "pretty") {
        Some((_, value)) if !value.is_empty() => matches!(value.as_str(), "1" | "t" | "T" | "TRUE" | "true" | "True"),
        _ => agent.is_some_and(|agent| ["curl", "Wget", "Mozilla/5.0"].iter().any(|name| agent.starts_with(name))),
    }
}

/// `Warning: 299 - "text"`, each once.
fn add_warnings(response: &mut Response, warnings: &[String]) {
    let mut sent: Vec<&String> = Vec::new();
    for text in warnings {
        // A header line holds no others.
        if sent.contains(&text) || text.chars().any(char::is_control) {
            continue;
        }
        sent.push(text);
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
