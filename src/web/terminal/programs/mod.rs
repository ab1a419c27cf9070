//! The programs of the terminal: kubectl, tutor, and the small ones that text is piped through.
//!
//! In: words and streams. Out: text and an exit code, as the program of that name on any machine; a flag
//! that is not built in is refused by name. One file a kind.

use futures::future::BoxFuture;

use super::pipes::{Ended, Fault, In, input};
use super::shell::Context;

mod curl;
mod files;
pub mod jq;
mod kubectl;
mod lines;
mod sed;
mod small;
mod sort;
mod watch;

pub use kubectl::session;

/// A program.
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// What stands behind the name.
    pub usage: &'static str,
    /// One line.
    pub about: &'static str,
    /// What it does.
    pub run: for<'a> fn(&'a Call) -> BoxFuture<'a, Ended>,
}

/// One call of a program.
pub struct Call {
    /// The words behind the name.
    pub arguments: Vec<String>,
    /// Where it runs.
    pub context: Context,
}

macro_rules! program {
    ($name:literal, $usage:literal, $about:literal, $run:path) => {
        Program { name: $name, usage: $usage, about: $about, run: |call| Box::pin($run(call)) }
    };
}

/// Every program, in the order `help` shows them.
pub static PROGRAMS: &[Program] = &[
    program!("kubectl", "COMMAND …", "talk to the cluster", kubectl::kubectl),
    program!("tutor", "COMMAND …", "the course: list, start, check, hint, trace, etcd, …", kubectl::tutor),
    program!(
        "curl",
        "[-i] [-X METHOD] [-H HEADER] [-d DATA] URL",
        "ask a Service, a Pod or the API server",
        curl::curl
    ),
    program!("watch", "[-n SECONDS] COMMAND …", "run a command again and again", watch::watch),
    program!("edit", "FILE", "change a file in the page's editor", files::edit),
    program!("cat", "[-n] [FILE …]", "show files", lines::cat),
    program!("grep", "[-ivnocEFwqlhr] [-A N] [-B N] [-C N] PATTERN [FILE …]", "lines that fit a pattern", lines::grep),
    program!("head", "[-n N] [-c N] [FILE …]", "the first lines", lines::head),
    program!("tail", "[-n N] [-c N] [FILE …]", "the last lines", lines::tail),
    program!("wc", "[-lwc] [FILE …]", "count lines, words, bytes", lines::wc),
    program!("sort", "[-nrufbh] [-k N] [-t C] [FILE …]", "sort lines", sort::sort),
    program!("uniq", "[-cdu]", "lines that differ from the one before", sort::uniq),
    program!("cut", "-f LIST [-d C] | -c LIST", "parts of lines", sort::cut),
    program!("tr", "[-dsc] SET [SET]", "change letters", sort::tr),
    program!("sed", "[-nE] SCRIPT [FILE …]", "change or choose lines: s, p, d, q", sed::sed),
    program!("jq", "[-rcesn] FILTER [FILE …]", "choose parts of JSON", jq::jq),
    program!("base64", "[-d] [FILE]", "write or read base64", small::base64),
    program!("xargs", "[-n N] [-I TEXT] COMMAND …", "run a command on words that are piped in", small::xargs),
    program!("tee", "[-a] FILE …", "pass on and keep in a file", lines::tee),
    program!("ls", "[-l] [FOLDER]", "the files here", files::ls),
    program!("cd", "[FOLDER]", "go to a folder", files::cd),
    program!("pwd", "", "the folder you are in", files::pwd),
    program!("mkdir", "[-p] FOLDER …", "make a folder", files::mkdir),
    program!("rm", "[-rf] FILE …", "remove files", files::rm),
    program!("cp", "FILE FILE", "copy a file", files::cp),
    program!("mv", "FILE FILE", "rename a file", files::mv),
    program!("touch", "FILE …", "make an empty file", files::touch),
    program!("echo", "[-n] WORDS", "print words", small::echo),
    program!("printf", "FORMAT [WORDS]", "print words in a form", small::printf),
    program!("date", "[+FORMAT]", "the time", small::date),
    program!("sleep", "SECONDS", "wait", small::sleep),
    program!("seq", "[FIRST [STEP]] LAST", "count", small::seq),
    program!("test", "EXPRESSION", "compare words, look for files", small::test),
    program!("[", "EXPRESSION ]", "as test", small::test),
    program!("export", "NAME=VALUE …", "set variables", small::export),
    program!("env", "", "the variables", small::env),
    program!("true", "", "succeed", small::yes),
    program!(":", "", "succeed", small::yes),
    program!("false", "", "fail", small::no),
    program!("clear", "", "empty the screen", small::clear),
    program!("help", "[PROGRAM]", "this, or how one is called", small::help),
];

/// The program of that name.
pub fn find(name: &str) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.name == name)
}

/// What a reader should do who typed the name of no program.
pub fn instead(name: &str) -> String {
    match name {
        "docker" | "podman" | "kind" | "minikube" | "helm" | "cargo" | "sudo" | "sh" | "bash" | "unshare" => {
            return "this terminal runs tutor's own commands and none of your machine; use a shell for that one".into();
        }
        "vim" | "vi" | "nano" | "emacs" => return "edit FILE opens the page's editor".into(),
        _ => {}
    }
    // A slip of two letters in a short name could make it any other.
    let slips = match name.chars().count() {
        0..=2 => 0,
        3..=4 => 1,
        _ => 2,
    };
    let near = PROGRAMS.iter().map(|program| (strsim::osa_distance(program.name, name), program.name));
    match near.min().filter(|(distance, _)| *distance <= slips) {
        Some((_, known)) => format!("did you mean {known}?"),
        None => "what this terminal knows: help".into(),
    }
}

/// The flags and other words of a call.
pub struct Given {
    flags: Vec<(char, String)>,
    /// Words that are no flags.
    pub words: Vec<String>,
}

impl Given {
    /// Whether a flag was given.
    pub fn is(&self, flag: char) -> bool {
        self.flags.iter().any(|(given, _)| *given == flag)
    }

    /// The last value of a flag.
    pub fn value(&self, flag: char) -> Option<&str> {
        self.flags.iter().rev().find(|(given, _)| *given == flag).map(|(_, value)| value.as_str())
    }

    /// Every value of a flag.
    pub fn values(&self, flag: char) -> impl Iterator<Item = &str> {
        self.flags.iter().filter(move |(given, _)| *given == flag).map(|(_, value)| value.as_str())
    }

    /// A flag's value as a number.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&self, flag: char) -> Result<Option<usize>, Fault> {
        let parse = |text: &str| text.parse().map_err(|_| Fault::Said(format!("-{flag} takes a number, not {text:?}")));
        self.value(flag).map(parse).transpose()
    }
}

impl Call {
    /// Sorts flags from words. In `letters`, a `:` stands behind a flag that takes a value; `long` gives
    /// letters their long names.
    ///
    /// # Errors
    /// When a flag is not known, or its value is missing.
    pub fn given(&self, letters: &str, long: &[(&str, char)]) -> Result<Given, Fault> {
        let mut given = Given { flags: Vec::new(), words: Vec::new() };
        let takes = |flag: char| letters.split_once(flag).is_some_and(|(_, rest)| rest.starts_with(':'));
        let mut arguments = self.arguments.iter();
        let missing = |flag: &str| Fault::Said(format!("{flag} needs a value"));
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                given.words.extend(arguments.by_ref().cloned());
            } else if let Some(name) = argument.strip_prefix("--") {
                let (name, value) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
                let found = long.iter().find(|(known, _)| *known == name);
                let (_, flag) = found.ok_or_else(|| Fault::Said(format!("--{name} is not built in")))?;
                let value = match value {
                    Some(value) => value.to_owned(),
                    None if takes(*flag) => arguments.next().cloned().ok_or_else(|| missing(argument))?,
                    None => String::new(),
                };
                given.flags.push((*flag, value));
            } else if argument.len() > 1 && argument.starts_with('-') {
                let mut rest = argument[1..].chars();
                while let Some(flag) = rest.next() {
                    if flag == ':' || !letters.contains(flag) {
                        return Err(Fault::Said(format!("-{flag} is not built in")));
                    }
                    let value = match takes(flag) {
                        false => String::new(),
                        true if rest.as_str().is_empty() => {
                            arguments.next().cloned().ok_or_else(|| missing(argument))?
                        }
                        true => std::mem::replace(&mut rest, "".chars()).as_str().to_owned(),
                    };
                    given.flags.push((flag, value));
                }
            } else {
                given.words.push(argument.clone());
            }
        }
        Ok(given)
    }

    /// The files that are named, or standard input when none is.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn inputs(&self, names: &[String]) -> Result<Vec<(String, In)>, Fault> {
        if names.is_empty() {
            return Ok(vec![("-".to_owned(), self.context.stdin.clone())]);
        }
        let open = |name: &String| match name.as_str() {
            "-" => Ok((name.clone(), self.context.stdin.clone())),
            name => Ok((name.to_owned(), input(self.context.read_file(name)?))),
        };
        names.iter().map(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::instead;

    #[test]
    fn a_name_of_no_program_leads_on() {
        for (name, said) in [
            ("kubeclt", "did you mean kubectl?"),
            ("kubectk", "did you mean kubectl?"),
            ("gerp", "did you mean grep?"),
            ("vim", "edit FILE opens the page's editor"),
            ("bash", "use a shell for that one"),
            ("ps", "what this terminal knows: help"),
            ("less", "what this terminal knows: help"),
            ("terraform", "what this terminal knows: help"),
        ] {
            assert!(instead(name).ends_with(said), "{name}: {}", instead(name));
        }
    }
}
