//! The page's terminal over a real WebSocket: what it runs, what it refuses, and that what a cluster
//! contains is inert there.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tutor::clock::Clock;

use crate::page::Paged;

/// A page's side of one tab.
struct Tab {
    socket: WebSocketStream<TcpStream>,
    hello: Value,
}

/// What a command showed: all text, its messages alone, and its exit code.
#[derive(Debug, Default)]
struct Shown {
    text: String,
    err: String,
    code: i64,
}

async fn handshake(play: &Paged, name: &str, headers: &[(&str, &str)]) -> Result<WebSocketStream<TcpStream>, Error> {
    let address = play.playground.book.replacen("http", "ws", 1);
    let mut request = format!("{address}api/terminal?tab={name}").into_client_request().unwrap();
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let host = address.trim_start_matches("ws://").trim_end_matches('/');
    let stream = TcpStream::connect(host).await.unwrap();
    tokio_tungstenite::client_async(request, stream).await.map(|(socket, _)| socket)
}

impl Tab {
    async fn open(play: &Paged, name: &str) -> Tab {
        let token = format!("Bearer {}", play.playground.token);
        let mut socket = handshake(play, name, &[("authorization", &token)]).await.unwrap();
        let hello = loop {
            let message: Value = next(&mut socket).await;
            if message["hello"].is_object() {
                break message["hello"].clone();
            }
        };
        Tab { socket, hello }
    }

    async fn send(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message, confirmed as drawn.
    async fn next(&mut self) -> Value {
        let message = next(&mut self.socket).await;
        if let Some(number) = message["n"].as_u64() {
            self.send(json!({"seen": number})).await;
        }
        message
    }

    /// Reads up to a message that has this field.
    async fn until(&mut self, field: &str) -> (Value, Shown) {
        let mut shown = Shown::default();
        loop {
            let message = self.next().await;
            if let Some([kind, text]) = message["text"].as_array().map(Vec::as_slice) {
                let text = text.as_str().unwrap();
                match kind.as_str().unwrap() {
                    "out" => shown.text.push_str(text),
                    "err" => {
                        shown.text.push_str(text);
                        shown.err.push_str(text);
                    }
                    _ => {}
                }
            }
            if message.get(field).is_some_and(|value| !value.is_null()) {
                return (message, shown);
            }
        }
    }

    /// Runs a line to its end.
    async fn run(&mut self, line: &str) -> Shown {
        self.send(json!({"run": line})).await;
        self.until("running").await;
        let (ready, mut shown) = self.until("ready").await;
        shown.code = ready["ready"]["code"].as_i64().unwrap();
        shown
    }

    /// Runs a line again until its answer holds.
    async fn comes_to(&mut self, line: &str, holds: impl Fn(&Shown) -> bool) {
        let begun = Clock::real().tick();
        loop {
            let shown = self.run(line).await;
            if holds(&shown) {
                return;
            }
            assert!(Clock::real().since(begun) < PATIENCE, "{line} never answers as it should: {shown:?}");
        }
    }

    /// What Tab offers behind a text.
    async fn offers(&mut self, text: &str) -> Vec<String> {
        self.send(json!({"complete": [text, 1]})).await;
        let (message, _) = self.until("choices").await;
        serde_json::from_value(message["choices"].clone()).unwrap()
    }
}

/// How long a test waits for the terminal to say something, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Value {
    loop {
        let came = Clock::real().timeout(PATIENCE, socket.next()).await;
        let came = came.unwrap_or_else(|_| panic!("the terminal says nothing for {PATIENCE:?}"));
        match came.expect("the terminal stays open").unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            _ => continue,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_runs_kubectl_and_what_stands_between_pipes() {
    let play = Paged::start().await;
    let mut tab = Tab::open(&play, "a").await;
    assert_eq!((&tab.hello["fresh"], &tab.hello["running"]), (&json!(true), &json!(false)));
    for (line, expected) in [
        ("kubectl get nodes -o name | grep -v node-2 | sort -r", "node/node-3\nnode/node-1\n"),
        ("kubectl get nodes | head -n 1 | tr A-Z a-z | cut -c 1-4", "name\n"),
        (
            "kubectl get nodes -o json | jq -r '.items[] | select(.metadata.name != \"node-1\") | .metadata.name' | wc -l",
            "2\n",
        ),
        ("echo one two | sed -n 's/\\(one\\) \\(.*\\)/\\2 \\1/p'", "two one\n"),
        ("printf 'b\\na\\nb\\n' | sort | uniq -c | sed 's/^ *//'", "1 a\n2 b\n"),
        ("for i in 1 2; do echo \"n$i\"; done | tail -1", "n2\n"),
        ("false || echo $? && test a = a && echo yes", "1\nyes\n"),
        ("X=world; echo \"hello $X\" > greeting; cat greeting", "hello world\n"),
        ("echo $(kubectl config current-context)", "tutor\n"),
        ("echo hello | base64 | base64 -d", "hello\n"),
        ("kubectl get nodes -o name | xargs -n 1 echo the | tail -n 1", "the node/node-3\n"),
        ("cat <<EOF | grep -c .\na\nb\nEOF", "2\n"),
    ] {
        let shown = tab.run(line).await;
        assert_eq!((shown.text.as_str(), shown.code), (expected, 0), "{line}");
    }
    let made = tab
        .run("kubectl apply -f - <<'EOF'\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: typed\ndata:\n  a: $b\nEOF")
        .await;
    assert_eq!(made.text, "configmap/typed created\n");
    assert_eq!(tab.run("kubectl get cm typed -o jsonpath={.data.a}").await.text, "$b");
    let missing = tab.run("kubectl get cm nothing").await;
    assert_eq!((missing.code, missing.err.contains("NotFound")), (1, true));
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_not_complete_waits_for_more() {
    let play = Paged::start().await;
    let mut tab = Tab::open(&play, "a").await;
    for (line, prompt) in [("cat <<EOF", "> "), ("x", "> ")] {
        tab.send(json!({"run": line})).await;
        loop {
            let (ready, _) = tab.until("ready").await;
            if ready["ready"]["more"] == true {
                assert_eq!(ready["ready"]["prompt"], prompt);
                break;
            }
        }
    }
    assert_eq!(tab.run("EOF").await.text, "x\n");
    tab.send(json!({"run": "echo 'open"})).await;
    tab.until("ready").await;
    tab.send(json!({"stop": null})).await;
    let (ready, _) = tab.until("ready").await;
    assert_eq!(ready["ready"]["more"], false);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tutors_own_commands_run_and_those_for_the_machine_do_not() {
    let play = Paged::start().await;
    let mut tab = Tab::open(&play, "a").await;
    assert!(tab.run("tutor list").await.text.contains("first-contact"));
    let started = tab.run("tutor start first-contact").await;
    assert!(started.text.contains("first-contact/hello.yaml"), "{started:?}");
    assert_eq!(tab.run("tutor check").await.code, 1);
    // The file is a beginning, not a solution.
    assert_eq!(tab.run("kubectl apply -f first-contact/hello.yaml").await.code, 1);
    play.run_hello().await;
    let passed = tab.run("tutor check first-contact").await;
    assert_eq!(passed.code, 0, "{passed:?}");
    assert!(
        tab.run("tutor etcd get --prefix --keys-only /registry/pods/first-contact/")
            .await
            .text
            .contains("/registry/pods/")
    );
    assert!(tab.run("tutor trace --last").await.text.contains("REVISION"));
    for line in [
        "tutor serve",
        "tutor init /tmp/x",
        "tutor dev check",
        "tutor check --file /etc/passwd",
        "tutor --state-dir /tmp list",
    ] {
        let refused = tab.run(line).await;
        assert_eq!((refused.code, refused.err.is_empty()), (2, false), "{line}: {refused:?}");
    }
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_reaches_the_machine_or_another_host() {
    let play = Paged::start().await;
    let mut tab = Tab::open(&play, "a").await;
    let port = play.playground.book.trim_end_matches('/').rsplit_once(':').unwrap().1;
    // A kubeconfig that would start a program to log in.
    let stranger = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": play.playground.api}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "users": [{"name": "a", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "id", "interactiveMode": "Never"}}}],
    });
    for line in [
        "sh -c id",
        "bash",
        "/bin/ls /",
        "cat /etc/passwd",
        "cat ../../../../etc/passwd",
        "cat ../kubeconfig",
        "kubectl apply -f /etc/passwd",
        "kubectl get pods -s https://192.0.2.1",
        "kubectl get pods --certificate-authority=/etc/ssl/certs/ca-certificates.crt",
        &format!("echo '{stranger}' > stranger; kubectl --kubeconfig stranger get pods"),
        "curl http://192.0.2.1/",
        "curl http://example.com/",
        &format!("curl http://127.0.0.1:{port}/"),
        "curl file:///etc/passwd",
        "jq -n env.PATH",
    ] {
        let shown = tab.run(line).await;
        let inert = shown.code != 0 || shown.text == "null\n";
        assert!(inert && !shown.text.contains("root:") && !shown.text.contains("uid="), "{line}: {shown:?}");
    }
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_sites_page_cannot_open_a_terminal() {
    let play = Paged::start().await;
    let port = play.playground.book.trim_end_matches('/').rsplit_once(':').unwrap().1.to_owned();
    let cookie = format!("tutor-token-{port}={}", play.playground.token);
    let own = format!("http://127.0.0.1:{port}");
    for (headers, opens) in [
        (vec![("cookie", cookie.as_str()), ("origin", own.as_str())], true),
        (vec![("cookie", cookie.as_str()), ("origin", "http://evil.example")], false),
        (vec![("cookie", cookie.as_str()), ("origin", "null")], false),
        (vec![("cookie", cookie.as_str()), ("host", "evil.example")], false),
        (vec![("origin", own.as_str())], false),
        (vec![("cookie", "tutor-token=guess"), ("origin", own.as_str())], false),
    ] {
        match handshake(&play, "a", &headers).await {
            Ok(_) => assert!(opens, "{headers:?}"),
            Err(Error::Http(refused)) => assert_eq!((opens, refused.status().as_u16()), (false, 403), "{headers:?}"),
            Err(other) => panic!("{headers:?}: {other}"),
        }
    }
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn escapes_are_left_out_and_a_flood_waits_for_its_reader() {
    let play = Paged::start().await;
    let mut tab = Tab::open(&play, "a").await;
    let shown = tab.run("echo 'a\u{1b}]0;title\u{7}b\u{1b}[2J\u{1b}[31mc\u{202e}d' | cat").await;
    assert_eq!(shown.text, "abc\u{fffd}d\n");
    // Nothing is confirmed: no more comes than a few messages, however long the program would go on.
    tab.send(json!({"run": "seq 1000000"})).await;
    let (mut bytes, mut stopped) = (0, false);
    let ready = loop {
        let message = next(&mut tab.socket).await;
        bytes += message.to_string().len();
        if message["n"].as_u64().is_some_and(|number| number >= 4) && !stopped {
            stopped = true;
            tab.send(json!({"stop": null})).await;
        }
        if message["ready"].is_object() && stopped {
            break message;
        }
    };
    assert!(bytes < 256 * 1024, "{bytes} bytes came unasked");
    assert_eq!(ready["ready"]["code"], 130);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_never_ends_is_ended() {
    let play = Paged::start().await;
    let mut tab = Tab::open(&play, "a").await;
    // Ctrl-C ends what never yields.
    tab.send(json!({"run": "jq -n 'def f: f; f'"})).await;
    tab.until("running").await;
    tab.send(json!({"stop": null})).await;
    assert_eq!(tab.until("ready").await.0["ready"]["code"], 130);
    // A reader that has heard enough ends what yields for ever.
    assert_eq!(tab.run("jq -n 'repeat(1)' | head -n 2").await.text, "1\n1\n");
    // What takes too much, or calls itself without end, ends by itself, and the playground lives on.
    for filter in ["[repeat(1)]", "def f: 1 + f; f", "reduce range(1e9) as $i (.; [.])"] {
        let shown = tab.run(&format!("jq -n '{filter}'")).await;
        assert!(shown.code != 0 && shown.err.contains("the filter was ended"), "{filter}: {shown:?}");
    }
    assert_eq!(tab.run("echo '{\"a\": 1}' | jq -e '.a == 2'").await.code, 1);
    assert!(tab.run("echo '[' | jq .").await.err.contains("no JSON"));
    assert_eq!(tab.run("echo '\"here\"' | jq -r .").await.text, "here\n");
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_loaded_anew_finds_its_tab_as_it_was() {
    let play = Paged::start().await;
    let mut tab = Tab::open(&play, "mine").await;
    tab.run("mkdir deep; cd deep; X=kept").await;
    assert_eq!(tab.run("echo before").await.text, "before\n");
    drop(tab);
    let mut tab = Tab::open(&play, "mine").await;
    assert_eq!(tab.hello["fresh"], false);
    assert!(tab.hello["lines"].to_string().contains("before"));
    assert_eq!(tab.run("echo $X; pwd").await.text, "kept\n/deep\n");
    // Another page that shows it takes it over.
    let mut other = Tab::open(&play, "mine").await;
    loop {
        match tab.socket.next().await {
            Some(Ok(Message::Text(text))) if text.contains("taken") => break,
            Some(Ok(_)) => {}
            _ => panic!("the first page was not told"),
        }
    }
    assert_eq!(other.run("echo here").await.text, "here\n");
    // A tab of another name is another.
    let mut second = Tab::open(&play, "second").await;
    assert_eq!(second.run("echo \"[$X]\"").await.text, "[]\n");
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_in_a_container_has_a_terminal() {
    let play = Paged::start().await;
    let mut tab = Tab::open(&play, "a").await;
    tab.send(json!({"size": [60, 10]})).await;
    tab.run("kubectl run box --image=tutor/shell:1 --restart=Always -- sleep 3600; kubectl wait --for=condition=Ready pod/box").await;
    tab.send(json!({"run": "kubectl exec -it box -- sh"})).await;
    let mut seen = String::new();
    let mut typed = 0;
    for keys in ["echo \u{1b}[Ahello\r", "exit\r"] {
        while !seen.contains("/ #") || (typed == 1 && !seen.contains("hello")) {
            let (message, _) = tab.until("screen").await;
            seen.push_str(&message["screen"]["rows"].to_string());
        }
        tab.send(json!({"keys": keys})).await;
        typed += 1;
        if typed == 1 {
            seen.clear();
        }
    }
    let (ready, shown) = tab.until("ready").await;
    assert_eq!(ready["ready"]["code"], 0);
    assert!(shown.text.contains("hello"), "what was on the screen stays as text: {shown:?}");
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tab_offers_programs_kinds_names_flags_and_files() {
    let play = Paged::start().await;
    let mut tab = Tab::open(&play, "a").await;
    tab.run("touch web.yaml").await;
    for (text, expected) in [
        ("kub", "kubectl"),
        ("kubectl desc", "describe"),
        ("kubectl get deploy", "deployments"),
        ("kubectl get nodes no", "node-2"),
        ("kubectl describe node/", "node/node-1"),
        ("kubectl get pods -n kube-", "kube-system"),
        ("kubectl get pods --sel", "--selector="),
        ("kubectl rollout re", "restart"),
        ("kubectl apply -f w", "web.yaml"),
        ("tutor chec", "check"),
        ("tutor start first", "first-contact"),
        ("echo x | gr", "grep"),
    ] {
        let offers = tab.offers(text).await;
        assert!(offers.iter().any(|offer| offer == expected), "{text}: {offers:?}");
    }
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_asks_services_and_pods_through_the_api_server() {
    let play = Paged::start().await;
    let mut tab = Tab::open(&play, "a").await;
    tab.run("kubectl create deployment web --image=tutor/web:1; kubectl expose deployment web --port=80; kubectl rollout status deployment web").await;
    // The endpoints follow a moment after the Pods.
    let code = |answer: &Shown| answer.text == "200" && answer.code == 0;
    tab.comes_to("curl -s -o /dev/null -w '%{http_code}' http://web.default.svc.cluster.local/", code).await;
    let by_address =
        "curl -s -o /dev/null -w '%{http_code}' http://$(kubectl get svc web -o jsonpath={.spec.clusterIP})/";
    tab.comes_to(by_address, code).await;
    let nobody = tab.run("curl -s http://nobody.default/").await;
    assert_eq!(nobody.code, 6);
    tab.run("kubectl scale deployment web --replicas=0; kubectl wait --for=delete pod -l app=web").await;
    tab.comes_to("curl http://web.default/", |empty| empty.code == 7).await;
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_stuck_is_told_what_to_do() {
    let play = Paged::start().await;
    let mut tab = Tab::open(&play, "a").await;
    for (line, said) in [
        ("kubeclt get pods", "did you mean kubectl?"),
        ("vim web.yaml", "edit FILE opens the page's editor"),
        ("sed -i s/a/b/ web.yaml", "sed SCRIPT FILE > new; mv new FILE"),
        ("sed -Ei.old s/a/b/ web.yaml", "edit FILE opens it"),
    ] {
        let shown = tab.run(line).await;
        assert!(shown.code != 0 && shown.err.contains(said), "{line}: {shown:?}");
    }
    assert_eq!(tab.run("echo it | sed -n -e 's/i/a/p'").await.text, "at\n");
    // A line that nobody reads is explained, once for a program; one that is read is not.
    tab.send(json!({"run": "sleep 600"})).await;
    tab.until("running").await;
    for line in ["first", "second"] {
        tab.send(json!({"run": line})).await;
    }
    let told = loop {
        let message = tab.next().await;
        if message["text"][0] == "note" {
            break message["text"][1].as_str().unwrap().to_owned();
        }
    };
    assert_eq!(told, "sleep 600 is running here and reads nothing: Ctrl-C ends it, + opens another tab\n");
    tab.send(json!({"stop": null})).await;
    tab.until("ready").await;
    tab.send(json!({"run": "cat"})).await;
    tab.until("running").await;
    tab.send(json!({"run": "read"})).await;
    tab.send(json!({"end": null})).await;
    assert_eq!(tab.until("ready").await.1.text, "read\n");
    play.stop().await;
}
