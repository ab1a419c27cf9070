//! The shapes of names: DNS labels and subdomains, qualified names, label values, ports, paths.
//!
//! Each check returns what is wrong, in Kubernetes' words; an empty list is "nothing".
//! Source: `k8s.io/apimachinery/pkg/util/validation`.

use super::field_error::FieldError;

const LABEL_TEXT: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_TEXT: &str = r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const CASELESS_TEXT: &str = r"an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'Example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const WILDCARD_TEXT: &str = r"a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const UNDERSCORES_TEXT: &str = r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035_TEXT: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED_TEXT: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE_TEXT: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY_TEXT: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/// Faults of one name.
pub type Faults = Vec<String>;

fn max_length(max: usize) -> String {
    format!("must be no more than {max} characters")
}

/// Kubernetes counts the same thing under two names: keys and values of labels have bytes.
fn max_bytes(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn is_lower(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn matches_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            is_lower(*first) && is_lower(*last) && bytes.iter().all(|c| is_lower(*c) || *c == b'-')
        }
        _ => false,
    }
}

fn matches_subdomain(text: &str) -> bool {
    text.split('.').all(matches_label)
}

/// What a C program could call something.
pub fn c_identifier(text: &str) -> Faults {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    if text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit()) {
        return Vec::new();
    }
    vec![
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric \
          characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is \
          '[A-Za-z_][A-Za-z0-9_]*')"
            .to_string(),
    ]
}

/// A DNS-1123 label.
pub fn dns_label(text: &str) -> Faults {
    let mut faults = Vec::new();
    if text.len() > 63 {
        faults.push(max_length(63));
    }
    if !matches_label(text) {
        let dotted = matches_subdomain(text);
        faults.push(if dotted { "must not contain dots".to_string() } else { LABEL_TEXT.to_string() });
    }
    faults
}

/// The same faults where the type of the field declares the rule: there its length is in bytes.
pub fn declared(faults: Faults) -> Faults {
    let in_bytes = |fault: String| match fault.starts_with("must be no more than") {
        true => fault.replace(" characters", " bytes"),
        false => fault,
    };
    faults.into_iter().map(in_bytes).collect()
}

/// A DNS-1123 subdomain.
pub fn dns_subdomain(text: &str) -> Faults {
    let mut faults = Vec::new();
    if text.len() > 253 {
        faults.push(max_length(253));
    }
    if !matches_subdomain(text) {
        faults.push(SUBDOMAIN_TEXT.to_string());
    }
    faults
}

/// A DNS-1123 subdomain, as the types that declare their own rules tell of it: its length is in bytes.
pub fn dns_subdomain_declared(text: &str) -> Faults {
    let faults = dns_subdomain(text).into_iter();
    faults.map(|fault| if fault == max_length(253) { max_bytes(253) } else { fault }).collect()
}

/// A DNS-1123 subdomain in any case, as the types that declare their own rules tell of it.
pub fn dns_subdomain_caseless(text: &str) -> Faults {
    let faults = dns_subdomain(&text.to_lowercase()).into_iter();
    faults.map(|fault| if fault == SUBDOMAIN_TEXT { CASELESS_TEXT.to_string() } else { fault }).collect()
}

/// A DNS-1123 subdomain that may have underscores, as DNS service records do.
pub fn dns_subdomain_with_underscores(text: &str) -> Faults {
    let mut faults = Vec::new();
    if text.len() > 253 {
        faults.push(max_length(253));
    }
    let part = |part: &str| {
        let part = part.strip_prefix('_').unwrap_or(part).as_bytes();
        let end = |c: Option<&u8>| c.is_some_and(|c| is_lower(*c));
        end(part.first()) && end(part.last()) && part.iter().all(|c| is_lower(*c) || matches!(c, b'-' | b'_'))
    };
    if !text.split('.').all(part) {
        faults.push(UNDERSCORES_TEXT.to_string());
    }
    faults
}

/// `*.` and a DNS-1123 subdomain.
pub fn wildcard_subdomain(text: &str) -> Faults {
    let mut faults = Vec::new();
    if text.len() > 253 {
        faults.push(max_length(253));
    }
    if !text.strip_prefix("*.").is_some_and(matches_subdomain) {
        faults.push(WILDCARD_TEXT.to_string());
    }
    faults
}

/// A DNS-1035 label.
pub fn dns_1035_label(text: &str) -> Faults {
    let mut faults = Vec::new();
    if text.len() > 63 {
        faults.push(max_length(63));
    }
    if !matches_label(text) || text.starts_with(|c: char| c.is_ascii_digit()) {
        faults.push(LABEL_1035_TEXT.to_string());
    }
    faults
}

fn matches_qualified(text: &str) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            first.is_ascii_alphanumeric()
                && last.is_ascii_alphanumeric()
                && bytes.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
        }
        _ => false,
    }
}

/// `[prefix/]name`: what label keys, annotation keys, finalizers and resource names are.
pub fn qualified_name(text: &str) -> Faults {
    let mut faults = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_string());
            } else {
                let bytes = |fault: String| format!("prefix part {}", fault.replace("253 characters", "253 bytes"));
                faults.extend(dns_subdomain(prefix).into_iter().map(bytes));
            }
            *name
        }
        _ => {
            faults.push(format!(
                "a valid label key {QUALIFIED_TEXT} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return faults;
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_string());
    } else if name.len() > 63 {
        faults.push(format!("name part {}", max_bytes(63)));
    }
    if !matches_qualified(name) {
        faults.push(format!("name part {QUALIFIED_TEXT}"));
    }
    faults
}

/// A label's value.
pub fn label_value(text: &str) -> Faults {
    let mut faults = Vec::new();
    if text.len() > 63 {
        faults.push(max_bytes(63));
    }
    if !text.is_empty() && !matches_qualified(text) {
        faults.push(LABEL_VALUE_TEXT.to_string());
    }
    faults
}

/// A key of a ConfigMap or a Secret.
pub fn config_key(text: &str) -> Faults {
    let mut faults = Vec::new();
    if text.len() > 253 {
        faults.push(max_length(253));
    }
    if text.is_empty() || !text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.')) {
        faults.push(CONFIG_KEY_TEXT.to_string());
    }
    match text {
        "." => faults.push("must not be '.'".to_string()),
        ".." => faults.push("must not be '..'".to_string()),
        _ if text.starts_with("..") => faults.push("must not start with '..'".to_string()),
        _ => {}
    }
    faults
}

/// An environment variable's name.
pub fn env_var_name(text: &str) -> Faults {
    let printable = !text.is_empty() && text.bytes().all(|c| (0x20..0x7f).contains(&c) && c != b'=');
    if printable {
        return Vec::new();
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".to_string()]
}

/// An HTTP header's name.
pub fn http_header_name(text: &str) -> Faults {
    if !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
        return Vec::new();
    }
    vec!["a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')".to_string()]
}

/// A port number.
pub fn port_number(port: i64) -> Faults {
    in_range(port, 1, 65535)
}

/// `must be between low and high, inclusive`, if it is not.
pub fn in_range(number: i64, low: i64, high: i64) -> Faults {
    if (low..=high).contains(&number) {
        Vec::new()
    } else {
        vec![format!("must be between {low} and {high}, inclusive")]
    }
}

/// A port's name (IANA service name).
pub fn port_name(text: &str) -> Faults {
    let mut faults = Vec::new();
    if text.len() > 15 {
        faults.push(max_length(15));
    }
    let plain = !text.is_empty() && text.bytes().all(|c| is_lower(c) || c == b'-');
    if !plain {
        faults.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_string());
    }
    if !text.bytes().any(|c| c.is_ascii_lowercase()) {
        faults.push("must contain at least one letter (a-z)".to_string());
    }
    if text.contains("--") {
        faults.push("must not contain consecutive hyphens".to_string());
    }
    if text.starts_with('-') || text.ends_with('-') {
        faults.push("must not begin or end with a hyphen".to_string());
    }
    faults
}

/// An IP address: readable, without leading zeros, not IPv4 dressed as IPv6.
pub fn ip(text: &str) -> Faults {
    match text.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            vec!["must not be an IPv4-mapped IPv6 address".to_string()]
        }
        Ok(_) => Vec::new(),
        Err(_) if without_zeros(text).parse::<std::net::Ipv4Addr>().is_ok() => {
            vec!["must not have leading 0s".to_string()]
        }
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_string()],
    }
}

/// Dotted numbers without their leading zeros, which Go once read as decimal.
fn without_zeros(text: &str) -> String {
    let parts = text.split('.').map(|part| match part.trim_start_matches('0') {
        "" if !part.is_empty() => "0",
        short => short,
    });
    parts.collect::<Vec<_>>().join(".")
}

/// An IP address written the one way it should be.
pub fn strict_ip(text: &str) -> Faults {
    let faults = ip(text);
    match text.parse::<std::net::IpAddr>() {
        Ok(address) if faults.is_empty() && address.to_string() != text => {
            vec![format!("must be in canonical form (\"{address}\")")]
        }
        _ => faults,
    }
}

/// A CIDR block: readable, without leading zeros, and no bits beyond its length.
pub fn cidr(text: &str) -> Faults {
    const UNREADABLE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    let Some((address, bits)) = text.split_once('/') else { return vec![UNREADABLE.to_string()] };
    let plain = match address.parse::<std::net::IpAddr>() {
        Ok(address) => Ok(address),
        Err(_) => without_zeros(address).parse(),
    };
    let Ok(parsed) = plain else { return vec![UNREADABLE.to_string()] };
    let most = if parsed.is_ipv4() { 32 } else { 128 };
    let digits = !bits.is_empty() && bits.bytes().all(|c| c.is_ascii_digit());
    let Some(length) = bits.parse::<u32>().ok().filter(|length| digits && *length <= most) else {
        return vec![UNREADABLE.to_string()];
    };
    if address.parse::<std::net::IpAddr>().is_err() || bits.len() > 1 && bits.starts_with('0') {
        return vec!["must not have leading 0s in IP or prefix length".to_string()];
    }
    let number = match parsed {
        std::net::IpAddr::V4(address) => u128::from(u32::from(address)),
        std::net::IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
            return vec!["must not have an IPv4-mapped IPv6 address".to_string()];
        }
        std::net::IpAddr::V6(address) => u128::from(address),
    };
    let host_bits = most - length;
    let beyond = if host_bits >= 128 { number } else { number & ((1 << host_bits) - 1) };
    if beyond != 0 {
        return vec!["must not have bits set beyond the prefix length".to_string()];
    }
    Vec::new()
}

/// `50%` or a number: the text form.
pub fn percent(text: &str) -> Faults {
    let good =
        text.strip_suffix('%').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()));
    if good {
        return Vec::new();
    }
    vec!["a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')".to_string()]
}

/// `example.com/path`: a domain, a slash, a path.
pub fn domain_prefixed_path(text: &str, path: &str) -> Vec<FieldError> {
    const PATH: &str = r"Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')";
    if text.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let Some((host, rest)) = text.split_once('/').filter(|(host, rest)| !host.is_empty() && !rest.is_empty()) else {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        return vec![FieldError::invalid(path, text, detail)];
    };
    let mut errors: Vec<FieldError> =
        dns_subdomain(host).into_iter().map(|fault| FieldError::invalid(path, host, fault)).collect();
    if !rest.bytes().all(|c| c.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&c)) {
        errors.push(FieldError::invalid(path, rest, PATH));
    }
    errors
}

/// A relative path without `..`; the words for each way it is not.
pub fn no_backsteps(path: &str) -> bool {
    !path.split('/').any(|part| part == "..")
}

/// The kinds' rules for `metadata.name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// DNS-1123 subdomain: most kinds.
    Subdomain,
    /// DNS-1123 label: namespaces.
    Label,
    /// DNS-1123 label with Services' own wording for the length.
    Service,
    /// One path segment: RBAC and a few others.
    PathSegment,
    /// Anything: the kind's own validation decides.
    Any,
}

impl NameRule {
    /// What is wrong with `name`; a `prefix` (of `generateName`) may end with a dash.
    pub fn check(self, name: &str, prefix: bool) -> Faults {
        // The letter before the dash goes with it, whatever it is. That is what Kubernetes does, not what it says.
        let masked = match name.strip_suffix('-').filter(|before| prefix && !before.is_empty()) {
            Some(before) => format!("{}a", before.char_indices().next_back().map_or("", |(last, _)| &before[..last])),
            None => name.to_string(),
        };
        match self {
            NameRule::Subdomain => dns_subdomain(&masked),
            NameRule::Label => dns_label(&masked),
            NameRule::Service => dns_label(&masked)
                .into_iter()
                .map(|fault| fault.replace("no more than 63 bytes", "no more than 63 characters"))
                .collect(),
            NameRule::PathSegment => path_segment(name, prefix),
            NameRule::Any => Vec::new(),
        }
    }
}

/// A name that can be one segment of a URL path.
pub fn path_segment(name: &str, prefix: bool) -> Faults {
    let mut faults = Vec::new();
    if !prefix && (name == "." || name == "..") {
        return vec![format!("may not be '{name}'")];
    }
    for bad in ["/", "%"] {
        if name.contains(bad) {
            faults.push(format!("may not contain '{bad}'"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kubernetes_does() {
        assert!(dns_label("web-1").is_empty());
        assert_eq!(dns_label("a.b"), ["must not contain dots"]);
        assert_eq!(dns_label("-a").len(), 1);
        assert!(dns_subdomain("a.b-c.d").is_empty());
        assert_eq!(dns_subdomain("a..b").len(), 1);
        assert!(qualified_name("example.com/Name_1").is_empty());
        assert_eq!(qualified_name("").len(), 2);
        assert_eq!(qualified_name("a/b/c").len(), 1);
        assert!(label_value("").is_empty());
        assert!(config_key(".dockerconfigjson").is_empty());
        assert_eq!(config_key("..").len(), 1);
        assert!(port_name("http").is_empty());
        assert_eq!(port_name("80").len(), 1);
        assert!(cidr("10.0.0.0/8").is_empty() && !cidr("10.0.0.0/33").is_empty());
    }
}
