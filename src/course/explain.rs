//! Says in words what an expression found when it was not true.
//!
//! In: the source of a CEL expression. Out: the part that was false, and the value of its left
//! side, as in `pod("lonely").status.phase is "Pending"`. Works on the text: CEL's grammar at the
//! top level is joined by `&&` and one comparison, and a text is what a learner reads.

use cel::Value as Cel;
use cel::objects::OptionalValue;

use super::expression::{Expression, to_json};
use super::functions::text_field;
use super::observer::Observer;

/// The most characters of a value that are shown.
const WIDTH: usize = 160;
const COMPARISONS: [&str; 7] = ["==", "!=", "<=", ">=", "<", ">", " in "];

/// What was found instead of true.
pub async fn found(observer: &mut Observer<'_>, expression: &Expression) -> String {
    for part in conjuncts(expression.source()) {
        let Ok(piece) = Expression::compile(part) else { continue };
        match observer.value(&piece).await {
            Ok(Cel::Bool(true)) => {}
            Ok(_) => return falsehood(observer, part).await,
            Err(words) => return words,
        }
    }
    "it became true as it was being explained".to_owned()
}

async fn falsehood(observer: &mut Observer<'_>, part: &str) -> String {
    if let Some((list, macro_name, body)) = quantified(part) {
        let (filter, said) = match macro_name {
            "all" => (negated(body), "this does not hold for"),
            _ => (body.to_owned(), "this holds for"),
        };
        if let Some(value) = value_of(observer, &format!("{list}.filter({filter})")).await
            && macro_name == "all"
        {
            return format!("{said} {}", show(&value));
        }
        if let Some(value) = value_of(observer, list).await {
            return format!("none of {} fits", show(&value));
        }
    }
    if let Some((left, _)) = comparison(part)
        && let Some(value) = value_of(observer, left).await
    {
        return format!("{} is {}", squeezed(left), show(&value));
    }
    if let Some(inner) = part.strip_prefix('!') {
        return format!("{} is true", squeezed(inner));
    }
    format!("{} is false", squeezed(part))
}

async fn value_of(observer: &mut Observer<'_>, source: &str) -> Option<Cel> {
    observer.value(&Expression::compile(source).ok()?).await.ok()
}

/// A value as a learner reads it: an object by its kind and name, a list by its items.
pub fn show(value: &Cel) -> String {
    let text = match value {
        Cel::List(items) if items.is_empty() => "an empty list".to_owned(),
        Cel::List(items) => items.iter().map(show).collect::<Vec<_>>().join(", "),
        Cel::Map(_) if !text_field(value, &["metadata", "name"]).is_empty() => {
            format!("{}/{}", text_field(value, &["kind"]).to_lowercase(), text_field(value, &["metadata", "name"]))
        }
        Cel::Opaque(_) => match <&OptionalValue>::try_from(value) {
            Ok(optional) => optional.value().map_or_else(|| "nothing".to_owned(), show),
            Err(_) => "something".to_owned(),
        },
        other => to_json(other).to_string(),
    };
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The parts joined by `&&` at the top level.
fn conjuncts(source: &str) -> Vec<&str> {
    if top_level(source, "||").next().is_some()
        || top_level(source, "?")
            .any(|at| !source[at..].starts_with("?.") && !source[..at].ends_with('.') && !source[..at].ends_with('['))
    {
        return vec![source];
    }
    let mut parts = Vec::new();
    let mut from = 0;
    for at in top_level(source, "&&") {
        parts.push(source[from..at].trim());
        from = at + 2;
    }
    parts.push(source[from..].trim());
    parts
}

/// The sides of a comparison at the top level.
fn comparison(source: &str) -> Option<(&str, &str)> {
    COMPARISONS.iter().find_map(|operator| {
        let at = top_level(source, operator).next()?;
        Some((source[..at].trim(), source[at + operator.len()..].trim()))
    })
}

/// `list.all(x, body)` or `list.exists(x, body)` as (`list`, `all`, `x, body`).
fn quantified(source: &str) -> Option<(&str, &'static str, &str)> {
    let inner = source.strip_suffix(')')?;
    ["all", "exists"].iter().find_map(|name| {
        let call = format!(".{name}(");
        let at = top_level(source, &call).last()?;
        let body = &inner[at + call.len()..];
        balanced(body).then_some((source[..at].trim(), *name, body))
    })
}

fn negated(body: &str) -> String {
    match body.split_once(',') {
        Some((variable, condition)) => format!("{variable}, !({condition})"),
        None => body.to_owned(),
    }
}

fn balanced(text: &str) -> bool {
    depths(text).try_fold(0, |_, (_, depth)| (depth >= 0).then_some(depth)) == Some(0)
}

/// Where `pattern` stands outside brackets and quotes.
fn top_level<'a>(source: &'a str, pattern: &'a str) -> impl Iterator<Item = usize> + 'a {
    depths(source)
        .scan(0, move |before, (at, depth)| {
            let here = *before;
            *before = depth;
            Some((at, here))
        })
        .filter(move |(at, depth)| *depth == 0 && source[*at..].starts_with(pattern))
        .map(|(at, _)| at)
}

/// Each character outside quotes, and how deep in brackets one is after it.
fn depths(source: &str) -> impl Iterator<Item = (usize, i32)> {
    let mut depth = 0;
    let mut quote: Option<char> = None;
    source.char_indices().filter_map(move |(at, c)| {
        match (quote, c) {
            (Some(open), close) if open == close => {
                quote = None;
                return None;
            }
            (Some(_), _) => return None,
            (None, '"' | '\'') => {
                quote = Some(c);
                return None;
            }
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, _) => {}
        }
        Some((at, depth))
    })
}

fn squeezed(source: &str) -> String {
    source.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_taken_apart_at_the_top_level() {
        let table: [(&str, &[&str]); 5] = [
            ("a == 1 && b(c && d) == 2", &["a == 1", "b(c && d) == 2"]),
            (r#"x == "a && b""#, &[r#"x == "a && b""#]),
            ("a || b && c", &["a || b && c"]),
            ("x.?y.hasValue() && z", &["x.?y.hasValue()", "z"]),
            ("a ? b : c && d", &["a ? b : c && d"]),
        ];
        for (source, parts) in table {
            assert_eq!(conjuncts(source), parts, "{source}");
        }
        assert_eq!(
            comparison(r#"pod("a").status.phase == "Running""#),
            Some((r#"pod("a").status.phase"#, r#""Running""#))
        );
        assert_eq!(comparison("a.filter(x, x > 1).size() >= 2"), Some(("a.filter(x, x > 1).size()", "2")));
        assert_eq!(comparison("has(a.b)"), None);
        assert_eq!(quantified("pods().all(p, p.x == 1)"), Some(("pods()", "all", "p, p.x == 1")));
        assert_eq!(quantified("pods().all(p, p.x == 1).size()"), None);
        assert_eq!(quantified("a.exists(p, p.y) == (b)"), None);
    }

    #[test]
    fn values_are_shown_short() {
        let pod = crate::api::cel::to_cel(&serde_json::json!({"kind": "Pod", "metadata": {"name": "a"}}));
        assert_eq!(show(&Cel::from(vec![pod.clone(), pod])), "pod/a, pod/a");
        assert_eq!(show(&Cel::from("x".repeat(500))).chars().count(), WIDTH + 1);
    }
}
