//! Namespace: a scope for names. It goes in two steps: `Terminating`, then, once emptied and
//! finalized, gone.

use serde_json::{Value, json};

use crate::api::meta;
use crate::apiserver::kinds::json::{Json, copy, put};
use crate::apiserver::kinds::{Context, FieldError, NameRule, Strategy, Subresource, lifecycle, names};

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
        Subresource { name: "status", prepare: lifecycle::only_status, validate: |_, _, _| Vec::new() },
        Subresource {
            name: "finalize",
            prepare: |new, old, _| copy(new, old, "status"),
            validate: |new, _, _| finalizers(new),
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

fn finalizers(namespace: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for name in namespace.items("spec.finalizers") {
        let name = name.as_str().unwrap_or("");
        for fault in names::qualified_name(name) {
            errors.push(FieldError::invalid("spec.finalizers", name, fault));
        }
        if !name.contains('/') && name != "kubernetes" {
            errors.push(FieldError::invalid(
                "spec.finalizers",
                name,
                "name is neither a standard finalizer name nor is it fully qualified",
            ));
        }
    }
    errors
}
