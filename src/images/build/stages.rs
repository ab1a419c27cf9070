//! The stages of a Dockerfile: which there are, which the wanted one needs.
//!
//! In: lines. Out: [`Stages`] with every name looked up: an image or an earlier stage. Pure. Source: the
//! Dockerfile reference, "FROM"; Docker's "Multi-stage builds".

use std::collections::{BTreeMap, BTreeSet};

use super::Request;
use super::fault::Fault;
use super::instruction::{self, Instruction};
use super::reader::{Line, Text};
use super::words::Expander;
use crate::images::manifest::architecture;

/// All of a Dockerfile.
#[derive(Debug)]
pub struct Stages {
    /// The character that escapes.
    pub escape: char,
    /// ARGs in front of the first FROM, and what every build knows of the machine.
    pub globals: BTreeMap<String, String>,
    /// In the file's order.
    pub list: Vec<Stage>,
    /// The one that is wanted.
    pub target: usize,
    /// What it needs, itself included.
    pub needed: BTreeSet<usize>,
}

/// One stage.
#[derive(Debug)]
pub struct Stage {
    /// The name after AS.
    pub name: Option<String>,
    /// Its FROM.
    pub line: Line,
    /// What it begins with.
    pub base: Base,
    /// The rest.
    pub steps: Vec<(Line, Instruction)>,
}

/// What a stage begins with, or a COPY takes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// An image by its name.
    Image(String),
}

/// Sorts out a Dockerfile.
///
/// # Errors
/// A line that cannot be read, a stage that is not there.
pub fn read(text: &Text, request: &Request) -> Result<Stages, Fault> {
    let given: BTreeMap<&str, &str> = request.arguments.iter().map(|(name, value)| (&**name, &**value)).collect();
    let platform = format!("linux/{}", architecture());
    let mut globals: BTreeMap<String, String> = BTreeMap::new();
    for side in ["TARGET", "BUILD"] {
        for (name, value) in [("PLATFORM", platform.as_str()), ("OS", "linux"), ("ARCH", architecture())] {
            globals.insert(format!("{side}{name}"), value.to_owned());
        }
    }
    let mut list: Vec<Stage> = Vec::new();
    for line in &text.lines {
        let number = line.number;
        let read = instruction::read(line, text.escape)?;
        let value = |name: &str| globals.get(name).cloned();
        let expander = Expander { escape: text.escape, value: &value };
        let expand =
            |word: &str| expander.word(word).map_err(|why| Fault::new(number, "a variable cannot be put in", why));
        match read {
            Instruction::From { image, name, platform: wanted } => {
                let (image, wanted) = (expand(&image)?, wanted.map(|it| expand(&it)).transpose()?);
                if image.is_empty() {
                    return Err(Fault::new(number, "FROM names no image", "the variable in it has no value")
                        .hint("give the ARG before it a value, or --build-arg NAME=value"));
                }
                if let Some(wanted) = wanted.filter(|wanted| *wanted != platform) {
                    let why = format!("this machine is {platform}, and tutor has no other");
                    return Err(Fault::new(number, format!("an image for {wanted} cannot be built here"), why)
                        .hint("leave --platform out"));
                }
                let base = base(&image, &list);
                list.push(Stage { name, line: line.clone(), base, steps: Vec::new() });
            }
            Instruction::Arg(arguments) if list.is_empty() => {
                let mut values = Vec::new();
                for (name, default) in arguments {
                    let default = default.map(|it| expand(&it)).transpose()?;
                    let value = given.get(&*name).map(|it| (*it).to_owned()).or(default);
                    values.extend(value.map(|value| (name, value)));
                }
                globals.extend(values);
            }
            read => match list.last_mut() {
                Some(stage) => stage.steps.push((line.clone(), read)),
                None => {
                    return Err(Fault::new(
                        number,
                        "the first instruction is not FROM",
                        "an image begins with another",
                    )
                    .hint("begin with FROM IMAGE, or with FROM scratch for nothing at all"));
                }
            },
        }
    }
    let target = target(&list, request)?;
    let needed = needed(&list, target)?;
    Ok(Stages { escape: text.escape, globals, list, target, needed })
}

fn target(list: &[Stage], request: &Request) -> Result<usize, Fault> {
    let Some(last) = list.len().checked_sub(1) else {
        return Err(Fault::new(1, "the file has no FROM", "it has no instruction").hint("begin with FROM IMAGE"));
    };
    let Some(wanted) = &request.target else { return Ok(last) };
    let found = stage(wanted, list);
    found.ok_or_else(|| Fault::new(1, format!("there is no stage {wanted}"), names(list)))
}

/// A stage by its name or its number.
fn stage(text: &str, list: &[Stage]) -> Option<usize> {
    let named = list.iter().rposition(|stage| stage.name.as_deref() == Some(&text.to_ascii_lowercase()));
    named.or_else(|| text.parse().ok().filter(|number| *number < list.len()))
}

fn names(list: &[Stage]) -> String {
    let names: Vec<&str> = list.iter().filter_map(|stage| stage.name.as_deref()).collect();
    if names.is_empty() { "no stage has a name".to_owned() } else { format!("the stages are {}", names.join(", ")) }
}

fn base(image: &str, before: &[Stage]) -> Base {
    let named = before.iter().rposition(|stage| stage.name.as_deref() == Some(&image.to_ascii_lowercase()));
    match named {
        Some(stage) => Base::Stage(stage),
        None if image == "scratch" => Base::Scratch,
        None => Base::Image(image.to_owned()),
    }
}

/// Where a `COPY --from` of the stage `at` takes from.
///
/// # Errors
/// When it is that stage itself, or one after it.
pub fn source(from: &str, at: usize, list: &[Stage], number: usize) -> Result<Base, Fault> {
    if let Some(stage) = stage(from, &list[..at]) {
        return Ok(Base::Stage(stage));
    }
    if stage(from, list).is_some() || from.parse::<usize>().is_ok() {
        let why = format!("only stages before this one are built by then; {}", names(&list[..at]));
        return Err(Fault::new(number, format!("there is no stage {from} to copy from"), why));
    }
    Ok(Base::Image(from.to_owned()))
}

fn needed(list: &[Stage], target: usize) -> Result<BTreeSet<usize>, Fault> {
    let (mut needed, mut open) = (BTreeSet::new(), vec![target]);
    while let Some(at) = open.pop() {
        if !needed.insert(at) {
            continue;
        }
        open.extend(match list[at].base {
            Base::Stage(stage) => Some(stage),
            _ => None,
        });
        for (line, step) in &list[at].steps {
            for from in used(step) {
                if let Base::Stage(stage) = source(from, at, list, line.number)? {
                    open.push(stage);
                }
            }
        }
    }
    Ok(needed)
}

/// The stages and images whose files an instruction uses.
fn used(step: &Instruction) -> Vec<&String> {
    match step {
        Instruction::Copy(copy) => copy.from.iter().collect(),
        Instruction::Run(run) => {
            let options = run.mounts.iter().flatten();
            options.filter(|(name, _)| name == "from").map(|(_, from)| from).collect()
        }
        _ => Vec::new(),
    }
}
