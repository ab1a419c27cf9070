//! A Table written row by row from objects' own bytes, for lists of thousands.
//!
//! In: objects as JSON. Out: the Table's JSON, the same as [`Printer::table`] gives. Of an object
//! only the fields are read that its row function looks at; what a row carries is copied as it is.

use super::{Context, IncludeObject, Options, Printer, Row, default_of};
use crate::api::{meta, spread};
use bytes::Bytes;
use serde_json::Value;

impl Printer {
    /// The Table of `objects`; `json` gives the JSON of a whole one.
    pub fn table_json<T: Sync>(
        &self,
        objects: &[T],
        json: impl Fn(&T) -> Bytes + Sync,
        metadata: &Value,
        options: &Options<'_>,
    ) -> Vec<u8> {
        let read = |json: &Bytes| self.reads.read(json).unwrap_or(Value::Null);
        let marked: Vec<Value> = if options.list && self.has_default {
            objects.iter().map(|object| read(&json(object))).collect()
        } else {
            Vec::new()
        };
        let default = default_of(&marked.iter().collect::<Vec<_>>());
        let context = Context { now: options.now, default };
        let columns = if options.headers { self.definitions() } else { Value::Null };
        let version = options.version;
        let head = format!(
            "{{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/{version}\",\"metadata\":{metadata},\
             \"columnDefinitions\":{columns},\"rows\":["
        );
        let mut out = head.into_bytes();
        spread::each(&mut out, objects, |out, object| {
            let json = json(object);
            write_row(out, self.cells_of(&read(&json), &context), &json, options);
            out.push(b',');
        });
        if out.ends_with(b",") {
            out.pop();
        }
        out.extend_from_slice(b"]}");
        out
    }
}

fn write_row(out: &mut Vec<u8>, row: Row, json: &[u8], options: &Options<'_>) {
    let put = |out: &mut Vec<u8>, key: &str, value: &Value| {
        out.extend_from_slice(key.as_bytes());
        // A Vec takes every byte, so writing into it cannot fail.
        let _ = serde_json::to_writer(out, value);
    };
    put(out, "{\"cells\":", &Value::Array(row.cells));
    if !row.conditions.is_empty() {
        put(out, ",\"conditions\":", &Value::Array(row.conditions));
    }
    out.extend_from_slice(b",\"object\":");
    match options.include {
        IncludeObject::None => out.extend_from_slice(b"null"),
        IncludeObject::Object => out.extend_from_slice(json),
        IncludeObject::Metadata => meta::write_partial_object(json, options.version, out),
    }
    out.push(b'}');
}
