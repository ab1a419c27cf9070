//! PodTemplate: a Pod's description, kept for others to copy.

use super::pod::{self, defaults, warnings};
use crate::apiserver::kinds::Strategy;
use crate::apiserver::kinds::json::at_mut;

/// Of PodTemplates.
pub const STRATEGY: Strategy = Strategy {
    defaults: |object, _| {
        if let Some(spec) = at_mut(object, "template.spec") {
            defaults::pod_spec(spec);
        }
    },
    validate: |object, _| pod::validate_template(&object["template"], "template"),
    validate_update: |new, _, _| pod::validate_template(&new["template"], "template"),
    warnings: |new, old| warnings::template(new, old, "template"),
    ..Strategy::WITH_GENERATION
};
