//! `kubectl cp`: files to and from a container, as `tar` there packs and unpacks them.

use std::io::{Cursor, Read};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::super::command::{COMMAND as BASE, Command, Invocation, run};
use super::super::failure::{Failure, Result, quote};
use super::super::flags::{Flag, Kind, long, short};
use super::super::http::Call;
use super::super::session::FileKind;
use super::exec;

const FLAGS: &[Flag] = &[
    short("container", 'c', Kind::Text(""), "The container"),
    long("no-preserve", Kind::Bool(false), "Do not keep owner and permissions"),
    long("retries", Kind::Int(0), "Accepted; a copy is tried once"),
];

/// `cp`
pub const COMMAND: Command = Command {
    name: "cp",
    usage: "[[NAMESPACE/]POD:]FILE [[NAMESPACE/]POD:]FILE",
    about: "Copy files to and from containers",
    flags: &[FLAGS],
    run: run!(copy),
    ..BASE
};

/// One side of a copy.
struct Spec {
    namespace: Option<String>,
    /// Empty: a file here.
    pod: String,
    file: String,
}

impl Spec {
    fn parse(text: &str) -> Result<Spec> {
        let wrong = || Failure::new("filespec must match the canonical format: [[namespace/]pod:]file/path");
        let Some((pod, file)) = text.split_once(':') else {
            return Ok(Spec { namespace: None, pod: String::new(), file: text.to_owned() });
        };
        if pod.is_empty() {
            return Err(wrong());
        }
        let parts: Vec<&str> = pod.split('/').collect();
        let (namespace, pod) = match parts[..] {
            [pod] => (None, pod),
            [namespace, pod] => (Some(namespace.to_owned()), pod),
            _ => return Err(wrong()),
        };
        Ok(Spec { namespace, pod: pod.to_owned(), file: file.to_owned() })
    }
}

async fn copy(call: &Invocation) -> Result {
    let [from, to] = call.arguments() else { return Err(Failure::new("source and destination are required")) };
    let (from, to) = (Spec::parse(from)?, Spec::parse(to)?);
    if !from.pod.is_empty() && !to.pod.is_empty() {
        return Err(Failure::new("one of src or dest must be a local file specification"));
    }
    if from.file.is_empty() || to.file.is_empty() {
        return Err(Failure::new("filepath can not be empty"));
    }
    match (from.pod.is_empty(), to.pod.is_empty()) {
        (false, _) => from_pod(call, &from, &to).await,
        (_, false) => to_pod(call, &from, &to).await,
        _ => Err(Failure::new("one of src or dest must be a remote file specification")),
    }
}

async fn to_pod(call: &Invocation, from: &Spec, to: &Spec) -> Result {
    let files = call.session.files.as_ref();
    if files.kind(Path::new(&from.file)).is_none() {
        return Err(Failure::new(format!("{} doesn't exist in local filesystem", from.file)));
    }
    let base = Path::new(&from.file).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut target = to.file.trim_end_matches('/').to_owned();
    if target.is_empty() {
        target = "/".to_owned();
    }
    let is_folder = run_in(call, to, &["test", "-d", &target], None, Told::No).await.is_ok();
    if is_folder {
        target = format!("{}/{base}", target.trim_end_matches('/'));
    }
    let (folder, name) = target.rsplit_once('/').map_or((".", target.as_str()), |(folder, name)| (folder, name));
    let folder = if folder.is_empty() { "/" } else { folder };
    let mut archive = tar::Builder::new(Vec::new());
    pack(call, Path::new(&from.file), name, &mut archive)?;
    let packed = archive.into_inner().map_err(|fault| Failure::new(fault.to_string()))?;
    let mut command = vec!["tar"];
    if call.flags.is("no-preserve") {
        command.extend(["--no-same-permissions", "--no-same-owner"]);
    }
    command.extend(["-xmf", "-", "-C", folder]);
    let out = run_in(call, to, &command, Some(packed), Told::Yes).await?;
    call.console().out(out);
    Ok(())
}

/// Adds a file, or a folder with what is in it, under a name.
fn pack(call: &Invocation, path: &Path, name: &str, archive: &mut tar::Builder<Vec<u8>>) -> Result {
    let files = call.session.files.as_ref();
    let failed = |fault: std::io::Error| Failure::new(format!("{}: {fault}", path.display()));
    let mut header = tar::Header::new_gnu();
    if files.kind(path) == Some(FileKind::Folder) {
        let inside = files.list(path).map_err(failed)?;
        if inside.is_empty() {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            archive.append_data(&mut header, name, std::io::empty()).map_err(failed)?;
        }
        return inside.iter().try_for_each(|one| pack(call, &path.join(one), &format!("{name}/{one}"), archive));
    }
    let bytes = files.read(path).map_err(failed)?;
    header.set_mode(0o644);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, name, Cursor::new(bytes)).map_err(failed)
}

async fn from_pod(call: &Invocation, from: &Spec, to: &Spec) -> Result {
    let bytes = run_in(call, from, &["tar", "cf", "-", &from.file], None, Told::Yes).await?;
    let prefix = clean(from.file.trim_start_matches('/'));
    let broken = |fault: std::io::Error| Failure::new(fault.to_string());
    let mut archive = tar::Archive::new(Cursor::new(bytes));
    let mut warned = false;
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.to_string_lossy().into_owned();
        let Some(rest) = name.trim_start_matches('/').strip_prefix(&prefix) else {
            return Err(Failure::new("tar contents corrupted"));
        };
        let place = Path::new(&to.file).join(rest.trim_start_matches('/'));
        if Path::new(rest).components().any(|part| part == Component::ParentDir) {
            call.err(format!(
                "warning: file {} is outside target destination, skipping\n",
                quote(&place.to_string_lossy())
            ));
            continue;
        }
        match entry.header().entry_type() {
            tar::EntryType::Directory => {}
            tar::EntryType::Symlink | tar::EntryType::Link => {
                if !warned {
                    call.err("warning: skipping symlink: links are not copied from a container\n");
                }
                warned = true;
            }
            _ => {
                let mut contents = Vec::new();
                entry.read_to_end(&mut contents).map_err(broken)?;
                let place = if rest.is_empty() { PathBuf::from(&to.file) } else { place };
                let written = call.session.files.write(&place, &contents);
                written.map_err(|fault| Failure::new(format!("open {}: {fault}", place.display())))?;
            }
        }
    }
    Ok(())
}

/// A path without `.` and `..`.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether a command's messages are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Yes,
    No,
}

/// Runs a command in the Pod of a side; what it prints.
async fn run_in(
    call: &Invocation,
    spec: &Spec,
    command: &[&str],
    input: Option<Vec<u8>>,
    told: Told,
) -> Result<Vec<u8>> {
    let cluster = call.cluster().await?;
    let namespace = spec.namespace.clone().unwrap_or_else(|| cluster.namespace.clone());
    let mapping = cluster.mapper().await?.named("pods")?;
    let pod = cluster.api.json(Call::get(mapping.path(&namespace, Some(&spec.pod), ""))).await?;
    let container = exec::container(call, &pod)?;
    let params =
        AttachParams::default().container(container).stdin(input.is_some()).stdout(true).stderr(true).tty(false);
    let api = kube::Api::<Pod>::namespaced(cluster.api.client().clone(), &namespace);
    let mut process = api.exec(&spec.pod, command.iter().copied(), &params).await.map_err(exec::refused)?;
    let status = process.take_status();
    let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
    let send = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A command that has ended does not read on; its exit code tells.
            let _ = stdin.write_all(&input).await;
            let _ = stdin.shutdown().await;
        }
    };
    let ((), out, err) = futures::join!(send, read_whole(stdout), read_whole(stderr));
    if told == Told::Yes {
        call.console().err(err);
    }
    if let Some(status) = status {
        exec::ended(status.await)?;
    }
    Ok(out)
}

/// Reads a stream to its end; one that breaks ends.
async fn read_whole(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let _ = stream.read_to_end(&mut bytes).await;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_a_file_here_or_in_a_pod() {
        let parts =
            |text: &str| Spec::parse(text).map(|spec| (spec.namespace.unwrap_or_default(), spec.pod, spec.file)).ok();
        let owned = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(parts("/tmp/a"), owned("", "", "/tmp/a"));
        assert_eq!(parts("web:/tmp/a"), owned("", "web", "/tmp/a"));
        assert_eq!(parts("ns/web:a"), owned("ns", "web", "a"));
        assert_eq!((parts(":a"), parts("a/b/c:d")), (None, None));
        assert_eq!(clean("../a/./b/../c"), "a/c");
    }
}
