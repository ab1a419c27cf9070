//! An image's whole way, as a learner goes it: built, pushed, pulled by a node, run, its log read.
//!
//! Everything is the program itself, started as a learner starts it; every wait has a limit.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tutor::clock::Clock;

/// No step takes longer, also on a slow machine.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

const DOCKERFILE: &str = r#"FROM tutor/shell:1
WORKDIR /app
ARG WORD=good
COPY greet.sh .
RUN echo "$WORD morning" > greeting && rm /etc/os-release && mkdir -p /data && chmod 755 /data
RUN test ! -e /etc/os-release && test -s greeting
RUN <<SCRIPT
#!/bin/sh
echo "it is $0" | grep -q heredoc && echo by a script > scripted
SCRIPT
RUN test "$(cat scripted)" = "by a script" && test ! -e /.heredoc && chmod 600 scripted
ENV WHO=reader
ENTRYPOINT ["sh", "/app/greet.sh"]
"#;
const GREET: &str = "cat /app/greeting; test -e /etc/os-release || echo removed; echo \"for $WHO\"; sleep 3600\n";

fn command(state: &Path) -> Command {
    let mut command = Command::new(super::program());
    command.env("TUTOR_STATE_DIR", state).env("NO_COLOR", "1").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs tutor to its end; what it said on both streams.
async fn tutor(state: &Path, words: &[&str]) -> (String, String) {
    let done = Clock::real().timeout(LIMIT, command(state).args(words).output()).await;
    let done = done.unwrap_or_else(|_| panic!("{words:?} takes too long")).unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{words:?}: {out}{err}");
    (out.into_owned(), err.into_owned())
}

/// A playground with native containers: its process, and what it said when it was ready.
pub(super) async fn serve(state: &Path) -> (Child, Value) {
    let words = ["serve", "--json", "--runtime", "native", "--nodes", "1", "--listen", "127.0.0.1:0"];
    let mut child = command(state)
        .args(words)
        .args(["--api-listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0", "--ingress-listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = Clock::real().timeout(LIMIT, lines.next_line()).await.expect("tutor serve is not ready in time");
    let line = line.unwrap().expect("tutor serve ended");
    (child, serde_json::from_str(&line).unwrap())
}

fn context() -> tempfile::TempDir {
    let context = tempfile::tempdir().unwrap();
    fs::write(context.path().join("Dockerfile"), DOCKERFILE).unwrap();
    fs::write(context.path().join("greet.sh"), GREET).unwrap();
    context
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_built_pushed_pulled_and_run() {
    if super::is_refused() {
        return;
    }
    let (state, context) = (tempfile::tempdir().unwrap(), context());
    let (mut playground, ready) = serve(state.path()).await;
    let image = format!("{}/team/greeter:1", ready["registry"].as_str().unwrap().trim_start_matches("http://"));
    let folder = context.path().to_str().unwrap();
    let (id, steps) = tutor(state.path(), &["image", "build", "-t", &image, folder]).await;
    assert!(
        id.contains("@sha256:") && steps.contains("[10/10] ENTRYPOINT") && !steps.contains("CACHED"),
        "{id}{steps}"
    );
    let (_, steps) = tutor(state.path(), &["image", "build", "-t", &image, folder]).await;
    assert_eq!(steps.matches("CACHED").count(), 6, "{steps}");
    let (history, _) = tutor(state.path(), &["image", "history", &image]).await;
    assert!(history.contains("COPY greet.sh .") && history.contains("RUN test"), "{history}");
    tutor(state.path(), &["image", "push", &image]).await;
    tutor(state.path(), &["image", "rm", &image]).await;
    tutor(state.path(), &["kubectl", "run", "greeter", "--image", &image]).await;
    let ready = ["kubectl", "wait", "pod/greeter", "--for=condition=Ready", "--timeout=110s"];
    tutor(state.path(), &ready).await;
    let follow = ["kubectl", "exec", "greeter", "--", "sh", "-c", "echo inside $WHO; ls -d /data"];
    assert_eq!(tutor(state.path(), &follow).await.0, "inside reader\n/data\n");
    // A Pod without a probe is ready before its program has said all.
    let said = async {
        while tutor(state.path(), &["kubectl", "logs", "greeter"]).await.0 != "good morning\nremoved\nfor reader\n" {}
    };
    assert!(Clock::real().timeout(LIMIT, said).await.is_ok(), "its log does not say what it printed");
    let pid = rustix::process::Pid::from_raw(playground.id().unwrap() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = Clock::real().timeout(LIMIT, playground.wait()).await.expect("tutor serve does not end");
    assert!(ended.unwrap().success());
}

/// The copy that a RUN works on is compared with what it was made of.
#[tokio::test(flavor = "multi_thread")]
async fn where_overlayfs_is_refused_a_run_makes_the_same_image() {
    if super::is_refused() {
        return;
    }
    let (state, context) = (tempfile::tempdir().unwrap(), context());
    let build = ["image", "build", "--no-cache", "-t", "same:1", context.path().to_str().unwrap()];
    let (id, _) = tutor(state.path(), &build).await;
    let mut copying = command(state.path());
    copying.env("TUTOR_KERNEL_LACKS", "overlayfs").args(build);
    let done = Clock::real().timeout(LIMIT, copying.output()).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), id, "{}", String::from_utf8_lossy(&done.stderr));
}

/// As projects do it: the program's user owns its folder, and everybody's folder stays everybody's.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_the_image_writes_where_it_is_the_owner() {
    if super::is_refused() {
        return;
    }
    let (state, context) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dockerfile = "FROM tutor/shell:1\nRUN echo 'app:x:1234:1234::/app:/bin/sh' >> /etc/passwd && mkdir -p /tmp && chmod 1777 /tmp\n\
        COPY --chown=app Dockerfile /app/\nCOPY Dockerfile /tmp/\nUSER app\nWORKDIR /app\n\
        RUN id -u > /app/uid && grep -q 1234 /app/uid && touch /tmp/mine\n\
        RUN --mount=type=cache,target=/cache,uid=1234,mode=0700 touch /cache/x /app/again && rm /app/uid\n\
        WORKDIR made\nRUN touch here && test ! -e /app/uid && test -e /tmp/mine\n";
    fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
    let build = ["image", "build", "-t", "owned:1", context.path().to_str().unwrap()];
    tutor(state.path(), &build).await;
}

/// By the proxy that it finds in its variables, as package managers do.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_reaches_this_computer_only_when_the_build_asks_for_it() {
    if super::is_refused() {
        return;
    }
    let (state, context) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tasks = tutor::tasks::TaskGroup::new();
    let page = warp::Filter::map(warp::any(), || "a page of the host".to_owned());
    tasks.spawn("host", async move { warp::serve(page).incoming(listener).run().await });
    let url = format!("http://127.0.0.1:{port}/");
    let dockerfile = format!("FROM tutor/shell:1\nRUN no_proxy= wget -qO /page {url} && grep -q 'of the host' /page\n");
    fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
    let build = async |network: &str| {
        let words =
            ["image", "build", "--no-cache", "--network", network, "-t", "page", context.path().to_str().unwrap()];
        let done = Clock::real().timeout(LIMIT, command(state.path()).args(words).output()).await.unwrap().unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (reached, said) = build("host").await;
    assert!(reached, "{said}");
    let (reached, said) = build("default").await;
    assert!(!reached && said.contains("Dockerfile:2") && said.contains("HTTP/1.1 403"), "{said}");
    let (reached, said) = build("none").await;
    assert!(!reached && said.contains("Dockerfile:2") && said.contains("reaches nobody"), "{said}");
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_is_told_with_its_line_and_leaves_nothing() {
    if super::is_refused() {
        return;
    }
    let (state, context) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(context.path().join("Dockerfile"), "FROM tutor/shell:1\n\nRUN echo before && exit 7\n").unwrap();
    let build = ["image", "build", "-t", "broken", context.path().to_str().unwrap()];
    let done = Clock::real().timeout(LIMIT, command(state.path()).args(build).output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("  before\n") && said.contains("Dockerfile:3: the command ended with exit code 7"), "{said}");
    let left: Vec<_> = fs::read_dir(state.path().join("build/machine")).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let uploads = fs::read_dir(state.path().join("registry/uploads")).unwrap().count();
    assert_eq!(uploads, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_registry_takes_who_is_logged_in_and_no_other() {
    if super::is_refused() {
        return;
    }
    let (state, context) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut playground, _) = serve(state.path()).await;
    let login = state.path().join("login");
    let config: Value = serde_json::from_slice(&fs::read(login.join("config.json")).unwrap()).unwrap();
    let registry = config["auths"].as_object().unwrap().keys().next().unwrap().clone();
    assert!(registry.starts_with("127.0.0.2:"), "{registry}");
    fs::write(context.path().join("Dockerfile"), "FROM tutor/shell:1\nCMD [\"sleep\", \"3600\"]\n").unwrap();
    let image = format!("{registry}/team/secret:1");
    tutor(state.path(), &["image", "build", "-t", &image, context.path().to_str().unwrap()]).await;
    let push = |docker_config: &Path| {
        let mut push = command(state.path());
        push.args(["image", "push", &image]).env("DOCKER_CONFIG", docker_config);
        async move { Clock::real().timeout(LIMIT, push.output()).await.unwrap().unwrap() }
    };
    let refused = push(context.path()).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.contains("401 Unauthorized"), "{said}");
    assert!(said.contains(&format!("docker login {registry}")), "{said}");
    let sent = push(&login).await;
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    tutor(state.path(), &["image", "rm", &image]).await;
    let pod = ["kubectl", "run", "stranger", "--image", &image];
    tutor(state.path(), &pod).await;
    let waiting = "jsonpath={.status.containerStatuses[0].state.waiting.reason}";
    let backs_off = [format!("--for={waiting}=ImagePullBackOff")];
    tutor(state.path(), &["kubectl", "wait", "pod/stranger", &backs_off[0], "--timeout=110s"]).await;
    // An event is written a moment after the status that it tells of.
    let events = ["kubectl", "get", "events", "-o", "jsonpath={.items[*].message}"];
    let told = async {
        while !tutor(state.path(), &events).await.0.contains("authorization failed: no basic auth credentials") {}
    };
    assert!(Clock::real().timeout(LIMIT, told).await.is_ok(), "no event says why");
    let from_file = format!("--from-file=.dockerconfigjson={}", login.join("config.json").display());
    let secret =
        ["kubectl", "create", "secret", "generic", "mine", "--type=kubernetes.io/dockerconfigjson", &from_file];
    tutor(state.path(), &secret).await;
    let overrides = r#"--overrides={"spec": {"imagePullSecrets": [{"name": "mine"}]}}"#;
    tutor(state.path(), &["kubectl", "run", "friend", "--image", &image, overrides]).await;
    tutor(state.path(), &["kubectl", "wait", "pod/friend", "--for=condition=Ready", "--timeout=110s"]).await;
    playground.kill().await.unwrap();
}
