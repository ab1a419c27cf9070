//! The rules of an HTTPRoute, in the common form.
//!
//! In: its rules, the hosts that it has with its Gateways, which backends can be used. Out: what a request must have and
//! what happens to it, a pair for each match. Pure. Source: gateway.networking.k8s.io/v1 HTTPRouteRule.
//! Chapter: `book/src/inside/network.md`.

use std::time::Duration;

use http::StatusCode;
use regex::Regex;

use super::objects::{self, BackendRef, Elsewhere, Filter, Match, Mirror, Modifier, OtherPath, Rule, Wanted};
use super::route::{Backend, Changes, Headers, Host, NewPath, Path, Redirect, Retry, Share, Text, Then, When};

/// The filters that are carried out.
const FILTERS: [&str; 5] =
    ["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "RequestMirror"];
/// Those of them that are carried out for a single backend.
const OF_BACKEND: [&str; 3] = ["RequestHeaderModifier", "ResponseHeaderModifier", "URLRewrite"];
/// What a rule is answered with that has another one: it must not be left out in silence.
const NO_SUCH_FILTER: &str = "the rule has a filter that is not carried out here";
/// And one of whose backends has another one.
const NO_SUCH_BACKEND_FILTER: &str = "the backend has a filter that is not carried out here";
/// How often a request is sent once more where the rule does not say. Source: Envoy, `num_retries`.
const RETRIES: u32 = 1;
/// How long after the last time. Source: Envoy, `base_interval`.
const BACKOFF: Duration = Duration::from_millis(25);

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
    let mut then = Then { changes: changes(&rule.filters), ..Then::default() };
    for filter in &rule.filters {
        if let Some(elsewhere) = &filter.request_redirect {
            then.redirect = Some(redirect(elsewhere));
        }
        if let Some(mirror) = &filter.request_mirror {
            then.mirrors.extend(usable(&mirror.backend_ref).map(|backend| (backend, share(mirror))));
        }
    }
    then.fault = has_other(&rule.filters, &FILTERS).then_some(NO_SUCH_FILTER);
    then.request_limit = rule.timeouts.request.as_deref().and_then(limit);
    then.backend_limit = rule.timeouts.backend_request.as_deref().and_then(limit);
    then.retry = rule.retry.as_ref().map(retry);
    let backend = |backend: &BackendRef| {
        let nobody = || Backend { weight: backend.weight.unwrap_or(1), ..Backend::default() };
        let fault = has_other(&backend.filters, &OF_BACKEND).then_some(NO_SUCH_BACKEND_FILTER);
        Backend { changes: changes(&backend.filters), fault, ..usable(backend).unwrap_or_else(nobody) }
    };
    then.backends = rule.backend_refs.iter().map(backend).collect();
    then
}

fn changes(filters: &[Filter]) -> Changes {
    let mut changes = Changes::default();
    for filter in filters {
        if let Some(modifier) = &filter.request_header_modifier {
            changes.request = headers(modifier);
        }
        if let Some(modifier) = &filter.response_header_modifier {
            changes.response = headers(modifier);
        }
        if let Some(rewrite) = &filter.url_rewrite {
            changes.host.clone_from(&rewrite.hostname);
            changes.path = rewrite.path.as_ref().and_then(new_path);
        }
    }
    changes
}

fn retry(wanted: &objects::Retry) -> Retry {
    Retry {
        codes: wanted.codes.clone(),
        attempts: wanted.attempts.unwrap_or(RETRIES),
        backoff: wanted.backoff.as_deref().and_then(duration).unwrap_or(BACKOFF),
    }
}

fn has_other(filters: &[Filter], known: &[&str]) -> bool {
    filters.iter().any(|filter| !known.contains(&&*filter.kind))
}

/// Whether a rule, or one of its backends, has a filter that is not carried out there.
pub fn is_unsupported(rule: &Rule) -> bool {
    has_other(&rule.filters, &FILTERS) || rule.backend_refs.iter().any(|it| has_other(&it.filters, &OF_BACKEND))
}

fn share(mirror: &Mirror) -> Share {
    match (&mirror.fraction, mirror.percent) {
        (Some(fraction), _) => Share { of: fraction.numerator, all: fraction.denominator.unwrap_or(100).max(1) },
        (None, Some(percent)) => Share { of: percent, all: 100 },
        (None, None) => Share { of: 1, all: 1 },
    }
}

/// A limit; none where it is zero, or cannot be read: the API server lets no other in.
fn limit(text: &str) -> Option<Duration> {
    duration(text).filter(|limit| !limit.is_zero())
}

/// Reads `1h2m3s4ms`: up to four numbers with a unit. Source: GEP-2257.
fn duration(text: &str) -> Option<Duration> {
    let (mut left, mut whole) = (text, Duration::ZERO);
    for _ in 0..4 {
        let digits = left.bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = left.get(..digits).filter(|digits| (1..=5).contains(&digits.len()))?.parse().ok()?;
        left = &left[digits..];
        let (unit, millis) = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1000)]
            .into_iter()
            .find(|(unit, _)| left.starts_with(unit))?;
        left = &left[unit.len()..];
        whole += Duration::from_millis(u64::from(number) * millis);
        if left.is_empty() {
            return Some(whole);
        }
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_api_writes_them() {
        for (text, millis) in [
            ("10s", Some(10_000)),
            ("1m30s", Some(90_000)),
            ("500ms", Some(500)),
            ("1h", Some(3_600_000)),
            ("0s", Some(0)),
            ("", None),
            ("10", None),
            ("1.5s", None),
            ("s", None),
            ("1s1s1s1s1s", None),
            ("123456s", None),
        ] {
            assert_eq!(duration(text).map(|it| it.as_millis()), millis, "{text}");
        }
        assert_eq!(limit("0s"), None, "zero is no limit");
    }
}
