//! Manifests, indexes and configurations of images: what is read of them.
//!
//! In: JSON of the OCI image specification 1.1 or Docker's schema 2, which differ in media types alone.
//! Out: layers in order, the configuration, the right manifest of an index. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::registry::Digest;

/// The OCI manifest's media type.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The OCI index's.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The OCI configuration's.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer that is not packed.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Docker's manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's index.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest is at most so long; the specification's.
pub const MANIFEST_MAX: u64 = 4 << 20;
/// A configuration.
pub const CONFIG_MAX: u64 = 8 << 20;

/// Points to content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Its digest.
    ///
    /// # Errors
    /// When it is none that is known here.
    pub fn digest(&self) -> Result<Digest, String> {
        Digest::parse(&self.digest).ok_or_else(|| format!("{:?} is no digest", self.digest))
    }
}

/// What a manifest is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// An image, or a list of images for different machines.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Descriptor>,
}

impl Manifest {
    /// Reads a manifest or an index.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, String> {
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| format!("no manifest: {error}"))?;
        if manifest.schema_version != 2 {
            return Err(format!("manifests of schema version {} are not known", manifest.schema_version));
        }
        Ok(manifest)
    }

    /// True for a list of images.
    pub fn is_index(&self) -> bool {
        self.config.is_none()
    }

    /// The image of a list that fits a machine.
    ///
    /// # Errors
    /// When there is none; the words say which there are.
    pub fn choose(&self, architecture: &str) -> Result<&Descriptor, String> {
        let fits = |it: &&Descriptor| {
            it.platform.as_ref().is_none_or(|platform| platform.os == "linux" && platform.architecture == architecture)
        };
        self.manifests.iter().find(fits).ok_or_else(|| {
            let known = self.manifests.iter().filter_map(|it| it.platform.as_ref());
            let known: Vec<String> = known.map(|it| format!("{}/{}", it.os, it.architecture)).collect();
            format!("no match for platform linux/{architecture}: there are {}", known.join(", "))
        })
    }
}

/// This machine, as images name it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An image's configuration: what runs, and where the layers came from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the specification's")]
#[serde(default)]
pub struct ImageFile {
    pub architecture: String,
    pub os: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it, as `MAINTAINER` said of old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    pub config: ImageConfig,
    pub rootfs: RootFs,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

impl ImageFile {
    /// Reads a configuration.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(bytes: &[u8]) -> Result<ImageFile, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("no image configuration: {error}"))
    }
}

/// How an image's process starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct ImageConfig {
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
    /// `NAME=value`
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Docker's, as it stands: Kubernetes does not look at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<serde_json::Value>,
    /// What reads a Dockerfile's lines. Docker's.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// Instructions for a Dockerfile that begins with this image. Docker's.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
}

/// Docker writes null for what is not there.
fn null_is_empty<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// The layers, unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct RootFs {
    #[serde(rename = "type")]
    pub kind: String,
    pub diff_ids: Vec<String>,
}

/// What made a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct History {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_gives_the_image_of_this_machine() {
        let entry = |os: &str, architecture: &str, digit: &str| Descriptor {
            digest: format!("sha256:{}", digit.repeat(64)),
            platform: Some(Platform { os: os.into(), architecture: architecture.into(), variant: None }),
            ..Descriptor::default()
        };
        let index = Manifest {
            schema_version: 2,
            media_type: OCI_INDEX.into(),
            config: None,
            layers: Vec::new(),
            manifests: vec![entry("windows", "amd64", "1"), entry("linux", "amd64", "2"), entry("linux", "arm64", "3")],
        };
        assert!(index.is_index());
        assert!(index.choose("arm64").unwrap().digest.ends_with('3'));
        let none = index.choose("s390x").unwrap_err();
        assert!(none.contains("linux/s390x") && none.contains("linux/arm64"), "{none}");
    }

    #[test]
    fn dockers_nulls_are_read() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":["sh"],"Entrypoint":null,
            "User":"","Labels":null},"rootfs":{"type":"layers","diff_ids":["sha256:1"]},"history":[{"empty_layer":true}]}"#;
        let file = ImageFile::parse(text.as_bytes()).unwrap();
        assert_eq!((file.config.cmd, file.history.len()), (vec!["sh".to_owned()], 1));
    }
}
