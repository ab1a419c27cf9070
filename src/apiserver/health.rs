//! `/livez`, `/readyz`, `/healthz`, and what they say of each part.
//!
//! Each check is one of two kinds: one that asks (does the store answer, are the watch caches filled), and one that
//! names a step of the start. This server answers nobody before those steps are done, so they are told as done, also
//! those that find nothing to do here (leases of several API servers, tokens of old clusters).
//! Source: `k8s.io/apiserver/pkg/server/healthz`.

use std::fmt::Write as _;
use std::time::Duration;

use super::engine::Engine;
use crate::etcd::Keys;

/// How long the store has to answer.
const STORE_LIMIT: Duration = Duration::from_secs(2);

/// One of the three questions.
pub const KINDS: [&str; 3] = ["healthz", "livez", "readyz"];

/// How a check finds out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// Nothing to ask: who answers is there, and has started.
    Started,
    /// The store reads.
    Store,
    /// The watch caches show what the store has.
    Caches,
}

/// Where a check belongs: everywhere, or to one of the questions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Everywhere,
    Readiness,
    Liveness,
}

use Ask::{Caches, Started, Store};
use Where::{Everywhere, Liveness, Readiness};

const CHECKS: [(&str, Where, Ask); 37] = [
    ("ping", Everywhere, Started),
    ("log", Everywhere, Started),
    ("loopback-serving-certificate", Liveness, Started),
    ("etcd", Everywhere, Store),
    ("etcd-readiness", Readiness, Store),
    ("informer-sync", Readiness, Caches),
    ("poststarthook/start-apiserver-admission-initializer", Everywhere, Started),
    ("poststarthook/generic-apiserver-start-informers", Everywhere, Started),
    ("poststarthook/priority-and-fairness-config-consumer", Everywhere, Started),
    ("poststarthook/priority-and-fairness-filter", Everywhere, Started),
    ("poststarthook/storage-object-count-tracker-hook", Everywhere, Started),
    ("poststarthook/start-apiextensions-informers", Everywhere, Started),
    ("poststarthook/start-apiextensions-controllers", Everywhere, Started),
    ("poststarthook/crd-informer-synced", Everywhere, Started),
    ("poststarthook/start-system-namespaces-controller", Everywhere, Started),
    ("poststarthook/peer-endpoint-reconciler-controller", Everywhere, Started),
    ("poststarthook/start-cluster-authentication-info-controller", Everywhere, Started),
    ("poststarthook/start-kube-apiserver-identity-lease-controller", Everywhere, Started),
    ("poststarthook/start-kube-apiserver-identity-lease-garbage-collector", Everywhere, Started),
    ("poststarthook/storage-readiness", Everywhere, Started),
    ("poststarthook/start-legacy-token-tracking-controller", Everywhere, Started),
    ("poststarthook/start-service-ip-repair-controllers", Everywhere, Started),
    ("poststarthook/rbac/bootstrap-roles", Everywhere, Started),
    ("poststarthook/scheduling/bootstrap-system-priority-classes", Everywhere, Started),
    ("poststarthook/priority-and-fairness-config-producer", Everywhere, Started),
    ("poststarthook/bootstrap-controller", Everywhere, Started),
    ("poststarthook/start-kubernetes-service-cidr-controller", Everywhere, Started),
    ("poststarthook/start-kube-aggregator-informers", Everywhere, Started),
    ("poststarthook/apiservice-status-local-available-controller", Everywhere, Started),
    ("poststarthook/apiservice-status-remote-available-controller", Everywhere, Started),
    ("poststarthook/apiservice-registration-controller", Everywhere, Started),
    ("poststarthook/apiservice-discovery-controller", Everywhere, Started),
    ("poststarthook/kube-apiserver-autoregistration", Everywhere, Started),
    ("autoregister-completion", Everywhere, Started),
    ("poststarthook/apiservice-openapi-controller", Everywhere, Started),
    ("poststarthook/apiservice-openapiv3-controller", Everywhere, Started),
    ("shutdown", Readiness, Started),
];

fn belongs(kind: &str, place: Where) -> bool {
    match place {
        Everywhere => true,
        Readiness => kind == "readyz",
        Liveness => kind != "readyz",
    }
}

/// The names of the checks of a question.
pub fn names(kind: &str) -> impl Iterator<Item = &'static str> {
    CHECKS.iter().filter(move |(_, place, _)| belongs(kind, *place)).map(|(name, ..)| *name)
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200, or 500 where something is wrong.
    pub code: u16,
    /// The text.
    pub text: String,
}

/// What the checks that ask found.
#[derive(Clone, Copy)]
pub struct Found {
    store: bool,
    caches: bool,
}

impl Found {
    /// Asks.
    pub async fn ask(engine: &Engine) -> Found {
        let read = engine.storage.range(Keys::One("/registry/health".into()), None);
        let store = engine.clock.timeout(STORE_LIMIT, read).await.is_ok_and(|read| read.is_ok());
        let revision = engine.storage.revision();
        let caches = store && engine.clock.timeout(STORE_LIMIT, engine.caches.reach(revision)).await.is_ok();
        Found { store, caches }
    }

    fn holds(self, ask: Ask) -> bool {
        match ask {
            Started => true,
            Store => self.store,
            Caches => self.caches,
        }
    }

    /// Each check of each question and whether it holds, for `/metrics/slis`.
    pub fn all(self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        let of = move |(name, place, ask): &(&'static str, Where, Ask)| {
            let (name, place, holds) = (*name, *place, self.holds(*ask));
            KINDS.into_iter().filter(move |kind| belongs(kind, place)).map(move |kind| (name, kind, holds))
        };
        CHECKS.iter().flat_map(of)
    }
}

/// Answers one check, or all; `None`: there is no such check.
pub fn answer(kind: &str, check: &str, query: &[(String, String)], found: Found) -> Option<Answer> {
    let mut checks = CHECKS.iter().filter(|(_, place, _)| belongs(kind, *place));
    if !check.is_empty() {
        let (_, _, ask) = checks.find(|(name, ..)| *name == check)?;
        return Some(match found.holds(*ask) {
            true => Answer { code: 200, text: "ok".to_string() },
            false => Answer { code: 500, text: format!("internal server error: {}\n", why(*ask)) },
        });
    }
    let left_out = |name: &str| query.iter().any(|(key, value)| key == "exclude" && value == name);
    let (mut lines, mut wrong) = (String::new(), false);
    for (name, _, ask) in checks {
        let line = match (left_out(name), found.holds(*ask)) {
            (true, _) => format!("[+]{name} excluded: ok"),
            (false, true) => format!("[+]{name} ok"),
            (false, false) => format!("[-]{name} failed: reason withheld"),
        };
        wrong |= line.starts_with("[-]");
        // A text takes every line.
        let _ = writeln!(lines, "{line}");
    }
    Some(match wrong {
        true => Answer { code: 500, text: format!("{lines}{kind} check failed\n") },
        false if query.iter().any(|(key, _)| key == "verbose") => {
            Answer { code: 200, text: format!("{lines}{kind} check passed\n") }
        }
        false => Answer { code: 200, text: "ok".to_string() },
    })
}

fn why(ask: Ask) -> &'static str {
    match ask {
        Caches => "the watch caches are behind the store",
        _ => "the store does not answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Found = Found { store: true, caches: true };
    const BAD: Found = Found { store: false, caches: false };

    fn query(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect()
    }

    #[test]
    fn a_store_that_does_not_answer_is_told_by_every_question() {
        for kind in KINDS {
            assert_eq!(answer(kind, "", &[], GOOD), Some(Answer { code: 200, text: "ok".into() }));
            let told = answer(kind, "", &[], BAD).unwrap();
            assert_eq!(told.code, 500);
            assert!(told.text.contains("[-]etcd failed: reason withheld\n"), "{}", told.text);
            assert!(told.text.ends_with(&format!("{kind} check failed\n")));
        }
    }

    #[test]
    fn each_check_has_its_place_and_can_be_left_out() {
        assert_eq!(answer("livez", "etcd-readiness", &[], GOOD), None);
        assert_eq!(answer("readyz", "etcd-readiness", &[], BAD).map(|told| told.code), Some(500));
        let told = answer("livez", "", &query(&[("exclude", "etcd"), ("verbose", "")]), BAD).unwrap();
        assert_eq!(told.code, 200);
        assert!(told.text.contains("[+]etcd excluded: ok\n") && told.text.ends_with("livez check passed\n"));
    }
}
