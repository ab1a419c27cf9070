//! What Kubernetes says: kinds, schemas, metadata, quantities, selectors, patches, tables.
//!
//! Everything here is a pure function over [`serde_json::Value`] and tables of facts. Nothing here
//! does input or output, knows time, or knows about requests.

pub mod meta;
pub mod quantity;
pub mod resource;
pub mod schema;
pub mod status;
