//! The names of things: repositories, tags, digests. Pure.
//!
//! Only well-formed names exist as values, so that a name can be a path below the store's folder.
//! Source: OCI distribution specification v1.1, "Pulling manifests"; image specification, "Digests".

use std::fmt;
use std::io;

use sha2::{Digest as _, Sha256, Sha512};

/// Longest repository name, in bytes.
const NAME_MAX: usize = 255;
/// Longest tag, in bytes.
const TAG_MAX: usize = 128;

/// A repository: `library/web`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repository(String);

/// The SHA-256 or SHA-512 of some content; hex digits, whose number says which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(String);

/// The hash functions that a digest may be made with, and how many hex digits each has.
/// Source: OCI image specification v1.1, "Registered algorithms".
const ALGORITHMS: [(&str, usize); 2] = [("sha256", 64), ("sha512", 128)];

/// A digest in the making.
#[derive(Clone, Debug)]
pub enum Hashing {
    /// The usual one.
    Sha256(Sha256),
    /// The long one.
    Sha512(Sha512),
}

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
    /// Reads `sha256:…` or `sha512:…`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Digest> {
        let (algorithm, hex) = text.split_once(':')?;
        let digits = hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        (ALGORITHMS.contains(&(algorithm, hex.len())) && digits).then(|| Digest(hex.to_string()))
    }

    /// Its hash function's name.
    fn algorithm(&self) -> &'static str {
        ALGORITHMS.iter().find(|(_, digits)| *digits == self.0.len()).map_or("sha256", |(name, _)| name)
    }

    /// Begins another digest, with the same hash function.
    pub fn hashing(&self) -> Hashing {
        match self.algorithm() {
            "sha512" => Hashing::Sha512(Sha512::new()),
            _ => Hashing::Sha256(Sha256::new()),
        }
    }

    /// The digest of some content, with the same hash function.
    pub fn alike(&self, content: &[u8]) -> Digest {
        let mut hashing = self.hashing();
        hashing.update(content);
        hashing.finish()
    }

    /// The SHA-256 of some content.
    pub fn of(content: &[u8]) -> Digest {
        Digest::finish(Sha256::new().chain_update(content))
    }

    /// The digest of what was hashed.
    pub fn finish(hash: Sha256) -> Digest {
        Digest(hex(&hash.finalize()))
    }

    /// Its digits.
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl Hashing {
    /// Goes on with these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hashing::Sha256(hash) => hash.update(bytes),
            Hashing::Sha512(hash) => hash.update(bytes),
        }
    }

    /// Whether it is made with the same hash function.
    pub fn is_like(&self, other: &Hashing) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// The digest of all of them.
    pub fn finish(self) -> Digest {
        match self {
            Hashing::Sha256(hash) => Digest::finish(hash),
            Hashing::Sha512(hash) => Digest(hex(&hash.finalize())),
        }
    }
}

impl Default for Hashing {
    fn default() -> Hashing {
        Hashing::Sha256(Sha256::new())
    }
}

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
        write!(f, "{}:{}", self.algorithm(), self.0)
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
    fn a_digest_may_be_a_long_one_and_stays_of_its_kind() {
        let text = format!("sha512:{}", "0f".repeat(64));
        let long = Digest::parse(&text).unwrap();
        assert_eq!(long.to_string(), text);
        // Source of the digits: FIPS 180-4, the empty message.
        assert!(long.alike(b"").to_string().starts_with("sha512:cf83e1357eefb8bdf1542850d66d8007"));
        assert_eq!(Digest::of(b"").alike(b"a"), Digest::of(b"a"));
        for wrong in [&text[..text.len() - 1], &text.replace("sha512", "sha256"), "sha512:00", "md5:00"] {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
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
