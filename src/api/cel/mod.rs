//! CEL as Kubernetes speaks it: the language of validation rules and admission policies.
//!
//! One environment for both. In: an expression and JSON values. Out: a value, or why there is none in
//! the words of cel-go. [`functions`] holds Kubernetes' own functions, [`check`] finds what is wrong
//! with an expression before it meets a value, and what it may cost. Chapter: `book/src/inside/schema.md`.

mod addresses;
pub mod check;
mod cost;
mod cost_calls;
mod declared;
pub mod duration;
pub mod formats;
pub mod functions;
mod literals;
pub mod meter;
pub mod pairs;
pub mod policy;
pub mod semver;
mod text;
mod types;
mod url;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::objects::{Key, Map};
use cel::{Context, DeclarationError, Env, ExecutionError, Program, Value as Cel, extensions};
use serde_json::Value;

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| environment(pairs::macros));
/// Where expressions are looked at, not run: loops are what was written.
static AS_WRITTEN: LazyLock<Arc<Env>> = LazyLock::new(|| environment(pairs::macros_as_written));

fn environment(macros: fn(&mut Env) -> Result<(), DeclarationError>) -> Arc<Env> {
    let mut env = Env::stdlib();
    // The libraries are new to a fresh environment, so none can be declared twice.
    env.add_extension(extensions::strings).expect("declared once");
    env.add_extension(extensions::lists).expect("declared once");
    env.add_extension(macros).expect("declared once");
    Arc::new(env)
}

/// A context with every function, to which variables are added.
pub fn context<'p, 'v>() -> Context<'p, 'v> {
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    functions::register(&mut context);
    context
}

/// Compiles an expression.
///
/// # Errors
/// `compilation failed: ERROR: <input>:1:2: Syntax error: …`
pub fn compile(text: &str) -> Result<Program, String> {
    parse(text, &ENVIRONMENT)
}

/// The parts of an expression as they are written.
fn parse_as_written(text: &str) -> Result<Program, String> {
    parse(text, &AS_WRITTEN)
}

fn parse(text: &str, environment: &Env) -> Result<Program, String> {
    environment.compile(text).map_err(|errors| {
        if text.is_empty() {
            // Nothing has no first column, and no line to show.
            let message = errors.errors.first().map_or("", |error| error.msg.trim_start_matches(SYNTAX));
            return format!("compilation failed: ERROR: <input>:1:0: Syntax error: {message}");
        }
        // What the parser says of itself, beside what it says of the text, is nobody's business.
        let of_text = |message: &str| !message.starts_with("Incomplete `") && !message.starts_with("No `");
        let some = errors.errors.iter().any(|error| of_text(&error.msg));
        let told = errors.errors.iter().filter(|error| !some || of_text(&error.msg));
        let all: Vec<String> = told
            .map(|error| {
                let column = error.pos.1 - 1 - isize::from(is_negative_number(text, error));
                check::pointed(text, error.pos.0, column, &in_antlr_words(&error.msg))
            })
            .collect();
        format!("compilation failed: {}", all.join("\n"))
    })
}

const SYNTAX: &str = "Syntax error: ";
/// What may stand after a whole expression, besides its end.
const OPERATORS: [&str; 17] =
    ["==", "!=", "in", "<", "<=", ">=", ">", "&&", "||", "[", ".", "-", "?", "+", "*", "/", "%"];

/// After a whole expression only what ends it is told as expected, not each operator.
fn in_antlr_words(message: &str) -> String {
    let Some((start, list)) = message.split_once(" expecting {") else { return message.to_owned() };
    let items: Vec<&str> = list.trim_end_matches('}').split(", ").collect();
    let is_operator = |item: &&str| OPERATORS.contains(&item.trim_matches('\''));
    let rest: Vec<&str> = items.iter().filter(|item| !is_operator(item)).copied().collect();
    match rest.as_slice() {
        [one] if items.len() > OPERATORS.len() && start.starts_with(SYNTAX) => format!("{start} expecting {one}"),
        _ => message.to_owned(),
    }
}

/// A number that is too small is told at its sign.
fn is_negative_number(text: &str, error: &cel::ParseError) -> bool {
    let line = text.split('\n').nth((error.pos.0 - 1).max(0) as usize).unwrap_or_default();
    let before = line.chars().nth((error.pos.1 - 2).max(0) as usize);
    error.msg == "invalid int literal" && error.pos.1 > 1 && before == Some('-')
}

/// What a conversion (`timestamp`, `duration`, …) makes of a text.
///
/// # Errors
/// Why nothing, in cel-go's words.
pub fn convert(function: &str, text: &str) -> Result<Cel, String> {
    let literal = Expr::Literal(LiteralValue::String(text.to_owned().into()));
    converted(function, IdedExpr { id: 1, expr: literal })
}

fn converted(function: &str, part: IdedExpr) -> Result<Cel, String> {
    let call = CallExpr { func_name: function.to_owned(), target: None, args: vec![part] };
    evaluate(&context(), &IdedExpr { id: 2, expr: Expr::Call(call) })
}

/// What a function of the language itself makes of values.
fn call(function: &str, values: &[Cel]) -> Result<Cel, String> {
    call_on(None, function, values)
}

fn call_on(target: Option<&Cel>, function: &str, values: &[Cel]) -> Result<Cel, String> {
    let mut context = context();
    let mut named = Vec::new();
    for (at, value) in target.into_iter().chain(values).enumerate() {
        let name = format!("@{at}");
        context.add_variable_from_value(name.clone(), value.clone());
        named.push(IdedExpr { id: 1, expr: Expr::Ident(name) });
    }
    let rest = named.split_off(usize::from(target.is_some()));
    let target = named.pop().map(Box::new);
    let call = CallExpr { func_name: function.to_owned(), target, args: rest };
    evaluate(&context, &IdedExpr { id: 2, expr: Expr::Call(call) })
}

/// What a value's type calls itself.
fn type_name(value: &Cel) -> String {
    match value {
        Cel::List(_) => "list".to_owned(),
        Cel::Map(_) => "map".to_owned(),
        Cel::Int(_) => "int".to_owned(),
        Cel::UInt(_) => "uint".to_owned(),
        Cel::Float(_) => "double".to_owned(),
        Cel::String(_) => "string".to_owned(),
        Cel::Bytes(_) => "bytes".to_owned(),
        Cel::Bool(_) => "bool".to_owned(),
        Cel::Null => "null_type".to_owned(),
        Cel::Timestamp(_) => "google.protobuf.Timestamp".to_owned(),
        Cel::Duration(_) => "google.protobuf.Duration".to_owned(),
        Cel::Opaque(opaque) => opaque.runtime_type_name().to_owned(),
        _ => "dyn".to_owned(),
    }
}

/// The value of an expression, or why it has none in cel-go's words.
///
/// Of two sides of `&&` or `||` that both have no value, the first is the reason.
///
/// # Errors
/// The words.
pub fn evaluate(context: &Context<'_, '_>, expression: &IdedExpr) -> Result<Cel, String> {
    context.resolve(expression).map_err(|error| in_words(&blame(context, expression).unwrap_or(error)))
}

/// The first part of an expression that has no value, through its logical operators.
fn blame(context: &Context<'_, '_>, expression: &IdedExpr) -> Option<ExecutionError> {
    match &expression.expr {
        Expr::Call(call) if [operators::LOGICAL_AND, operators::LOGICAL_OR].contains(&call.func_name.as_str()) => {
            call.args.iter().find_map(|side| blame(context, side))
        }
        _ => context.resolve(expression).err(),
    }
}

/// Why an expression has no value, as cel-go says it.
pub fn in_words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::FunctionError { function, message } if function == "lists.range" => {
            format!("{function}: {message}")
        }
        ExecutionError::FunctionError { function, message } => match conversion(function) {
            Some(to) if !message.ends_with("overflow") => format!("type conversion error from 'string' to '{to}'"),
            _ => message.clone(),
        },
        ExecutionError::IndexOutOfBounds(Cel::Int(index)) => format!("index out of bounds: {index}"),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(_, Cel::UInt(_), _) => "unsigned integer overflow".to_owned(),
        ExecutionError::Overflow(_, Cel::Timestamp(_), _) => "timestamp overflow".to_owned(),
        ExecutionError::Overflow(_, Cel::Duration(_), _) => "duration overflow".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::UnsupportedBinaryOperator(..) => "no such overload".to_owned(),
        ExecutionError::NoSuchOverload(_) => "no such overload".to_owned(),
        other => other.to_string(),
    }
}

/// What a function of CEL's own makes of a text, if it only reads texts.
fn conversion(function: &str) -> Option<&'static str> {
    match function {
        "int" => Some("int"),
        "uint" => Some("uint"),
        "double" => Some("double"),
        "bool" => Some("bool"),
        "duration" => Some("google.protobuf.Duration"),
        "timestamp" => Some("google.protobuf.Timestamp"),
        _ => None,
    }
}

/// A JSON value as CEL sees it without a schema: whole numbers are ints.
pub fn to_cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(bool) => Cel::Bool(*bool),
        Value::Number(number) => match number.as_i64() {
            Some(int) => Cel::Int(int),
            None => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(fields) => map(fields.iter().map(|(key, value)| (key.clone(), to_cel(value)))),
    }
}

/// A map of these entries.
pub fn map(entries: impl Iterator<Item = (String, Cel)>) -> Cel {
    let map: HashMap<Key, Cel> = entries.map(|(key, value)| (Key::String(Arc::new(key)), value)).collect();
    Cel::Map(Map { map: Arc::new(map) })
}

/// Words that CEL keeps for itself.
const RESERVED: [&str; 20] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
];

/// Whether CEL keeps a word for itself.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word) || word == "while"
}

/// A field's name as an expression writes it: `a-b` is `a__dash__b`; `None`: it cannot be written.
pub fn escape(name: &str) -> Option<String> {
    if is_reserved(name) {
        return Some(format!("__{name}__"));
    }
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '.' | '-' | '/'));
    if !starts || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/')) {
        return None;
    }
    let escaped = name.replace("__", "__underscores__").replace('.', "__dot__").replace('-', "__dash__");
    Some(escaped.replace('/', "__slash__"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn eval(text: &str) -> Result<Cel, String> {
        let mut context = context();
        context
            .add_variable_from_value("self", to_cel(&json!({"n": 3, "l": ["a", "ab"], "u": "https://a.io:80/x?y=1"})));
        evaluate(&context, compile(text)?.expression())
    }

    #[test]
    fn expressions_have_kubernetes_functions() {
        for text in [
            "self.n == 3 && self.l.all(x, x.startsWith('a'))",
            "isURL(self.u) && url(self.u).getScheme() == 'https' && url(self.u).getPort() == '80'",
            "url(self.u).getHostname() == 'a.io' && url(self.u).getQuery() == {'y': ['1']}",
            "quantity('500Mi').isLessThan(quantity('1Gi')) && !isQuantity('x')",
            "quantity('1').add(quantity('500m')).compareTo(quantity('1500m')) == 0",
            "isIP('::1') && ip('127.0.0.1').isLoopback() && ip('10.0.0.1').family() == 4",
            "cidr('10.0.0.0/8').containsIP('10.1.1.1') && cidr('10.0.0.0/8').prefixLength() == 8",
            "'abc 123'.find('[0-9]+') == '123' && 'a1b2'.findAll('[0-9]') == ['1', '2']",
            "[1, 2, 3].sum() == 6 && [1, 3, 2].max() == 3 && [1, 2].isSorted()",
            "sets.contains([1, 2], [1]) && !sets.contains([1], [2]) && !sets.equivalent([1], [1, 2])",
            "isSemver('v1.0', true) && !isSemver('v1.0') && min(3, 2, 1) == 1",
            "!format.dns1123Label().validate('a-b').hasValue() && !format.named('nope').hasValue()",
            "format.named('dns1123Label').value().validate('A').value()[0].startsWith('a lowercase RFC 1123 label')",
            "format.uuid().validate('x').value() == ['does not match the UUID format']",
            "!format.dns1035LabelPrefix().validate('a-').hasValue() && format.labelValue().validate('-').hasValue()",
        ] {
            assert_eq!(eval(text), Ok(Cel::Bool(true)), "{text}");
        }
        assert_eq!(eval("self.nope"), Err("no such key: nope".to_owned()));
        assert_eq!(eval("self.one < 1 && self.two < 1"), Err("no such key: one".to_owned()));
        assert!(eval("self.(").unwrap_err().starts_with("compilation failed: ERROR: <input>:1:"));
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(escape("namespace").as_deref(), Some("__namespace__"));
        assert_eq!(escape("a-b.c/d__e").as_deref(), Some("a__dash__b__dot__c__slash__d__underscores__e"));
        assert_eq!(escape("a b"), None);
    }
}
