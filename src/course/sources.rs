//! The two trees of the course, `exercises/` and `book/`: those in the program, or those of a checkout.
//!
//! In: what is compiled in; for authors `TUTOR_CHECKOUT`, the folder of a checkout, whose files are then read once, at
//! the start. Out: trees that do not change while the program runs. Chapter: `book/src/inside/exercises.md`.

use std::path::Path;
use std::sync::LazyLock;

use include_dir::{Dir, DirEntry, File, include_dir};

/// The folder of a checkout, whose exercises and pages are used instead of those in the program.
const CHECKOUT: &str = "TUTOR_CHECKOUT";

static EMBEDDED_EXERCISES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/exercises");
static EMBEDDED_BOOK: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/book");

/// The folder `exercises/`.
pub static EXERCISES: LazyLock<Dir<'static>> = LazyLock::new(|| tree("exercises", &EMBEDDED_EXERCISES));
/// The folder `book/`.
pub static BOOK: LazyLock<Dir<'static>> = LazyLock::new(|| tree("book", &EMBEDDED_BOOK));

fn tree(name: &str, embedded: &Dir<'static>) -> Dir<'static> {
    match std::env::var_os(CHECKOUT) {
        Some(checkout) => read(&Path::new(&checkout).join(name)),
        None => embedded.clone(),
    }
}

/// A folder as it is now, for as long as the program runs. What cannot be read is not in it.
fn read(root: &Path) -> Dir<'static> {
    Dir::new("", entries(root, root))
}

fn entries(root: &Path, folder: &Path) -> &'static [DirEntry<'static>] {
    let mut paths: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path()).collect();
    paths.sort();
    let entry = |path: &std::path::PathBuf| {
        let name: &'static str = path.strip_prefix(root).ok()?.to_str()?.to_owned().leak();
        match path.is_dir() {
            true => Some(DirEntry::Dir(Dir::new(name, entries(root, path)))),
            false => Some(DirEntry::File(File::new(name, std::fs::read(path).ok()?.leak()))),
        }
    };
    paths.iter().filter_map(entry).collect::<Vec<_>>().leak()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkouts_tree_is_the_one_that_is_compiled_in() {
        let from_disk = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("exercises"));
        let names = |tree: &Dir<'static>| {
            let mut names: Vec<_> = tree.dirs().flat_map(Dir::dirs).map(|it| it.path().to_owned()).collect();
            names.sort();
            names
        };
        assert!(!names(&from_disk).is_empty());
        assert_eq!(names(&from_disk), names(&EMBEDDED_EXERCISES));
        let order = |tree: &Dir<'static>| tree.get_file("course.yaml").map(|file| file.contents().to_vec());
        assert_eq!(order(&from_disk), order(&EMBEDDED_EXERCISES));
        assert!(read(Path::new("/there/is/no/such/folder")).entries().is_empty());
    }
}
