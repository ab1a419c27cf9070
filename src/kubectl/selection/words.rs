//! The words that name objects: `pods,services`, `pod/web`; and what is said when they are none.

use std::collections::BTreeSet;

use super::super::failure::{Failure, Result};

/// The types of `pods,services`.
pub fn split_types(word: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    word.split(',').map(str::to_owned).filter(|part| seen.insert(part.clone())).collect()
}

/// The two halves of `pod/web`.
///
/// # Errors
/// When it has more, or one is empty.
pub fn split_tuple(word: &str) -> Result<(String, String)> {
    let parts: Vec<&str> = word.split('/').collect();
    let [kind, name] = parts[..] else {
        return Err(Failure::new("arguments in resource/name form may not have more than one slash"));
    };
    if kind.is_empty() || name.is_empty() || kind.contains(',') {
        return Err(Failure::new("arguments in resource/name form must have a single resource and name"));
    }
    Ok((kind.to_owned(), name.to_owned()))
}

/// Nothing at all was named.
pub fn no_resource() -> Failure {
    Failure::new(
        "You must provide one or more resources by argument or filename.\nExample resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'",
    )
}

/// `--local` reads files, and something else was named.
pub const ONLY_FILES: &str = "error: you must specify resources by --filename when --local is set.\nExample resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'";

/// More than one type was named where one is wanted.
pub fn several_types() -> Failure {
    Failure::new("you may only specify a single resource type")
}
