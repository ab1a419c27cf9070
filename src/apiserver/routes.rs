//! Which paths lead somewhere, and which methods they take: 404 where no route is, 405 where one is for others.
//!
//! In: a resource and what a request's path says. Out: nothing, or the error. Never looks at objects.

use http::Method;

use super::catalog::List;
use super::engine::{bad_request, not_allowed, not_served};
use super::request::RequestInfo;
use crate::api::resource::Resource;
use crate::api::status::{Details, Reason, Status};

/// Parts of objects, and answers to questions, that have no Table.
const NO_TABLE: [(&str, &str); 11] = [
    ("apiservices", "status"),
    ("bindings", ""),
    ("certificatesigningrequests", "approval"),
    ("customresourcedefinitions", "status"),
    ("devicetaintrules", "status"),
    ("pods", "binding"),
    ("pods", "ephemeralcontainers"),
    ("pods", "eviction"),
    ("pods", "resize"),
    ("resourceclaims", "status"),
    ("serviceaccounts", "token"),
];

/// Whether what the path names cannot be shown as a Table.
pub fn has_no_table(info: &RequestInfo) -> bool {
    NO_TABLE.contains(&(info.resource.as_str(), info.subresource.as_str()))
}

/// Whether a group is our own: whatever is below its path is then told in the API's words.
pub fn is_own_group(served: &List, group: &str) -> bool {
    group.is_empty() || served.all().iter().any(|resource| !resource.custom && *resource.group == *group)
}

/// Whether the path of a custom resource has a namespace where none belongs, or none where one does: nobody
/// answers there.
pub fn is_no_page(resource: &Resource, info: &RequestInfo) -> bool {
    let across = matches!(info.verb, "list" | "watch") && info.namespace.is_empty();
    is_misplaced(resource, info) && !(resource.namespaced() && across)
}

/// Custom resources have no routes: what a request asks for is told from its verb alone.
fn check_custom(resource: &Resource, info: &RequestInfo) -> Result<(), Status> {
    if !info.subresource.is_empty() && resource.subresource(&info.subresource).is_none() {
        return Err(Status::not_found(&resource.group, &resource.plural, &info.name));
    }
    let verbs = resource.subresource(&info.subresource).map_or(&resource.verbs, |sub| &sub.verbs);
    if !verbs.iter().any(|verb| &**verb == info.verb) {
        let group_resource = resource.group_resource();
        let message = format!("{} is not supported on resources of kind {group_resource:?}", info.verb);
        return Err(Status::new(Reason::MethodNotAllowed, message).details(Details {
            group: resource.group.to_string(),
            kind: resource.plural.to_string(),
            ..Details::default()
        }));
    }
    if matches!(info.verb, "update" | "patch") && info.name.is_empty() {
        return Err(bad_request("name must be provided"));
    }
    Ok(())
}

/// A route leads to the path, and takes the method.
///
/// # Errors
/// 404, 405.
pub fn check(resource: &Resource, info: &RequestInfo, method: &Method) -> Result<(), Status> {
    if resource.custom {
        return check_custom(resource, info);
    }
    let usual = matches!(*method, Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE);
    let allows = |verbs: &[&str]| verbs.iter().any(|verb| resource.allows(verb));
    let rest = info.rest.trim_matches('/');
    if !info.subresource.is_empty() {
        let sub = resource.subresource(&info.subresource).ok_or_else(not_served)?;
        let proxy = &*sub.name == "proxy";
        if is_misplaced(resource, info) || (!rest.is_empty() && !proxy) || info.watch_path {
            return Err(not_served());
        }
        let passes_on = proxy && (usual || matches!(*method, Method::HEAD | Method::OPTIONS));
        let takes = usual && sub.verbs.iter().any(|verb| &**verb == info.verb);
        return if passes_on || takes { Ok(()) } else { Err(not_allowed()) };
    }
    let across = resource.namespaced() && info.namespace.is_empty();
    let (there, takes) = match (info.named, info.watch_path) {
        (named, true) => (allows(&["watch"]) && !(named && across), *method == Method::GET),
        (true, false) => {
            let reads = matches!(info.verb, "get" | "update" | "patch" | "delete");
            (allows(&["get", "update", "patch", "delete"]) && !across, reads && resource.allows(info.verb))
        }
        // What lies in all namespaces is there to be read, not to be written to.
        (false, false) if across => {
            (allows(&["list"]), matches!(info.verb, "list" | "watch") && resource.allows(info.verb))
        }
        (false, false) => {
            let whole = matches!(info.verb, "list" | "watch" | "create" | "deletecollection");
            (allows(&["list", "create", "deletecollection"]), whole && resource.allows(info.verb))
        }
    };
    let strange = !resource.namespaced() && is_misplaced(resource, info);
    if !there || strange {
        return Err(not_served());
    }
    if usual && takes { Ok(()) } else { Err(not_allowed()) }
}

/// Whether the path names a namespace where none belongs, or none where one does.
fn is_misplaced(resource: &Resource, info: &RequestInfo) -> bool {
    let own_namespace = &*info.resource == "namespaces" && info.namespace == info.name;
    match resource.namespaced() {
        true => info.namespace.is_empty(),
        false => !info.namespace.is_empty() && !own_namespace,
    }
}
