//! The variables of a policy: `variables.NAME`, computed when an expression first asks for it, and then kept.
//!
//! In: what expressions see, and the definitions. Out: a function in a CEL context in place of the map, what it cost, and
//! the values. A variable that nobody asks for costs nothing and cannot fail; each may cost as much as any expression.
//! Source: `k8s.io/apiserver/pkg/admission/plugin/cel/composition.go`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};
use cel::objects::{Key, Map};
use cel::{Context, ExecutionError, Value as Cel};
use parking_lot::Mutex;

use super::authorizer::Asker;
use super::cel::add_patch_functions;
use crate::api::cel::meter::{EXCEEDED, Meter, metered};
use crate::api::cel::{context, evaluate};

/// What an expression calls where it said `variables.NAME`. Nobody can write this name in CEL.
const VARIABLE: &str = "@variable";
/// The name of the map.
const ALL: &str = "variables";

/// An expression that asks for each variable by itself.
pub struct Compiled {
    pub expression: IdedExpr,
    /// Whether it asks for the map as a whole too.
    asks_all: bool,
}

impl Compiled {
    /// From an expression as it is written.
    pub fn new(mut expression: IdedExpr) -> Compiled {
        let asks_all = by_name(&mut expression);
        metered(&mut expression);
        Compiled { expression, asks_all }
    }
}

/// A definition's name and expression, or why that is none.
pub type Definition = (String, Result<Arc<Compiled>, String>);
/// Values by name, or why there is none.
type Found = HashMap<String, Result<Cel, String>>;

/// What all expressions of one phase of a policy see.
pub struct Variables {
    values: Vec<(&'static str, Cel)>,
    definitions: Vec<Definition>,
    asker: Option<Asker>,
    found: Mutex<Found>,
    spent: AtomicU64,
}

impl Variables {
    /// Of which none has been asked for.
    pub fn new(values: Vec<(&'static str, Cel)>, definitions: Vec<Definition>, asker: Option<Asker>) -> Variables {
        Variables { values, definitions, asker, found: Mutex::default(), spent: AtomicU64::new(0) }
    }

    /// An expression's value, or why it has none; and what it cost, with the variables that it was the first to ask for.
    pub fn evaluate(self: &Arc<Self>, compiled: &Compiled) -> (Result<Cel, String>, u64) {
        let (result, cost) = self.alone(compiled);
        (result, cost.saturating_add(self.spent.swap(0, Ordering::Relaxed)))
    }

    /// The same, without the cost of variables.
    fn alone(self: &Arc<Self>, compiled: &Compiled) -> (Result<Cel, String>, u64) {
        let meter = Meter::default();
        let mut context = self.context_for(compiled);
        meter.add_to(&mut context);
        let result = evaluate(&context, &compiled.expression);
        let result = if meter.is_exceeded() { Err(EXCEEDED.to_string()) } else { result };
        (result, meter.spent(&compiled.expression))
    }

    fn context_for(self: &Arc<Self>, compiled: &Compiled) -> Context<'static, 'static> {
        let mut context = context();
        for (name, value) in &self.values {
            context.add_variable_from_value(*name, value.clone());
        }
        if let Some(asker) = &self.asker {
            asker.add_to(&mut context);
        }
        add_patch_functions(&mut context);
        let own = Arc::clone(self);
        let get = move |name: Arc<String>| {
            own.get(&name).map_err(|message| ExecutionError::FunctionError { function: VARIABLE.to_string(), message })
        };
        // Only a name declared twice is an error; this one is new to the environment.
        let _ = context.add_function(VARIABLE, get);
        if compiled.asks_all {
            context.add_variable_from_value(ALL, self.all());
        }
        context
    }

    /// A variable's value, or why it has none.
    fn get(self: &Arc<Self>, name: &str) -> Result<Cel, String> {
        if let Some(known) = self.found.lock().get(name) {
            return known.clone();
        }
        let result = match self.definitions.iter().find(|(own, _)| own == name) {
            None => return Err(format!("no such key: {name}")),
            Some((_, Err(why))) => Err(format!("composited variable \"{name}\" fails to compile: {why}")),
            Some((_, Ok(compiled))) => {
                let (result, cost) = self.alone(compiled);
                self.spent.fetch_add(cost, Ordering::Relaxed);
                result.map_err(|why| format!("composited variable \"{name}\" fails to evaluate: {why}"))
            }
        };
        self.found.lock().insert(name.to_string(), result.clone());
        result
    }

    /// All that have a value, for an expression that asks for no single one.
    fn all(self: &Arc<Self>) -> Cel {
        let known = self.definitions.iter().filter(|(_, one)| one.as_ref().is_ok_and(|one| !one.asks_all));
        let values = known.filter_map(|(name, _)| Some((Key::from(name.clone()), self.get(name).ok()?)));
        Cel::Map(Map { map: Arc::new(values.collect()) })
    }
}

/// Makes an expression ask for each variable by itself. Whether it names the map as a whole too.
fn by_name(expression: &mut IdedExpr) -> bool {
    if let Expr::Select(select) = &expression.expr
        && !select.test
        && is_all(&select.operand)
    {
        let name = Expr::Literal(LiteralValue::String(select.field.clone().into()));
        let args = vec![IdedExpr { id: expression.id, expr: name }];
        expression.expr = Expr::Call(CallExpr { func_name: VARIABLE.to_string(), target: None, args });
        return false;
    }
    let own = is_all(expression);
    parts_mut(expression).into_iter().fold(own, |asks, part| by_name(part) || asks)
}

fn is_all(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == ALL)
}

/// What an expression is made of.
fn parts_mut(expression: &mut IdedExpr) -> Vec<&mut IdedExpr> {
    match &mut expression.expr {
        Expr::Select(select) => vec![&mut *select.operand],
        Expr::Call(call) => call.target.as_deref_mut().into_iter().chain(&mut call.args).collect(),
        Expr::List(list) => list.elements.iter_mut().collect(),
        Expr::Map(map) => map.entries.iter_mut().flat_map(|entry| of_entry(&mut entry.expr)).collect(),
        Expr::Struct(built) => built.entries.iter_mut().flat_map(|entry| of_entry(&mut entry.expr)).collect(),
        Expr::Comprehension(loop_) => vec![
            &mut loop_.iter_range,
            &mut loop_.accu_init,
            &mut loop_.loop_cond,
            &mut loop_.loop_step,
            &mut loop_.result,
        ],
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn of_entry(entry: &mut EntryExpr) -> Vec<&mut IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&mut entry.key, &mut entry.value],
        EntryExpr::StructField(field) => vec![&mut field.value],
    }
}
