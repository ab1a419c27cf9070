//! `kubectl plugin list`: the programs of this machine that real kubectl would run as its own commands.

use std::path::Path;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long};

const FLAGS: &[Flag] = &[long("name-only", Kind::Bool(false), "Names without folders")];

/// `plugin`
pub const COMMAND: Command = Command {
    name: "plugin",
    about: "Look for plugins",
    commands: &[Command { name: "list", about: "List plugins", flags: &[FLAGS], run: run!(list), ..BASE }],
    ..BASE
};

async fn list(call: &Invocation) -> Result {
    let mut found = Vec::new();
    for folder in call.session.variable("PATH").split(':').filter(|folder| !folder.trim().is_empty()) {
        let names = call.session.files.list(Path::new(folder)).unwrap_or_default();
        let plugins = names.into_iter().filter(|name| name.starts_with("kubectl-"));
        found.extend(plugins.map(|name| (format!("{folder}/{name}"), name)));
    }
    if found.is_empty() {
        return Err(Failure::Plain("error: unable to find any kubectl plugins in your PATH".into()));
    }
    call.out("The following compatible plugins are available:\n\n");
    for (path, name) in found {
        call.out(format!("{}\n", if call.flags.is("name-only") { name } else { path }));
    }
    Ok(())
}
