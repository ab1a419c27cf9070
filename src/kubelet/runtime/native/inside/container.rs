//! From a process of ours to a container's process: the same process, step by step, then exec(2).
//!
//! In, over standard input: a [`Birth`] with its [`Plan`] and files. Out: the program runs, with the
//! walls around it; or one [`FromBirth::Failed`]. It was started by the Pod's pause process (`pause.rs`),
//! so it is in the Pod's namespaces already and number 1 of its own process namespace; what is left is,
//! in this order: group, files, terminal, user, filter, program. A process that joins a container
//! (`kubectl exec`) takes the same way, but walks into what is there. Chapter: `book/src/inside/runtime.md`.

use std::fs;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::PidfdFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use rustix::thread::ThreadNameSpaceType;

use super::super::messages::{Birth, FromBirth, Plan};
use super::super::wire;
use super::namespaces::cgroup;
use super::users::Identity;
use super::{children, leaks, privileges, rootfs, seccomp, users};

/// Source: runc.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program could not be run.
struct Failure {
    why: String,
    /// As a shell would count it: 126 cannot be run, 127 is not there.
    code: i32,
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure { why, code: 128 }
    }
}

impl From<io::Error> for Failure {
    fn from(fault: io::Error) -> Failure {
        fault.to_string().into()
    }
}

impl From<rustix::io::Errno> for Failure {
    fn from(fault: rustix::io::Errno) -> Failure {
        io::Error::from(fault).into()
    }
}

/// Becomes the container's process; returns only if it could not.
pub fn main() -> ExitCode {
    let Ok(socket) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    let failure = match become_container(&socket) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    let message = FromBirth::Failed { why: failure.why, code: failure.code };
    // If tutor is gone, there is nobody left to tell.
    let _ = wire::send(&socket, &message, &[]);
    ExitCode::from(u8::try_from(failure.code).unwrap_or(128))
}

fn become_container(socket: &OwnedFd) -> Result<std::convert::Infallible, Failure> {
    let (birth, files) = wire::receive::<Birth>(socket)?.ok_or_else(|| "nobody wants this process".to_owned())?;
    // Also what came just now: what the program is to have is put in its place below.
    leaks::seal()?;
    let mut files = files.into_iter();
    let mut next = || files.next().ok_or_else(|| Failure::from("a file is missing".to_owned()));
    let plan = read_plan(next()?)?;
    let streams = match plan.terminal {
        Some(_) => None,
        None => Some([next()?, next()?, next()?]),
    };
    let groups = (0..birth.groups).map(|_| next()).collect::<Result<Vec<_>, _>>()?;
    privileges::set_oom_score(plan.oom_score_adj);
    match birth.joins.then(next).transpose()? {
        Some(process) => join(&process, &groups)?,
        None => {
            cgroup::enter(&groups).map_err(|fault| format!("control group: {fault}"))?;
            let files = plan.files.as_ref().ok_or_else(|| "no files".to_owned())?;
            rootfs::enter(&plan, files)?;
        }
    }
    let who = users::identify(&plan)?;
    rustix::process::setsid()?;
    let terminal = plan.terminal.map(|size| open_terminal(size, &who)).transpose()?;
    let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    let beside: Vec<_> = [Some(&own), terminal.as_ref()].into_iter().flatten().map(AsFd::as_fd).collect();
    wire::send(socket, &FromBirth::Ready, &beside)?;
    drop((own, terminal));
    if let Some(streams) = streams {
        for stream in &streams {
            // A program may open /dev/stdout again, which takes the right to.
            let _ = rustix::fs::fchown(stream, Some(rustix::process::Uid::from_raw(who.uid)), None);
        }
        rustix::stdio::dup2_stdin(&streams[0])?;
        rustix::stdio::dup2_stdout(&streams[1])?;
        rustix::stdio::dup2_stderr(&streams[2])?;
    }
    privileges::limit(&plan.rlimits)?;
    run(&plan, &who)
}

fn read_plan(file: OwnedFd) -> io::Result<Plan> {
    let mut file = fs::File::from(file);
    file.rewind()?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Goes where a process of the container is: its group, its view of groups, its files.
fn join(process: &OwnedFd, groups: &[OwnedFd]) -> io::Result<()> {
    for group in groups {
        rustix::io::write(group, b"0")?;
    }
    let kinds = ThreadNameSpaceType::CONTROL_GROUP | ThreadNameSpaceType::MOUNT;
    Ok(rustix::thread::move_into_thread_name_spaces(process.as_fd(), kinds)?)
}

/// A terminal of the container's own /dev/pts: its end becomes our streams, the other is for tutor.
fn open_terminal((rows, columns): (u16, u16), who: &Identity) -> io::Result<OwnedFd> {
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let outer = rustix::fs::open("/dev/pts/ptmx", flags, rustix::fs::Mode::empty())?;
    rustix::pty::unlockpt(&outer)?;
    let inner = rustix::pty::ioctl_tiocgptpeer(&outer, OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&inner, size)?;
    let _ = rustix::fs::fchown(&inner, Some(rustix::process::Uid::from_raw(who.uid)), None);
    rustix::process::ioctl_tiocsctty(&inner)?;
    rustix::stdio::dup2_stdin(&inner)?;
    rustix::stdio::dup2_stdout(&inner)?;
    rustix::stdio::dup2_stderr(&inner)?;
    Ok(outer)
}

/// The last steps: user, filter, program.
fn run(plan: &Plan, who: &Identity) -> Result<std::convert::Infallible, Failure> {
    let folder = if plan.working_dir.is_empty() { "/" } else { &plan.working_dir };
    if plan.files.is_some() {
        // A working folder that the image lacks is made, as other runtimes do.
        let _ = fs::create_dir_all(folder);
    }
    let mut env = plan.env.clone();
    let mut default = |name: &str, value: &str| {
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    };
    default("PATH", DEFAULT_PATH);
    default("HOME", &who.home);
    if plan.terminal.is_some() {
        default("TERM", "xterm");
    }
    let name = plan.args.first().ok_or_else(|| "no command specified".to_owned())?;
    privileges::become_user(who, plan)?;
    std::env::set_current_dir(folder).map_err(|fault| format!("chdir to cwd (\"{folder}\"): {}", words(&fault)))?;
    let path = env.iter().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, path)| path);
    let program = find(name, path)?;
    children::release()?;
    if plan.seccomp && !plan.privileged {
        seccomp::filter()?;
    } else if !plan.privileged {
        rustix::thread::set_no_new_privs(true)?;
    }
    let fault = Command::new(program).arg0(name).args(&plan.args[1..]).env_clear().envs(env).exec();
    Err(Failure { why: format!("exec {name}: {}", words(&fault)), code: 126 })
}

/// Finds a program as execvp(3) does, with the words of Go's `os/exec`, which every runtime shows.
fn find(name: &str, path: &str) -> Result<String, Failure> {
    let missing = |why: String| Failure { why, code: 127 };
    if name.contains('/') {
        let found =
            fs::metadata(name).map_err(|fault| missing(format!("exec: \"{name}\": stat {name}: {}", words(&fault))))?;
        return match can_run(&found) {
            true => Ok(name.to_owned()),
            false => Err(Failure { why: format!("exec: \"{name}\": permission denied"), code: 126 }),
        };
    }
    let places = path.split(':').map(|folder| Path::new(folder).join(name));
    let found = places.into_iter().find(|place| fs::metadata(place).is_ok_and(|found| can_run(&found)));
    match found {
        Some(place) => Ok(place.to_string_lossy().into_owned()),
        None => Err(missing(format!("exec: \"{name}\": executable file not found in $PATH"))),
    }
}

fn can_run(found: &fs::Metadata) -> bool {
    found.is_file() && found.permissions().mode() & 0o111 != 0
}

/// An error as C programs print it, without Rust's number.
fn words(fault: &io::Error) -> String {
    let text = fault.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}
