//! The commands, one file each.

use super::command::{COMMAND, Command};

mod api_resources;
mod apply;
mod attach;
mod auth;
mod autoscale;
mod certificate;
mod cluster_info;
mod completion;
mod config;
mod cp;
mod create;
mod debug;
mod delete;
mod describe;
mod diff;
mod drain;
mod dump;
mod edit;
mod events;
mod exec;
mod explain;
mod expose;
mod generate;
mod get;
mod kuberc;
mod label;
mod logs;
mod patch;
mod plugin;
mod port_forward;
mod proxy;
mod replace;
mod rollout;
mod run;
mod scale;
mod set;
mod taint;
mod top;
mod version;
mod wait;

/// `kubectl`
pub static ROOT: Command = Command {
    name: "kubectl",
    about: "kubectl talks to a Kubernetes cluster",
    commands: &[
        get::COMMAND,
        describe::COMMAND,
        create::COMMAND,
        apply::COMMAND,
        diff::COMMAND,
        edit::COMMAND,
        replace::COMMAND,
        patch::COMMAND,
        delete::COMMAND,
        run::COMMAND,
        expose::COMMAND,
        set::COMMAND,
        label::LABEL,
        label::ANNOTATE,
        scale::COMMAND,
        autoscale::COMMAND,
        rollout::COMMAND,
        wait::COMMAND,
        logs::COMMAND,
        exec::COMMAND,
        attach::COMMAND,
        debug::COMMAND,
        events::COMMAND,
        explain::COMMAND,
        auth::COMMAND,
        drain::CORDON,
        drain::UNCORDON,
        drain::DRAIN,
        taint::COMMAND,
        port_forward::COMMAND,
        proxy::COMMAND,
        cp::COMMAND,
        certificate::COMMAND,
        cluster_info::COMMAND,
        top::COMMAND,
        api_resources::COMMAND,
        api_resources::VERSIONS,
        config::COMMAND,
        kuberc::COMMAND,
        plugin::COMMAND,
        completion::COMMAND,
        completion::KUSTOMIZE,
        cluster_info::OPTIONS,
        version::COMMAND,
    ],
    ..COMMAND
};

/// `kubectl alpha`: no list shows it, since nothing is in it.
pub static ALPHA: Command = Command { name: "alpha", about: "Commands that are being tried", ..COMMAND };

/// The commands in the groups and the order in which kubectl's own help has them; some are not built in.
pub const GROUPED: &[&str] = &[
    "create",
    "expose",
    "run",
    "set",
    "explain",
    "get",
    "edit",
    "delete",
    "rollout",
    "scale",
    "autoscale",
    "certificate",
    "cluster-info",
    "top",
    "cordon",
    "uncordon",
    "drain",
    "taint",
    "describe",
    "logs",
    "attach",
    "exec",
    "port-forward",
    "proxy",
    "cp",
    "auth",
    "debug",
    "events",
    "diff",
    "apply",
    "patch",
    "replace",
    "wait",
    "kustomize",
    "label",
    "annotate",
    "completion",
    "api-resources",
    "api-versions",
    "config",
    "kuberc",
    "plugin",
    "version",
    "options",
];
