//! A whole cluster on docker, with kubectl, and what is left when it is killed.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::daemon::daemon;
use crate::process::Serve;

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - name: web
    image: tutor/web:1
    readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}
    volumeMounts: [{name: config, mountPath: /etc/config}]
  - name: beside
    image: tutor/shell:1
    command: [sh, -c, "echo begun; sleep 3600"]
  volumes: [{name: config, configMap: {name: colors}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: colors}
data: {color: red}
---
apiVersion: v1
kind: Pod
metadata: {name: hungry}
spec:
  restartPolicy: Never
  containers:
  - name: load
    image: tutor/load:1
    args: [--memory, 256Mi]
    resources: {limits: {memory: 64Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: lost}
spec:
  restartPolicy: Never
  containers: [{name: c, image: "tutor/shell:1", command: [no-such-program]}]
"#;

/// What kubectl prints, on both streams.
pub(super) fn kubectl(state: &Path, input: &str, words: &[&str]) -> (bool, String) {
    let mut child = Command::new(crate::served::program(crate::served::KUBECTL).unwrap())
        .args(words)
        .env("KUBECONFIG", state.join("kubeconfig"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let done = child.wait_with_output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_works_with_docker_pods_and_a_killed_cluster_leaves_none_to_its_next_start() {
    if crate::served::program(crate::served::KUBECTL).is_none() {
        assert!(std::env::var_os("CI").is_none(), "kubectl is missing: run .ci/install");
        return println!("skipped: needs kubectl");
    }
    let Some(docker) = daemon().await else { return };
    let state = tempfile::tempdir().unwrap();
    let address = docker.address();
    let start = || Serve::with_env(state.path(), &["--runtime", "docker"], &[("DOCKER_HOST", &address)]);
    let serve = start();
    let ask = |words: &str| kubectl(state.path(), "", &words.split_whitespace().collect::<Vec<_>>());
    let well = |words: &str| {
        let (well, said) = ask(words);
        assert!(well, "kubectl {words}: {said}");
        said
    };
    let (applied, said) = kubectl(state.path(), PODS, &["apply", "-f", "-"]);
    assert!(applied, "{said}");
    let waited = ask("wait --for=condition=Ready pod/web --timeout=180s");
    assert!(waited.0, "{}\n{}", waited.1, ask("describe pods").1);
    let (ended, said) = ask("wait --for=jsonpath={.status.phase}=Failed pod/hungry pod/lost --timeout=120s");
    assert!(ended, "{said}\n{}", ask("describe pods").1);
    assert!(well("get nodes -o wide").contains("docker://"));
    assert_eq!(well("logs web -c beside"), "begun\n");
    assert_eq!(well("exec web -c beside -- cat /etc/hostname"), "web\n");
    assert_eq!(well("exec web -c web -- cat /etc/config/color"), "red");
    assert!(well("exec web -c beside -- wget -qO- http://127.0.0.1").starts_with("hello from web"));
    let (_, said) = ask("exec web -c beside -- no-such-program");
    assert!(said.contains("executable file not found in $PATH"), "{said}");
    let reason = "-o jsonpath={.status.containerStatuses[0].state.terminated.reason}";
    assert_eq!(well(&format!("get pod hungry {reason}")), "OOMKilled");
    let message = well("get pod lost -o jsonpath={.status.containerStatuses[0].state}");
    assert!(message.contains("executable file not found in $PATH"), "{message}");

    let first = docker.all("{{.ID}}");
    assert!(first.lines().count() >= 3, "{first}");
    drop(serve); // As kill -9.
    assert_eq!(docker.all("{{.ID}}"), first, "a killed tutor takes nothing along");
    let serve = start();
    let next = docker.all("{{.ID}}");
    assert!(first.lines().all(|id| !next.contains(id)), "the next start leaves none of the last: {next}");
    let waited = ask("wait --for=condition=Ready pod/web --timeout=180s");
    assert!(waited.0, "{}", waited.1);
    assert!(serve.interrupt().success());
    assert_eq!(docker.all("{{.Names}}"), "", "an orderly end leaves nothing");
}
