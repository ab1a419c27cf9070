//! What docker says, in the words a Pod's status has for it.
//!
//! In: an error of docker's. Out: a [`RuntimeError`]. Docker puts the same runtimes below itself as containerd
//! does, so the causes are theirs; only what stands before them differs. Pure.
//! Chapter: `book/src/inside/runtime.md`.

use bollard::errors::Error;

use crate::kubelet::runtime::RuntimeError;

/// Docker's own words.
pub fn said(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        other => other.to_string(),
    }
}

/// What was asked for is not there (any more).
pub fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// An error of this reason.
pub fn failed(reason: &'static str) -> impl Fn(Error) -> RuntimeError {
    move |error| RuntimeError::new(reason, said(&error))
}

/// The same for a file that could not be written.
pub fn refused(reason: &'static str) -> impl Fn(std::io::Error) -> RuntimeError {
    move |fault| RuntimeError::new(reason, fault.to_string())
}

/// Why a container's process could not be started.
pub fn not_started(message: &str) -> RuntimeError {
    let start = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create \
                 failed: unable to start container process: error during container init: ";
    let why = cause(message);
    RuntimeError { code: code(why), ..RuntimeError::new("RunContainerError", format!("{start}{why}: unknown")) }
}

/// What docker writes where a command's output should be, when it could not be run.
pub const NOT_RUN: &[u8] = b"OCI runtime exec failed";

/// Why a command could not be run beside it.
pub fn not_run(message: &str) -> RuntimeError {
    let start = "failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: unable to \
                 start container process: ";
    let why = cause(message);
    RuntimeError { code: code(why), ..RuntimeError::new("ExecError", format!("{start}{why}: unknown")) }
}

/// The innermost cause, without the names of those who passed it on.
fn cause(message: &str) -> &str {
    const PASSED_ON: [&str; 5] = [
        "starting container process caused: ",
        "unable to start container process: ",
        "error during container init: ",
        "exec failed: ",
        "runc create failed: ",
    ];
    let begins = |mark: &&str| message.rfind(mark).map(|at| at + mark.len());
    let at = PASSED_ON.iter().filter_map(begins).max().unwrap_or(0);
    message[at..].trim_end().trim_end_matches(": unknown")
}

/// As a shell counts it: 127 is not there, 126 cannot be run.
fn code(why: &str) -> i32 {
    match why {
        _ if why.contains("not found in $PATH") || why.contains("no such file or directory") => 127,
        _ if why.contains("permission denied") => 126,
        _ => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_said_the_same_by_all_versions() {
        for message in [
            "OCI runtime exec failed: exec failed: container_linux.go:380: starting container process caused: exec: \
             \"x\": executable file not found in $PATH: unknown\r\n",
            "OCI runtime exec failed: exec failed: unable to start container process: exec: \"x\": executable file \
             not found in $PATH: unknown",
        ] {
            let error = not_run(message);
            assert!(error.message.ends_with(": exec: \"x\": executable file not found in $PATH: unknown"), "{error}");
            assert_eq!(error.code, 127);
        }
        assert_eq!(cause("something else"), "something else");
    }
}
