//! A Table written row by row from objects' own bytes, for lists of thousands.
//!
//! In: objects as JSON. Out: the Table's JSON, the same as [`Printer::table`] gives. Of an object
//! only the fields are read that its row function looks at; what a row carries is copied as it is.

use super::{Context, IncludeObject, Options, Printer, Row, default_of};
use crate::api::meta;
use bytes::Bytes;
use serde_json::Value;

impl Printer {
    /// The Table of `objects`, each the JSON of a whole object.
    pub fn table_json(
        &self,
        objects: impl Iterator<Item = Bytes> + Clone,
        metadata: &Value,
        options: &Options<'_>,
    ) -> Vec<u8> {
        let read = |json: &Bytes| self.reads.read(json).unwrap_or(Value::Null);
        let marked: Vec<Value> = if options.list && self.has_default {
            objects.clone().map(|json| read(&json)).collect()
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
        for (at, json) in objects.enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let row = self.cells_of(&read(&json), &context);
            write_row(&mut out, row, &json, options);
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
