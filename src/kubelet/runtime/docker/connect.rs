//! Where docker is, whether it answers, and what to do when it does not.
//!
//! In: `DOCKER_HOST`, or the places where docker's socket usually is. Out: a connection, or an error for the
//! reader. Only sockets of this machine: volumes are handed over as folders, which another machine does not
//! have. Chapter: `book/src/inside/runtime.md`.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};

use crate::clock::Clock;
use crate::error::{Error, Result};

/// How long docker may take to say that it is there.
const PING_LIMIT: Duration = Duration::from_secs(10);
/// How long docker may take for anything but a stream. An image that is loaded from a slow disk takes a while.
const REQUEST_LIMIT_SECONDS: u64 = 300;
/// The variable that says where docker is.
const VARIABLE: &str = "DOCKER_HOST";
/// Where it is otherwise.
const USUAL: &str = "/var/run/docker.sock";

/// A docker that answers.
pub struct Connected {
    /// Asks it.
    pub docker: Docker,
    /// Its socket.
    pub socket: PathBuf,
    /// Its version.
    pub version: String,
}

/// Whether docker answers on this machine; asks its socket, and waits a moment at most.
pub fn available() -> bool {
    socket().is_ok_and(|socket| ping(&socket).is_ok())
}

/// What stands in the way of docker containers; nothing when docker answers.
pub fn obstacle() -> Option<Error> {
    match socket() {
        Err(error) => Some(error),
        Ok(socket) => ping(&socket).err().map(|fault| refused(&socket, &fault)),
    }
}

/// Docker's socket, as `DOCKER_HOST` says or where it usually is.
pub fn socket() -> Result<PathBuf> {
    let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("docker.sock"));
    chosen(variable.as_deref(), runtime)
}

fn chosen(variable: Option<&str>, rootless: Option<PathBuf>) -> Result<PathBuf> {
    match variable {
        Some(text) => match text.strip_prefix("unix://") {
            Some(path) => Ok(PathBuf::from(path)),
            None => Err(Error::new(
                "docker containers cannot be made here",
                format!("{VARIABLE} is {text}, and tutor hands files to docker as folders of this machine"),
            )
            .hint("name a socket of this machine: export DOCKER_HOST=unix:///var/run/docker.sock")
            .hint("or go on without docker: tutor serve --runtime native")),
        },
        // A rootless docker is the user's own; it goes before the machine's.
        None => Ok(rootless.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from(USUAL))),
    }
}

/// Connects.
///
/// # Errors
/// Why docker cannot be reached, and what to do.
pub async fn connect(socket: PathBuf, clock: Clock) -> Result<Connected> {
    let unusable = |error: bollard::errors::Error| refused(&socket, &io::Error::other(super::words::said(&error)));
    ping(&socket).map_err(|fault| refused(&socket, &fault))?;
    let path = socket.to_string_lossy();
    let docker = Docker::connect_with_unix(&path, REQUEST_LIMIT_SECONDS, API_DEFAULT_VERSION).map_err(unusable)?;
    let asked = async {
        let docker = docker.negotiate_version().await?;
        let version = docker.version().await?.version.unwrap_or_default();
        Ok((docker, version))
    };
    let late = |_| refused(&socket, &io::ErrorKind::TimedOut.into());
    let (docker, version) = clock.timeout(PING_LIMIT * 5, asked).await.map_err(late)?.map_err(unusable)?;
    Ok(Connected { docker, version, socket: socket.clone() })
}

fn ping(socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PING_LIMIT))?;
    stream.set_write_timeout(Some(PING_LIMIT))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    match answer.ends_with(b" 200") {
        true => Ok(()),
        false => Err(io::Error::other(format!("it answers {}", String::from_utf8_lossy(&answer)))),
    }
}

fn refused(socket: &Path, fault: &io::Error) -> Error {
    let path = socket.display();
    let why = match fault.kind() {
        io::ErrorKind::NotFound => format!("there is no socket {path}"),
        io::ErrorKind::PermissionDenied => format!("{path} lets only root and the group docker in"),
        io::ErrorKind::ConnectionRefused => format!("nobody listens at {path}"),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => format!("{path} does not answer"),
        _ => format!("{path}: {fault}"),
    };
    let error = Error::new("docker cannot be reached", why);
    let error = match fault.kind() {
        io::ErrorKind::PermissionDenied => {
            error.hint("join the group, then log in anew: sudo usermod -aG docker $USER")
        }
        _ => error
            .hint("start docker: sudo systemctl start docker")
            .hint("it is elsewhere? say where: export DOCKER_HOST=unix:///PATH/docker.sock"),
    };
    error.hint("or go on without docker: tutor serve --runtime native")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_where_the_variable_says_or_where_it_usually_is() {
        assert_eq!(chosen(Some("unix:///x/y.sock"), None).unwrap(), Path::new("/x/y.sock"));
        assert_eq!(chosen(None, Some("/no/such.sock".into())).unwrap(), Path::new(USUAL));
        let error = chosen(Some("tcp://10.0.0.1:2375"), None).unwrap_err();
        assert!(error.to_string().contains("docker containers cannot be made here"), "{error}");
    }

    #[test]
    fn a_missing_socket_is_said_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let fault = ping(&socket).unwrap_err();
        let error = format!("{:?}", refused(&socket, &fault));
        assert!(error.contains("there is no socket") && error.contains("DOCKER_HOST"), "{error}");
    }

    #[test]
    fn what_does_not_speak_as_docker_does_is_not_docker() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        drop(listener);
        assert!(ping(&socket).is_err());
    }
}
