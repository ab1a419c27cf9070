//! The book's pages over HTTP: media types, caching, and what a page's scripts may do.
//!
//! In: a path. Out: the file, with an ETag of its contents, or a page that says why not. A page
//! gets the reader's token as a cookie, and a content security policy that lets only this site's
//! own scripts run: mdBook's inline ones are named by their hashes, so no other inline script can.

use std::path::Path;

use base64::Engine;
use http::{HeaderValue, Method, StatusCode, header};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use warp::reply::Response;

use super::Site;
use super::guard::{self, Asked};
use crate::course::book::{Book, light};
use crate::error::{Error, Result};

/// The rendered book, once it is.
#[derive(Default)]
pub struct Pages(OnceCell<Book>);

impl Site {
    /// The book, rendered at the first call.
    pub(super) async fn book(&self) -> Result<&Book> {
        let state = self.0.playground.state_dir.clone();
        let render = || async { self.0.tasks.blocking(move || Book::open(&state)).await };
        self.0.pages.0.get_or_try_init(render).await
    }
}

/// Answers everything that is not `/api/`.
pub async fn answer_page(site: &Site, asked: &Asked) -> Response {
    if !matches!(asked.method, Method::GET | Method::HEAD) {
        return guard::refuse(StatusCode::METHOD_NOT_ALLOWED, "a page can only be read");
    }
    let book = match site.book().await {
        Ok(book) => book,
        Err(error) => return broken(&error),
    };
    let (code, file) = match book.file(&asked.path) {
        Some(file) => (StatusCode::OK, Some(file)),
        None => (StatusCode::NOT_FOUND, book.file("404.html").filter(|_| wants_page(&asked.path))),
    };
    let Some(file) = file else { return guard::refuse(StatusCode::NOT_FOUND, "there is no such page") };
    match tokio::fs::read(&file).await {
        Ok(contents) => show(site, asked, code, &file, contents),
        Err(fault) => broken(&Error::new(format!("{} cannot be read", file.display()), fault.to_string())),
    }
}

/// A reader who follows a dead link gets a page; a script that asks for data gets JSON.
fn wants_page(path: &str) -> bool {
    path.ends_with(".html") || !path.rsplit('/').next().is_some_and(|name| name.contains('.'))
}

fn show(site: &Site, asked: &Asked, code: StatusCode, file: &Path, contents: Vec<u8>) -> Response {
    let media = media_type(file);
    let tag = etag(&contents);
    let known =
        asked.header(header::IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag));
    let policy = media.starts_with("text/html").then(|| policy(&String::from_utf8_lossy(&contents)));
    let mut response = match (code, known) {
        (StatusCode::OK, true) => guard::answer(StatusCode::NOT_MODIFIED, media, Vec::new()),
        _ => guard::answer(code, media, contents),
    };
    let headers = response.headers_mut();
    // `no-cache` is "ask each time": a new version of tutor serves other pages at the same address. A file whose
    // name tells its contents is never another one.
    let keep = if light::names_its_contents(&asked.path) && code == StatusCode::OK {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (header::ETAG, tag)));
    if let Some(policy) = policy {
        let policy = HeaderValue::try_from(policy).ok().map(|policy| (header::CONTENT_SECURITY_POLICY, policy));
        headers.extend(policy);
        headers.extend(guard::cookie(&site.0.playground).map(|cookie| (header::SET_COOKIE, cookie)));
    }
    response
}

fn etag(contents: &[u8]) -> String {
    let hash: String = Sha256::digest(contents).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hash}\"")
}

fn media_type(file: &Path) -> &'static str {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("txt" | "md" | "toml") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// What a page may load and run: this site's files, and the inline scripts that are in it now. No element brings
/// styles of its own.
fn policy(page: &str) -> String {
    let hashes: String = inline_scripts(page)
        .map(|script| format!(" 'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script))))
        .collect();
    format!(
        "default-src 'none'; script-src 'self'{hashes}; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'; frame-src 'self'; frame-ancestors 'self'; base-uri 'self'; \
         form-action 'none'"
    )
}

/// The text of every `<script>` without a `src`.
fn inline_scripts(page: &str) -> impl Iterator<Item = &str> {
    page.split("<script>").skip(1).filter_map(|rest| rest.split_once("</script>")).map(|(script, _)| script)
}

/// The book cannot be shown: the error in its three parts, as a page without scripts.
fn broken(error: &Error) -> Response {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let hints: String = error.hints.iter().map(|hint| format!("<li>{}</li>", escape(hint))).collect();
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><title>tutor</title><h1>{}</h1><p>{}</p><ul>{hints}</ul>",
        escape(&error.what),
        escape(&error.why)
    );
    guard::answer(StatusCode::INTERNAL_SERVER_ERROR, "text/html; charset=utf-8", page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_names_each_inline_script() {
        let policy = policy("<script>a</script><script src=\"b.js\"></script><script>\nc</script>");
        // printf a | openssl dgst -sha256 -binary | base64
        assert!(policy.contains("'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='"), "{policy}");
        assert_eq!(policy.matches("sha256-").count(), 2);
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn a_reader_gets_a_page_and_a_script_does_not() {
        assert!(wants_page("/start/nowhere.html") && wants_page("/nowhere") && wants_page("/"));
        assert!(!wants_page("/theme/nowhere.js"));
    }
}
