//! Reading ranges, now and in the past.
//!
//! Which keys, and which version of each, the index knows; values that are not in memory come from
//! disk. The view of the disk is taken while the index is locked, so that both tell of one moment,
//! whatever is compacted meanwhile.

use std::cell::OnceCell;
use std::sync::Arc;

use bytes::Bytes;

use super::core::Core;
use super::disk::{Disk, Reader};
use super::error::StoreError;
use super::index::{Index, Version};
use super::options::READ_INLINE_MAX;
use super::request::{RangeRequest, RangeResponse, Want};
use super::types::Revision;

/// The index and the disk at one moment.
pub(super) struct View<'a> {
    pub index: &'a Index,
    disk: &'a Disk,
    reader: OnceCell<Reader>,
}

impl<'a> View<'a> {
    /// `index` must stay locked while the view lives.
    pub fn new(index: &'a Index, disk: &'a Disk) -> Self {
        View { index, disk, reader: OnceCell::new() }
    }

    /// The value of a version of `key`.
    pub fn value(&self, key: &Bytes, version: &Version) -> Result<Bytes, StoreError> {
        if let Some(value) = self.index.get(key).and_then(|history| history.remembered(version.row)) {
            return Ok(value.clone());
        }
        let reader = match self.reader.get() {
            Some(reader) => reader,
            None => {
                let opened = self.disk.reader()?;
                self.reader.get_or_init(|| opened)
            }
        };
        let value = reader.value(version.row)?;
        self.index.remember(key, version.row, &value);
        Ok(value)
    }
}

/// A read whose versions are chosen; some values may still have to be fetched.
#[derive(Debug)]
pub(super) struct Picked {
    found: Vec<(Bytes, Version, Option<Bytes>)>,
    response: RangeResponse,
}

/// Chooses the versions that `request` asks for.
pub(super) fn pick(index: &Index, request: &RangeRequest) -> Result<Picked, StoreError> {
    let at = match request.revision {
        Some(Revision(at)) if at > index.revision => return Err(StoreError::FutureRevision),
        Some(Revision(at)) if at < index.compacted => {
            return Err(StoreError::Compacted { oldest: Revision(index.compacted) });
        }
        Some(Revision(at)) => at,
        None => index.revision,
    };
    let mut found = Vec::new();
    let mut count = 0;
    for (key, history) in index.span(&request.keys) {
        let Some(version) = history.at(at) else { continue };
        count += 1;
        if request.want == Want::Count || (request.limit != 0 && count > request.limit) {
            continue;
        }
        let value = match request.want {
            Want::Values => history.remembered(version.row).cloned(),
            _ => Some(Bytes::new()),
        };
        found.push((key.clone(), *version, value));
    }
    let more = request.want != Want::Count && found.len() < count;
    let response = RangeResponse { revision: Revision(index.revision), kvs: Vec::new(), more, count };
    Ok(Picked { found, response })
}

impl Picked {
    fn missing(&self) -> usize {
        self.found.iter().filter(|(_, _, value)| value.is_none()).count()
    }

    /// Fetches what is missing and answers.
    pub fn fill(
        self,
        mut fetch: impl FnMut(&Bytes, &Version) -> Result<Bytes, StoreError>,
    ) -> Result<RangeResponse, StoreError> {
        let Picked { found, mut response } = self;
        response.kvs.reserve_exact(found.len());
        for (key, version, value) in found {
            let value = match value {
                Some(value) => value,
                None => fetch(&key, &version)?,
            };
            response.kvs.push(version.key_value(&key, value));
        }
        Ok(response)
    }
}

impl Core {
    /// Answers a read.
    pub async fn range(self: &Arc<Self>, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        match self.try_range(&request).await {
            // After a failed commit the database is opened anew, which ends the views of the old one.
            Err(StoreError::Disk(_)) => self.try_range(&request).await,
            answer => answer,
        }
    }

    async fn try_range(self: &Arc<Self>, request: &RangeRequest) -> Result<RangeResponse, StoreError> {
        let (picked, reader) = {
            let index = self.index.read();
            let picked = pick(&index, request)?;
            if picked.missing() == 0 {
                drop(index);
                return picked.fill(|_, _| Ok(Bytes::new()));
            }
            (picked, self.disk.reader()?)
        };
        let core = self.clone();
        let inline = self.disk.is_instant() || picked.missing() <= READ_INLINE_MAX;
        let fetch = move || {
            let mut fetched = Vec::new();
            let response = picked.fill(|key, version| {
                let value = reader.value(version.row)?;
                fetched.push((key.clone(), version.row, value.clone()));
                Ok(value)
            })?;
            let index = core.index.read();
            for (key, row, value) in &fetched {
                index.remember(key, *row, value);
            }
            Ok(response)
        };
        if inline { fetch() } else { self.tasks.blocking(fetch).await }
    }
}
