//! Which objects a list, a watch or a deletecollection means: namespace, labels, fields.

use super::cache::{FieldsOf, Lane, Object};
use super::{convert, kinds};
use crate::api::resource::Resource;
use crate::api::selector::{FieldSelector, FieldTerm, LabelSelector};
use crate::api::status::{Reason, Status};

/// A selection of objects.
pub struct Selection {
    /// Keys begin with this: `namespace/`, or everything.
    pub key_prefix: String,
    labels: LabelSelector,
    fields: FieldSelector,
    fields_of: FieldsOf,
}

impl Selection {
    /// From selector texts.
    ///
    /// # Errors
    /// 400 for a text that is no selector, or a field that the kind does not offer.
    pub fn parse(
        resource: &Resource,
        fields_of: FieldsOf,
        namespace: &str,
        labels: &str,
        fields: &str,
    ) -> Result<Selection, Status> {
        let bad = |error: &dyn std::fmt::Display| Status::new(Reason::BadRequest, error.to_string());
        let labels = LabelSelector::parse(labels).map_err(|error| bad(&error))?;
        let fields = FieldSelector::parse(fields).map_err(|error| bad(&error))?;
        let own = selectable_names(resource);
        for term in fields.terms() {
            let stored = convert::stored_field(resource, &term.field);
            let name = stored.as_str();
            if name == "metadata.name" || (name == "metadata.namespace" && (resource.namespaced() || resource.custom)) {
                continue;
            }
            if own.iter().any(|own| own == name) {
                continue;
            }
            return Err(bad(&unknown_field(resource, &term.field, own.is_empty() && !resource.custom)));
        }
        let fields = fields.renamed(|field| convert::stored_field(resource, field));
        let key_prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        Ok(Selection { key_prefix, labels, fields, fields_of })
    }

    /// Whether every object of the namespace is meant.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The lane of events in which all objects that are meant can be found: the first field of which
    /// one value is demanded.
    pub fn lane(&self) -> Option<Lane> {
        let term = self.fields.terms().iter().find(|term| !term.negated)?;
        Some(Lane { field: term.field.clone(), value: term.value.clone() })
    }

    /// Whether an object is meant.
    pub fn matches(&self, object: &Object) -> bool {
        if !object.key.starts_with(&self.key_prefix) {
            return false;
        }
        let labels = || self.labels.matches_with(|key| object.selectable(&self.fields_of).label(key));
        let holds = |term: &FieldTerm| (object.field(&term.field, &self.fields_of) == term.value) != term.negated;
        let fields = || self.fields.terms().iter().all(holds);
        (self.fields.is_everything() || fields()) && (self.labels.is_everything() || labels())
    }
}

/// Each group's own words.
fn unknown_field(resource: &Resource, name: &str, only_metadata: bool) -> String {
    if only_metadata {
        return format!("{name:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
    }
    match &*resource.group {
        "batch" => format!("field label {name:?} not supported for {}", resource.kind),
        group @ "resource.k8s.io" => {
            format!("field label not supported for {group}/{}, Kind={}: {name}", resource.version, resource.kind)
        }
        _ => format!("field label not supported: {name}"),
    }
}

/// The fields a kind offers besides its name and namespace.
fn selectable_names(resource: &Resource) -> Vec<String> {
    if let Some(definition) = &resource.definition {
        return definition.selectable.iter().map(|field| field.name.clone()).collect();
    }
    kinds::strategy(&resource.group, &resource.kind).selectable_names.iter().map(|name| (*name).to_string()).collect()
}

/// Reads those fields from an object of the resource.
pub fn fields_of(resource: &Resource) -> FieldsOf {
    let strategy = kinds::strategy(&resource.group, &resource.kind);
    std::sync::Arc::new(move |object| {
        (strategy.selectable_fields)(object).into_iter().map(|(name, value)| (name.into(), value)).collect()
    })
}
