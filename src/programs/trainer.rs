//! `trainer`: distributed training in the small: each rank has a gradient, all get the sum.
//!
//! Environment: `RANK` (or `JOB_COMPLETION_INDEX`; 0), `WORLD_SIZE` (1), `MASTER_ADDR` (127.0.0.1), `MASTER_PORT` (29500),
//! `STEPS` (10), `STEP_SECONDS` (1), `CHECKPOINT` (a file: training goes on where it stopped). All-reduce goes
//! over TCP through rank 0: every rank sends its number, and gets the sum back.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::time::pause;
use super::{asked_to_end, complain, plain, pod_name, print, version};

/// Ranks, at most.
const MOST_RANKS: usize = 1024;
/// How long a rank waits for the others before it gives up.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it tries to reach rank 0, whose Pod may start later.
const AGAIN: Duration = Duration::from_millis(500);

/// A rank's connections: rank 0 has one from each other, the others one to it.
struct Ring(Vec<TcpStream>);

pub(super) fn main(_: &[String]) -> i32 {
    let asked = asked_to_end();
    let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let number = |name: &str, default: f64| text(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let rank = text("RANK").or_else(|| text("JOB_COMPLETION_INDEX")).and_then(|rank| rank.parse().ok()).unwrap_or(0);
    let world = (number("WORLD_SIZE", 1.0) as usize).clamp(1, MOST_RANKS);
    let steps = number("STEPS", 10.0) as u64;
    let wait = Duration::try_from_secs_f64(number("STEP_SECONDS", 1.0)).unwrap_or_default();
    let checkpoint = text("CHECKPOINT");
    let before = checkpoint.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
    let first = before.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    // A log that nobody reads is no reason to stop.
    let _ = print(&format!("trainer version {} rank {rank} of {world} on {}\n", version(), pod_name()));
    if first > 0 {
        let _ = print(&format!("going on after step {first}\n"));
    }
    let address =
        (text("MASTER_ADDR").unwrap_or_else(|| "127.0.0.1".to_owned()), number("MASTER_PORT", 29500.0) as u16);
    let mut ring = match join(rank, world, &address, &asked) {
        Ok(ring) => ring,
        Err(error) => return complain("trainer", &format!("rank {rank} cannot join the others: {}", plain(&error))),
    };
    for step in first + 1..=steps {
        if !pause(wait, &asked) {
            let _ = print("asked to end\n");
            return 143;
        }
        let own = 4.0 / (step + 1) as f64 / world as f64;
        let loss = match ring.all_reduce(rank, own) {
            Ok(loss) => loss,
            Err(error) => return complain("trainer", &format!("a rank was lost in step {step}: {}", plain(&error))),
        };
        let _ = print(&format!("step {step}/{steps} loss {loss:.3}\n"));
        if let Some(path) = checkpoint.as_ref().filter(|_| rank == 0)
            && let Err(error) = save(path, step)
        {
            return complain("trainer", &format!("{path}: {}", plain(&error)));
        }
    }
    let _ = print("done\n");
    0
}

/// Whole or not at all: who is killed in the middle leaves the checkpoint before.
fn save(path: &str, step: u64) -> io::Result<()> {
    let next = format!("{path}.next");
    std::fs::write(&next, step.to_string())?;
    std::fs::rename(next, path)
}

fn join(rank: usize, world: usize, (host, port): &(String, u16), asked: &AtomicBool) -> io::Result<Ring> {
    let mut left = PATIENCE;
    let mut wait = |why: io::Error| {
        let goes_on = pause(AGAIN, asked) && !left.is_zero();
        left = left.saturating_sub(AGAIN);
        if goes_on { Ok(()) } else { Err(why) }
    };
    if world == 1 {
        return Ok(Ring(Vec::new()));
    }
    if rank > 0 {
        loop {
            match TcpStream::connect((host.as_str(), *port)) {
                Ok(stream) => return ready(stream).map(|stream| Ring(vec![stream])),
                Err(error) => wait(error)?,
            }
        }
    }
    let listener = TcpListener::bind(("0.0.0.0", *port))?;
    listener.set_nonblocking(true)?;
    let mut streams = Vec::new();
    while streams.len() + 1 < world {
        match listener.accept() {
            Ok((stream, _)) => streams.push(ready(stream)?),
            Err(error) => wait(error)?,
        }
    }
    Ok(Ring(streams))
}

fn ready(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Ring {
    fn all_reduce(&mut self, rank: usize, own: f64) -> io::Result<f64> {
        let mut bytes = [0; 8];
        let mut sum = own;
        if rank > 0 {
            for stream in &mut self.0 {
                stream.write_all(&own.to_be_bytes())?;
                stream.read_exact(&mut bytes)?;
                sum = f64::from_be_bytes(bytes);
            }
            return Ok(sum);
        }
        for stream in &mut self.0 {
            stream.read_exact(&mut bytes)?;
            sum += f64::from_be_bytes(bytes);
        }
        for stream in &mut self.0 {
            stream.write_all(&sum.to_be_bytes())?;
        }
        Ok(sum)
    }
}
