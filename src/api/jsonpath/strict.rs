//! What a reader of objects is told of an expression that does not fit them: an index that a list has not, a word
//! without quotes. Where Kubernetes itself evaluates, such an expression finds nothing; kubectl says so.
//!
//! Source: `k8s.io/client-go/util/jsonpath`, `evalArray` and `evalFilter`.

use serde_json::Value;

use super::{Comparison, JsonPath, Operand, Step};
use crate::api::go_words;

type Found<'a> = Result<Vec<&'a Value>, String>;

impl JsonPath {
    /// Every value the expression finds. A missing key finds nothing.
    ///
    /// # Errors
    /// When a step does not fit what it is taken from, in client-go's words.
    pub fn try_find<'a>(&self, root: &'a Value) -> Found<'a> {
        self.steps.iter().try_fold(vec![root], |found, step| {
            let mut next = Vec::new();
            for value in found {
                step.fits(value)?;
                step.apply(value, &mut next);
            }
            Ok(next)
        })
    }
}

impl Step {
    /// Why it cannot be taken from this value, if it cannot.
    fn fits(&self, value: &Value) -> Result<(), String> {
        let list = || match value {
            Value::Array(items) => Ok(items.as_slice()),
            other => Err(format!("{} is not array or slice", go_words::type_of(other))),
        };
        match self {
            _ if value.is_null() => Ok(()),
            Step::Indexes(indexes) => {
                let length = list()?.len() as i64;
                indexes.iter().try_for_each(|at| {
                    let at = if *at < 0 { at + length } else { *at };
                    bounds(at, at + 1, length)
                })
            }
            Step::Slice { start, end, .. } => {
                let length = list()?.len() as i64;
                let from_end = |bound: i64| if bound < 0 { bound + length } else { bound };
                bounds(from_end(start.unwrap_or(0)), from_end(end.unwrap_or(length)), length)
            }
            Step::Filter { left, test } => match value {
                Value::Array(items) => items.iter().try_for_each(|item| comparable(left, test.as_ref(), item)),
                other => Err(format!("{} is not array or slice and cannot be filtered", super::print(other))),
            },
            _ => Ok(()),
        }
    }
}

/// No element at all is always to be had.
fn bounds(start: i64, end: i64, length: i64) -> Result<(), String> {
    let outside = |index: i64| Err(format!("array index out of bounds: index {index}, length {length}"));
    match () {
        () if start == end => Ok(()),
        () if !(0..length).contains(&start) => outside(start),
        () if !(0..=length).contains(&end) => outside(end - 1),
        () if start > end => Err(format!("starting index {start} is greater than ending index {end}")),
        () => Ok(()),
    }
}

fn comparable(left: &Operand, test: Option<&(Comparison, Operand)>, item: &Value) -> Result<(), String> {
    let Some((comparison, right)) = test else { return Ok(()) };
    let (left, right) = match (left.values(item)?.as_slice(), right.values(item)?.as_slice()) {
        ([], _) | ([_], []) => return Ok(()),
        ([left], [right]) => (*left, *right),
        _ => return Err("can only compare one element at a time".to_owned()),
    };
    match comparison {
        Comparison::Unknown => Err("unrecognized filter operator =".to_owned()),
        _ if kind(left) == kind(right) => Ok(()),
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

impl Operand {
    fn values<'a>(&'a self, item: &'a Value) -> Found<'a> {
        match self {
            Operand::Path(path) => path.try_find(item),
            Operand::Literal(value) => Ok(vec![value]),
            Operand::Word(word) => Err(format!("unrecognized identifier {word}")),
        }
    }
}

/// What can be compared with what.
fn kind(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 0,
        Value::Number(number) if number.is_f64() => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_does_not_fit_is_told() {
        let object = json!({"items": [{"kind": "Pod", "n": 1}], "kind": "List", "of": {}});
        for (path, told) in [
            ("{.items[5].kind}", "array index out of bounds: index 5, length 1"),
            ("{.items[-3].kind}", "array index out of bounds: index -2, length 1"),
            ("{.items[0:5].kind}", "array index out of bounds: index 4, length 1"),
            ("{.items[3:].kind}", "array index out of bounds: index 3, length 1"),
            ("{.kind[0]}", "string is not array or slice"),
            ("{.of[0]}", "map[string]interface {} is not array or slice"),
            ("{.items[?(@.kind=\"Pod\")].n}", "unrecognized filter operator ="),
            ("{.items[?(@.kind==Pod)].n}", "unrecognized identifier Pod"),
            ("{.items[?(@.kind==1)].n}", "incompatible types for comparison"),
        ] {
            assert_eq!(JsonPath::parse(path).unwrap().try_find(&object), Err(told.to_owned()), "{path}");
        }
        for path in ["{.items[-1].kind}", "{.nothing[3].kind}", "{.items[0:1].kind}", "{.items[?(@.kind==\"Pod\")].x}"]
        {
            let path = JsonPath::parse(path).unwrap();
            assert_eq!(path.try_find(&object).unwrap(), path.find(&object));
        }
    }
}
