//! `-f https://…`: a manifest from the web.
//!
//! In: an address. Out: its bytes, bounded. No credentials go along. A session that reaches only its
//! playground (the page's terminal) fetches nothing.

use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;

use super::super::failure::{Failure, Result, quote};
use super::super::session::{Reach, Session};

/// The longest manifest.
const LONGEST: usize = 16 * 1024 * 1024;
/// How often an answer may point elsewhere.
const MOST_REDIRECTS: usize = 10;

/// Reads what is at an address.
///
/// # Errors
/// When nothing answers, or not with success.
pub async fn read(session: &Session, address: &str) -> Result<Vec<u8>> {
    if session.target.reach != Reach::Anywhere {
        let words = format!("unable to read URL {}: kubectl reaches only the playground here", quote(address));
        return Err(Failure::new(words));
    }
    let mut at = address.to_owned();
    for _ in 0..MOST_REDIRECTS {
        let failed = |why: String| Failure::new(format!("unable to read URL {}, {why}", quote(address)));
        let uri: http::Uri = at.parse().map_err(|_| failed("it is no address".into()))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let base =
            format!("{}://{}", uri.scheme_str().unwrap_or("http"), uri.authority().map_or("", |host| host.as_str()));
        let base: http::Uri = base.parse().map_err(|_| failed("it is no address".into()))?;
        let client = kube::Client::try_from(kube::Config::new(base)).map_err(|fault| failed(fault.to_string()))?;
        let request = Request::get(path).body(Body::empty()).map_err(|fault| failed(fault.to_string()))?;
        let response = session.unless_stopped(client.send(request)).await?;
        let response = response.map_err(|fault| {
            let mut why: &dyn std::error::Error = &fault;
            while let Some(deeper) = why.source() {
                why = deeper;
            }
            let host = uri.authority().map_or("", |host| host.as_str());
            // The last word is the system's: how a connection fails.
            Failure::Unreachable(if why.to_string().contains("refused") {
                format!("The connection to the server {host} was refused - did you specify the right host or port?")
            } else {
                format!("Unable to connect to the server: {why}")
            })
        })?;
        let status = response.status();
        let elsewhere = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
        match elsewhere {
            Some(to) if status.is_redirection() => at = joined(&uri, to),
            _ if !status.is_success() => {
                let reason = status.canonical_reason().unwrap_or_default();
                let code = status.as_u16();
                let words = format!("server reported {code} {reason}, status code={code}");
                // Told as it is, as the real one tells it.
                return Err(Failure::Plain(failed(words).words()));
            }
            _ => {
                let whole = Limited::new(response.into_body(), LONGEST).collect().await;
                return whole.map(|whole| whole.to_bytes().to_vec()).map_err(|fault| failed(fault.to_string()));
            }
        }
    }
    Err(Failure::new(format!("unable to read URL {}: it points elsewhere too often", quote(address))))
}

fn joined(from: &http::Uri, to: &str) -> String {
    if to.contains("://") {
        return to.to_owned();
    }
    let host = from.authority().map_or("", |host| host.as_str());
    format!("{}://{host}/{}", from.scheme_str().unwrap_or("http"), to.trim_start_matches('/'))
}
