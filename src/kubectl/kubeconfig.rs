//! Kubeconfig files: several read as one, the parts that flags replace, and changes to one file.
//!
//! In: paths and the flags `--context`, `--cluster`, `--user`, `--server`, `--token` and so on. Out: the
//! merged configuration as JSON, or a client's configuration. As in client-go, the first file that says
//! something wins. Never: a change to a file that is not the playground's and was not named.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::failure::{Failure, Result, quote};
use super::flags::Flags;
use super::session::{Files, Session};
use crate::api::yaml;

/// A merged configuration.
#[derive(Clone, Debug)]
pub struct Kubeconfig {
    /// `apiVersion`, `clusters`, `contexts`, `current-context`, `users`.
    pub value: Value,
}

/// The lists of a kubeconfig, and what each element holds.
pub const LISTS: [(&str, &str); 3] = [("clusters", "cluster"), ("contexts", "context"), ("users", "user")];

/// Where the session's configuration is: `--kubeconfig`, else the session's own files.
pub fn paths(session: &Session, flags: &Flags) -> Vec<PathBuf> {
    match flags.text("kubeconfig") {
        "" => session.target.kubeconfigs.clone(),
        path => vec![PathBuf::from(path)],
    }
}

impl Kubeconfig {
    /// An empty one.
    pub fn empty() -> Kubeconfig {
        Kubeconfig {
            value: json!({"kind": "Config", "apiVersion": "v1", "preferences": {}, "clusters": [], "users": [],
                "contexts": [], "current-context": ""}),
        }
    }

    /// Reads and merges the session's files; a missing file says nothing, unless it was named by a flag.
    ///
    /// # Errors
    /// When a file cannot be read or is no kubeconfig.
    pub fn load(session: &Session, flags: &Flags) -> Result<Kubeconfig> {
        let mut merged = Kubeconfig::empty();
        let named = !flags.text("kubeconfig").is_empty();
        for path in paths(session, flags) {
            if session.files.kind(&path).is_none() {
                if named {
                    return Err(Failure::new(format!("stat {}: no such file or directory", path.display())));
                }
                continue;
            }
            merged.add(read(session.files.as_ref(), &path)?);
        }
        Ok(merged)
    }

    /// Adds what another file says and this one does not yet.
    fn add(&mut self, other: Value) {
        for (list, _) in LISTS {
            let more = other.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
            for element in more {
                let name = element.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                if self.find(list, &name).is_none()
                    && let Some(Value::Array(all)) = self.value.get_mut(list)
                {
                    all.push(element);
                }
            }
        }
        if self.current_context().is_empty() {
            self.value["current-context"] = other.get("current-context").cloned().unwrap_or_else(|| json!(""));
        }
        if let Some(Value::Object(preferences)) = other.get("preferences") {
            let own = ensure_object(&mut self.value["preferences"]);
            preferences.iter().for_each(|(key, value)| {
                own.entry(key.clone()).or_insert_with(|| value.clone());
            });
        }
    }

    /// The context in use when no flag names one; may be empty.
    pub fn current_context(&self) -> &str {
        self.value.get("current-context").and_then(Value::as_str).unwrap_or_default()
    }

    /// The element of a list by its name: `find("clusters", "kind")`.
    pub fn find(&self, list: &str, name: &str) -> Option<&Value> {
        let elements = self.value.get(list)?.as_array()?;
        let element = elements.iter().find(|element| element.get("name").and_then(Value::as_str) == Some(name))?;
        let (_, inner) = LISTS.iter().find(|(known, _)| *known == list)?;
        element.get(inner).filter(|found| !found.is_null()).or(Some(&Value::Null))
    }

    /// The names in a list, sorted.
    pub fn names(&self, list: &str) -> Vec<String> {
        let elements = self.value.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut names: Vec<String> =
            elements.iter().filter_map(|element| element.get("name")?.as_str().map(str::to_owned)).collect();
        names.sort();
        names
    }

    /// The context that flags choose, with its cluster, user and namespace.
    ///
    /// # Errors
    /// When a flag names what is not there.
    pub fn chosen(&self, flags: &Flags) -> Result<Chosen> {
        let name = match flags.global("context") {
            "" => self.current_context(),
            name if self.find("contexts", name).is_none() && flags.client_first => {
                return Err(Failure::new(format!("context {} does not exist", quote(name))));
            }
            name if self.find("contexts", name).is_none() => {
                return Err(Failure::Plain(format!(
                    "Error in configuration: context was not found for specified context: {name}"
                )));
            }
            name => name,
        };
        let context = self.find("contexts", name).cloned().unwrap_or_default();
        let text = |field: &str| context.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let pick = |flag: &str, list: &str, what: &str, own: String| match flags.global(flag) {
            "" => Ok(own),
            name if self.find(list, name).is_none() => Err(Failure::new(match what {
                "cluster" if !flags.client_first => format!("no server found for cluster {}", quote(name)),
                _ => format!("{what} {} does not exist", quote(name)),
            })),
            name => Ok(name.to_owned()),
        };
        let cluster = pick("cluster", "clusters", "cluster", text("cluster"))?;
        let user = pick("user", "users", "auth info", text("user"))?;
        Ok(Chosen {
            cluster: self.find("clusters", &cluster).cloned().unwrap_or_default(),
            user: self.find("users", &user).cloned().unwrap_or_default(),
            user_name: user,
            namespace: text("namespace"),
        })
    }
}

/// A cluster and a user, as JSON.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// `server`, `certificate-authority-data`, …
    pub cluster: Value,
    /// `client-certificate-data`, `token`, …
    pub user: Value,
    /// That user's name; may be empty.
    pub user_name: String,
    /// The context's namespace; may be empty.
    pub namespace: String,
}

impl Chosen {
    /// Lets flags replace parts.
    pub fn apply_flags(&mut self, flags: &Flags) {
        let cluster = [
            ("server", "server"),
            ("certificate-authority", "certificate-authority"),
            ("tls-server-name", "tls-server-name"),
            ("proxy-url", "proxy-url"),
        ];
        let user = [("client-certificate", "client-certificate"), ("client-key", "client-key"), ("token", "token")];
        set_all(&mut self.cluster, flags, &cluster);
        set_all(&mut self.user, flags, &user);
        if flags.given("certificate-authority") {
            remove(&mut self.cluster, "certificate-authority-data");
        }
        // A token stands beside a certificate; which of the two counts is the server's affair.
        if flags.given("client-certificate") {
            remove(&mut self.user, "client-certificate-data");
            remove(&mut self.user, "client-key-data");
        }
        if flags.is("insecure-skip-tls-verify") {
            ensure_object(&mut self.cluster).insert("insecure-skip-tls-verify".into(), true.into());
            remove(&mut self.cluster, "certificate-authority-data");
            remove(&mut self.cluster, "certificate-authority");
        }
    }

    /// As kube's own configuration.
    ///
    /// # Errors
    /// When a part is not what a kubeconfig holds there.
    pub fn to_kube(&self) -> Result<kube::config::Kubeconfig> {
        let value = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "chosen",
            "clusters": [{"name": "chosen", "cluster": self.cluster}],
            "users": [{"name": "chosen", "user": if self.user.is_null() { json!({}) } else { self.user.clone() }}],
            "contexts": [{"name": "chosen", "context": {"cluster": "chosen", "user": "chosen"}}],
        });
        serde_json::from_value(value).map_err(|fault| Failure::new(format!("error loading config: {fault}")))
    }
}

fn set_all(target: &mut Value, flags: &Flags, names: &[(&str, &str)]) {
    for (flag, field) in names {
        if let Some(text) = flags.some(flag) {
            ensure_object(target).insert((*field).to_owned(), text.into());
        }
    }
}

fn remove(target: &mut Value, field: &str) {
    if let Value::Object(map) = target {
        map.shift_remove(field);
    }
}

/// The object behind a value; anything else becomes one.
pub fn ensure_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made an object above"),
    }
}

/// One file, with the paths in it made absolute.
///
/// # Errors
/// When it cannot be read or is no kubeconfig.
pub fn read(files: &dyn Files, path: &Path) -> Result<Value> {
    let mut value = parse(files, path)?;
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    for (list, inner, fields) in [
        ("clusters", "cluster", &["certificate-authority"][..]),
        ("users", "user", &["client-certificate", "client-key", "tokenFile"][..]),
    ] {
        let elements = value.get_mut(list).and_then(Value::as_array_mut);
        for element in elements.into_iter().flatten() {
            for field in fields {
                let Some(Value::String(text)) = element.pointer_mut(&format!("/{inner}/{field}")) else { continue };
                if !text.is_empty() && Path::new(text.as_str()).is_relative() {
                    *text = folder.join(&*text).to_string_lossy().into_owned();
                }
            }
        }
    }
    Ok(value)
}

/// One file as it is.
///
/// # Errors
/// When it cannot be read or is no kubeconfig.
pub fn parse(files: &dyn Files, path: &Path) -> Result<Value> {
    let broken = |why: String| Failure::new(format!("error loading config file \"{}\": {why}", path.display()));
    let bytes = files.read(path).map_err(|fault| broken(fault.to_string()))?;
    yaml::parse(&bytes).map_err(|fault| broken(fault.to_string()))
}

/// The one file that `config` may change.
///
/// # Errors
/// When it would be the learner's own.
pub fn writable(session: &Session, flags: &Flags) -> Result<PathBuf> {
    if let Some(path) = flags.some("kubeconfig") {
        return Ok(PathBuf::from(path));
    }
    session.target.own_kubeconfig.clone().ok_or_else(|| {
        Failure::new("tutor does not change your own kubeconfig; name the file to change: --kubeconfig FILE")
    })
}
