//! The files of `proxy --www`: a folder, read over HTTP, as Go's file server answers.
//!
//! In: a path behind the prefix. Out: a file, a folder's `index.html` or its list of names, or a redirect
//! to the path with (or without) its last slash. Never: a file outside of the folder; `..` leads nowhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{Method, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::Bytes;

use super::super::super::session::{FileKind, Files};
use super::{Answer, text};

/// A folder under a prefix.
pub struct Folder {
    /// Where it is.
    pub folder: PathBuf,
    /// `/static/`
    pub prefix: String,
    /// The session's files.
    pub files: Arc<dyn Files>,
}

impl Folder {
    /// The answer for a path that begins with the prefix; `None` for any other path.
    pub fn answer(&self, method: &Method, path: &str) -> Option<Answer> {
        if path == self.prefix.trim_end_matches('/') && !path.is_empty() {
            return Some(self.to_prefix());
        }
        let rest = path.strip_prefix(&self.prefix)?;
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Some(text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n"));
        }
        let decoded = decode(rest);
        if decoded.split('/').any(|part| part == "..") {
            return Some(text(StatusCode::BAD_REQUEST, "invalid URL path\n"));
        }
        if decoded == "index.html" || decoded.ends_with("/index.html") {
            return Some(moved("./"));
        }
        let place = self.folder.join(decoded.trim_matches('/'));
        Some(match (self.files.kind(&place), decoded.is_empty() || decoded.ends_with('/')) {
            (None, _) => text(StatusCode::NOT_FOUND, "404 page not found\n"),
            (Some(FileKind::Folder), false) => moved(&format!("{}/", last(rest))),
            (Some(FileKind::File), true) => moved(&format!("../{}", last(rest.trim_end_matches('/')))),
            (Some(FileKind::Folder), true) => self.folder(&place),
            (Some(FileKind::File), false) => self.file(&place),
        })
    }

    /// The prefix without its slash leads to the one with it.
    fn to_prefix(&self) -> Answer {
        let link = format!("<a href=\"{}\">Temporary Redirect</a>.\n\n", escape(&self.prefix));
        let mut answer = body("text/html; charset=utf-8", link.into_bytes());
        *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        if let Ok(to) = self.prefix.parse() {
            answer.headers_mut().insert(header::LOCATION, to);
        }
        answer
    }

    fn folder(&self, place: &Path) -> Answer {
        let index = place.join("index.html");
        if self.files.kind(&index) == Some(FileKind::File) {
            return self.file(&index);
        }
        let Ok(names) = self.files.list(place) else {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "Error reading directory\n");
        };
        let line = |name: &String| {
            let slash = if self.files.kind(&place.join(name)) == Some(FileKind::Folder) { "/" } else { "" };
            format!("<a href=\"{}{slash}\">{}{slash}</a>\n", encode(name), escape(name))
        };
        let lines: String = names.iter().map(line).collect();
        let page =
            format!("<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n{lines}</pre>\n");
        body("text/html; charset=utf-8", page.into_bytes())
    }

    fn file(&self, place: &Path) -> Answer {
        match self.files.read(place) {
            Ok(bytes) => body(kind(place, &bytes), bytes),
            Err(fault) if fault.kind() == std::io::ErrorKind::PermissionDenied => {
                text(StatusCode::FORBIDDEN, "403 Forbidden\n")
            }
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error\n"),
        }
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn moved(to: &str) -> Answer {
    let mut answer = text(StatusCode::MOVED_PERMANENTLY, "");
    if let Ok(to) = to.parse() {
        answer.headers_mut().insert(header::LOCATION, to);
    }
    answer
}

fn body(kind: &'static str, bytes: Vec<u8>) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(Bytes::from(bytes))));
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    answer
}

/// The media type that a file's ending or its first bytes tell.
fn kind(path: &Path, bytes: &[u8]) -> &'static str {
    match path.extension().and_then(std::ffi::OsStr::to_str).unwrap_or_default() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "xml" => "text/xml; charset=utf-8",
        _ if bytes.iter().take(512).all(|byte| *byte >= 0x20 || matches!(byte, 9 | 10 | 12 | 13 | 0x1b)) => {
            "text/plain; charset=utf-8"
        }
        _ => "application/octet-stream",
    }
}

/// The text that a path's `%41` stand for.
fn decode(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let code = (*first == b'%').then(|| std::str::from_utf8(after.get(..2)?).ok()).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn encode(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+:=@".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn escape(name: &str) -> String {
    let marks = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&#34;"), ("'", "&#39;")];
    marks.iter().fold(name.to_owned(), |name, (mark, shown)| name.replace(mark, shown))
}

#[cfg(test)]
mod tests {
    use super::super::super::super::session::Disk;
    use super::*;

    #[test]
    fn a_folder_is_read_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("www");
        std::fs::create_dir_all(inside.join("sub")).unwrap();
        std::fs::write(inside.join("a <b>.txt"), "hello").unwrap();
        std::fs::write(folder.path().join("secret"), "no").unwrap();
        let served = Folder { folder: inside, prefix: "/static/".into(), files: Arc::new(Disk::default()) };
        let ask = |path: &str| served.answer(&Method::GET, path).map(|answer| answer.status().as_u16());
        assert_eq!(ask("/static/"), Some(200));
        assert_eq!(ask("/static/a%20%3Cb%3E.txt"), Some(200));
        assert_eq!(ask("/static/sub"), Some(301));
        assert_eq!(ask("/static/sub/"), Some(200));
        assert_eq!(ask("/static/nothing"), Some(404));
        assert_eq!(ask("/static/../secret"), Some(400));
        assert_eq!(ask("/static/%2e%2e/secret"), Some(400));
        assert_eq!(ask("/static//etc/passwd"), Some(404));
        assert_eq!(ask("/api"), None);
        assert_eq!((encode("a <b>"), escape("a <b>")), ("a%20%3Cb%3E".into(), "a &lt;b&gt;".into()));
    }
}
