//! A whole playground inside a test: `Playground::simulated().nodes(2).start().await`.
//!
//! It runs in the test's process on virtual time (use `#[tokio::test(start_paused = true)]`): when
//! nothing is left to do, time jumps to the next timer. There is no socket and no sleep.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde::Deserialize;
use serde_json::Value;
use tutor::api::resource;
use tutor::clock::Clock;
use tutor::cluster::{self, Cluster, Runtime, StoreIn};
use tutor::tasks::TaskGroup;

/// How long, in virtual time, an expectation waits before the test fails.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// The same in real time.
const REAL_PATIENCE: Duration = Duration::from_secs(150);
/// How long a playground may take to stop, on a busy machine.
const LONGEST_STOP: Duration = Duration::from_secs(120);

/// A running cluster, its client, and its clock.
pub struct Playground {
    /// The cluster itself.
    pub cluster: Cluster,
    /// `system:masters`.
    pub client: kube::Client,
    clock: Clock,
    patience: Duration,
    tasks: TaskGroup,
}

/// What kind of playground.
pub struct Builder {
    nodes: u16,
    clock: Clock,
    patience: Duration,
}

impl Builder {
    /// So many worker nodes.
    pub fn nodes(mut self, nodes: u16) -> Self {
        self.nodes = nodes;
        self
    }

    /// On real time, for tests in which the server talks to another one over a socket.
    pub fn in_real_time(self) -> Self {
        Builder { clock: Clock::real(), patience: REAL_PATIENCE, ..self }
    }

    /// Starts it and waits until its nodes are ready.
    pub async fn start(self) -> Playground {
        let clock = self.clock;
        let tasks = TaskGroup::new();
        let options = cluster::Options {
            store: StoreIn::Memory,
            nodes: self.nodes,
            runtime: Runtime::Simulated,
            controllers: vec!["all".into()],
            clock,
        };
        let cluster = Cluster::start(options, &tasks).await.unwrap();
        let client = cluster.client("test");
        let play = Playground { cluster, client, clock, patience: self.patience, tasks };
        for node in 1..=self.nodes {
            play.expect(&format!("node/node-{node}"), |node| {
                condition("Ready", "True")(node) && node["spec"].get("taints").is_none()
            })
            .await;
        }
        play
    }
}

impl Playground {
    /// A playground whose Pods have lives but no processes.
    pub fn simulated() -> Builder {
        let clock = Clock::virtual_from("2026-01-01T00:00:00Z".parse().unwrap());
        Builder { nodes: 2, clock, patience: PATIENCE }
    }

    /// The playground's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Lets virtual time pass.
    pub async fn advance(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    /// Applies YAML documents (server-side), or every `.yaml` file of a folder.
    pub async fn apply(&self, yaml_or_path: &str) {
        let text = if yaml_or_path.contains('\n') { yaml_or_path.to_owned() } else { read(Path::new(yaml_or_path)) };
        for document in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            let object: DynamicObject = serde_json::from_value(document).unwrap();
            let types = object.types.clone().unwrap();
            let name = object.metadata.name.clone().unwrap();
            let namespace = object.metadata.namespace.clone().unwrap_or_else(|| "default".into());
            let api = self.api(&types.kind.to_lowercase(), &namespace);
            let parameters = PatchParams::apply("test").force();
            api.patch(&name, &parameters, &Patch::Apply(&object)).await.unwrap();
        }
    }

    /// The API of a kind (`pod`, `deployments`, `deploy`) in a namespace.
    pub fn api(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let found = resource::builtin()
            .iter()
            .find(|r| {
                *r.plural == *kind
                    || r.kind.to_lowercase() == kind
                    || r.short_names.iter().any(|short| **short == *kind)
            })
            .unwrap_or_else(|| panic!("there is no kind {kind}"));
        let api_version = if found.group.is_empty() {
            found.version.to_string()
        } else {
            format!("{}/{}", found.group, found.version)
        };
        let types = ApiResource {
            group: found.group.to_string(),
            version: found.version.to_string(),
            api_version,
            kind: found.kind.to_string(),
            plural: found.plural.to_string(),
        };
        match found.scope {
            resource::Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace, &types),
            resource::Scope::Cluster => Api::all_with(self.client.clone(), &types),
        }
    }

    /// `kind/name` or `namespace/kind/name`.
    fn locate<'a>(&self, what: &'a str) -> (Api<DynamicObject>, &'a str) {
        let parts: Vec<&str> = what.split('/').collect();
        match parts[..] {
            [kind, name] => (self.api(kind, "default"), name),
            [namespace, kind, name] => (self.api(kind, namespace), name),
            _ => panic!("{what} is neither kind/name nor namespace/kind/name"),
        }
    }

    /// The object, if it is there.
    pub async fn get(&self, what: &str) -> Option<Value> {
        let (api, name) = self.locate(what);
        api.get_opt(name).await.unwrap().map(|object| serde_json::to_value(object).unwrap())
    }

    /// The objects of a kind in `default` that carry these labels (`""` for all).
    pub async fn list(&self, kind: &str, labels: &str) -> Vec<Value> {
        let found = self.api(kind, "default").list(&ListParams::default().labels(labels)).await.unwrap();
        found.items.into_iter().map(|object| serde_json::to_value(object).unwrap()).collect()
    }

    /// Deletes an object, as `kubectl delete --wait=false` does.
    pub async fn delete(&self, what: &str) {
        let (api, name) = self.locate(what);
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until the object is there and the condition holds; fails the test if it never does.
    pub async fn expect(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let (api, name) = self.locate(what);
        let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut changes = watcher(api, only).default_backoff().applied_objects().boxed();
        let mut last = Value::Null;
        let wait = async {
            while let Some(object) = changes.try_next().await.unwrap() {
                last = serde_json::to_value(object).unwrap();
                if holds(&last) {
                    return;
                }
            }
        };
        if self.clock.timeout(self.patience, wait).await.is_err() {
            panic!("{what} never came to be as expected; it is now:\n{last:#}");
        }
        last
    }

    /// Waits until the object is gone.
    pub async fn expect_gone(&self, what: &str) {
        let (api, name) = self.locate(what);
        let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut changes = watcher(api.clone(), only).default_backoff().boxed();
        let wait = async {
            loop {
                if api.get_opt(name).await.unwrap().is_none() {
                    return;
                }
                changes.try_next().await.unwrap();
            }
        };
        assert!(self.clock.timeout(self.patience, wait).await.is_ok(), "{what} is still there");
    }

    /// Stops everything and waits for it, as Ctrl-C does.
    pub async fn stop(self) {
        assert!(self.cluster.stop(LONGEST_STOP).await);
        assert!(self.tasks.shutdown(self.clock, LONGEST_STOP).await);
    }
}

/// `status.readyReplicas` is `n`, and the status is about the newest spec.
pub fn ready(n: i64) -> impl Fn(&Value) -> bool {
    move |object| {
        object["status"]["readyReplicas"].as_i64().unwrap_or(0) == n
            && object["status"]["observedGeneration"] == object["metadata"]["generation"]
    }
}

/// The condition of this type has this status.
pub fn condition(kind: &str, status: &str) -> impl Fn(&Value) -> bool {
    move |object| {
        let conditions = object["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|c| c["type"] == kind && c["status"] == status)
    }
}

/// `status.phase`.
pub fn phase(phase: &str) -> impl Fn(&Value) -> bool {
    move |object| object["status"]["phase"] == phase
}

/// So many minutes.
pub const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

fn read(path: &Path) -> String {
    if path.is_file() {
        return fs::read_to_string(path).unwrap();
    }
    let mut files: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let yaml = files.iter().filter(|file| file.extension().is_some_and(|e| e == "yaml"));
    yaml.map(|file| fs::read_to_string(file).unwrap()).collect::<Vec<_>>().join("\n---\n")
}

/// Reads one JSON value into a type.
pub fn into<T: for<'de> Deserialize<'de>>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}
