//! Real kubectl, through every command the course uses. No mocks: the program from Kubernetes'
//! own release against a playground's socket.

use crate::served::{Served, with_kubectl};

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: tutor/web:1
        ports: [{containerPort: 80}]
"#;

/// A playground in which `web` runs.
fn with_web() -> Option<Served> {
    let play = with_kubectl()?;
    assert_eq!(play.does_with("apply -f -", WEB), "deployment.apps/web created\n");
    play.does("rollout status deployment/web --timeout=140s");
    Some(play)
}

fn names(play: &Served, words: &str) -> Vec<String> {
    play.does(&format!("get {words} -o name")).lines().map(str::to_owned).collect()
}

#[test]
fn a_deployment_is_created_rolls_out_and_heals() {
    let Some(play) = with_kubectl() else { return };
    let created = play.does("create deployment web --image=tutor/web:1 --replicas=3");
    assert_eq!(created, "deployment.apps/web created\n");
    let rollout = play.does("rollout status deployment/web --timeout=140s");
    assert!(rollout.ends_with("deployment \"web\" successfully rolled out\n"), "{rollout}");
    let before = names(&play, "pods -l app=web");
    assert_eq!(before.len(), 3);
    play.does(&format!("delete {} --now", before[0]));
    // What the status says may still be of before.
    let healed = |told: &str| {
        let after: Vec<&str> = told.lines().collect();
        after.len() == 3 && after.iter().all(|pod| *pod != before[0])
    };
    play.comes_to("get pods -l app=web -o name", healed);
    play.does("wait pods -l app=web --for=condition=Ready --timeout=140s");
    play.does("wait deployment/web --for=jsonpath={.status.readyReplicas}=3 --timeout=140s");
}

#[test]
fn apply_from_the_client_tells_created_unchanged_and_configured() {
    let Some(play) = with_web() else { return };
    assert_eq!(play.does_with("apply -f -", WEB), "deployment.apps/web unchanged\n");
    let more = WEB.replace("replicas: 2", "replicas: 3");
    assert_eq!(play.does_with("apply -f -", &more), "deployment.apps/web configured\n");
    assert_eq!(play.does("get deployment web -o jsonpath={.spec.replicas}"), "3");
    assert!(play.kubectl_with("diff -f -", WEB).out.contains("-  replicas: 3"));
}

#[test]
fn apply_on_the_server_finds_conflicts() {
    let Some(play) = with_kubectl() else { return };
    let applied = play.does_with("apply --server-side -f -", WEB);
    assert_eq!(applied, "deployment.apps/web serverside-applied\n");
    let more = WEB.replace("replicas: 2", "replicas: 5");
    let refused = play.kubectl_with("apply --server-side --field-manager=other -f -", &more);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("conflict with \"kubectl\": .spec.replicas"), "{refused:#?}");
    play.does_with("apply --server-side --field-manager=other --force-conflicts -f -", &more);
    assert_eq!(play.does("get deployment web -o jsonpath={.spec.replicas}"), "5");
}

#[test]
fn get_prints_tables_yaml_jsonpath_and_watches() {
    let Some(play) = with_web() else { return };
    let table = play.does("get deployment web");
    assert!(table.starts_with("NAME   READY   UP-TO-DATE   AVAILABLE   AGE\nweb    2/2     2            2"), "{table}");
    let wide = play.does("get pods -o wide");
    assert!(wide.starts_with("NAME ") && wide.contains("NODE") && wide.contains("node-"), "{wide}");
    let yaml = play.does("get deployment web -o yaml");
    assert!(yaml.contains("kind: Deployment") && yaml.contains("image: tutor/web:1"), "{yaml}");
    assert_eq!(play.does("get deploy web -o jsonpath={.spec.template.spec.containers[0].image}"), "tutor/web:1");
    assert_eq!(names(&play, "nodes"), ["node/node-1", "node/node-2", "node/node-3"]);
    let watched = play.kubectl("get pods -w --request-timeout=10s");
    assert!(watched.out.contains("Running"), "{watched:#?}");
    assert!(play.does("get all").contains("replicaset.apps/web-"));
    let missing = play.kubectl("get pod nobody");
    assert_eq!((missing.code, missing.err.as_str()), (1, "Error from server (NotFound): pods \"nobody\" not found\n"));
}

#[test]
fn describe_tells_the_story_with_events() {
    let Some(play) = with_web() else { return };
    let deployment = play.does("describe deployment web");
    assert!(deployment.contains("RollingUpdateStrategy:  25% max unavailable, 25% max surge"), "{deployment}");
    play.comes_to("describe deployment web", |told| told.contains("ScalingReplicaSet"));
    let story = ["Scheduled", "Pulled", "Created", "Started", "QoS Class:"];
    let pod = names(&play, "pods -l app=web").remove(0);
    play.comes_to(&format!("describe {pod}"), |told| story.iter().all(|word| told.contains(word)));
    assert!(play.does("describe node node-1").contains("Allocatable:"));
}

#[test]
fn scale_set_image_and_undo() {
    let Some(play) = with_web() else { return };
    assert_eq!(play.does("scale deployment web --replicas=4"), "deployment.apps/web scaled\n");
    play.does("rollout status deployment/web --timeout=140s");
    assert_eq!(names(&play, "pods -l app=web").len(), 4);
    play.does("set image deployment/web web=tutor/web:2");
    play.does("rollout status deployment/web --timeout=140s");
    assert!(play.does("rollout history deployment/web").contains("2         <none>"));
    assert_eq!(play.does("rollout undo deployment/web"), "deployment.apps/web rolled back\n");
    play.does("rollout status deployment/web --timeout=140s");
    assert_eq!(play.does("get deploy web -o jsonpath={.spec.template.spec.containers[0].image}"), "tutor/web:1");
    play.does("rollout restart deployment/web");
    play.does("rollout status deployment/web --timeout=140s");
}

#[test]
fn patch_label_annotate_and_delete() {
    let Some(play) = with_web() else { return };
    play.does(r#"patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"1"}]}]}}}}'"#);
    play.does(r#"patch deployment web --type=merge -p '{"spec":{"minReadySeconds":1}}'"#);
    play.does(r#"patch deployment web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":1}]'"#);
    assert_eq!(play.does("get deploy web -o jsonpath={.spec.replicas}{.spec.minReadySeconds}"), "11");
    assert_eq!(play.does("label deployment web tier=front"), "deployment.apps/web labeled\n");
    assert_eq!(names(&play, "deployments -l tier=front"), ["deployment.apps/web"]);
    assert_eq!(play.does("annotate deployment web note=x"), "deployment.apps/web annotated\n");
    assert!(play.does("delete deployment web").starts_with("deployment.apps \"web\" deleted"));
    play.does("wait pods -l app=web --for=delete --timeout=140s");
    // A rollout was on its way: a Pod may have come after those that were waited for.
    play.comes_to("get pods,replicasets -o name", str::is_empty);
}

#[test]
fn logs_expose_and_events() {
    let Some(play) = with_web() else { return };
    let pod = names(&play, "pods -l app=web").remove(0);
    play.comes_to(&format!("logs {pod}"), |told| !told.is_empty());
    assert_eq!(play.does(&format!("logs {pod} --tail=1")).lines().count(), 1);
    assert_eq!(play.does("expose deployment web --port=80"), "service/web exposed\n");
    let reached = "wait endpointslices -l kubernetes.io/service-name=web --for=jsonpath={.endpoints[1].conditions.ready}=true --timeout=140s";
    // What is not there yet cannot be waited for by its label.
    play.comes_to("get endpointslices -l kubernetes.io/service-name=web -o name", |told| !told.is_empty());
    play.does(reached);
    play.comes_to("events", |told| told.contains("SuccessfulCreate"));
}

#[test]
fn explain_api_resources_and_auth() {
    let Some(play) = with_kubectl() else { return };
    let explained = play.does("explain deployment.spec.strategy");
    assert!(explained.contains("KIND:       Deployment") && explained.contains("rollingUpdate"), "{explained}");
    let resources = play.does("api-resources");
    assert!(resources.lines().any(|line| line.starts_with("deployments ") && line.contains("deploy")), "{resources}");
    assert!(play.does("api-versions").lines().any(|line| line == "apps/v1"));
    assert_eq!(play.does("auth can-i create pods"), "yes\n");
    let other = play.kubectl("auth can-i create pods --as=somebody");
    assert_eq!((other.code, other.out.as_str()), (1, "no\n"));
    let refused = play.kubectl("get pods --as=somebody");
    let words = "Error from server (Forbidden): pods is forbidden: User \"somebody\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"\n";
    assert_eq!(refused.err, words);
    assert!(play.does("auth whoami").contains("system:masters"));
}

#[test]
fn namespaces_configmaps_secrets_and_mistakes() {
    let Some(play) = with_kubectl() else { return };
    assert_eq!(play.does("create namespace team"), "namespace/team created\n");
    play.does("create configmap settings -n team --from-literal=colour=blue");
    play.does("create secret generic key -n team --from-literal=token=abc");
    assert_eq!(play.does("get secret key -n team -o jsonpath={.data.token}"), "YWJj");
    let typo = play.kubectl_with("apply -f -", &WEB.replace("replicas", "replica"));
    assert!(typo.err.contains("unknown field \"spec.replica\""), "{typo:#?}");
    let bad = play.kubectl_with("create -f -", &WEB.replace("replicas: 2", "replicas: -1"));
    assert!(bad.err.contains("spec.replicas: Invalid value: -1: must be greater than or equal to 0"), "{bad:#?}");
    assert!(play.does("delete namespace team").contains("deleted"));
    assert_eq!(play.kubectl("get configmap settings -n team").code, 1);
}
