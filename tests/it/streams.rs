//! exec, attach, cp, port-forward and logs by the real kubectl: over WebSocket, and over SPDY as older ones do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::served::{Served, with_kubectl};

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - {name: web, image: "tutor/web:1", ports: [{containerPort: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  initContainers:
  - {name: first, image: "tutor/shell:1", command: [sh, -c, "echo from first"]}
  containers:
  - {name: a, image: "tutor/shell:1", command: [sh, -c, "echo one from a; echo two from a; sleep 3600"]}
  - {name: b, image: "tutor/shell:1", command: [sh, -c, "echo one from b; sleep 3600"]}
---
apiVersion: v1
kind: Pod
metadata: {name: crash}
spec:
  containers:
  - {name: c, image: "tutor/shell:1", command: [sh, -c, "echo this life; exit 1"]}
"#;

/// Makes kubectl speak as those did that knew no WebSocket.
const SPDY: [(&str, &str); 2] =
    [("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false"), ("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false")];

fn with_pods() -> Option<Served> {
    let play = with_kubectl()?;
    play.does_with("apply -f -", PODS);
    play.does("wait pod/web pod/two --for=condition=Ready --timeout=140s");
    Some(play)
}

/// Both ways a client can ask: what holds for one must hold for the other.
fn each_protocol(check: impl Fn(&Served)) {
    let Some(mut play) = with_pods() else { return };
    check(&play);
    play.set_env(&SPDY);
    check(&play);
}

#[test]
fn exec_gives_output_input_and_the_exit_code() {
    each_protocol(|play| {
        assert_eq!(play.does("exec web -- echo hello"), "hello\n");
        assert_eq!(play.does_with("exec -i web -- cat", "over\nand back\n"), "over\nand back\n");
        let failed = play.kubectl("exec web -- sh -c 'echo out; cat /none; exit 3'");
        assert_eq!((failed.code, failed.out.as_str()), (3, "out\n"));
        assert!(
            failed.err.contains("/none") && failed.err.contains("command terminated with exit code 3"),
            "{failed:#?}"
        );
        play.does("exec web -- touch /tmp/kept");
        assert_eq!(play.does("exec web -- ls /tmp/kept"), "/tmp/kept\n");
        let token = play.does("exec web -- cat /var/run/secrets/kubernetes.io/serviceaccount/token");
        assert_eq!(token.split('.').count(), 3, "{token}");
        assert_eq!(play.does("exec two -c b -- echo from b"), "from b\n");
        let chosen = play.kubectl("exec two -- echo which");
        assert_eq!(chosen.out, "which\n", "{chosen:#?}");
    });
}

#[test]
fn exec_refuses_in_kubernetes_words() {
    each_protocol(|play| {
        for (words, said) in [
            ("exec web -c none -- true", "container none is not valid for pod web"),
            ("exec none -- true", "pods \"none\" not found"),
            ("exec web -- no-such-program", "\"no-such-program\": executable file not found in $PATH"),
            ("exec two -c first -- true", "container not found (\"first\")"),
        ] {
            let refused = play.kubectl(words);
            assert_ne!(refused.code, 0, "{words}");
            assert!(refused.err.contains(said), "{words}: {refused:#?}");
        }
    });
}

#[test]
fn a_terminal_is_a_terminal() {
    if !Command::new("script").arg("--version").output().is_ok_and(|done| done.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "script (util-linux) is missing: run .ci/install");
        eprintln!("skipped: needs script");
        return;
    }
    let Some(play) = with_pods() else { return };
    let mut child = play.command_in_terminal("exec -it web -- sh").spawn().unwrap();
    let mut typed = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    // What is typed before kubectl has the terminal is the terminal's own to echo or to lose.
    let mut comes = |words: &str| {
        let mut byte = [0];
        while !String::from_utf8_lossy(&shown).contains(words) {
            assert_eq!(screen.read(&mut byte).unwrap(), 1, "{:?}", String::from_utf8_lossy(&shown));
            shown.push(byte[0]);
        }
        shown.clear();
    };
    comes("/ # ");
    typed.write_all(b"echo $HOSTNAME typed\r").unwrap();
    comes("echo $HOSTNAME typed\r\n");
    comes("web typed\r\n");
    comes("/ # ");
    typed.write_all(b"exit 6\r").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
}

#[test]
fn run_attaches_to_the_process_itself() {
    let Some(play) = with_pods() else { return };
    let ran =
        play.kubectl_with("run shell -i --rm --restart=Never --image=tutor/shell:1 -- sh", "echo attached\nexit 0\n");
    assert!(ran.out.contains("attached\n"), "{ran:#?}");
    assert_eq!(ran.code, 0, "{ran:#?}");
}

#[test]
fn files_are_copied_in_and_out() {
    each_protocol(|play| {
        let folder = tempfile::tempdir().unwrap();
        let (there, back) = (folder.path().join("there"), folder.path().join("back"));
        let content = b"text\nand \xff bytes\0";
        std::fs::write(&there, content).unwrap();
        play.does(&format!("cp {} web:/tmp/there", there.display()));
        play.does(&format!("cp web:/tmp/there {}", back.display()));
        assert_eq!(std::fs::read(&back).unwrap(), content);
    });
}

/// Asks over a forwarded port; what was answered.
fn get(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_port_is_forwarded() {
    each_protocol(|play| {
        let mut child = play.command("port-forward pod/web :80 :9").spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut port = |remote: &str| loop {
            let mut line = String::new();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "port-forward ended");
            let local = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split_once(" -> "));
            if let Some((local, to)) = local
                && to.trim() == remote
            {
                break local.parse::<u16>().unwrap();
            }
        };
        let (open, closed) = (port("80"), port("9"));
        for _ in 0..3 {
            let answer = get(open);
            assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("hello from web"), "{answer}");
        }
        let mut stream = TcpStream::connect(("127.0.0.1", closed)).unwrap();
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0);
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut complaint = String::new();
        while !complaint.contains("error forwarding port 9") {
            assert_ne!(err.read_line(&mut complaint).unwrap(), 0, "{complaint}");
        }
        assert!(complaint.contains("connect: connection refused"), "{complaint}");
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn running_things_needs_create_and_not_only_get() {
    each_protocol(|play| {
        play.kubectl("create role reader --verb=get --resource=pods,pods/exec");
        play.kubectl("create rolebinding reader --role=reader --user=ada");
        let refused = play.kubectl("exec web --as=ada -- true");
        assert_ne!(refused.code, 0);
        assert!(refused.err.contains("forbidden"), "{refused:#?}");
        play.kubectl("create role runner --verb=create,get --resource=pods,pods/exec");
        play.kubectl("create rolebinding runner --role=runner --user=bob");
        play.does("exec web --as=bob -- true");
    });
}

#[test]
fn logs_say_what_was_asked_for_and_no_more() {
    let Some(play) = with_pods() else { return };
    assert_eq!(play.does("logs two -c a"), "one from a\ntwo from a\n");
    assert_eq!(play.does("logs two -c a --tail=1"), "two from a\n");
    assert_eq!(play.does("logs two -c a --limit-bytes=5"), "one f");
    assert_eq!(play.does("logs two -c first"), "from first\n");
    let all = play.does("logs two --all-containers --prefix");
    assert!(all.contains("[pod/two/first] from first\n") && all.contains("[pod/two/b] one from b\n"), "{all}");
    let stamped = play.does("logs two -c b --timestamps");
    let (time, text) = stamped.split_once(' ').unwrap();
    assert_eq!(text, "one from b\n");
    assert!(time.parse::<jiff::Timestamp>().is_ok() && time.len() == "2026-01-01T00:00:00.000000000Z".len(), "{time}");
    assert_eq!(play.does("logs two -c b --since-time=2100-01-01T00:00:00Z"), "");
    let restarted = "get pod crash -o jsonpath={.status.containerStatuses[0].restartCount}";
    play.comes_to(restarted, |count| count.parse::<u32>().is_ok_and(|count| count > 0));
    assert_eq!(play.does("logs crash --previous"), "this life\n");
    for (words, said) in [
        ("logs two -c none", "container none is not valid for pod two"),
        ("logs web --previous", "previous terminated container \"web\" in pod \"web\" not found"),
        ("logs two -c a --tail=-2", "tail"),
        ("logs two -c a --limit-bytes=-1", "greater than 0"),
    ] {
        let refused = play.kubectl(words);
        assert!(refused.code != 0 && refused.err.contains(said), "{words}: {refused:#?}");
    }
}
