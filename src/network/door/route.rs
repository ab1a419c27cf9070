//! Which rule is for a request: the common form of Ingress rules and HTTPRoutes.
//!
//! In: what a request asks for. Out: the rule that fits best, and what it says to do. Pure. Among rules that fit, the one
//! with the more exact host wins, then the more exact path, then the longer, then the one that asks for more,
//! then the older. Source: Gateway API, HTTPRouteRule; Kubernetes, Ingress. Chapter: `book/src/inside/network.md`.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use regex::Regex;

use crate::client::ObjectKey;

/// A host that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// This one.
    Exact(String),
    /// What ends like this: `.example.com`.
    Below(String),
    /// One label and then this: what an Ingress means by a star.
    OneBelow(String),
}

impl Host {
    /// Reads `example.com` or `*.example.com`, as a Gateway or HTTPRoute means it.
    pub fn of_route(name: &str) -> Host {
        match name.strip_prefix('*') {
            Some(rest) => Host::Below(rest.to_lowercase()),
            None => Host::Exact(name.to_lowercase()),
        }
    }

    /// The same, as an Ingress means it.
    pub fn of_ingress(name: &str) -> Host {
        match name.strip_prefix('*') {
            Some(rest) => Host::OneBelow(rest.to_lowercase()),
            None => Host::Exact(name.to_lowercase()),
        }
    }

    /// How well it fits: exact is best, then the longer.
    pub fn fits(&self, host: &str) -> Option<(bool, usize)> {
        let below = |end: &String| host.strip_suffix(end.as_str()).filter(|front| !front.is_empty());
        match self {
            Host::Exact(name) => (name == host).then_some((true, name.len())),
            Host::Below(end) => below(end).map(|_| (false, end.len())),
            Host::OneBelow(end) => below(end).filter(|front| !front.contains('.')).map(|_| (false, end.len())),
        }
    }
}

/// A path that is asked for.
#[derive(Clone, Debug)]
pub enum Path {
    /// This one.
    Exact(String),
    /// This one and what is below it, part by part: `/a` is not the beginning of `/ab`.
    Prefix(String),
    /// What this describes, from its beginning.
    Pattern(Regex),
}

impl Path {
    fn fits(&self, path: &str) -> Option<(bool, usize)> {
        match self {
            Path::Exact(wanted) => (wanted == path).then_some((true, wanted.len())),
            Path::Prefix(wanted) => rest(wanted, path).map(|_| (false, wanted.trim_end_matches('/').len())),
            Path::Pattern(pattern) => {
                let found = pattern.find(path).filter(|found| found.start() == 0)?;
                Some((false, found.len()))
            }
        }
    }
}

/// What follows a prefix in a path: empty, or from a slash on.
pub fn rest<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// A text that is asked for.
#[derive(Clone, Debug)]
pub enum Text {
    /// This one.
    Exact(String),
    /// What this describes.
    Pattern(Regex),
}

impl Text {
    fn fits(&self, text: &str) -> bool {
        match self {
            Text::Exact(wanted) => wanted == text,
            Text::Pattern(pattern) => pattern.is_match(text),
        }
    }
}

/// What a request must have.
#[derive(Clone, Debug)]
pub struct When {
    /// One of these hosts; none: any.
    pub hosts: Vec<Host>,
    /// The path.
    pub path: Path,
    /// The method.
    pub method: Option<String>,
    /// Headers.
    pub headers: Vec<(String, Text)>,
    /// Parameters of the query.
    pub query: Vec<(String, Text)>,
    /// It is for what no other rule is for (`defaultBackend`).
    pub fallback: bool,
}

impl When {
    /// Any request.
    pub fn any() -> When {
        When {
            hosts: Vec::new(),
            path: Path::Prefix("/".to_owned()),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
            fallback: false,
        }
    }
}

/// A Service's port, by number or name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// Its number.
    Number(i32),
    /// Its name.
    Name(String),
}

/// Who may answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    /// The Service; `None`: what was named cannot be used, and its share of the requests fails.
    pub service: Option<(ObjectKey, Port)>,
    /// Its share.
    pub weight: u32,
    /// What is changed for it alone, after what is changed for all.
    pub changes: Changes,
    /// It cannot be carried out for this one: what is answered instead.
    pub fault: Option<&'static str>,
}

/// What becomes of a request on its way, and of its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Headers on the way there.
    pub request: Headers,
    /// Headers on the way back.
    pub response: Headers,
    /// Another host for whoever answers.
    pub host: Option<String>,
    /// Another path for whoever answers.
    pub path: Option<NewPath>,
}

/// How often a request is sent once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// After answers with these; it always is when none came.
    pub codes: Vec<u16>,
    /// At most so often.
    pub attempts: u32,
    /// So long after the last one.
    pub backoff: Duration,
}

/// Changes of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Replaced or added.
    pub set: Vec<(String, String)>,
    /// Added to those of the same name.
    pub add: Vec<(String, String)>,
    /// Taken away.
    pub remove: Vec<String>,
}

/// Another path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewPath {
    /// This one.
    Whole(String),
    /// This one in place of the prefix that was matched.
    Prefix(String),
}

/// An answer that sends the client elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    /// `https`.
    pub scheme: Option<String>,
    /// Another host.
    pub host: Option<String>,
    /// Another port.
    pub port: Option<u16>,
    /// Another path.
    pub path: Option<NewPath>,
    /// 302 where it is not said.
    pub status: StatusCode,
}

/// What happens to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Then {
    /// What is changed, whoever answers.
    pub changes: Changes,
    /// It is answered at once.
    pub redirect: Option<Redirect>,
    /// Who may answer.
    pub backends: Vec<Backend>,
    /// Who gets a copy of it, and in how many of how many cases. Their answers are nobody's.
    pub mirrors: Vec<(Backend, Share)>,
    /// It cannot be carried out: what is answered instead.
    pub fault: Option<&'static str>,
    /// How long the client may have to wait for an answer to begin.
    pub request_limit: Option<Duration>,
    /// How long one that answers may take to begin.
    pub backend_limit: Option<Duration>,
    /// Whether it is sent once more.
    pub retry: Option<Retry>,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// These,
    pub of: u32,
    /// of these.
    pub all: u32,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Route {
    /// What it is for.
    pub when: When,
    /// What happens.
    pub then: Then,
    /// How old it is and what it is called: the older wins, then the first in the alphabet.
    pub age: (Option<Timestamp>, String),
}

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The host, without a port, in small letters.
    pub host: &'a str,
    /// The path.
    pub path: &'a str,
    /// `GET`.
    pub method: &'a str,
    /// The query, without its question mark.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// How well a rule fits; larger is better.
type Fit = (bool, (bool, bool, usize), (bool, usize), bool, usize, usize);

impl Route {
    fn fits(&self, asked: &Asked<'_>) -> Option<Fit> {
        let when = &self.when;
        let host = match when.hosts.is_empty() {
            true => (false, false, 0),
            false => {
                let (exact, length) = when.hosts.iter().filter_map(|host| host.fits(asked.host)).max()?;
                (true, exact, length)
            }
        };
        let path = when.path.fits(asked.path)?;
        if when.method.as_ref().is_some_and(|method| method != asked.method) {
            return None;
        }
        let has = |(name, wanted): &(String, Text)| {
            asked.headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| wanted.fits(value))
        };
        let says = |(name, wanted): &(String, Text)| {
            let mut pairs = form_urlencoded::parse(asked.query.as_bytes());
            pairs.find(|(key, _)| key == name).is_some_and(|(_, value)| wanted.fits(&value))
        };
        let all = when.headers.iter().all(has) && when.query.iter().all(says);
        all.then(|| (!when.fallback, host, path, when.method.is_some(), when.headers.len(), when.query.len()))
    }
}

/// The rule for a request.
pub fn find<'a>(routes: &'a [Route], asked: &Asked<'_>) -> Option<&'a Route> {
    let mut best: Option<(Fit, &Route)> = None;
    for route in routes {
        let Some(fit) = route.fits(asked) else { continue };
        let better = best.is_none_or(|(known, other)| fit > known || (fit == known && route.age < other.age));
        if better {
            best = Some((fit, route));
        }
    }
    best.map(|(_, route)| route)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, hosts: Vec<Host>, path: Path) -> Route {
        Route { when: When { hosts, path, ..When::any() }, then: Then::default(), age: (None, name.to_owned()) }
    }

    fn found(routes: &[Route], host: &str, path: &str) -> String {
        let headers = HeaderMap::new();
        let asked = Asked { host, path, method: "GET", query: "v=2", headers: &headers };
        find(routes, &asked).map_or("none", |route| &route.age.1).to_owned()
    }

    fn prefix(path: &str) -> Path {
        Path::Prefix(path.to_owned())
    }

    #[test]
    fn the_more_exact_host_and_path_win() {
        let all = [
            route("any", vec![], prefix("/")),
            route("star", vec![Host::of_ingress("*.Example.com")], prefix("/")),
            route("host", vec![Host::of_route("a.example.com")], prefix("/")),
            route("long", vec![Host::of_route("a.example.com")], prefix("/api/")),
            route("exact", vec![Host::of_route("a.example.com")], Path::Exact("/api".into())),
        ];
        for (host, path, name) in [
            ("a.example.com", "/", "host"),
            ("a.example.com", "/api", "exact"),
            ("a.example.com", "/api/x", "long"),
            ("a.example.com", "/apix", "host"),
            ("b.example.com", "/api", "star"),
            ("c.b.example.com", "/", "any"),
            ("example.com", "/", "any"),
        ] {
            assert_eq!(found(&all, host, path), name, "{host}{path}");
        }
        let deep = [route("deep", vec![Host::of_route("*.example.com")], prefix("/"))];
        assert_eq!(found(&deep, "c.b.example.com", "/"), "deep", "a route's star is any number of labels");
    }

    #[test]
    fn a_rule_that_asks_for_more_wins_and_a_default_is_last() {
        let mut method = route("method", vec![], prefix("/"));
        method.when.method = Some("POST".into());
        let mut query = route("query", vec![], prefix("/"));
        query.when.query = vec![("v".into(), Text::Exact("2".into()))];
        let mut last = route("last", vec![], prefix("/"));
        last.when.fallback = true;
        let all = [last.clone(), route("plain", vec![], prefix("/a")), query, method];
        assert_eq!(found(&all, "x", "/"), "query");
        assert_eq!(found(&all[..2], "x", "/b"), "last");
        assert_eq!(found(&all[..2], "x", "/a"), "plain");
        assert_eq!(found(&[], "x", "/"), "none");
        let twins = [route("b", vec![], prefix("/")), route("a", vec![], prefix("/"))];
        assert_eq!(found(&twins, "x", "/"), "a");
    }
}
