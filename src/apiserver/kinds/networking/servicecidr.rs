//! ServiceCIDR: a range that cluster IPs come from.

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata::immutable;
use crate::apiserver::kinds::{FieldError, Strategy, lifecycle, names};

/// Of ServiceCIDRs.
pub const STRATEGY: Strategy = Strategy {
    defaults: |range, _| lifecycle::with_status(range),
    validate: |range, _| {
        let list = range.items("spec.cidrs");
        let mut errors = Vec::new();
        if list.is_empty() {
            errors.push(FieldError::required("spec.cidrs", "at least one CIDR required"));
        }
        for (index, cidr) in list.iter().enumerate() {
            let text = cidr.as_str().unwrap_or("");
            for fault in names::cidr(text) {
                errors.push(FieldError::invalid(format!("spec.cidrs[{index}]"), text, fault));
            }
        }
        errors
    },
    validate_update: |new, old, _| immutable(new, old, "spec.cidrs").into_iter().collect(),
    ..Strategy::WITH_STATUS
};
