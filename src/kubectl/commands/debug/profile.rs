//! What a debugging container may do: the profiles of `kubectl debug --profile`.
//!
//! In: a Pod and the name of one of its containers. Out: the Pod, changed. Source: kubectl, `cmd/debug`, profiles.

use serde_json::{Value, json};

use super::super::super::failure::{Failure, Result};
use super::super::super::flags::Flags;
use crate::api::meta;

/// A profile by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Nothing beyond what each way needs.
    Legacy,
    /// May trace processes.
    General,
    /// Fits the Pod security standard of this name.
    Baseline,
    /// Fits the strictest Pod security standard.
    Restricted,
    /// May change the network.
    Netadmin,
    /// May do everything.
    Sysadmin,
}

/// How one looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A container that joins a Pod.
    Ephemeral,
    /// A copy of a Pod.
    Copy,
    /// A Pod on a node.
    Node,
}

impl Profile {
    /// The profile of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(name: &str) -> Result<Profile> {
        Ok(match name {
            "legacy" => Profile::Legacy,
            "general" => Profile::General,
            "baseline" => Profile::Baseline,
            "restricted" => Profile::Restricted,
            "netadmin" => Profile::Netadmin,
            "sysadmin" => Profile::Sysadmin,
            other => return Err(Failure::new(format!("unknown profile: {other}"))),
        })
    }

    /// Gives a Pod and one of its containers what the profile allows.
    pub fn apply(self, pod: &mut Value, name: &str, style: Style, flags: &Flags) {
        container(pod, name, |container| self.allow(container, style));
        match style {
            Style::Ephemeral => {}
            Style::Copy => self.strip(pod, flags),
            Style::Node => self.open_node(pod, name),
        }
    }

    fn allow(self, container: &mut Value, style: Style) {
        let fresh = matches!(self, Profile::Baseline | Profile::Restricted)
            || (self == Profile::General && style == Style::Node);
        if fresh {
            meta::remove(container, &["securityContext"]);
        }
        match self {
            Profile::General if style != Style::Node => add_capabilities(container, &["SYS_PTRACE"]),
            Profile::Netadmin => add_capabilities(container, &["NET_ADMIN", "NET_RAW"]),
            Profile::Sysadmin => meta::set(container, &["securityContext", "privileged"], true.into()),
            Profile::Restricted => {
                container["securityContext"] = json!({
                    "runAsNonRoot": true,
                    "capabilities": {"drop": ["ALL"]},
                    "allowPrivilegeEscalation": false,
                    "seccompProfile": {"type": "RuntimeDefault"},
                });
            }
            _ => {}
        }
    }

    /// A copy loses what would make others take it for the original.
    fn strip(self, pod: &mut Value, flags: &Flags) {
        if self == Profile::Legacy {
            meta::remove(pod, &["metadata", "labels"]);
            return;
        }
        for field in ["labels", "annotations"] {
            if !flags.is(&format!("keep-{field}")) {
                meta::remove(pod, &["metadata", field]);
            }
        }
        for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
            for probe in ["liveness", "readiness", "startup"] {
                if !flags.is(&format!("keep-{probe}")) {
                    meta::remove(container, &[&format!("{probe}Probe")]);
                }
            }
        }
        if !flags.is("keep-init-containers") {
            meta::remove(pod, &["spec", "initContainers"]);
        }
        if meta::get(pod, &["spec", "shareProcessNamespace"]).is_none() {
            meta::set(pod, &["spec", "shareProcessNamespace"], true.into());
        }
    }

    fn open_node(self, pod: &mut Value, name: &str) {
        if matches!(self, Profile::Legacy | Profile::General | Profile::Sysadmin) {
            pod["spec"]["volumes"] = json!([{"name": "host-root", "hostPath": {"path": "/"}}]);
            container(pod, name, |container| {
                container["volumeMounts"] = json!([{"mountPath": "/host", "name": "host-root"}]);
            });
        }
        if !matches!(self, Profile::Baseline | Profile::Restricted) {
            for field in ["hostNetwork", "hostPID", "hostIPC"] {
                meta::set(pod, &["spec", field], true.into());
            }
        }
    }
}

/// Changes the container of this name, of whatever kind.
pub fn container(pod: &mut Value, name: &str, mut change: impl FnMut(&mut Value)) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        containers.into_iter().flatten().filter(|one| meta::text(one, &["name"]) == name).for_each(&mut change);
    }
}

fn add_capabilities(container: &mut Value, names: &[&str]) {
    let path = ["securityContext", "capabilities", "add"];
    let mut held = meta::list(container, &path).to_vec();
    for name in names {
        if !held.iter().any(|one| one == name) {
            held.push((*name).into());
        }
    }
    meta::set(container, &path, held.into());
}
