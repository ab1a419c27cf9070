//! The cluster's door for HTTP: one port of this computer, and the way from it to a Pod.
//!
//! In: a listener. Out: a served door ([`door`]). The way leads through the Pod's kubelet, as that of
//! `kubectl port-forward` does, so it is the same whatever runs the containers.
//! Chapter: `book/src/inside/network.md`.

use std::net::SocketAddr;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::net::TcpListener;

use super::{Cluster, Nodes, client_as};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::network::door::{self, Dialer, Stream, Target};

impl Cluster {
    /// Serves Ingresses, Gateways and HTTPRoutes at a listener; its address.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn serve_ingress(&self, listener: TcpListener) -> Result<SocketAddr> {
        let parts = &self.0;
        let no_address = |fault: std::io::Error| Error::new("the door has no address", fault.to_string());
        let address = listener.local_addr().map_err(no_address)?;
        let setup = door::Setup {
            client: client_as(&parts.api, "system:tutor-ingress", &["system:masters"], "ingress"),
            dialer: parts.nodes.clone(),
            clock: parts.options.clock,
            tasks: parts.workers.clone(),
        };
        door::start(setup, listener);
        Ok(address)
    }
}

/// Installs the kinds of Gateway API, which are no part of Kubernetes.
///
/// # Errors
/// When one is refused, or is not served in time.
pub async fn install_gateway_api(client: &kube::Client, clock: Clock) -> Result<()> {
    door::install_gateway_api(client, clock).await
}

impl Dialer for Nodes {
    fn dial<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, std::result::Result<Box<dyn Stream>, String>> {
        async move {
            let refused = |why: &str| format!("dial tcp {}:{}: {why}", target.address, target.port);
            let Some(pod) = &target.pod else {
                if target.address.is_loopback() {
                    return door::dial_loopback(target).await.map_err(|fault| refused(&fault.to_string()));
                }
                return Err(refused("no Pod has this address"));
            };
            let kubelet = self.reach(&target.node)?;
            let connection = kubelet.connect(&target.namespace, pod, target.port).await?;
            Ok(Box::new(connection) as Box<dyn Stream>)
        }
        .boxed()
    }
}
