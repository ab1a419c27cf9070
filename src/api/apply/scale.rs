//! Field ownership between an object and its `scale`: both speak of the same number of replicas.
//!
//! Reading a Scale shows who owns `spec.replicas` of it; writing one moves that ownership back into
//! the object. Source: `k8s.io/apimachinery/pkg/util/managedfields`, scale handler.

use super::managed::{Entry, Managed, ManagerId, Operation};
use super::set::FieldSet;
use super::shape::name_step;
use serde_json::Value;

const SCALE_VERSION: &str = "autoscaling/v1";

fn steps(path: &str) -> Vec<String> {
    path.split('.').filter(|name| !name.is_empty()).map(name_step).collect()
}

fn only(path: &str) -> FieldSet {
    let mut set = FieldSet::default();
    set.insert(&steps(path));
    set
}

/// Gives `scale` the entries of `parent` that own its replicas (`replicas_path`: `.spec.replicas`).
pub fn to_scale(parent: &Value, scale: &mut Value, replicas_path: &str) {
    let path = steps(replicas_path);
    let mut managed = Managed::default();
    for (id, entry) in Managed::decode_or_empty(parent).0 {
        if entry.fields.has(&path) {
            let fields = only(".spec.replicas");
            managed
                .0
                .insert(in_version(id, SCALE_VERSION), Entry { fields, api_version: SCALE_VERSION.into(), ..entry });
        }
    }
    managed.encode_into(scale);
}

/// Gives `parent` the ownership that its written `scale` now shows.
pub fn from_scale(parent: &mut Value, scale: &Value, replicas_path: &str, parent_version: &str) {
    let path = steps(replicas_path);
    let mut scaled = Managed::decode_or_empty(scale);
    let mut managed = Managed::default();
    for (id, mut entry) in Managed::decode_or_empty(parent).0 {
        if entry.fields.has(&path) && scaled.0.remove(&in_version(id.clone(), SCALE_VERSION)).is_none() {
            entry.fields = entry.fields.difference(&only(replicas_path));
        }
        managed.0.insert(id, entry);
    }
    for (id, entry) in scaled.0 {
        if entry.fields.has(&steps(".spec.replicas")) {
            let entry = Entry { fields: only(replicas_path), api_version: parent_version.to_owned(), ..entry };
            managed.0.insert(in_version(id, parent_version), entry);
        }
    }
    managed.drop_empty();
    managed.encode_into(parent);
}

fn in_version(mut id: ManagerId, api_version: &str) -> ManagerId {
    if id.operation == Operation::Update {
        id.api_version = api_version.to_owned();
    }
    id
}
