//! A command of kubectl: its names, flags and function, and one call of it.

use std::pin::Pin;

use tokio::sync::OnceCell;

use super::connect::{self, Cluster};
use super::failure::{Failure, Result};
use super::flags::{Flag, Flags, Kind, long, short};
use super::session::{Console, Session};

/// The future of a command.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result> + Send + 'a>>;

/// A command, with its subcommands.
pub struct Command {
    /// `get`
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// The arguments, behind the name, for `--help`.
    pub usage: &'static str,
    /// One line.
    pub about: &'static str,
    /// Its flags, in groups that commands share.
    pub flags: &'static [&'static [Flag]],
    /// Commands under this one.
    pub commands: &'static [Command],
    /// What it does; `None` for one that only has subcommands.
    pub run: Option<for<'a> fn(&'a Invocation) -> Running<'a>>,
}

/// What a field that is not given stands for.
pub const COMMAND: Command =
    Command { name: "", aliases: &[], usage: "", about: "", flags: &[], commands: &[], run: None };

/// Makes a [`Command`]'s `run` of an async function.
macro_rules! run {
    ($function:path) => {
        Some(|call| Box::pin($function(call)))
    };
}
pub(crate) use run;

/// Flags that every command takes.
pub const GLOBAL: &[Flag] = &[
    short("namespace", 'n', Kind::Text(""), "The namespace to work in"),
    long("kubeconfig", Kind::Text(""), "The kubeconfig file to use"),
    long("context", Kind::Text(""), "The context of the kubeconfig to use"),
    long("cluster", Kind::Text(""), "The cluster of the kubeconfig to use"),
    long("user", Kind::Text(""), "The user of the kubeconfig to use"),
    short("server", 's', Kind::Text(""), "The API server's URL"),
    long("token", Kind::Text(""), "A bearer token to show to the API server"),
    long("as", Kind::Text(""), "The user to act as"),
    long("as-group", Kind::Array, "A group to act as; may be given more than once"),
    long("as-uid", Kind::Text(""), "The uid to act as"),
    long("as-user-extra", Kind::Array, "An extra of the user to act as: key=value"),
    long("certificate-authority", Kind::Text(""), "A file with the API server's certificate authority"),
    long("client-certificate", Kind::Text(""), "A file with the client's certificate"),
    long("client-key", Kind::Text(""), "A file with the client's key"),
    long("insecure-skip-tls-verify", Kind::Bool(false), "Do not check the API server's certificate"),
    long("tls-server-name", Kind::Text(""), "The name that the API server's certificate must carry"),
    long("request-timeout", Kind::Text("0"), "How long one request may take: 1s, 2m; 0 for ever"),
    short("v", 'v', Kind::Int(0), "How much to tell: 6 every request, 7 headers, 8 bodies, 9 curl commands"),
    long("warnings-as-errors", Kind::Bool(false), "Fail when the server warns"),
    long("match-server-version", Kind::Bool(false), "Accepted; the versions always match"),
    long("cache-dir", Kind::Text(""), "Accepted; nothing is cached on disk"),
    long("disable-compression", Kind::Bool(false), "Accepted; answers are not compressed"),
    long("proxy-url", Kind::Text(""), "The proxy on the way to the API server"),
    long("kuberc", Kind::Text(""), "The file with your own defaults and aliases"),
    long("profile", Kind::Text("none"), "Accepted; nothing is profiled"),
    long("profile-output", Kind::Text("profile.pprof"), "Accepted; nothing is profiled"),
    long("vmodule", Kind::Text(""), "Accepted"),
    long("log-flush-frequency", Kind::Duration("5s"), "Accepted"),
    long("password", Kind::Text(""), "Accepted"),
    long("username", Kind::Text(""), "Accepted"),
    short("help", 'h', Kind::Bool(false), "Show this"),
];

/// One call of a command.
pub struct Invocation {
    /// Whose.
    pub session: Session,
    /// Its flags and arguments.
    pub flags: Flags,
    /// `kubectl rollout status`
    pub path: String,
    /// The command.
    pub command: &'static Command,
    cluster: OnceCell<Cluster>,
}

impl Invocation {
    /// A call that is not connected yet.
    pub fn new(session: Session, flags: Flags, path: String, command: &'static Command) -> Invocation {
        Invocation { session, flags, path, command, cluster: OnceCell::new() }
    }

    /// The cluster; connected to at the first call.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub async fn cluster(&self) -> Result<&Cluster> {
        self.cluster.get_or_try_init(|| Cluster::connect(&self.session, &self.flags)).await
    }

    /// The cluster, if it was connected to.
    pub fn connected(&self) -> Option<&Cluster> {
        self.cluster.get()
    }

    /// The namespace in use, without connecting.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub fn namespace(&self) -> Result<String> {
        connect::namespace(&self.session, &self.flags).map(|(namespace, _)| namespace)
    }

    /// The arguments.
    pub fn arguments(&self) -> &[String] {
        &self.flags.arguments
    }

    /// Where answers go.
    pub fn console(&self) -> &Console {
        &self.session.console
    }

    /// Adds text to standard output.
    pub fn out(&self, text: impl AsRef<str>) {
        self.session.console.out(text.as_ref());
    }

    /// Adds text to standard error.
    pub fn err(&self, text: impl AsRef<str>) {
        self.session.console.err(text.as_ref());
    }

    /// A failure about how the command was called.
    pub fn usage(&self, words: impl AsRef<str>) -> Failure {
        Failure::usage(&self.path, words)
    }
}

impl Command {
    /// The command of this name under this one.
    pub fn find(&self, name: &str) -> Option<&'static Command> {
        self.commands.iter().find(|command| command.name == name || command.aliases.contains(&name))
    }

    /// Its flags and those of every command.
    pub fn all_flags(&self) -> Vec<Flag> {
        let own = self.flags.iter().flat_map(|group| group.iter().copied());
        let mut all: Vec<Flag> = own.collect();
        let global = GLOBAL.iter().filter(|flag| !all.iter().any(|own| own.name == flag.name)).copied();
        let global: Vec<Flag> = global.collect();
        for mut flag in global {
            if all.iter().any(|own| own.short != '\0' && own.short == flag.short) {
                flag.short = '\0';
            }
            all.push(flag);
        }
        all
    }

    /// The text of `--help`.
    pub fn help(&self, path: &str) -> String {
        let mut text = format!("{}.\n\nUsage:\n  {path}", self.about);
        for part in [self.usage, if self.commands.is_empty() { "" } else { "COMMAND" }] {
            if !part.is_empty() {
                text.push_str(&format!(" {part}"));
            }
        }
        text.push_str(" [flags]\n");
        if !self.commands.is_empty() {
            let width = self.commands.iter().map(|command| command.name.len()).max().unwrap_or(0);
            text.push_str("\nCommands:\n");
            for command in self.commands {
                text.push_str(&format!("  {:width$}  {}\n", command.name, command.about));
            }
        }
        let flags: Vec<&Flag> = self.flags.iter().flat_map(|group| group.iter()).collect();
        if !flags.is_empty() {
            text.push_str("\nFlags:\n");
            text.push_str(&flag_lines(&flags));
        }
        text.push_str("\nFlags that every command takes: kubectl options\n");
        text
    }
}

/// Flags with their letters, names and lines.
pub fn flag_lines(flags: &[&Flag]) -> String {
    let name = |flag: &&Flag| {
        let letter = if flag.short == '\0' { "    ".to_owned() } else { format!("-{}, ", flag.short) };
        let value = match flag.kind {
            Kind::Bool(_) => "",
            Kind::Int(_) => " N",
            Kind::Duration(_) => " TIME",
            Kind::Pairs => " KEY=VALUE",
            Kind::Optional(..) => "[=TEXT]",
            Kind::Text(_) | Kind::List | Kind::Array => " TEXT",
        };
        format!("{letter}--{}{value}", flag.name)
    };
    let width = flags.iter().map(|flag| name(flag).len()).max().unwrap_or(0);
    flags.iter().map(|flag| format!("  {:width$}  {}\n", name(flag), flag.help)).collect()
}
