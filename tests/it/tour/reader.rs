//! A new reader's machine, which has this program and a browser and nothing else; and what the reader does
//! at the page: opens pages, types, presses buttons, edits files.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::shown::{self, Typed};
use crate::webdriver::Browser;

pub const ENTER: &str = "\u{e007}";
pub const CONTROL: &str = "\u{e009}";
pub const NONE: &str = "\u{e000}";
pub const INPUT: &str = "#tutor-terminal .panel:not([hidden]) textarea";
/// The line of a terminal that waits for a command.
pub const READY: &str = "#tutor-terminal .panel:not([hidden]) .line[data-ready=true]:not(.running)";
pub const OUTPUT: &str = "#tutor-terminal .panel:not([hidden]) .output";

/// How long one looks again, until it is as the page says.
const LOOKING: Duration = Duration::from_secs(90);
/// How many times a script's own time, which is two minutes, is waited for.
const PATIENCE: usize = 3;

/// A `tutor serve` on a machine whose PATH leads nowhere.
pub struct Bare {
    child: Child,
    pub ready: Value,
}

impl Bare {
    /// With nodes of this runtime, and its book at this address.
    pub fn start(state: &Path, listen: &str, runtime: &str) -> Bare {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tutor"))
            .args(["serve", "--json", "--runtime", runtime, "--listen", listen])
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

    pub fn book(&self) -> &str {
        self.ready["book"].as_str().unwrap()
    }

    pub fn page(&self, name: &str) -> String {
        format!("{}{name}.html", self.book())
    }

    /// Ends it as Ctrl-C does.
    pub fn interrupt(mut self) {
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
pub struct Reader<'a> {
    pub browser: &'a Browser,
    typed: std::cell::Cell<usize>,
}

impl<'a> Reader<'a> {
    pub fn at(browser: &'a Browser) -> Reader<'a> {
        Reader { browser, typed: 0.into() }
    }

    /// Opens a page and waits until it has its buttons.
    pub fn open(&self, url: &str) {
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
    pub fn types(&self, lines: &str) -> String {
        self.terminal();
        for line in lines.lines() {
            self.browser.type_in(INPUT, &format!("{line}{ENTER}"));
        }
        self.settled()
    }

    /// Waits until what was begun has run; what the terminal shows since the last mark.
    pub fn settled(&self) -> String {
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
    pub fn runs_every_block(&self) {
        let count = self.browser.script("return document.querySelectorAll('.tutor-run button').length", "");
        for at in 0..count.as_u64().unwrap() {
            let (block, shown) = self.runs_block(at);
            assert!(!shown.contains(": not found\n"), "{block} runs what is not there: {shown}");
            self.looks_again(at, &block, shown);
        }
    }

    /// A reader who was too quick looks again, until it is as the page says: what comes before was done once.
    fn looks_again(&self, at: u64, block: &str, mut shown: String) {
        let (typed, begun) = (shown::typed(block), Instant::now());
        let mut fitting = 0;
        while let Some(next) = differs(&typed[fitting..], &shown) {
            fitting += next;
            let rest = &typed[fitting..];
            let lasting = rest.iter().any(|typed| lasts(&typed.command));
            let looks = rest.iter().all(|typed| shown::reads(&typed.command)) && (fitting == 0 || !lasting);
            let command = &rest[0].command;
            assert!(looks && begun.elapsed() < LOOKING, "{block}\nis run, and at {command} this comes:\n{shown}");
            shown = if lasting {
                self.runs_block(at).1
            } else {
                self.types(&rest.iter().map(|typed| typed.command.as_str()).collect::<Vec<_>>().join("\n"))
            };
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
        if let Some(command) = last.filter(|last| lasts(last)) {
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
        assert_eq!(self.browser.comes(look, &json!([OUTPUT, command]).to_string()), true, "{command} does not go on");
    }

    /// Waits until the terminal shows these words after the last mark.
    pub fn comes(&self, words: &str) {
        let look = "const [what, done] = arguments; const [selector, words] = JSON.parse(what); (function look() {
            const shown = document.querySelector(selector)?.innerText.split('\\nmark-').at(-1) ?? '';
            if (shown.includes(words)) done(true); else setTimeout(look, 20);
        })()";
        let came = self.browser.comes(look, &json!([OUTPUT, words]).to_string());
        assert_eq!(came, true, "{words:?} does not come");
    }

    /// Waits until the terminal has run what was begun.
    fn ends(&self, what: &str) {
        let look = "const [selector, done] = arguments; (function look() {
            if (document.querySelector(selector)) done(true); else setTimeout(look, 20);
        })()";
        let ended = self.patiently(look, READY);
        let shown = self.browser.script("return document.querySelector(arguments[0]).innerText.slice(-600)", OUTPUT);
        assert_eq!(ended, true, "{what} does not end; it shows {shown}");
    }

    /// What a script says in the end; an image that is built for the first time, or a check, may take longer than
    /// a browser lets a script take.
    fn patiently(&self, script: &str, argument: &str) -> Value {
        let timed_out = |said: &Value| said["error"] == "script timeout";
        let mut said = Value::Null;
        for _ in 0..PATIENCE {
            said = self.browser.comes(script, argument);
            if !timed_out(&said) {
                break;
            }
        }
        said
    }

    /// Answers every question of the page with its first choice; each is explained.
    pub fn answers_every_question(&self) {
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
        assert_eq!(self.browser.comes(answer, ""), questions);
    }

    /// Presses a button of an exercise once it can be pressed.
    pub fn presses(&self, exercise: &str, words: &str) {
        let press = "const [what, done] = arguments; const [name, words] = JSON.parse(what); (function look() {
            const buttons = [...document.querySelectorAll(`section.exercise[data-exercise=${name}] .buttons button`)];
            const found = buttons.find((button) => button.textContent === words && !button.disabled);
            if (found) { found.click(); done(true); } else setTimeout(look, 20);
        })()";
        let pressed = self.browser.comes(press, &json!([exercise, words]).to_string());
        assert_eq!(pressed, true, "{exercise} has no button {words} to press");
    }

    /// What an exercise says once its buttons can be pressed again.
    fn said(&self, exercise: &str) -> String {
        let said = "const [name, done] = arguments; (function look() {
            const section = document.querySelector(`section.exercise[data-exercise=${name}]`);
            const busy = [...section.querySelectorAll('.buttons button')].some((button) => button.disabled);
            if (busy) setTimeout(look, 20); else done(section.querySelector('.results').innerText);
        })()";
        self.patiently(said, exercise).as_str().unwrap_or_default().to_owned()
    }

    /// Starts an exercise on its page, and reads a hint.
    pub fn starts(&self, url: &str, exercise: &str) {
        self.open(url);
        self.presses(exercise, "Start");
        let said = self.said(exercise);
        assert!(said.contains("is your current one"), "{exercise}: {said}");
        self.presses(exercise, "Hint");
        assert!(self.said(exercise).len() > 20, "{exercise} has no hint");
    }

    /// Writes a file of an exercise in the editor of its page, and presses a button there: Save, or Apply.
    pub fn edits(&self, exercise: &str, file: &str, text: &str, press: &str) {
        let shown = "const [what, done] = arguments; const [name, file] = JSON.parse(what);
            const files = document.querySelector(`section.exercise[data-exercise=${name}] details.tutor-files`);
            files.open = true;
            (function look() {
                if (files.querySelector('.editor-bar code')?.textContent === `${name}/${file}`) return done(true);
                const other = [...files.querySelectorAll('.others button')].find((button) => button.textContent === file);
                other?.click();
                setTimeout(look, 100);
            })()";
        let shown = self.browser.comes(shown, &json!([exercise, file]).to_string());
        assert_eq!(shown, true, "{exercise} has no file {file} to edit");
        let write = "const [name, text, words] = JSON.parse(arguments[0]);
            const files = document.querySelector(`section.exercise[data-exercise=${name}] details.tutor-files`);
            const input = files.querySelector('.field textarea');
            input.value = text; input.dispatchEvent(new Event('input'));
            [...files.querySelectorAll('.editor-bar button')].find((button) => button.textContent === words).click()";
        self.browser.script(write, &json!([exercise, text, press]).to_string());
        let saved = format!("section.exercise[data-exercise={exercise}] details.tutor-files p[role=status]");
        self.browser.wait_for(&saved, &format!("Saved as ~/{exercise}/{file}"));
    }

    /// Presses Check, which must pass.
    pub fn passes(&self, exercise: &str) {
        self.presses(exercise, "Check");
        let said = self.said(exercise);
        assert!(said.contains("Passed:"), "{exercise}: {said}");
    }
}

/// Whether a command goes on until it is stopped.
fn lasts(command: &str) -> bool {
    command.contains(" --watch") || command.starts_with("watch ")
}

/// The first of these commands of which the terminal does not show what the page says.
fn differs(typed: &[Typed], shown: &str) -> Option<usize> {
    let came = shown::answered(shown);
    let even = |lines: &[String]| lines.iter().map(|line| shown::even(line)).collect::<Vec<_>>();
    typed.iter().enumerate().position(|(at, said)| {
        let answer = came.get(at).filter(|answer| answer.command == said.command);
        !answer.is_some_and(|answer| shown::fits(&even(&said.printed), &even(&answer.printed)))
    })
}
