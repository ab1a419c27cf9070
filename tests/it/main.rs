//! Tests of the whole: a playground in this process, on virtual time; real clients on real sockets.

mod book;
mod controllers;
mod course;
mod custom;
mod harness;
mod kubectl;
mod kubectl_differential;
mod learner;
#[cfg(target_os = "linux")]
mod native;
mod nodes;
mod page;
mod process;
mod served;
mod streams;
mod webdriver;
