//! A real browser, driven over the WebDriver protocol (w3.org/TR/webdriver2).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long the driver may take to start, on a busy machine.
const LONGEST_START: Duration = Duration::from_secs(120);
/// How long a script may take to call its last argument: what is waited for comes within it, on a busy machine.
const LONGEST_SCRIPT: Duration = Duration::from_secs(120);
/// How long the driver may take for one answer.
const LONGEST_ANSWER: Duration = Duration::from_secs(240);

/// The name under which the protocol hands over an element. Source: WebDriver, section 12.1, web element identifier.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// What the protocol says of a click that another element would get.
const INTERCEPTED: &str = "element click intercepted";

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
            "timeouts": {"script": LONGEST_SCRIPT.as_millis() as u64},
        }}});
        let begun = Instant::now();
        loop {
            let made = browser.send("POST", "/session", &wish);
            if let Some(session) = made["sessionId"].as_str() {
                browser.session = session.to_owned();
                break;
            }
            // Chromium does not always come up in the driver's time on a busy machine.
            assert!(begun.elapsed() < LONGEST_START, "chromium does not start: {made}");
        }
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

    /// What a script hands to its last argument, when that comes in time. A page that goes away under the script, as a
    /// link or a form makes it, is no answer: the next page is asked.
    pub fn comes(&self, script: &str, argument: &str) -> Value {
        let begun = Instant::now();
        loop {
            let said = self.script_async(script, argument);
            let gone = said["error"] == "javascript error" && said["message"].as_str().is_some_and(page_is_gone);
            if !gone || begun.elapsed() > LONGEST_SCRIPT {
                return said;
            }
        }
    }

    /// Waits until there is an element that fits the selector; its text.
    #[track_caller]
    pub fn wait(&self, selector: &str) -> String {
        let look = "const [selector, done] = arguments; (function look() {
            const found = document.querySelector(selector);
            if (found) done(found.innerText); else setTimeout(look, 20);
        })()";
        let found = self.comes(look, selector);
        found.as_str().unwrap_or_else(|| panic!("{selector} does not come: {found}")).to_owned()
    }

    /// Presses the button with these words once it can be pressed and stands still, as a reader with a mouse does. A
    /// button that was drawn anew, or moved away, while the mouse was on its way is aimed at once more.
    #[track_caller]
    pub fn press(&self, words: &str) {
        let look = "const [words, done] = arguments; let before; (function look() {
            const found = [...document.querySelectorAll('button')].find((button) => button.textContent === words && !button.disabled);
            if (!found) return setTimeout(look, 20);
            found.scrollIntoView({ block: 'center', behavior: 'instant' });
            const { x, y, width, height } = found.getBoundingClientRect();
            const place = `${x} ${y} ${width} ${height}`;
            if (place !== before) {
                before = place;
                return setTimeout(look, 60);
            }
            window.pressed = false;
            found.addEventListener('click', () => { window.pressed = true; }, { capture: true, once: true });
            done(found);
        })()";
        self.on_element(look, words, &format!("a button {words:?} to press"), |element| {
            let said = self.does("POST", &format!("element/{element}/click"), &json!({}));
            let astray = said.is_null() && self.script("return window.pressed", "") == false;
            if astray { json!({"error": INTERCEPTED, "message": "the click went elsewhere"}) } else { said }
        });
    }

    /// Does something with the element that a script hands over; once more when it was drawn anew or moved meanwhile.
    #[track_caller]
    fn on_element(&self, look: &str, argument: &str, what: &str, does: impl Fn(&str) -> Value) {
        const MISSED: [&str; 3] = ["stale element reference", INTERCEPTED, "element not interactable"];
        let begun = Instant::now();
        loop {
            let found = self.comes(look, argument);
            let id = found.get(ELEMENT).and_then(Value::as_str);
            let done = does(id.unwrap_or_else(|| panic!("there is not {what}: {found}")));
            if done.is_null() {
                return;
            }
            let missed = MISSED.iter().any(|missed| done["error"] == *missed);
            assert!(missed && begun.elapsed() < LONGEST_SCRIPT, "there is {what}, and it cannot be done: {done}");
        }
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
        let look = "const [selector, done] = arguments; (function look() {
            const found = document.querySelector(selector);
            if (found) done(found); else setTimeout(look, 20);
        })()";
        self.on_element(look, selector, &format!("{selector} to type in"), |element| {
            self.does("POST", &format!("element/{element}/value"), &json!({"text": text}))
        });
    }

    /// Waits until the text of the element that fits the selector contains these words.
    #[track_caller]
    pub fn wait_for(&self, selector: &str, words: &str) {
        let look = "const [what, done] = arguments; const [selector, words] = JSON.parse(what); (function look() {
            const found = document.querySelector(selector);
            if (found?.textContent.includes(words)) done(true); else setTimeout(look, 20);
        })()";
        let found = self.comes(look, &json!([selector, words]).to_string());
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
        self.try_send(method, path, body).unwrap_or_else(|fault| panic!("{method} {path}: {fault}"))
    }

    fn try_send(&self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(LONGEST_ANSWER))?;
        let (length, port) = (body.len(), self.port);
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n")?;
        write!(stream, "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")?;
        // The driver leaves the connection open, so the length says where the answer ends.
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            if answer.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body)?;
        let answer: Value = serde_json::from_slice(&body)?;
        Ok(answer["value"].clone())
    }
}

/// Whether the driver says so of a script's page.
fn page_is_gone(message: &str) -> bool {
    ["document unloaded", "page reload", "execution context"].iter().any(|words| message.contains(words))
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A driver that does not answer any more has failed the test already; a panic here would end all tests.
        if !self.session.is_empty() {
            let _ = self.try_send("DELETE", &format!("/session/{}", self.session), &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
