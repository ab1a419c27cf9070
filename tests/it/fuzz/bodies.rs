//! Bodies: valid objects that were made worse, patches, and noise.

use rand::rngs::StdRng;
use rand::{Rng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

/// Texts that have broken parsers before.
pub const TEXTS: &[&str] = &[
    "",
    " ",
    "a",
    "default",
    "true",
    "null",
    "-1",
    "1e400",
    "0x10",
    "NaN",
    "..",
    "../../etc",
    "a/b/c",
    "%00",
    "\u{0}",
    "\u{7f}",
    "\u{feff}",
    "é",
    "名前",
    "👩‍👩‍👧",
    "\u{202e}x",
    "a\nb",
    "'",
    "\"",
    "\\",
    "{{.}}",
    "$(A)",
    "$patch",
    "k:{\"name\":",
    "1Ki",
    "1e-9",
    "999999999999999999999Ei",
    "-0",
    "10%",
    "101%",
    "2026-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "0000-00-00T00:00:00Z",
    "2026-13-45T99:99:99+99:99",
    "* * * * *",
    "@every 0s",
    "CRON_TZ=Nowhere/At 0 0 31 2 *",
    "10.96.0.0/33",
    "::ffff:10.0.0.1",
    "self.x.all(a, a)",
    "self.matches('(a+)+$')",
    "[[:alpha:]](?P<n>x){1000}",
    ".spec[?(@.a==\"",
    "metadata.name=x",
    "a in (b,",
    "system:masters",
];

/// Numbers at the edges of what is stored in them.
fn number(random: &mut StdRng) -> Value {
    let edges = [0, 1, -1, 2, 65_535, 65_536, i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX, i64::MIN, 1 << 53];
    match random.random_range(0..10) {
        0 => json!(u64::MAX),
        1 => json!(0.5),
        2 => json!(1e308),
        3 => json!(-1e-300),
        _ => json!(edges.choose(random)),
    }
}

fn text(random: &mut StdRng) -> String {
    match random.random_range(0..12) {
        0 => "x".repeat(random.random_range(1..3000)),
        1 => (0..random.random_range(0..20)).map(|_| random.random::<char>()).collect(),
        _ => TEXTS.choose(random).unwrap_or(&"").to_string(),
    }
}

/// Any value.
pub fn any(random: &mut StdRng) -> Value {
    match random.random_range(0..16) {
        0 => Value::Null,
        1 => json!(random.random::<bool>()),
        2..=4 => number(random),
        5..=9 => json!(text(random)),
        10 => json!([]),
        11 => json!({}),
        12 => json!([any(random), any(random)]),
        13 => json!({text(random): any(random), "name": any(random)}),
        14 => deep(random),
        _ => (0..random.random_range(0..200)).map(|n| json!({"name": format!("n{n}")})).collect(),
    }
}

/// Nested deeper than anybody writes.
fn deep(random: &mut StdRng) -> Value {
    let mut value = json!(1);
    for _ in 0..random.random_range(1..120) {
        value = if random.random() { json!([value]) } else { json!({"a": value}) };
    }
    value
}

/// Where the values of an object are.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, inner)| places(inner, &format!("{at}/{}", escape(key)), found))
        }
        Value::Array(list) => list.iter().enumerate().for_each(|(n, inner)| places(inner, &format!("{at}/{n}"), found)),
        _ => {}
    }
}

/// A place of the object, as a JSON pointer.
fn place(random: &mut StdRng, value: &Value) -> String {
    let mut found = Vec::new();
    places(value, "", &mut found);
    found.choose(random).cloned().unwrap_or_default()
}

/// Makes an object worse at one place.
pub fn worsen(random: &mut StdRng, object: &mut Value) {
    let at = place(random, object);
    let donor = object.pointer(&place(random, object)).cloned().unwrap_or_default();
    let Some(spot) = object.pointer_mut(&at) else { return };
    match (spot, random.random_range(0..8)) {
        (Value::Object(map), 0 | 1) => {
            if let Some(key) = map.keys().nth(random.random_range(0..map.len().max(1))).cloned() {
                map.remove(&key);
            }
        }
        (Value::Object(map), 2) => drop(map.insert(text(random), any(random))),
        (Value::Object(map), 3) => drop(map.insert(directive(random), any(random))),
        (Value::Array(list), 0 | 1) => {
            if let Some(last) = list.last().cloned() {
                list.push(last);
            }
        }
        (Value::Array(list), 2) => list.push(any(random)),
        (spot, 4) => *spot = donor,
        (spot, _) => *spot = any(random),
    }
}

/// Keys that mean something to the engine.
fn directive(random: &mut StdRng) -> String {
    let keys = [
        "$patch",
        "$retainKeys",
        "$setElementOrder/containers",
        "$deleteFromPrimitiveList/finalizers",
        "managedFields",
        "ownerReferences",
        "finalizers",
        "generateName",
        "deletionTimestamp",
        "resourceVersion",
        "uid",
        "labels",
        "annotations",
        "x-kubernetes-validations",
        "$ref",
        "apiVersion",
        "kind",
        "status",
        "spec",
        "items",
    ];
    keys.choose(random).unwrap_or(&"").to_string()
}

/// A JSON patch of an object.
pub fn json_patch(random: &mut StdRng, object: &Value) -> Value {
    let operations = ["add", "remove", "replace", "move", "copy", "test", "frob", ""];
    let one = |random: &mut StdRng| {
        let mut path = place(random, object);
        if random.random_range(0..4) == 0 {
            path.push_str(["/-", "/0", "/~", "/~2", "/99999999999999999999", "/x"].choose(random).unwrap_or(&""));
        }
        let mut step = Map::new();
        step.insert("op".into(), json!(operations.choose(random)));
        step.insert("path".into(), if random.random_range(0..20) == 0 { any(random) } else { json!(path) });
        if random.random() {
            step.insert("value".into(), any(random));
        }
        if random.random() {
            step.insert("from".into(), json!(place(random, object)));
        }
        Value::Object(step)
    };
    let steps = if random.random_range(0..50) == 0 { 11_000 } else { random.random_range(0..5) };
    (0..steps).map(|_| one(random)).collect()
}

/// Part of an object, made worse: a merge patch, or one with directives.
pub fn merge_patch(random: &mut StdRng, object: &Value) -> Value {
    let mut patch = object.clone();
    for _ in 0..random.random_range(1..4) {
        worsen(random, &mut patch);
    }
    if let (true, Some(map)) = (random.random(), patch.as_object_mut()) {
        for key in ["apiVersion", "kind", "status"] {
            map.shift_remove(key);
        }
    }
    patch
}

/// Damages bytes as a bad cable would.
pub fn damage(random: &mut StdRng, bytes: &mut Vec<u8>) {
    let length = bytes.len().max(1);
    let at = random.random_range(0..length);
    match random.random_range(0..6) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at.min(bytes.len()), random.random()),
        2 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (at % 8)),
        3 => bytes.extend_from_slice(b"\xff\xfe\xc0\x80"),
        4 => {
            let part = bytes[at.min(bytes.len())..].to_vec();
            bytes.extend_from_slice(&part);
        }
        _ => bytes.splice(0..0, b"\xef\xbb\xbf---\n".iter().copied()).for_each(drop),
    }
}

/// Nothing that ever was an object.
pub fn noise(random: &mut StdRng) -> Vec<u8> {
    let many = random.random_range(100..60_000);
    match random.random_range(0..10) {
        0 => (0..random.random_range(0..500)).map(|_| random.random()).collect(),
        1 => "[".repeat(many).into_bytes(),
        2 => "{\"a\":".repeat(many).into_bytes(),
        3 => "- ".repeat(many / 10).into_bytes(),
        4 => format!("{{\"a\":{}}}", "9".repeat(many)).into_bytes(),
        5 => format!("a: &a [x]\nb: [{}]\n", "*a,".repeat(many / 10)).into_bytes(),
        6 => b"a: &a [*a, *a]\n".to_vec(),
        7 => [&b"k8s\0"[..], &(0..random.random_range(0..80)).map(|_| random.random()).collect::<Vec<u8>>()].concat(),
        8 => laughs().into_bytes(),
        _ => TEXTS.choose(random).unwrap_or(&"").as_bytes().to_vec(),
    }
}

/// Aliases of aliases, which are short until they are read.
fn laughs() -> String {
    let mut yaml = "a0: &a0 [lol]\n".to_owned();
    for n in 1..12 {
        let before = format!("*a{}", n - 1);
        yaml.push_str(&format!("a{n}: &a{n} [{}]\n", vec![before; 9].join(",")));
    }
    yaml
}
