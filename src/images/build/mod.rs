//! Builds images from Dockerfiles.
//!
//! In: a folder (the context), its Dockerfile, a name. Out: an image in the store, layer by layer, each step
//! taken from the cache where nothing it depends on has changed; or an error with the file and the line.
//! `reader` makes lines of the text, `instruction` reads a line, `words` puts variables in, `stages` sorts
//! out who needs whom, `stage` carries out, `copy` and `changes` say what a layer holds, `mounts` what it does not, `layer` writes it. RUN needs
//! containers, which this room knows nothing of: a [`Runner`] is handed in. Blocks between its awaits: for a
//! command line, not for a server. Chapter: `book/src/servers/images.md`.

mod cache;
mod changes;
mod copy;
mod fault;
mod ignore;
mod instruction;
mod layer;
mod meaning;
mod mode;
mod mounts;
mod reader;
mod stage;
mod stages;
#[cfg(test)]
mod tests;
mod view;
mod words;

use std::fmt;
use std::fs;
use std::path::PathBuf;

use futures::future::BoxFuture;

use super::name::ImageName;
use super::pull::Registries;
use super::store::Stored;
use crate::error::{Error, Result};
use ignore::Ignore;

/// What shall be built.
#[derive(Clone, Debug)]
pub struct Request {
    /// The folder whose files can be copied.
    pub context: PathBuf,
    /// The Dockerfile; `Dockerfile` in the context when absent.
    pub file: Option<PathBuf>,
    /// The image's name.
    pub name: ImageName,
    /// The stage to end with; the last when absent.
    pub target: Option<String>,
    /// Values of ARGs.
    pub arguments: Vec<(String, String)>,
    /// What a RUN may see and the image does not keep.
    pub secrets: Vec<Secret>,
    /// Which steps' results may be used again.
    pub cache: Cached,
    /// What RUNs reach.
    pub network: Network,
}

/// Something that is told to a RUN that asks for it by its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The name.
    pub id: String,
    /// What it is.
    pub content: Vec<u8>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.id)
    }
}

/// What a RUN reaches of the world, by a proxy that it finds in its variables. The names are Docker's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Other computers, but not this one.
    #[default]
    Default,
    /// Nobody.
    None,
    /// This computer too.
    Host,
}

/// Whether results of earlier builds count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cached {
    /// They do.
    Use,
    /// Every step is done anew.
    Anew,
}

/// What happens, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A step begins.
    Step {
        /// Which, from 1.
        number: usize,
        /// Of how many.
        total: usize,
        /// The instruction.
        text: &'a str,
        /// Its result is there already.
        cached: bool,
    },
    /// A line that a RUN printed.
    Said(&'a str),
    /// Something that is probably not meant so.
    Warning(&'a str),
}

/// Who watches.
pub type Report<'a> = &'a (dyn Fn(Progress<'_>) + Send + Sync);

/// A RUN's process.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Command {
    /// What it sees as its root: layers, unpacked, lowest first.
    pub layers: Vec<PathBuf>,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub working_dir: String,
    pub user: String,
    pub network: Network,
    /// What it sees besides.
    pub mounts: Vec<Mounted>,
    /// Where the folder with all that it wrote is moved to.
    pub changes: PathBuf,
}

/// A file or folder that a RUN sees, and the image does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Mounted {
    pub source: PathBuf,
    pub target: PathBuf,
    pub read_only: bool,
}

/// How a RUN ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// What the folder of its changes has.
    pub kept: Kept,
}

/// What of a RUN's files was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// What it changed, as overlayfs marks it.
    Changes,
    /// All of them: where overlayfs is refused it worked on a copy.
    Whole,
}

/// Runs processes in containers.
pub trait Runner: Send + Sync {
    /// Runs one to its end.
    fn run<'a>(&'a self, command: Command, said: &'a (dyn Fn(&str) + Send + Sync)) -> BoxFuture<'a, Result<Ran>>;
}

/// Builds.
///
/// # Errors
/// What is wrong in the Dockerfile, at which line, and what to do; a RUN that failed; a base image that is
/// not to be had.
pub async fn build(
    registries: &Registries,
    runner: &dyn Runner,
    request: &Request,
    report: Report<'_>,
) -> Result<Stored> {
    if !request.context.is_dir() {
        let context = request.context.display();
        return Err(Error::new(
            format!("{context} is no folder"),
            "an image is built from a folder and its Dockerfile",
        )
        .hint("name the folder: tutor image build -t NAME DIR"));
    }
    let file = request.file.clone().unwrap_or_else(|| request.context.join("Dockerfile"));
    let called = file.display().to_string();
    let bytes = fs::read(&file).map_err(|error| {
        Error::new(format!("{called} cannot be read"), error.to_string())
            .hint("name the Dockerfile: tutor image build -f FILE DIR")
    })?;
    let text = String::from_utf8(bytes).map_err(|_| Error::new(format!("{called} is no text"), "it is not UTF-8"))?;
    let in_file = |fault: fault::Fault| fault.in_file(&called);
    let text = reader::read(&text).map_err(in_file)?;
    let stages = stages::read(&text, request).map_err(in_file)?;
    // The file's own list comes before the context's. Source: the Dockerfile reference, "Filename and location".
    let own = file.with_file_name(format!("{}.dockerignore", file.file_name().unwrap_or_default().to_string_lossy()));
    let list = [own, request.context.join(".dockerignore")].into_iter().find_map(|path| fs::read_to_string(path).ok());
    let ignore = Ignore::read(&list.unwrap_or_default());
    let mut builder = stage::Builder::new(registries, runner, request, report, ignore, stages);
    builder.run().await.map_err(in_file)
}
