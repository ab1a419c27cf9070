//! Worked patches, with the answers the API server recorded.

use super::*;
use crate::api::schema::Schema;
use serde_json::json;

fn patched(definition: &str, mut target: Value, patch: Value) -> Result<Value, String> {
    let schema = Schema::builtin(definition).unwrap();
    apply(&mut target, &patch, &schema).map(|()| target).map_err(|status| status.message)
}

fn pod(patch: Value) -> Result<Value, String> {
    let target = json!({
        "metadata": {"finalizers": ["x", "y"]},
        "spec": {
            "containers": [
                {"name": "a", "image": "x:1", "env": [{"name": "E", "value": "1"}]},
                {"name": "b", "image": "y:1"},
            ],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "tolerations": [{"key": "a"}],
        },
    });
    patched("io.k8s.api.core.v1.Pod", target, patch)
}

fn names(result: Result<Value, String>) -> Vec<String> {
    let result = result.unwrap();
    let containers = result["spec"]["containers"].as_array().unwrap();
    containers.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn lists_of_named_things_merge_by_name() {
    let result = pod(json!({"spec": {"containers": [{"name": "b", "image": "y:2"}]}})).unwrap();
    assert_eq!(result["spec"]["containers"][1], json!({"name": "b", "image": "y:2"}));
    assert_eq!(result["spec"]["containers"][0]["image"], "x:1");
    assert_eq!(names(pod(json!({"spec": {"containers": [{"name": "c", "image": "z:1"}]}}))), ["c", "a", "b"]);
    let replaced = pod(json!({"spec": {"tolerations": [{"key": "b"}]}})).unwrap();
    assert_eq!(replaced["spec"]["tolerations"], json!([{"key": "b"}]));
}

#[test]
fn each_directive() {
    assert_eq!(names(pod(json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "only"}]}}))), ["only"]);
    assert_eq!(names(pod(json!({"spec": {"containers": [{"$patch": "delete", "name": "a"}]}}))), ["b"]);
    let order = json!({"spec": {
        "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
        "containers": [{"name": "b", "image": "y:3"}],
    }});
    assert_eq!(names(pod(order)), ["b", "a"]);
    let retained = pod(json!({"spec": {"volumes": [
        {"$retainKeys": ["name", "hostPath"], "name": "v", "hostPath": {"path": "/x"}},
    ]}}))
    .unwrap();
    assert_eq!(retained["spec"]["volumes"], json!([{"name": "v", "hostPath": {"path": "/x"}}]));
    let removed =
        pod(json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"], "finalizers": ["z"]}})).unwrap();
    assert_eq!(removed["metadata"]["finalizers"], json!(["z", "y"]));
    assert_eq!(pod(json!({"spec": {"$patch": "delete"}})).unwrap()["spec"], json!({}));
    let replaced = pod(json!({"spec": {"$patch": "replace", "nodeName": "n"}})).unwrap();
    assert_eq!(replaced["spec"], json!({"nodeName": "n"}));
}

#[test]
fn service_ports_keep_the_recorded_order() {
    let service = json!({"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}});
    let patch = json!({"spec": {"ports": [{"port": 80, "name": "z"}, {"port": 82, "name": "c"}]}});
    let result = patched("io.k8s.api.core.v1.Service", service, patch).unwrap();
    let ports: Vec<_> = result["spec"]["ports"].as_array().unwrap().iter().map(|port| port["port"].clone()).collect();
    assert_eq!(ports, [80, 82, 81]);
}

#[test]
fn a_directive_where_nothing_is_merged_is_a_field_like_any_other() {
    let replaced = pod(json!({"spec": {"tolerations": [{"key": "b", "$patch": "delete"}]}})).unwrap();
    assert_eq!(replaced["spec"]["tolerations"], json!([{"key": "b", "$patch": "delete"}]));
    let added = pod(json!({"spec": {"affinity": {"$patch": "bogus"}, "hostAliases": [{"ip": null}]}})).unwrap();
    assert_eq!((added["spec"].get("affinity"), &added["spec"]["hostAliases"]), (None, &json!([{}])));
}

#[test]
fn errors_use_the_official_words() {
    let config = json!({"data": {"a": "1"}});
    let error = patched("io.k8s.api.core.v1.ConfigMap", config, json!({"data": {"$patch": "explode"}}));
    assert_eq!(error.unwrap_err(), "unknown patch type: explode in map: map[$patch:explode]");
    let error = pod(json!({"spec": {"containers": [{"image": "noname:1"}]}}));
    assert_eq!(error.unwrap_err(), "map: map[image:noname:1] does not contain declared merge key: name");
}

#[test]
fn a_directive_in_a_wrong_form_has_an_answer_of_its_own() {
    let answers = [
        ("$setElementOrder/containers", 500, "expected a []interface {}, but received a map[string]interface {}"),
        ("$setElementOrder/nope", 500, "expected a []interface {}, but received a map[string]interface {}"),
        ("$retainKeys", 400, "invalid patch format of retainKeys"),
    ];
    let schema = Schema::builtin("io.k8s.api.core.v1.Pod").unwrap();
    let patched =
        |directive: &str, value| apply(&mut json!({"spec": {}}), &json!({"spec": {directive: value}}), &schema);
    for (directive, code, message) in answers {
        let status = patched(directive, json!({"a": "b"})).unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (code, message), "{directive}");
    }
    let unknown = patched("$setElementOrder/nope", json!([])).unwrap_err();
    assert_eq!(unknown.message, "unable to find api field in struct PodSpec for the json field \"nope\"");
    assert!(patched("$deleteFromPrimitiveList/containers", json!({"a": "b"})).is_ok(), "it deletes nothing");
}
