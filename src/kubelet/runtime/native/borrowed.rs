//! Images made of this machine's own programs: a skeleton of folders, with the host's `/usr` in it, read-only.
//!
//! In: the names `tutor/shell` and `tutor/web`. Out: images that need nothing but what the machine has: a
//! shell, the usual commands, and for `web` perl, which Debian and its relatives always have. They let
//! real containers run and be tested where no image was unpacked. Any other name is refused.
//! Chapter: `book/src/inside/runtime.md`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::images::{Images, Unpacked};
use super::messages::Mount;
use crate::kubelet::runtime::{Credentials, Image, Result, RuntimeError};

/// The host's folders that hold programs; where they are links, they become links.
const PROGRAMS: [&str; 5] = ["usr", "bin", "sbin", "lib", "lib64"];

/// Answers as tutor's web image does: who it is, and a health path.
const WEB: &str = r#"
use strict; use IO::Socket::INET; use Sys::Hostname;
$| = 1; $SIG{TERM} = sub { exit 0 }; $SIG{PIPE} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalPort => 80, Listen => 64, ReuseAddr => 1) or die "port 80: $!\n";
print "web version $ENV{VERSION} on ", hostname(), "\nlistening on :80\n";
while (1) {
  my $client = $listener->accept or next;
  my ($method, $path) = split / /, (<$client> // ''); while (my $line = <$client>) { last if $line eq "\r\n" }
  my $body = "web version $ENV{VERSION} on " . hostname() . "\n";
  print $client "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
  close $client; print "$method $path 200\n";
}
"#;

/// The images of one node.
pub struct Borrowed {
    skeleton: PathBuf,
    pulled: Mutex<BTreeSet<String>>,
}

impl Borrowed {
    /// Keeps the skeleton in `folder`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(folder: &Path) -> io::Result<Borrowed> {
        let skeleton = folder.join("skeleton");
        if !skeleton.join("etc/passwd").exists() {
            make_skeleton(&skeleton)?;
        }
        Ok(Borrowed { skeleton, pulled: Mutex::default() })
    }

    fn find(&self, name: &str) -> Option<Unpacked> {
        let plain = name.trim_start_matches("docker.io/");
        let (repository, tag) = plain.split_once(':').unwrap_or((plain, "latest"));
        let version = if tag == "2" { "2" } else { "1" };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let command: Vec<String> = match (repository, tag) {
            ("tutor/shell", "1" | "latest") => words(&["sh"]),
            ("tutor/web", "1" | "2" | "latest") => words(&["perl", "-e", WEB]),
            _ => return None,
        };
        let full = format!("docker.io/{repository}:{tag}");
        use sha2::{Digest, Sha256};
        let digest: String = Sha256::digest(full.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let id = format!("docker.io/{repository}@sha256:{digest}");
        Some(Unpacked {
            image: Image { name: full, id, size_bytes: 4096, user: String::new() },
            layers: vec![self.skeleton.clone()],
            mounts: programs(),
            entrypoint: Vec::new(),
            cmd: command,
            env: vec![("VERSION".to_owned(), version.to_owned())],
            working_dir: String::new(),
            stop_signal: String::new(),
        })
    }
}

fn programs() -> Vec<Mount> {
    let real = PROGRAMS
        .iter()
        .map(|name| PathBuf::from(format!("/{name}")))
        .filter(|path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()));
    real.map(|path| Mount { source: path.clone(), target: path, read_only: true }).collect()
}

fn make_skeleton(folder: &Path) -> io::Result<()> {
    for name in ["dev", "etc", "home", "mnt", "proc", "root", "run", "srv", "sys", "tmp", "var/tmp"] {
        fs::create_dir_all(folder.join(name))?;
    }
    for name in PROGRAMS {
        let (host, place) = (Path::new("/").join(name), folder.join(name));
        match fs::read_link(&host) {
            Ok(to) => symlink(to, place)?,
            Err(_) if host.is_dir() => fs::create_dir_all(place)?,
            Err(_) => {}
        }
    }
    fs::set_permissions(folder.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::write(folder.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
    fs::write(folder.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
}

impl Images for Borrowed {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<Unpacked>> {
        async move { self.find(name).filter(|found| self.pulled.lock().contains(&found.image.name)) }.boxed()
    }

    fn pull<'a>(&'a self, name: &'a str, _: Option<&'a Credentials>) -> BoxFuture<'a, Result<Unpacked>> {
        async move {
            let refused = || {
                let why = "native containers run this machine's own programs as tutor/shell:1 and tutor/web:1";
                RuntimeError::new("ErrImagePull", format!("failed to pull and unpack image \"{name}\": {why}"))
            };
            let found = self.find(name).ok_or_else(refused)?;
            self.pulled.lock().insert(found.image.name.clone());
            Ok(found)
        }
        .boxed()
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            if let Some(found) = self.find(name) {
                self.pulled.lock().remove(&found.image.name);
            }
            Ok(())
        }
        .boxed()
    }

    fn list(&self) -> BoxFuture<'_, Vec<Image>> {
        async move { self.pulled.lock().iter().filter_map(|name| self.find(name)).map(|it| it.image).collect() }.boxed()
    }
}
