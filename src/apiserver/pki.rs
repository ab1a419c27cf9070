//! The cluster's own certificate authority: who signs whom.
//!
//! In: a folder. Out: the authority's certificate, a serving certificate for the API server, client
//! certificates for whoever asks, and the keys that sign service account tokens. Made at first start,
//! kept in `<state>/pki` with mode 0600, read again afterwards. Never sends a private key anywhere.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use x509_parser::time::ASN1Time;

use super::auth::signing::SigningKeys;
use super::key_usage;
use crate::error::{Error, Result};

/// Names and addresses under which the API server may be called.
const SERVING_NAMES: &[&str] = &[
    "127.0.0.1",
    "::1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "10.96.0.1",
];

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key (PKCS#8).
    pub key: String,
}

/// The certificate authority of one cluster.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
    serving: Identity,
    signing: Arc<SigningKeys>,
    front_proxy: FrontProxy,
}

/// How the API server shows to aggregated API servers that it is the one that speaks for its clients: an
/// authority of its own, so that no client's certificate can pass for it.
struct FrontProxy {
    authority: String,
    client: Identity,
}

/// The common name that aggregated API servers expect.
pub const FRONT_PROXY_CLIENT: &str = "front-proxy-client";

impl Authority {
    /// Reads the authority kept in `folder`, or makes it there.
    ///
    /// # Errors
    /// When the folder cannot be used, or holds something that is not a key or certificate.
    pub fn open(folder: &Path) -> Result<Authority> {
        let files = Files::new(folder)?;
        let certificate = files.pair("ca", || authority("kubernetes"))?;
        let issuer = files.issuer(&certificate)?;
        let serving = files.pair("apiserver", || issue(&issuer, &serving_params()?))?;
        let signing = SigningKeys::open(folder.join("sa.key"))?;
        let front = files.pair("front-proxy-ca", || authority("front-proxy-ca"))?;
        let client = files.pair("front-proxy-client", || front_proxy_client(&front))?;
        let front_proxy = FrontProxy { authority: front.certificate, client };
        Ok(Authority { certificate: certificate.certificate, issuer, serving, signing, front_proxy })
    }

    /// An authority that lives in memory alone.
    ///
    /// # Errors
    /// When the machine has no randomness to make keys from.
    pub fn in_memory() -> Result<Authority> {
        Self::make().map_err(|error| Error::new("the cluster's keys cannot be made", error.to_string()))
    }

    fn make() -> std::result::Result<Authority, rcgen::Error> {
        let Identity { certificate, key } = authority("kubernetes")?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(&key)?)?;
        let serving = issue(&issuer, &serving_params()?)?;
        let front = authority("front-proxy-ca")?;
        let front_proxy = FrontProxy { client: front_proxy_client(&front)?, authority: front.certificate };
        Ok(Authority { certificate, issuer, serving, signing: SigningKeys::in_memory(), front_proxy })
    }

    /// The certificate (PEM) that vouches for [`Authority::front_proxy_client`].
    pub fn front_proxy_authority(&self) -> &str {
        &self.front_proxy.authority
    }

    /// What the API server shows to aggregated API servers.
    pub fn front_proxy_client(&self) -> &Identity {
        &self.front_proxy.client
    }

    /// The authority's certificate (PEM): what clients trust, and `kube-root-ca.crt`.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The keys that sign service account tokens.
    pub fn signing(&self) -> &Arc<SigningKeys> {
        &self.signing
    }

    /// A client certificate: `common_name` is the user, `organizations` are the groups.
    /// `kubernetes-admin` of `system:masters` may do everything; a node is `system:node:NAME` of
    /// `system:nodes`.
    ///
    /// # Errors
    /// When a name cannot be written into a certificate.
    pub fn client(&self, common_name: &str, organizations: &[&str]) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        for organization in organizations {
            params.distinguished_name.push(DnType::OrganizationName, *organization);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        issue(&self.issuer, &params)
            .map_err(|error| Error::new(format!("no certificate can be made for {common_name}"), error.to_string()))
    }

    /// A certificate (PEM) for a request (PEM, PKCS#10) that somebody approved. `usages` are
    /// Kubernetes' names (`client auth`); the request's own wishes about usage are not followed.
    ///
    /// # Errors
    /// When the request cannot be read, is not signed with its own key, or a usage is unknown.
    pub fn sign(
        &self,
        request: &str,
        usages: &[String],
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> std::result::Result<String, String> {
        let text = |error: rcgen::Error| error.to_string();
        let mut request = CertificateSigningRequestParams::from_pem(request).map_err(text)?;
        let params = &mut request.params;
        (params.key_usages, params.extended_key_usages) = key_usage::of(usages)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        let date = |at: Timestamp| {
            Ok::<_, String>(ASN1Time::from_timestamp(at.as_second()).map_err(|error| error.to_string())?.to_datetime())
        };
        params.not_before = date(not_before)?;
        params.not_after = date(not_after)?;
        Ok(request.signed_by(&self.issuer).map_err(text)?.pem())
    }

    /// The TLS side of the server: our serving certificate; a client certificate is optional, and
    /// good only when this authority signed it.
    ///
    /// # Errors
    /// When a kept certificate or key is not usable.
    pub fn server_config(&self) -> Result<rustls::ServerConfig> {
        let bad =
            |error: &dyn std::fmt::Display| Error::new("the serving certificate is not usable", error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(|error| bad(&error))?)
            .map_err(|error| bad(&error))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|error| bad(&error))?;
        let chain = CertificateDer::pem_slice_iter(self.serving.certificate.as_bytes())
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| bad(&error))?;
        let key = PrivateKeyDer::from_pem_slice(self.serving.key.as_bytes()).map_err(|error| bad(&error))?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| bad(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn authority(common_name: &str) -> std::result::Result<Identity, rcgen::Error> {
    let key = KeyPair::generate()?;
    let certificate = authority_params(common_name).self_signed(&key)?.pem();
    Ok(Identity { certificate, key: key.serialize_pem() })
}

fn front_proxy_client(authority: &Identity) -> std::result::Result<Identity, rcgen::Error> {
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, FRONT_PROXY_CLIENT);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    issue(&issuer, &params)
}

fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
    params
}

fn serving_params() -> std::result::Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = SERVING_NAMES.iter().map(|name| (*name).to_string()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn issue(issuer: &Issuer<'static, KeyPair>, params: &CertificateParams) -> std::result::Result<Identity, rcgen::Error> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?.pem();
    Ok(Identity { certificate, key: key.serialize_pem() })
}

/// The folder of keys.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn new(folder: &Path) -> Result<Files> {
        fs::create_dir_all(folder).map_err(|error| {
            Error::new(format!("the folder {} cannot be made", folder.display()), error.to_string())
        })?;
        Ok(Files { folder: folder.to_path_buf() })
    }

    /// `<name>.crt` and `<name>.key`, made together when either is missing.
    fn pair(&self, name: &str, make: impl FnOnce() -> std::result::Result<Identity, rcgen::Error>) -> Result<Identity> {
        let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
        if let (Some(certificate), Some(key)) = (self.read(&certificate)?, self.read(&key)?) {
            return Ok(Identity { certificate, key });
        }
        let made = make().map_err(|error| self.unusable(&certificate, &error))?;
        self.write(&key, &made.key)?;
        self.write(&certificate, &made.certificate)?;
        Ok(made)
    }

    fn issuer(&self, authority: &Identity) -> Result<Issuer<'static, KeyPair>> {
        KeyPair::from_pem(&authority.key)
            .and_then(|key| Issuer::from_ca_cert_pem(&authority.certificate, key))
            .map_err(|error| self.unusable("ca.crt", &error))
    }

    fn read(&self, name: &str) -> Result<Option<String>> {
        read_if_there(&self.folder.join(name))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        write_private(&self.folder.join(name), text)
    }

    fn unusable(&self, name: &str, error: &dyn std::fmt::Display) -> Error {
        unusable(&self.folder.join(name), error)
    }
}

/// A file's text, if there is such a file.
///
/// # Errors
/// When it cannot be read.
pub fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// Writes a file for the owner's eyes, whole or not at all: a crash between leaves the old file or none.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    let partial = path.with_extension("partial");
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|error| unusable(path, &error))
}

/// A key or certificate that is kept and no good.
pub fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(format!("{} cannot be used", path.display()), error.to_string())
        .hint("move the pki folder away; new keys are made at the next start, and old kubeconfigs stop working")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_private_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open(folder.path()).unwrap();
        let second = Authority::open(folder.path()).unwrap();
        assert_eq!(first.certificate(), second.certificate());
        let mode = fs::metadata(folder.path().join("ca.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        first.server_config().unwrap();
    }

    #[test]
    fn a_client_certificate_names_user_and_groups() {
        let identity = Authority::in_memory().unwrap().client("kubernetes-admin", &["system:masters"]).unwrap();
        assert!(identity.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
    }
}
