//! How one watch's events are written: JSON lines, YAML documents or protobuf frames, around
//! objects, their metadata or Table rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::decode::MediaType;
use crate::api::resource::Resource;
use crate::api::status::Status;
use crate::api::table::{IncludeObject, Options, Printer};
use crate::api::{meta, protobuf, typed, yaml};
use crate::apiserver::cache::{Change, Object};
use crate::apiserver::convert;
use crate::apiserver::engine::Call;
use crate::apiserver::negotiate::{Accepted, Shape};
use crate::clock::Clock;

/// Marks the bookmark after the initial events.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// How this watcher's events are written.
pub struct Form {
    resource: Arc<Resource>,
    accepted: Accepted,
    include: IncludeObject,
    clock: Clock,
    /// A Table's columns go with its first event alone.
    headers_sent: AtomicBool,
}

impl Form {
    /// As the request asked.
    pub fn new(call: &Call) -> Form {
        Form {
            resource: call.resource.clone(),
            accepted: call.accepted,
            include: IncludeObject::parse(call.param("includeObject").unwrap_or("")).unwrap_or_default(),
            clock: call.engine.clock,
            headers_sent: AtomicBool::new(false),
        }
    }

    /// An event around an object; plain JSON reuses the cache's bytes.
    pub fn event(&self, change: Change, object: &Object) -> Bytes {
        let as_stored = self.accepted.media == MediaType::Json && !convert::is_needed(&self.resource);
        if as_stored && matches!(self.accepted.shape, Shape::Native | Shape::Metadata) {
            let mut line = Vec::with_capacity(object.json_bytes() + 40);
            line.extend_from_slice(b"{\"type\":\"");
            line.extend_from_slice(change.name().as_bytes());
            line.extend_from_slice(b"\",\"object\":");
            match self.accepted.shape {
                Shape::Native => object.write(&mut line),
                _ => meta::write_partial_object(&object.json(), self.accepted.meta_version, &mut line),
            }
            line.extend_from_slice(b"}\n");
            return line.into();
        }
        self.shown(change, convert::from_stored(object.value(), &self.resource))
    }

    /// An event around an object in the resource's version.
    pub fn shown(&self, change: Change, object: Value) -> Bytes {
        self.write(change.name(), &self.shaped(object))
    }

    /// A mark that says how far the watch has come.
    pub fn bookmark(&self, revision: i64, initial_end: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial_end {
            metadata["annotations"] = json!({ INITIAL_EVENTS_END: "true" });
        }
        let (kind, api_version) = (&*self.resource.kind, self.resource.api_version());
        let mut object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        if !self.resource.custom {
            typed::normalize(&mut object, &self.resource.schema);
        }
        self.write("BOOKMARK", &self.shaped(object))
    }

    /// The event that ends a watch.
    pub fn error(&self, status: &Status) -> Bytes {
        self.write("ERROR", &status.to_value())
    }

    /// Whether events cannot be shown so: a list of metadata is no form of one object.
    pub fn is_unfit(&self) -> bool {
        self.accepted.shape == Shape::MetadataList
    }

    fn shaped(&self, object: Value) -> Value {
        match self.accepted.shape {
            Shape::Native => object,
            Shape::Table => {
                let options = Options {
                    now: self.clock.now(),
                    include: self.include,
                    version: self.accepted.meta_version,
                    list: false,
                    headers: !self.headers_sent.swap(true, Ordering::Relaxed),
                };
                let metadata = json!({"resourceVersion": meta::resource_version(&object)});
                Printer::builtin(&self.resource).table(&[&object], metadata, &options)
            }
            Shape::Metadata | Shape::MetadataList => meta::partial_object(&object, self.accepted.meta_version),
        }
    }

    fn write(&self, kind: &str, object: &Value) -> Bytes {
        match self.accepted.media {
            MediaType::Protobuf => protobuf::watch_frame(kind, &protobuf::encode(object).unwrap_or_default()).into(),
            MediaType::Yaml => format!("{}---\n", yaml::to_string(&json!({"type": kind, "object": object}))).into(),
            MediaType::Json => format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n").into(),
        }
    }
}
