//! `tutor status`: what runs, where, and why so.

use std::io::Write;

use super::{Outcome, closed_output};
use crate::client::page::Page;
use crate::cluster;
use crate::error::{Error, Result};
use crate::images::Logins;
use crate::state::StateDir;

#[derive(Debug, clap::Args)]
pub struct Status {
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// The registry that wants a login, and where that is.
fn private(state: &StateDir) -> String {
    let file = state.join(cluster::LOGIN);
    match (Logins::at(&file).registries().next(), file.parent()) {
        (Some(registry), Some(folder)) => {
            format!("{registry}  a registry with a login: DOCKER_CONFIG={}", folder.display())
        }
        _ => "no registry with a login: 127.0.0.2 is not to be had on this machine".to_owned(),
    }
}

impl Status {
    pub async fn run(self, state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
        let playground = state.playground()?;
        let live = Page::of(&playground).get("/api/status").await?;
        if self.json {
            let mut all = serde_json::to_value(&playground).map_err(|e| Error::new("no status", e.to_string()))?;
            all["live"] = live;
            writeln!(out, "{all}").map_err(closed_output)?;
            return Ok(Outcome::Done);
        }
        let text = |key: &str| live[key].as_str().unwrap_or("unknown").to_owned();
        let lines = [
            ("book", playground.book.clone()),
            ("cluster", format!("{}  {} nodes, {} runtime", playground.api, live["nodes"], text("runtime"))),
            ("why", text("runtimeReason")),
            ("registry", playground.registry.clone()),
            ("ingress", playground.ingress.as_ref().map_or("not served".to_owned(), |at| format!("http://{at}/"))),
            ("private", private(state)),
            ("kubectl", format!("export KUBECONFIG={}", playground.kubeconfig.display())),
            ("state", playground.state_dir.display().to_string()),
            ("process", format!("{} (tutor {})", playground.pid, playground.version)),
        ];
        for (name, value) in lines {
            writeln!(out, "{name:<9} {value}").map_err(closed_output)?;
        }
        Ok(Outcome::Done)
    }
}
