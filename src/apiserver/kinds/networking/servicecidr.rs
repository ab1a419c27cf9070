//! ServiceCIDR: a range that cluster IPs come from.

use serde_json::Value;

use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::{FieldError, Strategy, check, lifecycle, names};

/// Of ServiceCIDRs.
pub const STRATEGY: Strategy = Strategy {
    defaults: |range, _| lifecycle::with_status(range),
    validate: |range, _| validate(range),
    validate_update: |new, old, _| validate_update(new, old),
    ..Strategy::WITH_STATUS
};

const PATH: &str = "spec.cidrs";

fn validate(range: &Value) -> Vec<FieldError> {
    let list = range.items(PATH);
    let shown = || Value::Array(list.to_vec());
    let mut errors = Vec::new();
    if list.is_empty() {
        errors.push(FieldError::required(PATH, "at least one CIDR required"));
    }
    if list.len() > 2 {
        let all = format!("{{\"CIDRs\":{}}}", shown());
        errors.push(FieldError::invalid_raw(PATH, all, "may only hold up to 2 values"));
        return errors;
    }
    for (index, cidr) in list.iter().enumerate() {
        let text = cidr.as_str().unwrap_or("");
        errors.extend(check::faults(format!("{PATH}[{index}]"), text, names::cidr(text)));
    }
    let six = |cidr: &Value| cidr.as_str().filter(|text| names::cidr(text).is_empty()).map(|text| text.contains(':'));
    if let [one, other] = list
        && six(one).is_some()
        && six(one) == six(other)
    {
        let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.push(FieldError::invalid(PATH, shown(), detail));
    }
    errors
}

/// A range may get a second family; nothing else changes.
fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let (now, was) = (new.items(PATH), old.items(PATH));
    let grows = was.len() == 1 && now.len() == 2;
    if now.len() != was.len() && !grows {
        return vec![FieldError::invalid(PATH, new.at(PATH).clone(), "field is immutable")];
    }
    let changed = now.iter().zip(was).enumerate().filter(|(_, (now, was))| now != was);
    let mut errors: Vec<FieldError> = changed
        .map(|(index, (now, _))| FieldError::invalid(format!("{PATH}[{index}]"), now.clone(), "field is immutable"))
        .collect();
    if grows {
        errors.extend(validate(new));
    }
    errors
}
