//! How a container is stopped: asked first, killed when the time is up.
//!
//! In: a container and a grace. Out: how it ended. The signal goes to its first process alone; when that
//! ends, the kernel ends the rest. A program that has no handler for the signal never sees it, because
//! number 1 of a process namespace is spared: then the grace passes and KILL comes.
//! Source: pid_namespaces(7). Chapter: `book/src/inside/runtime.md`.

use std::time::Duration;

use rustix::process::Signal;

use super::container::Container;
use crate::clock::Clock;
use crate::kubelet::runtime::{Exit, Result, RuntimeError};

/// Asks, waits, kills.
pub async fn stop(container: &Container, grace: Duration, clock: Clock) -> Result<Exit> {
    if let Some(exit) = container.exit() {
        return Ok(exit);
    }
    let Some(process) = container.running() else {
        let message = format!("container \"{}\" was never started", container.config.name);
        return Err(RuntimeError::new("ContainerNotRunning", message));
    };
    let wanted = [&container.config.stop_signal, &container.image.stop_signal];
    let signal = wanted.into_iter().find(|name| !name.is_empty()).and_then(|name| signal(name));
    if !grace.is_zero() {
        process.signal(signal.unwrap_or(Signal::TERM));
    }
    let lost = || RuntimeError::new("ContainerNotFound", "the container was removed while it was stopped");
    if let Ok(exit) = clock.timeout(grace, container.wait()).await {
        return exit.ok_or_else(lost);
    }
    kill(container);
    container.wait().await.ok_or_else(lost)
}

/// Kills at once.
pub fn kill(container: &Container) {
    if let Some(process) = container.running() {
        process.signal(Signal::KILL);
    }
}

/// A signal as an image or a Pod names it: `SIGTERM`, `TERM`, `15`.
fn signal(name: &str) -> Option<Signal> {
    const NAMES: [(&str, Signal); 12] = [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("ABRT", Signal::ABORT),
        ("KILL", Signal::KILL),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("PIPE", Signal::PIPE),
        ("ALRM", Signal::ALARM),
        ("TERM", Signal::TERM),
        ("CONT", Signal::CONT),
        ("WINCH", Signal::WINCH),
    ];
    let upper = name.to_uppercase();
    let plain = upper.strip_prefix("SIG").unwrap_or(&upper);
    let by_number = || plain.parse().ok().and_then(Signal::from_named_raw);
    NAMES.iter().find(|(known, _)| *known == plain).map(|(_, signal)| *signal).or_else(by_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (name, expected) in
            [("SIGTERM", Some(Signal::TERM)), ("quit", Some(Signal::QUIT)), ("10", Some(Signal::USR1)), ("NO", None)]
        {
            assert_eq!(signal(name), expected, "{name}");
        }
    }
}
