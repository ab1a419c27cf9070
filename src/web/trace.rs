//! The page's timeline: chains of writes, and what each of them changed.
//!
//! | call | answers |
//! |---|---|
//! | `GET trace?of=deployment/web&namespace=default` | `{"chains": […]}`: the chains that wrote the object, oldest first |
//! | `GET trace?last=true` | the chain of the last command |
//! | `GET trace?…&at=REVISION` | `{"write", "changes", "after", "yaml"}`: what that write changed, and the object then |
//!
//! Chapter: `book/src/control-plane/one-command.md`.

use serde_json::{Value, json};

use super::Site;
use super::guard::Asked;
use crate::api::{meta, yaml};
use crate::client::trace::{self, Chain, Object, Subject, WithEvents};
use crate::error::{Error, Result};

/// Answers `GET trace`. Runs in a task of the playground: the page and the API server are one
/// process, and warp cannot answer a request inside of answering another in the same task.
pub async fn answer(site: &Site, asked: &Asked) -> Result<Value> {
    let subject = match asked.query("of") {
        Some(of) => Subject::Of(Object::parse(&of, asked.query("namespace").as_deref().unwrap_or("default"))?),
        None => Subject::LastCommand,
    };
    let with_events = if asked.query("events").as_deref() == Some("true") { WithEvents::Yes } else { WithEvents::No };
    let at = match asked.query("at").map(|text| text.parse::<i64>()) {
        None => None,
        Some(Ok(revision)) => Some(revision),
        Some(Err(_)) => return Err(Error::new("at is a revision", "a whole number")),
    };
    let client = site.0.cluster.client("tutor-page");
    site.apart("trace", async move {
        let chains = trace::chains(&trace::read(&client).await?, &subject, with_events);
        match at {
            None => Ok(json!({"chains": chains})),
            Some(revision) => change(&client, &chains, revision).await,
        }
    })
    .await
}

async fn change(client: &kube::Client, chains: &[Chain], revision: i64) -> Result<Value> {
    let mut steps = chains.iter().flat_map(|chain| &chain.steps);
    let step = steps
        .find(|step| step.write.revision == revision)
        .ok_or_else(|| Error::new(format!("revision {revision} is not in this trace"), ""))?;
    let before = trace::at(client, &step.write, revision - 1).await?;
    let after = trace::at(client, &step.write, revision).await?;
    let changes = trace::changes(before.as_ref(), after.as_ref());
    // Who owns which field is not what a reader opens it for.
    let text = after.clone().map(|mut object| {
        meta::remove(&mut object, &["metadata", "managedFields"]);
        yaml::to_string(&object)
    });
    Ok(json!({"write": step, "changes": changes, "after": after, "yaml": text}))
}
