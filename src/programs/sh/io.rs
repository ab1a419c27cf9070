//! A shell's streams, and where redirections lead them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::run::{Shell, plain};
use super::syntax::{Redirect, Target, Word};

/// Streams by number.
#[derive(Clone)]
pub struct Io(BTreeMap<u32, Arc<File>>);

/// An open file.
pub fn file(from: impl Into<OwnedFd>) -> Arc<File> {
    Arc::new(File::from(from.into()))
}

impl Io {
    /// The process's own streams.
    ///
    /// # Errors
    /// When one of them is closed.
    pub fn own() -> std::io::Result<Io> {
        let streams = [
            std::io::stdin().as_fd().try_clone_to_owned()?,
            std::io::stdout().as_fd().try_clone_to_owned()?,
            std::io::stderr().as_fd().try_clone_to_owned()?,
        ];
        Ok(Io(streams.into_iter().enumerate().map(|(number, stream)| (number as u32, file(stream))).collect()))
    }

    /// With another stream.
    pub fn with(&self, number: u32, stream: Arc<File>) -> Io {
        let mut streams = self.0.clone();
        streams.insert(number, stream);
        Io(streams)
    }

    /// A stream, if it is open.
    pub fn get(&self, number: u32) -> Option<&Arc<File>> {
        self.0.get(&number)
    }

    /// Prints; a reader that left is no error of a script's.
    pub fn print(&self, number: u32, text: &str) {
        if let Some(stream) = self.0.get(&number) {
            let _ = (&**stream).write_all(text.as_bytes());
        }
    }
}

impl Shell {
    /// The streams after these redirections.
    ///
    /// # Errors
    /// What cannot be opened.
    pub(super) fn redirected(&mut self, redirects: &[Redirect], io: &Io) -> Result<Io, String> {
        let mut io = io.clone();
        for redirect in redirects {
            let open = |shell: &mut Shell, word: &Word, options: &mut OpenOptions, verb: &str| {
                let path = shell.expand(word, &io)?;
                options
                    .open(shell.cwd.join(&path))
                    .map(Arc::new)
                    .map_err(|error| format!("{verb} '{path}': {}", plain(&error)))
            };
            let stream = match &redirect.to {
                Target::Read(word) => open(self, word, OpenOptions::new().read(true), "can't open")?,
                Target::Write(word) => {
                    open(self, word, OpenOptions::new().write(true).create(true).truncate(true), "can't create")?
                }
                Target::Append(word) => open(self, word, OpenOptions::new().append(true).create(true), "can't create")?,
                Target::Same(word) => {
                    let number = self.expand(word, &io)?;
                    if number == "-" {
                        io.0.remove(&redirect.stream);
                        continue;
                    }
                    let known = number.parse().ok().and_then(|number: u32| io.0.get(&number).cloned());
                    known.ok_or_else(|| format!("{number}: bad file descriptor"))?
                }
                Target::Here(word) => {
                    let text = word.get().map_or_else(|| Ok(String::new()), |word| self.expand(word, &io))?;
                    here(text).map_err(|error| error.to_string())?
                }
            };
            io.0.insert(redirect.stream, stream);
        }
        Ok(io)
    }
}

/// A pipe that holds the text; a thread writes what does not fit at once.
fn here(text: String) -> std::io::Result<Arc<File>> {
    let (reader, mut writer) = std::io::pipe()?;
    // A reader that has had enough is no error.
    std::thread::Builder::new().spawn(move || _ = writer.write_all(text.as_bytes()))?;
    Ok(file(reader))
}
