//! The types of CEL: what a value is, how types are written, and which fit where.
//!
//! In: types with holes in them (`Param`). Out: whether one can stand for another, and what the holes are
//! then. Source: cel-go, `checker/types.go`, `common/types`.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Anything: told when it runs.
    Dyn,
    /// Of a part that is wrong, about which enough has been said.
    Error,
    /// `null`
    Null,
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `uint`
    Uint,
    /// `double`
    Double,
    /// `string`
    Text,
    /// `bytes`
    Bytes,
    /// `google.protobuf.Timestamp`
    Timestamp,
    /// `google.protobuf.Duration`
    Duration,
    /// `list(…)`
    List(Arc<Type>),
    /// `map(key, value)`
    Map(Arc<Type>, Arc<Type>),
    /// A type as a value: `type(int)`.
    Kind(Option<Arc<Type>>),
    /// A hole: of a declaration (a letter) or of this expression (from [`FIRST_HOLE`] on).
    Param(u32),
    /// `optional_type(…)`, `net.IP`: what is inside cannot be selected.
    Opaque(Arc<str>, Vec<Type>),
    /// An object with named fields.
    Struct(Struct),
}

/// The first hole that is an expression's own.
pub(super) const FIRST_HOLE: u32 = 1000;

/// An object's type, known by its name.
#[derive(Clone, Debug)]
pub struct Struct {
    /// As errors call it.
    pub name: Arc<str>,
    /// Its fields; `None`: nobody knows the type's inside.
    pub fields: Option<Arc<dyn Fields>>,
}

impl PartialEq for Struct {
    fn eq(&self, other: &Struct) -> bool {
        self.name == other.name
    }
}

/// The fields of an object.
pub trait Fields: fmt::Debug + Send + Sync {
    /// The type of a field, by its escaped name; `None`: there is no such field.
    fn field(&self, name: &str) -> Option<Declared>;
}

/// A type, and how much of it there may be: letters, elements, entries.
#[derive(Clone, Debug)]
pub struct Declared {
    /// What it is.
    pub kind: Type,
    /// The most.
    pub most: u64,
    /// Of a list or a map: what is in it.
    pub inside: Option<Arc<Declared>>,
}

impl Declared {
    /// A value of a plain type.
    pub fn plain(kind: Type) -> Declared {
        Declared { kind, most: 0, inside: None }
    }

    /// A value with so many letters.
    pub fn sized(kind: Type, most: u64) -> Declared {
        Declared { kind, most, inside: None }
    }

    /// A list.
    pub fn list(item: Declared, most: u64) -> Declared {
        Declared { kind: Type::list(item.kind.clone()), most, inside: Some(Arc::new(item)) }
    }

    /// A map with texts as keys.
    pub fn map(value: Declared, most: u64) -> Declared {
        let kind = Type::Map(Arc::new(Type::Text), Arc::new(value.kind.clone()));
        Declared { kind, most, inside: Some(Arc::new(value)) }
    }

    /// An object.
    pub fn object(name: impl Into<Arc<str>>, fields: impl Fields + 'static) -> Declared {
        Declared::plain(Type::Struct(Struct { name: name.into(), fields: Some(Arc::new(fields)) }))
    }
}

/// Fields whose types are known.
#[derive(Clone, Debug, Default)]
pub struct Known(pub HashMap<String, Declared>);

impl Fields for Known {
    fn field(&self, name: &str) -> Option<Declared> {
        self.0.get(name).cloned()
    }
}

impl Type {
    /// `list(item)`
    pub fn list(item: Type) -> Type {
        Type::List(Arc::new(item))
    }

    /// `optional_type(inner)`
    pub(super) fn optional(inner: Type) -> Type {
        Type::Opaque("optional_type".into(), vec![inner])
    }

    /// What an optional value may hold.
    pub(super) fn unwrapped(&self) -> Option<&Type> {
        match self {
            Type::Opaque(name, inner) if &**name == "optional_type" => inner.first(),
            _ => None,
        }
    }

    pub(super) fn is_loose(&self) -> bool {
        matches!(self, Type::Dyn | Type::Error)
    }

    /// The types inside this one.
    pub(super) fn inner(&self) -> Vec<&Type> {
        match self {
            Type::List(item) => vec![item],
            Type::Map(key, value) => vec![key, value],
            Type::Kind(Some(of)) => vec![of],
            Type::Opaque(_, inner) => inner.iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Reads `list(string)`, `map(K, V)`, `optional_type(T)`, `net.IP`; one capital letter is a hole.
    pub fn read(text: &str) -> Type {
        let (name, inner) = match text.split_once('(') {
            Some((name, inner)) => (name, inner.strip_suffix(')').unwrap_or(inner)),
            None => (text, ""),
        };
        let inside = || Arc::new(Type::read(inner));
        match name {
            "dyn" => Type::Dyn,
            "null" => Type::Null,
            "bool" => Type::Bool,
            "int" => Type::Int,
            "uint" => Type::Uint,
            "double" => Type::Double,
            "string" => Type::Text,
            "bytes" => Type::Bytes,
            "timestamp" => Type::Timestamp,
            "duration" => Type::Duration,
            "list" => Type::List(inside()),
            "type" => Type::Kind((!inner.is_empty()).then(inside)),
            "map" => {
                let (key, value) = inner.split_once(", ").unwrap_or((inner, "dyn"));
                Type::Map(Arc::new(Type::read(key)), Arc::new(Type::read(value)))
            }
            "optional_type" => Type::optional(Type::read(inner)),
            name if name.starts_with("net.") => Type::Opaque(name.into(), Vec::new()),
            name if name.len() == 1 => Type::Param(name.bytes().next().map_or(0, u32::from)),
            name => Type::Struct(Struct { name: name.into(), fields: None }),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = match self {
            Type::Dyn => "dyn",
            Type::Error => "!error!",
            Type::Null => "null",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::Text => "string",
            Type::Bytes => "bytes",
            Type::Timestamp => "timestamp",
            Type::Duration => "duration",
            Type::List(_) => "list",
            Type::Map(..) => "map",
            Type::Kind(_) => "type",
            Type::Param(hole) => return write!(out, "_var{}", hole.saturating_sub(FIRST_HOLE)),
            Type::Opaque(name, _) => name,
            Type::Struct(of) => &of.name,
        };
        out.write_str(plain)?;
        let inner: Vec<String> = self.inner().iter().map(ToString::to_string).collect();
        if inner.is_empty() { Ok(()) } else { write!(out, "({})", inner.join(", ")) }
    }
}

/// What holes stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Holes {
    filled: HashMap<u32, Type>,
    made: u32,
}

impl Holes {
    /// A hole that nothing is known of yet.
    pub fn fresh(&mut self) -> Type {
        self.made += 1;
        Type::Param(FIRST_HOLE + self.made - 1)
    }

    /// A declaration's types with holes of this expression in the places of its letters.
    pub fn instance(&mut self, declared: &[Type]) -> Vec<Type> {
        let mut own = HashMap::new();
        declared.iter().map(|kind| self.replaced(kind, &mut own)).collect()
    }

    fn replaced(&mut self, kind: &Type, own: &mut HashMap<u32, Type>) -> Type {
        match kind {
            Type::Param(letter) => own.entry(*letter).or_insert_with(|| self.fresh()).clone(),
            other => rebuilt(other, &mut |inner| self.replaced(inner, own)),
        }
    }

    /// The type with its holes filled as far as is known; `at_last`: the others are `dyn`.
    pub fn fill(&self, kind: &Type, at_last: bool) -> Type {
        match kind {
            Type::Param(hole) => match self.filled.get(hole) {
                Some(known) => self.fill(known, at_last),
                None if at_last => Type::Dyn,
                None => kind.clone(),
            },
            other => rebuilt(other, &mut |inner| self.fill(inner, at_last)),
        }
    }

    /// Whether each of `given` can stand where `wanted` is asked for. Holes are filled only if all can.
    pub fn take(&mut self, given: &[Type], wanted: &[Type]) -> bool {
        let before = self.filled.clone();
        let fits = self.all_fit(given, wanted);
        if !fits {
            self.filled = before;
        }
        fits
    }

    fn all_fit(&mut self, one: &[Type], other: &[Type]) -> bool {
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| self.fits(one, other))
    }

    fn fits(&mut self, one: &Type, other: &Type) -> bool {
        if let Type::Param(_) = other {
            let (valid, known) = self.stands_for(one, other);
            if valid || known {
                return valid;
            }
        }
        if let Type::Param(_) = one {
            return self.stands_for(other, one).0;
        }
        if one.is_loose() || other.is_loose() {
            return true;
        }
        match (one, other) {
            (Type::Null, kind) | (kind, Type::Null) => {
                matches!(kind, Type::Null | Type::Opaque(..) | Type::Struct(_) | Type::Duration | Type::Timestamp)
            }
            (Type::Kind(_), Type::Kind(_)) => true,
            (Type::List(a), Type::List(b)) => self.fits(a, b),
            (Type::Map(a, b), Type::Map(c, d)) => self.fits(a, c) && self.fits(b, d),
            (Type::Opaque(a, inner), Type::Opaque(b, others)) => a == b && self.all_fit(inner, others),
            (one, other) => one == other,
        }
    }

    /// Whether `kind` is what `hole` stands for, or can be; and whether it stood for something.
    fn stands_for(&mut self, kind: &Type, hole: &Type) -> (bool, bool) {
        if kind == hole {
            return (true, true);
        }
        let Type::Param(number) = hole else { return (false, false) };
        if let Some(known) = self.filled.get(number).cloned() {
            if *kind == known {
                return (true, true);
            }
            if !self.fits(kind, &known) {
                return (false, true);
            }
            let general = most_general(kind, &known).clone();
            if !self.is_in(hole, &general) {
                self.filled.insert(*number, general);
            }
            return (true, true);
        }
        let apart = !self.is_in(hole, kind);
        if apart {
            self.filled.insert(*number, kind.clone());
        }
        (apart, false)
    }

    fn is_in(&self, hole: &Type, kind: &Type) -> bool {
        hole == kind
            || match kind {
                Type::Param(number) => self.filled.get(number).is_some_and(|known| self.is_in(hole, known)),
                other => other.inner().iter().any(|inner| self.is_in(hole, inner)),
            }
    }
}

fn rebuilt(kind: &Type, of: &mut dyn FnMut(&Type) -> Type) -> Type {
    match kind {
        Type::List(item) => Type::list(of(item)),
        Type::Map(key, value) => {
            let key = of(key);
            Type::Map(Arc::new(key), Arc::new(of(value)))
        }
        Type::Kind(Some(inner)) => Type::Kind(Some(Arc::new(of(inner)))),
        Type::Opaque(name, inner) => Type::Opaque(name.clone(), inner.iter().map(of).collect()),
        other => other.clone(),
    }
}

/// The one of two types that holds the other.
pub(super) fn most_general<'a>(one: &'a Type, other: &'a Type) -> &'a Type {
    if is_no_narrower(one, other) { one } else { other }
}

fn is_no_narrower(one: &Type, other: &Type) -> bool {
    match (one, other) {
        (Type::Dyn | Type::Param(_), _) => true,
        (_, Type::Dyn | Type::Param(_)) => false,
        (Type::List(a), Type::List(b)) => is_no_narrower(a, b),
        (Type::Map(a, b), Type::Map(c, d)) => is_no_narrower(a, c) && is_no_narrower(b, d),
        (Type::Kind(_), Type::Kind(_)) => true,
        (Type::Opaque(a, inner), Type::Opaque(b, others)) => {
            a == b && inner.len() == others.len() && inner.iter().zip(others).all(|(a, b)| is_no_narrower(a, b))
        }
        (one, other) => one == other,
    }
}

/// The type that a name is, if it names one.
pub(super) fn named(name: &str) -> Option<Type> {
    let kind = match name {
        "bool" | "int" | "uint" | "double" | "string" | "bytes" => Type::read(name),
        "google.protobuf.Timestamp" => Type::Timestamp,
        "google.protobuf.Duration" => Type::Duration,
        "null_type" => Type::Null,
        "list" => Type::list(Type::Dyn),
        "map" => Type::read("map(dyn, dyn)"),
        "type" => Type::Kind(None),
        "optional_type" => Type::optional(Type::Dyn),
        "net.IP" | "net.CIDR" => Type::read(name),
        _ => return None,
    };
    Some(kind)
}

/// Whether a name is a type's, or a library's: what comes before a function's dot is then no value.
pub(super) fn is_type_name(name: &str) -> bool {
    let library = ["optional", "ip", "lists", "strings", "format", "sets", "jsonpatch"];
    library.contains(&name) || named(name).is_some() || name == "dyn"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_they_are_read() {
        for text in ["list(map(string, int))", "optional_type(net.IP)", "type(list(dyn))", "kubernetes.URL"] {
            assert_eq!(Type::read(text).to_string(), text);
        }
    }

    #[test]
    fn holes_are_filled_by_what_stands_in_them_first() {
        let mut holes = Holes::default();
        let wanted = holes.instance(&[Type::read("A"), Type::read("list(A)")]);
        assert!(!holes.take(&[Type::Int, Type::read("list(string)")], &wanted));
        assert!(holes.take(&[Type::Int, Type::read("list(int)")], &wanted));
        assert_eq!(holes.fill(&wanted[1], false).to_string(), "list(int)");
        let wanted = holes.instance(&[Type::read("A"), Type::read("A")]);
        assert!(holes.take(&[Type::read("list(dyn)"), Type::read("list(int)")], &wanted));
        assert!(!holes.take(&[Type::Null, Type::Int], &[Type::Text, Type::Int]));
    }
}
