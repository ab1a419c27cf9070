//! What a template computes with: a JSON value, and what Go would call its type.

use serde_json::Value;

use crate::api::go_words::type_of;

/// A value; `None` for one that is not there.
pub(super) type Found = Option<Operand>;

#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub value: Value,
    from: From,
}

/// Where a value comes from, which is all of its type that JSON does not say.
#[derive(Clone, Copy, Debug, PartialEq)]
enum From {
    /// The object itself, or a value that went through a pipeline.
    Read,
    /// A map's or a list's: Go sees an `interface {}`.
    Inside,
    /// The template made it: its whole numbers are `int`.
    Made,
}

impl Operand {
    pub fn read(value: Value) -> Operand {
        Operand { value, from: From::Read }
    }

    pub fn inside(value: Value) -> Operand {
        Operand { value, from: From::Inside }
    }

    pub fn made(value: Value) -> Operand {
        Operand { value, from: From::Made }
    }

    /// The type as it stands.
    pub fn type_name(&self) -> &'static str {
        if self.from == From::Inside { "interface {}" } else { self.inner_type_name() }
    }

    /// The type of what it holds.
    pub fn inner_type_name(&self) -> &'static str {
        match &self.value {
            Value::Number(number) if self.from == From::Made && !number.is_f64() => "int",
            value => type_of(value),
        }
    }
}

/// What an `interface {}` holds; `None` for nothing.
pub(super) fn bare(found: Found) -> Found {
    match found {
        Some(Operand { value: Value::Null, .. }) | None => None,
        Some(Operand { value, from: From::Inside }) => Some(Operand::read(value)),
        other => other,
    }
}

/// Whether a value counts as true: not zero and not empty.
pub(super) fn truth(found: &Found) -> bool {
    match found.as_ref().map(|one| &one.value) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
    }
}
