//! How deeply a value nests, and how deeply one that is kept may.
//!
//! Values are read, compared and dropped by walking down them, and a walk that is too long ends the
//! process. Bodies are read no deeper than 128 by the JSON reader; what is kept stays well under that,
//! because `managedFields` repeats an object's paths some levels further down.

use serde_json::Value;

/// The deepest value that is kept.
pub const MAX: usize = 100;

/// How deeply a value nests: 0 for a scalar.
pub fn of(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(of).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(of).max().unwrap_or(0),
        _ => 0,
    }
}
