//! The rules of an HTTPRoute, in the common form.
//!
//! In: its rules, the hosts that it has with its Gateways, which backends can be used. Out: what a request must have and
//! what happens to it, a pair for each match. Pure. Source: gateway.networking.k8s.io/v1 HTTPRouteRule.
//! Chapter: `book/src/inside/network.md`.

use http::StatusCode;
use regex::Regex;

use super::objects::{BackendRef, Elsewhere, Match, Modifier, OtherPath, Rule, Wanted};
use super::route::{Backend, Headers, Host, NewPath, Path, Redirect, Text, Then, When};

/// All of them. `usable` says which Service a backend is; one that is none fails its share of the requests.
pub fn of(rules: &[Rule], hosts: &[Host], usable: &dyn Fn(&BackendRef) -> Option<Backend>) -> Vec<(When, Then)> {
    let mut all = Vec::new();
    for rule in rules {
        let then = then(rule, usable);
        if rule.matches.is_empty() {
            all.push((When { hosts: hosts.to_vec(), ..When::any() }, then));
            continue;
        }
        // A pattern that cannot be read is met by nothing.
        let whens = rule.matches.iter().filter_map(|wanted| when(wanted, hosts));
        all.extend(whens.map(|when| (when, then.clone())));
    }
    all
}

fn when(wanted: &Match, hosts: &[Host]) -> Option<When> {
    let path = match &wanted.path {
        None => Path::Prefix("/".to_owned()),
        Some(path) => {
            let value = path.value.clone().unwrap_or_else(|| "/".to_owned());
            match path.kind.as_deref() {
                Some("Exact") => Path::Exact(value),
                Some("RegularExpression") => Path::Pattern(Regex::new(&value).ok()?),
                _ => Path::Prefix(value),
            }
        }
    };
    Some(When {
        hosts: hosts.to_vec(),
        path,
        method: wanted.method.clone(),
        headers: texts(&wanted.headers)?,
        query: texts(&wanted.query_params)?,
        fallback: false,
    })
}

fn texts(wanted: &[Wanted]) -> Option<Vec<(String, Text)>> {
    let text = |wanted: &Wanted| {
        let value = wanted.value.clone().unwrap_or_default();
        let text = match wanted.kind.as_deref() {
            Some("RegularExpression") => Text::Pattern(Regex::new(&value).ok()?),
            _ => Text::Exact(value),
        };
        Some((wanted.name.clone(), text))
    };
    wanted.iter().map(text).collect()
}

fn then(rule: &Rule, usable: &dyn Fn(&BackendRef) -> Option<Backend>) -> Then {
    let mut then = Then::default();
    for filter in &rule.filters {
        if let Some(modifier) = &filter.request_header_modifier {
            then.request = headers(modifier);
        }
        if let Some(modifier) = &filter.response_header_modifier {
            then.response = headers(modifier);
        }
        if let Some(rewrite) = &filter.url_rewrite {
            then.host.clone_from(&rewrite.hostname);
            then.path = rewrite.path.as_ref().and_then(new_path);
        }
        if let Some(elsewhere) = &filter.request_redirect {
            then.redirect = Some(redirect(elsewhere));
        }
    }
    let backend = |backend: &BackendRef| {
        usable(backend).unwrap_or(Backend { service: None, weight: backend.weight.unwrap_or(1) })
    };
    then.backends = rule.backend_refs.iter().map(backend).collect();
    then
}

fn headers(modifier: &Modifier) -> Headers {
    let pairs = |pairs: &[super::objects::Pair]| pairs.iter().map(|it| (it.name.clone(), it.value.clone())).collect();
    Headers { set: pairs(&modifier.set), add: pairs(&modifier.add), remove: modifier.remove.clone() }
}

fn redirect(elsewhere: &Elsewhere) -> Redirect {
    let status = elsewhere.status_code.and_then(|code| StatusCode::from_u16(code).ok());
    Redirect {
        scheme: elsewhere.scheme.clone(),
        host: elsewhere.hostname.clone(),
        port: elsewhere.port,
        path: elsewhere.path.as_ref().and_then(new_path),
        status: status.unwrap_or(StatusCode::FOUND),
    }
}

fn new_path(path: &OtherPath) -> Option<NewPath> {
    let whole = path.replace_full_path.clone().map(NewPath::Whole);
    whole.or_else(|| path.replace_prefix_match.clone().map(NewPath::Prefix))
}
