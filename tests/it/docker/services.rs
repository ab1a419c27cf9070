//! Services, names and policies between docker's Pods.

use super::cluster::kubectl;
use super::daemon::daemon;
use crate::process::Serve;

const OBJECTS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web-0, labels: {app: web}}
spec: {hostname: web-0, subdomain: each, containers: [{name: c, image: "tutor/web:1", readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: friend, labels: {may: enter}}
spec: {containers: [{name: c, image: "tutor/shell:1", command: [sleep, "3600"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: stranger}
spec: {containers: [{name: c, image: "tutor/shell:1", command: [sleep, "3600"]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 8000, targetPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: open}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30180}]}
---
apiVersion: v1
kind: Service
metadata: {name: each}
spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
"#;

const POLICY: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {may: enter}}}]}]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn docker_pods_reach_services_by_name_and_port_of_a_node() {
    if crate::served::program(crate::served::KUBECTL).is_none() {
        assert!(std::env::var_os("CI").is_none(), "kubectl is missing: run .ci/install");
        return println!("skipped: needs kubectl");
    }
    let Some(docker) = daemon().await else { return };
    let state = tempfile::tempdir().unwrap();
    let address = docker.address();
    let serve = Serve::with_env(state.path(), &["--runtime", "docker"], &[("DOCKER_HOST", &address)]);
    let well = |words: &[&str]| {
        let (well, said) = kubectl(state.path(), "", words);
        assert!(well, "kubectl {words:?}: {said}\n{}", kubectl(state.path(), "", &["describe", "pods"]).1);
        said.trim().to_owned()
    };
    let (applied, said) = kubectl(state.path(), OBJECTS, &["apply", "-f", "-"]);
    assert!(applied, "{said}");
    well(&["wait", "--for=condition=Ready", "pod/web-0", "pod/friend", "pod/stranger", "--timeout=180s"]);
    let inside = |pod: &str, script: &str| well(&["exec", pod, "--", "sh", "-c", script]);
    // A loop follows the endpoints; one who asks at once may be too early.
    let until =
        |wanted: &str, what: &str| format!("for n in $(seq 600); do {what} {wanted} exit 0; sleep 0.1; done; exit 1");
    let reaches = |pod: &str, url: &str| inside(pod, &until("&&", &format!("wget -T 5 -qO- {url}")));

    let node = well(&["get", "node", "node-2", "-o", "jsonpath={.status.addresses[?(@.type=='InternalIP')].address}"]);
    for url in [
        "http://web:8000",
        "http://web.default.svc.cluster.local:8000",
        "http://open",
        &format!("http://{node}:30180"),
        "http://each",
        "http://web-0.each",
    ] {
        assert!(reaches("friend", url).contains("hello from web-0"), "{url}");
        assert!(reaches("stranger", url).contains("hello from web-0"), "{url}");
    }
    assert!(inside("friend", "cat /etc/resolv.conf").contains("nameserver 10.96.0.10"));
    assert!(inside("friend", "nslookup kubernetes.default").contains("10.96.0.1"));
    assert!(inside("friend", "nslookup no-such-name 2>&1 || echo none").ends_with("none"));
    assert!(
        inside("friend", "wget -T 60 -qO- http://nobody 2>&1 || echo none").ends_with("none"),
        "nobody is behind it"
    );
    // What a Pod may do with its network is no more than before: the right was given up.
    let rights = "grep CapEff /proc/1/status";
    let powers = inside("friend", rights);
    let powers = u64::from_str_radix(powers.rsplit('\t').next().unwrap(), 16).unwrap();
    assert_eq!(powers & (1 << 12), 0, "CAP_NET_ADMIN: {powers:x}");

    let (applied, said) = kubectl(state.path(), POLICY, &["apply", "-f", "-"]);
    assert!(applied, "{said}");
    inside("stranger", &until("||", "wget -T 5 -qO /dev/null http://web:8000 2>&1"));
    assert!(reaches("friend", "http://web:8000").contains("hello from web-0"), "who may, still does");
    assert!(serve.interrupt().success());
    assert_eq!(docker.all("{{.Names}}"), "", "an orderly end leaves nothing");
}
