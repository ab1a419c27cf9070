//! An image's name as people write it, and as it is meant: `web` is `docker.io/library/web:latest`.
//!
//! Pure. Source: the reference grammar of `distribution/reference`.

use std::fmt;

use crate::registry::Digest;

/// A whole name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    /// `docker.io`, `localhost:5050`, …
    pub host: String,
    /// `library/web`
    pub repository: String,
    /// `latest` when neither a tag nor a digest was given.
    pub tag: Option<String>,
    /// What exactly is meant.
    pub digest: Option<Digest>,
}

impl ImageName {
    /// Reads a name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<ImageName, String> {
        let wrong = |why: &str| Err(format!("couldn't parse image name \"{text}\": {why}"));
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => match Digest::parse(digest) {
                Some(digest) => (rest, Some(digest)),
                None => {
                    return wrong(
                        "invalid reference format: the digest is neither sha256:… with 64 digits nor sha512:… with 128",
                    );
                }
            },
            None => (text, None),
        };
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (path, tag) = match rest[slash..].rfind(':') {
            Some(colon) => (&rest[..slash + colon], Some(rest[slash + colon + 1..].to_owned())),
            None => (rest, None),
        };
        let (host, repository) = match path.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
            _ if path.contains('/') => ("docker.io", path.to_owned()),
            _ => ("docker.io", format!("library/{path}")),
        };
        if !is_host(host) {
            return wrong("invalid reference format");
        }
        if path.is_empty() || !crate::registry::is_repository(&repository) {
            if repository.chars().any(char::is_uppercase) {
                return wrong(&format!("invalid reference format: repository name ({repository}) must be lowercase"));
            }
            return wrong("invalid reference format");
        }
        if tag.as_deref().is_some_and(|tag| !crate::registry::is_tag(tag)) {
            return wrong("invalid reference format: a tag has at most 128 letters, digits, `_`, `.` and `-`");
        }
        let host = if host == "index.docker.io" { "docker.io" } else { host };
        let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Ok(ImageName { host: host.to_owned(), repository, tag, digest })
    }

    /// Host and repository, without tag and digest.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// What the registry is asked for.
    pub fn reference(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_else(|| "latest".to_owned()),
        }
    }

    /// Whether its registry is on this machine: it is reached by an address that leads nowhere else.
    pub fn is_of_this_machine(&self) -> bool {
        let bare = self.host.rsplit_once(':').map_or(self.host.as_str(), |(bare, _)| bare);
        let own = bare.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
        own || matches!(bare, "localhost" | "[::1]")
    }

    /// As short as people write it.
    pub fn familiar(&self) -> String {
        let whole = self.to_string();
        let short = whole.strip_prefix("docker.io/").unwrap_or(&whole);
        short.strip_prefix("library/").unwrap_or(short).to_owned()
    }
}

/// Whether a text can be a registry's host: a name or an address, perhaps with a port.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !text.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let part = |part: &str| {
        let ends = !part.starts_with('-') && !part.ends_with('-');
        !part.is_empty() && ends && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let v6 = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let named = match v6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(part),
    };
    named && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, whole) in [
            ("nginx".to_owned(), "docker.io/library/nginx:latest".to_owned()),
            ("tutor/web:1".into(), "docker.io/tutor/web:1".into()),
            ("localhost:5050/app".into(), "localhost:5050/app:latest".into()),
            ("ghcr.io/a/b:v1.2".into(), "ghcr.io/a/b:v1.2".into()),
            ("[::1]:5050/a".into(), "[::1]:5050/a:latest".into()),
            (format!("app@{digest}"), format!("docker.io/library/app@{digest}")),
        ] {
            assert_eq!(ImageName::parse(&text).unwrap().to_string(), whole);
        }
        assert_eq!(ImageName::parse("nginx").unwrap().familiar(), "nginx:latest");
        for wrong in ["", "Web:1", "web:", "web@sha256:1", "a//b", "web:-x", "../x", "a.-b/x", "a:b/x", "[x]:1/x"] {
            assert!(ImageName::parse(wrong).is_err(), "{wrong}");
        }
    }
}
