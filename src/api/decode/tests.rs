//! Bodies and answers as the official server gave them (golden area 3).

use super::*;

fn decoded(plural: &str, body: &str, media: MediaType, validation: FieldValidation) -> Result<Decoded, String> {
    let resource = crate::api::resource::builtin().iter().find(|r| &*r.plural == plural).unwrap();
    decode(body.as_bytes(), media, &Target::resource(resource), validation).map_err(|status| status.message)
}

#[test]
fn errors_have_kubernetes_words() {
    let cases = [
        (
            "configmaps",
            r#"{"apiVersion":"v1","kind":"ConfigMap","#,
            r#"the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input ({"apiVersion":"v1","kind":"Con ...)"#,
        ),
        (
            "configmaps",
            "hello",
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'h' looking for beginning of value (68656c6c6f)",
        ),
        (
            "configmaps",
            "[]",
            r#"the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" } (5b5d)"#,
        ),
        (
            "configmaps",
            r#"{"apiVersion":"v1","kind":"Secret"}"#,
            r#"Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion"#,
        ),
        (
            "configmaps",
            r#"{"apiVersion":"v1","kind":"List","items":[]}"#,
            r#"List in version "v1" cannot be handled as a ConfigMap: converting (v1.List) to (core.ConfigMap): unknown conversion"#,
        ),
        (
            "deployments",
            r#"{"apiVersion":"extensions/v1beta1","kind":"Deployment"}"#,
            "the API version in the data (extensions/v1beta1) does not match the expected API version (apps/v1)",
        ),
        (
            "pods",
            r#"{"apiVersion":"v2","kind":"Pod"}"#,
            r#"Pod in version "v2" cannot be handled as a Pod: no kind "Pod" is registered for version "v2" in scheme "pkg/runtime/scheme.go:111""#,
        ),
        (
            "configmaps",
            r#"{"data":{"a":1}}"#,
            r#"ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string"#,
        ),
        (
            "pods",
            r#"{"spec":{"containers":{"name":"a"}}}"#,
            r#"Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container"#,
        ),
        (
            "services",
            r#"{"spec":{"ports":[{"port":80,"targetPort":true}]}}"#,
            r#"Service in version "v1" cannot be handled as a Service: json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.targetPort of type int32"#,
        ),
        (
            "pods",
            r#"{"metadata":{"labels":["a"]}}"#,
            r#"Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string"#,
        ),
        (
            "deployments",
            r#"{"spec":{"replicas":1.5}}"#,
            r#"Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"#,
        ),
        (
            "deployments",
            r#"{"spec":{"selector":"app=gold"}}"#,
            r#"Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.selector of type v1.LabelSelector"#,
        ),
        (
            "secrets",
            r#"{"data":{"a":"web"}}"#,
            r#"Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 0"#,
        ),
        (
            "secrets",
            r#"{"data":{"a":"not base64!"}}"#,
            r#"Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 3"#,
        ),
        (
            "leases",
            r#"{"spec":{"renewTime":"yesterday"}}"#,
            r#"Lease in version "v1" cannot be handled as a Lease: parsing time "yesterday" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "yesterday" as "2006""#,
        ),
    ];
    for (plural, body, message) in cases {
        assert_eq!(decoded(plural, body, MediaType::Json, FieldValidation::Warn).unwrap_err(), message);
    }
}

#[test]
fn unknown_and_duplicate_fields_are_told_in_order() {
    let body = r#"{"metadata":{"name":"a","nope":1},"data":{"a":"1","a":"2"},"zzz":1}"#;
    let strict = decoded("configmaps", body, MediaType::Json, FieldValidation::Strict).unwrap_err();
    let problems = r#"unknown field "metadata.nope", duplicate field "data.a", unknown field "zzz""#;
    assert_eq!(
        strict,
        format!(r#"ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: {problems}"#)
    );
    let warned = decoded("configmaps", body, MediaType::Json, FieldValidation::Warn).unwrap();
    assert_eq!(warned.warnings.join(", "), problems);
    assert_eq!(
        serde_json::to_string(&warned.value).unwrap(),
        r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"a":"2"}}"#
    );
    assert!(decoded("configmaps", body, MediaType::Json, FieldValidation::Ignore).unwrap().warnings.is_empty());
}

#[test]
fn yaml_is_read_by_the_older_rules() {
    let yaml = |body: &str, validation| decoded("configmaps", body, MediaType::Yaml, validation);
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: d\ndata:\n  a: \"1\"\n  a: \"2\"\n";
    assert_eq!(
        yaml(body, FieldValidation::Strict).unwrap_err(),
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:\n  line 7: key \"a\" already set in map"
    );
    assert_eq!(
        yaml("apiVersion: v1\n  kind: ConfigMap\n: x", FieldValidation::Warn).unwrap_err(),
        "the object provided is unrecognized (must be of type ConfigMap): yaml: line 2: mapping values are not allowed in this context (61706956657273696f6e3a2076310a20206b696e643a20436f6e6669674d ...)"
    );
    assert_eq!(
        yaml("apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: x\n", FieldValidation::Warn).unwrap_err(),
        "the object provided is unrecognized (must be of type ConfigMap): yaml: line 4: found character that cannot start any token (61706956657273696f6e3a2076310a6b696e643a20436f6e6669674d6170 ...)"
    );
    let value =
        yaml::parse(b"a: yes\nb: 0644\nc: 1.5\nd: \"yes\"\ne: ~\n1: x\nf: 2020-01-02\ng: 1e3\nh: 0x10\ni: off\nj: on")
            .unwrap();
    assert_eq!(
        value,
        serde_json::json!({"a": true, "b": 420, "c": 1.5, "d": "yes", "e": null, "1": "x", "f": "2020-01-02", "g": 1000.0, "h": 16, "i": false, "j": true})
    );
}
