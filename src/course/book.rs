//! The book: its sources, embedded, and its pages, rendered by mdBook into the state folder.
//!
//! In: `book/` and `exercises/`, compiled into the program. Out: a folder of pages, kept under a
//! name made from the sources' contents, so that a second start serves at once and a new version
//! renders anew. A half-rendered folder is never served: pages are rendered beside it and moved
//! into place whole. That every include, link and picture resolves is held by `tests/it/pages.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use include_dir::{Dir, DirEntry};
use mdbook_driver::MDBook;
use mdbook_driver::config::Config;
use sha2::{Digest, Sha256};

use super::quiz;
use super::sources::{BOOK as SOURCES, EXERCISES};
use crate::error::{Error, Result};

pub mod light;

use light::Light;

/// Changes whenever the same sources would be rendered differently.
const RENDERING: &str = concat!(env!("CARGO_PKG_VERSION"), " mdbook-0.5 4");

/// The rendered book.
#[derive(Clone, Debug)]
pub struct Book {
    folder: PathBuf,
}

impl Book {
    /// The book's pages under `state`, rendered if this version's are not there yet.
    ///
    /// # Errors
    /// When the folder cannot be written, or a page does not hold together.
    pub fn open(state: &Path) -> Result<Book> {
        let home = state.join("book");
        let name = fingerprint();
        let folder = home.join(&name);
        if !folder.is_dir() {
            render(&home, &folder)?;
        }
        forget_others(&home, &name);
        Ok(Book { folder })
    }

    /// The folder of pages.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file behind a URL path (`start/first-contact.html`, `` for the first page); `None` when
    /// there is none, or the path leads out of the book.
    pub fn file(&self, path: &str) -> Option<PathBuf> {
        let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0']);
        let path = path.trim_start_matches('/');
        let path = if path.is_empty() { "index.html" } else { path };
        let inside = path.split('/').all(plain);
        let file = self.folder.join(path);
        (inside && file.is_file()).then_some(file)
    }
}

/// The Markdown of every page, by its path below `src/`.
pub fn sources() -> Vec<(String, &'static str)> {
    let mut pages = Vec::new();
    each_file(&SOURCES, &mut |file| {
        let page = file.path().strip_prefix("src").ok().and_then(Path::to_str).filter(|path| path.ends_with(".md"));
        if let (Some(page), Some(text)) = (page, file.contents_utf8()) {
            pages.push((page.to_owned(), text));
        }
    });
    pages
}

/// The page each exercise is on (`start/first-contact.html`), by the exercise's name.
pub fn exercise_pages() -> &'static BTreeMap<String, String> {
    static PAGES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
        let mut pages = BTreeMap::new();
        for (page, text) in sources() {
            let page = page.trim_end_matches(".md");
            let names = text.split("data-exercise=\"").skip(1).filter_map(|rest| rest.split('"').next());
            pages.extend(names.map(|name| (name.to_owned(), format!("{page}.html"))));
        }
        pages
    });
    &PAGES
}

/// A name for these sources: the same contents have the same one.
fn fingerprint() -> String {
    let mut hash = Sha256::new();
    hash.update(RENDERING);
    for root in [&*SOURCES, &*EXERCISES] {
        each_file(root, &mut |file| {
            hash.update(file.path().as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash.update(u64::try_from(file.contents().len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(file.contents());
        });
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn each_file(dir: &'static Dir<'static>, visit: &mut dyn FnMut(&'static include_dir::File<'static>)) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => each_file(dir, visit),
            DirEntry::File(file) => visit(file),
        }
    }
}

/// Renders into a folder beside `folder`, and moves the pages there once they are whole.
fn render(home: &Path, folder: &Path) -> Result<()> {
    let work = home.join(format!(".new-{}", std::process::id()));
    let rendered = render_in(&work).and_then(|pages| {
        // Another process may have been first; its pages are the same.
        if folder.is_dir() { Ok(()) } else { fs::rename(&pages, folder).map_err(|fault| unwritable(folder, &fault)) }
    });
    // What is left of the work is removed at the next rendering, if not now.
    let _ = fs::remove_dir_all(&work);
    rendered
}

fn render_in(work: &Path) -> Result<PathBuf> {
    let _ = fs::remove_dir_all(work);
    write_sources(&SOURCES, &work.join("book"), &|path, contents| match path.extension() {
        Some(ending) if ending == "md" => with_questions(path, contents),
        _ => Ok(contents.to_vec()),
    })?;
    write_sources(&EXERCISES, &work.join("exercises"), &|path, contents| match path.ends_with("README.md") {
        true => Ok(lower_headings(&String::from_utf8_lossy(contents)).into_bytes()),
        false => Ok(contents.to_vec()),
    })?;
    let root = work.join("book");
    let pages = work.join("pages");
    let failed = |fault: mdbook_driver::errors::Error| Error::new("the book cannot be rendered", format!("{fault:#}"));
    let mut config = Config::from_disk(root.join("book.toml")).map_err(failed)?;
    config.build.build_dir = pages.clone();
    MDBook::load_with_config(root.clone(), config).and_then(|book| book.build()).map_err(failed)?;
    lighten(&pages)?;
    Ok(pages)
}

/// A page whose questions mdBook can render.
fn with_questions(path: &Path, markdown: &[u8]) -> Result<Vec<u8>> {
    let read = quiz::read_page(&String::from_utf8_lossy(markdown));
    read.map(|(text, _)| text.into_bytes())
        .map_err(|why| Error::new("the book cannot be rendered", format!("{}, {why}", path.display())))
}

/// Adds the page's own modules, which mdBook does not know of (`theme/*.js`), and makes every page light.
fn lighten(pages: &Path) -> Result<()> {
    let theme = SOURCES.get_dir("theme").into_iter().flat_map(Dir::files);
    let name = |file: &include_dir::File<'_>| Some(file.path().file_name()?.to_str()?.to_owned());
    let modules: Vec<(String, &[u8])> = theme
        .filter(|file| file.path().extension().is_some_and(|ending| ending == "js"))
        // This one stands in the place of mdBook's own, which has put it where it belongs.
        .filter(|file| !file.path().ends_with("highlight.js"))
        .filter_map(|file| Some((name(file)?, file.contents())))
        .collect();
    let read = |path: &Path| read(&pages.join(path));
    let mut light = Light::of(&modules, &read);
    for (name, text) in &modules {
        write(&pages.join(light.module(name)), text)?;
    }
    each_page(pages, &mut |path| {
        let html = light.page(&self::read(path)?)?;
        write(path, html.as_bytes())
    })?;
    light.sheets().iter().try_for_each(|(path, text)| write(&pages.join(path), text))
}

fn each_page(folder: &Path, change: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|fault| unreadable(folder, &fault))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            each_page(&path, change)?;
        } else if path.extension().is_some_and(|ending| ending == "html") {
            change(&path)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|fault| unreadable(path, &fault))
}

fn unreadable(path: &Path, fault: &std::io::Error) -> Error {
    Error::new(format!("the book cannot be read at {}", path.display()), fault.to_string())
}

/// What becomes of a file of the book on its way, by its path.
type Rewrite<'a> = &'a dyn Fn(&Path, &[u8]) -> Result<Vec<u8>>;

fn write_sources(dir: &'static Dir<'static>, to: &Path, change: Rewrite<'_>) -> Result<()> {
    let mut done = Ok(());
    each_file(dir, &mut |file| {
        if done.is_ok() {
            done = change(file.path(), file.contents()).and_then(|text| write(&to.join(file.path()), &text));
        }
    });
    done
}

fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, contents)).map_err(|fault| unwritable(path, &fault))
}

fn unwritable(path: &Path, fault: &std::io::Error) -> Error {
    Error::new(format!("the book cannot be written to {}", path.display()), fault.to_string())
        .hint("check free space (df -h) and the folder's owner (ls -ld)")
}

/// An exercise's headings, two levels down: inside a page it is a section, not a page.
fn lower_headings(markdown: &str) -> String {
    let mut fenced = false;
    let mut lowered = String::with_capacity(markdown.len() + 64);
    for line in markdown.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced && line.starts_with('#') {
            lowered.push_str("##");
        }
        lowered.push_str(line);
        lowered.push('\n');
    }
    lowered
}

/// Removes the pages of other versions, and work that a crash left. Best effort: they do no harm.
fn forget_others(home: &Path, name: &str) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        if entry.file_name() != name {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_go_down_but_not_in_code() {
        let text = "# Title\n\n```console\n# a comment\n```\n## Part\n";
        assert_eq!(lower_headings(text), "### Title\n\n```console\n# a comment\n```\n#### Part\n");
    }

    #[test]
    fn pages_are_rendered_once_and_paths_stay_inside() {
        let state = tempfile::tempdir().unwrap();
        let book = Book::open(state.path()).unwrap();
        let page = book.file("/start/first-contact.html").unwrap();
        assert_eq!(book.file(""), book.file("index.html"));
        for outside in ["../progress.json", "start/../../x", "/etc/passwd", "//etc/passwd", "start", "a\\b", ".hidden"]
        {
            assert_eq!(book.file(outside), None, "{outside}");
        }
        fs::write(&page, "as it was").unwrap();
        fs::create_dir(state.path().join("book/of-an-older-version")).unwrap();
        let again = Book::open(state.path()).unwrap();
        assert_eq!(fs::read_to_string(page).unwrap(), "as it was", "the second start renders nothing");
        assert_eq!(fs::read_dir(state.path().join("book")).unwrap().count(), 1);
        assert_eq!(again.folder(), book.folder());
    }
}
