//! Which images a simulated node can pull, and with which words it refuses the others.
//!
//! The course's own images, the well-known ones of Docker Hub, and anything of a well-known registry are
//! "pulled" at once, and so is what another registry may have; a misspelt name or host, the tag `missing`, or a
//! host that cannot exist (`.invalid`) fails as it would. Pure.

use sha2::{Digest, Sha256};

use super::program::split_tag;
use crate::kubelet::runtime::{Image, Result, RuntimeError};

/// The course's images with their tags.
const COURSE: [(&str, &[&str]); 7] = [
    ("web", &["1", "2", "latest"]),
    ("worker", &["1", "latest"]),
    ("trainer", &["1", "latest"]),
    ("model-server", &["1", "latest"]),
    ("load", &["1", "latest"]),
    ("shell", &["1", "latest"]),
    ("pause", &["1", "latest"]),
];

/// Official images of Docker Hub that learners use.
const LIBRARY: [&str; 32] = [
    "nginx",
    "busybox",
    "redis",
    "alpine",
    "ubuntu",
    "debian",
    "httpd",
    "postgres",
    "mysql",
    "mariadb",
    "mongo",
    "python",
    "node",
    "golang",
    "rust",
    "openjdk",
    "memcached",
    "rabbitmq",
    "caddy",
    "traefik",
    "haproxy",
    "bash",
    "hello-world",
    "perl",
    "ruby",
    "php",
    "wordpress",
    "registry",
    "fedora",
    "influxdb",
    "eclipse-temurin",
    "vault",
];

/// Registries that people mean when they misspell one.
const HOSTS: [&str; 10] = [
    "docker.io",
    "registry.k8s.io",
    "k8s.gcr.io",
    "gcr.io",
    "ghcr.io",
    "quay.io",
    "public.ecr.aws",
    "mcr.microsoft.com",
    "nvcr.io",
    "registry.gitlab.com",
];
/// A host that differs from one of [`HOSTS`] in so few letters is a slip.
const SLIP: usize = 2;

/// The image's full name: host, repository and tag, as a runtime writes it.
pub fn full_name(image: &str) -> String {
    let (repository, tag) = split_tag(image);
    let (host, path) = split_host(repository);
    let library = host == "docker.io" && !path.contains('/');
    format!("{host}/{}{path}:{tag}", if library { "library/" } else { "" })
}

/// The image as it is once pulled; made up, but always the same for a name.
pub fn image(name: &str) -> Image {
    let full = full_name(name);
    let digest: String = Sha256::digest(full.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let (repository, _) = split_tag(&full);
    let size_bytes = 4_000_000 + i64::from_str_radix(&digest[..6], 16).unwrap_or(0) * 4;
    Image { name: full.clone(), id: format!("{repository}@sha256:{digest}"), size_bytes, user: String::new() }
}

/// Fetches an image, or says in a runtime's words why it cannot be had.
///
/// # Errors
/// `ErrImagePull`.
pub fn pull(name: &str) -> Result<Image> {
    let full = full_name(name);
    let (repository, tag) = split_tag(&full);
    let (host, path) = split_host(repository);
    let fail = |why: String| {
        let start = format!("failed to pull and unpack image \"{full}\": failed to resolve reference \"{full}\": ");
        Err(RuntimeError::new("ErrImagePull", format!("{start}{why}")))
    };
    let bare_host = host.split(':').next().unwrap_or(host);
    if !exists(bare_host) {
        return fail(format!(
            "failed to do request: Head \"https://{host}/v2/{path}/manifests/{tag}\": dial tcp: lookup {bare_host}: \
             no such host"
        ));
    }
    if let Some(course) = path.strip_prefix("tutor/").filter(|_| host == "docker.io" || host.starts_with("localhost")) {
        let tags = COURSE.iter().find(|(known, _)| *known == course).map(|(_, tags)| *tags);
        return match tags {
            Some(tags) if tags.contains(&tag) => Ok(image(name)),
            Some(_) => fail(format!("{full}: not found")),
            None => fail(denied()),
        };
    }
    if let Some(official) = path.strip_prefix("library/").filter(|_| host == "docker.io")
        && !LIBRARY.contains(&official)
    {
        return fail(denied());
    }
    if tag == "missing" || tag.contains("nonexist") || tag.contains("does-not-exist") {
        return fail(format!("{full}: not found"));
    }
    Ok(image(name))
}

/// No name is below `invalid` (RFC 2606), which stands for a host that does not exist.
fn exists(host: &str) -> bool {
    let slip = |known: &str| strsim::osa_distance(known, host) <= SLIP;
    HOSTS.contains(&host) || !(host.split('.').any(|label| label == "invalid") || HOSTS.iter().any(|known| slip(known)))
}

fn denied() -> String {
    "pull access denied, repository does not exist or may require authorization: server message: \
     insufficient_scope: authorization failed"
        .to_owned()
}

/// The host is what comes before the first slash, if it looks like one.
fn split_host(repository: &str) -> (&str, &str) {
    match repository.split_once('/') {
        Some((host, path)) if host.contains('.') || host.contains(':') || host == "localhost" => (host, path),
        _ => ("docker.io", repository),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_full_names() {
        for (short, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("tutor/web:1", "docker.io/tutor/web:1"),
            ("localhost:5050/app", "localhost:5050/app:latest"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("nginx@sha256:abc", "docker.io/library/nginx:latest"),
        ] {
            assert_eq!(full_name(short), full);
        }
    }

    #[test]
    fn what_cannot_be_pulled_says_why() {
        for (name, words) in [
            ("tutor/web:1", ""),
            ("nginx:1.27", ""),
            ("registry.k8s.io/e2e-test-images/agnhost:2.59", ""),
            ("nginx:missing", "docker.io/library/nginx:missing: not found"),
            ("tutor/web:9", "docker.io/tutor/web:9: not found"),
            ("ngnix", "pull access denied"),
            ("registry.example/app:1", ""),
            ("10.0.0.7:5000/app:1", ""),
            ("registry.invalid/app:1", "lookup registry.invalid: no such host"),
            ("invalid.registry.k8s.io/app:1", "lookup invalid.registry.k8s.io: no such host"),
            ("registry.k8.io/app:1", "lookup registry.k8.io: no such host"),
            ("qauy.io/app:1", "lookup qauy.io: no such host"),
        ] {
            match pull(name) {
                Ok(image) => assert!(words.is_empty(), "{name} is {image:?}"),
                Err(error) => assert!(!words.is_empty() && error.message.contains(words), "{name}: {error}"),
            }
        }
    }
}
