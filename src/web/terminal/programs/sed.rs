//! `sed`: the commands `s`, `p`, `d`, `q`, `=` with line numbers, `$` and `/patterns/` before them.

use regex::bytes::{Captures, Regex};

use super::super::pipes::{Ended, Fault, Lines};
use super::Call;
use super::lines::pattern;

/// Which lines a command is for.
enum Address {
    Line(usize),
    Last,
    Fits(Regex),
}

/// What is done with a line.
enum Action {
    Substitute { what: Regex, with: Vec<u8>, all: bool, nth: usize, print: bool },
    Print,
    Delete,
    Quit,
    Number,
}

struct Command {
    from: Option<Address>,
    to: Option<Address>,
    negated: bool,
    action: Action,
    /// Between its first and its last line.
    inside: bool,
}

/// `sed`
pub async fn sed(call: &Call) -> Ended {
    let letters = |word: &str| {
        word.strip_prefix('-').is_some_and(|letters| letters.trim_start_matches(['n', 'E', 'r', 's']).starts_with('i'))
    };
    let in_place = |word: &String| word.starts_with("--in-place") || letters(word);
    if call.arguments.iter().take_while(|word| *word != "--").any(in_place) {
        return Err(Fault::Said(
            "-i is not built in: sed SCRIPT FILE > new; mv new FILE changes a file, edit FILE opens it in the editor"
                .into(),
        ));
    }
    let mut given = call.given("nErse:", &[("quiet", 'n'), ("regexp-extended", 'E'), ("expression", 'e')])?;
    let mut script: Vec<String> = given.values('e').map(str::to_owned).collect();
    if script.is_empty() {
        if given.words.is_empty() {
            return Err(Fault::Said("a script is missing: sed 's/this/that/'".into()));
        }
        script.push(given.words.remove(0));
    }
    let extended = given.is('E') || given.is('r');
    let mut commands = Parser { rest: &script.join("\n"), extended }.commands()?;
    let mut number = 0;
    for (_, input) in call.inputs(&given.words)? {
        let mut lines = Lines::of(&input).await;
        let mut next = lines.next().await?;
        while let Some(mut line) = next.take() {
            next = lines.next().await?;
            number += 1;
            let (mut deleted, mut quits) = (false, false);
            for command in &mut commands {
                if !command.is_for(&line, number, next.is_none()) {
                    continue;
                }
                match &command.action {
                    Action::Print => call.context.out.line(&line).await?,
                    Action::Number => call.context.out.line(number.to_string().as_bytes()).await?,
                    Action::Delete => deleted = true,
                    Action::Quit => quits = true,
                    Action::Substitute { what, with, all, nth, print } => {
                        let replaced = substitute(&line, what, with, *all, *nth);
                        if let Some(replaced) = replaced {
                            line = replaced;
                            if *print {
                                call.context.out.line(&line).await?;
                            }
                        }
                    }
                }
                if deleted || quits {
                    break;
                }
            }
            if !deleted && !given.is('n') {
                call.context.out.line(&line).await?;
            }
            if quits {
                return Ok(0);
            }
        }
    }
    Ok(0)
}

impl Command {
    fn is_for(&mut self, line: &[u8], number: usize, last: bool) -> bool {
        let fits = |address: &Address| match address {
            Address::Line(wanted) => *wanted == number,
            Address::Last => last,
            Address::Fits(pattern) => pattern.is_match(line),
        };
        let chosen = match (&self.from, &self.to) {
            (None, _) => true,
            (Some(from), None) => fits(from),
            (Some(from), Some(to)) => {
                if self.inside {
                    self.inside = !fits(to) && !matches!(to, Address::Line(wanted) if *wanted <= number);
                    true
                } else {
                    let begins = fits(from);
                    self.inside = begins && !matches!(to, Address::Line(wanted) if *wanted <= number);
                    begins
                }
            }
        };
        chosen != self.negated
    }
}

fn substitute(line: &[u8], what: &Regex, with: &[u8], all: bool, nth: usize) -> Option<Vec<u8>> {
    let (mut out, mut end, mut count, mut changed) = (Vec::new(), 0, 0, false);
    for found in what.captures_iter(line) {
        count += 1;
        let Some(whole) = found.get(0) else { continue };
        if count < nth {
            continue;
        }
        out.extend_from_slice(&line[end..whole.start()]);
        expand(with, &found, &mut out);
        end = whole.end();
        changed = true;
        if !all {
            break;
        }
    }
    out.extend_from_slice(&line[end..]);
    changed.then_some(out)
}

/// Puts in `&` and `\1`.
fn expand(with: &[u8], found: &Captures<'_>, out: &mut Vec<u8>) {
    let group = |number: usize| found.get(number).map_or(&b""[..], |group| group.as_bytes());
    let mut letters = with.iter();
    while let Some(letter) = letters.next() {
        match letter {
            b'&' => out.extend_from_slice(group(0)),
            b'\\' => match letters.next() {
                Some(digit @ b'0'..=b'9') => out.extend_from_slice(group(usize::from(digit - b'0'))),
                Some(b'n') => out.push(b'\n'),
                Some(b't') => out.push(b'\t'),
                Some(other) => out.push(*other),
                None => {}
            },
            letter => out.push(*letter),
        }
    }
}

struct Parser<'t> {
    rest: &'t str,
    extended: bool,
}

impl Parser<'_> {
    fn commands(mut self) -> Result<Vec<Command>, Fault> {
        let mut commands = Vec::new();
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', ';']);
            if self.rest.is_empty() {
                return Ok(commands);
            }
            let from = self.address()?;
            let to = if from.is_some() && self.take(',') { self.address()? } else { None };
            self.rest = self.rest.trim_start();
            let negated = self.take('!');
            let action = self.action()?;
            commands.push(Command { from, to, negated, action, inside: false });
        }
    }

    fn take(&mut self, letter: char) -> bool {
        let rest = self.rest.strip_prefix(letter);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn address(&mut self) -> Result<Option<Address>, Fault> {
        self.rest = self.rest.trim_start();
        if self.take('$') {
            return Ok(Some(Address::Last));
        }
        if self.take('/') {
            let text = self.until('/')?;
            let ignore_case = self.take('I');
            return Ok(Some(Address::Fits(pattern(&text, self.extended, ignore_case)?)));
        }
        let end = self.rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(self.rest.len());
        let number = self.rest[..end].parse().ok().map(Address::Line);
        self.rest = &self.rest[end..];
        Ok(number)
    }

    /// Up to a letter that no backslash stands before.
    fn until(&mut self, end: char) -> Result<String, Fault> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            if letter == end {
                self.rest = &self.rest[at + letter.len_utf8()..];
                return Ok(text);
            }
            if letter == '\\' {
                match letters.next() {
                    Some((_, next)) if next == end => text.push(next),
                    Some((_, next)) => text.extend(['\\', next]),
                    None => break,
                }
                continue;
            }
            text.push(letter);
        }
        Err(Fault::Said(format!("the script ends before {end:?}")))
    }

    fn action(&mut self) -> Result<Action, Fault> {
        let letter = self.rest.chars().next().unwrap_or(' ');
        self.rest = &self.rest[letter.len_utf8().min(self.rest.len())..];
        match letter {
            'p' => Ok(Action::Print),
            'd' => Ok(Action::Delete),
            'q' => Ok(Action::Quit),
            '=' => Ok(Action::Number),
            's' => {
                let end =
                    self.rest.chars().next().ok_or_else(|| Fault::Said("s needs a pattern: s/this/that/".into()))?;
                self.rest = &self.rest[end.len_utf8()..];
                let (what, with) = (self.until(end)?, self.until(end)?);
                let (mut all, mut print, mut ignore_case, mut nth) = (false, false, false, 1);
                while let Some(flag) = self.rest.chars().next().filter(|flag| !matches!(flag, ';' | '\n' | ' ' | '}')) {
                    match flag {
                        'g' => all = true,
                        'p' => print = true,
                        'i' | 'I' => ignore_case = true,
                        digit => match digit.to_digit(10) {
                            Some(digit) => nth = digit as usize,
                            None => return Err(Fault::Said(format!("s has no flag {flag:?} here"))),
                        },
                    }
                    self.rest = &self.rest[flag.len_utf8()..];
                }
                let what = pattern(&what, self.extended, ignore_case)?;
                Ok(Action::Substitute { what, with: with.into_bytes(), all, nth, print })
            }
            other => Err(Fault::Said(format!("the command {other:?} is not built in; s, p, d, q and = are"))),
        }
    }
}
