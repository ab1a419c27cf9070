//! What a line of a Dockerfile says: one variant an instruction.
//!
//! In: a [`Line`]. Out: an [`Instruction`] with its words as they were written (variables go in later, when
//! their values are known), or the mistake in it. Pure. Source: the Dockerfile reference.

use serde_json::Value;

use super::fault::Fault;
use super::mounts::{self, Options};
use super::reader::{Document, Line};
use super::words::split;

/// An instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the instructions' and their parts'")]
pub enum Instruction {
    From {
        image: String,
        name: Option<String>,
        platform: Option<String>,
    },
    Arg(Vec<(String, Option<String>)>),
    Env(Vec<(String, String)>),
    Label(Vec<(String, String)>),
    Workdir(String),
    User(String),
    Copy(Copy),
    Run(Run),
    Cmd(Words),
    Entrypoint(Words),
    Expose(Vec<String>),
    Volume(Vec<String>),
    StopSignal(String),
    Healthcheck(Option<Check>),
    Shell(Vec<String>),
    Maintainer(String),
    /// An instruction for whoever builds on this image, as it was written.
    Onbuild(String),
}

/// A command: words that are started as they are, or a line for the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Words {
    Exec(Vec<String>),
    Shell(String),
}

/// RUN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What runs.
    pub words: Words,
    /// What it sees beside the image's files.
    pub mounts: Vec<Options>,
    /// `none`, `default` or `host`.
    pub network: Option<String>,
    /// A here-document that names its own interpreter: the file that the words start.
    pub script: Option<String>,
}

/// Where a RUN finds the script that is its here-document.
pub const SCRIPT: &str = "/.heredoc";

/// COPY or ADD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// ADD: archives are unpacked, files fetched.
    pub adds: bool,
    /// A stage or an image; the context when absent.
    pub from: Option<String>,
    /// `user:group`
    pub chown: Option<String>,
    /// `755` or `u=rwX,go=rX`
    pub chmod: Option<String>,
    /// What of the sources stays behind: patterns as `.dockerignore` has them.
    pub exclude: Vec<String>,
    /// The folders that a source is in come along.
    pub parents: bool,
    /// Files, folders, patterns.
    pub sources: Vec<String>,
    /// Files whose content is in the Dockerfile.
    pub documents: Vec<Document>,
    /// Whether archives are unpacked, if that was said.
    pub unpack: Option<bool>,
    /// What the one file that is fetched has to be: `sha256:…`
    pub checksum: Option<String>,
    /// Where to.
    pub to: String,
}

/// HEALTHCHECK: its command and its flags, times as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the flags")]
pub struct Check {
    pub command: Words,
    pub flags: Vec<(String, String)>,
}

const KNOWN: [&str; 18] = [
    "FROM",
    "ARG",
    "ENV",
    "LABEL",
    "WORKDIR",
    "USER",
    "COPY",
    "ADD",
    "RUN",
    "CMD",
    "ENTRYPOINT",
    "EXPOSE",
    "VOLUME",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "SHELL",
    "ONBUILD",
    "MAINTAINER",
];

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
pub fn read(line: &Line, escape: char) -> Result<Instruction, Fault> {
    let (word, rest) = line.text.split_once(char::is_whitespace).unwrap_or((&line.text, ""));
    let name = word.to_ascii_uppercase();
    let (name, rest) = (name.as_str(), rest.trim());
    if !KNOWN.contains(&name) {
        return Err(unknown(line.number, word));
    }
    let wrong = |why: String| Fault::new(line.number, format!("{name} cannot be read"), why);
    if rest.is_empty() {
        return Err(wrong(format!("{name} needs an argument")));
    }
    let one = || match split(rest, escape).as_slice() {
        [one] => Ok(one.clone()),
        words => Err(wrong(format!("{name} takes one argument, not {}", words.len()))),
    };
    Ok(match name {
        "FROM" => from(rest, escape).map_err(wrong)?,
        "ARG" => Instruction::Arg(split(rest, escape).iter().map(|word| argument(word)).collect()),
        "ENV" => Instruction::Env(pairs(rest, escape).map_err(wrong)?),
        "LABEL" => Instruction::Label(pairs(rest, escape).map_err(wrong)?),
        "WORKDIR" => Instruction::Workdir(rest.to_owned()),
        "USER" => Instruction::User(one()?),
        "COPY" | "ADD" => Instruction::Copy(copy(name, rest, line, escape).map_err(wrong)?),
        "RUN" => Instruction::Run(run(rest, line).map_err(wrong)?),
        "CMD" => Instruction::Cmd(command(rest).map_err(wrong)?),
        "ENTRYPOINT" => Instruction::Entrypoint(command(rest).map_err(wrong)?),
        "EXPOSE" => Instruction::Expose(split(rest, escape)),
        "VOLUME" => Instruction::Volume(array(rest).map_err(wrong)?.unwrap_or_else(|| split(rest, escape))),
        "STOPSIGNAL" => Instruction::StopSignal(one()?),
        "HEALTHCHECK" => Instruction::Healthcheck(health(rest).map_err(wrong)?),
        "SHELL" => {
            Instruction::Shell(array(rest).map_err(wrong)?.filter(|words| !words.is_empty()).ok_or_else(|| {
                wrong("it is a list of words in double quotes".to_owned()).hint("SHELL [\"/bin/sh\", \"-c\"]")
            })?)
        }
        "MAINTAINER" => Instruction::Maintainer(rest.to_owned()),
        _ => Instruction::Onbuild(later(rest, line, escape)?),
    })
}

/// An instruction to be carried out elsewhere; it has to make sense here.
fn later(rest: &str, line: &Line, escape: char) -> Result<String, Fault> {
    let instruction = read(&Line { text: rest.to_owned(), ..line.clone() }, escape)?;
    if matches!(instruction, Instruction::From { .. } | Instruction::Maintainer(_) | Instruction::Onbuild(_)) {
        let name = rest.split_whitespace().next().unwrap_or_default();
        let why = format!("{name} cannot wait for another build: neither can FROM, MAINTAINER and ONBUILD");
        return Err(Fault::new(line.number, "ONBUILD cannot be read", why));
    }
    let documents: String = line.documents.iter().map(|it| format!("\n{}{}", it.body, it.name)).collect();
    Ok(format!("{rest}{documents}"))
}

fn unknown(number: usize, word: &str) -> Fault {
    let fault = Fault::new(number, format!("there is no instruction {word}"), "a line begins with an instruction");
    let near = |known: &&&str| strsim::damerau_levenshtein(known, &word.to_ascii_uppercase());
    match KNOWN.iter().min_by_key(near).filter(|known| near(known) <= 2) {
        Some(known) => fault.hint(format!("did you mean {known}?")),
        None => fault.hint("end the line before it with \\ if it goes on here"),
    }
}

fn from(rest: &str, escape: char) -> Result<Instruction, String> {
    let (flags, rest) = flags(rest, &["platform"])?;
    let platform = value(&flags, "platform");
    match split(rest, escape).as_slice() {
        [image] => Ok(Instruction::From { image: image.clone(), name: None, platform }),
        [image, word, name] if word.eq_ignore_ascii_case("as") => {
            let mut letters = name.chars();
            let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic());
            if !first || !letters.all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
                return Err(format!("{name} is no stage's name: letters, digits, `_`, `-` and `.`, a letter first"));
            }
            Ok(Instruction::From { image: image.clone(), name: Some(name.to_ascii_lowercase()), platform })
        }
        _ => Err("it is FROM IMAGE or FROM IMAGE AS NAME".to_owned()),
    }
}

fn argument(word: &str) -> (String, Option<String>) {
    match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word.to_owned(), None),
    }
}

/// `a=1 b=2`, or of old `a 1`.
fn pairs(rest: &str, escape: char) -> Result<Vec<(String, String)>, String> {
    let words = split(rest, escape);
    if !words[0].contains('=') {
        let (name, value) = rest.split_once(char::is_whitespace).ok_or(format!("{rest} has no value: NAME=value"))?;
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let pair = |word: &String| match word.split_once('=') {
        Some(("", _)) | None => Err(format!("{word} is not NAME=value: a value with spaces needs quotes")),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
    };
    words.iter().map(pair).collect()
}

type Flags = Vec<(String, String)>;

/// The flags in front of the arguments.
fn flags<'a>(mut rest: &'a str, known: &[&str]) -> Result<(Flags, &'a str), String> {
    let mut found = Vec::new();
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (name, value) = match flag.split_once('=') {
            Some(pair) => pair,
            // Says how BuildKit may share the layer, not what is in it.
            None if ["link", "parents", "unpack", "keep-git-dir"].contains(&flag) => (flag, "true"),
            None => (flag, ""),
        };
        if !known.contains(&name) {
            let known: Vec<String> = known.iter().map(|known| format!("--{known}")).collect();
            let known = if known.is_empty() { "no flag".to_owned() } else { known.join(", ") };
            return Err(format!("--{name} is not known here: tutor knows {known}"));
        }
        if value.is_empty() {
            return Err(format!("--{name} needs a value: --{name}=…"));
        }
        found.push((name.to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    Ok((found, rest))
}

fn value(flags: &Flags, name: &str) -> Option<String> {
    flags.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

fn copy(name: &str, rest: &str, line: &Line, escape: char) -> Result<Copy, String> {
    let known = ["from", "parents", "chown", "chmod", "link", "exclude", "checksum", "unpack", "keep-git-dir"];
    let (flags, rest) = flags(rest, if name == "COPY" { &known[..6] } else { &known[2..] })?;
    let mut words = array(rest)?.unwrap_or_else(|| split(rest, escape));
    words.retain(|word| !word.starts_with("<<") || line.documents.is_empty());
    let to = words.pop().unwrap_or_default();
    if to.is_empty() || (words.is_empty() && line.documents.is_empty()) {
        return Err(format!("it is {name} SOURCE… TO"));
    }
    if let Some(url) = words.iter().find(|word| name == "COPY" && (is_url(word) || is_repository(word))) {
        return Err(format!("{url} is not on this machine, and COPY fetches nothing: ADD does"));
    }
    let checksum = value(&flags, "checksum");
    if checksum.is_some() && !(words.len() == 1 && line.documents.is_empty()) {
        return Err("--checksum is for one file that is fetched, and there are others".to_owned());
    }
    let yes = |name: &str| value(&flags, name).map(|value| value.eq_ignore_ascii_case("true"));
    Ok(Copy {
        adds: name == "ADD",
        from: value(&flags, "from"),
        chown: value(&flags, "chown"),
        chmod: value(&flags, "chmod"),
        exclude: flags.iter().filter(|(name, _)| name == "exclude").map(|(_, value)| value.clone()).collect(),
        parents: yes("parents") == Some(true),
        sources: words,
        documents: line.documents.clone(),
        unpack: yes("unpack"),
        checksum,
        to,
    })
}

/// Whether a source is fetched.
pub fn is_url(source: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| source.starts_with(scheme)) && !is_repository(source)
}

/// Whether a source is a git repository: by its scheme, or an address whose path ends in `.git`. Source: Docker's "Build
/// context", "Git repositories".
pub fn is_repository(source: &str) -> bool {
    let path = source.split('#').next().unwrap_or_default();
    let is_web = path.starts_with("http://") || path.starts_with("https://");
    ["git://", "git@", "ssh://"].iter().any(|scheme| source.starts_with(scheme)) || (is_web && path.ends_with(".git"))
}

/// A here-document alone is the script; beside a command it goes to the command.
fn run(rest: &str, line: &Line) -> Result<Run, String> {
    let (flags, rest) = flags(rest, &["mount", "network"])?;
    if rest.is_empty() {
        return Err("RUN needs a command".to_owned());
    }
    let mounts = flags.iter().filter(|(name, _)| name == "mount").map(|(_, value)| mounts::split(value)).collect();
    let (words, script) = to_run(rest, line)?;
    Ok(Run { words, mounts, network: value(&flags, "network"), script })
}

fn to_run(rest: &str, line: &Line) -> Result<(Words, Option<String>), String> {
    if line.documents.is_empty() {
        return Ok((command(rest)?, None));
    }
    let alone = rest.split_whitespace().count() == 1 && rest.starts_with("<<");
    if alone {
        let body = line.documents[0].body.clone();
        return Ok(match body.starts_with("#!") {
            true => (Words::Exec(vec![SCRIPT.to_owned()]), Some(body)),
            false => (Words::Shell(body), None),
        });
    }
    let documents: String = line.documents.iter().map(|it| format!("\n{}{}", it.body, it.name)).collect();
    Ok((Words::Shell(format!("{rest}{documents}\n")), None))
}

fn command(rest: &str) -> Result<Words, String> {
    Ok(array(rest)?.map_or_else(|| Words::Shell(rest.to_owned()), Words::Exec))
}

/// A JSON list of texts; what is no JSON is a line for the shell, as Docker has it.
fn array(rest: &str) -> Result<Option<Vec<String>>, String> {
    if !rest.starts_with('[') {
        return Ok(None);
    }
    let Ok(list) = serde_json::from_str::<Vec<Value>>(rest) else { return Ok(None) };
    let text = |word: Value| match word {
        Value::String(text) => Ok(text),
        other => Err(format!("{other} in the list is no text: each word stands in double quotes")),
    };
    list.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}

fn health(rest: &str) -> Result<Option<Check>, String> {
    if rest.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let (flags, rest) = flags(rest, &["interval", "timeout", "start-period", "start-interval", "retries"])?;
    let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if !word.eq_ignore_ascii_case("cmd") || rest.trim().is_empty() {
        return Err("it is HEALTHCHECK CMD COMMAND or HEALTHCHECK NONE".to_owned());
    }
    Ok(Some(Check { command: command(rest.trim())?, flags }))
}

#[cfg(test)]
mod tests {
    use super::super::reader;
    use super::*;

    fn parse(text: &str) -> Result<Instruction, Fault> {
        read(&reader::read(text).unwrap().lines[0], '\\')
    }

    #[test]
    fn instructions_are_read() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let run = |words| Run { words, mounts: Vec::new(), network: None, script: None };
        let runs = |line: &str| Instruction::Run(run(Words::Shell(line.into())));
        for (text, expected) in [
            ("from a as Build", Instruction::From { image: "a".into(), name: Some("build".into()), platform: None }),
            ("ARG A B=1", Instruction::Arg(vec![("A".into(), None), ("B".into(), Some("1".into()))])),
            ("ENV A=1 B=\"2 3\"", Instruction::Env(vec![("A".into(), "1".into()), ("B".into(), "\"2 3\"".into())])),
            ("ENV A 1 2", Instruction::Env(vec![("A".into(), "1 2".into())])),
            ("CMD [\"a\", \"b\"]", Instruction::Cmd(Words::Exec(words(&["a", "b"])))),
            ("CMD ['a']", Instruction::Cmd(Words::Shell("['a']".into()))),
            ("RUN <<E\na\nb\nE", runs("a\nb\n")),
            ("RUN cat <<E\na\nE", runs("cat <<E\na\nE\n")),
            (
                "RUN --mount=type=cache,target=/c --network=none make",
                Instruction::Run(Run {
                    mounts: vec![mounts::split("type=cache,target=/c")],
                    network: Some("none".into()),
                    ..run(Words::Shell("make".into()))
                }),
            ),
            (
                "ADD --unpack --checksum=sha256:00 https://x/y /b",
                Instruction::Copy(Copy {
                    adds: true,
                    unpack: Some(true),
                    checksum: Some("sha256:00".into()),
                    sources: words(&["https://x/y"]),
                    to: "/b".into(),
                    ..Copy::default()
                }),
            ),
            (
                "COPY --link a /b",
                Instruction::Copy(Copy { sources: words(&["a"]), to: "/b".into(), ..Copy::default() }),
            ),
            (
                "RUN <<E\n#!/usr/bin/env python3\nprint(1)\nE",
                Instruction::Run(Run {
                    script: Some("#!/usr/bin/env python3\nprint(1)\n".into()),
                    ..run(Words::Exec(words(&[SCRIPT])))
                }),
            ),
            (
                "COPY --exclude=*.md --exclude=docs --parents a /b",
                Instruction::Copy(Copy {
                    exclude: words(&["*.md", "docs"]),
                    parents: true,
                    sources: words(&["a"]),
                    to: "/b".into(),
                    ..Copy::default()
                }),
            ),
            ("MAINTAINER me <me@x>", Instruction::Maintainer("me <me@x>".into())),
            ("ONBUILD copy . /app", Instruction::Onbuild("copy . /app".into())),
            ("ONBUILD RUN <<E\na\nE", Instruction::Onbuild("RUN <<E\na\nE".into())),
            ("VOLUME [\"/a\", \"/b\"]", Instruction::Volume(words(&["/a", "/b"]))),
            ("HEALTHCHECK NONE", Instruction::Healthcheck(None)),
            (
                "COPY --from=build --chown=1:2 a b /to/",
                Instruction::Copy(Copy {
                    from: Some("build".into()),
                    chown: Some("1:2".into()),
                    sources: words(&["a", "b"]),
                    to: "/to/".into(),
                    ..Copy::default()
                }),
            ),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("COPPY a b", "did you mean COPY?"),
            ("install curl", "end the line before it"),
            ("COPY a", "COPY SOURCE… TO"),
            ("COPY --recursive a b", "--recursive is not known here"),
            ("ADD --parents a b", "--parents is not known here"),
            ("COPY https://x/y /y", "COPY fetches nothing"),
            ("COPY git@x:y.git /y", "COPY fetches nothing"),
            ("ADD --checksum=sha256:00 https://x/y b /y", "--checksum is for one file"),
            ("CMD [\"python\", 1]", "1 in the list is no text"),
            ("VOLUME [[\"a\"]]", "is no text"),
            ("ENV A", "has no value"),
            ("ENV A=1 B", "not NAME=value"),
            ("FROM a b", "FROM IMAGE AS NAME"),
            ("RUN --security=insecure y", "tutor knows --mount, --network"),
            ("RUN --mount=type=cache,target=/x", "needs a command"),
            ("ONBUILD FROM x", "FROM cannot wait for another build"),
            ("ONBUILD ONBUILD RUN x", "ONBUILD cannot wait"),
            ("ONBUILD COPPY a b", "did you mean COPY?"),
            ("SHELL sh", "list of words"),
            ("CMD", "needs an argument"),
        ] {
            let error = parse(text).unwrap_err().in_file("Dockerfile");
            let said = format!("{error} {}", error.hints.join(" "));
            assert!(said.contains(words) && said.contains("Dockerfile:1:"), "{text}: {said}");
        }
    }
}
