//! `tutor kubectl …`, and this program started under the name `kubectl`.
//!
//! Gives the room `kubectl/` the process's streams, files and environment. The cluster is the playground
//! that runs on the state folder; where none runs, what `$KUBECONFIG` or `~/.kube/config` names.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::kubectl::session::{Console, Disk, Editor, Environment, Listening, Reach, Target, Terminal};
use crate::kubectl::{self, Session};
use crate::state::StateDir;
use crate::tasks::TaskGroup;

/// The words behind `kubectl`, when the process was started as `kubectl …` or `tutor kubectl …`.
pub fn words(arguments: &[String]) -> Option<Vec<String>> {
    let (program, rest) = arguments.split_first()?;
    if Path::new(program).file_name().is_some_and(|name| name == "kubectl") {
        return Some(rest.to_vec());
    }
    match rest.split_first() {
        Some((first, words)) if first == "kubectl" => Some(words.to_vec()),
        _ => None,
    }
}

/// Runs one command line; its exit code is kubectl's.
pub fn main(words: &[String], state_dir: Option<&Path>) -> ExitCode {
    let Ok(runtime) = super::one_thread() else { return ExitCode::from(2) };
    let code = runtime.block_on(async {
        let terminal = own_terminal();
        let session = session(state_dir, terminal.clone());
        let stop = session.stop.clone();
        let interrupted = async {
            // Without a signal handler Ctrl-C ends the process, which is what it should do.
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            code = kubectl::run(&session, words) => code,
            () = interrupted => 130,
            () = resized(terminal) => 130,
        }
    });
    // A read of standard input that is still waiting must not keep the process.
    runtime.shutdown_background();
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn session(state_dir: Option<&Path>, terminal: Option<Arc<Tty>>) -> Session {
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let out = std::io::stdout();
    let environment = Environment {
        stdin_is_terminal: std::io::stdin().is_terminal(),
        stdout_is_terminal: out.is_terminal(),
        size: size(&out),
        program: "kubectl".into(),
        process: std::process::id(),
        variables,
    };
    let target = target(&environment, state_dir);
    Session {
        console: Console::new(Box::pin(stream(&std::io::stdout())), Box::pin(stream(&std::io::stderr()))),
        stdin: Arc::new(tokio::sync::Mutex::new(Box::pin(stream(&std::io::stdin())))),
        files: Arc::new(Disk::default()),
        environment: Arc::new(environment),
        target: Arc::new(target),
        clock: Clock::real(),
        stop: CancellationToken::new(),
        tasks: TaskGroup::new(),
        editor: Some(Arc::new(Program)),
        terminal: terminal.map(|terminal| terminal as Arc<dyn Terminal>),
        listening: Listening::default(),
    }
}

/// The terminal that standard input and output are, when both are one.
fn own_terminal() -> Option<Arc<Tty>> {
    let size = size(&std::io::stdout()).filter(|_| std::io::stdin().is_terminal())?;
    Some(Arc::new(Tty(watch::Sender::new(size))))
}

/// Notes each new size of the terminal. Never ends.
async fn resized(terminal: Option<Arc<Tty>>) {
    use tokio::signal::unix::{SignalKind, signal};
    if let (Some(terminal), Ok(mut changes)) = (terminal, signal(SignalKind::window_change())) {
        while changes.recv().await.is_some() {
            if let Some(size) = size(&std::io::stdout()) {
                terminal.0.send_replace(size);
            }
        }
    }
    std::future::pending().await
}

/// The process's terminal.
struct Tty(watch::Sender<(u16, u16)>);

impl Terminal for Tty {
    fn sizes(&self) -> watch::Receiver<(u16, u16)> {
        self.0.subscribe()
    }

    fn raw(&self) -> Box<dyn Send + Sync> {
        use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
        let stdin = std::io::stdin();
        let Ok(before) = tcgetattr(&stdin) else { return Box::new(()) };
        let mut raw = before.clone();
        raw.make_raw();
        // A terminal that cannot be set works line by line.
        let _ = tcsetattr(&stdin, OptionalActions::Now, &raw);
        Box::new(Restore(before))
    }
}

/// Puts the terminal back when dropped.
struct Restore(rustix::termios::Termios);

impl Drop for Restore {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// One of the process's own streams, for asynchronous use.
fn stream(of: &impl AsFd) -> tokio::fs::File {
    // A process whose standard streams are closed reads nothing and writes nowhere.
    let own = of.as_fd().try_clone_to_owned().map(std::fs::File::from).or_else(|_| std::fs::File::open("/dev/null"));
    match own {
        Ok(file) => tokio::fs::File::from_std(file),
        Err(fault) => panic!("neither a standard stream nor /dev/null can be opened: {fault}"),
    }
}

fn size(out: &std::io::Stdout) -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(out).ok()?;
    Some((size.ws_col, size.ws_row))
}

/// The playground's kubeconfig first, then the learner's own files, which are only read.
fn target(environment: &Environment, state_dir: Option<&Path>) -> Target {
    let state = StateDir::resolve(state_dir).ok();
    let playground = state.as_ref().and_then(|state| state.playground().ok());
    let own = playground.map(|playground| playground.kubeconfig);
    let mut kubeconfigs: Vec<PathBuf> = own.iter().cloned().collect();
    match environment.variables.get("KUBECONFIG").filter(|value| !value.is_empty()) {
        Some(list) => kubeconfigs.extend(std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty())),
        None => kubeconfigs.extend(environment.variables.get("HOME").map(|home| Path::new(home).join(".kube/config"))),
    }
    let own_kubeconfig = own.or_else(|| Some(state?.join("kubeconfig")).filter(|path| kubeconfigs.contains(path)));
    Target { kubeconfigs, client: None, own_kubeconfig, reach: Reach::Anywhere }
}

/// `$KUBE_EDITOR`, else `$EDITOR`, else `vi`, on a file of its own.
struct Program;

impl Editor for Program {
    fn edit<'a>(
        &'a self,
        text: &'a str,
        suffix: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<String>> + Send + 'a>> {
        Box::pin(async move {
            let name = format!("kubectl-edit-{}{suffix}", uuid::Uuid::new_v4());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, text)?;
            let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            let editor = variable("KUBE_EDITOR").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".into());
            let status = tokio::process::Command::new("sh")
                .arg("-c")
                .arg(format!("{editor} \"$1\""))
                .arg("sh")
                .arg(&path)
                .status()
                .await?;
            if !status.success() {
                return Err(std::io::Error::other(format!("problem running editor {editor}: {status}")));
            }
            let edited = std::fs::read_to_string(&path)?;
            // The file is in the temporary folder: what is left there is cleaned away by others.
            let _ = std::fs::remove_file(&path);
            Ok(edited)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Vec<String>> {
        words(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_name_or_the_first_word_says_kubectl() {
        assert_eq!(of("/usr/bin/kubectl get pods"), Some(vec!["get".into(), "pods".into()]));
        assert_eq!(of("tutor kubectl get"), Some(vec!["get".into()]));
        assert_eq!(of("tutor serve kubectl"), None);
    }
}
