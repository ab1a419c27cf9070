//! Conversion webhooks: versions of a custom resource that differ in more than their name, and a server
//! that knows how to get from one to the other.
//!
//! In: objects in the version they were stored or sent in. Out: the same objects in another version,
//! metadata as it was but for labels and annotations. What was converted once is kept, by the object's
//! revision: watchers and lists ask again and again for the same. Source: apiextensions-apiserver,
//! `apiserver/conversion`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::api::custom::Definition;
use crate::api::meta;
use crate::api::resource::{Resource, parse_api_version};
use crate::api::status::{Cause, Details, Reason, Status};
use crate::apiserver::backend::webhook::{Address, check_kind, post, told_kind};
use crate::apiserver::cache::feed::ROOT;
use crate::apiserver::engine::Engine;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::kinds::metadata;
use crate::apiserver::storage;

/// How long a conversion may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The most converted objects that are kept.
const KEPT: usize = 4_096;

/// Objects converted before, by what they were, their revision, and what they were converted to.
#[derive(Default)]
pub struct Converted {
    kept: Mutex<HashMap<Key, Arc<Value>>>,
}

/// The definition's state, the object's uid and revision, the version wanted.
type Key = (String, String, String, String);

/// Objects in version `to`, in order; those that are in it already are not sent.
///
/// # Errors
/// `conversion webhook for g/v1, Kind=Thing failed: …`
pub async fn convert(
    engine: &Engine,
    definition: &Definition,
    objects: Vec<Value>,
    to: &str,
) -> Result<Vec<Value>, String> {
    let Some(webhook) = &definition.conversion else { return Ok(objects) };
    let mut results: Vec<Option<Value>> = Vec::with_capacity(objects.len());
    let mut asked: Vec<Value> = Vec::new();
    for object in objects {
        if meta::api_version(&object) == to {
            results.push(Some(object));
        } else if let Some(known) = key(definition, &object, to).and_then(|key| engine.converted.get(&key)) {
            results.push(Some((*known).clone()));
        } else {
            results.push(None);
            asked.push(object);
        }
    }
    if asked.is_empty() {
        return Ok(results.into_iter().flatten().collect());
    }
    let answered = ask(engine, webhook, &asked, to).await?;
    let mut fresh = asked.into_iter().zip(answered);
    for result in results.iter_mut().filter(|result| result.is_none()) {
        let Some((asked, answered)) = fresh.next() else { break };
        if let Some(key) = key(definition, &asked, to) {
            engine.converted.keep(key, &answered);
        }
        *result = Some(answered);
    }
    Ok(results.into_iter().flatten().collect())
}

/// What names a conversion; none for an object that is not stored yet.
fn key(definition: &Definition, object: &Value, to: &str) -> Option<Key> {
    let revision = meta::resource_version(object);
    let own = || (definition.identity.clone(), meta::uid(object).to_string(), revision.to_string(), to.to_string());
    (!revision.is_empty()).then(own)
}

impl Converted {
    fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.kept.lock().get(key).cloned()
    }

    fn keep(&self, key: Key, object: &Value) {
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, Arc::new(object.clone()));
    }
}

async fn ask(engine: &Engine, webhook: &Value, objects: &[Value], to: &str) -> Result<Vec<Value>, String> {
    // The error names the kind of what was to be converted.
    let (group, version) = parse_api_version(meta::api_version(&objects[0]));
    let kind = format!("{group}/{version}, Kind={}", meta::kind(&objects[0]));
    let failed = |why: String| format!("conversion webhook for {kind} {why}");
    let known = webhook.items("conversionReviewVersions").iter().filter_map(Value::as_str);
    let Some(review) = known.into_iter().find(|version| ["v1", "v1beta1"].contains(version)) else {
        return Err("no supported conversion review versions".to_string());
    };
    let uid = uuid::Uuid::new_v4().to_string();
    let question = json!({
        "kind": "ConversionReview", "apiVersion": format!("apiextensions.k8s.io/{review}"),
        "request": {"uid": uid, "desiredAPIVersion": to, "objects": objects},
    });
    let exchange = async {
        let address = Address::of(webhook.at("clientConfig"), LIMIT)?;
        let answer = post(&address, &question, engine, engine.clock).await?;
        check_kind(&answer, "apiextensions.k8s.io", review, "ConversionReview").map(|()| answer)
    };
    let answer = exchange.await.map_err(|why| failed(format!("failed: {why}")))?;
    let converted = answered(&answer, review, &uid).map_err(|why| failed(format!("failed: {why}")))?;
    if converted.len() != objects.len() {
        return Err(failed(format!("returned {} objects, expected {}", converted.len(), objects.len())));
    }
    let pairs = objects.iter().zip(converted).enumerate();
    pairs.map(|(index, (from, object))| checked(from, object, index, to).map_err(&failed)).collect()
}

/// A stored object that nobody could read, as the official server's storage tells of it.
pub struct Unreadable {
    key: String,
    revision: String,
}

impl Unreadable {
    /// One of a resource.
    pub fn of(object: &Value, resource: &Resource) -> Unreadable {
        let key = storage::key(meta::namespace(object), meta::name(object));
        Unreadable {
            key: format!("/{}/{}/{key}", resource.group, resource.plural),
            revision: meta::resource_version(object).to_string(),
        }
    }

    fn words(&self, root: &str, why: &str) -> String {
        let (key, revision) = (&self.key, &self.revision);
        format!(
            "StorageError: corrupt object, Code: 7, Key: {root}{key}, ResourceVersion: 0, AdditionalErrorMsg: object not \
             decodable revision={revision}: {why}"
        )
    }

    /// The error of a request for it.
    pub fn status(&self, why: &str) -> Status {
        Status::internal(self.words("", why))
    }

    /// The error of a request for all of them.
    pub fn list_status(all: &[Unreadable], resource: &Resource, why: &str) -> Status {
        let root = ROOT.trim_end_matches('/');
        let cause = |one: &Unreadable| Cause {
            reason: "UnexpectedServerResponse".to_string(),
            message: one.words(root, why),
            field: format!("{root}{}", one.key),
        };
        let causes: Vec<Cause> = all.iter().map(cause).collect();
        let first = causes.first().map(|cause| cause.message.clone()).unwrap_or_default();
        let more = if all.len() > 1 { format!(" (and {} more)", all.len() - 1) } else { String::new() };
        let what = resource.group_resource();
        let message = format!("failed to read one or more {what} from the storage: {first}{more}");
        Status::new(Reason::StorageReadError, message).details(Details {
            name: "list".to_string(),
            group: resource.group.to_string(),
            kind: resource.plural.to_string(),
            causes,
            ..Details::default()
        })
    }
}

/// 500 with nothing but words, as the official server tells of a write that could not be converted.
pub fn plain_error(message: String) -> Status {
    Status { reason: None, code: 500, ..Status::new(Reason::InternalError, message) }
}

/// The objects of an answer.
fn answered(review: &Value, version: &str, uid: &str) -> Result<Vec<Value>, String> {
    let response = review.at("response");
    if version == "v1" {
        let expected = "apiextensions.k8s.io/v1, Kind=ConversionReview";
        let found = told_kind(review);
        if found != expected {
            return Err(format!("expected webhook response of {expected}, got {found}"));
        }
    }
    if response.is_null() {
        return Err("no response provided".to_string());
    }
    if version == "v1" && response.text("uid") != uid {
        return Err(format!("expected response.uid={uid:?}, got {:?}", response.text("uid")));
    }
    let status = response.text("result.status");
    if status != "Success" {
        return Err(match response.text("result.message") {
            "" => format!("response.result.status was '{status}', not 'Success'"),
            message => message.to_string(),
        });
    }
    Ok(response.items("convertedObjects").to_vec())
}

/// A converted object with the metadata that it had, but for labels and annotations.
fn checked(from: &Value, mut object: Value, index: usize, to: &str) -> Result<Value, String> {
    let at = |what: &str| format!("returned invalid {what} at index {index}");
    let (group, version) = parse_api_version(to);
    let found = meta::api_version(&object);
    if found != to {
        let expected = format!("{group}/{version}");
        return Err(format!("{}: invalid groupVersion (expected {expected}, received {found})", at("object")));
    }
    let (wanted, found) = (meta::kind(from), meta::kind(&object));
    if wanted != found {
        return Err(format!("{}: invalid kind (expected {wanted}, received {found})", at("object")));
    }
    let metadata = [
        ("name", meta::name(from), meta::name(&object)),
        ("namespace", meta::namespace(from), meta::namespace(&object)),
        ("UID", meta::uid(from), meta::uid(&object)),
    ];
    for (what, wanted, found) in metadata {
        if wanted != found {
            return Err(format!("returned invalid object: must have the same {what}: {wanted} != {found}"));
        }
    }
    let invalid = |why: String| format!("returned invalid metadata: {why}");
    let theirs = match object.get("metadata") {
        None => return Err(invalid("missing metadata in converted object".to_string())),
        Some(metadata) => metadata.clone(),
    };
    let mut own = from["metadata"].clone();
    for field in ["labels", "annotations"] {
        let new = theirs.at(field);
        let faults = match field {
            "labels" => metadata::labels(new, "metadata.labels"),
            _ => metadata::annotations(new, "metadata.annotation"),
        };
        if new != own.at(field)
            && let Some(fault) = faults.first()
        {
            return Err(invalid(fault.to_string()));
        }
        match new.is_null() {
            true => drop(own.as_object_mut().and_then(|fields| fields.shift_remove(field))),
            false => own[field] = new.clone(),
        }
    }
    object["metadata"] = own;
    Ok(object)
}

/// Whether a resource's versions are converted by a server.
pub fn is_asked(resource: &Resource) -> bool {
    resource.definition.as_ref().is_some_and(|definition| definition.conversion.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(version: &str, metadata: Value) -> Value {
        json!({"apiVersion": format!("a.io/{version}"), "kind": "Thing", "metadata": metadata})
    }

    #[test]
    fn a_converter_may_change_labels_and_nothing_else_of_metadata() {
        let from = thing("v1", json!({"name": "x", "uid": "u", "labels": {"a": "1"}, "finalizers": ["f"]}));
        let to = thing("v2", json!({"name": "x", "uid": "u", "labels": {"b": "2"}, "finalizers": []}));
        let got = checked(&from, to, 0, "a.io/v2").unwrap();
        assert_eq!(got["metadata"], json!({"name": "x", "uid": "u", "labels": {"b": "2"}, "finalizers": ["f"]}));
        let table = [
            (
                thing("v3", json!({"name": "x"})),
                "returned invalid object at index 0: invalid groupVersion (expected a.io/v2, received a.io/v3)",
            ),
            (thing("v2", json!({"name": "y"})), "returned invalid object: must have the same name: x != y"),
            (thing("v2", json!({"name": "x"})), "returned invalid object: must have the same UID: u != "),
        ];
        for (wrong, words) in table {
            assert_eq!(checked(&from, wrong, 0, "a.io/v2").unwrap_err(), words);
        }
    }

    #[test]
    fn an_answer_has_to_be_one() {
        let answer = |response: Value| json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response});
        let table = [
            (json!({}), "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got /, Kind="),
            (answer(Value::Null), "no response provided"),
            (answer(json!({"uid": "z"})), "expected response.uid=\"u\", got \"z\""),
            (answer(json!({"uid": "u", "result": {"status": "Failed", "message": "no"}})), "no"),
            (answer(json!({"uid": "u"})), "response.result.status was '', not 'Success'"),
        ];
        for (review, words) in table {
            assert_eq!(answered(&review, "v1", "u").unwrap_err(), words);
        }
    }
}
