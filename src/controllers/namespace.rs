//! Namespaces: a namespace that is being deleted is emptied, then let go.
//!
//! Comes in: Namespaces. Goes out: one deletecollection for each namespaced resource that discovery
//! names (custom ones too), conditions that say what is left, and at the end `finalize` without the
//! finalizer `kubernetes`. Not a pure loop: what is left is learned by listing. Source:
//! kube-controller-manager, pkg/controller/namespace/deletion.
//! Chapter: `book/src/control-plane/kube-controller-manager.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PartialObjectMeta};
use kube::discovery::Discovery;
use kube::{Api, Client};

use super::plan::Action;
use super::runner::{Room, send, text};
use crate::client::cause;

/// Source: --concurrent-namespace-syncs.
const WORKERS: usize = 10;
/// Between two looks at what still ends gracefully. Source: namespaced_resources_deleter.go
/// estimates each Pod's grace; a watch wakes nobody here, as any kind may be the last.
const RETRY: Duration = Duration::from_secs(1);
/// The finalizer that this loop removes.
const FINALIZER: &str = "kubernetes";

/// Pods, as what is left is told.
const PODS: &str = "pods.";

/// The namespace is not being deleted.
pub fn is_active(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    namespace.metadata.deletion_timestamp.is_none() && phase != Some("Terminating")
}

/// Starts the loop.
pub fn start(room: Room) {
    let namespaces = room.informer::<Namespace>();
    room.wake_self(&namespaces);
    let (client, clock) = (room.client.clone(), room.clock);
    room.run_async("namespace-controller", WORKERS, move |key, causes| {
        let namespace = namespaces.get(&key).filter(|namespace| namespace.metadata.deletion_timestamp.is_some());
        let client = cause::with(&client, &causes);
        async move {
            match namespace {
                Some(namespace) => match as_it_is(&client, &namespace).await? {
                    Some(namespace) => empty(&client, &namespace, clock.now()).await,
                    None => Ok(None),
                },
                None => Ok(None),
            }
        }
    });
}

/// The namespace as the API server has it now. `None` when it is gone or made anew: the copy that
/// woke the loop may be old, and the content would be another namespace's.
async fn as_it_is(client: &Client, seen: &Namespace) -> Result<Option<Namespace>, String> {
    let name = seen.metadata.name.as_deref().unwrap_or_default();
    let now = Api::<Namespace>::all(client.clone()).get_opt(name).await.map_err(|error| text(&error))?;
    Ok(now.filter(|now| now.metadata.uid == seen.metadata.uid && now.metadata.deletion_timestamp.is_some()))
}

/// What is left in a namespace.
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    /// Objects by resource (`pods.`), in the order of their names.
    objects: BTreeMap<String, usize>,
    /// Objects by finalizer.
    finalizers: BTreeMap<String, usize>,
    /// Why discovery failed.
    discovery: Option<String>,
    /// Why content could not be deleted.
    deletion: Option<String>,
}

impl Left {
    fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.discovery.is_none() && self.deletion.is_none()
    }
}

async fn empty(client: &Client, namespace: &Namespace, now: Timestamp) -> Result<Option<Duration>, String> {
    let name = namespace.metadata.name.as_deref().unwrap_or_default();
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default();
    if finalizers.is_empty() {
        return Ok(None);
    }
    let left = delete_all(client, name).await;
    let mut next = namespace.clone();
    let status = next.status.get_or_insert_default();
    status.phase = Some("Terminating".into());
    status.conditions = Some(conditions(status.conditions.as_deref().unwrap_or_default(), &left, now));
    if next.status != namespace.status {
        let answer = send(client, &Action::update_sub(&next, "status")).await.map_err(|error| text(&error))?;
        next.metadata.resource_version = answer["metadata"]["resourceVersion"].as_str().map(str::to_owned);
    }
    if !left.is_empty() {
        return Ok(Some(RETRY));
    }
    next.spec.get_or_insert_default().finalizers =
        Some(finalizers.into_iter().filter(|finalizer| finalizer != FINALIZER).collect());
    match send(client, &Action::update_sub(&next, "finalize")).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(error) => Err(text(&error)),
    }
}

/// Asks for the deletion of everything, then counts what is still there. Pods go first: as long as
/// one of them runs, what it uses (a policy that guards it, a Secret) stays. With them go Jobs: one that
/// waits to make a failed Pod anew, which it cannot here, keeps that Pod for ever.
async fn delete_all(client: &Client, namespace: &str) -> Left {
    let mut left = Left::default();
    let mut resources = match namespaced(client).await {
        Ok(resources) => resources,
        Err(error) => {
            left.discovery = Some(text(&error));
            return left;
        }
    };
    resources.sort_by_key(|resource| (!is_pods(resource), !is_jobs(resource)));
    for resource in resources {
        if left.objects.contains_key(PODS) && !is_jobs(&resource) {
            break;
        }
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let options = DeleteParams::background();
        let result = match api.delete_collection(&options, &ListParams::default()).await {
            Ok(_) => api.list_metadata(&ListParams::default()).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(list) => note(&mut left, &resource, &list.items),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 405 => {}
            Err(error) => left.deletion = Some(text(&error)),
        }
    }
    left
}

fn is_pods(resource: &ApiResource) -> bool {
    resource.plural == "pods" && resource.group.is_empty()
}

fn is_jobs(resource: &ApiResource) -> bool {
    resource.plural == "jobs" && resource.group == "batch"
}

fn note(left: &mut Left, resource: &ApiResource, items: &[PartialObjectMeta<DynamicObject>]) {
    if items.is_empty() {
        return;
    }
    left.objects.insert(format!("{}.{}", resource.plural, resource.group), items.len());
    for finalizer in items.iter().flat_map(|item| item.metadata.finalizers.iter().flatten()) {
        *left.finalizers.entry(finalizer.clone()).or_default() += 1;
    }
}

/// Every namespaced resource that can be listed and deleted, as discovery says now.
async fn namespaced(client: &Client) -> kube::Result<Vec<ApiResource>> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let all = discovery.groups().flat_map(|group| group.resources_by_stability());
    let deletable = all.filter(|(_, capabilities)| {
        let can = |verb: &str| capabilities.operations.iter().any(|known| known == verb);
        matches!(capabilities.scope, kube::discovery::Scope::Namespaced) && can("list") && can("deletecollection")
    });
    Ok(deletable.map(|(resource, _)| resource).collect())
}

/// The five conditions of a namespace that is being deleted. Source: deletion/status_condition_utils.go.
fn conditions(old: &[NamespaceCondition], left: &Left, now: Timestamp) -> Vec<NamespaceCondition> {
    let counts = |what: &BTreeMap<String, usize>, of: &str| {
        let each: Vec<_> = what.iter().map(|(name, count)| format!("{name} {of} {count} resource instances")).collect();
        each.join(", ")
    };
    let remaining =
        (!left.objects.is_empty()).then(|| format!("Some resources are remaining: {}", counts(&left.objects, "has")));
    let waiting = (!left.finalizers.is_empty())
        .then(|| format!("Some content in the namespace has finalizers remaining: {}", counts(&left.finalizers, "in")));
    let all = [
        (
            "NamespaceDeletionDiscoveryFailure",
            left.discovery.clone(),
            "DiscoveryFailed",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            None,
            "GroupVersionParsingFailed",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            left.deletion.clone(),
            "ContentDeletionFailed",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        (
            "NamespaceContentRemaining",
            remaining,
            "SomeResourcesRemain",
            "ContentRemoved",
            "All content successfully removed",
        ),
        (
            "NamespaceFinalizersRemaining",
            waiting,
            "SomeFinalizersRemain",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    ];
    let make = |(type_, problem, bad, good, words): (&str, Option<String>, &str, &str, &str)| {
        let status = if problem.is_some() { "True" } else { "False" };
        let reason = if problem.is_some() { bad } else { good };
        let message = problem.unwrap_or_else(|| words.to_owned());
        let known = old.iter().find(|condition| condition.type_ == type_);
        let since = known.filter(|k| k.status == status).and_then(|k| k.last_transition_time.clone());
        NamespaceCondition {
            type_: type_.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message),
            last_transition_time: since.or(Some(Time(now))),
        }
    };
    all.into_iter().map(make).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_in_kubernetes_words() {
        let left = Left {
            objects: BTreeMap::from([("pods.".into(), 2)]),
            finalizers: BTreeMap::from([("example.com/hold".into(), 1)]),
            ..Left::default()
        };
        let conditions = conditions(&[], &left, Timestamp::UNIX_EPOCH);
        let messages: Vec<_> = conditions.iter().map(|c| c.message.as_deref().unwrap()).collect();
        assert_eq!(messages[3], "Some resources are remaining: pods. has 2 resource instances");
        assert_eq!(
            messages[4],
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
        );
        assert_eq!(conditions[0].status, "False");
    }
}
