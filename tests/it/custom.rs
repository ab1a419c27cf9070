//! A kind that a client defines, from its definition to its end.

use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, WatchParams};
use kube::core::WatchEvent;
use serde_json::{Value, json};

use crate::harness::{Playground, condition, into};

/// Things with a size that grows, a color from a list, and a default.
fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {
                        "size": {"type": "integer", "minimum": 1, "x-kubernetes-validations": [
                            {"rule": "self >= oldSelf", "message": "size only grows"}]},
                        "color": {"type": "string", "enum": ["red", "blue"], "default": "red"}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
            }],
        },
    })
}

fn thing(spec: Value) -> DynamicObject {
    into(json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": spec}))
}

fn types(group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: group.into(),
        version: "v1".into(),
        api_version: format!("{group}/v1"),
        kind: kind.into(),
        plural: plural.into(),
    }
}

/// The message of a refusal.
fn refusal<T: std::fmt::Debug>(answer: Result<T, kube::Error>) -> String {
    match answer {
        Err(kube::Error::Api(status)) => status.message.clone(),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_is_defined_used_and_taken_away() {
    let play = Playground::simulated().nodes(0).start().await;
    let definitions: Api<DynamicObject> = Api::all_with(
        play.client.clone(),
        &types("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions"),
    );
    definitions.create(&PostParams::default(), &into(definition())).await.unwrap();
    play.expect("customresourcedefinition/things.example.com", condition("Established", "True")).await;

    let things: Api<DynamicObject> =
        Api::namespaced_with(play.client.clone(), "default", &types("example.com", "Thing", "things"));
    let made = things.create(&PostParams::default(), &thing(json!({"size": 3, "nope": 1}))).await.unwrap();
    assert_eq!(made.data["spec"], json!({"size": 3, "color": "red"}), "pruned and defaulted");
    let version = made.metadata.resource_version.clone().unwrap();
    let mut events = things.watch(&WatchParams::default(), &version).await.unwrap().boxed();

    let merge = |spec: Value| Patch::Merge(json!({"spec": spec}));
    let patch = |spec: Value| {
        let (things, merge) = (things.clone(), merge(spec));
        async move { things.patch("t", &PatchParams::default(), &merge).await }
    };
    assert_eq!(
        refusal(patch(json!({"size": 0, "color": "green"})).await),
        "Thing.example.com \"t\" is invalid: [spec.size: Invalid value: 0: spec.size in body should be greater than \
         or equal to 1, spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\", <nil>: Invalid \
         value: null: some validation rules were not checked because the object was invalid; correct the existing \
         errors to complete validation]"
    );
    assert_eq!(
        refusal(patch(json!({"size": 2})).await),
        "Thing.example.com \"t\" is invalid: spec.size: Invalid value: 2: size only grows"
    );
    let grown = patch(json!({"size": 4})).await.unwrap();
    assert_eq!((grown.metadata.generation, &grown.data["spec"]["size"]), (Some(2), &json!(4)));
    let Some(WatchEvent::Modified(seen)) = events.try_next().await.unwrap() else { panic!("no event") };
    assert_eq!(seen.data["spec"]["size"], 4);

    definitions.delete("things.example.com", &DeleteParams::default()).await.unwrap();
    play.expect_gone("customresourcedefinition/things.example.com").await;
    let Some(WatchEvent::Deleted(gone)) = events.try_next().await.unwrap() else { panic!("no event") };
    assert_eq!(gone.metadata.name.as_deref(), Some("t"));
    // Nothing more can come, also when the kind is defined anew: the watch ends.
    definitions.create(&PostParams::default(), &into(definition())).await.unwrap();
    assert!(events.try_next().await.unwrap().is_none());
    definitions.delete("things.example.com", &DeleteParams::default()).await.unwrap();
    play.expect_gone("customresourcedefinition/things.example.com").await;
    assert!(refusal(things.get("t").await).contains("404 page not found"));
}
