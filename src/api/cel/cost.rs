//! The most that an expression may cost, before it meets a value.
//!
//! In: an expression whose types are known, and how much of each variable there may be. Out: a bound, in the
//! units of cel-go: a name or a field 1, a list 10, a map 30, a text a tenth of its letters, a loop its body as
//! often as the list may have elements. The numbers must be cel-go's to the unit, for they are told to who
//! writes a rule that costs too much. Source: cel-go, `checker/cost.go`; what single functions cost is in
//! [`super::cost_calls`].

use std::collections::HashMap;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::check::{Checked, Scope};
use super::cost_calls;
use super::types::{Declared, Type};

/// From … to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub min: u64,
    pub max: u64,
}

impl Range {
    pub const UNKNOWN: Range = Range { min: 0, max: u64::MAX };

    pub const fn exactly(units: u64) -> Range {
        Range { min: units, max: units }
    }

    pub fn plus(self, other: Range) -> Range {
        Range { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    pub fn times(self, other: Range) -> Range {
        Range { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    /// Rounded up.
    pub fn by(self, factor: f64) -> Range {
        let scaled = |units: u64| (units as f64 * factor).ceil() as u64;
        Range { min: scaled(self.min), max: scaled(self.max) }
    }

    pub fn or(self, other: Range) -> Range {
        Range { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// What is in a list or a map: whether it is a list, and how large keys and values are.
#[derive(Clone, Copy, Debug)]
struct Entries {
    is_list: bool,
    key: Range,
    value: Range,
}

impl Entries {
    fn or(self, other: Entries) -> Entries {
        Entries { is_list: self.is_list, key: self.key.or(other.key), value: self.value.or(other.value) }
    }
}

/// A name that a loop gives.
#[derive(Clone, Debug, Default)]
struct Local {
    path: Vec<String>,
    size: Option<Range>,
    entries: Option<Entries>,
}

/// A part of a call as its price is made of.
pub(super) struct Part<'a> {
    pub expr: &'a IdedExpr,
    pub kind: Type,
    pub size: Option<Range>,
    path: Vec<String>,
}

impl Part<'_> {
    pub fn size(&self) -> Range {
        self.size.unwrap_or(Range::UNKNOWN)
    }
}

/// What a call costs by itself, and how large what it gives may be.
pub(super) struct Price {
    pub cost: Range,
    pub size: Option<Range>,
}

impl Price {
    pub fn of(cost: Range) -> Price {
        Price { cost, size: None }
    }
}

/// The most that an expression may cost.
pub(super) fn most(expression: &IdedExpr, checked: &Checked, scope: &Scope) -> u64 {
    let root = scope.variables.iter().find(|(name, _)| name == "self").map(|(_, kind)| kind);
    let mut coster = Coster {
        checked,
        root,
        paths: HashMap::new(),
        sizes: HashMap::new(),
        entries: HashMap::new(),
        locals: Vec::new(),
    };
    coster.cost(expression).max
}

pub(super) struct Coster<'a> {
    checked: &'a Checked,
    /// All paths begin here, whatever they are called by.
    root: Option<&'a Declared>,
    paths: HashMap<u64, Vec<String>>,
    sizes: HashMap<u64, Range>,
    entries: HashMap<u64, Entries>,
    locals: Vec<(String, Local)>,
}

const STEP: Range = Range::exactly(1);

impl Coster<'_> {
    fn cost(&mut self, part: &IdedExpr) -> Range {
        match &part.expr {
            Expr::Literal(_) | Expr::Unspecified => Range::exactly(0),
            Expr::Ident(name) => {
                let path = self.local(name).map_or_else(|| vec![name.clone()], |local| local.path.clone());
                self.paths.insert(part.id, path);
                STEP
            }
            Expr::Select(select) => {
                let operand = self.cost(&select.operand);
                if select.test {
                    return operand;
                }
                let of = self.checked.kind(&select.operand);
                let own = if matches!(of, Type::Map(..) | Type::Struct(_)) { STEP } else { Range::exactly(0) };
                let mut path = self.path(&select.operand);
                path.push(select.field.clone());
                self.paths.insert(part.id, path);
                operand.plus(own)
            }
            Expr::Call(call) => self.call(part, call),
            Expr::List(list) => {
                let none = Range { min: if list.elements.is_empty() { 0 } else { u64::MAX }, max: 0 };
                let (mut sum, mut items) = (Range::exactly(10), none);
                for element in &list.elements {
                    sum = sum.plus(self.cost(element));
                    items = items.or(self.size_or_unknown(element));
                }
                self.entries.insert(part.id, Entries { is_list: true, key: STEP, value: items });
                sum
            }
            Expr::Map(map) => {
                let none = Range { min: if map.entries.is_empty() { 0 } else { u64::MAX }, max: 0 };
                let (mut sum, mut keys, mut values) = (Range::exactly(30), none, none);
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                    sum = sum.plus(self.cost(&entry.key)).plus(self.cost(&entry.value));
                    keys = keys.or(self.size_or_unknown(&entry.key));
                    values = values.or(self.size_or_unknown(&entry.value));
                }
                self.entries.insert(part.id, Entries { is_list: false, key: keys, value: values });
                sum
            }
            Expr::Struct(built) => built.entries.iter().fold(Range::exactly(40), |sum, entry| match &entry.expr {
                EntryExpr::StructField(field) => sum.plus(self.cost(&field.value)),
                EntryExpr::MapEntry(_) => sum,
            }),
            Expr::Comprehension(each) if is_binding(each) => self.binding(part, each),
            Expr::Comprehension(each) => self.comprehension(part, each),
        }
    }

    fn call(&mut self, part: &IdedExpr, call: &CallExpr) -> Range {
        if let ("dyn", [argument]) = (call.func_name.as_str(), call.args.as_slice()) {
            let cost = self.cost(argument);
            self.copy_sizes(part, argument);
            return cost.plus(STEP);
        }
        let costs: Vec<Range> = call.args.iter().map(|arg| self.cost(arg)).collect();
        let args: Vec<Part> = call.args.iter().map(|arg| self.part(arg)).collect();
        let Some(ways) = self.checked.calls.get(&part.id) else { return Range::exactly(0) };
        let qualified = self.checked.qualified.get(&part.id).map(String::as_str);
        let target = call.target.as_deref().filter(|_| qualified.is_none());
        let of_target = target.map_or(Range::exactly(0), |target| self.cost(target));
        let target = target.map(|target| self.part(target));
        let (mut own, mut size): (Range, Option<Range>) = (Range { min: u64::MAX, max: 0 }, None);
        for way in ways {
            let asked = Asked { name: qualified.unwrap_or(&call.func_name), way, target: target.as_ref(), args: &args };
            let price = self.price(part, &asked, &costs);
            own = own.or(price.cost);
            size = match (size, price.size) {
                (Some(one), Some(other)) => Some(one.or(other)),
                (one, other) => one.or(other),
            };
            if matches!(*way, "index_list" | "index_map")
                && let Some(of) = call.args.first()
            {
                size = self.entries_of(of).map(|entries| entries.value);
                let mut path = self.path(of);
                path.push(if *way == "index_list" { "@items" } else { "@values" }.to_owned());
                self.paths.insert(part.id, path);
            }
            size = size.or_else(|| self.size(part));
        }
        if let Some(size) = size {
            self.sizes.insert(part.id, size);
        }
        of_target.plus(own)
    }

    fn price(&mut self, part: &IdedExpr, asked: &Asked, costs: &[Range]) -> Price {
        let all = costs.iter().fold(Range::exactly(0), |sum, cost| sum.plus(*cost));
        match (asked.way, costs, asked.args) {
            ("logical_and" | "logical_or", [left, right], _) => {
                return Price::of(Range { min: left.min, max: left.plus(*right).max });
            }
            ("conditional", [condition, yes, no], [_, one, other]) => {
                if let (Some(one), Some(other)) = (self.entries_of(one.expr), self.entries_of(other.expr)) {
                    self.entries.insert(part.id, one.or(other));
                }
                return Price { cost: condition.plus(yes.or(*no)), size: Some(one.size().or(other.size())) };
            }
            ("add_string" | "add_bytes" | "add_list", _, [one, other]) => {
                if let (Some(one), Some(other)) = (self.entries_of(one.expr), self.entries_of(other.expr)) {
                    self.entries.insert(part.id, one.or(other));
                }
                let size = one.size().plus(other.size());
                let own = if asked.way == "add_list" { STEP } else { size.by(0.1) };
                return Price { cost: own.plus(all), size: Some(size) };
            }
            _ => {}
        }
        let price = cost_calls::price(asked, self).unwrap_or(Price::of(STEP));
        Price { cost: price.cost.plus(all), size: price.size }
    }

    fn comprehension(&mut self, part: &IdedExpr, each: &ComprehensionExpr) -> Range {
        let mut sum = self.cost(&each.iter_range).plus(self.cost(&each.accu_init));
        let outside = self.locals.len();
        let so_far = self.bound(&each.accu_init);
        self.locals.push((each.accu_var.clone(), so_far));
        let entries = self.entries_of(&each.iter_range);
        let is_list = entries
            .map_or_else(|| matches!(self.checked.kind(&each.iter_range), Type::List(_)), |entries| entries.is_list);
        let step = |coster: &Self, name: &str, size: Option<Range>| {
            let mut path = coster.path(&each.iter_range);
            path.push(name.to_owned());
            Local { path, size, entries: None }
        };
        let (key, value) = (entries.map(|entries| entries.key), entries.map(|entries| entries.value));
        match &each.iter_var2 {
            Some(second) => {
                let one = step(self, if is_list { "@indices" } else { "@keys" }, key);
                let two = step(self, if is_list { "@items" } else { "@values" }, value);
                self.locals.push((each.iter_var.clone(), one));
                self.locals.push((second.clone(), two));
            }
            None => {
                let one = if is_list { step(self, "@items", value) } else { step(self, "@keys", key) };
                self.locals.push((each.iter_var.clone(), one));
            }
        }
        let turn = self.cost(&each.loop_cond).plus(self.cost(&each.loop_step));
        // What a turn gives is looked up while its names are known.
        let stepped = self.entries_of(&each.loop_step);
        self.locals.truncate(outside + 1);
        sum = sum.plus(self.cost(&each.result));
        self.locals.truncate(outside);
        let times = self.size_or_unknown(&each.iter_range);
        match &each.accu_init.expr {
            Expr::Literal(_) => {
                if let Some(size) = self.size(&each.accu_init) {
                    self.sizes.insert(part.id, size);
                }
            }
            Expr::List(_) | Expr::Map(_) => {
                self.sizes.insert(part.id, times);
                if let Some(entries) = stepped {
                    self.entries.insert(part.id, entries);
                }
            }
            _ => {}
        }
        sum.plus(times.times(turn))
    }

    /// `cel.bind`, which `sortBy` and `optMap` are made of.
    fn binding(&mut self, part: &IdedExpr, each: &ComprehensionExpr) -> Range {
        let sum = self.cost(&each.iter_range).plus(self.cost(&each.accu_init));
        let local = self.bound(&each.accu_init);
        self.locals.push((each.accu_var.clone(), local));
        let sum = sum.plus(self.cost(&each.result));
        self.copy_sizes(part, &each.result);
        self.locals.pop();
        sum
    }

    fn bound(&mut self, to: &IdedExpr) -> Local {
        Local { path: self.path(to), entries: self.entries_of(to), size: self.size(to) }
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|(own, _)| own == name).map(|(_, local)| local)
    }

    fn path(&self, part: &IdedExpr) -> Vec<String> {
        if let Expr::Ident(name) = &part.expr
            && let Some(local) = self.local(name)
        {
            return local.path.clone();
        }
        self.paths.get(&part.id).cloned().unwrap_or_default()
    }

    fn part<'p>(&mut self, part: &'p IdedExpr) -> Part<'p> {
        Part { expr: part, kind: self.checked.kind(part), path: self.path(part), size: self.size(part) }
    }

    fn size_or_unknown(&mut self, part: &IdedExpr) -> Range {
        self.size(part).unwrap_or(Range::UNKNOWN)
    }

    fn size(&mut self, part: &IdedExpr) -> Option<Range> {
        if let Some(size) = self.sizes.get(&part.id) {
            return Some(*size);
        }
        if let Some(size) = written(&part.expr) {
            return Some(size);
        }
        if let Some(size) = self.declared(&self.path(part)) {
            self.sizes.insert(part.id, size);
            return Some(size);
        }
        if is_scalar(&self.checked.kind(part)) {
            return Some(STEP);
        }
        match &part.expr {
            Expr::Ident(name) => self.local(name).and_then(|local| local.size),
            _ => None,
        }
    }

    fn entries_of(&self, part: &IdedExpr) -> Option<Entries> {
        let local = || match &part.expr {
            Expr::Ident(name) => self.local(name).and_then(|local| local.entries),
            _ => None,
        };
        self.entries.get(&part.id).copied().or_else(local)
    }

    fn copy_sizes(&mut self, to: &IdedExpr, from: &IdedExpr) {
        if let Some(size) = self.size(from) {
            self.sizes.insert(to.id, size);
        }
        if let Some(entries) = self.entries_of(from) {
            self.entries.insert(to.id, entries);
        }
    }

    /// How much there may be at a path, as the schema says.
    fn declared(&self, path: &[String]) -> Option<Range> {
        let (_, steps) = path.split_first()?;
        let mut here = self.root?.clone();
        for step in steps {
            here = match (step.as_str(), &here.kind) {
                ("@items" | "@values", _) => (**here.inside.as_ref()?).clone(),
                ("@keys", Type::Map(..)) => Declared::plain(Type::Text),
                (name, Type::Struct(of)) => of.fields.as_ref()?.field(name)?,
                _ => return None,
            };
        }
        Some(Range { min: 0, max: here.most })
    }

    /// How large the items of a list (or the keys of a map) may be; `None`: it has none.
    pub fn item_of(&self, list: &Part) -> Option<(Type, Range)> {
        let kind = list.kind.inner().first().copied().cloned()?;
        let mut path = list.path.clone();
        let size = if path.is_empty() {
            None
        } else {
            path.push("@items".to_owned());
            self.declared(&path)
        };
        Some((kind, size.unwrap_or(Range::UNKNOWN)))
    }
}

/// A call whose price is asked.
pub(super) struct Asked<'a> {
    pub name: &'a str,
    pub way: &'a str,
    pub target: Option<&'a Part<'a>>,
    pub args: &'a [Part<'a>],
}

fn is_binding(each: &ComprehensionExpr) -> bool {
    let nothing = matches!(&each.iter_range.expr, Expr::List(list) if list.elements.is_empty());
    let never = matches!(&each.loop_cond.expr, Expr::Literal(LiteralValue::Boolean(bool)) if !*bool.inner());
    nothing && never
}

/// The size of what is written down.
fn written(expr: &Expr) -> Option<Range> {
    let size = match expr {
        Expr::Literal(LiteralValue::String(text)) => text.inner().chars().count(),
        Expr::Literal(LiteralValue::Bytes(bytes)) => bytes.inner().len(),
        Expr::Literal(_) => 1,
        Expr::List(list) => list.elements.len(),
        Expr::Map(map) => map.entries.len(),
        _ => return None,
    };
    Some(Range::exactly(size as u64))
}

fn is_scalar(kind: &Type) -> bool {
    match kind {
        Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint => true,
        other => other.unwrapped().is_some_and(is_scalar),
    }
}
