//! `kubectl describe`: an object's story in plain words, with its events.
//!
//! One file a family of kinds; a kind without words of its own (a custom resource) is described field by
//! field. What is asked beside the object (its Pods, its events, its ReplicaSets) is asked here.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::connect::Cluster;
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long};
use super::super::http::Call;
use super::super::selection::{self, Info, Selection};
use crate::api::meta;

mod access;
mod cluster;
mod containers;
mod events;
mod generic;
mod network;
mod pods;
mod storage;
mod text;
mod volumes;
mod workloads;

pub(super) use access::rule_lines;
pub(super) use text::Text;

const FLAGS: &[Flag] = &[long("show-events", Kind::Bool(true), "Show the object's events")];

/// `describe`
pub const COMMAND: Command = Command {
    name: "describe",
    usage: "(-f FILE | TYPE [NAME_PREFIX | -l LABELS] | TYPE/NAME)",
    about: "Tell an object's story, with its events",
    flags: &[FLAGS, selection::FILES, selection::LABELS, selection::ALL_NAMESPACES, selection::CHUNKS],
    run: run!(describe),
    ..BASE
};

/// What a description may ask beside its object.
pub(super) struct Story<'a> {
    call: &'a Invocation,
    cluster: &'a Cluster,
    info: &'a Info,
    object: &'a Value,
    show_events: bool,
}

type Described<'a> = Pin<Box<dyn Future<Output = Result<Text>> + Send + 'a>>;

async fn describe(call: &Invocation) -> Result {
    let arguments = call.arguments();
    let mut selection = Selection::of(call);
    if arguments.is_empty() && selection.files().is_empty() {
        return Err(Failure::new(
            "You must specify the type of resource to describe. Use \"kubectl api-resources\" for a complete list of supported resources.\n",
        ));
    }
    selection.type_means_all = true;
    selection.chunk = call.flags.int("chunk-size");
    let found = selection.read().await?;
    let several = found.infos.len() > 1 || !found.failures.is_empty();
    let show_events = call.flags.is("show-events") && (!several || call.flags.given("show-events"));
    let mut failures = found.failures;
    if let ([failure], [kind, prefix]) = (failures.as_slice(), arguments)
        && failure.is_not_found()
        && found.infos.is_empty()
    {
        return by_prefix(call, failure.clone(), kind, prefix, show_events).await;
    }
    let mut first = true;
    for info in &found.infos {
        match story(call, info, show_events).await {
            Ok(text) => {
                if !std::mem::take(&mut first) {
                    call.out("\n\n");
                }
                call.out(text);
            }
            Err(failure) => failures.push(failure),
        }
    }
    if found.infos.is_empty() && failures.is_empty() {
        if call.flags.is("all-namespaces") {
            call.err("No resources found\n");
        } else {
            call.err(format!("No resources found in {} namespace.\n", call.namespace()?));
        }
    }
    Failure::listed(&failures)
}

/// `describe pod web` when no Pod has that name: every one whose name begins so.
async fn by_prefix(call: &Invocation, missing: Failure, kind: &str, prefix: &str, show_events: bool) -> Result {
    let words = [kind.to_owned()];
    let mut selection = Selection::with(call, &words);
    selection.type_means_all = true;
    let infos = selection.read().await?.all()?;
    let fitting: Vec<&Info> = infos.iter().filter(|info| info.name.starts_with(prefix)).collect();
    if fitting.is_empty() {
        return Err(missing);
    }
    for info in fitting {
        call.out(story(call, info, show_events).await? + "\n");
    }
    Ok(())
}

async fn story(call: &Invocation, info: &Info, show_events: bool) -> Result<String> {
    let cluster = call.cluster().await?;
    let object = cluster.api.json(Call::get(info.path())).await?;
    let story = Story { call, cluster, info, object: &object, show_events };
    let mut text = describer(&info.mapping.group, &info.mapping.kind)(&story).await?;
    Ok(text.finish())
}

/// The description of a kind.
fn describer(group: &str, kind: &str) -> for<'a> fn(&'a Story<'a>) -> Described<'a> {
    match (group, kind) {
        ("", "Pod") => |story| Box::pin(pods::pod(story)),
        ("", "ReplicationController") => |story| Box::pin(workloads::replication_controller(story)),
        ("apps", "Deployment") => |story| Box::pin(workloads::deployment(story)),
        ("apps", "ReplicaSet") => |story| Box::pin(workloads::replica_set(story)),
        ("apps", "StatefulSet") => |story| Box::pin(workloads::stateful_set(story)),
        ("apps", "DaemonSet") => |story| Box::pin(workloads::daemon_set(story)),
        ("batch", "Job") => |story| Box::pin(workloads::job(story)),
        ("batch", "CronJob") => |story| Box::pin(workloads::cron_job(story)),
        ("autoscaling", "HorizontalPodAutoscaler") => |story| Box::pin(workloads::autoscaler(story)),
        ("", "Service") => |story| Box::pin(network::service(story)),
        ("", "Endpoints") => |story| Box::pin(network::endpoints(story)),
        ("discovery.k8s.io", "EndpointSlice") => |story| Box::pin(network::endpoint_slice(story)),
        ("networking.k8s.io", "Ingress") => |story| Box::pin(network::ingress(story)),
        ("networking.k8s.io", "NetworkPolicy") => |story| Box::pin(network::network_policy(story)),
        ("", "ConfigMap") => |story| Box::pin(storage::config_map(story)),
        ("", "Secret") => |story| Box::pin(storage::secret(story)),
        ("", "PersistentVolume") => |story| Box::pin(storage::volume(story)),
        ("", "PersistentVolumeClaim") => |story| Box::pin(storage::claim(story)),
        ("storage.k8s.io", "StorageClass") => |story| Box::pin(storage::class(story)),
        ("", "ServiceAccount") => |story| Box::pin(access::service_account(story)),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => |story| Box::pin(access::role(story)),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => |story| Box::pin(access::binding(story)),
        ("", "Node") => |story| Box::pin(cluster::node(story)),
        ("", "Namespace") => |story| Box::pin(cluster::namespace(story)),
        ("", "LimitRange") => |story| Box::pin(cluster::limit_range(story)),
        ("", "ResourceQuota") => |story| Box::pin(cluster::quota(story)),
        ("policy", "PodDisruptionBudget") => |story| Box::pin(cluster::disruption_budget(story)),
        ("scheduling.k8s.io", "PriorityClass") => |story| Box::pin(cluster::priority_class(story)),
        _ => |story| Box::pin(generic::object(story)),
    }
}

/// A Pod template, as the history of a rollout shows it.
pub(super) fn template(template: &Value) -> String {
    let mut text = Text::bare();
    pods::template(&mut text, template);
    text.finish()
}

impl Story<'_> {
    /// The objects of a resource in a namespace; none when they cannot be had.
    async fn list(&self, resource: &str, namespace: &str, query: &[(&str, String)]) -> Result<Vec<Value>> {
        let mapping = self.cluster.mapper().await?.named(resource)?;
        let call = Call::get(mapping.path(namespace, None, ""));
        let call = query.iter().fold(call, |call, (name, value)| call.query(name, value));
        let list = self.cluster.api.json(call).await?;
        Ok(list.get("items").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    fn namespace(&self) -> &str {
        meta::namespace(self.object)
    }

    fn age(&self, time: &str) -> String {
        text::age(time, self.call.session.clock.now())
    }

    /// Ends a description with the object's events.
    async fn with_events(&self, text: &mut Text) {
        self.with_events_of(text, &self.info.mapping.kind).await;
    }

    /// The same; an empty kind means any.
    async fn with_events_of(&self, text: &mut Text, kind: &str) {
        if !self.show_events {
            return;
        }
        let mut fields = vec![format!("involvedObject.name={}", meta::name(self.object))];
        if !self.namespace().is_empty() {
            fields.push(format!("involvedObject.namespace={}", self.namespace()));
        }
        if !kind.is_empty() {
            fields.push(format!("involvedObject.kind={kind}"));
        }
        fields.push(format!("involvedObject.uid={}", meta::uid(self.object)));
        let query = [("fieldSelector", fields.join(",")), ("limit", "500".to_owned())];
        // Without events the rest of the story still stands.
        let found = self.list("events", self.namespace(), &query).await.unwrap_or_default();
        events::write(text, found, |time| self.age(time));
    }
}
