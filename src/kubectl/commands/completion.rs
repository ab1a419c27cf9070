//! `kubectl completion` and `kubectl kustomize`.

use std::path::Path;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{Flag, Kind, long, short};
use super::super::manifests;
use crate::api::yaml;

/// `completion`
pub const COMMAND: Command = Command {
    name: "completion",
    usage: "SHELL",
    about: "Print a completion script for your shell",
    run: run!(completion),
    ..BASE
};

const FLAGS: &[Flag] = &[
    short("output", 'o', Kind::Text(""), "A file to write to"),
    long("load-restrictor", Kind::Text("LoadRestrictionsRootOnly"), "Accepted; no file outside the folder is read"),
    long("as-current-user", Kind::Bool(false), "Accepted; no functions are run"),
    long("enable-alpha-plugins", Kind::Bool(false), "Accepted; there are no plugins"),
    long("enable-helm", Kind::Bool(false), "Accepted; no charts are read"),
    short("env", 'e', Kind::List, "Accepted; no functions are run"),
    long("helm-api-versions", Kind::List, "Accepted; no charts are read"),
    long("helm-command", Kind::Text("helm"), "Accepted; no charts are read"),
    long("helm-debug", Kind::Bool(false), "Accepted; no charts are read"),
    long("helm-kube-version", Kind::Text(""), "Accepted; no charts are read"),
    long("mount", Kind::List, "Accepted; no functions are run"),
    long("network", Kind::Bool(false), "Accepted; no functions are run"),
    long("network-name", Kind::Text("bridge"), "Accepted; no functions are run"),
];

/// `kustomize`
pub const KUSTOMIZE: Command = Command {
    name: "kustomize",
    usage: "[FOLDER]",
    about: "Show what a kustomization stands for",
    flags: &[FLAGS],
    run: run!(kustomize),
    ..BASE
};

async fn completion(call: &Invocation) -> Result {
    let [shell] = call.arguments() else {
        let words = if call.arguments().is_empty() {
            "Shell not specified."
        } else {
            "Too many arguments. Expected only the shell type."
        };
        return Err(call.usage(words));
    };
    let names: Vec<&str> = super::ROOT.commands.iter().map(|command| command.name).collect();
    let names = names.join(" ");
    call.out(match shell.as_str() {
        "bash" => format!("complete -W \"{names}\" kubectl\n"),
        "zsh" => format!("#compdef kubectl\ncompdef '_arguments \"1: :({names})\"' kubectl\n"),
        "fish" => format!("complete -c kubectl -f -n __fish_use_subcommand -a \"{names}\"\n"),
        other => return Err(call.usage(format!("Unsupported shell type {}.", quote(other)))),
    });
    Ok(())
}

async fn kustomize(call: &Invocation) -> Result {
    let folder = match call.arguments() {
        [] => ".",
        [folder] => folder,
        _ => return Err(Failure::new("specify one path to kustomization.yaml")),
    };
    let objects = manifests::kustomize(call.session.files.as_ref(), Path::new(folder))?;
    let texts: Vec<String> = objects.iter().map(yaml::to_string).collect();
    let text = texts.join("---\n");
    match call.flags.text("output") {
        "" => call.out(text),
        file => call
            .session
            .files
            .write(Path::new(file), text.as_bytes())
            .map_err(|fault| Failure::opening(file, &fault))?,
    }
    Ok(())
}
