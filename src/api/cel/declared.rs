//! The functions that expressions may call: names, and for each the types it takes and gives.
//!
//! A row is a function's name and its overloads, each `id: arguments -> result`; `a.(b)` is a call on `a`.
//! Where an id has no cost or other meaning of its own, it is the row's name and a number. Source: cel-go
//! `common/stdlib`, `ext`, `cel/library.go`; `k8s.io/apiserver/pkg/cel/library`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::formats;
use super::types::Type;

/// One way to call a function.
#[derive(Debug)]
pub(super) struct Overload {
    /// Which.
    pub id: String,
    /// Whether it is called on its first argument.
    pub member: bool,
    /// What it takes.
    pub takes: Vec<Type>,
    /// What it gives.
    pub gives: Type,
}

const NUMBERS: [&str; 3] = ["int", "uint", "double"];
/// Types that have an order, as the list functions name them.
const ORDERED: [&str; 8] = ["int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"];

const ROWS: &[(&str, &str)] = &[
    ("_?_:_", "conditional: bool, T, T -> T"),
    ("_&&_", "logical_and: bool, bool -> bool"),
    ("_||_", "logical_or: bool, bool -> bool"),
    ("!_", "logical_not: bool -> bool"),
    ("@not_strictly_false", "not_strictly_false: bool -> bool"),
    ("_==_", "equals: A, A -> bool"),
    ("_!=_", "not_equals: A, A -> bool"),
    (
        "_+_",
        "add_bytes: bytes, bytes -> bytes; : double, double -> double; : duration, duration -> duration; : duration, timestamp -> timestamp; : timestamp, duration -> timestamp; : int, int -> int; add_list: list(A), list(A) -> list(A); add_string: string, string -> string; : uint, uint -> uint",
    ),
    (
        "_-_",
        ": double, double -> double; : duration, duration -> duration; : int, int -> int; : timestamp, duration -> timestamp; : timestamp, timestamp -> duration; : uint, uint -> uint",
    ),
    ("_*_", ": double, double -> double; : int, int -> int; : uint, uint -> uint"),
    ("_/_", ": double, double -> double; : int, int -> int; : uint, uint -> uint"),
    ("_%_", ": int, int -> int; : uint, uint -> uint"),
    ("-_", ": double -> double; : int -> int"),
    (
        "_[_]",
        "index_list: list(A), int -> A; index_map: map(A, B), A -> B; : optional_type(list(V)), int -> optional_type(V); : optional_type(map(K, V)), K -> optional_type(V)",
    ),
    (
        "_[?_]",
        ": list(V), int -> optional_type(V); : optional_type(list(V)), int -> optional_type(V); : map(K, V), K -> optional_type(V); : optional_type(map(K, V)), K -> optional_type(V)",
    ),
    ("@in", "in_list: A, list(A) -> bool; in_map: A, map(A, B) -> bool"),
    (
        "size",
        ": bytes -> int; : bytes.() -> int; : list(A) -> int; : list(A).() -> int; : map(A, B) -> int; : map(A, B).() -> int; : string -> int; : string.() -> int",
    ),
    ("type", ": A -> type(A)"),
    ("dyn", "to_dyn: A -> dyn"),
    ("bool", ": bool -> bool; : string -> bool"),
    ("bytes", ": bytes -> bytes; string_to_bytes: string -> bytes"),
    ("double", ": double -> double; : int -> double; : string -> double; : uint -> double"),
    ("duration", ": duration -> duration; : string -> duration"),
    ("timestamp", ": timestamp -> timestamp; : int -> timestamp; : string -> timestamp"),
    ("int", ": int -> int; : double -> int; : duration -> int; : string -> int; : timestamp -> int; : uint -> int"),
    ("uint", ": uint -> uint; : double -> uint; : int -> uint; : string -> uint"),
    (
        "string",
        ": string -> string; : bool -> string; bytes_to_string: bytes -> string; : double -> string; : duration -> string; : int -> string; : timestamp -> string; : uint -> string; : net.IP -> string; : net.CIDR -> string",
    ),
    ("contains", "contains_string: string.(string) -> bool"),
    ("startsWith", "starts_with_string: string.(string) -> bool"),
    ("endsWith", "ends_with_string: string.(string) -> bool"),
    ("matches", "matches: string, string -> bool; matches_string: string.(string) -> bool"),
    ("getFullYear", ": timestamp.() -> int; : timestamp.(string) -> int"),
    ("getMonth", ": timestamp.() -> int; : timestamp.(string) -> int"),
    ("getDayOfYear", ": timestamp.() -> int; : timestamp.(string) -> int"),
    ("getDayOfMonth", ": timestamp.() -> int; : timestamp.(string) -> int"),
    ("getDate", ": timestamp.() -> int; : timestamp.(string) -> int"),
    ("getDayOfWeek", ": timestamp.() -> int; : timestamp.(string) -> int"),
    ("getHours", ": timestamp.() -> int; : timestamp.(string) -> int; : duration.() -> int"),
    ("getMinutes", ": timestamp.() -> int; : timestamp.(string) -> int; : duration.() -> int"),
    ("getSeconds", ": timestamp.() -> int; : timestamp.(string) -> int; : duration.() -> int"),
    ("getMilliseconds", ": timestamp.() -> int; : timestamp.(string) -> int; : duration.() -> int"),
    ("optional.of", ": V -> optional_type(V)"),
    ("optional.ofNonZeroValue", ": V -> optional_type(V)"),
    ("optional.none", ": -> optional_type(V)"),
    ("optional.unwrap", ": list(optional_type(V)) -> list(V)"),
    ("unwrapOpt", ": list(optional_type(V)).() -> list(V)"),
    ("value", ": optional_type(V).() -> V"),
    ("hasValue", ": optional_type(V).() -> bool"),
    ("or", ": optional_type(V).(optional_type(V)) -> optional_type(V)"),
    ("orValue", ": optional_type(V).(V) -> V"),
    ("first", ": list(V).() -> optional_type(V)"),
    ("last", ": list(V).() -> optional_type(V)"),
    ("charAt", ": string.(int) -> string"),
    ("indexOf", ": string.(string) -> int; : string.(string, int) -> int; : list(A).(A) -> int"),
    ("lastIndexOf", ": string.(string) -> int; : string.(string, int) -> int; : list(A).(A) -> int"),
    ("lowerAscii", ": string.() -> string"),
    ("upperAscii", ": string.() -> string"),
    ("trim", ": string.() -> string"),
    ("replace", ": string.(string, string) -> string; : string.(string, string, int) -> string"),
    ("split", ": string.(string) -> list(string); : string.(string, int) -> list(string)"),
    ("substring", ": string.(int) -> string; : string.(int, int) -> string"),
    ("format", "string_format: string.(list(dyn)) -> string"),
    ("strings.quote", "strings_quote: string -> string"),
    ("join", ": list(string).() -> string; : list(string).(string) -> string"),
    ("slice", "list_slice: list(T).(int, int) -> list(T)"),
    ("flatten", "list_flatten: list(list(T)).() -> list(T); list_flatten_int: list(dyn).(int) -> list(dyn)"),
    ("reverse", "list_reverse: list(T).() -> list(T)"),
    ("distinct", "list_distinct: list(T).() -> list(T)"),
    ("lists.range", "lists_range: int -> list(int)"),
    ("sets.contains", "sets_contains: list(T), list(T) -> bool"),
    ("sets.equivalent", "sets_equivalent: list(T), list(T) -> bool"),
    ("sets.intersects", "sets_intersects: list(T), list(T) -> bool"),
    ("cel.@mapInsert", ": map(K, V), K, V -> map(K, V); : map(K, V), map(K, V) -> map(K, V)"),
    ("find", ": string.(string) -> string"),
    ("findAll", ": string.(string) -> list(string); : string.(string, int) -> list(string)"),
    ("isURL", ": string -> bool"),
    ("url", ": string -> kubernetes.URL"),
    ("getScheme", ": kubernetes.URL.() -> string"),
    ("getHost", ": kubernetes.URL.() -> string"),
    ("getHostname", ": kubernetes.URL.() -> string"),
    ("getPort", ": kubernetes.URL.() -> string"),
    ("getEscapedPath", ": kubernetes.URL.() -> string"),
    ("getQuery", ": kubernetes.URL.() -> map(string, list(string))"),
    ("isIP", ": string -> bool"),
    ("ip", ": string -> net.IP; cidr_ip: net.CIDR.() -> net.IP"),
    ("ip.isCanonical", ": string -> bool"),
    ("family", ": net.IP.() -> int"),
    ("isUnspecified", ": net.IP.() -> bool"),
    ("isLoopback", ": net.IP.() -> bool"),
    ("isLinkLocalMulticast", ": net.IP.() -> bool"),
    ("isLinkLocalUnicast", ": net.IP.() -> bool"),
    ("isGlobalUnicast", ": net.IP.() -> bool"),
    ("isCIDR", ": string -> bool"),
    ("cidr", ": string -> net.CIDR"),
    ("containsIP", "cidr_contains_ip_string: net.CIDR.(string) -> bool; : net.CIDR.(net.IP) -> bool"),
    ("containsCIDR", "cidr_contains_cidr_string: net.CIDR.(string) -> bool; : net.CIDR.(net.CIDR) -> bool"),
    ("prefixLength", ": net.CIDR.() -> int"),
    ("masked", ": net.CIDR.() -> net.CIDR"),
    ("isQuantity", ": string -> bool"),
    ("quantity", ": string -> kubernetes.Quantity"),
    ("sign", ": kubernetes.Quantity -> int"),
    ("isInteger", ": kubernetes.Quantity.() -> bool"),
    ("asInteger", ": kubernetes.Quantity.() -> int"),
    ("asApproximateFloat", ": kubernetes.Quantity.() -> double"),
    (
        "add",
        ": kubernetes.Quantity.(kubernetes.Quantity) -> kubernetes.Quantity; : kubernetes.Quantity.(int) -> kubernetes.Quantity",
    ),
    (
        "sub",
        ": kubernetes.Quantity.(kubernetes.Quantity) -> kubernetes.Quantity; : kubernetes.Quantity.(int) -> kubernetes.Quantity",
    ),
    (
        "isGreaterThan",
        ": kubernetes.Quantity.(kubernetes.Quantity) -> bool; : kubernetes.Semver.(kubernetes.Semver) -> bool",
    ),
    (
        "isLessThan",
        ": kubernetes.Quantity.(kubernetes.Quantity) -> bool; : kubernetes.Semver.(kubernetes.Semver) -> bool",
    ),
    ("compareTo", ": kubernetes.Quantity.(kubernetes.Quantity) -> int; : kubernetes.Semver.(kubernetes.Semver) -> int"),
    ("semver", ": string -> kubernetes.Semver; : string, bool -> kubernetes.Semver"),
    ("isSemver", ": string -> bool; : string, bool -> bool"),
    ("major", ": kubernetes.Semver.() -> int"),
    ("minor", ": kubernetes.Semver.() -> int"),
    ("patch", ": kubernetes.Semver.() -> int"),
    ("format.named", ": string -> optional_type(kubernetes.NamedFormat)"),
    ("validate", ": kubernetes.NamedFormat.(string) -> optional_type(list(string))"),
    ("path", ": kubernetes.authorization.Authorizer.(string) -> kubernetes.authorization.PathCheck"),
    ("group", ": kubernetes.authorization.Authorizer.(string) -> kubernetes.authorization.GroupCheck"),
    ("serviceAccount", ": kubernetes.authorization.Authorizer.(string, string) -> kubernetes.authorization.Authorizer"),
    ("resource", ": kubernetes.authorization.GroupCheck.(string) -> kubernetes.authorization.ResourceCheck"),
    ("subresource", ": kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck"),
    ("namespace", ": kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck"),
    ("name", ": kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck"),
    ("fieldSelector", ": kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck"),
    ("labelSelector", ": kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck"),
    (
        "check",
        ": kubernetes.authorization.PathCheck.(string) -> kubernetes.authorization.Decision; : kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.Decision",
    ),
    ("allowed", ": kubernetes.authorization.Decision.() -> bool"),
    ("reason", ": kubernetes.authorization.Decision.() -> string"),
    ("errored", ": kubernetes.authorization.Decision.() -> bool"),
    ("error", ": kubernetes.authorization.Decision.() -> string"),
    // Only where patches are made; see `check::Scope::function`.
    ("jsonpatch.escapeKey", ": string -> string"),
];

static FUNCTIONS: LazyLock<HashMap<String, Vec<Overload>>> = LazyLock::new(|| {
    let mut all: HashMap<String, Vec<Overload>> = HashMap::new();
    for (name, row) in ROWS {
        all.insert((*name).to_owned(), row.split("; ").enumerate().map(|(at, text)| read(name, at, text)).collect());
    }
    let mut add = |name: &str, rows: Vec<String>| {
        let own = all.entry(name.to_owned()).or_default();
        own.extend(rows.iter().enumerate().map(|(at, row)| read(name, at, row)));
    };
    for (sign, verb) in [("<", "less"), ("<=", "less_equals"), (">", "greater"), (">=", "greater_equals")] {
        let same = ORDERED.map(|kind| format!("{verb}_{kind}: {kind}, {kind} -> bool"));
        let pairs = NUMBERS.iter().flat_map(|one| NUMBERS.iter().map(move |other| (one, other)));
        let mixed = pairs.filter(|(one, other)| one != other).map(|(one, other)| format!(": {one}, {other} -> bool"));
        add(&format!("_{sign}_"), same.into_iter().chain(mixed).collect());
    }
    let each = |kinds: &[&str], row: fn(&str) -> String| kinds.iter().map(|kind| row(kind)).collect::<Vec<_>>();
    add("isSorted", each(&ORDERED, |kind| format!(": list({kind}).() -> bool")));
    add("sum", each(&["int", "uint", "double", "duration"], |kind| format!(": list({kind}).() -> {kind}")));
    add("min", each(&ORDERED, |kind| format!(": list({kind}).() -> {kind}")));
    add("max", each(&ORDERED, |kind| format!(": list({kind}).() -> {kind}")));
    add("sort", each(&ORDERED, |kind| format!("list_{kind}_sort: list({kind}).() -> list({kind})")));
    add(
        "@sortByAssociatedKeys",
        each(&ORDERED, |kind| format!("list_{kind}_sortBy: list(T).(list({kind})) -> list(T)")),
    );
    for format in formats::names() {
        add(&format!("format.{format}"), vec![": -> kubernetes.NamedFormat".to_owned()]);
    }
    all
});

/// The ways to call a function of this name; `None`: there is no such function.
pub(super) fn overloads(name: &str) -> Option<&'static [Overload]> {
    FUNCTIONS.get(name).map(Vec::as_slice)
}

/// Reads `id: list(A).(string) -> bool`.
fn read(name: &str, at: usize, row: &str) -> Overload {
    let (id, rest) = row.split_once(": ").unwrap_or(("", row));
    let (takes, gives) = rest.split_once("-> ").unwrap_or((rest, "dyn"));
    let (receiver, rest) = match takes.trim().split_once(".(") {
        Some((receiver, rest)) => (Some(receiver), rest.trim_end().strip_suffix(')').unwrap_or(rest)),
        None => (None, takes.trim()),
    };
    let takes = receiver.into_iter().chain(split(rest)).map(Type::read).collect();
    let id = if id.is_empty() { format!("{name} {at}") } else { id.to_owned() };
    Overload { id, member: receiver.is_some(), takes, gives: Type::read(gives) }
}

/// The parts between commas that are in no parenthesis.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_read() {
        let insert = &overloads("cel.@mapInsert").unwrap()[0];
        assert_eq!(insert.takes.len(), 3);
        let ip = &overloads("ip").unwrap()[1];
        assert!(ip.member && ip.id == "cidr_ip" && ip.gives.to_string() == "net.IP");
        assert_eq!(overloads("optional.none").unwrap()[0].takes.len(), 0);
        assert_eq!(overloads("_<_").unwrap().len(), 14);
        assert!(overloads("includes").is_none() && overloads("format.dns1123Label").is_some());
    }
}
