//! `kubectl rollout status`: what is still missing, until nothing is.

use futures::StreamExt;
use serde_json::Value;

use super::super::super::command::Invocation;
use super::super::super::failure::{Failure, Result, quote};
use super::super::super::http::Call;
use super::super::super::selection::{self, Info};
use super::{nothing, selected};
use crate::api::meta;

pub(super) async fn status(call: &Invocation) -> Result {
    let flags = &call.flags;
    if flags.int("revision") < 0 {
        return Err(Failure::new(format!("revision must be a positive integer: {}", flags.int("revision"))));
    }
    let found = selected(call).await?;
    Failure::of(found.failures)?;
    if found.infos.is_empty() {
        return nothing(call);
    }
    for info in found.infos {
        if !matches!(info.mapping.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet") {
            return Err(Failure::new(format!("no status viewer has been implemented for {}", info.mapping.kind)));
        }
        let follow = follow(call, &info);
        let limit = flags.duration("timeout");
        if limit.is_zero() {
            follow.await?;
        } else {
            let late = || Failure::new("timed out waiting for the condition");
            call.session.clock.timeout(limit, follow).await.map_err(|_| late())??;
        }
    }
    Ok(())
}

async fn follow(call: &Invocation, info: &Info) -> Result {
    let mut object = info.object.clone();
    loop {
        if tell(call, info, &object).await? {
            return Ok(());
        }
        let watched = Call::get(info.mapping.path(&info.namespace, None, ""))
            .query("fieldSelector", format!("metadata.name={}", info.name))
            .query("resourceVersion", meta::resource_version(&object));
        let mut events = selection::watch(call.cluster().await?, watched).await?;
        while let Some(event) = events.next().await {
            match event {
                Ok((kind, _)) if kind == "DELETED" => return Err(Failure::new("object has been deleted")),
                Ok((kind, changed)) if kind == "ADDED" || kind == "MODIFIED" => {
                    object = changed;
                    if tell(call, info, &object).await? {
                        return Ok(());
                    }
                }
                // The watch is over; the object is read again.
                _ => break,
            }
        }
        object = call.cluster().await?.api.json(Call::get(info.path())).await?;
    }
}

/// Prints the state; true when nothing is left to wait for.
async fn tell(call: &Invocation, info: &Info, object: &Value) -> Result<bool> {
    let (text, done) = match info.mapping.kind.as_str() {
        "Deployment" => deployment(object, call.flags.int("revision"))?,
        "DaemonSet" => daemon_set(object)?,
        _ => stateful_set(object)?,
    };
    call.out(text);
    call.console().flush().await?;
    Ok(done || !call.flags.is("watch"))
}

fn number(object: &Value, field: &str) -> i64 {
    meta::integer(object, &["status", field]).unwrap_or(0)
}

fn deployment(object: &Value, revision: i64) -> Result<(String, bool)> {
    let name = quote(meta::name(object));
    if revision > 0 {
        let running = meta::annotation(object, "deployment.kubernetes.io/revision").and_then(|text| text.parse().ok());
        let running: i64 = running.unwrap_or(0);
        if running != revision {
            return Err(Failure::new(format!(
                "desired revision ({revision}) is different from the running revision ({running})"
            )));
        }
    }
    if number(object, "observedGeneration") < meta::generation(object) {
        return Ok(("Waiting for deployment spec update to be observed...\n".into(), false));
    }
    let late = meta::list(object, &["status", "conditions"]).iter().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some("Progressing")
            && condition.get("reason").and_then(Value::as_str) == Some("ProgressDeadlineExceeded")
    });
    if late {
        return Err(Failure::new(format!("deployment {name} exceeded its progress deadline")));
    }
    let (updated, replicas) = (number(object, "updatedReplicas"), number(object, "replicas"));
    let available = number(object, "availableReplicas");
    let wanted = meta::integer(object, &["spec", "replicas"]).unwrap_or(1);
    let head = format!("Waiting for deployment {name} rollout to finish:");
    Ok(match () {
        () if updated < wanted => {
            (format!("{head} {updated} out of {wanted} new replicas have been updated...\n"), false)
        }
        () if replicas > updated => {
            (format!("{head} {} old replicas are pending termination...\n", replicas - updated), false)
        }
        () if available < updated => {
            (format!("{head} {available} of {updated} updated replicas are available...\n"), false)
        }
        () => (format!("deployment {name} successfully rolled out\n"), true),
    })
}

fn rolling_only(object: &Value, field: &str) -> Result {
    if meta::text(object, &["spec", field, "type"]) == "RollingUpdate" {
        return Ok(());
    }
    Err(Failure::new("rollout status is only available for RollingUpdate strategy type"))
}

fn daemon_set(object: &Value) -> Result<(String, bool)> {
    rolling_only(object, "updateStrategy")?;
    let name = quote(meta::name(object));
    if number(object, "observedGeneration") < meta::generation(object) {
        return Ok(("Waiting for daemon set spec update to be observed...\n".into(), false));
    }
    let (updated, wanted) = (number(object, "updatedNumberScheduled"), number(object, "desiredNumberScheduled"));
    let available = number(object, "numberAvailable");
    let head = format!("Waiting for daemon set {name} rollout to finish:");
    Ok(match () {
        () if updated < wanted => (format!("{head} {updated} out of {wanted} new pods have been updated...\n"), false),
        () if available < wanted => (format!("{head} {available} of {wanted} updated pods are available...\n"), false),
        () => (format!("daemon set {name} successfully rolled out\n"), true),
    })
}

fn stateful_set(object: &Value) -> Result<(String, bool)> {
    rolling_only(object, "updateStrategy")?;
    let observed = number(object, "observedGeneration");
    if observed == 0 || meta::generation(object) > observed {
        return Ok(("Waiting for statefulset spec update to be observed...\n".into(), false));
    }
    let wanted = meta::integer(object, &["spec", "replicas"]).unwrap_or(1);
    let (ready, updated) = (number(object, "readyReplicas"), number(object, "updatedReplicas"));
    if ready < wanted {
        return Ok((format!("Waiting for {} pods to be ready...\n", wanted - ready), false));
    }
    if let Some(rolling) = meta::get(object, &["spec", "updateStrategy", "rollingUpdate"]).filter(|own| !own.is_null())
    {
        let new = wanted - meta::integer(rolling, &["partition"]).unwrap_or(wanted);
        let words = "new pods have been updated...";
        // Also where nothing is kept back: the API server always fills in a partition.
        return Ok(match updated < new {
            true => (format!("Waiting for partitioned roll out to finish: {updated} out of {new} {words}\n"), false),
            false => (format!("partitioned roll out complete: {updated} {words}\n"), true),
        });
    }
    let revision = |field: &str| meta::text(object, &["status", field]).to_owned();
    if revision("updateRevision") != revision("currentRevision") {
        let words = "waiting for statefulset rolling update to complete";
        return Ok((format!("{words} {updated} pods at revision {}...\n", revision("updateRevision")), false));
    }
    let current = number(object, "currentReplicas");
    let words = "statefulset rolling update complete";
    Ok((format!("{words} {current} pods at revision {}...\n", revision("currentRevision")), true))
}
