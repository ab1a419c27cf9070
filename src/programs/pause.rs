//! `pause`: holds a Pod's namespaces open, and buries processes whose parents have died. With `--door PATH` it
//! lets whoever opens the socket at PATH into the Pod's network: it is told an address, connects, passes on.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;
use std::time::Duration;

/// How often it looks for the dead when nobody told it.
const LOOK: Duration = Duration::from_secs(1);
/// The longest wish of a visitor.
const LONGEST_WISH: u64 = 256;

pub(super) fn main(args: &[String]) -> i32 {
    let asked = super::asked_to_end();
    let died = Arc::new(AtomicBool::new(true));
    // Without the signal it looks every second all the same.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGCHLD, died.clone());
    if let [_, flag, path] = args
        && flag == "--door"
        && let Err(fault) = open_door(path)
    {
        return super::complain("pause", &format!("{path}: {fault}"));
    }
    while !asked.load(Ordering::SeqCst) {
        if died.swap(false, Ordering::SeqCst) {
            while matches!(rustix::process::wait(rustix::process::WaitOptions::NOHANG), Ok(Some(_))) {}
        }
        // A signal cuts this short.
        std::thread::park_timeout(LOOK);
    }
    0
}

fn open_door(path: &str) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    // The folder it is in says who may come.
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    let serve = move || {
        for visitor in listener.incoming().flatten() {
            // Without a thread the visitor finds the door closed.
            let _ = Builder::new().spawn(move || _ = lead(visitor));
        }
    };
    Builder::new().spawn(serve).map(drop)
}

/// Takes a visitor to the address it names.
fn lead(mut visitor: UnixStream) -> io::Result<()> {
    let mut wish = String::new();
    let mut byte = [0];
    while (wish.len() as u64) < LONGEST_WISH {
        visitor.read_exact(&mut byte)?;
        if byte == *b"\n" {
            break;
        }
        wish.push(char::from(byte[0]));
    }
    let host = match TcpStream::connect(&wish) {
        Ok(host) => host,
        Err(fault) => return visitor.write_all(format!("{}\n", super::plain(&fault).to_lowercase()).as_bytes()),
    };
    visitor.write_all(b"ok\n")?;
    let (mut from, mut to) = (visitor.try_clone()?, host.try_clone()?);
    let there = Builder::new().spawn(move || {
        // An end in one direction is passed on; the other may go on.
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    })?;
    let mut host = host;
    let _ = io::copy(&mut host, &mut visitor);
    let _ = visitor.shutdown(Shutdown::Write);
    let _ = there.join();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_is_led_where_it_wishes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        open_door(path.to_str().unwrap()).unwrap();
        let there = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = there.local_addr().unwrap();
        let mut visitor = UnixStream::connect(&path).unwrap();
        visitor.write_all(format!("{address}\nhello").as_bytes()).unwrap();
        visitor.shutdown(Shutdown::Write).unwrap();
        let (mut host, _) = there.accept().unwrap();
        let mut heard = String::new();
        host.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "hello");
        host.write_all(b"and back").unwrap();
        drop(host);
        let mut answer = String::new();
        visitor.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ok\nand back");
        // Bound and never listening: nobody else can take its port meanwhile.
        let closed = tokio::net::TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut visitor = UnixStream::connect(&path).unwrap();
        visitor.write_all(format!("{}\n", closed.local_addr().unwrap()).as_bytes()).unwrap();
        let mut answer = String::new();
        visitor.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "connection refused\n");
    }
}
