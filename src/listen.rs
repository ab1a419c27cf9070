//! Opens the ports a playground listens on, and explains a port that is taken.
//!
//! In: an address and the flag that sets it. Out: a listener, or an error that names the port, who
//! holds it where the system tells (Linux: `/proc`), and the flag that changes it.

use std::fs;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::error::{Error, Result};

/// Opens `address`. Port 0 takes a free one: ask the listener which.
///
/// # Errors
/// When the port is taken or the address is not this machine's.
pub async fn open(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|fault| {
        let another = format!("or choose another: tutor serve {flag} {}:0 (0 picks a free port)", address.ip());
        match fault.kind() {
            std::io::ErrorKind::AddrInUse => {
                let (why, first) = match holder(address.port()) {
                    Some((pid, name)) => {
                        (format!("process {pid} ({name}) listens on it"), format!("stop that process: kill {pid}"))
                    }
                    None => (
                        "another process listens on it".to_owned(),
                        format!("find it: ss -ltnp sport = :{}", address.port()),
                    ),
                };
                Error::new(format!("port {} is taken", address.port()), why).hint(first).hint(another)
            }
            std::io::ErrorKind::PermissionDenied => {
                Error::new(format!("port {} cannot be opened", address.port()), "ports below 1024 need root")
                    .hint(another)
            }
            _ => Error::new(format!("{address} cannot be listened on"), fault.to_string()).hint(another),
        }
    })
}

/// Which process listens on a TCP port: the socket's inode from `/proc/net/tcp`, then the process
/// that has it open. `None` where the system does not tell, or for another user's process.
fn holder(port: u16) -> Option<(u32, String)> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| {
            let inodes = table.lines().filter_map(|line| listening_inode(line, port));
            inodes.map(|inode| format!("socket:[{inode}]")).collect::<Vec<_>>()
        })
        .collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let held = files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| inodes.iter().any(|inode| target.as_os_str() == inode.as_str()));
        if held {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim().to_owned()));
        }
    }
    None
}

/// The inode of a line of `/proc/net/tcp` that listens (state 0A) on `port`.
fn listening_inode(line: &str, port: u16) -> Option<&str> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, local_port) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let listens = state == "0A" && u16::from_str_radix(local_port, 16) == Ok(port);
    listens.then(|| fields.nth(5)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_names_its_holder_and_the_flag() {
        let first = open("127.0.0.1:0".parse().unwrap(), "--api-listen").await.unwrap();
        let taken = open(first.local_addr().unwrap(), "--api-listen").await.unwrap_err();
        assert!(taken.what.ends_with("is taken"), "{taken}");
        assert!(taken.hints.iter().any(|hint| hint.contains("--api-listen")), "{taken:?}");
        if cfg!(target_os = "linux") {
            assert!(taken.why.contains(&format!("process {}", std::process::id())), "{taken}");
        }
    }

    #[test]
    fn a_line_of_the_socket_table_is_read() {
        let line =
            "   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 424242 1";
        assert_eq!(listening_inode(line, 0x192B), Some("424242"));
        assert_eq!(listening_inode(line, 80), None);
    }
}
