//! `trap`: what a shell does when it is sent a signal, or ends.
//!
//! A handler only notes the signal; the shell looks between two commands, as every shell does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::io::Io;
use super::parse::parse;
use super::run::{Flow, Shell};

/// Signals a script can wait for, by number and name.
const SIGNALS: [(i32, &str); 6] = [(1, "HUP"), (2, "INT"), (3, "QUIT"), (10, "USR1"), (12, "USR2"), (15, "TERM")];
/// The end of the shell, as if it were a signal.
const END: i32 = 0;

/// What was asked for, by signal; 0 is the shell's end.
#[derive(Clone, Default)]
pub struct Traps(BTreeMap<i32, (String, Arc<AtomicBool>)>);

impl Traps {
    /// In a subshell: only what is ignored stays so.
    pub(super) fn leave(&mut self) {
        self.0.retain(|_, (action, _)| action.is_empty());
    }

    /// True when a signal came that was not acted on yet.
    pub(super) fn is_due(&self) -> bool {
        self.0.values().any(|(_, came)| came.load(Ordering::SeqCst))
    }
}

/// A signal's number, by number or name, with or without `SIG`.
pub fn number(name: &str) -> Option<i32> {
    let bare = name.strip_prefix("SIG").unwrap_or(name);
    if bare == "EXIT" {
        return Some(END);
    }
    let mut by_name = SIGNALS.iter().chain(&[(9, "KILL"), (17, "CHLD"), (18, "CONT"), (19, "STOP")]);
    by_name.find(|(_, known)| *known == bare).map(|(number, _)| *number).or_else(|| bare.parse().ok())
}

impl Shell {
    /// The builtin.
    pub(super) fn trap(&mut self, words: &[String], io: &Io) -> i32 {
        let Some((action, names)) = words[1..].split_first().filter(|(_, names)| !names.is_empty()) else {
            for (signal, (action, _)) in &self.traps.0 {
                let name = SIGNALS.iter().find(|(number, _)| number == signal).map_or("EXIT", |(_, name)| *name);
                io.print(1, &format!("trap -- '{action}' {name}\n"));
            }
            return 0;
        };
        for name in names {
            let Some(signal) = number(name) else {
                self.complain(io, &format!("trap: {name}: invalid signal specification"));
                return 1;
            };
            let came = match self.traps.0.remove(&signal) {
                Some((_, came)) => came,
                None => {
                    let came = Arc::new(AtomicBool::new(false));
                    if SIGNALS.iter().any(|(known, _)| *known == signal)
                        && signal_hook::flag::register(signal, came.clone()).is_err()
                    {
                        return 1;
                    }
                    came
                }
            };
            if action != "-" {
                self.traps.0.insert(signal, (action.clone(), came));
            }
        }
        0
    }

    /// Does what is due.
    pub(super) fn run_traps(&mut self, io: &Io) -> Flow {
        if !self.traps.is_due() {
            return Flow::Go;
        }
        let due: Vec<String> = self
            .traps
            .0
            .values()
            .filter(|(_, came)| came.swap(false, Ordering::SeqCst))
            .map(|(text, _)| text.clone())
            .collect();
        for action in due {
            let flow = self.act(&action, io);
            if flow != Flow::Go {
                return flow;
            }
        }
        Flow::Go
    }

    /// The shell ends.
    pub(super) fn run_exit_trap(&mut self, io: &Io) {
        if let Some((action, _)) = self.traps.0.remove(&END) {
            self.act(&action, io);
        }
    }

    fn act(&mut self, action: &str, io: &Io) -> Flow {
        let status = self.status;
        let Ok(list) = parse(action) else { return Flow::Go };
        let flow = self.run(&list, io);
        if flow == Flow::Go {
            self.status = status;
        }
        flow
    }
}
