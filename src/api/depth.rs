//! How deeply a value nests, and how deeply one that is read or kept may.
//!
//! Values are read, compared and dropped by walking down them, and a walk that is too long ends the
//! process. Bodies are read no deeper than 128 by the JSON reader; what is kept stays well under that,
//! because `managedFields` repeats an object's paths some levels further down.

use serde_json::Value;

/// The deepest value that is kept.
pub const MAX: usize = 100;

/// The deepest text that is looked at, fields that nobody knows included: Go's `encoding/json`.
pub const MAX_READ: usize = 10_000;

/// How deeply a JSON text nests, whether it is right or not.
pub fn of_text(text: &[u8]) -> usize {
    // A text that is too short for it cannot be too deep, and most are.
    if text.len() <= MAX_READ {
        return 0;
    }
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// How deeply a value nests: 0 for a scalar.
pub fn of(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(of).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(of).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_do_not_nest() {
        let open = "[".repeat(MAX_READ + 1);
        assert_eq!(of_text(open.as_bytes()), MAX_READ + 1);
        assert_eq!(of_text(format!("{{\"a\\\"{open}\":[1]}}").as_bytes()), 2);
    }
}
