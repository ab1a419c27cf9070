//! Fetches and sends images: the client's side of the OCI distribution API.
//!
//! In: a name, perhaps credentials. Out: an image in the store, every digest verified; or why not, in a
//! container runtime's words. A registry on this machine is spoken to without TLS, any other with it. Of a
//! course image nothing is fetched: it is made here. Source: OCI distribution specification 1.1, Docker's
//! token authentication. Chapter: `book/src/servers/registries.md`.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::course;
use super::login::Logins;
use super::manifest::{DOCKER_INDEX, DOCKER_MANIFEST, MANIFEST_MAX, Manifest, OCI_INDEX, OCI_MANIFEST, architecture};
use super::name::ImageName;
use super::store::{Store, Stored};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::registry::{Digest, drain, read_ahead};
use crate::tasks::TaskGroup;

/// How long a registry may take to begin an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Redirections and authentications of one request.
pub(super) const MOST_HOPS: usize = 6;
/// The manifests that are understood.
pub(super) const ACCEPTED: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX];
/// What an error's text is read of.
const MOST_WORDS_BYTES: usize = 64 * 1024;

type Body = http_body_util::combinators::BoxBody<Bytes, io::Error>;
type Http = Client<HttpsConnector<HttpConnector>, Body>;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

/// The way to registries. Cheap to clone.
#[derive(Clone)]
pub struct Registries {
    http: Http,
    store: Store,
    logins: Logins,
    pub(super) clock: Clock,
    pub(super) tasks: TaskGroup,
    /// What the course's images are made of.
    executable: PathBuf,
}

/// What a conversation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Pull,
    Push,
}

/// One conversation with one registry.
pub(super) struct Session<'a> {
    registries: &'a Registries,
    name: &'a ImageName,
    doing: Doing,
    credentials: Option<Credentials>,
    /// `Bearer …` or `Basic …`, once the registry asked for it.
    authorization: Option<String>,
}

impl Registries {
    /// A client that puts images into the store and takes them from there.
    ///
    /// # Errors
    /// When this machine's list of certificate authorities cannot be read.
    pub fn new(store: Store, clock: Clock, tasks: &TaskGroup) -> Result<Registries> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| Error::new("the certificate authorities cannot be read", error.to_string()))?
            .https_or_http()
            .enable_http1()
            .build();
        let http = Client::builder(TokioExecutor::new()).build(connector);
        let executable = std::env::current_exe()
            .map_err(|error| Error::new("this program's own file cannot be found", error.to_string()))?;
        Ok(Registries { http, store, logins: Logins::default(), clock, tasks: tasks.clone(), executable })
    }

    /// The course's images are made of this tutor instead of the program that runs now.
    #[must_use]
    pub fn made_of(self, executable: PathBuf) -> Registries {
        Registries { executable, ..self }
    }

    /// The same, with who to be where nobody else is named.
    pub fn with_logins(self, logins: Logins) -> Registries {
        Registries { logins, ..self }
    }

    pub(super) fn session<'a>(
        &'a self,
        name: &'a ImageName,
        doing: Doing,
        credentials: Option<&Credentials>,
    ) -> Session<'a> {
        let credentials = credentials.cloned().or_else(|| self.logins.find(&name.host));
        Session { registries: self, name, doing, credentials, authorization: None }
    }

    /// The store that images go to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The image, if it is here; one of the course's only if it was made of the program that runs now.
    pub fn find(&self, name: &ImageName) -> Option<Stored> {
        let image = self.store.find(name)?;
        (!course::is_course(name) || course::is_current(&self.store, &image, &self.executable)).then_some(image)
    }

    /// Fetches an image; one of the course's is made instead.
    ///
    /// # Errors
    /// Why it cannot be had, as a container runtime says it.
    pub async fn pull(&self, name: &ImageName, credentials: Option<&Credentials>) -> Result<Stored> {
        if course::is_course(name) {
            let (store, wanted, executable) = (self.store.clone(), name.clone(), self.executable.clone());
            let made = self.tasks.blocking(move || course::image(&store, &wanted, &executable));
            return made.await?.ok_or_else(|| unresolved(name, &format!("{name}: not found")));
        }
        let mut session = self.session(name, Doing::Pull, credentials);
        let manifest = session.fetch_manifest(&name.reference(), name.digest.as_ref()).await?;
        let bytes =
            self.store.content.read(&manifest, MANIFEST_MAX).map_err(|error| unresolved(name, &error.to_string()))?;
        let mut parsed = Manifest::parse(&bytes).map_err(|why| unresolved(name, &why))?;
        if parsed.is_index() {
            let chosen =
                parsed.choose(architecture()).and_then(|it| it.digest()).map_err(|why| unresolved(name, &why))?;
            session.fetch_manifest(&chosen.to_string(), Some(&chosen)).await?;
            let bytes =
                self.store.content.read(&chosen, MANIFEST_MAX).map_err(|error| unresolved(name, &error.to_string()))?;
            parsed = Manifest::parse(&bytes).map_err(|why| unresolved(name, &why))?;
        }
        for part in parsed.config.iter().chain(&parsed.layers) {
            let digest = part.digest().map_err(|why| unresolved(name, &why))?;
            if !self.store.content.holds(&digest) {
                session.fetch_blob(&digest, part.size).await?;
            }
        }
        let (store, wanted) = (self.store.clone(), name.clone());
        self.tasks.blocking(move || store.record(&wanted, &manifest)).await
    }

    /// Sends an image under a name.
    ///
    /// # Errors
    /// Why the registry does not take it.
    pub async fn push(&self, image: &Stored, to: &ImageName, credentials: Option<&Credentials>) -> Result<Digest> {
        let mut session = self.session(to, Doing::Push, credentials);
        let parse =
            |digest: &String| Digest::parse(digest).ok_or_else(|| unsent(to, &format!("{digest:?} is no digest")));
        for digest in [&image.config].into_iter().chain(&image.layers) {
            session.send_blob(&parse(digest)?).await?;
        }
        let manifest = parse(&image.manifest)?;
        let bytes = self.store.content.read(&manifest, MANIFEST_MAX).map_err(|error| unsent(to, &error.to_string()))?;
        let media_type = if image.media_type.is_empty() { OCI_MANIFEST } else { &image.media_type };
        let path = format!("manifests/{}", to.reference());
        let sent =
            session.ask(Method::PUT, &path, &[(header::CONTENT_TYPE, media_type)], Some(Bytes::from(bytes))).await?;
        session.expect(sent).await?;
        Ok(manifest)
    }
}

impl Session<'_> {
    /// Why what was to be done was not, in containerd's words for a pull and Docker's for a push.
    fn failed(&self, why: &str) -> Error {
        match self.doing {
            Doing::Pull => failed(self.name, why),
            Doing::Push => unsent(self.name, why),
        }
    }

    /// The registry gave no answer that can be used.
    fn unanswered(&self, why: &str) -> Error {
        match self.doing {
            Doing::Pull => unresolved(self.name, why),
            Doing::Push => unsent(self.name, why),
        }
    }

    /// A registry on this machine speaks plain HTTP, as every client takes for granted.
    fn base(&self) -> String {
        let host = if self.name.host == "docker.io" { "registry-1.docker.io" } else { &self.name.host };
        let scheme = if self.name.is_of_this_machine() { "http" } else { "https" };
        format!("{scheme}://{host}/v2/{}", self.name.repository)
    }

    async fn fetch_manifest(&mut self, reference: &str, expected: Option<&Digest>) -> Result<Digest> {
        let accept = ACCEPTED.join(", ");
        let answer =
            self.ask(Method::GET, &format!("manifests/{reference}"), &[(header::ACCEPT, &accept)], None).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Err(unresolved(self.name, &format!("{}: not found", self.name)));
        }
        if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let asked = text(&answer, header::WWW_AUTHENTICATE).unwrap_or_default();
            let why = match (asked.to_ascii_lowercase().starts_with("basic"), &self.credentials) {
                (true, None) => "authorization failed: no basic auth credentials".to_owned(),
                (true, Some(who)) => format!("the registry does not know {} by that password", who.username),
                _ => "server message: insufficient_scope: authorization failed".to_owned(),
            };
            let denied = "pull access denied, repository does not exist or may require authorization";
            return Err(sign_in_first(unresolved(self.name, &format!("{denied}: {why}")), &self.name.host));
        }
        let answer = self.expect(answer).await?;
        self.store(answer, expected.cloned(), MANIFEST_MAX).await
    }

    /// Never more of it than the manifest says there is.
    async fn fetch_blob(&mut self, digest: &Digest, size: u64) -> Result<Digest> {
        let answer = self.ask(Method::GET, &format!("blobs/{digest}"), &[], None).await?;
        let answer = self.expect(answer).await?;
        self.store(answer, Some(digest.clone()), size).await
    }

    /// Writes an answer's body into the store as it comes; one that is longer than `most` bytes is refused.
    pub(super) async fn store(
        &self,
        answer: Response<Incoming>,
        expected: Option<Digest>,
        most: u64,
    ) -> Result<Digest> {
        let stream = answer.into_body().into_data_stream().map_err(io::Error::other);
        let content = self.registries.store.content.clone();
        let work = move |incoming| content.receive(incoming, expected.as_ref(), most);
        drain(&self.registries.tasks, stream, work)
            .await
            .map(|written| written.digest)
            .map_err(|error| self.failed(&error.to_string()))
    }

    async fn send_blob(&mut self, digest: &Digest) -> Result<()> {
        let there = self.ask(Method::HEAD, &format!("blobs/{digest}"), &[], None).await?;
        if there.status().is_success() {
            return Ok(());
        }
        let begun = self.ask(Method::POST, "blobs/uploads/", &[], Some(Bytes::new())).await?;
        let begun = self.expect(begun).await?;
        let location = begun.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let base = self.base();
        let origin = base.split("/v2/").next().unwrap_or_default();
        let url = if location.starts_with('/') { format!("{origin}{location}") } else { location.to_owned() };
        let joint = if url.contains('?') { '&' } else { '?' };
        let path = self.registries.store.content.path(digest);
        let file = tokio::fs::File::open(path).await.map_err(|error| self.failed(&error.to_string()))?;
        let size = file.metadata().await.map_err(|error| self.failed(&error.to_string()))?.len();
        let pieces = read_ahead(&self.registries.tasks, file.into_std().await, 0, size);
        let body = StreamBody::new(pieces.map(|bytes| bytes.map(Frame::data)));
        let mut request = Request::builder()
            .method(Method::PUT)
            .uri(format!("{url}{joint}digest={digest}"))
            .header(header::CONTENT_LENGTH, size)
            .header(header::CONTENT_TYPE, "application/octet-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(BodyExt::boxed(body)).map_err(|error| self.failed(&error.to_string()))?;
        let sent = self.send(request).await?;
        self.expect(sent).await.map(drop)
    }

    /// Asks the repository, signing in when the registry wants that, following where it points.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(header::HeaderName, &str)],
        body: Option<Bytes>,
    ) -> Result<Response<Incoming>> {
        let mut url = format!("{}/{path}", self.base());
        let mut elsewhere = false;
        for _ in 0..MOST_HOPS {
            let mut request = Request::builder().method(method.clone()).uri(&url);
            for (name, value) in headers {
                request = request.header(name, *value);
            }
            // Credentials are for the registry, not for where it keeps its files.
            if let Some(authorization) = self.authorization.as_ref().filter(|_| !elsewhere) {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let body = Full::new(body.clone().unwrap_or_default()).map_err(|never| match never {});
            let request = request.body(BodyExt::boxed(body)).map_err(|error| self.failed(&error.to_string()))?;
            let answer = self.send(request).await?;
            if answer.status() == StatusCode::UNAUTHORIZED && self.authorization.is_none() {
                let Some(challenge) = text(&answer, header::WWW_AUTHENTICATE) else { return Ok(answer) };
                self.authorization = self.sign_in(&challenge).await?;
                if self.authorization.is_none() {
                    return Ok(answer);
                }
                continue;
            }
            match text(&answer, header::LOCATION).filter(|_| answer.status().is_redirection()) {
                Some(location) => (url, elsewhere) = (location, true),
                None => return Ok(answer),
            }
        }
        Err(self.failed("the registry sends us round in circles"))
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>> {
        let (url, method) = (request.uri().to_string(), request.method().to_string());
        // Go's clients write it so: Get "http://…".
        let method = format!("{}{}", &method[..1], method[1..].to_lowercase());
        let asked = self.registries.clock.timeout(PATIENCE, self.registries.http.request(request)).await;
        match asked {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let mut why = error.to_string();
                let mut cause = std::error::Error::source(&error);
                while let Some(inner) = cause {
                    why = inner.to_string();
                    cause = inner.source();
                }
                Err(self.unanswered(&format!("failed to do request: {method} \"{url}\": {why}")))
            }
            Err(_) => Err(self.unanswered(&format!("failed to do request: {method} \"{url}\": timed out"))),
        }
    }

    /// Answers `Bearer realm="…",service="…",scope="…"` or `Basic`.
    async fn sign_in(&self, challenge: &str) -> Result<Option<String>> {
        let basic = self.credentials.as_ref().map(Credentials::basic);
        let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Ok(basic);
        }
        let value = |name: &str| {
            let (_, rest) = rest.split_once(&format!("{name}=\""))?;
            rest.split('"').next().map(str::to_owned)
        };
        let Some(realm) = value("realm").filter(|_| scheme.eq_ignore_ascii_case("bearer")) else { return Ok(None) };
        let asked = ["service", "scope"].into_iter().filter_map(|name| Some((name, value(name)?)));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(asked).finish();
        let joint = if realm.contains('?') { '&' } else { '?' };
        let mut request = Request::builder().uri(format!("{realm}{joint}{query}"));
        if let Some(basic) = &basic {
            request = request.header(header::AUTHORIZATION, basic);
        }
        let body = Full::new(Bytes::new()).map_err(|never| match never {});
        let request = request.body(BodyExt::boxed(body)).map_err(|error| self.failed(&error.to_string()))?;
        let answer = self.send(request).await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        let limited = http_body_util::Limited::new(answer.into_body(), MOST_WORDS_BYTES);
        let bytes = limited.collect().await.map_err(|error| self.failed(&error.to_string()))?.to_bytes();
        let given: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = given["token"].as_str().or(given["access_token"].as_str());
        Ok(token.map(|token| format!("Bearer {token}")))
    }

    /// The answer, if it is a good one.
    async fn expect(&self, answer: Response<Incoming>) -> Result<Response<Incoming>> {
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let words = http_body_util::Limited::new(answer.into_body(), MOST_WORDS_BYTES).collect().await;
        let words = words.map(|words| String::from_utf8_lossy(&words.to_bytes()).into_owned()).unwrap_or_default();
        let parsed: Value = serde_json::from_str(&words).unwrap_or_default();
        let message = parsed["errors"][0]["message"].as_str().unwrap_or(&words).to_owned();
        let failed = self.failed(&format!("unexpected status {status}: {message}"));
        Err(if status == StatusCode::UNAUTHORIZED { sign_in_first(failed, &self.name.host) } else { failed })
    }
}

/// A header of an answer.
pub(super) fn text(answer: &Response<Incoming>, name: header::HeaderName) -> Option<String> {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// In containerd's words: what the name leads to could not be found out.
fn unresolved(name: &ImageName, why: &str) -> Error {
    failed(name, &format!("failed to resolve reference \"{name}\": {why}"))
}

fn failed(name: &ImageName, why: &str) -> Error {
    Error::new(format!("failed to pull and unpack image \"{name}\""), why)
}

fn sign_in_first(error: Error, registry: &str) -> Error {
    error
        .hint(format!("say who you are: docker login {registry}, which tutor image reads"))
        .hint("or: tutor image … --username NAME --password-file FILE")
        .hint("a Pod says it with a Secret of type docker-registry, named in imagePullSecrets")
}

fn unsent(name: &ImageName, why: &str) -> Error {
    Error::new(format!("failed to push image \"{name}\""), why)
}
