//! What Kubernetes says: kinds, schemas, metadata, quantities, selectors, patches, tables.
//!
//! Everything here is a pure function over [`serde_json::Value`] and tables of facts. Nothing here
//! does input or output, knows time, or knows about requests.

pub mod apply;
pub mod capabilities;
pub mod cel;
pub mod cron;
pub mod custom;
pub mod decode;
pub mod depth;
pub mod discovery;
pub mod field_error;
pub mod go_json;
pub mod go_regex;
mod go_regex_error;
pub mod go_values;
pub mod go_words;
pub mod jsonpath;
pub mod line_diff;
pub mod meta;
pub mod names;
pub mod openapi;
pub mod patch;
pub mod projection;
pub mod protobuf;
pub mod prune;
pub mod quantity;
pub mod quota;
pub mod resource;
pub mod schema;
pub mod scheme;
pub mod selector;
pub mod spread;
pub mod status;
pub mod table;
pub mod typed;
pub mod yaml;
