//! Tests of the whole: a playground in this process, on virtual time; real clients on real sockets.

mod aggregation;
mod autoscaling;
mod backend;
mod book;
mod clientgo;
mod controllers;
mod conversion;
mod course;
mod custom;
mod devices;
mod dock;
#[cfg(target_os = "linux")]
mod docker;
mod fuzz;
mod gateway;
mod harness;
mod helm;
mod hostile;
mod ingress;
mod keyboard;
mod kubectl;
mod kubectl_differential;
mod kubectl_docs;
mod kubectl_flags;
mod lab;
mod learner;
#[cfg(target_os = "linux")]
mod native;
#[cfg(target_os = "linux")]
mod native_policies;
mod native_services;
#[cfg(target_os = "linux")]
mod native_volumes;
mod nodes;
mod oci;
mod page;
mod process;
mod proxy;
mod pull_through;
mod python;
mod reader;
mod registry_clients;
mod served;
mod shown;
mod storage;
mod streams;
mod terminal;
mod tour;
mod webdriver;
mod webhooks;
