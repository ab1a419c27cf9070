//! The recorded stories of golden area 5, as far as they need no server.

use super::*;
use serde_json::json;

struct Story {
    definition: &'static str,
    api_version: &'static str,
    kind: &'static str,
    reset: FieldSet,
    live: Option<Value>,
    second: i64,
}

impl Story {
    fn new(definition: &'static str, api_version: &'static str, kind: &'static str) -> Story {
        let reset = FieldSet::of_fields(&[&["status"]]);
        Story { definition, api_version, kind, reset, live: None, second: 0 }
    }

    fn config_map() -> Story {
        Story::new("io.k8s.api.core.v1.ConfigMap", "v1", "ConfigMap")
    }

    fn deployment() -> Story {
        Story::new("io.k8s.api.apps.v1.Deployment", "apps/v1", "Deployment")
    }

    fn typed(&self, mut body: Value) -> Value {
        meta::set_type(&mut body, self.api_version, self.kind);
        meta::set_text(&mut body, "name", "web");
        body
    }

    fn write<T>(&mut self, manager: &str, work: impl FnOnce(Option<&Value>, &Writer<'_>) -> T) -> T {
        self.second += 1;
        let schema = Schema::builtin(self.definition).unwrap();
        let writer = Writer {
            manager,
            api_version: self.api_version,
            kind: self.kind,
            subresource: "",
            schema: &schema,
            custom: false,
            reset: &self.reset,
            now: Timestamp::from_second(1_800_000_000 + self.second).unwrap(),
        };
        work(self.live.as_ref(), &writer)
    }

    fn apply(&mut self, manager: &str, body: Value, force: Force) -> Result<(), Status> {
        let body = self.typed(body);
        let merged = self.write(manager, |live, writer| apply(live, &body, writer, force))?;
        self.live = Some(merged);
        Ok(())
    }

    fn update(&mut self, manager: &str, body: Value) {
        let mut body = self.typed(body);
        self.write(manager, |live, writer| {
            go::normalize(&mut body, writer.schema);
            track_update(live, &mut body, writer);
        });
        self.live = Some(body);
    }

    fn object(&self) -> &Value {
        self.live.as_ref().unwrap()
    }

    fn fields(&self, manager: &str, operation: &str) -> Value {
        let entries = meta::list(self.object(), &["metadata", "managedFields"]);
        let found = entries.iter().find(|entry| entry["manager"] == manager && entry["operation"] == operation);
        found.map_or(Value::Null, |entry| entry["fieldsV1"].clone())
    }
}

fn deployment(containers: Value) -> Value {
    json!({"spec": {
        "selector": {"matchLabels": {"app": "gold"}},
        "template": {
            "metadata": {"labels": {"app": "gold"}},
            "spec": {"containers": containers},
        },
    }})
}

#[test]
fn two_appliers_share_conflict_and_let_go() {
    let mut story = Story::config_map();
    story.apply("a", json!({"data": {"x": "1", "y": "1"}}), Force::No).unwrap();
    assert_eq!(story.fields("a", "Apply"), json!({"f:data": {"f:x": {}, "f:y": {}}}));
    story.apply("b", json!({"data": {"x": "1"}}), Force::No).unwrap();
    let status = story.apply("b", json!({"data": {"x": "2"}}), Force::No).unwrap_err();
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"a\": .data.x");
    assert_eq!(status.details.unwrap().causes[0].reason, "FieldManagerConflict");
    story.apply("a", json!({"data": {}}), Force::No).unwrap();
    assert_eq!(story.object()["data"], json!({"x": "1"}));
    assert_eq!(story.fields("a", "Apply"), json!({"f:data": {}}));
    story.apply("b", json!({"data": {"x": "2"}}), Force::No).unwrap();
    story.apply("b", json!({"data": null}), Force::No).unwrap();
    assert!(story.object()["data"].as_object().is_none_or(serde_json::Map::is_empty));
}

#[test]
fn an_apply_without_change_keeps_its_time() {
    let mut story = Story::config_map();
    story.apply("a", json!({"data": {"x": "1"}}), Force::No).unwrap();
    let before = story.object().clone();
    story.apply("a", json!({"data": {"x": "1"}}), Force::No).unwrap();
    assert_eq!(story.object(), &before);
    let same = story.object().clone();
    story.update("u", same);
    assert_eq!(story.object()["metadata"]["managedFields"], before["metadata"]["managedFields"]);
}

#[test]
fn updates_are_owned_and_taken_by_force() {
    let mut story = Story::config_map();
    let body = json!({"metadata": {"labels": {"app": "gold"}}, "data": {"a": "1", "b": "two"}});
    story.update("create", body);
    assert_eq!(
        story.fields("create", "Update"),
        json!({
            "f:data": {".": {}, "f:a": {}, "f:b": {}},
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        })
    );
    let status = story.apply("b", json!({"data": {"a": "other"}}), Force::No).unwrap_err();
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"create\" using v1: .data.a");
    story.apply("b", json!({"data": {"a": "other"}}), Force::Yes).unwrap();
    assert_eq!(story.fields("b", "Apply"), json!({"f:data": {"f:a": {}}}));
    assert_eq!(story.fields("create", "Update")["f:data"], json!({".": {}, "f:b": {}}));
    let mut put = json!({"metadata": {"labels": {"app": "gold"}}, "data": {"a": "changed", "n": "1"}});
    meta::set(&mut put, &["metadata", "managedFields"], story.object()["metadata"]["managedFields"].clone());
    story.update("put", put);
    assert_eq!(story.fields("put", "Update"), json!({"f:data": {"f:a": {}, "f:n": {}}}));
    assert_eq!(story.fields("create", "Update")["f:data"], json!({}));
}

#[test]
fn a_created_deployment_is_owned_field_by_field() {
    let mut story = Story::deployment();
    story.update(
        "create",
        deployment(json!([{"name": "app", "image": "x", "ports": [{"containerPort": 80, "protocol": "TCP"}]}])),
    );
    let fields = story.fields("create", "Update");
    let spec = &fields["f:spec"];
    assert_eq!(spec["f:selector"], json!({}));
    assert_eq!(spec["f:template"]["f:metadata"], json!({"f:labels": {".": {}, "f:app": {}}}));
    assert_eq!(
        spec["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"app\"}"]["f:ports"],
        json!({".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}})
    );
    assert!(fields.get("f:status").is_none() && spec.get(".").is_none());
}

#[test]
fn lists_merge_by_key_and_follow_the_applier() {
    let mut story = Story::deployment();
    let named = |names: &[&str]| deployment(names.iter().map(|name| json!({"name": name, "image": "x"})).collect());
    let names = |story: &Story| {
        let containers = meta::list(story.object(), &["spec", "template", "spec", "containers"]);
        containers.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for order in [&["a", "b", "c"][..], &["c", "a", "b"], &["b", "d", "a", "c"], &["a", "c"]] {
        story.apply("a", named(order), Force::No).unwrap();
        assert_eq!(names(&story), order);
    }
    let side = json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s"}]}}}});
    story.apply("b", side, Force::No).unwrap();
    assert_eq!(names(&story), ["a", "c", "side"]);
    let ports = deployment(json!([{"name": "p", "image": "x", "ports": [{"containerPort": 80}]}]));
    story.apply("a", ports, Force::No).unwrap();
    assert_eq!(
        story.fields("a", "Apply")["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"p\"}"]["f:ports"],
        json!({"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}})
    );
    assert_eq!(names(&story), ["side", "p"]);
}

#[test]
fn refusals_use_the_official_words() {
    let mut story = Story::deployment();
    let status = story.apply("a", json!({"spec": {"replicas": "two"}}), Force::No).unwrap_err();
    assert_eq!((status.code, status.reason), (500, None));
    assert_eq!(
        status.message,
        "failed to create typed patch object (/web; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string"
    );
    let status = story.apply("a", json!({"spec": {"replica": 2}}), Force::No).unwrap_err();
    assert!(status.message.ends_with(": .spec.replica: field not declared in schema"), "{}", status.message);
    let twice = deployment(json!([{"name": "a", "image": "x"}, {"name": "a", "image": "y"}]));
    let status = story.apply("a", twice, Force::No).unwrap_err();
    assert!(status.message.ends_with(".containers: duplicate entries for key [name=\"a\"]"), "{}", status.message);
    let sent = json!({"metadata": {"managedFields": []}});
    assert_eq!(story.apply("a", sent, Force::No).unwrap_err().message, "metadata.managedFields must be nil");
    story.kind = "Secret";
    let body = json!({"apiVersion": "v1", "kind": "Secret"});
    let status = story.write("a", |_, writer| apply(None, &body, &Writer { kind: "ConfigMap", ..*writer }, Force::No));
    assert_eq!(status.unwrap_err().message, "invalid object type: /v1, Kind=Secret");
}

#[test]
fn managed_fields_reset_by_an_empty_entry() {
    let mut story = Story::config_map();
    story.update("a", json!({"data": {"a": "1"}}));
    story.update("a", json!({"metadata": {"managedFields": [{}]}, "data": {"a": "1"}}));
    assert!(story.object()["metadata"].get("managedFields").is_none());
    story.update("a", json!({"data": {"a": "2"}}));
    assert!(story.object()["metadata"].get("managedFields").is_none());
    story.apply("b", json!({"data": {"b": "1"}}), Force::No).unwrap();
    assert_eq!(story.fields("before-first-apply", "Update"), json!({"f:data": {".": {}, "f:a": {}}}));
}

#[test]
fn kubectl_takes_over_from_client_side_apply() {
    let mut story = Story::config_map();
    let last =
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"web\"},\"data\":{\"a\":\"1\"}}\n";
    let body = json!({"metadata": {"annotations": {LAST_APPLIED: last}}, "data": {"a": "1", "b": "2"}});
    story.update("kubectl-client-side-apply", body);
    assert!(story.apply("other", json!({"data": {"a": "9"}}), Force::No).is_err());
    story.apply("kubectl", json!({"data": {"a": "9"}}), Force::No).unwrap();
    assert_eq!(story.object()["data"]["a"], "9");
    assert!(story.apply("kubectl", json!({"data": {"b": "9"}}), Force::No).is_err());
}

#[test]
fn old_updaters_are_joined() {
    let mut story = Story::config_map();
    let mut body = json!({"data": {}});
    for at in 0..12 {
        meta::set(&mut body, &["data", &format!("k{at}")], json!("v"));
        story.update(&format!("m{at:02}"), body.clone());
    }
    let entries = meta::list(story.object(), &["metadata", "managedFields"]);
    assert_eq!(entries.len(), 10);
    assert_eq!(entries[0]["manager"], "ancient-changes");
}

#[test]
fn names_come_from_the_user_agent() {
    assert_eq!(manager_name(None, "kubectl/v1.37 (linux)"), "kubectl");
    assert_eq!(manager_name(Some("me"), "kubectl/v1"), "me");
}

#[test]
fn a_scale_takes_the_replicas_and_gives_them_back() {
    let mut story = Story::deployment();
    let mut body = deployment(json!([{"name": "app", "image": "x"}]));
    meta::set(&mut body, &["spec", "replicas"], json!(2));
    story.update("create", body);
    let mut parent = story.object().clone();
    let mut shown = json!({"metadata": {"name": "web"}, "spec": {"replicas": 2}});
    scale::to_scale(&parent, &mut shown, ".spec.replicas");
    assert_eq!(shown["metadata"]["managedFields"][0]["apiVersion"], "autoscaling/v1");

    let schema = Schema::of_kind("autoscaling", "v1", "Scale").unwrap();
    let applied =
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 4}});
    let result = story.write("b", |_, writer| {
        let writer =
            Writer { api_version: "autoscaling/v1", kind: "Scale", subresource: "scale", schema: &schema, ..*writer };
        let refused = apply(Some(&shown), &applied, &writer, Force::No).unwrap_err();
        let message = "Apply failed with 1 conflict: conflict with \"create\" using autoscaling/v1: .spec.replicas";
        assert_eq!(refused.message, message);
        apply(Some(&shown), &applied, &writer, Force::Yes).unwrap()
    });
    scale::from_scale(&mut parent, &result, ".spec.replicas", "apps/v1");
    story.live = Some(parent);
    assert_eq!(story.fields("b", "Apply"), json!({"f:spec": {"f:replicas": {}}}));
    assert!(story.fields("create", "Update")["f:spec"].get("f:replicas").is_none());
    let entries = meta::list(story.object(), &["metadata", "managedFields"]);
    assert_eq!((&entries[0]["subresource"], &entries[0]["apiVersion"]), (&json!("scale"), &json!("apps/v1")));
}

#[test]
fn without_a_schema_objects_are_divided_and_lists_are_not() {
    let schema = Schema::from_openapi(&json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let reset = FieldSet::default();
    let writer = |manager| Writer {
        manager,
        api_version: "example.com/v1",
        kind: "Thing",
        subresource: "",
        schema: &schema,
        custom: true,
        reset: &reset,
        now: Timestamp::from_second(1_800_000_000).unwrap(),
    };
    let thing =
        |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": spec});
    let live = apply(None, &thing(json!({"a": {"b": 1}, "l": [1]})), &writer("x"), Force::No).unwrap();
    let entry = &live["metadata"]["managedFields"][0];
    assert_eq!(entry["fieldsV1"], json!({"f:spec": {".": {}, "f:a": {".": {}, "f:b": {}}, "f:l": {}}}));
    let merged = apply(Some(&live), &thing(json!({"a": {"c": 2}})), &writer("y"), Force::No).unwrap();
    assert_eq!(merged["spec"], json!({"a": {"b": 1, "c": 2}, "l": [1]}));
    let status = apply(Some(&live), &thing(json!({"l": [2]})), &writer("y"), Force::No).unwrap_err();
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"x\": .spec.l");
}
