//! Terminals on docker: what a program prints arrives, whatever bytes it is, and at once.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tutor::kubelet::runtime::{ContainerConfig, Exec, Session, Streams};

use super::{Machine, PATIENCE, machine};

const TERMINAL: Streams = Streams { stdin: true, stdout: true, stderr: false, tty: true };

/// Reads until `wanted` has come, types `word`, and reads until `answer` has come; while the session goes on.
async fn talk(session: &mut Session, wanted: &[u8], word: &str, answer: &[u8]) {
    let (stdout, stdin) = (session.stdout.as_mut().unwrap(), session.stdin.as_mut().unwrap());
    let mut seen = Vec::new();
    let talk = async {
        let mut buffer = [0; 1024];
        for (awaited, typed) in [(wanted, Some(word)), (answer, None)] {
            while !seen.windows(awaited.len()).any(|part| part == awaited) {
                let length = stdout.read(&mut buffer).await.unwrap();
                assert!(length > 0, "it ended after {:?}", String::from_utf8_lossy(&seen));
                seen.extend_from_slice(&buffer[..length]);
            }
            if let Some(typed) = typed {
                stdin.write_all(typed.as_bytes()).await.unwrap();
            }
        }
    };
    let moved = async {
        tokio::select! {
            () = talk => {}
            ended = &mut session.exit => panic!("it ended: {ended:?}"),
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, moved).await.is_ok();
    assert!(in_time, "it stalled after {:?}", String::from_utf8_lossy(&seen));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_every_byte_also_those_that_look_like_dockers_own() {
    let Some(machine) = machine().await else { return };
    let sandbox = machine.sandbox("terminal", 2).await;
    let tty = ContainerConfig { tty: true, stdin: true, ..ContainerConfig::default() };
    // Bytes that docker begins its headers with, where there is no terminal: each once before anything else.
    let script = "read word; printf '\\002own %s.' $word; read more; exit 3";
    let container = machine.start(&sandbox, script, tty).await;
    for byte in ["000", "001", "002"] {
        let script =
            format!("printf '\\{byte}\\000\\000\\000\\377ready'; read word; printf '\\{byte}got %s.' $word; read more");
        let command = ["sh", "-c", &script].map(str::to_owned).into();
        let mut session = machine.node.exec(&container, Exec { command, streams: TERMINAL }).await.unwrap();
        let first = u8::from_str_radix(byte, 8).unwrap();
        let answer = [&[first][..], b"got heron."].concat();
        talk(&mut session, b"ready", "heron\r", &answer).await;
    }
    let mut attached = machine.node.attach(&container, TERMINAL).await.unwrap();
    attached.stdin.as_mut().unwrap().write_all(b"crane\r").await.unwrap();
    talk(&mut attached, b"\x02own crane.", "\r", b"\r\n").await;
    end(machine, &sandbox, &container, attached).await;
}

/// The container ends as it says, and the session with it.
async fn end(machine: Machine, sandbox: &str, container: &str, attached: Session) {
    let code = tokio::time::timeout(PATIENCE, attached.exit).await.unwrap().unwrap();
    let exit = tokio::time::timeout(PATIENCE, machine.node.wait(container)).await.unwrap().unwrap();
    assert_eq!((code, exit.code), (3, 3));
    machine.node.remove_sandbox(sandbox).await.unwrap();
    machine.stop().await;
}
