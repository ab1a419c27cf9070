//! Files as a build sees them: a context, or layers over one another, without laying them out.
//!
//! In: folders, lowest first, and what each hides. Out: what is at a path, links followed inside of it: a
//! link to `/etc/passwd` leads to the image's, never to this machine's. Blocking.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::images::owners::{Owner, Owners};
use crate::images::unpack::Removals;

/// Links that may be followed on the way to one file. Source: Linux `MAXSYMLINKS`.
const MOST_LINKS: usize = 40;

/// One tree of files out of several folders.
#[derive(Clone, Debug, Default)]
pub struct View {
    layers: Vec<(PathBuf, Removals)>,
    /// Those of layers; of a folder of this machine nobody here is the owner.
    owners: Option<Arc<Owners>>,
}

/// A file of a view.
#[derive(Debug)]
pub struct Seen {
    /// Where it really is.
    pub real: PathBuf,
    /// What it is; of a link, the link's own.
    pub metadata: Metadata,
    /// The folder of the view that it is in, from 0.
    pub layer: usize,
}

impl View {
    /// Folders, lowest first.
    pub fn new(layers: Vec<(PathBuf, Removals)>) -> View {
        View { layers, owners: None }
    }

    /// The same, with who owns the files.
    #[must_use]
    pub fn owned(self, owners: Owners) -> View {
        View { owners: Some(Arc::new(owners)), ..self }
    }

    /// Who owns what was seen at a path.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn owner(&self, path: &Path, seen: &Seen) -> io::Result<Owner> {
        self.owners.as_ref().map_or(Ok(Owner::default()), |owners| owners.find(seen.layer, path))
    }

    /// A folder alone.
    pub fn of(folder: &Path) -> View {
        View::new(vec![(folder.to_owned(), Removals::default())])
    }

    /// What is at a path (relative to the root, none of its folders a link): the uppermost counts.
    pub fn look(&self, path: &Path) -> Option<Seen> {
        for (layer, (root, removals)) in self.layers.iter().enumerate().rev() {
            if let Some(seen) = exactly(root, path) {
                return Some(Seen { layer, ..seen });
            }
            let above = || path.ancestors().skip(1);
            if path.ancestors().any(|part| removals.paths.contains(part))
                || above().any(|part| removals.opaque.contains(part))
                || above().any(|part| !part.as_os_str().is_empty() && is_no_folder(root, part))
            {
                return None;
            }
        }
        None
    }

    /// The names in a folder.
    pub fn names(&self, folder: &Path) -> io::Result<BTreeSet<OsString>> {
        let mut names = BTreeSet::new();
        for (root, _) in &self.layers {
            let Some(seen) = exactly(root, folder).filter(|seen| seen.metadata.is_dir()) else { continue };
            for entry in fs::read_dir(seen.real)? {
                names.insert(entry?.file_name());
            }
        }
        names.retain(|name| self.look(&folder.join(name)).is_some());
        Ok(names)
    }

    /// The path with every link followed, `..` taken at its word, all inside of the root. What is not there
    /// stays as it is written.
    ///
    /// # Errors
    /// When links lead in a circle.
    pub fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let mut done = PathBuf::new();
        let mut left: Vec<OsString> = parts(path);
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            let next = done.join(&part);
            match self.look(&next).filter(|seen| seen.metadata.is_symlink()) {
                Some(link) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(io::Error::other(format!("{}: too many links on the way", path.display())));
                    }
                    let to = fs::read_link(link.real)?;
                    if to.is_absolute() {
                        done = PathBuf::new();
                    }
                    left.extend(parts(&to));
                }
                None => done = next,
            }
        }
        Ok(done)
    }
}

/// The parts of a path, last first.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |part: Component<'_>| match part {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().rev().filter_map(part).collect()
}

/// What a folder has at a path, none of whose folders may be a link.
fn exactly(root: &Path, path: &Path) -> Option<Seen> {
    let mut real = root.to_owned();
    let mut metadata = fs::symlink_metadata(&real).ok()?;
    for part in path.components() {
        if !metadata.is_dir() {
            return None;
        }
        real.push(part);
        metadata = fs::symlink_metadata(&real).ok()?;
    }
    Some(Seen { real, metadata, layer: 0 })
}

/// A file or a link where a lower layer may have a folder: it hides what is in that.
fn is_no_folder(root: &Path, path: &Path) -> bool {
    exactly(root, path).is_some_and(|seen| !seen.metadata.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_uppermost_counts_and_what_is_hidden_is_not_there() {
        let (lower, upper) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for file in ["a", "b", "gone", "folder/x", "opaque/old"] {
            let path = lower.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "lower").unwrap();
        }
        fs::create_dir(upper.path().join("opaque")).unwrap();
        fs::write(upper.path().join("b"), "upper").unwrap();
        fs::write(upper.path().join("folder"), "a file now").unwrap();
        let removals = Removals { paths: [PathBuf::from("gone")].into(), opaque: [PathBuf::from("opaque")].into() };
        let view = View::new(vec![(lower.path().into(), Removals::default()), (upper.path().into(), removals)]);
        let text = |path: &str| view.look(Path::new(path)).map(|seen| fs::read_to_string(seen.real).unwrap());
        assert_eq!((text("a").as_deref(), text("b").as_deref()), (Some("lower"), Some("upper")));
        for gone in ["gone", "folder/x", "opaque/old", "none"] {
            assert!(text(gone).is_none(), "{gone}");
        }
        let names: Vec<OsString> = view.names(Path::new("")).unwrap().into_iter().collect();
        assert_eq!(names, ["a", "b", "folder", "opaque"]);
    }

    #[test]
    fn links_never_lead_out() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        for (link, to) in [("bin", "usr/bin"), ("abs", "/usr"), ("out", "../../../etc"), ("round", "round")] {
            symlink(to, root.path().join(link)).unwrap();
        }
        let view = View::of(root.path());
        for (path, expected) in
            [("/bin/sh", "usr/bin/sh"), ("abs/bin", "usr/bin"), ("out/passwd", "etc/passwd"), ("../x", "x")]
        {
            assert_eq!(view.resolve(Path::new(path)).unwrap(), Path::new(expected), "{path}");
        }
        assert!(view.resolve(Path::new("round/x")).is_err());
    }
}
