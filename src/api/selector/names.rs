//! What a label's key and value may look like, with the words Kubernetes uses when they do not.
//!
//! Source: `k8s.io/apimachinery/pkg/util/validation`.

use regex::Regex;
use std::sync::LazyLock;

const NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const NAME_MAX: usize = 63;
const SUBDOMAIN_MAX: usize = 253;

static NAME_PATTERN: LazyLock<Regex> = LazyLock::new(|| anchored(NAME));
static SUBDOMAIN_PATTERN: LazyLock<Regex> = LazyLock::new(|| anchored(SUBDOMAIN));

fn anchored(pattern: &str) -> Regex {
    // The patterns are constants of this file, and its tests compile them.
    Regex::new(&format!("^{pattern}$")).expect("a constant pattern")
}

fn name_hint() -> String {
    format!(
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
         character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{NAME}')"
    )
}

/// What is wrong with a label's or annotation's key: `app`, `example.com/team`. Empty: nothing.
pub fn qualified_name_errors(key: &str) -> Vec<String> {
    let parts: Vec<&str> = key.split('/').collect();
    let (mut errors, name) = match parts[..] {
        [name] => (Vec::new(), name),
        ["", name] => (vec!["prefix part must be non-empty".to_owned()], name),
        [prefix, name] => {
            (dns1123_subdomain_errors(prefix).into_iter().map(|error| format!("prefix part {error}")).collect(), name)
        }
        _ => {
            let suffix = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {} {suffix}", name_hint())];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > NAME_MAX {
        errors.push(format!("name part must be no more than {NAME_MAX} bytes"));
    }
    if !NAME_PATTERN.is_match(name) {
        errors.push(format!("name part {}", name_hint()));
    }
    errors
}

/// What is wrong with a label's value. Empty: nothing.
pub fn label_value_errors(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > NAME_MAX {
        errors.push(format!("must be no more than {NAME_MAX} bytes"));
    }
    if !value.is_empty() && !NAME_PATTERN.is_match(value) {
        errors.push(format!(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
             for validation is '({NAME})?')"
        ));
    }
    errors
}

/// What is wrong with a DNS subdomain: `example.com`. Empty: nothing.
pub fn dns1123_subdomain_errors(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        errors.push(format!("must be no more than {SUBDOMAIN_MAX} bytes"));
    }
    if !SUBDOMAIN_PATTERN.is_match(name) {
        errors.push(format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '{SUBDOMAIN}')"
        ));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values() {
        for good in ["app", "example.com/team", "a.b_c-d", "123"] {
            assert!(qualified_name_errors(good).is_empty(), "{good}");
        }
        for bad in ["", "/a", "a/", "a/b/c", "-a", "Example.com/a", "a b"] {
            assert!(!qualified_name_errors(bad).is_empty(), "{bad}");
        }
        assert!(label_value_errors("").is_empty());
        assert_eq!(label_value_errors(&"x".repeat(64)), ["must be no more than 63 bytes"]);
    }
}
