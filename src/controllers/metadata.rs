//! The metadata of objects of any kind, known only by discovery.
//!
//! Comes in: a resource's name. Goes out: an informer of `PartialObjectMetadata`, without what only
//! people and the API server read. The garbage collector and the quota loop use it.

use std::borrow::Cow;

use futures::StreamExt;
use kube::api::{ApiResource, ObjectMeta};
use kube::core::DynamicResourceScope;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::Deserialize;

use crate::client::{Informer, Watched};
use crate::clock::Clock;
use crate::tasks::TaskGroup;

/// The metadata of any object.
#[derive(Clone, Debug, Deserialize)]
pub struct Meta {
    /// It.
    #[serde(default)]
    #[serde(deserialize_with = "crate::client::slim::metadata")]
    pub metadata: ObjectMeta,
}

impl Resource for Meta {
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
    /// Lists and watches ask for `PartialObjectMetadata`.
    fn metadata_api() -> bool {
        true
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Watched for Meta {}

/// Follows all objects of a resource, for as long as `tasks` runs.
pub fn follow(client: &Client, resource: &ApiResource, clock: Clock, tasks: &TaskGroup) -> Informer<Meta> {
    let api: Api<Meta> = Api::all_with(client.clone(), resource);
    let stream = watcher::watcher(api, watcher::Config::default());
    Informer::over(stream.map(|event| event.map(|event| event.modify(forget_the_rest))), clock, tasks)
}

/// Names, owners and finalizers are what is needed.
fn forget_the_rest(object: &mut Meta) {
    object.metadata.labels = None;
    object.metadata.annotations = None;
    object.metadata.managed_fields = None;
}
