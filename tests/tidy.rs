//! The rules of the house, held by a test: who may use whom, who may print, who may read time.
//!
//! These are rules about what is absent, which no reader can see and any change can break. They
//! are checked on the text of `src/`: simple enough to trust, strict enough to matter.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms and the rooms each may use besides itself (`../DESIGN.md`, section 3).
const ROOMS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("error", &[]),
    ("tasks", &["clock"]),
    ("state", &["error"]),
    ("listen", &["error"]),
    ("api", &[]),
    ("etcd", &["clock", "error", "tasks"]),
    ("programs", &[]),
    ("registry", &["clock", "error", "tasks"]),
    ("images", &["clock", "error", "tasks", "programs", "registry"]),
    ("apiserver", &["clock", "error", "tasks", "listen", "api", "etcd"]),
    ("client", &["clock", "error", "tasks", "state", "api", "apiserver"]),
    ("network", &["clock", "error", "tasks", "api", "client"]),
    ("kubelet", &["clock", "error", "tasks", "api", "client", "network", "registry", "images"]),
    ("controllers", &["clock", "error", "tasks", "api", "client", "network"]),
    ("scheduler", &["clock", "error", "tasks", "api", "client", "network"]),
    ("kubectl", &["clock", "error", "tasks", "api", "client", "state"]),
    (
        "cluster",
        &[
            "clock",
            "error",
            "tasks",
            "state",
            "listen",
            "api",
            "etcd",
            "registry",
            "images",
            "apiserver",
            "client",
            "network",
            "kubelet",
            "controllers",
            "scheduler",
        ],
    ),
    ("course", &["clock", "error", "tasks", "state", "images", "api", "client", "kubectl", "cluster"]),
    ("lab", &["clock", "error", "tasks", "client", "kubelet"]),
    ("web", &["clock", "error", "tasks", "state", "listen", "api", "client", "kubectl", "cluster", "course", "lab"]),
    (
        "cli",
        &[
            "clock", "error", "tasks", "state", "listen", "api", "client", "kubectl", "cluster", "course", "lab",
            "web", "registry", "images",
        ],
    ),
    ("main", &["cli", "kubelet", "programs"]),
];

/// Words that only some rooms may write, and why.
const RESERVED: &[(&str, &[&str], &str)] = &[
    ("tokio::spawn", &[], "a task belongs to a TaskGroup (tasks.rs)"),
    ("tokio::task::spawn", &[], "a task belongs to a TaskGroup (tasks.rs)"),
    ("thread::spawn", &[], "a task belongs to a TaskGroup (tasks.rs)"),
    ("SystemTime::now", &["clock", "programs"], "only clock.rs reads time"),
    ("Instant::now", &["clock", "programs"], "only clock.rs reads time"),
    ("Timestamp::now", &["clock"], "only clock.rs reads time"),
    ("Zoned::now", &["clock"], "only clock.rs reads time"),
    ("tokio::time", &["clock"], "only clock.rs waits"),
    ("thread::sleep", &["programs"], "nothing sleeps but a container's program"),
    ("println!", &["cli"], "only cli/ prints"),
    ("eprintln!", &["cli"], "only cli/ prints"),
    ("print!(", &["cli"], "only cli/ prints"),
    ("eprint!(", &["cli"], "only cli/ prints"),
    ("io::stdout", &["cli", "programs"], "only cli/ prints"),
    ("io::stderr", &["cli", "programs"], "only cli/ prints"),
    ("process::exit", &[], "the library never exits"),
    ("todo!(", &[], "what is not built is not mentioned"),
    ("unimplemented!(", &[], "what is not built is not mentioned"),
    ("dbg!(", &[], "what lands does not debug"),
];

const MOST_LINES: usize = 500;

struct Source {
    path: PathBuf,
    room: String,
    text: String,
}

fn sources() -> Vec<Source> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    let source = |path: PathBuf| {
        let inside = path.strip_prefix(&root).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
        Source { text: fs::read_to_string(&path).unwrap(), path: inside.to_owned(), room }
    };
    paths.into_iter().map(source).collect()
}

/// Lines that are code, with their numbers: no comments, and nothing from `#[cfg(test)]` on.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    source
        .text
        .lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]" || line.starts_with(' '))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(at, line)| (at + 1, line))
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// The rooms a line names after `crate::`, also in `use crate::{a::…, b}` on one line.
fn rooms_named(line: &str) -> Vec<&str> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').count();
    let mut named = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => named.extend(list.split(',').map(|part| {
                let part = part.trim();
                &part[..word(part)]
            })),
            None => named.push(&rest[..word(rest)]),
        }
    }
    named
}

#[test]
fn a_room_uses_only_the_rooms_under_it() {
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.room != "lib") {
        let Some(may) = rooms.get(source.room.as_str()) else {
            faults.push(format!("src/{}: the room {} is not in tests/tidy.rs", source.path.display(), source.room));
            continue;
        };
        for (at, line) in code(source) {
            for other in rooms_named(line).into_iter().filter(|other| rooms.contains_key(other)) {
                if other != source.room && !may.contains(&other) {
                    let path = source.path.display();
                    faults.push(format!("src/{path}:{at}: {} may not use {other}: {}", source.room, line.trim()));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn reserved_words_stay_in_their_rooms() {
    let mut faults = Vec::new();
    for source in &sources() {
        for (at, line) in code(source) {
            for (word, rooms, why) in RESERVED {
                let here = line.match_indices(word).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"')
                });
                if here && !rooms.contains(&source.room.as_str()) {
                    faults.push(format!("src/{}:{at}: {word}: {why}", source.path.display()));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//! "));
    report(&silent.map(|source| format!("src/{}: begins without //!", source.path.display())).collect::<Vec<_>>());
}

#[test]
fn a_long_file_says_why_it_is_one_thing() {
    let long = sources().into_iter().filter(|source| {
        let header: String = source.text.lines().take_while(|line| line.starts_with("//!")).collect();
        source.text.lines().count() > MOST_LINES && !header.contains("One file because")
    });
    let fault = |source: Source| {
        let lines = source.text.lines().count();
        format!("src/{}: {lines} lines; split it, or say in its //! \"One file because …\"", source.path.display())
    };
    report(&long.map(fault).collect::<Vec<_>>());
}

#[test]
fn unsafe_code_is_argued() {
    let faults = sources()
        .into_iter()
        .filter(|source| code(source).any(|(_, line)| line.contains("allow(unsafe_code") && !line.contains("reason")));
    report(&faults.map(|source| format!("src/{}: unsafe without a reason", source.path.display())).collect::<Vec<_>>());
}

#[test]
fn a_chapter_that_a_file_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut faults = Vec::new();
    for source in &sources() {
        for line in source.text.lines().take_while(|line| line.starts_with("//!")) {
            let Some((_, named)) = line.split_once("Chapter: ") else { continue };
            let page = named.split('`').nth(1).unwrap_or_default();
            if !page.ends_with(".md") || !root.join(page).exists() {
                faults.push(format!("src/{}: there is no chapter {named}", source.path.display()));
            }
        }
    }
    report(&faults);
}

/// A text that is not quoted ends for YAML where it has a colon and a space: the exercise cannot be read
/// any more. (That the files hold together in every way is tested in `src/course/catalogue.rs`.)
#[test]
fn a_text_of_an_exercise_with_a_mark_of_yaml_is_quoted() {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, found),
                false if path.file_name().is_some_and(|name| name == "exercise.yaml") => found.push(path),
                false => {}
            }
        }
    }
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("exercises"), &mut found);
    assert!(found.len() > 15, "{found:?}");
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        let mut block: Option<usize> = None;
        for (at, line) in text.lines().enumerate() {
            let words = line.trim_start_matches([' ', '-']);
            let indent = line.len() - words.len();
            if line.trim().is_empty() || block.is_some_and(|outer| line.len() - line.trim_start().len() > outer) {
                continue;
            }
            block = None;
            let Some((key, value)) = words.split_once(": ") else { continue };
            // An anchor may stand before it.
            let last = if value.starts_with('&') { value.split_whitespace().last() } else { Some(value.trim()) };
            if matches!(last, Some(">" | ">-" | "|" | "|-")) {
                block = Some(line.len() - line.trim_start().len());
            }
            let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !value.starts_with(['\'', '"', '[', '{', '|', '>', '&', '*', '!']);
            if plain && indent < line.len() && (value.contains(": ") || value.ends_with(':')) {
                faults.push(format!("{}:{}: quote it: {value}", path.display(), at + 1));
            }
        }
    }
    report(&faults);
}

#[test]
fn recorded_conformance_results_are_in_order() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    for name in ["api.tsv", "sim.tsv"] {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("spec\tresult\tseconds"), "{name}");
        let rows: Vec<Vec<&str>> = lines.map(|line| line.split('\t').collect()).collect();
        for row in &rows {
            let [spec, "passed", seconds] = row[..] else { panic!("{name}: {row:?}") };
            assert!(spec.starts_with("[sig-") && spec.contains("[Conformance]"), "{name}: {spec}");
            assert!(seconds.parse::<u32>().is_ok(), "{name}: {seconds}");
        }
        assert!(rows.is_sorted_by(|a, b| a[0] < b[0]), "{name} is not sorted, or has a spec twice");
    }
}
