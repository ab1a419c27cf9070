//! A real browser, driven over the WebDriver protocol (w3.org/TR/webdriver2).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// How long the driver may take to start, on a busy machine.
const LONGEST_START: std::time::Duration = std::time::Duration::from_secs(60);

/// A headless Chromium with a profile of its own, ended when dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A browser, or `None` (and the reason printed) on a machine without one. In CI a missing
    /// one fails the test.
    pub fn start() -> Option<Browser> {
        let started =
            Command::new("chromedriver").args(["--port=0"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut driver) = started else {
            assert!(std::env::var_os("CI").is_none(), "chromium is missing: run .ci/install");
            eprintln!("skipped: needs chromium");
            return None;
        };
        let said = BufReader::new(driver.stdout.take().unwrap()).lines();
        let (tell, told) = std::sync::mpsc::channel();
        // Read to the end, so that what it prints later does not block it.
        std::thread::spawn(move || {
            for line in said.map_while(Result::ok) {
                let port = line.split_once("successfully on port ").map(|(_, port)| port.trim_end_matches('.').parse());
                if let Some(Ok(port)) = port {
                    // Only the first one is waited for.
                    let _ = tell.send(port);
                }
            }
        });
        let Ok(port) = told.recv_timeout(LONGEST_START) else {
            driver.kill().unwrap();
            panic!("chromedriver does not say its port");
        };
        let profile = tempfile::tempdir().unwrap();
        let arguments = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1200,900",
            format!("--user-data-dir={}", profile.path().display())
        ]);
        let mut browser = Browser { driver, port, session: String::new(), _profile: profile };
        let wish = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": 60_000},
        }}});
        browser.session = browser.send("POST", "/session", &wish)["sessionId"].as_str().unwrap().to_owned();
        Some(browser)
    }

    pub fn open(&self, url: &str) {
        self.does("POST", "url", &json!({"url": url}));
    }

    /// A command of Chromium's own protocol (chromedevtools.github.io/devtools-protocol).
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.does("POST", "goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// The window that is looked at.
    pub fn window(&self) -> String {
        self.does("GET", "window", &json!({})).as_str().unwrap().to_owned()
    }

    /// Opens another tab of the browser, and looks at it.
    pub fn new_window(&self) {
        let made = self.does("POST", "window/new", &json!({"type": "tab"}));
        self.to_window(made["handle"].as_str().unwrap());
    }

    /// Looks at another window.
    pub fn to_window(&self, window: &str) {
        self.does("POST", "window", &json!({"handle": window}));
    }

    /// What a script returns; `arguments[0]` is `argument`.
    pub fn script(&self, script: &str, argument: &str) -> Value {
        self.does("POST", "execute/sync", &json!({"script": script, "args": [argument]}))
    }

    /// What a script hands to its last argument, a function; `arguments[0]` is `argument`.
    pub fn script_async(&self, script: &str, argument: &str) -> Value {
        self.does("POST", "execute/async", &json!({"script": script, "args": [argument]}))
    }

    /// Waits until there is an element that fits the selector; its text.
    #[track_caller]
    pub fn wait(&self, selector: &str) -> String {
        let look = "const [selector, done] = arguments; (function look() {
            const found = document.querySelector(selector);
            if (found) done(found.innerText); else setTimeout(look, 20);
        })()";
        let found = self.script_async(look, selector);
        found.as_str().unwrap_or_else(|| panic!("{selector} does not come: {found}")).to_owned()
    }

    /// Presses the button with these words once it can be pressed, as a reader with a mouse does.
    #[track_caller]
    pub fn press(&self, words: &str) {
        let look = "const [words, done] = arguments; (function look() {
            const found = [...document.querySelectorAll('button')].find((button) => button.textContent === words && !button.disabled);
            if (!found) return setTimeout(look, 20);
            found.scrollIntoView({ block: 'center', behavior: 'instant' });
            done(true);
        })()";
        assert_eq!(self.script_async(look, words), true, "there is no button {words:?} to press");
        let button = self.does(
            "POST",
            "element",
            &json!({"using": "xpath", "value": format!("//button[text()='{words}' and not(@disabled)]")}),
        );
        let id = button.as_object().and_then(|id| id.values().next()).and_then(Value::as_str);
        let id = id.unwrap_or_else(|| panic!("there is no button {words:?} to press: {button}"));
        let pressed = self.does("POST", &format!("element/{id}/click"), &json!({}));
        assert!(pressed.is_null(), "{words:?} cannot be pressed: {pressed}");
    }

    /// Presses and releases one key, as WebDriver names it (`\u{e004}` is Tab).
    pub fn keys(&self, key: &str) {
        let actions = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        self.does("POST", "actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}));
    }

    /// Opens the details with this summary.
    pub fn press_summary(&self, words: &str) {
        let open = "for (const summary of document.querySelectorAll('summary'))
            if (summary.textContent === arguments[0]) { summary.click(); return true; }
            return false";
        assert_eq!(self.script(open, words), true, "there is no summary {words:?}");
    }

    /// Types into the element that fits the selector.
    #[track_caller]
    pub fn type_in(&self, selector: &str, text: &str) {
        self.wait(selector);
        let found = self.does("POST", "element", &json!({"using": "css selector", "value": selector}));
        let id = found.as_object().and_then(|id| id.values().next()).and_then(Value::as_str);
        let id = id.unwrap_or_else(|| panic!("there is no {selector} to type in: {found}"));
        let typed = self.does("POST", &format!("element/{id}/value"), &json!({"text": text}));
        assert!(typed.is_null(), "{selector} cannot be typed in: {typed}");
    }

    /// Waits until the text of the element that fits the selector contains these words.
    #[track_caller]
    pub fn wait_for(&self, selector: &str, words: &str) {
        let look = "const [what, done] = arguments; const [selector, words] = JSON.parse(what); (function look() {
            const found = document.querySelector(selector);
            if (found?.textContent.includes(words)) done(true); else setTimeout(look, 20);
        })()";
        let found = self.script_async(look, &json!([selector, words]).to_string());
        if found != true {
            let shown = self.script("return document.querySelector(arguments[0])?.textContent", selector);
            panic!("{words:?} does not come in {selector}: {shown}");
        }
    }

    /// A picture of the page, kept in `target/screenshots`, to be looked at.
    pub fn picture(&self, name: &str) {
        let data = self.does("GET", "screenshot", &json!({}));
        let Some(data) = data.as_str() else { return };
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, data).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    /// What the page complained about on its console: errors, refused scripts.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.does("POST", "se/log", &json!({"type": "browser"}));
        let severe = log.as_array().into_iter().flatten().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn does(&self, method: &str, command: &str, body: &Value) -> Value {
        self.send(method, &format!("/session/{}/{command}", self.session), body)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(90))).unwrap();
        let (length, port) = (body.len(), self.port);
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n").unwrap();
        write!(stream, "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        // The driver leaves the connection open, so the length says where the answer ends.
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        for line in answer.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()) {
            if let Some((name, value)) = line.split_once(':') {
                length =
                    if name.eq_ignore_ascii_case("content-length") { value.trim().parse().unwrap() } else { length };
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !std::thread::panicking() || !self.session.is_empty() {
            self.send("DELETE", &format!("/session/{}", self.session), &json!({}));
        }
        // It has nothing left to do.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
