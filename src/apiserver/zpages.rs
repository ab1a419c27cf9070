//! `/statusz` and `/flagz`: which server this is, since when it runs, and how it is set. For people who look for a
//! fault; text unless another form is asked for.
//!
//! In: the `Accept` header. Out: the page as text, or as an object of `config.k8s.io`. The text separates names from
//! values in another way each time, as the official server's does, so that no program reads it.
//! Source: `k8s.io/apiserver/pkg/server/{statusz,flagz}`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use http::{HeaderValue, header};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use warp::reply::Response;

use super::kinds::core::service_addresses::NODE_PORTS;
use super::negotiate::{self, Accepted};
use super::respond;
use crate::api::decode::MediaType;
use crate::api::openapi;
use crate::api::status::Status;

/// What the pages tell, as it was when the server started.
pub struct Pages {
    started: Timestamp,
    flags: Vec<(&'static str, String)>,
}

/// One of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/statusz`
    Status,
    /// `/flagz`
    Flags,
}

/// What they are called in objects.
const COMPONENT: &str = "apiserver";
const SEPARATORS: [&str; 4] = [":", ": ", "=", " "];
const FORMS: [&str; 3] = ["application/json", "application/yaml", "text/plain"];
/// Paths that tell nothing about the server itself.
const NOT_LISTED: [&str; 6] = ["api", "apis", "openid", "openapi", ".well-known", "statusz"];

impl Pages {
    /// Of a server that starts now, with these addresses for Services.
    pub fn new(started: Timestamp, services: (Ipv4Addr, u8), issuer: &str) -> Pages {
        let flags = vec![
            ("anonymous-auth", "true".to_string()),
            ("authorization-mode", "[Node,RBAC]".to_string()),
            ("enable-priority-and-fairness", "true".to_string()),
            ("profiling", "false".to_string()),
            ("request-timeout", "1m0s".to_string()),
            ("service-account-issuer", format!("[{issuer}]")),
            ("service-cluster-ip-range", format!("{}/{}", services.0, services.1)),
            ("service-node-port-range", format!("{}-{}", NODE_PORTS.start(), NODE_PORTS.end())),
            ("storage-media-type", "application/json".to_string()),
        ];
        Pages { started, flags }
    }

    /// A page in the form that the client takes. `paths` are those that the server lists.
    pub fn answer(
        &self,
        page: Page,
        accept: Option<&str>,
        paths: &[String],
        now: Timestamp,
        form: Accepted,
    ) -> Response {
        let (media, version) = match choose(page, accept.unwrap_or("").trim()) {
            Ok(chosen) => chosen,
            Err(status) => return respond::error(&status, form),
        };
        let Some(version) = version else {
            let separator = SEPARATORS[rand::random_range(0..SEPARATORS.len())];
            let text = self.text(page, paths, now, separator);
            return respond::send(200, "text/plain; charset=utf-8", text.into());
        };
        let accepted = Accepted { media, ..form };
        let mut response = match respond::encode(&self.object(page, version, paths, now), accepted) {
            Ok(bytes) => respond::send(200, accepted.content_type(), bytes),
            Err(status) => return respond::error(&status, form),
        };
        let told = format!("{};g=config.k8s.io;v={version};as={}", accepted.content_type(), page.kind());
        let mut headers = vec![(header::CONTENT_TYPE, told)];
        if version == "v1alpha1" {
            let name = page.name();
            let old =
                format!("299 - \"This version of the {name} endpoint is deprecated. Please use a newer version.\"");
            headers.push((header::WARNING, old));
        }
        for (name, value) in headers {
            HeaderValue::from_str(&value).into_iter().for_each(|it| drop(response.headers_mut().insert(&name, it)));
        }
        response
    }

    fn text(&self, page: Page, paths: &[String], now: Timestamp, between: &str) -> String {
        let head = format!(
            "\n{COMPONENT} {}\nWarning: This endpoint is not meant to be machine parseable, has no formatting \
             compatibility guarantees and is for debugging purposes only.\n",
            page.name()
        );
        let body: String = match page {
            Page::Flags => self.flags.iter().map(|(name, value)| format!("{name}{between}{value}\n")).collect(),
            Page::Status => {
                let up = self.uptime_seconds(now);
                let rows = [
                    ("Started", self.started.strftime("%a %b %e %H:%M:%S UTC %Y").to_string()),
                    ("Up", format!("{} hr {:02} min {:02} sec", up / 3600, up / 60 % 60, up % 60)),
                    ("Go version", GO_VERSION.to_string()),
                    ("Binary version", binary_version().to_string()),
                    ("Emulation version", emulation_version()),
                    ("Paths", folders(paths).join(" ")),
                ];
                let rows = rows.iter().map(|(name, value)| format!("{name}{between} {value}\n"));
                std::iter::once("\n".to_string()).chain(rows).collect()
            }
        };
        head + &body
    }

    fn object(&self, page: Page, version: &str, paths: &[String], now: Timestamp) -> Value {
        let mut object = json!({
            "kind": page.kind(), "apiVersion": format!("config.k8s.io/{version}"), "metadata": {"name": COMPONENT},
        });
        match page {
            Page::Flags => {
                let flags: Map<String, Value> =
                    self.flags.iter().map(|(name, value)| ((*name).to_string(), json!(value))).collect();
                object["flags"] = Value::Object(flags);
            }
            Page::Status => {
                object["startTime"] = json!(self.started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
                object["uptimeSeconds"] = json!(self.uptime_seconds(now));
                object["goVersion"] = json!(GO_VERSION);
                object["binaryVersion"] = json!(binary_version());
                object["emulationVersion"] = json!(emulation_version());
                object["paths"] = json!(folders(paths));
            }
        }
        object
    }

    fn uptime_seconds(&self, now: Timestamp) -> i64 {
        (now.as_second() - self.started.as_second()).max(0)
    }
}

impl Page {
    fn name(self) -> &'static str {
        match self {
            Page::Status => "statusz",
            Page::Flags => "flagz",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Page::Status => "Statusz",
            Page::Flags => "Flagz",
        }
    }
}

/// There is no Go here.
const GO_VERSION: &str = "none";

fn binary_version() -> &'static str {
    openapi::VERSION.trim_start_matches('v')
}

/// `1.37`
fn emulation_version() -> String {
    binary_version().rsplit_once('.').map_or(binary_version(), |(minor, _)| minor).to_string()
}

/// The first parts of the paths.
fn folders(paths: &[String]) -> Vec<String> {
    let first = paths.iter().filter_map(|path| path.split('/').nth(1));
    let first: BTreeSet<&str> = first.filter(|part| !part.is_empty() && !NOT_LISTED.contains(part)).collect();
    first.into_iter().map(|part| format!("/{part}")).collect()
}

/// The form of the page: text has no version, an object has one.
fn choose(page: Page, accept: &str) -> Result<(MediaType, Option<&'static str>), Status> {
    const TEXT: (MediaType, Option<&str>) = (MediaType::Json, None);
    if accept.is_empty() {
        return Ok(TEXT);
    }
    for clause in negotiate::clauses(accept) {
        let param = |name: &str| clause.params.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let asked = [param("as"), param("g"), param("v")];
        let version = match asked {
            [Some(kind), Some("config.k8s.io"), Some("v1beta1")] if kind == page.kind() => Some("v1beta1"),
            [Some(kind), Some("config.k8s.io"), Some("v1alpha1")] if kind == page.kind() => Some("v1alpha1"),
            _ => None,
        };
        let media = match clause.media {
            "*/*" | "application/*" | "application/json" => Some(MediaType::Json),
            "application/yaml" => Some(MediaType::Yaml),
            _ => None,
        };
        match (media, version) {
            (Some(media), Some(version)) => return Ok((media, Some(version))),
            _ if asked == [None; 3] && ["*/*", "text/*", "text/plain"].contains(&clause.media) => return Ok(TEXT),
            _ => {}
        }
    }
    Err(Status::only_accepted(&FORMS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BETA: &str = "g=config.k8s.io;v=v1beta1;as=Statusz";

    fn pages() -> Pages {
        Pages::new("2026-01-02T03:04:05Z".parse().unwrap(), (Ipv4Addr::new(10, 96, 0, 0), 16), "https://k")
    }

    #[test]
    fn text_unless_an_object_is_asked_for() {
        let json = (MediaType::Json, Some("v1beta1"));
        let table = [
            (String::new(), Some((MediaType::Json, None))),
            ("*/*".to_string(), Some((MediaType::Json, None))),
            ("text/plain".to_string(), Some((MediaType::Json, None))),
            (format!("application/json;{BETA}"), Some(json)),
            (format!("application/yaml;{BETA}"), Some((MediaType::Yaml, Some("v1beta1")))),
            (format!("application/json,application/json;{BETA}"), Some(json)),
            ("application/json".to_string(), None),
            (format!("application/json;{}", BETA.replace("Statusz", "Flagz")), None),
            (format!("application/vnd.kubernetes.protobuf;{BETA}"), None),
            (format!("text/plain;{BETA}"), None),
        ];
        for (accept, expected) in table {
            assert_eq!(choose(Page::Status, &accept).ok(), expected, "{accept}");
        }
        assert_eq!(
            choose(Page::Flags, "application/json").unwrap_err().message,
            "only the following media types are accepted: application/json, application/yaml, text/plain"
        );
    }

    #[test]
    fn the_status_page_reads_as_the_official_one() {
        let paths = ["/api/v1", "/healthz/ping", "/healthz", "/metrics", "/statusz", "/"].map(str::to_string);
        let now = "2026-01-02T04:05:07Z".parse().unwrap();
        let text = pages().text(Page::Status, &paths, now, ":");
        let expected = "\napiserver statusz\nWarning: This endpoint is not meant to be machine parseable, has no \
                        formatting compatibility guarantees and is for debugging purposes only.\n\nStarted: Fri Jan  2 \
                        03:04:05 UTC 2026\nUp: 1 hr 01 min 02 sec\nGo version: none\nBinary version: 1.37.2\nEmulation \
                        version: 1.37\nPaths: /healthz /metrics\n";
        assert_eq!(text, expected);
        let object = pages().object(Page::Status, "v1beta1", &paths, now);
        assert_eq!(object["uptimeSeconds"], 3662);
        assert_eq!(object["paths"], json!(["/healthz", "/metrics"]));
    }

    #[test]
    fn the_flags_are_those_of_this_server() {
        let text = pages().text(Page::Flags, &[], Timestamp::UNIX_EPOCH, "=");
        assert!(
            text.contains("\nservice-cluster-ip-range=10.96.0.0/16\nservice-node-port-range=30000-32767\n"),
            "{text}"
        );
    }
}
