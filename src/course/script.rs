//! Shell scripts: what a learner would type, and the loop they would have running beside a check.
//!
//! In: the text of a script, and the cluster it is for. Out: a running shell with `kubectl` in it,
//! ended with all its children when dropped; or, of one that runs to its end, how that was. Only `tutor dev check` runs scripts, and only those
//! that come with an exercise.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::folder::Folder;
use super::images;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::state::Playground;

/// Before the script: this program is its kubectl, in the exercise's namespace as a learner has it.
const KUBECTL: &str = r#"kubectl() { "$TUTOR_PROGRAM" kubectl --namespace "$TUTOR_NAMESPACE" "$@"; }"#;

/// A running script.
#[derive(Debug)]
pub struct Script {
    shell: Child,
}

impl Script {
    /// Starts `text`, the contents of `file`.
    ///
    /// # Errors
    /// When there is no shell, or the cluster is none that kubectl can be pointed at.
    pub fn start(file: &str, text: &str, kubeconfig: Option<&Path>, namespace: &str) -> Result<Script> {
        use std::os::unix::process::CommandExt;
        let cannot = |why: String| Error::new(format!("{file} cannot be run"), why);
        let kubeconfig = kubeconfig.ok_or_else(|| cannot("this cluster has no kubeconfig of its own".to_owned()))?;
        let program = std::env::current_exe().map_err(|why| cannot(why.to_string()))?;
        let shell = Command::new("sh")
            .args(["-c", &format!("{KUBECTL}\n{text}")])
            .env("TUTOR_PROGRAM", program)
            .env("TUTOR_NAMESPACE", namespace)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|why| cannot(why.to_string()))?;
        Ok(Script { shell })
    }
}

/// How long a script that ends may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// Before such a script: `tutor`, too; and what fails ends it.
const PRELUDE: &str = "set -e\ntutor() { \"$TUTOR_PROGRAM\" \"$@\"; }";

/// Runs `text`, the contents of `file`, to its end, in the learner's folder. `$EXERCISE` is the folder of all the
/// exercise's files, `$REGISTRY` the playground's registry.
///
/// # Errors
/// When there is no shell, or a command failed: its last words.
pub async fn run_to_end(
    file: &str,
    text: &str,
    playground: &Playground,
    folder: &Folder,
    namespace: &str,
    clock: Clock,
) -> Result<()> {
    let cannot = |why: String| Error::new(format!("{file} cannot be run"), why);
    let program = std::env::current_exe().map_err(|why| cannot(why.to_string()))?;
    let shell = tokio::process::Command::new("sh")
        .args(["-c", &format!("{KUBECTL}\n{PRELUDE}\n{text}")])
        .current_dir(&folder.learner)
        .env("TUTOR_PROGRAM", program)
        .env("TUTOR_NAMESPACE", namespace)
        .env("TUTOR_STATE_DIR", &playground.state_dir)
        .env("KUBECONFIG", &playground.kubeconfig)
        .env("REGISTRY", &playground.registry)
        .env("EXERCISE", &folder.exercise)
        .env("DOCKER_CONFIG", folder.learner.join(".docker"))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|why| cannot(why.to_string()))?;
    let group = shell.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let Ok(ended) = clock.timeout(PATIENCE, shell.wait_with_output()).await else {
        // The shell is gone with the wait; its children go here.
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        return Err(Error::new(format!("{file} did not end"), format!("waited {} s", PATIENCE.as_secs())));
    };
    let ended = ended.map_err(|why| cannot(why.to_string()))?;
    match ended.status.success() {
        true => Ok(()),
        false => Err(Error::new(format!("{file} failed"), images::last_lines(&ended.stderr))),
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It leads a group of its own, so its children end with it; it may have ended by itself.
        if let Some(group) = i32::try_from(self.shell.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.shell.wait();
    }
}
