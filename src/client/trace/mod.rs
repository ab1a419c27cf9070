//! The chain from a command to a running process: each write, and the earlier write that made it.
//!
//! In: the API server's record of writes (`/tutor/writes`), each with the revisions it reacted to.
//! Out: [`Chain`]s: a first write that nothing caused, and what followed from it, as a tree. Pure but
//! for [`read`] and [`at`], which ask the API server. It never guesses: a write whose cause the
//! record no longer holds begins a chain of its own. Chapter: `book/src/control-plane/one-command.md`.

use std::collections::BTreeMap;

use http::Request;
use jiff::Timestamp;
use kube::Client;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::resource;
use crate::error::{Error, Result};

mod change;

pub use change::{Change, changes};

/// Resources that tell of writes or of being alive; they are part of a chain only when asked for.
const ASIDE: &[&str] = &["events", "leases"];

/// One acknowledged write, as the record has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The store's revision that it made.
    pub revision: i64,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub user: String,
    /// With which program: the User-Agent up to the first slash.
    pub component: String,
    /// `create`, `update`, `patch`, `apply`, `delete`, …
    pub verb: String,
    /// API group; empty for the core.
    pub group: String,
    /// Plural resource name.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Paths that changed: `spec.nodeName`.
    pub fields: Vec<String>,
    /// Revisions that made the writer write.
    pub causes: Vec<i64>,
}

impl Write {
    /// Who wrote, in the words of the book: a part of the cluster by its name, or the program that
    /// a person used.
    pub fn who(&self) -> String {
        let user = self.user.as_str();
        if let Some(loop_) = user.strip_prefix("system:serviceaccount:kube-system:") {
            loop_.to_owned()
        } else if let Some(node) = user.strip_prefix("system:node:") {
            format!("kubelet {node}")
        } else if let Some(part) = user.strip_prefix("system:kube-") {
            format!("kube-{part}")
        } else if let Some(account) = user.strip_prefix("system:serviceaccount:") {
            format!("{account} ({})", self.component)
        } else {
            self.component.clone()
        }
    }

    /// Whether a person or a program of theirs wrote, and not a part of the cluster.
    pub fn is_command(&self) -> bool {
        let of_cluster = ["system:serviceaccount:kube-system:", "system:node:", "system:kube-", "system:apiserver"];
        !of_cluster.iter().any(|prefix| self.user.starts_with(prefix)) && !self.component.starts_with("tutor")
    }

    /// `pods/web-1`, with the subresource that was written: `pods/web-1/status`.
    pub fn what(&self) -> String {
        let sub = if self.subresource.is_empty() { String::new() } else { format!("/{}", self.subresource) };
        format!("{}/{}{sub}", self.resource, self.name)
    }

    fn is_about(&self, object: &Object) -> bool {
        self.resource == object.resource && self.namespace == object.namespace && self.name == object.name
    }

    fn is_aside(&self) -> bool {
        ASIDE.contains(&self.resource.as_str())
    }
}

/// An object, by the names that paths use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Plural resource name.
    pub resource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Object {
    /// Reads `deployment/web`, `deploy/web` or `deployments.apps/web`. `namespace` is for kinds that
    /// have one. A word that is no built-in kind's name is taken for a plural.
    ///
    /// # Errors
    /// When it is not `KIND/NAME`.
    pub fn parse(text: &str, namespace: &str) -> Result<Object> {
        let halves = text.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty());
        let Some((kind, name)) = halves else {
            return Err(Error::new(format!("{text} names no object"), "an object is named KIND/NAME")
                .hint("for example: tutor trace deployment/web"));
        };
        let word = kind.split('.').next().unwrap_or(kind).to_lowercase();
        let known = resource::builtin().iter().find(|resource| {
            *resource.plural == *word
                || *resource.singular == *word
                || resource.short_names.iter().any(|short| **short == *word)
        });
        let namespaced = known.is_none_or(|resource| resource.namespaced());
        Ok(Object {
            resource: known.map_or(word, |resource| resource.plural.to_string()),
            namespace: if namespaced { namespace.to_owned() } else { String::new() },
            name: name.to_owned(),
        })
    }
}

/// Whose chain is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The chains that wrote this object.
    Of(Object),
    /// The chain of the last command.
    LastCommand,
}

/// One write in a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The write.
    #[serde(flatten)]
    pub write: Write,
    /// Who wrote, in the book's words.
    pub who: String,
    /// How many writes lie between it and the command, which has 0.
    pub depth: usize,
    /// The revision of the write that made it; none for the first.
    pub because_of: Option<i64>,
    /// Milliseconds after the first write.
    pub after_ms: i64,
}

/// What followed from one first write, itself included: a tree, parents before children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// The writes.
    pub steps: Vec<Step>,
}

/// The chains of `subject`, oldest first. Events and leases are left out unless `with_events`.
pub fn chains(writes: &[Write], subject: &Subject, with_events: WithEvents) -> Vec<Chain> {
    let tree = Tree::of(writes);
    let mut roots: Vec<i64> = match subject {
        Subject::Of(object) => {
            writes.iter().filter(|write| write.is_about(object)).map(|write| tree.root(write.revision)).collect()
        }
        Subject::LastCommand => {
            let commands = writes.iter().filter(|write| write.is_command() && !write.is_aside());
            commands.max_by_key(|write| write.revision).map(|write| tree.root(write.revision)).into_iter().collect()
        }
    };
    roots.sort_unstable();
    roots.dedup();
    roots.into_iter().map(|root| tree.chain(root, with_events)).collect()
}

/// Whether a chain shows the events that its writers told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum WithEvents {
    Yes,
    No,
}

/// Writes by revision, each under the newest of its causes that is known.
struct Tree<'a> {
    writes: BTreeMap<i64, &'a Write>,
    parents: BTreeMap<i64, i64>,
    children: BTreeMap<i64, Vec<i64>>,
}

impl<'a> Tree<'a> {
    fn of(writes: &'a [Write]) -> Tree<'a> {
        let writes: BTreeMap<i64, &Write> = writes.iter().map(|write| (write.revision, write)).collect();
        let (mut parents, mut children) = (BTreeMap::new(), BTreeMap::<i64, Vec<i64>>::new());
        for (revision, write) in &writes {
            // Earlier by definition: so there is no way round in circles.
            let earlier = write.causes.iter().filter(|cause| *cause < revision && writes.contains_key(cause));
            if let Some(parent) = earlier.max() {
                parents.insert(*revision, *parent);
                children.entry(*parent).or_default().push(*revision);
            }
        }
        Tree { writes, parents, children }
    }

    fn root(&self, mut revision: i64) -> i64 {
        while let Some(parent) = self.parents.get(&revision) {
            revision = *parent;
        }
        revision
    }

    fn chain(&self, root: i64, with_events: WithEvents) -> Chain {
        let begun = self.writes[&root].time;
        let mut steps = Vec::new();
        let mut next = vec![(root, 0)];
        while let Some((revision, depth)) = next.pop() {
            let write = self.writes[&revision];
            // The first write is shown whatever it is; what a hidden one caused is not lost.
            let shown = depth == 0 || with_events == WithEvents::Yes || !write.is_aside();
            if shown {
                steps.push(Step {
                    write: write.clone(),
                    who: write.who(),
                    depth,
                    because_of: self.parents.get(&revision).copied(),
                    after_ms: write.time.as_millisecond() - begun.as_millisecond(),
                });
            }
            let below = self.children.get(&revision).map(Vec::as_slice).unwrap_or_default();
            next.extend(below.iter().rev().map(|child| (*child, depth + usize::from(shown))));
        }
        Chain { steps }
    }
}

/// Reads the API server's record.
///
/// # Errors
/// When it does not answer, or is no playground's.
pub async fn read(client: &Client) -> Result<Vec<Write>> {
    let no_record = |why: String| {
        Error::new("this cluster keeps no record of its writes", why)
            .hint("only a playground does: start one with `tutor serve`")
    };
    let answer = get(client, "/tutor/writes").await.map_err(|error| no_record(error.to_string()))?;
    let items = answer.get("items").cloned().unwrap_or_default();
    serde_json::from_value(items).map_err(|error| no_record(error.to_string()))
}

/// An object as it was at a revision; none when it was not there.
///
/// # Errors
/// When the API server refuses: the revision is compacted, or lies in the future.
pub async fn at(client: &Client, write: &Write, revision: i64) -> Result<Option<Value>> {
    let version = resource::builtin()
        .iter()
        .find(|resource| *resource.group == *write.group && *resource.plural == *write.resource)
        .map_or_else(|| "v1".to_owned(), |resource| resource.version.to_string());
    let prefix =
        if write.group.is_empty() { format!("/api/{version}") } else { format!("/apis/{}/{version}", write.group) };
    let namespace = if write.namespace.is_empty() { String::new() } else { format!("/namespaces/{}", write.namespace) };
    let path = format!(
        "{prefix}{namespace}/{}?fieldSelector=metadata.name%3D{}&resourceVersion={revision}&resourceVersionMatch=Exact",
        write.resource, write.name
    );
    let list = get(client, &path).await.map_err(|error| {
        let why = match error {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        };
        Error::new(format!("{} cannot be read as of revision {revision}", write.what()), why)
            .hint("history is kept for a while only; trace a newer write")
    })?;
    Ok(list.pointer("/items/0").cloned())
}

async fn get(client: &Client, path: &str) -> std::result::Result<Value, kube::Error> {
    let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    client.request(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(revision: i64, user: &str, what: &str, causes: &[i64]) -> Write {
        let (resource, name) = what.split_once('/').unwrap();
        Write {
            revision,
            time: Timestamp::from_millisecond(revision * 10).unwrap(),
            user: user.into(),
            component: "kubectl".into(),
            verb: "create".into(),
            group: String::new(),
            resource: resource.into(),
            subresource: String::new(),
            namespace: "default".into(),
            name: name.into(),
            fields: Vec::new(),
            causes: causes.to_vec(),
        }
    }

    fn record() -> Vec<Write> {
        let loop_ = "system:serviceaccount:kube-system:deployment-controller";
        vec![
            write(5, "kubernetes-admin", "deployments/web", &[]),
            write(6, loop_, "replicasets/web-1", &[5]),
            write(7, loop_, "events/told", &[5]),
            write(8, "system:kube-scheduler", "pods/web-1-a", &[6, 7]),
            write(9, "kubernetes-admin", "configmaps/other", &[]),
            write(11, "system:node:node-1", "pods/web-1-a", &[8, 3]),
        ]
    }

    #[test]
    fn a_pods_chain_begins_with_the_command_and_goes_through_every_part() {
        let subject = Subject::Of(Object::parse("pod/web-1-a", "default").unwrap());
        let chains = chains(&record(), &subject, WithEvents::No);
        let shown: Vec<_> =
            chains[0].steps.iter().map(|step| (step.depth, step.who.as_str(), step.because_of)).collect();
        assert_eq!(chains.len(), 1);
        assert_eq!(
            shown,
            [
                (0, "kubectl", None),
                (1, "deployment-controller", Some(5)),
                // Caused by a hidden event: it takes that event's place.
                (1, "kube-scheduler", Some(7)),
                (2, "kubelet node-1", Some(8)),
            ]
        );
        assert_eq!(chains[0].steps[3].after_ms, 60);
    }

    #[test]
    fn the_last_command_is_a_persons_not_a_loops() {
        let chains = chains(&record(), &Subject::LastCommand, WithEvents::No);
        assert_eq!(chains[0].steps[0].write.what(), "configmaps/other");
        assert_eq!(chains[0].steps.len(), 1);
    }

    #[test]
    fn an_object_is_named_as_kubectl_names_it() {
        let resource = |text| Object::parse(text, "n").map(|object| (object.resource, object.namespace));
        for text in ["deployment/web", "deploy/web", "deployments.apps/web"] {
            assert_eq!(resource(text).unwrap(), ("deployments".into(), "n".into()), "{text}");
        }
        assert_eq!(resource("node/a").unwrap(), ("nodes".into(), String::new()));
        assert_eq!(resource("trainings/a").unwrap().0, "trainings");
        assert!(resource("web").is_err());
    }
}
