//! Namespace: a scope for names. It goes in two steps: `Terminating`, then, once emptied and
//! finalized, gone.

use serde_json::{Value, json};

use crate::api::meta;
use crate::apiserver::kinds::json::{Json, copy, put};
use crate::apiserver::kinds::{Context, FieldError, NameRule, Strategy, Subresource, check, lifecycle, names};

/// Of Namespaces.
pub const STRATEGY: Strategy = Strategy {
    defaults: |namespace, _| {
        let name = meta::name(namespace).to_string();
        if !name.is_empty() {
            meta::set_label(namespace, "kubernetes.io/metadata.name", &name);
        }
    },
    prepare_create,
    prepare_update: |new, old, _| {
        copy(new, old, "spec.finalizers");
        copy(new, old, "status");
    },
    name: NameRule::Label,
    validate: |namespace, _| finalizers(namespace),
    selectable_fields: |namespace| {
        vec![("status.phase", namespace.text("status.phase").to_string()), ("name", meta::name(namespace).to_string())]
    },
    selectable_names: &["status.phase", "name"],
    subresources: &[
        Subresource { validate: |new, _, _| phase(new).into_iter().collect(), ..lifecycle::STATUS },
        Subresource {
            name: "finalize",
            prepare: |new, old, _| copy(new, old, "status"),
            validate: |new, _, _| {
                let list = new.items("spec.finalizers").iter().enumerate();
                list.flat_map(|(index, name)| finalizer(name, &format!("spec.finalizers[{index}]"))).collect()
            },
        },
    ],
    ..Strategy::PLAIN
};

fn prepare_create(namespace: &mut Value, _: &Context) {
    put(namespace, "status", json!({"phase": "Active"}));
    let mut list = namespace.items("spec.finalizers").to_vec();
    if !list.iter().any(|name| name == "kubernetes") {
        list.push("kubernetes".into());
    }
    put(namespace, "spec.finalizers", list);
}

/// A Namespace is `Active` until it is being deleted, and `Terminating` from then on.
fn phase(namespace: &Value) -> Option<FieldError> {
    let (wanted, when) = if namespace.has("metadata.deletionTimestamp") {
        ("Terminating", "is not empty")
    } else {
        ("Active", "is empty")
    };
    let phase = namespace.text("status.phase");
    let detail = format!("may only be '{wanted}' if `deletionTimestamp` {when}");
    (phase != wanted).then(|| FieldError::invalid("status.Phase", phase, detail))
}

fn finalizers(namespace: &Value) -> Vec<FieldError> {
    namespace.items("spec.finalizers").iter().flat_map(|name| finalizer(name, "spec.finalizers")).collect()
}

fn finalizer(name: &Value, path: &str) -> Vec<FieldError> {
    let name = name.as_str().unwrap_or("");
    let mut errors: Vec<FieldError> = check::faults(path, name, names::qualified_name(name)).collect();
    if !name.contains('/') && !["kubernetes", "orphan", "foregroundDeletion"].contains(&name) {
        errors.push(FieldError::invalid(
            path,
            name,
            "name is neither a standard finalizer name nor is it fully qualified",
        ));
    }
    errors
}
