//! `ls`, `cd`, `pwd`, `mkdir`, `rm`, `cp`, `mv`, `touch`, `edit`: the terminal's own files.

use std::path::PathBuf;

use super::super::editor;
use super::super::home::Home;
use super::super::pipes::{Ended, Fault};
use super::Call;
use crate::kubectl::session::FileKind;

impl Call {
    fn inside(&self, path: &str) -> PathBuf {
        Home::inside(&self.context.state.lock().folder, path)
    }

    fn home(&self) -> &Home {
        &self.context.world.home
    }
}

fn at(path: &str) -> impl Fn(std::io::Error) -> Fault + '_ {
    move |fault| Fault::Said(format!("{path}: {fault}"))
}

fn no_such(path: &str) -> Fault {
    Fault::Said(format!("{path}: no such file or directory"))
}

/// `ls`
pub async fn ls(call: &Call) -> Ended {
    let given = call.given("la1Rh", &[])?;
    let folders = if given.words.is_empty() { vec![".".to_owned()] } else { given.words.clone() };
    let mut lines = Vec::new();
    for path in &folders {
        let inside = call.inside(path);
        let names = match call.home().kind(&inside).ok_or_else(|| no_such(path))? {
            FileKind::File => vec![(path.clone(), inside)],
            FileKind::Folder => {
                let names = call.home().list(&inside).map_err(at(path))?;
                names.into_iter().map(|name| (name.clone(), inside.join(name))).collect()
            }
        };
        if folders.len() > 1 {
            lines.push(format!("{path}:"));
        }
        for (name, inside) in names {
            let folder = call.home().kind(&inside) == Some(FileKind::Folder);
            let mark = if folder { "/" } else { "" };
            let size = if folder { 0 } else { call.home().read(&inside).map_or(0, |bytes| bytes.len()) };
            lines.push(if given.is('l') { format!("{size:>8}  {name}{mark}") } else { format!("{name}{mark}") });
        }
    }
    for line in lines {
        call.context.out.line(line.as_bytes()).await?;
    }
    Ok(0)
}

/// `cd`
pub async fn cd(call: &Call) -> Ended {
    let path = call.arguments.first().map_or("~", String::as_str);
    let inside = call.inside(path);
    match call.home().kind(&inside) {
        Some(FileKind::Folder) => {
            call.context.state.lock().folder = inside;
            Ok(0)
        }
        Some(FileKind::File) => Err(Fault::Said(format!("{path}: not a directory"))),
        None => Err(no_such(path)),
    }
}

/// `pwd`
pub async fn pwd(call: &Call) -> Ended {
    let folder = call.context.state.lock().folder.clone();
    call.context.out.line(format!("/{}", folder.display()).as_bytes()).await?;
    Ok(0)
}

/// `mkdir`
pub async fn mkdir(call: &Call) -> Ended {
    for path in &call.given("p", &[])?.words {
        call.home().make_folder(&call.inside(path)).map_err(at(path))?;
    }
    Ok(0)
}

/// `rm`
pub async fn rm(call: &Call) -> Ended {
    let given = call.given("rRf", &[("recursive", 'r'), ("force", 'f')])?;
    for path in &given.words {
        let inside = call.inside(path);
        match call.home().kind(&inside) {
            None if given.is('f') => {}
            Some(FileKind::Folder) if !given.is('r') && !given.is('R') => {
                return Err(Fault::Said(format!("{path}: is a directory (rm -r removes it)")));
            }
            _ if inside.as_os_str().is_empty() => return Err(Fault::Said("the home itself stays".into())),
            _ => call.home().remove(&inside).map_err(at(path))?,
        }
    }
    Ok(0)
}

/// `cp`
pub async fn cp(call: &Call) -> Ended {
    let (from, to) = pair(call)?;
    let bytes = call.context.read_file(&from)?;
    call.home().write(&to, &bytes).map_err(at(&from))?;
    Ok(0)
}

/// `mv`
pub async fn mv(call: &Call) -> Ended {
    let (from, to) = pair(call)?;
    let bytes = call.context.read_file(&from)?;
    call.home().write(&to, &bytes).map_err(at(&from))?;
    let inside = call.inside(&from);
    if inside != to {
        call.home().remove(&inside).map_err(at(&from))?;
    }
    Ok(0)
}

/// The file that is meant, and where it is to go: into a folder under its own name.
fn pair(call: &Call) -> Result<(String, PathBuf), Fault> {
    let given = call.given("f", &[])?;
    let [from, to] = &given.words[..] else { return Err(Fault::Said("two names are needed: one, and another".into())) };
    let mut place = call.inside(to);
    if call.home().kind(&place) == Some(FileKind::Folder)
        && let Some(name) = call.inside(from).file_name()
    {
        place.push(name);
    }
    Ok((from.clone(), place))
}

/// `touch`
pub async fn touch(call: &Call) -> Ended {
    for path in &call.arguments {
        let inside = call.inside(path);
        if call.home().kind(&inside).is_none() {
            call.home().write(&inside, b"").map_err(at(path))?;
        }
    }
    Ok(0)
}

/// `edit`
pub async fn edit(call: &Call) -> Ended {
    let [path] = &call.arguments[..] else { return Err(Fault::Said("name one file: edit web.yaml".into())) };
    let inside = call.inside(path);
    let text = match call.home().kind(&inside) {
        Some(FileKind::Folder) => return Err(Fault::Said(format!("{path}: is a directory"))),
        Some(FileKind::File) => String::from_utf8_lossy(&call.context.read_file(path)?).into_owned(),
        None => String::new(),
    };
    let Some(edited) = editor::edit(&call.context.screen, &inside.to_string_lossy(), &text).await else {
        call.context.err.line(b"nothing was changed").await?;
        return Ok(1);
    };
    call.home().write(&inside, edited.as_bytes()).map_err(at(path))?;
    Ok(0)
}
