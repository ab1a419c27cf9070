//! The tour: what a new reader does on a machine that has this program and a browser and nothing else,
//! from the first page to the end of Part 2. Every page is read, every block is run, every question
//! answered, every exercise solved by what is typed into the page.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tutor::course::progress::ProgressFile;

use crate::shown;
use crate::webdriver::Browser;

const ENTER: &str = "\u{e007}";
const CONTROL: &str = "\u{e009}";
const NONE: &str = "\u{e000}";
const INPUT: &str = "#tutor-terminal .panel:not([hidden]) textarea";
/// The line of a terminal that waits for a command.
const READY: &str = "#tutor-terminal .panel:not([hidden]) .line[data-ready=true]:not(.running)";
const OUTPUT: &str = "#tutor-terminal .panel:not([hidden]) .output";

/// How often a block that only looks is run, until it shows what the page shows.
const LOOKS: usize = 40;

/// A `tutor serve` on a machine whose PATH leads nowhere.
struct Bare {
    child: Child,
    ready: Value,
}

impl Bare {
    fn start(state: &Path, listen: &str) -> Bare {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tutor"))
            .args(["serve", "--json", "--runtime", "simulated", "--listen", listen])
            .args([
                "--api-listen",
                "127.0.0.1:0",
                "--registry-listen",
                "127.0.0.1:0",
                "--ingress-listen",
                "127.0.0.1:0",
                "--state-dir",
            ])
            .arg(state)
            .env_clear()
            .env("PATH", "")
            .env("HOME", state)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // Only the first one is waited for.
                let _ = tell.send(line);
            }
        });
        let Ok(line) = told.recv_timeout(crate::served::LONGEST) else {
            child.kill().unwrap();
            panic!("tutor serve says nothing");
        };
        Bare { child, ready: serde_json::from_str(&line).unwrap() }
    }

    fn book(&self) -> &str {
        self.ready["book"].as_str().unwrap()
    }

    fn page(&self, name: &str) -> String {
        format!("{}{name}.html", self.book())
    }

    /// Ends it as Ctrl-C does.
    fn interrupt(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // Already ended where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A reader at the page.
struct Reader<'a> {
    browser: &'a Browser,
    typed: std::cell::Cell<usize>,
}

impl Reader<'_> {
    /// Opens a page and waits until it has its buttons.
    fn open(&self, url: &str) {
        self.browser.open(url);
        self.browser.wait("#mdbook-sidebar .tutor-progress");
        self.browser.wait("#tutor-terminal .toggle");
    }

    /// Opens the terminal where it is closed.
    fn terminal(&self) {
        let open = "const toggle = document.querySelector('#tutor-terminal .toggle');
            if (toggle.getAttribute('aria-expanded') !== 'true') toggle.click()";
        self.browser.script(open, "");
        self.ends("the terminal");
    }

    /// Types a line (or lines) and waits until it has run; what the terminal shows of it.
    fn types(&self, lines: &str) -> String {
        self.terminal();
        for line in lines.lines() {
            self.browser.type_in(INPUT, &format!("{line}{ENTER}"));
        }
        self.settled()
    }

    /// Waits until what was begun has run; what the terminal shows since the last mark.
    fn settled(&self) -> String {
        self.ends("what was typed");
        let number = self.typed.get() + 1;
        self.typed.set(number);
        self.browser.type_in(INPUT, &format!("echo; echo mark-{number}{ENTER}"));
        self.browser.wait_for(OUTPUT, &format!("\nmark-{number}\n"));
        let shown = self.browser.script("return document.querySelector(arguments[0]).textContent", OUTPUT);
        let shown = shown.as_str().unwrap_or_default();
        let since = shown.rsplit_once(&format!("\nmark-{}\n", number - 1)).map_or(shown, |(_, since)| since);
        since.to_owned()
    }

    /// Presses every Run of the page: what comes is what the page prints. What goes on for ever is stopped with Ctrl-C.
    fn runs_every_block(&self) {
        let count = self.browser.script("return document.querySelectorAll('.tutor-run button').length", "");
        for at in 0..count.as_u64().unwrap() {
            let mut fault = Some(String::new());
            for _ in 0..LOOKS {
                let (block, shown) = self.runs_block(at);
                assert!(!shown.contains(": not found\n"), "{block} runs what is not there: {shown}");
                fault = differs(&block, &shown);
                // A block that only looks is run again by a reader who was too quick.
                let looks = shown::typed(&block).iter().all(|typed| shown::reads(&typed.command));
                if fault.is_none() || !looks {
                    break;
                }
            }
            assert_eq!(fault, None);
        }
    }

    /// Presses one Run: its block, fenced as in the book, and what the terminal shows of it.
    fn runs_block(&self, at: u64) -> (String, String) {
        let press = "const button = document.querySelectorAll('.tutor-run button')[Number(arguments[0])];
            const pre = button.parentElement.previousElementSibling; button.click();
            const fence = pre.querySelector('code').classList.contains('run') ? 'console,run' : 'console';
            return '```' + fence + '\\n' + pre.textContent.trimEnd() + '\\n```'";
        let block = self.browser.script(press, &at.to_string()).as_str().unwrap().to_owned();
        let last = block.lines().rev().find_map(|line| line.strip_prefix("$ "));
        if let Some(command) = last.filter(|last| last.contains(" --watch") || last.starts_with("watch ")) {
            self.runs(command);
            self.browser.type_in(INPUT, &format!("{CONTROL}c{NONE}"));
        }
        self.ends(&block);
        let shown = self.settled();
        (block, shown)
    }

    /// Waits until the terminal runs this command.
    fn runs(&self, command: &str) {
        let look = "const [what, done] = arguments; const [selector, command] = JSON.parse(what); (function look() {
            const lines = document.querySelector(selector)?.innerText.split('\\nmark-').at(-1) ?? '';
            if (lines.includes(command) && document.querySelector('#tutor-terminal .line.running')) done(true);
            else setTimeout(look, 20);
        })()";
        assert_eq!(
            self.browser.script_async(look, &json!([OUTPUT, command]).to_string()),
            true,
            "{command} does not go on"
        );
    }

    /// Waits until the terminal shows these words after the last mark.
    fn comes(&self, words: &str) {
        let look = "const [what, done] = arguments; const [selector, words] = JSON.parse(what); (function look() {
            const shown = document.querySelector(selector)?.innerText.split('\\nmark-').at(-1) ?? '';
            if (shown.includes(words)) done(true); else setTimeout(look, 20);
        })()";
        let came = self.browser.script_async(look, &json!([OUTPUT, words]).to_string());
        assert_eq!(came, true, "{words:?} does not come");
    }

    /// Waits until the terminal has run what was begun.
    fn ends(&self, what: &str) {
        let look = "const [selector, done] = arguments; (function look() {
            if (document.querySelector(selector)) done(true); else setTimeout(look, 20);
        })()";
        let ended = self.browser.script_async(look, READY);
        let shown = self.browser.script("return document.querySelector(arguments[0]).innerText.slice(-600)", OUTPUT);
        assert_eq!(ended, true, "{what} does not end; it shows {shown}");
    }

    /// Answers every question of the page with its first choice; each is explained.
    fn answers_every_question(&self) {
        let answer = "const done = arguments[1]; const forms = [...document.querySelectorAll('details.asked form')];
            for (const form of forms) { form.querySelector('input').checked = true; form.requestSubmit(); }
            (function look() {
                if (forms.every((form) => form.querySelector('.said').textContent)) done(forms.length);
                else setTimeout(look, 20);
            })()";
        let questions = self.browser.script("return document.querySelectorAll('details[data-quiz]').length", "");
        if questions != 0 {
            self.browser.wait("details.asked form");
        }
        assert_eq!(self.browser.script_async(answer, ""), questions);
    }

    /// Presses a button of an exercise once it can be pressed.
    fn presses(&self, exercise: &str, words: &str) {
        let press = "const [what, done] = arguments; const [name, words] = JSON.parse(what); (function look() {
            const buttons = [...document.querySelectorAll(`section.exercise[data-exercise=${name}] .buttons button`)];
            const found = buttons.find((button) => button.textContent === words && !button.disabled);
            if (found) { found.click(); done(true); } else setTimeout(look, 20);
        })()";
        let pressed = self.browser.script_async(press, &json!([exercise, words]).to_string());
        assert_eq!(pressed, true, "{exercise} has no button {words} to press");
    }

    /// What an exercise says once its buttons can be pressed again.
    fn said(&self, exercise: &str) -> String {
        let said = "const [name, done] = arguments; (function look() {
            const section = document.querySelector(`section.exercise[data-exercise=${name}]`);
            const busy = [...section.querySelectorAll('.buttons button')].some((button) => button.disabled);
            if (busy) setTimeout(look, 20); else done(section.querySelector('.results').innerText);
        })()";
        self.browser.script_async(said, exercise).as_str().unwrap_or_default().to_owned()
    }

    /// Starts an exercise on its page, and reads a hint.
    fn starts(&self, url: &str, exercise: &str) {
        self.open(url);
        self.presses(exercise, "Start");
        let said = self.said(exercise);
        assert!(said.contains("is your current one"), "{exercise}: {said}");
        self.presses(exercise, "Hint");
        assert!(self.said(exercise).len() > 20, "{exercise} has no hint");
    }

    /// Presses Check, which must pass.
    fn passes(&self, exercise: &str) {
        self.presses(exercise, "Check");
        let said = self.said(exercise);
        assert!(said.contains("Passed:"), "{exercise}: {said}");
    }
}

/// Where what the terminal shows is not what a block says that it prints.
fn differs(block: &str, shown: &str) -> Option<String> {
    let came = shown::answered(shown);
    let even = |lines: &[String]| lines.iter().map(|line| shown::even(line)).collect::<Vec<_>>();
    shown::typed(block).iter().enumerate().find_map(|(at, said)| {
        let answer = came.get(at).filter(|answer| answer.command == said.command);
        let fits = answer.is_some_and(|answer| shown::fits(&even(&said.printed), &even(&answer.printed)));
        (!fits).then(|| format!("{block}\nis run, and at {} this comes:\n{shown}", said.command))
    })
}

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
    let bare = Bare::start(state.path(), "127.0.0.1:0");
    let reader = Reader { browser: &browser, typed: 0.into() };
    reader.open(bare.book());
    let links = "return [...document.querySelectorAll('#mdbook-sidebar a[href]')].map(a => a.href.split('#')[0])";
    let links: Vec<String> = serde_json::from_value(browser.script(links, "")).unwrap();
    let parts = ["introduction", "start/", "servers/", "control-plane/", "running/", "placement/"];
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
    look_around(&reader, &bare);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    // The plug is pulled, and the power comes back: the page has waited.
    reader.starts(&bare.page("control-plane/etcd"), "survive-the-crash");
    reader.types("kubectl run worker --image=tutor/web:1 --labels=app=worker");
    reader.types("kubectl create configmap answer --from-literal=word=heron --from-literal=pod=same --from-literal=restarts=1 --from-literal='revisions=go on'");
    reader.types("kubectl wait pod/worker --for=condition=Ready --timeout=60s");
    reader.passes("survive-the-crash");
    // Ctrl-C in the evening, serve again the next day, at the same address: nothing is lost.
    let listen = bare.book().trim_start_matches("http://").trim_end_matches('/').to_owned();
    reader.open(&bare.page("control-plane/one-command"));
    reader.types("echo before the night");
    bare.interrupt();
    let bare = Bare::start(state.path(), &listen);
    let back = "const done = arguments[1]; (function look() {
        fetch('/api/exercises').then((answer) => answer.ok ? done(true) : setTimeout(look, 50), () => setTimeout(look, 50));
    })()";
    assert_eq!(browser.script_async(back, ""), true);
    browser.wait(READY);
    reader.open(&bare.page("control-plane/one-command"));
    assert!(reader.types("kubectl get configmap answer -n survive-the-crash").contains("answer"));
    let progress = ProgressFile::new(state.path()).read().unwrap();
    for name in ["first-contact", "raw-api", "conflict-409", "read-the-key", "why-pending", "bind-by-hand"] {
        assert!(progress.of(name).passed.is_some(), "{name} is not passed any more");
    }
    for name in ["be-the-controller", "controller-off", "order-the-trace", "survive-the-crash"] {
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
    reader.types("kubectl wait pods -l app=kept --for=condition=Ready --timeout=60s");
    reader.passes("be-the-controller");

    reader.starts(&bare.page("control-plane/kube-controller-manager"), "controller-off");
    reader.types("kubectl create configmap prediction --from-literal=after-delete=2 --from-literal=replicaset-wants=5 --from-literal=after-scale=2 --from-literal=after-resume=5");
    reader.passes("controller-off");

    reader.starts(&bare.page("control-plane/one-command"), "order-the-trace");
    reader.types("kubectl wait pods --all --for=condition=Ready --timeout=60s");
    let trace = reader.types("tutor trace deployment/relay -n order-the-trace");
    let replicaset = writer(&trace, &["creates replicasets/"]);
    let pod = writer(&trace, &["creates pods/"]);
    let node = writer(&trace, &["binds pods/"]);
    let running = writer(&trace, &["pods/", "status.phase"]);
    reader.types(&format!("kubectl create configmap order --from-literal='replicaset={replicaset}' --from-literal='pod={pod}' --from-literal='node={node}' --from-literal='running={running}'"));
    reader.passes("order-the-trace");
}

/// Back to the first tab of the terminal.
fn first_tab(reader: &Reader<'_>) {
    reader.browser.script("document.querySelector('#tutor-terminal [role=tab]').click()", "");
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
