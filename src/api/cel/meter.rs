//! What an expression costs while it runs, and the end of one that costs too much.
//!
//! In: an expression. Out: the same, with every turn of a loop and every walk through a long text charged to
//! a [`Meter`]. As in cel-go, naming a value, taking a field and calling a function cost 1, and a text a
//! tenth of its length; the sums are near those of cel-go and not the same.
//! Source: `k8s.io/apiserver/pkg/cel/library/cost.go`, `pkg/apis/cel`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::extractors::This;
use cel::{Context, ExecutionError, Value as Cel};

use super::types::is_type_name;

/// The most that one evaluation may cost.
pub const PER_CALL: u64 = 1_000_000;
/// The most that all rules of an object, or all expressions of a policy's binding, may cost.
pub const BUDGET: u64 = 10_000_000;
/// The most that all conditions of a webhook or of a policy may cost.
pub const MATCH_CONDITIONS: u64 = 2_500_000;

/// Said of an evaluation that cost more than [`PER_CALL`].
pub const EXCEEDED: &str = "operation cancelled: actual cost limit exceeded";
/// Said when the budget is used up.
pub const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// Charges a turn of a loop.
const CHARGE: &str = "@charge";
/// Charges a walk through a text or a list.
const WALK: &str = "@walk";
/// Functions that walk through what they are called on.
const WALKS: [&str; 14] = [
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "find",
    "findAll",
    "replace",
    "split",
    "lowerAscii",
    "upperAscii",
    "indexOf",
    "lastIndexOf",
    "substring",
    "trim",
];

/// Functions that are the interpreter's by name, and [`super::functions`]' by what they do.
const OWN: [&str; 6] = ["indexOf", "lastIndexOf", "format", "join", "matches", "string"];

/// One evaluation's cost so far.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    spent: Arc<AtomicU64>,
}

impl Meter {
    /// Gives a context the functions that [`metered`] calls.
    pub fn add_to(&self, context: &mut Context<'_, '_>) {
        // Only a name declared twice is an error; these cannot be written in CEL.
        let meter = self.clone();
        let charge = move |This(value): This<Cel>, cost: i64| meter.charge(cost.unsigned_abs()).map(|()| value);
        let _ = context.add_function(CHARGE, charge);
        let meter = self.clone();
        let _ = context.add_function(WALK, move |This(value): This<Cel>| {
            let size = match &value {
                Cel::String(text) => text.len() as u64 / 10,
                Cel::List(items) => items.len() as u64,
                _ => 0,
            };
            meter.charge(size).map(|()| value)
        });
    }

    fn charge(&self, cost: u64) -> Result<(), ExecutionError> {
        let before = self.spent.fetch_add(cost, Ordering::Relaxed);
        match before.saturating_add(cost) > PER_CALL {
            true => Err(ExecutionError::FunctionError { function: CHARGE.to_string(), message: EXCEEDED.to_string() }),
            false => Ok(()),
        }
    }

    /// What has been spent; an evaluation of `expression` has begun with what it costs outside its loops.
    pub fn spent(&self, expression: &IdedExpr) -> u64 {
        self.spent.load(Ordering::Relaxed).saturating_add(cost(expression))
    }

    /// Whether it was too much. Asked after an evaluation, whose `||` may have swallowed the error.
    pub fn is_exceeded(&self) -> bool {
        self.spent.load(Ordering::Relaxed) > PER_CALL
    }
}

/// What a part of an expression costs each time, without the loops in it.
fn cost(expression: &IdedExpr) -> u64 {
    let all = |list: &[IdedExpr]| list.iter().map(cost).sum::<u64>();
    match &expression.expr {
        Expr::Ident(_) => 1,
        Expr::Select(select) => 1 + cost(&select.operand),
        Expr::Call(call) => 1 + call.target.as_deref().map_or(0, cost) + all(&call.args),
        Expr::List(list) => 10 + all(&list.elements),
        Expr::Map(_) => 30,
        Expr::Struct(_) => 40,
        Expr::Comprehension(loop_) => 1 + cost(&loop_.iter_range) + cost(&loop_.accu_init) + cost(&loop_.result),
        Expr::Literal(_) | Expr::Unspecified => 0,
    }
}

/// Makes an expression charge for its loops and walks.
pub fn metered(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Select(select) => metered(&mut select.operand),
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| metered(target));
            call.args.iter_mut().for_each(metered);
            let library =
                matches!(call.target.as_deref(), Some(IdedExpr { expr: Expr::Ident(name), .. }) if is_type_name(name));
            if !library && let Some(target) = call.target.as_mut().filter(|_| WALKS.contains(&call.func_name.as_str()))
            {
                wrap(target, WALK, None);
            }
            // Kubernetes' own meaning of a name that the interpreter has another for.
            if !library && OWN.contains(&call.func_name.as_str()) {
                call.func_name.insert(0, '@');
            }
            if call.func_name == operators::IN
                && let [_, list] = call.args.as_mut_slice()
            {
                wrap(list, WALK, None);
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(metered),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    metered(&mut entry.key);
                    metered(&mut entry.value);
                }
            }
        }
        Expr::Struct(built) => {
            for entry in &mut built.entries {
                if let EntryExpr::StructField(field) = &mut entry.expr {
                    metered(&mut field.value);
                }
            }
        }
        Expr::Comprehension(loop_) => in_loop(loop_),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

/// A loop is charged where the macros put what each element is asked, because the interpreter knows
/// their shape: a condition, or the one element of a list.
fn in_loop(loop_: &mut ComprehensionExpr) {
    let each = 2 + cost(&loop_.loop_step) + cost(&loop_.loop_cond);
    metered(&mut loop_.iter_range);
    metered(&mut loop_.loop_step);
    if !matches!(loop_.loop_cond.expr, Expr::Literal(_)) {
        // Of `all` and `exists`, whose step's errors wait for the end of the loop; the condition's do not.
        return wrap(&mut loop_.loop_cond, CHARGE, Some(each));
    }
    let accumulator = loop_.accu_var.clone();
    let is_accumulator = |part: &IdedExpr| matches!(&part.expr, Expr::Ident(name) if *name == accumulator);
    let asked = match &mut loop_.loop_step.expr {
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => call.args.get_mut(0),
        Expr::Call(call) if call.func_name == operators::ADD && call.args.first().is_some_and(is_accumulator) => {
            match call.args.get_mut(1).map(|list| &mut list.expr) {
                Some(Expr::List(list)) => list.elements.first_mut(),
                _ => None,
            }
        }
        _ => None,
    };
    match asked {
        Some(asked) => wrap(asked, CHARGE, Some(each)),
        None => wrap(&mut loop_.loop_step, CHARGE, Some(each)),
    }
}

fn wrap(part: &mut IdedExpr, function: &str, cost: Option<u64>) {
    let id = part.id;
    let inner = std::mem::take(part);
    let cost = cost.map(|cost| IdedExpr {
        id,
        expr: Expr::Literal(LiteralValue::Int(i64::try_from(cost).unwrap_or(i64::MAX).into())),
    });
    let args = std::iter::once(inner).chain(cost).collect();
    *part = IdedExpr { id, expr: Expr::Call(CallExpr { func_name: function.to_string(), target: None, args }) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::cel::{compile, context, in_words, to_cel};
    use serde_json::json;

    fn run(text: &str, n: usize) -> (Result<Cel, String>, u64, bool) {
        let mut expression = compile(text).unwrap().expression().clone();
        metered(&mut expression);
        let (meter, mut context) = (Meter::default(), context());
        meter.add_to(&mut context);
        context.add_variable_from_value("l", to_cel(&json!(vec!["abcdefghij"; n])));
        let result = context.resolve(&expression).map_err(|error| in_words(&error));
        (result, meter.spent(&expression), meter.is_exceeded())
    }

    #[test]
    fn loops_give_what_they_gave_and_cost_by_their_turns() {
        for (text, expected) in [
            ("l.all(x, x == 'abcdefghij')", json!(true)),
            ("l.exists(x, x.contains('z'))", json!(false)),
            ("l.exists_one(x, x == 'q')", json!(false)),
            ("l.map(x, x + '!').size() == 10", json!(true)),
            ("l.filter(x, x in l).size() == 10", json!(true)),
            ("l.map(x, x.size() > 3, 1).size() == 10", json!(true)),
        ] {
            let (few, cost_of_few, _) = run(text, 10);
            assert_eq!(few.unwrap(), to_cel(&expected), "{text}");
            let (_, cost_of_many, _) = run(text, 1_000);
            assert!(cost_of_many >= 50 * cost_of_few, "{text}: {cost_of_few} and {cost_of_many}");
        }
        let (_, early, _) = run("l.exists(x, x == 'abcdefghij')", 10_000);
        assert!(early < 100, "ends with the first that fits, and costs no more: {early}");
    }

    #[test]
    fn an_evaluation_ends_when_it_costs_too_much() {
        let (result, _, exceeded) = run("l.all(x, l.all(y, l.all(z, x == y || y == z)))", 1_000);
        assert_eq!((result, exceeded), (Err(EXCEEDED.to_string()), true));
        let (_, _, swallowed) = run("l.all(x, l.all(y, l.all(z, x == y))) || true", 1_000);
        assert!(swallowed);
    }
}
