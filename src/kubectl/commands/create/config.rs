//! `kubectl create configmap` and `kubectl create secret`: keys from files, literals and env files.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::super::super::command::{COMMAND as BASE, Command, Invocation};
use super::super::super::failure::{Failure, Result, quote};
use super::super::super::flags::{Flag, Kind, long};
use super::super::super::session::FileKind;
use super::{finish, generator, name, required};

const SOURCES: &[Flag] = &[
    long("from-file", Kind::List, "A file, KEY=FILE, or a folder of files"),
    long("from-literal", Kind::Array, "KEY=VALUE"),
    long("from-env-file", Kind::List, "A file of KEY=VALUE lines"),
    long("append-hash", Kind::Bool(false), "Put a hash of what it holds behind its name"),
];
const SECRET_SOURCES: &[Flag] =
    &[SOURCES[0], SOURCES[1], SOURCES[2], SOURCES[3], long("type", Kind::Text(""), "The type of a Secret")];
const TLS_FLAGS: &[Flag] = &[
    long("cert", Kind::Text(""), "The certificate's file"),
    long("key", Kind::Text(""), "The key's file"),
    long("append-hash", Kind::Bool(false), "Put a hash of what it holds behind its name"),
];
const REGISTRY_FLAGS: &[Flag] = &[
    long("docker-username", Kind::Text(""), "User at the registry"),
    long("docker-password", Kind::Text(""), "Password at the registry"),
    long("docker-email", Kind::Text(""), "E-mail at the registry"),
    long("docker-server", Kind::Text("https://index.docker.io/v1/"), "The registry"),
    long("from-file", Kind::List, "A file with a docker config"),
    long("append-hash", Kind::Bool(false), "Put a hash of what it holds behind its name"),
];

pub(super) const CONFIGMAP: Command = generator!(
    "configmap",
    &["cm"],
    "NAME [--from-literal=K=V] [--from-file=F]",
    "Make a ConfigMap",
    SOURCES,
    configmap
);
pub(super) const SECRET: Command = Command {
    name: "secret",
    about: "Make a Secret",
    commands: &[
        generator!(
            "docker-registry",
            &[],
            "NAME --docker-username=U --docker-password=P",
            "For a registry",
            REGISTRY_FLAGS,
            registry
        ),
        generator!(
            "generic",
            &[],
            "NAME [--from-literal=K=V] [--from-file=F]",
            "From files and literals",
            SECRET_SOURCES,
            generic
        ),
        generator!("tls", &[], "NAME --cert=F --key=F", "From a certificate and its key", TLS_FLAGS, tls),
    ],
    ..BASE
};

type Entries = Vec<(String, Vec<u8>)>;

/// Everything that the flags name, in the order of kubectl: files, literals, env files.
fn entries(call: &Invocation, kind: &str) -> Result<Entries> {
    let flags = &call.flags;
    if !flags.all("from-env-file").is_empty() && (flags.given("from-file") || flags.given("from-literal")) {
        return Err(Failure::new("from-env-file cannot be combined with from-file or from-literal"));
    }
    let mut found = Entries::new();
    for source in flags.all("from-literal") {
        let (key, value) = source
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| Failure::new(format!("invalid literal source {source}, expected key=value")))?;
        let quoted = |mark: char| value.len() >= 2 && value.starts_with(mark) && value.ends_with(mark);
        let value = if quoted('"') || quoted('\'') { &value[1..value.len() - 1] } else { value };
        add(call, &mut found, kind, key, value.as_bytes().to_vec())?;
    }
    for source in flags.all("from-file") {
        file(call, source, kind, &mut found)?;
    }
    for source in flags.all("from-env-file") {
        env_file(call, source, kind, &mut found)?;
    }
    Ok(found)
}

fn add(call: &Invocation, found: &mut Entries, kind: &str, key: &str, value: Vec<u8>) -> Result {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.is_empty() || !key.chars().all(fits) || key == "." || key == ".." || key.starts_with("..") {
        let words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
        return Err(Failure::new(format!("{} is not a valid key name for a {kind}: {words}", quote(key))));
    }
    if found.iter().any(|(known, _)| known == key) {
        return Err(Failure::new(if kind == "ConfigMap" {
            let words = "another key by that name already exists in Data for ConfigMap";
            format!("cannot add key {}, {words} {}", quote(key), quote(name(call)?))
        } else {
            format!("cannot add key {key}, another key by that name already exists")
        }));
    }
    found.push((key.to_owned(), value));
    Ok(())
}

fn read(call: &Invocation, path: &str) -> Result<Vec<u8>> {
    call.session.files.read(Path::new(path)).map_err(|_| missing(path))
}

fn missing(path: &str) -> Failure {
    Failure::new(format!("error reading {path}: no such file or directory"))
}

fn file(call: &Invocation, source: &str, kind: &str, found: &mut Entries) -> Result {
    let files = &call.session.files;
    let parts: Vec<&str> = source.split('=').collect();
    let (key, path) = match parts[..] {
        [path] => {
            (Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(), path)
        }
        ["", _] => {
            return Err(Failure::new(format!("key name for file path {} missing", source.trim_start_matches('='))));
        }
        [key, ""] => return Err(Failure::new(format!("file path for key name {key} missing"))),
        [key, path] => (key.to_owned(), path),
        _ => return Err(Failure::new("key names or file paths cannot contain '='")),
    };
    match files.kind(Path::new(path)) {
        None => Err(missing(path)),
        Some(FileKind::File) => add(call, found, kind, &key, read(call, path)?),
        Some(FileKind::Folder) if parts.len() > 1 => Err(Failure::new("cannot give a key name for a directory path")),
        Some(FileKind::Folder) => {
            let names = files
                .list(Path::new(path))
                .map_err(|fault| Failure::new(format!("error listing files in {path}: {fault}")))?;
            for name in names {
                let inner = Path::new(path).join(&name);
                if files.kind(&inner) == Some(FileKind::File) {
                    add(call, found, kind, &name, read(call, &inner.to_string_lossy())?)?;
                }
            }
            Ok(())
        }
    }
}

fn env_file(call: &Invocation, path: &str, kind: &str, found: &mut Entries) -> Result {
    match call.session.files.kind(Path::new(path)) {
        None => return Err(missing(path)),
        Some(FileKind::Folder) => {
            let noun = if kind == "Secret" { "secret" } else { "config" };
            return Err(Failure::new(format!("env {noun} file cannot be a directory")));
        }
        Some(FileKind::File) => {}
    }
    let bytes = read(call, path)?;
    let text = String::from_utf8_lossy(&bytes);
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, value),
            None => (line, call.session.variable(line)),
        };
        add(call, found, kind, key, value.as_bytes().to_vec())?;
    }
    Ok(())
}

async fn configmap(call: &Invocation) -> Result {
    let name = name(call)?;
    let (mut data, mut binary) = (Map::new(), Map::new());
    for (key, value) in entries(call, "ConfigMap")? {
        match String::from_utf8(value) {
            Ok(text) => data.insert(key, text.into()),
            Err(bytes) => binary.insert(key, BASE64.encode(bytes.as_bytes()).into()),
        };
    }
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    if !data.is_empty() {
        object["data"] = data.into();
    }
    if !binary.is_empty() {
        object["binaryData"] = binary.into();
    }
    finish(call, object, "failed to create configmap:").await
}

async fn generic(call: &Invocation) -> Result {
    let name = name(call)?;
    let data = entries(call, "Secret")?;
    secret(call, name, call.flags.text("type"), data, "failed to create secret").await
}

async fn secret(call: &Invocation, name: &str, kind: &str, data: Entries, failed: &str) -> Result {
    let data: Map<String, Value> = data.into_iter().map(|(key, value)| (key, BASE64.encode(value).into())).collect();
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    if !data.is_empty() {
        object["data"] = data.into();
    }
    if !kind.is_empty() {
        object["type"] = kind.into();
    }
    finish(call, object, failed).await
}

async fn tls(call: &Invocation) -> Result {
    let name = name(call)?;
    let (cert, key) = (call.flags.text("cert"), call.flags.text("key"));
    if key.is_empty() || cert.is_empty() {
        return Err(Failure::new("key and cert must be specified"));
    }
    let read = |path: &str| {
        let bytes = call.session.files.read(Path::new(path));
        bytes.map_err(|fault| {
            Failure::new(format!("Cannot read file {path}, {}", Failure::opening(path, &fault).words()))
        })
    };
    let (cert, key) = (read(cert)?, read(key)?);
    for (bytes, mark, what) in
        [(&cert, "-----BEGIN CERTIFICATE-----", "certificate"), (&key, "PRIVATE KEY-----", "key")]
    {
        if !String::from_utf8_lossy(bytes).contains(mark) {
            return Err(Failure::new(format!("tls: failed to find any PEM data in {what} input")));
        }
    }
    let data = vec![("tls.crt".to_owned(), cert), ("tls.key".to_owned(), key)];
    secret(call, name, "kubernetes.io/tls", data, "failed to create secret").await
}

async fn registry(call: &Invocation) -> Result {
    let name = name(call)?;
    let flags = &call.flags;
    if let Some(path) = flags.all("from-file").first() {
        let data = vec![(".dockerconfigjson".to_owned(), read(call, path)?)];
        return secret(call, name, "kubernetes.io/dockerconfigjson", data, "failed to create secret").await;
    }
    if flags.text("docker-username").is_empty()
        || flags.text("docker-password").is_empty()
        || flags.text("docker-server").is_empty()
    {
        let words = "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required";
        return Err(Failure::new(words));
    }
    required(call, &[])?;
    let (user, password) = (flags.text("docker-username"), flags.text("docker-password"));
    let mut entry = json!({"username": user, "password": password});
    if !flags.text("docker-email").is_empty() {
        entry["email"] = flags.text("docker-email").into();
    }
    entry["auth"] = BASE64.encode(format!("{user}:{password}")).into();
    let config = json!({"auths": {flags.text("docker-server"): entry}});
    let data = vec![(".dockerconfigjson".to_owned(), config.to_string().into_bytes())];
    secret(call, name, "kubernetes.io/dockerconfigjson", data, "failed to create secret").await
}
