//! Measures the way to a Service beside the direct way, in one run: bare loopback, Pod to Pod, Pod to Service by the
//! kernel's rules, Pod to Service where tutor carries every byte.
//!
//! `cargo bench --bench network`, on Linux, as root: the bench's own threads go into Pods' networks, so that nothing
//! but the network is measured. `TUTOR_PROGRAM` names another tutor. Prints a table for `benches/README.md`.

#[cfg(target_os = "linux")]
mod outside;

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("Pods have networks on Linux only");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::HashSet;
    use std::fs::{self, File};
    use std::io::{self, Read, Write};
    use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    use super::outside::{Serve, at};

    /// What is sent to find the throughput.
    const BYTES: usize = 1 << 30;
    /// At once.
    const PIECE: usize = 128 << 10;
    const TRIPS: usize = 5_000;
    const CONNECTIONS: usize = 300;
    const ROUNDS: usize = 3;
    const PORT: u16 = 9000;
    /// How long a playground may take to run Pods and to lead to them.
    const PATIENCE: Duration = Duration::from_secs(60);

    const OBJECTS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec: {containers: [{name: c, image: "tutor/pause:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {containers: [{name: c, image: "tutor/pause:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {selector: {app: server}, ports: [{port: 9000}]}
"#;

    pub fn main() {
        if !rustix::process::geteuid().is_root() {
            return println!("skipped: needs root, to go into Pods' networks");
        }
        let bare = here(|| serve("127.0.0.1:0"));
        let loopback = here(move || measure(bare));
        println!("| way | round trip p50 | p99 | connect p50 | throughput |\n|---|---:|---:|---:|---:|");
        loopback.row("loopback, no Pods", None);
        through(&[], "the kernel's rules");
        through(&[("TUTOR_KERNEL_LACKS", "nf_tables")], "carried by tutor");
    }

    fn through(variables: &[(&str, &str)], how: &str) {
        let state = tempfile::tempdir().unwrap();
        let tutor = Serve::start(state.path(), &["--runtime", "native", "--nodes", "1"], variables);
        tutor.kubectl(OBJECTS, &["apply", "-f", "-"]);
        tutor.kubectl("", &["wait", "--for=condition=Ready", "pod/server", "pod/client", "--timeout=60s"]);
        let address = |what: &str, path: &str| {
            let path = format!("jsonpath={path}");
            tutor.kubectl("", &["get", what, "-o", &path]).parse::<Ipv4Addr>().unwrap()
        };
        let (server, client) = (address("pod/server", "{.status.podIP}"), address("pod/client", "{.status.podIP}"));
        let service = SocketAddrV4::new(address("service/server", "{.spec.clusterIP}"), PORT);
        inside(server, || serve(&format!("0.0.0.0:{PORT}")));
        let direct = inside(client, move || measure(SocketAddrV4::new(server, PORT)));
        let led = inside(client, move || measure(service));
        direct.row(&format!("Pod to Pod ({how})"), None);
        led.row(&format!("Pod to Service ({how})"), Some(&direct));
    }

    /// Runs something on a thread of its own.
    fn here<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
        thread::spawn(what).join().unwrap()
    }

    /// The same, in the network of the Pod that has this address.
    fn inside<T: Send + 'static>(pod: Ipv4Addr, what: impl FnOnce() -> T + Send + 'static) -> T {
        let network = network_of(pod);
        here(move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            what()
        })
    }

    fn network_of(pod: Ipv4Addr) -> File {
        // The kernel indents by the depth of its tree.
        let (mut seen, wanted) = (HashSet::new(), [format!("|-- {pod}"), "/32 host LOCAL".to_owned()]);
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let process = entry.path();
            let Ok(network) = fs::read_link(process.join("ns/net")) else { continue };
            let table = if seen.insert(network) { fs::read_to_string(process.join("net/fib_trie")) } else { continue };
            let lines = table.unwrap_or_default().lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
            if lines.windows(2).any(|pair| pair == wanted) {
                return File::open(process.join("ns/net")).unwrap();
            }
        }
        panic!("no process has the address {pod}");
    }

    /// Answers until the bench ends: `e` and a byte is sent back, `s` and all that follows is swallowed.
    fn serve(at: &str) -> SocketAddrV4 {
        let listener = TcpListener::bind(at).unwrap();
        let std::net::SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!() };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever leaves in the middle is done.
                thread::spawn(move || _ = answer(stream));
            }
        });
        address
    }

    fn answer(mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        let mut buffer = vec![0; PIECE];
        if first == *b"s" {
            while stream.read(&mut buffer)? > 0 {}
            return stream.write_all(b".");
        }
        loop {
            stream.read_exact(&mut first)?;
            stream.write_all(&first)?;
        }
    }

    struct Measured {
        trips: Vec<Duration>,
        connects: Vec<Duration>,
        /// Bytes a second, the best of some rounds.
        throughput: f64,
    }

    fn measure(to: SocketAddrV4) -> Measured {
        let begun = Instant::now();
        while TcpStream::connect(to).is_err() {
            assert!(begun.elapsed() < PATIENCE, "nobody answers at {to}");
            thread::sleep(Duration::from_millis(20));
        }
        let time = |what: &mut dyn FnMut()| {
            let begun = Instant::now();
            what();
            begun.elapsed()
        };
        let connects = (0..CONNECTIONS).map(|_| time(&mut || round_trip(&mut open(to)))).collect();
        let mut stream = open(to);
        round_trip(&mut stream);
        let trips = (0..TRIPS).map(|_| time(&mut || round_trip_more(&mut stream))).collect();
        let best = (0..ROUNDS).map(|_| time(&mut || flood(to))).min().unwrap();
        Measured { trips, connects, throughput: BYTES as f64 / best.as_secs_f64() }
    }

    fn open(to: SocketAddrV4) -> TcpStream {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn round_trip(stream: &mut TcpStream) {
        stream.write_all(b"e").unwrap();
        round_trip_more(stream);
    }

    fn round_trip_more(stream: &mut TcpStream) {
        let mut byte = [7];
        stream.write_all(&byte).unwrap();
        stream.read_exact(&mut byte).unwrap();
    }

    fn flood(to: SocketAddrV4) {
        let (mut stream, piece) = (open(to), vec![1; PIECE]);
        stream.write_all(b"s").unwrap();
        for _ in 0..BYTES / PIECE {
            stream.write_all(&piece).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        // The last byte has arrived when this has.
        stream.read_exact(&mut [0]).unwrap();
    }

    impl Measured {
        fn row(&self, what: &str, direct: Option<&Measured>) {
            let (mut trips, mut connects) = (self.trips.clone(), self.connects.clone());
            let p50 = at(&mut trips, 0.5) * 1e3;
            let against = direct.map(|direct| {
                let (mut trips, mut connects) = (direct.trips.clone(), direct.connects.clone());
                let more = p50 - at(&mut trips, 0.5) * 1e3;
                let begun = (at(&mut self.connects.clone(), 0.5) - at(&mut connects, 0.5)) * 1e3;
                let share = 100.0 * self.throughput / direct.throughput;
                (format!(" ({more:+.0})"), format!(" ({begun:+.0})"), format!(" ({share:.0} %)"))
            });
            let (more, begun, share) = against.unwrap_or_default();
            println!(
                "| {what} | {p50:.0} µs{more} | {:.0} µs | {:.0} µs{begun} | {:.0} MB/s{share} |",
                at(&mut trips, 0.99) * 1e3,
                at(&mut connects, 0.5) * 1e3,
                self.throughput / 1e6,
            );
        }
    }
}
