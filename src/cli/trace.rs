//! `tutor trace`: from a command through every part's write that it caused.

use std::io::Write;

use serde_json::Value;

use super::{Outcome, closed_output};
use crate::client;
use crate::client::trace::{self, Chain, Change, Object, Step, Subject, WithEvents};
use crate::error::{Error, Result};
use crate::state::StateDir;

#[derive(Debug, clap::Args)]
pub struct Trace {
    /// Whose writes: KIND/NAME, such as deployment/web
    #[arg(required_unless_present = "last", conflicts_with = "last")]
    object: Option<String>,
    /// The chain of the last command
    #[arg(long)]
    last: bool,
    /// The object's namespace [default: the kubeconfig's current one]
    #[arg(short, long)]
    namespace: Option<String>,
    /// Every chain that wrote the object, not only the last
    #[arg(long, conflicts_with = "last")]
    all: bool,
    /// Show the events that the parts told, too
    #[arg(long)]
    events: bool,
    /// What the write of this revision changed
    #[arg(long, value_name = "REVISION")]
    at: Option<i64>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

impl Trace {
    pub async fn run(self, state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
        let playground = state.playground()?;
        let client = client::from_playground(&playground).await?;
        let namespace = self.namespace.clone().or_else(|| client::current_namespace(&playground.kubeconfig));
        let subject = match &self.object {
            Some(text) => Subject::Of(Object::parse(text, namespace.as_deref().unwrap_or("default"))?),
            None => Subject::LastCommand,
        };
        let with_events = if self.events { WithEvents::Yes } else { WithEvents::No };
        let writes = trace::read(&client).await?;
        let mut chains = trace::chains(&writes, &subject, with_events);
        if let Some(revision) = self.at {
            return self.show_change(&client, &chains, revision, out).await;
        }
        let earlier = if self.all { 0 } else { chains.len().saturating_sub(1) };
        chains.drain(..earlier);
        if chains.is_empty() {
            return Err(nothing(&subject));
        }
        if self.json {
            let all = serde_json::to_value(&chains).map_err(|e| Error::new("no trace", e.to_string()))?;
            writeln!(out, "{}", serde_json::json!({"chains": all})).map_err(closed_output)?;
            return Ok(Outcome::Done);
        }
        print(&chains, earlier, out).map_err(closed_output)?;
        Ok(Outcome::Done)
    }

    async fn show_change(
        &self,
        client: &kube::Client,
        chains: &[Chain],
        revision: i64,
        out: &mut dyn Write,
    ) -> Result<Outcome> {
        let steps = chains.iter().flat_map(|chain| &chain.steps);
        let step = steps.into_iter().find(|step| step.write.revision == revision).ok_or_else(|| {
            Error::new(
                format!("revision {revision} is not in this trace"),
                "each line of the trace begins with its revision",
            )
            .hint("see them: the same command without --at")
        })?;
        let before = trace::at(client, &step.write, revision - 1).await?;
        let after = trace::at(client, &step.write, revision).await?;
        let changes = trace::changes(before.as_ref(), after.as_ref());
        if self.json {
            let document = serde_json::json!({"write": step, "before": before, "after": after, "changes": changes});
            writeln!(out, "{document}").map_err(closed_output)?;
            return Ok(Outcome::Done);
        }
        writeln!(out, "revision {revision}: {} {} {}", step.who, verb(step), step.write.what())
            .map_err(closed_output)?;
        for change in &changes {
            writeln!(out, "  {}", line(change)).map_err(closed_output)?;
        }
        Ok(Outcome::Done)
    }
}

fn nothing(subject: &Subject) -> Error {
    match subject {
        Subject::Of(object) => {
            let place = if object.namespace.is_empty() { String::new() } else { format!(" in {}", object.namespace) };
            Error::new(
                format!("nobody wrote {}/{}{place}", object.resource, object.name),
                "the playground remembers its latest writes since it started, and this is in none of them",
            )
            .hint("is the name right? kubectl get all -A")
            .hint("another namespace: tutor trace KIND/NAME -n NAMESPACE")
        }
        Subject::LastCommand => {
            Error::new("no command has written anything", "the playground remembers writes since it started")
                .hint("write something: kubectl create deployment web --image=tutor/web:1")
        }
    }
}

fn print(chains: &[Chain], earlier: usize, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{:>8}  {:>9}  WRITES", "REVISION", "AFTER")?;
    for chain in chains {
        for step in &chain.steps {
            let indent = "  ".repeat(step.depth);
            let after = format!("{} ms", step.after_ms);
            let fields = fields(&step.write.fields);
            writeln!(
                out,
                "{:>8}  {after:>9}  {indent}{} {} {}{fields}",
                step.write.revision,
                step.who,
                verb(step),
                step.write.what()
            )?;
        }
    }
    if earlier > 0 {
        writeln!(out, "({earlier} earlier: --all shows them)")?;
    }
    Ok(())
}

/// The verb as a sentence needs it: "kube-scheduler creates pods/web-1/binding".
fn verb(step: &Step) -> String {
    match step.write.verb.as_str() {
        "patch" => "patches".to_owned(),
        "apply" => "applies".to_owned(),
        other => format!("{other}s"),
    }
}

/// The fields a write changed, the most telling few.
fn fields(all: &[String]) -> String {
    const MOST: usize = 4;
    let telling: Vec<&str> = all.iter().map(String::as_str).filter(|path| !path.starts_with("metadata.")).collect();
    match telling.len() {
        0 => String::new(),
        n if n <= MOST => format!("  ({})", telling.join(", ")),
        n => format!("  ({}, and {} more)", telling[..MOST].join(", "), n - MOST),
    }
}

fn line(change: &Change) -> String {
    let shown = |value: &Value| {
        let text = value.to_string();
        if text.chars().count() > 80 { format!("{}…", text.chars().take(80).collect::<String>()) } else { text }
    };
    match (&change.before, &change.after) {
        (None, Some(after)) => format!("+ {}: {}", change.path, shown(after)),
        (Some(before), None) => format!("- {}: {}", change.path, shown(before)),
        (before, after) => {
            let side = |value: &Option<Value>| value.as_ref().map_or_else(String::new, shown);
            format!("~ {}: {} → {}", change.path, side(before), side(after))
        }
    }
}
