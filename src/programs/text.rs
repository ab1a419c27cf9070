//! `echo`, `printf`, `test`, `seq`: text in, text or a verdict out.

use std::path::Path;

use super::{complain, print};

/// What `echo` prints.
pub fn echo(words: &[String]) -> String {
    let (mut words, mut newline, mut escapes) = (words, true, false);
    while let Some((first, rest)) = words.split_first() {
        let is_option = first.len() > 1 && first.starts_with('-') && first[1..].chars().all(|c| "neE".contains(c));
        if !is_option {
            break;
        }
        newline &= !first.contains('n');
        escapes |= first.contains('e');
        words = rest;
    }
    let text = words.join(" ");
    let text = if escapes { unescape(&text) } else { text };
    if newline { text + "\n" } else { text }
}

fn unescape(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text.chars());
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('e' | 'E') => out.push('\u{1b}'),
            Some('\\') => out.push('\\'),
            Some(digit @ '0'..='7') => {
                // `\0nnn` or `\nnn`.
                let most = if digit == '0' { 3 } else { 2 };
                let more: String = rest.as_str().chars().take(most).take_while(|c| ('0'..='7').contains(c)).collect();
                let code = u32::from_str_radix(&format!("{digit}{more}"), 8).unwrap_or(0);
                out.extend(char::from_u32(code));
                rest = rest.as_str()[more.len()..].chars();
            }
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

/// What `printf` prints: the format again and again until no argument is left.
///
/// # Errors
/// A format that is not known, a number that is none.
pub fn printf(words: &[String]) -> Result<String, String> {
    let Some((format, mut arguments)) = words.split_first() else { return Err("a format is missing".to_owned()) };
    let mut out = String::new();
    loop {
        let before = arguments.len();
        format_once(&unescape(format), &mut arguments, &mut out)?;
        if arguments.is_empty() || arguments.len() == before {
            return Ok(out);
        }
    }
}

fn format_once(format: &str, arguments: &mut &[String], out: &mut String) -> Result<(), String> {
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(|c: char| c.is_ascii_alphabetic() || c == '%').ok_or("%: invalid format")?;
        let (flags, kind) = (&rest[..end], rest[end..].chars().next().unwrap_or('%'));
        rest = &rest[end + kind.len_utf8()..];
        if kind == '%' {
            out.push('%');
            continue;
        }
        let argument = match arguments.split_first() {
            Some((first, more)) => {
                *arguments = more;
                first.as_str()
            }
            None => "",
        };
        let number = || match argument.trim() {
            "" => Ok(0),
            text => text.parse::<i64>().map_err(|_| format!("{text}: invalid number")),
        };
        let (size, precision) =
            flags.split_once('.').map_or((flags, None), |(size, digits)| (size, digits.parse::<usize>().ok()));
        let text: String = match kind {
            's' => argument.chars().take(precision.unwrap_or(usize::MAX)).collect(),
            'b' => unescape(argument),
            'c' => argument.chars().take(1).collect(),
            'd' | 'i' | 'u' => number()?.to_string(),
            'x' => format!("{:x}", number()?),
            'X' => format!("{:X}", number()?),
            'o' => format!("{:o}", number()?),
            'f' | 'g' | 'e' => {
                let value: f64 = if argument.is_empty() {
                    0.0
                } else {
                    argument.parse().map_err(|_| format!("{argument}: invalid number"))?
                };
                format!("{value:.*}", precision.unwrap_or(6))
            }
            other => return Err(format!("%{other}: invalid format")),
        };
        let left = size.starts_with('-');
        let zeros = !left && size.starts_with('0') && !matches!(kind, 's' | 'b' | 'c');
        let width = size.trim_start_matches(['-', '0', '+', ' ']).parse::<usize>().unwrap_or(0);
        let pad = width.saturating_sub(text.chars().count());
        match (left, zeros) {
            (true, _) => out.push_str(&(text + &" ".repeat(pad))),
            (false, true) => out.push_str(&("0".repeat(pad) + &text)),
            (false, false) => out.push_str(&(" ".repeat(pad) + &text)),
        }
    }
    out.push_str(rest);
    Ok(())
}

/// The verdict of `test` and `[`; `words[0]` is which.
///
/// # Errors
/// What makes no sense.
pub fn test(words: &[String], cwd: &Path) -> Result<bool, String> {
    let mut rest: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    if words[0].ends_with('[') && rest.pop() != Some("]") {
        return Err("missing ]".to_owned());
    }
    let mut at = 0;
    let verdict = either(&rest, &mut at, cwd)?;
    if at < rest.len() { Err(format!("{}: unknown operand", rest[at])) } else { Ok(verdict) }
}

fn either(words: &[&str], at: &mut usize, cwd: &Path) -> Result<bool, String> {
    let mut verdict = both(words, at, cwd)?;
    while words.get(*at) == Some(&"-o") {
        *at += 1;
        verdict |= both(words, at, cwd)?;
    }
    Ok(verdict)
}

fn both(words: &[&str], at: &mut usize, cwd: &Path) -> Result<bool, String> {
    let mut verdict = one(words, at, cwd)?;
    while words.get(*at) == Some(&"-a") {
        *at += 1;
        verdict &= one(words, at, cwd)?;
    }
    Ok(verdict)
}

fn one(words: &[&str], at: &mut usize, cwd: &Path) -> Result<bool, String> {
    match &words[*at..] {
        [] => Ok(false),
        [left, operator, right, ..] if is_binary(operator) => {
            *at += 3;
            binary(left, operator, right)
        }
        ["!", _, ..] => {
            *at += 1;
            one(words, at, cwd).map(|verdict| !verdict)
        }
        [operator, operand, ..] if operator.len() == 2 && operator.starts_with('-') => {
            *at += 2;
            unary(operator, operand, cwd)
        }
        [text, ..] => {
            *at += 1;
            Ok(!text.is_empty())
        }
    }
}

fn is_binary(operator: &str) -> bool {
    matches!(operator, "=" | "==" | "!=" | "<" | ">" | "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge")
}

fn binary(left: &str, operator: &str, right: &str) -> Result<bool, String> {
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("{text}: bad number"));
    Ok(match operator {
        "=" | "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        ">" => left > right,
        "-eq" => number(left)? == number(right)?,
        "-ne" => number(left)? != number(right)?,
        "-lt" => number(left)? < number(right)?,
        "-le" => number(left)? <= number(right)?,
        "-gt" => number(left)? > number(right)?,
        _ => number(left)? >= number(right)?,
    })
}

fn unary(operator: &str, operand: &str, cwd: &Path) -> Result<bool, String> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let path = cwd.join(operand);
    let found = std::fs::metadata(&path).ok();
    let access = |how: rustix::fs::Access| rustix::fs::access(&path, how).is_ok();
    Ok(match operator {
        "-z" => operand.is_empty(),
        "-n" => !operand.is_empty(),
        "-e" => found.is_some(),
        "-f" => found.is_some_and(|it| it.is_file()),
        "-d" => found.is_some_and(|it| it.is_dir()),
        "-s" => found.is_some_and(|it| it.size() > 0),
        "-S" => found.is_some_and(|it| it.file_type().is_socket()),
        "-p" => found.is_some_and(|it| it.file_type().is_fifo()),
        "-L" | "-h" => std::fs::symlink_metadata(&path).is_ok_and(|it| it.is_symlink()),
        "-r" => access(rustix::fs::Access::READ_OK),
        "-w" => access(rustix::fs::Access::WRITE_OK),
        "-x" => access(rustix::fs::Access::EXEC_OK),
        other => return Err(format!("{other}: unknown operator")),
    })
}

pub(super) fn main_echo(arguments: &[String]) -> i32 {
    i32::from(print(&echo(&arguments[1..])).is_err())
}

pub(super) fn main_printf(arguments: &[String]) -> i32 {
    match printf(&arguments[1..]) {
        Ok(text) => i32::from(print(&text).is_err()),
        Err(why) => complain("printf", &why),
    }
}

pub(super) fn main_test(arguments: &[String]) -> i32 {
    match test(arguments, Path::new("")) {
        Ok(verdict) => i32::from(!verdict),
        Err(why) => complain("test", &why) + 1,
    }
}

pub(super) fn seq(arguments: &[String]) -> i32 {
    let numbers: Option<Vec<i64>> = arguments[1..].iter().map(|word| word.parse().ok()).collect();
    let (from, step, to) = match numbers.as_deref() {
        Some([to]) => (1, 1, *to),
        Some([from, to]) => (*from, 1, *to),
        Some([from, step, to]) if *step != 0 => (*from, *step, *to),
        _ => return complain("seq", "usage: seq [FIRST [STEP]] LAST"),
    };
    let mut at = from;
    while if step > 0 { at <= to } else { at >= to } {
        if print(&format!("{at}\n")).is_err() {
            return 1;
        }
        at += step;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn echo_and_printf_write_what_posix_says() {
        for (given, printed) in
            [("a b", "a b\n"), ("-n a", "a"), ("-e a\\tb\\0101", "a\tbA\n"), ("-x", "-x\n"), ("a\\n", "a\\n\n")]
        {
            assert_eq!(echo(&words(given)), printed);
        }
        for (given, printed) in [
            ("%s-%d\\n a 7", "a-7\n"),
            ("%03d|%-3s| 5 x", "005|x  |"),
            ("%s, a b", "a,b,"),
            ("%.2f 1.239", "1.24"),
            ("100%%", "100%"),
        ] {
            assert_eq!(printf(&words(given)), Ok(printed.to_owned()), "{given}");
        }
        assert!(printf(&words("%d x")).is_err());
    }

    #[test]
    fn test_gives_its_verdict() {
        for (given, verdict) in [
            ("[ a = a ]", true),
            ("[ 3 -lt 20 ]", true),
            ("[ ! -e /no/such ]", true),
            ("[ -d / -a -n x ]", true),
            ("[ -z x -o 1 -eq 1 ]", true),
            ("[ x ]", true),
            ("[ ]", false),
            ("test -f /", false),
        ] {
            assert_eq!(test(&words(given), Path::new("/")), Ok(verdict), "{given}");
        }
        for given in ["[ a = a", "[ a -lt 3 ]", "[ a b ]"] {
            assert!(test(&words(given), Path::new("/")).is_err(), "{given}");
        }
    }
}
