//! The cluster's name server: what CoreDNS is in other clusters.
//!
//! In: questions as packets, over UDP and TCP, at the address in each container's `/etc/resolv.conf`. Out:
//! what [`super::dns`] says of the name. Names that are not the cluster's are refused: Pods have no way
//! out, so an address outside would be of no use. Source: RFC 1035, RFC 2308, RFC 6891.
//! Chapter: `book/src/inside/network.md`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use simple_dns::rdata::{A, CNAME, PTR, RData, SOA, SRV, TXT};
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::dns::{DOMAIN, Found, Record, Zone};
use super::proxy::Setup;

/// Seconds for which an answer may be kept. Source: the Corefile that kubeadm installs.
const TTL: u32 = 30;
/// The most bytes of an answer over UDP, unless the asker takes more. Source: RFC 1035, 4.2.1.
const DATAGRAM: usize = 512;
/// The most bytes of any datagram here: what fits into one packet on the bridges.
const LARGEST: usize = 1232;
/// How long after a fault the next question is waited for.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a client of a stream may stay silent.
const SILENCE: Duration = Duration::from_secs(10);

/// Starts it where Pods ask.
pub fn start(setup: Setup) {
    let at = setup.names;
    let zone = Arc::new(RwLock::new(Zone::default()));
    let tasks = setup.tasks.clone();
    tasks.spawn("dns", async move {
        let changed = setup.changes();
        setup.synced().await;
        renew(&setup, &zone);
        match (setup.wire.receive(at).await, setup.wire.listen(at).await) {
            (Ok(socket), Ok(listener)) => {
                setup.tasks.spawn("dns over udp", datagrams(socket, zone.clone(), setup.clone()));
                setup.tasks.spawn("dns over tcp", streams(listener, zone.clone(), setup.clone()));
            }
            (Err(fault), _) | (_, Err(fault)) => tracing::warn!(%at, %fault, "the name server cannot listen"),
        }
        loop {
            changed.notified().await;
            renew(&setup, &zone);
        }
    });
}

fn renew(setup: &Setup, zone: &RwLock<Zone>) {
    let newest = Zone::new(&setup.services.all(), &setup.slices.all());
    *zone.write() = newest;
}

async fn datagrams(socket: UdpSocket, zone: Arc<RwLock<Zone>>, setup: Setup) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            setup.clock.sleep(PAUSE).await;
            continue;
        };
        let answer = answer(&buffer[..length], &zone.read(), Some(DATAGRAM));
        if let Some(answer) = answer {
            // Who asked may be gone; it would ask again.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn streams(listener: TcpListener, zone: Arc<RwLock<Zone>>, setup: Setup) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            setup.clock.sleep(PAUSE).await;
            continue;
        };
        let (zone, clock) = (zone.clone(), setup.clock);
        setup.tasks.spawn("dns client", async move {
            let mut stream = stream;
            // Any fault ends the conversation, and so does silence.
            while let Ok(Ok(())) = clock.timeout(SILENCE, one(&mut stream, &zone)).await {}
        });
    }
}

/// One question of a stream: two bytes length, then the packet.
async fn one(stream: &mut TcpStream, zone: &RwLock<Zone>) -> io::Result<()> {
    let length = stream.read_u16().await?;
    let mut question = vec![0; length.into()];
    stream.read_exact(&mut question).await?;
    let answer = answer(&question, &zone.read(), None).ok_or(io::ErrorKind::InvalidData)?;
    let length = u16::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await
}

/// The answer to a packet; none to what is no question. `limit`: the most bytes, unless the asker takes more.
fn answer(packet: &[u8], zone: &Zone, limit: Option<usize>) -> Option<Vec<u8>> {
    let asked = Packet::parse(packet).ok()?;
    if asked.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let mut reply = Packet::new_reply(asked.id());
    reply.set_flags(asked_flags(&asked));
    reply.questions.clone_from(&asked.questions);
    match &asked.questions[..] {
        _ if asked.opcode() != OPCODE::StandardQuery => *reply.rcode_mut() = RCODE::NotImplemented,
        [question] => {
            let name = question.qname.to_string();
            let supported = matches!(question.qclass, QCLASS::CLASS(CLASS::IN) | QCLASS::ANY);
            let found = if supported { zone.find(&name) } else { Found::NotOurs };
            fill(&mut reply, &question.qname, question.qtype, found, zone)?;
        }
        _ => *reply.rcode_mut() = RCODE::FormatError,
    }
    let bytes = reply.build_bytes_vec_compressed().ok()?;
    let takes = asked.opt().map_or(DATAGRAM, |opt| usize::from(opt.udp_packet_size).clamp(DATAGRAM, LARGEST));
    if limit.is_none_or(|limit| bytes.len() <= limit.max(takes)) {
        return Some(bytes);
    }
    // Too long: the asker comes back over TCP.
    reply.answers.clear();
    reply.set_flags(PacketFlag::TRUNCATION);
    reply.build_bytes_vec_compressed().ok()
}

fn asked_flags(asked: &Packet<'_>) -> PacketFlag {
    let wants = asked.has_flags(PacketFlag::RECURSION_DESIRED);
    let copied = if wants { PacketFlag::RECURSION_DESIRED } else { PacketFlag::empty() };
    PacketFlag::RESPONSE | PacketFlag::RECURSION_AVAILABLE | copied
}

fn fill<'a>(reply: &mut Packet<'a>, name: &Name<'a>, kind: QTYPE, found: Found<'_>, zone: &Zone) -> Option<()> {
    let add = |reply: &mut Packet<'a>, data: RData<'a>| {
        reply.answers.push(ResourceRecord::new(name.clone(), CLASS::IN, TTL, data));
    };
    match found {
        Found::NotOurs => {
            *reply.rcode_mut() = RCODE::Refused;
            return Some(());
        }
        Found::Nothing => *reply.rcode_mut() = RCODE::NameError,
        Found::Address(address) => {
            if wants(kind, TYPE::A) {
                add(reply, RData::A(A::from(address)));
            }
        }
        Found::Records(records) => {
            for record in records {
                match record {
                    Record::A(address) if wants(kind, TYPE::A) => add(reply, RData::A(A::from(*address))),
                    Record::Ptr(name) if wants(kind, TYPE::PTR) => add(reply, RData::PTR(PTR(owned(name)?))),
                    Record::Txt(text) if wants(kind, TYPE::TXT) => {
                        add(reply, RData::TXT(TXT::new().with_string(text).ok()?.into_owned()));
                    }
                    Record::Srv { port, target } if wants(kind, TYPE::SRV) => {
                        let data = SRV { priority: 0, weight: 100, port: *port, target: owned(target)? };
                        add(reply, RData::SRV(data));
                    }
                    // Whatever was asked for is to be looked for under the other name.
                    Record::Cname(other) => {
                        add(reply, RData::CNAME(CNAME(owned(other)?)));
                        if let Found::Records(_) | Found::Address(_) = zone.find(other) {
                            let own = owned(other)?;
                            return fill(reply, &own, kind, without_aliases(zone.find(other)), zone);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    if reply.answers.is_empty() {
        reply.name_servers.push(authority()?);
    }
    Some(())
}

/// One alias is followed, and no alias of it, so that a circle of them ends.
fn without_aliases(found: Found<'_>) -> Found<'_> {
    match found {
        Found::Records(records) => {
            Found::Records(records.into_iter().filter(|record| !matches!(record, Record::Cname(_))).collect())
        }
        other => other,
    }
}

fn wants(kind: QTYPE, record: TYPE) -> bool {
    kind == QTYPE::ANY || kind == QTYPE::TYPE(record)
}

fn owned<'a>(name: &str) -> Option<Name<'a>> {
    Name::new(name).ok().map(Name::into_owned)
}

/// Says how long it may be remembered that there is nothing. Source: RFC 2308.
fn authority<'a>() -> Option<ResourceRecord<'a>> {
    let soa = SOA {
        mname: owned(&format!("ns.dns.{DOMAIN}"))?,
        rname: owned(&format!("hostmaster.{DOMAIN}"))?,
        serial: 1,
        refresh: 7200,
        retry: 1800,
        expire: 86_400,
        minimum: TTL,
    };
    Some(ResourceRecord::new(owned(DOMAIN)?, CLASS::IN, TTL, RData::SOA(soa)))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use serde_json::json;
    use simple_dns::Question;

    use super::*;

    fn service(name: &str, spec: serde_json::Value) -> Arc<Service> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": name, "namespace": "a"}, "spec": spec})).unwrap())
    }

    /// `web` has an address, `many` a hundred, `alias` is `web`.
    fn zone() -> Zone {
        let endpoints: Vec<_> = (1..=100).map(|n| json!({"addresses": [format!("10.244.0.{n}")]})).collect();
        let slice: EndpointSlice = serde_json::from_value(json!({"addressType": "IPv4", "endpoints": endpoints,
            "metadata": {"name": "many-1", "namespace": "a", "labels": {"kubernetes.io/service-name": "many"}}}))
        .unwrap();
        let all = [
            service("web", json!({"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80}]})),
            service("many", json!({"clusterIP": "None"})),
            service("alias", json!({"type": "ExternalName", "externalName": "web.a.svc.cluster.local"})),
            service("loop", json!({"type": "ExternalName", "externalName": "loop.a.svc.cluster.local"})),
        ];
        Zone::new(&all, &[Arc::new(slice)])
    }

    fn ask(name: &str, kind: TYPE, limit: Option<usize>) -> (RCODE, bool, Vec<String>) {
        let mut query = Packet::new_query(7);
        let name = Name::new(name).unwrap();
        query.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
        let bytes = answer(&query.build_bytes_vec().unwrap(), &zone(), limit).unwrap();
        assert!(limit.is_none_or(|limit| bytes.len() <= limit));
        let reply = Packet::parse(&bytes).unwrap();
        assert_eq!(reply.id(), 7);
        let said = |record: &ResourceRecord<'_>| match &record.rdata {
            RData::A(address) => std::net::Ipv4Addr::from(address.address).to_string(),
            RData::CNAME(name) => name.0.to_string(),
            RData::SRV(srv) => format!("{} {}", srv.port, srv.target),
            other => format!("{other:?}"),
        };
        let answers = reply.answers.iter().map(said).collect();
        (reply.rcode(), reply.has_flags(PacketFlag::TRUNCATION), answers)
    }

    #[test]
    fn questions_are_answered() {
        let some = |answers: &[&str]| (RCODE::NoError, false, answers.iter().map(|it| (*it).to_owned()).collect());
        let web = "web.a.svc.cluster.local";
        assert_eq!(ask(web, TYPE::A, Some(DATAGRAM)), some(&["10.96.0.7"]));
        assert_eq!(ask(web, TYPE::AAAA, Some(DATAGRAM)), some(&[]), "the name is there, such an address is not");
        assert_eq!(ask("_http._tcp.web.a.svc.cluster.local", TYPE::SRV, None), some(&[&format!("80 {web}")]));
        assert_eq!(ask("alias.a.svc.cluster.local", TYPE::A, None), some(&[web, "10.96.0.7"]));
        assert_eq!(ask("loop.a.svc.cluster.local", TYPE::A, None), some(&["loop.a.svc.cluster.local"]));
        assert_eq!(ask("nobody.a.svc.cluster.local", TYPE::A, None).0, RCODE::NameError);
        assert_eq!(ask("example.com", TYPE::A, None).0, RCODE::Refused);
    }

    #[test]
    fn an_answer_that_is_too_long_says_so() {
        let (code, cut, answers) = ask("many.a.svc.cluster.local", TYPE::A, Some(DATAGRAM));
        assert_eq!((code, cut, answers.len()), (RCODE::NoError, true, 0));
        let (_, cut, answers) = ask("many.a.svc.cluster.local", TYPE::A, None);
        assert_eq!((cut, answers.len()), (false, 100));
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        assert_eq!(answer(b"", &zone(), None), None);
        assert_eq!(answer(&[0xff; 40], &zone(), None), None);
        let reply = Packet::new_reply(3).build_bytes_vec().unwrap();
        assert_eq!(answer(&reply, &zone(), None), None, "two servers would talk for ever");
    }
}
