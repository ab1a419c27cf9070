//! Who pulls: the registry credentials in the Secrets that a Pod names in `imagePullSecrets`.
//!
//! In: Secrets' data, an image's name. Out: the credentials for its registry, if one of them has some. Pure but
//! for reading the Secrets, which [`Sources`] does. Source: Kubernetes' "Pull an Image from a Private Registry".
//! Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::BTreeMap;

use super::environment::{Kind, Sources};
use super::pod::PodView;
use super::runtime::Credentials;
use crate::images::Logins;

/// What was found, and the Secrets that could not be had.
#[derive(Debug, Default)]
pub struct Found {
    /// Who pulls; `None`: nobody in particular.
    pub credentials: Option<Credentials>,
    /// Secrets that are not there or make no sense.
    pub missing: Vec<String>,
}

/// Reads the Pod's Secrets for what the image's registry wants to know.
pub async fn find(sources: &mut Sources<'_>, pod: &PodView, image: &str) -> Found {
    let mut found = Found::default();
    for name in pod.spec.image_pull_secrets.iter().flatten().map(|secret| &secret.name) {
        let data = sources.get(Kind::Secret, name, false).await.ok().flatten();
        match data.and_then(|data| logins(&data)) {
            Some(logins) if found.credentials.is_none() => found.credentials = choose(&logins, image),
            Some(_) => {}
            None => found.missing.push(name.clone()),
        }
    }
    found
}

/// The logins of a Secret of either form; `None` when it has neither.
fn logins(data: &BTreeMap<String, Vec<u8>>) -> Option<Logins> {
    match (data.get(".dockerconfigjson"), data.get(".dockercfg")) {
        (Some(text), _) => Logins::parse(text),
        (None, Some(text)) => Logins::parse_old(text),
        (None, None) => None,
    }
}

/// The credentials of the registry that an image is on.
fn choose(logins: &Logins, image: &str) -> Option<Credentials> {
    let registry = match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    };
    logins.find(registry).map(|it| Credentials { username: it.username, password: it.password })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credentials_are_those_of_the_images_registry() {
        let text = br#"{"auths": {"127.0.0.1:5050": {"username": "learner", "password": "s3cret"}, "docker.io": {"auth": "YTpi"}}}"#;
        let data = BTreeMap::from([(".dockerconfigjson".to_owned(), text.to_vec())]);
        let logins = logins(&data).unwrap();
        let who = |image: &str| choose(&logins, image).map(|it| it.username);
        assert_eq!(who("127.0.0.1:5050/app:1").as_deref(), Some("learner"));
        assert_eq!(who("nginx").as_deref(), Some("a"));
        assert_eq!(who("127.0.0.1:5051/app:1"), None);
        let old = BTreeMap::from([(".dockercfg".to_owned(), br#"{"docker.io": {"auth": "YTpi"}}"#.to_vec())]);
        assert!(super::logins(&old).is_some_and(|logins| choose(&logins, "nginx").is_some()));
        assert!(super::logins(&BTreeMap::from([("password".to_owned(), Vec::new())])).is_none());
    }
}
