//! What is in a Pod's volumes: files from ConfigMaps, Secrets, the Pod itself and tokens; folders.
//!
//! In: the Pod's volumes, through `client/` what they name. Out: the runtime's [`Volume`]s, complete. A
//! missing source is an error in Kubernetes' words (event FailedMount), and the start is tried again
//! later. Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, PersistentVolume, PersistentVolumeClaim,
    ServiceAccount, ServiceAccountTokenProjection, Volume as PodVolume, VolumeProjection,
};
use kube::Api;
use kube::api::PostParams;

use super::config::{HOSTS_VOLUME, hosts};
use super::environment::{Kind, Sources, resource_field};
use super::pod::PodView;
use super::runtime::config::HostPathKind;
use super::runtime::{Runtime, Volume, VolumeFile, VolumeSource};
use super::tokens::{Token, Wanted};
use crate::api::quantity::Quantity;

/// Source: `ConfigMapVolumeSource.defaultMode` and its like.
const DEFAULT_MODE: i32 = 0o644;

type Files = BTreeMap<String, VolumeFile>;

/// The Pod's hosts file.
pub fn hosts_file(pod: &PodView, ip: &str) -> Volume {
    let file = VolumeFile { content: hosts(pod, ip).into_bytes(), mode: 0o644, owner: None };
    let source = VolumeSource::Files([("hosts".to_owned(), file)].into());
    Volume { name: HOSTS_VOLUME.to_owned(), source, fs_group: None }
}

/// Whether a container mounts a volume.
pub fn mounts(container: &Container, volume: &PodVolume) -> bool {
    container.volume_mounts.iter().flatten().any(|mount| mount.name == volume.name)
}

/// The ConfigMaps and Secrets in those volumes of a container that show them as they are now.
pub(super) fn named<'a>(pod: &'a PodView, container: &Container, runtime: &dyn Runtime) -> Vec<(Kind, &'a str)> {
    let mut named = Vec::new();
    let followed = |volume: &&PodVolume| mounts(container, volume) && is_refilled(volume, runtime);
    for volume in pod.spec.volumes.iter().flatten().filter(followed) {
        named.extend(volume.config_map.as_ref().map(|from| (Kind::ConfigMap, from.name.as_str())));
        let secret = volume.secret.as_ref().and_then(|from| from.secret_name.as_deref());
        named.extend(secret.map(|name| (Kind::Secret, name)));
        for part in projections(volume) {
            named.extend(part.config_map.as_ref().map(|from| (Kind::ConfigMap, from.name.as_str())));
            named.extend(part.secret.as_ref().map(|from| (Kind::Secret, from.name.as_str())));
        }
    }
    named
}

/// Whether a volume shows something that can change while it is mounted, and shows it at once. Where containers are no
/// processes, one with tokens is filled when somebody looks, and not before.
pub fn is_refilled(volume: &PodVolume, runtime: &dyn Runtime) -> bool {
    let alone = volume.config_map.is_some() || volume.secret.is_some() || volume.downward_api.is_some();
    alone || volume.projected.is_some() && (runtime.has_processes() || !has_token(volume))
}

/// Whether a volume has tokens in it.
pub fn has_token(volume: &PodVolume) -> bool {
    projections(volume).any(|part| part.service_account_token.is_some())
}

/// Whether what volumes show of the Pod itself has changed: of all that can be shown, labels and annotations can change.
pub fn shows_change(old: &PodView, new: &PodView) -> bool {
    let said = |pod: &PodView| (pod.metadata.labels.clone(), pod.metadata.annotations.clone());
    let shown = |volume: &PodVolume| {
        let own = volume.downward_api.as_ref().and_then(|from| from.items.as_ref());
        let parts = projections(volume).filter_map(|part| part.downward_api.as_ref()?.items.as_ref());
        let path = |item: &DownwardAPIVolumeFile| item.field_ref.as_ref().map(|field| field.field_path.clone());
        let changing = |path: String| path.starts_with("metadata.labels") || path.starts_with("metadata.annotations");
        own.into_iter().chain(parts).flatten().filter_map(path).any(changing)
    };
    new.spec.volumes.iter().flatten().any(shown) && said(old) != said(new)
}

fn projections(volume: &PodVolume) -> impl Iterator<Item = &VolumeProjection> {
    volume.projected.iter().flat_map(|from| from.sources.iter().flatten())
}

impl Sources<'_> {
    /// A volume of the Pod, complete. One with tokens is empty when there are to be none now.
    ///
    /// # Errors
    /// The words of the event FailedMount.
    pub async fn volume(&mut self, volume: &PodVolume) -> Result<Volume, String> {
        let failed = |why: String| format!("MountVolume.SetUp failed for volume \"{}\" : {why}", volume.name);
        let source = self.source(volume).await.map_err(failed)?;
        let fs_group = self.pod.spec.security_context.as_ref().and_then(|context| context.fs_group);
        Ok(Volume { name: volume.name.clone(), source, fs_group })
    }

    async fn source(&mut self, volume: &PodVolume) -> Result<VolumeSource, String> {
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
            let later = self.tokens.is_none() && has_token(volume);
            for part in projections(volume).filter(|_| !later) {
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

    /// A token of the Pod's ServiceAccount, bound to the Pod: the one that it has, until another is due and to be had.
    async fn token(&mut self, from: &ServiceAccountTokenProjection, mode: i32) -> Result<Files, String> {
        let wanted = (from.audience.clone(), from.expiration_seconds.unwrap_or(3600));
        let now = self.now;
        let known = self.tokens.as_ref().and_then(|tokens| tokens.get(&wanted)).cloned();
        let token = match known.as_ref().filter(|known| known.renew > now) {
            Some(known) => known.clone(),
            None => match (self.request_token(&wanted).await, known.filter(|known| known.expires > now)) {
                (Err(_), Some(known)) => known,
                (made, _) => made?,
            },
        };
        if let Some(tokens) = &mut self.tokens {
            tokens.put(wanted, token.clone());
        }
        // A token is for its own process: the owner alone may read it when the Pod says who that is.
        let user = self.pod.spec.security_context.as_ref().and_then(|context| context.run_as_user);
        let mode = if user.is_some() { 0o600 } else { mode as u32 };
        Ok([(from.path.clone(), VolumeFile { content: token.text.into_bytes(), mode, owner: user })].into())
    }

    async fn request_token(&mut self, (audience, seconds): &Wanted) -> Result<Token, String> {
        let account = self.pod.spec.service_account_name.as_deref().unwrap_or("default");
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: audience.clone().map(|audience| vec![audience]),
                expiration_seconds: Some(*seconds),
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
        self.unread |= made.is_err();
        let made = made.map_err(|error| format!("failed to fetch token: {error}"))?;
        Token::of(made).ok_or_else(|| "failed to fetch token: the answer holds none".to_owned())
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
