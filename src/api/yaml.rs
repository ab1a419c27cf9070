//! YAML as Kubernetes reads and writes it.
//!
//! In: a YAML document, the older rules of YAML 1.1 included (`yes` is true, `0644` is octal). Out: the
//! JSON it stands for. Keys become strings. A key that is set twice is told, the last one holds.

use serde_json::Value;

/// A document that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it says.
    pub value: Value,
    /// Keys that are set twice, in Kubernetes' words.
    pub duplicates: Vec<String>,
}

/// Why a text is no YAML: `yaml: line 2: mapping values are not allowed in this context`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("yaml: {0}")]
pub struct YamlError(String);

/// Reads one document as the JSON it stands for.
pub fn parse(bytes: &[u8]) -> Result<Value, YamlError> {
    parse_document(bytes).map(|document| document.value)
}

/// Reads one document, and tells the keys that are set twice.
pub fn parse_document(bytes: &[u8]) -> Result<Document, YamlError> {
    use serde_saphyr::DuplicateKeyPolicy::{Error, LastWins};
    let strict = serde_saphyr::options! { duplicate_keys: Error, legacy_octal_numbers: true };
    let error = match serde_saphyr::from_slice_with_options::<Value>(bytes, strict) {
        Ok(value) => return Ok(Document { value, duplicates: Vec::new() }),
        Err(error) => error,
    };
    let relaxed = serde_saphyr::options! { duplicate_keys: LastWins, legacy_octal_numbers: true };
    match serde_saphyr::from_slice_with_options::<Value>(bytes, relaxed) {
        Ok(value) => Ok(Document { value, duplicates: vec![duplicate(&error)] }),
        Err(error) => Err(YamlError(words(&error))),
    }
}

/// Writes an object as Kubernetes answers `Accept: application/yaml`.
pub fn to_string(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_default()
}

fn line(error: &serde_saphyr::Error) -> u64 {
    error.location().map_or(0, |location| location.line())
}

fn duplicate(error: &serde_saphyr::Error) -> String {
    let key = match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key, .. } => key.clone().unwrap_or_default(),
        other => other.to_string(),
    };
    format!("yaml: unmarshal errors:\n  line {}: key {key:?} already set in map", line(error))
}

/// The parser's complaint in the words of libyaml, from which Kubernetes' parser descends.
fn words(error: &serde_saphyr::Error) -> String {
    let told = error.without_snippet().to_string();
    let known = [
        ("mapping values are not allowed in this context", "mapping values are not allowed in this context"),
        ("tab", "found character that cannot start any token"),
        ("expected ',' or '}'", "did not find expected ',' or '}'"),
        ("expected ',' or ']'", "did not find expected ',' or ']'"),
        ("did not find expected key", "did not find expected key"),
        ("expected '-' indicator", "did not find expected '-' indicator"),
        ("node content", "did not find expected node content"),
        ("simple key", "could not find expected ':'"),
    ];
    let what = known.iter().find(|(mark, _)| told.contains(mark)).map_or(told.as_str(), |(_, words)| words);
    format!("line {}: {what}", line(error))
}
