//! What is particular to each kind: defaults, what a client may set and change, validation,
//! selectable fields, how it dies. One file a kind; everything else is the engine's.
//!
//! In: an object as JSON, already decoded and normalized. Out: the object defaulted and cleaned,
//! or the list of its faults in Kubernetes' words. Nothing here reads the store or knows time
//! other than through [`Context`].

pub mod admissionregistration;
pub mod apiextensions;
pub mod apps;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
pub mod check;
pub mod conditions;
pub mod core;
pub mod json;
pub mod lifecycle;
pub mod metadata;
pub mod networking;
pub mod policy;
pub mod rbac;
#[cfg(test)]
mod replay;
pub mod resource;
pub mod selectors;
pub mod storage;
pub mod system;

pub use crate::api::field_error::{self, ErrorType, FieldError};
pub use crate::api::names;
pub use names::NameRule;

use jiff::Timestamp;
use serde_json::Value;

use self::core::service_addresses::Addresses;
use super::auth::User;
use super::objects::Objects;
use crate::api::resource::Resource;

/// What a strategy may know besides the object.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The time of the request.
    pub now: Timestamp,
    /// Who asks.
    pub user: &'a User,
    /// The API version the object is in (`v1`), which is what its fields mean.
    pub version: &'a str,
    /// The resource; `None` where only the kind matters (tests).
    pub resource: Option<&'a Resource>,
    /// The rest of the cluster.
    pub objects: &'a dyn Objects,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// The object to be came without labels, before there were defaults.
    pub unlabelled: bool,
    /// Addresses and ports for Services.
    pub addresses: &'a Addresses,
}

/// How one subresource (`status`, `resize`, …) takes its part of an update. `scale`, `binding`,
/// `eviction`, `token` have bodies of other kinds and are the engine's.
#[derive(Clone, Copy)]
pub struct Subresource {
    /// `status`, `finalize`, `approval`, `resize`, `ephemeralcontainers`, …
    pub name: &'static str,
    /// Puts back from `old` what this subresource may not change.
    pub prepare: fn(new: &mut Value, old: &Value, context: &Context),
    /// What is wrong with the change.
    pub validate: fn(new: &Value, old: &Value, context: &Context) -> Vec<FieldError>,
}

/// See [`Strategy::allocate`]: the object to be, the object that is, the rest.
pub type Allocate = fn(&mut Value, Option<&Value>, &Context) -> Result<(), Vec<FieldError>>;

/// Everything particular to one kind. All functions are pure.
#[derive(Clone, Copy)]
pub struct Strategy {
    /// Fills in what the client left out; must give the same when run twice.
    pub defaults: fn(&mut Value, &Context),
    /// Drops what a client may not set on create (`status`, …), sets `generation`.
    pub prepare_create: fn(&mut Value, &Context),
    /// Writes what follows from a name that was made just now (`generateName`): the object was prepared without one.
    pub named: fn(&mut Value),
    /// Puts back from `old` what an update may not change (`status`, …), bumps `generation`.
    pub prepare_update: fn(new: &mut Value, old: &Value, context: &Context),
    /// Gives the object what there is only so much of (a Service its address), after defaults
    /// and before validation. `old` is `None` on create.
    pub allocate: Allocate,
    /// What `metadata.name` may be.
    pub name: NameRule,
    /// What is wrong with a new object, besides its metadata: see [`Strategy::check_create`].
    pub validate: fn(&Value, &Context) -> Vec<FieldError>,
    /// What is wrong with a change, besides its metadata: see [`Strategy::check_update`].
    pub validate_update: fn(new: &Value, old: &Value, context: &Context) -> Vec<FieldError>,
    /// `Warning` headers for a create, whatever becomes of it: of the object before `prepare_create`.
    pub early_warnings: fn(&Value) -> Vec<String>,
    /// `Warning` headers for a create (`old` is `None`) or an update.
    pub warnings: fn(new: &Value, old: Option<&Value>) -> Vec<String>,
    /// Fields that a field selector may name, besides `metadata.name` and `metadata.namespace`
    /// (which every kind has), with their values.
    pub selectable_fields: fn(&Value) -> Vec<(&'static str, String)>,
    /// Their names, to refuse others.
    pub selectable_names: &'static [&'static str],
    /// Subresources that write the same kind.
    pub subresources: &'static [Subresource],
    /// The grace period of a delete in seconds: given what the request asks for, what this kind
    /// grants; 0 is "now". Only Pods wait.
    pub grace_seconds: fn(&Value, asked: Option<i64>) -> i64,
    /// Why the object of this name cannot be deleted, where it cannot. One that goes with its collection is not asked.
    pub kept: fn(&str) -> Option<&'static str>,
    /// What a delete request adds to an object that is not yet marked as deleted.
    pub prepare_delete: fn(&mut Value, &Context),
    /// A `PUT` to a name that does not exist creates it.
    pub create_on_update: bool,
    /// An update without `metadata.resourceVersion` is allowed.
    pub unconditional_update: bool,
    /// A finalizer needs no domain.
    pub any_finalizer: bool,
    /// An update is judged as a new object would be, down to `metadata.generateName`.
    pub whole_again: bool,
    /// Metadata is judged once nothing else is wrong, and then by what a path can hold.
    pub metadata_last: fn(&Context) -> bool,
    /// A name's beginning is not judged.
    pub any_generate_name: bool,
    /// The field of which a new generation counts also what came empty and was not there, where there is one.
    pub exact: &'static str,
    /// The field whose bytes are compared, where there is one.
    pub raw: &'static str,
}

impl Strategy {
    /// A kind with nothing particular.
    pub const PLAIN: Strategy = Strategy {
        defaults: |_, _| {},
        prepare_create: |_, _| {},
        named: |_| {},
        prepare_update: |_, _, _| {},
        allocate: |_, _, _| Ok(()),
        name: NameRule::Subdomain,
        validate: |_, _| Vec::new(),
        validate_update: |_, _, _| Vec::new(),
        early_warnings: |_| Vec::new(),
        warnings: |_, _| Vec::new(),
        selectable_fields: |_| Vec::new(),
        selectable_names: &[],
        subresources: &[],
        grace_seconds: |_, _| 0,
        kept: |_| None,
        prepare_delete: |_, _| {},
        create_on_update: false,
        unconditional_update: true,
        any_finalizer: false,
        whole_again: false,
        metadata_last: |_| false,
        any_generate_name: false,
        exact: "",
        raw: "",
    };

    /// A kind with a `status` that only its subresource writes.
    pub const WITH_STATUS: Strategy = Strategy {
        prepare_create: lifecycle::drop_status,
        prepare_update: lifecycle::keep_status,
        subresources: &[lifecycle::STATUS],
        ..Strategy::PLAIN
    };

    /// As [`Strategy::WITH_STATUS`], with `metadata.generation`.
    pub const WITH_STATUS_AND_GENERATION: Strategy = Strategy {
        prepare_create: lifecycle::first_generation,
        prepare_update: lifecycle::keep_status_and_count,
        subresources: &[lifecycle::STATUS],
        ..Strategy::PLAIN
    };

    /// A kind without `status`, with `metadata.generation`.
    pub const WITH_GENERATION: Strategy = Strategy {
        prepare_create: lifecycle::only_generation,
        prepare_update: lifecycle::count_generation,
        ..Strategy::PLAIN
    };

    /// Everything wrong with a new object.
    pub fn check_create(&self, object: &Value, namespaced: bool, context: &Context) -> Vec<FieldError> {
        if (self.metadata_last)(context) {
            let errors = (self.validate)(object, context);
            if !errors.is_empty() {
                return errors;
            }
            let mut errors = metadata::validate(object, NameRule::PathSegment, namespaced);
            self.let_finalizers(&mut errors);
            return errors;
        }
        let mut errors = metadata::validate(object, self.name, namespaced);
        self.let_finalizers(&mut errors);
        if self.any_generate_name {
            errors.retain(|error| error.field != "metadata.generateName");
        }
        errors.extend((self.validate)(object, context));
        errors
    }

    /// Everything wrong with a change.
    pub fn check_update(&self, new: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
        let mut errors = metadata::validate_update(new, old);
        if self.whole_again {
            errors.extend(metadata::generate_name(new, self.name));
        }
        self.let_finalizers(&mut errors);
        errors.extend((self.validate_update)(new, old, context));
        errors
    }

    /// Only the kinds of Kubernetes' core know the finalizers without a domain.
    fn let_finalizers(&self, errors: &mut Vec<FieldError>) {
        if self.any_finalizer {
            errors.retain(|error| !error.field.starts_with("metadata.finalizers["));
        }
    }

    /// The named subresource, if this kind has it.
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|sub| sub.name == name)
    }
}

static PLAIN: Strategy = Strategy::PLAIN;

/// The strategy of a built-in kind; a kind without one (custom resources too) is
/// [`Strategy::PLAIN`].
pub fn strategy(group: &str, kind: &str) -> &'static Strategy {
    let found = match group {
        "" => core::strategy(kind),
        "apps" => apps::strategy(kind),
        "batch" => batch::strategy(kind),
        "autoscaling" => autoscaling::strategy(kind),
        "policy" => policy::strategy(kind),
        "networking.k8s.io" => networking::strategy(kind),
        "rbac.authorization.k8s.io" => rbac::strategy(kind),
        "storage.k8s.io" => storage::strategy(kind),
        "certificates.k8s.io" => certificates::strategy(kind),
        "admissionregistration.k8s.io" => admissionregistration::strategy(kind),
        "apiextensions.k8s.io" => apiextensions::strategy(kind),
        "resource.k8s.io" => resource::strategy(kind),
        "discovery.k8s.io"
        | "events.k8s.io"
        | "coordination.k8s.io"
        | "scheduling.k8s.io"
        | "node.k8s.io"
        | "apiregistration.k8s.io"
        | "flowcontrol.apiserver.k8s.io"
        | "storagemigration.k8s.io" => system::strategy(kind),
        _ => None,
    };
    found.unwrap_or(&PLAIN)
}
