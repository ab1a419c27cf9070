//! What an object carries unread: the `data` of a ControllerRevision.
//!
//! Kubernetes keeps the bytes of such a field as they were sent, and compares bytes where it compares everything
//! else by its meaning. A patch writes them anew, without the spaces a client may have sent: that is a change, and
//! where the field is immutable the patch is refused. Here the store has objects and not their bytes, so that what
//! was sent in another form than the short one is remembered beside it, by a digest: in memory, and in the store
//! under [`PLACE`], from where a server that starts anew takes it.
//!
//! In: requests and the objects they make. Out: whether the bytes changed. Never: what is in them.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::engine::{Call, Engine};
use super::kinds::FieldError;
use super::kinds::strategy;
use super::objects::Objects;
use super::storage;
use crate::api::decode::MediaType;
use crate::api::meta;
use crate::api::status::Status;
use crate::apiserver::negotiate;
use crate::etcd::Keys;

/// More objects than this are not remembered: when there are, the knowledge of those that are gone goes, then all.
const MOST: usize = 4096;
/// Where in the store it is kept, by the object's uid.
const PLACE: &str = "/tutor/raw/";

/// By the object's uid, a digest of the bytes that were sent.
#[derive(Debug, Default)]
pub struct Sent(Mutex<HashMap<String, Bytes>>);

impl Sent {
    /// Takes from the store what is known of objects that are there, and lets go of the rest.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn restore(engine: &Engine) -> Result<(), Status> {
        let alive = alive(engine);
        let found = engine.storage.range(Keys::prefix(PLACE), None).await;
        for kept in found.map_err(|error| storage::unavailable(&error))?.kvs {
            let key = String::from_utf8_lossy(&kept.key).into_owned();
            let uid = key.trim_start_matches(PLACE).to_owned();
            if alive.contains(&uid) {
                engine.raw.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, kept.value);
            } else {
                engine.storage.delete(key, kept.mod_revision.0).await?;
            }
        }
        Ok(())
    }

    /// Remembers what came with a new object, where it is not in the short form.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn remember(&self, call: &Call, object: &Value) -> Result<(), Status> {
        let field = call.strategy().raw;
        let Some(text) = sent(call, field) else { return Ok(()) };
        if text == short(&object[field]) {
            return Ok(());
        }
        let (uid, digest) = (meta::uid(object).to_owned(), digest(&text));
        call.engine.storage.create(format!("{PLACE}{uid}"), digest.clone()).await?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            let alive = alive(&call.engine);
            known.retain(|uid, _| alive.contains(uid));
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(uid, digest);
        Ok(())
    }

    /// What is wrong with a write that changes the bytes.
    pub fn changed(&self, call: &Call, new: &mut Value, old: &Value) -> Option<FieldError> {
        let field = call.strategy().raw;
        if field.is_empty() || new[field] != old[field] {
            return None;
        }
        // These read the object into types without an order and write it again.
        let media = call.header("content-type").unwrap_or("");
        let text = sent(call, field);
        if ["strategic", "apply", "yaml"].iter().any(|form| media.contains(form)) && text.is_none() {
            new[field].sort_all_objects();
        }
        let text = text.unwrap_or_else(|| short(&new[field]));
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(meta::uid(old)).cloned();
        let same = match known {
            Some(known) => known == digest(&text),
            None => text == short(&old[field]),
        };
        (!same).then(|| FieldError::invalid_raw(field, escaped(&short(&new[field])), "field is immutable"))
    }
}

/// The uids of all objects that have such a field.
fn alive(engine: &Engine) -> HashSet<String> {
    let served = engine.catalog.now();
    let raw = served.all().iter().filter(|one| !one.custom && !strategy(&one.group, &one.kind).raw.is_empty());
    raw.flat_map(|one| engine.list_named(&one.group, &one.plural, ""))
        .map(|object| meta::uid(&object).to_owned())
        .collect()
}

/// The bytes of the field in a body that is an object in JSON.
fn sent(call: &Call, field: &str) -> Option<String> {
    let whole = matches!(call.info.verb, "create" | "update");
    let json = || matches!(negotiate::body_media(call.header("content-type"), false), Ok(MediaType::Json));
    if field.is_empty() || !whole || !json() {
        return None;
    }
    let fields: HashMap<String, &RawValue> = serde_json::from_slice(&call.body).ok()?;
    fields.get(field).map(|raw| ESCAPES.iter().fold(raw.get().to_owned(), |text, (plain, go)| text.replace(go, plain)))
}

fn digest(text: &str) -> Bytes {
    Bytes::copy_from_slice(&Sha256::digest(text))
}

/// Without spaces.
fn short(value: &Value) -> String {
    value.to_string()
}

/// What Go escapes for the sake of HTML. Clients in other languages do not, and are not told from it here.
const ESCAPES: [(&str, &str); 3] = [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")];

fn escaped(text: &str) -> String {
    ESCAPES.iter().fold(text.to_owned(), |text, (plain, go)| text.replace(plain, go))
}
