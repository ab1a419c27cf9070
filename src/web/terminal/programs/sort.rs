//! `sort`, `uniq`, `cut`, `tr`: order lines, drop repeated ones, take parts of them, change letters.

use std::cmp::Ordering;

use tokio::io::AsyncReadExt;

use super::super::pipes::{Ended, Fault, Lines};
use super::{Call, Given};

/// The most bytes `sort` holds.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// `sort`
pub async fn sort(call: &Call) -> Ended {
    let long = [
        ("numeric-sort", 'n'),
        ("reverse", 'r'),
        ("unique", 'u'),
        ("key", 'k'),
        ("field-separator", 't'),
        ("human-numeric-sort", 'h'),
        ("ignore-case", 'f'),
    ];
    let given = call.given("nrufbhVsk:t:", &long)?;
    let mut all = Vec::new();
    let mut bytes = 0;
    for (_, input) in call.inputs(&given.words)? {
        let mut lines = Lines::of(&input).await;
        while let Some(line) = lines.next().await? {
            bytes += line.len();
            if bytes > MOST_BYTES {
                return Err(Fault::Said(format!("it sorts at most {MOST_BYTES} bytes")));
            }
            all.push(line);
        }
    }
    let (key, own) = match given.value('k') {
        Some(text) => {
            let first = text.split(',').next().unwrap_or_default();
            let digits: String = first.chars().take_while(char::is_ascii_digit).collect();
            let key = digits.parse::<usize>().ok().filter(|key| *key > 0);
            (key.ok_or_else(|| Fault::Said(format!("-k takes a field's number, not {text:?}")))?, text.to_owned())
        }
        None => (0, String::new()),
    };
    let one_field = given.value('k').is_some_and(|text| text.contains(','));
    let is = |flag: char| given.is(flag) || own.contains(flag);
    let order = |a: &Vec<u8>, b: &Vec<u8>| {
        let (left, right) = (part(a, key, one_field, &given), part(b, key, one_field, &given));
        let order = if is('h') {
            quantity(left).total_cmp(&quantity(right))
        } else if is('n') {
            number(left).total_cmp(&number(right))
        } else if is('V') {
            versions(left, right)
        } else if is('f') {
            left.to_ascii_lowercase().cmp(&right.to_ascii_lowercase())
        } else {
            left.cmp(right)
        };
        let order = if order == Ordering::Equal && !given.is('s') && !given.is('u') { a.cmp(b) } else { order };
        if is('r') { order.reverse() } else { order }
    };
    all.sort_by(order);
    if given.is('u') {
        all.dedup_by(|a, b| order(a, b) == Ordering::Equal);
    }
    for line in all {
        call.context.out.line(&line).await?;
    }
    Ok(0)
}

/// The part of a line that is compared: from field `key` on, counted from 1; 0 is the whole line.
fn part<'l>(line: &'l [u8], key: usize, one_field: bool, given: &Given) -> &'l [u8] {
    if key == 0 {
        return if given.is('b') { line.trim_ascii_start() } else { line };
    }
    let mut rest = line;
    let separator = given.value('t').and_then(|text| text.bytes().next());
    let end_of = |text: &[u8]| match separator {
        Some(separator) => text.iter().position(|byte| *byte == separator),
        None => {
            let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            text[blanks..].iter().position(u8::is_ascii_whitespace).map(|at| blanks + at)
        }
    };
    for _ in 1..key {
        match end_of(rest) {
            Some(end) => rest = &rest[end + usize::from(separator.is_some())..],
            None => return b"",
        }
    }
    if one_field {
        rest = &rest[..end_of(rest).unwrap_or(rest.len())];
    }
    if separator.is_none() { rest.trim_ascii_start() } else { rest }
}

fn number(text: &[u8]) -> f64 {
    let text = String::from_utf8_lossy(text.trim_ascii());
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
    text[..end].parse().unwrap_or(0.0)
}

/// `128Mi`, `2G`, `100m`
fn quantity(text: &[u8]) -> f64 {
    let trimmed = String::from_utf8_lossy(text.trim_ascii()).into_owned();
    let unit = trimmed.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let factor = match unit.chars().next() {
        Some('m') => 0.001,
        Some('K' | 'k') => 1e3,
        Some('M') => 1e6,
        Some('G') => 1e9,
        Some('T') => 1e12,
        _ => 1.0,
    };
    number(text) * factor
}

fn versions(left: &[u8], right: &[u8]) -> Ordering {
    let parts = |text: &[u8]| -> Vec<(u64, String)> {
        let text = String::from_utf8_lossy(text).into_owned();
        let parts = text.split(|c: char| !c.is_alphanumeric());
        parts
            .map(|part| {
                let digits = part.trim_start_matches(|c: char| !c.is_ascii_digit());
                let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
                (digits.parse().unwrap_or(0), part.to_owned())
            })
            .collect()
    };
    let (left, right) = (parts(left), parts(right));
    for (a, b) in left.iter().zip(&right) {
        let names = |part: &(u64, String)| part.1.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let order = names(a).cmp(&names(b)).then(a.0.cmp(&b.0));
        if order != Ordering::Equal {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

/// `uniq`
pub async fn uniq(call: &Call) -> Ended {
    let given = call.given("cdui", &[("count", 'c'), ("repeated", 'd'), ("unique", 'u')])?;
    for (_, input) in call.inputs(&given.words)? {
        let mut lines = Lines::of(&input).await;
        let mut last: Option<(Vec<u8>, usize)> = None;
        loop {
            let line = lines.next().await?;
            let same = |a: &[u8], b: &[u8]| if given.is('i') { a.eq_ignore_ascii_case(b) } else { a == b };
            match (&mut last, &line) {
                (Some((text, count)), Some(line)) if same(text, line) => {
                    *count += 1;
                    continue;
                }
                _ => {}
            }
            if let Some((text, count)) = last.take() {
                let wanted = if given.is('d') { count > 1 } else { !given.is('u') || count == 1 };
                let prefix = if given.is('c') { format!("{count:7} ") } else { String::new() };
                if wanted {
                    call.context.out.line(&[prefix.as_bytes(), &text].concat()).await?;
                }
            }
            match line {
                Some(line) => last = Some((line, 1)),
                None => break,
            }
        }
    }
    Ok(0)
}

/// `cut`
pub async fn cut(call: &Call) -> Ended {
    let given = call.given("f:c:b:d:s", &[("fields", 'f'), ("delimiter", 'd'), ("characters", 'c')])?;
    let list = given.value('f').or(given.value('c')).or(given.value('b'));
    let list = ranges(list.ok_or_else(|| Fault::Said("say which: cut -d ' ' -f 1".into()))?)?;
    let chosen = |at: usize| list.iter().any(|(first, last)| (*first..=*last).contains(&at));
    let separator = given.value('d').unwrap_or("\t");
    for (_, input) in call.inputs(&given.words)? {
        let mut lines = Lines::of(&input).await;
        while let Some(line) = lines.next().await? {
            let text = String::from_utf8_lossy(&line);
            let kept = if given.is('f') {
                if !text.contains(separator) {
                    if !given.is('s') {
                        call.context.out.line(&line).await?;
                    }
                    continue;
                }
                let parts = text.split(separator).enumerate().filter(|(at, _)| chosen(at + 1));
                parts.map(|(_, part)| part).collect::<Vec<_>>().join(separator)
            } else {
                text.chars().enumerate().filter(|(at, _)| chosen(at + 1)).map(|(_, letter)| letter).collect()
            };
            call.context.out.line(kept.as_bytes()).await?;
        }
    }
    Ok(0)
}

/// `1,3-5,7-`
fn ranges(text: &str) -> Result<Vec<(usize, usize)>, Fault> {
    let wrong = || Fault::Said(format!("{text:?} is no list such as 1,3-5"));
    let number = |text: &str, empty: usize| match text {
        "" => Ok(empty),
        text => text.parse().map_err(|_| wrong()),
    };
    text.split(',')
        .map(|part| match part.split_once('-') {
            Some((first, last)) => Ok((number(first, 1)?, number(last, usize::MAX)?)),
            None => {
                let only = number(part, 0)?;
                if only == 0 { Err(wrong()) } else { Ok((only, only)) }
            }
        })
        .collect()
}

/// `tr`
pub async fn tr(call: &Call) -> Ended {
    let given = call.given("dscC", &[("delete", 'd'), ("squeeze-repeats", 's'), ("complement", 'c')])?;
    let (from, to) = match (&given.words[..], given.is('d') || given.is('s')) {
        ([from, to], _) => (letters(from), letters(to)),
        ([from], true) => (letters(from), Vec::new()),
        _ => return Err(Fault::Said("say what becomes what: tr a-z A-Z, tr -d '\"', tr -s ' '".into())),
    };
    let complement = given.is('c') || given.is('C');
    let place = |letter: char| match (from.iter().position(|known| *known == letter), complement) {
        (found, false) => found,
        (None, true) => Some(usize::MAX),
        (Some(_), true) => None,
    };
    let mut reader = call.context.stdin.lock().await;
    let (mut buffer, mut rest, mut last) = (vec![0; 8192], Vec::new(), None);
    loop {
        let count = reader.read(&mut buffer).await?;
        rest.extend_from_slice(&buffer[..count]);
        let whole = match std::str::from_utf8(&rest) {
            Err(fault) if fault.error_len().is_none() && count > 0 => fault.valid_up_to(),
            _ => rest.len(),
        };
        let later = rest.split_off(whole);
        let text = String::from_utf8_lossy(&rest).into_owned();
        rest = later;
        let mut out = String::new();
        for letter in text.chars() {
            let changed = match place(letter) {
                None => letter,
                Some(_) if given.is('d') => continue,
                Some(_) if to.is_empty() => letter,
                Some(at) => to.get(at).or(to.last()).copied().unwrap_or(letter),
            };
            let squeezes = given.is('s') && if to.is_empty() { place(letter).is_some() } else { to.contains(&changed) };
            if squeezes && last == Some(changed) {
                continue;
            }
            last = Some(changed);
            out.push(changed);
        }
        if !out.is_empty() {
            call.context.out.write(out).await?;
        }
        if count == 0 {
            return Ok(0);
        }
    }
}

/// `a-z`, `\n`, `[:upper:]` as letters.
fn letters(set: &str) -> Vec<char> {
    let mut plain = Vec::new();
    let mut rest = set;
    while let Some(letter) = rest.chars().next() {
        let classes = [("[:upper:]", 'A'..='Z'), ("[:lower:]", 'a'..='z'), ("[:digit:]", '0'..='9')];
        if let Some((name, range)) = classes.iter().find(|(name, _)| rest.starts_with(name)) {
            plain.extend(range.clone());
            rest = &rest[name.len()..];
            continue;
        }
        if let Some(after) = rest.strip_prefix("[:space:]") {
            plain.extend([' ', '\t', '\n', '\r']);
            rest = after;
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        let letter = match letter {
            '\\' => {
                let escaped = rest.chars().next().unwrap_or('\\');
                rest = &rest[escaped.len_utf8().min(rest.len())..];
                match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                }
            }
            other => other,
        };
        let mut after = rest.chars();
        match (after.next(), after.next()) {
            (Some('-'), Some(last)) if last >= letter && u32::from(last) - u32::from(letter) < 256 => {
                plain.extend(letter..=last);
                rest = after.as_str();
            }
            _ => plain.push(letter),
        }
    }
    plain
}
