//! What a page says that a command prints, and whether what came is that.
//!
//! What changes from run to run (ages, random name endings, addresses, uids, the widths of columns) is evened out; a
//! line `…` stands for any lines, and `…` in a line for any part of it.

use std::sync::LazyLock;

use regex::Regex;

/// A command and what the page says it prints.
pub struct Typed {
    pub command: String,
    /// What a heredoc gives it.
    pub input: String,
    pub printed: Vec<String>,
    pub line: usize,
}

impl Typed {
    fn new(command: &str, line: usize) -> Typed {
        Typed { command: command.to_owned(), input: String::new(), printed: Vec::new(), line }
    }

    /// The lines of a heredoc are typed, and not printed.
    fn take_input(&mut self) {
        let Some((command, end)) = self.command.split_once(" <<") else { return };
        // In quotes, the shell leaves `$` alone.
        let end = end.trim_matches('\'');
        let line = |line: &String| line.trim_start_matches("> ") == end;
        let Some(at) = self.printed.iter().position(line) else { return };
        self.input = self.printed.drain(..=at).take(at).map(|line| line + "\n").collect();
        self.command = command.to_owned();
    }
}

/// The commands of a page's `console,run` blocks.
pub fn typed(page: &str) -> Vec<Typed> {
    let mut found: Vec<Typed> = Vec::new();
    let mut inside = false;
    for (at, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside && line == "```console,run";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            found.push(Typed::new(command, at + 1));
        } else if let (true, Some(last)) = (inside, found.last_mut()) {
            last.printed.push(line.to_owned());
        }
    }
    found.iter_mut().for_each(Typed::take_input);
    found
}

/// A line without what differs from run to run.
pub fn even(line: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        [
            (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
            (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
            (r"\b\d{1,3}(\.\d{1,3}){3}(/\d+)?(:\d+)?\b", "ADDRESS"),
            (r"-[a-z0-9]{8,10}-[a-z0-9]{5}\b", "-HASH-RANDOM"),
            (r"\b(\d+d)?(\d+h)?(\d+m)?\d+s\b|\b\d+[dhm]\b", "AGE"),
            (r#""resourceVersion":"\d+""#, r#""resourceVersion":"N""#),
            (r"\s+", " "),
        ]
        .map(|(pattern, with)| (Regex::new(pattern).unwrap(), with))
        .into()
    });
    RULES.iter().fold(line.trim_end().to_owned(), |line, (rule, with)| rule.replace_all(&line, *with).into_owned())
}

/// Whether what came fits what the page says.
pub fn fits(page: &[String], came: &[String]) -> bool {
    match (page, came) {
        ([], rest) => rest.is_empty(),
        ([first, rest @ ..], came) if first == "…" => (0..=came.len()).any(|skip| fits(rest, &came[skip..])),
        ([first, page @ ..], [line, came @ ..]) => line_fits(first, line) && fits(page, came),
        (_, []) => false,
    }
}

/// A `…` within a line stands for any part of it.
fn line_fits(page: &str, came: &str) -> bool {
    let parts: Vec<&str> = page.split('…').collect();
    let [first, middle @ .., last] = &parts[..] else { return page == came };
    let Some(mut rest) = came.strip_prefix(first) else { return false };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// The commands of a terminal, and what it shows of each: a prompt that ends in `$ ` begins the next.
pub fn answered(shown: &str) -> Vec<Typed> {
    let mut found: Vec<Typed> = Vec::new();
    for (at, line) in shown.lines().enumerate() {
        let command = line.split_once(" $ ").filter(|(prompt, _)| prompt.starts_with('~')).map(|(_, command)| command);
        match (command, found.last_mut()) {
            (Some(command), _) => found.push(Typed::new(command, at + 1)),
            (None, Some(last)) => last.printed.push(line.to_owned()),
            (None, None) => {}
        }
    }
    found.iter_mut().for_each(Typed::take_input);
    found
}

/// Whether a command only looks: it may be typed again.
pub fn reads(command: &str) -> bool {
    let looks = ["get", "describe", "events", "logs", "explain"];
    command.strip_prefix("kubectl ").is_some_and(|words| looks.iter().any(|verb| words.starts_with(verb)))
}

#[test]
fn evening_out_keeps_what_matters() {
    for (one, other) in [
        ("web-5d4f8c7b9d-x2x4z   1/1     Running   0          12s", "web-66b6c48dd5-abcde 1/1 Running 0 1m3s"),
        ("10.244.1.7:80", "10.244.2.11:8080"),
    ] {
        assert_eq!(even(one), even(other));
    }
    assert_ne!(even("hello 1/1 Running 0 2s"), even("hello 0/1 Running 0 2s"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(fits(&lines("a\n…\nc"), &lines("a\nb\nb\nc")) && fits(&lines("…"), &[]));
    assert!(fits(&lines("x…z"), &lines("x y z")) && !fits(&lines("a"), &lines("a\nb")));
}

#[test]
fn a_heredoc_is_typed_and_not_printed() {
    for end in ["END", "'END'"] {
        let found = typed(&format!("```console,run\n$ kubectl apply -f - <<{end}\na: 1\nb: 2\nEND\nmade\n```"));
        assert_eq!((found[0].command.as_str(), found[0].input.as_str()), ("kubectl apply -f -", "a: 1\nb: 2\n"));
        assert_eq!(found[0].printed, ["made"]);
    }
}
