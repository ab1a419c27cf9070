//! `kubectl create deployment`, `job` and `cronjob`.

use serde_json::{Value, json};

use super::super::super::command::{Command, Invocation};
use super::super::super::failure::{Failure, Result};
use super::super::super::flags::{Flag, Kind, long, short};
use super::super::super::selection::Selection;
use super::{finish, generator, name, required};
use crate::api::meta;

const DEPLOYMENT_FLAGS: &[Flag] = &[
    long("image", Kind::List, "An image; a container for each"),
    long("port", Kind::Int(-1), "The port that the container listens on"),
    short("replicas", 'r', Kind::Int(1), "How many Pods"),
];
const JOB_FLAGS: &[Flag] = &[
    long("image", Kind::Text(""), "The image"),
    long("from", Kind::Text(""), "The CronJob to take it from: cronjob/NAME"),
];
const CRONJOB_FLAGS: &[Flag] = &[
    long("image", Kind::Text(""), "The image"),
    long("schedule", Kind::Text(""), "When, as cron writes it: */5 * * * *"),
    long("restart", Kind::Text("OnFailure"), "What to do when the container ends: OnFailure, Never"),
];

pub(super) const DEPLOYMENT: Command = generator!(
    "deployment",
    &["deploy"],
    "NAME --image=IMAGE [-- COMMAND ARGS...]",
    "Make a Deployment",
    DEPLOYMENT_FLAGS,
    deployment
);
pub(super) const JOB: Command = generator!(
    "job",
    &[],
    "NAME (--image=IMAGE | --from=cronjob/NAME) [-- COMMAND ARGS...]",
    "Make a Job",
    JOB_FLAGS,
    job
);
pub(super) const CRONJOB: Command = generator!(
    "cronjob",
    &["cj"],
    "NAME --image=IMAGE --schedule=SCHEDULE [-- COMMAND ARGS...]",
    "Make a CronJob",
    CRONJOB_FLAGS,
    cronjob
);

/// The words behind `--`, or all behind the name.
fn command(call: &Invocation) -> &[String] {
    call.arguments().get(1..).unwrap_or_default()
}

fn container(name: &str, image: &str, command: &[String]) -> Value {
    let mut container = json!({"name": name, "image": image});
    if !command.is_empty() {
        container["command"] = command.into();
    }
    container
}

/// `registry/a/nginx:1.25` is the container `nginx`.
fn container_name(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    let name = name.split(':').next().unwrap_or(name);
    let name = name.split('@').next().unwrap_or(name);
    if !name.contains(['_', '.']) {
        return name.to_owned();
    }
    format!("{}-{}", name.replace(['_', '.'], "-"), super::random_ending())
}

async fn deployment(call: &Invocation) -> Result {
    required(call, &["image"])?;
    let name = name(call)?;
    let images = call.flags.all("image");
    let command = command(call);
    if images.len() > 1 && !command.is_empty() {
        return Err(Failure::new("cannot specify multiple --image options and command"));
    }
    let mut containers: Vec<Value> =
        images.iter().map(|image| container(&container_name(image), image, command)).collect();
    if let (port @ 0.., Some(first)) = (call.flags.int("port"), containers.first_mut()) {
        first["ports"] = json!([{"containerPort": port}]);
    }
    let labels = json!({"app": name});
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": call.flags.int("replicas"), "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}},
    });
    finish(call, object, "failed to create deployment:").await
}

async fn job(call: &Invocation) -> Result {
    let name = name(call)?;
    let (image, from) = (call.flags.text("image"), call.flags.text("from"));
    let command = command(call);
    let given = usize::from(!image.is_empty()) + usize::from(!from.is_empty());
    if given != 1 {
        return Err(Failure::new("either --image or --from must be specified"));
    }
    if !command.is_empty() && image.is_empty() {
        return Err(Failure::new("cannot specify --from and command"));
    }
    let object = if from.is_empty() {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": {
            "spec": {"containers": [container(name, image, command)], "restartPolicy": "Never"}}}})
    } else {
        from_cronjob(call, name, from).await?
    };
    finish(call, object, "failed to create job:").await
}

async fn from_cronjob(call: &Invocation, name: &str, from: &str) -> Result<Value> {
    let words = [from.to_owned()];
    let mut selection = Selection::with(call, &words);
    selection.latest = true;
    let found = selection.read().await?.all()?;
    let [cronjob] = found.as_slice() else { return Err(Failure::new("from must be an existing cronjob")) };
    if cronjob.mapping.kind != "CronJob" {
        return Err(Failure::new(format!("unknown object type *v1.{}", cronjob.mapping.kind)));
    }
    let template = meta::get(&cronjob.object, &["spec", "jobTemplate"]).cloned().unwrap_or_default();
    let mut annotations = json!({"cronjob.kubernetes.io/instantiate": "manual"});
    if let (Some(all), Some(more)) = (annotations.as_object_mut(), meta::annotations(&template)) {
        all.extend(more.clone());
    }
    let mut object = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "annotations": annotations, "ownerReferences": [{"apiVersion": "batch/v1",
            "kind": "CronJob", "name": cronjob.name, "uid": meta::uid(&cronjob.object), "controller": true}]},
        "spec": template.get("spec"),
    });
    if let Some(labels) = meta::labels(&template) {
        object["metadata"]["labels"] = labels.clone().into();
    }
    Ok(object)
}

async fn cronjob(call: &Invocation) -> Result {
    required(call, &["image", "schedule"])?;
    let name = name(call)?;
    let command = command(call);
    let restart = call.flags.text("restart");
    let image = call.flags.text("image");
    let object = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
        "spec": {"schedule": call.flags.text("schedule"), "jobTemplate": {"metadata": {"name": name}, "spec": {
            "template": {"spec": {"containers": [container(name, image, command)], "restartPolicy": restart}}}}},
    });
    finish(call, object, "failed to create cronjob:").await
}
