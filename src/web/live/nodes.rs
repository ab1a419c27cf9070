//! What a reader may do to a node of the map: close it to new Pods, pull its cable, pull its plug.
//!
//! | call | does |
//! |---|---|
//! | `POST nodes {name, do}` | `cordon`, `uncordon`, `cut off`, `join`, `power off` or `power on`; answers the node as [`shown`] |
//!
//! To cordon is a write to the API server, as kubectl's. Power and cables are no part of Kubernetes: the machine
//! goes, or nobody reaches it, and the cluster has to find out.

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::super::Site;
use super::super::api::body;
use super::super::guard::Asked;
use crate::cluster::{Link, Power};
use crate::error::{Error, Result};

const EXAMPLE: &str = r#"{"name": "node-2", "do": "power off"}"#;

/// Answers `POST nodes`, in a task of the playground (see [`Site::apart`]).
pub async fn act(site: &Site, asked: &Asked) -> Result<Value> {
    let wish = body(asked, EXAMPLE)?;
    let text = |key: &str| wish[key].as_str().unwrap_or_default().to_owned();
    let (name, action, here) = (text("name"), text("do"), site.clone());
    site.apart("node", async move {
        match action.as_str() {
            "power off" => here.0.cluster.set_power(&name, Power::Off)?,
            "power on" => here.0.cluster.set_power(&name, Power::On)?,
            "cut off" => here.0.cluster.set_link(&name, Link::Cut)?,
            "join" => here.0.cluster.set_link(&name, Link::Joined)?,
            "cordon" => cordon(&here, &name, Value::Bool(true)).await?,
            "uncordon" => cordon(&here, &name, Value::Null).await?,
            other => {
                return Err(
                    Error::new(format!("a node cannot be made to {other:?}"), "").hint(format!("send {EXAMPLE}"))
                );
            }
        }
        shown(&here, &name).await
    })
    .await
}

/// What the map offers depends on: `{"power": "on", "cable": "joined", "cordoned": false}`.
///
/// # Errors
/// When there is no such node.
pub async fn shown(site: &Site, name: &str) -> Result<Value> {
    let nodes: Api<Node> = Api::all(site.0.cluster.client("tutor-page"));
    let node = nodes.get(name).await.map_err(refused)?;
    let cordoned = node.spec.and_then(|spec| spec.unschedulable) == Some(true);
    // A node that somebody wrote down by hand has no machine.
    let power = site.0.cluster.node(name).map(|kubelet| if kubelet.is_off() { Power::Off } else { Power::On });
    let cable = site.0.cluster.link(name).ok();
    Ok(json!({
        "power": power.map(|power| power.to_string()),
        "cable": cable.map(|link| link.to_string()),
        "cordoned": cordoned,
    }))
}

async fn cordon(site: &Site, name: &str, cordoned: Value) -> Result<()> {
    let nodes: Api<Node> = Api::all(site.0.cluster.client("tutor-page"));
    let patch = Patch::Merge(json!({"spec": {"unschedulable": cordoned}}));
    nodes.patch(name, &PatchParams::default(), &patch).await.map_err(refused)?;
    Ok(())
}

fn refused(fault: kube::Error) -> Error {
    match fault {
        kube::Error::Api(status) => Error::new(status.message.clone(), "").hint("see them: kubectl get nodes"),
        other => Error::new("the API server does not answer", other.to_string()),
    }
}
