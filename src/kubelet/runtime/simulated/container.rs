//! One simulated container: its program, its life, and what follows from both at a time.
//!
//! In: the time, changes that execs and volumes make to its files. Out: lines, files, an end. Nothing
//! runs: each answer is computed from the program and the age. Two containers that share an empty
//! volume do not see each other's files in it. Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::program::{Listens, Program};
use super::shell::{Change, Done, Files, Played, Printed};
use crate::kubelet::runtime::{Answered, ContainerConfig, Dial, Exit, LogLine, Volume, VolumeSource};

/// Requests and typed lines that a container remembers.
const MOST_EXTRA_LINES: usize = 1000;
/// How far ahead the next line or the end is looked for.
pub(super) const HORIZON: Duration = Duration::from_secs(30 * 86400);

/// A container.
pub(super) struct Container {
    pub(super) sandbox: String,
    pub(super) config: ContainerConfig,
    pub(super) program: Program,
    pub(super) life: watch::Sender<Life>,
    /// What others have done to it.
    done: Mutex<Done>,
    /// What its log has besides the program's own lines: answered requests, a prompt's dialogue.
    extra: Mutex<VecDeque<LogLine>>,
}

/// Where it is in its life.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    pub(super) started: Option<Timestamp>,
    /// When it will end by itself.
    pub(super) ends: Option<Exit>,
    /// When it was made to end.
    pub(super) ended: Option<Exit>,
}

fn after(start: Timestamp, offset: Duration) -> Timestamp {
    let offset = SignedDuration::try_from(offset).unwrap_or(SignedDuration::MAX);
    start.saturating_add(offset).unwrap_or(Timestamp::MAX)
}

impl Container {
    /// A container that was created and not started.
    pub(super) fn new(sandbox: String, config: ContainerConfig, program: Program) -> Self {
        Container {
            sandbox,
            config,
            program,
            life: watch::Sender::new(Life::default()),
            done: Mutex::default(),
            extra: Mutex::default(),
        }
    }

    /// What has happened by now.
    pub(super) fn played(&self, now: Timestamp) -> Played {
        self.play(self.age(now).unwrap_or_default())
    }

    fn play(&self, until: Duration) -> Played {
        self.program.script.play(&self.program.env, self.program.files.clone(), &self.done.lock(), until)
    }

    /// How long it has run; until its end when it has ended.
    pub(super) fn age(&self, now: Timestamp) -> Option<Duration> {
        let life = self.life.borrow();
        let until = exit_of(&life, now).map_or(now, |exit| exit.at);
        Some(until.duration_since(life.started?).unsigned_abs())
    }

    /// How it ended, if it has by now.
    pub(super) fn exit(&self, now: Timestamp) -> Option<Exit> {
        exit_of(&self.life.borrow(), now)
    }

    pub(super) fn is_running(&self, now: Timestamp) -> bool {
        self.life.borrow().started.is_some() && self.exit(now).is_none()
    }

    pub(super) fn start(&self, now: Timestamp) {
        let ends = self.natural_end(now);
        self.life.send_modify(|life| {
            life.started = Some(now);
            life.ends = ends;
        });
    }

    /// How it will end when nobody does anything.
    fn natural_end(&self, started: Timestamp) -> Option<Exit> {
        let played = self.play(HORIZON);
        let exit = |at: Duration, code: i32, reason: &'static str| Exit {
            code,
            reason,
            at: after(started, at),
            message: self.message(&self.play(at).files),
        };
        let killed = self.program.out_of_memory_at;
        match (played.ended, killed) {
            (Some((natural, code)), killed) if killed.is_none_or(|killed| natural <= killed) => {
                Some(exit(natural, code, if code == 0 { "Completed" } else { "Error" }))
            }
            (_, Some(killed)) => Some(exit(killed, 137, "OOMKilled")),
            (_, None) => None,
        }
    }

    /// What the termination message file says.
    fn message(&self, files: &Files) -> String {
        const MOST_BYTES: usize = 4096;
        let content = files.get(&self.config.termination_message_path);
        content.map_or_else(String::new, |bytes| {
            String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_BYTES)]).into_owned()
        })
    }

    /// Makes it end now.
    pub(super) fn end(&self, code: i32, at: Timestamp) -> Exit {
        let reason = if code == 0 { "Completed" } else { "Error" };
        let exit = Exit { code, reason, at, message: self.message(&self.played(at).files) };
        self.life.send_modify(|life| life.ended = Some(exit.clone()));
        exit
    }

    /// Somebody else writes or removes files now: its script sees them from here on.
    pub(super) fn change(&self, now: Timestamp, files: impl IntoIterator<Item = (String, Option<Vec<u8>>)>) {
        let at = self.age(now).unwrap_or_default();
        let changes = files.into_iter().map(|(path, content)| Change { at, path, content });
        self.done.lock().changes.extend(changes);
        self.reckon_end();
    }

    /// Sends it TERM now, once: its script may have a trap for it. Returns how long it goes on from now, if nobody does
    /// anything else; `None`: as long as it is let.
    pub(super) fn terminate(&self, now: Timestamp) -> Option<Duration> {
        if let Some(needs) = self.program.term_after {
            return Some(needs);
        }
        let at = self.age(now).unwrap_or_default();
        self.done.lock().term.get_or_insert(at);
        self.reckon_end();
        let ends = self.life.borrow().ends.as_ref().map(|exit| exit.at);
        ends.map(|at| at.duration_since(now).try_into().unwrap_or_default())
    }

    /// What was done to it may change when it ends.
    fn reckon_end(&self) {
        let Some(started) = self.life.borrow().started else { return };
        let ends = self.natural_end(started);
        self.life.send_if_modified(|life| {
            let changed = life.ends != ends;
            life.ends = ends;
            changed
        });
    }

    /// What has to be done to the files of `before` to have those of `after`.
    pub(super) fn difference(before: &Files, after: Files) -> Vec<(String, Option<Vec<u8>>)> {
        let gone: Vec<_> = before.keys().filter(|path| !after.contains_key(*path)).cloned().collect();
        let written = after.into_iter().filter(|(path, content)| before.get(path) != Some(content));
        let written = written.map(|(path, content)| (path, Some(content)));
        gone.into_iter().map(|path| (path, None)).chain(written).collect()
    }

    /// The files that a volume shows in it, by absolute path; `live` are only those that follow the volume.
    pub(super) fn volume_files(config: &ContainerConfig, volume: &Volume, live: bool) -> Files {
        let VolumeSource::Files(files) = &volume.source else { return Files::new() };
        let mut shown = Files::new();
        for mount in config.mounts.iter().filter(|mount| mount.volume == volume.name) {
            let folder = mount.container_path.trim_end_matches('/');
            let part = mount.sub_path.trim_matches('/');
            if live && !part.is_empty() {
                continue;
            }
            for (path, file) in files {
                let inside = if part.is_empty() { Some(path.as_str()) } else { path.strip_prefix(part) };
                let target = match inside.map(|inside| inside.trim_start_matches('/')) {
                    Some("") => folder.to_owned(),
                    Some(inside) if part.is_empty() || path.as_bytes().get(part.len()) == Some(&b'/') => {
                        format!("{folder}/{inside}")
                    }
                    _ => continue,
                };
                shown.insert(target, file.content.clone());
            }
        }
        shown
    }

    pub(super) fn lines(&self, now: Timestamp) -> Vec<LogLine> {
        let Some(started) = self.life.borrow().started else { return Vec::new() };
        let printed = self.played(now).lines.into_iter();
        let logged =
            |line: Printed| LogLine { stream: line.stream, ..LogLine::new(after(started, line.at), line.text) };
        let mut lines: Vec<LogLine> = printed.map(logged).collect();
        lines.extend(self.extra.lock().iter().cloned());
        lines.sort_by_key(|line| line.at);
        lines
    }

    /// Adds a line to its log.
    pub(super) fn print(&self, line: LogLine) {
        let mut extra = self.extra.lock();
        if extra.len() == MOST_EXTRA_LINES {
            extra.pop_front();
        }
        extra.push_back(line);
    }

    /// True when a connection to the port is answered now.
    pub(super) fn accepts(&self, port: u16, now: Timestamp) -> bool {
        let ready = self.age(now).unwrap_or_default() >= self.program.ready_after;
        let listens = match &self.program.listens {
            Listens::Nowhere => false,
            Listens::On(ports) => ports.contains(&port),
            Listens::Anywhere => true,
        };
        self.is_running(now) && ready && listens
    }

    pub(super) fn answer(&self, dial: &Dial, now: Timestamp) -> Answered {
        let age = self.age(now).unwrap_or_default();
        let mut status = if age >= self.program.unhealthy_after { 500 } else { 200 };
        let mut body = self.program.greeting.clone();
        if let Dial::Http { path, .. } = dial {
            if let Some(asked) = path.strip_prefix("/status/").and_then(|code| code.parse().ok()) {
                (status, body) = (asked, String::new());
            }
            self.print(LogLine::new(now, format!("GET {path} {status}")));
        }
        Answered { status, body: Bytes::from(body) }
    }
}

fn exit_of(life: &Life, now: Timestamp) -> Option<Exit> {
    life.ended.clone().or_else(|| life.ends.clone().filter(|exit| exit.at <= now))
}
