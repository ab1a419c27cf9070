//! `sleep` and `date`.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{complain, print};

/// A sleeper looks this often whether it was asked to end; as a container's first process it has to.
const LOOK: Duration = Duration::from_millis(100);

/// `5`, `0.5`, `2m`, `1h`, `infinity`; several are added.
pub(super) fn sleep(arguments: &[String]) -> i32 {
    let mut whole = Duration::ZERO;
    for word in &arguments[1..] {
        match duration(word) {
            Some(more) => whole = whole.saturating_add(more),
            None => return complain("sleep", &format!("invalid number '{word}'")),
        }
    }
    if arguments.len() == 1 {
        return complain("sleep", "usage: sleep SECONDS");
    }
    std::thread::sleep(whole);
    0
}

fn duration(word: &str) -> Option<Duration> {
    if matches!(word, "inf" | "infinity") {
        return Some(Duration::MAX);
    }
    let (number, unit) = match word.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(number) => (number, word.chars().last().unwrap_or('s')),
        None => (word, 's'),
    };
    let seconds = match unit {
        'm' => 60.0,
        'h' => 3600.0,
        'd' => 86400.0,
        _ => 1.0,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// Waits so long, or until the process is asked to end: false then.
pub(super) fn pause(whole: Duration, asked: &std::sync::atomic::AtomicBool) -> bool {
    let mut left = whole;
    while !left.is_zero() {
        if asked.load(Ordering::SeqCst) {
            return false;
        }
        let now = left.min(LOOK);
        std::thread::sleep(now);
        left -= now;
    }
    !asked.load(Ordering::SeqCst)
}

/// Seconds since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `date`, `date -u`, `date +FORMAT` (strftime's letters).
pub(super) fn date(arguments: &[String]) -> i32 {
    let format = arguments[1..].iter().find_map(|word| word.strip_prefix('+')).unwrap_or("%a %b %e %H:%M:%S %Z %Y");
    let now = now();
    let Ok(at) = jiff::Timestamp::new(now.as_secs() as i64, now.subsec_nanos() as i32) else {
        return complain("date", "the clock is out of range");
    };
    let text = jiff::fmt::strtime::format(
        format.replace("%N", &format!("{:09}", now.subsec_nanos())),
        &at.to_zoned(jiff::tz::TimeZone::UTC),
    );
    match text {
        Ok(text) => i32::from(print(&(text + "\n")).is_err()),
        Err(error) => complain("date", &error.to_string()),
    }
}

/// A file's time as `ls -l` shows it.
pub(super) fn short(seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(seconds).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::strtime::format("%b %e %H:%M", &at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [("5", 5.0), ("0.5", 0.5), ("2m", 120.0), ("1h", 3600.0), ("1d", 86400.0)] {
            assert_eq!(duration(text), Some(Duration::from_secs_f64(seconds)));
        }
        assert_eq!(duration("infinity"), Some(Duration::MAX));
        assert!(duration("x").is_none() && duration("-1").is_none());
    }
}
