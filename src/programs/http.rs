//! A web server and a web client of the smallest kind: HTTP/1.1, one request a connection.
//!
//! In: a port and a function from request to answer; or a URL. Out: answers. Enough for probes, Services and
//! `wget`; bounded, so that a client cannot make it hold much.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Connections at once.
const MOST_CONNECTIONS: usize = 512;
/// A request's or an answer's head, at most.
const MOST_HEAD_BYTES: u64 = 64 * 1024;
/// A request's body, at most.
const MOST_BODY_BYTES: u64 = 1024 * 1024;
/// A client that says nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a server that waits looks whether it was asked to end.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// What was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Without the query.
    pub path: String,
    /// The query's text.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// An answer.
    pub fn new(status: u16, body: impl Into<String>) -> Answer {
        Answer { status, body: body.into() }
    }
}

/// Serves until the process is asked to end, and then finishes the requests it is in.
///
/// # Errors
/// When the port cannot be listened on.
pub fn serve(port: u16, asked: &AtomicBool, answer: impl Fn(&Request) -> Answer + Send + Sync) -> io::Result<()> {
    let listener = TcpListener::bind(("::", port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)))?;
    listener.set_nonblocking(true)?;
    let open = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        while !asked.load(Ordering::SeqCst) {
            let mut waiting = [PollFd::new(&listener, PollFlags::IN)];
            // A signal cuts the wait short, which is as good as its end.
            let _ = poll(&mut waiting, Some(&LOOK));
            let Ok((stream, _)) = listener.accept() else { continue };
            if open.fetch_add(1, Ordering::SeqCst) >= MOST_CONNECTIONS {
                open.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let (open, answer) = (open.clone(), &answer);
            scope.spawn(move || {
                // How a connection ends is its client's to know.
                let _ = connection(&stream, answer);
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    Ok(())
}

fn connection(stream: &TcpStream, answer: &(impl Fn(&Request) -> Answer + Sync)) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(request) = read_request(&mut BufReader::new(stream))? else { return Ok(()) };
    let Answer { status, body } = answer(&request);
    let word = match status {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} {word}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let body = if request.method == "HEAD" { "" } else { &body };
    let mut stream = stream;
    stream.write_all((head + body).as_bytes())
}

/// The next line, without its end; `None` at the end of input.
fn line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if input.take(MOST_HEAD_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
}

fn headers(input: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    let mut bytes = 0;
    while let Some(line) = line(input)?.filter(|line| !line.is_empty()) {
        bytes += line.len() as u64;
        if bytes > MOST_HEAD_BYTES {
            return Err(io::Error::other("the headers are too long"));
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    Ok(headers)
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn read_request(input: &mut impl BufRead) -> io::Result<Option<Request>> {
    let Some(first) = line(input)? else { return Ok(None) };
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = headers(input)?;
    let length: u64 = value(&headers, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    input.take(length.min(MOST_BODY_BYTES)).read_to_end(&mut body)?;
    Ok(Some(Request { method: method.to_owned(), path: path.to_owned(), query: query.to_owned(), headers, body }))
}

/// Where a URL leads: host, port, path.
///
/// # Errors
/// When it is no `http://` URL.
pub fn split_url(url: &str) -> Result<(String, u16, String), String> {
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest,
        Some((scheme, _)) => return Err(format!("{scheme} is not known here; only http is")),
        None => url,
    };
    let (place, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (host, port) = match place.rsplit_once(':').filter(|(host, _)| !host.ends_with(':')) {
        Some((host, port)) => (host, port.parse().map_err(|_| format!("bad port '{port}'"))?),
        None => (place, 80),
    };
    if host.is_empty() {
        return Err(format!("bad address '{url}'"));
    }
    Ok((host.trim_matches(['[', ']']).to_owned(), port, path.to_owned()))
}

/// Asks a URL; the status and the body.
///
/// # Errors
/// What went wrong, as `wget` would say it.
pub fn ask(method: &str, url: &str, more: &[String], body: &[u8], limit: Duration) -> Result<(u16, Vec<u8>), String> {
    let (named, named_port, path) = split_url(url)?;
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (host, port, path) = match proxy(&named, &variable("http_proxy"), &variable("no_proxy")) {
        // A proxy is asked for the whole URL.
        Some(proxy) => {
            let (host, port, _) = split_url(&proxy)?;
            let shown = if named.contains(':') { format!("[{named}]") } else { named.clone() };
            (host, port, format!("http://{shown}:{named_port}{path}"))
        }
        None => (named.clone(), named_port, path),
    };
    let found = (host.as_str(), port).to_socket_addrs().map_err(|_| format!("bad address '{host}'"))?;
    let failed = |error: io::Error| format!("can't connect to remote host ({host}): {}", super::plain(&error));
    let mut last = Err(format!("bad address '{host}'"));
    for address in found {
        last = TcpStream::connect_timeout(&address, limit).map_err(failed);
        if last.is_ok() {
            break;
        }
    }
    let mut stream = last?;
    exchange(&mut stream, method, &named, &path, more, body, limit)
        .map_err(|error| format!("error getting response: {}", super::plain(&error)))
}

/// The proxy that is to be asked for a host, if any. Source: curl's and busybox's variables.
fn proxy(host: &str, http_proxy: &str, no_proxy: &str) -> Option<String> {
    let spared = no_proxy.split(',').map(str::trim).filter(|name| !name.is_empty());
    let mut spared = spared.map(|name| name.trim_start_matches('.'));
    let is_spared = |name: &str| name == "*" || host == name || host.ends_with(&format!(".{name}"));
    (!http_proxy.is_empty() && !spared.any(is_spared)).then(|| http_proxy.to_owned())
}

fn exchange(
    stream: &mut TcpStream,
    method: &str,
    host: &str,
    path: &str,
    more: &[String],
    body: &[u8],
    limit: Duration,
) -> io::Result<(u16, Vec<u8>)> {
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tutor\r\nConnection: close\r\n");
    more.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(body)?;
    let mut input = BufReader::new(stream);
    let first = line(&mut input)?.unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("no HTTP answer"))?;
    let headers = headers(&mut input)?;
    let mut content = Vec::new();
    if value(&headers, "transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        while let Some(size) = line(&mut input)? {
            let size = u64::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
            if size == 0 {
                break;
            }
            (&mut input).take(size).read_to_end(&mut content)?;
            line(&mut input)?;
        }
        return Ok((status, content));
    }
    match value(&headers, "content-length").and_then(|text| text.parse().ok()) {
        Some(length) => input.take(length).read_to_end(&mut content)?,
        None => input.read_to_end(&mut content)?,
    };
    Ok((status, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split() {
        assert_eq!(split_url("http://web:8080/x?y"), Ok(("web".into(), 8080, "/x?y".into())));
        assert_eq!(split_url("web"), Ok(("web".into(), 80, "/".into())));
        assert_eq!(split_url("http://[::1]:81"), Ok(("::1".into(), 81, "/".into())));
        assert!(split_url("https://web").is_err() && split_url("http://web:x").is_err());
    }

    #[test]
    fn a_proxy_is_asked_but_for_whom_it_is_not_meant() {
        for (host, no_proxy, asked) in [
            ("web", "", true),
            ("web", "db, web", false),
            ("a.web", ".web", false),
            ("aweb", "web", true),
            ("web", "*", false),
        ] {
            assert_eq!(proxy(host, "http://p:1", no_proxy).is_some(), asked, "{host} {no_proxy}");
        }
        assert_eq!(proxy("web", "", ""), None);
    }

    #[test]
    fn requests_are_read() {
        let text = b"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
        let request = read_request(&mut &text[..]).unwrap().unwrap();
        assert_eq!((request.path.as_str(), request.query.as_str(), request.body), ("/a", "b", b"hi".to_vec()));
        assert_eq!(read_request(&mut &b""[..]).unwrap(), None);
    }
}
