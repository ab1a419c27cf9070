//! `kubectl version`

use serde_json::{Value, json};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result};
use super::super::flags::{Flag, Kind, long, short};
use super::super::http::Call;
use super::super::mapping::DISCOVERY_TIMEOUT;
use crate::api::yaml;

/// The kubectl whose words and behaviour this one has.
pub const CLIENT: &str = VERSION;
const VERSION: &str = "v1.37.2";
const KUSTOMIZE: &str = "v5.8.1";

const FLAGS: &[Flag] = &[
    long("client", Kind::Bool(false), "Only this program's version"),
    short("output", 'o', Kind::Text(""), "yaml or json"),
];

/// `version`
pub const COMMAND: Command = Command {
    name: "version",
    about: "Show the versions of this program and of the cluster",
    flags: &[FLAGS],
    run: run!(version),
    ..BASE
};

async fn version(call: &Invocation) -> Result {
    if !call.arguments().is_empty() && !call.flags.is("client") {
        return Err(Failure::new(format!("extra arguments: [{}]", call.arguments().join(" "))));
    }
    let output = call.flags.text("output");
    if !matches!(output, "" | "yaml" | "json") {
        return Err(Failure::new("--output must be 'yaml' or 'json'"));
    }
    let server = if call.flags.is("client") {
        None
    } else {
        Some(
            async { call.cluster().await?.api.json(Call::get("/version").query("timeout", DISCOVERY_TIMEOUT)).await }
                .await,
        )
    };
    let mut versions = json!({"clientVersion": client(), "kustomizeVersion": KUSTOMIZE});
    if let Some(Ok(found)) = &server {
        versions["serverVersion"] = found.clone();
    }
    call.out(match output {
        "yaml" => yaml::to_string(&versions) + "\n",
        "json" => serde_json::to_string_pretty(&versions).unwrap_or_default() + "\n",
        _ => lines(&versions),
    });
    match server {
        Some(Err(failure)) => Err(failure),
        _ => Ok(()),
    }
}

fn lines(versions: &Value) -> String {
    let mut text = format!("Client Version: {VERSION}\nKustomize Version: {KUSTOMIZE}\n");
    if let Some(server) = versions.pointer("/serverVersion/gitVersion").and_then(Value::as_str) {
        text.push_str(&format!("Server Version: {server}\n"));
    }
    text
}

fn client() -> Value {
    let platform = format!(
        "{}/{}",
        std::env::consts::OS,
        match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
    );
    json!({
        "major": "1", "minor": "37", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc", "platform": platform,
    })
}
