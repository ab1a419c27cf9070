//! Another HTTPS server, inside the test's process: what an aggregated API or a webhook is to the API
//! server. It remembers what it was asked, and by whom.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A request that was received.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The common name of the client's certificate.
    pub client: Option<String>,
}

impl Seen {
    /// Every value of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

/// A running server.
pub struct Backend {
    pub port: u16,
    /// The certificate (PEM) to trust.
    pub certificate: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Backend {
    /// Listens on a free port of loopback under `name`. Client certificates are taken when `clients` (PEM)
    /// vouches for them.
    pub async fn start<F>(name: &str, clients: Option<&str>, answer: F) -> Backend
    where
        F: Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync + 'static,
    {
        let own = rcgen::generate_simple_self_signed([name.to_string()]).unwrap();
        let certificate = own.cert.pem();
        let key = PrivateKeyDer::from_pem_slice(own.signing_key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            }
        };
        let config = builder.with_single_cert(vec![own.cert.der().clone()], key).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (kept, answer) = (seen.clone(), Arc::new(answer));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, kept, answer) = (acceptor.clone(), kept.clone(), answer.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(socket).await else { return };
                    let chain = stream.get_ref().1.peer_certificates();
                    let client = chain.and_then(|chain| chain.first()).map(common_name);
                    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                        let (kept, answer, client) = (kept.clone(), answer.clone(), client.clone());
                        async move {
                            let seen = read(request, client).await;
                            kept.lock().push(seen.clone());
                            let answer = answer(&seen);
                            if answer.extensions().get::<Never>().is_some() {
                                std::future::pending::<()>().await;
                            }
                            Ok::<_, std::convert::Infallible>(answer)
                        }
                    });
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Backend { port, certificate, seen }
    }

    /// What it was asked, for a path that begins so.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        self.seen.lock().iter().filter(|seen| seen.target.starts_with(path)).cloned().collect()
    }
}

async fn read(request: Request<Incoming>, client: Option<String>) -> Seen {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Seen { method: parts.method.to_string(), target: parts.uri.to_string(), headers: parts.headers, body, client }
}

fn common_name(certificate: &CertificateDer<'_>) -> String {
    let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
    certificate.subject().iter_common_name().next().unwrap().as_str().unwrap().to_string()
}

/// Marks an answer that is not given.
#[derive(Clone)]
struct Never;

/// No answer: the connection stays open, and nothing comes.
pub fn never() -> Response<Full<Bytes>> {
    let mut answer = Response::default();
    answer.extensions_mut().insert(Never);
    answer
}

/// An answer in JSON.
pub fn json(code: u16, value: &serde_json::Value) -> Response<Full<Bytes>> {
    let answer = Response::builder().status(code).header("content-type", "application/json");
    answer.body(Full::new(Bytes::from(value.to_string()))).unwrap()
}
