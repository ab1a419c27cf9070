//! Metadata as loops read it: without the record of who owns which field.
//!
//! `managedFields` is a third of an object, and no loop looks at it: reading past it is cheaper than
//! building it for each informer and dropping it again. For `#[serde(deserialize_with)]` in views.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::api::ObjectMeta;
use serde::{Deserialize, Deserializer};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Slim {
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    generate_name: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    name: Option<String>,
    namespace: Option<String>,
    owner_references: Option<Vec<OwnerReference>>,
    resource_version: Option<String>,
    uid: Option<String>,
}

/// Reads an object's metadata without `managedFields` and `selfLink`.
///
/// # Errors
/// When it is no metadata.
pub fn metadata<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    let slim = Slim::deserialize(from)?;
    Ok(ObjectMeta {
        annotations: slim.annotations,
        creation_timestamp: slim.creation_timestamp,
        deletion_grace_period_seconds: slim.deletion_grace_period_seconds,
        deletion_timestamp: slim.deletion_timestamp,
        finalizers: slim.finalizers,
        generate_name: slim.generate_name,
        generation: slim.generation,
        labels: slim.labels,
        managed_fields: None,
        name: slim.name,
        namespace: slim.namespace,
        owner_references: slim.owner_references,
        resource_version: slim.resource_version,
        self_link: None,
        uid: slim.uid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_but_the_owners_of_fields_is_read() {
        let full = json!({
            "name": "a", "generateName": "g-", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
            "deletionGracePeriodSeconds": 30, "labels": {"l": "1"}, "annotations": {"a": "2"}, "finalizers": ["f"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "o", "uid": "x", "controller": true}],
            "managedFields": [{"manager": "m", "operation": "Update", "fieldsV1": {"f:a": {}}}],
        });
        let mut expected: ObjectMeta = serde_json::from_value(full.clone()).unwrap();
        expected.managed_fields = None;
        assert_eq!(metadata(full).unwrap(), expected);
        assert_eq!(metadata(json!({"labels": null})).unwrap(), ObjectMeta::default());
    }
}
