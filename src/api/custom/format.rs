//! String formats: what `format` of a string schema means.
//!
//! Source: kube-openapi, `validation/strfmt`; the list of formats that custom resources may use is
//! apiextensions-apiserver's. A format that is not in it is not checked.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use crate::api::go_regex;

type Check = fn(&str) -> bool;

/// Formats, without dashes but for Kubernetes' own.
const FORMATS: &[(&str, Check)] = &[
    ("bsonobjectid", |text| text.len() == 24 && hex(text)),
    ("uri", is_uri),
    ("email", is_email),
    ("hostname", is_hostname),
    ("ipv4", |text| text.parse::<Ipv4Addr>().is_ok()),
    ("ipv6", |text| text.contains(':') && text.parse::<Ipv6Addr>().is_ok()),
    ("cidr", is_cidr),
    ("mac", is_mac),
    ("uuid", |text| is_uuid(text, None)),
    ("uuid3", |text| is_uuid(text, Some('3'))),
    ("uuid4", |text| is_uuid(text, Some('4')) && variant(text)),
    ("uuid5", |text| is_uuid(text, Some('5')) && variant(text)),
    ("isbn", |text| is_isbn10(text) || is_isbn13(text)),
    ("isbn10", is_isbn10),
    ("isbn13", is_isbn13),
    ("creditcard", is_credit_card),
    ("ssn", |text| SSN.is_match(text)),
    ("hexcolor", |text| {
        let digits = text.strip_prefix('#').unwrap_or(text);
        matches!(digits.len(), 3 | 6) && hex(digits)
    }),
    ("rgbcolor", |text| RGB.is_match(text)),
    ("byte", |text| STANDARD.decode(text).is_ok()),
    ("password", |_| true),
    ("date", |text| text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()),
    ("duration", is_duration),
    ("datetime", is_date_time),
    ("k8sshortname", |text| text.len() <= 63 && LABEL.is_match(text)),
    ("k8slongname", |text| text.len() <= 253 && text.split('.').all(|part| LABEL.is_match(part))),
];

/// Whether values of this type in this format are checked.
pub fn is_recognized(kind: &str, format: &str) -> bool {
    match kind {
        "" | "string" => {
            let name = format.replace('-', "");
            FORMATS.iter().any(|(known, _)| *known == name)
        }
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    }
}

static SSN: LazyLock<Regex> = LazyLock::new(|| constant(r"^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$"));
static RGB: LazyLock<Regex> = LazyLock::new(|| {
    const PART: &str = r"\s*([01]?[0-9]{1,2}|2[0-4][0-9]|25[0-5])\s*";
    constant(&format!(r"^rgb\({PART},{PART},{PART}\)$"))
});
static LABEL: LazyLock<Regex> = LazyLock::new(|| constant("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"));
static HOSTNAME: LazyLock<Regex> =
    LazyLock::new(|| constant(r"^([a-zA-Z0-9\p{L}]([a-zA-Z0-9\p{L}-]{0,61}[a-zA-Z0-9\p{L}])?\.?)+$"));
static DURATION: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"^([0-9]+)\s*(ns|us|µs|ms|s|m|h|d|w|nano|micro|milli|sec|min|hr|day|wk|nanosecond|microsecond|millisecond|second|minute|hour|week|seconds|minutes|hours|days|weeks)$",
    )
});

fn constant(pattern: &str) -> Regex {
    // The patterns above are fixed text that the tests compile.
    go_regex::compile(pattern).expect("a good pattern")
}

fn find(name: &str) -> Option<Check> {
    let name = name.replace('-', "");
    FORMATS.iter().find(|(own, _)| *own == name).map(|(_, check)| *check)
}

/// Whether a format is checked at all.
pub fn is_known(name: &str) -> bool {
    find(name).is_some()
}

/// Whether `text` is of a format; of an unknown one everything is.
pub fn is_valid(name: &str, text: &str) -> bool {
    find(name).is_none_or(|check| check(text))
}

fn hex(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_hexdigit())
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return text.starts_with('/') };
    if text.starts_with('/') {
        return true;
    }
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    named && !rest.is_empty() && !text.contains(|c: char| c.is_control() || c == ' ')
}

fn is_email(text: &str) -> bool {
    let address = match (text.rfind('<'), text.ends_with('>')) {
        (Some(at), true) => &text[at + 1..text.len() - 1],
        _ => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let atom =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c));
    local.split('.').all(atom) && domain.split('.').all(atom)
}

fn is_hostname(text: &str) -> bool {
    text.len() <= 255 && HOSTNAME.is_match(text) && text.split('.').all(|part| part.len() <= 63)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(bits) = bits.parse::<u8>() else { return false };
    match address.parse::<std::net::IpAddr>() {
        Ok(address) => bits <= if address.is_ipv4() { 32 } else { 128 },
        Err(_) => false,
    }
}

fn is_mac(text: &str) -> bool {
    let split = |by: char, width: usize, counts: &[usize]| {
        let parts: Vec<&str> = text.split(by).collect();
        counts.contains(&parts.len()) && parts.iter().all(|part| part.len() == width && hex(part))
    };
    split(':', 2, &[6, 8, 20]) || split('-', 2, &[6, 8, 20]) || split('.', 4, &[3, 4, 10])
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let dashes_fit = text.len() == 32 || text.char_indices().all(|(at, c)| c != '-' || [8, 13, 18, 23].contains(&at));
    digits.len() == 32 && hex(&digits) && dashes_fit && version.is_none_or(|own| digits.chars().nth(12) == Some(own))
}

fn variant(text: &str) -> bool {
    text.chars().filter(|c| *c != '-').nth(16).is_some_and(|c| "89abAB".contains(c))
}

fn is_isbn10(text: &str) -> bool {
    let digits: Vec<char> = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    let value = |(at, c): (usize, &char)| match c {
        'X' | 'x' if at == 9 => Some(10),
        c => c.to_digit(10),
    };
    let values: Option<Vec<u32>> = digits.iter().enumerate().map(value).collect();
    values.is_some_and(|v| v.len() == 10 && v.iter().zip(1..).map(|(d, n)| d * n).sum::<u32>() % 11 == 0)
}

fn is_isbn13(text: &str) -> bool {
    let values: Option<Vec<u32>> = text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_digit(10)).collect();
    values.is_some_and(|v| {
        v.len() == 13 && v.iter().enumerate().map(|(at, d)| d * if at % 2 == 0 { 1 } else { 3 }).sum::<u32>() % 10 == 0
    })
}

/// The length and start of a card's number, and its check digit (Luhn).
fn is_credit_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 0 { *digit } else { (digit * 2) / 10 + (digit * 2) % 10 })
        .sum();
    (13..=16).contains(&digits.len()) && matches!(digits[0], 3..=6) && sum.is_multiple_of(10)
}

fn is_duration(text: &str) -> bool {
    let go = crate::api::cel::duration::parse(text).is_some();
    go || DURATION.is_match(&text.to_lowercase())
}

fn is_date_time(text: &str) -> bool {
    let upper = text.to_uppercase();
    upper.contains('T')
        && (upper.ends_with('Z') || upper[upper.len().saturating_sub(6)..].starts_with(['+', '-']))
        && upper.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_tell_good_from_bad() {
        for (format, good, bad) in [
            ("date-time", "2024-01-02T03:04:05Z", "yesterday"),
            ("email", "a.b@example.com", "x"),
            ("ipv4", "10.0.0.1", "300.1.1.1"),
            ("ipv6", "::1", "10.0.0.1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "00:11:22:33:44:55", "00:11"),
            ("uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "z"),
            ("uuid4", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
            ("byte", "aGk=", "!"),
            ("date", "2024-02-29", "2023-02-29"),
            ("duration", "1h5m", "soon"),
            ("uri", "https://a.io/x", "::"),
            ("hostname", "a.example.com", "-a"),
            ("isbn10", "0321751043", "0321751044"),
            ("hexcolor", "#fff", "#ffff"),
            ("k8s-short-name", "a-b", "a.b"),
        ] {
            assert!(is_known(format), "{format}");
            assert!(is_valid(format, good), "{format} {good}");
            assert!(!is_valid(format, bad), "{format} {bad}");
        }
        assert!(!is_known("nope") && is_valid("nope", "x"));
    }
}
