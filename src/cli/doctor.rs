//! `tutor doctor`: what this machine has, what it lacks, and the command that mends it.
//!
//! Nothing it calls missing is needed for the course; each makes one thing nicer.

use std::io::Write;
use std::path::PathBuf;

use super::{Outcome, closed_output};
use crate::clock::Clock;
use crate::cluster;
use crate::error::Result;
use crate::state::StateDir;

/// One thing looked at.
struct Finding {
    what: &'static str,
    well: bool,
    note: String,
}

pub async fn run(state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
    let packets = packets().await;
    for finding in [state_folder(state), containers(), packets, docker(), kubectl(), playground(state)] {
        let mark = if finding.well { "ok     " } else { "missing" };
        writeln!(out, "{mark} {:<14} {}", finding.what, finding.note).map_err(closed_output)?;
    }
    Ok(Outcome::Done)
}

fn state_folder(state: &StateDir) -> Finding {
    let path = state.path().display();
    let (well, note) = match std::fs::metadata(state.path()) {
        Ok(found) if found.is_dir() && !found.permissions().readonly() => (true, path.to_string()),
        Ok(_) => (false, format!("{path} is not a folder you can write to. Use another: tutor serve --state-dir DIR")),
        Err(_) => (true, format!("{path} (made by tutor serve)")),
    };
    Finding { what: "state folder", well, note }
}

fn containers() -> Finding {
    let obstacles = cluster::native_obstacles();
    let note = match obstacles.first() {
        None => "tutor serve --runtime native can make them".to_owned(),
        Some((what, command)) => format!("{what}. Mend it: {command}"),
    };
    Finding { what: "containers", well: obstacles.is_empty(), note }
}

async fn packets() -> Finding {
    let refusal = cluster::packets_refusal(Clock::real()).await;
    let note = match &refusal {
        None => "the kernel filters packets of native containers for tutor".to_owned(),
        Some(why) => format!(
            "the kernel takes no rules for packets ({why}): NetworkPolicies hold only at Services. Mend it: sudo modprobe nf_tables"
        ),
    };
    Finding { what: "packet filter", well: refusal.is_none(), note }
}

fn docker() -> Finding {
    let obstacle = cluster::docker_obstacle();
    let note = match &obstacle {
        None => "tutor serve --runtime docker can use it".to_owned(),
        Some(error) => format!("{error}. Mend it: {}", error.hints.first().map_or("", String::as_str)),
    };
    Finding { what: "docker", well: obstacle.is_none(), note }
}

fn kubectl() -> Finding {
    let found = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<PathBuf>>())
        .map(|folder| folder.join("kubectl"))
        .find(|file| file.is_file());
    let note = match &found {
        Some(file) => file.display().to_string(),
        None => "not on your PATH. Install it from https://kubernetes.io/docs/tasks/tools/".into(),
    };
    Finding { what: "kubectl", well: found.is_some(), note }
}

fn playground(state: &StateDir) -> Finding {
    let (well, note) = match state.playground() {
        Ok(playground) => (true, format!("{} (process {})", playground.book, playground.pid)),
        Err(error) => (false, format!("{error}. Start it: tutor serve")),
    };
    Finding { what: "playground", well, note }
}
