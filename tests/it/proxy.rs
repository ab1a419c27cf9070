//! `…/proxy`: Pods, Services and nodes, asked through the API server.

use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;

use crate::harness::{Playground, condition};

async fn ask(play: &Playground, method: &str, path: &str) -> (u16, String, String) {
    let request: Request<Body> = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let (parts, body) = play.client.send(request).await.unwrap().into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let location = parts.headers.get("location").map_or("", |value| value.to_str().unwrap()).to_string();
    // A refusal by the API server itself is a Status.
    let told =
        serde_json::from_str::<Value>(&text).ok().and_then(|status| status["message"].as_str().map(str::to_string));
    (parts.status.as_u16(), told.unwrap_or(text), location)
}

const WEB: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  labels: {app: web}\nspec:\n  containers:\n  - name: web\n    \
                   image: tutor/web\n    ports: [{containerPort: 80}]\n---\napiVersion: v1\nkind: Service\nmetadata:\n  \
                   name: web\nspec:\n  selector: {app: web}\n  ports: [{name: http, port: 8080, targetPort: 80}]\n";

#[tokio::test(start_paused = true)]
async fn a_pod_is_asked_through_the_api_server() {
    let play = Playground::simulated().nodes(1).start().await;
    play.apply(WEB).await;
    play.expect("pod/web", condition("Ready", "True")).await;
    let pod = "/api/v1/namespaces/default/pods";
    let (code, _, location) = ask(&play, "GET", &format!("{pod}/web/proxy?a=b")).await;
    assert_eq!((code, location), (301, format!("{pod}/web/proxy/?a=b")));
    assert_eq!(ask(&play, "GET", &format!("{pod}/web/proxy/")).await.0, 200);
    assert_eq!(ask(&play, "POST", &format!("{pod}/web:80/proxy/status/418")).await.0, 418);
    let refused = ask(&play, "GET", &format!("{pod}/web:9/proxy/")).await;
    assert_eq!(refused.0, 503);
    assert!(refused.1.starts_with("error trying to reach service: dial tcp 10.244."), "{refused:?}");
    assert!(refused.1.ends_with(":9: connect: connection refused"), "{refused:?}");

    play.expect("endpoints/web", |endpoints| endpoints["subsets"][0]["addresses"].is_array()).await;
    let services = "/api/v1/namespaces/default/services";
    assert_eq!(ask(&play, "GET", &format!("{services}/web:http/proxy/status/202")).await.0, 202);
    assert_eq!(ask(&play, "GET", &format!("{services}/http:web:8080/proxy/status/203")).await.0, 203);
    let table = [
        (format!("{pod}/nobody/proxy/"), 404, "pods \"nobody\" not found"),
        (format!("{pod}/a:b:c:d/proxy/"), 400, "invalid pod request \"a:b:c:d\""),
        (format!("{pod}/web/proxy/?dryRun=All"), 400, "dryRun is not supported"),
        (format!("{services}/web:81/proxy/"), 503, "no service port 81 found for service \"web\""),
        (format!("{services}/nobody/proxy/"), 503, "no endpoints available for service \"nobody\""),
        (format!("{services}/nobody:80/proxy/"), 404, "services \"nobody\" not found"),
        ("/api/v1/nodes/nobody/proxy/pods".to_string(), 404, "nodes \"nobody\" not found"),
    ];
    for (path, code, words) in table {
        let (found, told, _) = ask(&play, "GET", &path).await;
        assert_eq!((found, &*told), (code, words), "{path}");
    }
    let (code, pods, _) = ask(&play, "GET", "/api/v1/nodes/node-1/proxy/pods").await;
    assert_eq!(code, 200);
    assert!(pods.contains("\"web\""));
}
