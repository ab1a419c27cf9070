//! What functions take: enough of cel-go's declarations to say that there is no such function, or none for
//! these types.
//!
//! Only functions of plain types are listed with their types; of the rest the name is enough.

use super::functions;

/// One way to call a function: its name, the receiver's type (empty: none), the arguments' types.
type Signature = (&'static str, &'static str, &'static [&'static str]);

const SIGNATURES: &[Signature] = &[
    ("size", "", &["string"]),
    ("size", "", &["list"]),
    ("size", "", &["map"]),
    ("size", "", &["bytes"]),
    ("size", "string", &[]),
    ("size", "list", &[]),
    ("size", "map", &[]),
    ("size", "bytes", &[]),
    ("startsWith", "string", &["string"]),
    ("endsWith", "string", &["string"]),
    ("contains", "string", &["string"]),
    ("matches", "string", &["string"]),
    ("matches", "", &["string", "string"]),
    ("find", "string", &["string"]),
    ("findAll", "string", &["string"]),
    ("findAll", "string", &["string", "int"]),
    ("charAt", "string", &["int"]),
    ("indexOf", "string", &["string"]),
    ("indexOf", "string", &["string", "int"]),
    ("indexOf", "list", &["dyn"]),
    ("lastIndexOf", "string", &["string"]),
    ("lastIndexOf", "string", &["string", "int"]),
    ("lastIndexOf", "list", &["dyn"]),
    ("lowerAscii", "string", &[]),
    ("upperAscii", "string", &[]),
    ("trim", "string", &[]),
    ("replace", "string", &["string", "string"]),
    ("replace", "string", &["string", "string", "int"]),
    ("split", "string", &["string"]),
    ("split", "string", &["string", "int"]),
    ("substring", "string", &["int"]),
    ("substring", "string", &["int", "int"]),
    ("join", "list", &[]),
    ("join", "list", &["string"]),
    ("isSorted", "list", &[]),
    ("sum", "list", &[]),
    ("min", "list", &[]),
    ("max", "list", &[]),
    ("reverse", "list", &[]),
    ("distinct", "list", &[]),
    ("sort", "list", &[]),
    ("slice", "list", &["int", "int"]),
    ("flatten", "list", &[]),
    ("flatten", "list", &["int"]),
    ("first", "list", &[]),
    ("last", "list", &[]),
    ("isURL", "", &["string"]),
    ("url", "", &["string"]),
    ("isQuantity", "", &["string"]),
    ("isIP", "", &["string"]),
    ("isCIDR", "", &["string"]),
];

/// Functions known by name alone.
const NAMES: &[&str] = &[
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "type",
    "dyn",
    "duration",
    "timestamp",
    "getFullYear",
    "getMonth",
    "getDayOfYear",
    "getDayOfMonth",
    "getDate",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "hasValue",
    "value",
    "or",
    "orValue",
    "optional",
    "of",
    "ofNonZeroValue",
    "none",
    "format",
    "named",
    "validate",
    "sign",
    "equivalent",
    "intersects",
    "quote",
    "sortBy",
    "range",
    "encode",
    "decode",
    "cidr",
    "ip",
    "quantity",
    "semver",
    "isSemver",
    "major",
    "minor",
    "patch",
    "jsonpatch",
    "escapeKey",
    "group",
    "path",
    "serviceAccount",
    "requestResource",
    "resource",
    "subresource",
    "namespace",
    "name",
    "check",
    "allowed",
    "reason",
    "errored",
    "error",
    "fieldSelector",
    "labelSelector",
    "transformList",
    "transformMap",
    "unwrap",
    "unwrapOpt",
    "cel",
];

/// Whether anything of this name can be called.
pub fn is_declared(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric());
    !plain
        || NAMES.contains(&name)
        || SIGNATURES.iter().any(|(known, ..)| *known == name)
        || functions::is_known(name)
        || name.starts_with("get")
        || (name.starts_with("is") && !["isNaN", "isInf", "isFinite"].contains(&name))
}

/// Whether a function can be called with these types. `None` is a type that is not known, and fits.
pub fn fits(name: &str, receiver: Option<Option<&str>>, arguments: &[Option<&str>]) -> bool {
    let known: Vec<&Signature> = SIGNATURES.iter().filter(|(known, ..)| *known == name).collect();
    let same = |wanted: &str, given: Option<&str>| wanted == "dyn" || given.is_none_or(|given| given == wanted);
    known.is_empty()
        || known.iter().any(|(_, of, wanted)| {
            let at = match receiver {
                None => of.is_empty(),
                Some(given) => !of.is_empty() && same(of, given),
            };
            at && wanted.len() == arguments.len() && wanted.iter().zip(arguments).all(|(one, other)| same(one, *other))
        })
}

/// Whether a function of lists takes this kind of item: sums are of numbers and durations, the rest needs an order.
pub fn takes_items(name: &str, item: Option<&str>) -> bool {
    let Some(item) = item else { return true };
    match name {
        "sum" => matches!(item, "int" | "uint" | "double" | "duration"),
        "min" | "max" | "isSorted" | "sort" => !matches!(item, "object" | "list" | "map" | "null_type"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_fits_by_receiver_and_arguments() {
        assert!(fits("startsWith", Some(Some("string")), &[Some("string")]));
        assert!(fits("startsWith", Some(None), &[None]));
        assert!(!fits("startsWith", Some(Some("int")), &[Some("string")]));
        assert!(!fits("size", None, &[Some("int")]));
        assert!(fits("size", None, &[Some("list")]));
        assert!(is_declared("size") && is_declared("getScheme") && !is_declared("foo"));
    }
}
