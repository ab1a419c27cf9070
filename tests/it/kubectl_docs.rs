//! Real kubectl, through what a learner pastes from the Kubernetes documentation: every generator,
//! every way to wait, to print, to patch, to look around.

use crate::served::{Served, with_kubectl};

/// Commands that must succeed, one a line.
#[track_caller]
fn all_do(play: &Served, commands: &str) {
    for command in commands.lines().map(str::trim).filter(|line| !line.is_empty()) {
        play.does(command);
    }
}

/// `kubectl WORDS` fails, and says so in these words.
#[track_caller]
fn is_refused(play: &Served, words: &str, because: &str) {
    let printed = play.kubectl(words);
    assert_ne!(printed.code, 0, "kubectl {words} was not refused: {printed:#?}");
    assert!(printed.err.contains(because), "kubectl {words}: {printed:#?}");
}

#[test]
fn every_generator_makes_its_kind() {
    let Some(play) = with_kubectl() else { return };
    play.file("settings.env", "colour=blue\nsize=big\n");
    let identity = rcgen::generate_simple_self_signed(vec!["web.example".into()]).unwrap();
    play.file("tls.crt", &identity.cert.pem());
    play.file("tls.key", &identity.signing_key.serialize_pem());
    all_do(
        &play,
        "create namespace team
         create clusterrole reader --verb=get,list,watch --resource=pods,deployments.apps
         create clusterrole sum --aggregation-rule=part=of-it
         create clusterrole urls --verb=get --non-resource-url=/logs/*
         create clusterrolebinding readers --clusterrole=reader --user=jane --group=dev --serviceaccount=team:default
         create role logs --verb=get --resource=pods,pods/log
         create rolebinding loggers --role=logs --serviceaccount=default:default
         create rolebinding viewers --clusterrole=view --user=bob
         create configmap one --from-literal=a=b --from-file=settings.env
         create configmap two --from-env-file=settings.env
         create secret generic key --from-literal=token=abc --type=tutor.dev/key
         create secret tls cert --cert=tls.crt --key=tls.key
         create secret docker-registry pull --docker-server=r.example --docker-username=u --docker-password=p
         create serviceaccount robot
         create deployment web --image=nginx --replicas=2 --port=80
         create deployment pair --image=nginx --image=busybox
         create job hello --image=busybox -- echo hello
         create cronjob nightly --image=busybox --schedule='0 3 * * *' -- date
         create job now --from=cronjob/nightly
         create service clusterip inner --tcp=80:8080
         create service clusterip bare --clusterip=None
         create service nodeport outer --tcp=80 --node-port=31234
         create service loadbalancer front --tcp=80:80
         create service externalname away --external-name=example.com
         create ingress front --rule='shop.example/cart*=web:80,tls=cert' --class=nginx --default-backend=web:80
         create poddisruptionbudget keep --selector=app=web --min-available=1
         create poddisruptionbudget half --selector=app=web --max-unavailable=50%
         create priorityclass high --value=1000 --description=important
         create quota few --hard=pods=100,services=50 -n team
         autoscale deployment web --min=1 --max=3 --cpu=70%
         expose deployment web --port=80 --type=NodePort
         run one-off --image=busybox --restart=Never --env=A=b --labels=run=once -- echo hi
         run server --image=nginx --port=80 --expose",
    );
    assert_eq!(play.does("get configmap two -o jsonpath={.data.size}"), "big");
    assert_eq!(play.does("get secret pull -o jsonpath={.type}"), "kubernetes.io/dockerconfigjson");
    assert_eq!(play.does("get service outer -o jsonpath={.spec.ports[0].nodePort}"), "31234");
    assert_eq!(play.does("get cronjob nightly -o jsonpath={.spec.schedule}"), "0 3 * * *");
    assert_eq!(play.does("get ingress front -o jsonpath={.spec.rules[0].http.paths[0].pathType}"), "Prefix");
    assert_eq!(play.does("create token robot --duration=20m").trim().split('.').count(), 3);
    is_refused(&play, "create secret tls other --cert=tls.key --key=tls.key", "failed to find certificate PEM data");
    is_refused(&play, "create namespace team", "Error from server (AlreadyExists): namespaces \"team\" already exists");
    let rehearsed =
        play.does("create deployment ghost --image=nginx --dry-run=server -o jsonpath={.spec.strategy.type}");
    assert_eq!(rehearsed, "RollingUpdate", "the server's defaults are shown");
    assert_eq!(play.kubectl("get deployment ghost").code, 1);
}

const KUSTOMIZED: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx}]}
";

#[test]
fn a_kustomization_is_applied_compared_and_deleted() {
    let Some(play) = with_kubectl() else { return };
    let over = "resources: [../base]\nnamePrefix: prod-\nreplicas: [{name: web, count: 2}]\nimages: [{name: nginx, newTag: '1.25'}]\n";
    play.file("base/web.yaml", KUSTOMIZED);
    play.file("base/kustomization.yaml", "resources: [web.yaml]\nconfigMapGenerator: [{name: s, literals: [a=b]}]\n");
    play.file("over/kustomization.yaml", over);
    assert!(play.does("apply -k over").contains("deployment.apps/prod-web created"));
    assert_eq!(play.does("diff -k over"), "");
    play.file("over/kustomization.yaml", &over.replace("count: 2", "count: 3"));
    let difference = play.kubectl("diff -k over");
    assert!(difference.code == 1 && difference.out.contains("+  replicas: 3"), "{difference:#?}");
    assert!(play.does("delete -k over").contains("\"prod-web\" deleted"));
}

#[test]
fn every_way_to_wait_ends() {
    let Some(play) = with_kubectl() else { return };
    all_do(
        &play,
        "run server --image=nginx --port=80
         run once --image=busybox --restart=Never -- echo hi
         create deployment web --image=nginx --replicas=2
         create job hello --image=busybox -- echo hello
         wait pod/server --for=condition=Ready --timeout=140s
         wait pod/once --for=jsonpath='{.status.phase}'=Succeeded --timeout=140s
         wait deployment/web --for=condition=Available --timeout=140s
         wait deployments --all --for=create --timeout=140s
         wait pods -l app=web --for=condition=Ready --timeout=140s
         wait job/hello --for=condition=complete --timeout=140s
         wait pod/nobody --for=delete --timeout=140s
         delete pod once --wait=false
         wait pod/once --for=delete --timeout=140s",
    );
    is_refused(&play, "wait pod/nobody --for=create --timeout=5s", "timed out waiting for the condition");
    is_refused(
        &play,
        "wait pod/server --for=condition=Ready=false --timeout=5s",
        "timed out waiting for the condition on pods/server",
    );
}

#[test]
fn a_rollout_is_paused_resumed_inspected_and_undone() {
    let Some(play) = with_kubectl() else { return };
    all_do(
        &play,
        "create deployment web --image=nginx --replicas=2
         rollout status deployment web --timeout=140s
         rollout pause deployment web
         set image deployment/web nginx=nginx:1.25
         set env deployment/web COLOUR=blue
         set resources deployment web --limits=cpu=200m,memory=512Mi
         rollout resume deployment web
         rollout status deployment web --timeout=140s",
    );
    let second = play.does("rollout history deployment web --revision=2");
    assert!(second.contains("nginx:1.25") && second.contains("COLOUR:\tblue"), "{second}");
    all_do(&play, "rollout undo deployment web --to-revision=1\nrollout status deployment web --timeout=140s");
    assert_eq!(play.does("get deployment web -o jsonpath={.spec.template.spec.containers[0].image}"), "nginx");
    is_refused(&play, "rollout undo deployment web --to-revision=9", "unable to find specified revision 9");
}

#[test]
fn get_prints_in_every_form() {
    let Some(play) = with_kubectl() else { return };
    all_do(&play, "create deployment web --image=nginx --replicas=2\nrollout status deployment web --timeout=140s");
    let shown = |form: &str| play.does(&format!("get deployment web {form}"));
    assert!(shown("-o json").contains("\"kind\": \"Deployment\""));
    assert!(shown("-o kyaml").contains("kind: \"Deployment\""));
    assert!(shown("-o wide").lines().next().unwrap().ends_with("CONTAINERS   IMAGES   SELECTOR"));
    assert_eq!(shown("-o name"), "deployment.apps/web\n");
    assert_eq!(shown("-o 'jsonpath={range .spec.template.spec.containers[*]}{.name}={.image}{end}'"), "nginx=nginx");
    assert_eq!(shown("-o custom-columns=NAME:.metadata.name,WANTED:.spec.replicas"), "NAME   WANTED\nweb    2\n");
    assert_eq!(shown("-o 'go-template={{.metadata.name}} {{.spec.replicas}}'"), "web 2");
    assert_eq!(shown("-o jsonpath-as-json={.spec.replicas}"), "[\n    2\n]\n");
    assert!(
        shown("--subresource=scale").starts_with("NAME   DESIRED   AVAILABLE   AGE\nweb    2         2 "),
        "{}",
        shown("--subresource=scale")
    );
    assert!(shown("--show-managed-fields -o yaml").contains("manager: kubectl-create"));
    let pods = |form: &str| play.does(&format!("get pods {form}"));
    assert!(pods("--show-labels").contains("app=web,pod-template-hash="));
    assert!(pods("-L app").lines().next().unwrap().ends_with("APP"));
    assert_eq!(pods("--field-selector=status.phase=Running --no-headers").lines().count(), 2);
    assert_eq!(pods("--sort-by=.metadata.name -A --chunk-size=1 --no-headers").lines().count(), 2);
    assert_eq!(play.does("get --raw /readyz"), "ok");
    is_refused(&play, "get deployment web -o jsonpath={.nothing}{", "error parsing jsonpath");
    is_refused(&play, "get websites", "error: the server doesn't have a resource type \"websites\"");
}

#[test]
fn every_kind_is_explained() {
    let Some(play) = with_kubectl() else { return };
    let kinds = play.does("api-resources -o name");
    assert!(kinds.lines().count() > 70, "{kinds}");
    // `events.events.k8s.io` is the one name that kubectl takes for the core kind and a field of it.
    for kind in kinds.lines().filter(|kind| *kind != "events.events.k8s.io") {
        let explained = play.does(&format!("explain {kind} --recursive"));
        assert!(explained.contains("FIELDS:") && explained.contains("metadata\t<ObjectMeta>"), "{kind}: {explained}");
    }
    let new_events = play.does("explain events --api-version=events.k8s.io/v1");
    assert!(new_events.starts_with("GROUP:      events.k8s.io\n"), "{new_events}");
    is_refused(&play, "explain pods.spec.nothing", "field \"nothing\" does not exist");
}

#[test]
fn nodes_are_tainted_cordoned_and_drained() {
    let Some(play) = with_kubectl() else { return };
    all_do(
        &play,
        "create deployment web --image=nginx --replicas=3
         rollout status deployment web --timeout=140s
         taint nodes node-1 team=red:NoSchedule
         taint nodes node-1 team=blue:NoSchedule --overwrite
         taint nodes node-1 team-
         cordon node-1
         uncordon node-1
         label node node-1 disk=fast",
    );
    is_refused(&play, "taint nodes node-1 team=red:Never", "invalid taint effect: Never, unsupported taint effect");
    play.does("run alone --image=nginx --overrides='{\"spec\":{\"nodeName\":\"node-2\"}}'");
    is_refused(&play, "drain node-2", "cannot delete Pods that declare no controller (use --force to override)");
    play.does("drain node-2 --ignore-daemonsets --force --delete-emptydir-data --timeout=140s");
    assert_eq!(play.does("get pods -A --field-selector=spec.nodeName=node-2 -o name"), "");
    assert!(play.does("get node node-2").contains("SchedulingDisabled"));
    all_do(&play, "uncordon node-2\nrollout status deployment web --timeout=140s");
}

#[test]
fn objects_are_replaced_edited_patched_and_labelled() {
    let Some(play) = with_kubectl() else { return };
    play.does("create deployment web --image=nginx");
    play.file("web.yaml", &play.does("get deployment web -o yaml"));
    is_refused(&play, "create -f web.yaml", "deployments.apps \"web\" already exists");
    assert!(play.does("replace --force -f web.yaml").contains("deployment.apps/web replaced"));
    is_refused(&play, "replace -f web.yaml", "Operation cannot be fulfilled on deployments.apps \"web\"");
    let mut edit = play.command("edit deployment web");
    let edited = play.run(edit.env("EDITOR", "sed -i s/replicas:.1/replicas:\\ 4/"), "");
    assert_eq!(edited.out, "deployment.apps/web edited\n", "{edited:#?}");
    assert_eq!(play.does("get deployment web -o jsonpath={.spec.replicas}"), "4");
    play.does(r#"patch deployment web --subresource=scale --type=merge -p '{"spec":{"replicas":1}}'"#);
    is_refused(&play, r#"patch deployment web -p '{"spec":{"replicas":"many"}}'"#, "unrecognized type: int32");
    is_refused(
        &play,
        r#"patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"nginx","$patch":"delete"}]}}}}'"#,
        "spec.template.spec.containers: Required value",
    );
    is_refused(&play, "scale deployment web --replicas=3 --current-replicas=9", "Expected replicas to be 9, was 1");
    all_do(&play, "label deployment web a=b\nannotate deployment web 'note=two words'\nlabel deployment web a-");
    is_refused(&play, "label deployment web app=other", "'app' already has a value (web), and --overwrite is false");
    is_refused(&play, "annotate deployment web 'a key=b'", "name part must consist of alphanumeric characters");
}

const PAIR: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: keep, labels: {set: mine}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: drop, labels: {set: mine}}
";

#[test]
fn what_a_file_no_longer_names_is_pruned() {
    let Some(play) = with_kubectl() else { return };
    let (one, _) = PAIR.split_once("---").unwrap();
    play.does_with("apply -f - --prune -l set=mine", PAIR);
    let pruned = play.does_with("apply -f - --prune -l set=mine", one);
    assert!(pruned.contains("configmap/drop pruned") && pruned.contains("configmap/keep unchanged"), "{pruned}");
    assert!(play.does("apply view-last-applied configmap keep").contains("set: mine"));
}

#[test]
fn access_is_reconciled_and_a_certificate_is_decided_on() {
    let Some(play) = with_kubectl() else { return };
    let role = "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r, namespace: default}, rules: [{apiGroups: [''], resources: [pods], verbs: [VERB]}]}";
    play.does_with("auth reconcile -f -", &role.replace("VERB", "get"));
    play.does_with("auth reconcile -f -", &role.replace("VERB", "delete"));
    assert_eq!(play.does("get role r -o 'jsonpath={.rules[0].verbs[0]} {.rules[1].verbs[0]}'"), "get delete");
    play.does("create rolebinding b --role=r --user=jane");
    assert_eq!(play.does("auth can-i delete pods --as=jane"), "yes\n");
    assert!(play.does("auth can-i --list --as=jane").contains("selfsubjectreviews.authentication.k8s.io"));
    assert!(play.does("auth whoami").contains("kubernetes-admin"));
    let key = rcgen::KeyPair::generate().unwrap();
    let asked = rcgen::CertificateParams::new(Vec::new()).unwrap().serialize_request(&key).unwrap().pem().unwrap();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, asked);
    let request = format!(
        "{{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {{name: jane}}, spec: {{request: {encoded}, signerName: kubernetes.io/kube-apiserver-client, usages: [client auth]}}}}"
    );
    play.does_with("apply -f -", &request);
    assert_eq!(play.does("certificate approve jane"), "certificatesigningrequest.certificates.k8s.io/jane approved\n");
    assert!(play.does("get csr jane").contains("Approved"));
    is_refused(&play, "certificate deny jane", "is already Approved");
}

#[test]
fn a_debug_container_joins_a_pod() {
    let Some(play) = with_kubectl() else { return };
    all_do(&play, "run server --image=nginx --port=80\nwait pod/server --for=condition=Ready --timeout=140s");
    play.does("debug pod/server --image=busybox --container=look -- sleep 1");
    assert_eq!(play.does("get pod server -o jsonpath={.spec.ephemeralContainers[0].name}"), "look");
    play.does("debug pod/server --image=busybox --copy-to=copy --container=look -- sleep 100");
    assert_eq!(play.does("get pod copy -o 'jsonpath={.spec.containers[*].name}'"), "server look");
    play.does("debug node/node-1 --image=busybox -- sleep 1");
    is_refused(&play, "top pods", "Metrics API not available");
}

#[test]
fn events_and_the_cluster_are_told_about() {
    let Some(play) = with_kubectl() else { return };
    all_do(&play, "create deployment web --image=nginx\nrollout status deployment web --timeout=140s");
    play.comes_to("events --for deployment/web --types=Normal", |told| told.contains("Scaled up replica set web-"));
    play.comes_to("get events --sort-by=.lastTimestamp -o wide", |told| told.contains("SUBOBJECT"));
    assert!(play.does("cluster-info").contains("Kubernetes control plane"));
    assert!(play.does("cluster-info dump").contains("\"kind\": \"NodeList\""));
    assert!(play.does("version").contains("Server Version: v1.37"));
    assert!(play.does("config get-contexts").contains("tutor-admin"));
    assert!(play.does("config view --minify -o jsonpath={.contexts[0].context.cluster}").contains("tutor"));
}
