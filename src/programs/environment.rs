//! `env`, `printenv`, `hostname`, `id`, `pwd`: who and where a process is.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{complain, plain, print};

/// Prints the environment, or runs a program in a changed one.
pub(super) fn env(arguments: &[String]) -> i32 {
    let mut rest = &arguments[1..];
    let (mut clean, mut set, mut unset) = (false, Vec::new(), Vec::new());
    while let Some((word, more)) = rest.split_first() {
        match (word.as_str(), word.split_once('=')) {
            ("-i" | "-", _) => clean = true,
            ("-u", _) => {
                let Some((name, more)) = more.split_first() else { return complain("env", "-u needs a name") };
                unset.push(name.clone());
                rest = more;
                continue;
            }
            (_, Some((name, value))) => set.push((name.to_owned(), value.to_owned())),
            _ => break,
        }
        rest = more;
    }
    if let Some((program, more)) = rest.split_first() {
        let mut command = Command::new(program);
        if clean {
            command.env_clear();
        }
        unset.iter().for_each(|name| _ = command.env_remove(name));
        let failed = command.args(more).envs(set).exec();
        return complain("env", &format!("{program}: {}", plain(&failed))) + 126;
    }
    let mut lines = String::new();
    for (name, value) in std::env::vars_os().filter(|_| !clean) {
        let name = name.to_string_lossy();
        if !unset.iter().any(|gone| *gone == name) && !set.iter().any(|(own, _)| *own == name) {
            lines.push_str(&format!("{name}={}\n", value.to_string_lossy()));
        }
    }
    set.iter().for_each(|(name, value)| lines.push_str(&format!("{name}={value}\n")));
    i32::from(print(&lines).is_err())
}

pub(super) fn printenv(arguments: &[String]) -> i32 {
    if arguments.len() == 1 {
        return env(arguments);
    }
    let mut status = 0;
    for name in &arguments[1..] {
        match std::env::var_os(name) {
            Some(value) => status |= i32::from(print(&format!("{}\n", value.to_string_lossy())).is_err()),
            None => status = 1,
        }
    }
    status
}

pub(super) fn hostname(arguments: &[String]) -> i32 {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let text = match arguments.get(1).map(String::as_str) {
        Some("-i") => super::network::own_addresses().join(" "),
        Some("-s") => name.split('.').next().unwrap_or_default().to_owned(),
        _ => name,
    };
    i32::from(print(&(text + "\n")).is_err())
}

pub(super) fn pwd(_: &[String]) -> i32 {
    match std::env::current_dir() {
        Ok(path) => i32::from(print(&format!("{}\n", path.display())).is_err()),
        Err(error) => complain("pwd", &plain(&error)),
    }
}

/// `id`, `id -u`, `id -g`, `id -un`.
pub(super) fn id(arguments: &[String]) -> i32 {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let name = |file: &str, id: u32| -> Option<String> {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.split(':').nth(2) == Some(id.to_string().as_str()))?;
        line.split(':').next().map(str::to_owned)
    };
    let (user, group) = (name("/etc/passwd", uid), name("/etc/group", gid));
    let shown = |id: u32, name: &Option<String>| name.as_ref().map_or(id.to_string(), |name| format!("{id}({name})"));
    let text = match arguments.get(1).map(String::as_str) {
        Some("-u") => uid.to_string(),
        Some("-g") => gid.to_string(),
        Some("-un" | "-nu") => user.unwrap_or_else(|| uid.to_string()),
        Some("-gn" | "-ng") => group.unwrap_or_else(|| gid.to_string()),
        Some(other) => return complain("id", &format!("unknown option {other}")),
        None => {
            let groups = rustix::process::getgroups().unwrap_or_default();
            let groups: Vec<String> =
                groups.iter().map(|group| shown(group.as_raw(), &name("/etc/group", group.as_raw()))).collect();
            let groups = if groups.is_empty() { shown(gid, &group) } else { groups.join(",") };
            format!("uid={} gid={} groups={groups}", shown(uid, &user), shown(gid, &group))
        }
    };
    i32::from(print(&(text + "\n")).is_err())
}
