//! A registry that stands for another, as a learner uses it: the program itself, and images by name.

use std::path::Path;
use std::process::Command;

use tutor::registry::Registry;
use tutor::tasks::TaskGroup;

use crate::process::Serve;

/// Runs tutor to its end; what it says on both streams.
fn tutor(state: &Path, words: &[&str]) -> Result<String, String> {
    let mut command = Command::new(crate::native::program());
    let done = command.env("TUTOR_STATE_DIR", state).env("NO_COLOR", "1").args(words).output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    if done.status.success() { Ok(said) } else { Err(said) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_another_registry_comes_through_ours_and_stays_when_that_is_gone() {
    let tasks = TaskGroup::new();
    let [far, author, state, reader, later] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let filter = Registry::open(far.path(), &tasks).unwrap().filter();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = listener.local_addr().unwrap();
    tasks.spawn("far registry", async move { warp::serve(filter).incoming(listener).run().await });
    let context = tempfile::tempdir().unwrap();
    std::fs::write(context.path().join("Dockerfile"), "FROM scratch\nCOPY word /word\nCMD [\"/word\"]\n").unwrap();
    std::fs::write(context.path().join("word"), "heron").unwrap();
    let image = format!("{there}/team/app:1");
    tutor(author.path(), &["image", "build", "-t", &image, context.path().to_str().unwrap()]).unwrap();
    let pushed = tutor(author.path(), &["image", "push", &image]).unwrap();
    let digest = pushed.trim().rsplit('@').next().unwrap();

    let serve = Serve::with(state.path(), &["--pull-through", &format!("docker.io,{there}")]);
    let ours = serve.registry();
    let name = format!("{ours}/127.0.0.1-{}/team/app:1", there.port());
    let pulled = tutor(reader.path(), &["image", "pull", &name]).unwrap();
    assert_eq!(pulled.trim().rsplit('@').next().unwrap(), digest, "it is the same image");
    let missing = tutor(reader.path(), &["image", "pull", &name.replace("app:1", "app:9")]).unwrap_err();
    assert!(missing.contains("app:9: not found"), "{missing}");
    let local = tutor(reader.path(), &["image", "pull", &format!("{ours}/team/app:1")]).unwrap_err();
    assert!(local.contains("app:1: not found"), "a name without a registry is ours alone: {local}");
    tasks.cancel();
    std::fs::remove_dir_all(far.path().join("repositories")).unwrap();
    assert!(serve.interrupt().success());

    // Without the flag it answers from what it has.
    let serve = Serve::start(state.path());
    let name = format!("{}/127.0.0.1-{}/team/app:1", serve.registry(), there.port());
    assert!(tutor(later.path(), &["image", "pull", &name]).unwrap().contains(digest));
    assert!(serve.interrupt().success());
}

#[test]
fn what_is_no_registry_is_told_so() {
    let state = tempfile::tempdir().unwrap();
    let ports = ["--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0"];
    let words = [
        &["serve", "--runtime", "simulated", "--ingress-listen", "127.0.0.1:0", "--pull-through", "docker.io/library"],
        &ports[..],
    ];
    let said = tutor(state.path(), &words.concat()).unwrap_err();
    assert!(said.contains("\"docker.io/library\" is no registry"), "{said}");
}
