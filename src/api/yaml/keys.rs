//! A key of a YAML mapping that is no text: `{{ .Values.name }}`, which a template's reader should have filled in.
//!
//! In: a text. Out: the first such key as Go prints it. Source: Go's `%#v`.

use granit_parser::{Event, Parser, ScalarStyle};

/// A mapping or a sequence that is open, with what is in it so far, as Go writes it.
struct Open {
    is_mapping: bool,
    parts: Vec<String>,
}

/// The first key that is a list or a mapping.
pub fn invalid(text: &str) -> Option<String> {
    let mut open: Vec<Open> = Vec::new();
    for read in Parser::new_from_str(text) {
        let (event, _) = read.ok()?;
        let node = match event {
            Event::Scalar(value, style, ..) => scalar(&value, style),
            Event::Alias(_) => "interface {}(nil)".to_string(),
            Event::MappingStart(..) => {
                open.push(Open { is_mapping: true, parts: Vec::new() });
                continue;
            }
            Event::SequenceStart(..) => {
                open.push(Open { is_mapping: false, parts: Vec::new() });
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let printed = print(&open.pop()?);
                if open.last().is_some_and(|outer| outer.is_mapping && outer.parts.len().is_multiple_of(2)) {
                    return Some(printed);
                }
                printed
            }
            _ => continue,
        };
        if let Some(outer) = open.last_mut() {
            outer.parts.push(node);
        }
    }
    None
}

fn print(node: &Open) -> String {
    if !node.is_mapping {
        return format!("[]interface {{}}{{{}}}", node.parts.join(", "));
    }
    let mut entries: Vec<String> = node.parts.chunks(2).map(|entry| entry.join(":")).collect();
    entries.sort();
    format!("map[interface {{}}]interface {{}}{{{}}}", entries.join(", "))
}

/// Plain words are what they mean, quoted ones are text.
fn scalar(value: &str, style: ScalarStyle) -> String {
    let plain = matches!(style, ScalarStyle::Plain);
    match value {
        "" | "~" | "null" | "Null" | "NULL" if plain => "interface {}(nil)".to_string(),
        "true" | "false" if plain => value.to_string(),
        number if plain && number.parse::<i64>().is_ok_and(|n| n.to_string() == number) => number.to_string(),
        text => format!("{text:?}"),
    }
}
