//! The exercises: in the course's order, found by name, written out.
//!
//! In: the folder tree `exercises/`, which is in the program. Out: parsed exercises, their files, and the
//! starting files in a learner's folder. An existing file is never overwritten.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use include_dir::Dir;
use serde::Deserialize;

use super::exercise::Exercise;
use super::sources::EXERCISES as TREE;
use crate::error::{Error, Result};

static CATALOGUE: LazyLock<Result<Catalogue>> = LazyLock::new(Catalogue::embedded);

/// Every exercise, in the course's order.
#[derive(Debug)]
pub struct Catalogue {
    /// The parts, in order.
    pub parts: Vec<Part>,
    exercises: Vec<Exercise>,
    /// Those that cannot be read, by name. The others are there all the same.
    faulty: Vec<(String, Error)>,
}

/// A part of the course that has exercises.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The folder's name.
    pub name: String,
    /// What the list shows.
    pub title: String,
    /// Exercise names, in order.
    pub exercises: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    parts: Vec<Part>,
}

/// What [`Catalogue::init`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files that are new.
    pub new: Vec<PathBuf>,
    /// Files that were there and were left as they are.
    pub kept: Vec<PathBuf>,
}

impl Catalogue {
    /// The course's exercises.
    ///
    /// # Errors
    /// When the course's order cannot be read. An exercise that is not valid is no more than missing
    /// ([`Catalogue::find`] says why); a test holds that none is.
    pub fn get() -> Result<&'static Catalogue> {
        CATALOGUE.as_ref().map_err(Clone::clone)
    }

    /// Whether every exercise can be read.
    ///
    /// # Errors
    /// When one cannot; which and where.
    pub fn sound(&self) -> Result<()> {
        self.faulty.first().map_or(Ok(()), |(_, error)| Err(error.clone()))
    }

    /// Every exercise, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Exercise> {
        self.exercises.iter()
    }

    /// The exercise of that name.
    ///
    /// # Errors
    /// When there is none; offers the nearest names.
    pub fn find(&self, name: &str) -> Result<&Exercise> {
        let wanted = name.trim_end_matches('/');
        let wanted = wanted.rsplit('/').next().unwrap_or(wanted);
        if let Some(exercise) = self.iter().find(|exercise| exercise.name == wanted) {
            return Ok(exercise);
        }
        if let Some((_, error)) = self.faulty.iter().find(|(name, _)| name == wanted) {
            return Err(error.clone());
        }
        let mut near: Vec<(f64, &str)> = self
            .iter()
            .map(|exercise| (strsim::jaro_winkler(wanted, &exercise.name), exercise.name.as_str()))
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        // One that is much nearer than all others is what was meant.
        let least = near.first().map_or(0.7, |(best, _)| (best - 0.1).max(0.7));
        let near: Vec<&str> =
            near.into_iter().take_while(|(score, _)| *score > least).take(3).map(|(_, name)| name).collect();
        let error = Error::new(format!("there is no exercise {wanted:?}"), "");
        let error = if near.is_empty() { error } else { error.hint(format!("did you mean {}?", near.join(", "))) };
        Err(error.hint("tutor list shows them all"))
    }

    /// The exercise whose folder (as `init` writes it) `folder` is, or is inside of.
    pub fn at(&self, folder: &Path) -> Option<&Exercise> {
        folder.ancestors().find_map(|folder| {
            let name = folder.file_name()?.to_str()?;
            let part = folder.parent()?.file_name()?.to_str()?;
            self.iter().find(|exercise| exercise.name == name && exercise.part == part)
        })
    }

    /// Writes every exercise's task and starting files under `folder`.
    ///
    /// # Errors
    /// When a folder or file cannot be made.
    pub fn init(&self, folder: &Path) -> Result<Written> {
        let mut written = Written::default();
        for exercise in self.iter() {
            let home = folder.join(&exercise.part).join(&exercise.name);
            for (name, contents) in start_files(exercise) {
                let path = home.join(name);
                match write_new(&path, contents) {
                    Ok(true) => written.new.push(path),
                    Ok(false) => written.kept.push(path),
                    Err(error) => {
                        return Err(Error::new(format!("{} cannot be written", path.display()), error.to_string()));
                    }
                }
            }
        }
        Ok(written)
    }

    fn embedded() -> Result<Self> {
        Self::read(&|path| TREE.get_file(path)?.contents_utf8())
    }

    /// The catalogue of a tree of files; `text` is a file's text.
    fn read(text: &dyn Fn(&str) -> Option<&'static str>) -> Result<Self> {
        let order: Order = serde_saphyr::from_str(text("course.yaml").unwrap_or_default())
            .map_err(|error| Error::new("exercises/course.yaml cannot be read", error.to_string()))?;
        let (mut exercises, mut faulty) = (Vec::new(), Vec::new());
        for part in &order.parts {
            for name in &part.exercises {
                let path = format!("{}/{name}", part.name);
                let missing = || Error::new(format!("there is no exercises/{path}/exercise.yaml"), "");
                let read = text(&format!("{path}/exercise.yaml"))
                    .ok_or_else(missing)
                    .and_then(|yaml| Exercise::parse(&path, yaml, &|file| text(&format!("{path}/{file}")).is_some()));
                match read {
                    Ok(exercise) => exercises.push(exercise),
                    Err(error) => faulty.push((name.clone(), error)),
                }
            }
        }
        Ok(Catalogue { parts: order.parts, exercises, faulty })
    }
}

/// The text of a file of an exercise; its name is relative to the exercise's folder.
///
/// # Errors
/// When there is none of that name, or it is not text.
pub fn file(exercise: &Exercise, name: &str) -> Result<String> {
    let found = TREE.get_file(path_of(exercise).join(name)).and_then(|file| file.contents_utf8());
    found.map(str::to_owned).ok_or_else(|| Error::new(format!("exercise {} has no file {name}", exercise.name), ""))
}

/// The task: the exercise's README.md.
///
/// # Errors
/// When it has none.
pub fn task(exercise: &Exercise) -> Result<String> {
    file(exercise, "README.md")
}

/// The files in a folder of the exercise, by name, in order: `solution`, `start`.
pub fn folder(exercise: &Exercise, name: &str) -> Vec<(String, String)> {
    let Some(folder) = TREE.get_dir(path_of(exercise).join(name)) else { return Vec::new() };
    let text = |file: &include_dir::File<'_>| {
        let name = file.path().file_name()?.to_str()?.to_owned();
        Some((name, file.contents_utf8()?.to_owned()))
    };
    let mut files: Vec<(String, String)> = folder.files().filter_map(text).collect();
    files.sort();
    files
}

/// Every text file of the exercise, by its path inside the exercise's folder.
pub fn files(exercise: &Exercise) -> Vec<(String, &'static str)> {
    fn collect(dir: &'static Dir<'static>, home: &Path, found: &mut Vec<(String, &'static str)>) {
        for file in dir.files() {
            let name = file.path().strip_prefix(home).ok().and_then(Path::to_str);
            if let (Some(name), Some(text)) = (name, file.contents_utf8()) {
                found.push((name.to_owned(), text));
            }
        }
        dir.dirs().for_each(|dir| collect(dir, home, found));
    }
    let (home, mut found) = (path_of(exercise), Vec::new());
    if let Some(dir) = TREE.get_dir(&home) {
        collect(dir, &home, &mut found);
    }
    found
}

fn path_of(exercise: &Exercise) -> PathBuf {
    Path::new(&exercise.part).join(&exercise.name)
}

fn start_files(exercise: &Exercise) -> Vec<(String, String)> {
    let mut files = folder(exercise, "start");
    if let Ok(task) = task(exercise) {
        files.push(("README.md".to_owned(), task));
    }
    files
}

/// Writes a file that does not exist yet; false when it does.
fn write_new(path: &Path, contents: String) -> std::io::Result<bool> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::File::create_new(path) {
        Ok(mut file) => std::io::Write::write_all(&mut file, contents.as_bytes()).map(|()| true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exercise_is_valid_listed_and_has_a_task() {
        let catalogue = Catalogue::get().unwrap_or_else(|error| panic!("{error}"));
        catalogue.sound().unwrap_or_else(|error| panic!("{error}"));
        let folders = TREE.dirs().flat_map(Dir::dirs).map(|folder| folder.path().to_owned());
        for folder in folders {
            assert!(
                catalogue.iter().any(|exercise| path_of(exercise) == folder),
                "{} is not in course.yaml",
                folder.display()
            );
        }
        for exercise in catalogue.iter() {
            assert!(task(exercise).is_ok_and(|task| task.starts_with("# ")), "{}", exercise.name);
            assert_eq!(exercise.namespace, exercise.name, "one namespace an exercise");
        }
    }

    #[test]
    fn an_exercise_that_cannot_be_read_takes_no_other_with_it() {
        let broken = |path: &str| match path {
            "start/first-contact/exercise.yaml" => Some("title: a: b"),
            path => TREE.get_file(path)?.contents_utf8(),
        };
        let catalogue = Catalogue::read(&broken).unwrap();
        assert_eq!(catalogue.iter().count() + 1, Catalogue::get().unwrap().iter().count());
        let error = catalogue.find("first-contact").unwrap_err();
        assert!(error.to_string().contains("first-contact"), "{error}");
        assert!(catalogue.find("raw-api").is_ok());
    }

    #[test]
    fn a_name_is_found_or_near_ones_are_offered() {
        let catalogue = Catalogue::get().unwrap();
        assert_eq!(catalogue.find("start/first-contact/").unwrap().name, "first-contact");
        let error = catalogue.find("first-contakt").unwrap_err();
        assert_eq!(error.hints[0], "did you mean first-contact?");
        assert_eq!(catalogue.at(Path::new("/x/start/first-contact/deep")).unwrap().name, "first-contact");
        assert!(catalogue.at(Path::new("/x/other/first-contact")).is_none());
    }

    #[test]
    fn init_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::get().unwrap();
        let first = catalogue.init(folder.path()).unwrap();
        assert!(first.kept.is_empty() && first.new.len() >= catalogue.iter().count());
        std::fs::write(&first.new[0], "mine").unwrap();
        let second = catalogue.init(folder.path()).unwrap();
        assert_eq!((second.new.len(), second.kept.len()), (0, first.new.len()));
        assert_eq!(std::fs::read_to_string(&first.new[0]).unwrap(), "mine");
    }
}
