//! A CEL expression: compiled once, evaluated against what is known of a cluster.
//!
//! CEL is the language Kubernetes uses for its own policies. In: source text. Out: a value, or why
//! there is none yet. JSON numbers become CEL ints where they are whole, so `replicas == 3` holds.
//! Chapter: `book/src/inside/exercises.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::{Context, Env, ExecutionError, Program, Value as Cel, extensions};
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::functions;
use super::world::World;

/// Values kept by `remember`, by name.
pub type Variables = BTreeMap<String, Cel>;

/// A compiled CEL expression and its source.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    program: Arc<Program>,
}

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // Both libraries are new to a fresh environment, so neither can be declared twice.
    env.add_extension(extensions::strings).expect("declared once");
    env.add_extension(extensions::lists).expect("declared once");
    Arc::new(env)
});

impl Expression {
    /// Compiles `source`.
    ///
    /// # Errors
    /// What the parser says, in words, with the place inside the expression.
    pub fn compile(source: &str) -> Result<Self, String> {
        let source = source.trim();
        match ENVIRONMENT.compile(source) {
            Ok(program) => Ok(Expression { source: source.into(), program: Arc::new(program) }),
            Err(errors) => {
                let first = errors.errors.first().map(|e| format!("{} (at {}:{})", e.msg, e.pos.0, e.pos.1));
                Err(format!("`{source}` is not CEL: {}", first.unwrap_or_default()))
            }
        }
    }

    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its value, as far as `world` knows. What it needed and `world` did not have is noted in
    /// `world.wanted`: the value counts only when nothing is wanted.
    ///
    /// # Errors
    /// Why there is no value, in words.
    pub fn evaluate(&self, world: &Arc<Mutex<World>>, variables: &Variables) -> Result<Cel, String> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        functions::register(&mut context, world);
        for (name, value) in variables {
            context.add_variable_from_value(name.as_str(), value.clone());
        }
        self.program.execute(&context).map_err(|error| in_words(&error))
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = String::deserialize(deserializer)?;
        Expression::compile(&source).map_err(serde::de::Error::custom)
    }
}

/// A CEL value as JSON; null for what JSON cannot say.
pub fn to_json(value: &Cel) -> Value {
    value.json().unwrap_or(Value::Null)
}

fn in_words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::FunctionError { message, .. } => message.clone(),
        ExecutionError::NoSuchKey(key) => format!("there is no {key}"),
        ExecutionError::IndexOutOfBounds(_) => "the list is shorter than that".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::cel::to_cel;

    fn eval(source: &str) -> Result<Cel, String> {
        let world = Arc::new(Mutex::new(World::default()));
        let x = to_cel(&serde_json::json!({"spec": {"replicas": 3, "ratio": 0.5}, "list": ["a", "b", "a"]}));
        Expression::compile(source)?.evaluate(&world, &Variables::from([("x".to_owned(), x)]))
    }

    #[test]
    fn values() {
        for source in [
            "x.spec.replicas == 3",
            "x.spec.ratio < 1.0",
            "!x.spec.?nodeName.hasValue()",
            "x.spec.?replicas.orValue(0) == 3",
            "x.list.distinct().size() == 2",
            "x.list.exists(l, l == 'b')",
            "x.list.join(',') == 'a,b,a'",
            "has(x.spec.replicas) && !has(x.spec.nodeName)",
        ] {
            assert_eq!(eval(source), Ok(Cel::Bool(true)), "{source}");
        }
    }

    #[test]
    fn errors_are_words() {
        assert_eq!(eval("x.status"), Err("there is no status".to_owned()));
        assert!(eval("x.(").is_err_and(|e| e.contains("is not CEL")));
    }
}
