//! Which endpoint a path means, and what its query says. Pure.

use super::error::{Code, Refusal};
use super::name::{Digest, Reference, Repository};

/// An endpoint below `/v2/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Base,
    Catalog,
    Blob(Repository, Digest),
    Uploads(Repository),
    Upload(Repository, uuid::Uuid),
    Manifest(Repository, Reference),
    Tags(Repository),
    Referrers(Repository, Digest),
}

impl Route {
    /// # Errors
    /// `NAME_INVALID`, `DIGEST_INVALID` and the like; `NAME_UNKNOWN` (404) for no endpoint at all.
    pub fn parse(path: &str) -> Result<Route, Refusal> {
        let unknown = || Refusal::new(Code::NameUnknown, format!("{path} is no endpoint of a registry"));
        let path = path.strip_prefix("/v2").ok_or_else(unknown)?;
        if path.is_empty() || path == "/" {
            return Ok(Route::Base);
        }
        let path = path.strip_prefix('/').ok_or_else(unknown)?;
        if path == "_catalog" {
            return Ok(Route::Catalog);
        }
        let uploads = path.strip_suffix("/blobs/uploads/").or_else(|| path.strip_suffix("/blobs/uploads"));
        if let Some(name) = uploads {
            return Ok(Route::Uploads(repository(name)?));
        }
        let (before, last) = path.rsplit_once('/').ok_or_else(unknown)?;
        let ending = |ending: &str| before.strip_suffix(ending).map(repository);
        if let Some(name) = ending("/blobs/uploads") {
            let id = last.parse().map_err(|_| Refusal::new(Code::BlobUploadUnknown, "there is no such upload"))?;
            Ok(Route::Upload(name?, id))
        } else if let Some(name) = ending("/blobs") {
            Ok(Route::Blob(name?, digest(last)?))
        } else if let Some(name) = ending("/manifests") {
            let invalid = || Refusal::new(Code::ManifestInvalid, format!("{last} is neither a tag nor a digest"));
            Ok(Route::Manifest(name?, Reference::parse(last).ok_or_else(invalid)?))
        } else if let Some(name) = ending("/referrers") {
            Ok(Route::Referrers(name?, digest(last)?))
        } else if let (Some(name), "list") = (ending("/tags"), last) {
            Ok(Route::Tags(name?))
        } else {
            Err(unknown())
        }
    }
}

fn repository(name: &str) -> Result<Repository, Refusal> {
    Repository::parse(name).ok_or_else(|| Refusal::new(Code::NameInvalid, format!("{name} is no repository name")))
}

/// A digest in a path or a query.
pub(super) fn digest(text: &str) -> Result<Digest, Refusal> {
    Digest::parse(text)
        .ok_or_else(|| Refusal::new(Code::DigestInvalid, format!("{text} is neither a sha256 nor a sha512 digest")))
}

/// The value of `key` in a query string, percent-decoded.
pub(super) fn query(query: &str, key: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))?;
    let mut bytes = value.bytes();
    let mut decoded = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_endpoints() {
        let hex = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let name = |name: &str| Repository::parse(name).unwrap();
        let digest = Digest::parse(hex).unwrap();
        let table = [
            ("/v2/".to_string(), Route::Base),
            ("/v2/_catalog".to_string(), Route::Catalog),
            (format!("/v2/a/b/blobs/{hex}"), Route::Blob(name("a/b"), digest.clone())),
            ("/v2/a/blobs/uploads/".to_string(), Route::Uploads(name("a"))),
            ("/v2/a/manifests/v1".to_string(), Route::Manifest(name("a"), Reference::Tag("v1".into()))),
            ("/v2/a/tags/list".to_string(), Route::Tags(name("a"))),
            ("/v2/tags/tags/list".to_string(), Route::Tags(name("tags"))),
            (format!("/v2/a/referrers/{hex}"), Route::Referrers(name("a"), digest)),
        ];
        for (path, route) in table {
            assert_eq!(Route::parse(&path).unwrap(), route, "{path}");
        }
        for (path, code) in [
            ("/v1/", Code::NameUnknown),
            ("/v2/a/tags/other", Code::NameUnknown),
            ("/v2/A/tags/list", Code::NameInvalid),
            ("/v2/a/../b/tags/list", Code::NameInvalid),
            ("/v2/a/blobs/sha256:12", Code::DigestInvalid),
            ("/v2/a/blobs/uploads/7", Code::BlobUploadUnknown),
            ("/v2/a/manifests/.", Code::ManifestInvalid),
        ] {
            assert_eq!(Route::parse(path).unwrap_err().code, code, "{path}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        assert_eq!(query("n=2&digest=sha256%3Aab+c", "digest").as_deref(), Some("sha256:ab c"));
        assert_eq!(query("mount=x", "from"), None);
        assert_eq!(query("a=%zz", "a"), None);
    }
}
