//! What is wrong with an expression can often be told without a value: fields that are not there, functions
//! that do not take what they are given.
//!
//! In: an expression's text and the types of its variables. Out: the type of what it gives and the most it may
//! cost ([`super::cost`]), or every fault with the place it is at. The rules are cel-go's, so that its words
//! come out. Source: cel-go, `checker/checker.go`. Chapter: `book/src/inside/schema.md`.

use std::collections::{HashMap, HashSet};

use cel::Program;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, SourceInfo, StructExpr,
};

use super::cost;
use super::declared::{Overload, overloads};
use super::literals;
pub use super::types::{Declared, Fields, Known, Struct, Type};
use super::types::{Holes, most_general, named};

/// How a fault begins.
pub const FAILED: &str = "compilation failed: ";

/// The type of an expression and what it may cost.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What it gives.
    pub kind: Type,
    /// An upper bound.
    pub cost: u64,
    /// Why no program can be made of it; asked after what it gives.
    pub fault: Option<String>,
}

/// What an expression may name.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Variables.
    pub variables: Vec<(String, Declared)>,
    /// Whether it may build `Object{…}` and `JSONPatch{…}`.
    pub builds_patches: bool,
}

impl Scope {
    /// Of these variables.
    pub fn of(variables: &[(&str, Declared)]) -> Scope {
        let variables = variables.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect();
        Scope { variables, builds_patches: false }
    }

    fn function(&self, name: &str) -> Option<&'static [Overload]> {
        overloads(name).filter(|_| self.builds_patches || name != "jsonpatch.escapeKey")
    }
}

/// Looks through an expression.
///
/// # Errors
/// `compilation failed: ERROR: <input>:1:5: undefined field 'nope'` with the line and the place.
pub fn check(text: &str, scope: &Scope) -> Result<Verdict, String> {
    let program = super::parse_as_written(text)?;
    let checked = Checker::look(&program, scope)?;
    let kind = checked.kind(program.expression());
    let fault = literals::instantiate(program.expression()).err();
    Ok(Verdict { kind, cost: cost::most(program.expression(), &checked, scope), fault })
}

/// `ERROR: <input>:1:5: …` with the line and a mark under the place; `column` counts from 0.
pub fn pointed(source: &str, line: isize, column: isize, message: &str) -> String {
    let text = source.split('\n').nth((line - 1).max(0) as usize).unwrap_or_default();
    // A tab takes one place, and a wide letter two, so that the mark stands under it.
    let dots: String = text
        .chars()
        .take(column.max(0) as usize)
        .map(|letter| if letter.len_utf8() > 1 { '．' } else { '.' })
        .collect();
    let dots = if dots.chars().count() < column.max(0) as usize { ".".repeat(column.max(0) as usize) } else { dots };
    let mark =
        if text.chars().nth(column.max(0) as usize).is_some_and(|letter| letter.len_utf8() > 1) { '＾' } else { '^' };
    format!("ERROR: <input>:{line}:{}: {message}\n | {}\n | {dots}{mark}", column + 1, text.replace('\t', " "))
}

/// What has been told of the parts of an expression, by their ids.
#[derive(Debug, Default)]
pub(super) struct Checked {
    kinds: HashMap<u64, Type>,
    /// The ids of the overloads that a call may be.
    pub calls: HashMap<u64, Vec<&'static str>>,
    /// Calls of a library's function: what is before the dot is part of its name.
    pub qualified: HashMap<u64, String>,
}

impl Checked {
    /// The type of a part.
    pub fn kind(&self, part: &IdedExpr) -> Type {
        self.kinds.get(&part.id).cloned().unwrap_or(Type::Dyn)
    }
}

struct Checker<'a> {
    info: &'a SourceInfo,
    scope: &'a Scope,
    /// Names that loops give.
    locals: Vec<(String, Type)>,
    holes: Holes,
    told: Checked,
    faults: Vec<(usize, String)>,
}

impl<'a> Checker<'a> {
    fn look(program: &'a Program, scope: &'a Scope) -> Result<Checked, String> {
        let info = program.source_info();
        let (locals, holes, told, faults) = (Vec::new(), Holes::default(), Checked::default(), Vec::new());
        let mut checker = Checker { info, scope, locals, holes, told, faults };
        checker.visit(program.expression());
        for kind in checker.told.kinds.values_mut() {
            *kind = checker.holes.fill(kind, true);
        }
        if checker.faults.is_empty() {
            // Only of an expression that is right otherwise.
            checker.faults = literals::faults(program.expression(), &checker.told, &|id| checker.start(id));
        }
        checker.faults.sort_by_key(|(at, _)| *at);
        let mut seen = HashSet::new();
        let mut texts = Vec::new();
        for (at, message) in &checker.faults {
            let text = pointed_at(&info.source, *at, message);
            if seen.insert(text.clone()) {
                texts.push(text);
            }
        }
        if texts.is_empty() { Ok(checker.told) } else { Err(format!("{FAILED}{}", texts.join("\n"))) }
    }

    fn start(&self, id: u64) -> usize {
        self.info.offset_for(id).map_or(0, |(start, _)| start as usize)
    }

    fn fault(&mut self, id: u64, message: String) {
        self.faults.push((self.start(id), message));
    }

    fn undeclared(&mut self, id: u64, name: &str) -> Type {
        self.fault(id, format!("undeclared reference to '{name}' (in container '')"));
        Type::Error
    }

    /// The type of a part, whose parts are looked at on the way.
    fn visit(&mut self, part: &IdedExpr) -> Type {
        let kind = match &part.expr {
            Expr::Literal(literal) => literal_type(literal),
            Expr::Ident(name) => match self.variable(name) {
                Some(kind) => kind,
                None => self.undeclared(part.id, name),
            },
            Expr::Select(select) => {
                let whole =
                    if select.test { None } else { qualified_name(part).and_then(|name| self.qualified(&name)) };
                match whole {
                    Some(kind) => kind,
                    None => {
                        let found = self.field(part.id, &select.operand, &select.field, false);
                        if select.test { Type::Bool } else { self.holes.fill(&found, false) }
                    }
                }
            }
            Expr::Call(call) => self.call(part.id, call),
            Expr::List(list) => {
                let mut item = None;
                for (at, element) in list.elements.iter().enumerate() {
                    let mut kind = self.visit(element);
                    if list.optional_indices.contains(&at) {
                        kind = self.unwrapped(element, kind);
                    }
                    item = Some(self.joined(item, kind));
                }
                Type::list(item.unwrap_or_else(|| self.holes.fresh()))
            }
            Expr::Map(map) => self.map(map),
            Expr::Struct(built) => self.structure(part.id, built),
            Expr::Comprehension(each) => self.comprehension(each),
            Expr::Unspecified => Type::Error,
        };
        self.told.kinds.insert(part.id, kind.clone());
        kind
    }

    fn variable(&self, name: &str) -> Option<Type> {
        let name = name.trim_start_matches('.');
        let local = self.locals.iter().rev().find(|(own, _)| own == name).map(|(_, kind)| kind.clone());
        let declared = || self.scope.variables.iter().find(|(own, _)| own == name).map(|(_, kind)| kind.kind.clone());
        local.or_else(declared).or_else(|| {
            let kind = named(name)?;
            Some(if kind == Type::Kind(None) { kind } else { Type::Kind(Some(kind.into())) })
        })
    }

    /// A name with dots that is one name: `net.IP`, `authorizer.requestResource`.
    fn qualified(&self, name: &str) -> Option<Type> {
        let root = name.split('.').next().unwrap_or_default();
        if self.locals.iter().any(|(own, _)| own == root) {
            return None;
        }
        let declared = self.scope.variables.iter().find(|(own, _)| own == name).map(|(_, kind)| kind.kind.clone());
        declared.or_else(|| Some(Type::Kind(Some(named(name)?.into()))))
    }

    /// What an optional element holds.
    fn unwrapped(&mut self, part: &IdedExpr, kind: Type) -> Type {
        if let Some(inner) = kind.unwrapped() {
            return inner.clone();
        }
        if !matches!(kind, Type::Dyn) {
            let wanted = Type::optional(kind.clone());
            self.mismatch(part.id, &wanted, &kind);
        }
        kind
    }

    fn mismatch(&mut self, id: u64, wanted: &Type, found: &Type) {
        self.fault(id, format!("expected type '{wanted}' but found '{found}'"));
    }

    fn joined(&mut self, before: Option<Type>, kind: Type) -> Type {
        let Some(before) = before else { return kind };
        if self.holes.take(std::slice::from_ref(&before), std::slice::from_ref(&kind)) {
            return most_general(&before, &kind).clone();
        }
        // What is mixed is told at the end, for `format` may take it.
        Type::Dyn
    }

    fn map(&mut self, map: &MapExpr) -> Type {
        let (mut keys, mut values) = (None, None);
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let kind = self.visit(&entry.key);
            keys = Some(self.joined(keys, kind));
            let mut kind = self.visit(&entry.value);
            if entry.optional {
                kind = self.unwrapped(&entry.value, kind);
            }
            values = Some(self.joined(values, kind));
        }
        let keys = keys.unwrap_or_else(|| self.holes.fresh());
        let values = values.unwrap_or_else(|| self.holes.fresh());
        Type::Map(keys.into(), values.into())
    }

    fn field(&mut self, id: u64, operand: &IdedExpr, name: &str, optional: bool) -> Type {
        let of = self.visit(operand);
        let of = self.holes.fill(&of, false);
        let inner = of.unwrapped().cloned();
        let optional = optional || inner.is_some();
        let target = inner.unwrap_or(of);
        let found = match &target {
            Type::Map(_, value) => (**value).clone(),
            Type::Struct(of) => self.field_of(id, of, name),
            Type::Param(_) => {
                self.holes.take(&[Type::Dyn], std::slice::from_ref(&target));
                Type::Dyn
            }
            Type::Dyn | Type::Error => Type::Dyn,
            other => {
                self.fault(id, format!("type '{other}' does not support field selection"));
                Type::Dyn
            }
        };
        if optional { Type::optional(found) } else { found }
    }

    fn field_of(&mut self, id: u64, of: &Struct, name: &str) -> Type {
        let Some(fields) = &of.fields else {
            self.fault(id, format!("unexpected failed resolution of '{}'", of.name));
            return Type::Error;
        };
        match fields.field(name) {
            Some(found) => found.kind,
            None => {
                self.fault(id, format!("undefined field '{name}'"));
                Type::Error
            }
        }
    }

    fn call(&mut self, id: u64, call: &CallExpr) -> Type {
        if call.func_name == "_?._"
            && let [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(field)), .. }] = call.args.as_slice()
        {
            let found = self.field(id, operand, field.inner(), true);
            self.told.calls.insert(id, vec!["select_optional_field"]);
            return self.holes.fill(&found, false);
        }
        let kinds: Vec<Type> = call.args.iter().map(|arg| self.visit(arg)).collect();
        let Some(target) = call.target.as_deref() else {
            let name = call.func_name.trim_start_matches('.');
            return match self.scope.function(name) {
                Some(_) if matches!(name, "_&&_" | "_||_") => self.logical(id, call, &kinds),
                Some(ways) => self.resolve(id, name, ways, false, kinds),
                None => self.undeclared(id, name),
            };
        };
        if let Some(prefix) = qualified_name(target) {
            let name = format!("{prefix}.{}", call.func_name);
            if let Some(ways) = self.scope.function(&name) {
                self.told.qualified.insert(id, name.clone());
                return self.resolve(id, &name, ways, false, kinds);
            }
        }
        let kinds = std::iter::once(self.visit(target)).chain(kinds).collect();
        match self.scope.function(&call.func_name) {
            Some(ways) => self.resolve(id, &call.func_name, ways, true, kinds),
            None => self.undeclared(id, &call.func_name),
        }
    }

    fn resolve(&mut self, id: u64, name: &str, ways: &'static [Overload], member: bool, given: Vec<Type>) -> Type {
        let mut gives: Option<Type> = None;
        for way in ways.iter().filter(|way| way.member == member) {
            let mut declared = vec![way.gives.clone()];
            declared.extend(way.takes.iter().cloned());
            let own = self.holes.instance(&declared);
            if !self.holes.take(&given, &own[1..]) {
                continue;
            }
            self.told.calls.entry(id).or_default().push(&way.id);
            let found = self.holes.fill(&own[0], false);
            gives = Some(match gives {
                None => found,
                Some(Type::Dyn) => Type::Dyn,
                Some(before) if before == found => before,
                Some(_) => Type::Dyn,
            });
        }
        gives.unwrap_or_else(|| {
            let shown: Vec<String> = given.iter().map(|kind| self.holes.fill(kind, true).to_string()).collect();
            let applied = match shown.split_first() {
                Some((receiver, rest)) if member => format!("{receiver}.({})", rest.join(", ")),
                _ => format!("({})", shown.join(", ")),
            };
            self.fault(id, format!("found no matching overload for '{name}' applied to '{applied}'"));
            Type::Error
        })
    }

    /// Each side is told by itself when it is no bool.
    fn logical(&mut self, id: u64, call: &CallExpr, given: &[Type]) -> Type {
        let way = if call.func_name == "_&&_" { "logical_and" } else { "logical_or" };
        self.told.calls.insert(id, vec![way]);
        let mut gives = Type::Bool;
        for (side, kind) in call.args.iter().zip(given) {
            if !self.holes.take(std::slice::from_ref(kind), &[Type::Bool]) {
                self.mismatch(side.id, &Type::Bool, kind);
                gives = Type::Error;
            }
        }
        gives
    }

    fn structure(&mut self, id: u64, built: &StructExpr) -> Type {
        let name = built.type_name.as_str();
        let own = self.scope.builds_patches && (name == "JSONPatch" || name == "Object" || name.starts_with("Object."));
        if !own {
            // What it holds is not looked at.
            return self.undeclared(id, name);
        }
        for entry in &built.entries {
            let EntryExpr::StructField(field) = &entry.expr else { continue };
            let mut kind = self.visit(&field.value);
            if field.optional {
                kind = self.unwrapped(&field.value, kind);
            }
            let wanted = match (name, field.field.as_str()) {
                ("JSONPatch", "op" | "path" | "from") => Some(Type::Text),
                ("JSONPatch", "value") => Some(Type::Dyn),
                ("JSONPatch", _) => None,
                _ => Some(Type::Dyn),
            };
            let fits =
                wanted.as_ref().is_some_and(|wanted| self.holes.take(std::slice::from_ref(wanted), &[kind.clone()]));
            if !fits {
                let wanted = wanted.map(|wanted| wanted.to_string()).unwrap_or_default();
                let message =
                    format!("expected type of field '{}' is '{wanted}' but provided type is '{kind}'", field.field);
                self.fault(entry.id, message);
            }
        }
        Type::Struct(Struct { name: name.into(), fields: None })
    }

    fn comprehension(&mut self, each: &ComprehensionExpr) -> Type {
        let range = self.visit(&each.iter_range);
        let so_far = self.visit(&each.accu_init);
        let range = self.holes.fill(&range, false);
        let (one, two) = match &range {
            Type::List(item) if each.iter_var2.is_some() => (Type::Int, (**item).clone()),
            Type::List(item) => ((**item).clone(), Type::Dyn),
            Type::Map(key, value) => ((**key).clone(), (**value).clone()),
            Type::Dyn | Type::Error | Type::Param(_) => {
                self.holes.take(&[Type::Dyn], std::slice::from_ref(&range));
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.fault(each.iter_range.id, message);
                (Type::Error, Type::Error)
            }
        };
        let outside = self.locals.len();
        self.locals.push((each.accu_var.clone(), so_far.clone()));
        self.locals.push((each.iter_var.clone(), one));
        if let Some(second) = &each.iter_var2 {
            self.locals.push((second.clone(), two));
        }
        let condition = self.visit(&each.loop_cond);
        self.must_be(&each.loop_cond, &Type::Bool, &condition);
        let step = self.visit(&each.loop_step);
        self.must_be(&each.loop_step, &so_far, &step);
        self.locals.truncate(outside + 1);
        let result = self.visit(&each.result);
        self.locals.truncate(outside);
        self.holes.fill(&result, false)
    }

    fn must_be(&mut self, part: &IdedExpr, wanted: &Type, found: &Type) {
        if !self.holes.take(std::slice::from_ref(wanted), std::slice::from_ref(found)) {
            self.mismatch(part.id, wanted, found);
        }
    }
}

fn pointed_at(source: &str, at: usize, message: &str) -> String {
    let before: String = source.chars().take(at).collect();
    let line = before.matches('\n').count() as isize + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() as isize;
    pointed(source, line, column, message)
}

/// `a.b.c`, if it is names and dots and nothing else.
fn qualified_name(part: &IdedExpr) -> Option<String> {
    match &part.expr {
        Expr::Ident(name) => Some(name.trim_start_matches('.').to_owned()),
        Expr::Select(select) if !select.test => Some(format!("{}.{}", qualified_name(&select.operand)?, select.field)),
        _ => None,
    }
}

/// The type of a value that is written down.
fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::Text,
        LiteralValue::UInt(_) => Type::Uint,
    }
}
