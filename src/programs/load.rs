//! `load`: uses what it is told to use, so that limits and autoscalers have something to see.
//!
//! `load --memory 256Mi --cpu 2 --requests http://web --rate 10 --duration 60s`; all optional, together or alone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::time::pause;
use super::{asked_to_end, complain, http, pod_name, print};

/// Memory is taken in such pieces, so that it can be watched.
const PIECE_BYTES: usize = 8 << 20;
/// A core is kept busy in such slices, so that a part of one can be used.
const SLICE: Duration = Duration::from_millis(50);
/// How often requests are counted aloud.
const SAY: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq)]
struct Asked {
    memory_bytes: usize,
    cores: f64,
    url: Option<String>,
    rate: f64,
    duration: Duration,
}

pub(super) fn main(arguments: &[String]) -> i32 {
    let asked = match parse(&arguments[1..]) {
        Ok(asked) => asked,
        Err(why) => return complain("load", &why) + 1,
    };
    let ends = asked_to_end();
    // A log that nobody reads is no reason to stop.
    let _ = print(&format!("load on {}\n", pod_name()));
    let held = take_memory(asked.memory_bytes, &ends);
    std::thread::scope(|scope| {
        let mut left = asked.cores;
        while left > 0.0 {
            let (share, ends) = (left.min(1.0), &ends);
            scope.spawn(move || keep_busy(share, ends));
            left -= 1.0;
        }
        if let Some(url) = &asked.url {
            let ends = &ends;
            scope.spawn(move || request(url, asked.rate, ends));
        }
        pause(asked.duration, &ends);
        ends.store(true, Ordering::SeqCst);
    });
    // Held to the end: what is not used could be taken away by the compiler.
    i32::from(held.iter().any(|piece| piece.first() != Some(&1)))
}

fn parse(words: &[String]) -> Result<Asked, String> {
    let mut asked = Asked { memory_bytes: 0, cores: 0.0, url: None, rate: 10.0, duration: Duration::MAX };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (word.as_str(), words.next().cloned().ok_or_else(|| format!("{word} needs a value"))?),
        };
        let wrong = || format!("{name}: cannot read '{value}'");
        match name {
            "--memory" => asked.memory_bytes = bytes(&value).ok_or_else(wrong)?,
            "--cpu" => asked.cores = cores(&value).ok_or_else(wrong)?,
            "--requests" => asked.url = Some(value),
            "--rate" => asked.rate = value.parse().ok().filter(|rate| *rate > 0.0).ok_or_else(wrong)?,
            "--duration" => {
                let seconds =
                    value.trim_end_matches('s').parse().ok().and_then(|it| Duration::try_from_secs_f64(it).ok());
                asked.duration = seconds.ok_or_else(wrong)?;
            }
            other => {
                return Err(format!(
                    "unknown option {other}; there are --memory, --cpu, --requests, --rate, --duration"
                ));
            }
        }
    }
    Ok(asked)
}

fn bytes(text: &str) -> Option<usize> {
    let units =
        [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("k", 1000), ("M", 1_000_000), ("G", 1_000_000_000)];
    for (unit, factor) in units {
        if let Some(number) = text.strip_suffix(unit) {
            return number.parse::<usize>().ok()?.checked_mul(factor);
        }
    }
    text.parse().ok()
}

fn cores(text: &str) -> Option<f64> {
    let cores = match text.strip_suffix('m') {
        Some(millis) => millis.parse::<f64>().ok()? / 1000.0,
        None => text.parse().ok()?,
    };
    (0.0..=1024.0).contains(&cores).then_some(cores)
}

fn take_memory(whole: usize, ends: &AtomicBool) -> Vec<Vec<u8>> {
    let mut held: Vec<Vec<u8>> = Vec::new();
    let mut left = whole;
    while left > 0 && !ends.load(Ordering::SeqCst) {
        let piece = left.min(PIECE_BYTES);
        // Written to: memory that is only asked for is not used.
        held.push(vec![1; piece]);
        left -= piece;
    }
    if whole > 0 {
        let _ = print(&format!("holding {} MiB\n", (whole - left) >> 20));
    }
    held
}

fn keep_busy(share: f64, ends: &AtomicBool) {
    let mut number = 0_u64;
    while !ends.load(Ordering::SeqCst) {
        let began = Instant::now();
        while began.elapsed() < SLICE.mul_f64(share) {
            number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        std::thread::sleep(SLICE.mul_f64(1.0 - share));
    }
}

fn request(url: &str, rate: f64, ends: &AtomicBool) {
    let (answered, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let wait = Duration::try_from_secs_f64(1.0 / rate).unwrap_or(SAY);
    let mut said = Instant::now();
    let mut why = String::new();
    loop {
        match http::ask("GET", url, &[], b"", Duration::from_secs(5)) {
            Ok((status, _)) if status < 400 => _ = answered.fetch_add(1, Ordering::SeqCst),
            Ok((status, _)) => {
                why = format!(" (last: status {status})");
                failed.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => {
                why = format!(" (last: {error})");
                failed.fetch_add(1, Ordering::SeqCst);
            }
        }
        if said.elapsed() >= SAY {
            said = Instant::now();
            let (good, bad) = (answered.swap(0, Ordering::SeqCst), failed.swap(0, Ordering::SeqCst));
            let bad = if bad == 0 { String::new() } else { format!(", {bad} failed{why}") };
            let _ = print(&format!("sent {good} requests{bad}\n"));
        }
        if !pause(wait, ends) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let asked = parse(&words("--memory 256Mi --cpu=1500m --requests http://web --duration 2s")).unwrap();
        assert_eq!((asked.memory_bytes, asked.cores, asked.duration), (256 << 20, 1.5, Duration::from_secs(2)));
        assert_eq!(asked.url.as_deref(), Some("http://web"));
        for wrong in ["--memory", "--memory x", "--cpu -1", "--rate 0", "--disk 1"] {
            assert!(parse(&words(wrong)).is_err(), "{wrong}");
        }
    }
}
