//! `grep`, `head`, `tail`, `wc`, `sort`: lines in, some of them out.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use super::{complain, plain, print};

/// How often `tail -f` looks again.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

/// The inputs: files by name, or standard input alone.
fn inputs(name: &str, paths: &[&String], status: &mut i32) -> Vec<(String, Box<dyn BufRead>)> {
    let mut inputs: Vec<(String, Box<dyn BufRead>)> = Vec::new();
    if paths.is_empty() {
        inputs.push(("-".to_owned(), Box::new(BufReader::new(io::stdin()))));
    }
    for path in paths {
        match path.as_str() {
            "-" => inputs.push(("-".to_owned(), Box::new(BufReader::new(io::stdin())))),
            path => match File::open(path) {
                Ok(file) => inputs.push((path.to_owned(), Box::new(BufReader::new(file)))),
                Err(error) => {
                    *status = complain(name, &format!("{path}: {}", plain(&error))) + i32::from(name == "grep")
                }
            },
        }
    }
    inputs
}

/// A count given as `-n 5`, `-n5` or `-5`, other flags, the rest.
fn counted(arguments: &[String], letter: char, default: usize) -> (usize, String, Vec<&String>) {
    let (mut count, mut flags, mut rest) = (default, String::new(), Vec::new());
    let mut words = arguments[1..].iter();
    while let Some(word) = words.next() {
        match word.strip_prefix('-').filter(|option| !option.is_empty()) {
            Some(option) if option.starts_with(letter) => {
                let number = if option.len() > 1 { Some(&option[1..]) } else { words.next().map(String::as_str) };
                count = number.and_then(|number| number.trim_start_matches('+').parse().ok()).unwrap_or(default);
            }
            Some(option) if option.bytes().all(|byte| byte.is_ascii_digit()) => {
                count = option.parse().unwrap_or(default)
            }
            Some(option) => flags.push_str(option),
            None => rest.push(word),
        }
    }
    (count, flags, rest)
}

pub(super) fn grep(arguments: &[String]) -> i32 {
    let (mut flags, mut words, mut pattern) = (String::new(), Vec::new(), None);
    let mut given = arguments[1..].iter();
    while let Some(word) = given.next() {
        match word.strip_prefix('-').filter(|option| !option.is_empty()) {
            Some("e") => pattern = given.next(),
            Some(option) => flags.push_str(option),
            None => words.push(word),
        }
    }
    let paths = if pattern.is_some() { &words[..] } else { words.get(1..).unwrap_or_default() };
    let Some(pattern) = pattern.or(words.first().copied()) else {
        return complain("grep", "usage: grep [-civnqEF] PATTERN [FILE…]") + 1;
    };
    let text = if flags.contains('F') { regex::escape(pattern) } else { pattern.clone() };
    let expression = match regex::RegexBuilder::new(&text).case_insensitive(flags.contains('i')).build() {
        Ok(expression) => expression,
        Err(error) => return complain("grep", &format!("bad pattern: {error}")) + 1,
    };
    let (mut status, mut any) = (1, false);
    let many = paths.len() > 1 && !flags.contains('h');
    for (name, input) in inputs("grep", paths, &mut status) {
        let mut count = 0;
        for (at, line) in input.split(b'\n').enumerate() {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line);
            if expression.is_match(&line) == flags.contains('v') {
                continue;
            }
            any = true;
            count += 1;
            if flags.contains('q') {
                return 0;
            }
            if flags.contains('c') || flags.contains('l') {
                continue;
            }
            let place = if many { format!("{name}:") } else { String::new() };
            let number = if flags.contains('n') { format!("{}:", at + 1) } else { String::new() };
            let found: Vec<&str> = match flags.contains('o') {
                true => expression.find_iter(&line).map(|found| found.as_str()).collect(),
                false => vec![&*line],
            };
            for found in found {
                if print(&format!("{place}{number}{found}\n")).is_err() {
                    return 1;
                }
            }
        }
        let place = if many { format!("{name}:") } else { String::new() };
        let total = if flags.contains('c') { format!("{place}{count}\n") } else { format!("{name}\n") };
        if (flags.contains('c') || flags.contains('l') && count > 0) && print(&total).is_err() {
            return 1;
        }
    }
    if any { status & 2 } else { status.max(1) }
}

pub(super) fn head(arguments: &[String]) -> i32 {
    let bytes = arguments.iter().any(|word| word.starts_with("-c"));
    let (count, _, paths) = counted(arguments, if bytes { 'c' } else { 'n' }, 10);
    let mut status = 0;
    let mut out = io::stdout().lock();
    for (_, mut input) in inputs("head", &paths, &mut status) {
        if bytes {
            status |= i32::from(io::copy(&mut input.take(count as u64), &mut out).is_err());
            continue;
        }
        let mut line = Vec::new();
        for _ in 0..count {
            line.clear();
            if !matches!(input.read_until(b'\n', &mut line), Ok(1..)) {
                break;
            }
            if out.write_all(&line).is_err() {
                return 1;
            }
        }
    }
    status
}

pub(super) fn tail(arguments: &[String]) -> i32 {
    let bytes = arguments.iter().any(|word| word.starts_with("-c"));
    let from_start =
        arguments.windows(2).any(|pair| matches!(pair[0].as_str(), "-c" | "-n") && pair[1].starts_with('+'))
            || arguments.iter().any(|word| word.starts_with("-c+") || word.starts_with("-n+"));
    let (count, flags, paths) = counted(arguments, if bytes { 'c' } else { 'n' }, 10);
    let mut status = 0;
    let mut last = None;
    for (name, mut input) in inputs("tail", &paths, &mut status) {
        let mut content = Vec::new();
        if let Err(error) = input.read_to_end(&mut content) {
            status = complain("tail", &format!("{name}: {}", plain(&error)));
        }
        let start = match (bytes, from_start) {
            (true, true) => count.saturating_sub(1).min(content.len()),
            (true, false) => content.len().saturating_sub(count),
            (false, true) => nth_line(&content, count.saturating_sub(1)),
            (false, false) => {
                let lines = content.iter().filter(|byte| **byte == b'\n').count()
                    + usize::from(!content.is_empty() && content.last() != Some(&b'\n'));
                nth_line(&content, lines.saturating_sub(count))
            }
        };
        let mut out = io::stdout().lock();
        if out.write_all(&content[start..]).and_then(|()| out.flush()).is_err() {
            return 1;
        }
        last = Some(input);
    }
    // Follows the last file for ever, as it grows.
    if let Some(input) = last.as_mut().filter(|_| flags.contains(['f', 'F'])) {
        let mut more = Vec::new();
        let ended = super::asked_to_end();
        loop {
            more.clear();
            if input.read_to_end(&mut more).is_err() || ended.load(std::sync::atomic::Ordering::SeqCst) {
                return status;
            }
            let mut out = io::stdout().lock();
            if out.write_all(&more).and_then(|()| out.flush()).is_err() {
                return 1;
            }
            std::thread::sleep(LOOK);
        }
    }
    status
}

/// Where line number `number` (from 0) begins.
fn nth_line(content: &[u8], number: usize) -> usize {
    if number == 0 {
        return 0;
    }
    let mut ends = content.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    ends.nth(number - 1).map_or(content.len(), |(at, _)| at + 1)
}

pub(super) fn wc(arguments: &[String]) -> i32 {
    let (flags, paths) = super::split_options(arguments);
    let flags = if flags.is_empty() { "lwc".to_owned() } else { flags };
    let mut status = 0;
    let mut total = [0_usize; 3];
    let mut rows = Vec::new();
    for (name, mut input) in inputs("wc", &paths, &mut status) {
        let mut content = Vec::new();
        status |= i32::from(input.read_to_end(&mut content).is_err());
        let words = content.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).count();
        let counts = [content.iter().filter(|byte| **byte == b'\n').count(), words, content.len()];
        total.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        rows.push((counts, if name == "-" { String::new() } else { name }));
    }
    if rows.len() > 1 {
        rows.push((total, "total".to_owned()));
    }
    let mut text = String::new();
    for (counts, name) in rows {
        let wanted = "lwc".chars().zip(counts).filter(|(letter, _)| flags.contains(*letter));
        let mut parts: Vec<String> = wanted.map(|(_, count)| count.to_string()).collect();
        if parts.len() > 1 {
            parts.iter_mut().for_each(|part| *part = format!("{part:>7}"));
        }
        if !name.is_empty() {
            parts.push(name);
        }
        text.push_str(&(parts.join(" ") + "\n"));
    }
    if print(&text).is_err() { 1 } else { status }
}

pub(super) fn sort(arguments: &[String]) -> i32 {
    let (flags, paths) = super::split_options(arguments);
    let mut status = 0;
    let mut lines: Vec<String> = Vec::new();
    for (_, input) in inputs("sort", &paths, &mut status) {
        lines.extend(input.split(b'\n').flatten().map(|line| String::from_utf8_lossy(&line).into_owned()));
    }
    let number = |line: &String| {
        let text = line.trim_start();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '.').unwrap_or(text.len());
        text[..end].parse::<f64>().unwrap_or(0.0)
    };
    match flags.contains('n') {
        true => lines.sort_by(|a, b| number(a).total_cmp(&number(b)).then_with(|| a.cmp(b))),
        false => lines.sort(),
    }
    if flags.contains('r') {
        lines.reverse();
    }
    if flags.contains('u') {
        lines.dedup();
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    if print(&text).is_err() { 1 } else { status }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_number() {
        let text = b"a\nb\nc";
        assert_eq!([0, 1, 2, 3].map(|number| nth_line(text, number)), [0, 2, 4, 5]);
        let words: Vec<String> = ["tail", "-n", "3", "-f", "x"].map(str::to_owned).into();
        let (count, flags, paths) = counted(&words, 'n', 10);
        assert_eq!((count, flags.as_str(), paths.len()), (3, "f", 1));
    }
}
