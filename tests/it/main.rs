//! Tests of the whole: a playground in this process, on virtual time; real clients on real sockets.

mod controllers;
mod course;
mod harness;
mod kubectl;
mod nodes;
mod process;
mod served;
