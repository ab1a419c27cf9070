//! `tutor controllers`: the cluster's loops, and a switch for each.

use std::io::Write;

use serde_json::{Value, json};

use super::Outcome;
use crate::client::page::Page;
use crate::error::Result;
use crate::state::StateDir;

#[derive(Debug, clap::Args)]
pub struct Controllers {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Stop a loop before its next turn; the cluster goes on without it
    Pause { name: String },
    /// Let a paused loop take one turn
    Step { name: String },
    /// Let a loop run again
    Resume { name: String },
}

impl Controllers {
    pub async fn run(self, state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
        let page = Page::of(&state.playground()?);
        let (answer, only) = match self.action {
            None => (page.get("/api/switches").await?, None),
            Some(action) => {
                let (name, state) = match action {
                    Action::Pause { name } => (name, "paused"),
                    Action::Step { name } => (name, "step"),
                    Action::Resume { name } => (name, "on"),
                };
                (page.post("/api/switches", &json!({"name": name, "state": state})).await?, Some(name))
            }
        };
        let full = only.as_ref().map(|name| format!("{name}-controller"));
        let meant = |switch: &&Value| {
            [&only, &full].iter().any(|name| name.as_ref().is_none_or(|name| switch["name"] == **name))
        };
        for switch in answer["switches"].as_array().into_iter().flatten().filter(meant) {
            let text = |key: &str| switch.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
            writeln!(out, "{:<42} {}", text("name"), text("state")).map_err(super::closed_output)?;
        }
        Ok(Outcome::Done)
    }
}
