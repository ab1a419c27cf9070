//! The flags with which many commands say which objects they are about.

use super::flags::{Flag, Kind, long, short};

/// `-f`, `-k`, `-R`.
pub const FILES: &[Flag] = &[
    short("filename", 'f', Kind::List, "A file or folder with objects; - for standard input"),
    short("kustomize", 'k', Kind::Text(""), "A folder with a kustomization"),
    short("recursive", 'R', Kind::Bool(false), "Go into the folders of -f"),
];
/// `-f` alone.
pub const FILE: &[Flag] = &[FILES[0]];
/// `-f`, `-R`.
pub const FOLDERS: &[Flag] = &[FILES[0], FILES[2]];
/// `-l`
pub const LABELS: &[Flag] =
    &[short("selector", 'l', Kind::Text(""), "Only objects with these labels: a=b,c!=d,e in (f)")];
/// `--field-selector`
pub const FIELDS: &[Flag] = &[long("field-selector", Kind::Text(""), "Only objects with these fields: a.b=c")];
/// `-A`
pub const ALL_NAMESPACES: &[Flag] = &[short("all-namespaces", 'A', Kind::Bool(false), "In every namespace")];
/// `--all`
pub const ALL: &[Flag] = &[long("all", Kind::Bool(false), "All objects of the types named")];
/// `--chunk-size`
pub const CHUNKS: &[Flag] =
    &[long("chunk-size", Kind::Int(500), "Lists come in pieces of so many objects; 0 for whole")];
