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
            let name = pod.text("spec.serviceAccountName").to_string();
            let accounts = collection("", "serviceaccounts");
            let found = match request.objects.get(accounts, request.namespace, &name) {
                Some(found) => Some((*found).clone()),
                None => request.objects.get_live(accounts, request.namespace, &name).await?,
            };
            let Some(account) = found else {
                let place = format!("{}/{name}", request.namespace);
                return Err(request.forbidden(&format!(
                    "error looking up service account {place}: serviceaccount {name:?} not found"
                )));
            };
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
