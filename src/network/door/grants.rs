//! ReferenceGrants: whether an object may refer to one of another namespace.
//!
//! In: who refers to what; the grants there are. Out: yes or no. Pure. The namespace that is referred to says yes, never
//! the one that refers. Source: gateway.networking.k8s.io/v1beta1 ReferenceGrant. Chapter: `book/src/inside/network.md`.

use std::sync::Arc;

use super::gateway::GROUP;
use super::objects::ReferenceGrantView;

/// A kind of the core group or of Gateway API, which may refer or be referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    Gateway,
    HttpRoute,
    Service,
    Secret,
}

impl Kind {
    fn named(self) -> (&'static str, &'static str) {
        match self {
            Kind::Gateway => (GROUP, "Gateway"),
            Kind::HttpRoute => (GROUP, "HTTPRoute"),
            Kind::Service => ("", "Service"),
            Kind::Secret => ("", "Secret"),
        }
    }
}

/// Whether an object of a kind in the namespace `from` may refer to the one of a kind with this namespace and name.
pub fn permit(
    grants: &[Arc<ReferenceGrantView>],
    (kind, from): (Kind, &str),
    (of_kind, namespace, name): (Kind, &str, &str),
) -> bool {
    let means = |kind: Kind, group: &str, said: &str| kind.named() == (group, said);
    from == namespace
        || grants.iter().any(|grant| {
            grant.metadata.namespace.as_deref() == Some(namespace)
                && grant.spec.from.iter().any(|it| it.namespace == from && means(kind, &it.group, &it.kind))
                && grant.spec.to.iter().any(|it| {
                    let this = it.name.as_deref().is_none_or(|wanted| wanted.is_empty() || wanted == name);
                    this && means(of_kind, &it.group, &it.kind)
                })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_namespace_that_is_referred_to_says_who_may() {
        let grant = |to: serde_json::Value| -> Vec<Arc<ReferenceGrantView>> {
            let from = json!([{"group": GROUP, "kind": "HTTPRoute", "namespace": "shop"}]);
            let whole = json!({"metadata": {"name": "g", "namespace": "data"}, "spec": {"from": from, "to": to}});
            vec![Arc::new(serde_json::from_value(whole).unwrap())]
        };
        let all = grant(json!([{"group": "", "kind": "Service"}]));
        let one = grant(json!([{"group": "", "kind": "Service", "name": "db"}]));
        let route = (Kind::HttpRoute, "shop");
        assert!(permit(&[], route, (Kind::Service, "shop", "db")), "its own namespace asks nobody");
        assert!(
            permit(&all, route, (Kind::Service, "data", "db")) && permit(&one, route, (Kind::Service, "data", "db"))
        );
        for (grants, from, to) in [
            (&one, route, (Kind::Service, "data", "other")),
            (&all, route, (Kind::Service, "other", "db")),
            (&all, route, (Kind::Secret, "data", "db")),
            (&all, (Kind::Gateway, "shop"), (Kind::Service, "data", "db")),
            (&all, (Kind::HttpRoute, "lab"), (Kind::Service, "data", "db")),
        ] {
            assert!(!permit(grants, from, to), "{from:?} to {to:?}");
        }
    }
}
