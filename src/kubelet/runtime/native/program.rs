//! The executable that the runtime starts again: it has to be tutor.
//!
//! Every process of the runtime is the same program once more, under another name (`inside/mod.rs`). A program that
//! is not tutor does not know these names and does what it always does: a test binary that called itself would run
//! its tests, one of which starts a runtime, without end. So a machine is started from a [`Program`] only, and
//! there is none without a reason to believe in it: this process's own `main` asked [`inside::enter`] first, so
//! whatever is started from the same file will, too; or the file is another one than this process's own, and this
//! process was not itself started to be a part of a runtime. Chapter: `book/src/inside/runtime.md`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::inside;
use crate::error::{Error, Result};

/// This process's own file, by the kernel's name for it.
pub(super) const OWN: &str = "/proc/self/exe";

/// An executable that may be started as a part of the runtime.
#[derive(Clone, Debug)]
pub(super) struct Program(PathBuf);

impl Program {
    /// Takes the executable at `path` for tutor, if nothing speaks against it.
    ///
    /// # Errors
    /// When it would be this very program, and this is not tutor.
    pub fn new(path: &Path) -> Result<Program> {
        let is_part = std::env::args_os().next().is_some_and(|name| inside::is_part(&name.to_string_lossy()));
        if !inside::was_asked() && (is_part || is_own(path)) {
            let own = fs::read_link(OWN).unwrap_or_else(|_| path.to_owned());
            let why =
                format!("{} is not tutor: started again, it would not become a part of the runtime", own.display());
            return Err(Error::new("native containers cannot be made by this program", why)
                .hint("name tutor's executable in the host's options")
                .hint("or let the program ask native::inside::enter before anything else, as tutor's main does"));
        }
        Ok(Program(path.to_owned()))
    }

    /// This process's own file.
    ///
    /// # Errors
    /// When this is not tutor.
    pub fn own() -> Result<Program> {
        Program::new(Path::new(OWN))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Whether a path leads to the file that this process runs.
fn is_own(path: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    file(path).is_some_and(|there| file(Path::new(OWN)) == Some(there))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::kubelet::runtime::native::doctor;
    use crate::kubelet::runtime::native::host::{Host, Options};
    use crate::tasks::TaskGroup;

    /// The program of this test is not tutor, so it is the very trap.
    #[tokio::test]
    async fn a_program_that_is_not_tutor_is_not_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("native");
        for program in [PathBuf::from(OWN), std::env::current_exe().unwrap()] {
            let options = Options { program, ..Options::new(state.clone(), Clock::real()) };
            let refused = Host::start(options, &TaskGroup::new()).await.err().unwrap();
            assert!(refused.why.contains("is not tutor") && !refused.hints.is_empty(), "{refused}");
        }
        assert!(!state.exists(), "nothing was begun");
        assert!(doctor::refusal(Clock::real()).await.is_some_and(|refused| refused.why.contains("is not tutor")));
        assert_eq!(doctor::filter_refusal(Clock::real()).await, None);
    }

    #[test]
    fn another_file_may_be_tutor() {
        let other = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Program::new(other.path()).unwrap().path(), other.path());
    }
}
