//! Loops that name two things: `list.all(index, item, …)`, `map.transformList(key, value, …)`.
//!
//! The interpreter's loops name one. So a loop over two is made into a loop over pairs, in whose body each
//! of the two names stands for a half of the pair. The pair's own name is made of both, which keeps a loop
//! inside a loop apart. Source: cel-go, `ext/comprehensions.go`.

use std::sync::Arc;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, operators,
};
use cel::objects::{Key, Map};
use cel::parser::{Macro, MacroExprHelper, ParseError};
use cel::{DeclarationError, Env, Value as Cel};

use super::functions::Answer;

/// The pairs of a list (place and item) or of a map (key and value).
pub const PAIRS: &str = "@pairs";
/// A map with one more entry, or with another map's.
pub const INSERT: &str = "@mapInsert";

const RESULT: &str = "@result";

/// The macros: their name, whether a filter may stand before what is asked, and what they make of it.
const MACROS: [(&str, usize, Shape); 10] = [
    ("all", 3, Shape::All),
    ("exists", 3, Shape::Exists),
    ("existsOne", 3, Shape::ExistsOne),
    ("exists_one", 3, Shape::ExistsOne),
    ("transformList", 3, Shape::List),
    ("transformList", 4, Shape::List),
    ("transformMap", 3, Shape::Map),
    ("transformMap", 4, Shape::Map),
    ("transformMapEntry", 3, Shape::Entries),
    ("transformMapEntry", 4, Shape::Entries),
];

#[derive(Clone, Copy)]
enum Shape {
    All,
    Exists,
    ExistsOne,
    List,
    Map,
    Entries,
}

/// Adds the macros, made for the interpreter.
///
/// # Errors
/// When one of them is there already.
pub fn macros(env: &mut Env) -> Result<(), DeclarationError> {
    add(env, in_pairs)
}

/// Adds the macros as they are written: loops over two names, for who looks at them and does not run them.
///
/// # Errors
/// When one of them is there already.
pub fn macros_as_written(env: &mut Env) -> Result<(), DeclarationError> {
    add(env, as_written)
}

/// Makes a loop of its names, its shape, what it goes over, and what it asks of each, after a filter.
type Make = fn(&mut MacroExprHelper<'_>, Shape, IdedExpr, [IdedExpr; 2], Vec<IdedExpr>) -> Option<IdedExpr>;

fn add(env: &mut Env, make: Make) -> Result<(), DeclarationError> {
    for (name, arguments, shape) in MACROS {
        env.add_macro(Macro::receiver(name, arguments, move |helper, target, args| {
            let Some(range) = target.take() else { return Ok(None) };
            expand(helper, shape, range, std::mem::take(args), make).map(Some)
        }))?;
    }
    Ok(())
}

fn expand(
    helper: &mut MacroExprHelper<'_>,
    shape: Shape,
    range: IdedExpr,
    mut args: Vec<IdedExpr>,
    make: Make,
) -> Result<IdedExpr, ParseError> {
    let rest = args.split_off(2);
    for arg in &args {
        if name_of(arg).is_none() {
            return Err(helper.new_error(arg.id, "argument must be a simple name"));
        }
    }
    if name_of(&args[0]) == name_of(&args[1]) {
        let message = format!("duplicate variable name: {}", name_of(&args[0]).unwrap_or_default());
        return Err(helper.new_error(args[1].id, message));
    }
    let at = range.id;
    let made = <[IdedExpr; 2]>::try_from(args).ok().and_then(|names| make(helper, shape, range, names, rest));
    made.ok_or_else(|| helper.new_error(at, "nothing is asked"))
}

fn name_of(arg: &IdedExpr) -> Option<&str> {
    match &arg.expr {
        Expr::Ident(name) => Some(name),
        _ => None,
    }
}

fn in_pairs(
    helper: &mut MacroExprHelper<'_>,
    shape: Shape,
    range: IdedExpr,
    names: [IdedExpr; 2],
    mut rest: Vec<IdedExpr>,
) -> Option<IdedExpr> {
    let (first, second) = (name_of(&names[0])?.to_owned(), name_of(&names[1])?.to_owned());
    let pair = format!("@{first},{second}");
    for part in &mut rest {
        halve(part, &first, &pair, 0);
        halve(part, &second, &pair, 1);
    }
    let mut key = IdedExpr { id: names[0].id, expr: Expr::Ident(first.clone()) };
    halve(&mut key, &first, &pair, 0);
    let made = parts(helper, shape, rest, key, INSERT)?;
    let iter_range = call(helper, PAIRS, vec![range]);
    Some(made.looped(helper, iter_range, pair, None))
}

fn as_written(
    helper: &mut MacroExprHelper<'_>,
    shape: Shape,
    range: IdedExpr,
    names: [IdedExpr; 2],
    rest: Vec<IdedExpr>,
) -> Option<IdedExpr> {
    let (first, second) = (name_of(&names[0])?.to_owned(), name_of(&names[1])?.to_owned());
    let key = helper.next_expr(Expr::Ident(first.clone()));
    let made = parts(helper, shape, rest, key, "cel.@mapInsert")?;
    Some(made.looped(helper, range, first, Some(second)))
}

/// How a loop begins, when it goes on, what a turn does, and what comes out.
struct Parts {
    start: IdedExpr,
    condition: IdedExpr,
    step: IdedExpr,
    result: IdedExpr,
}

impl Parts {
    fn looped(
        self,
        helper: &mut MacroExprHelper<'_>,
        range: IdedExpr,
        name: String,
        second: Option<String>,
    ) -> IdedExpr {
        helper.next_expr(Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range: range,
            iter_var: name,
            iter_var2: second,
            accu_var: RESULT.to_string(),
            accu_init: self.start,
            loop_cond: self.condition,
            loop_step: self.step,
            result: self.result,
        })))
    }
}

/// The parts of a loop that asks the last of `rest`, where the one before it holds.
fn parts(
    helper: &mut MacroExprHelper<'_>,
    shape: Shape,
    mut rest: Vec<IdedExpr>,
    key: IdedExpr,
    insert: &str,
) -> Option<Parts> {
    let (asked, filter) = (rest.pop()?, rest.pop());
    let literal = |helper: &mut MacroExprHelper<'_>, value: bool| {
        helper.next_expr(Expr::Literal(LiteralValue::Boolean(value.into())))
    };
    let number =
        |helper: &mut MacroExprHelper<'_>, value: i64| helper.next_expr(Expr::Literal(LiteralValue::Int(value.into())));
    let (so_far, result) = (accumulator(helper), accumulator(helper));
    let (start, condition, step, result) = match shape {
        Shape::All => {
            let before = accumulator(helper);
            let condition = call(helper, operators::NOT_STRICTLY_FALSE, vec![before]);
            let step = call(helper, operators::LOGICAL_AND, vec![so_far, asked]);
            (literal(helper, true), condition, step, result)
        }
        Shape::Exists => {
            let before = accumulator(helper);
            let not = call(helper, operators::LOGICAL_NOT, vec![before]);
            let condition = call(helper, operators::NOT_STRICTLY_FALSE, vec![not]);
            let step = call(helper, operators::LOGICAL_OR, vec![so_far, asked]);
            (literal(helper, false), condition, step, result)
        }
        Shape::ExistsOne => {
            let (one, same) = (number(helper, 1), accumulator(helper));
            let more = call(helper, operators::ADD, vec![so_far, one]);
            let step = call(helper, operators::CONDITIONAL, vec![asked, more, same]);
            let one = number(helper, 1);
            let result = call(helper, operators::EQUALS, vec![result, one]);
            (number(helper, 0), literal(helper, true), step, result)
        }
        Shape::List => {
            let item = helper.next_expr(Expr::List(ListExpr::new(vec![asked])));
            let step = call(helper, operators::ADD, vec![so_far, item]);
            (helper.next_expr(Expr::List(ListExpr::new(Vec::new()))), literal(helper, true), step, result)
        }
        Shape::Map | Shape::Entries => {
            let inserted = if matches!(shape, Shape::Map) { vec![so_far, key, asked] } else { vec![so_far, asked] };
            let step = call(helper, insert, inserted);
            (helper.next_expr(Expr::Map(MapExpr { entries: Vec::new() })), literal(helper, true), step, result)
        }
    };
    let step = match filter {
        Some(filter) => {
            let same = accumulator(helper);
            call(helper, operators::CONDITIONAL, vec![filter, step, same])
        }
        None => step,
    };
    Some(Parts { start, condition, step, result })
}

fn accumulator(helper: &mut MacroExprHelper<'_>) -> IdedExpr {
    helper.next_expr(Expr::Ident(RESULT.to_string()))
}

fn call(helper: &mut MacroExprHelper<'_>, function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    helper.next_expr(Expr::Call(CallExpr { func_name: function.to_string(), target: None, args }))
}

/// Puts `pair[half]` where `name` stands and no loop inside gives it another meaning.
fn halve(expr: &mut IdedExpr, name: &str, pair: &str, half: i64) {
    let id = expr.id;
    match &mut expr.expr {
        Expr::Ident(own) if own == name => {
            let of = IdedExpr { id, expr: Expr::Ident(pair.to_string()) };
            let at = IdedExpr { id, expr: Expr::Literal(LiteralValue::Int(half.into())) };
            let args = vec![of, at];
            expr.expr = Expr::Call(CallExpr { func_name: operators::INDEX.to_string(), target: None, args });
        }
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| halve(target, name, pair, half));
            call.args.iter_mut().for_each(|arg| halve(arg, name, pair, half));
        }
        Expr::Comprehension(inner) => {
            halve(&mut inner.iter_range, name, pair, half);
            halve(&mut inner.accu_init, name, pair, half);
            if inner.iter_var != name {
                halve(&mut inner.loop_cond, name, pair, half);
                halve(&mut inner.loop_step, name, pair, half);
                halve(&mut inner.result, name, pair, half);
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(|item| halve(item, name, pair, half)),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| halve_entry(&mut entry.expr, name, pair, half)),
        Expr::Struct(built) => {
            built.entries.iter_mut().for_each(|entry| halve_entry(&mut entry.expr, name, pair, half));
        }
        Expr::Select(select) => halve(&mut select.operand, name, pair, half),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn halve_entry(entry: &mut EntryExpr, name: &str, pair: &str, half: i64) {
    match entry {
        EntryExpr::MapEntry(entry) => {
            halve(&mut entry.key, name, pair, half);
            halve(&mut entry.value, name, pair, half);
        }
        EntryExpr::StructField(field) => halve(&mut field.value, name, pair, half),
    }
}

/// The pairs of a list or of a map.
///
/// # Errors
/// It is neither.
pub fn of(range: &Cel) -> Answer {
    let pair = |key: Cel, value: Cel| Cel::List(Arc::new(vec![key, value]));
    let pairs: Vec<Cel> = match range {
        Cel::List(items) => (0_i64..).zip(items.iter()).map(|(at, item)| pair(Cel::Int(at), item.clone())).collect(),
        Cel::Map(map) => map.map.iter().map(|(key, value)| pair(value_of(key), value.clone())).collect(),
        _ => return Err("no such overload".to_owned()),
    };
    Ok(Cel::List(Arc::new(pairs)))
}

/// A map with an entry (key and value) or a map's entries added.
///
/// # Errors
/// A key is there already, or is none.
pub fn insert(into: &Cel, rest: &[Cel]) -> Answer {
    let none = || "no such overload".to_owned();
    let Cel::Map(map) = into else { return Err(none()) };
    let mut all = (*map.map).clone();
    let more: Vec<(Key, Cel)> = match rest {
        [Cel::Map(more)] => more.map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        [key, value] => vec![(key_of(key).ok_or_else(none)?, value.clone())],
        _ => return Err(none()),
    };
    for (key, value) in more {
        let words = format!("insert failed: key {key} already exists");
        if all.insert(key, value).is_some() {
            return Err(words);
        }
    }
    Ok(Cel::Map(Map { map: Arc::new(all) }))
}

fn value_of(key: &Key) -> Cel {
    match key {
        Key::Int(number) => Cel::Int(*number),
        Key::Uint(number) => Cel::UInt(*number),
        Key::Bool(bool) => Cel::Bool(*bool),
        Key::String(text) => Cel::String(text.clone()),
    }
}

fn key_of(value: &Cel) -> Option<Key> {
    match value {
        Cel::Int(number) => Some(Key::Int(*number)),
        Cel::UInt(number) => Some(Key::Uint(*number)),
        Cel::Bool(bool) => Some(Key::Bool(*bool)),
        Cel::String(text) => Some(Key::String(text.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::api::cel::{compile, context, in_words};
    use cel::Value as Cel;

    fn run(text: &str) -> Result<Cel, String> {
        compile(text)?.execute(&context()).map_err(|error| in_words(&error))
    }

    #[test]
    fn both_halves_have_their_names() {
        for text in [
            "[1, 2].all(i, v, v == i + 1) && ![1, 3].all(i, v, v == i + 1)",
            "{'a': 1, 'b': 2}.exists(k, v, k == 'b' && v == 2)",
            "[5, 6].existsOne(i, v, i == 0) && ![5, 6].exists_one(i, v, v > 4)",
            "[1, 2, 3].transformList(i, v, i * v) == [0, 2, 6]",
            "[1, 2, 3].transformList(i, v, i > 0, v) == [2, 3]",
            "{'a': 1}.transformMap(k, v, k + string(v)) == {'a': 'a1'}",
            "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v) == {'b': 2}",
            "[7, 8].transformMapEntry(i, v, {string(v): i}) == {'7': 0, '8': 1}",
            // A loop inside a loop, and a name that the inner one takes.
            "[[1, 2], [3]].all(i, l, l.all(j, v, v > i + j && size(l) == 2 - i))",
            "[1].all(i, v, [2, 3].all(v, v > 1) && v == 1)",
            "[1].all(i, v, [9].all(i, v, v == 9) && v == 1)",
        ] {
            assert_eq!(run(text), Ok(Cel::Bool(true)), "{text}");
        }
        let twice = run("[1, 1].transformMapEntry(i, v, {v: i})");
        assert_eq!(twice, Err("insert failed: key 1 already exists".to_string()));
        assert!(run("[1].all(i, i, true)").unwrap_err().contains("duplicate variable name: i"));
    }
}
