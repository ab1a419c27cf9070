//! The packet filter: a wall that lets some through, and signs that lead elsewhere.
//!
//! Without it: every Pod reaches every other, whatever a NetworkPolicy says, and a Service's address is nobody's.
//! A network namespace has a filter of its own, empty at first; its owner may fill it without being root
//! anywhere else. In: rules as data ([`Ruleset`]). Out: messages of nf_tables to the kernel, in batches of
//! which it takes all or nothing. It takes only so much at a time, so the rules are put together where no packet comes
//! by, and then hooked in by one batch: no packet ever meets half of them. A rule is a small program
//! for a machine with registers: load a part of the packet, compare it, then a verdict.
//! The numbers are the kernel's (`linux/netfilter/nf_tables.h`). Chapter: `book/src/inside/network.md`.

use std::fs;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

use super::netlink::{Message, NESTED};
use crate::network::rules::{Action, Hook, Match, Net, Rule, Ruleset};

/// The names of tables.
const TABLES: [&str; 2] = ["tutor", "tutor-next"];

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// Messages of nf_tables have its number above their own.
const NF_TABLES: u16 = 10;
const NEW_TABLE: u16 = NF_TABLES << 8;
const DELETE_TABLE: u16 = (NF_TABLES << 8) | 2;
const NEW_CHAIN: u16 = (NF_TABLES << 8) | 3;
const NEW_RULE: u16 = (NF_TABLES << 8) | 6;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
/// The kind of an answer; its first word is 0 or an error number, negated.
const ERROR: u16 = 2;

const IPV4: u8 = 2;
/// Registers hold up to 16 bytes; the verdict has one of its own.
const VERDICT: u32 = 0;
const FIRST: u32 = 1;
const SECOND: u32 = 2;

const DROP: i32 = 0;
const ACCEPT: i32 = 1;
const JUMP: i32 = -3;
const RETURN: i32 = -5;

const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
const AT_MOST: u32 = 3;
const AT_LEAST: u32 = 5;

/// Where in a packet something is: a header, and bytes from its beginning.
const IP: u32 = 1;
const TRANSPORT: u32 = 2;
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;
const DESTINATION_PORT: u32 = 2;

/// The most bytes that are asked for at once. The kernel may allow less, and without root it does.
const ROOM: usize = 8 << 20;
/// What of that the kernel keeps for itself.
const KEPT: usize = 64;

/// The rules of one network. Two tables take turns: the new one is built, in as many batches as it takes, without a
/// hook, so that no packet meets it; one last batch hooks it in and removes the other.
#[derive(Default)]
pub struct Filter {
    /// How many were loaded.
    loaded: usize,
}

impl Filter {
    /// Replaces all rules of the caller's network.
    ///
    /// # Errors
    /// The kernel's; the old rules hold then.
    pub fn load(&mut self, rules: &Ruleset) -> io::Result<()> {
        // Where the kernel has br_netfilter, a bridge would apply the rules to frames, and send on by itself what they
        // lead to a Pod of the same bridge: nobody would route it. Where it has not, there is no such file.
        let _ = fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
        let flags = SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::NETFILTER))?;
        sockopt::set_socket_send_buffer_size(&socket, ROOM)?;
        let room = sockopt::socket_send_buffer_size(&socket)?.saturating_sub(KEPT);
        let (table, old) = (TABLES[self.loaded % 2], TABLES[(self.loaded + 1) % 2]);
        let built = batches(build(table, rules), room)?.into_iter().try_for_each(|batch| send(&socket, &batch));
        let outcome = built.and_then(|()| send(&socket, &framed(&hook_in(table, old, rules).concat())));
        match outcome {
            Ok(()) => self.loaded += 1,
            // What was built of it is no use. The next try begins with an empty table, whatever is left of this.
            Err(_) => _ = send(&socket, &framed(&remove(table).concat())),
        }
        outcome
    }
}

/// Sends a batch and hears what the kernel has to say of it. It says nothing when all went well.
fn send(socket: &OwnedFd, batch: &[u8]) -> io::Result<()> {
    rustix::net::send(socket, batch, SendFlags::empty())?;
    let mut answer = [0; 16 << 10];
    let mut outcome = Ok(());
    loop {
        // What it has to say it said before the call returned; to the last word, which else would be the next batch's.
        match rustix::net::recv(socket, &mut answer, RecvFlags::DONTWAIT) {
            Ok((length, _)) => outcome = outcome.and(fault_of(&answer[..length.min(answer.len())])),
            Err(rustix::io::Errno::AGAIN) => return outcome,
            Err(rustix::io::Errno::INTR) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
}

fn fault_of(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let code = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match code {
        Some(code) if kind == Some(ERROR) && code != 0 => Err(io::Error::from_raw_os_error(-code)),
        _ => Ok(()),
    }
}

/// As few batches of at most `room` bytes as these messages fit into, in their order.
fn batches(messages: Vec<Vec<u8>>, room: usize) -> io::Result<Vec<Vec<u8>>> {
    let room = room.saturating_sub(framed(&[]).len());
    let mut batches: Vec<Vec<u8>> = Vec::new();
    for message in messages {
        if message.len() > room {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "one rule is larger than the kernel takes"));
        }
        match batches.last_mut().filter(|batch| batch.len() + message.len() <= room) {
            Some(batch) => batch.extend(message),
            None => batches.push(message),
        }
    }
    Ok(batches.iter().map(|batch| framed(batch)).collect())
}

/// Messages as one batch: the kernel does all they say, or nothing.
fn framed(messages: &[u8]) -> Vec<u8> {
    let mut bytes = Message::silent(BATCH_BEGIN, 0, &header(NF_TABLES)).finished();
    bytes.extend(messages);
    bytes.extend(Message::silent(BATCH_END, 0, &header(NF_TABLES)).finished());
    bytes
}

/// A table of this name with all chains and rules, but none of them hooked in.
fn build(table: &str, rules: &Ruleset) -> Vec<Vec<u8>> {
    let mut messages = remove(table);
    messages.push(new_table(table));
    messages.extend(rules.chains.iter().map(|chain| new_chain(table, &chain.name)));
    let all = rules.chains.iter().flat_map(|chain| chain.rules.iter().map(|rule| (&chain.name, rule)));
    messages.extend(all.map(|(chain, rule)| new_rule(table, chain, rule)));
    messages
}

/// Lets packets enter the new table where its chains say, and removes the old one.
fn hook_in(table: &str, old: &str, rules: &Ruleset) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for (chain, hook) in rules.chains.iter().filter_map(|chain| Some((chain, chain.hook?))) {
        let name = format!("hook-{}", chain.name);
        messages.push(new_hook(table, &name, hook));
        let jump = Rule { when: Vec::new(), then: Action::Jump(chain.name.clone()) };
        messages.push(new_rule(table, &name, &jump));
    }
    messages.extend(remove(old));
    messages
}

fn new_table(table: &str) -> Vec<u8> {
    Message::silent(NEW_TABLE, CREATE, &header(0)).with(1, &text(table)).finished()
}

/// Making it first lets the removal always succeed.
fn remove(table: &str) -> Vec<Vec<u8>> {
    vec![new_table(table), Message::silent(DELETE_TABLE, 0, &header(0)).with(1, &text(table)).finished()]
}

/// What is fixed in each message: the family, a version, and for a batch whose it is.
fn header(resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [if resource == 0 { IPV4 } else { 0 }, 0, high, low]
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn named(kind: u16, flags: u16, table: &str) -> Message {
    Message::silent(kind, CREATE | flags, &header(0)).with(1, &text(table))
}

/// A chain that only others lead to.
fn new_chain(table: &str, chain: &str) -> Vec<u8> {
    named(NEW_CHAIN, 0, table).with(3, &text(chain)).finished()
}

/// A chain that packets enter by themselves.
fn new_hook(table: &str, chain: &str, hook: Hook) -> Vec<u8> {
    let (kind, number, priority) = match hook {
        Hook::Arriving => ("nat", 0, -100),
        Hook::Beginning => ("nat", 3, -100),
        Hook::Leaving => ("nat", 4, 100),
        Hook::Ending => ("filter", 1, 0),
        Hook::Passing => ("filter", 2, 0_i32),
    };
    let place = Message::nested(|it| it.with(1, &u32::to_be_bytes(number)).with(2, &priority.to_be_bytes()));
    named(NEW_CHAIN, 0, table).with(3, &text(chain)).with(4 | NESTED, &place).with(7, &text(kind)).finished()
}

fn new_rule(table: &str, chain: &str, rule: &Rule) -> Vec<u8> {
    let mut steps: Vec<Vec<u8>> = rule.when.iter().flat_map(condition).collect();
    steps.extend(outcome(&rule.then));
    let list = Message::nested(|it| steps.iter().fold(it, |it, step| it.with(1 | NESTED, step)));
    named(NEW_RULE, APPEND, table).with(2, &text(chain)).with(4 | NESTED, &list).finished()
}

/// One step of a rule: its name, and what it works with.
fn step(name: &str, about: impl FnOnce(Message) -> Message) -> Vec<u8> {
    Message::nested(|it| it.with(1, &text(name)).with(2 | NESTED, &Message::nested(about)))
}

fn condition(condition: &Match) -> Vec<Vec<u8>> {
    match condition {
        Match::From(net) => address(SOURCE, net, EQUAL),
        Match::NotFrom(net) => address(SOURCE, net, NOT_EQUAL),
        Match::To(net) => address(DESTINATION, net, EQUAL),
        Match::NotTo(net) => address(DESTINATION, net, NOT_EQUAL),
        Match::Protocol(protocol) => {
            const LAYER_4: u32 = 16;
            let load = step("meta", |it| number(number(it, 1, FIRST), 2, LAYER_4));
            vec![load, compare(EQUAL, &[protocol.number()])]
        }
        Match::Ports(first, last) => {
            let load = payload(TRANSPORT, DESTINATION_PORT, 2);
            let (low, high) = (first.to_be_bytes(), last.to_be_bytes());
            match first == last {
                true => vec![load, compare(EQUAL, &low)],
                false => vec![load, compare(AT_LEAST, &low), compare(AT_MOST, &high)],
            }
        }
        Match::Open => {
            const STATE: u32 = 0;
            const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
            let load = step("ct", |it| number(number(it, 1, FIRST), 2, STATE));
            let mask = ESTABLISHED_OR_RELATED.to_ne_bytes();
            vec![load, masked(&mask), compare(NOT_EQUAL, &[0; 4])]
        }
        Match::OneIn(many) => {
            const RANDOM: u32 = 1;
            let draw = step("numgen", |it| number(number(number(it, 1, FIRST), 2, *many), 3, RANDOM));
            vec![draw, compare(EQUAL, &[0; 4])]
        }
    }
}

fn address(side: u32, net: &Net, how: u32) -> Vec<Vec<u8>> {
    let load = payload(IP, side, 4);
    let first = net.first().octets();
    match net.prefix {
        32 => vec![load, compare(how, &first)],
        _ => vec![load, masked(&net.mask().to_be_bytes()), compare(how, &first)],
    }
}

fn payload(header: u32, offset: u32, length: u32) -> Vec<u8> {
    step("payload", |it| number(number(number(number(it, 1, FIRST), 2, header), 3, offset), 4, length))
}

fn masked(mask: &[u8; 4]) -> Vec<u8> {
    step("bitwise", |it| {
        let it = number(number(number(it, 1, FIRST), 2, FIRST), 3, 4);
        it.with(4 | NESTED, &value(mask)).with(5 | NESTED, &value(&[0; 4]))
    })
}

fn compare(how: u32, with: &[u8]) -> Vec<u8> {
    step("cmp", |it| number(number(it, 1, FIRST), 2, how).with(3 | NESTED, &value(with)))
}

fn value(bytes: &[u8]) -> Vec<u8> {
    Message::nested(|it| it.with(1, bytes))
}

fn number(message: Message, kind: u16, number: u32) -> Message {
    message.with(kind, &number.to_be_bytes())
}

fn outcome(action: &Action) -> Vec<Vec<u8>> {
    match action {
        Action::Accept => vec![verdict(ACCEPT, None)],
        Action::Drop => vec![verdict(DROP, None)],
        Action::Return => vec![verdict(RETURN, None)],
        Action::Jump(chain) => vec![verdict(JUMP, Some(chain))],
        Action::Redirect(to) => redirect(*to),
        Action::Masquerade => vec![step("masq", |it| it)],
    }
}

fn verdict(code: i32, chain: Option<&str>) -> Vec<u8> {
    let verdict = Message::nested(|it| {
        let it = it.with(1, &code.to_be_bytes());
        match chain {
            Some(chain) => it.with(2, &text(chain)),
            None => it,
        }
    });
    let data = Message::nested(|it| it.with(2 | NESTED, &verdict));
    step("immediate", |it| number(it, 1, VERDICT).with(2 | NESTED, &data))
}

fn redirect(to: SocketAddrV4) -> Vec<Vec<u8>> {
    const DESTINATION: u32 = 1;
    let put =
        |register: u32, bytes: &[u8]| step("immediate", |it| number(it, 1, register).with(2 | NESTED, &value(bytes)));
    let translate = step("nat", |it| {
        let it = number(number(it, 1, DESTINATION), 2, IPV4.into());
        number(number(it, 3, FIRST), 5, SECOND)
    });
    vec![put(FIRST, &to.ip().octets()), put(SECOND, &to.port().to_be_bytes()), translate]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_fill_batches_in_their_order_and_none_is_too_long() {
        let frame = framed(&[]).len();
        let messages: Vec<Vec<u8>> = (0..10).map(|n| vec![n; 100]).collect();
        let sent = batches(messages.clone(), frame + 350).unwrap();
        assert_eq!(sent.iter().map(|batch| batch.len() - frame).collect::<Vec<_>>(), [300, 300, 300, 100]);
        let inside = |batch: &Vec<u8>| batch[frame / 2..batch.len() - frame / 2].to_vec();
        assert_eq!(sent.iter().flat_map(inside).collect::<Vec<u8>>(), messages.concat());
        assert!(batches(messages, frame + 99).is_err());
    }
}
