//! What a write of a custom object keeps, counts and checks. The same for all of them: what differs
//! is in the resource that the [`Context`] carries.

use serde_json::Value;

use crate::api::custom::{ScalePaths, embedded, lists, rules, value};
use crate::api::names::NameRule;
use crate::api::{go_words, meta, prune};
use crate::apiserver::kinds::{self, Context, FieldError, Strategy, Subresource, lifecycle};

/// Objects without a `status` of their own.
pub static PLAIN: Strategy = Strategy {
    defaults,
    prepare_create: lifecycle::only_generation,
    prepare_update: |new, old, _| count(new, old),
    validate,
    validate_update,
    unconditional_update: false,
    any_finalizer: true,
    ..Strategy::PLAIN
};

/// Objects whose `status` only its subresource writes.
pub static WITH_STATUS: Strategy = Strategy {
    prepare_create: lifecycle::first_generation,
    prepare_update: |new, old, context| {
        lifecycle::keep_status(new, old, context);
        count(new, old);
    },
    subresources: &[Subresource { name: "status", prepare: only_status, validate: validate_status }],
    ..PLAIN
};

fn defaults(object: &mut Value, context: &Context) {
    if let Some(resource) = context.resource {
        prune::default(object, &resource.schema);
    }
    whole_numbers(object);
}

/// `1.0` is written as Go writes it: `1`.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15);
            if let Some(float) = float {
                *value = Value::from(float as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// A change of anything but metadata is a new generation.
fn count(new: &mut Value, old: &Value) {
    let differs = |one: &Value, other: &Value| {
        let fields = one.as_object().into_iter().flatten();
        fields.filter(|(key, _)| *key != "metadata").any(|(key, value)| other.get(key) != Some(value))
    };
    let changed = differs(new, old) || differs(old, new);
    meta::set_generation(new, meta::generation(old) + i64::from(changed));
}

/// Status update: everything else is put back, metadata too; only who owns which field moves on.
fn only_status(new: &mut Value, old: &Value, _: &Context) {
    let mut kept = old.clone();
    if let (Some(kept), Some(new)) = (kept.as_object_mut(), new.as_object_mut()) {
        match new.remove("status") {
            Some(status) => drop(kept.insert("status".into(), status)),
            None => drop(kept.remove("status")),
        }
    }
    match meta::get(new, &["metadata", "managedFields"]) {
        Some(fields) => meta::set(&mut kept, &["metadata", "managedFields"], fields.clone()),
        None => drop(meta::remove(&mut kept, &["metadata", "managedFields"])),
    }
    *new = kept;
}

fn validate(object: &Value, context: &Context) -> Vec<FieldError> {
    check(object, None, "", context)
}

fn validate_update(new: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
    check(new, Some(old), "", context)
}

/// Only `status` is looked at.
fn validate_status(new: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
    check(new, Some(old), "status", context)
}

/// Everything wrong with an object or, on its `status` subresource, with its status.
fn check(object: &Value, old: Option<&Value>, part: &'static str, context: &Context) -> Vec<FieldError> {
    let Some(definition) = context.resource.and_then(|resource| resource.definition.as_deref()) else {
        return Vec::new();
    };
    let mut errors = match part {
        "" => value::validate(&definition.node, object, old, ""),
        part => match (definition.node.field(part), object.get(part)) {
            (Some(node), Some(status)) => value::validate(node, status, old.and_then(|old| old.get(part)), part),
            _ => Vec::new(),
        },
    };
    if let Some(scale) = &definition.scale {
        errors.extend(scale_errors(object, scale, part));
    }
    errors.extend(embedded::validate(&definition.node, object, of_metadata));
    // A list that was no set before may stay as it is.
    if old.is_none_or(|old| lists::duplicates(&definition.node, old).is_empty()) {
        errors.extend(lists::duplicates(&definition.node, object));
    }
    if definition.node.has_rules && rules::blocks(&errors) {
        errors.push(rules::not_asked());
    } else {
        errors.extend(rules::validate(&definition.node, object, old));
    }
    errors
}

/// What is wrong with the metadata of an object inside an object, which needs no name.
fn of_metadata(metadata: &Value) -> Vec<FieldError> {
    let mut object = serde_json::json!({"metadata": metadata});
    if meta::name(&object).is_empty() {
        meta::set_text(&mut object, "name", "fakename");
    }
    let namespaced = !meta::namespace(&object).is_empty();
    kinds::metadata::validate(&object, NameRule::PathSegment, namespaced)
}

/// What rules would say of values that an update leaves as they were: it is told, and does not count.
pub fn ratcheted(new: &Value, old: &Value, context: &Context) -> Vec<String> {
    let Some(definition) = context.resource.and_then(|resource| resource.definition.as_deref()) else {
        return Vec::new();
    };
    if !definition.node.has_rules || rules::blocks(&value::validate(&definition.node, new, Some(old), "")) {
        return Vec::new();
    }
    rules::kept(&definition.node, new, old).iter().map(ToString::to_string).collect()
}

fn scale_errors(object: &Value, scale: &ScalePaths, part: &str) -> Vec<FieldError> {
    let wanted = (part.is_empty()).then_some(&scale.wanted);
    let numbers = wanted.into_iter().chain([&scale.running]).filter_map(|path| {
        let at = format!(".{path}");
        let number = match replicas(object, path) {
            Ok(number) => number?,
            Err(why) => return Some(FieldError::invalid(at, 0, why)),
        };
        if number < 0 {
            return Some(FieldError::invalid(at, number, "should be a non-negative integer"));
        }
        let most = i64::from(i32::MAX);
        (number > most).then(|| FieldError::invalid(at, number, format!("should be less than or equal to {most}")))
    });
    numbers.collect()
}

/// The number at `path`, if there is something. Source: apimachinery, `unstructured.NestedInt64`.
///
/// # Errors
/// What stands there or on the way and is no number, in Go's words.
fn replicas(object: &Value, path: &str) -> Result<Option<i64>, String> {
    let wrong = |path: &str, value: &Value, expected: &str| {
        let (value, found) = (go_words::printed(value), go_words::type_of(value));
        format!(".{path} accessor error: {value} is of the type {found}, expected {expected}")
    };
    let mut here = object;
    let mut walked = 0;
    for step in path.split('.') {
        walked += step.len();
        match here {
            Value::Null => return Ok(None),
            Value::Object(fields) => match fields.get(step) {
                Some(next) => here = next,
                None => return Ok(None),
            },
            other => return Err(wrong(&path[..walked], other, "map[string]interface{}")),
        }
        walked += 1;
    }
    // What is nothing, is said to be nothing by who checks the schema.
    match here {
        Value::Null => Ok(None),
        other => other.as_i64().map(Some).ok_or_else(|| wrong(path, other, "int64")),
    }
}
