//! Flags as kubectl reads them: `-o yaml`, `-oyaml`, `-o=yaml`, `--output=yaml`, `-it`, `--watch=false`.
//!
//! In: a command's flag table and the words behind its name. Out: the flags' values and the arguments, or
//! the words of Go's pflag about what is wrong.

use std::collections::HashMap;
use std::time::Duration;

use super::failure::{Failure, Result, quote};
use super::kuberc::Plugins;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Nothing, or `=true`/`=false`.
    Bool(bool),
    /// One text; the last one holds.
    Text(&'static str),
    /// A whole number.
    Int(i64),
    /// A Go duration: `1m30s`; `0` and `0s` are none.
    Duration(&'static str),
    /// Texts; a comma separates them.
    List,
    /// Texts, each given by a flag of its own; commas belong to them.
    Array,
    /// `key=value` pairs; a comma separates them.
    Pairs,
    /// One text with a default, and another default when the flag stands bare (`--dry-run`).
    Optional(&'static str, &'static str),
}

/// One flag of a command.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Its long name.
    pub name: &'static str,
    /// Its letter; `'\0'` for none.
    pub short: char,
    /// What it takes.
    pub kind: Kind,
    /// One line for `--help`.
    pub help: &'static str,
}

/// A flag with a long name only.
pub const fn long(name: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag { name, short: '\0', kind, help }
}

/// A flag with a letter too.
pub const fn short(name: &'static str, letter: char, kind: Kind, help: &'static str) -> Flag {
    Flag { name, short: letter, kind, help }
}

/// The flags and arguments of one call.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    known: Vec<Flag>,
    given: HashMap<&'static str, Vec<String>>,
    /// The arguments.
    pub arguments: Vec<String>,
    /// How many arguments stood before `--`, when there was one.
    pub before_dash: Option<usize>,
    /// The command asks for its client before its namespace: a context that is not there is told in other
    /// words then.
    pub client_first: bool,
    /// Which programs may be run to log in.
    pub plugins: Plugins,
}

impl Flags {
    /// No flags yet, of those known.
    pub fn of(known: Vec<Flag>) -> Flags {
        Flags { known, ..Flags::default() }
    }

    /// Reads the words behind a command's name.
    ///
    /// # Errors
    /// In pflag's words, without the `See …` line.
    pub fn parse(&mut self, words: &[String]) -> std::result::Result<(), String> {
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if self.before_dash.is_some() {
                self.arguments.push(word.clone());
            } else if word == "--" {
                self.before_dash = Some(self.arguments.len());
            } else if let Some(flag) = word.strip_prefix("--") {
                self.long_flag(word, flag, &mut rest)?;
            } else if word.len() > 1 && word.starts_with('-') {
                self.short_flags(word, &mut rest)?;
            } else {
                self.arguments.push(word.clone());
            }
        }
        Ok(())
    }

    fn long_flag<'a>(
        &mut self,
        word: &str,
        flag: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> std::result::Result<(), String> {
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("bad flag syntax: {word}"));
        }
        let name = name.replace('_', "-");
        let Some(found) = self.known.iter().find(|known| known.name == name).copied() else {
            return Err(format!("unknown flag: --{name}"));
        };
        let value = match (value, bare(found.kind)) {
            (Some(value), _) => value,
            (None, Some(bare)) => bare.to_owned(),
            (None, None) => rest.next().cloned().ok_or_else(|| format!("flag needs an argument: --{name}"))?,
        };
        self.set(found, value)
    }

    fn short_flags<'a>(
        &mut self,
        word: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> std::result::Result<(), String> {
        let mut letters = &word[1..];
        while let Some(letter) = letters.chars().next() {
            let after = &letters[letter.len_utf8()..];
            let Some(found) = self.known.iter().find(|known| known.short == letter).copied() else {
                return Err(format!("unknown shorthand flag: {} in -{letters}", quote_letter(letter)));
            };
            // A `=` with nothing behind it is itself the value.
            if let Some(value) = after.strip_prefix('=').filter(|value| !value.is_empty()) {
                return self.set(found, value.to_owned());
            }
            match bare(found.kind) {
                Some(value) => {
                    self.set(found, value.to_owned())?;
                    letters = after;
                }
                None if !after.is_empty() => return self.set(found, after.to_owned()),
                None => {
                    let value = rest.next().cloned();
                    let value = value
                        .ok_or_else(|| format!("flag needs an argument: {} in -{letters}", quote_letter(letter)))?;
                    return self.set(found, value);
                }
            }
        }
        Ok(())
    }

    /// Gives a flag a value before the words are read.
    ///
    /// # Errors
    /// When it takes no such value, in pflag's words.
    pub fn preset(&mut self, name: &str, value: &str) -> std::result::Result<(), String> {
        let found = self.known.iter().find(|flag| flag.name == name).copied();
        let found = found.ok_or_else(|| format!("no such flag -{name}"))?;
        self.set(found, value.to_owned())
    }

    /// Gives a flag a value, as the command line would.
    fn set(&mut self, flag: Flag, value: String) -> std::result::Result<(), String> {
        let shown = match flag.short {
            '\0' => format!("--{}", flag.name),
            letter => format!("-{letter}, --{}", flag.name),
        };
        check(flag.kind, &value)
            .map_err(|why| format!("invalid argument {} for {} flag: {why}", quote(&value), quote(&shown)))?;
        let values = self.given.entry(flag.name).or_default();
        match flag.kind {
            Kind::List | Kind::Pairs => values.extend(split_list(&value)),
            Kind::Array => values.push(value),
            _ => *values = vec![value],
        }
        Ok(())
    }

    fn known(&self, name: &str) -> Option<Kind> {
        self.known.iter().find(|flag| flag.name == name).map(|flag| flag.kind)
    }

    /// Whether the flag was given.
    pub fn given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// A flag's text: the last one given, else its default; empty for a flag the command does not have.
    pub fn text(&self, name: &str) -> &str {
        match (self.given.get(name).and_then(|values| values.last()), self.known(name)) {
            (Some(value), _) => value,
            (None, Some(Kind::Text(default) | Kind::Optional(default, _) | Kind::Duration(default))) => default,
            _ => "",
        }
    }

    /// The text of a flag that every command takes; empty where the command gives the name another sense.
    pub fn global(&self, name: &str) -> &str {
        if matches!(self.known(name), Some(Kind::Text(_))) { self.text(name) } else { "" }
    }

    /// A flag's text when it was given.
    pub fn some(&self, name: &str) -> Option<&str> {
        self.given.get(name)?.last().map(String::as_str)
    }

    /// Whether a flag is on.
    pub fn is(&self, name: &str) -> bool {
        match (self.given.get(name).and_then(|values| values.last()), self.known(name)) {
            (Some(value), _) => parse_bool(value).unwrap_or(false),
            (None, Some(Kind::Bool(default))) => default,
            _ => false,
        }
    }

    /// A flag's number.
    pub fn int(&self, name: &str) -> i64 {
        match (self.given.get(name).and_then(|values| values.last()), self.known(name)) {
            (Some(value), _) => parse_int(value).unwrap_or(0),
            (None, Some(Kind::Int(default))) => default,
            _ => 0,
        }
    }

    /// All values of a flag that may be given more than once.
    pub fn all(&self, name: &str) -> &[String] {
        self.given.get(name).map_or(&[], Vec::as_slice)
    }

    /// A flag's duration; zero is none. Negative ones are none too.
    pub fn duration(&self, name: &str) -> Duration {
        let seconds = parse_duration(self.text(name)).unwrap_or(0.0);
        Duration::from_secs_f64(seconds.max(0.0))
    }

    /// A flag's duration in seconds, sign kept.
    pub fn seconds(&self, name: &str) -> f64 {
        parse_duration(self.text(name)).unwrap_or(0.0)
    }

    /// `client`, `server` or `none`.
    ///
    /// # Errors
    /// When `--dry-run` says something else.
    pub fn dry_run(&self) -> Result<DryRun> {
        if self.known("dry-run").is_none() {
            return Ok(DryRun::None);
        }
        match self.text("dry-run") {
            "client" | "unchanged" => Ok(DryRun::Client),
            "server" => Ok(DryRun::Server),
            "none" => Ok(DryRun::None),
            other => match parse_bool(other) {
                Some(true) => Ok(DryRun::Client),
                Some(false) => Ok(DryRun::None),
                None => Err(Failure::new(format!(
                    r#"Invalid dry-run value ({other}). Must be "none", "server", or "client"."#
                ))),
            },
        }
    }

    /// What is said of a `--dry-run` in an old form.
    pub fn old_dry_run(&self) -> Option<String> {
        let given = self.some("dry-run")?;
        match (given, parse_bool(given)) {
            ("unchanged", _) => Some("--dry-run is deprecated and can be replaced with --dry-run=client.".into()),
            (_, Some(on)) => {
                let new = if on { "client" } else { "none" };
                Some(format!(
                    "--dry-run={given} is deprecated (boolean value) and can be replaced with --dry-run={new}."
                ))
            }
            _ => None,
        }
    }
}

/// Whether a command's change is only shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// The change is made.
    None,
    /// Nothing is sent.
    Client,
    /// The server answers as if, and stores nothing.
    Server,
}

impl DryRun {
    /// What is added behind a message: ` (dry run)`.
    pub fn suffix(self) -> &'static str {
        match self {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }
}

fn bare(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Bool(_) => Some("true"),
        Kind::Optional(_, bare) => Some(bare),
        _ => None,
    }
}

fn check(kind: Kind, value: &str) -> std::result::Result<(), String> {
    match kind {
        Kind::Bool(_) if parse_bool(value).is_none() => {
            Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(value)))
        }
        Kind::Int(_) => parse_int(value).map(|_| ()),
        Kind::Duration(_) => parse_duration(value).map(|_| ()),
        Kind::Pairs => match split_list(value).iter().find(|pair| !pair.contains('=')) {
            Some(pair) => Err(format!("{pair} must be formatted as key=value")),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The values of a comma-separated flag; an empty text has none.
fn split_list(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split(',').map(str::to_owned).collect() }
}

fn quote_letter(letter: char) -> String {
    format!("'{}'", letter.escape_default())
}

/// Go's `strconv.ParseBool`.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn parse_int(text: &str) -> std::result::Result<i64, String> {
    text.parse::<i64>().map_err(|fault| match fault.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
            format!("strconv.ParseInt: parsing {}: value out of range", quote(text))
        }
        _ => format!("strconv.ParseInt: parsing {}: invalid syntax", quote(text)),
    })
}

/// Go's `time.ParseDuration`, in seconds.
///
/// # Errors
/// In Go's words.
pub fn parse_duration(text: &str) -> std::result::Result<f64, String> {
    const UNITS: [(&str, f64); 8] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0.0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = &rest[..end];
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let Some((_, seconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {} in duration {}", quote(unit), quote(text)));
        };
        total += number * seconds;
        rest = &rest[end..];
    }
    Ok(sign * total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Flag; 5] = [
        short("output", 'o', Kind::Text(""), ""),
        short("stdin", 'i', Kind::Bool(false), ""),
        short("tty", 't', Kind::Bool(false), ""),
        long("dry-run", Kind::Optional("none", "unchanged"), ""),
        short("filename", 'f', Kind::List, ""),
    ];

    fn parse(words: &str) -> std::result::Result<Flags, String> {
        let mut flags = Flags::of(KNOWN.to_vec());
        flags.parse(&words.split(' ').map(str::to_owned).collect::<Vec<_>>())?;
        Ok(flags)
    }

    #[test]
    fn flags_are_read_in_all_their_forms() {
        for words in ["-o yaml", "-oyaml", "-o=yaml", "--output yaml", "--output=yaml"] {
            assert_eq!(parse(words).unwrap().text("output"), "yaml", "{words}");
        }
        let flags = parse("-it a --dry-run=client -f x,y -f z -- -o b").unwrap();
        assert!(flags.is("stdin") && flags.is("tty"));
        assert_eq!(flags.all("filename"), ["x", "y", "z"]);
        assert_eq!((flags.arguments, flags.before_dash), (vec!["a".into(), "-o".into(), "b".into()], Some(1)));
    }

    #[test]
    fn wrong_flags_are_told_in_pflags_words() {
        let table = [
            ("--nope", "unknown flag: --nope"),
            ("-x", "unknown shorthand flag: 'x' in -x"),
            ("-o", "flag needs an argument: 'o' in -o"),
            ("--output", "flag needs an argument: --output"),
            (
                "--tty=maybe",
                r#"invalid argument "maybe" for "-t, --tty" flag: strconv.ParseBool: parsing "maybe": invalid syntax"#,
            ),
        ];
        for (words, why) in table {
            assert_eq!(parse(words).unwrap_err(), why);
        }
        assert_eq!(parse_duration("1m30s"), Ok(90.0));
        assert_eq!(parse_duration("5"), Err("time: missing unit in duration \"5\"".into()));
    }
}
