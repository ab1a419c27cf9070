//! COPY and ADD: which files come, and where they go.
//!
//! In: sources in a [`View`] (the context or a stage), a place in another. Out: a layer's [`Entries`]. A folder gives
//! what is in it, not itself; many sources need a folder to go to; a path that leads out of the context is
//! refused. Blocking. Source: the Dockerfile reference, "COPY".

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use super::ignore::{Ignore, fits, is_pattern};
use super::layer::{Entries, Entry, Kind};
use super::mode::Mode;
use super::view::{Seen, View};
use crate::images::owners::{Layer, Owner, Owners};
use crate::images::packed::plain;
use crate::images::unpack::{Limits, unpack};

/// Where files come from.
pub struct Source<'a> {
    /// The files.
    pub view: &'a View,
    /// Which of them count as not there.
    pub ignore: &'a Ignore,
    /// For messages: `the context`, `the stage build`.
    pub called: String,
}

/// Where and how they go.
pub struct Target<'a> {
    /// What is there already.
    pub view: &'a View,
    /// An absolute path, as it was written: a slash at its end means a folder.
    pub to: &'a str,
    /// Whose they are, if not as they were.
    pub owner: Option<Owner>,
    /// Their permissions, if not as they were.
    pub mode: Option<&'a Mode>,
    /// Where archives are unpacked on the way, if they are.
    pub scratch: Option<&'a Path>,
    /// What does not go, by its path in the source that is copied.
    pub exclude: &'a Ignore,
    /// What of its path a source keeps.
    pub names: Names,
}

/// What of its path a source keeps in the place it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// A file its name, a folder nothing.
    Alone,
    /// The folders it is in, from the source's `/./` on. Source: the Dockerfile reference, "COPY --parents".
    WithFolders,
}

/// A file that is in no view: written in the Dockerfile, or fetched.
pub struct Given {
    /// Its name, where it goes into a folder.
    pub name: String,
    /// Its content.
    pub kind: Kind,
    /// Its permissions.
    pub mode: u32,
    /// Whether an archive is unpacked; one that is fetched is not, unless that was said.
    pub unpacks: bool,
}

/// The entries of one COPY.
///
/// # Errors
/// Why not: what is wrong, and what the reader can do.
pub fn entries(
    source: &Source<'_>,
    paths: &[String],
    given: Vec<Given>,
    target: &Target<'_>,
) -> Result<Entries, (String, String)> {
    let failed = |error: io::Error| (error.to_string(), String::new());
    let mut found: Vec<(PathBuf, PathBuf)> = Vec::new();
    for written in paths {
        let from = if target.names == Names::WithFolders { pivot(source, written)? } else { PathBuf::new() };
        for path in find(source, written, target.names)? {
            let kept = path.strip_prefix(&from).unwrap_or(&path).to_owned();
            found.push((path, kept));
        }
    }
    let to = target.view.resolve(Path::new(target.to)).map_err(failed)?;
    let is_folder = target.view.look(&to).is_some_and(|seen| seen.metadata.is_dir());
    let with_folders = target.names == Names::WithFolders;
    let into = is_folder || with_folders || target.to.ends_with('/') || target.to.ends_with("/.");
    if found.len() + given.len() > 1 && !into {
        let why = format!("several files go to {}, which is no folder", target.to);
        return Err((why, format!("end it with a slash: {}/", target.to)));
    }
    let mut putting = Putting { target, to, into, entries: Entries::default() };
    for file in given {
        putting.given(file).map_err(failed)?;
    }
    for (path, kept) in found {
        putting.found(source, &path, &kept)?;
    }
    Ok(putting.entries)
}

/// Entries under way.
struct Putting<'a> {
    target: &'a Target<'a>,
    to: PathBuf,
    /// They go into a folder.
    into: bool,
    entries: Entries,
}

impl Putting<'_> {
    /// Adds a file that has had these permissions and this owner, and the folders that it needs.
    fn put(&mut self, path: PathBuf, kind: Kind, had: u32, owner: Owner) -> io::Result<()> {
        let Target { view, owner: wanted, mode, .. } = self.target;
        let mode = mode.map_or(had, |mode| mode.apply(had, matches!(kind, Kind::Folder)));
        self.entries.put_folders(path.parent().unwrap_or(Path::new("")), view, wanted.unwrap_or_default())?;
        self.entries.put(path, Entry { kind, mode, owner: wanted.unwrap_or(owner) });
        Ok(())
    }

    /// Adds a file as it is seen in a source.
    fn put_seen(&mut self, source: &Source<'_>, from: &Path, seen: &Seen, to: PathBuf) -> io::Result<()> {
        let owner = source.view.owner(from, seen)?;
        self.put(to, kind(&seen.real, &seen.metadata)?, seen.metadata.permissions().mode() & 0o7777, owner)
    }

    fn given(&mut self, file: Given) -> io::Result<()> {
        match &file.kind {
            Kind::File(path) if file.unpacks && is_archive(path) => {
                let path = path.clone();
                return self.archive(&path);
            }
            _ => {}
        }
        let path = if self.into { self.to.join(&file.name) } else { self.to.clone() };
        self.put(path, file.kind, file.mode, Owner::default())
    }

    /// What is in an archive.
    fn archive(&mut self, path: &Path) -> io::Result<()> {
        let Some(scratch) = self.target.scratch else { return Ok(()) };
        let folder = scratch.join(uuid::Uuid::new_v4().to_string());
        unpacked(path, &folder)?;
        let view = View::of(&folder).owned(Owners::of(vec![Layer { archive: path.to_owned(), note: None }]));
        let inside = Source { view: &view, ignore: &Ignore::default(), called: path.display().to_string() };
        for file in walk(&inside, Path::new(""))? {
            let seen = view.look(&file).ok_or_else(|| io::Error::other(gone(&inside, &file).0))?;
            self.put_seen(&inside, &file, &seen, self.to.join(&file))?;
        }
        Ok(())
    }

    fn found(&mut self, source: &Source<'_>, path: &Path, kept: &Path) -> Result<(), (String, String)> {
        let failed = |error: io::Error| (error.to_string(), String::new());
        let seen = source.view.look(path).ok_or_else(|| gone(source, path))?;
        let with_folders = self.target.names == Names::WithFolders;
        if seen.metadata.is_dir() {
            let to = if with_folders { self.to.join(kept) } else { self.to.clone() };
            return self.folder(source, path, &to);
        }
        let name = PathBuf::from(path.file_name().unwrap_or_default());
        if self.target.exclude.overlooks(&name) {
            return Ok(());
        }
        if self.target.scratch.is_some() && is_archive(&seen.real) {
            return self.archive(&seen.real).map_err(failed);
        }
        let to = match (with_folders, self.into) {
            (true, _) => self.to.join(kept),
            (false, true) => self.to.join(name),
            (false, false) => self.to.clone(),
        };
        self.put_seen(source, path, &seen, to).map_err(failed)
    }

    /// What is in a folder.
    fn folder(&mut self, source: &Source<'_>, path: &Path, to: &Path) -> Result<(), (String, String)> {
        let failed = |error: io::Error| (error.to_string(), String::new());
        let Target { view, owner, mode, exclude, .. } = self.target;
        self.entries.put_folders(to, view, owner.unwrap_or_default()).map_err(failed)?;
        for file in walk(source, path).map_err(failed)? {
            let within = file.strip_prefix(path).unwrap_or(&file);
            if exclude.overlooks(within) {
                continue;
            }
            let seen = source.view.look(&file).ok_or_else(|| gone(source, &file))?;
            let inside = to.join(within);
            let there = view.look(&inside);
            if there.is_some_and(|it| it.metadata.is_dir() && seen.metadata.is_dir()) && mode.is_none() {
                continue;
            }
            self.put_seen(source, &file, &seen, inside).map_err(failed)?;
        }
        Ok(())
    }
}

fn gone(source: &Source<'_>, path: &Path) -> (String, String) {
    (format!("{} is not in {} any more", path.display(), source.called), String::new())
}

/// The folder that the paths kept by `--parents` begin in: what stands before `/./`.
fn pivot(source: &Source<'_>, written: &str) -> Result<PathBuf, (String, String)> {
    let before = written.split_once("/./").map_or("", |(before, _)| before);
    source.view.resolve(&clean(before)).map_err(|error| (error.to_string(), String::new()))
}

/// A source without `.` and `..`; those that would lead out are left out, as Docker has it.
fn clean(written: &str) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in Path::new(written).components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => _ = clean.pop(),
            _ => {}
        }
    }
    clean
}

/// Whether `..` in a source would lead out of where it is.
fn leads_out(written: &str) -> bool {
    let mut depth = 0;
    Path::new(written).components().any(|part| {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            _ => {}
        }
        depth < 0
    })
}

/// The paths that a source stands for, links followed.
fn find(source: &Source<'_>, written: &str, names: Names) -> Result<Vec<PathBuf>, (String, String)> {
    let failed = |error: io::Error| (error.to_string(), String::new());
    let clean = clean(written);
    let mut found = vec![PathBuf::new()];
    for part in clean.components() {
        let part = part.as_os_str().to_string_lossy().into_owned();
        let mut next = Vec::new();
        for path in found {
            if !is_pattern(&part) {
                next.push(path.join(&part));
                continue;
            }
            if part == "**" && names == Names::WithFolders {
                next.extend(folders(source, &path).map_err(failed)?);
                continue;
            }
            let names = source.view.names(&path).map_err(failed)?;
            let names = names.iter().filter(|name| fits(&part, &name.to_string_lossy()));
            next.extend(names.map(|name| path.join(name)));
        }
        found = next;
    }
    let mut there = Vec::new();
    for path in found {
        let resolved = source.view.resolve(&path).map_err(failed)?;
        let is_root = resolved.as_os_str().is_empty();
        let is_there = is_root || source.view.look(&resolved).is_some();
        if is_there && !source.ignore.overlooks(&path) {
            there.push(if is_root { PathBuf::new() } else { resolved });
        } else if is_there
            && source.view.look(&resolved).is_some_and(|it| it.metadata.is_dir())
            && !source.ignore.closes_folders()
        {
            there.push(resolved);
        } else if is_there && !is_pattern(written) {
            let why = format!("{written} is in {}, but .dockerignore hides it", source.called);
            return Err((why, format!("add a line to .dockerignore: !{}", path.display())));
        }
    }
    if there.is_empty() && leads_out(written) {
        let why = format!("{written} is outside of {}", source.called);
        return Err((why, "copy it into the folder that you build, or build the folder above".to_owned()));
    }
    if there.is_empty() {
        return Err((format!("{written} is not in {}", source.called), nearest(source, &clean)));
    }
    Ok(there)
}

/// A folder, and all folders in it: what `**` stands for.
fn folders(source: &Source<'_>, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let is_folder = |path: &PathBuf| source.view.look(path).is_some_and(|seen| seen.metadata.is_dir());
    let inside = walk(source, folder)?.into_iter().filter(is_folder);
    Ok([folder.to_owned()].into_iter().chain(inside).collect())
}

/// What the reader may have meant.
fn nearest(source: &Source<'_>, path: &Path) -> String {
    let folder = path.parent().unwrap_or(Path::new(""));
    let wanted = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = source.view.names(folder).unwrap_or_default();
    let names: Vec<String> = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    let near = |name: &&String| strsim::damerau_levenshtein(name, &wanted);
    match names.iter().min_by_key(near).filter(|name| near(name) <= 2) {
        Some(name) => format!("did you mean {}?", folder.join(name).display()),
        None if names.is_empty() => String::new(),
        None => format!("what is there: {}", names.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ")),
    }
}

/// Everything in a folder that is not overlooked, folders before what is in them.
fn walk(source: &Source<'_>, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for name in source.view.names(folder)? {
        let path = folder.join(name);
        let is_folder = source.view.look(&path).is_some_and(|seen| seen.metadata.is_dir());
        let overlooked = source.ignore.overlooks(&path);
        if is_folder && !(overlooked && source.ignore.closes_folders()) {
            let inside = walk(source, &path)?;
            if !overlooked || !inside.is_empty() {
                found.push(path);
            }
            found.extend(inside);
        } else if !overlooked {
            found.push(path);
        }
    }
    Ok(found)
}

fn kind(real: &Path, metadata: &fs::Metadata) -> io::Result<Kind> {
    if metadata.is_dir() {
        return Ok(Kind::Folder);
    }
    if metadata.is_symlink() {
        return fs::read_link(real).map(Kind::Link);
    }
    if metadata.is_file() {
        return Ok(Kind::File(real.to_owned()));
    }
    Err(io::Error::other(format!("{} is neither file, folder nor link", real.display())))
}

/// True for a tar archive, packed or not: it is when it begins like one.
fn is_archive(path: &Path) -> bool {
    let mut start = [0; 512];
    let read = File::open(path).and_then(plain).and_then(|mut it| it.read_exact(&mut start));
    read.is_ok() && &start[257..262] == b"ustar"
}

fn unpacked(archive: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = File::open(archive)?;
    let size = file.seek(io::SeekFrom::End(0))?;
    file.rewind()?;
    unpack(plain(file)?, folder, Limits::of_packed(size)).map(drop)
}
