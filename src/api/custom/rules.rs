//! `x-kubernetes-validations`: rules in CEL about a value, and about what it was before.
//!
//! In: a [`Node`] with its rules compiled, the value and the one before. Out: faults in the words of the
//! rule. A rule that names `oldSelf` is asked only where there is an old value to compare with; a
//! value that did not change keeps what it was allowed before. Source: apiextensions-apiserver,
//! `schema/cel`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cel::common::ast::IdedExpr;
use cel::objects::OptionalValue;
use cel::{Context, Program, Value as Cel};
use serde_json::Value;

use super::node::Node;
use super::rule_types::{maybe, self_type, type_of};
use super::value::correlated;
use crate::api::cel::check::{Scope, Type, check};
use crate::api::cel::meter::{self, Meter, metered};
use crate::api::cel::{self as language, escape, evaluate, to_cel};
use crate::api::field_error::{ErrorType, FieldError};

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// The expression.
    pub text: String,
    /// It compiled, or why not.
    pub program: Result<Program, String>,
    /// Whether it compares with what was before.
    pub uses_old: bool,
    message: String,
    message_expression: Option<IdedExpr>,
    /// The expression as it is run.
    metered: Option<IdedExpr>,
    reason: String,
    field_path: String,
    optional_old: bool,
}

impl Rule {
    /// Reads the rules of a schema.
    pub fn read_all(schema: &Value) -> Vec<Rule> {
        let rules = schema["x-kubernetes-validations"].as_array();
        rules.into_iter().flatten().map(Rule::read).collect()
    }

    fn read(rule: &Value) -> Rule {
        let text = |key: &str| rule[key].as_str().unwrap_or_default().trim().to_owned();
        let program = language::compile(&text("rule"));
        let ready = |program: &Program| {
            let mut expression = program.expression().clone();
            metered(&mut expression);
            expression
        };
        Rule {
            metered: program.as_ref().ok().map(ready),
            uses_old: program.as_ref().is_ok_and(|program| program.references().has_variable("oldSelf")),
            program,
            text: text("rule"),
            message: text("message"),
            message_expression: language::compile(&text("messageExpression"))
                .ok()
                .filter(|_| !text("messageExpression").is_empty())
                .as_ref()
                .map(ready),
            reason: text("reason"),
            field_path: text("fieldPath"),
            optional_old: rule["optionalOldSelf"].as_bool().unwrap_or(false),
        }
    }

    /// How an error about evaluating it calls it.
    fn called(&self) -> &str {
        if self.message.is_empty() { &self.text } else { &self.message }
    }
}

/// What the rules of `node` and of all below find wrong.
pub fn validate(node: &Node, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if node.has_rules {
        let unchanged = old == Some(value);
        let mut found = Found { errors: Vec::new(), kept: Vec::new(), budget: Some(meter::BUDGET), unproven: false };
        walk(&Place { node, path: "", is_object: true, unchanged }, value, old, &mut found);
        errors = found.errors;
    }
    errors
}

/// What the rules say of values that are what they were: an update may leave them so.
pub fn kept(node: &Node, value: &Value, old: &Value) -> Vec<FieldError> {
    let unchanged = old == value;
    let mut found = Found { errors: Vec::new(), kept: Vec::new(), budget: Some(meter::BUDGET), unproven: false };
    walk(&Place { node, path: "", is_object: true, unchanged }, value, Some(old), &mut found);
    found.kept
}

/// What the rules of `node`, which nobody has compiled yet, find wrong with a default that lies at `path`.
pub fn validate_default(node: &Node, value: &Value, path: &str) -> Vec<FieldError> {
    let mut found = Found { errors: Vec::new(), kept: Vec::new(), budget: Some(meter::BUDGET), unproven: true };
    walk(&Place { node, path, is_object: node.embedded, unchanged: false }, value, None, &mut found);
    found.errors
}

/// What was found so far, and what may still be spent; `None`: no further rules are asked.
struct Found {
    errors: Vec<FieldError>,
    /// Of values that are what they were.
    kept: Vec<FieldError>,
    budget: Option<u64>,
    /// Whether the rules may be none.
    unproven: bool,
}

struct Place<'a> {
    node: &'a Node,
    path: &'a str,
    /// A whole object, with `kind`, `apiVersion` and `metadata`.
    is_object: bool,
    /// It, or the nearest part around it that can be compared, is what it was.
    unchanged: bool,
}

fn walk(place: &Place, value: &Value, old: Option<&Value>, found: &mut Found) {
    if value.is_null() || !place.node.has_rules || found.budget.is_none() {
        return;
    }
    own_rules(place, place.node, value, old, found);
    for node in place.node.all_of.iter().filter(|node| !node.rules.is_empty()) {
        own_rules(&Place { unchanged: false, ..*place }, node, value, old, found);
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let Some(node) = place.node.child(key) else { continue };
                let path = match (place.path, place.node.field(key)) {
                    ("", _) => key.clone(),
                    (path, Some(_)) => format!("{path}.{key}"),
                    (path, None) => format!("{path}[{key}]"),
                };
                let before = old.and_then(|old| old.get(key));
                below(place, node, &path, value, before, found);
            }
        }
        Value::Array(items) => {
            let Some(node) = &place.node.items else { return };
            for (index, item) in items.iter().enumerate() {
                let before = correlated(place.node, item, old);
                below(place, node, &format!("{}[{index}]", place.path), item, before, found);
            }
        }
        _ => {}
    }
}

fn below(around: &Place, node: &Node, path: &str, value: &Value, old: Option<&Value>, found: &mut Found) {
    let unchanged = old.map_or(around.unchanged, |old| old == value);
    walk(&Place { node, path, is_object: node.embedded, unchanged }, value, old, found);
}

fn own_rules(place: &Place, ruled: &Node, value: &Value, old: Option<&Value>, found: &mut Found) {
    if ruled.rules.is_empty() || found.budget.is_none() {
        return;
    }
    let own = typed(place.node, value, place.is_object);
    let before = old.filter(|old| !old.is_null()).map(|old| typed(place.node, old, place.is_object));
    let at = |path: &str| if path.is_empty() { "<nil>".to_owned() } else { path.to_owned() };
    let kind = place.node.types.first().copied().unwrap_or_default();
    for rule in &ruled.rules {
        if found.unproven
            && let Some(words) = why_none(rule, place)
        {
            found.errors.push(FieldError::invalid(at(place.path), kind, format!("rule compile error: {words}")));
            continue;
        }
        let Some(expression) = &rule.metered else { continue };
        if rule.uses_old && before.is_none() && !rule.optional_old {
            continue;
        }
        let mut context = language::context();
        context.add_variable_from_value("self", own.clone());
        if rule.optional_old {
            let before = before.clone().map_or_else(OptionalValue::none, OptionalValue::of);
            context.add_variable_from_value("oldSelf", Cel::Opaque(Arc::new(before)));
        } else if let Some(before) = &before {
            context.add_variable_from_value("oldSelf", before.clone());
        }
        let (result, spent) = run(expression, &mut context);
        found.budget = found.budget.and_then(|left| left.checked_sub(spent));
        if found.budget.is_none() {
            found.errors.push(FieldError::invalid(at(place.path), kind, meter::OUT_OF_BUDGET));
            return;
        }
        match result {
            Ok(Cel::Bool(true)) => {}
            Ok(_) => {
                // Also where the rule sees an optional, its message sees the value itself, or no such variable.
                if rule.optional_old {
                    context = language::context();
                    context.add_variable_from_value("self", own.clone());
                    if let Some(before) = &before {
                        context.add_variable_from_value("oldSelf", before.clone());
                    }
                }
                let told = rule.message_expression.as_ref().and_then(|expression| run(expression, &mut context).0.ok());
                let told = match told {
                    Some(Cel::String(text)) if !text.trim().is_empty() => Some(text.trim().to_owned()),
                    _ => None,
                };
                let failed = || match rule.message.as_str() {
                    "" => format!("failed rule: {}", rule.text),
                    message => message.to_owned(),
                };
                let path = format!("{}{}", place.path, rule.field_path);
                let path = at(path.trim_start_matches('.'));
                let kept = place.unchanged && !rule.uses_old;
                let list = if kept { &mut found.kept } else { &mut found.errors };
                list.push(fault(rule, path, value, told.unwrap_or_else(failed)));
            }
            Err(words) if words == meter::EXCEEDED => {
                let called = rule.called();
                let detail = format!(
                    "'{words}': no further validation rules will be run due to call cost exceeds limit for rule: {called}"
                );
                found.errors.push(FieldError::invalid(at(place.path), kind, detail));
                found.budget = None;
                return;
            }
            Err(words) => {
                let words = match words.as_str() {
                    "no such overload" => format!(
                        "'no such overload': call arguments did not match a supported operator, function or macro signature for rule: {}",
                        rule.called()
                    ),
                    words => format!("{words} evaluating rule: {}", rule.called()),
                };
                found.errors.push(FieldError::invalid(at(place.path), kind, words));
            }
        }
    }
}

/// Why a rule cannot be asked.
fn why_none(rule: &Rule, place: &Place) -> Option<String> {
    if let Err(words) = &rule.program {
        return Some(words.clone());
    }
    let kind = type_of(place.node, place.is_object, &self_type())?;
    let old = if rule.optional_old { maybe(&kind) } else { kind.clone() };
    match check(&rule.text, &Scope::of(&[("self", kind), ("oldSelf", old)])) {
        Ok(verdict) if verdict.kind == Type::Bool => None,
        Ok(_) => Some("cel expression must evaluate to a bool".to_string()),
        Err(words) => Some(words),
    }
}

/// The value of an expression, or why it has none; and what it cost.
fn run(expression: &IdedExpr, context: &mut Context<'_, '_>) -> (Result<Cel, String>, u64) {
    let meter = Meter::default();
    meter.add_to(context);
    let result = evaluate(context, expression);
    let result = if meter.is_exceeded() { Err(meter::EXCEEDED.to_owned()) } else { result };
    (result, meter.spent(expression))
}

fn fault(rule: &Rule, path: String, value: &Value, detail: String) -> FieldError {
    match rule.reason.as_str() {
        "FieldValueForbidden" => FieldError::forbidden(path, detail),
        "FieldValueRequired" => FieldError::required(path, detail),
        "FieldValueDuplicate" => FieldError::duplicate(path, value.clone()),
        _ if value.is_object() || value.is_array() => FieldError::invalid_raw(path, "", detail),
        _ => FieldError::invalid(path, value.clone(), detail),
    }
}

/// Whether faults found before keep rules from being asked.
pub fn blocks(errors: &[FieldError]) -> bool {
    errors.iter().any(|error| {
        matches!(
            error.kind,
            ErrorType::NotSupported
                | ErrorType::Required
                | ErrorType::TooLong
                | ErrorType::TooMany
                | ErrorType::TypeInvalid
        )
    })
}

/// What is said instead.
pub fn not_asked() -> FieldError {
    let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
    FieldError::invalid("<nil>", Value::Null, detail)
}

/// A value as rules see it: only the fields the schema names, under names CEL can write.
fn typed(node: &Node, value: &Value, is_object: bool) -> Cel {
    match value {
        Value::Object(map) if node.types == ["object"] => {
            if let Some(others) = &node.others {
                return language::map(map.iter().map(|(key, value)| (key.clone(), typed(others, value, false))));
            }
            let named = node
                .fields
                .iter()
                .filter_map(|(name, field)| Some((escape(name)?, typed(field, map.get(name)?, field.embedded))));
            let meta = is_object.then(|| ["kind", "apiVersion", "metadata"].into_iter()).into_iter().flatten();
            let own = meta.filter_map(|name| Some((name.to_owned(), object_field(name, map.get(name)?))));
            language::map(named.chain(own))
        }
        Value::Array(items) => match &node.items {
            Some(item) => Cel::List(Arc::new(items.iter().map(|value| typed(item, value, item.embedded)).collect())),
            None => to_cel(value),
        },
        Value::String(text) if node.types == ["string"] => match node.format.as_str() {
            // What the schema's format cannot read has been told by then.
            "date-time" => language::convert("timestamp", text).unwrap_or(Cel::Null),
            "date" => language::convert("timestamp", &format!("{text}T00:00:00Z")).unwrap_or(Cel::Null),
            "duration" => language::convert("duration", text).unwrap_or(Cel::Null),
            "byte" => bytes(text),
            _ => to_cel(value),
        },
        Value::Number(number) if node.types == ["number"] => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        other => to_cel(other),
    }
}

/// A text in base64 as the bytes it stands for.
fn bytes(text: &str) -> Cel {
    BASE64.decode(text).map_or(Cel::Null, |bytes| Cel::Bytes(Arc::new(bytes)))
}

/// Of metadata only the names can be seen.
fn object_field(name: &str, value: &Value) -> Cel {
    if name != "metadata" {
        return to_cel(value);
    }
    let names = ["name", "generateName"].into_iter();
    language::map(names.filter_map(|name| Some((name.to_owned(), to_cel(value.get(name)?)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(schema: Value, value: Value, old: Option<Value>) -> Vec<String> {
        validate(&Node::read(&schema), &value, old.as_ref()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rules_are_asked_of_their_value() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "size": {"type": "integer"}, "namespace": {"type": "string"}},
            "x-kubernetes-validations": [
                {"rule": "self.size < 10", "messageExpression": "'not ' + string(self.size)", "reason": "FieldValueForbidden", "fieldPath": ".size"},
                {"rule": "!has(self.__namespace__) || self.__namespace__ != 'x'"}]}},
            "x-kubernetes-validations": [{"rule": "self.metadata.name.startsWith('ok')", "message": "begins with ok"}]});
        assert_eq!(
            words(schema, json!({"metadata": {"name": "a"}, "spec": {"size": 12, "namespace": "x"}}), None),
            [
                "<nil>: Invalid value: begins with ok",
                "spec.size: Forbidden: not 12",
                "spec: Invalid value: failed rule: !has(self.__namespace__) || self.__namespace__ != 'x'"
            ]
        );
    }

    #[test]
    fn transitions_need_a_before() {
        let schema = json!({"type": "object", "properties": {"c": {"type": "string",
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "immutable"}, {"rule": "self.size() < 3"}]}}});
        assert_eq!(words(schema.clone(), json!({"c": "a"}), None), [""; 0]);
        assert_eq!(
            words(schema.clone(), json!({"c": "b"}), Some(json!({"c": "a"}))),
            ["c: Invalid value: \"b\": immutable"]
        );
        assert_eq!(words(schema, json!({"c": "long"}), Some(json!({"c": "long"}))), [""; 0]);
    }
}
