//! `kubectl kuberc`: look at one's own defaults and aliases, and set them.

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{Flag, Kind, long, short};
use super::super::kuberc::{self, Alias, Defaults, Preference, Preset};
use super::super::print::Printer;
use crate::api::yaml;

const VIEW: &[Flag] = &[
    short("output", 'o', Kind::Text("yaml"), "yaml, json, jsonpath=…"),
    long("template", Kind::Text(""), "The template of -o jsonpath"),
    long("allow-missing-template-keys", Kind::Bool(true), "A field that is not there is no error"),
    long("show-managed-fields", Kind::Bool(false), "Accepted"),
];
const SET: &[Flag] = &[
    long("section", Kind::Text(""), "defaults, aliases or credentialplugin"),
    long("command", Kind::Text(""), "The command: get, create, set env"),
    long("name", Kind::Text(""), "The alias"),
    long("policy", Kind::Text(""), "Which programs may be run to log in: AllowAll, DenyAll, Allowlist"),
    long("option", Kind::Array, "A flag and its value: output=wide"),
    long("prependarg", Kind::Array, "An argument before those that are typed"),
    long("appendarg", Kind::Array, "An argument behind them"),
    long("allowlist-entry", Kind::Array, "A program of the allowlist: command=NAME"),
    long("overwrite", Kind::Bool(false), "Replace what is there"),
];

/// `kuberc`
pub const COMMAND: Command = Command {
    name: "kuberc",
    about: "Your own defaults and aliases",
    commands: &[
        Command {
            name: "set",
            usage: "--section SECTION --command COMMAND",
            about: "Set a default, an alias, or who may log you in",
            flags: &[SET],
            run: run!(set),
            ..BASE
        },
        Command { name: "view", about: "Show them", flags: &[VIEW], run: run!(view), ..BASE },
    ],
    ..BASE
};

fn place(call: &Invocation) -> Result<(std::path::PathBuf, bool)> {
    let off = || Failure::new("KUBERC is disabled via KUBERC=off environment variable");
    kuberc::place(&call.session, call.flags.text("kuberc"))?.ok_or_else(off)
}

async fn view(call: &Invocation) -> Result {
    let (path, explicit) = place(call)?;
    let found = match kuberc::read(&call.session, &path) {
        Ok(found) => found.map_or_else(Preference::empty, |(preference, _)| preference),
        Err(unread) if !unread.is_missing() => {
            return Err(Failure::new(format!("error reading kuberc file: {}", unread.words(&path))));
        }
        Err(_) if explicit => return Err(Failure::new(format!("kuberc file not found at {}", path.display()))),
        Err(_) => return offer(call, &path).await,
    };
    let mut shown = serde_json::to_value(&found).map_err(|fault| Failure::new(fault.to_string()))?;
    for list in ["aliases", "defaults"] {
        if shown[list].is_null() {
            shown[list] = json!([]);
        }
    }
    let mut printer = Printer::of(&call.flags, call.session.files.as_ref(), false)?;
    printer.typed = true;
    printer.show(call.console(), &shown, "")?;
    Ok(())
}

/// Offers to write a file where there is none.
async fn offer(call: &Invocation, path: &std::path::Path) -> Result {
    call.out(format!("kuberc file not found at {}\n", path.display()));
    call.out("Would you like to generate a default kuberc file with recommended options? (y/N): ");
    call.console().flush().await?;
    if call.session.read_line().await.eq_ignore_ascii_case("y") {
        return save(call, path, &Preference::recommended());
    }
    Ok(())
}

fn save(call: &Invocation, path: &std::path::Path, preference: &Preference) -> Result {
    let value: Value = serde_json::to_value(preference).map_err(|fault| Failure::new(fault.to_string()))?;
    let written = call.session.files.write(path, yaml::to_string(&value).as_bytes());
    written.map_err(|fault| Failure::new(format!("failed to write kuberc file: {fault}")))?;
    call.out(format!("Updated {}\n", path.display()));
    Ok(())
}

async fn set(call: &Invocation) -> Result {
    let flags = &call.flags;
    if !flags.given("section") {
        return Err(Failure::new("required flag(s) \"section\" not set"));
    }
    let (path, _) = place(call)?;
    let section = flags.text("section");
    check(call, section)?;
    let mut preference = match kuberc::read(&call.session, &path) {
        Ok(found) => found.map_or_else(Preference::empty, |(preference, _)| preference),
        Err(unread) if unread.is_missing() => Preference::empty(),
        Err(unread) => return Err(Failure::new(format!("error reading kuberc file: {}", unread.words(&path)))),
    };
    let mut options = Vec::new();
    for option in flags.all("option") {
        let Some((name, value)) = option.split_once('=') else {
            return Err(Failure::new(format!("invalid option format {}, expected flag=value", quote(option))));
        };
        options.push(Preset { name: name.trim_start_matches('-').to_owned(), default: value.to_owned() });
    }
    match section {
        "defaults" => set_defaults(call, &mut preference, options)?,
        "aliases" => set_alias(call, &mut preference, options)?,
        _ => set_plugins(call, &mut preference)?,
    }
    save(call, &path, &preference)
}

/// Whether the flags belong together.
fn check(call: &Invocation, section: &str) -> Result {
    let flags = &call.flags;
    let (command, name, policy) = (flags.text("command"), flags.text("name"), flags.text("policy"));
    let arguments = flags.given("prependarg") || flags.given("appendarg");
    let entries = !flags.all("allowlist-entry").is_empty();
    let words = match section {
        "defaults" | "aliases" | "credentialplugin" => match (section, policy) {
            ("aliases", _) if name.is_empty() => "--name is required when --section=aliases".to_owned(),
            ("defaults", _) if !name.is_empty() => "--name should not be specified when --section=defaults".to_owned(),
            ("defaults", _) if arguments => {
                "--prependarg and --appendarg are only valid for --section=aliases".to_owned()
            }
            ("defaults" | "aliases", _) if command.is_empty() => {
                "--command is required when --section=aliases or --section=defaults".to_owned()
            }
            ("defaults" | "aliases", _) => return Ok(()),
            (_, "") => "--policy is required when --section=credentialplugin".to_owned(),
            (_, "AllowAll" | "DenyAll") if entries => {
                "--allowlist-entry may only be used when --section=credentialplugin and --policy=Allowlist".to_owned()
            }
            (_, "Allowlist") if !entries => {
                "--allowlist-entry is required when --section=credentialplugin and --policy=Allowlist".to_owned()
            }
            (_, "AllowAll" | "DenyAll" | "Allowlist") => return Ok(()),
            (_, other) => {
                format!(" --policy must be  \"AllowAll\", \"DenyAll\", or \"Allowlist\", got: {other}")
            }
        },
        other => format!("--section must be \"defaults\", \"aliases\", or \"credentialplugin\", got: {other}"),
    };
    Err(Failure::new(words))
}

fn set_defaults(call: &Invocation, preference: &mut Preference, options: Vec<Preset>) -> Result {
    let command = call.flags.text("command");
    let all = preference.defaults.get_or_insert_default();
    let Some(known) = all.iter_mut().find(|defaults| defaults.command == command) else {
        // Without an option there is no list either.
        all.push(Defaults { command: command.to_owned(), options: (!options.is_empty()).then_some(options) });
        return Ok(());
    };
    if !call.flags.is("overwrite") {
        let words = format!("defaults for command {} already exist, use --overwrite to replace", quote(command));
        return Err(Failure::new(words));
    }
    if !options.is_empty() {
        known.options = Some(options);
    }
    Ok(())
}

fn set_alias(call: &Invocation, preference: &mut Preference, options: Vec<Preset>) -> Result {
    let (flags, name) = (&call.flags, call.flags.text("name"));
    let mut alias = Alias {
        name: name.to_owned(),
        command: flags.text("command").to_owned(),
        prepend_args: flags.all("prependarg").to_vec(),
        append_args: flags.all("appendarg").to_vec(),
        options,
    };
    let all = preference.aliases.get_or_insert_default();
    let Some(known) = all.iter_mut().find(|known| known.name == name) else {
        all.push(alias);
        return Ok(());
    };
    if !flags.is("overwrite") {
        return Err(Failure::new(format!("alias {} already exists, use --overwrite to replace", quote(name))));
    }
    // What is not given anew stays.
    if alias.options.is_empty() {
        alias.options = std::mem::take(&mut known.options);
    }
    if alias.prepend_args.is_empty() {
        alias.prepend_args = std::mem::take(&mut known.prepend_args);
    }
    if alias.append_args.is_empty() {
        alias.append_args = std::mem::take(&mut known.append_args);
    }
    *known = alias;
    Ok(())
}

fn set_plugins(call: &Invocation, preference: &mut Preference) -> Result {
    let policy = call.flags.text("policy");
    if policy == "Allowlist" {
        let (mut entries, mut failures) = (Vec::new(), Vec::new());
        for pair in call.flags.all("allowlist-entry").iter().flat_map(|entry| entry.split(',')) {
            match pair.split_once('=') {
                None => failures.push(format!("improperly formatted allowlist entry: {}", quote(pair))),
                Some(("name", _)) => {
                    failures.push("allowlist entry field \"name\" is deprecated, use \"command\" instead".to_owned());
                }
                Some(("command", value)) if value.trim().is_empty() => {
                    failures.push("empty value in allowlist entry for field \"command\"".to_owned());
                }
                Some(("command", value)) => entries.push(json!({"command": value})),
                Some((field, _)) => failures.push(format!("unrecognized allowlist entry field: {}", quote(field))),
            }
        }
        match failures.len() {
            0 => {}
            1 => return Err(Failure::new(failures.remove(0))),
            _ => return Err(Failure::new(format!("[{}]", failures.join(", ")))),
        }
        preference.credential_plugin_allowlist = Some(entries);
    }
    preference.credential_plugin_policy = policy.to_owned();
    Ok(())
}
