//! Answers: objects, lists and errors as bytes in the form that was agreed on.
//!
//! In: what to say and an [`Accepted`] form. Out: an HTTP response. A list in plain JSON is put
//! together from the cache's own bytes; nothing is parsed or written again.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use warp::reply::Response;

use super::cache::Object;
use super::engine::Call;
use super::negotiate::{Accepted, Shape};
use crate::api::decode::MediaType;
use crate::api::field_error::FieldError;
use crate::api::resource::Resource;
use crate::api::status::{Reason, Status};
use crate::api::table::{IncludeObject, Options, Printer};
use crate::api::{meta, protobuf, yaml};

/// Answers of at least this size are compressed for those who accept it.
const GZIP_FROM_BYTES: usize = 128 * 1024;

/// An error.
pub fn error(status: &Status, accepted: Accepted) -> Response {
    let body = status.to_value();
    let accepted = Accepted { shape: Shape::Native, ..accepted };
    let mut response = match encode(&body, accepted) {
        Ok(bytes) => send(status.code, accepted.content_type(), bytes),
        Err(_) => send(status.code, "application/json", body.to_string().into()),
    };
    if let Some(seconds) = status.details.as_ref().map(|d| d.retry_after_seconds).filter(|s| *s > 0) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Bytes with a content type.
pub fn send(code: u16, content_type: &'static str, body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// 204: there is nothing to say, and so no form to say it in.
pub fn nothing() -> Response {
    let mut response = send(204, "", Bytes::new());
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}

/// Plain text, as the few paths that are no API objects answer.
pub fn text(code: u16, body: impl Into<String>) -> Response {
    let mut response = send(code, "text/plain; charset=utf-8", Bytes::from(body.into()));
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// Too much at once: plain text, as the official server says it.
pub fn busy() -> Response {
    let mut busy = text(429, "Too many requests, please try again later.\n");
    busy.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    busy
}

/// One object, in the form the request asked for.
///
/// # Errors
/// 406 when the object has no such form.
pub fn object(code: u16, object: &Value, call: &Call) -> Result<Response, Status> {
    let accepted = call.accepted;
    let inner;
    let object = match accepted.shape {
        Shape::Native => object,
        Shape::Table if include_object(call)? == IncludeObject::Object => object,
        _ => {
            inner = without_conversion(object, call);
            &inner
        }
    };
    let body = match accepted.shape {
        Shape::Native => encode(object, accepted)?,
        Shape::Table => {
            let metadata = match meta::resource_version(object) {
                "" => json!({}),
                revision => json!({"resourceVersion": revision}),
            };
            encode(&table(&[object], metadata, call, Rows::Object)?, accepted)?
        }
        Shape::Metadata => encode(&meta::partial_object(object, accepted.meta_version), accepted)?,
        Shape::MetadataList => {
            let kind = go_type(&call.resource, &call.resource.kind);
            return Err(Status::new(
                Reason::NotAcceptable,
                format!("you requested PartialObjectMetadataList, but the requested object is not a list ({kind})"),
            ));
        }
    };
    Ok(send(code, accepted.content_type(), body))
}

/// Other forms are made of the object before it is converted to its version, which, for a DaemonSet, adds an
/// annotation.
fn without_conversion(object: &Value, call: &Call) -> Value {
    let mut object = object.clone();
    if &*call.resource.kind == "DaemonSet" && !call.resource.custom {
        let annotations = ["metadata", "annotations"];
        meta::remove(&mut object, &[annotations[0], annotations[1], "deprecated.daemonset.template.generation"]);
        if meta::get(&object, &annotations).is_some_and(|map| map.as_object().is_some_and(|map| map.is_empty())) {
            meta::remove(&mut object, &annotations);
        }
    }
    object
}

/// A list of objects, in the form the request asked for.
///
/// # Errors
/// 406 when there is no such form.
pub fn list(mut items: Vec<Value>, metadata: &Value, call: &Call) -> Result<Value, Status> {
    let resource = &call.resource;
    let whole = call.accepted.shape == Shape::Table && include_object(call)? == IncludeObject::Object;
    if call.accepted.shape != Shape::Native && !whole && &*resource.kind == "DaemonSet" {
        items.iter_mut().for_each(|item| *item = without_conversion(item, call));
    }
    let mut list = json!({"kind": &*resource.list_kind, "apiVersion": resource.api_version(), "metadata": metadata});
    if call.accepted.shape == Shape::Table {
        let objects: Vec<&Value> = items.iter().collect();
        return table(&objects, metadata.clone(), call, Rows::List);
    }
    if call.accepted.shape == Shape::MetadataList {
        list["items"] = Value::Array(items);
        return Ok(meta::partial_list(&list, call.accepted.meta_version));
    }
    if !resource.custom {
        for fields in items.iter_mut().filter_map(Value::as_object_mut) {
            fields.shift_remove("kind");
            fields.shift_remove("apiVersion");
        }
    }
    list["items"] = Value::Array(items);
    Ok(list)
}

/// An object or list as bytes.
///
/// # Errors
/// 406 when it has no such form.
pub fn encode(value: &Value, accepted: Accepted) -> Result<Bytes, Status> {
    Ok(match accepted.media {
        MediaType::Json if accepted.pretty => {
            let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
            bytes.push(b'\n');
            bytes.into()
        }
        MediaType::Json => {
            let mut bytes = serde_json::to_vec(value).unwrap_or_default();
            bytes.push(b'\n');
            bytes.into()
        }
        MediaType::Yaml => yaml::to_string(value).into(),
        MediaType::Protobuf => protobuf::encode(value)
            .ok_or_else(|| {
                let kind = meta::kind(value);
                Status::new(Reason::NotAcceptable, format!("{kind} has no protobuf form"))
            })?
            .into(),
    })
}

/// Where a Table's rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// One object.
    Object,
    /// A list.
    List,
}

/// Objects as a Table.
///
/// # Errors
/// 400 for an `includeObject` that is not known.
pub fn table(objects: &[&Value], metadata: Value, call: &Call, rows: Rows) -> Result<Value, Status> {
    let options = table_options(call, rows)?;
    let printer = match call.info.subresource.as_str() {
        "scale" => Printer::scale(&call.resource),
        _ => Printer::builtin(&call.resource),
    };
    Ok(printer.table(objects, metadata, &options))
}

/// A list of objects as the JSON of a Table, from the objects' own JSON.
///
/// # Errors
/// As [`table`].
pub fn table_of_list(objects: &[Arc<Object>], metadata: &Value, call: &Call) -> Result<Bytes, Status> {
    let options = table_options(call, Rows::List)?;
    let json = |object: &Arc<Object>| object.json();
    let mut bytes = Printer::builtin(&call.resource).table_json(objects, json, metadata, &options);
    bytes.push(b'\n');
    Ok(bytes.into())
}

/// What a Table's rows carry.
///
/// # Errors
/// 400 for what is not known.
pub fn include_object(call: &Call) -> Result<IncludeObject, Status> {
    let text = call.param("includeObject").unwrap_or("");
    IncludeObject::parse(text).ok_or_else(|| {
        let why = "must be 'Metadata', 'Object', 'None', or empty";
        let error = FieldError::invalid("includeObject", text, why);
        Status::new(Reason::BadRequest, format!("Unable to convert to Table as requested: {error}"))
    })
}

fn table_options(call: &Call, rows: Rows) -> Result<Options<'_>, Status> {
    let include = include_object(call)?;
    let version = call.accepted.meta_version;
    Ok(Options { now: call.now, include, version, list: rows == Rows::List, headers: true })
}

/// A type's name in Go, for the errors that show it.
pub fn go_type(resource: &Resource, kind: &str) -> String {
    if resource.custom {
        return "*unstructured.Unstructured".to_string();
    }
    let package = match &*resource.group {
        // Events have one form inside, whatever group they are asked of.
        "" | "events.k8s.io" => "core",
        group => group.split('.').next().unwrap_or(""),
    };
    format!("*{package}.{kind}")
}

/// A list's `metadata`.
pub fn list_meta(revision: i64, continue_token: &str, remaining: Option<usize>) -> Value {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if !continue_token.is_empty() {
        metadata["continue"] = json!(continue_token);
        if let Some(remaining) = remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
    }
    metadata
}

/// Compresses a large answer when the client takes it.
pub fn compressed(body: Bytes, headers: &http::HeaderMap) -> (Bytes, bool) {
    let takes = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|name| name.split(';').next().unwrap_or("").trim() == "gzip"));
    if !takes || body.len() < GZIP_FROM_BYTES {
        return (body, false);
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    match encoder.write_all(&body).and_then(|()| encoder.finish()) {
        Ok(small) => (small.into(), true),
        Err(_) => (body, false),
    }
}
