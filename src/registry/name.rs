//! The names of things: repositories, tags, digests. Pure.
//!
//! Only well-formed names exist as values, so that a name can be a path below the store's folder.
//! Source: OCI distribution specification v1.1, "Pulling manifests"; image specification, "Digests".

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Longest repository name, in bytes.
const NAME_MAX: usize = 255;
/// Longest tag, in bytes.
const TAG_MAX: usize = 128;

/// A repository: `library/web`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repository(String);

/// The SHA-256 of some content; hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(String);

/// What a manifest is asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    Tag(String),
    Digest(Digest),
}

impl Repository {
    pub fn parse(name: &str) -> Option<Repository> {
        (name.len() <= NAME_MAX && name.split('/').all(is_component)).then(|| Repository(name.to_string()))
    }
}

/// Whether a text can be a repository's name.
pub fn is_repository(name: &str) -> bool {
    Repository::parse(name).is_some()
}

/// Whether a text can be a tag.
pub fn is_tag(text: &str) -> bool {
    matches!(Reference::parse(text), Some(Reference::Tag(_)))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = bytes.first().is_some_and(|byte| word(*byte)) && bytes.last().is_some_and(|byte| word(*byte));
    let separators = component.split(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    ends && separators
        .into_iter()
        .all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-'))
}

impl Digest {
    /// Reads `sha256:…`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Digest> {
        let hex = text.strip_prefix("sha256:")?;
        let digits = hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        (hex.len() == 64 && digits).then(|| Digest(hex.to_string()))
    }

    /// The digest of some content.
    pub fn of(content: &[u8]) -> Digest {
        Digest::finish(Sha256::new().chain_update(content))
    }

    /// The digest of what was hashed.
    pub fn finish(hash: Sha256) -> Digest {
        Digest(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Its 64 digits.
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl Reference {
    pub fn parse(text: &str) -> Option<Reference> {
        if text.contains(':') {
            return Digest::parse(text).map(Reference::Digest);
        }
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let first = text.bytes().next().is_some_and(word);
        let rest = text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
        (first && rest && text.len() <= TAG_MAX).then(|| Reference::Tag(text.to_string()))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Tag(tag) => f.write_str(tag),
            Reference::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_lower_case_words() {
        for good in ["web", "library/web", "a/b/c", "a-b", "a--b", "a__b", "a.b_c-d", "0"] {
            assert!(Repository::parse(good).is_some(), "{good}");
        }
        for bad in ["", "/web", "web/", "a//b", "Web", "_a", "a_", "a..b", "a___b", "..", "a/../b", "a_.b"] {
            assert!(Repository::parse(bad).is_none(), "{bad}");
        }
        assert!(Repository::parse(&"a".repeat(256)).is_none());
    }

    #[test]
    fn a_reference_is_a_tag_or_a_digest() {
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(Reference::parse(&digest.to_string()), Some(Reference::Digest(digest)));
        assert_eq!(Reference::parse("v1.0-rc_1"), Some(Reference::Tag("v1.0-rc_1".into())));
        for bad in ["", ".a", "-a", "a/b", "sha256:abc", "sha512:00", &"a".repeat(129)] {
            assert_eq!(Reference::parse(bad), None, "{bad}");
        }
    }
}
