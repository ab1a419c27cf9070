//! The types of CEL as [`super::check`] knows them: what a value is, and how much of it there may be.

use cel::common::ast::LiteralValue;
use std::collections::HashMap;
use std::rc::Rc;

/// A type, with the most elements or letters a value may have.
#[derive(Clone, Debug)]
pub enum Type {
    /// Not known.
    Dyn,
    /// `bool`, `int`, `double`, `bytes`, `null_type`, …
    Plain(&'static str),
    /// `string` of at most so many letters.
    Text(u64),
    /// `list` of at most so many.
    List(Rc<Type>, u64),
    /// `map` of at most so many.
    Map(Rc<Type>, u64),
    /// An object whose fields are known, by their escaped names.
    Object(Rc<dyn Fields>),
}

/// The fields of an object.
pub trait Fields: std::fmt::Debug {
    /// The type of a field; `None`: there is no such field.
    fn field(&self, name: &str) -> Option<Type>;
}

impl Type {
    /// As errors name it: `list(string)`.
    pub fn name(&self) -> String {
        match self {
            Type::Dyn => "dyn".into(),
            Type::Plain(name) => (*name).into(),
            Type::Text(_) => "string".into(),
            Type::List(item, _) => format!("list({})", item.name()),
            Type::Map(value, _) => format!("map(string, {})", value.name()),
            Type::Object(_) => "object".into(),
        }
    }

    pub(super) fn is(&self, name: &str) -> bool {
        matches!(self, Type::Dyn) || self.name() == name
    }

    /// The type without what is inside it; `None`: not known.
    pub(super) fn family(&self) -> Option<&'static str> {
        match self {
            Type::Dyn => None,
            Type::Object(_) => Some("object"),
            Type::Plain(name) => Some(name),
            Type::Text(_) => Some("string"),
            Type::List(..) => Some("list"),
            Type::Map(..) => Some("map"),
        }
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Type::Text(max) | Type::List(_, max) | Type::Map(_, max) => *max,
            _ => 1,
        }
    }
}

/// The type of an expression and what it may cost.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What it gives.
    pub kind: Type,
    /// An upper bound.
    pub cost: u64,
}

/// Fields whose types are known.
#[derive(Clone, Debug, Default)]
pub struct Known(pub HashMap<String, Type>);

impl Fields for Known {
    fn field(&self, name: &str) -> Option<Type> {
        self.0.get(name).cloned()
    }
}

/// The type of a value that is written down.
pub(super) fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Plain("bool"),
        LiteralValue::Bytes(_) => Type::Plain("bytes"),
        LiteralValue::Double(_) => Type::Plain("double"),
        LiteralValue::Int(_) => Type::Plain("int"),
        LiteralValue::Null => Type::Plain("null_type"),
        LiteralValue::String(text) => Type::Text(text.inner().chars().count() as u64),
        LiteralValue::UInt(_) => Type::Plain("uint"),
    }
}

/// Whether a name is a type's, or a library's.
pub(super) fn is_type_name(name: &str) -> bool {
    matches!(
        name,
        "bool"
            | "int"
            | "uint"
            | "double"
            | "string"
            | "bytes"
            | "list"
            | "map"
            | "type"
            | "null_type"
            | "optional"
            | "optional_type"
            | "ip"
            | "lists"
            | "base64"
            | "strings"
            | "format"
            | "sets"
            | "dyn"
    )
}
