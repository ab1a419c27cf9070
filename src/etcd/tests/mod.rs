//! The store as a whole: against a model, over a disk that breaks, and as etcd would answer.
