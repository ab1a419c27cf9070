//! Why a write happens: the revisions that it answers to.
//!
//! A loop learns of a change (revision 41) and writes (revision 42). [`with`] makes a client whose
//! writes say so in the header `tutor-cause`, and the API server's journal keeps it; chains of
//! these are what `tutor trace` draws. Reads carry nothing. Chapter: `book/src/inside/loops.md`.

use std::collections::BTreeSet;

use http::{HeaderName, HeaderValue, Method, Request};
use kube::client::Body;

/// The header's name.
pub const HEADER: HeaderName = HeaderName::from_static("tutor-cause");

/// At most this many revisions are kept; a busier key keeps the newest.
const LIMIT: usize = 32;

/// Revisions that woke a piece of work, at most 32 (the newest are kept).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causes(BTreeSet<u64>);

impl Causes {
    /// No cause: a timer, or a loop's own start.
    pub fn none() -> Self {
        Self::default()
    }

    /// One revision.
    pub fn one(revision: u64) -> Self {
        Self::none().and(revision)
    }

    /// The revision of an object (none when it has not been stored).
    pub fn of(object: &kube::api::ObjectMeta) -> Self {
        revision(object).map_or_else(Self::none, Self::one)
    }

    /// These and `revision`.
    #[must_use]
    pub fn and(mut self, revision: u64) -> Self {
        self.0.insert(revision);
        self.trim();
        self
    }

    /// Adds `others` to these.
    pub fn merge(&mut self, others: &Causes) {
        self.0.extend(&others.0);
        self.trim();
    }

    /// The revisions, oldest first.
    pub fn revisions(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().copied()
    }

    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn trim(&mut self) {
        while self.0.len() > LIMIT {
            self.0.pop_first();
        }
    }

    fn header(&self) -> Option<HeaderValue> {
        if self.is_empty() {
            return None;
        }
        let text = self.0.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        HeaderValue::from_str(&text).ok()
    }
}

/// An object's `resourceVersion` as a number.
pub fn revision(object: &kube::api::ObjectMeta) -> Option<u64> {
    object.resource_version.as_deref().and_then(|version| version.parse().ok())
}

/// A client like `client`, whose writes carry `causes`. Costs microseconds: make one per piece of
/// work. (`kube::Client` hands each request to a worker task, so the cause has to travel with the
/// client; a task-local value would be lost.)
///
/// # Panics
/// When called outside a tokio runtime.
pub fn with(client: &kube::Client, causes: &Causes) -> kube::Client {
    let Some(value) = causes.header() else { return client.clone() };
    let (inner, namespace) = (client.clone(), client.default_namespace().to_owned());
    let send = move |mut request: Request<Body>| {
        let (inner, value) = (inner.clone(), value.clone());
        async move {
            if request.method() != Method::GET {
                request.headers_mut().insert(HEADER, value);
            }
            inner.send(request).await
        }
    };
    kube::Client::new(tower::service_fn(send), namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_revisions_are_kept() {
        let mut causes = Causes::none();
        for revision in 1..=40 {
            causes = causes.and(revision);
        }
        assert_eq!(causes.revisions().next(), Some(9));
        assert_eq!(causes.revisions().count(), LIMIT);
    }

    #[tokio::test]
    async fn writes_carry_their_cause_and_reads_do_not() {
        let echo = tower::service_fn(|request: Request<Body>| async move {
            let cause = request.headers().get(HEADER).and_then(|v| v.to_str().ok()).unwrap_or("-").to_owned();
            Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(cause.into_bytes())))
        });
        let client = with(&kube::Client::new(echo, "default"), &Causes::one(41).and(7));
        let ask = |method: &str| Request::builder().method(method).uri("/x").body(Vec::new()).unwrap();
        assert_eq!(client.request_text(ask("POST")).await.unwrap(), "7,41");
        assert_eq!(client.request_text(ask("GET")).await.unwrap(), "-");
    }
}
