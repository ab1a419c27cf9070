//! `cat`, `grep`, `head`, `tail`, `wc`, `tee`: line by line, so that a stream passes through as it comes.

use std::collections::VecDeque;

use regex::bytes::{Regex, RegexBuilder};
use tokio::io::AsyncReadExt;

use super::super::home::Home;
use super::super::pipes::{Ended, Fault, In, Lines, read_all};
use super::{Call, Given};

/// `cat`
pub async fn cat(call: &Call) -> Ended {
    let given = call.given("nu", &[])?;
    let mut number = 0;
    for (_, input) in call.inputs(&given.words)? {
        if !given.is('n') {
            copy(&input, call).await?;
            continue;
        }
        let mut lines = Lines::of(&input).await;
        while let Some(line) = lines.next().await? {
            number += 1;
            call.context.out.line(&[format!("{number:6}\t").as_bytes(), &line].concat()).await?;
        }
    }
    Ok(0)
}

async fn copy(input: &In, call: &Call) -> Result<(), Fault> {
    let mut reader = input.lock().await;
    let mut buffer = vec![0; 8192];
    loop {
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        call.context.out.write(buffer[..count].to_vec()).await?;
    }
}

/// A pattern as grep and sed read it: basic unless extended.
///
/// # Errors
/// When it is no pattern.
pub fn pattern(text: &str, extended: bool, ignore_case: bool) -> Result<Regex, Fault> {
    let translated = if extended { text.to_owned() } else { basic(text) };
    let built = RegexBuilder::new(&translated).case_insensitive(ignore_case).size_limit(1 << 20).build();
    built.map_err(|_| Fault::Said(format!("{text:?} is no pattern")))
}

/// A basic pattern as an extended one: there `\(` groups and `(` is a bracket.
fn basic(text: &str) -> String {
    let mut extended = String::new();
    let mut letters = text.chars();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(next @ ('(' | ')' | '{' | '}' | '|' | '+' | '?')) => extended.push(next),
                Some(next) => extended.extend(['\\', next]),
                None => extended.push_str("\\\\"),
            },
            '[' if !in_class => {
                in_class = true;
                extended.push(letter);
            }
            ']' => {
                in_class = false;
                extended.push(letter);
            }
            '(' | ')' | '{' | '}' | '|' | '+' | '?' if !in_class => extended.extend(['\\', letter]),
            _ => extended.push(letter),
        }
    }
    extended
}

/// What `grep` looks for and how it shows it.
struct Search {
    pattern: Regex,
    given: Given,
    before: usize,
    after: usize,
    named: bool,
}

/// `grep`
pub async fn grep(call: &Call) -> Ended {
    let long = [
        ("ignore-case", 'i'),
        ("invert-match", 'v'),
        ("count", 'c'),
        ("line-number", 'n'),
        ("only-matching", 'o'),
        ("quiet", 'q'),
        ("after-context", 'A'),
        ("before-context", 'B'),
        ("context", 'C'),
        ("max-count", 'm'),
        ("extended-regexp", 'E'),
        ("fixed-strings", 'F'),
        ("word-regexp", 'w'),
        ("color", 'y'),
        ("line-buffered", 'y'),
    ];
    let mut given = call.given("ivnocEFPwxqlhHrsyaA:B:C:m:e:", &long)?;
    let mut wanted: Vec<String> = given.values('e').map(str::to_owned).collect();
    if wanted.is_empty() {
        if given.words.is_empty() {
            return Err(Fault::Said("a pattern is missing: grep PATTERN".into()));
        }
        wanted.push(given.words.remove(0));
    }
    let extended = given.is('E') || given.is('P');
    let one = |text: &String| match (given.is('F'), extended) {
        (true, _) => regex::escape(text),
        (false, true) => text.clone(),
        (false, false) => basic(text),
    };
    let mut text = wanted.iter().map(one).map(|text| format!("(?:{text})")).collect::<Vec<_>>().join("|");
    if given.is('w') {
        text = format!(r"\b(?:{text})\b");
    }
    if given.is('x') {
        text = format!("^(?:{text})$");
    }
    let around = given.number('C')?.unwrap_or(0);
    let inputs = call.inputs(&given.words)?;
    let search = Search {
        pattern: pattern(&text, true, given.is('i'))?,
        before: given.number('B')?.unwrap_or(around),
        after: given.number('A')?.unwrap_or(around),
        named: given.is('H') || (inputs.len() > 1 && !given.is('h')),
        given,
    };
    let mut found = 0;
    for (name, input) in &inputs {
        found += search.file(call, name, input).await?;
        if found > 0 && search.given.is('q') {
            break;
        }
    }
    Ok(i32::from(found == 0))
}

impl Search {
    /// Looks through one file; how many lines fit.
    async fn file(&self, call: &Call, name: &str, input: &In) -> Result<usize, Fault> {
        let (mut found, mut number, mut follow, mut shown) = (0, 0, 0, 0);
        let most = self.given.number('m')?.unwrap_or(usize::MAX);
        let silent = self.given.is('q') || self.given.is('c') || self.given.is('l');
        let mut earlier: VecDeque<Vec<u8>> = VecDeque::new();
        let mut lines = Lines::of(input).await;
        while found < most || follow > 0 {
            let Some(line) = lines.next().await? else { break };
            number += 1;
            let fits = found < most && self.pattern.is_match(&line) != self.given.is('v');
            if fits {
                found += 1;
                if self.given.is('q') || self.given.is('l') {
                    break;
                }
            }
            if silent {
                continue;
            }
            if fits {
                let first = number - earlier.len();
                if (self.before > 0 || self.after > 0) && shown > 0 && shown + 1 < first {
                    call.context.out.line(b"--").await?;
                }
                for (at, line) in std::mem::take(&mut earlier).into_iter().enumerate() {
                    self.show(call, name, first + at, '-', &line).await?;
                }
                self.hit(call, name, number, &line).await?;
                (follow, shown) = (self.after, number);
            } else if follow > 0 {
                self.show(call, name, number, '-', &line).await?;
                (follow, shown) = (follow - 1, number);
            } else if self.before > 0 {
                earlier.push_back(line);
                if earlier.len() > self.before {
                    earlier.pop_front();
                }
            }
        }
        if self.given.is('c') {
            let prefix = if self.named { format!("{name}:") } else { String::new() };
            call.context.out.line(format!("{prefix}{found}").as_bytes()).await?;
        } else if self.given.is('l') && found > 0 {
            call.context.out.line(name.as_bytes()).await?;
        }
        Ok(found)
    }

    async fn hit(&self, call: &Call, name: &str, number: usize, line: &[u8]) -> Result<(), Fault> {
        if !self.given.is('o') {
            return self.show(call, name, number, ':', line).await;
        }
        for part in self.pattern.find_iter(line).filter(|part| !part.is_empty()) {
            self.show(call, name, number, ':', part.as_bytes()).await?;
        }
        Ok(())
    }

    async fn show(&self, call: &Call, name: &str, number: usize, mark: char, line: &[u8]) -> Result<(), Fault> {
        let mut prefix = String::new();
        if self.named {
            prefix = format!("{name}{mark}");
        }
        if self.given.is('n') {
            prefix.push_str(&format!("{number}{mark}"));
        }
        call.context.out.line(&[prefix.as_bytes(), line].concat()).await
    }
}

/// `-20` as `-n 20`.
fn counted(call: &Call) -> Result<Given, Fault> {
    let number = |text: &str| text.strip_prefix('-').is_some_and(|text| text.parse::<usize>().is_ok());
    let arguments = call.arguments.iter().map(|argument| match number(argument) {
        true => format!("-n{}", &argument[1..]),
        false => argument.clone(),
    });
    let call = Call { arguments: arguments.collect(), context: call.context.clone() };
    call.given("n:c:qvf", &[("lines", 'n'), ("bytes", 'c')])
}

/// `head`
pub async fn head(call: &Call) -> Ended {
    let given = counted(call)?;
    let inputs = call.inputs(&given.words)?;
    for (name, input) in &inputs {
        title(call, &inputs, name).await?;
        if let Some(most) = given.number('c')? {
            let mut bytes = Vec::new();
            (&mut *input.lock().await).take(most as u64).read_to_end(&mut bytes).await?;
            call.context.out.write(bytes).await?;
            continue;
        }
        let text = given.value('n').unwrap_or("10");
        if let Some(but) = text.strip_prefix('-') {
            let but: usize = but.parse().map_err(|_| Fault::Said(format!("-n takes a number, not {text:?}")))?;
            let mut waiting = VecDeque::new();
            let mut lines = Lines::of(input).await;
            while let Some(line) = lines.next().await? {
                waiting.push_back(line);
                if waiting.len() > but
                    && let Some(line) = waiting.pop_front()
                {
                    call.context.out.line(&line).await?;
                }
            }
            continue;
        }
        let most = given.number('n')?.unwrap_or(10);
        let mut lines = Lines::of(input).await;
        for _ in 0..most {
            let Some(line) = lines.next().await? else { break };
            call.context.out.line(&line).await?;
        }
    }
    Ok(0)
}

/// `tail`
pub async fn tail(call: &Call) -> Ended {
    let given = counted(call)?;
    let inputs = call.inputs(&given.words)?;
    for (name, input) in &inputs {
        title(call, &inputs, name).await?;
        if let Some(most) = given.number('c')? {
            let bytes = read_all(input).await?;
            call.context.out.write(bytes[bytes.len().saturating_sub(most)..].to_vec()).await?;
            continue;
        }
        let text = given.value('n').unwrap_or("10");
        let number =
            |text: &str| text.parse::<usize>().map_err(|_| Fault::Said(format!("-n takes a number, not {text:?}")));
        let mut lines = Lines::of(input).await;
        if let Some(first) = text.strip_prefix('+') {
            let first = number(first)?;
            let mut at = 0;
            while let Some(line) = lines.next().await? {
                at += 1;
                if at >= first {
                    call.context.out.line(&line).await?;
                }
            }
            continue;
        }
        let most = number(text)?;
        let mut last = VecDeque::new();
        while let Some(line) = lines.next().await? {
            last.push_back(line);
            if last.len() > most {
                last.pop_front();
            }
        }
        for line in last {
            call.context.out.line(&line).await?;
        }
    }
    Ok(0)
}

async fn title(call: &Call, inputs: &[(String, In)], name: &str) -> Result<(), Fault> {
    match inputs.len() {
        0 | 1 => Ok(()),
        _ => call.context.out.line(format!("==> {name} <==").as_bytes()).await,
    }
}

/// `wc`
pub async fn wc(call: &Call) -> Ended {
    let given = call.given("lwcm", &[("lines", 'l'), ("words", 'w'), ("bytes", 'c')])?;
    let chosen: Vec<char> = "lwcm".chars().filter(|flag| given.is(*flag)).collect();
    let chosen = if chosen.is_empty() { vec!['l', 'w', 'c'] } else { chosen };
    let inputs = call.inputs(&given.words)?;
    let mut sums = vec![0; chosen.len()];
    let alone = chosen.len() == 1;
    let show = |counts: &[usize], name: &str| {
        let numbers: Vec<String> =
            counts.iter().map(|count| if alone { count.to_string() } else { format!("{count:7}") }).collect();
        format!("{}{}", numbers.join(" "), if name == "-" { String::new() } else { format!(" {name}") })
    };
    for (name, input) in &inputs {
        let mut counts = [0; 4];
        let (mut reader, mut buffer, mut in_word) = (input.lock().await, vec![0; 8192], false);
        loop {
            let count = reader.read(&mut buffer).await?;
            if count == 0 {
                break;
            }
            counts[2] += count;
            for byte in &buffer[..count] {
                counts[0] += usize::from(*byte == b'\n');
                counts[1] += usize::from(!byte.is_ascii_whitespace() && !in_word);
                counts[3] += usize::from(byte & 0xc0 != 0x80);
                in_word = !byte.is_ascii_whitespace();
            }
        }
        let counts: Vec<usize> = chosen.iter().map(|flag| counts["lwcm".find(*flag).unwrap_or(0)]).collect();
        sums.iter_mut().zip(&counts).for_each(|(sum, count)| *sum += count);
        call.context.out.line(show(&counts, name).as_bytes()).await?;
    }
    if inputs.len() > 1 {
        call.context.out.line(show(&sums, "total").as_bytes()).await?;
    }
    Ok(0)
}

/// `tee`
pub async fn tee(call: &Call) -> Ended {
    let given = call.given("a", &[])?;
    let mut kept = Vec::new();
    let mut reader = call.context.stdin.lock().await;
    let mut buffer = vec![0; 8192];
    loop {
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        if kept.len() <= super::super::home::LONGEST_FILE {
            kept.extend_from_slice(&buffer[..count]);
        }
        call.context.out.write(buffer[..count].to_vec()).await?;
    }
    for name in &given.words {
        let inside = Home::inside(&call.context.state.lock().folder, name);
        let mut whole =
            if given.is('a') { call.context.world.home.read(&inside).unwrap_or_default() } else { Vec::new() };
        whole.extend_from_slice(&kept);
        call.context.world.home.write(&inside, &whole).map_err(|fault| Fault::Said(format!("{name}: {fault}")))?;
    }
    Ok(0)
}
