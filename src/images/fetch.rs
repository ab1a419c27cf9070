//! Fetches one file from the web, for `ADD URL`.
//!
//! In: an address, and who may be asked. Out: the file in the store, under its digest; or why not. With a digest that is
//! known before, what is here already is not fetched again. Nobody is signed in, and an answer that does not come is not
//! waited for. Chapter: `book/src/inside/images.md`.

use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;

use super::pull::{MOST_HOPS, PATIENCE, Registries, text};
use crate::registry::{Digest, Written, drain};

/// A file has at most so many bytes.
const MOST_BYTES: u64 = 16 << 30;

/// Whom a fetch may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Other computers: what listens on this one trusts whoever reaches it.
    Others,
    /// This computer too.
    All,
}

impl Registries {
    /// Fetches what is at `url`.
    ///
    /// # Errors
    /// Why it cannot be had, in words for the reader.
    pub(super) async fn fetch(&self, url: &str, expected: Option<&Digest>, reach: Reach) -> Result<Written, String> {
        let content = self.store().content.clone();
        if let Some(digest) = expected.filter(|digest| content.holds(digest)) {
            let size = std::fs::metadata(content.path(digest)).map_err(|error| error.to_string())?.len();
            return Ok(Written { digest: digest.clone(), size });
        }
        let answer = self.ask_the_web(url, reach).await?;
        let clock = &self.clock;
        let pieces = answer.into_body().into_data_stream().map_err(io::Error::other).boxed();
        let patient = futures::stream::unfold(pieces, |mut pieces| async move {
            let piece = match clock.timeout(PATIENCE, pieces.next()).await {
                Ok(piece) => piece?,
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it stopped in the middle")),
            };
            Some((piece, pieces))
        });
        let expected = expected.cloned();
        let work = move |incoming| content.receive(incoming, expected.as_ref(), MOST_BYTES);
        drain(&self.tasks, patient, work).await.map_err(|error| error.to_string())
    }

    /// The answer, after as many redirections as one may follow.
    async fn ask_the_web(&self, url: &str, reach: Reach) -> Result<Response<Incoming>, String> {
        let resolve = tower::service_fn(move |name: Name| async move { addresses(name.as_str(), reach).await });
        let mut connector = HttpConnector::new_with_resolver(resolve);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| format!("the certificate authorities cannot be read: {error}"))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let http = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
        let mut url = url.to_owned();
        for _ in 0..MOST_HOPS {
            let parsed: Uri = url.parse().map_err(|error| format!("{url} is no address: {error}"))?;
            // A number is not looked up.
            let host = parsed.host().unwrap_or_default().trim_matches(['[', ']']);
            if host.parse().is_ok_and(|address| !may_reach(address, reach)) {
                return Err(own(host));
            }
            let request = Request::builder().uri(&url).header(header::USER_AGENT, "tutor").body(Empty::new());
            let request = request.map_err(|error| format!("{url} is no address: {error}"))?;
            let answer = self.clock.timeout(PATIENCE, http.request(request)).await;
            let answer = answer.map_err(|_| format!("{url} does not answer"))?.map_err(|error| innermost(&error))?;
            match text(&answer, header::LOCATION).filter(|_| answer.status().is_redirection()) {
                Some(to) => url = joined(&parsed, &to),
                None if answer.status().is_success() => return Ok(answer),
                None => return Err(format!("{url} answers {}", answer.status())),
            }
        }
        Err(format!("{url} sends us round in circles"))
    }
}

/// Where a redirection leads, seen from where it was met.
fn joined(from: &Uri, to: &str) -> String {
    let origin = format!("{}://{}", from.scheme_str().unwrap_or("http"), from.authority().map_or("", |it| it.as_str()));
    match to {
        to if to.contains("://") => to.to_owned(),
        to if to.starts_with("//") => format!("{}:{to}", from.scheme_str().unwrap_or("http")),
        to if to.starts_with('/') => format!("{origin}{to}"),
        to => format!("{origin}{}/{to}", from.path().rsplit_once('/').map_or("", |(folder, _)| folder)),
    }
}

/// What a name means, without what may not be reached: what was looked at is what is connected to.
async fn addresses(name: &str, reach: Reach) -> io::Result<std::vec::IntoIter<SocketAddr>> {
    let all: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
    let found: Vec<SocketAddr> = all.iter().copied().filter(|it| may_reach(it.ip(), reach)).collect();
    if found.is_empty() && !all.is_empty() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, own(name)));
    }
    Ok(found.into_iter())
}

fn own(host: &str) -> String {
    format!("{host} is this computer itself, which a build reaches with: tutor image build --network host")
}

/// Whether an address may be asked: not one that means this computer or its nearest wire.
fn may_reach(address: IpAddr, reach: Reach) -> bool {
    let is_own = match address.to_canonical() {
        IpAddr::V4(it) => {
            it.is_loopback() || it.is_unspecified() || it.is_link_local() || it.is_broadcast() || it.is_multicast()
        }
        IpAddr::V6(it) => it.is_loopback() || it.is_unspecified() || it.is_unicast_link_local() || it.is_multicast(),
    };
    reach == Reach::All || !is_own
}

/// What an error comes from in the end.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(inner) = at.source() {
        at = inner;
    }
    at.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirection_is_seen_from_where_it_was_met() {
        let from: Uri = "https://a.b:8/c/d?e=f".parse().unwrap();
        for (to, expected) in [
            ("http://x/y", "http://x/y"),
            ("//x/y", "https://x/y"),
            ("/y?z", "https://a.b:8/y?z"),
            ("y", "https://a.b:8/c/y"),
        ] {
            assert_eq!(joined(&from, to), expected, "{to}");
        }
    }

    #[test]
    fn no_spelling_of_this_computer_is_taken_for_another() {
        for address in ["127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "::1", "::", "::ffff:127.0.0.1"] {
            assert!(!may_reach(address.parse().unwrap(), Reach::Others), "{address}");
            assert!(may_reach(address.parse().unwrap(), Reach::All), "{address}");
        }
        assert!(may_reach("93.184.215.14".parse().unwrap(), Reach::Others));
    }
}
