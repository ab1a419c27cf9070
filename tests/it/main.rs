//! Tests of the whole: a playground in this process, on virtual time; real clients on real sockets.

mod book;
mod clientgo;
mod controllers;
mod course;
mod custom;
mod fuzz;
mod harness;
mod helm;
mod kubectl;
mod kubectl_differential;
mod kubectl_docs;
mod learner;
#[cfg(target_os = "linux")]
mod native;
mod nodes;
mod page;
mod process;
mod python;
mod served;
mod streams;
mod webdriver;
