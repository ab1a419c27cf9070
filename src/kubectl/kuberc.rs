//! kuberc: a person's own defaults and aliases of commands.
//!
//! In: `--kuberc FILE`, the variable `KUBERC`, or `~/.kube/kuberc`, and the words of a call. Out: the words
//! as they are without aliases, and the flags that hold where the words name no other. A built-in command
//! is never shadowed, and a flag that was typed is never changed. The file is read before anything else, so
//! its faults are told in words of their own.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::command::Command;
use super::failure::{Failure, Result, quote};
use super::flags::Flag;
use super::session::Session;
use crate::api::yaml;

/// What the file says.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Preference {
    kind: String,
    api_version: String,
    /// Flags that hold unless they are typed.
    #[serde(alias = "overrides")]
    pub defaults: Option<Vec<Defaults>>,
    /// Commands by other names.
    pub aliases: Option<Vec<Alias>>,
    /// Which programs may be run to log in: `AllowAll` (or nothing), `DenyAll`, `Allowlist`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub credential_plugin_policy: String,
    /// Those of `Allowlist`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_plugin_allowlist: Option<Vec<Value>>,
}

/// The flags of a command.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Defaults {
    /// `get`, `set env`
    #[serde(default)]
    pub command: String,
    /// Its flags.
    #[serde(alias = "flags")]
    pub options: Option<Vec<Preset>>,
}

/// Another name for a command.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Alias {
    /// The name: letters alone.
    #[serde(default)]
    pub name: String,
    /// The command that it stands for.
    #[serde(default)]
    pub command: String,
    /// Arguments before those that are typed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepend_args: Vec<String>,
    /// Arguments behind them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub append_args: Vec<String>,
    /// Flags.
    #[serde(default, alias = "flags", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Preset>,
}

/// A flag by its long name, and its value.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Preset {
    /// Without dashes.
    #[serde(default)]
    pub name: String,
    /// As it would be typed.
    #[serde(default)]
    pub default: String,
}

const API: &str = "kubectl.config.k8s.io/v1beta1";
const OLD_API: &str = "kubectl.config.k8s.io/v1alpha1";

impl Preference {
    /// One that says nothing.
    pub fn empty() -> Preference {
        Preference {
            kind: "Preference".to_owned(),
            api_version: API.to_owned(),
            defaults: None,
            aliases: None,
            credential_plugin_policy: String::new(),
            credential_plugin_allowlist: None,
        }
    }

    /// The one that `kuberc view` offers to write.
    pub fn recommended() -> Preference {
        let preset = |command: &str, name: &str| Defaults {
            command: command.to_owned(),
            options: Some(vec![Preset { name: name.to_owned(), default: "true".to_owned() }]),
        };
        let defaults = Some(vec![preset("apply", "server-side"), preset("delete", "interactive")]);
        Preference { defaults, ..Preference::empty() }
    }
}

/// Where the file is, and whether somebody named it; `None` when it is turned off.
///
/// # Errors
/// When it is turned off and named at once.
pub fn place(session: &Session, named: &str) -> Result<Option<(PathBuf, bool)>> {
    let variable = session.variable("KUBERC");
    match (variable, named) {
        ("off", "") => Ok(None),
        ("off", _) => {
            let words = "disabling kuberc via KUBERC=off and passing kuberc flag are mutually exclusive";
            Err(Failure::new(words))
        }
        ("", "") => Ok(Some((Path::new(session.variable("HOME")).join(".kube/kuberc"), false))),
        (path, "") | (_, path) => Ok(Some((PathBuf::from(path), true))),
    }
}

/// Why a file gave no preference.
pub enum Unread {
    /// It is not there, or cannot be read.
    File(io::Error),
    /// Nothing in it is a preference.
    Nothing(String),
}

impl Unread {
    /// In Go's words.
    pub fn words(&self, path: &Path) -> String {
        match self {
            Unread::File(fault) => Failure::opening(&path.to_string_lossy(), fault).words(),
            Unread::Nothing(words) => words.clone(),
        }
    }

    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Unread::File(fault) if fault.kind() == io::ErrorKind::NotFound)
    }
}

/// The first preference of a file, and the fields of it that nobody knows. An empty file has none.
///
/// # Errors
/// When the file cannot be read, or says other things only.
pub fn read(session: &Session, path: &Path) -> std::result::Result<Option<(Preference, Vec<String>)>, Unread> {
    let bytes = session.files.read(path).map_err(Unread::File)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut tried = false;
    for document in text.split("\n---").map(|part| part.strip_prefix("---").unwrap_or(part)) {
        if document.trim().is_empty() {
            continue;
        }
        tried = true;
        let Ok(value) = yaml::parse(document.as_bytes()) else { continue };
        let Ok(mut preference) = Preference::deserialize(&value) else { continue };
        if preference.kind == "Preference" && [API, OLD_API].contains(&preference.api_version.as_str()) {
            let unknown = unknown(&value, preference.api_version == OLD_API);
            preference.api_version = API.to_owned();
            return Ok(Some((preference, unknown)));
        }
    }
    if tried {
        let words = format!("no valid preferences found in {}, use --v=5 to see details", path.display());
        return Err(Unread::Nothing(words));
    }
    Ok(None)
}

/// Fields that no preference has, by their paths.
fn unknown(value: &Value, old: bool) -> Vec<String> {
    let (defaults, options) = if old { ("overrides", "flags") } else { ("defaults", "options") };
    let mut found = Vec::new();
    let mut look = |value: &Value, path: &str, known: &[&str]| {
        let keys = value.as_object().into_iter().flat_map(serde_json::Map::keys);
        found.extend(keys.filter(|key| !known.contains(&key.as_str())).map(|key| format!("{path}{key}")));
    };
    let top = ["apiVersion", "kind", defaults, "aliases", "credentialPluginPolicy", "credentialPluginAllowlist"];
    look(value, "", if old { &top[..4] } else { &top });
    let lists: [(&str, &[&str]); 2] =
        [("aliases", &["name", "command", "prependArgs", "appendArgs", options]), (defaults, &["command", options])];
    for (list, known) in lists {
        for (at, item) in value[list].as_array().into_iter().flatten().enumerate() {
            look(item, &format!("{list}[{at}]."), known);
            for (inner, option) in item[options].as_array().into_iter().flatten().enumerate() {
                look(option, &format!("{list}[{at}].{options}[{inner}]."), &["name", "default"]);
            }
        }
    }
    found.sort();
    found
}

/// A call with the preferences applied.
#[derive(Debug, Default)]
pub struct Applied {
    /// The words, an alias replaced by its command.
    pub words: Vec<String>,
    /// The alias that was typed.
    pub alias: Option<String>,
    /// The flags to set before the words are read, with what to say when one has no such value.
    pub presets: Vec<(Preset, String)>,
    /// Which programs may be run to log in.
    pub plugins: Plugins,
}

/// Which programs may be run to log in.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Plugins {
    /// Any.
    #[default]
    All,
    /// None.
    None,
    /// These.
    Only(Vec<String>),
}

/// Applies the session's preferences to the words of a call.
///
/// # Errors
/// When a named file cannot be read, or what it says does not fit kubectl's commands.
pub fn apply(session: &Session, root: &'static Command, words: &[String]) -> Result<Applied> {
    let plain = || Applied { words: words.to_vec(), ..Applied::default() };
    if words.is_empty() {
        return Ok(plain());
    }
    let failed = |why: String| Failure::Plain(format!("error occurred while applying preferences {why}"));
    let named = named(words).map_err(failed)?;
    let preference =
        preferences(session, &named).map_err(|failure| failed(format!("kuberc error {}", failure.words())))?;
    let Some(preference) = preference else { return Ok(plain()) };
    let plugins = check(&preference).map_err(failed)?;
    let mut applied = Applied { plugins, ..plain() };
    let command = match super::find(root, words) {
        Some((command, _)) => command,
        None => match alias(session, root, &preference, words, &mut applied).map_err(failed)? {
            Some(command) => command,
            None => return Ok(applied),
        },
    };
    defaults(session, root, &preference, (command, words), &mut applied).map_err(failed)?;
    Ok(applied)
}

/// What `--kuberc` says, before any flag is read.
fn named(words: &[String]) -> std::result::Result<String, String> {
    let before_dash = words.iter().take_while(|word| *word != "--");
    for (at, word) in before_dash.enumerate() {
        let value = match word.strip_prefix("--kuberc") {
            Some("") => words.get(at + 1).map(String::as_str),
            Some(rest) => rest.strip_prefix('=').filter(|value| !value.is_empty()),
            None => continue,
        };
        return value.map(str::to_owned).ok_or_else(|| "kuberc file is not found".to_owned());
    }
    Ok(String::new())
}

fn preferences(session: &Session, named: &str) -> Result<Option<Preference>> {
    let Some((path, explicit)) = place(session, named)? else { return Ok(None) };
    match read(session, &path) {
        Ok(None) => Ok(None),
        Ok(Some((preference, unknown))) => {
            if !unknown.is_empty() {
                let fields: Vec<String> =
                    unknown.iter().map(|field| format!("unknown field {}", quote(field))).collect();
                let words = format!("strict decoding error: {}", fields.join(", "));
                session.console.err(format!("kuberc: ignoring strict decoding error in {}: {words}", path.display()));
            }
            Ok(Some(preference))
        }
        Err(unread) if explicit => Err(Failure::new(format!("kuberc: {}", unread.words(&path)))),
        Err(unread) if unread.is_missing() => Ok(None),
        Err(unread) => {
            let words = unread.words(&path);
            session.console.err(format!("kuberc: no preferences loaded from {}: {words}", path.display()));
            Ok(None)
        }
    }
}

/// Whether the file says what it may.
fn check(preference: &Preference) -> std::result::Result<Plugins, String> {
    let dashed = |options: &[Preset]| {
        let wrong = options.iter().find(|option| option.name.starts_with('-'));
        wrong.map_or(Ok(()), |option| Err(format!("flag name {} should be in long form without dashes", option.name)))
    };
    let mut names = std::collections::BTreeSet::new();
    for alias in preference.aliases.iter().flatten() {
        if alias.name.is_empty() || !alias.name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err("invalid alias name, can only include alphabetical characters".to_owned());
        }
        dashed(&alias.options)?;
        if !names.insert(&alias.name) {
            return Err(format!("duplicate alias name {}", alias.name));
        }
    }
    for defaults in preference.defaults.iter().flatten() {
        dashed(defaults.options.as_deref().unwrap_or_default())?;
    }
    let (policy, list) = (preference.credential_plugin_policy.as_str(), &preference.credential_plugin_allowlist);
    match (policy, list) {
        ("" | "AllowAll", None) => Ok(Plugins::All),
        ("DenyAll", None) => Ok(Plugins::None),
        ("" | "AllowAll" | "DenyAll", Some(_)) => Err(format!(
            "misconfigured credential plugin allowlist: plugin policy is {} but allowlist is non-nil",
            quote(policy)
        )),
        ("Allowlist", None) => {
            Err("credential plugin policy set to \"Allowlist\", but allowlist is unspecified".to_owned())
        }
        ("Allowlist", Some(list)) if list.is_empty() => Err("credential plugin policy set to \"Allowlist\", but \
             allowlist is empty; use \"DenyAll\" policy instead"
            .to_owned()),
        ("Allowlist", Some(list)) => list
            .iter()
            .enumerate()
            .map(|(at, entry)| allowed(at, entry))
            .collect::<std::result::Result<_, _>>()
            .map(Plugins::Only),
        _ => Err(format!("unknown plugin policy: {}", quote(policy))),
    }
}

/// The program that an entry allows. (`name` is the older word for `command`.)
fn allowed(at: usize, entry: &Value) -> std::result::Result<String, String> {
    let text = |field: &str| entry[field].as_str().filter(|text| !text.is_empty());
    text("command")
        .or_else(|| text("name"))
        .map(str::to_owned)
        .ok_or_else(|| format!("misconfigured credential plugin allowlist: empty allowlist entry #{}", at + 1))
}

/// Replaces an alias by its command; the command, or `None` where no alias was typed.
fn alias(
    session: &Session,
    root: &'static Command,
    preference: &Preference,
    words: &[String],
    applied: &mut Applied,
) -> std::result::Result<Option<&'static Command>, String> {
    let Some(at) = words.iter().position(|word| !word.starts_with('-')) else { return Ok(None) };
    let Some(alias) = preference.aliases.iter().flatten().find(|alias| alias.name == words[at]) else {
        return Ok(None);
    };
    if root.find(&alias.name).is_some() {
        let name = quote(&alias.name);
        session.console.err(format!("Warning: Setting alias {name} to a built-in command is not supported\n"));
        return Ok(None);
    }
    let target: Vec<String> = alias.command.split_whitespace().map(str::to_owned).collect();
    let Some((command, rest)) = super::find(root, &target) else {
        let words = format!("[{}]", target.join(" "));
        return Err(format!(
            "command {} not found to set alias {}: {words}",
            quote(&alias.command),
            quote(&alias.name)
        ));
    };
    let flags = command.all_flags();
    for preset in &alias.options {
        let Some(flag) = flags.iter().find(|flag| flag.name == preset.name) else {
            return Err(format!("invalid alias flag {} in alias {}", preset.name, session.environment.program));
        };
        if typed(flag, words) {
            continue;
        }
        let words = format!(
            "could not apply value {} to flag {} in alias {}",
            preset.default, preset.name, session.environment.program
        );
        applied.presets.push((preset.clone(), words));
    }
    let named = target.len() - rest.len();
    applied.alias = Some(alias.name.clone());
    applied.words =
        [&words[..at], &target[..named], &alias.prepend_args, &words[at + 1..], &alias.append_args].concat();
    Ok(Some(command))
}

/// Notes the defaults of the command that was typed.
fn defaults(
    session: &Session,
    root: &'static Command,
    preference: &Preference,
    (command, words): (&'static Command, &[String]),
    applied: &mut Applied,
) -> std::result::Result<(), String> {
    let name = applied.alias.clone().unwrap_or_else(|| command.name.to_owned());
    let flags = command.all_flags();
    for defaults in preference.defaults.iter().flatten() {
        let target: Vec<String> = defaults.command.split_whitespace().map(str::to_owned).collect();
        let Some((target, _)) = super::find(root, &target) else {
            let command = quote(&defaults.command);
            session.console.err(format!("Warning: command {command} not found to set kuberc override\n"));
            continue;
        };
        if target.name != name {
            continue;
        }
        for preset in defaults.options.iter().flatten() {
            let Some(flag) = flags.iter().find(|flag| flag.name == preset.name) else {
                return Err(format!("invalid flag {} for command {}", preset.name, defaults.command));
            };
            if !typed(flag, words) {
                let (value, flag, command) = (&preset.default, &preset.name, &defaults.command);
                let words = format!("could not apply override value {value} to flag {flag} in command {command}");
                applied.presets.push((preset.clone(), words));
            }
        }
    }
    Ok(())
}

/// Whether a flag is among the words, in any of its forms.
fn typed(flag: &Flag, words: &[String]) -> bool {
    let long = format!("--{}", flag.name);
    words.iter().any(|word| {
        let short = flag.short != '\0' && {
            let together = word.len() > 1 && word[1..].bytes().all(|byte| byte.is_ascii_alphabetic());
            let letters = word.strip_prefix('-').filter(|letters| !letters.starts_with('-')).unwrap_or_default();
            letters.starts_with(flag.short) || (together && letters.contains(flag.short))
        };
        *word == long || word.strip_prefix(&long).is_some_and(|rest| rest.starts_with('=')) || short
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_that_nobody_knows_are_told_by_their_paths() {
        let value = json!({"apiVersion": API, "kind": "Preference", "nope": 1,
            "aliases": [{"name": "a", "flags": []}], "defaults": [{"command": "get", "options": [{"nam": "x"}]}]});
        assert_eq!(unknown(&value, false), ["aliases[0].flags", "defaults[0].options[0].nam", "nope"]);
    }

    #[test]
    fn a_typed_flag_is_found_in_any_form() {
        let flag = super::super::flags::short("output", 'o', super::super::flags::Kind::Text(""), "");
        for words in ["-o", "-oyaml", "-wo", "--output", "--output=x"] {
            assert!(typed(&flag, &[words.to_owned()]), "{words}");
        }
        for words in ["--outputs", "output", "-w", "o"] {
            assert!(!typed(&flag, &[words.to_owned()]), "{words}");
        }
    }
}
