//! The programs that people keep their registries with, crane and oras, built by `.ci/install` from their Go
//! modules (`tests/clients/registry`): what they do with any registry they do with tutor's.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tutor::registry::Registry;
use tutor::tasks::TaskGroup;

use crate::served::program;

const CRANE: &str = "bin/crane";
const ORAS: &str = "bin/oras";

/// A registry, and a client whose own files are in a folder of their own.
struct Served {
    client: PathBuf,
    at: SocketAddr,
    tasks: TaskGroup,
    folder: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Served {
    /// `None`, and the reason printed, where the client is missing; in CI that fails the test.
    fn to(client: &str) -> Option<Served> {
        let Some(client) = program(client) else {
            assert!(std::env::var_os("CI").is_none(), "{client} is missing: run .ci/install");
            eprintln!("skipped: needs {}", client.trim_start_matches("bin/"));
            return None;
        };
        let (folder, tasks) = (tempfile::tempdir().unwrap(), TaskGroup::new());
        let filter = Registry::open(&folder.path().join("registry"), &tasks).unwrap().filter();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let at = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = listener.local_addr().unwrap();
            tasks.spawn("registry", async move { warp::serve(filter).incoming(listener).run().await });
            at
        });
        Some(Served { client, at, tasks, folder, _runtime: runtime })
    }

    fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.at)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> std::process::Output {
        let mut command = Command::new(&self.client);
        command.args(words).current_dir(self.folder.path());
        command.env("DOCKER_CONFIG", self.folder.path()).env("HOME", self.folder.path()).output().unwrap()
    }

    /// What it printed, without the end of the line.
    fn run(&self, words: &[&str]) -> String {
        let done = self.command(words);
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim_end().to_owned()
    }

    /// Why it failed.
    fn fault(&self, words: &[&str]) -> String {
        let done = self.command(words);
        assert!(!done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stdout));
        String::from_utf8_lossy(&done.stderr).into_owned()
    }

    fn lines(&self, words: &[&str]) -> Vec<String> {
        let mut lines: Vec<String> = self.run(words).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.run(words)).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

/// An archive of one file, as a layer is.
fn layer(path: &Path, name: &str, text: &str) {
    let mut archive = tar::Builder::new(fs::File::create(path).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, text.as_bytes()).unwrap();
    archive.into_inner().unwrap();
}

#[test]
fn crane_does_with_the_registry_what_it_does_with_any() {
    let Some(served) = Served::to(CRANE) else { return };
    layer(&served.path("one.tar"), "word", "heron");
    layer(&served.path("two.tar"), "other", "crane");
    let app = served.name("team/app:1");
    served.run(&["append", "-f", "one.tar", "-f", "two.tar", "-t", &app]);
    served.run(&["mutate", &app, "--label", "bird=heron", "-t", &app]);
    let digest = served.run(&["digest", &app]);
    assert!(digest.starts_with("sha256:"), "{digest}");
    served.run(&["validate", "--remote", &app]);
    let config = served.json(&["config", &app]);
    assert_eq!(config["config"]["Labels"]["bird"], "heron");
    assert_eq!(served.json(&["manifest", &app])["layers"].as_array().unwrap().len(), 2);

    // Out of it and in again, in both forms; the digest stays.
    served.run(&["pull", "--format", "oci", &app, "layout"]);
    served.run(&["push", "layout", &served.name("team/pushed:1")]);
    assert_eq!(served.run(&["digest", &served.name("team/pushed:1")]), digest);
    served.run(&["pull", &app, "app.tar"]);
    served.run(&["push", "app.tar", &served.name("team/archive:1")]);
    served.run(&["export", &served.name("team/archive:1"), "files.tar"]);
    let mut files = tar::Archive::new(fs::File::open(served.path("files.tar")).unwrap());
    let mut names: Vec<_> = files.entries().unwrap().map(|it| it.unwrap().path().unwrap().into_owned()).collect();
    names.sort();
    assert_eq!(names, [Path::new("other"), Path::new("word")]);

    served.run(&["tag", &app, "stable"]);
    served.run(&["copy", &app, &served.name("mirror/app:1")]);
    served.run(&["index", "append", "-m", &app, "-t", &served.name("team/app:many")]);
    assert_eq!(served.lines(&["ls", &served.name("team/app")]), ["1", "many", "stable"]);
    let repositories = ["mirror/app", "team/app", "team/archive", "team/pushed"];
    assert_eq!(served.lines(&["catalog", &served.at.to_string()]), repositories);
    assert_eq!(served.run(&["digest", &served.name("mirror/app:1")]), digest);

    // A tag goes alone; a digest takes its tags along.
    served.run(&["delete", &served.name("team/app:stable")]);
    assert_eq!(served.lines(&["ls", &served.name("team/app")]), ["1", "many"]);
    served.run(&["delete", &served.name(&format!("team/app@{digest}"))]);
    assert_eq!(served.lines(&["ls", &served.name("team/app")]), ["many"]);
    assert!(served.fault(&["manifest", &app]).contains("MANIFEST_UNKNOWN"));
    assert_eq!(served.run(&["digest", &served.name("mirror/app:1")]), digest, "another repository has its own");
}

#[test]
fn oras_keeps_files_in_the_registry_and_finds_what_refers_to_them() {
    let Some(served) = Served::to(ORAS) else { return };
    fs::write(served.path("weights.bin"), "0123456789").unwrap();
    fs::write(served.path("sbom.json"), "{}").unwrap();
    let plain = |words: &[&'static str]| -> Vec<&'static str> { [words, &["--plain-http"]].concat() };
    let run = |words: &[&'static str], names: &[&str]| served.run(&[&plain(words)[..], names].concat());
    let model = served.name("team/model:1");
    run(&["push", "--artifact-type", "application/vnd.team.model"], &[&model, "weights.bin:application/octet-stream"]);
    let digest = run(&["resolve"], &[&model]);
    let manifest: Value = serde_json::from_str(&run(&["manifest", "fetch"], &[&model])).unwrap();
    assert_eq!(manifest["artifactType"], "application/vnd.team.model");

    // What is attached is found by what it is attached to, and only by its kind when that is asked.
    run(&["attach", "--artifact-type", "application/vnd.team.sbom"], &[&model, "sbom.json"]);
    run(&["attach", "--artifact-type", "application/vnd.team.note", "--annotation", "by=me"], &[&model]);
    let found = |kind: &[&'static str]| -> Vec<String> {
        let words = [&["discover", "--format", "json", "--distribution-spec", "v1.1-referrers-api"], kind].concat();
        let found: Value = serde_json::from_str(&run(&words, &[&model])).unwrap();
        let list = found["referrers"].as_array().unwrap();
        let mut kinds: Vec<_> = list.iter().map(|it| it["artifactType"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(found(&[]), ["application/vnd.team.note", "application/vnd.team.sbom"]);
    assert_eq!(found(&["--artifact-type", "application/vnd.team.note"]), ["application/vnd.team.note"]);

    run(&["tag"], &[&model, "stable"]);
    assert_eq!(run(&["repo", "tags"], &[&served.name("team/model")]).lines().collect::<Vec<_>>(), ["1", "stable"]);
    let copy = served.name("mirror/model:1");
    let copies = ["cp", "--recursive", "--from-plain-http", "--to-plain-http", &model, &copy];
    served.run(&copies);
    assert_eq!(
        run(&["repo", "ls"], &[&served.at.to_string()]).lines().collect::<Vec<_>>(),
        ["mirror/model", "team/model"]
    );
    let copied: Value = serde_json::from_str(&run(&["discover", "--format", "json"], &[&copy])).unwrap();
    assert_eq!(copied["referrers"].as_array().unwrap().len(), 2, "what refers to it came along: {copied}");
    run(&["pull", "--output", "pulled"], &[&copy]);
    assert_eq!(fs::read_to_string(served.path("pulled/weights.bin")).unwrap(), "0123456789");

    let blob = run(&["blob", "push"], &[&served.name("team/model"), "sbom.json"]);
    assert!(blob.contains("sha256:"), "{blob}");
    run(&["manifest", "delete", "--force"], &[&served.name(&format!("team/model@{digest}"))]);
    assert!(served.fault(&["resolve", "--plain-http", &model]).contains("not found"));
    assert_eq!(run(&["resolve"], &[&copy]), digest, "another repository has its own");
}
