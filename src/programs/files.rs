//! `cat`, `ls`, `cp`, `mv`, `rm`, `mkdir`, `touch`, `ln`, `chmod`: files and folders.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{complain, plain, print, split_options};

pub(super) fn cat(arguments: &[String]) -> i32 {
    let (_, paths) = split_options(arguments);
    let mut out = io::stdout().lock();
    if paths.is_empty() {
        return copied("cat", "-", io::copy(&mut io::stdin().lock(), &mut out).and_then(|_| out.flush()));
    }
    let mut status = 0;
    for path in paths {
        let done = match path.as_str() {
            "-" => io::copy(&mut io::stdin().lock(), &mut out).map(drop),
            path => match File::open(path) {
                Ok(mut file) => io::copy(&mut file, &mut out).map(drop),
                Err(error) => {
                    status = complain("cat", &format!("can't open '{path}': {}", plain(&error)));
                    continue;
                }
            },
        };
        status |= copied("cat", path, done.and_then(|()| out.flush()));
    }
    status
}

fn copied(name: &str, path: &str, done: io::Result<()>) -> i32 {
    match done {
        Ok(()) => 0,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 1,
        Err(error) => complain(name, &format!("{path}: {}", plain(&error))),
    }
}

pub(super) fn ls(arguments: &[String]) -> i32 {
    let here = ".".to_owned();
    let (flags, mut paths) = split_options(arguments);
    if paths.is_empty() {
        paths.push(&here);
    }
    let (mut status, mut text) = (0, String::new());
    let many = paths.len() > 1;
    let mut folders = Vec::new();
    for path in paths {
        match fs::symlink_metadata(path) {
            Err(error) => status = complain("ls", &format!("{path}: {}", plain(&error))),
            Ok(it)
                if !flags.contains('d')
                    && (it.is_dir() || it.is_symlink() && !flags.contains('l') && Path::new(path).is_dir()) =>
            {
                folders.push(PathBuf::from(path));
            }
            Ok(_) => text.push_str(&line(Path::new(path), path, &flags)),
        }
    }
    while !folders.is_empty() {
        let folder = folders.remove(0);
        let mut names: Vec<String> = match fs::read_dir(&folder) {
            Ok(entries) => entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect(),
            Err(error) => {
                status = complain("ls", &format!("{}: {}", folder.display(), plain(&error)));
                continue;
            }
        };
        if flags.contains('a') {
            names.extend([".".to_owned(), "..".to_owned()]);
        }
        names.retain(|name| !name.starts_with('.') || flags.contains('a') || flags.contains('A'));
        names.sort();
        if flags.contains('r') {
            names.reverse();
        }
        if many || flags.contains('R') {
            text.push_str(&format!("{}{}:\n", if text.is_empty() { "" } else { "\n" }, folder.display()));
        }
        let mut below = Vec::new();
        for name in names {
            let path = folder.join(&name);
            text.push_str(&line(&path, &name, &flags));
            if flags.contains('R') && name != "." && name != ".." && path.is_dir() && !path.is_symlink() {
                below.push(path);
            }
        }
        folders.splice(0..0, below);
    }
    if print(&text).is_err() { 1 } else { status }
}

fn line(path: &Path, name: &str, flags: &str) -> String {
    let Some(it) = fs::symlink_metadata(path).ok().filter(|_| flags.contains('l')) else { return format!("{name}\n") };
    let kind = match it.file_type() {
        kind if kind.is_dir() => 'd',
        kind if kind.is_symlink() => 'l',
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        kind if kind.is_fifo() => 'p',
        kind if kind.is_socket() => 's',
        _ => '-',
    };
    let mode = it.permissions().mode();
    let bits: String = "rwxrwxrwx"
        .chars()
        .enumerate()
        .map(|(at, letter)| if (mode >> (8 - at)) & 1 == 1 { letter } else { '-' })
        .collect();
    let to = fs::read_link(path).map(|to| format!(" -> {}", to.display())).unwrap_or_default();
    let when = super::time::short(it.mtime());
    format!("{kind}{bits} {:>4} {:<8} {:<8} {:>9} {when} {name}{to}\n", it.nlink(), it.uid(), it.gid(), it.size())
}

/// Where a file that is copied or moved goes: into a folder, or under another name.
fn target(from: &str, to: &str) -> PathBuf {
    let to = Path::new(to);
    match Path::new(from).file_name() {
        Some(name) if to.is_dir() => to.join(name),
        _ => to.to_owned(),
    }
}

fn pairs<'a>(name: &str, paths: &[&'a String]) -> Result<(Vec<&'a String>, &'a String), i32> {
    match paths.split_last() {
        Some((to, from)) if !from.is_empty() && (from.len() == 1 || Path::new(to.as_str()).is_dir()) => {
            Ok((from.to_vec(), *to))
        }
        Some((to, from)) if from.len() > 1 => Err(complain(name, &format!("target '{to}' is not a directory"))),
        _ => Err(complain(name, &format!("usage: {name} FROM… TO"))),
    }
}

pub(super) fn cp(arguments: &[String]) -> i32 {
    let (flags, paths) = split_options(arguments);
    let deep = flags.contains(['r', 'R', 'a']);
    let (from, to) = match pairs("cp", &paths) {
        Ok(pairs) => pairs,
        Err(status) => return status,
    };
    let mut status = 0;
    for from in from {
        let done = copy(Path::new(from), &target(from, to), deep);
        if let Err(error) = done {
            status = complain("cp", &format!("can't copy '{from}': {}", plain(&error)));
        }
    }
    status
}

fn copy(from: &Path, to: &Path, deep: bool) -> io::Result<()> {
    if deep && from.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    if !deep {
        return Err(io::Error::other("it is a directory; use -r"));
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()), deep)?;
    }
    Ok(())
}

pub(super) fn mv(arguments: &[String]) -> i32 {
    let (_, paths) = split_options(arguments);
    let (from, to) = match pairs("mv", &paths) {
        Ok(pairs) => pairs,
        Err(status) => return status,
    };
    let mut status = 0;
    for from in from {
        let target = target(from, to);
        let moved = fs::rename(from, &target).or_else(|error| match error.kind() {
            // Between two file systems a move is a copy and a removal.
            io::ErrorKind::CrossesDevices => {
                copy(Path::new(from), &target, true).and_then(|()| remove(Path::new(from)))
            }
            _ => Err(error),
        });
        if let Err(error) = moved {
            status = complain("mv", &format!("can't rename '{from}': {}", plain(&error)));
        }
    }
    status
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

pub(super) fn rm(arguments: &[String]) -> i32 {
    let (flags, paths) = split_options(arguments);
    let mut status = 0;
    for path in paths {
        let done = if flags.contains(['r', 'R']) { remove(Path::new(path)) } else { fs::remove_file(path) };
        match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound && flags.contains('f') => {}
            Err(error) => status = complain("rm", &format!("can't remove '{path}': {}", plain(&error))),
            Ok(()) => {}
        }
    }
    status
}

pub(super) fn mkdir(arguments: &[String]) -> i32 {
    let (flags, paths) = split_options(arguments);
    let mut status = 0;
    for path in paths {
        let done = if flags.contains('p') { fs::create_dir_all(path) } else { fs::create_dir(path) };
        if let Err(error) = done {
            status = complain("mkdir", &format!("can't create directory '{path}': {}", plain(&error)));
        }
    }
    status
}

pub(super) fn touch(arguments: &[String]) -> i32 {
    let (_, paths) = split_options(arguments);
    let mut status = 0;
    for path in paths {
        let now = std::time::SystemTime::now();
        let done = OpenOptions::new().append(true).create(true).open(path).and_then(|file| file.set_modified(now));
        if let Err(error) = done {
            status = complain("touch", &format!("{path}: {}", plain(&error)));
        }
    }
    status
}

pub(super) fn ln(arguments: &[String]) -> i32 {
    let (flags, paths) = split_options(arguments);
    let [from, to] = paths.as_slice() else { return complain("ln", "usage: ln [-s] [-f] FROM TO") };
    let target = target(from, to);
    if flags.contains('f') {
        // What is not there need not go.
        let _ = fs::remove_file(&target);
    }
    let done = if flags.contains('s') { symlink(from, &target) } else { fs::hard_link(from, &target) };
    done.map_or_else(|error| complain("ln", &format!("{to}: {}", plain(&error))), |()| 0)
}

/// `chmod 755 FILE…` and `chmod +x FILE…`.
pub(super) fn chmod(arguments: &[String]) -> i32 {
    let Some((mode, paths)) = arguments[1..].split_first() else {
        return complain("chmod", "usage: chmod MODE FILE…");
    };
    let mut status = 0;
    for path in paths {
        let done = fs::metadata(path).and_then(|it| {
            let mode = changed(mode, it.permissions().mode() & 0o7777)
                .ok_or_else(|| io::Error::other(format!("invalid mode '{mode}'")))?;
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
        });
        if let Err(error) = done {
            status = complain("chmod", &format!("{path}: {}", plain(&error)));
        }
    }
    status
}

fn changed(mode: &str, before: u32) -> Option<u32> {
    if mode.starts_with(|c: char| c.is_ascii_digit()) {
        return u32::from_str_radix(mode, 8).ok();
    }
    let at = mode.find(['+', '-', '='])?;
    let (who, what) = mode.split_at(at);
    let who = match who {
        "" | "a" => 0o777,
        who => who
            .chars()
            .map(|c| match c {
                'u' => 0o700,
                'g' => 0o070,
                'o' => 0o007,
                _ => 0,
            })
            .fold(0, |a, b| a | b),
    };
    let bits = what[1..]
        .chars()
        .map(|c| match c {
            'r' => 0o444,
            'w' => 0o222,
            'x' => 0o111,
            _ => 0,
        })
        .fold(0, |a, b| a | b);
    Some(match &what[..1] {
        "+" => before | (who & bits),
        "-" => before & !(who & bits),
        _ => (before & !who) | (who & bits),
    })
}

#[cfg(test)]
mod tests {
    use super::changed;

    #[test]
    fn modes_change_as_asked() {
        for (mode, before, after) in [
            ("755", 0, 0o755),
            ("+x", 0o644, 0o755),
            ("u+w", 0o444, 0o644),
            ("go-r", 0o644, 0o600),
            ("a=r", 0o777, 0o444),
        ] {
            assert_eq!(changed(mode, before), Some(after), "{mode}");
        }
        assert_eq!(changed("x", 0), None);
    }
}
