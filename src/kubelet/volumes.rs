//! What is in a Pod's volumes: files from ConfigMaps, Secrets, the Pod itself and tokens; folders.
//!
//! In: the Pod's volumes, through `client/` what they name. Out: the runtime's [`Volume`]s, complete. A
//! missing source is an error in Kubernetes' words (event FailedMount), and the start is tried again
//! later. Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, PersistentVolume, PersistentVolumeClaim,
    ServiceAccount, ServiceAccountTokenProjection, Volume as PodVolume, VolumeProjection,
};
use kube::Api;
use kube::api::PostParams;

use super::config::{HOSTS_VOLUME, hosts};
use super::environment::{Kind, Sources, resource_field};
use super::runtime::config::HostPathKind;
use super::runtime::{Volume, VolumeFile, VolumeSource};
use crate::api::quantity::Quantity;

/// Source: `ConfigMapVolumeSource.defaultMode` and its like.
const DEFAULT_MODE: i32 = 0o644;

type Files = BTreeMap<String, VolumeFile>;

/// Whether volumes with API tokens are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// With a new token.
    Made,
    /// Not now: nothing in the container can look at them before somebody execs into it.
    Later,
}

impl Sources<'_> {
    /// The volumes that a container mounts, and the Pod's hosts file.
    ///
    /// # Errors
    /// The words of the event FailedMount.
    pub async fn volumes(&mut self, container: &Container, ip: &str, tokens: Tokens) -> Result<Vec<Volume>, String> {
        let mounted: BTreeSet<&str> = container.volume_mounts.iter().flatten().map(|it| it.name.as_str()).collect();
        let file = VolumeFile { content: hosts(self.pod, ip).into_bytes(), mode: 0o644, owner: None };
        let source = VolumeSource::Files([("hosts".to_owned(), file)].into());
        let mut volumes = vec![Volume { name: HOSTS_VOLUME.to_owned(), source, fs_group: None }];
        let pod = self.pod;
        let fs_group = pod.spec.security_context.as_ref().and_then(|context| context.fs_group);
        for volume in pod.spec.volumes.iter().flatten().filter(|it| mounted.contains(it.name.as_str())) {
            let failed = |why: String| format!("MountVolume.SetUp failed for volume \"{}\" : {why}", volume.name);
            let source = self.source(volume, tokens).await.map_err(failed)?;
            volumes.push(Volume { name: volume.name.clone(), source, fs_group });
        }
        Ok(volumes)
    }

    async fn source(&mut self, volume: &PodVolume, tokens: Tokens) -> Result<VolumeSource, String> {
        if let Some(from) = &volume.config_map {
            let modes = Modes::new(from.default_mode, from.items.as_deref());
            let files = self.keys(Kind::ConfigMap, &from.name, &modes, from.optional).await?;
            return Ok(VolumeSource::Files(files));
        }
        if let Some(from) = &volume.secret {
            let modes = Modes::new(from.default_mode, from.items.as_deref());
            let name = from.secret_name.as_deref().unwrap_or_default();
            return Ok(VolumeSource::Files(self.keys(Kind::Secret, name, &modes, from.optional).await?));
        }
        if let Some(from) = &volume.downward_api {
            let mode = from.default_mode.unwrap_or(DEFAULT_MODE);
            return Ok(VolumeSource::Files(self.downward(from.items.as_deref().unwrap_or_default(), mode)));
        }
        if let Some(from) = &volume.projected {
            let mode = from.default_mode.unwrap_or(DEFAULT_MODE);
            let mut files = Files::new();
            let has_token = from.sources.iter().flatten().any(|part| part.service_account_token.is_some());
            for part in from.sources.iter().flatten().filter(|_| !has_token || tokens == Tokens::Made) {
                files.extend(self.projection(part, mode).await?);
            }
            return Ok(VolumeSource::Files(files));
        }
        if let Some(from) = &volume.host_path {
            return Ok(host(from));
        }
        if let Some(from) = &volume.image {
            return Ok(VolumeSource::Image { reference: from.reference.clone().unwrap_or_default() });
        }
        let claim = match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(claim), _) => Some(claim.claim_name.clone()),
            (None, Some(_)) => Some(format!("{}-{}", self.pod.name(), volume.name)),
            (None, None) => None,
        };
        if let Some(claim) = claim {
            return self.claim(&claim).await;
        }
        // An empty folder also stands for `gitRepo` and the like, which Kubernetes itself has given up.
        let empty = volume.empty_dir.clone().unwrap_or_default();
        let limit = empty.size_limit.and_then(|limit| Quantity::parse(&limit.0).ok());
        Ok(VolumeSource::Empty {
            in_memory: empty.medium.as_deref() == Some("Memory"),
            size_limit_bytes: limit.map(|limit| limit.value()),
        })
    }

    async fn projection(&mut self, part: &VolumeProjection, mode: i32) -> Result<Files, String> {
        if let Some(from) = &part.config_map {
            let modes = Modes::new(Some(mode), from.items.as_deref());
            return self.keys(Kind::ConfigMap, &from.name, &modes, from.optional).await;
        }
        if let Some(from) = &part.secret {
            let modes = Modes::new(Some(mode), from.items.as_deref());
            return self.keys(Kind::Secret, &from.name, &modes, from.optional).await;
        }
        if let Some(from) = &part.downward_api {
            return Ok(self.downward(from.items.as_deref().unwrap_or_default(), mode));
        }
        match &part.service_account_token {
            Some(from) => self.token(from, mode).await,
            None => Ok(Files::new()),
        }
    }

    /// The chosen keys of a ConfigMap or a Secret.
    async fn keys(
        &mut self,
        kind: Kind,
        name: &str,
        modes: &Modes<'_>,
        optional: Option<bool>,
    ) -> Result<Files, String> {
        let optional = optional == Some(true);
        let data = self.get(kind, name, optional).await?.unwrap_or_default();
        let file = |content: &[u8], mode: i32| VolumeFile { content: content.to_vec(), mode: mode as u32, owner: None };
        let Some(items) = modes.items else {
            return Ok(data.iter().map(|(key, content)| (key.clone(), file(content, modes.default))).collect());
        };
        let mut chosen = Files::new();
        for item in items {
            let mode = item.mode.unwrap_or(modes.default);
            match data.get(&item.key) {
                Some(content) => _ = chosen.insert(item.path.clone(), file(content, mode)),
                None if optional => {}
                None => {
                    let word = if kind == Kind::ConfigMap { "config" } else { "secret" };
                    return Err(format!("references non-existent {word} key: {}", item.key));
                }
            }
        }
        Ok(chosen)
    }

    fn downward(&self, items: &[DownwardAPIVolumeFile], default: i32) -> Files {
        let content = |item: &DownwardAPIVolumeFile| match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => self.field(&field.field_path),
            (None, Some(resource)) => {
                let name = resource.container_name.as_deref().unwrap_or_default();
                let container = self.pod.container(name).map(|(container, _)| container);
                container.map(|container| resource_field(container, resource)).unwrap_or_default()
            }
            (None, None) => String::new(),
        };
        let file = |item: &DownwardAPIVolumeFile| VolumeFile {
            content: content(item).into_bytes(),
            mode: item.mode.unwrap_or(default) as u32,
            owner: None,
        };
        items.iter().map(|item| (item.path.clone(), file(item))).collect()
    }

    /// A token of the Pod's ServiceAccount, bound to the Pod.
    async fn token(&self, from: &ServiceAccountTokenProjection, mode: i32) -> Result<Files, String> {
        let account = self.pod.spec.service_account_name.as_deref().unwrap_or("default");
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: from.audience.clone().map(|audience| vec![audience]),
                expiration_seconds: Some(from.expiration_seconds.unwrap_or(3600)),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(self.pod.name().to_owned()),
                    uid: Some(self.pod.uid().to_owned()),
                }),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), self.pod.namespace());
        let made = accounts.create_token_request(account, &PostParams::default(), &request).await;
        let made = made.map_err(|error| format!("failed to fetch token: {error}"))?;
        let token = made.status.and_then(|status| status.token).unwrap_or_default();
        // A token is for its own process: the owner alone may read it when the Pod says who that is.
        let user = self.pod.spec.security_context.as_ref().and_then(|context| context.run_as_user);
        let mode = if user.is_some() { 0o600 } else { mode as u32 };
        Ok([(from.path.clone(), VolumeFile { content: token.into_bytes(), mode, owner: user })].into())
    }

    async fn claim(&self, name: &str) -> Result<VolumeSource, String> {
        let (client, namespace) = (self.client.clone(), self.pod.namespace());
        let failed = |error: kube::Error| error.to_string();
        let claim = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace).get(name).await;
        let bound = claim.map_err(failed)?.spec.and_then(|spec| spec.volume_name).unwrap_or_default();
        if bound.is_empty() {
            return Err(format!("claim \"{namespace}/{name}\" is not bound"));
        }
        let volume = Api::<PersistentVolume>::all(client).get(&bound).await.map_err(failed)?;
        let spec = volume.spec.unwrap_or_default();
        match (&spec.host_path, &spec.local) {
            (Some(path), _) => Ok(host(path)),
            (None, Some(local)) => Ok(VolumeSource::Host { path: local.path.clone(), kind: HostPathKind::Directory }),
            (None, None) => Err(format!(
                "no volume plugin matched: this node mounts hostPath and local volumes; \"{bound}\" is neither"
            )),
        }
    }
}

/// Which keys, under which paths, with which permissions.
struct Modes<'a> {
    default: i32,
    items: Option<&'a [KeyToPath]>,
}

impl<'a> Modes<'a> {
    fn new(default: Option<i32>, items: Option<&'a [KeyToPath]>) -> Self {
        Modes { default: default.unwrap_or(DEFAULT_MODE), items }
    }
}

fn host(from: &HostPathVolumeSource) -> VolumeSource {
    let kind = match from.type_.as_deref().unwrap_or_default() {
        "DirectoryOrCreate" => HostPathKind::DirectoryOrCreate,
        "Directory" => HostPathKind::Directory,
        "FileOrCreate" => HostPathKind::FileOrCreate,
        "File" => HostPathKind::File,
        "Socket" => HostPathKind::Socket,
        "CharDevice" => HostPathKind::CharDevice,
        "BlockDevice" => HostPathKind::BlockDevice,
        _ => HostPathKind::Any,
    };
    VolumeSource::Host { path: from.path.clone(), kind }
}
