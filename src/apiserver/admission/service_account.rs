//! ServiceAccount: a Pod runs as an account that exists, and finds its token in a volume.

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Attributes, Operation, Plugin, random_suffix};
use crate::api::meta;
use crate::api::status::Status;
use crate::apiserver::kinds::json::{Json, items_mut, object_mut, put};
use crate::apiserver::objects::collection;

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The plugin.
pub struct ServiceAccount;

impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn admit<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            if !request.is_pod(Operation::Create) {
                return Ok(());
            }
            let Some(pod) = &mut request.object else { return Ok(()) };
            if meta::annotation(pod, MIRROR).is_some() {
                return Ok(());
            }
            if pod.text("spec.serviceAccountName").is_empty() {
                put(pod, "spec.serviceAccountName", "default");
                put(pod, "spec.serviceAccount", "default");
            }
            let account = account(request).await?;
            let Some(pod) = &mut request.object else { return Ok(()) };
            if wants_token(pod, &account) {
                mount_token(pod);
            }
            let secrets = account.at("imagePullSecrets");
            if pod.items("spec.imagePullSecrets").is_empty() && secrets.as_array().is_some_and(|list| !list.is_empty())
            {
                put(pod, "spec.imagePullSecrets", secrets.clone());
            }
            Ok(())
        })
    }

    fn validate<'a>(&'a self, request: &'a mut Attributes<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            if !request.is_pod(Operation::Create) {
                return Ok(());
            }
            let Some(pod) = &request.object else { return Ok(()) };
            if meta::annotation(pod, MIRROR).is_some() {
                return mirror_fault(pod).map_or(Ok(()), |why| Err(request.forbidden(why)));
            }
            if pod.text("spec.serviceAccountName").is_empty() {
                let place = format!("{}/{}", request.namespace, meta::name(pod));
                return Err(request.forbidden(&format!("no service account specified for pod {place}")));
            }
            account(request).await.map(drop)
        })
    }
}

/// The account that the Pod names.
async fn account(request: &Attributes<'_>) -> Result<Value, Status> {
    let name = request.object.as_ref().map(|pod| pod.text("spec.serviceAccountName")).unwrap_or_default();
    let accounts = collection("", "serviceaccounts");
    let found = match request.objects.get(accounts, request.namespace, name) {
        Some(found) => Some((*found).clone()),
        None => request.objects.get_live(accounts, request.namespace, name).await?,
    };
    found.ok_or_else(|| {
        let place = format!("{}/{name}", request.namespace);
        request.forbidden(&format!("error looking up service account {place}: serviceaccount {name:?} not found"))
    })
}

/// A mirror of a Pod that its node runs by itself has nothing from the cluster.
fn mirror_fault(pod: &Value) -> Option<&'static str> {
    if !pod.text("spec.serviceAccountName").is_empty() {
        return Some("a mirror pod may not reference service accounts");
    }
    let volumes = pod.items("spec.volumes");
    let sources = volumes.iter().flat_map(|volume| volume.items("projected.sources"));
    let containers = ["initContainers", "containers"].iter().flat_map(|list| pod.at("spec").items(list));
    let mut env = containers.flat_map(|container| container.items("env").iter().chain(container.items("envFrom")));
    let secret = volumes.iter().any(|volume| volume.has("secret"))
        || sources.clone().any(|source| source.has("secret"))
        || env.any(|env| env.has("valueFrom.secretKeyRef") || env.has("secretRef"))
        || !pod.items("spec.imagePullSecrets").is_empty();
    if secret {
        return Some("a mirror pod may not reference secrets");
    }
    let token = sources.into_iter().any(|source| source.has("serviceAccountToken"));
    token.then_some("a mirror pod may not use ServiceAccountToken volume projections")
}

/// The Pod's own wish counts first, then the account's; without either, yes.
fn wants_token(pod: &Value, account: &Value) -> bool {
    let own = pod.at("spec.automountServiceAccountToken").as_bool();
    own.or(account.at("automountServiceAccountToken").as_bool()).unwrap_or(true)
}

fn mount_token(pod: &mut Value) {
    let mut known = pod.items("spec.volumes").iter().map(|volume| volume.text("name"));
    let known = known.find(|name| name.starts_with("kube-api-access-")).map(str::to_string);
    let name = known.clone().unwrap_or_else(|| format!("kube-api-access-{}", random_suffix()));
    let mut used = false;
    let Some(spec) = pod.get_mut("spec") else { return };
    for list in ["initContainers", "containers"] {
        for container in items_mut(spec, list) {
            if container.items("volumeMounts").iter().any(|mount| mount.text("mountPath") == TOKEN_PATH) {
                continue;
            }
            let mount = json!({"name": name, "readOnly": true, "mountPath": TOKEN_PATH});
            push(container, "volumeMounts", mount);
            used = true;
        }
    }
    if !used || known.is_some() {
        return;
    }
    let sources = json!([
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace",
            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]);
    push(spec, "volumes", json!({"name": name, "projected": {"sources": sources, "defaultMode": 420}}));
}

/// Appends to a list, made if it is not there.
pub fn push(object: &mut Value, list: &str, item: Value) {
    let Some(map) = object.as_object_mut() else { return };
    let slot = map.entry(list).or_insert(Value::Null);
    match slot.as_array_mut() {
        Some(items) => items.push(item),
        None => *slot = json!([item]),
    }
}

/// Appends to the list at a dotted path below `spec`.
pub fn push_spec(object: &mut Value, list: &str, item: Value) {
    object_mut(object, "spec");
    if let Some(spec) = object.get_mut("spec") {
        push(spec, list, item);
    }
}
