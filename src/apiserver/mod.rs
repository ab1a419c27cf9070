//! The API server: authn → authz → decode → default → admit → validate → store → encode.

pub mod admission;
pub mod auth;
pub mod kinds;
pub mod objects;
