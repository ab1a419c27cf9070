//! What an object carries unread: the `data` of a ControllerRevision.
//!
//! Kubernetes keeps the bytes of such a field as they were sent, and compares bytes where it compares everything
//! else by its meaning. A patch writes them anew, without the spaces a client may have sent: that is a change, and
//! where the field is immutable the patch is refused. Here the store has objects and not their bytes, so that what
//! was sent in another form than the short one is remembered beside it, for as long as the server runs.
//!
//! In: requests and the objects they make. Out: whether the bytes changed. Never: what is in them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use serde_json::value::RawValue;

use super::engine::Call;
use super::kinds::FieldError;
use crate::api::decode::MediaType;
use crate::api::meta;
use crate::apiserver::negotiate;

/// More objects than this are not remembered: the oldest knowledge goes, all at once.
const MOST: usize = 4096;

/// By the object's uid, the bytes that were sent.
#[derive(Debug, Default)]
pub struct Sent(Mutex<HashMap<String, String>>);

impl Sent {
    /// Remembers what came with a new object, where it is not in the short form.
    pub fn remember(&self, call: &Call, object: &Value) {
        let field = call.strategy().raw;
        let Some(text) = sent(call, field) else { return };
        if text != short(&object[field]) {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() == MOST {
                known.clear();
            }
            known.insert(meta::uid(object).to_owned(), text);
        }
    }

    /// What is wrong with a write that changes the bytes.
    pub fn changed(&self, call: &Call, new: &mut Value, old: &Value) -> Option<FieldError> {
        let field = call.strategy().raw;
        if field.is_empty() || new[field] != old[field] {
            return None;
        }
        // These read the object into types without an order and write it again.
        let media = call.header("content-type").unwrap_or("");
        if call.info.verb == "patch" && (media.contains("strategic") || media.contains("apply")) {
            new[field].sort_all_objects();
        }
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(meta::uid(old)).cloned();
        let whole = call.info.verb != "patch";
        let same = match known {
            Some(known) => known == sent(call, field).unwrap_or_else(|| short(&new[field])),
            // Forgotten since the server started, or short from the beginning: a whole object is believed.
            None => whole || short(&new[field]) == short(&old[field]),
        };
        (!same).then(|| FieldError::invalid_raw(field, escaped(&short(&new[field])), "field is immutable"))
    }
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

/// Without spaces.
fn short(value: &Value) -> String {
    value.to_string()
}

/// What Go escapes for the sake of HTML. Clients in other languages do not, and are not told from it here.
const ESCAPES: [(&str, &str); 3] = [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")];

fn escaped(text: &str) -> String {
    ESCAPES.iter().fold(text.to_owned(), |text, (plain, go)| text.replace(plain, go))
}
