//! `ip` and `nslookup`: addresses, routes and names, from `/proc`, `/sys` and the resolver.

use std::net::{Ipv4Addr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use super::{complain, print};

const PATIENCE: Duration = Duration::from_secs(3);
/// A record with an IPv4 address.
const TYPE_A: u16 = 1;

/// Every address of this network namespace but loopback's, from the kernel's own table.
pub(super) fn own_addresses() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    addresses(&table).into_iter().filter(|address| !address.is_loopback()).map(|address| address.to_string()).collect()
}

/// The addresses that are this host's own: the line after each says `host LOCAL`.
fn addresses(table: &str) -> Vec<Ipv4Addr> {
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for pair in lines.windows(2) {
        let address = pair[0].strip_prefix("|-- ").and_then(|text| text.parse().ok());
        if let Some(address) = address.filter(|address| pair[1].ends_with("host LOCAL") && !found.contains(address)) {
            found.push(address);
        }
    }
    found
}

/// `ip addr`, `ip link`, `ip route`.
pub(super) fn ip(arguments: &[String]) -> i32 {
    let what = arguments[1..].iter().find(|word| !word.starts_with('-')).map_or("addr", String::as_str);
    let text = match what {
        what if "address".starts_with(what) => links(true),
        what if "link".starts_with(what) => links(false),
        what if "route".starts_with(what) => routes(&std::fs::read_to_string("/proc/net/route").unwrap_or_default()),
        other => return complain("ip", &format!("unknown object \"{other}\"; there are addr, link, route")),
    };
    i32::from(print(&text).is_err())
}

fn links(with_addresses: bool) -> String {
    let Ok(entries) = std::fs::read_dir("/sys/class/net") else { return String::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let number = |name: &String, file: &str| -> u32 {
        let text = std::fs::read_to_string(format!("/sys/class/net/{name}/{file}")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    names.sort_by_key(|name| number(name, "ifindex"));
    let mut text = String::new();
    for name in &names {
        let word = |file: &str| {
            std::fs::read_to_string(format!("/sys/class/net/{name}/{file}")).unwrap_or_default().trim().to_owned()
        };
        let (index, mtu, state) = (number(name, "ifindex"), number(name, "mtu"), word("operstate").to_uppercase());
        text.push_str(&format!("{index}: {name}: mtu {mtu} state {state}\n    link {}\n", word("address")));
        if with_addresses {
            let own = |address: &String| (name == "lo") == address.starts_with("127.");
            let all = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
            let mine = addresses(&all).into_iter().map(|address| address.to_string()).filter(own);
            mine.for_each(|address| text.push_str(&format!("    inet {address}\n")));
        }
    }
    text
}

/// The kernel writes addresses as hex, in the machine's byte order.
fn routes(table: &str) -> String {
    let mut text = String::new();
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let address = |at: usize| {
            let number = fields.get(at).and_then(|hex| u32::from_str_radix(hex, 16).ok())?;
            Some(Ipv4Addr::from(number.to_ne_bytes()))
        };
        let (Some(name), Some(to), Some(via), Some(mask)) = (fields.first(), address(1), address(2), address(7)) else {
            continue;
        };
        let length = u32::from(mask).count_ones();
        let to = if length == 0 { "default".to_owned() } else { format!("{to}/{length}") };
        let via = if via.is_unspecified() { String::new() } else { format!("via {via} ") };
        text.push_str(&format!("{to} {via}dev {name}\n"));
    }
    text
}

/// `nslookup NAME [SERVER]`, with the search path of `/etc/resolv.conf`.
pub(super) fn nslookup(arguments: &[String]) -> i32 {
    let Some(name) = arguments.get(1) else { return complain("nslookup", "usage: nslookup NAME [SERVER]") };
    let file = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let words = |key: &str| -> Vec<String> {
        let lines =
            file.lines().filter_map(|line| line.trim().strip_prefix(key)).filter(|rest| rest.starts_with([' ', '\t']));
        lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
    };
    let Some(server) = arguments.get(2).cloned().or_else(|| words("nameserver").first().cloned()) else {
        return complain("nslookup", "no name server is known: /etc/resolv.conf names none");
    };
    let dots = words("options").iter().find_map(|option| option.strip_prefix("ndots:")?.parse().ok()).unwrap_or(1);
    if print(&format!("Server:\t\t{server}\nAddress:\t{server}:53\n\n")).is_err() {
        return 1;
    }
    let absolute = name.ends_with('.');
    let searched = words("search").into_iter().filter(|_| !absolute).map(|domain| format!("{name}.{domain}"));
    let mut names: Vec<String> = searched.collect();
    let bare = name.trim_end_matches('.').to_owned();
    // A name with enough dots is tried as it is first.
    let first = absolute || name.matches('.').count() >= dots;
    names.insert(if first { 0 } else { names.len() }, bare);
    let mut last = String::new();
    for name in names {
        match lookup(&server, &name) {
            Ok(found) if !found.is_empty() => {
                let lines: String =
                    found.iter().map(|address| format!("Name:\t{name}\nAddress: {address}\n")).collect();
                return i32::from(print(&lines).is_err());
            }
            Ok(_) => last = format!("** server can't find {name}: NXDOMAIN"),
            Err(why) => last = why,
        }
    }
    complain("nslookup", &last)
}

/// The addresses of a name.
fn lookup(server: &str, name: &str) -> Result<Vec<Ipv4Addr>, String> {
    let address = (server, 53)
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next())
        .ok_or_else(|| format!("bad address '{server}'"))?;
    let failed = |error: std::io::Error| format!("{server}: {}", super::plain(&error));
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(failed)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let id = std::process::id() as u16;
    socket.send_to(&question(id, name), address).map_err(failed)?;
    let mut buffer = [0; 4096];
    loop {
        let read = match socket.recv_from(&mut buffer) {
            Ok((read, from)) if from == address => read,
            Ok(_) => continue,
            Err(_) => return Err(";; connection timed out; no servers could be reached".to_owned()),
        };
        if buffer[..2] == id.to_be_bytes() {
            return answers(&buffer[..read]).ok_or_else(|| "the answer cannot be read".to_owned());
        }
    }
}

fn question(id: u16, name: &str) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    // Recursion desired, one question.
    bytes.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty() && label.len() < 64) {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend_from_slice(&[0, 0, TYPE_A as u8, 0, 1]);
    bytes
}

/// The addresses in an answer; none when it says that there is no such name.
fn answers(bytes: &[u8]) -> Option<Vec<Ipv4Addr>> {
    let number = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let (questions, count) = (number(4)?, number(6)?);
    let mut at = 12;
    for _ in 0..questions {
        at = after_name(bytes, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..count {
        at = after_name(bytes, at)?;
        let (kind, length) = (number(at)?, usize::from(number(at + 8)?));
        let data = bytes.get(at + 10..at + 10 + length)?;
        if let (TYPE_A, Ok(address)) = (kind, <[u8; 4]>::try_from(data)) {
            found.push(Ipv4Addr::from(address));
        }
        at += 10 + length;
    }
    Some(found)
}

fn after_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length if length >= 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gives_its_addresses() {
        let mut bytes = question(7, "web.default");
        bytes[7] = 1;
        bytes.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 96, 0, 7]);
        assert_eq!(answers(&bytes), Some(vec![Ipv4Addr::new(10, 96, 0, 7)]));
        for cut in 12..bytes.len() {
            assert_eq!(answers(&bytes[..cut]), None);
        }
    }

    #[test]
    fn the_kernels_tables_are_read() {
        let trie = "Main:\n  |-- 0.0.0.0\n     /0 universe UNICAST\nLocal:\n  |-- 10.244.1.5\n     /32 host LOCAL\n  |-- 127.0.0.1\n     /32 host LOCAL\n";
        assert_eq!(addresses(trie), [Ipv4Addr::new(10, 244, 1, 5), Ipv4Addr::LOCALHOST]);
        let order = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let zero = order([0, 0, 0, 0]);
        let table = format!(
            "Iface\neth0 {zero} {} 3 0 0 0 {zero}\neth0 {} {zero} 1 0 0 0 {}\n",
            order([10, 0, 0, 1]),
            order([10, 0, 0, 0]),
            order([255, 255, 255, 0])
        );
        assert_eq!(routes(&table), "default via 10.0.0.1 dev eth0\n10.0.0.0/24 dev eth0\n");
    }
}
