//! Pushing and pulling, as a client does it.

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::name::Digest;
use super::*;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

struct Client {
    registry: Registry,
    _dir: tempfile::TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["errors"][0]["code"].as_str().unwrap().to_string())
    }
}

impl Client {
    fn new() -> Client {
        let dir = tempfile::tempdir().unwrap();
        Client { registry: Registry::open(dir.path(), &TaskGroup::new()).unwrap(), _dir: dir }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(http_body_util::Full::new(Bytes::copy_from_slice(body))).unwrap();
        let response = warp::service(self.registry.filter()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    fn private(authorization: &str) -> Client {
        let dir = tempfile::tempdir().unwrap();
        Client { registry: Registry::private(dir.path(), &TaskGroup::new(), authorization).unwrap(), _dir: dir }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    async fn push_blob(&self, name: &str, content: &[u8]) -> String {
        let digest = Digest::of(content).to_string();
        let answer = self.send("POST", &format!("/v2/{name}/blobs/uploads/?digest={digest}"), &[], content).await;
        assert_eq!(answer.status, 201);
        digest
    }

    async fn push_image(&self, name: &str, tag: &str, extra: Value) -> (Answer, Bytes) {
        let config = self.push_blob(name, b"{}").await;
        let layer = self.push_blob(name, b"layer").await;
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": "application/x.config", "digest": config, "size": 2 },
            "layers": [{ "mediaType": "application/x.layer", "digest": layer, "size": 5 }],
        });
        for (field, value) in extra.as_object().unwrap() {
            manifest[field] = value.clone();
        }
        let manifest = Bytes::from(manifest.to_string());
        let path = format!("/v2/{name}/manifests/{tag}");
        (self.send("PUT", &path, &[("content-type", MANIFEST)], &manifest).await, manifest)
    }
}

#[tokio::test]
async fn an_image_is_pushed_and_pulled() {
    let client = Client::new();
    assert_eq!(client.get("/v2/").await.status, 200);
    let (pushed, manifest) = client.push_image("library/web", "v1", json!({})).await;
    assert_eq!(pushed.status, 201);
    let digest = Digest::of(&manifest).to_string();
    assert_eq!(pushed.header("docker-content-digest"), digest);
    for reference in ["v1", &digest] {
        let pulled = client.get(&format!("/v2/library/web/manifests/{reference}")).await;
        assert_eq!((pulled.status, pulled.header("content-type"), &pulled.body), (200, MANIFEST, &manifest));
        let head = client.send("HEAD", &format!("/v2/library/web/manifests/{reference}"), &[], b"").await;
        assert_eq!((head.header("content-length"), head.body.len()), (manifest.len().to_string().as_str(), 0));
    }
    let layer = Digest::of(b"layer");
    assert_eq!(client.get(&format!("/v2/library/web/blobs/{layer}")).await.body, "layer");
    assert_eq!(client.get("/v2/library/web/tags/list").await.json(), json!({"name": "library/web", "tags": ["v1"]}));
    assert_eq!(client.get("/v2/_catalog").await.json(), json!({"repositories": ["library/web"]}));
}

#[tokio::test]
async fn a_blob_comes_in_chunks_and_goes_in_parts() {
    let client = Client::new();
    let started = client.send("POST", "/v2/a/blobs/uploads/", &[], b"").await;
    assert_eq!(started.status, 202);
    let upload = started.header("location").to_string();
    let first = client.send("PATCH", &upload, &[("content-range", "0-4")], b"01234").await;
    assert_eq!((first.status, first.header("range")), (202, "0-4"));
    let gap = client.send("PATCH", &upload, &[("content-range", "7-9")], b"789").await;
    assert_eq!(gap.status, 416);
    assert_eq!(client.get(&upload).await.header("range"), "0-4");
    client.send("PATCH", &upload, &[], b"567").await;
    let digest = Digest::of(b"0123456789").to_string();
    let encoded = digest.replace(':', "%3A");
    let done = client.send("PUT", &format!("{upload}?digest={encoded}"), &[], b"89").await;
    assert_eq!((done.status, done.header("location")), (201, format!("/v2/a/blobs/{digest}").as_str()));
    assert_eq!(client.get(&upload).await.refusal(), (404, "BLOB_UPLOAD_UNKNOWN".into()));

    let blob = format!("/v2/a/blobs/{digest}");
    let part = client.send("GET", &blob, &[("range", "bytes=2-4")], b"").await;
    assert_eq!((part.status, part.header("content-range"), &part.body[..]), (206, "bytes 2-4/10", &b"234"[..]));
    assert_eq!(part.header("content-length"), "3");
    assert_eq!(client.send("GET", &blob, &[("range", "bytes=10-")], b"").await.status, 416);

    let mounted = client.send("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), &[], b"").await;
    assert_eq!(mounted.status, 201);
    assert_eq!(client.send("DELETE", &blob, &[], b"").await.status, 202);
    assert_eq!(client.get(&blob).await.refusal(), (404, "BLOB_UNKNOWN".into()));
    assert_eq!(client.get(&format!("/v2/b/blobs/{digest}")).await.body, "0123456789", "another repository holds it");
    let absent = client.send("POST", &format!("/v2/c/blobs/uploads/?mount={digest}&from=a"), &[], b"").await;
    assert_eq!(absent.status, 202, "an ordinary upload begins instead");
}

#[tokio::test]
async fn what_is_not_what_it_claims_is_refused() {
    let client = Client::new();
    let digest = Digest::of(b"right");
    let wrong = client.send("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], b"wrong").await;
    assert_eq!(wrong.refusal(), (400, "DIGEST_INVALID".into()));
    assert_eq!(client.get(&format!("/v2/a/blobs/{digest}")).await.status, 404);
    let wrong = client.send("PUT", &format!("/v2/a/manifests/{digest}"), &[("content-type", MANIFEST)], b"{}").await;
    assert_eq!(wrong.refusal(), (400, "DIGEST_INVALID".into()));
    let layers = json!({ "layers": [{ "digest": digest.to_string(), "size": 5 }] }).to_string();
    let missing = client.send("PUT", "/v2/a/manifests/v1", &[("content-type", MANIFEST)], layers.as_bytes()).await;
    assert_eq!(missing.refusal(), (404, "MANIFEST_BLOB_UNKNOWN".into()));
    let large = vec![b' '; MANIFEST_MAX + 1];
    let large = client.send("PUT", "/v2/a/manifests/v1", &[("content-type", MANIFEST)], &large).await;
    assert_eq!(large.refusal(), (413, "SIZE_INVALID".into()));
    assert_eq!(client.get("/v2/a/manifests/v1").await.refusal(), (404, "MANIFEST_UNKNOWN".into()));
    assert_eq!(client.get("/v2/a/tags/list").await.refusal(), (404, "NAME_UNKNOWN".into()));
    assert_eq!(client.send("PUT", "/v2/", &[], b"").await.refusal(), (405, "UNSUPPORTED".into()));
}

#[tokio::test]
async fn tags_come_in_pages() {
    let client = Client::new();
    for tag in ["c", "a", "b"] {
        client.push_image("web", tag, json!({})).await;
    }
    let first = client.get("/v2/web/tags/list?n=2").await;
    assert_eq!(first.json()["tags"], json!(["a", "b"]));
    assert_eq!(first.header("link"), "</v2/web/tags/list?n=2&last=b>; rel=\"next\"");
    let last = client.get("/v2/web/tags/list?n=2&last=b").await;
    assert_eq!((last.json()["tags"].clone(), last.header("link")), (json!(["c"]), ""));
}

#[tokio::test]
async fn referrers_are_found_until_they_are_deleted() {
    let client = Client::new();
    let (_, image) = client.push_image("web", "v1", json!({})).await;
    let subject = Digest::of(&image).to_string();
    let extra = json!({
        "artifactType": "application/x.signature",
        "annotations": { "by": "me" },
        "subject": { "mediaType": MANIFEST, "digest": subject, "size": image.len() },
    });
    let (pushed, signature) = client.push_image("web", "signature", extra).await;
    assert_eq!(pushed.header("oci-subject"), subject);
    let path = format!("/v2/web/referrers/{subject}");
    let found = client.get(&path).await.json();
    let digest = Digest::of(&signature).to_string();
    assert_eq!(found["manifests"][0]["digest"], digest);
    assert_eq!(found["manifests"][0]["annotations"], json!({ "by": "me" }));
    let other = client.get(&format!("{path}?artifactType=application%2Fx.other")).await;
    assert_eq!(other.header("oci-filters-applied"), "artifactType");
    assert_eq!(other.json()["manifests"], json!([]));

    assert_eq!(client.send("DELETE", &format!("/v2/web/manifests/{digest}"), &[], b"").await.status, 202);
    assert_eq!(client.get(&path).await.json()["manifests"], json!([]));
    assert_eq!(client.get("/v2/web/tags/list").await.json()["tags"], json!(["v1"]), "its tag went with it");
    assert_eq!(client.send("DELETE", "/v2/web/manifests/v1", &[], b"").await.status, 202);
    assert_eq!(client.get(&format!("/v2/web/manifests/{subject}")).await.status, 200, "the tag alone is gone");
}

#[tokio::test]
async fn a_private_registry_answers_only_who_brings_the_password() {
    let client = Client::private("Basic bGVhcm5lcjpzM2NyZXQ=");
    for path in ["/v2/", "/v2/_catalog", "/v2/a/tags/list", "/v2/a/manifests/1", "/nowhere"] {
        let refused = client.get(path).await;
        assert_eq!(refused.refusal(), (401, "UNAUTHORIZED".to_owned()), "{path}");
        assert!(refused.header("www-authenticate").starts_with("Basic realm="), "{path}");
    }
    for wrong in ["Basic bGVhcm5lcjp3cm9uZw==", "Bearer bGVhcm5lcjpzM2NyZXQ=", ""] {
        assert_eq!(client.send("GET", "/v2/", &[("authorization", wrong)], b"").await.status, 401, "{wrong}");
    }
    let known = [("authorization", "Basic bGVhcm5lcjpzM2NyZXQ=")];
    assert_eq!(client.send("GET", "/v2/", &known, b"").await.status, 200);
    assert_eq!(client.send("POST", "/v2/a/blobs/uploads/", &known, b"").await.status, 202);
    assert_eq!(client.send("POST", "/v2/a/blobs/uploads/", &[], b"").await.status, 401);
}
