//! CEL as Kubernetes speaks it: the language of validation rules and admission policies.

pub mod duration;
