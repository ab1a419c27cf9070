//! `ps` and `kill`.

use super::sh::trap;
use super::{complain, print};

/// Every process that `/proc` shows.
pub(super) fn ps(_: &[String]) -> i32 {
    let mut rows = vec![("PID".to_owned(), "USER".to_owned(), "COMMAND".to_owned())];
    let entries = match std::fs::read_dir("/proc") {
        Ok(entries) => entries,
        Err(error) => return complain("ps", &format!("/proc: {}", super::plain(&error))),
    };
    let mut pids: Vec<u32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    for pid in pids {
        use std::os::unix::fs::MetadataExt;
        let folder = format!("/proc/{pid}");
        let Ok(owner) = std::fs::metadata(&folder) else { continue };
        let line = std::fs::read(format!("{folder}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ");
        let name = || std::fs::read_to_string(format!("{folder}/comm")).map(|name| format!("[{}]", name.trim()));
        let line = if line.is_empty() { name().unwrap_or_default() } else { line };
        let user = if owner.uid() == 0 { "root".to_owned() } else { owner.uid().to_string() };
        rows.push((pid.to_string(), user, line));
    }
    let text: String = rows.iter().map(|(pid, user, line)| format!("{pid:>5} {user:<8} {line}\n")).collect();
    i32::from(print(&text).is_err())
}

/// `kill [-SIGNAL] PID…`
pub(super) fn kill(arguments: &[String]) -> i32 {
    let mut signal = 15;
    let mut rest = &arguments[1..];
    if let Some((first, more)) = rest.split_first()
        && let Some(name) = first.strip_prefix('-')
    {
        let (name, more) = match (name, more.split_first()) {
            ("s", Some((name, more))) => (name.as_str(), more),
            _ => (name, more),
        };
        let Some(number) = trap::number(name) else { return complain("kill", &format!("bad signal name '{name}'")) };
        (signal, rest) = (number, more);
    }
    if rest.is_empty() {
        return complain("kill", "usage: kill [-SIGNAL] PID…");
    }
    let mut status = 0;
    for word in rest {
        let pid = word.parse().ok().and_then(rustix::process::Pid::from_raw);
        let Some(pid) = pid else {
            status = complain("kill", &format!("bad pid '{word}'"));
            continue;
        };
        let sent = match rustix::process::Signal::from_named_raw(signal) {
            Some(signal) => rustix::process::kill_process(pid, signal),
            None if signal == 0 => rustix::process::test_kill_process(pid),
            None => return complain("kill", &format!("bad signal number {signal}")),
        };
        if let Err(error) = sent {
            status = complain("kill", &format!("can't kill pid {word}: {}", super::plain(&error.into())));
        }
    }
    status
}
