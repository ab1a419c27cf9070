//! What is wrong with a YAML text, in the words of libyaml, from which Kubernetes' reader descends.
//!
//! In: our reader's complaint and the text. Out: `yaml: line 2: did not find expected key`. The words are the
//! easy part; libyaml's scanner and parser also count lines differently, and some complaints name none.

use super::{keys, line};

/// Which of libyaml's stages complains.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// Where it read no further.
    Scanner,
    /// The scanner, at the end of the text.
    ScannerEnd,
    /// The scanner, where it gives up waiting for a colon: on the next line, or at the end of the text.
    ScannerKey,
    /// The scanner, at the next line that begins with a tab.
    ScannerTab,
    /// The parser, whose lines count from zero.
    Parser,
    /// The parser, at the end of the text.
    ParserEnd,
    /// Who reads the text before, or makes values of what was parsed.
    Nowhere,
}

/// A mark in the reader's complaint, the stage of libyaml that would have made it, and its words.
const WORDS: [(&str, Stage, &str); 28] = [
    ("could not find expected directive name", Stage::Scanner, "could not find expected directive name"),
    ("mapping values are not allowed", Stage::Scanner, "mapping values are not allowed in this context"),
    ("block sequence entries are not", Stage::Scanner, "block sequence entries are not allowed in this context"),
    ("plain scalar, found a tab", Stage::ScannerTab, "found a tab character that violates indentation"),
    ("tab", Stage::Scanner, "found character that cannot start any token"),
    ("unexpected character: `\\u{", Stage::Nowhere, "control characters are not allowed"),
    ("unexpected character", Stage::Scanner, "found character that cannot start any token"),
    ("simple key", Stage::ScannerKey, "could not find expected ':'"),
    ("an anchor or alias", Stage::Scanner, "did not find expected alphabetic or numeric character"),
    ("expected comment or line break", Stage::Scanner, "did not find expected comment or line break"),
    ("indicator equal to 0", Stage::Scanner, "found an indentation indicator equal to 0"),
    ("unknown escape character", Stage::Scanner, "found unknown escape character"),
    ("expected hexadecimal number", Stage::Scanner, "did not find expected hexdecimal number"),
    ("scanning a tag, did not find expected '!'", Stage::Scanner, "did not find expected '!'"),
    ("unclosed quote", Stage::ScannerEnd, "found unexpected end of stream"),
    ("unclosed bracket '['", Stage::ParserEnd, "did not find expected ',' or ']'"),
    ("unclosed bracket '{'", Stage::ParserEnd, "did not find expected ',' or '}'"),
    ("mismatched bracket '['", Stage::Parser, "did not find expected ',' or ']'"),
    ("mismatched bracket '{'", Stage::Parser, "did not find expected ',' or '}'"),
    ("expected ',' or '}'", Stage::Parser, "did not find expected ',' or '}'"),
    ("expected ',' or ']'", Stage::Parser, "did not find expected ',' or ']'"),
    ("did not find expected key", Stage::Parser, "did not find expected key"),
    ("invalid trailing content after", Stage::Parser, "did not find expected key"),
    ("wrongly indented line in block scalar", Stage::Parser, "did not find expected key"),
    ("expected '-' indicator", Stage::Parser, "did not find expected '-' indicator"),
    ("merge value must be", Stage::Nowhere, "map merge requires map or sequence of maps as the value"),
    ("node content", Stage::Parser, "did not find expected node content"),
    ("only valid inside a block", Stage::Parser, "did not find expected node content"),
];

/// Where a node should stand and something else does.
const NO_NODE: [&str; 2] = ["misplaced bracket", "unexpected EOF while parsing an implicit flow mapping"];

/// The complaint in Kubernetes' words.
pub fn of(error: &serde_saphyr::Error, text: &[u8]) -> String {
    let told = error.without_snippet().to_string();
    match odd(&told, error, text) {
        Some(words) => words,
        None => format!("yaml: {}", placed(&told, error, text)),
    }
}

/// What is none of the stages' business.
fn odd(told: &str, error: &serde_saphyr::Error, text: &[u8]) -> Option<String> {
    if told.contains("budget breached") && told.contains("Nodes") {
        return Some("yaml: document contains excessive aliasing".to_string());
    }
    if told.contains("unknown anchor") {
        return Some(format!("yaml: unknown anchor '{}' referenced", alias(error, text)));
    }
    if told.contains("non-finite float") {
        // What YAML can say and JSON cannot.
        let number = match told {
            _ if told.contains("nan") || told.contains("NaN") => "NaN",
            _ if told.contains("`-") => "-Inf",
            _ => "+Inf",
        };
        return Some(format!("json: unsupported value: {number}"));
    }
    if told.contains("expected string scalar") {
        return keys::invalid(&String::from_utf8_lossy(text)).map(|key| format!("yaml: invalid map key: {key}"));
    }
    None
}

fn placed(told: &str, error: &serde_saphyr::Error, text: &[u8]) -> String {
    let known = WORDS.iter().find(|(mark, ..)| told.contains(mark)).copied();
    let no_node = || {
        let known = NO_NODE.iter().any(|mark| told.contains(mark));
        known.then_some(("", Stage::Parser, "did not find expected node content"))
    };
    let (_, stage, mut what) = known.or_else(no_node).unwrap_or(("", Stage::Scanner, told));
    let last = text.trim_ascii_end().last();
    if stage == Stage::ParserEnd && matches!(last, Some(b'[' | b'{' | b',')) {
        // An element should come, and the text ends.
        what = "did not find expected node content";
    }
    let ends = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    // For the parser the end of the text is on a line of its own.
    let last_line = ends + u64::from(!text.ends_with(b"\n"));
    let here = line(error);
    let before = match stage {
        Stage::Nowhere => 0,
        Stage::ScannerEnd => ends,
        Stage::ParserEnd => last_line,
        Stage::ScannerKey if lines_after(text, here).all(|line| line.trim_ascii().is_empty()) => last_line,
        Stage::ScannerTab => {
            let tab = lines_after(text, here).position(is_indented_by_tab).map_or(0, |at| at as u64 + 1);
            (here + tab).saturating_sub(1)
        }
        _ => here.saturating_sub(1),
    };
    match (before, stage) {
        (0, _) => what.to_string(),
        (before, Stage::Parser | Stage::ParserEnd) => format!("line {before}: {what}"),
        (before, _) => format!("line {}: {what}", before + 1),
    }
}

fn lines_after(text: &[u8], line: u64) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').skip(usize::try_from(line).unwrap_or(usize::MAX))
}

fn is_indented_by_tab(line: &[u8]) -> bool {
    line.iter().take_while(|byte| byte.is_ascii_whitespace()).any(|byte| *byte == b'\t')
}

/// The name after the asterisk that an error is about.
fn alias(error: &serde_saphyr::Error, text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let (line, column) = error.location().map_or((1, 1), |location| (location.line(), location.column()));
    let place = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(0);
    let line = text.lines().nth(place(line)).unwrap_or_default();
    let rest: String = line.chars().skip(place(column)).collect();
    let name = rest.trim_start_matches('*');
    name.split(|c: char| c.is_whitespace() || ",]}".contains(c)).next().unwrap_or_default().to_string()
}
