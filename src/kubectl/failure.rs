//! Why a command fails, and the words kubectl has for it.
//!
//! In: a Status from the API server, a broken connection, a wrong argument. Out: one text for standard
//! error and an exit code. Commands return failures; only [`super::run`] writes them.

use std::collections::BTreeSet;

use serde_json::Value;

/// What a command returns.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// Why a command failed.
#[derive(Clone, Debug)]
pub enum Failure {
    /// In kubectl's own words, printed behind `error: `.
    Message(String),
    /// Printed as it is.
    Plain(String),
    /// The API server's Status.
    Server(Box<Value>),
    /// The server could not be reached: the text kubectl prints.
    Unreachable(String),
    /// Several, each on a line of its own.
    Many(Vec<Failure>),
    /// Nothing is printed; the process ends with this code.
    Exit(i32),
    /// A text, printed as it is, with an exit code of its own.
    Coded(String, i32),
    /// The reader of standard output has gone, or Ctrl-C was pressed.
    Stopped,
}

impl Failure {
    /// A failure in kubectl's own words.
    pub fn new(words: impl Into<String>) -> Failure {
        Failure::Message(words.into())
    }

    /// A file that cannot be read, in Go's words.
    pub fn opening(path: &str, fault: &std::io::Error) -> Failure {
        Failure::Message(match fault.kind() {
            std::io::ErrorKind::NotFound => format!("open {path}: no such file or directory"),
            std::io::ErrorKind::PermissionDenied => format!("open {path}: permission denied"),
            std::io::ErrorKind::IsADirectory => format!("read {path}: is a directory"),
            _ => format!("open {path}: {fault}"),
        })
    }

    /// Wrong usage of the command at `path` (`kubectl get`).
    pub fn usage(path: &str, words: impl AsRef<str>) -> Failure {
        Failure::Message(format!("{}\nSee '{path} -h' for help and examples", words.as_ref()))
    }

    /// None, one, or all of them.
    pub fn of(mut failures: Vec<Failure>) -> Result {
        match failures.len() {
            0 => Ok(()),
            1 => Err(failures.remove(0)),
            _ => Err(Failure::Many(failures)),
        }
    }

    /// None, or all of them as lines of a list, which one alone is, too.
    ///
    /// # Errors
    /// When there is any.
    pub fn listed(failures: &[Failure]) -> Result {
        match failures {
            [] => Ok(()),
            [Failure::Server(status)] => Err(Failure::Server(status.clone())),
            all => Err(Failure::Plain(all.iter().map(|one| with_line_end(one.in_a_list())).collect())),
        }
    }

    /// The Status' reason, where the server sent one.
    pub fn reason(&self) -> &str {
        match self {
            Failure::Server(status) => status.get("reason").and_then(Value::as_str).unwrap_or_default(),
            _ => "",
        }
    }

    /// The Status' HTTP code, where the server sent one.
    pub fn code(&self) -> i64 {
        match self {
            Failure::Server(status) => status.get("code").and_then(Value::as_i64).unwrap_or_default(),
            _ => 0,
        }
    }

    /// True for the server's NotFound.
    pub fn is_not_found(&self) -> bool {
        self.reason() == "NotFound"
    }

    /// True for the server's AlreadyExists.
    pub fn already_exists(&self) -> bool {
        self.reason() == "AlreadyExists"
    }

    /// True for the server's Conflict.
    pub fn is_conflict(&self) -> bool {
        self.reason() == "Conflict"
    }

    /// The error alone, without `error: ` or `Error from server`.
    pub fn words(&self) -> String {
        match self {
            Failure::Message(text) | Failure::Plain(text) | Failure::Unreachable(text) | Failure::Coded(text, _) => {
                text.clone()
            }
            Failure::Server(status) => {
                let message = status.get("message").and_then(Value::as_str).unwrap_or_default();
                if message.is_empty() { "unknown".to_owned() } else { message.to_owned() }
            }
            Failure::Many(all) => {
                let words: Vec<String> = all.iter().map(Failure::words).collect();
                if words.len() == 1 { words[0].clone() } else { format!("[{}]", words.join(", ")) }
            }
            Failure::Exit(_) | Failure::Stopped => String::new(),
        }
    }

    /// The words without `error: ` before them, as some commands print a type that is not there.
    #[must_use]
    pub fn bare(self) -> Failure {
        match self {
            Failure::Message(text) => Failure::Plain(text),
            other => other,
        }
    }

    /// The server's words about a list it does not give, with what was asked for.
    #[must_use]
    pub fn not_listed(self, resource: &str, labels: Option<&str>, fields: Option<&str>) -> Failure {
        if !matches!(self.reason(), "BadRequest" | "NotFound") {
            return self;
        }
        let (resource, labels, fields) = (quote(resource), labels.unwrap_or_default(), fields.unwrap_or_default());
        self.prefixed(&match (labels, fields) {
            ("", "") => format!("Unable to list {resource}: "),
            _ => format!(
                "Unable to find {resource} that match label selector {}, field selector {}: ",
                quote(labels),
                quote(fields)
            ),
        })
    }

    /// Puts `error when creating "web.yaml": ` before the words, if the object came from somewhere.
    #[must_use]
    pub fn from_source(self, verb: &str, source: &str) -> Failure {
        if source.is_empty() { self } else { self.prefixed(&format!("error when {verb} {}: ", quote(source))) }
    }

    /// Puts a text before the words, keeping a Status a Status.
    #[must_use]
    pub fn prefixed(self, prefix: &str) -> Failure {
        match self {
            Failure::Server(mut status) => {
                let message = status.get("message").and_then(Value::as_str).unwrap_or_default();
                status["message"] = Value::from(format!("{prefix}{message}"));
                Failure::Server(status)
            }
            Failure::Exit(_) | Failure::Stopped | Failure::Coded(..) => self,
            other => Failure::Message(format!("{prefix}{}", other.words())),
        }
    }

    /// What standard error shows, and the exit code.
    pub fn print(&self) -> (String, i32) {
        match self {
            Failure::Exit(code) => (String::new(), *code),
            Failure::Stopped => (String::new(), 130),
            Failure::Plain(text) => (with_line_end(text.clone()), 1),
            Failure::Coded(text, code) => (with_line_end(text.clone()), *code),
            Failure::Many(all) if all.len() == 1 => all[0].print(),
            Failure::Many(all) => (all.iter().map(|one| with_line_end(one.in_a_list())).collect(), 1),
            Failure::Server(status) if self.reason() == "Invalid" => (with_line_end(invalid(status)), 1),
            Failure::Message(text) if text.starts_with("error: ") => (with_line_end(text.clone()), 1),
            Failure::Message(text) => (with_line_end(format!("error: {text}")), 1),
            other => (with_line_end(other.in_a_list()), 1),
        }
    }

    /// The words on a line among others: the server's with their source, ours bare.
    fn in_a_list(&self) -> String {
        match self {
            Failure::Server(_) => match self.reason() {
                "Unauthorized" => format!("error: You must be logged in to the server ({})", self.words()),
                "" => format!("Error from server: {}", self.words()),
                reason => format!("Error from server ({reason}): {}", self.words()),
            },
            other => other.words(),
        }
    }
}

fn with_line_end(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// 422 with causes: `The Deployment "web" is invalid: ` and the fields.
fn invalid(status: &Value) -> String {
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let message = text("/message");
    if status.get("details").is_none_or(Value::is_null) {
        let rest = if message.is_empty() { String::new() } else { format!(": {message}") };
        return format!("The request is invalid{rest}");
    }
    let causes = status.pointer("/details/causes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (kind, name) = (text("/details/kind"), text("/details/name"));
    let head = match () {
        () if !kind.is_empty() || !name.is_empty() => format!("The {kind} {} is invalid", quote(name)),
        () if !message.is_empty() && causes.is_empty() => format!("The request is invalid: {message}"),
        () => "The request is invalid".to_owned(),
    };
    let mut seen = BTreeSet::new();
    let field = |cause: &Value, key: &str| cause.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let lines = causes.iter().map(|cause| format!("{}: {}", field(cause, "field"), field(cause, "message")));
    let lines: Vec<String> = lines.filter(|line| seen.insert(line.clone())).collect();
    match lines.as_slice() {
        [] => head,
        [one] => format!("{head}: {one}"),
        many => format!("{head}: \n{}", many.iter().map(|line| format!("* {line}\n")).collect::<String>()),
    }
}

/// A text in quotes, as Go's `%q`.
pub fn quote(text: &str) -> String {
    crate::api::field_error::go_quote(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn failures_have_kubectls_words() {
        let gone = json!({"reason": "NotFound", "message": "pods \"x\" not found", "code": 404});
        let wrong = json!({"reason": "Invalid", "message": "m", "details": {"kind": "Pod", "name": "x", "causes": [
            {"field": "a", "message": "one"}, {"field": "b", "message": "two"}]}});
        let server = |status: &Value| Failure::Server(Box::new(status.clone()));
        let table = [
            (server(&gone), "Error from server (NotFound): pods \"x\" not found\n"),
            (server(&wrong), "The Pod \"x\" is invalid: \n* a: one\n* b: two\n"),
            (Failure::new("no such thing"), "error: no such thing\n"),
            (
                Failure::Many(vec![server(&gone), Failure::new("other")]),
                "Error from server (NotFound): pods \"x\" not found\nother\n",
            ),
            (
                server(&gone).from_source("deleting", "a.yaml"),
                "Error from server (NotFound): error when deleting \"a.yaml\": pods \"x\" not found\n",
            ),
        ];
        for (failure, printed) in table {
            assert_eq!(failure.print(), (printed.to_owned(), 1));
        }
    }
}
