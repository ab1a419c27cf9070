//! The door's certificates: which one for which host.
//!
//! In: Ingresses and Gateways that name a Secret, and the Secrets of the type `kubernetes.io/tls`. Out: a configuration of TLS
//! that picks by the name a client greets with (SNI). The one port speaks both: a connection that begins as TLS does
//! is taken for TLS. A host without a certificate is not greeted back. Chapter: `book/src/inside/network.md`.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::Ingress;
use parking_lot::RwLock;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::route::Host;
use crate::client::ObjectKey;

/// The type of Secrets that are read.
pub const SECRET_TYPE: &str = "kubernetes.io/tls";
/// The first byte of a connection that begins as TLS does. Source: RFC 8446, 5.1.
pub const HANDSHAKE: u8 = 22;

/// A certificate, and the host it is for; `None`: for every host that has none of its own.
pub type Named = (Option<Host>, Arc<CertifiedKey>);

/// The certificates at this moment.
#[derive(Debug, Default)]
pub struct Certificates(RwLock<Vec<Named>>);

impl Certificates {
    /// Puts these in place of all others.
    pub fn set(&self, all: Vec<Named>) {
        *self.0.write() = all;
    }

    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let all = self.0.read();
        let fits = |(host, _): &&Named| host.as_ref().is_some_and(|host| host.fits(name).is_some());
        let own = all.iter().filter(fits).max_by_key(|(host, _)| host.as_ref().and_then(|host| host.fits(name)));
        own.or_else(|| all.iter().find(|(host, _)| host.is_none())).map(|(_, key)| key.clone())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(&hello.server_name().unwrap_or_default().to_lowercase())
    }
}

/// Takes connections over TLS with these certificates.
///
/// # Errors
/// When the library has no version of TLS in common with itself.
pub fn acceptor(certificates: Arc<Certificates>) -> Result<TlsAcceptor, rustls::Error> {
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = builder.with_safe_default_protocol_versions()?.with_no_client_auth().with_cert_resolver(certificates);
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificate of a Secret, if it can be read.
pub fn read(secret: &Secret) -> Option<Arc<CertifiedKey>> {
    let data = secret.data.as_ref()?;
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&data.get("tls.crt")?.0).collect::<Result<_, _>>().ok()?;
    let key = PrivateKeyDer::from_pem_slice(&data.get("tls.key")?.0).ok()?;
    let key = ring::sign::any_supported_type(&key).ok()?;
    (!chain.is_empty()).then(|| Arc::new(CertifiedKey::new(chain, key)))
}

/// What Ingresses name.
pub fn of_ingresses(all: &[Arc<Ingress>], find: impl Fn(&ObjectKey) -> Option<Arc<Secret>>) -> Vec<Named> {
    let mut named = Vec::new();
    for ingress in all {
        let namespace = ingress.metadata.namespace.clone().unwrap_or_default();
        let entries = ingress.spec.iter().flat_map(|spec| spec.tls.iter().flatten());
        for tls in entries {
            let secret = tls.secret_name.as_ref().and_then(|name| find(&ObjectKey::new(&namespace, name)));
            let Some(key) = secret.and_then(|secret| read(&secret)) else { continue };
            match tls.hosts.as_deref().unwrap_or_default() {
                [] => named.push((None, key)),
                hosts => named.extend(hosts.iter().map(|host| (Some(Host::of_ingress(host)), key.clone()))),
            }
        }
    }
    named
}
