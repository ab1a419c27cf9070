//! Versions of a custom resource that a webhook converts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::Response;
use http_body_util::Full;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchParams,
};
use kube::core::WatchEvent;
use serde_json::{Value, json};

use crate::backend::{self, Backend, Seen};
use crate::harness::{Playground, condition, into};

/// `v1` says `size: 3x4`, `v2` says `width` and `height`. A size of `broken` cannot be converted.
fn convert(seen: &Seen) -> Response<Full<Bytes>> {
    let review: Value = serde_json::from_slice(&seen.body).unwrap();
    let request = &review["request"];
    let to = request["desiredAPIVersion"].as_str().unwrap();
    let mut result = json!({"status": "Success"});
    let mut converted = Vec::new();
    for object in request["objects"].as_array().unwrap() {
        let mut object = object.clone();
        object["apiVersion"] = json!(to);
        let spec = object["spec"].clone();
        object["spec"] = match (to, spec["size"].as_str()) {
            (_, Some("broken")) => {
                result = json!({"status": "Failed", "message": "a size has two sides"});
                break;
            }
            ("example.com/v2", Some(size)) => {
                let (width, height) = size.split_once('x').unwrap();
                json!({"width": width.parse::<i64>().unwrap(), "height": height.parse::<i64>().unwrap()})
            }
            _ => json!({"size": format!("{}x{}", spec["width"], spec["height"])}),
        };
        converted.push(object);
    }
    let response = json!({"uid": request["uid"], "result": result, "convertedObjects": converted});
    let answer = json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": response});
    backend::json(200, &answer)
}

fn definition(storage: &str, conversion: Value) -> Value {
    let version = |name: &str, properties: Value| {
        json!({"name": name, "served": true, "storage": name == storage, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}}})
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "boxes.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "boxes", "kind": "Box"},
            "versions": [version("v1", json!({"size": {"type": "string"}})),
                version("v2", json!({"width": {"type": "integer"}, "height": {"type": "integer"}}))],
            "conversion": conversion},
    })
}

fn asked(port: u16, backend: &Backend) -> Value {
    json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {
        "url": format!("https://localhost:{port}/convert"), "caBundle": STANDARD.encode(&backend.certificate)}}})
}

fn boxes(play: &Playground, version: &str) -> Api<DynamicObject> {
    let types = ApiResource {
        group: "example.com".into(),
        version: version.into(),
        api_version: format!("example.com/{version}"),
        kind: "Box".into(),
        plural: "boxes".into(),
    };
    Api::namespaced_with(play.client.clone(), "default", &types)
}

fn a_box(version: &str, name: &str, spec: Value) -> DynamicObject {
    let api_version = format!("example.com/{version}");
    into(json!({"apiVersion": api_version, "kind": "Box", "metadata": {"name": name}, "spec": spec}))
}

async fn define(play: &Playground, definition: Value) {
    let crds = play.api("customresourcedefinition", "");
    crds.patch("boxes.example.com", &PatchParams::apply("test").force(), &Patch::Apply(&definition)).await.unwrap();
    play.expect("customresourcedefinition/boxes.example.com", condition("Established", "True")).await;
}

/// How often the converter was asked for `version` of an object as it is at its revision. (Others ask too: the
/// garbage collector watches every kind, and its events come when they come.)
fn times_asked(backend: &Backend, version: &str, object: &DynamicObject) -> usize {
    let asked = |seen: &Seen| {
        let review: Value = serde_json::from_slice(&seen.body).unwrap();
        let objects = review["request"]["objects"].as_array().unwrap().clone();
        let is_it = |other: &Value| {
            let (name, revision) = (&other["metadata"]["name"], &other["metadata"]["resourceVersion"]);
            *name == json!(object.metadata.name) && *revision == json!(object.metadata.resource_version)
        };
        review["request"]["desiredAPIVersion"] == format!("example.com/{version}") && objects.iter().any(is_it)
    };
    backend.seen("/convert").iter().filter(|seen| asked(seen)).count()
}

/// The code and the words of a refusal.
pub fn refusal<T: std::fmt::Debug>(answer: Result<T, kube::Error>) -> (u16, String) {
    match answer {
        Err(kube::Error::Api(status)) => (status.code, status.message.clone()),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_sees_objects_in_the_version_it_asked_for() {
    let play = Playground::simulated().nodes(0).in_real_time().start().await;
    let backend = Backend::start("localhost", None, convert).await;
    define(&play, definition("v1", asked(backend.port, &backend))).await;
    let (old, new) = (boxes(&play, "v1"), boxes(&play, "v2"));

    let made = new.create(&PostParams::default(), &a_box("v2", "a", json!({"width": 3, "height": 4}))).await.unwrap();
    assert_eq!(made.data["spec"], json!({"width": 3, "height": 4}));
    assert_eq!(old.get("a").await.unwrap().data["spec"], json!({"size": "3x4"}));
    assert_eq!(times_asked(&backend, "v1", &made), 0, "v1 is what is stored");
    let review: Value = serde_json::from_slice(&backend.seen("/convert")[0].body).unwrap();
    assert_eq!(review["request"]["desiredAPIVersion"], "example.com/v1");
    assert!(backend.seen("/convert")[0].target.ends_with("?timeout=30s"));

    let version = made.metadata.resource_version.clone().unwrap();
    let mut events = new.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    old.patch("a", &PatchParams::default(), &Patch::Merge(json!({"spec": {"size": "5x6"}}))).await.unwrap();
    let Some(WatchEvent::Modified(seen)) = events.try_next().await.unwrap() else { panic!("no event") };
    assert_eq!(seen.data["spec"], json!({"width": 5, "height": 6}));

    let wider = new.patch("a", &PatchParams::default(), &Patch::Merge(json!({"spec": {"width": 7}}))).await.unwrap();
    assert_eq!(wider.data["spec"], json!({"width": 7, "height": 6}));
    let applied = a_box("v2", "a", json!({"height": 8}));
    let higher = new.patch("a", &PatchParams::apply("other").force(), &Patch::Apply(&applied)).await.unwrap();
    assert_eq!(higher.data["spec"], json!({"width": 7, "height": 8}));
    assert_eq!(old.get("a").await.unwrap().data["spec"], json!({"size": "7x8"}));

    old.create(&PostParams::default(), &a_box("v1", "b", json!({"size": "1x1"}))).await.unwrap();
    let list = new.list(&ListParams::default()).await.unwrap();
    let specs: Vec<&Value> = list.items.iter().map(|item| &item.data["spec"]).collect();
    assert_eq!(specs, [&json!({"width": 7, "height": 8}), &json!({"width": 1, "height": 1})]);

    // The stored version changes: what is written from now on lies in v2, what is not stays as it was.
    define(&play, definition("v2", asked(backend.port, &backend))).await;
    let crd = play.get("customresourcedefinition/boxes.example.com").await.unwrap();
    assert_eq!(crd["status"]["storedVersions"], json!(["v1", "v2"]));
    let before = old.get("b").await.unwrap();
    assert!(times_asked(&backend, "v2", &before) > 0, "v1 was what is stored");
    let touched = old.patch("b", &PatchParams::default(), &Patch::Merge(json!({}))).await.unwrap();
    assert_ne!(touched.metadata.resource_version, before.metadata.resource_version, "moved by a write of nothing");
    assert_eq!(new.get("b").await.unwrap().data["spec"], json!({"width": 1, "height": 1}));
    assert_eq!(times_asked(&backend, "v2", &touched), 0, "v2 is what is stored");
    new.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(old.get_opt("a").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_converter_that_fails_is_told_of_in_its_own_words() {
    let play = Playground::simulated().nodes(0).in_real_time().start().await;
    let backend = Backend::start("localhost", None, convert).await;
    define(&play, definition("v1", asked(backend.port, &backend))).await;
    let (old, new) = (boxes(&play, "v1"), boxes(&play, "v2"));
    old.create(&PostParams::default(), &a_box("v1", "a", json!({"size": "broken"}))).await.unwrap();
    let failed = "conversion webhook for example.com/v1, Kind=Box failed: a size has two sides";
    let revision = old.get("a").await.unwrap().metadata.resource_version.unwrap();
    let corrupt = |root: &str| {
        format!(
            "StorageError: corrupt object, Code: 7, Key: {root}/example.com/boxes/default/a, ResourceVersion: 0, \
             AdditionalErrorMsg: object not decodable revision={revision}: {failed}"
        )
    };
    assert_eq!(refusal(new.get("a").await), (500, format!("Internal error occurred: {}", corrupt(""))));
    let all = format!("failed to read one or more boxes.example.com from the storage: {}", corrupt("/registry"));
    assert_eq!(refusal(new.list(&ListParams::default()).await), (500, all));

    let nobody = asked(9, &backend);
    define(&play, definition("v1", nobody)).await;
    let made = new.create(&PostParams::default(), &a_box("v2", "b", json!({"width": 1, "height": 1}))).await;
    let (code, message) = refusal(made);
    assert_eq!(code, 500);
    assert!(
        message.starts_with(
            "conversion webhook for example.com/v2, Kind=Box failed: Post \"https://localhost:9/convert?timeout=30s\": \
             dial tcp"
        ),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_definition_says_how_its_versions_are_converted() {
    let play = Playground::simulated().nodes(0).start().await;
    let crds = play.api("customresourcedefinition", "");
    let check = async |conversion: Value| {
        let (_, message) = refusal(crds.create(&PostParams::default(), &into(definition("v1", conversion))).await);
        message.split_once("is invalid: ").unwrap().1.to_string()
    };
    let client = "spec.conversion.webhookClientConfig";
    assert_eq!(
        check(json!({"strategy": "Webhook"})).await,
        format!(
            "[{client}: Required value: required when strategy is set to Webhook, \
             spec.conversion.conversionReviewVersions: Required value]"
        )
    );
    let webhook = json!({"conversionReviewVersions": ["v9"], "clientConfig": {"url": "http://a.b"}});
    assert_eq!(
        check(json!({"strategy": "Webhook", "webhook": webhook})).await,
        format!(
            "[{client}.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: \
             https://host[/path], spec.conversion.conversionReviewVersions: Invalid value: [\"v9\"]: must include at least \
             one of v1, v1beta1]"
        )
    );
    assert_eq!(
        check(json!({"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}})).await,
        "spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook"
    );
}
