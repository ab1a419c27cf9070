//! What `run`, `expose` and `autoscale` share: labels and overrides from flags, and how the object that they
//! make is created, or only shown.

use serde_json::{Map, Value};

use super::super::command::Invocation;
use super::super::failure::{Failure, Result};
use super::super::flags::{DryRun, Flag, Kind, long};
use super::super::manifests;
use super::super::write::Writing;
use super::apply::with_last_applied;
use crate::api::schema::Schema;
use crate::api::{meta, typed};

/// JSON over what was made.
pub(super) const OVERRIDES: &[Flag] = &[
    long("overrides", Kind::Text(""), "JSON that is merged over what is made"),
    long("override-type", Kind::Text("merge"), "merge or strategic"),
];

/// `a=b,c=d` as labels; empty for an empty text.
///
/// # Errors
/// When a pair is none.
pub(super) fn labels(text: &str) -> Result<Map<String, Value>> {
    let mut found = Map::new();
    for pair in text.split(',').filter(|_| !text.is_empty()) {
        let parts: Vec<&str> = pair.split('=').collect();
        match parts[..] {
            ["", _] => return Err(Failure::new("unexpected empty label key")),
            [key, value] => {
                found.insert(key.to_owned(), value.into());
            }
            _ => return Err(Failure::new(format!("unexpected label spec: {pair}"))),
        }
    }
    Ok(found)
}

/// Merges `--overrides` over an object.
///
/// # Errors
/// When it is not JSON; in these words where some are given.
pub(super) fn overrides(call: &Invocation, object: &mut Value, wrong: &str) -> Result {
    let text = call.flags.text("overrides");
    if !text.is_empty() {
        let said = |why: String| Failure::new(if wrong.is_empty() { why } else { wrong.to_owned() });
        json_patch::merge(object, &manifests::parse(text).map_err(said)?);
    }
    Ok(())
}

/// Creates an object that flags described; with `--dry-run=client` it is only completed.
///
/// # Errors
/// The server's refusal.
pub(super) async fn make(call: &Invocation, writing: &Writing<'_>, mut object: Value) -> Result<Value> {
    let (group, version) = meta::group_version(&object);
    if let Some(schema) = Schema::of_kind(group, version, meta::kind(&object)) {
        typed::normalize(&mut object, &schema);
    }
    let cluster = call.cluster().await?;
    if writing.dry_run == DryRun::Client {
        if cluster.namespace_enforced {
            meta::set_text(&mut object, "namespace", &cluster.namespace);
        }
        return Ok(object);
    }
    if call.flags.is("save-config") {
        object = with_last_applied(&object);
    }
    let mapping = cluster.mapper().await?.of_object(&object)?;
    writing.create(&mapping, &cluster.namespace, &object).await
}
