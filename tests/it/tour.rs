//! The tour: what a new reader does on a machine that has this program and a browser and nothing else,
//! from the first page to the end of Part 2. Every page is read, every block is run, every question
//! answered, every exercise solved by what is typed into the page.

use serde_json::json;
use tutor::course::progress::ProgressFile;

use crate::webdriver::Browser;

mod reader;
mod servers;

use reader::{Bare, CONTROL, ENTER, INPUT, NONE, OUTPUT, READY, Reader};

/// The word behind another one in a text: `after("at revision ", …)`.
fn after<'a>(mark: &str, text: &'a str) -> &'a str {
    let (_, rest) = text.split_once(mark).unwrap_or_else(|| panic!("{mark:?} is not shown in {text}"));
    rest.split([' ', ',', '\n']).next().unwrap()
}

/// Of the first line of a trace with these words: who wrote, and at which revision.
fn writer(trace: &str, words: &[&str]) -> String {
    let line = trace.lines().find(|line| words.iter().all(|word| line.contains(word)));
    let line = line.unwrap_or_else(|| panic!("{words:?} is not shown in {trace}"));
    let (revision, rest) = line.trim().split_once(' ').unwrap();
    let (_, rest) = rest.split_once("ms").unwrap();
    let verbs = [" creates ", " binds ", " patches ", " updates "];
    let who = verbs.iter().find_map(|verb| rest.split_once(verb)).unwrap().0.trim();
    format!("{who} {revision}")
}

#[test]
fn a_new_reader_gets_to_the_end_of_part_2_in_the_browser_alone() {
    let Some(browser) = Browser::start() else { return };
    let state = tempfile::tempdir().unwrap();
    let bare = Bare::start(state.path(), "127.0.0.1:0", "simulated");
    let reader = Reader::at(&browser);
    reader.open(bare.book());
    let links = "return [...document.querySelectorAll('#mdbook-sidebar a[href]')].map(a => a.href.split('#')[0])";
    let links: Vec<String> = serde_json::from_value(browser.script(links, "")).unwrap();
    let parts = ["introduction", "start/", "servers/", "control-plane/", "running/", "placement/", "operators/", "ml/"];
    let mut read = links.iter().filter(|link| parts.iter().any(|part| link.contains(part))).collect::<Vec<_>>();
    read.dedup();
    assert!(read.len() >= 15, "{links:?}");
    for page in read {
        reader.open(page);
        reader.answers_every_question();
        reader.runs_every_block();
    }
    solve_part_0(&reader, &bare);
    solve_part_2(&reader, &bare);
    solve_more(&reader, &bare);
    look_around(&reader, &bare);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    // The plug is pulled, and the power comes back: the page has waited.
    reader.starts(&bare.page("control-plane/etcd"), "survive-the-crash");
    reader.types("kubectl run worker --image=tutor/web:1 --labels=app=worker");
    reader.types("kubectl create configmap answer --from-literal=word=heron --from-literal=pod=same --from-literal=restarts=1 --from-literal='revisions=go on'");
    reader.types("kubectl wait pod/worker --for=condition=Ready --timeout=110s");
    reader.passes("survive-the-crash");
    // Ctrl-C in the evening, serve again the next day, at the same address: nothing is lost.
    let listen = bare.book().trim_start_matches("http://").trim_end_matches('/').to_owned();
    reader.open(&bare.page("control-plane/one-command"));
    reader.types("echo before the night");
    bare.interrupt();
    let bare = Bare::start(state.path(), &listen, "simulated");
    let back = "const done = arguments[1]; (function look() {
        fetch('/api/exercises').then((answer) => answer.ok ? done(true) : setTimeout(look, 50), () => setTimeout(look, 50));
    })()";
    assert_eq!(browser.comes(back, ""), true);
    browser.wait(READY);
    reader.open(&bare.page("control-plane/one-command"));
    assert!(reader.types("kubectl get configmap answer -n survive-the-crash").contains("answer"));
    let progress = ProgressFile::new(state.path()).read().unwrap();
    for name in ["first-contact", "raw-api", "conflict-409", "read-the-key", "why-pending", "bind-by-hand"] {
        assert!(progress.of(name).passed.is_some(), "{name} is not passed any more");
    }
    for name in
        ["be-the-controller", "controller-off", "order-the-trace", "survive-the-crash", "crashloop", "different-nodes"]
    {
        assert!(progress.of(name).passed.is_some(), "{name} is not passed any more");
    }
}

fn solve_part_0(reader: &Reader<'_>, bare: &Bare) {
    reader.starts(&bare.page("start/first-contact"), "first-contact");
    // Its file is opened in the page, looked at, and applied.
    let browser = reader.browser;
    browser.press_summary("Edit its files here");
    browser.wait(".tutor-editor .field textarea");
    let fill = "const input = document.querySelector('.tutor-editor .field textarea');
        input.value = arguments[0]; input.dispatchEvent(new Event('input'))";
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: hello\nspec:\n  containers:\n  - name: web\n    image: tutor/web:1\n";
    reader.types("kubectl delete pod hello --ignore-not-found --wait");
    browser.script(fill, pod);
    browser.press("Apply");
    reader.comes("pod/hello created");
    reader.passes("first-contact");
}

fn solve_part_2(reader: &Reader<'_>, bare: &Bare) {
    reader.starts(&bare.page("control-plane/kube-apiserver"), "raw-api");
    // The proxy runs in a tab of its own.
    reader.browser.script("document.querySelector('#tutor-terminal .more').click()", "");
    reader.browser.type_in(INPUT, &format!("kubectl proxy --port 0{ENTER}"));
    reader.browser.wait_for(OUTPUT, "Starting to serve on ");
    let shown = reader.browser.script("return document.querySelector(arguments[0]).textContent", OUTPUT);
    let address = after("Starting to serve on ", shown.as_str().unwrap()).trim().to_owned();
    first_tab(reader);
    reader.types(&format!("API=http://{address}/api/v1/namespaces/raw-api/configmaps"));
    reader.types(r#"curl -H 'Content-Type: application/json' $API -d '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"by-hand"},"data":{"greeting":"hello","language":"en"}}'"#);
    reader.types(r#"curl -X PATCH -H 'Content-Type: application/merge-patch+json' $API/by-hand -d '{"data":{"greeting":"goodbye"}}'"#);
    reader.passes("raw-api");

    reader.starts(&bare.page("control-plane/kube-apiserver"), "conflict-409");
    reader.types(r#"kubectl patch configmap ledger --type merge -p '{"data":{"bob":"20"}}'"#);
    reader.passes("conflict-409");

    reader.starts(&bare.page("control-plane/etcd"), "read-the-key");
    let key = "/registry/configmaps/read-the-key/ledger";
    let seen = reader.types(&format!("tutor etcd get {key}"));
    let created = after("created at revision ", &seen);
    let last: u64 = after("last written at ", &seen).parse().unwrap();
    let before = reader.types(&format!("tutor etcd get {key} --rev {}", last - 1));
    let (_, word) = before.split_once("\"word\":\"").unwrap();
    let word = word.split('"').next().unwrap();
    reader.types(&format!("kubectl create configmap found -n read-the-key --from-literal=key={key} --from-literal=created={created} --from-literal=before={word}"));
    reader.passes("read-the-key");

    reader.starts(&bare.page("control-plane/kube-scheduler"), "why-pending");
    let nodes = reader.types("kubectl get nodes -o name; kubectl get pod torn -o jsonpath={.spec.nodeSelector}");
    let asked = after("\"kubernetes.io/hostname\":\"", &nodes).split('"').next().unwrap().to_owned();
    let answers = nodes.lines().filter_map(|line| line.strip_prefix("node/")).map(|node| {
        let plugin = if node == asked { "NodeResourcesFit" } else { "NodeAffinity" };
        format!(" --from-literal=torn.{node}={plugin}")
    });
    let answers: String = answers.collect();
    reader.types(&format!("kubectl create configmap answers --from-literal=too-big=NodeResourcesFit --from-literal=picky=NodeAffinity{answers}"));
    reader.passes("why-pending");

    reader.starts(&bare.page("control-plane/kube-scheduler"), "bind-by-hand");
    reader.types("kubectl create --raw /api/v1/namespaces/bind-by-hand/pods/lonely/binding -f - <<END\n{\"apiVersion\": \"v1\", \"kind\": \"Binding\", \"metadata\": {\"name\": \"lonely\"},\n \"target\": {\"apiVersion\": \"v1\", \"kind\": \"Node\", \"name\": \"node-1\"}}\nEND");
    reader.passes("bind-by-hand");

    reader.starts(&bare.page("control-plane/kube-controller-manager"), "be-the-controller");
    let wish = ["kept-1", "kept-2", "kept-3"].map(|name| {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "kept"}},
            "spec": {"containers": [{"name": "web", "image": "tutor/web:1"}]}});
        format!("{pod}\n---\n")
    });
    reader.types(&format!("cat > wish.yaml <<END\n{}END", wish.concat()));
    reader.browser.script("document.querySelector('#tutor-terminal .more').click()", "");
    reader.browser.type_in(INPUT, &format!("while true; do kubectl apply -f wish.yaml; kubectl delete pods --wait=false -l app=kept --field-selector metadata.name!=kept-1,metadata.name!=kept-2,metadata.name!=kept-3; sleep 0.5; done{ENTER}"));
    reader.browser.wait_for(OUTPUT, "pod/kept-3 ");
    first_tab(reader);
    reader.types("kubectl wait pods -l app=kept --for=condition=Ready --timeout=110s");
    reader.passes("be-the-controller");
    // The loop ends before another exercise begins, in whose namespace it would go on.
    let last = "[...document.querySelectorAll('#tutor-terminal .tabs .tab')].at(-1).click(); return true";
    assert_eq!(reader.browser.script(last, ""), true, "the last tab is shown");
    reader.browser.type_in(INPUT, &format!("{CONTROL}c{NONE}"));
    reader.browser.wait(READY);
    first_tab(reader);

    reader.starts(&bare.page("control-plane/kube-controller-manager"), "controller-off");
    reader.types("kubectl create configmap prediction --from-literal=after-delete=2 --from-literal=replicaset-wants=5 --from-literal=after-scale=2 --from-literal=after-resume=5");
    reader.passes("controller-off");

    reader.starts(&bare.page("control-plane/one-command"), "order-the-trace");
    reader.types("kubectl wait pods --all --for=condition=Ready --timeout=110s");
    let trace = reader.types("tutor trace deployment/relay -n order-the-trace");
    let replicaset = writer(&trace, &["creates replicasets/"]);
    let pod = writer(&trace, &["creates pods/"]);
    let node = writer(&trace, &["binds pods/"]);
    let running = writer(&trace, &["pods/", "status.phase"]);
    reader.types(&format!("kubectl create configmap order --from-literal='replicaset={replicaset}' --from-literal='pod={pod}' --from-literal='node={node}' --from-literal='running={running}'"));
    reader.passes("order-the-trace");
}

fn solve_more(reader: &Reader<'_>, bare: &Bare) {
    reader.starts(&bare.page("running/crashloop"), "crashloop");
    reader.types(r#"kubectl patch configmap greeter-settings --type merge -p '{"data":{"greeting":"good morning"}}'"#);
    reader.types("kubectl rollout restart deployment greeter");
    reader.passes("crashloop");

    reader.starts(&bare.page("running/deployments"), "rollback");
    reader.types("kubectl rollout undo deployment shop");
    reader.passes("rollback");

    reader.starts(&bare.page("running/services"), "target-port");
    reader.types(r#"kubectl patch service model -p '{"spec":{"ports":[{"port":80,"targetPort":"answers"}]}}'"#);
    reader.passes("target-port");
    reader.starts(&bare.page("running/services"), "selector-mismatch");
    reader.types(r#"kubectl patch service shop -p '{"spec":{"selector":{"for":"customers"}}}'"#);
    reader.passes("selector-mismatch");

    reader.starts(&bare.page("placement/different-nodes"), "different-nodes");
    // A wish that no two of them share a node, typed into the editor.
    let web = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 2\n  selector:\n    matchLabels: {app: web}\n  \
        template:\n    metadata:\n      labels: {app: web}\n    spec:\n      terminationGracePeriodSeconds: 1\n      affinity:\n        \
        podAntiAffinity:\n          requiredDuringSchedulingIgnoredDuringExecution:\n          - topologyKey: kubernetes.io/hostname\n            \
        labelSelector:\n              matchLabels: {app: web}\n      containers:\n      - name: web\n        image: tutor/web:1\n";
    reader.edits("different-nodes", "web.yaml", web, "Apply");
    reader.comes("deployment.apps/web configured");
    reader.passes("different-nodes");
}

/// Back to the first tab of the terminal.
fn first_tab(reader: &Reader<'_>) {
    let first = "document.querySelector('#tutor-terminal .tabs .tab').click(); return true";
    assert_eq!(reader.browser.script(first, ""), true, "the first tab is shown");
}

/// The map, the trace, a question of one's own, dark mode, another window.
fn look_around(reader: &Reader<'_>, bare: &Bare) {
    let browser = reader.browser;
    reader.open(&bare.page("control-plane/one-command"));
    reader.types("kubectl delete deployment chain --ignore-not-found; kubectl create deployment chain --image=tutor/web:1 --replicas=2 -n default");
    browser.press("Trace deployment/chain");
    browser.wait(".tutor-trace .steps li details");
    browser.wait_for(".tutor-trace .steps", "kube-scheduler");
    let open = "const strip = document.querySelector('details.tutor-cluster'); strip.open = true";
    browser.script(open, "");
    browser.wait_for("details.tutor-cluster", "node-1");
    browser.wait_for("details.tutor-cluster", "chain-");
    browser.press("Pause");
    browser.press("Live");
    // Dark mode is mdBook's own, and stays.
    browser.script("document.querySelector('#mdbook-theme-toggle, #theme-toggle').click(); document.querySelector('[id$=navy]').click()", "");
    browser.wait("html.navy");
    reader.open(&bare.page("control-plane/one-command"));
    browser.wait("html.navy");
    // A second window has a terminal of its own, and sees the same cluster.
    let first = browser.window();
    browser.new_window();
    reader.open(&bare.page("control-plane/kubelet"));
    assert!(reader.types("kubectl get deployment chain -n default -o name").contains("deployment.apps/chain"));
    reader.types("kubectl delete deployment chain -n default");
    browser.to_window(&first);
    assert!(reader.types("kubectl get deployment chain -n default").contains("NotFound"));
}
