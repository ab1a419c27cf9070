//! URLs as Go's `net/url` reads those of a request: absolute, or a path.
//!
//! In: a text. Out: its parts, or `parse "x": invalid URI for request`. Source: Go, `net/url`.

use crate::api::field_error::go_quote;

/// A URL in its parts, as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    /// `https`; empty: there is none.
    pub scheme: String,
    /// Name or address, and port.
    pub host: String,
    path: String,
    query: String,
}

/// Reads a URL.
///
/// # Errors
/// Why it is none, in Go's words.
pub fn parse(text: &str) -> Result<Url, String> {
    read(text).map_err(|why| format!("parse {}: {why}", go_quote(text)))
}

fn read(text: &str) -> Result<Url, String> {
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    if text.is_empty() {
        return Err("empty url".to_owned());
    }
    let (scheme, rest) = scheme(text)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut url = Url {
        text: text.to_owned(),
        scheme: scheme.to_lowercase(),
        host: String::new(),
        path: String::new(),
        query: query.to_owned(),
    };
    if text == "*" {
        url.path = "*".to_owned();
        return Ok(url);
    }
    if !rest.starts_with('/') {
        // Something with a scheme and no path, like `mailto:a@b.c`, is let pass as it is.
        return if scheme.is_empty() { Err("invalid URI for request".to_owned()) } else { Ok(url) };
    }
    let mut path = rest;
    if let Some(after) = rest.strip_prefix("//").filter(|_| !scheme.is_empty()) {
        let end = after.find('/').unwrap_or(after.len());
        let (authority, after) = after.split_at(end);
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        url.host = read_host(host)?;
        if !user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte)) {
            return Err("net/url: invalid userinfo".to_owned());
        }
        path = after;
    }
    unescape(path, false)?;
    url.path = path.to_owned();
    Ok(url)
}

fn scheme(text: &str) -> Result<(&str, &str), String> {
    for (at, letter) in text.char_indices() {
        match letter {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            ':' => return Ok((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

fn read_host(host: &str) -> Result<String, String> {
    let port = if host.starts_with('[') {
        let end = host.rfind(']').ok_or_else(|| "missing ']' in host".to_owned())?;
        &host[end + 1..]
    } else {
        host.rfind(':').map_or("", |at| &host[at..])
    };
    if !is_port(port) {
        return Err(format!("invalid port {} after host", go_quote(port)));
    }
    for letter in host.chars().filter(char::is_ascii) {
        if !letter.is_ascii_alphanumeric() && !"-_.~!$&'()*+,;=:[]<>\"%".contains(letter) {
            return Err(format!("invalid character {} in host name", go_quote(&letter.to_string())));
        }
    }
    unescape(host, false)
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `%41` is `A`; in a query `+` is a space.
fn unescape(text: &str, in_query: bool) -> Result<String, String> {
    let (mut bytes, mut at) = (Vec::new(), 0);
    let source = text.as_bytes();
    while at < source.len() {
        match source[at] {
            b'%' => {
                let digits = source.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let Some(byte) = byte else {
                    let part = String::from_utf8_lossy(&source[at..source.len().min(at + 3)]).into_owned();
                    return Err(format!("invalid URL escape {}", go_quote(&part)));
                };
                bytes.push(byte);
                at += 3;
                continue;
            }
            b'+' if in_query => bytes.push(b' '),
            byte => bytes.push(byte),
        }
        at += 1;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Url {
    /// The host without its port and without brackets.
    pub fn host_name(&self) -> &str {
        let end = self.host.rfind(':').filter(|at| is_port(&self.host[*at..])).unwrap_or(self.host.len());
        let name = &self.host[..end];
        name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
    }

    /// The port, or nothing.
    pub fn port(&self) -> &str {
        let at = self.host.rfind(':').filter(|at| is_port(&self.host[*at..]));
        at.map_or("", |at| &self.host[at + 1..])
    }

    /// The path as it may be sent.
    pub fn escaped_path(&self) -> String {
        let may = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte);
        if self.path == "*" || self.path.bytes().all(|byte| may(byte) || b"!'()*[]%".contains(&byte)) {
            return self.path.clone();
        }
        let plain = unescape(&self.path, false).unwrap_or_default();
        let each =
            plain.bytes().map(|byte| if may(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
        each.collect()
    }

    /// The parameters, in the order in which their keys first come.
    pub fn parameters(&self) -> Vec<(String, Vec<String>)> {
        let mut found: Vec<(String, Vec<String>)> = Vec::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Ok(key), Ok(value)) = (unescape(key, true), unescape(value, true)) else { continue };
            match found.iter_mut().find(|(own, _)| *own == key) {
                Some((_, values)) => values.push(value),
                None => found.push((key, vec![value])),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_go_reads_them() {
        let url = parse("HTTPS://u:p@[::1]:8080/a%20b/é?k%20a=v%26&b=a+b&x#f").unwrap();
        assert_eq!(
            (url.scheme.as_str(), url.host.as_str(), url.host_name(), url.port()),
            ("https", "[::1]:8080", "::1", "8080")
        );
        assert_eq!(url.escaped_path(), "/a%20b/%C3%A9");
        let shown: Vec<(String, Vec<String>)> = url.parameters();
        assert_eq!(shown[0], ("k a".to_owned(), vec!["v&".to_owned()]));
        assert_eq!(shown[1], ("b".to_owned(), vec!["a b".to_owned()]));
        assert!(
            parse("mailto:a@b.c").is_ok()
                && parse("/path?x").is_ok()
                && parse("https://a.io").unwrap().escaped_path().is_empty()
        );
        for (text, why) in [
            ("", "empty url"),
            ("relative", "invalid URI for request"),
            ("1http://x", "invalid URI for request"),
            ("://a", "missing protocol scheme"),
            ("https://a:b/", "invalid port \":b\" after host"),
            ("http://a b/", "invalid character \" \" in host name"),
            ("http://x/%zz", "invalid URL escape \"%zz\""),
            ("http://[::1/", "missing ']' in host"),
        ] {
            assert_eq!(parse(text), Err(format!("parse {text:?}: {why}")));
        }
    }
}
