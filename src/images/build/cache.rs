//! The layer cache: what a step came to the last time, under a key of all that it depends on.
//!
//! In: a key. Out: an [`Outcome`]. A record whose layer is gone counts as none. Blocking.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::images::store::Store;
use crate::registry::{Digest, Written};

/// The records of a store.
pub struct Cache<'a> {
    store: &'a Store,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its layer; none when it changed nothing.
    pub layer: Option<Written>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    layer: Option<(String, u64)>,
}

/// What a step depends on, as one digest. Parts cannot run into each other.
pub fn key(parts: &[&str]) -> Digest {
    let lengths: String = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
    Digest::of(lengths.as_bytes())
}

impl<'a> Cache<'a> {
    /// Those of this store.
    pub fn of(store: &'a Store) -> Cache<'a> {
        Cache { store }
    }

    fn path(&self, key: &Digest) -> PathBuf {
        self.store.folder("cache").join(key.hex())
    }

    /// What is known of a step.
    pub fn find(&self, key: &Digest) -> Option<Outcome> {
        let record: Record = serde_json::from_slice(&fs::read(self.path(key)).ok()?).ok()?;
        let Some((digest, size)) = record.layer else { return Some(Outcome { layer: None }) };
        let digest = Digest::parse(&digest)?;
        self.store.content.holds(&digest).then_some(Outcome { layer: Some(Written { digest, size }) })
    }

    /// Writes down what a step came to.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn put(&self, key: &Digest, layer: Option<&Written>) -> io::Result<()> {
        fs::create_dir_all(self.store.folder("cache"))?;
        let record = Record { layer: layer.map(|it| (it.digest.to_string(), it.size)) };
        let unfinished = self.store.folder("uploads").join(uuid::Uuid::new_v4().to_string());
        fs::write(&unfinished, serde_json::to_vec(&record)?)?;
        fs::rename(unfinished, self.path(key))
    }
}
