//! Which style a string is written in, and what tells the styles apart: what YAML's grammar allows, and what
//! a reader of YAML 1.1 would take for a number, a boolean, null or a time.
//!
//! Source: the rules of libyaml's emitter and the resolver of `go.yaml.in/yaml/v2`.

/// How a string is written.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// The plainest style that reads back as the same string.
pub(super) fn style(text: &str, key: bool) -> Style {
    let facts = Facts::of(text);
    let wanted = match () {
        () if text.contains('\n') => Style::Literal,
        () if is_plain_string(text) => Style::Plain,
        () => Style::Double,
    };
    let wanted = if key && facts.breaks { Style::Double } else { wanted };
    match wanted {
        Style::Plain if facts.plain && !(text.is_empty() && key) => Style::Plain,
        Style::Plain if facts.single => Style::Single,
        Style::Literal if facts.block && !key => Style::Literal,
        _ => Style::Double,
    }
}

/// What a text's letters allow.
struct Facts {
    breaks: bool,
    plain: bool,
    single: bool,
    block: bool,
}

impl Facts {
    fn of(text: &str) -> Facts {
        let letters: Vec<char> = text.chars().collect();
        let blank = |at: usize| letters.get(at).is_none_or(|letter| matches!(letter, ' ' | '\t'));
        let after_blank = |at: usize| matches!(letters[at - 1], ' ' | '\t') || is_break(letters[at - 1]);
        let indicator = |at: usize, letter: char| match (at, letter) {
            (0, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`') => true,
            (0, '?' | ':' | '-') => blank(1),
            (at, ':') => blank(at + 1),
            (at, '#') => after_blank(at),
            _ => false,
        };
        let indicators = text.starts_with("---")
            || text.starts_with("...")
            || letters.iter().enumerate().any(|(at, letter)| indicator(at, *letter));
        let breaks = letters.iter().any(|letter| is_break(*letter));
        let edge = |letter: Option<&char>| letter.is_some_and(|letter| *letter == ' ' || is_break(*letter));
        let pair = |first: fn(char) -> bool, second: fn(char) -> bool| {
            letters.windows(2).any(|pair| first(pair[0]) && second(pair[1]))
        };
        let break_space = pair(is_break, |letter| letter == ' ');
        let space_break = pair(|letter| letter == ' ', is_break);
        let special = letters.iter().any(|letter| !printable(*letter));
        let trailing_space = letters.last() == Some(&' ');
        let edges = edge(letters.first()) || edge(letters.last());
        Facts {
            breaks,
            plain: !(indicators || breaks || edges || break_space || space_break || special),
            single: !(break_space || space_break || special),
            block: !(trailing_space || space_break || special || text.is_empty()),
        }
    }
}

/// Whether a plain text would be read as a string, and not as a number, a boolean, null or a time.
fn is_plain_string(text: &str) -> bool {
    const WORDS: [&str; 26] = [
        "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "n", "N", "no", "No", "NO", "false",
        "False", "FALSE", "off", "Off", "OFF", "~", "null", "Null", "NULL",
    ];
    const SIGNS: [&str; 10] = ["", "<<", ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "-.inf"];
    const MORE: [&str; 4] = ["+.Inf", "+.INF", "-.Inf", "-.INF"];
    if WORDS.contains(&text) || SIGNS.contains(&text) || MORE.contains(&text) {
        return false;
    }
    match text.as_bytes()[0] {
        b'.' => text.parse::<f64>().is_err() || !text.bytes().all(|b| b.is_ascii_digit() || b".eE+-_".contains(&b)),
        b'+' | b'-' | b'0'..=b'9' => {
            let plain = text.replace('_', "");
            !(is_timestamp(text) || is_integer(&plain) || is_float(&plain) || is_base_60(text))
        }
        _ => true,
    }
}

/// Go's `strconv.ParseInt(text, 0, 64)`, or `ParseUint`.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = digits.to_ascii_lowercase();
    let (base, rest) = match () {
        () if lower.starts_with("0x") => (16, &lower[2..]),
        () if lower.starts_with("0b") => (2, &lower[2..]),
        () if lower.starts_with("0o") => (8, &lower[2..]),
        () if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        () => (10, lower.as_str()),
    };
    !rest.is_empty() && !rest.starts_with(['+', '-']) && u64::from_str_radix(rest, base).is_ok()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_fits = all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    exponent_fits && mantissa_fits && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// `12:30:45`, which YAML 1.1 reads as a number.
fn is_base_60(text: &str) -> bool {
    let mut parts = text.strip_prefix(['+', '-']).unwrap_or(text).split(':');
    let first = parts.next().unwrap_or_default();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else { return false };
    let sixty = |part: &str| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    let fraction_fits = fraction.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    digits(first)
        && first.as_bytes()[0] != b'_'
        && middle.iter().all(|part| sixty(part))
        && sixty(last)
        && fraction_fits
}

/// `2006-1-2`, alone or with a time behind `T`, `t` or a space.
fn is_timestamp(text: &str) -> bool {
    let number = |part: &str, most: u32| {
        (1..=2).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u32>().is_ok_and(|number| number <= most)
    };
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let date_fits = year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()) && number(month, 12) && number(day, 31);
    let time_fits = time.is_none_or(|time| {
        let zoned = !time.starts_with(' ');
        let clock = &time[1..];
        let (clock, zone) = match clock.find(['Z', '+', '-']) {
            Some(at) => (&clock[..at], &clock[at..]),
            None => (clock, ""),
        };
        let parts: Vec<&str> = clock.split(':').collect();
        let [hour, minute, second] = parts[..] else { return false };
        let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
        let zone_fits = zone == "Z" || (zone.len() == 6 && zone.as_bytes()[3] == b':');
        number(hour, 23)
            && number(minute, 59)
            && number(second, 59)
            && fraction.bytes().all(|byte| byte.is_ascii_digit())
            && (if zoned { zone_fits } else { zone.is_empty() })
    });
    date_fits && time_fits
}

fn printable(letter: char) -> bool {
    matches!(letter, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && letter != '\u{feff}'
}

fn is_break(letter: char) -> bool {
    matches!(letter, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether a letter is escaped in double quotes.
pub(super) fn needs_escape(letter: char) -> bool {
    !printable(letter) || is_break(letter) || matches!(letter, '"' | '\\')
}

/// How it is escaped.
pub(super) fn escape(letter: char) -> String {
    let short = match letter {
        '\0' => "0",
        '\u{7}' => "a",
        '\u{8}' => "b",
        '\t' => "t",
        '\n' => "n",
        '\u{b}' => "v",
        '\u{c}' => "f",
        '\r' => "r",
        '\u{1b}' => "e",
        '"' => "\"",
        '\\' => "\\",
        '\u{85}' => "N",
        '\u{a0}' => "_",
        '\u{2028}' => "L",
        '\u{2029}' => "P",
        other => {
            return match u32::from(other) {
                code @ ..=0xff => format!("\\x{code:02X}"),
                code @ ..=0xffff => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}
