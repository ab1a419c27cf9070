//! One HTTPS request to a webhook's server: the address from its `clientConfig`, the certificate
//! checked against its CA bundle.
//!
//! A Service is reached as kube-proxy would: at a ready endpoint of its port. Errors are worded as
//! Go's HTTP client words them, since clients show them to people.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::apiserver::kinds::json::Json;
use crate::apiserver::objects::{Objects, collection};

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 3 * 1024 * 1024;

/// Where a webhook's server is.
pub struct Address {
    /// As errors show it.
    url: String,
    /// Path and query.
    path: String,
    host: String,
    port: u16,
    /// Namespace and name, when it is a Service.
    service: Option<(String, String)>,
    /// PEM; empty: nobody is trusted.
    authority: Vec<u8>,
}

impl Address {
    /// From a `clientConfig`.
    ///
    /// # Errors
    /// When its URL or CA bundle cannot be read.
    pub fn of(client: &Value, limit: Duration) -> Result<Address, String> {
        let authority = STANDARD.decode(client.text("caBundle")).map_err(|error| error.to_string())?;
        let query = format!("timeout={}s", limit.as_secs());
        let service = client.at("service");
        if !service.is_null() {
            let (namespace, name) = (service.text("namespace"), service.text("name"));
            let port = service.int("port").and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
            let path = format!("/{}?{query}", service.text("path").trim_start_matches('/'));
            let host = format!("{name}.{namespace}.svc");
            let service = Some((namespace.to_string(), name.to_string()));
            return Ok(Address { url: format!("https://{host}:{port}{path}"), path, host, port, service, authority });
        }
        let uri: http::Uri = client.text("url").parse().map_err(|_| format!("invalid URL {:?}", client.text("url")))?;
        let host = uri.host().unwrap_or("").trim_matches(['[', ']']).to_string();
        let path = format!("{}?{query}", uri.path());
        let shown = uri.authority().map_or("", |authority| authority.as_str());
        let url = format!("https://{shown}{path}");
        Ok(Address { url, path, host, port: uri.port_u16().unwrap_or(443), service: None, authority })
    }

    /// A failure of the request, in Go's words.
    pub fn failed(&self, why: impl std::fmt::Display) -> String {
        format!("failed to call webhook: Post {:?}: {why}", self.url)
    }
}

/// Posts the question and gives back the answer's JSON.
///
/// # Errors
/// Why there is no answer.
pub async fn post(address: &Address, question: &Value, objects: &dyn Objects) -> Result<Value, String> {
    let stream = connect(address, objects).await.map_err(|why| address.failed(why))?;
    let name = ServerName::try_from(address.host.clone()).map_err(|error| address.failed(error))?;
    let stream = connector(address)?.connect(name, stream).await.map_err(|error| address.failed(tls_words(&error)))?;
    let request = http::Request::post(&address.path)
        .header(header::HOST, format!("{}:{}", address.host, address.port))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, */*")
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(Bytes::from(question.to_string())))
        .map_err(|error| address.failed(error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| address.failed(error))?;
    // The connection ends once its sender is gone, which the exchange drops.
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let code = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        body.map(|body| (code, body.to_bytes())).map_err(|error| error.to_string())
    };
    let (answer, _) = futures::future::join(exchange, connection).await;
    let (code, body) = answer.map_err(|why| address.failed(why))?;
    if !code.is_success() {
        return Err(match code.as_u16() {
            404 => "failed to call webhook: the server could not find the requested resource".to_string(),
            500.. => {
                "failed to call webhook: an error on the server (\"unknown\") has prevented the request from succeeding"
                    .to_string()
            }
            _ => "failed to call webhook: the server rejected our request for an unknown reason".to_string(),
        });
    }
    serde_json::from_slice(&body)
        .map_err(|error| format!("failed to call webhook: couldn't get version/kind; json parse error: {error}"))
}

/// A connection to the host of the URL, or to an endpoint of the Service.
async fn connect(address: &Address, objects: &dyn Objects) -> Result<TcpStream, String> {
    let Some((namespace, name)) = &address.service else {
        let dialed = match address.host.parse::<IpAddr>() {
            Ok(ip) => format!("dial tcp {}: connect", std::net::SocketAddr::new(ip, address.port)),
            Err(_) => format!("dial tcp: lookup {}", address.host),
        };
        let target = (address.host.as_str(), address.port);
        return TcpStream::connect(target).await.map_err(|error| format!("{dialed}: {}", dial_words(&error)));
    };
    let service = objects
        .get(collection("", "services"), namespace, name)
        .ok_or_else(|| format!("service {name:?} not found"))?;
    let port = service.items("spec.ports").iter().find(|port| port.int("port") == Some(i64::from(address.port)));
    let port = port.ok_or_else(|| format!("no service port {} found for service {name:?}", address.port))?;
    let refused = format!("dial tcp {}:{}: connect: connection refused", service.text("spec.clusterIP"), address.port);
    for (ip, port) in endpoints(objects, namespace, name, port.text("name")) {
        if let Ok(stream) = TcpStream::connect((ip, port)).await {
            return Ok(stream);
        }
    }
    Err(refused)
}

/// The ready endpoints of a Service's port.
fn endpoints(objects: &dyn Objects, namespace: &str, service: &str, port: &str) -> Vec<(IpAddr, u16)> {
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
        let addresses = ready.flat_map(|endpoint| endpoint.items("addresses")).filter_map(Value::as_str);
        found.extend(addresses.filter_map(|ip| ip.parse().ok()).map(|ip: IpAddr| (ip, number)));
    }
    found
}

fn connector(address: &Address) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&address.authority).flatten() {
        roots.add(certificate).map_err(|error| address.failed(error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| address.failed(error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
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

fn tls_words(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let failed = "tls: failed to verify certificate: x509";
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            format!("{failed}: certificate signed by unknown authority")
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => {
            format!("{failed}: certificate has expired or is not yet valid")
        }
        Some(rustls::Error::InvalidCertificate(fault)) => format!("{failed}: {fault}"),
        Some(other) => format!("remote error: tls: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".to_string(),
        None => error.to_string(),
    }
}
