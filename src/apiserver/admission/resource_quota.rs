//! ResourceQuota: what is made in a namespace fits into its quotas. What a write will use is
//! added to the quota's `status.used` before the write, guarded by its version, so that two
//! writes at once cannot both take the last place.
//!
//! Source: `k8s.io/apiserver/pkg/admission/plugin/resourcequota`.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use serde_json::Value;

use super::{Attributes, Operation, Plugin};
use crate::api::meta;
use crate::api::quantity::Quantity;
use crate::api::quota::{self, Usage};
use crate::api::status::{Reason, Status};
use crate::apiserver::kinds::core::resources::quantity;
use crate::apiserver::kinds::json::{Json, object_mut};
use crate::apiserver::objects::collection;

const ATTEMPTS: usize = 10;

/// The plugin.
#[derive(Default)]
pub struct ResourceQuota;

impl Plugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(charge_all(request))
    }
}

async fn charge_all(request: &mut Attributes<'_>) -> Result<(), Status> {
    let counts = match request.operation {
        Operation::Create => request.subresource.is_empty(),
        Operation::Update => may_grow(request),
        Operation::Delete | Operation::Connect => false,
    };
    if !counts || request.namespace.is_empty() || request.resource == "namespaces" {
        return Ok(());
    }
    let quotas = collection("", "resourcequotas");
    for known in request.objects.list(quotas, request.namespace) {
        let Some(object) = &request.object else { return Ok(()) };
        if !quota::in_scope(&known, request.group, request.resource, object) {
            continue;
        }
        let hard: Vec<String> = known.entries("status.hard").into_iter().map(|(name, _)| name.to_string()).collect();
        let mut usage = quota::usage(request.group, request.resource, object);
        if let Some(old) = request.old {
            usage = quota::growth(usage, &quota::usage(request.group, request.resource, old));
        }
        let usage: Usage = usage.into_iter().filter(|(name, _)| hard.contains(name)).collect();
        must_specify(request, object, &known, &hard)?;
        if !usage.is_empty() {
            charge(request, meta::name(&known), &usage).await?;
        }
    }
    Ok(())
}

/// Whether an update can make the object count for more: a Service that takes node ports, a claim or a Pod that
/// grows.
fn may_grow(request: &Attributes<'_>) -> bool {
    let resized = (request.group, request.resource, request.subresource) == ("", "pods", "resize");
    resized || request.is("", "services") || request.is("", "persistentvolumeclaims")
}

/// Adds `usage` to one quota, or says that it does not fit.
async fn charge(request: &Attributes<'_>, name: &str, usage: &Usage) -> Result<(), Status> {
    let quotas = collection("", "resourcequotas");
    for _ in 0..ATTEMPTS {
        let Some(mut quota) = request.objects.get_live(quotas, request.namespace, name).await? else { return Ok(()) };
        let amount =
            |which: &str, resource: &str| quota.at(which).get(resource).and_then(quantity).unwrap_or(Quantity::ZERO);
        let mut over: Vec<(String, Quantity, Quantity, Quantity)> = Vec::new();
        let mut sums = Vec::new();
        for (resource, asked) in usage {
            let (used, most) = (amount("status.used", resource), amount("status.hard", resource));
            let sum = used.plus(*asked);
            if sum > most {
                over.push((resource.clone(), *asked, used, most));
            }
            sums.push((resource.clone(), sum));
        }
        if !over.is_empty() {
            let list = |pick: fn(&(String, Quantity, Quantity, Quantity)) -> Quantity| {
                over.iter().map(|row| format!("{}={}", row.0, pick(row))).collect::<Vec<_>>().join(",")
            };
            return Err(request.forbidden(&format!(
                "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
                list(|row| row.1),
                list(|row| row.2),
                list(|row| row.3)
            )));
        }
        if request.dry_run {
            return Ok(());
        }
        let used = object_mut(&mut quota, "status.used");
        for (resource, sum) in sums {
            used.insert(resource, sum.to_string().into());
        }
        match request.objects.put(quotas, quota).await {
            Err(status) if status.reason == Some(Reason::Conflict) => {}
            other => return other.map(|_| ()),
        }
    }
    Err(request.forbidden(&format!("unable to update quota {name}: too many conflicts")))
}

/// A quota on cpu or memory refuses a container that does not say how much it wants.
fn must_specify(request: &Attributes<'_>, object: &Value, quota: &Value, hard: &[String]) -> Result<(), Status> {
    if !request.is("", "pods") {
        return Ok(());
    }
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in hard {
        let (which, resource) = match name.as_str() {
            "cpu" | "memory" => ("requests", name.as_str()),
            _ => match name.split_once('.') {
                Some((which @ ("requests" | "limits"), resource @ ("cpu" | "memory"))) => (which, resource),
                _ => continue,
            },
        };
        let containers = object.items("spec.containers").iter().chain(object.items("spec.initContainers"));
        for container in containers {
            if container.at("resources").at(which).get(resource).is_none() {
                missing.entry(name).or_default().push(container.text("name"));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let parts: Vec<String> = missing
        .into_iter()
        .map(|(name, mut containers)| {
            containers.sort_unstable();
            format!("{name} for: {}", containers.join(","))
        })
        .collect();
    let text = format!("failed quota: {}: must specify {}", meta::name(quota), parts.join("; "));
    Err(request.forbidden(&text))
}
