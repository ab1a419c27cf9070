//! Other servers that the API server talks to: webhooks, converters of custom resources, aggregated
//! APIs.
//!
//! In: where one is (a Service or a host), whom to trust, and a request. Out: its answer, or why there
//! is none in the words of Go's HTTP client, since clients show them to people. A Service is reached
//! as kube-proxy would reach it: at a ready endpoint of its port. [`tls`] says who is trusted,
//! [`webhook`] asks a question in JSON, [`relay`] passes whole requests through.
//! Chapter: `book/src/inside/api-server.md`.

pub mod relay;
pub mod tls;
pub mod webhook;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};

use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::BoxError;

use super::Connection;
use super::kinds::json::Json;
use super::objects::{Objects, collection};

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name that its certificate has to show.
    pub host: String,
    /// The port of the host or of the Service.
    pub port: u16,
    /// Namespace and name, when it is a Service.
    pub service: Option<(String, String)>,
}

impl Place {
    /// The port of a Service.
    pub fn service(namespace: &str, name: &str, port: u16) -> Place {
        let service = Some((namespace.to_string(), name.to_string()));
        Place { host: format!("{name}.{namespace}.svc"), port, service }
    }

    /// `host:port`, as a `Host` header says it.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Connects, shakes hands, and gives a sender of requests with the future that drives it.
    ///
    /// # Errors
    /// `dial tcp 10.96.0.7:443: connect: connection refused`, `tls: failed to verify certificate: …`
    pub async fn open<B>(
        &self,
        connector: TlsConnector,
        objects: &dyn Objects,
    ) -> Result<(SendRequest<B>, impl Future<Output = ()> + Send + use<B>), String>
    where
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let stream = self.connect(objects).await?;
        let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
        let stream = connector.connect(name, stream).await.map_err(|error| tls::in_words(&error))?;
        let (sender, connection) =
            http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let driven = async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "the connection to another server ended");
            }
        };
        Ok((sender, driven))
    }

    /// A connection to the host, or to an endpoint of the Service.
    async fn connect(&self, objects: &dyn Objects) -> Result<Box<dyn Connection>, String> {
        let Some((namespace, name)) = &self.service else { return dial(&self.host, self.port).await };
        let service = objects
            .get(collection("", "services"), namespace, name)
            .ok_or_else(|| format!("service {name:?} not found"))?;
        if service.text("spec.type") == "ExternalName" {
            return dial(service.text("spec.externalName"), self.port).await;
        }
        let port = service.items("spec.ports").iter().find(|port| port.int("port") == Some(i64::from(self.port)));
        let port = port.ok_or_else(|| format!("no service port {} found for service {name:?}", self.port))?;
        let refused = format!("dial tcp {}:{}: connect: connection refused", service.text("spec.clusterIP"), self.port);
        for endpoint in endpoints(objects, namespace, name, port.text("name")) {
            let connected = match &endpoint.pod {
                Some(pod) => objects.connect(namespace, pod, endpoint.port).await,
                None => dial(&endpoint.ip.to_string(), endpoint.port).await,
            };
            if connected.is_ok() {
                return connected;
            }
        }
        Err(refused)
    }
}

async fn dial(host: &str, port: u16) -> Result<Box<dyn Connection>, String> {
    let dialed = match host.parse::<IpAddr>() {
        Ok(ip) => format!("dial tcp {}: connect", SocketAddr::new(ip, port)),
        Err(_) => format!("dial tcp: lookup {host}"),
    };
    let connected = TcpStream::connect((host, port)).await;
    connected.map(|stream| Box::new(stream) as _).map_err(|error| format!("{dialed}: {}", dial_words(&error)))
}

/// One of those behind a Service.
struct Endpoint {
    ip: IpAddr,
    port: u16,
    /// A Pod has its address on its node alone: it is reached through there.
    pod: Option<String>,
}

/// The ready endpoints of a Service's port.
fn endpoints(objects: &dyn Objects, namespace: &str, service: &str, port: &str) -> Vec<Endpoint> {
    let slices = objects.list(collection("discovery.k8s.io", "endpointslices"), namespace);
    let mut found = Vec::new();
    for slice in slices {
        if crate::api::meta::label(&slice, "kubernetes.io/service-name") != Some(service) {
            continue;
        }
        let named = slice.items("ports").iter().find(|own| own.text("name") == port);
        let Some(number) = named.and_then(|own| own.int("port")).and_then(|number| u16::try_from(number).ok()) else {
            continue;
        };
        let ready = slice.items("endpoints").iter().filter(|endpoint| endpoint.at("conditions.ready") != false);
        found.extend(ready.filter_map(|endpoint| {
            let ip = endpoint.items("addresses").first()?.as_str()?.parse().ok()?;
            let pod = (endpoint.text("targetRef.kind") == "Pod").then(|| endpoint.text("targetRef.name").to_string());
            Some(Endpoint { ip, port: number, pod })
        }));
    }
    found
}

fn dial_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_string(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_string(),
        io::ErrorKind::HostUnreachable => "no route to host".to_string(),
        _ if error.raw_os_error().is_none() => "no such host".to_string(),
        _ => error.to_string(),
    }
}
