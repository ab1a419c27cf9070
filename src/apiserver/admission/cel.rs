//! Expressions of admission policies: compiled once, evaluated against a request.
//!
//! The language itself is [`crate::api::cel`]; here are the variables a policy sees, and the objects
//! it builds: `Object{…}` and `JSONPatch{…}` are maps of their fields.

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, MapEntryExpr, MapExpr};
use cel::{Context, Value as Cel};
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};

use super::authorizer::Asker;
use super::variables::{Compiled, Variables};
use crate::api::cel::meter::{BUDGET, OUT_OF_BUDGET};
use crate::api::cel::{compile, to_cel};

/// The most compiled expressions that are kept.
const KEPT: usize = 1024;

/// Expressions, compiled on first use.
#[derive(Default)]
pub struct Expressions {
    compiled: Mutex<HashMap<String, Arc<Compiled>>>,
}

/// The variables an expression sees.
pub struct Scope {
    values: Vec<(&'static str, Cel)>,
    definitions: Vec<(String, String)>,
    asker: Option<Asker>,
    /// What the expressions may still cost, all together.
    budget: AtomicU64,
    /// What they see, and what they have asked for so far.
    seen: Mutex<Option<Arc<Variables>>>,
}

impl Default for Scope {
    fn default() -> Self {
        let (values, definitions, budget) = (Vec::new(), Vec::new(), AtomicU64::new(BUDGET));
        Scope { values, definitions, asker: None, budget, seen: Mutex::default() }
    }
}

impl Scope {
    /// A variable with a value.
    pub fn set(&mut self, name: &'static str, value: Value) {
        self.values.retain(|(own, _)| *own != name);
        self.values.push((name, to_cel(&value)));
        self.seen = Mutex::default();
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

    /// No expression has an `authorizer` from now on; what those before asked for is asked for again.
    pub fn drop_asker(&mut self) {
        self.asker = None;
        self.seen = Mutex::default();
    }

    /// `variables.NAME`, an expression over what was defined before it.
    pub fn define(&mut self, name: &str, expression: &str) {
        self.definitions.push((name.to_string(), expression.to_string()));
        self.seen = Mutex::default();
    }
}

impl Expressions {
    /// Whether the expression is true.
    ///
    /// # Errors
    /// Why it has no value.
    pub fn holds(&self, text: &str, scope: &Scope) -> Result<bool, String> {
        match self.evaluate(text, scope)? {
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

    /// The text the expression gives, without spaces around it; `None` for null and for what is empty.
    ///
    /// # Errors
    /// Why it has no value, or that it is no text.
    pub fn text(&self, text: &str, scope: &Scope) -> Result<Option<String>, String> {
        match self.evaluate(text, scope)? {
            Cel::String(text) => Ok(Some(text.trim().to_string()).filter(|text| !text.is_empty())),
            Cel::Null => Ok(None),
            other => Err(format!(
                "valueExpression '{text}' resulted in unsupported return type: {}. Return type must be either string or \
                 null.",
                kind_of(&other)
            )),
        }
    }

    /// The value of an expression as JSON.
    ///
    /// # Errors
    /// Why it has none.
    pub fn json(&self, text: &str, scope: &Scope) -> Result<Value, String> {
        self.evaluate(text, scope)?.json().map_err(|error| error.to_string())
    }

    fn evaluate(&self, text: &str, scope: &Scope) -> Result<Cel, String> {
        let compiled = self.compiled(text)?;
        let seen = scope.seen.lock().get_or_insert_with(|| Arc::new(self.seen(scope))).clone();
        let (result, cost) = seen.evaluate(&compiled);
        scope.spend(cost)?;
        result
    }

    fn seen(&self, scope: &Scope) -> Variables {
        let definitions = scope.definitions.iter().map(|(name, text)| (name.clone(), self.compiled(text)));
        Variables::new(scope.values.clone(), definitions.collect(), scope.asker.clone())
    }

    fn compiled(&self, text: &str) -> Result<Arc<Compiled>, String> {
        let mut kept = self.compiled.lock();
        if let Some(expression) = kept.get(text) {
            return Ok(expression.clone());
        }
        let mut expression = compile(text)?.expression().clone();
        structs_to_maps(&mut expression);
        let expression = Arc::new(Compiled::new(expression));
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(text.to_string(), expression.clone());
        Ok(expression)
    }
}

/// A type as CEL names it.
fn kind_of(value: &Cel) -> &'static str {
    match value {
        Cel::Bool(_) => "bool",
        Cel::Int(_) => "int",
        Cel::UInt(_) => "uint",
        Cel::Float(_) => "double",
        Cel::Bytes(_) => "bytes",
        Cel::List(_) => "list",
        Cel::Map(_) => "map",
        Cel::Duration(_) => "google.protobuf.Duration",
        Cel::Timestamp(_) => "google.protobuf.Timestamp",
        _ => "type",
    }
}

/// `jsonpatch.escapeKey('a/b')`: a key as a JSON pointer writes it.
pub fn add_patch_functions(context: &mut Context<'_, '_>) {
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
        assert_eq!(expressions.holds("has(variables.n) && 'n' in variables", &scope), Ok(true));
        let built = "Object{metadata: Object.metadata{labels: {'n': string(variables.n)}}}";
        assert_eq!(expressions.json(built, &scope), Ok(json!({"metadata": {"labels": {"n": "2"}}})));
        let patch = "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b')}]";
        assert_eq!(expressions.json(patch, &scope), Ok(json!([{"op": "add", "path": "/metadata/labels/a~1b"}])));
    }

    #[test]
    fn a_variable_costs_once_and_only_who_asks_for_it() {
        let expressions = Expressions::default();
        let mut scope = Scope::default();
        scope.set("object", json!({"l": vec!["a"; 1_000]}));
        let all = "object.l.all(x, object.l.all(y, x == y))";
        scope.define("dear", all);
        scope.define("wrong", "object.none == 1");
        scope.define("through", "variables.wrong");
        let costs = |scope: &Scope| BUDGET - scope.budget.load(Ordering::Relaxed);
        assert_eq!(expressions.holds("true || variables.dear", &scope), Ok(true));
        assert!(costs(&scope) < 10, "{}", costs(&scope));
        let why = "composited variable \"dear\" fails to evaluate: operation cancelled: actual cost limit exceeded";
        assert_eq!(expressions.holds("variables.dear", &scope), Err(why.to_string()));
        let first = costs(&scope);
        assert_eq!(expressions.holds("variables.dear", &scope), Err(why.to_string()));
        assert!(first >= 1_000_000 && costs(&scope) - first < 10, "{first}, {}", costs(&scope));
        let why = "composited variable \"wrong\" fails to evaluate: no such key: none";
        let through = format!("composited variable \"through\" fails to evaluate: {why}");
        assert_eq!(expressions.holds("variables.through", &scope), Err(through));
    }

    #[test]
    fn a_text_is_trimmed_and_nothing_else_is_one() {
        let (expressions, scope) = (Expressions::default(), Scope::default());
        let text = |expression| expressions.text(expression, &scope);
        assert_eq!((text("' a '"), text("'  '"), text("null")), (Ok(Some("a".to_string())), Ok(None), Ok(None)));
        let why =
            "valueExpression '1' resulted in unsupported return type: int. Return type must be either string or null.";
        assert_eq!(text("1"), Err(why.to_string()));
    }
}
