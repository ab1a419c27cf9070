//! A `kube::Client` over HTTPS, for a process that is not the playground's.
//!
//! Comes in: a kubeconfig file (with the context to use), or a running playground,
//! which names its kubeconfig. Goes out: a client. Never changes a kubeconfig or
//! its current context.

use std::path::Path;

use crate::error::{Error, Result};
use crate::state::Playground;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// A client for `context` (the file's current one when `None`) of the kubeconfig at `path`.
///
/// # Errors
/// When the file cannot be read, names no such context, or its certificates are unusable.
pub async fn from_kubeconfig(path: &Path, context: Option<&str>) -> Result<kube::Client> {
    let broken = |why: String| {
        Error::new(format!("cannot use the kubeconfig {}", path.display()), why)
            .hint("start the playground, which writes one: tutor serve")
    };
    let file = Kubeconfig::read_from(path).map_err(|e| broken(e.to_string()))?;
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
    let mut config = kube::Config::from_custom_kubeconfig(file, &options).await.map_err(|e| broken(e.to_string()))?;
    config
        .headers
        .push((http::header::USER_AGENT, http::HeaderValue::from_static(concat!("tutor/", env!("CARGO_PKG_VERSION")))));
    kube::Client::try_from(config).map_err(|e| broken(e.to_string()))
}

/// A client for a running playground, as its administrator.
///
/// # Errors
/// When its kubeconfig cannot be read or used.
pub async fn from_playground(playground: &Playground) -> Result<kube::Client> {
    from_kubeconfig(Path::new(&playground.kubeconfig), None).await
}
/// The namespace that a kubeconfig's current context names, if there is such a file and it does.
pub fn current_namespace(path: &Path) -> Option<String> {
    let config = kube::config::Kubeconfig::read_from(path).ok()?;
    let current = config.current_context?;
    let context = config.contexts.into_iter().find(|context| context.name == current)?;
    context.context?.namespace.filter(|namespace| !namespace.is_empty())
}
