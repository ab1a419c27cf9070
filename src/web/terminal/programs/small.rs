//! `echo`, `printf`, `date`, `sleep`, `seq`, `test`, `export`, `env`, `base64`, `xargs`, `clear`, `help`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::pipes::{Chunk, Ended, Fault, read_all};
use super::super::syntax::is_name;
use super::{Call, PROGRAMS};
use crate::kubectl::session::FileKind;

/// The most numbers `seq` counts.
const MOST_NUMBERS: usize = 1_000_000;

/// `echo`
pub async fn echo(call: &Call) -> Ended {
    let mut words = &call.arguments[..];
    let (mut newline, mut escapes) = (true, false);
    while let Some((flag, rest)) = words.split_first() {
        match flag.as_str() {
            "-n" => newline = false,
            "-e" => escapes = true,
            "-ne" | "-en" => (newline, escapes) = (false, true),
            _ => break,
        }
        words = rest;
    }
    let mut text = words.join(" ");
    if escapes {
        text = escaped(&text);
    }
    if newline {
        text.push('\n');
    }
    call.context.out.write(text).await?;
    Ok(0)
}

/// `\n`, `\t`, `\\`
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, if letter == '\\' { letters.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('\\')) => out.push('\\'),
            ('\\', Some(other)) => out.extend(['\\', other]),
            (letter, _) => out.push(letter),
        }
    }
    out
}

/// `printf`: `%s`, `%d` and `%%`.
pub async fn printf(call: &Call) -> Ended {
    let Some((form, words)) = call.arguments.split_first() else { return Err(Fault::Said("a form is missing".into())) };
    let mut words = words.iter().peekable();
    loop {
        let mut out = String::new();
        let mut letters = form.chars();
        let mut used = false;
        while let Some(letter) = letters.next() {
            match (letter, if letter == '%' { letters.next() } else { None }) {
                ('%', Some('%')) => out.push('%'),
                ('%', Some('s' | 'd' | 'i')) => {
                    used = true;
                    out.push_str(words.next().map_or("", String::as_str));
                }
                ('%', other) => return Err(Fault::Said(format!("%{} is not built in", other.unwrap_or(' ')))),
                (letter, _) => out.push(letter),
            }
        }
        call.context.out.write(escaped(&out)).await?;
        if !used || words.peek().is_none() {
            return Ok(0);
        }
    }
}

/// `date`
pub async fn date(call: &Call) -> Ended {
    let now = call.context.world.clock.now().to_zoned(jiff::tz::TimeZone::UTC);
    let form =
        call.arguments.iter().find_map(|argument| argument.strip_prefix('+')).unwrap_or("%a %b %e %H:%M:%S UTC %Y");
    let text = jiff::fmt::strtime::format(form, &now).map_err(|fault| Fault::Said(fault.to_string()))?;
    call.context.out.line(text.as_bytes()).await?;
    Ok(0)
}

/// `5`, `0.5`, `5s`, `2m`, `1h`
pub fn seconds(text: &str) -> Result<Duration, Fault> {
    let unit = match text.chars().last() {
        Some('m') => 60.0,
        Some('h') => 3600.0,
        _ => 1.0,
    };
    let number = text.trim_end_matches(['s', 'm', 'h']).parse::<f64>().ok();
    let time = number.and_then(|number| Duration::try_from_secs_f64(number * unit).ok());
    time.ok_or_else(|| Fault::Said(format!("{text:?} is no time")))
}

/// `sleep`
pub async fn sleep(call: &Call) -> Ended {
    let [text] = &call.arguments[..] else { return Err(Fault::Said("say how long: sleep 5".into())) };
    call.context.world.clock.sleep(seconds(text)?).await;
    Ok(0)
}

/// Bytes that `seq` gathers before it writes them.
const BUFFERED: usize = 8 * 1024;

/// `seq`
pub async fn seq(call: &Call) -> Ended {
    let numbers: Option<Vec<i64>> = call.arguments.iter().map(|text| text.parse().ok()).collect();
    let (first, step, last) = match numbers.as_deref() {
        Some([last]) => (1, 1, *last),
        Some([first, last]) => (*first, 1, *last),
        Some([first, step, last]) if *step != 0 => (*first, *step, *last),
        _ => return Err(Fault::Said("say up to where: seq 5".into())),
    };
    let mut at = first;
    // Many numbers to a write: the page draws a few writes in a frame.
    let mut text = String::new();
    for _ in 0..MOST_NUMBERS {
        if (step > 0 && at > last) || (step < 0 && at < last) {
            break;
        }
        text.push_str(&format!("{at}\n"));
        if text.len() > BUFFERED {
            call.context.out.write(std::mem::take(&mut text)).await?;
        }
        at = at.saturating_add(step);
    }
    call.context.out.write(text).await?;
    Ok(0)
}

/// `test` and `[`
pub async fn test(call: &Call) -> Ended {
    let words: Vec<&str> = call.arguments.iter().map(String::as_str).collect();
    let words = words.strip_suffix(&["]"]).unwrap_or(&words);
    Ok(i32::from(!holds(call, words)?))
}

fn holds(call: &Call, words: &[&str]) -> Result<bool, Fault> {
    let kind = |path: &str| {
        let inside = super::super::home::Home::inside(&call.context.state.lock().folder, path);
        call.context.world.home.kind(&inside)
    };
    let number = |text: &str| text.parse::<i64>().map_err(|_| Fault::Said(format!("{text:?} is no number")));
    Ok(match words {
        [] => false,
        ["!", rest @ ..] => !holds(call, rest)?,
        [word] => !word.is_empty(),
        ["-n", word] => !word.is_empty(),
        ["-z", word] => word.is_empty(),
        ["-f", path] => kind(path) == Some(FileKind::File),
        ["-d", path] => kind(path) == Some(FileKind::Folder),
        ["-e", path] => kind(path).is_some(),
        [a, "=" | "==", b] => a == b,
        [a, "!=", b] => a != b,
        [a, "-eq", b] => number(a)? == number(b)?,
        [a, "-ne", b] => number(a)? != number(b)?,
        [a, "-lt", b] => number(a)? < number(b)?,
        [a, "-le", b] => number(a)? <= number(b)?,
        [a, "-gt", b] => number(a)? > number(b)?,
        [a, "-ge", b] => number(a)? >= number(b)?,
        other => return Err(Fault::Said(format!("{:?} is not built in", other.join(" ")))),
    })
}

/// `export`
pub async fn export(call: &Call) -> Ended {
    for word in &call.arguments {
        let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        if !is_name(name) {
            return Err(Fault::Said(format!("{name:?} cannot name a variable")));
        }
        if let Some(value) = value {
            call.context.state.lock().variables.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(0)
}

/// `env`
pub async fn env(call: &Call) -> Ended {
    let variables = call.context.state.lock().variables.clone();
    for (name, value) in variables {
        call.context.out.line(format!("{name}={value}").as_bytes()).await?;
    }
    Ok(0)
}

/// `base64`
pub async fn base64(call: &Call) -> Ended {
    let given = call.given("dDw:", &[("decode", 'd'), ("wrap", 'w')])?;
    for (_, input) in call.inputs(&given.words)? {
        let bytes = read_all(&input).await?;
        if given.is('d') || given.is('D') {
            let text: Vec<u8> = bytes.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let read = STANDARD.decode(text).map_err(|_| Fault::Said("it is not base64".into()))?;
            call.context.out.write(read).await?;
            continue;
        }
        let text = STANDARD.encode(bytes);
        let width = given.number('w')?.unwrap_or(76);
        for line in text.as_bytes().chunks(if width == 0 { text.len().max(1) } else { width }) {
            call.context.out.line(line).await?;
        }
    }
    Ok(0)
}

/// `xargs`
pub async fn xargs(call: &Call) -> Ended {
    let named = call.arguments.iter().position(|word| !word.starts_with('-')).unwrap_or(call.arguments.len());
    // A flag's value may stand apart from it.
    let named = match call.arguments.get(named.wrapping_sub(1)).map(String::as_str) {
        Some("-n" | "-I" | "-L") => (named + 1).min(call.arguments.len()),
        _ => named,
    };
    let flags = Call { arguments: call.arguments[..named].to_vec(), context: call.context.clone() };
    let given = flags.given("n:I:L:rt", &[])?;
    let command = &call.arguments[named..];
    let (name, first) = match command.split_first() {
        Some((name, first)) => (name.as_str(), first.to_vec()),
        None => ("echo", Vec::new()),
    };
    let text = String::from_utf8_lossy(&read_all(&call.context.stdin).await?).into_owned();
    let mut here = call.context.clone();
    (here.stdin, here.typed) = (super::super::pipes::input(Vec::new()), false);
    let mut code = 0;
    if let Some(place) = given.value('I') {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let words: Vec<String> = first.iter().map(|word| word.replace(place, line.trim())).collect();
            code = here.program(name, &words).await?.max(code);
        }
        return Ok(code);
    }
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return Ok(0);
    }
    let many = given.number('n')?.or(given.number('L')?).unwrap_or(words.len()).max(1);
    for some in words.chunks(many) {
        code = Box::pin(here.program(name, &[first.clone(), some.to_vec()].concat())).await?.max(code);
    }
    Ok(code)
}

/// `true`
pub async fn yes(_: &Call) -> Ended {
    Ok(0)
}

/// `false`
pub async fn no(_: &Call) -> Ended {
    Ok(1)
}

/// `clear`
pub async fn clear(call: &Call) -> Ended {
    call.context.out.send(Chunk::Clear).await?;
    Ok(0)
}

/// `help`
pub async fn help(call: &Call) -> Ended {
    if let Some(name) = call.arguments.first() {
        let program = super::find(name).ok_or_else(|| Fault::Said(format!("there is no {name} here")))?;
        let text = format!("{}\n\n  {name} {}\n", program.about, program.usage);
        call.context.out.write(text).await?;
        return Ok(0);
    }
    let width = PROGRAMS.iter().map(|program| program.name.len()).max().unwrap_or(0);
    let mut text =
        String::from("This terminal runs tutor's own commands; none of them is a program of your machine.\n\n");
    for program in PROGRAMS {
        text.push_str(&format!("  {:width$}  {}\n", program.name, program.about));
    }
    text.push_str("\nBetween them: |  &&  ||  ;  >  >>  <  2>&1  <<EOF  $NAME  $(command)  for  while  if\n");
    text.push_str(
        "Keys: Tab completes, Up and Down walk through what you typed, Ctrl-C stops, Ctrl-L empties the screen.\n",
    );
    call.context.out.write(text).await?;
    Ok(0)
}
