//! CEL, the expression language of admission policies: compiling once, evaluating against an
//! object.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel::objects::{Key, Map};
use cel::{Context, Env, ExecutionError, Program, Value as Cel, extensions};
use parking_lot::Mutex;
use serde_json::Value;

use super::authorizer::Asker;

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // Both libraries are new to a fresh environment, so neither can be declared twice.
    env.add_extension(extensions::strings).expect("declared once");
    env.add_extension(extensions::lists).expect("declared once");
    Arc::new(env)
});

/// The most compiled expressions that are kept.
const KEPT: usize = 1024;

/// Expressions, compiled on first use.
#[derive(Default)]
pub struct Expressions {
    compiled: Mutex<HashMap<String, Arc<Program>>>,
}

/// The variables an expression sees.
#[derive(Default)]
pub struct Scope {
    values: Vec<(&'static str, Cel)>,
    definitions: Vec<(String, String)>,
    asker: Option<Asker>,
}

impl Scope {
    /// A variable with a value.
    pub fn set(&mut self, name: &'static str, value: Value) {
        self.values.push((name, to_cel(&value)));
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
        match self.evaluate(text, scope)? {
            Cel::Bool(bool) => Ok(bool),
            _ => Err("must evaluate to bool".to_string()),
        }
    }

    /// The text the expression gives; `None` when it gives none.
    pub fn text(&self, text: &str, scope: &Scope) -> Option<String> {
        match self.evaluate(text, scope) {
            Ok(Cel::String(text)) if !text.trim().is_empty() => Some(text.trim().to_string()),
            _ => None,
        }
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// Why it has none.
    pub fn evaluate(&self, text: &str, scope: &Scope) -> Result<Cel, String> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        for (name, value) in &scope.values {
            context.add_variable_from_value(*name, value.clone());
        }
        if let Some(asker) = &scope.asker {
            asker.add_to(&mut context);
        }
        // A variable that cannot be computed is missing: only what uses it fails.
        let mut variables: HashMap<Key, Cel> = HashMap::new();
        for (name, definition) in &scope.definitions {
            context.add_variable_from_value("variables", Cel::Map(Map { map: Arc::new(variables.clone()) }));
            if let Ok(value) = self.compiled(definition)?.execute(&context) {
                variables.insert(Key::String(Arc::new(name.clone())), value);
            }
        }
        context.add_variable_from_value("variables", Cel::Map(Map { map: Arc::new(variables) }));
        self.compiled(text)?.execute(&context).map_err(|error| in_words(&error))
    }

    fn compiled(&self, text: &str) -> Result<Arc<Program>, String> {
        let mut kept = self.compiled.lock();
        if let Some(program) = kept.get(text) {
            return Ok(program.clone());
        }
        let program = Arc::new(compile(text)?);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(text.to_string(), program.clone());
        Ok(program)
    }
}

fn compile(text: &str) -> Result<Program, String> {
    ENVIRONMENT.compile(text).map_err(|errors| {
        let Some(first) = errors.errors.first() else { return "compilation failed".to_string() };
        let (row, column) = (first.pos.0, first.pos.1);
        let line = text.lines().nth(usize::try_from(row).unwrap_or(1).saturating_sub(1)).unwrap_or(text);
        let dots = ".".repeat(usize::try_from(column).unwrap_or(1).saturating_sub(1));
        let said = first.msg.trim_start_matches("Syntax error: ");
        format!("compilation failed: ERROR: <input>:{row}:{column}: Syntax error: {said}\n | {line}\n | {dots}^")
    })
}

/// Compiles an expression that must give a bool, as far as can be told without a value.
///
/// # Errors
/// Why not, as Kubernetes says it.
pub fn check_bool(text: &str) -> Result<(), String> {
    let program = compile(text)?;
    // An expression without variables can be tried: what it gives is what it is.
    let context = Context::with_env(Arc::clone(&ENVIRONMENT));
    let kind = match program.execute(&context) {
        Ok(Cel::Int(_)) => "int",
        Ok(Cel::String(_)) => "string",
        Ok(Cel::Float(_)) => "double",
        _ => return Ok(()),
    };
    Err(format!("must evaluate to bool but got {kind}"))
}

fn in_words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::FunctionError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// A JSON value as CEL sees it: whole numbers are ints.
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
        Value::Object(fields) => {
            let map: HashMap<Key, Cel> =
                fields.iter().map(|(key, value)| (Key::String(Arc::new(key.clone())), to_cel(value))).collect();
            Cel::Map(Map { map: Arc::new(map) })
        }
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
        assert_eq!(check_bool("1 + 1"), Err("must evaluate to bool but got int".to_string()));
    }
}
