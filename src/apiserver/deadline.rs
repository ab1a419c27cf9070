//! How long a request may take: what `?timeout=` says, and a minute otherwise.
//!
//! In: the query. Out: a limit for the whole request, or the 400 for one that cannot be read. Requests
//! that may last (watches, logs, exec) have none. Source: `k8s.io/apiserver/pkg/endpoints/filters`.

use std::time::Duration;

use warp::reply::Response;

use super::engine::bad_request;
use super::respond;
use crate::api::cel::duration;
use crate::api::status::Status;

/// The most that a client may wait, and what one waits that does not say: `--request-timeout`.
const LONGEST: Duration = Duration::from_secs(60);
/// Nothing is answered in less.
const SHORTEST: Duration = Duration::from_micros(1);

/// How long a request may take.
///
/// # Errors
/// `invalid timeout specified in the request URL - time: invalid duration "x"`
pub fn of(query: &[(String, String)]) -> Result<Duration, Status> {
    let text = query.iter().find(|(key, _)| key == "timeout").map_or("", |(_, value)| value.as_str());
    if text.is_empty() {
        return Ok(LONGEST);
    }
    let Some(nanos) = duration::parse(text) else {
        return Err(bad_request(format!("invalid timeout specified in the request URL - {}", fault(text))));
    };
    let said = u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos);
    Ok(said.map_or(LONGEST, |said| said.min(LONGEST)))
}

/// Why a text is no duration, in Go's words.
fn fault(text: &str) -> String {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, unit) = unsigned.split_at(end);
    let unit = &unit[..unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len())];
    match (number.parse::<f64>(), unit) {
        (Err(_), _) => format!("time: invalid duration {text:?}"),
        (Ok(_), "") => format!("time: missing unit in duration {text:?}"),
        (Ok(_), unit) => format!("time: unknown unit {unit:?} in duration {text:?}"),
    }
}

/// Whether a limit is over before anything could be done.
pub fn is_over(limit: Duration) -> bool {
    limit < SHORTEST
}

/// The 504. It is no proper Status: the official server writes it from outside of its own machinery.
pub fn passed() -> Response {
    const BODY: &str = "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"Timeout: request did not complete within the \
                        allotted timeout\",\"reason\":\"Timeout\",\"details\":{},\"code\":504}\n";
    respond::text(504, BODY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_as_go_reads_durations() {
        let of = |text: &str| of(&[("timeout".to_string(), text.to_string())]).map_err(|status| status.message);
        assert_eq!(of("1500ms"), Ok(Duration::from_millis(1_500)));
        assert_eq!(of("2h"), Ok(LONGEST));
        assert_eq!((of(""), of("0s"), of("-1s")), (Ok(LONGEST), Ok(LONGEST), Ok(LONGEST)));
        let table = [
            ("x", "time: invalid duration \"x\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5y", "time: unknown unit \"y\" in duration \"5y\""),
        ];
        for (text, why) in table {
            assert_eq!(of(text), Err(format!("invalid timeout specified in the request URL - {why}")));
        }
    }
}
