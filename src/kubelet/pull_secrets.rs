//! Who pulls: the registry credentials in the Secrets that a Pod names in `imagePullSecrets`.
//!
//! In: Secrets' data, an image's name. Out: the credentials for its registry, if one of them has some. Pure but
//! for reading the Secrets, which [`Sources`] does. Source: Kubernetes' "Pull an Image from a Private Registry",
//! Docker's `config.json`. Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::environment::{Kind, Sources};
use super::pod::PodView;
use super::runtime::Credentials;

/// What was found, and the Secrets that could not be had.
#[derive(Debug, Default)]
pub struct Found {
    /// Who pulls; `None`: nobody in particular.
    pub credentials: Option<Credentials>,
    /// Secrets that are not there or make no sense.
    pub missing: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    auth: String,
}

/// Reads the Pod's Secrets for what the image's registry wants to know.
pub async fn find(sources: &mut Sources<'_>, pod: &PodView, image: &str) -> Found {
    let mut found = Found::default();
    for name in pod.spec.image_pull_secrets.iter().flatten().map(|secret| &secret.name) {
        let data = sources.get(Kind::Secret, name, false).await.ok().flatten();
        match data.and_then(|data| entries(&data)) {
            Some(entries) if found.credentials.is_none() => found.credentials = choose(&entries, image),
            Some(_) => {}
            None => found.missing.push(name.clone()),
        }
    }
    found
}

/// The registries of a Secret of either form; `None` when it has neither.
fn entries(data: &BTreeMap<String, Vec<u8>>) -> Option<BTreeMap<String, Entry>> {
    #[derive(Deserialize)]
    struct Config {
        auths: BTreeMap<String, Entry>,
    }
    match (data.get(".dockerconfigjson"), data.get(".dockercfg")) {
        (Some(text), _) => serde_json::from_slice::<Config>(text).ok().map(|config| config.auths),
        (None, Some(text)) => serde_json::from_slice(text).ok(),
        (None, None) => None,
    }
}

/// The credentials of the registry that an image is on.
fn choose(entries: &BTreeMap<String, Entry>, image: &str) -> Option<Credentials> {
    let wanted = match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    };
    let host = |key: &str| {
        let plain = key.trim_start_matches("https://").trim_start_matches("http://");
        match plain.split('/').next().unwrap_or(plain) {
            "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
            host => host.to_owned(),
        }
    };
    let (_, entry) = entries.iter().find(|(key, _)| host(key) == wanted)?;
    if !entry.username.is_empty() {
        return Some(Credentials { username: entry.username.clone(), password: entry.password.clone() });
    }
    let text = String::from_utf8(STANDARD.decode(&entry.auth).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some(Credentials { username: username.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credentials_are_those_of_the_images_registry() {
        let auth = STANDARD.encode("robot:b:c");
        let config = serde_json::json!({"auths": {
            "127.0.0.1:5050": {"username": "learner", "password": "s3cret"},
            "https://index.docker.io/v1/": {"auth": auth},
        }});
        let data = BTreeMap::from([(".dockerconfigjson".to_owned(), config.to_string().into_bytes())]);
        let entries = entries(&data).unwrap();
        let who = |image: &str| choose(&entries, image).map(|it| (it.username, it.password));
        let pair = |name: &str, word: &str| Some((name.to_owned(), word.to_owned()));
        assert_eq!(who("127.0.0.1:5050/app:1"), pair("learner", "s3cret"));
        assert_eq!(who("nginx"), pair("robot", "b:c"));
        assert_eq!(who("127.0.0.1:5051/app:1"), None);
        assert!(super::entries(&BTreeMap::from([("password".to_owned(), Vec::new())])).is_none());
    }
}
