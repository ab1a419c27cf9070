//! Why this machine refuses native containers, and the command that mends it.
//!
//! In: what the kernel answered, and the settings that distributions use to forbid user namespaces. Out:
//! an error with hints. Source: user_namespaces(7); Ubuntu's and Debian's release notes.
//! Chapter: `book/src/inside/runtime.md`.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use super::machine::Machine;
use super::messages::ToMachine;
use super::process;
use super::program::Program;
use crate::clock::Clock;
use crate::error::Error;
use crate::network::rules::{Action, Chain, Hook, Match, Net, Protocol, Rule, Ruleset};
use crate::tasks::TaskGroup;

/// A setting that forbids user namespaces when it has this value: file, value, what it is, what to type.
const SETTINGS: [(&str, &str, &str, &str); 3] = [
    (
        "proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "this kernel lets only root make user namespaces",
        "sudo sysctl kernel.unprivileged_userns_clone=1",
    ),
    (
        "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor lets only known programs make user namespaces (Ubuntu 23.10 and later)",
        "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    (
        "proc/sys/user/max_user_namespaces",
        "0",
        "this machine allows no user namespaces at all",
        "sudo sysctl user.max_user_namespaces=15000",
    ),
];

/// The settings that stand in the way: what, and the command. None of them binds root but the last.
pub fn obstacles() -> Vec<(&'static str, &'static str)> {
    obstacles_in(Path::new("/"))
}

fn obstacles_in(root: &Path) -> Vec<(&'static str, &'static str)> {
    let has = |file: &str, value: &str| fs::read_to_string(root.join(file)).is_ok_and(|text| text.trim() == value);
    let found = SETTINGS.iter().filter(|(file, value, _, _)| has(file, value));
    found.map(|(_, _, what, command)| (*what, *command)).collect()
}

/// Why native containers cannot be made by this process, if they cannot: it makes the namespaces that they stand in,
/// and tells what the kernel answers.
pub async fn refusal(clock: Clock) -> Option<Error> {
    let program = match Program::own() {
        Ok(program) => program,
        Err(not_tutor) => return Some(not_tutor),
    };
    match Machine::start(&program, clock, &TaskGroup::new()).await {
        Ok(machine) => {
            machine.stop().await;
            None
        }
        Err(fault) => Some(refused(fault)),
    }
}

/// Why the kernel takes no rules for packets from this process, if it takes none: it gives it one of each sort. `None`
/// also where containers are refused altogether.
pub async fn filter_refusal(clock: Clock) -> Option<String> {
    let machine = Machine::start(&Program::own().ok()?, clock, &TaskGroup::new()).await.ok()?;
    let chain = |name: &str, hook, when, then| Chain {
        name: name.to_owned(),
        hook: Some(hook),
        rules: vec![Rule { when, then }],
    };
    let anywhere = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
    let chains = vec![
        chain("passing", Hook::Passing, vec![Match::Open], Action::Accept),
        chain(
            "arriving",
            Hook::Arriving,
            vec![Match::Protocol(Protocol::Tcp), Match::OneIn(2)],
            Action::Redirect(anywhere),
        ),
        chain("leaving", Hook::Leaving, vec![Match::From(Net::one(*anywhere.ip()))], Action::Masquerade),
    ];
    let asked = match process::written(&Ruleset { chains }) {
        Ok(file) => machine.call(ToMachine::Filter, vec![file]).await.map(drop),
        Err(fault) => Err(fault),
    };
    machine.stop().await;
    asked.err().map(|fault| fault.to_string())
}

/// What the kernel said when the machine process was started, as an error for the reader.
pub fn refused(fault: io::Error) -> Error {
    let obstacles = obstacles();
    let why = match obstacles.first() {
        Some((what, _)) => format!("{what} ({fault})"),
        None => fault.to_string(),
    };
    let error = Error::new("native containers cannot be made on this machine", why);
    let error = obstacles.iter().fold(error, |error, (_, command)| error.hint((*command).to_owned()));
    error.hint("or go on without processes: tutor serve --runtime simulated")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_forbids_is_named_with_what_mends_it() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/sys/kernel")).unwrap();
        let setting = root.path().join("proc/sys/kernel/unprivileged_userns_clone");
        fs::write(&setting, "1\n").unwrap();
        assert_eq!(obstacles_in(root.path()), []);
        fs::write(&setting, "0\n").unwrap();
        let found = obstacles_in(root.path());
        assert_eq!(
            found.iter().map(|(_, command)| *command).collect::<Vec<_>>(),
            ["sudo sysctl kernel.unprivileged_userns_clone=1"]
        );
    }
}
