//! What is wrong with texts that are written down: durations, timestamps, patterns and formats that can never
//! be read.
//!
//! In: an expression whose types fit. Out: faults and their places; or, for what cel-go finds only when it makes
//! a program, the words alone. Source: cel-go, `cel/validator.go`, `ext/formatting.go`, `interpreter/decorators.go`.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::check::Checked;
use super::converted;
use super::types::Type;
use crate::api::go_regex;

/// Functions that make one plain value of another: of one that is written down they are asked beforehand.
const CONVERSIONS: [&str; 8] = ["bool", "bytes", "double", "duration", "int", "string", "timestamp", "uint"];

/// The faults of an expression's texts, lists and maps; `place` tells where a part starts.
pub(super) fn faults(expression: &IdedExpr, checked: &Checked, place: &dyn Fn(u64) -> usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    each_part(expression, &mut |part| {
        let Expr::Call(call) = &part.expr else { return };
        let name = call.func_name.as_str();
        let at = usize::from(name == "matches" && call.target.is_none());
        if let Some(argument) = call.args.get(at).filter(|argument| is_wrong(name, call, argument)) {
            found.push((place(argument.id), format!("invalid {name} argument")));
        }
        if let (Some(text), "format", [IdedExpr { expr: Expr::List(list), .. }]) =
            (text_of(call.target.as_deref()), name, call.args.as_slice())
        {
            match clauses(text, &list.elements, checked) {
                Err((at, message)) => found.push((place(at.unwrap_or(part.id)), message)),
                Ok(used) if used < list.elements.len() => {
                    let given = list.elements.len();
                    let message =
                        format!("too many arguments supplied to string.format (expected {used}, got {given})");
                    found.push((place(part.id), message));
                }
                Ok(_) => {}
            }
        }
    });
    mixed(expression, checked, &mut |id, message| found.push((place(id), message)));
    found
}

/// Lists and maps that are written down hold values of one type, but for what `format` takes.
fn mixed(part: &IdedExpr, checked: &Checked, tell: &mut dyn FnMut(u64, String)) {
    let kind = |part: &IdedExpr, optional: bool| {
        let kind = checked.kind(part);
        if optional { kind.unwrapped().cloned().unwrap_or(Type::Dyn) } else { kind }
    };
    let differs =
        |one: &Type, other: &Type| (one != other).then(|| format!("expected type '{one}' but found '{other}'"));
    match &part.expr {
        Expr::Call(call) if call.func_name == "format" => return,
        Expr::List(list) => {
            let kinds = list.elements.iter().enumerate();
            let kinds: Vec<Type> = kinds.map(|(at, own)| kind(own, list.optional_indices.contains(&at))).collect();
            let others = list.elements.iter().zip(&kinds).skip(1);
            if let Some((at, words)) = others.into_iter().find_map(|(own, of)| Some((own.id, differs(&kinds[0], of)?)))
            {
                tell(at, words);
            }
        }
        Expr::Map(map) => {
            let entries = map.entries.iter().filter_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => Some(entry),
                EntryExpr::StructField(_) => None,
            });
            let entries: Vec<_> = entries.collect();
            for entry in entries.iter().skip(1) {
                if let Some(words) = differs(&kind(&entries[0].key, false), &kind(&entry.key, false)) {
                    tell(entry.key.id, words);
                }
                let first = kind(&entries[0].value, entries[0].optional);
                if let Some(words) = differs(&first, &kind(&entry.value, entry.optional)) {
                    tell(entry.value.id, words);
                }
            }
        }
        _ => {}
    }
    each_child(part, &mut |child| mixed(child, checked, tell));
}

fn is_wrong(name: &str, call: &CallExpr, argument: &IdedExpr) -> bool {
    match name {
        "matches" => text_of(Some(argument)).is_some_and(|text| go_regex::compile(text).is_err()),
        "duration" | "timestamp" if call.target.is_none() => {
            matches!(argument.expr, Expr::Literal(_)) && converted(name, argument.clone()).is_err()
        }
        _ => false,
    }
}

fn text_of(part: Option<&IdedExpr>) -> Option<&str> {
    match part.map(|part| &part.expr) {
        Some(Expr::Literal(LiteralValue::String(text))) => Some(text.inner()),
        _ => None,
    }
}

/// Whether a program can be made of an expression: conversions and patterns of what is written down are
/// tried at once.
///
/// # Errors
/// `program instantiation failed: …`
pub(super) fn instantiate(expression: &IdedExpr) -> Result<(), String> {
    let mut fault = None;
    each_part(expression, &mut |part| {
        let Expr::Call(call) = &part.expr else { return };
        let words = match (call.func_name.as_str(), call.args.as_slice()) {
            ("find" | "findAll", [pattern, ..]) => {
                text_of(Some(pattern)).and_then(|text| go_regex::compile(text).err())
            }
            (name, [argument]) if call.target.is_none() && CONVERSIONS.contains(&name) => match &argument.expr {
                Expr::Literal(LiteralValue::Null) => Some(format!("no such overload: {name}(null_type)")),
                Expr::Literal(_) => converted(name, argument.clone()).err(),
                _ => None,
            },
            _ => None,
        };
        fault = fault.take().or(words);
    });
    fault.map_or(Ok(()), |words| Err(format!("program instantiation failed: {words}")))
}

/// How many of the given parts a format asks for, or what is wrong and with which part.
fn clauses(format: &str, given: &[IdedExpr], checked: &Checked) -> Result<usize, (Option<u64>, String)> {
    let (mut rest, mut used) = (format, 0);
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            rest = after;
            continue;
        }
        if rest.is_empty() {
            return Err((None, "unexpected end of string".to_owned()));
        }
        let Some(part) = given.get(used) else {
            return Err((None, format!("index {used} out of range")));
        };
        let clause = |words: &str| (None, format!("could not parse formatting clause: {words}"));
        if let Some(after) = rest.strip_prefix('.') {
            rest = after.trim_start_matches(|letter: char| letter.is_ascii_digit());
            if rest.is_empty() {
                return Err(clause("error while parsing precision: could not find end of precision specifier"));
            }
            if rest.len() == after.len() {
                return Err(clause(NO_PRECISION));
            }
        }
        let mut letters = rest.chars();
        let letter = letters.next().unwrap_or_default();
        rest = letters.as_str();
        let Some((_, takes, words)) = CLAUSES.iter().find(|(known, ..)| *known == letter.to_ascii_lowercase()) else {
            return Err(clause(&format!("unrecognized formatting clause \"{letter}\"")));
        };
        let wrong =
            if letter == 's' { no_text(part, checked) } else { Some(part).filter(|part| !fits(checked, part, takes)) };
        if let Some(wrong) = wrong {
            let kind = runtime_name(&checked.kind(wrong));
            return Err((Some(wrong.id), format!("error during formatting: {words}, was given {kind}")));
        }
        used += 1;
    }
    Ok(used)
}

const NO_PRECISION: &str = "error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing \"\": invalid syntax";
/// A clause's letter, the types it takes, and what is said of others.
const CLAUSES: [(char, &[&str], &str); 7] = [
    (
        's',
        &["list", "map", "int", "uint", "double", "bool", "string", "timestamp", "bytes", "duration", "type", "null"],
        "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
    ),
    ('d', &["int", "uint"], "decimal clause can only be used on integers"),
    ('f', &["double", "string"], "fixed-point clause can only be used on doubles"),
    ('e', &["double", "string"], "scientific clause can only be used on doubles"),
    ('b', &["int", "uint", "bool"], "only integers and bools can be formatted as binary"),
    ('x', &["int", "uint", "string", "bytes"], "only integers, byte buffers, and strings can be formatted as hex"),
    ('o', &["int", "uint"], "octal clause can only be used on integers"),
];

fn fits(checked: &Checked, part: &IdedExpr, takes: &[&str]) -> bool {
    let kind = checked.kind(part);
    let name = kind.to_string();
    kind == Type::Dyn || takes.contains(&name.split('(').next().unwrap_or_default())
}

/// The part of a value, or of what it holds, that has no text.
fn no_text<'a>(part: &'a IdedExpr, checked: &Checked) -> Option<&'a IdedExpr> {
    if !fits(checked, part, CLAUSES[0].1) {
        return Some(part);
    }
    match &part.expr {
        Expr::List(list) => list.elements.iter().find_map(|own| no_text(own, checked)),
        Expr::Map(map) => map.entries.iter().find_map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => no_text(&entry.key, checked).or_else(|| no_text(&entry.value, checked)),
            EntryExpr::StructField(_) => None,
        }),
        _ => None,
    }
}

/// A type as it calls itself when it runs.
fn runtime_name(kind: &Type) -> String {
    match kind {
        Type::Null => "null_type".to_owned(),
        Type::Timestamp => "google.protobuf.Timestamp".to_owned(),
        Type::Duration => "google.protobuf.Duration".to_owned(),
        other => other.to_string().split('(').next().unwrap_or_default().to_owned(),
    }
}

/// Shows each part of an expression, the outer before the inner.
fn each_part(part: &IdedExpr, show: &mut dyn FnMut(&IdedExpr)) {
    show(part);
    each_child(part, &mut |child| each_part(child, show));
}

fn each_child(part: &IdedExpr, show: &mut dyn FnMut(&IdedExpr)) {
    match &part.expr {
        Expr::Select(select) => show(&select.operand),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(show),
        Expr::List(list) => list.elements.iter().for_each(show),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    show(&entry.key);
                    show(&entry.value);
                }
            }
        }
        Expr::Struct(built) => {
            for entry in &built.entries {
                if let EntryExpr::StructField(field) = &entry.expr {
                    show(&field.value);
                }
            }
        }
        Expr::Comprehension(each) => {
            let parts = [&each.iter_range, &each.accu_init, &each.loop_cond, &each.loop_step, &each.result];
            parts.into_iter().for_each(show);
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::api::cel::check::{Scope, check};

    #[test]
    fn texts_that_are_written_down_are_read_at_once() {
        for (text, words) in [
            ("duration('1d') == duration('1h')", "1:10: invalid duration argument"),
            ("'a'.matches('[')", "1:13: invalid matches argument"),
            ("'%d %s'.format([1]) == ''", "1:15: index 1 out of range"),
            ("'%z'.format([1]) == ''", "1:12: could not parse formatting clause: unrecognized formatting clause \"z\""),
            ("'%s'.format([1, 2]) == ''", "1:12: too many arguments supplied to string.format (expected 1, got 2)"),
            (
                "'%d'.format(['x']) == ''",
                "1:14: error during formatting: decimal clause can only be used on integers, was given string",
            ),
            ("int('x') == 1", "program instantiation failed: type conversion error from 'string' to 'int'"),
            ("[1, 'a'] == []", "1:5: expected type 'int' but found 'string'"),
            ("{'a': 1, 'b': 'x'} == {}", "1:15: expected type 'int' but found 'string'"),
            ("string(null) == ''", "program instantiation failed: no such overload: string(null_type)"),
            ("'a'.find('[') == ''", "program instantiation failed: error parsing regexp: missing closing ]: `[`"),
        ] {
            let fault =
                check(text, &Scope::default()).map_or_else(|fault| fault, |found| found.fault.unwrap_or_default());
            assert!(fault.contains(words), "{text}: {fault}");
        }
        assert!(check("'%s %d%%'.format(['x', 1]) == ''", &Scope::default()).is_ok());
    }
}
