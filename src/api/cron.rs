//! Cron schedules: `*/5 0-4 1,15 jan mon-fri`, `@hourly`, `@every 1h30m`.
//!
//! In: the text of `spec.schedule`, and a time in a zone. Out: the next time after it. Validation
//! judges with it, the CronJob loop waits with it; both in the words and with the corner cases of
//! the library that Kubernetes uses, `robfig/cron`: a time that the change to summer time skips is
//! skipped, one that comes twice comes twice. Chapter: `book/src/inside/schema.md`.

use jiff::{SignedDuration, Zoned};

/// The bounds of a field and the names of its values.
struct Bounds {
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const MINUTE: Bounds = Bounds { low: 0, high: 59, names: &[] };
const HOUR: Bounds = Bounds { low: 0, high: 23, names: &[] };
const DAY: Bounds = Bounds { low: 1, high: 31, names: &[] };
const MONTH: Bounds = Bounds {
    low: 1,
    high: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Bounds = Bounds { low: 0, high: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };
/// A schedule without a time in this many years has none (30 February).
const YEARS: i16 = 5;

/// The values a field allows, as bits, and whether it was `*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Field {
    bits: u64,
    star: bool,
}

impl Field {
    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits & (1 << value) != 0)
    }
}

/// When something is due, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Rule);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Every(SignedDuration),
    Fields { minute: Field, hour: Field, day: Field, month: Field, weekday: Field },
}

impl Schedule {
    /// Reads a schedule of five fields or a descriptor.
    ///
    /// # Errors
    /// What is wrong, in `robfig/cron`'s words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty spec string".into());
        }
        if text.starts_with('@') {
            return descriptor(text);
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", parts.len(), parts.join(" ")));
        };
        Ok(Schedule(Rule::Fields {
            minute: field(minute, &MINUTE)?,
            hour: field(hour, &HOUR)?,
            day: field(day, &DAY)?,
            month: field(month, &MONTH)?,
            weekday: field(weekday, &WEEKDAY)?,
        }))
    }

    /// The first due time after `after`, in its zone; `None` when there is none within years.
    pub fn next(&self, after: &Zoned) -> Option<Zoned> {
        match &self.0 {
            Rule::Every(delay) => {
                let whole = after.checked_sub(SignedDuration::from_nanos(i64::from(after.subsec_nanosecond()))).ok()?;
                whole.checked_add(*delay).ok()
            }
            Rule::Fields { minute, hour, day, month, weekday } => {
                let mut time = minute_start(after)?.checked_add(SignedDuration::from_mins(1)).ok()?;
                let last = after.year().checked_add(YEARS)?;
                while time.year() <= last {
                    if !month.has(time.month()) {
                        time = time.first_of_month().ok()?.start_of_day().ok()?;
                        time = time.checked_add(jiff::Span::new().months(1)).ok()?.start_of_day().ok()?;
                    } else if !is_day(*day, *weekday, &time) {
                        time = time.tomorrow().ok()?.start_of_day().ok()?;
                    } else if !hour.has(time.hour()) {
                        let left = 60 - i64::from(time.minute());
                        time = time.checked_add(SignedDuration::from_mins(left)).ok()?;
                    } else if !minute.has(time.minute()) {
                        time = time.checked_add(SignedDuration::from_mins(1)).ok()?;
                    } else {
                        return Some(time);
                    }
                }
                None
            }
        }
    }
}

fn minute_start(time: &Zoned) -> Option<Zoned> {
    let over = i64::from(time.second()) * 1_000_000_000 + i64::from(time.subsec_nanosecond());
    time.checked_sub(SignedDuration::from_nanos(over)).ok()
}

/// Where both the day and the weekday are restricted, either will do.
fn is_day(day: Field, weekday: Field, time: &Zoned) -> bool {
    let (by_day, by_weekday) = (day.has(time.day()), weekday.has(time.weekday().to_sunday_zero_offset()));
    if day.star || weekday.star { by_day && by_weekday } else { by_day || by_weekday }
}

fn descriptor(text: &str) -> Result<Schedule, String> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let Some(every) = text.strip_prefix("@every ") else {
                return Err(format!("unrecognized descriptor: {text}"));
            };
            let delay = go_duration(every).map_err(|why| format!("failed to parse duration {text}: time: {why}"))?;
            return Ok(Schedule(Rule::Every(SignedDuration::from_secs(delay.as_secs().max(1)))));
        }
    };
    Schedule::parse(fields)
}

/// A duration as Go writes it: `1h30m`, `90s`, `1.5h`.
///
/// # Errors
/// Go's words, without `time: `.
fn go_duration(text: &str) -> Result<SignedDuration, String> {
    let invalid = || format!("invalid duration {text:?}");
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut total = SignedDuration::ZERO;
    if rest == "0" {
        return Ok(total);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let whole = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let fraction = rest[whole..]
            .strip_prefix('.')
            .map_or(0, |rest| 1 + rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let digits = whole + fraction;
        let amount: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        let unit = &rest[digits..];
        let end = unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len());
        if end == 0 {
            return Err(format!("missing unit in duration {text:?}"));
        }
        let seconds = match &unit[..end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            unknown => return Err(format!("unknown unit {unknown:?} in duration {text:?}")),
        };
        let part = SignedDuration::try_from_secs_f64(amount * seconds).ok();
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(invalid)?;
        rest = &unit[end..];
    }
    Ok(if negative { -total } else { total })
}

fn field(text: &str, bounds: &Bounds) -> Result<Field, String> {
    let mut all = Field::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let one = range(part, bounds)?;
        all = Field { bits: all.bits | one.bits, star: all.star | one.star };
    }
    Ok(all)
}

fn range(part: &str, bounds: &Bounds) -> Result<Field, String> {
    let (span, step) = match part.split_once('/') {
        Some((_, more)) if more.contains('/') => return Err(format!("too many slashes: {part}")),
        Some((span, step)) => (span, Some(step)),
        None => (part, None),
    };
    let mut star = false;
    let (start, mut end, single) = match span.split_once('-') {
        Some((_, more)) if more.contains('-') => return Err(format!("too many hyphens: {part}")),
        Some((start, end)) => (value(start, bounds)?, value(end, bounds)?, false),
        None if span == "*" || span == "?" => {
            star = true;
            (bounds.low, bounds.high, false)
        }
        None => {
            let only = value(span, bounds)?;
            (only, only, true)
        }
    };
    let step = match step {
        None => 1,
        Some(step) => {
            let step = number(step)?;
            // `5/15` reads as `5-59/15`.
            end = if single { bounds.high } else { end };
            star &= step <= 1;
            step
        }
    };
    if start < bounds.low {
        return Err(format!("beginning of range ({start}) below minimum ({}): {part}", bounds.low));
    }
    if end > bounds.high {
        return Err(format!("end of range ({end}) above maximum ({}): {part}", bounds.high));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
    }
    let Some(step) = usize::try_from(step).ok().filter(|step| *step > 0) else {
        return Err(format!("step of range should be a positive number: {part}"));
    };
    let bits = (start..=end).step_by(step).fold(0, |bits, value| bits | 1 << value);
    Ok(Field { bits, star })
}

fn value(text: &str, bounds: &Bounds) -> Result<u32, String> {
    let name = text.to_lowercase();
    match bounds.names.iter().position(|known| *known == name) {
        // At most twelve names.
        Some(index) => Ok(bounds.low + u32::try_from(index).unwrap_or(0)),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let number: i64 = text
        .parse()
        .map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"))?;
    u32::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_the_next_time() {
        for (schedule, after, next) in [
            ("* * * * *", "2026-01-01T00:00:30[UTC]", "2026-01-01T00:01:00[UTC]"),
            ("*/5 * * * *", "2026-01-01T00:05:00[UTC]", "2026-01-01T00:10:00[UTC]"),
            ("5/15 * * * *", "2026-01-01T00:21:00[UTC]", "2026-01-01T00:35:00[UTC]"),
            ("30 8-10,20 * * *", "2026-01-01T10:30:00[UTC]", "2026-01-01T20:30:00[UTC]"),
            ("0 0 29 FEB *", "2026-01-01T00:00:00[UTC]", "2028-02-29T00:00:00[UTC]"),
            // 13th or Friday.
            ("0 0 13 * fri", "2026-01-03T00:00:00[UTC]", "2026-01-09T00:00:00[UTC]"),
            ("0 0 */2 * sun", "2026-01-01T00:00:00[UTC]", "2026-01-03T00:00:00[UTC]"),
            ("0 0 * * mon-fri", "2026-01-02T12:00:00[UTC]", "2026-01-05T00:00:00[UTC]"),
            ("@hourly", "2026-01-01T00:59:59[UTC]", "2026-01-01T01:00:00[UTC]"),
            ("@yearly", "2026-01-01T00:00:00[UTC]", "2027-01-01T00:00:00[UTC]"),
            ("@every 1h30m", "2026-01-01T00:00:10[UTC]", "2026-01-01T01:30:10[UTC]"),
            // 02:30 does not exist on 29 March 2026 in Berlin.
            ("30 2 * * *", "2026-03-28T12:00:00[Europe/Berlin]", "2026-03-30T02:30:00[Europe/Berlin]"),
        ] {
            let after: Zoned = after.parse().unwrap();
            let found = Schedule::parse(schedule).unwrap().next(&after);
            assert_eq!(found, Some(next.parse().unwrap()), "{schedule}");
        }
        let never = Schedule::parse("0 0 30 2 *").unwrap();
        assert_eq!(never.next(&"2026-01-01T00:00:00[UTC]".parse().unwrap()), None);
    }

    #[test]
    fn schedules_are_judged_as_cron_does() {
        for good in ["* * * * *", "*/5 0-4 1,15 jan mon-fri", "@hourly", "0 0 * * ?", "@every 5s"] {
            assert!(Schedule::parse(good).is_ok(), "{good}");
        }
        for (bad, words) in [
            ("61 * * * *", "end of range (61) above maximum (59): 61"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("@often", "unrecognized descriptor: @often"),
        ] {
            assert_eq!(Schedule::parse(bad), Err(words.to_owned()), "{bad}");
        }
    }
}
