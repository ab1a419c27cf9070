//! `tar`: what `kubectl cp` asks of a container: `tar cf - PATH…` and `tar xf - -C FOLDER`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{complain, plain, print};

pub(super) fn main(arguments: &[String]) -> i32 {
    let (mut mode, mut file, mut folder, mut paths) = (None, "-".to_owned(), None, Vec::new());
    let mut words = arguments[1..].iter();
    let mut first = true;
    while let Some(word) = words.next() {
        let old_style = std::mem::take(&mut first) && !word.starts_with('-');
        match word.as_str() {
            "-C" => folder = words.next().map(PathBuf::from),
            long if long.starts_with("--") => {}
            flags if old_style || flags.starts_with('-') && flags.len() > 1 => {
                mode = flags.chars().find(|flag| "cxt".contains(*flag)).or(mode);
                if flags.contains('f') {
                    let Some(name) = words.next() else { return complain("tar", "-f needs a file") };
                    file.clone_from(name);
                }
            }
            path => paths.push(path.to_owned()),
        }
    }
    let folder = folder.unwrap_or_else(|| PathBuf::from("."));
    let done = match mode {
        Some('c') => create(&file, &folder, &paths),
        Some('x') => extract(&file, &folder),
        Some('t') => list(&file),
        _ => return complain("tar", "usage: tar c|x|t [-f FILE] [-C FOLDER] [PATH…]"),
    };
    done.unwrap_or_else(|error| complain("tar", &plain(&error)))
}

fn input(file: &str) -> io::Result<Box<dyn io::Read>> {
    Ok(if file == "-" { Box::new(io::stdin()) } else { Box::new(File::open(file)?) })
}

fn create(file: &str, folder: &Path, paths: &[String]) -> io::Result<i32> {
    let out: Box<dyn Write> = if file == "-" { Box::new(io::stdout()) } else { Box::new(File::create(file)?) };
    let mut archive = tar::Builder::new(out);
    archive.follow_symlinks(false);
    let mut status = 0;
    for path in paths {
        let from = folder.join(path);
        let name = Path::new(path.trim_start_matches('/'));
        let name = if name.as_os_str().is_empty() { Path::new(".") } else { name };
        let added = match std::fs::symlink_metadata(&from) {
            Ok(it) if it.is_dir() => archive.append_dir_all(name, &from),
            Ok(_) => archive.append_path_with_name(&from, name),
            Err(error) => Err(error),
        };
        if let Err(error) = added {
            status = complain("tar", &format!("{path}: {}", plain(&error)));
        }
    }
    archive.into_inner()?.flush()?;
    Ok(status)
}

fn extract(file: &str, folder: &Path) -> io::Result<i32> {
    let mut archive = tar::Archive::new(input(file)?);
    archive.set_overwrite(true);
    archive.unpack(folder)?;
    Ok(0)
}

fn list(file: &str) -> io::Result<i32> {
    for entry in tar::Archive::new(input(file)?).entries()? {
        print(&format!("{}\n", entry?.path()?.display()))?;
    }
    Ok(0)
}
