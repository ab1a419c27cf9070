//! A FlowSchema names a priority level; its status says whether there is one of that name.
//!
//! Source: `k8s.io/apiserver/pkg/util/flowcontrol/apf_controller.go`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::apply::{self, FieldSet, Force, Writer};
use crate::api::meta;
use crate::api::resource::Resource;
use crate::apiserver::engine::Engine;
use crate::apiserver::kinds::json::Json;
use crate::apiserver::storage;
use crate::apiserver::verbs::create::second;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const MANAGER: &str = "api-priority-and-fairness-config-consumer-v1";

/// Starts the loop.
pub fn start(engine: &Arc<Engine>) {
    let served = engine.catalog.now();
    let found = |plural: &str| served.stored(GROUP, plural).cloned();
    let (Some(schemas), Some(levels)) = (found("flowschemas"), found("prioritylevelconfigurations")) else { return };
    let (Some(own), Some(named)) = (engine.cache(&schemas), engine.cache(&levels)) else { return };
    let (mut changed, mut levels_changed) = (own.subscribe(), named.subscribe());
    let engine = engine.clone();
    engine.tasks.clone().spawn("flow schemas", async move {
        loop {
            changed.mark_unchanged();
            levels_changed.mark_unchanged();
            for schema in own.snapshot("", "").objects {
                let schema = schema.value();
                let exists = named.get(schema.text("spec.priorityLevelConfiguration.name")).is_some();
                if let Some(condition) = wanted(&schema, exists, &second(engine.clock.now())) {
                    write(&engine, &schemas, &schema, condition).await;
                }
            }
            let woken = tokio::select! {
                change = changed.changed() => change,
                change = levels_changed.changed() => change,
            };
            if woken.is_err() {
                return;
            }
        }
    });
}

/// The condition that a schema should have; `None`: it has it.
fn wanted(schema: &Value, exists: bool, now: &str) -> Option<Value> {
    let level = schema.text("spec.priorityLevelConfiguration.name");
    let begin = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?}");
    let (status, reason, message) = match exists {
        true => ("False", "Found", format!("{begin} and it exists")),
        false => ("True", "NotFound", format!("{begin} but there is no such object")),
    };
    let mut known = schema.items("status.conditions").iter().filter(|one| one.text("type") == "Dangling");
    let same = known.any(|one| one.text("status") == status && one.text("message") == message);
    (!same).then(|| {
        json!({"type": "Dangling", "status": status, "lastTransitionTime": now, "reason": reason, "message": message})
    })
}

/// Applies the condition to the schema that was looked at. A newer one has woken the loop already.
async fn write(engine: &Engine, resource: &Resource, schema: &Value, condition: Value) {
    let api_version = resource.api_version();
    let writer = Writer {
        manager: MANAGER,
        api_version: &api_version,
        kind: &resource.kind,
        subresource: "status",
        schema: &resource.schema,
        custom: false,
        reset: &FieldSet::of_fields(&[&["spec"]]),
        now: engine.clock.now(),
    };
    let applied = json!({"apiVersion": api_version, "kind": &*resource.kind,
        "metadata": {"name": meta::name(schema)}, "status": {"conditions": [condition]}});
    let written = match apply::apply(Some(schema), &applied, &writer, Force::Yes) {
        Ok(new) => {
            let key = storage::prefix(resource) + meta::name(schema);
            let revision = meta::resource_version(schema).parse().unwrap_or(0);
            engine.storage.update(key, revision, storage::encode(&new)).await.map(drop)
        }
        Err(status) => Err(status),
    };
    if let Err(status) = written {
        tracing::warn!(status.message, "a FlowSchema's status cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_dangles_while_its_level_is_not_there() {
        let mut schema = json!({"spec": {"priorityLevelConfiguration": {"name": "slow"}}});
        let dangling = wanted(&schema, false, "t").unwrap();
        assert_eq!((dangling.text("status"), dangling.text("reason")), ("True", "NotFound"));
        schema["status"] = json!({"conditions": [dangling]});
        assert_eq!(wanted(&schema, false, "later"), None);
        assert_eq!(wanted(&schema, true, "later").unwrap().text("reason"), "Found");
    }
}
