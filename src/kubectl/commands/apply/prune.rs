//! `apply --prune`: delete what earlier applies made and the files no longer name.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::super::super::command::Invocation;
use super::super::super::failure::{Failure, Result};
use super::super::super::flags::DryRun;
use super::super::super::http::Call;
use super::super::super::mapping::Mapping;
use super::super::super::selection::Info;
use super::{Apply, LAST_APPLIED};
use crate::api::meta;

const NAMESPACED: [(&str, &str, &str); 12] = [
    ("", "v1", "ConfigMap"),
    ("", "v1", "Endpoints"),
    ("", "v1", "PersistentVolumeClaim"),
    ("", "v1", "Pod"),
    ("", "v1", "ReplicationController"),
    ("", "v1", "Secret"),
    ("", "v1", "Service"),
    ("batch", "v1", "Job"),
    ("batch", "v1", "CronJob"),
    ("networking.k8s.io", "v1", "Ingress"),
    ("apps", "v1", "DaemonSet"),
    ("apps", "v1", "Deployment"),
];
const MORE: [(&str, &str, &str); 3] =
    [("apps", "v1", "ReplicaSet"), ("apps", "v1", "StatefulSet"), ("", "v1", "PersistentVolume")];

pub(super) async fn run(apply: &mut Apply<'_>, namespaces: &BTreeSet<String>) -> Result {
    let mappings = mappings(apply.call).await?;
    let labels = apply.call.flags.text("selector").to_owned();
    let applied = |object: &Value| meta::annotation(object, LAST_APPLIED).is_some();
    for namespace in namespaces {
        for mapping in mappings.iter().filter(|mapping| mapping.namespaced) {
            prune(apply, namespace, mapping, &labels, applied).await?;
        }
    }
    for mapping in mappings.iter().filter(|mapping| !mapping.namespaced) {
        prune(apply, "", mapping, &labels, applied).await?;
    }
    Ok(())
}

/// The kinds that are pruned: those of `--prune-allowlist`, else the usual ones.
pub(in super::super) async fn mappings(call: &Invocation) -> Result<Vec<Arc<Mapping>>> {
    let mapper = call.cluster().await?.mapper().await?;
    let named = call.flags.all("prune-allowlist");
    if named.is_empty() {
        let known = NAMESPACED.iter().chain(&MORE);
        return Ok(known.filter_map(|(group, version, kind)| mapper.of_kind(group, version, kind)).collect());
    }
    let mut mappings = Vec::new();
    for name in named {
        let parts: Vec<&str> = name.split('/').collect();
        let [group, version, kind] = parts[..] else {
            return Err(Failure::new(format!(
                "invalid GroupVersionKind format: {name}, please follow <group/version/kind>"
            )));
        };
        let group = if group == "core" { "" } else { group };
        let found = mapper.of_kind(group, version, kind);
        mappings.push(
            found.ok_or_else(|| Failure::new(format!("no matches for kind \"{kind}\" in version \"{version}\"")))?,
        );
    }
    Ok(mappings)
}

/// Deletes objects with these labels that belong and were not applied just now.
pub(super) async fn prune(
    apply: &mut Apply<'_>,
    namespace: &str,
    mapping: &Arc<Mapping>,
    labels: &str,
    belongs: impl Fn(&Value) -> bool,
) -> Result {
    let list = Call::get(mapping.path(namespace, None, "")).query("labelSelector", labels);
    let list = apply.call.cluster().await?.api.json(list).await?;
    for item in list.get("items").and_then(Value::as_array).cloned().unwrap_or_default() {
        if !belongs(&item) || apply.uids.contains(meta::uid(&item)) {
            continue;
        }
        let mut object = item;
        meta::set_type(&mut object, &mapping.api_version(), &mapping.kind);
        let info = Info {
            mapping: mapping.clone(),
            namespace: namespace.to_owned(),
            name: meta::name(&object).to_owned(),
            object: Value::Null,
            source: String::new(),
        };
        if apply.writing.dry_run != DryRun::Client {
            let cascade = super::super::delete::cascade(apply.call.flags.text("cascade"))?;
            let grace = Some(apply.call.flags.int("grace-period")).filter(|seconds| *seconds >= 0);
            apply.writing.delete(&info, grace, cascade).await?;
        }
        apply.done(object, "pruned")?;
    }
    Ok(())
}
