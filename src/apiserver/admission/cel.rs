//! Expressions of admission policies: compiled once, evaluated against a request.
//!
//! The language itself is [`crate::api::cel`]; here are the variables a policy sees, and the objects
//! it builds: `Object{…}` and `JSONPatch{…}` are maps of their fields.

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, MapEntryExpr, MapExpr};
use cel::objects::{Key, Map};
use cel::{Context, Value as Cel};
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};

use super::authorizer::Asker;
use crate::api::cel::meter::{BUDGET, EXCEEDED, Meter, OUT_OF_BUDGET, metered};
use crate::api::cel::{compile, context, evaluate, to_cel};

/// The most compiled expressions that are kept.
const KEPT: usize = 1024;

/// Expressions, compiled on first use.
#[derive(Default)]
pub struct Expressions {
    compiled: Mutex<HashMap<String, Arc<IdedExpr>>>,
}

/// The variables an expression sees.
pub struct Scope {
    values: Vec<(&'static str, Cel)>,
    definitions: Vec<(String, String)>,
    asker: Option<Asker>,
    /// What the expressions may still cost, all together.
    budget: AtomicU64,
}

impl Default for Scope {
    fn default() -> Self {
        Scope { values: Vec::new(), definitions: Vec::new(), asker: None, budget: AtomicU64::new(BUDGET) }
    }
}

impl Scope {
    /// A variable with a value.
    pub fn set(&mut self, name: &'static str, value: Value) {
        self.values.retain(|(own, _)| *own != name);
        self.values.push((name, to_cel(&value)));
    }

    /// Lets expressions cost so much, all together, from now on.
    pub fn set_budget(&mut self, budget: u64) {
        self.budget = AtomicU64::new(budget);
    }

    /// Takes what an evaluation cost from the budget.
    fn spend(&self, cost: u64) -> Result<(), String> {
        let left = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(cost));
        left.map(drop).map_err(|_| OUT_OF_BUDGET.to_string())
    }

    /// The variable `authorizer`.
    pub fn set_asker(&mut self, asker: Asker) {
        self.asker = Some(asker);
    }

    /// `variables.NAME`, an expression over what was defined before it.
    pub fn define(&mut self, name: &str, expression: &str) {
        self.definitions.push((name.to_string(), expression.to_string()));
    }
}

impl Expressions {
    /// Whether the expression is true.
    ///
    /// # Errors
    /// Why it has no value.
    pub fn holds(&self, text: &str, scope: &Scope) -> Result<bool, String> {
        match self.evaluate(text, scope, scope.asker.as_ref())? {
            Cel::Bool(bool) => Ok(bool),
            _ => Err("must evaluate to bool".to_string()),
        }
    }

    /// Whether every match condition is true. One that is false decides, whatever is wrong with the others.
    ///
    /// # Errors
    /// What is wrong with the first that has no value.
    pub fn all_hold(&self, conditions: &[Value], scope: &Scope) -> Result<bool, String> {
        let mut problem = None;
        for condition in conditions {
            let text = condition["expression"].as_str().unwrap_or_default().trim();
            match self.holds(text, scope) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(why) if why == OUT_OF_BUDGET => return Err(why),
                Err(why) => problem = problem.or(Some(format!("expression '{text}' resulted in error: {why}"))),
            }
        }
        problem.map_or(Ok(true), Err)
    }

    /// The text the expression gives; `None` when it gives none. It has no `authorizer` to ask.
    pub fn text(&self, text: &str, scope: &Scope) -> Option<String> {
        match self.evaluate(text, scope, None) {
            Ok(Cel::String(text)) if !text.trim().is_empty() => Some(text.trim().to_string()),
            _ => None,
        }
    }

    /// The value of an expression as JSON.
    ///
    /// # Errors
    /// Why it has none.
    pub fn json(&self, text: &str, scope: &Scope) -> Result<Value, String> {
        self.evaluate(text, scope, scope.asker.as_ref())?.json().map_err(|error| error.to_string())
    }

    fn evaluate(&self, text: &str, scope: &Scope, asker: Option<&Asker>) -> Result<Cel, String> {
        let mut context = context();
        let meter = Meter::default();
        meter.add_to(&mut context);
        for (name, value) in &scope.values {
            context.add_variable_from_value(*name, value.clone());
        }
        if let Some(asker) = asker {
            asker.add_to(&mut context);
        }
        add_patch_functions(&mut context);
        // A variable that cannot be computed is missing: only what uses it fails.
        let mut variables: HashMap<Key, Cel> = HashMap::new();
        let mut failed: Vec<(&String, String)> = Vec::new();
        for (name, definition) in &scope.definitions {
            context.add_variable_from_value("variables", Cel::Map(Map { map: Arc::new(variables.clone()) }));
            match evaluate(&context, &*self.compiled(definition)?) {
                Ok(value) => drop(variables.insert(Key::String(Arc::new(name.clone())), value)),
                Err(why) => {
                    let why = in_full(why, &failed);
                    failed.push((name, format!("composited variable \"{name}\" fails to evaluate: {why}")));
                }
            }
        }
        context.add_variable_from_value("variables", Cel::Map(Map { map: Arc::new(variables) }));
        let expression = self.compiled(text)?;
        let result = evaluate(&context, &expression).map_err(|why| in_full(why, &failed));
        scope.spend(meter.spent(&expression))?;
        if meter.is_exceeded() { Err(EXCEEDED.to_string()) } else { result }
    }

    fn compiled(&self, text: &str) -> Result<Arc<IdedExpr>, String> {
        let mut kept = self.compiled.lock();
        if let Some(expression) = kept.get(text) {
            return Ok(expression.clone());
        }
        let mut expression = compile(text)?.expression().clone();
        structs_to_maps(&mut expression);
        metered(&mut expression);
        let expression = Arc::new(expression);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(text.to_string(), expression.clone());
        Ok(expression)
    }
}

/// A variable that is missing is one that could not be computed: why not is said instead.
fn in_full(why: String, failed: &[(&String, String)]) -> String {
    let missing = why.strip_prefix("no such key: ");
    let known = failed.iter().find(|(name, _)| missing == Some(name.as_str()));
    known.map_or(why.clone(), |(_, words)| words.clone())
}

/// `jsonpatch.escapeKey('a/b')`: a key as a JSON pointer writes it.
fn add_patch_functions(context: &mut Context<'_, '_>) {
    context.add_variable_from_value("jsonpatch", Cel::Null);
    let escape = |cel::extractors::This(_): cel::extractors::This<Cel>, key: Arc<String>| {
        key.replace('~', "~0").replace('/', "~1")
    };
    // Only a name declared twice is an error; this one is new to the environment.
    let _ = context.add_function("escapeKey", escape);
}

/// Objects that a mutation builds have no declared types: they are maps of their fields.
fn structs_to_maps(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Struct(built) => {
            let entries = std::mem::take(&mut built.entries);
            let entries = entries.into_iter().map(|mut entry| {
                if let EntryExpr::StructField(field) = entry.expr {
                    let name = Expr::Literal(LiteralValue::String(field.field.into()));
                    let key = IdedExpr { id: entry.id, expr: name };
                    entry.expr =
                        EntryExpr::MapEntry(MapEntryExpr { key, value: field.value, optional: field.optional });
                }
                entry
            });
            expression.expr = Expr::Map(MapExpr { entries: entries.collect() });
            structs_to_maps(expression);
        }
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    structs_to_maps(&mut entry.value);
                }
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(structs_to_maps),
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| structs_to_maps(target));
            call.args.iter_mut().for_each(structs_to_maps);
        }
        Expr::Comprehension(loop_) => {
            structs_to_maps(&mut loop_.iter_range);
            structs_to_maps(&mut loop_.loop_step);
            structs_to_maps(&mut loop_.result);
        }
        Expr::Select(select) => structs_to_maps(&mut select.operand),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_see_the_object_and_their_variables() {
        let expressions = Expressions::default();
        let mut scope = Scope::default();
        scope.set("object", json!({"metadata": {"name": "web"}, "data": {"a": "1", "b": "2"}}));
        scope.define("n", "size(object.data)");
        assert_eq!(expressions.holds("object.metadata.name.startsWith('w') && variables.n == 2", &scope), Ok(true));
        assert_eq!(expressions.holds("object.data.missing == 'x'", &scope), Err("no such key: missing".to_string()));
        let built = "Object{metadata: Object.metadata{labels: {'n': string(variables.n)}}}";
        assert_eq!(expressions.json(built, &scope), Ok(json!({"metadata": {"labels": {"n": "2"}}})));
        let patch = "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b')}]";
        assert_eq!(expressions.json(patch, &scope), Ok(json!([{"op": "add", "path": "/metadata/labels/a~1b"}])));
    }
}
