//! The book holds together, and what it prints is what happens.
//!
//! Every `console,run` block of a chapter is typed into a real kubectl, on a fresh playground a
//! chapter. What changes from run to run (ages, random name endings, addresses, uids, the widths of
//! columns) is evened out; a line `…` stands for any lines.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tutor::course::book::Book;
use tutor::course::catalogue::Catalogue;

use crate::served::{Served, with_kubectl};
use crate::shown::{Typed, even, fits, reads, typed};

/// How long a command that only reads is typed again and again, until it shows what the page shows: the
/// page says "a second later", and so does a reader.
const PATIENCE: Duration = Duration::from_secs(60);

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src")
}

/// Every file under a folder that ends so, relative to it.
fn files(folder: &Path, ending: &str) -> BTreeSet<PathBuf> {
    fn collect(root: &Path, folder: &Path, ending: &str, found: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => collect(root, &path, ending, found),
                false if path.to_string_lossy().ends_with(ending) => {
                    found.insert(path.strip_prefix(root).unwrap().to_owned());
                }
                false => {}
            }
        }
    }
    let mut found = BTreeSet::new();
    collect(folder, folder, ending, &mut found);
    found
}

fn links<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_page_is_in_the_summary_and_the_summary_names_only_pages() {
    let summary = fs::read_to_string(sources().join("SUMMARY.md")).unwrap();
    let named: BTreeSet<PathBuf> =
        summary.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(PathBuf::from).collect();
    let mut there = files(&sources(), ".md");
    there.remove(Path::new("SUMMARY.md"));
    assert_eq!(named, there);
    for page in &there {
        let text = fs::read_to_string(sources().join(page)).unwrap();
        assert!(text.starts_with("# ") && text.len() > 500, "{} is a placeholder", page.display());
    }
}

/// The parts of the course; the others are for reference.
const CHAPTERS: [&str; 8] =
    ["introduction", "start/", "servers/", "control-plane/", "running/", "placement/", "operators/", "ml/"];

#[test]
fn every_chapter_asks_before_and_after_and_sums_up() {
    let all = tutor::course::quiz::all().unwrap();
    let mut asked = 0;
    for page in files(&sources(), ".md") {
        let name = page.to_string_lossy();
        if !CHAPTERS.iter().any(|part| name.starts_with(part)) {
            continue;
        }
        let text = fs::read_to_string(sources().join(&page)).unwrap();
        let (shown, found) = tutor::course::quiz::read_page(&text).unwrap();
        let count = |kind| found.iter().filter(|quiz| quiz.kind == kind).count();
        use tutor::course::quiz::Kind;
        assert!(count(Kind::Predict) >= 1 && count(Kind::Why) >= 2, "{name} asks one prediction and two whys");
        assert!(text.contains("> **In short.**"), "{name} sums up");
        assert!(!shown.contains("```quiz"), "{name}");
        asked += found.len();
    }
    assert!(asked == all.len() && asked >= 50, "{asked}");
}

#[test]
fn every_exercise_is_on_a_page() {
    let pages: String =
        files(&sources(), ".md").iter().map(|page| fs::read_to_string(sources().join(page)).unwrap()).collect();
    for exercise in Catalogue::get().unwrap().iter() {
        let section = format!("data-exercise=\"{}\"", exercise.name);
        assert_eq!(pages.matches(&section).count(), 1, "{} has one place in the book", exercise.name);
        let include = format!("exercises/{}/{}/README.md}}}}", exercise.part, exercise.name);
        assert!(pages.contains(&include), "the task of {} is included", exercise.name);
    }
}

#[test]
fn every_include_link_and_picture_resolves() {
    let state = tempfile::tempdir().unwrap();
    let book = Book::open(state.path()).unwrap();
    let mut faults = Vec::new();
    let pages = files(book.folder(), ".html");
    assert!(pages.len() > 15);
    for page in &pages {
        let text = fs::read_to_string(book.folder().join(page)).unwrap();
        for word in ["{{#", "{{ #", "TODO", "TBD", "lorem ipsum", "coming soon"] {
            if text.contains(word) {
                faults.push(format!("{}: {word}", page.display()));
            }
        }
        let targets = [links(&text, "href=\""), links(&text, "src=\"")].concat();
        faults.extend(targets.into_iter().filter_map(|target| dangling(book.folder(), page, target)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Why a link of a page leads nowhere, if it does.
fn dangling(root: &Path, page: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("data:") || target.starts_with("mailto:") {
        return target.starts_with("http://").then(|| format!("{}: {target} is not https", page.display()));
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = root.join(page.parent().unwrap());
    let file = match path {
        "" => root.join(page),
        path if path.starts_with('/') => root.join(path.trim_start_matches('/')),
        path => folder.join(path),
    };
    let file = if file.is_dir() { file.join("index.html") } else { file };
    let Ok(text) = fs::read(&file) else { return Some(format!("{}: {target} is not there", page.display())) };
    let there = anchor.is_empty() || String::from_utf8_lossy(&text).contains(&format!("id=\"{anchor}\""));
    (!there).then(|| format!("{}: {target}: the page has no such place", page.display()))
}

#[test]
fn every_picture_is_told_to_those_who_cannot_see_it() {
    for picture in files(&sources(), ".svg") {
        let text = fs::read_to_string(sources().join(&picture)).unwrap();
        let name = picture.display();
        assert!(text.contains("role=\"img\"") && text.contains("<title") && text.contains("<desc"), "{name}");
        assert!(!text.contains("\n\n"), "{name}: an empty line ends the picture in Markdown");
        assert!(!text.contains("fill=\"#") && !text.contains("stroke=\"#"), "{name}: colours come from tutor.css");
    }
}

/// Types one command; why what came does not fit, if it does not.
fn run(play: &Served, typed: &Typed) -> Result<(), String> {
    let words = typed.command.strip_prefix("kubectl ").ok_or("the tests type kubectl only")?;
    let page: Vec<String> = typed.printed.iter().map(|line| even(line)).collect();
    let begun = Instant::now();
    loop {
        let done = play.kubectl_with(words, &typed.input);
        let printed = format!("{}{}", done.out, done.err);
        let came: Vec<String> = printed.lines().map(even).collect();
        if fits(&page, &came) {
            return Ok(());
        }
        if !reads(&typed.command) || begun.elapsed() > PATIENCE {
            return Err(format!("the page says\n{}\nand what comes is\n{printed}", typed.printed.join("\n")));
        }
    }
}

#[test]
fn what_the_pages_print_is_what_happens() {
    let mut faults = Vec::new();
    for page in files(&sources(), ".md") {
        let commands = typed(&fs::read_to_string(sources().join(&page)).unwrap());
        if commands.is_empty() {
            continue;
        }
        let Some(play) = with_kubectl() else { return };
        play.does("wait node --all --for=condition=Ready --timeout=140s");
        for typed in commands {
            if let Err(why) = run(&play, &typed) {
                faults.push(format!("{}:{}: $ {}\n{why}", page.display(), typed.line, typed.command));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
