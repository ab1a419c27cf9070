//! `kubectl` and `tutor` in the terminal: the same functions that the command line calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::super::editor::PageEditor;
use super::super::home::Folder;
use super::super::pipes::{Ended, Fault};
use super::super::shell::{Context, Screen};
use super::Call;
use crate::course::catalogue::{self, Catalogue};
use crate::course::progress::ProgressFile;
use crate::kubectl;
use crate::kubectl::session::{Console, Environment, Reach, Session, Target, Terminal};

/// `kubectl`
pub async fn kubectl(call: &Call) -> Ended {
    let session = session(&call.context);
    Ok(kubectl::run(&session, &call.arguments).await)
}

/// `tutor`
pub async fn tutor(call: &Call) -> Ended {
    if let Some((first, rest)) = call.arguments.split_first()
        && first == "kubectl"
    {
        let session = session(&call.context);
        return Ok(kubectl::run(&session, rest).await);
    }
    let context = &call.context;
    let world = &context.world;
    let (words, folder) = (call.arguments.clone(), context.state.lock().folder.clone());
    let code = world.commands.run(words, folder, context.out.clone(), context.err.clone(), context.stop.clone()).await;
    if code == 0 && call.arguments.first().is_some_and(|word| matches!(word.as_str(), "start" | "reset")) {
        starting_files(call).await?;
    }
    Ok(code)
}

/// Puts the files of the exercise that was started where they can be edited, and says so.
async fn starting_files(call: &Call) -> Result<(), Fault> {
    let world = &call.context.world;
    let progress = ProgressFile::new(&world.playground.state_dir).read().map_err(|error| Fault::Said(error.what))?;
    let current = progress.current.and_then(|name| Catalogue::get().ok()?.find(&name).ok());
    let Some(exercise) = current else { return Ok(()) };
    world.home.begin(exercise)?;
    for (name, _) in catalogue::folder(exercise, "start") {
        call.context
            .err
            .line(format!("file: ~/{}/{name} (edit it: edit ~/{}/{name})", exercise.name, exercise.name).as_bytes())
            .await?;
    }
    Ok(())
}

/// A session of kubectl in this terminal.
pub fn session(context: &Context) -> Session {
    let world = &context.world;
    let state = context.state.lock();
    let mut variables: BTreeMap<String, String> = state.variables.clone();
    variables.insert("HOME".into(), "/".into());
    let at = state.folder.clone();
    drop(state);
    let environment = Environment {
        variables,
        stdin_is_terminal: context.typed,
        stdout_is_terminal: context.shown,
        size: context.shown.then(|| *context.screen.sizes.borrow()),
        program: "kubectl".into(),
        process: std::process::id(),
    };
    let kubeconfig = world.playground.kubeconfig.clone();
    Session {
        console: Console::new(context.out.writer(), context.err.writer()),
        stdin: context.stdin.clone(),
        files: Arc::new(Folder { home: world.home.clone(), at, kubeconfig: kubeconfig.clone() }),
        environment: Arc::new(environment),
        target: Arc::new(Target {
            kubeconfigs: vec![kubeconfig.clone()],
            client: None,
            own_kubeconfig: Some(kubeconfig),
            reach: Reach::Only(world.playground.api.clone()),
        }),
        clock: world.clock,
        stop: context.stop.clone(),
        tasks: world.tasks.clone(),
        editor: Some(Arc::new(PageEditor::new(context.screen.clone()))),
        terminal: context.typed.then(|| Arc::new(context.screen.clone()) as Arc<dyn Terminal>),
        listening: world.listening.clone(),
    }
}

impl Terminal for Screen {
    fn sizes(&self) -> watch::Receiver<(u16, u16)> {
        self.sizes.clone()
    }

    fn raw(&self) -> Box<dyn Send + Sync> {
        // A tab that is gone has no keys.
        let _ = self.raw.send(true);
        Box::new(Raw(self.clone()))
    }
}

/// Every key is handed on until this is dropped.
struct Raw(Screen);

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = self.0.raw.send(false);
    }
}
