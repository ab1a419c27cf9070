//! What of docker's belongs to a cluster: it is labelled when it is made, and found by its labels alone.
//!
//! In: the id of a state folder, which is written down there once. Out: labels for what is made, and the
//! removal of all that has them. Names are for people: nothing is ever found by its name, and what has
//! other labels or none is never touched. Chapter: `book/src/inside/runtime.md`.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    ListContainersOptions, ListNetworksOptions, ListVolumesOptions, RemoveContainerOptions, RemoveVolumeOptions,
};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::words::is_missing;
use crate::kubelet::runtime::SandboxConfig;

/// Whose it is: the state folder's id.
pub const CLUSTER: &str = "dev.tutor.cluster";
/// On which node.
pub const NODE: &str = "dev.tutor.node";
/// What for: `sandbox`, `container`, `memory`, `wire`, `helper`.
pub const KIND: &str = "dev.tutor.kind";
/// How often a container was started before.
pub const ATTEMPT: &str = "dev.tutor.attempt";
/// To which sandbox something in memory belongs.
pub const SANDBOX: &str = "dev.tutor.sandbox";
/// Source: the labels that CRI runtimes use.
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_NAME: &str = "io.kubernetes.pod.name";
const POD_UID: &str = "io.kubernetes.pod.uid";
/// A container's name in its Pod.
pub const CONTAINER: &str = "io.kubernetes.container.name";
/// Removals at once.
const AT_ONCE: usize = 8;

/// Who a state folder is among those that use the same docker.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Identity {
    id: String,
    /// A copy of the folder is another cluster.
    folder: String,
}

/// The id of the cluster whose folder this is; made at its first start.
pub fn cluster_id(folder: &Path) -> io::Result<String> {
    fs::create_dir_all(folder)?;
    let here = fs::canonicalize(folder)?.to_string_lossy().into_owned();
    let file = folder.join("cluster.json");
    let known: Option<Identity> = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
    if let Some(known) = known.filter(|known| known.folder == here) {
        return Ok(known.id);
    }
    let made = Identity { id: uuid::Uuid::new_v4().simple().to_string(), folder: here };
    let new = folder.join("cluster.json.new");
    fs::write(&new, serde_json::to_vec_pretty(&made)?)?;
    fs::rename(new, file)?;
    Ok(made.id)
}

/// Labels.
pub type Labels = HashMap<String, String>;

/// Of something of the cluster that is for `kind`.
pub fn of(cluster: &str, kind: &str) -> Labels {
    [(CLUSTER, cluster), (KIND, kind)].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Of something of a Pod.
pub fn of_pod(cluster: &str, node: &str, kind: &str, pod: &SandboxConfig) -> Labels {
    let mut labels = of(cluster, kind);
    for (name, value) in [(NODE, node), (POD_NAMESPACE, &pod.namespace), (POD_NAME, &pod.name), (POD_UID, &pod.uid)] {
        labels.insert(name.to_owned(), value.to_owned());
    }
    labels
}

fn filter(cluster: &str, node: Option<&str>) -> Option<HashMap<String, Vec<String>>> {
    let mut wanted = vec![format!("{CLUSTER}={cluster}")];
    wanted.extend(node.map(|node| format!("{NODE}={node}")));
    Some([("label".to_owned(), wanted)].into())
}

/// Ends and removes the cluster's containers, of one node or of all.
///
/// # Errors
/// When docker does not answer, or would not remove one.
pub async fn remove_containers(docker: &Docker, cluster: &str, node: Option<&str>) -> Result<(), Error> {
    let options = ListContainersOptions { all: true, filters: filter(cluster, node), ..Default::default() };
    let found = docker.list_containers(Some(options)).await?;
    // A sandbox goes after those that share its network.
    let is_sandbox = |labels: &Labels| labels.get(KIND).is_some_and(|kind| kind == "sandbox");
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for container in found {
        let list = if container.labels.as_ref().is_some_and(is_sandbox) { &mut last } else { &mut first };
        list.extend(container.id);
    }
    for ids in [first, last] {
        let removals = ids.into_iter().map(|id| {
            let docker = docker.clone();
            async move { remove_container(&docker, &id).await }
        });
        let outcomes: Vec<_> = futures::stream::iter(removals).buffer_unordered(AT_ONCE).collect().await;
        outcomes.into_iter().collect::<Result<(), Error>>()?;
    }
    Ok(())
}

/// Ends and removes one; none is no error.
pub async fn remove_container(docker: &Docker, id: &str) -> Result<(), Error> {
    let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
    match docker.remove_container(id, Some(options)).await {
        Err(error) if !is_missing(&error) && !is_under_way(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Somebody removes it already.
fn is_under_way(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 409, message } if message.contains("already in progress"))
}

/// Removes the cluster's volumes and networks; its containers are gone.
pub async fn remove_rest(docker: &Docker, cluster: &str) -> Result<(), Error> {
    let volumes = docker.list_volumes(Some(ListVolumesOptions { filters: filter(cluster, None) })).await?;
    for volume in volumes.volumes.into_iter().flatten() {
        ignore_missing(docker.remove_volume(&volume.name, Some(RemoveVolumeOptions { force: true })).await)?;
    }
    let networks = docker.list_networks(Some(ListNetworksOptions { filters: filter(cluster, None) })).await?;
    for id in networks.into_iter().filter_map(|network| network.id) {
        ignore_missing(docker.remove_network(&id).await)?;
    }
    Ok(())
}

/// Ends and removes the cluster's containers that are for `kind`.
pub async fn remove_kind(docker: &Docker, cluster: &str, kind: &str) -> Result<(), Error> {
    let mut filters = filter(cluster, None).unwrap_or_default();
    filters.entry("label".to_owned()).or_default().push(format!("{KIND}={kind}"));
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    for id in docker.list_containers(Some(options)).await?.into_iter().filter_map(|it| it.id) {
        remove_container(docker, &id).await?;
    }
    Ok(())
}

/// Removes what a Pod has in memory: the holders, then what they held.
pub async fn remove_memory(docker: &Docker, cluster: &str, sandbox: &str) -> Result<(), Error> {
    let wanted = [(CLUSTER, cluster), (KIND, "memory"), (SANDBOX, sandbox)];
    let filters =
        Some(HashMap::from([("label".to_owned(), wanted.map(|(name, value)| format!("{name}={value}")).to_vec())]));
    let options = ListContainersOptions { all: true, filters: filters.clone(), ..Default::default() };
    for id in docker.list_containers(Some(options)).await?.into_iter().filter_map(|it| it.id) {
        remove_container(docker, &id).await?;
    }
    let volumes = docker.list_volumes(Some(ListVolumesOptions { filters })).await?;
    for volume in volumes.volumes.into_iter().flatten() {
        ignore_missing(docker.remove_volume(&volume.name, Some(RemoveVolumeOptions { force: true })).await)?;
    }
    Ok(())
}

fn ignore_missing(outcome: Result<(), Error>) -> Result<(), Error> {
    outcome.or_else(|error| if is_missing(&error) { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_id_and_its_copy_gets_another() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let id = cluster_id(&one).unwrap();
        assert_eq!(cluster_id(&one).unwrap(), id);
        fs::create_dir(&two).unwrap();
        fs::copy(one.join("cluster.json"), two.join("cluster.json")).unwrap();
        assert_ne!(cluster_id(&two).unwrap(), id);
    }
}
