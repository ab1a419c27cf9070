//! List and watch of a kind, as a stream of typed events.
//!
//! kube-runtime's watcher lists, watches, resumes and lists again; it is large, and compiled once for each kind
//! that it follows. Fifty kinds are followed here, which made a tenth of the whole program. So it runs over
//! [`Raw`], the JSON text of any object, and the text becomes the kind's own type afterwards.
//!
//! In: a client, what to leave out. Out: events in the order the API server made them; an object that is not
//! what its kind says is a failure among them.

use std::borrow::Cow;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::api::{ApiResource, ObjectMeta};
use kube::core::DynamicResourceScope;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::store::ObjectKey;

/// An object as it was written. Of its metadata only the revision is read: the watcher resumes from it.
#[derive(Clone, Debug)]
struct Raw {
    metadata: ObjectMeta,
    text: Box<RawValue>,
}

#[derive(Deserialize)]
struct Head {
    metadata: Revision,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Revision {
    resource_version: Option<String>,
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(from)?;
        let head: Head = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        let metadata = ObjectMeta { resource_version: head.metadata.resource_version, ..ObjectMeta::default() };
        Ok(Raw { metadata, text })
    }
}

impl Resource for Raw {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;
    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }
    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }
    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }
    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// Follows the objects of a kind in all namespaces, those that `config` asks for. The stream goes on after a
/// failure; whoever reads it decides how long to wait first.
pub fn follow<K>(client: &Client, config: watcher::Config) -> impl Stream<Item = watcher::Result<Event<K>>> + use<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    raw(Api::all_with(client.clone(), &ApiResource::erase::<K>(&())), config).map(|event| typed(event?))
}

/// Follows one object by its name, for who may see no other: a node and its Pods' Secrets. The resource may be any whose
/// objects read as a `K`.
pub fn follow_named<K: DeserializeOwned>(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
) -> impl Stream<Item = watcher::Result<Event<K>>> + use<K> {
    let config = watcher::Config::default().fields(&format!("metadata.name={}", key.name));
    raw(Api::namespaced_with(client.clone(), &key.namespace, resource), config).map(|event| typed(event?))
}

fn raw(api: Api<Raw>, config: watcher::Config) -> BoxStream<'static, watcher::Result<Event<Raw>>> {
    watcher::watcher(api, config).boxed()
}

fn typed<K: DeserializeOwned>(event: Event<Raw>) -> watcher::Result<Event<K>> {
    let object = |raw: Raw| {
        let failed = |why| watcher::Error::WatchFailed(kube::Error::SerdeError(why));
        serde_json::from_str::<K>(raw.text.get()).map_err(failed)
    };
    Ok(match event {
        Event::Apply(raw) => Event::Apply(object(raw)?),
        Event::Delete(raw) => Event::Delete(object(raw)?),
        Event::Init => Event::Init,
        Event::InitApply(raw) => Event::InitApply(object(raw)?),
        Event::InitDone => Event::InitDone,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::WatchEvent;

    fn told(line: &str) -> Raw {
        match serde_json::from_str::<WatchEvent<Raw>>(line).unwrap() {
            WatchEvent::Modified(raw) => raw,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_event_becomes_its_kind() {
        let raw = told(
            r#"{"type":"MODIFIED","object":{"kind":"ConfigMap","metadata":{"name":"m","resourceVersion":"7"},"data":{"a":"b"}}}"#,
        );
        assert_eq!(raw.metadata.resource_version.as_deref(), Some("7"));
        let Event::Apply(map) = typed::<ConfigMap>(Event::Apply(raw)).unwrap() else { panic!() };
        assert_eq!((map.metadata.name.as_deref(), map.data.unwrap()["a"].as_str()), (Some("m"), "b"));
    }

    #[test]
    fn what_is_not_of_its_kind_is_a_failure() {
        let raw = told(r#"{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"7"},"data":[1]}}"#);
        let why = typed::<ConfigMap>(Event::Apply(raw)).unwrap_err().to_string();
        assert!(why.contains("watch"), "{why}");
    }
}
