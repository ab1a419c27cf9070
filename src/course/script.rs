//! A shell script that runs beside a check: the loop a learner would have running in a terminal.
//!
//! In: the text of a script, and the cluster it is for. Out: a running shell with `kubectl` in it,
//! ended with all its children when dropped. Only `tutor dev check` runs scripts, and only those
//! that come with an exercise.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::{Error, Result};

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

impl Drop for Script {
    fn drop(&mut self) {
        // It leads a group of its own, so its children end with it; it may have ended by itself.
        if let Some(group) = i32::try_from(self.shell.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.shell.wait();
    }
}
