//! What a simulated container does, decided from its image, its command and its Pod's annotations.
//!
//! | annotation `simulated.tutor.dev/…` | the container … |
//! |---|---|
//! | `start-delay: 3s` | takes so long to start |
//! | `exit-code: "1"`, `exit-after: 5s` | ends with that code, after that time (defaults 0 and 0s) |
//! | `crash-times: "3"` | ends with exit-code (default 1) after exit-after (default 1s) so many times, then lives |
//! | `ready-after: 10s` or `never` | refuses probes until then |
//! | `unhealthy-after: 30s` | answers 500 to probes from then on |
//! | `memory: 300Mi`, `memory-after: 1s` | uses so much, from then on; over its limit it is OOMKilled |
//! | `pull: fail` or `5s` | its image cannot be pulled, or takes so long |
//! | `term-after: 5s` or `never` | needs so long to end after TERM |
//!
//! `simulated.tutor.dev/NAME.CONTAINER` means one container only. Pure. Chapter: `book/src/control-plane/kubelet.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::shell::{Files, Script, seconds};
use crate::api::quantity::Quantity;
use crate::kubelet::runtime::{ContainerConfig, Result, RuntimeError, SandboxConfig};

const PREFIX: &str = "simulated.tutor.dev/";

/// Longer than any playground lives.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Settings by annotation, read for one container.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    annotations: &'a BTreeMap<String, String>,
    container: &'a str,
}

impl<'a> Settings<'a> {
    /// The settings of a container; an empty name reads those of the whole Pod.
    pub fn new(annotations: &'a BTreeMap<String, String>, container: &'a str) -> Self {
        Settings { annotations, container }
    }

    /// A setting's text.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        let own = self.annotations.get(&format!("{PREFIX}{name}.{}", self.container));
        own.or_else(|| self.annotations.get(&format!("{PREFIX}{name}"))).map(String::as_str)
    }

    /// A setting that is a time; `never` is longer than anything.
    pub fn time(&self, name: &str) -> Option<Duration> {
        self.text(name).and_then(|text| if text == "never" { Some(NEVER) } else { seconds(text) })
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    fn bytes(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(|text| Quantity::parse(text).ok()).map(|amount| amount.value())
    }
}

/// What a container listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listens {
    /// Nothing.
    Nowhere,
    /// These ports.
    On(Vec<u16>),
    /// Whatever is asked: the image is not known.
    Anywhere,
}

/// What a container does.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it prints and when it ends by itself.
    pub script: Script,
    /// The environment it sees.
    pub env: BTreeMap<String, String>,
    /// Its files.
    pub files: Files,
    /// It is a shell that reads commands from its standard input.
    pub interactive: bool,
    /// How long starting takes.
    pub start_delay: Duration,
    /// What it listens on.
    pub listens: Listens,
    /// From when it answers.
    pub ready_after: Duration,
    /// From when probes that run a command pass: a command needs no server, so it is the annotation alone that fails it.
    pub probes_pass_after: Duration,
    /// From when it answers 500.
    pub unhealthy_after: Duration,
    /// How long it needs to end after TERM; `None`: it does not listen to TERM.
    pub term_after: Option<Duration>,
    /// When it is killed for its memory, if it is.
    pub out_of_memory_at: Option<Duration>,
    /// What it uses.
    pub memory_bytes: i64,
    /// What the web image says at `/`.
    pub greeting: String,
}

/// What an image does by itself: its script, and the ports it listens on.
struct Known {
    script: String,
    listens: Listens,
    heeds_term: bool,
    ready_after: Duration,
}

/// Decides what a container does.
///
/// # Errors
/// When its command cannot be run: there is no such file in the image.
pub fn program(sandbox: &SandboxConfig, config: &ContainerConfig, files: Files) -> Result<Program> {
    let settings = Settings::new(&sandbox.annotations, &config.name);
    let known = known(&config.image, config);
    let words: Vec<String> = config.command.iter().chain(&config.args).cloned().collect();
    let own = config.command.is_empty() && (config.args.is_empty() || !is_shell_image(&config.image));
    let interactive = config.stdin && if own { is_shell_image(&config.image) } else { is_prompt(&words) };
    let (script, mut heeds_term, mut listens) = if own {
        (Script::parse(&known.script), known.heeds_term, known.listens)
    } else {
        (script(&words)?, false, Listens::Nowhere)
    };
    if !own && is_server_command(&words) {
        (heeds_term, listens) = (true, Listens::Anywhere);
    }
    let script = if interactive { Script::parse("sleep infinity") } else { script };
    let script = override_by(&settings, config.attempt, script);
    if !config.ports.is_empty() && listens != Listens::Nowhere {
        listens = Listens::On(config.ports.clone());
    }
    let memory_bytes = settings.bytes("memory").unwrap_or(16 * 1024 * 1024);
    let over = config.resources.memory_limit_bytes.is_some_and(|limit| memory_bytes > limit);
    let mut env: BTreeMap<String, String> = config.env.iter().cloned().collect();
    for (name, value) in [("HOSTNAME", &sandbox.hostname), ("POD_IP", &sandbox.ip)] {
        env.entry(name.to_owned()).or_insert_with(|| value.clone());
    }
    Ok(Program {
        script,
        env,
        files,
        interactive,
        start_delay: settings.time("start-delay").unwrap_or_default(),
        listens,
        ready_after: settings.time("ready-after").unwrap_or(known.ready_after),
        probes_pass_after: settings.time("ready-after").unwrap_or_default(),
        unhealthy_after: settings.time("unhealthy-after").unwrap_or(NEVER),
        term_after: settings.time("term-after").or(heeds_term.then_some(Duration::ZERO)),
        out_of_memory_at: over.then(|| settings.time("memory-after").unwrap_or(Duration::from_secs(1))),
        memory_bytes,
        greeting: format!("hello from {}, version {}\n", sandbox.name, tag(&config.image)),
    })
}

/// Annotations that decide the end come before what the command would do.
fn override_by(settings: &Settings<'_>, attempt: u32, script: Script) -> Script {
    let ends = |code: i64, after: Duration| Script::parse(&format!("sleep {}; exit {code}", after.as_secs_f64()));
    let code = settings.number("exit-code");
    let after = settings.time("exit-after");
    match settings.number("crash-times") {
        Some(times) if i64::from(attempt) < times => ends(code.unwrap_or(1), after.unwrap_or(Duration::from_secs(1))),
        Some(_) => script,
        None if code.is_some() || after.is_some() => ends(code.unwrap_or(0), after.unwrap_or_default()),
        None => script,
    }
}

/// True for a shell that is given nothing to run: it reads commands.
pub fn is_prompt(words: &[String]) -> bool {
    let name = words.first().map(|word| word.rsplit('/').next().unwrap_or(word));
    let options = words.iter().skip(1).all(|word| matches!(word.as_str(), "-i" | "-l" | "-il" | "-li"));
    matches!(name, Some("sh" | "bash" | "ash")) && options
}

/// What a command does; the error is that there is no such program.
pub fn script(words: &[String]) -> Result<Script> {
    let first = words.first().map(String::as_str).unwrap_or_default();
    let name = first.rsplit('/').next().unwrap_or(first);
    match (name, words.get(1).map(String::as_str)) {
        ("sh" | "bash" | "ash", Some("-c" | "-ec" | "-xc" | "-exc" | "-lc")) => {
            Ok(Script::parse(words.get(2).map(String::as_str).unwrap_or_default()))
        }
        ("sh" | "bash" | "ash", None) => Ok(Script::parse("true")),
        _ if KNOWN_COMMANDS.contains(&name) => Ok(Script::command(words)),
        _ if is_server_command(words) => Ok(Script::parse("sleep infinity")),
        _ => {
            let why = if first.starts_with('/') || first.starts_with('.') {
                format!("stat {first}: no such file or directory")
            } else {
                format!("exec: \"{first}\": executable file not found in $PATH")
            };
            let message = format!(
                "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc \
                 create failed: unable to start container process: error during container init: {}{why}: unknown",
                if first.starts_with('/') { format!("exec: \"{first}\": ") } else { String::new() }
            );
            Err(RuntimeError { code: 127, ..RuntimeError::new("RunContainerError", message) })
        }
    }
}

const KNOWN_COMMANDS: [&str; 13] =
    ["sleep", "true", "false", "echo", "printf", "cat", "env", "printenv", "hostname", "date", "tail", "ls", "touch"];

/// Programs that stay and listen, whatever their arguments.
fn is_server_command(words: &[String]) -> bool {
    const SERVERS: [&str; 16] = [
        "nginx",
        "httpd",
        "redis-server",
        "postgres",
        "mysqld",
        "python",
        "python3",
        "node",
        "java",
        "tutor",
        "web",
        "agnhost",
        "pause",
        "httpd-foreground",
        "nc",
        "load",
    ];
    let first = words.first().map(String::as_str).unwrap_or_default();
    SERVERS.contains(&first.rsplit('/').next().unwrap_or(first))
}

fn is_shell_image(image: &str) -> bool {
    let (repository, _) = split_tag(image);
    let name = repository.rsplit('/').next().unwrap_or(repository);
    matches!(name, "busybox" | "alpine" | "ubuntu" | "debian" | "bash" | "shell" | "fedora")
}

fn known(image: &str, config: &ContainerConfig) -> Known {
    let (repository, tag) = split_tag(image);
    let variable = |name: &str, default: &str| {
        let given = config.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        given.unwrap_or_else(|| default.to_owned())
    };
    let server = |script: String, ports: &[u16]| Known {
        script,
        listens: Listens::On(ports.to_vec()),
        heeds_term: true,
        ready_after: Duration::ZERO,
    };
    let job =
        |script: String| Known { script, listens: Listens::Nowhere, heeds_term: true, ready_after: Duration::ZERO };
    let name = repository.strip_prefix("docker.io/").unwrap_or(repository);
    match name.strip_prefix("library/").unwrap_or(name) {
        "tutor/web" => {
            server(format!("echo web version {tag} on $HOSTNAME; echo listening on :80; sleep infinity"), &[80])
        }
        "tutor/model-server" => {
            let loads = seconds(&variable("LOAD_SECONDS", "3")).unwrap_or(Duration::from_secs(3));
            let script = format!(
                "echo model-server version {tag} on $HOSTNAME; echo loading model; sleep {}; \
                 echo model loaded, listening on :8080; sleep infinity",
                loads.as_secs_f64()
            );
            Known { ready_after: loads, ..server(script, &[8080]) }
        }
        "tutor/worker" => {
            job(format!("echo worker version {tag} on $HOSTNAME; while true; do echo took a task; sleep 5; done"))
        }
        "tutor/trainer" => {
            let steps: u32 = variable("STEPS", "10").parse().unwrap_or(10);
            let line = |step: u32| format!("sleep 1; echo step {step}/{steps} loss {:.3};", 4.0 / f64::from(step + 1));
            let body: String = (1..=steps.min(1000)).map(line).collect();
            let rank = variable("RANK", &variable("JOB_COMPLETION_INDEX", "0"));
            let world = variable("WORLD_SIZE", "1");
            let script = format!(
                "trap 'echo asked to end; exit 143' TERM; \
                 echo trainer version {tag} rank {rank} of {world} on $HOSTNAME; {body} echo done"
            );
            Known { heeds_term: false, ..job(script) }
        }
        "tutor/load" => job("echo load on $HOSTNAME; while true; do echo sent 10 requests; sleep 1; done".to_owned()),
        "tutor/pause" | "pause" | "registry.k8s.io/pause" => job("sleep infinity".to_owned()),
        "tutor/shell" => Known { heeds_term: false, ..job("sleep infinity".to_owned()) },
        "busybox" | "alpine" | "ubuntu" | "debian" | "bash" | "fedora" => {
            Known { heeds_term: false, ..job("true".to_owned()) }
        }
        "hello-world" => job("echo Hello from Docker!".to_owned()),
        "nginx" | "httpd" | "caddy" | "traefik/whoami" => {
            server(format!("echo {name} {tag}: ready to handle connections; sleep infinity"), &[80])
        }
        "redis" => server("echo Ready to accept connections tcp; sleep infinity".to_owned(), &[6379]),
        "postgres" => server("echo database system is ready to accept connections; sleep infinity".to_owned(), &[5432]),
        // The same images under another registry's name.
        _ if is_shell_image(image) => Known { heeds_term: false, ..job("true".to_owned()) },
        _ => Known { listens: Listens::Anywhere, ..job("sleep infinity".to_owned()) },
    }
}

/// Repository and tag; `latest` when there is none. A digest is dropped.
pub fn split_tag(image: &str) -> (&str, &str) {
    let image = image.split('@').next().unwrap_or(image);
    let slash = image.rfind('/').map_or(0, |at| at + 1);
    match image[slash..].rfind(':') {
        Some(colon) => (&image[..slash + colon], &image[slash + colon + 1..]),
        None => (image, "latest"),
    }
}

fn tag(image: &str) -> &str {
    split_tag(image).1
}
