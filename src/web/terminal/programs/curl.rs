//! `curl`: a Service or a Pod through the API server's proxy; the playground's own API and registry as they are.
//!
//! In: a URL. Out: the answer. A host that is none of the cluster's is refused: a page that could be made to
//! ask for any address would be a way into the reader's network.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;

use super::super::pipes::{Ended, Fault};
use super::{Call, Given};

const LONG: &[(&str, char)] = &[
    ("request", 'X'),
    ("header", 'H'),
    ("data", 'd'),
    ("data-raw", 'd'),
    ("data-binary", 'd'),
    ("include", 'i'),
    ("head", 'I'),
    ("silent", 's'),
    ("show-error", 'S'),
    ("output", 'o'),
    ("write-out", 'w'),
    ("max-time", 'm'),
    ("insecure", 'k'),
    ("fail", 'f'),
    ("verbose", 'v'),
    ("location", 'L'),
    ("connect-timeout", 'm'),
    ("json", 'J'),
    ("cacert", 'C'),
    ("get", 'G'),
];
/// How long an answer may take when nothing is said.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a host leads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// Through the API server: the path up to the proxy.
    Proxy(String),
    /// A port of this playground.
    Direct(String),
}

/// A URL in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    scheme: String,
    host: String,
    port: u16,
    path: String,
}

/// `curl`
pub async fn curl(call: &Call) -> Ended {
    let mut given = call.given("X:H:d:J:iIsSo:w:m:kfvLC:GNg", LONG)?;
    if given.words.is_empty() {
        return Err(Fault::Said("an address is missing: curl http://web.default".into()));
    }
    let mut code = 0;
    for url in std::mem::take(&mut given.words) {
        code = one(call, &given, &url).await?;
    }
    Ok(code)
}

async fn one(call: &Call, given: &Given, text: &str) -> Ended {
    let fails = async |code: i32, why: String| -> Ended {
        if !given.is('s') || given.is('S') {
            call.context.err.write(format!("curl: ({code}) {why}\n")).await?;
        }
        Ok(code)
    };
    let Some(url) = Url::parse(text) else { return fails(3, format!("{text}: this is no http address")).await };
    let way = match way(call, &url).await {
        Ok(way) => way,
        Err((code, why)) => return fails(code, why).await,
    };
    let request = request(call, given, &url, &way)?;
    if given.is('v') {
        let mut lines = format!("> {} {} HTTP/1.1\n> Host: {}\n", request.method(), url.path, url.host);
        for (name, value) in request.headers() {
            lines.push_str(&format!("> {name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
        }
        call.context.err.write(format!("{lines}>\n")).await?;
    }
    let patience = match given.value('m') {
        Some(text) => super::small::seconds(text)?,
        None => PATIENCE,
    };
    let clock = call.context.world.clock;
    let begun = clock.tick();
    let asked = async {
        let response = match &way {
            Way::Proxy(_) => call.context.world.client.send(request).await,
            Way::Direct(base) => direct(base, given).map_err(|why| (6, why))?.send(request).await,
        };
        response.map_err(|fault| (7, format!("Failed to connect to {} port {}: {fault}", url.host, url.port)))
    };
    let response = match clock.timeout(patience, asked).await {
        Ok(Ok(response)) => response,
        Ok(Err((code, why))) => return fails(code, why).await,
        Err(_) => return fails(28, format!("Operation timed out after {} ms", patience.as_millis())).await,
    };
    let answer = clock.timeout(patience, show(call, given, &url, &way, response)).await;
    let status = match answer {
        Ok(Ok(Ok(status))) => status,
        Ok(Ok(Err(why))) => return fails(7, why).await,
        Ok(Err(fault)) => return Err(fault),
        Err(_) => return fails(28, format!("Operation timed out after {} ms", patience.as_millis())).await,
    };
    if let Some(form) = given.value('w') {
        let seconds = format!("{:.6}", clock.since(begun).as_secs_f64());
        let text = form.replace("%{http_code}", &status.to_string()).replace("%{response_code}", &status.to_string());
        let text = text.replace("%{time_total}", &seconds).replace("\\n", "\n").replace("\\t", "\t");
        call.context.out.write(text).await?;
    }
    if given.is('f') && status >= 400 {
        return fails(22, format!("The requested URL returned error: {status}")).await;
    }
    Ok(0)
}

impl Url {
    fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, digits)) => (host, digits.parse().ok()?),
            None => (authority, port),
        };
        let plain = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        let inert = path.bytes().all(|byte| byte.is_ascii_graphic());
        (plain && inert).then(|| Url { scheme: scheme.to_owned(), host: host.to_ascii_lowercase(), port, path })
    }
}

/// Where the URL's host leads; else curl's code and words.
async fn way(call: &Call, url: &Url) -> Result<Way, (i32, String)> {
    let world = &call.context.world;
    let authority = format!("{}:{}", url.host.replace("localhost", "127.0.0.1"), url.port);
    let own = [world.playground.api.trim_start_matches("https://"), world.playground.registry.as_str()];
    let address = authority.parse::<SocketAddr>().ok();
    if own.contains(&authority.as_str())
        || address.is_some_and(|address| world.listening.has(address.port()) && address.ip().is_loopback())
    {
        return Ok(Way::Direct(format!("{}://{authority}", url.scheme)));
    }
    if address.is_some_and(|address| address.ip().is_loopback()) {
        let why = format!(
            "Failed to connect to {} port {}: nothing that this terminal started listens there",
            url.host, url.port
        );
        return Err((7, why));
    }
    let namespace = crate::client::current_namespace(&world.playground.kubeconfig).unwrap_or_else(|| "default".into());
    let parts: Vec<&str> = url.host.split('.').collect();
    let service = |name: &str, namespace: &str| {
        let secure = if url.scheme == "https" { "https:" } else { "http:" };
        Way::Proxy(format!("/api/v1/namespaces/{namespace}/services/{secure}{name}:{}/proxy", url.port))
    };
    if address.is_none() {
        return match parts[..] {
            ["kubernetes"] | ["kubernetes", "default"] | ["kubernetes", "default", "svc", ..] => {
                Ok(Way::Direct(world.playground.api.clone()))
            }
            [name] => exists(call, &namespace, name).await.map(|()| service(name, &namespace)),
            [name, namespace] | [name, namespace, "svc"] | [name, namespace, "svc", "cluster", "local"] => {
                exists(call, namespace, name).await.map(|()| service(name, namespace))
            }
            _ => Err(foreign(&url.host)),
        };
    }
    by_address(call, url).await
}

fn foreign(host: &str) -> (i32, String) {
    let why = "this terminal asks Services (web.default), Pods by their IP, and the playground itself, nothing else";
    (6, format!("Could not resolve host: {host}\n{why}"))
}

async fn get(call: &Call, path: &str) -> Option<Value> {
    let request = Request::get(path).body(Vec::new()).ok()?;
    call.context.world.client.request(request).await.ok()
}

async fn exists(call: &Call, namespace: &str, name: &str) -> Result<(), (i32, String)> {
    let there = get(call, &format!("/api/v1/namespaces/{namespace}/services/{name}")).await.is_some();
    if there { Ok(()) } else { Err(foreign(&format!("{name}.{namespace}"))) }
}

/// A Service's virtual IP, a Pod's, or a node's with a node port.
async fn by_address(call: &Call, url: &Url) -> Result<Way, (i32, String)> {
    let text =
        |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let items = |list: Option<Value>| list.and_then(|list| list["items"].as_array().cloned()).unwrap_or_default();
    let place = |object: &Value| (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
    let secure = if url.scheme == "https" { "https:" } else { "http:" };
    let services = items(get(call, "/api/v1/services").await);
    if let Some(service) = services.iter().find(|service| text(service, "/spec/clusterIP") == url.host) {
        let (namespace, name) = place(service);
        return Ok(Way::Proxy(format!("/api/v1/namespaces/{namespace}/services/{secure}{name}:{}/proxy", url.port)));
    }
    let pods = items(get(call, "/api/v1/pods").await);
    let alive = |pod: &&Value| !matches!(text(pod, "/status/phase").as_str(), "Succeeded" | "Failed");
    if let Some(pod) = pods.iter().filter(alive).find(|pod| text(pod, "/status/podIP") == url.host) {
        let (namespace, name) = place(pod);
        return Ok(Way::Proxy(format!("/api/v1/namespaces/{namespace}/pods/{secure}{name}:{}/proxy", url.port)));
    }
    let nodes = items(get(call, "/api/v1/nodes").await);
    let addresses = |node: &Value| node["status"]["addresses"].as_array().cloned().unwrap_or_default();
    if nodes.iter().any(|node| addresses(node).iter().any(|one| text(one, "/address") == url.host)) {
        for service in &services {
            let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
            if let Some(port) = ports.iter().find(|port| port["nodePort"].as_u64() == Some(url.port.into())) {
                let (namespace, name) = place(service);
                let path = format!("/api/v1/namespaces/{namespace}/services/{secure}{name}:{}/proxy", port["port"]);
                return Ok(Way::Proxy(path));
            }
        }
        return Err((7, format!("Failed to connect to {} port {}: Connection refused", url.host, url.port)));
    }
    Err((7, format!("Failed to connect to {}: no Service, Pod or node has this address", url.host)))
}

fn request(call: &Call, given: &Given, url: &Url, way: &Way) -> Result<Request<Body>, Fault> {
    let mut data: Vec<String> = Vec::new();
    for text in given.values('d').chain(given.values('J')) {
        data.push(match text.strip_prefix('@') {
            Some("-") | None => text.to_owned(),
            Some(path) => String::from_utf8_lossy(&call.context.read_file(path)?).into_owned(),
        });
    }
    let data = data.join("&");
    let method = match (given.value('X'), given.is('I'), data.is_empty()) {
        (Some(method), ..) => {
            Method::from_bytes(method.as_bytes()).map_err(|_| Fault::Said(format!("{method} is no method")))?
        }
        (None, true, _) => Method::HEAD,
        (None, false, true) => Method::GET,
        (None, false, false) => Method::POST,
    };
    let target = match way {
        Way::Proxy(path) => format!("{path}{}", url.path),
        Way::Direct(_) => url.path.clone(),
    };
    let mut request = Request::builder().method(method).uri(target);
    let mut headers = HeaderMap::new();
    headers.insert(http::header::USER_AGENT, HeaderValue::from_static("curl/8 (tutor)"));
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("*/*"));
    let form = if given.is('J') { "application/json" } else { "application/x-www-form-urlencoded" };
    if !data.is_empty() {
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(form));
    }
    for text in given.values('H') {
        let wrong = || Fault::Said(format!("{text:?} is no header such as 'Accept: text/plain'"));
        let (name, value) = text.split_once(':').ok_or_else(wrong)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        headers.insert(name, HeaderValue::from_str(value.trim()).map_err(|_| wrong())?);
    }
    if let (Way::Proxy(_), Some(_)) = (way, headers.get(http::header::AUTHORIZATION)) {
        // On this way it would be read by the API server, as another user's.
        headers.remove(http::header::AUTHORIZATION);
    }
    if let Some(all) = request.headers_mut() {
        all.extend(headers);
    }
    request.body(Body::from(data.into_bytes())).map_err(|fault| Fault::Said(fault.to_string()))
}

/// A client of a port of this playground that shows no credentials of its own.
fn direct(base: &str, given: &Given) -> Result<kube::Client, String> {
    let uri = base.parse().map_err(|_| format!("{base} is no address"))?;
    let mut config = kube::Config::new(uri);
    config.accept_invalid_certs = given.is('k');
    kube::Client::try_from(config).map_err(|fault| fault.to_string())
}

/// Prints the answer; its status, or why there is none from the other side.
async fn show(
    call: &Call,
    given: &Given,
    url: &Url,
    way: &Way,
    response: Response<Body>,
) -> Result<Result<u16, String>, Fault> {
    let (parts, mut body) = response.into_parts();
    let status = parts.status;
    let mut first = None;
    if matches!(way, Way::Proxy(_)) && status.as_u16() >= 500 {
        let whole = (&mut body).collect().await.map_err(|fault| Fault::Said(fault.to_string()))?.to_bytes();
        if let Some(why) = unreached(&whole) {
            return Ok(Err(format!("Failed to connect to {} port {}: {why}", url.host, url.port)));
        }
        first = Some(whole);
    }
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    for (name, value) in &parts.headers {
        head.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
    }
    head.push_str("\r\n");
    if given.is('v') {
        let told: String = head.lines().map(|line| format!("< {line}\n")).collect();
        call.context.err.write(told).await?;
    }
    if given.is('i') || given.is('I') {
        call.context.out.write(head).await?;
    }
    let mut kept = Vec::new();
    let file = given.value('o').filter(|file| *file != "-");
    loop {
        let bytes: Bytes = match first.take() {
            Some(bytes) => bytes,
            None => match body.frame().await {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(fault)) => return Err(Fault::Said(fault.to_string())),
                None => break,
            },
        };
        match file {
            None => call.context.out.write(bytes).await?,
            Some("/dev/null") => {}
            Some(_) => kept.extend_from_slice(&bytes),
        }
    }
    if let Some(file) = file.filter(|file| *file != "/dev/null") {
        let inside = super::super::home::Home::inside(&call.context.state.lock().folder, file);
        call.context.world.home.write(&inside, &kept)?;
    }
    Ok(Ok(status.as_u16()))
}

/// Why the API server could not reach the Service or Pod, when that is what it answers.
fn unreached(body: &[u8]) -> Option<String> {
    let status: Value = serde_json::from_slice(body).ok()?;
    let message = status["message"].as_str().filter(|_| status["kind"] == "Status")?;
    Some(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_parts_or_is_none() {
        let url = Url::parse("web.default:8080/a?b=c#d").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("web.default", 8080, "/a?b=c"));
        assert_eq!(Url::parse("https://10.96.0.1").map(|url| (url.port, url.path)), Some((443, "/".to_owned())));
        for wrong in [
            "file:///etc/passwd",
            "http://",
            "http://a b",
            "gopher://x",
            "http://x/\r\nHost: y",
            "http://u@x",
            "http://[::1]/",
        ] {
            assert_eq!(Url::parse(wrong), None, "{wrong}");
        }
    }
}
