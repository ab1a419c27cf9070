//! From a Pod to what a runtime is told: one container, one sandbox. Pure.
//!
//! In: the Pod, the node's facts, what was read for it (variables). Out: CRI's configurations. All of
//! Kubernetes' defaults and precedences are decided here, so that no runtime has to know a Pod.
//! Source: kubelet `kuberuntime_container_linux.go`, `pkg/securitycontext`. Chapter:
//! `book/src/control-plane/kubelet.md`.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSecurityContext, SeccompProfile, SecurityContext, VolumeMount,
};

use super::admission::amount;
use super::environment::put_in;
use super::pod::PodView;
use super::runtime::config::{Dns, Ipc, Namespaces, Network, PortMapping, Processes, Propagation, Seccomp};
use super::runtime::{ContainerConfig, Image, Mount, Resources, SandboxConfig, Security};

/// The volume that holds the file every container sees as `/etc/hosts`.
pub const HOSTS_VOLUME: &str = "kubelet-etc-hosts";
/// Source: kubelet `podPidsLimit` is unlimited; a laptop is shared with its owner.
const PIDS_LIMIT: i64 = 4096;
/// Source: kubelet `pkg/kubelet/qos`.
const BEST_EFFORT_OOM: i32 = 1000;
const GUARANTEED_OOM: i32 = -997;

/// What the cluster tells a node about names.
#[derive(Clone, Debug)]
pub struct ClusterDns {
    /// The address of the cluster's DNS Service.
    pub server: String,
    /// `cluster.local`
    pub domain: String,
}

impl Default for ClusterDns {
    /// The tenth address of the Services' range, as kubeadm gives it to the DNS Service.
    fn default() -> Self {
        ClusterDns { server: "10.96.0.10".to_owned(), domain: "cluster.local".to_owned() }
    }
}

/// The sandbox of a Pod that has this address.
pub fn sandbox(pod: &PodView, ip: &str, cluster: &ClusterDns) -> SandboxConfig {
    let spec = &pod.spec;
    let yes = |flag: Option<bool>| flag == Some(true);
    let host_network = yes(spec.host_network);
    let pid = match (yes(spec.host_pid), yes(spec.share_process_namespace)) {
        (true, _) => Processes::Node,
        (false, true) => Processes::Pod,
        (false, false) => Processes::Container,
    };
    let security = spec.security_context.as_ref();
    let sysctls = security.and_then(|context| context.sysctls.as_ref()).into_iter().flatten();
    let ports = pod.containers().flat_map(|(container, _)| container.ports.iter().flatten());
    let number = |port: i32| u16::try_from(port).ok().filter(|port| *port != 0);
    SandboxConfig {
        namespace: pod.namespace().to_owned(),
        name: pod.name().to_owned(),
        uid: pod.uid().to_owned(),
        hostname: hostname(pod),
        ip: ip.to_owned(),
        labels: pod.metadata.labels.clone().unwrap_or_default(),
        annotations: pod.metadata.annotations.clone().unwrap_or_default(),
        dns: dns(pod, cluster),
        namespaces: Namespaces {
            network: if host_network { Network::Node } else { Network::Pod },
            pid,
            ipc: if yes(spec.host_ipc) { Ipc::Node } else { Ipc::Pod },
        },
        sysctls: sysctls.map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect(),
        ports: ports
            .filter(|_| !host_network)
            .filter_map(|port| {
                Some(PortMapping {
                    protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                    container_port: number(port.container_port)?,
                    host_port: number(port.host_port?)?,
                    host_ip: port.host_ip.clone().unwrap_or_default(),
                })
            })
            .collect(),
    }
}

/// A Pod's host name: at most 63 characters, and none that may not end one.
fn hostname(pod: &PodView) -> String {
    let wanted = pod.spec.hostname.as_deref().unwrap_or(pod.name());
    let cut: String = wanted.chars().take(63).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// Source: kubelet `network/dns`. No servers: as the node itself looks names up.
fn dns(pod: &PodView, cluster: &ClusterDns) -> Dns {
    let spec = &pod.spec;
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let host_network = spec.host_network == Some(true);
    let in_cluster = policy == "ClusterFirstWithHostNet" || policy == "ClusterFirst" && !host_network;
    let mut dns = match in_cluster {
        true => {
            let (namespace, domain) = (pod.namespace(), &cluster.domain);
            Dns {
                servers: vec![cluster.server.clone()],
                searches: vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()],
                options: vec!["ndots:5".to_owned()],
            }
        }
        false => Dns::default(),
    };
    if let Some(own) = &spec.dns_config {
        let add = |list: &mut Vec<String>, more: &Option<Vec<String>>| {
            for item in more.iter().flatten().filter(|item| !list.contains(item)).collect::<Vec<_>>() {
                list.push(item.clone());
            }
        };
        add(&mut dns.servers, &own.nameservers);
        add(&mut dns.searches, &own.searches);
        for option in own.options.iter().flatten() {
            let name = option.name.clone().unwrap_or_default();
            dns.options.retain(|known| known.split(':').next() != Some(name.as_str()));
            dns.options.push(option.value.as_ref().map_or(name.clone(), |value| format!("{name}:{value}")));
        }
    }
    dns
}

/// The content of a Pod's `/etc/hosts`.
pub fn hosts(pod: &PodView, ip: &str) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\nfe00::\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    let host = hostname(pod);
    match &pod.spec.subdomain {
        Some(subdomain) if !subdomain.is_empty() => {
            let namespace = pod.namespace();
            text.push_str(&format!("{ip}\t{host}.{subdomain}.{namespace}.svc.cluster.local\t{host}\n"));
        }
        _ => text.push_str(&format!("{ip}\t{host}\n")),
    }
    let mut aliases = pod.spec.host_aliases.iter().flatten().peekable();
    if aliases.peek().is_some() {
        text.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let names = alias.hostnames.clone().unwrap_or_default().join("\t");
            text.push_str(&format!("{}\t{names}\n", alias.ip));
        }
    }
    text
}

/// A container of the Pod; `env` is what it sees, `attempt` how often it was started before.
pub fn container(
    pod: &PodView,
    spec: &Container,
    image: &Image,
    env: Vec<(String, String)>,
    attempt: u32,
) -> ContainerConfig {
    let words = |list: &Option<Vec<String>>| list.iter().flatten().map(|word| put_in(word, &env)).collect();
    let ports = spec.ports.iter().flatten().filter_map(|port| u16::try_from(port.container_port).ok());
    let mounts = spec.volume_mounts.iter().flatten().map(|it| mount(it, &env));
    let own_hosts = pod.spec.host_network != Some(true)
        && !spec.volume_mounts.iter().flatten().any(|mount| mount.mount_path == "/etc/hosts");
    let hosts = own_hosts.then(|| Mount {
        volume: HOSTS_VOLUME.to_owned(),
        container_path: "/etc/hosts".to_owned(),
        sub_path: "hosts".to_owned(),
        ..Mount::default()
    });
    ContainerConfig {
        name: spec.name.clone(),
        image: image.name.clone(),
        command: words(&spec.command),
        args: words(&spec.args),
        working_dir: spec.working_dir.clone().unwrap_or_default(),
        attempt,
        ports: ports.collect(),
        mounts: mounts.chain(hosts).collect(),
        resources: resources(pod, spec),
        security: security(pod, spec),
        stdin: spec.stdin == Some(true),
        stdin_once: spec.stdin_once == Some(true),
        tty: spec.tty == Some(true),
        termination_message_path: spec
            .termination_message_path
            .clone()
            .unwrap_or_else(|| "/dev/termination-log".to_owned()),
        stop_signal: spec.lifecycle.as_ref().and_then(|it| it.stop_signal.clone()).unwrap_or_default(),
        env,
        ..ContainerConfig::default()
    }
}

fn mount(mount: &VolumeMount, env: &[(String, String)]) -> Mount {
    let sub_path = match &mount.sub_path_expr {
        Some(expression) => put_in(expression, env),
        None => mount.sub_path.clone().unwrap_or_default(),
    };
    Mount {
        volume: mount.name.clone(),
        container_path: mount.mount_path.clone(),
        sub_path,
        read_only: mount.read_only == Some(true),
        propagation: match mount.mount_propagation.as_deref() {
            Some("HostToContainer") => Propagation::HostToContainer,
            Some("Bidirectional") => Propagation::Bidirectional,
            _ => Propagation::Private,
        },
    }
}

fn resources(pod: &PodView, spec: &Container) -> Resources {
    let read = |limits: bool, name: &str| -> Option<i64> {
        let all = spec.resources.as_ref()?;
        let list = if limits { all.limits.as_ref() } else { all.requests.as_ref() };
        Some(amount(name, &list?.get(name)?.0)).filter(|amount| *amount > 0)
    };
    let (cpu, memory) = (read(true, "cpu"), read(true, "memory"));
    let oom_score_adj = match pod.status.qos_class.as_deref() {
        Some("Guaranteed") => GUARANTEED_OOM,
        Some("Burstable") => 999,
        _ => BEST_EFFORT_OOM,
    };
    Resources {
        cpu_request_millis: read(false, "cpu").or(cpu).unwrap_or(0),
        cpu_limit_millis: cpu,
        memory_limit_bytes: memory,
        pids_limit: Some(PIDS_LIMIT),
        oom_score_adj,
    }
}

/// A container's own settings come before its Pod's.
fn security(pod: &PodView, spec: &Container) -> Security {
    let none = (SecurityContext::default(), PodSecurityContext::default());
    let own = spec.security_context.as_ref().unwrap_or(&none.0);
    let whole = pod.spec.security_context.as_ref().unwrap_or(&none.1);
    let list = |of: fn(&Capabilities) -> &Option<Vec<String>>| -> Vec<String> {
        own.capabilities.as_ref().and_then(|capabilities| of(capabilities).clone()).unwrap_or_default()
    };
    let privileged = own.privileged == Some(true);
    let mut groups = whole.supplemental_groups.clone().unwrap_or_default();
    groups.extend(whole.fs_group);
    Security {
        user: own.run_as_user.or(whole.run_as_user),
        group: own.run_as_group.or(whole.run_as_group),
        supplemental_groups: groups,
        privileged,
        read_only_root_filesystem: own.read_only_root_filesystem == Some(true),
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        capabilities_add: list(|it| &it.add),
        capabilities_drop: list(|it| &it.drop),
        seccomp: match own.seccomp_profile.as_ref().or(whole.seccomp_profile.as_ref()) {
            _ if privileged => Seccomp::Unconfined,
            Some(profile) => seccomp(profile),
            None => Seccomp::RuntimeDefault,
        },
        unmasked_proc: own.proc_mount.as_deref() == Some("Unmasked"),
    }
}

fn seccomp(profile: &SeccompProfile) -> Seccomp {
    match profile.type_.as_str() {
        "Unconfined" => Seccomp::Unconfined,
        "Localhost" => Seccomp::Localhost(profile.localhost_profile.clone().unwrap_or_default()),
        _ => Seccomp::RuntimeDefault,
    }
}

/// Why a container that must not run as root would.
///
/// # Errors
/// The words of CreateContainerConfigError. Source: kubelet `verifyRunAsNonRoot`.
pub fn check_non_root(pod: &PodView, spec: &Container, image: &Image) -> Result<(), String> {
    let own = spec.security_context.as_ref();
    let whole = pod.spec.security_context.as_ref();
    let wanted = own.and_then(|it| it.run_as_non_root).or(whole.and_then(|it| it.run_as_non_root));
    if wanted != Some(true) {
        return Ok(());
    }
    let about = format!("(pod: \"{}_{}({})\", container: {})", pod.name(), pod.namespace(), pod.uid(), spec.name);
    match security(pod, spec).user {
        Some(0) => Err(format!("container's runAsUser breaks non-root policy {about}")),
        Some(_) => Ok(()),
        None => match image.user.split(':').next().unwrap_or_default() {
            "" => Err(format!("container has runAsNonRoot and image will run as root {about}")),
            user => match user.parse::<i64>() {
                Ok(0) => Err(format!("container has runAsNonRoot and image will run as root {about}")),
                Ok(_) => Ok(()),
                Err(_) => Err(format!(
                    "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is \
                     non-root {about}"
                )),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: Value) -> PodView {
        let meta = json!({"name": "web-0", "namespace": "shop", "uid": "u"});
        serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap()
    }

    fn image(user: &str) -> Image {
        Image { name: "i".into(), id: String::new(), size_bytes: 0, user: user.into() }
    }

    fn made(spec: Value) -> ContainerConfig {
        let pod = pod(spec);
        container(&pod, &pod.spec.containers[0], &image(""), vec![("A".into(), "b".into())], 0)
    }

    #[test]
    fn a_containers_own_security_comes_before_its_pods() {
        let security = made(json!({"securityContext": {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 9},
            "containers": [{"name": "c", "securityContext": {"runAsUser": 5, "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]}}}]}))
        .security;
        let expected = Security {
            user: Some(5),
            group: Some(2),
            supplemental_groups: vec![9],
            no_new_privileges: true,
            capabilities_drop: vec!["ALL".into()],
            ..Security::default()
        };
        assert_eq!(security, expected);
    }

    #[test]
    fn names_are_looked_up_as_the_policy_says() {
        let cluster = ClusterDns { server: "10.96.0.10".into(), domain: "cluster.local".into() };
        let config = json!({"nameservers": ["1.1.1.1"], "options": [{"name": "ndots", "value": "2"}]});
        for (spec, servers, options) in [
            (json!({"containers": []}), vec!["10.96.0.10"], vec!["ndots:5"]),
            (json!({"containers": [], "dnsConfig": config}), vec!["10.96.0.10", "1.1.1.1"], vec!["ndots:2"]),
            (json!({"containers": [], "dnsPolicy": "None", "dnsConfig": config}), vec!["1.1.1.1"], vec!["ndots:2"]),
            (json!({"containers": [], "hostNetwork": true}), vec![], vec![]),
        ] {
            let found = sandbox(&pod(spec), "10.0.0.1", &cluster).dns;
            assert_eq!(
                (found.servers, found.options),
                (servers.iter().map(|s| s.to_string()).collect(), options.iter().map(|s| s.to_string()).collect())
            );
        }
    }

    #[test]
    fn non_root_is_verified_with_the_images_user() {
        for (security, user, words) in [
            (json!({"runAsNonRoot": true}), "", "image will run as root"),
            (json!({"runAsNonRoot": true}), "0:0", "image will run as root"),
            (json!({"runAsNonRoot": true}), "nginx", "non-numeric user (nginx)"),
            (json!({"runAsNonRoot": true}), "101", ""),
            (json!({"runAsNonRoot": true, "runAsUser": 0}), "101", "breaks non-root policy"),
            (json!({}), "", ""),
        ] {
            let pod = pod(json!({"containers": [{"name": "c", "securityContext": security}]}));
            match check_non_root(&pod, &pod.spec.containers[0], &image(user)) {
                Ok(()) => assert!(words.is_empty(), "{words}"),
                Err(why) => assert!(!words.is_empty() && why.contains(words), "{why}"),
            }
        }
    }

    #[test]
    fn every_container_sees_its_pods_hosts_file() {
        let mounts = made(json!({"containers": [{"name": "c", "volumeMounts": [
            {"name": "v", "mountPath": "/v", "subPathExpr": "x-$(A)", "readOnly": true}]}]}))
        .mounts;
        assert_eq!(mounts[0].sub_path, "x-b");
        assert!(mounts[0].read_only && mounts[1].container_path == "/etc/hosts");
        let text =
            hosts(&pod(json!({"containers": [], "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["db"]}]})), "10.0.0.9");
        assert!(text.contains("10.0.0.9\tweb-0\n") && text.ends_with("1.2.3.4\tdb\n"), "{text}");
    }
}
