//! The key pair that signs service account tokens: RSA with 2048 bits, as Kubernetes' own tools make it.
//!
//! In: a file, or nothing for a cluster in memory. Out: a key for RS256 (or ES256, for a file that holds
//! such a key), and its public half as a JSON Web Key. Such a key takes some tenths of a second to make,
//! which is far too long for a start: it is made when the first token is asked for. Until then there is no
//! token that could be good.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use parking_lot::Mutex;
use rcgen::PublicKeyData;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use rsa::{RsaPrivateKey, RsaPublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::apiserver::pki;
use crate::error::{Error, Result};

const BITS: usize = 2_048;

/// A cluster in memory ends with the process: all of one process share a key.
static IN_MEMORY: LazyLock<std::result::Result<String, String>> = LazyLock::new(make);

/// The key pair, made when it is needed.
pub struct SigningKeys {
    /// Where it is kept; `None`: nowhere.
    file: Option<PathBuf>,
    key: OnceLock<SigningKey>,
    making: Mutex<()>,
}

/// A key pair that is there.
pub struct SigningKey {
    /// How it signs.
    pub algorithm: Algorithm,
    /// The private half.
    pub signing: EncodingKey,
    /// The public half.
    pub verifying: DecodingKey,
    /// The name of the public half: what a token's header says.
    pub id: String,
    /// The public half as a JSON Web Key.
    pub public: Value,
}

impl SigningKeys {
    /// Kept in a file, read now if it is there.
    ///
    /// # Errors
    /// When the file holds no key.
    pub fn open(file: PathBuf) -> Result<Arc<SigningKeys>> {
        let keys = SigningKeys { key: OnceLock::new(), making: Mutex::new(()), file: Some(file.clone()) };
        if let Some(text) = pki::read_if_there(&file)? {
            let key = SigningKey::read(&text).map_err(|why| pki::unusable(&file, &why))?;
            // Nobody else has these keys yet.
            let _ = keys.key.set(key);
        }
        Ok(Arc::new(keys))
    }

    /// Kept nowhere.
    pub fn in_memory() -> Arc<SigningKeys> {
        Arc::new(SigningKeys { key: OnceLock::new(), making: Mutex::new(()), file: None })
    }

    /// The key, if it has been made.
    pub fn get(&self) -> Option<&SigningKey> {
        self.key.get()
    }

    /// The key, made now if it has to be. This computes for some time: not for an async thread.
    ///
    /// # Errors
    /// When it cannot be made or kept.
    pub fn make(&self) -> Result<&SigningKey> {
        let _making = self.making.lock();
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let failed = |why: String| Error::new("the key of service account tokens cannot be made", why);
        let text = match &self.file {
            Some(file) => {
                let text = make().map_err(failed)?;
                pki::write_private(file, &text)?;
                text
            }
            None => IN_MEMORY.clone().map_err(failed)?,
        };
        let key = SigningKey::read(&text).map_err(failed)?;
        Ok(self.key.get_or_init(|| key))
    }
}

fn make() -> std::result::Result<String, String> {
    let key = RsaPrivateKey::new(&mut OsRng, BITS).map_err(|error| error.to_string())?;
    key.to_pkcs8_pem(LineEnding::LF).map(|pem| pem.to_string()).map_err(|error| error.to_string())
}

impl SigningKey {
    /// From a private key in PEM (PKCS#8): RSA, or ECDSA P-256.
    fn read(pem: &str) -> std::result::Result<SigningKey, String> {
        match RsaPrivateKey::from_pkcs8_pem(pem) {
            Ok(key) => SigningKey::rsa(pem, &key.to_public_key()),
            Err(_) => SigningKey::ecdsa(pem),
        }
    }

    fn rsa(pem: &str, public: &RsaPublicKey) -> std::result::Result<SigningKey, String> {
        let der = public.to_public_key_der().map_err(|error| error.to_string())?;
        let id = id(der.as_bytes());
        let encode = |number: &rsa::BigUint| URL_SAFE_NO_PAD.encode(number.to_bytes_be());
        let (n, e) = (encode(public.n()), encode(public.e()));
        Ok(SigningKey {
            algorithm: Algorithm::RS256,
            signing: EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|error| error.to_string())?,
            verifying: DecodingKey::from_rsa_components(&n, &e).map_err(|error| error.to_string())?,
            public: json!({"use": "sig", "kty": "RSA", "kid": id, "alg": "RS256", "n": n, "e": e}),
            id,
        })
    }

    fn ecdsa(pem: &str) -> std::result::Result<SigningKey, String> {
        let pair = rcgen::KeyPair::from_pem(pem).map_err(|error| error.to_string())?;
        let id = id(&pair.subject_public_key_info());
        // An uncompressed point: 0x04, 32 bytes of x, 32 bytes of y.
        let point = pair.public_key_raw().get(1..65).ok_or("the key is not ECDSA P-256")?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[..32]), URL_SAFE_NO_PAD.encode(&point[32..]));
        Ok(SigningKey {
            algorithm: Algorithm::ES256,
            signing: EncodingKey::from_ec_pem(pem.as_bytes()).map_err(|error| error.to_string())?,
            verifying: DecodingKey::from_ec_components(&x, &y).map_err(|error| error.to_string())?,
            public: json!({"use": "sig", "kty": "EC", "kid": id, "crv": "P-256", "alg": "ES256", "x": x, "y": y}),
            id,
        })
    }
}

fn id(public: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(public))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sa.key");
        let first = SigningKeys::open(file.clone()).unwrap();
        assert!(first.get().is_none() && !file.exists(), "not before it is needed");
        let id = first.make().unwrap().id.clone();
        let second = SigningKeys::open(file).unwrap();
        assert_eq!(second.get().map(|key| (key.id.clone(), key.algorithm)), Some((id, Algorithm::RS256)));
    }

    #[test]
    fn a_key_of_an_older_start_goes_on_signing() {
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let key = SigningKey::read(&pem).unwrap();
        assert_eq!((key.algorithm, &key.public["kty"]), (Algorithm::ES256, &json!("EC")));
    }
}
