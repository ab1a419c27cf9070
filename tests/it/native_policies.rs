//! NetworkPolicies and Services between real containers, as a program in a Pod meets them.
//!
//! Twice in CI, as `native.rs`: as root and as an ordinary user.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use tutor::client::run_in;

use crate::harness::into;
use crate::native;
use crate::process::Serve;

/// How long the slowest step may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A playground with real containers.
struct Stage {
    serve: Serve,
    client: kube::Client,
    _state: tempfile::TempDir,
}

impl Stage {
    /// `None` where user namespaces are refused.
    async fn open() -> Option<Stage> {
        if native::is_refused() {
            return None;
        }
        let state = tempfile::tempdir().unwrap();
        let serve = Serve::with(state.path(), &["--runtime", "native"]);
        let client = serve.client().await;
        Some(Stage { serve, client, _state: state })
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Makes a Pod of these containers on a node and waits until it is ready; its address.
    async fn pod(&self, place: &str, labels: Value, node: &str, containers: Value) -> String {
        self.pod_of(place, labels, node, json!({"containers": containers})).await
    }

    async fn pod_of(&self, place: &str, labels: Value, node: &str, mut spec: Value) -> String {
        let (namespace, name) = place.split_once('/').unwrap();
        spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
        spec["terminationGracePeriodSeconds"] = json!(0);
        let pod: Pod = into(json!({"metadata": {"name": name, "labels": labels}, "spec": spec}));
        let pods = self.api::<Pod>(namespace);
        let account = Api::namespaced(self.client.clone(), namespace);
        let there = |it: Option<&k8s_openapi::api::core::v1::ServiceAccount>| it.is_some();
        tokio::time::timeout(PATIENCE, await_condition(account, "default", there)).await.unwrap().unwrap();
        pods.create(&PostParams::default(), &pod).await.unwrap();
        let ready = |pod: Option<&Pod>| {
            let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.as_ref());
            conditions.into_iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True")
        };
        let waited = tokio::time::timeout(PATIENCE, await_condition(pods.clone(), name, ready)).await;
        assert!(waited.is_ok(), "{place} is not ready: {:?}", pods.get(name).await.map(|pod| pod.status));
        pods.get(name).await.unwrap().status.unwrap().pod_ip.unwrap()
    }

    async fn client_pod(&self, place: &str, labels: Value, node: &str) -> String {
        self.pod(place, labels, node, json!([{"name": "c", "image": "tutor/shell:1", "command": ["sleep", "3600"]}]))
            .await
    }

    async fn policy(&self, name: &str, spec: Value) {
        let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec});
        let policies = self.api::<NetworkPolicy>("default");
        policies.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&policy)).await.unwrap();
    }

    /// What a command prints in `namespace/pod/container`; the error when it fails.
    async fn run(&self, place: &str, script: &str) -> Result<String, String> {
        let mut parts = place.split('/');
        let mut part = || parts.next().unwrap_or_default();
        let place = (part(), part(), part());
        run_in(self.client.clone(), place, &["sh", "-c", script].map(str::to_owned)).await
    }

    /// Waits until a command in a Pod succeeds; what it prints.
    async fn succeeds(&self, place: &str, script: &str) -> String {
        let run = async {
            loop {
                if let Ok(printed) = self.run(place, script).await {
                    return printed;
                }
            }
        };
        let done = tokio::time::timeout(PATIENCE, run).await;
        done.unwrap_or_else(|_| panic!("`{script}` never succeeds in {place}"))
    }

    /// Waits until a command in a Pod fails.
    async fn fails(&self, place: &str, script: &str) {
        let run = async { while self.run(place, script).await.is_ok() {} };
        let done = tokio::time::timeout(PATIENCE, run).await;
        assert!(done.is_ok(), "`{script}` never fails in {place}");
    }

    fn close(self) {
        assert!(self.serve.interrupt().success());
    }
}

fn fetch(at: &str) -> String {
    format!("wget -qO- -T 2 http://{at}/")
}

/// A web server on port 80, called `http`, and another on 8081.
fn servers() -> Value {
    let web = |name: &str, port: u16| {
        json!({"name": name, "image": "tutor/web:1", "env": [{"name": "PORT", "value": port.to_string()}],
            "ports": [{"name": name, "containerPort": port}],
            "readinessProbe": {"httpGet": {"port": port}, "periodSeconds": 1}})
    };
    json!([web("http", 80), web("admin", 8081)])
}

fn service(name: &str, spec: Value) -> Service {
    into(json!({"metadata": {"name": name}, "spec": spec}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_who_may_come_in() {
    let Some(stage) = Stage::open().await else { return };
    let lab: Namespace = into(json!({"metadata": {"name": "lab", "labels": {"kind": "lab"}}}));
    Api::all(stage.client.clone()).create(&PostParams::default(), &lab).await.unwrap();
    let services = stage.api::<Service>("default");
    let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
    services.create(&PostParams::default(), &service("web", spec)).await.unwrap();
    let web = stage.pod("default/web", json!({"app": "web"}), "node-1", servers()).await;
    // One beside it on its node, one on the other node.
    let friend_ip = stage.client_pod("default/friend", json!({"role": "friend"}), "node-1").await;
    stage.client_pod("lab/outsider", json!({}), "node-2").await;
    let (friend, outsider) = ("default/friend", "lab/outsider");
    let (http, admin) = (fetch(&web), fetch(&format!("{web}:8081")));
    for who in [friend, outsider] {
        stage.succeeds(who, &http).await;
        stage.succeeds(who, &fetch("web.default")).await;
    }

    let selected = json!({"matchLabels": {"app": "web"}});
    stage.policy("rule", json!({"podSelector": selected, "policyTypes": ["Ingress"]})).await;
    for who in [friend, outsider] {
        stage.fails(who, &http).await;
        stage.fails(who, &fetch("web.default")).await;
    }

    let only =
        |from: Value, ports: Value| json!({"podSelector": selected, "ingress": [{"from": from, "ports": ports}]});
    let friends = json!([{"podSelector": {"matchLabels": {"role": "friend"}}}]);
    stage.policy("rule", only(friends, json!([{"port": "http"}]))).await;
    stage.succeeds(friend, &http).await;
    stage.succeeds(friend, &fetch("web.default")).await;
    stage.fails(friend, &admin).await;
    stage.fails(outsider, &http).await;

    let labs = json!([{"namespaceSelector": {"matchLabels": {"kind": "lab"}}}]);
    stage.policy("rule", only(labs, json!([{"port": 8000, "endPort": 8081}]))).await;
    stage.succeeds(outsider, &admin).await;
    stage.fails(outsider, &http).await;
    stage.fails(friend, &http).await;

    let all_but = json!([{"ipBlock": {"cidr": "10.244.0.0/16", "except": [format!("{friend_ip}/32")]}}]);
    stage.policy("rule", only(all_but, json!([{"port": 80}]))).await;
    stage.succeeds(outsider, &http).await;
    stage.fails(friend, &http).await;

    let pod = stage.api::<Pod>("default").get("web").await.unwrap();
    let restarts = pod.status.unwrap().container_statuses.unwrap().iter().map(|it| it.restart_count).sum::<i32>();
    assert_eq!(restarts, 0, "the kubelet's probes pass");
    stage.api::<NetworkPolicy>("default").delete("rule", &DeleteParams::default()).await.unwrap();
    stage.succeeds(friend, &admin).await;
    stage.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_where_a_pod_may_go() {
    let Some(stage) = Stage::open().await else { return };
    let services = stage.api::<Service>("default");
    let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
    services.create(&PostParams::default(), &service("web", spec.clone())).await.unwrap();
    let mut sticky = spec;
    sticky["sessionAffinity"] = json!("ClientIP");
    services.create(&PostParams::default(), &service("sticky", sticky)).await.unwrap();
    let web = stage.pod("default/web", json!({"app": "web"}), "node-1", servers()).await;
    let here = stage.client_pod("default/here", json!({"app": "here"}), "node-2").await;
    let (place, name) = ("default/here", "nslookup web.default.svc.cluster.local");
    for at in [&*web, "web", "sticky"] {
        stage.succeeds(place, &fetch(at)).await;
    }

    let selected = json!({"matchLabels": {"app": "here"}});
    stage.policy("closed", json!({"podSelector": selected, "policyTypes": ["Egress"]})).await;
    stage.fails(place, &fetch(&web)).await;
    stage.fails(place, name).await;
    // What goes out is closed; what comes in, and its answers, are not.
    let answered = stage.run("default/web/http", &fetch(&format!("{here}:1"))).await.unwrap_err();
    assert!(answered.contains("refused"), "{answered}");

    let dns = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}});
    let names = json!({"podSelector": selected, "policyTypes": ["Egress"],
        "egress": [{"to": [dns], "ports": [{"port": 53, "protocol": "UDP"}]}]});
    stage.policy("names", names).await;
    stage.succeeds(place, name).await;
    for at in [&*web, "web", "sticky"] {
        stage.fails(place, &fetch(at)).await;
    }

    let to_web = json!({"podSelector": selected, "policyTypes": ["Egress"],
        "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": "http"}]}]});
    stage.policy("web", to_web).await;
    for at in [&*web, "web", "sticky"] {
        stage.succeeds(place, &fetch(at)).await;
    }
    stage.fails(place, &fetch(&format!("{web}:8081"))).await;
    stage.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_on_its_nodes_network_is_the_node_to_policies() {
    let Some(stage) = Stage::open().await else { return };
    let web = stage.pod("default/web", json!({"app": "web"}), "node-1", servers()).await;
    stage.client_pod("default/guest", json!({"app": "guest"}), "node-2").await;
    let sleeper = json!([{"name": "c", "image": "tutor/shell:1", "command": ["sleep", "3600"]}]);
    let spec = json!({"hostNetwork": true, "containers": sleeper});
    let at = stage.pod_of("default/host", json!({"app": "host"}), "node-2", spec).await;
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let addresses = nodes.get("node-2").await.unwrap().status.unwrap().addresses.unwrap();
    assert!(addresses.iter().any(|address| address.address == at), "its address is the node's: {at}");
    stage.succeeds("default/guest/c", &fetch(&web)).await;

    // One closes the door to all; one means the Pod itself, by its label, on both sides.
    stage.policy("closed", json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]})).await;
    let both = json!({"podSelector": {"matchLabels": {"app": "host"}}, "policyTypes": ["Ingress", "Egress"]});
    stage.policy("mute", both).await;
    stage.fails("default/guest/c", &fetch(&web)).await;
    stage.succeeds("default/host/c", &fetch(&web)).await;

    // Nor is it meant where a policy lets a label in: an ordinary Pod of that label is.
    let named = json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "guest"}}}]}]});
    stage.policy("closed", named).await;
    stage.succeeds("default/guest/c", &fetch(&web)).await;
    stage.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn services_lead_where_their_policy_says() {
    let Some(stage) = Stage::open().await else { return };
    let services = stage.api::<Service>("default");
    let outside = json!({"type": "NodePort", "externalTrafficPolicy": "Local", "selector": {"app": "web"}, "ports": [{"port": 80}]});
    let inside = json!({"internalTrafficPolicy": "Local", "selector": {"app": "web"}, "ports": [{"port": 80}]});
    let datagrams = json!({"ports": [{"port": 53, "protocol": "UDP"}]});
    let habit = json!({"sessionAffinity": "ClientIP", "ports": [{"port": 53, "protocol": "UDP"}]});
    let sticky = json!({"sessionAffinity": "ClientIP", "selector": {"many": "yes"}, "ports": [{"port": 80}]});
    let near = json!({"trafficDistribution": "PreferSameNode", "selector": {"many": "yes"}, "ports": [{"port": 80}]});
    for (name, spec) in [
        ("outside", outside),
        ("inside", inside),
        ("datagrams", datagrams),
        ("habit", habit),
        ("sticky", sticky),
        ("near", near),
    ] {
        services.create(&PostParams::default(), &service(name, spec)).await.unwrap();
    }
    let labels = json!({"app": "web", "many": "yes"});
    let mut containers = servers();
    containers[0]["ports"][0]["hostPort"] = json!(8088);
    stage.pod("default/web", labels, "node-1", containers).await;
    stage.pod("default/other", json!({"many": "yes"}), "node-2", servers()).await;
    for number in [1, 2] {
        stage.client_pod(&format!("default/on-{number}"), json!({}), &format!("node-{number}")).await;
    }
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let mut addresses = Vec::new();
    for name in ["node-1", "node-2"] {
        let status = nodes.get(name).await.unwrap().status.unwrap();
        addresses.push(status.addresses.unwrap().into_iter().find(|it| it.type_ == "InternalIP").unwrap().address);
    }
    let (here, there) = ("default/on-1", "default/on-2");

    let port = services.get("outside").await.unwrap().spec.unwrap().ports.unwrap()[0].node_port.unwrap();
    stage.succeeds(there, &fetch(&format!("{}:{port}", addresses[0]))).await;
    stage.fails(here, &fetch(&format!("{}:{port}", addresses[1]))).await;
    stage.succeeds(here, &fetch("inside")).await;
    stage.fails(there, &fetch("inside")).await;
    stage.succeeds(there, &fetch(&format!("{}:8088", addresses[0]))).await;
    stage.fails(there, &fetch(&format!("{}:8088", addresses[1]))).await;

    for (client, server) in [(here, "web"), (there, "other")] {
        let always =
            format!("for n in 1 2 3 4 5 6 7 8; do {} | grep -q 'from {server},' || exit 1; done", fetch("near"));
        stage.succeeds(client, &always).await;
    }
    let who = stage.succeeds(here, &fetch("sticky")).await;
    let again = format!(
        "for n in 1 2 3 4 5 6 7 8; do test \"$(wget -qO- -T 60 http://sticky/)\" = '{}' || exit 1; done",
        who.trim()
    );
    assert!(stage.run(here, &again).await.is_ok(), "a client keeps its Pod");

    // The only server of datagrams at hand is the one for names.
    for name in ["datagrams", "habit"] {
        let slice: EndpointSlice = into(
            json!({"metadata": {"name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.96.0.10"]}], "ports": [{"port": 53, "protocol": "UDP"}]}),
        );
        let at = services.get(name).await.unwrap().spec.unwrap().cluster_ip.unwrap();
        let ask = format!("nslookup kubernetes.default.svc.cluster.local {at}");
        stage.fails(there, &ask).await;
        stage.api::<EndpointSlice>("default").create(&PostParams::default(), &slice).await.unwrap();
        let said = stage.succeeds(there, &ask).await;
        assert!(said.contains("Address: 10.96.0.1\n"), "{said}");
    }
    stage.close();
}
