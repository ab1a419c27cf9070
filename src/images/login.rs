//! Who one is to registries: Docker's `config.json`, which every registry client reads and writes.
//!
//! In: the text of `~/.docker/config.json`, or of a Secret of type `kubernetes.io/dockerconfigjson` or
//! `dockercfg`. Out: the credentials for a registry, if it has some. A helper program that keeps passwords
//! elsewhere (`credsStore`) is not asked. Source: Docker's `config.json`; Kubernetes' "Pull an Image from a
//! Private Registry". Chapter: `book/src/servers/registries.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::pull::Credentials;

/// Credentials by registry.
#[derive(Clone, Debug, Default)]
pub struct Logins(BTreeMap<String, Entry>);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    auth: String,
}

impl Logins {
    /// Reads `{"auths": {"HOST": {"auth": "…"}}}`; `None` when it is none.
    pub fn parse(text: &[u8]) -> Option<Logins> {
        #[derive(Deserialize)]
        struct Config {
            #[serde(default)]
            auths: BTreeMap<String, Entry>,
        }
        serde_json::from_slice::<Config>(text).ok().map(|config| Logins(config.auths))
    }

    /// Reads the older form, without `auths` around it.
    pub fn parse_old(text: &[u8]) -> Option<Logins> {
        serde_json::from_slice(text).ok().map(Logins)
    }

    /// Those of the person who runs this process: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
    pub fn of_user() -> Logins {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")));
        folder.map(|folder| Logins::at(&folder.join("config.json"))).unwrap_or_default()
    }

    /// Those of a file; none when there is no such file.
    pub fn at(file: &Path) -> Logins {
        std::fs::read(file).ok().and_then(|text| Logins::parse(&text)).unwrap_or_default()
    }

    /// Who one is to a registry; `docker.io` is known by its old names too.
    pub fn find(&self, registry: &str) -> Option<Credentials> {
        let host = |key: &str| {
            let plain = key.trim_start_matches("https://").trim_start_matches("http://");
            match plain.split('/').next().unwrap_or(plain) {
                "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
                host => host.to_owned(),
            }
        };
        let (_, entry) = self.0.iter().find(|(key, _)| host(key) == registry)?;
        if !entry.username.is_empty() {
            return Some(Credentials { username: entry.username.clone(), password: entry.password.clone() });
        }
        let text = String::from_utf8(STANDARD.decode(&entry.auth).ok()?).ok()?;
        let (username, password) = text.split_once(':')?;
        Some(Credentials { username: username.to_owned(), password: password.to_owned() })
    }

    /// The registries that it has credentials for.
    pub fn registries(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Credentials {
    /// What goes into `Authorization`.
    pub fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.username, self.password)))
    }

    /// Docker's `config.json` with these for one registry, as `docker login` writes it.
    pub fn config(&self, registry: &str) -> String {
        let auth = STANDARD.encode(format!("{}:{}", self.username, self.password));
        format!("{:#}\n", json!({"auths": {registry: {"auth": auth}}}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credentials_are_those_of_the_registry() {
        let auth = STANDARD.encode("robot:b:c");
        let config = json!({"credsStore": "desktop", "auths": {
            "127.0.0.1:5050": {"username": "learner", "password": "s3cret"},
            "https://index.docker.io/v1/": {"auth": auth}, "ghcr.io": {},
        }});
        let logins = Logins::parse(config.to_string().as_bytes()).unwrap();
        let who = |registry: &str| logins.find(registry).map(|it| (it.username, it.password));
        let pair = |name: &str, word: &str| Some((name.to_owned(), word.to_owned()));
        assert_eq!(who("127.0.0.1:5050"), pair("learner", "s3cret"));
        assert_eq!(who("docker.io"), pair("robot", "b:c"));
        assert_eq!((who("127.0.0.1:5051"), who("ghcr.io")), (None, None));
        assert!(Logins::parse(b"password").is_none() && Logins::parse(b"{}").is_some());
    }

    #[test]
    fn what_is_written_is_read() {
        let credentials = Credentials { username: "a".to_owned(), password: "b:c".to_owned() };
        let logins = Logins::parse(credentials.config("127.0.0.2:5050").as_bytes()).unwrap();
        assert_eq!(logins.find("127.0.0.2:5050"), Some(credentials));
        assert_eq!(logins.registries().collect::<Vec<_>>(), ["127.0.0.2:5050"]);
    }
}
