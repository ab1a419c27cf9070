//! The JSONPath that Kubernetes uses: printer columns, selectable fields, scale paths, `-o jsonpath`.
//!
//! In: an expression such as `.spec.replicas`, `$.items[*].metadata.name` or
//! `.status.conditions[?(@.type=="Ready")].status`, with or without braces. Out: every value found,
//! in order. A missing key finds nothing; that is no error. Text around braces, `range` and `end`
//! belong to kubectl's templates, not here.
//!
//! One file because the grammar and what it finds are read together.
//! Source: `k8s.io/client-go/util/jsonpath`.

use serde_json::Value;

mod strict;

/// The expression cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(pub String);

/// A parsed expression.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Keys(Vec<String>),
    Wildcard,
    Recursive,
    Slice { start: Option<i64>, end: Option<i64>, step: i64 },
    Indexes(Vec<i64>),
    Filter { left: Operand, test: Option<(Comparison, Operand)> },
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(JsonPath),
    Literal(Value),
    /// A word without quotes. It can be read, and stands for nothing.
    Word(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// `=`, which can be read, and compares nothing.
    Unknown,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

const COMPARISONS: [(&str, Comparison); 7] = [
    ("=", Comparison::Unknown),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl JsonPath {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<JsonPath, PathError> {
        let inner = text.trim();
        let inner = inner.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(inner).trim();
        let inner = inner.strip_prefix(['$', '@']).unwrap_or(inner);
        let mut rest = inner;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            rest = read_step(rest, &mut steps)?;
        }
        Ok(JsonPath { steps })
    }

    /// Every value the expression finds.
    pub fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        self.steps.iter().fold(vec![root], |found, step| {
            let mut next = Vec::new();
            for value in found {
                step.apply(value, &mut next);
            }
            next
        })
    }

    /// The key at which the way ends, when one is not there.
    pub fn missing(&self, root: &Value) -> Option<&str> {
        let mut here = vec![root];
        for step in &self.steps {
            let mut next = Vec::new();
            here.into_iter().for_each(|value| step.apply(value, &mut next));
            match step {
                Step::Key(key) if next.is_empty() => return Some(key),
                _ => here = next,
            }
        }
        None
    }

    /// The first value the expression finds.
    pub fn first<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.find(root).into_iter().next()
    }
}

/// A found value as text: strings bare, objects and lists as JSON with sorted keys.
pub fn print(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        other => sorted(other).to_string(),
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

impl Step {
    fn apply<'a>(&self, value: &'a Value, found: &mut Vec<&'a Value>) {
        match self {
            Step::Key(key) => found.extend(value.get(key)),
            Step::Keys(keys) => found.extend(keys.iter().filter_map(|key| value.get(key))),
            Step::Wildcard => found.extend(children(value)),
            Step::Recursive => descend(value, found),
            Step::Indexes(indexes) => {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                found.extend(indexes.iter().filter_map(|at| items.get(position(*at, items.len())?)));
            }
            Step::Slice { start, end, step } => {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                let clamp = |bound: i64| {
                    let length = items.len() as i64;
                    (if bound < 0 { bound + length } else { bound }).clamp(0, length) as usize
                };
                let (start, end) = (clamp(start.unwrap_or(0)), clamp(end.unwrap_or(items.len() as i64)));
                found.extend(items.get(start..end.max(start)).unwrap_or_default().iter().step_by(*step as usize));
            }
            Step::Filter { left, test } => {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                found.extend(items.iter().filter(|item| passes(left, test.as_ref(), item)));
            }
        }
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn descend<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    found.push(value);
    for child in children(value) {
        descend(child, found);
    }
}

fn position(at: i64, length: usize) -> Option<usize> {
    usize::try_from(if at < 0 { at + length as i64 } else { at }).ok()
}

fn passes(left: &Operand, test: Option<&(Comparison, Operand)>, item: &Value) -> bool {
    let Some(left) = left.value(item) else { return false };
    let Some((comparison, right)) = test else { return true };
    let Some(right) = right.value(item) else { return false };
    let order = match (left, right) {
        (Value::String(a), Value::String(b)) => a.partial_cmp(b),
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::Bool(a), Value::Bool(b)) => a.partial_cmp(b),
        _ => None,
    };
    let Some(order) = order else { return false };
    match comparison {
        Comparison::Unknown => false,
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

impl Operand {
    fn parse(text: &str) -> Result<Operand, PathError> {
        let text = text.trim();
        if text.starts_with(['@', '$', '.']) {
            return JsonPath::parse(text).map(Operand::Path);
        }
        if let Some(quoted) = unquote(text) {
            return Ok(Operand::Literal(Value::from(quoted)));
        }
        let word = || text.chars().all(|letter| letter.is_alphanumeric() || letter == '_').then(|| text.to_owned());
        match serde_json::from_str(text) {
            Ok(value) => Ok(Operand::Literal(value)),
            Err(_) => word().map(Operand::Word).ok_or_else(|| PathError(format!("unrecognized identifier {text}"))),
        }
    }

    fn value<'a>(&'a self, item: &'a Value) -> Option<&'a Value> {
        match self {
            Operand::Path(path) => path.first(item),
            Operand::Literal(value) => Some(value),
            Operand::Word(_) => None,
        }
    }
}

fn read_step<'a>(text: &'a str, steps: &mut Vec<Step>) -> Result<&'a str, PathError> {
    if let Some(rest) = text.strip_prefix("..") {
        steps.push(Step::Recursive);
        return if rest.starts_with('[') { Ok(rest) } else { read_name(rest, steps) };
    }
    if let Some(rest) = text.strip_prefix('.') {
        return if rest.starts_with('[') || rest.is_empty() { Ok(rest) } else { read_name(rest, steps) };
    }
    if let Some(rest) = text.strip_prefix('[') {
        let end = bracket_end(rest).ok_or_else(|| PathError("unterminated array".to_owned()))?;
        steps.push(read_bracket(rest[..end].trim())?);
        return Ok(&rest[end + 1..]);
    }
    read_name(text, steps)
}

/// A name up to the next `.` or `[`; a backslash takes the next character as it is.
fn read_name<'a>(text: &'a str, steps: &mut Vec<Step>) -> Result<&'a str, PathError> {
    let (mut name, mut escaped, mut end) = (String::new(), false, text.len());
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => {
                name.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            '.' | '[' => {
                end = at;
                break;
            }
            letter => name.push(letter),
        }
    }
    if name.is_empty() || name.contains(['{', '}', '(', ')', ' ']) {
        return Err(PathError(format!("unrecognized character in action: {text}")));
    }
    steps.push(if name == "*" { Step::Wildcard } else { Step::Key(name) });
    Ok(&text[end..])
}

/// The place of the bracket that closes, past quotes and nested brackets.
fn bracket_end(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn read_bracket(text: &str) -> Result<Step, PathError> {
    if text == "*" || text.is_empty() {
        return Ok(Step::Wildcard);
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return read_filter(filter);
    }
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    if let Some(keys) = parts.iter().map(|part| unquote(part)).collect::<Option<Vec<_>>>() {
        return Ok(Step::Keys(keys));
    }
    if let Some(indexes) = parts.iter().map(|part| part.parse().ok()).collect::<Option<Vec<i64>>>() {
        return Ok(Step::Indexes(indexes));
    }
    read_slice(text).ok_or_else(|| {
        // Of several, the first that is none is told.
        let fits = |part: &&str| unquote(part).is_some() || part.parse::<i64>().is_ok() || read_slice(part).is_some();
        let wrong = parts.iter().copied().find(|part| !fits(part)).unwrap_or(text);
        PathError(format!("invalid array index {wrong}"))
    })
}

fn read_slice(text: &str) -> Option<Step> {
    let bound = |part: Option<&str>| match part.map(str::trim) {
        None | Some("") => Some(None),
        Some(number) => number.parse::<i64>().ok().map(Some),
    };
    let mut parts = text.split(':');
    let (start, end, step) = (bound(parts.next())?, bound(parts.next())?, bound(parts.next())?.unwrap_or(1));
    (parts.next().is_none() && step > 0).then_some(Step::Slice { start, end, step })
}

fn read_filter(text: &str) -> Result<Step, PathError> {
    let found = COMPARISONS.iter().filter_map(|(symbol, comparison)| {
        let at = text.find(symbol)?;
        Some((at, *symbol, *comparison))
    });
    match found.min_by_key(|(at, symbol, _)| (*at, std::cmp::Reverse(symbol.len()))) {
        None => Ok(Step::Filter { left: Operand::parse(text)?, test: None }),
        Some((at, symbol, comparison)) => {
            let left = Operand::parse(&text[..at])?;
            let right = Operand::parse(&text[at + symbol.len()..])?;
            Ok(Step::Filter { left, test: Some((comparison, right)) })
        }
    }
}

fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|letter| matches!(letter, '\'' | '"'))?;
    let inner = text.get(1..)?.strip_suffix(quote)?;
    Some(inner.replace(&format!("\\{quote}"), &quote.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_find_what_kubernetes_finds() {
        let object = json!({
            "spec": {"replicas": 3, "ports": [{"p": 1}, {"p": 2}, {"p": 3}]},
            "metadata": {"annotations": {"a.b/c": "x"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Old", "status": "False"}]},
        });
        let table = [
            (".spec.replicas", "[3]"),
            ("{.spec.replicas}", "[3]"),
            ("$.spec.replicas", "[3]"),
            (".spec.missing.deep", "[]"),
            (".spec.ports[*].p", "[1,2,3]"),
            (".spec.ports[-1].p", "[3]"),
            (".spec.ports[0:2].p", "[1,2]"),
            (".spec.ports[0,2].p", "[1,3]"),
            (".spec.ports[?(@.p>1)].p", "[2,3]"),
            (r".metadata.annotations.a\.b/c", r#"["x"]"#),
            (".metadata.annotations['a.b/c']", r#"["x"]"#),
            (".status.conditions[?(@.type==\"Ready\")].status", r#"["True"]"#),
            (".status.conditions[?(@.type=='Ready')].status", r#"["True"]"#),
            ("..p", "[1,2,3]"),
        ];
        for (text, expected) in table {
            let path = JsonPath::parse(text).unwrap();
            assert_eq!(json!(path.find(&object)).to_string(), expected, "{text}");
        }
        assert!(JsonPath::parse(".a[").is_err());
        for (text, wrong) in [(".a[b,c]", "b"), (".a['b',c]", "c"), (".a[1,c]", "c"), (".a[b]", "b")] {
            let fault = JsonPath::parse(text).unwrap_err();
            assert_eq!(fault.to_string(), format!("invalid array index {wrong}"), "{text}");
        }
        assert_eq!(print(&json!({"b": 1, "a": [true]})), r#"{"a":[true],"b":1}"#);
    }
}
