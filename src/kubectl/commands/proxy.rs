//! `kubectl proxy`: the API server at a port of this machine, with your rights and without a login.
//!
//! Whoever reaches the port has your rights. So it listens on loopback, answers only to hosts that
//! `--accept-hosts` names (a rebound name is none), and refuses pages of other sites. With `--www` a folder
//! is served beside the API ([`files`]); with `--unix-socket` it listens at a path that only you may open.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use regex::Regex;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long, short};
use super::super::session::{FileKind, Reach};

mod files;

use files::Folder;

const FLAGS: &[Flag] = &[
    short("port", 'p', Kind::Int(8001), "The port; 0 for any"),
    long("address", Kind::Text("127.0.0.1"), "The address to listen on"),
    long("append-server-path", Kind::Bool(false), "Accepted"),
    short("unix-socket", 'u', Kind::Text(""), "A path to listen at, in place of a port"),
    short("www", 'w', Kind::Text(""), "A folder whose files are served too"),
    short("www-prefix", 'P', Kind::Text("/static/"), "Where its files are"),
    long("accept-hosts", Kind::Text(r"^localhost$,^127\.0\.0\.1$,^\[::1\]$"), "Patterns of hosts it answers to"),
    long("accept-paths", Kind::Text("^.*"), "Patterns of paths that are let through"),
    long("reject-paths", Kind::Text("^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach"), "Patterns of paths that are not"),
    long("reject-methods", Kind::Text("^$"), "Patterns of methods that are not"),
    long("api-prefix", Kind::Text("/"), "Where the API begins"),
    long("disable-filter", Kind::Bool(false), "Let everything through"),
    long("keepalive", Kind::Duration("0s"), "Accepted"),
];

/// The longest body that is passed on.
const LONGEST_BODY: usize = 16 * 1024 * 1024;

/// `proxy`
pub const COMMAND: Command = Command {
    name: "proxy",
    usage: "[--port=PORT]",
    about: "Lead a port of this machine to the API server",
    flags: &[FLAGS],
    run: run!(proxy),
    ..BASE
};

/// What is let through.
struct Filter {
    off: bool,
    hosts: Vec<Regex>,
    paths: Vec<Regex>,
    not_paths: Vec<Regex>,
    not_methods: Vec<Regex>,
    prefix: String,
}

impl Filter {
    fn of(call: &Invocation) -> Result<Filter> {
        let patterns = |flag: &str| -> Result<Vec<Regex>> {
            let texts = call.flags.text(flag).split(',').filter(|text| !text.is_empty());
            texts
                .map(|text| Regex::new(text).map_err(|fault| Failure::new(format!("error compiling re: {fault}"))))
                .collect()
        };
        Ok(Filter {
            off: call.flags.is("disable-filter"),
            hosts: patterns("accept-hosts")?,
            paths: patterns("accept-paths")?,
            not_paths: patterns("reject-paths")?,
            not_methods: patterns("reject-methods")?,
            prefix: call.flags.text("api-prefix").trim_end_matches('/').to_owned(),
        })
    }

    fn lets_through(&self, method: &str, path: &str, headers: &HeaderMap) -> bool {
        let fits = |patterns: &[Regex], text: &str| patterns.iter().any(|pattern| pattern.is_match(text));
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("null"));
        let own = origin.is_none_or(|origin| fits(&self.hosts, bare(origin.trim_start_matches("http://"))));
        self.off
            || (own
                && !fits(&self.not_paths, path)
                && !fits(&self.not_methods, method)
                && fits(&self.paths, path)
                && fits(&self.hosts, bare(host)))
    }
}

/// A host without its port.
fn bare(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// What the port leads to.
struct Served {
    filter: Filter,
    folder: Option<Folder>,
    client: kube::Client,
}

/// Where it listens.
enum Listener {
    Port(tokio::net::TcpListener),
    #[cfg(unix)]
    Socket(tokio::net::UnixListener, PathBuf),
}

/// A connection, whatever carries it.
type Connection = Box<dyn Socket>;
trait Socket: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Socket for T {}

impl Listener {
    async fn of(call: &Invocation) -> Result<Listener> {
        const PORT: i64 = 8001;
        let (port, path) = (call.flags.int("port"), call.flags.text("unix-socket"));
        if !path.is_empty() {
            if port != PORT {
                return Err(Failure::new("cannot set --unix-socket and --port at the same time"));
            }
            return Self::at_a_path(call, Path::new(path));
        }
        let port = u16::try_from(port).map_err(|_| Failure::new("the port is none"))?;
        let address = call.flags.text("address");
        let wanted: SocketAddr =
            format!("{address}:{port}").parse().map_err(|_| Failure::new(format!("{address} is not a valid IP")))?;
        let bound = tokio::net::TcpListener::bind(wanted).await;
        bound.map(Listener::Port).map_err(|fault| Failure::new(format!("listen tcp {wanted}: bind: {fault}")))
    }

    #[cfg(unix)]
    fn at_a_path(call: &Invocation, path: &Path) -> Result<Listener> {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt};
        if call.session.target.reach != Reach::Anywhere {
            return Err(Failure::new("kubectl opens no sockets of the machine here: leave --unix-socket out"));
        }
        let failed = |fault: std::io::Error| Failure::new(format!("listen unix {}: bind: {fault}", path.display()));
        // A socket that is left from before is in the way; anything else stays.
        if std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            std::fs::remove_file(path).map_err(failed)?;
        }
        let listener = tokio::net::UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Listener::Socket(listener, path.to_owned()))
    }

    #[cfg(not(unix))]
    fn at_a_path(_: &Invocation, _: &Path) -> Result<Listener> {
        Err(Failure::new("this machine has no Unix sockets: leave --unix-socket out"))
    }

    async fn accept(&self) -> std::io::Result<Connection> {
        match self {
            Listener::Port(listener) => Ok(Box::new(listener.accept().await?.0)),
            #[cfg(unix)]
            Listener::Socket(listener, _) => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Listener::Socket(_, path) = self {
            // It may be gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The folder of `--www`, where there is one.
fn folder(call: &Invocation) -> Option<Folder> {
    let folder = PathBuf::from(call.flags.text("www"));
    if folder.as_os_str().is_empty() {
        return None;
    }
    let files = call.session.files.clone();
    let shown = folder.display();
    let log = |words: String| call.session.warn("proxy.go:203", &words);
    match files.kind(&folder) {
        None => log(format!("Failed to stat static file directory {shown}: stat {shown}: no such file or directory")),
        Some(FileKind::File) => log(format!("Static file directory {shown} is not a directory")),
        Some(FileKind::Folder) => {}
    }
    let prefix = format!("{}/", call.flags.text("www-prefix").trim_end_matches('/'));
    Some(Folder { folder, prefix, files })
}

async fn proxy(call: &Invocation) -> Result {
    let client = call.cluster().await?.api.client().clone();
    let served = Arc::new(Served { filter: Filter::of(call)?, folder: folder(call), client });
    let listener = Listener::of(call).await?;
    let (shown, _noted) = match &listener {
        Listener::Port(listener) => {
            let address = listener.local_addr().map_err(|fault| Failure::new(fault.to_string()))?;
            (address.to_string(), Some(call.session.listening.note(address.port())))
        }
        #[cfg(unix)]
        Listener::Socket(_, path) => (path.display().to_string(), None),
    };
    call.out(format!("Starting to serve on {shown}\n"));
    call.console().flush().await?;
    // What goes on at the port ends with this command.
    let tasks = call.session.tasks.child();
    let _ended = tasks.clone().on_drop();
    loop {
        let Ok(socket) = listener.accept().await else { continue };
        let served = served.clone();
        tasks.spawn("kubectl proxy", async move {
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let served = served.clone();
                async move { Ok::<_, Infallible>(pass(&served, request).await) }
            });
            // A connection that breaks is its client's to mend.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

type Answer = Response<Either<Full<Bytes>, Body>>;

async fn pass(served: &Served, request: Request<Incoming>) -> Answer {
    let Served { filter, folder, client } = served;
    let path = request.uri().path().to_owned();
    if let Some(answer) = folder.as_ref().and_then(|folder| folder.answer(request.method(), &path)) {
        return answer;
    }
    if !filter.lets_through(request.method().as_str(), &path, request.headers()) {
        return text(StatusCode::FORBIDDEN, "Forbidden\n");
    }
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let Some(target) = target.strip_prefix(filter.prefix.as_str()).map(str::to_owned) else {
        return text(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = http_body_util::Limited::new(body, LONGEST_BODY).collect().await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n");
    };
    let mut passed = Request::builder().method(parts.method).uri(target);
    if let Some(headers) = passed.headers_mut() {
        const OWN: [header::HeaderName; 5] = [
            header::HOST,
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
            header::AUTHORIZATION,
        ];
        for (name, value) in parts.headers.iter().filter(|(name, _)| !OWN.contains(name)) {
            headers.append(name, value.clone());
        }
    }
    let Ok(passed) = passed.body(Body::from(body.to_bytes().to_vec())) else {
        return text(StatusCode::BAD_REQUEST, "the request cannot be passed on\n");
    };
    match client.send(passed).await {
        Ok(response) => {
            let (mut parts, body) = response.into_parts();
            parts.headers.remove(header::CONNECTION);
            parts.headers.remove(header::TRANSFER_ENCODING);
            Response::from_parts(parts, Either::Right(body))
        }
        Err(fault) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{fault}\n")),
    }
}

fn text(code: StatusCode, words: &str) -> Answer {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(words.to_owned()))));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_own_requests_pass() {
        let pattern = |text: &str| vec![Regex::new(text).unwrap()];
        let filter = Filter {
            off: false,
            hosts: pattern(r"^localhost$|^127\.0\.0\.1$"),
            paths: pattern("^.*"),
            not_paths: pattern("^/api/.*/pods/.*/exec"),
            not_methods: pattern("^$"),
            prefix: String::new(),
        };
        let passes = |path: &str, pairs: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            }
            filter.lets_through("GET", path, &headers)
        };
        assert!(passes("/api", &[("host", "127.0.0.1:8001")]));
        assert!(passes("/api", &[("host", "localhost"), ("origin", "http://localhost:8001")]));
        assert!(!passes("/api", &[("host", "evil.example:8001")]));
        assert!(!passes("/api", &[("host", "127.0.0.1:8001"), ("origin", "http://evil.example")]));
        assert!(!passes("/api/v1/namespaces/a/pods/b/exec", &[("host", "127.0.0.1:8001")]));
    }
}
