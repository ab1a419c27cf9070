//! `tar` over a simulated container's files, for `kubectl cp`.
//!
//! In: files by path, or an archive. Out: an archive, or files. Nothing touches the machine's own files.

use std::io::Read;

use super::shell::{Files, is_folder};

/// What `tar` was asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) extract: bool,
    /// Where; absolute.
    pub(super) folder: String,
    paths: Vec<String>,
}

impl Asked {
    /// Reads the words after `tar`.
    pub(super) fn parse(words: &[String]) -> Result<Asked, String> {
        let mut asked = Asked { folder: "/".into(), ..Asked::default() };
        let (mut mode, mut rest) = (None, words.iter());
        let mut first = true;
        while let Some(word) = rest.next() {
            let old_style = std::mem::take(&mut first) && !word.starts_with('-');
            match word.as_str() {
                "-C" => asked.folder = absolute("/", rest.next().ok_or("tar: -C needs a folder")?),
                long if long.starts_with("--") => {}
                flags if old_style || flags.starts_with('-') && flags.len() > 1 => {
                    mode = flags.chars().find(|flag| matches!(flag, 'c' | 'x' | 't')).or(mode);
                    if flags.ends_with('f') && rest.next().is_none_or(|file| file != "-") {
                        return Err("tar: only standard input and output (-f -) are known here".to_owned());
                    }
                }
                path => asked.paths.push(path.to_owned()),
            }
        }
        match mode {
            Some('x') => asked.extract = true,
            Some('c') if !asked.paths.is_empty() => {}
            Some('c') => return Err("tar: empty archive".to_owned()),
            _ => return Err("tar: must specify one of -c, -x".to_owned()),
        }
        Ok(asked)
    }
}

/// The path from `folder`, without `.` and `..`.
fn absolute(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// An archive of the paths, and those that are not there.
pub(super) fn pack(files: &Files, asked: &Asked) -> (Vec<u8>, Vec<String>) {
    let mut archive = tar::Builder::new(Vec::new());
    let mut missing = Vec::new();
    let mut add = |path: &str, content: &[u8], folder: bool| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(if folder { 0o755 } else { 0o644 });
        header.set_entry_type(if folder { tar::EntryType::Directory } else { tar::EntryType::Regular });
        // Writing into memory does not fail; a path that fits no header is left out.
        let _ = archive.append_data(&mut header, path.trim_start_matches('/'), content);
    };
    for asked_path in &asked.paths {
        let path = absolute(&asked.folder, asked_path);
        if let Some(content) = files.get(&path) {
            add(&path, content, false);
            continue;
        }
        let prefix = format!("{}/", path.trim_end_matches('/'));
        if !is_folder(files, &path) {
            missing.push(asked_path.clone());
            continue;
        }
        add(&prefix, &[], true);
        for (inside, content) in files.iter().filter(|(inside, _)| inside.starts_with(&prefix)) {
            add(inside, content, false);
        }
    }
    (archive.into_inner().unwrap_or_default(), missing)
}

/// The files of an archive, by absolute path.
pub(super) fn unpack(bytes: &[u8], folder: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut archive = tar::Archive::new(bytes);
    let mut unpacked = Vec::new();
    for entry in archive.entries().map_err(|error| error.to_string())? {
        let mut entry = entry.map_err(|error| error.to_string())?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|error| error.to_string())?;
        unpacked.push((absolute(folder, path.trim_start_matches('/')), content));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Asked, String> {
        Asked::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_packed_unpacks() {
        let files = Files::from([("/data/a".into(), b"one".to_vec()), ("/data/b/c".into(), b"\xff".to_vec())]);
        let (bytes, missing) = pack(&files, &asked("cf - /data /none").unwrap());
        assert_eq!(missing, ["/none"]);
        let moved = unpack(&bytes, &asked("-xmf - -C /tmp").unwrap().folder).unwrap();
        assert_eq!(moved, [("/tmp/data/a".into(), b"one".to_vec()), ("/tmp/data/b/c".into(), b"\xff".to_vec())]);
        assert!(asked("-tf -").is_err() && asked("cf archive.tar x").is_err());
    }
}
