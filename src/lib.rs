//! tutor: a book about Kubernetes and the small, real control plane it is read beside.
//!
//! The rooms, from the bottom up; a room uses the rooms under it and no other (`tests/tidy.rs`):
//! `clock`, `error`, `tasks`, `state`, `listen`, `programs` → `api` → `etcd` → `registry`, `images` → `apiserver` →
//! `client` → `network` → `kubelet`, `controllers`, `scheduler`, `kubectl` → `cluster` →
//! `course`, `lab`, `web` → `cli`.

pub mod api;
pub mod apiserver;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod controllers;
pub mod course;
pub mod error;
pub mod etcd;
pub mod images;
pub mod kubectl;
pub mod kubelet;
pub mod lab;
pub mod listen;
pub mod network;
pub mod programs;
pub mod registry;
pub mod scheduler;
pub mod state;
pub mod tasks;
pub mod web;
