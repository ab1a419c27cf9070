//! What is wrong with an expression can often be told without a value: fields that are not there,
//! types that do not fit, and work that may grow without bound.
//!
//! In: a compiled expression and the types of its variables. Out: its type and an estimate of its
//! cost, or the first fault with the place it is at. What the types do not tell is `Dyn`, and passes.
//! Costs count as cel-go's estimator does, roughly: one a step, a tenth of a letter for texts, a loop
//! by the most elements its list may have.

use cel::Program;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SourceInfo};
use std::rc::Rc;

use super::signatures;
pub use super::types::{Fields, Known, Type, Verdict};
use super::types::{is_type_name, literal_type};

/// Looks through an expression.
///
/// # Errors
/// `compilation failed: ERROR: <input>:1:5: undefined field 'nope'`, with the line and the place.
pub fn check(program: &Program, variables: &[(&str, Type)]) -> Result<Verdict, String> {
    let mut scope = Scope {
        info: program.source_info(),
        variables: variables.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect(),
        faults: Vec::new(),
    };
    let verdict = scope.visit(program.expression());
    let mut faults = scope.faults;
    faults.extend(verdict.as_ref().err().cloned());
    match (verdict, faults.split_first()) {
        (Ok(verdict), None) => Ok(verdict),
        (_, Some((first, rest))) => {
            let rest = rest.iter().map(|fault| fault.trim_start_matches(FAILED));
            Err(std::iter::once(first.as_str()).chain(rest).collect::<Vec<_>>().join("\n"))
        }
        (Err(fault), None) => Err(fault),
    }
}

/// How a fault begins.
pub const FAILED: &str = "compilation failed: ";

/// `ERROR: <input>:1:5: …` with the line and a mark under the place; `column` counts from 0.
pub fn pointed(source: &str, line: isize, column: isize, message: &str) -> String {
    let text = source.lines().nth((line - 1).max(0) as usize).unwrap_or_default();
    let dots = ".".repeat(column.max(0) as usize);
    format!("ERROR: <input>:{line}:{}: {message}\n | {text}\n | {dots}^", column + 1)
}

struct Scope<'a> {
    info: &'a SourceInfo,
    variables: Vec<(String, Type)>,
    /// What was wrong with parts, of which the rest of the expression knows nothing.
    faults: Vec<String>,
}

fn verdict(kind: Type, cost: u64) -> Result<Verdict, String> {
    Ok(Verdict { kind, cost })
}

const BOOL: Type = Type::Plain("bool");
const INT: Type = Type::Plain("int");

impl Scope<'_> {
    fn fault(&self, at: usize, message: &str) -> String {
        let before = &self.info.source[..at.min(self.info.source.len())];
        let line = before.matches('\n').count() as isize + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() as isize;
        format!("{FAILED}{}", pointed(&self.info.source, line, column, message))
    }

    fn start(&self, expr: &IdedExpr) -> usize {
        self.info.offset_for(expr.id).map_or(0, |(start, _)| start as usize)
    }

    fn visit(&mut self, expr: &IdedExpr) -> Result<Verdict, String> {
        match &expr.expr {
            Expr::Literal(literal) => verdict(literal_type(literal), 0),
            Expr::Ident(name) => {
                let found = self.variables.iter().rev().find(|(own, _)| own == name).map(|(_, kind)| kind.clone());
                match found {
                    Some(kind) => verdict(kind, 1),
                    None if is_type_name(name) || name.starts_with('@') => verdict(Type::Dyn, 1),
                    None => {
                        let message = format!("undeclared reference to '{name}' (in container '')");
                        Err(self.fault(self.start(expr), &message))
                    }
                }
            }
            Expr::Select(select) => {
                let operand = self.visit(&select.operand)?;
                let kind = match &operand.kind {
                    Type::Object(fields) => match fields.field(&select.field) {
                        Some(kind) => kind,
                        None => {
                            let message = format!("undefined field '{}'", select.field);
                            return Err(self.fault(self.dot(expr, &select.operand, &select.field), &message));
                        }
                    },
                    Type::Map(value, _) => (**value).clone(),
                    Type::Dyn => Type::Dyn,
                    other => {
                        let message = format!("type '{}' does not support field selection", other.name());
                        return Err(self.fault(self.dot(expr, &select.operand, &select.field), &message));
                    }
                };
                verdict(if select.test { BOOL } else { kind }, operand.cost.saturating_add(1))
            }
            Expr::Call(call) => self.call(expr, call),
            Expr::Comprehension(loop_) => self.comprehension(loop_),
            Expr::List(list) => {
                let mut cost = 10_u64;
                let mut kind = Type::Dyn;
                for element in &list.elements {
                    let inner = self.visit(element)?;
                    if let (Some(first), Some(other)) = (kind.family(), inner.kind.family())
                        && first != other
                    {
                        let message = format!("expected type '{}' but found '{}'", kind.name(), inner.kind.name());
                        self.faults.push(self.fault(self.start(element), &message));
                    }
                    (kind, cost) = (inner.kind, cost.saturating_add(inner.cost));
                }
                verdict(Type::List(Rc::new(kind), list.elements.len() as u64), cost)
            }
            Expr::Map(map) => verdict(Type::Map(Rc::new(Type::Dyn), map.entries.len() as u64), 30),
            Expr::Struct(_) | Expr::Unspecified => verdict(Type::Dyn, 40),
        }
    }

    /// Where the dot before a field stands.
    fn dot(&self, expr: &IdedExpr, operand: &IdedExpr, field: &str) -> usize {
        let needle = format!(".{field}");
        let from = self.start(operand).min(self.start(expr));
        self.info.source.get(from..).and_then(|rest| rest.find(&needle)).map_or(from, |at| from + at)
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Result<Verdict, String> {
        let mut kinds = Vec::new();
        let mut cost = 1_u64;
        // A library that is not there: neither is its function.
        if let Some(target) = call.target.as_deref()
            && let Expr::Ident(_) = &target.expr
            && let Err(unknown) = self.visit(target)
            && !signatures::is_declared(&call.func_name)
        {
            let message = format!("undeclared reference to '{}' (in container '')", call.func_name);
            let also = self.fault(self.parenthesis(expr, &call.func_name), &message);
            return Err(format!("{unknown}\n{}", also.trim_start_matches(FAILED)));
        }
        for part in call.target.as_deref().into_iter().chain(&call.args) {
            match self.visit(part) {
                Ok(inner) => {
                    cost = cost.saturating_add(inner.cost);
                    kinds.push(inner.kind);
                }
                Err(fault) => {
                    self.faults.push(fault);
                    kinds.push(Type::Dyn);
                }
            }
        }
        self.declared(expr, call, &kinds)?;
        let letters: u64 = kinds.iter().filter(|kind| matches!(kind, Type::Text(_))).map(Type::size).max().unwrap_or(0);
        let scanned = |share: u64| letters.saturating_add(9) / share;
        let first = kinds.first().cloned().unwrap_or(Type::Dyn);
        let second = kinds.get(1).cloned().unwrap_or(Type::Dyn);
        let plus = |cost: u64, more: u64| cost.saturating_add(more);
        match call.func_name.as_str() {
            "_&&_" | "_||_" | "!_" => {
                if let Some(wrong) = kinds.iter().find(|kind| !kind.is("bool")) {
                    return Err(self.no_overload(expr, &call.func_name, &kinds, wrong));
                }
                verdict(BOOL, cost)
            }
            "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" => {
                let ordered = !matches!(call.func_name.as_str(), "_==_" | "_!=_");
                let number = |kind: &Type| kind.is("int") || kind.is("double") || kind.is("uint");
                let mixed = ordered && number(&first) && number(&second);
                let known = !matches!(first, Type::Dyn) && !matches!(second, Type::Dyn);
                let plain = |kind: &Type| matches!(kind, Type::Plain(_) | Type::Text(_));
                let null = first.is("null_type") || second.is("null_type");
                let whole = |kind: &Type| matches!(kind.family(), Some("object" | "list" | "map"));
                let unlike = known && !null && !mixed && first.family() != second.family();
                if unlike || ordered && (whole(&first) || whole(&second)) {
                    return Err(self.no_overload(expr, &call.func_name, &kinds, &second));
                }
                let smaller = first.size().min(second.size());
                verdict(
                    BOOL,
                    plus(cost, if plain(&first) && letters == 0 { 0 } else { smaller.saturating_add(9) / 10 }),
                )
            }
            "_+_" | "_-_" | "_*_" | "_/_" | "_%_" if kinds.iter().any(|kind| kind.family() == Some("object")) => {
                Err(self.no_overload(expr, &call.func_name, &kinds, &second))
            }
            "_+_" | "_-_" | "_*_" | "_/_" | "_%_" => {
                let known = !matches!(first, Type::Dyn) && !matches!(second, Type::Dyn);
                if known
                    && first.name() != second.name()
                    && !matches!(first, Type::List(..))
                    && matches!(first, Type::Plain("int" | "double" | "bool") | Type::Text(_))
                    && matches!(second, Type::Plain("int" | "double" | "bool") | Type::Text(_))
                {
                    return Err(self.no_overload(expr, &call.func_name, &kinds, &second));
                }
                let kind = match (&first, &second) {
                    (Type::Text(a), Type::Text(b)) => Type::Text(a.saturating_add(*b)),
                    (Type::List(item, a), Type::List(_, b)) => Type::List(item.clone(), a.saturating_add(*b)),
                    (kind, _) => kind.clone(),
                };
                verdict(kind, plus(cost, scanned(10)))
            }
            "_?_:_" => {
                let branches = (kinds.get(1).and_then(Type::family), kinds.get(2).and_then(Type::family));
                let differ = matches!(branches, (Some(one), Some(other)) if one != other);
                if differ || !first.is("bool") {
                    return Err(self.no_overload(expr, "_?_:_", &kinds, &first));
                }
                let branch = kinds.into_iter().nth(1).unwrap_or(Type::Dyn);
                verdict(branch, cost)
            }
            "_[_]" if matches!((first.family(), second.family()), (Some("list"), Some(at)) if !matches!(at, "int" | "uint" | "double")) => {
                Err(self.no_overload(expr, "_[_]", &kinds, &second))
            }
            "_[_]" if first.family() == Some("object") => Err(self.no_overload(expr, "_[_]", &kinds, &second)),
            "@in" if second.family() == Some("object") => Err(self.no_overload(expr, &call.func_name, &kinds, &second)),
            "_[_]" => verdict(
                match first {
                    Type::List(item, _) | Type::Map(item, _) => (*item).clone(),
                    _ => Type::Dyn,
                },
                cost,
            ),
            "@in" => verdict(BOOL, plus(cost, if matches!(second, Type::List(..)) { second.size() } else { 0 })),
            super::pairs::PAIRS => verdict(Type::List(Rc::new(Type::Dyn), first.size()), cost),
            "size" | "indexOf" | "lastIndexOf" | "compareTo" | "prefixLength" | "family" => verdict(INT, plus(cost, 0)),
            "int" => verdict(INT, cost),
            "double" => verdict(Type::Plain("double"), cost),
            "string" => verdict(Type::Text(first.size()), cost),
            "startsWith" | "endsWith" | "contains" => verdict(BOOL, plus(cost, scanned(10))),
            "matches" => {
                self.literal(call, |text| crate::api::go_regex::compile(text).is_ok())?;
                verdict(BOOL, plus(cost, scanned(4)))
            }
            "duration" => {
                self.literal(call, |text| super::duration::parse(text).is_some())?;
                verdict(Type::Dyn, plus(cost, scanned(10)))
            }
            "timestamp" => {
                self.literal(call, |text| text.parse::<jiff::Timestamp>().is_ok())?;
                verdict(Type::Dyn, plus(cost, scanned(10)))
            }
            "min" | "max" | "sum" if call.target.is_some() => match first {
                Type::List(ref item, size) => verdict((**item).clone(), plus(cost, size)),
                _ => verdict(Type::Dyn, cost),
            },
            "reverse" | "distinct" | "sort" | "slice" => {
                let size = first.size();
                verdict(first, plus(cost, size))
            }
            "isSorted" => verdict(BOOL, plus(cost, first.size())),
            name if name.starts_with("is") && super::functions::is_known(name) => {
                verdict(BOOL, plus(cost, scanned(10)))
            }
            "lowerAscii" | "upperAscii" | "trim" | "replace" | "substring" | "find" | "charAt" => {
                verdict(Type::Text(first.size()), plus(cost, scanned(10)))
            }
            "split" | "findAll" => {
                verdict(Type::List(Rc::new(Type::Text(first.size())), first.size()), plus(cost, scanned(10)))
            }
            _ => verdict(Type::Dyn, plus(cost, scanned(10))),
        }
    }

    /// A text that is written down as the one argument is one that the function can read.
    fn literal(&mut self, call: &CallExpr, reads: impl Fn(&str) -> bool) -> Result<(), String> {
        if let [IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }] = call.args.as_slice()
            && !reads(text.inner())
        {
            let place = self.start(&call.args[0]);
            let message = format!("invalid {} argument", call.func_name);
            self.faults.push(self.fault(place, &message));
        }
        Ok(())
    }

    /// Whether there is such a function, and one for these types.
    fn declared(&self, expr: &IdedExpr, call: &CallExpr, kinds: &[Type]) -> Result<(), String> {
        let name = call.func_name.as_str();
        let qualified =
            matches!(call.target.as_deref().map(|target| &target.expr), Some(Expr::Ident(of)) if is_type_name(of));
        if qualified || name.starts_with(['_', '@', '!', '-']) {
            return Ok(());
        }
        let place = self.parenthesis(expr, name);
        if !signatures::is_declared(name) {
            return Err(self.fault(place, &format!("undeclared reference to '{name}' (in container '')")));
        }
        let plain: Vec<Option<&str>> = kinds.iter().map(Type::family).collect();
        let (receiver, arguments) = match call.target {
            Some(_) => (Some(plain[0]), &plain[1..]),
            None => (None, &plain[..]),
        };
        let items = match kinds.first() {
            Some(Type::List(item, _)) => item.family(),
            _ => None,
        };
        if signatures::fits(name, receiver, arguments) && signatures::takes_items(name, items) {
            return Ok(());
        }
        let shown: Vec<String> = kinds.iter().map(Type::name).collect();
        let applied = match call.target {
            Some(_) => format!("{}.({})", shown[0], shown[1..].join(", ")),
            None => format!("({})", shown.join(", ")),
        };
        Err(self.fault(place, &format!("found no matching overload for '{name}' applied to '{applied}'")))
    }

    /// Where the parenthesis of a call opens: cel-go points at it.
    fn parenthesis(&self, expr: &IdedExpr, name: &str) -> usize {
        let (start, stop) = self.info.offset_for(expr.id).unwrap_or((0, 0));
        let source = &self.info.source;
        if source.get(start as usize..).is_some_and(|rest| rest.starts_with('(')) {
            return start as usize;
        }
        let needle = format!("{name}(");
        let inside = source.get(start as usize..(stop as usize + 1).min(source.len()));
        inside.and_then(|text| text.find(&needle)).map_or(start as usize, |at| start as usize + at + name.len())
    }

    fn no_overload(&self, expr: &IdedExpr, name: &str, kinds: &[Type], _: &Type) -> String {
        let shown: Vec<String> = kinds.iter().map(Type::name).collect();
        let message = format!("found no matching overload for '{name}' applied to '({})'", shown.join(", "));
        self.fault(self.operator(expr, name), &message)
    }

    /// Where an operator stands: cel-go points at it, not at its first operand.
    fn operator(&self, expr: &IdedExpr, name: &str) -> usize {
        let symbol = match name {
            "_?_:_" => "?",
            "_[_]" => "[",
            other => other.trim_matches('_'),
        };
        let (start, stop) = self.info.offset_for(expr.id).unwrap_or((0, 0));
        let source = &self.info.source;
        if source.get(start as usize..).is_some_and(|rest| rest.starts_with(symbol)) {
            return start as usize;
        }
        source.get(start as usize..stop as usize).and_then(|text| text.find(symbol)).map_or(0, |at| start as usize + at)
    }

    fn comprehension(&mut self, each: &ComprehensionExpr) -> Result<Verdict, String> {
        let range = self.visit(&each.iter_range)?;
        if matches!(range.kind.family(), Some(family) if !matches!(family, "list" | "map")) {
            let kind = range.kind.name();
            let message = format!(
                "expression of type '{kind}' cannot be range of a comprehension (must be list, map, or dynamic)"
            );
            return Err(self.fault(self.start(&each.iter_range), &message));
        }
        let start = self.visit(&each.accu_init)?;
        let item = match &range.kind {
            Type::List(item, _) => (**item).clone(),
            Type::Map(..) => Type::Text(64),
            _ => Type::Dyn,
        };
        let depth = self.variables.len();
        self.variables.push((each.iter_var.clone(), if each.iter_var2.is_some() { Type::Dyn } else { item }));
        if let Some(second) = &each.iter_var2 {
            self.variables.push((second.clone(), Type::Dyn));
        }
        self.variables.push((each.accu_var.clone(), start.kind.clone()));
        let step = self.visit(&each.loop_step);
        let condition = self.visit(&each.loop_cond);
        self.variables.truncate(depth);
        let (step, condition) = (step?, condition?);
        self.variables.push((each.accu_var.clone(), step.kind.clone()));
        let result = self.visit(&each.result);
        self.variables.truncate(depth);
        let result = result?;
        let once = step.cost.saturating_add(condition.cost).saturating_add(1);
        let cost = range.cost.saturating_add(once.saturating_mul(range.kind.size())).saturating_add(result.cost);
        let kind = match result.kind {
            Type::List(item, _) => Type::List(item, range.kind.size()),
            other => other,
        };
        verdict(kind, cost)
    }
}
