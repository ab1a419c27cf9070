//! The OCI distribution conformance suite, built by `.ci/install` from its Go module (`tests/clients/oci`),
//! against the registry: the open one, and the one that wants a login.

use std::process::Command;

use tutor::registry::Registry;
use tutor::tasks::TaskGroup;

use crate::served::program;

/// The suite's program.
const SUITE: &str = "bin/oci-conformance";

/// Beyond what the specification demands, these are asked, too: what it leaves open, this registry does.
const BEYOND: [&str; 3] =
    ["OCI_API_BLOBS_DIGEST_HEADER", "OCI_API_MANIFESTS_DIGEST_HEADER", "OCI_API_BLOBS_UPLOAD_CANCEL"];

#[test]
fn the_open_registry_is_an_oci_registry() {
    conforms(None);
}

#[test]
fn the_private_registry_is_one_for_who_is_logged_in() {
    conforms(Some(("learner", "a password")));
}

fn conforms(login: Option<(&str, &str)>) {
    let Some(suite) = program(SUITE) else {
        assert!(std::env::var_os("CI").is_none(), "{SUITE} is missing: run .ci/install");
        eprintln!("skipped: needs {SUITE}");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let tasks = TaskGroup::new();
    let registry = match login {
        None => Registry::open(folder.path(), &tasks),
        Some((user, password)) => Registry::private(folder.path(), &tasks, &basic(user, password)),
    };
    let filter = registry.unwrap().filter();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tasks.spawn("registry", async move { warp::serve(filter).incoming(listener).run().await });
        address
    });
    let mut command = Command::new(suite);
    command
        .current_dir(folder.path())
        .env("OCI_VERSION", "1.1")
        .env("OCI_REGISTRY", address.to_string())
        .env("OCI_TLS", "disabled")
        .env("OCI_RESULTS_DIR", folder.path().join("results"))
        .envs(BEYOND.map(|name| (name, "true")));
    if let Some((user, password)) = login {
        command.env("OCI_USERNAME", user).env("OCI_PASSWORD", password);
    }
    let ended = command.output().unwrap();
    tasks.cancel();
    let said = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let failed: Vec<&str> =
        said.lines().filter(|line| line.trim_end().ends_with("FAIL") || line.contains("failed test")).collect();
    assert!(
        ended.status.success() && failed.is_empty(),
        "{}\n{}",
        failed.join("\n"),
        &said[said.len().saturating_sub(2000)..]
    );
    // The suite ends well, too, when it had nothing to ask.
    for part in ["Blob mount", "Blob chunked", "Tag listing", "Referrers", "Digest Algorithm sha512"] {
        let line = said.lines().find(|line| line.trim_start().starts_with(part));
        assert!(line.is_some_and(|line| line.trim_end().to_lowercase().ends_with("pass")), "{part}: {line:?}\n{said}");
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}
