//! A connection to a port of a Pod, for whoever is on the other side of the API server: `…/proxy`, and
//! webhooks and aggregated APIs that run as Pods.
//!
//! In: namespace, name, port. Out: bytes both ways, or why not in the words a client of the Pod's
//! address would see.

use super::run::Node;
use super::runtime::{Connection, Dial};
use super::state::Sandbox;

/// Connects.
///
/// # Errors
/// `dial tcp 10.244.0.2:80: connect: connection refused`
pub async fn connect(node: &Node, namespace: &str, name: &str, port: u16) -> Result<Connection, String> {
    let sandbox = sandbox(node, namespace, name);
    let sandbox = sandbox.ok_or_else(|| format!("dial tcp {name}:{port}: connect: no route to host"))?;
    // Who listens on `localhost` alone is not there for others.
    node.runtime.dial(&sandbox.id, Dial::Tcp { port }).await?;
    let connected = node.runtime.port_forward(&sandbox.id, port).await;
    connected.map_err(|_| format!("dial tcp {}:{port}: connect: connection refused", sandbox.ip))
}

fn sandbox(node: &Node, namespace: &str, name: &str) -> Option<Sandbox> {
    let pods = node.pods.lock();
    let pod = pods.values().find(|pod| pod.namespace() == namespace && pod.name() == name)?;
    node.sandboxes.lock().get(pod.uid()).cloned()
}
