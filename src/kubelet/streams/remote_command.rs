//! Exec and attach: copies between a client's channels and a process until both are done.
//!
//! In: the client's ends (whichever protocol carries them) and the runtime's [`Session`]. Out: at the end
//! one `metav1.Status` on the error channel, in Kubernetes' words. Source: kubelet
//! `cri-streaming/remotecommand`. Chapter: `book/src/control-plane/kubelet.md`.

use futures::future::join3;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::kubelet::runtime::session::TerminalSize;
use crate::kubelet::runtime::{Result, Session};

/// What a channel holds before its writer has to wait.
pub const PIPE_BYTES: usize = 64 * 1024;
const COPY_BYTES: usize = 32 * 1024;
/// A terminal's size as JSON is far shorter.
const MOST_SIZE_BYTES: usize = 1024;

/// A client's channels, the kubelet's side.
pub struct Channels {
    /// What the client types.
    pub stdin: Option<DuplexStream>,
    /// What it is shown.
    pub stdout: Option<DuplexStream>,
    /// What it is shown as errors.
    pub stderr: Option<DuplexStream>,
    /// Its terminal's sizes, as JSON.
    pub resize: Option<DuplexStream>,
    /// How it ended.
    pub error: Option<DuplexStream>,
}

/// How the end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Only when it failed, and as text: before version 4.
    Text,
    /// As a Status.
    Status,
    /// As a Status that a translator wrapped once more: version 5.
    Wrapped,
}

/// What the client asked for, in its errors' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A command of its own.
    Exec,
    /// The container's process, whose exit code is not this client's.
    Attach,
}

/// Runs to the process's end.
pub async fn run(session: Session, mut channels: Channels, task: Task, ending: Ending) {
    let Session { stdin, mut stdout, mut stderr, resize, exit } = session;
    let input = async {
        if let (Some(mut from), Some(mut to)) = (channels.stdin.take(), stdin) {
            copy(&mut from, &mut to).await;
            // The process may have closed its end already.
            let _ = to.shutdown().await;
        }
        std::future::pending::<()>().await
    };
    let sizes = async {
        if let (Some(from), Some(to)) = (channels.resize.take(), resize) {
            forward_sizes(from, to).await;
        }
        std::future::pending::<()>().await
    };
    let (mut shown, mut complained) = (channels.stdout.take(), channels.stderr.take());
    let output = async {
        if let (Some(from), Some(to)) = (&mut stdout, &mut shown) {
            copy(from, to).await;
        }
        drop(shown.take());
    };
    let errors = async {
        if let (Some(from), Some(to)) = (&mut stderr, &mut complained) {
            copy(from, to).await;
        }
        drop(complained.take());
    };
    let ended = tokio::select! {
        (ended, (), ()) = join3(exit, output, errors) => ended,
        () = input => return,
        () = sizes => return,
    };
    let words = tell(ended, task, ending);
    if let (Some(words), Some(error)) = (words, &mut channels.error) {
        // A client that left does not read it.
        let _ = error.write_all(words.as_bytes()).await;
        let _ = error.shutdown().await;
    }
}

/// Copies to the end, or until the reader is gone.
async fn copy(from: &mut (impl tokio::io::AsyncRead + Unpin), to: &mut (impl tokio::io::AsyncWrite + Unpin)) {
    let mut buffer = vec![0; COPY_BYTES];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..read]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

/// Reads `{"Width":80,"Height":24}`, one after another.
async fn forward_sizes(mut from: DuplexStream, to: tokio::sync::mpsc::Sender<TerminalSize>) {
    let mut text = Vec::new();
    let mut buffer = [0; 256];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        text.extend_from_slice(&buffer[..read]);
        let mut values = serde_json::Deserializer::from_slice(&text).into_iter::<Value>();
        let mut sizes = Vec::new();
        while let Some(Ok(value)) = values.next() {
            let side = |name: &str| value[name].as_u64().and_then(|side| u16::try_from(side).ok());
            if let (Some(width), Some(height)) = (side("Width"), side("Height")) {
                sizes.push(TerminalSize { width, height });
            }
        }
        let used = values.byte_offset();
        text.drain(..used);
        if text.len() > MOST_SIZE_BYTES {
            return;
        }
        for size in sizes {
            if to.send(size).await.is_err() {
                return;
            }
        }
    }
}

/// The words for the error channel; `None`: there are none.
fn tell(ended: Result<i32>, task: Task, ending: Ending) -> Option<String> {
    let (doing, code) = match task {
        Task::Exec => ("executing command in container", ended.as_ref().copied().unwrap_or(0)),
        Task::Attach => ("attaching to container", 0),
    };
    let internal = |message: String| {
        let message = format!("Internal error occurred: {message}");
        json!({"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError",
            "details": {"causes": [{"message": message.trim_start_matches("Internal error occurred: ")}]}, "code": 500})
    };
    let status = match (ended, code) {
        (Err(error), _) => {
            let message = format!("error {doing}: {}", error.message);
            match ending {
                Ending::Text => return Some(message),
                Ending::Status => internal(message),
                Ending::Wrapped => internal(format!("Internal error occurred: {message}")),
            }
        }
        (Ok(_), 0) if ending == Ending::Text => return None,
        (Ok(_), 0) => json!({"metadata": {}, "status": "Success"}),
        (Ok(_), code) if ending == Ending::Text => {
            return Some(format!("error {doing}: command terminated with exit code {code}"));
        }
        (Ok(_), code) => json!({"metadata": {}, "status": "Failure",
            "message": format!("command terminated with non-zero exit code: command terminated with exit code {code}"),
            "reason": "NonZeroExitCode", "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}}),
    };
    Some(status.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelet::runtime::RuntimeError;
    use tokio::io::duplex;

    #[test]
    fn the_end_is_told_as_each_version_does() {
        let failed = || Err(RuntimeError::new("ExecError", "no such file"));
        for (ended, task, ending, expected) in [
            (Ok(0), Task::Exec, Ending::Text, None),
            (Ok(0), Task::Exec, Ending::Status, Some(r#""Success""#)),
            (Ok(3), Task::Exec, Ending::Wrapped, Some(r#""reason":"ExitCode","message":"3""#)),
            (Ok(3), Task::Attach, Ending::Status, Some(r#""Success""#)),
            (failed(), Task::Exec, Ending::Text, Some("error executing command in container: no such file")),
            (failed(), Task::Exec, Ending::Status, Some(r#""Internal error occurred: error executing command"#)),
            (failed(), Task::Exec, Ending::Wrapped, Some("occurred: Internal error occurred: error executing")),
        ] {
            let told = tell(ended, task, ending);
            match expected {
                None => assert_eq!(told, None),
                Some(words) => assert!(told.as_ref().is_some_and(|told| told.contains(words)), "{told:?}: {words}"),
            }
        }
    }

    #[tokio::test]
    async fn sizes_are_read_however_they_are_cut() {
        let (mut client, from) = duplex(64);
        let (to, mut sizes) = tokio::sync::mpsc::channel(4);
        let send = async move {
            for part in [r#"{"Width":80,"#, r#""Height":24}{"Width":1"#, r#"00,"Height":30}"#] {
                client.write_all(part.as_bytes()).await.unwrap();
            }
        };
        futures::join!(send, forward_sizes(from, to));
        assert_eq!(sizes.recv().await, Some(TerminalSize { width: 80, height: 24 }));
        assert_eq!(sizes.recv().await, Some(TerminalSize { width: 100, height: 30 }));
    }
}
