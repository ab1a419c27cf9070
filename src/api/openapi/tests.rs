//! The documents against what the official server told (golden area 1) and against `k8s-openapi`.

use super::*;
use crate::api::resource::builtin;
use crate::api::schema::Schema;

const APPS: &str = "io.k8s.api.apps.v1";

#[test]
fn version_three_tells_what_kubectl_needs() {
    let apps = document(builtin(), "apis/apps/v1").unwrap();
    let schemas = &apps["components"]["schemas"];
    let spec = &schemas[format!("{APPS}.DeploymentSpec")];
    assert_eq!(spec["required"], json!(["selector", "template"]));
    assert_eq!(spec["properties"]["replicas"]["format"], "int32");
    assert_eq!(spec["properties"]["strategy"]["x-kubernetes-patch-strategy"], "retainKeys");
    assert!(spec["properties"]["replicas"]["description"].as_str().unwrap().contains("pods"));
    assert_eq!(
        schemas[format!("{APPS}.Deployment")]["x-kubernetes-group-version-kind"],
        json!([{"group": "apps", "version": "v1", "kind": "Deployment"}])
    );
    assert_eq!(schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["format"], "int-or-string");
    let patch = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    let parameters = patch["parameters"].as_array().unwrap();
    assert!(parameters.iter().any(|parameter| parameter["name"] == "fieldValidation"));
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Deployment");
    assert!(document(builtin(), "apis/nothing.example.com/v1").is_none());
}

#[test]
fn every_reference_leads_somewhere() {
    for path in ["api/v1", "apis/apps/v1", "apis/apiextensions.k8s.io/v1", "apis/resource.k8s.io/v1"] {
        let document = document(builtin(), path).unwrap();
        let mut references = Vec::new();
        gather(&document, &mut references);
        for reference in references {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{path}: {name}");
        }
    }
}

fn gather<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            into.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|value| gather(value, into));
        }
        Value::Array(list) => list.iter().for_each(|value| gather(value, into)),
        _ => {}
    }
}

#[test]
fn version_two_is_as_recorded() {
    let swagger = swagger(builtin());
    let service = &swagger["definitions"]["io.k8s.api.core.v1.Service"]["properties"]["spec"];
    assert_eq!(
        *service,
        json!({"description": "Spec defines the behavior of a service. https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#spec-and-status",
            "$ref": "#/definitions/io.k8s.api.core.v1.ServiceSpec"})
    );
}

#[test]
fn the_index_leads_to_documents() {
    let index = index(builtin());
    for path in ["api/v1", "apis/apps/v1", "apis/apps", "version"] {
        assert!(index["paths"][path]["serverRelativeURL"].as_str().unwrap().starts_with("/openapi/v3/"), "{path}");
        assert!(document(builtin(), path).is_some());
    }
}

/// The tables and `k8s-openapi` were made from the same release by different people: they must agree.
#[test]
fn the_tables_agree_with_k8s_openapi() {
    let texts = super::descriptions::Descriptions::read();
    let mut compared = 0;
    for schema in Schema::definitions() {
        let name = schema.name().unwrap();
        let Some(mut theirs) = texts.fields(name) else { continue };
        let mut ours: Vec<&str> = schema.fields().iter().map(|field| &*field.name).collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs, "{name}");
        compared += 1;
    }
    assert!(compared > 450, "{compared}");
}
