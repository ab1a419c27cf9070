//! Selectors: the questions that lists, watches, Services and controllers ask of objects.
//!
//! [`LabelSelector`] reads both spellings: the text of `?labelSelector=` and `kubectl -l`, and the
//! object with `matchLabels` and `matchExpressions`. [`FieldSelector`] reads `?fieldSelector=`; which
//! fields a kind offers is its own business. Errors use the API server's words.
//!
//! Source: `k8s.io/apimachinery/pkg/{labels,fields}`. Chapter: `book/src/inside/schema.md`.

mod fields;
mod label_parser;
mod labels;
mod names;

pub use fields::{FieldSelector, FieldTerm};
pub use labels::{LabelSelector, Operator, Requirement};
pub use names::{dns1123_subdomain_errors, label_value_errors, qualified_name_errors};

/// A selector's text or object cannot be understood; the words are the API server's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub String);

impl SelectorError {
    fn new(message: impl Into<String>) -> SelectorError {
        SelectorError(message.into())
    }
}
