//! [`LabelSelector`]: requirements on labels, all of which must hold.

use super::{SelectorError, label_parser, label_value_errors, qualified_name_errors};
use crate::api::meta;
use serde_json::{Map, Value};
use std::fmt;

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Operator {
    Equals,
    DoubleEquals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How it compares.
    pub operator: Operator,
    /// What it compares with, sorted, each once.
    pub values: Vec<String>,
}

impl Requirement {
    /// A requirement, refused when its key or values cannot be a label's.
    pub fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Requirement, SelectorError> {
        let mut values = values;
        values.sort();
        values.dedup();
        let mut errors = Vec::new();
        let key_errors = qualified_name_errors(key);
        if !key_errors.is_empty() {
            errors.push(format!("key: Invalid value: {key:?}: {}", key_errors.join("; ")));
        }
        errors.extend(arity_error(operator, &values));
        for (at, value) in values.iter().enumerate() {
            let value_errors = label_value_errors(value);
            if !value_errors.is_empty() {
                errors.push(format!("values[{at}][{key}]: Invalid value: {value:?}: {}", value_errors.join("; ")));
            }
        }
        match errors.as_slice() {
            [] => Ok(Requirement { key: key.to_owned(), operator, values }),
            [one] => Err(SelectorError::new(one)),
            many => Err(SelectorError::new(format!("[{}]", many.join(", ")))),
        }
    }

    fn matches(&self, label: Option<&str>) -> bool {
        let listed = || label.is_some_and(|value| self.values.iter().any(|wanted| wanted == value));
        match self.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => listed(),
            Operator::NotEquals | Operator::NotIn => !listed(),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan => self.numbers(label).is_some_and(|(value, bound)| value > bound),
            Operator::LessThan => self.numbers(label).is_some_and(|(value, bound)| value < bound),
        }
    }

    fn numbers(&self, label: Option<&str>) -> Option<(i64, i64)> {
        Some((label?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

fn arity_error(operator: Operator, values: &[String]) -> Option<String> {
    let shown = || Value::from(values.to_vec());
    match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            Some(format!("values: Invalid value: {}: for 'in', 'notin' operators, values set can't be empty", shown()))
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
            Some(format!("values: Invalid value: {}: exact-match compatibility requires one single value", shown()))
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            Some(format!("values: Invalid value: {}: values set must be empty for exists and does not exist", shown()))
        }
        Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
            Some(format!("values: Invalid value: {}: for 'Gt', 'Lt' operators, exactly one value is required", shown()))
        }
        Operator::GreaterThan | Operator::LessThan if values[0].parse::<i64>().is_err() => Some(format!(
            "values[0]: Invalid value: {:?}: for 'Gt', 'Lt' operators, the value must be an integer",
            values[0]
        )),
        _ => None,
    }
}

/// Requirements that must all hold; none: everything matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Matches every object.
    pub fn everything() -> LabelSelector {
        LabelSelector::default()
    }

    /// Matches no object: what an absent selector object means.
    pub fn nothing() -> LabelSelector {
        LabelSelector { requirements: Vec::new(), nothing: true }
    }

    /// Reads the text form: `a=b,c in (d,e),!f,n>3`.
    pub fn parse(text: &str) -> Result<LabelSelector, SelectorError> {
        Ok(LabelSelector::of(label_parser::parse(text)?))
    }

    /// Reads the object form (`metav1.LabelSelector`). Null or absent matches nothing; an empty object everything.
    pub fn from_value(value: &Value) -> Result<LabelSelector, SelectorError> {
        if value.is_null() {
            return Ok(LabelSelector::nothing());
        }
        let mut requirements = Vec::new();
        for (key, wanted) in meta::map(value, &["matchLabels"]).into_iter().flatten() {
            let wanted = wanted.as_str().unwrap_or_default().to_owned();
            requirements.push(Requirement::new(key, Operator::Equals, vec![wanted])?);
        }
        for expression in meta::list(value, &["matchExpressions"]) {
            let name = meta::text(expression, &["operator"]);
            let operator = match name {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => return Err(SelectorError::new(format!("{name:?} is not a valid label selector operator"))),
            };
            let values = meta::list(expression, &["values"]).iter().filter_map(Value::as_str).map(str::to_owned);
            requirements.push(Requirement::new(meta::text(expression, &["key"]), operator, values.collect())?);
        }
        Ok(LabelSelector::of(requirements))
    }

    /// Reads a plain map (`spec.selector` of a Service): every pair must match. Empty matches everything.
    pub fn from_map(labels: &Map<String, Value>) -> LabelSelector {
        let requirement = |(key, value): (&String, &Value)| Requirement {
            key: key.clone(),
            operator: Operator::Equals,
            values: vec![value.as_str().unwrap_or_default().to_owned()],
        };
        LabelSelector::of(labels.iter().map(requirement).collect())
    }

    fn of(mut requirements: Vec<Requirement>) -> LabelSelector {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        LabelSelector { requirements, nothing: false }
    }

    /// Whether these labels satisfy every requirement.
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.matches_with(|key| labels?.get(key)?.as_str())
    }

    /// Whether an object's labels satisfy every requirement.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(meta::labels(object))
    }

    /// As [`LabelSelector::matches`], over any lookup.
    pub fn matches_with<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }

    /// The requirements, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether it matches every object.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, requirement) in self.requirements.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_operator_matches_as_kubernetes_does() {
        let labels = json!({"env": "prod", "n": "5", "empty": ""});
        let table = [
            ("", true),
            ("env=prod", true),
            ("env==prod,n", true),
            ("env!=prod", false),
            ("other!=x", true),
            ("env in (prod, dev)", true),
            ("env notin (prod)", false),
            ("other notin (prod)", true),
            ("!other", true),
            ("!env", false),
            ("n>4,n<6", true),
            ("n>5", false),
            ("other>1", false),
            ("empty=", true),
            ("empty in (,x)", true),
            ("in in (x)", false),
        ];
        for (text, expected) in table {
            let selector = LabelSelector::parse(text).unwrap();
            assert_eq!(selector.matches(labels.as_object()), expected, "{text}");
            assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector, "{text}");
        }
    }

    #[test]
    fn errors_use_the_official_words() {
        let long = format!("a={}", "x".repeat(64));
        let value = format!(
            "unable to parse requirement: values[0][a]: Invalid value: \"{}\": must be no more than 63 bytes",
            "x".repeat(64)
        );
        let table = [
            ("a in", "unable to parse requirement: found '' expected: '('"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("=x", "found '=', expected: !, identifier, or 'end of string'"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a,", "found '', expected: identifier after ','"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            (&long, &value),
        ];
        for (text, message) in table {
            assert_eq!(LabelSelector::parse(text).unwrap_err().0, message, "{text}");
        }
    }

    #[test]
    fn nothing_between_brackets_is_the_empty_value() {
        let selector = LabelSelector::parse("a in ()").unwrap();
        assert!(selector.matches_object(&json!({"metadata": {"labels": {"a": ""}}})));
        assert!(!selector.matches_object(&json!({"metadata": {"labels": {"a": "b"}}})));
    }

    #[test]
    fn the_object_form() {
        let selector = json!({"matchLabels": {"b": "1"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["2", "1"]}]});
        let selector = LabelSelector::from_value(&selector).unwrap();
        assert_eq!(selector.to_string(), "a in (1,2),b=1");
        assert!(selector.matches_object(&json!({"metadata": {"labels": {"a": "2", "b": "1"}}})));
        assert!(!LabelSelector::from_value(&Value::Null).unwrap().matches(None));
        assert!(LabelSelector::from_value(&json!({})).unwrap().matches(None));
        let error = LabelSelector::from_value(&json!({"matchExpressions": [{"key": "a", "operator": "Has"}]}));
        assert_eq!(error.unwrap_err().0, "\"Has\" is not a valid label selector operator");
    }
}
