//! `tutor etcd`: the store's keys, revisions and values, as they lie there.

use std::io::Write;

use form_urlencoded::Serializer;
use http::Request;
use serde_json::Value;

use super::{Outcome, closed_output};
use crate::client;
use crate::error::{Error, Result};
use crate::state::StateDir;

#[derive(Debug, clap::Args)]
pub struct Etcd {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Read a key, or with --prefix every key that begins so
    Get(Get),
    /// Watch a key, or with --prefix every key that begins so, until Ctrl-C
    Watch(Watch),
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The key, such as /registry/pods/default/web
    key: String,
    /// Every key that begins with KEY
    #[arg(long)]
    prefix: bool,
}

#[derive(Debug, clap::Args)]
struct Get {
    #[command(flatten)]
    which: Which,
    /// Keys only
    #[arg(long)]
    keys_only: bool,
    /// The number of keys only
    #[arg(long, conflicts_with = "keys_only")]
    count_only: bool,
    /// As of this revision
    #[arg(long, value_name = "REVISION")]
    rev: Option<i64>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Watch {
    #[command(flatten)]
    which: Which,
    /// From this revision on, which may be past
    #[arg(long, value_name = "REVISION")]
    rev: Option<i64>,
}

impl Etcd {
    pub async fn run(self, state: &StateDir, out: &mut dyn Write) -> Result<Outcome> {
        let client = client::from_playground(&state.playground()?).await?;
        match self.action {
            Action::Get(get) => get.run(&client, out).await,
            Action::Watch(watch) => watch.run(&client, out).await,
        }
    }
}

impl Which {
    fn path(&self, more: &[(&str, Option<String>)]) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("key", &self.key).append_pair("prefix", if self.prefix { "true" } else { "false" });
        for (name, value) in more {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        format!("/tutor/etcd?{}", query.finish())
    }
}

impl Get {
    async fn run(self, client: &kube::Client, out: &mut dyn Write) -> Result<Outcome> {
        let answer: Value = ask(client, &self.which.path(&[("rev", self.rev.map(|rev| rev.to_string()))])).await?;
        if self.json {
            writeln!(out, "{answer}").map_err(closed_output)?;
            return Ok(Outcome::Done);
        }
        let kvs = answer["kvs"].as_array().map(Vec::as_slice).unwrap_or_default();
        if self.count_only {
            writeln!(out, "{}", kvs.len()).map_err(closed_output)?;
            return Ok(Outcome::Done);
        }
        if kvs.is_empty() {
            let hint = if self.which.prefix {
                "see what there is: tutor etcd get --prefix --keys-only /registry/"
            } else {
                "did you mean --prefix?"
            };
            return Err(Error::new(format!("the store has no key {}", self.which.key), "").hint(hint));
        }
        for kv in kvs {
            self.print(kv, out).map_err(closed_output)?;
        }
        Ok(Outcome::Done)
    }

    fn print(&self, kv: &Value, out: &mut dyn Write) -> std::io::Result<()> {
        let key = kv["key"].as_str().unwrap_or_default();
        if self.keys_only {
            return writeln!(out, "{key}");
        }
        writeln!(
            out,
            "{key}\n  created at revision {}, last written at {}, version {}\n  {}",
            kv["create_revision"],
            kv["mod_revision"],
            kv["version"],
            kv["value"].as_str().unwrap_or_default().trim_end()
        )
    }
}

impl Watch {
    async fn run(self, client: &kube::Client, out: &mut dyn Write) -> Result<Outcome> {
        use futures::{AsyncBufReadExt, TryStreamExt};
        let path = self.which.path(&[("watch", Some("true".into())), ("rev", self.rev.map(|rev| rev.to_string()))]);
        let request = Request::get(&path).body(Vec::new()).map_err(|e| Error::new("not a key", e.to_string()))?;
        let ended = |why: String| {
            Error::new("the watch has ended", why).hint("start it again; --rev REVISION goes on where it was")
        };
        let stream = client.request_stream(request).await.map_err(|error| refused(&error))?;
        let mut lines = stream.lines();
        while let Some(line) = lines.try_next().await.map_err(|error| ended(error.to_string()))? {
            let event: Value = serde_json::from_str(&line).map_err(|error| ended(error.to_string()))?;
            if let Some(error) = event["error"].as_str() {
                return Err(ended(error.to_owned()));
            }
            let text = |key: &str| event[key].as_str().unwrap_or_default();
            writeln!(out, "{} {} {}", event["mod_revision"], text("type"), text("key")).map_err(closed_output)?;
            if !text("value").is_empty() {
                writeln!(out, "  {}", text("value").trim_end()).map_err(closed_output)?;
            }
        }
        Ok(Outcome::Done)
    }
}

async fn ask(client: &kube::Client, path: &str) -> Result<Value> {
    let request = Request::get(path).body(Vec::new()).map_err(|e| Error::new("not a key", e.to_string()))?;
    client.request(request).await.map_err(|error| refused(&error))
}

fn refused(error: &kube::Error) -> Error {
    let why = match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    };
    Error::new("the store cannot be read", why)
}
