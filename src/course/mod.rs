//! The course: exercises, and the engine that grades them by watching what a cluster does.
//!
//! In: the exercises embedded from `exercises/`, a cluster reached through its API (this
//! playground's, or any other), and what the learner has done so far. Out: verdicts with evidence,
//! hints, progress. Never: a verdict from the text of a file; never the answer in a failure.
//! The format of an exercise is described in `book/src/inside/exercises.md`.
//!
//! | file | holds |
//! |---|---|
//! | `exercise` | the format of `exercise.yaml`, and what makes one valid |
//! | `sources` | the trees `exercises/` and `book/`, as they are in the program or in a checkout |
//! | `catalogue`, `folder` | finding an exercise, writing its files |
//! | `expression`, `functions` | CEL, and the functions that read a cluster |
//! | `world`, `observer` | what an expression sees: objects kept fresh by watches |
//! | `target`, `controls` | the cluster that is graded; a playground's switches and records |
//! | `actions`, `action` | what a check does to the cluster: delete, drain, apply, request, crash; its format, and doing it |
//! | `flood` | requests that go on while a check does something |
//! | `rights` | what a user may do, asked of the API server |
//! | `images` | the images of the playground's machine and registries, as a check sees them |
//! | `script` | a learner's own commands, run before or beside a check by `tutor dev check` |
//! | `check`, `explain`, `evidence` | the engine: steps in order, what was found, and why |
//! | `lifecycle` | start and reset |
//! | `session` | what a learner asks for, from the command line or the page |
//! | `hint`, `progress` | one hint at a time; what was started and passed |
//! | `book` | the book's pages, rendered |
//! | `quiz` | the book's questions, and which were answered |
//! | `prove` | `tutor dev check`: an exercise proven against its own solutions and mutants |

pub mod action;
pub mod actions;
pub mod book;
pub mod catalogue;
pub mod check;
pub mod controls;
pub mod evidence;
pub mod exercise;
pub mod explain;
pub mod expression;
pub mod flood;
pub mod folder;
pub mod functions;
pub mod hint;
pub mod images;
pub mod lifecycle;
pub mod observer;
pub mod progress;
pub mod prove;
pub mod quiz;
pub mod rights;
pub mod script;
pub mod session;
pub mod sources;
pub mod target;
pub mod world;
