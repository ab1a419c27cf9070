//! What `-v 6` to `-v 9` tell of a request, its answer and its connection, in the words of klog and client-go.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use kube::client::Body;

use super::super::failure::quote;
use super::{Api, Call};

impl Api {
    /// Tells from 6 on which kubeconfigs were read.
    pub fn log_kubeconfigs<'a>(&self, paths: impl Iterator<Item = &'a std::path::Path>) {
        if self.verbosity >= 6 {
            paths.for_each(|path| self.log("loader.go:408", &format!("Config loaded from file:  {}", path.display())));
        }
    }

    /// Tells from 5 on that what the cluster serves is asked for anew.
    pub fn log_forgotten(&self) {
        if self.verbosity >= 5 {
            self.log("discovery.go:279", "\"Invalidating discovery information\"");
        }
    }

    /// A line as klog writes it.
    fn log(&self, file: &str, line: &str) {
        let now = self.clock.now().strftime("%m%d %H:%M:%S%.6f").to_string();
        self.console.err(format!("I{now} {:7} {file}] {line}\n", self.process));
    }

    pub(super) fn log_request(&self, call: &Call, url: &str, headers: &HeaderMap) {
        let headers = || shown_headers(headers);
        match self.verbosity {
            ..7 => {}
            7 | 8 => {
                let words = format!("\"Request\" verb=\"{}\" url=\"{url}\" headers=<\n{} >", call.method, headers());
                self.log("round_trippers.go:527", &words);
            }
            _ => {
                let flags: String = pairs(&self.request(call).map(|r| r.headers().clone()).unwrap_or_default())
                    .into_iter()
                    .map(|(name, value)| format!(" -H {}", quote(&format!("{name}: {value}"))))
                    .collect();
                let words = format!("\"Request\" curlCommand=<\n\tcurl -v -X{} {flags} '{url}'\n >", call.method);
                self.log("round_trippers.go:527", &words);
            }
        }
    }

    pub(super) fn log_response(&self, call: &Call, url: &str, response: &Response<Body>, took: Duration) {
        let code = response.status();
        let status = format!("{} {}", code.as_u16(), code.canonical_reason().unwrap_or_default());
        let timing = if self.verbosity < 9 { String::new() } else { self.timing(took) };
        let took = took.as_millis();
        let headers = || format!("headers=<\n{} >", shown_headers(response.headers()));
        let words = match self.verbosity {
            ..6 => return,
            6 => format!("verb=\"{}\" url=\"{url}\" status=\"{status}\" milliseconds={took}", call.method),
            7 => format!("status=\"{status}\" milliseconds={took}"),
            8 => format!("status=\"{status}\" {} milliseconds={took}", headers()),
            _ => {
                let head = format!("verb=\"{}\" url=\"{url}\" status=\"{status}\"", call.method);
                format!("{head} {} milliseconds={took}{timing}", headers())
            }
        };
        self.log("round_trippers.go:632", &format!("\"Response\" {words}"));
    }

    /// What of the time went into which part, where that can be seen; a new connection is told on lines of its
    /// own before.
    fn timing(&self, took: Duration) -> String {
        if !self.dials.are_watched() {
            return String::new();
        }
        let millis = |part: Duration| part.as_millis();
        let Some(dial) = self.dials.take() else {
            return format!(" getConnectionMilliseconds=0 serverProcessingMilliseconds={}", millis(took));
        };
        let place = "round_trippers.go:562";
        if let Some((host, addresses)) = &dial.resolved {
            let all: Vec<String> = addresses.iter().map(|ip| format!(r#"{{"IP":"{ip}","Zone":""}}"#)).collect();
            let words = format!("\"HTTP Trace: DNS Lookup resolved\" host={} address=[{}]", quote(host), all.join(","));
            self.log(place, &words);
        }
        self.log(place, &format!("\"HTTP Trace: Dial succeed\" network=\"tcp\" address=\"{}\"", dial.address));
        let connected = dial.lookup + dial.dialing + dial.handshake;
        format!(
            " dnsLookupMilliseconds={} dialMilliseconds={} tlsHandshakeMilliseconds={} serverProcessingMilliseconds={}",
            millis(dial.lookup),
            millis(dial.dialing),
            millis(dial.handshake),
            millis(took.saturating_sub(connected))
        )
    }

    /// Bodies are told from 8 on: cut at 1,024 bytes for 8, at 10,240 for 9, whole from 10 on.
    pub(super) fn log_body(&self, title: &str, bytes: &[u8]) {
        let limit = match self.verbosity {
            ..8 => return,
            8 => 1024,
            9 => 10_240,
            _ => usize::MAX,
        };
        let text = String::from_utf8_lossy(bytes);
        let end = (0..=limit.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let mut body = text[..end].to_owned();
        if end < text.len() {
            body.push_str(&format!(" [truncated {} chars]", text.len() - end));
        }
        let shown = if body.contains('\n') {
            format!("<\n{}\n >", body.trim_end().lines().map(|line| format!("\t{line}")).collect::<Vec<_>>().join("\n"))
        } else {
            quote(&body)
        };
        self.log("helper.go:105", &format!("\"{title}\" body={shown}"));
    }
}

/// The names and values of headers, sorted; credentials are masked.
fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let title = |name: &HeaderName| {
        let part = |part: &str| part[..1].to_uppercase() + &part[1..];
        name.as_str().split('-').filter(|part| !part.is_empty()).map(part).collect::<Vec<_>>().join("-")
    };
    let value = |name: &HeaderName, value: &HeaderValue| match (name.as_str(), value.to_str().unwrap_or_default()) {
        ("authorization", text) if text.starts_with("Bearer ") => "Bearer <masked>".to_owned(),
        ("authorization", _) => "<masked>".to_owned(),
        (_, text) => text.to_owned(),
    };
    let mut pairs: Vec<_> = headers.iter().map(|(name, text)| (title(name), value(name, text))).collect();
    pairs.sort();
    pairs
}

fn shown_headers(headers: &HeaderMap) -> String {
    pairs(headers).into_iter().map(|(name, value)| format!("\t{name}: {value}\n")).collect()
}
