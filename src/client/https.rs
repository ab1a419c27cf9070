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
    // A refusal is an answer, which a check may have asked for. Asking fifteen times takes minutes.
    config.default_retry = false;
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_refusal_is_an_answer_and_is_not_asked_for_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: {{cluster: a, user: a}}}}], \
             users: [{{name: a, user: {{}}}}], clusters: [{{name: a, cluster: {{server: 'http://{}'}}}}]}}",
            listener.local_addr().unwrap()
        );
        std::fs::write(&kubeconfig, text).unwrap();
        let client = from_kubeconfig(&kubeconfig, None).await.unwrap();
        let refused = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 1024];
            assert!(stream.read(&mut asked).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
            // The connection stays open: a second request would come over it.
            stream
        };
        let request = http::Request::get("/").body(kube::client::Body::empty()).unwrap();
        let (answer, mut stream) = tokio::join!(client.send(request), refused);
        assert_eq!(answer.unwrap().status(), 503);
        drop(client);
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "it asked again");
    }
}
