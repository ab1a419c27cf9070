//! From what the kubelet asks for to what docker is asked for: the last place where anything is decided.
//!
//! In: a [`ContainerConfig`], its image, its Pod. Out: a container for docker to make. Pure but for a file that
//! a seccomp profile is read from. Chapter: `book/src/inside/runtime.md`.

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, HostConfig, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountType,
};

use super::images::Found;
use super::labels::Labels;
use super::pod::Pod;
use crate::kubelet::runtime::config::{
    ContainerConfig, Ipc, LogPolicy, Processes, Propagation, Resources, Seccomp, Security,
};

/// Source: the kernel's default, which Kubernetes keeps.
const CPU_PERIOD_MICROSECONDS: i64 = 100_000;
/// Less than this the kernel does not take.
const LEAST_QUOTA_MICROSECONDS: i64 = 1_000;
/// Source: kubelet `MinShares`.
const LEAST_SHARES: i64 = 2;

/// The container to be; `own` are the Pod's files that it sees besides its volumes.
///
/// # Errors
/// Why it cannot be made, in words for its status.
pub fn container(
    config: &ContainerConfig,
    image: &Found,
    pod: &Pod,
    own: Vec<Mount>,
    labels: Labels,
) -> Result<ContainerCreateBody, String> {
    let mut mounts: Vec<Mount> = Vec::new();
    for wanted in &config.mounts {
        let mut mount = pod.mount(wanted)?;
        if mount.typ == Some(MountType::BIND) {
            let propagation = Some(propagation(wanted.propagation));
            mount.bind_options = Some(MountBindOptions { propagation, ..MountBindOptions::default() });
        }
        mounts.push(mount);
    }
    let taken: Vec<_> = mounts.iter().filter_map(|mount| mount.target.clone()).collect();
    mounts.extend(own.into_iter().filter(|mount| mount.target.as_ref().is_some_and(|target| !taken.contains(target))));
    let words = |list: &[String]| Some(list.to_vec()).filter(|list| !list.is_empty());
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Ok(ContainerCreateBody {
        image: Some(image.docker_id.clone()),
        entrypoint: words(&config.command),
        cmd: words(&config.args),
        env: Some(config.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: text(&config.working_dir),
        user: user(&config.security),
        tty: Some(config.tty),
        open_stdin: Some(config.stdin),
        stdin_once: Some(config.stdin && config.stdin_once),
        stop_signal: text(&config.stop_signal),
        labels: Some(labels),
        host_config: Some(host_config(config, pod, mounts)?),
        ..ContainerCreateBody::default()
    })
}

fn host_config(config: &ContainerConfig, pod: &Pod, mounts: Vec<Mount>) -> Result<HostConfig, String> {
    let security = &config.security;
    let namespaces = &pod.config.namespaces;
    let of_pod = format!("container:{}", pod.id);
    let pid_mode = match (&config.target, namespaces.pid) {
        (Some(target), _) => Some(format!("container:{target}")),
        (None, Processes::Container) => None,
        (None, Processes::Pod) => Some(of_pod.clone()),
        (None, Processes::Node) => Some("host".to_owned()),
    };
    let limits = limits(&config.resources);
    let some = |list: &[String]| Some(list.to_vec()).filter(|list| !list.is_empty());
    Ok(HostConfig {
        network_mode: Some(of_pod.clone()),
        ipc_mode: Some(if namespaces.ipc == Ipc::Node { "host".to_owned() } else { of_pod }),
        pid_mode,
        mounts: Some(mounts),
        privileged: Some(security.privileged),
        readonly_rootfs: Some(security.read_only_root_filesystem && !security.privileged),
        cap_add: some(&security.capabilities_add),
        cap_drop: some(&security.capabilities_drop),
        group_add: some(&security.supplemental_groups.iter().map(i64::to_string).collect::<Vec<_>>()),
        security_opt: some(&security_options(security)?),
        masked_paths: security.unmasked_proc.then(Vec::new),
        readonly_paths: security.unmasked_proc.then(Vec::new),
        cpu_shares: limits.cpu_shares,
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        memory: limits.memory,
        memory_swap: limits.memory_swap,
        pids_limit: limits.pids_limit,
        oom_score_adj: Some(config.resources.oom_score_adj.into()),
        log_config: Some(logs(config.logs)),
        ..HostConfig::default()
    })
}

/// What it may use, as docker counts it.
pub fn limits(resources: &Resources) -> ContainerUpdateBody {
    // Source: kubelet `MilliCPUToShares`.
    let shares = (resources.cpu_request_millis * 1024 / 1000).max(LEAST_SHARES);
    let quota = resources.cpu_limit_millis.map(|millis| millis * CPU_PERIOD_MICROSECONDS / 1000);
    ContainerUpdateBody {
        cpu_shares: Some(shares),
        cpu_period: quota.map(|_| CPU_PERIOD_MICROSECONDS),
        cpu_quota: quota.map(|quota| quota.max(LEAST_QUOTA_MICROSECONDS)),
        memory: resources.memory_limit_bytes,
        // Memory and swap together: no swap.
        memory_swap: resources.memory_limit_bytes,
        pids_limit: resources.pids_limit,
        ..ContainerUpdateBody::default()
    }
}

fn user(security: &Security) -> Option<String> {
    let user = security.user?;
    Some(security.group.map_or(user.to_string(), |group| format!("{user}:{group}")))
}

fn security_options(security: &Security) -> Result<Vec<String>, String> {
    let mut options = Vec::new();
    if security.no_new_privileges && !security.privileged {
        options.push("no-new-privileges:true".to_owned());
    }
    match &security.seccomp {
        Seccomp::RuntimeDefault => {}
        Seccomp::Unconfined => options.push("seccomp=unconfined".to_owned()),
        Seccomp::Localhost(profile) => {
            let text = std::fs::read_to_string(profile)
                .map_err(|fault| format!("cannot load seccomp profile \"{profile}\": {fault}"))?;
            options.push(format!("seccomp={text}"));
        }
    }
    Ok(options)
}

fn propagation(wanted: Propagation) -> MountBindOptionsPropagationEnum {
    match wanted {
        Propagation::Private => MountBindOptionsPropagationEnum::RPRIVATE,
        Propagation::HostToContainer => MountBindOptionsPropagationEnum::RSLAVE,
        Propagation::Bidirectional => MountBindOptionsPropagationEnum::RSHARED,
    }
}

/// Docker keeps the output, in files that are turned as the kubelet would.
fn logs(policy: LogPolicy) -> HostConfigLogConfig {
    let options = [("max-size", policy.max_file_bytes.to_string()), ("max-file", policy.max_files.max(1).to_string())];
    let config = options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(config) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_counted_as_the_kernel_counts_them() {
        let resources = Resources {
            cpu_request_millis: 250,
            cpu_limit_millis: Some(500),
            memory_limit_bytes: Some(64 << 20),
            ..Resources::default()
        };
        let found = limits(&resources);
        assert_eq!((found.cpu_shares, found.cpu_quota, found.cpu_period), (Some(256), Some(50_000), Some(100_000)));
        assert_eq!((found.memory, found.memory_swap), (Some(64 << 20), Some(64 << 20)));
        assert_eq!(limits(&Resources::default()).cpu_shares, Some(2));
    }

    #[test]
    fn a_group_counts_with_a_user_only() {
        let who = |id, group| user(&Security { user: id, group, ..Security::default() });
        assert_eq!(who(Some(7), Some(8)).as_deref(), Some("7:8"));
        assert_eq!(who(Some(7), None).as_deref(), Some("7"));
        assert_eq!(who(None, Some(8)), None);
    }
}
