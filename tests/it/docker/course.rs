//! The first part's exercises on docker: what is given fails, the solution passes, and nothing is left.

use std::process::Stdio;
use std::time::Duration;

use tutor::course::catalogue::Catalogue;

use super::daemon::daemon;

/// All of them, one after the other, on a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(900);

#[tokio::test(flavor = "multi_thread")]
async fn the_exercises_on_containers_can_be_done_on_docker() {
    let Some(docker) = daemon().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let first = |part: &str| part == "start" || part == "servers";
    let exercises = Catalogue::get().unwrap().iter().filter(|exercise| first(&exercise.part));
    let names: Vec<&str> = exercises.map(|exercise| exercise.name.as_str()).collect();
    let checked = tokio::process::Command::new(crate::native::program())
        .args(["dev", "check", "--runtime", "docker", "--quick", "--verbose"])
        .args(&names)
        .env("DOCKER_HOST", docker.address())
        .env("TMPDIR", folder.path())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let checked = tokio::time::timeout(LIMIT, checked).await.expect("it takes too long").unwrap();
    let (said, complained) = (String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    assert!(checked.status.success(), "{said}{complained}");
    for name in &names {
        let proven = said.lines().any(|line| line.starts_with(&format!("✓ {name} ")));
        assert!(proven, "{name} is not proven:\n{said}{complained}");
    }
    let left = docker.all("{{.Names}} {{.Labels}}");
    assert!(left.is_empty(), "left behind: {left}");
}
