//! Ages as Kubernetes writes them: two units at most, coarser as they grow.

use jiff::Timestamp;
use serde_json::Value;

/// `94s`, `5m30s`, `47h`, `3d4h`, `2y10d`; two seconds or more in the future: `<invalid>`.
pub fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let two = |large: i64, unit: &str, small: i64, below: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{below}"),
    };
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => two(hours / 24, "d", hours % 24, "h"),
        () if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        () if hours < 24 * 365 * 8 => two(hours / 24 / 365, "y", hours / 24 % 365, "d"),
        () => format!("{}y", hours / 24 / 365),
    }
}

/// The time in an object, if it is there and can be read.
pub(super) fn time(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_str()?.parse().ok()
}

/// How long ago a time is; `<unknown>` when there is none.
pub(super) fn since(value: Option<&Value>, now: Timestamp) -> String {
    time(value).map_or_else(|| "<unknown>".to_owned(), |then| human(now.duration_since(then).as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_range_has_its_words() {
        let (minute, hour, day) = (60, 3600, 86_400);
        let table = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (5 * minute + 30, "5m30s"),
            (10 * minute + 30, "10m"),
            (179 * minute, "179m"),
            (3 * hour + minute, "3h1m"),
            (8 * hour + minute, "8h"),
            (47 * hour, "47h"),
            (3 * day + 4 * hour, "3d4h"),
            (8 * day + hour, "8d"),
            (729 * day, "729d"),
            (740 * day, "2y10d"),
            (3000 * day, "8y"),
        ];
        for (seconds, words) in table {
            assert_eq!(human(seconds), words, "{seconds}");
        }
    }
}
