//! `kubectl config set` and `unset`: one value of a kubeconfig by its path, `contexts.kind.namespace`.
//!
//! In: a path of dots, where names between may hold dots too. Out: the changed file. What a path may
//! name is a table, in the shape of client-go's `clientcmd/api` types, whose names the messages carry.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::super::failure::{Failure, Result, quote};
use super::super::super::flags::{Flag, Kind, long, parse_bool};
use super::change::{change, entry, one, unexpected};
use crate::api::meta;

const RAW: &[Flag] = &[long("set-raw-bytes", Kind::Bool(false), "The value is no base64 text")];

pub(super) const SET: Command = Command {
    name: "set",
    usage: "PATH VALUE",
    about: "Set one value by its path",
    flags: &[RAW],
    run: run!(set),
    ..BASE
};
pub(super) const UNSET: Command =
    Command { name: "unset", usage: "PATH", about: "Take one value away by its path", run: run!(unset), ..BASE };

/// What is at a place of a kubeconfig.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Text,
    Bool,
    Bytes,
    /// Entries by their names, kept as a list of `{name, INNER}`.
    Entries(&'static str, &'static Struct),
    Struct(&'static Struct),
    /// Nothing that `set` can set: a list, a map, a pointer. `unset` takes it away.
    Other(&'static str),
}

/// A struct of client-go: its name and its fields, each with the name it has in a file.
#[derive(PartialEq)]
struct Struct {
    name: &'static str,
    fields: &'static [(&'static str, &'static str, Shape)],
}

use Shape::{Bool, Bytes, Entries, Other, Text};

const EXTENSIONS: (&str, &str, Shape) = ("extensions", "extensions", Other("map[string]runtime.Object"));
const CLUSTER: Struct = Struct {
    name: "api.Cluster",
    fields: &[
        ("server", "server", Text),
        ("tls-server-name", "tls-server-name", Text),
        ("insecure-skip-tls-verify", "insecure-skip-tls-verify", Bool),
        ("certificate-authority", "certificate-authority", Text),
        ("certificate-authority-data", "certificate-authority-data", Bytes),
        ("proxy-url", "proxy-url", Text),
        ("disable-compression", "disable-compression", Bool),
        EXTENSIONS,
    ],
};
const USER: Struct = Struct {
    name: "api.AuthInfo",
    fields: &[
        ("client-certificate", "client-certificate", Text),
        ("client-certificate-data", "client-certificate-data", Bytes),
        ("client-key", "client-key", Text),
        ("client-key-data", "client-key-data", Bytes),
        ("token", "token", Text),
        ("tokenFile", "tokenFile", Text),
        ("act-as", "as", Text),
        ("act-as-uid", "as-uid", Text),
        ("act-as-groups", "as-groups", Other("[]string")),
        ("act-as-user-extra", "as-user-extra", Other("map[string][]string")),
        ("username", "username", Text),
        ("password", "password", Text),
        ("auth-provider", "auth-provider", Other("*api.AuthProviderConfig")),
        ("exec", "exec", Other("*api.ExecConfig")),
        EXTENSIONS,
    ],
};
const CONTEXT: Struct = Struct {
    name: "api.Context",
    fields: &[("cluster", "cluster", Text), ("user", "user", Text), ("namespace", "namespace", Text), EXTENSIONS],
};
const PREFERENCES: Struct = Struct { name: "api.Preferences", fields: &[("colors", "colors", Bool), EXTENSIONS] };
const CONFIG: Struct = Struct {
    name: "api.Config",
    fields: &[
        ("kind", "kind", Text),
        ("apiVersion", "apiVersion", Text),
        ("preferences", "preferences", Shape::Struct(&PREFERENCES)),
        ("clusters", "clusters", Entries("cluster", &CLUSTER)),
        ("users", "users", Entries("user", &USER)),
        ("contexts", "contexts", Entries("context", &CONTEXT)),
        ("current-context", "current-context", Text),
        EXTENSIONS,
    ],
};

impl Shape {
    /// Go's name of the type.
    fn name(self) -> String {
        match self {
            Text => "string".into(),
            Bool => "bool".into(),
            Bytes => "[]uint8".into(),
            Entries(_, of) => format!("map[string]*{}", of.name),
            Shape::Struct(of) => of.name.into(),
            Other(name) => name.into(),
        }
    }
}

/// A configuration as client-go writes it: its fields in their order, those that are always there too.
pub(super) fn ordered(config: &Value) -> Value {
    let mut shown = fields(&CONFIG, config);
    for (name, _, shape) in CONFIG.fields {
        let Entries(inner, of) = shape else { continue };
        let entry = |one: &Value| json!({"name": meta::text(one, &["name"]), *inner: fields(of, &one[*inner])});
        let entries: Vec<Value> = meta::list(config, &[name]).iter().map(entry).collect();
        shown[*name] = if entries.is_empty() { Value::Null } else { entries.into() };
    }
    shown
}

fn fields(of: &Struct, value: &Value) -> Value {
    const ALWAYS: [(&str, &str); 4] = [
        ("api.Cluster", "server"),
        ("api.Context", "cluster"),
        ("api.Context", "user"),
        ("api.Config", "current-context"),
    ];
    let mut shown = serde_json::Map::new();
    for (_, stored, shape) in of.fields {
        let always = ALWAYS.contains(&(of.name, *stored)) || matches!(shape, Entries(..));
        match value.get(*stored) {
            Some(found) if !is_empty(found) => shown.insert((*stored).to_owned(), found.clone()),
            _ if always => shown.insert((*stored).to_owned(), "".into()),
            _ => None,
        };
    }
    shown.into()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// One step of a path: a field, or an entry's name.
enum Step {
    Field(&'static str, Shape),
    Entry(String),
}

fn steps(path: &str) -> Result<Vec<Step>> {
    let parts: Vec<&str> = path.split('.').collect();
    let (mut found, mut shown, mut here, mut at) = (Vec::new(), Vec::new(), Shape::Struct(&CONFIG), 0);
    while at < parts.len() {
        match here {
            Shape::Struct(of) => {
                let known = of.fields.iter().find(|(name, ..)| *name == parts[at]);
                let Some((name, stored, shape)) = known else {
                    let shown = shown.join(" ");
                    return Err(Failure::new(format!("unable to parse {path} after [{shown}] at {}", of.name)));
                };
                shown.push(format!("{{{name} {}}}", shape.name()));
                found.push(Step::Field(stored, *shape));
                (here, at) = (*shape, at + 1);
            }
            Entries(_, of) => {
                // A name may hold dots: it goes on until a field of its entry stands there.
                let is_field = |part: &&str| of.fields.iter().any(|(name, ..)| name == part);
                let rest = &parts[at..];
                let length = rest[1..].iter().position(is_field).map_or(rest.len(), |field| field + 1);
                let name = rest[..length].join(".");
                shown.push(format!("{{{name} {}}}", of.name));
                found.push(Step::Entry(name));
                (here, at) = (Shape::Struct(of), at + length);
            }
            _ => return Err(Failure::new(format!("unable to parse one or more field values of {path}"))),
        }
    }
    Ok(found)
}

async fn set(call: &Invocation) -> Result {
    let [path, text] = call.arguments() else { return Err(unexpected(call, call.arguments())) };
    if text.is_empty() {
        return Err(Failure::new("you cannot use set to unset a property"));
    }
    if path.is_empty() {
        return Err(Failure::new("you must specify a property"));
    }
    change(call, |value| {
        modify(value, &steps(path)?, Some(text), call.flags.is("set-raw-bytes"))?;
        Ok(format!("Property {} set.\n", quote(path)))
    })
}

async fn unset(call: &Invocation) -> Result {
    let path = one(call)?;
    if path.is_empty() {
        return Err(Failure::new("you must specify a property"));
    }
    change(call, |value| {
        modify(value, &steps(path)?, None, true)?;
        Ok(format!("Property {} unset.\n", quote(path)))
    })
}

/// Walks the steps and sets the last one's value; no text takes it away.
fn modify(value: &mut Value, steps: &[Step], text: Option<&str>, raw: bool) -> Result {
    match steps {
        [Step::Field(list, Entries(inner, _)), Step::Entry(name), rest @ ..] => {
            let known = super::change::at(value, list, name);
            match (rest, text, known) {
                ([], Some(_), _) => Err(Failure::new("can't set a map to a value: map[]")),
                ([], None, Some(at)) => {
                    if let Some(Value::Array(all)) = value.get_mut(*list) {
                        all.remove(at);
                    }
                    Ok(())
                }
                ([], None, None) => Ok(()),
                (_, None, None) => Err(Failure::new(format!("current map key `{name}` is invalid"))),
                _ => modify(entry(value, list, inner, name), rest, text, raw),
            }
        }
        [Step::Field(name, Shape::Struct(_)), rest @ ..] if !rest.is_empty() => {
            if value.get(*name).is_none_or(Value::is_null) {
                value[*name] = json!({});
            }
            modify(&mut value[*name], rest, text, raw)
        }
        [Step::Field(name, shape)] => match text {
            Some(text) => {
                value[*name] = typed(*shape, text, raw)?;
                Ok(())
            }
            None => {
                match shape {
                    Entries(..) => value[*name] = json!([]),
                    _ if *name == "current-context" => value[*name] = json!(""),
                    _ => {
                        meta::remove(value, &[name]);
                    }
                }
                Ok(())
            }
        },
        _ => Err(Failure::new("unrecognized type")),
    }
}

fn typed(shape: Shape, text: &str, raw: bool) -> Result<Value> {
    Ok(match shape {
        Text => text.into(),
        Bool => match parse_bool(text) {
            Some(on) => on.into(),
            None => return Err(Failure::new(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text)))),
        },
        Bytes if raw => BASE64.encode(text).into(),
        Bytes => {
            let wrong = |fault: base64::DecodeError| {
                let at = match fault {
                    base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                    _ => text.len() / 4 * 4,
                };
                Failure::new(format!("error decoding input value: illegal base64 data at input byte {at}"))
            };
            BASE64.encode(BASE64.decode(text).map_err(wrong)?).into()
        }
        Entries(..) => return Err(Failure::new("can't set a map to a value: map[]")),
        Other("[]string") => return Err(Failure::new("unrecognized slice type. string")),
        Shape::Struct(of) => return Err(Failure::new(format!("unable to locate path under {}", of.name))),
        Other(_) => return Err(Failure::new("can't set a map to a value: map[]")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_value_though_names_hold_dots() {
        let mut config = json!({"clusters": [], "contexts": [], "current-context": "a"});
        let mut change = |path: &str, text: Option<&str>| {
            steps(path).and_then(|steps| modify(&mut config, &steps, text, false)).map_err(|failure| failure.words())
        };
        assert_eq!(change("clusters.10.1.2.3.server", Some("https://10.1.2.3")), Ok(()));
        assert_eq!(change("clusters.10.1.2.3.insecure-skip-tls-verify", Some("true")), Ok(()));
        assert_eq!(change("contexts.b.namespace", Some("team")), Ok(()));
        assert_eq!(change("current-context", None), Ok(()));
        assert_eq!(
            change("clusters.a.nothing", Some("x")),
            Err("can't set a map to a value: map[]".into()),
            "the rest is the name"
        );
        assert_eq!(change("nothing", Some("x")), Err("unable to parse nothing after [] at api.Config".into()));
        assert_eq!(change("contexts.c.user", None), Err("current map key `c` is invalid".into()));
        assert_eq!(
            config,
            json!({"clusters": [{"name": "10.1.2.3", "cluster":
                    {"server": "https://10.1.2.3", "insecure-skip-tls-verify": true}}],
                "contexts": [{"name": "b", "context": {"namespace": "team"}}], "current-context": ""})
        );
    }
}
