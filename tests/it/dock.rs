//! The terminal below a page, in a real browser: what of the page is still seen beside it, which of its tabs is shown,
//! and what it says to a reader who is stuck.

use serde_json::{Value, json};

use crate::page::Paged;
use crate::webdriver::Browser;

const ENTER: &str = "\u{e007}";
const TAB: &str = "\u{e004}";
const INPUT: &str = "#tutor-terminal .panel textarea";
const OUTPUT: &str = "#tutor-terminal .output";
const READY: &str = "#tutor-terminal .line[data-ready=true]:not(.running)";
const CHOSEN: &str = "#tutor-terminal .tab.chosen";

/// Opens a page with its terminal open, and waits until that waits for a command.
fn open(browser: &Browser, url: &str) {
    browser.open(url);
    browser.wait("#tutor-terminal .toggle");
    browser.script("const toggle = document.querySelector('#tutor-terminal:not(.open) .toggle'); toggle?.click()", "");
    browser.wait(READY);
}

/// How many pixels of the element that fits the selector are hidden by the terminal or the window's lower edge, once
/// nothing scrolls any more.
fn hidden(browser: &Browser, selector: &str) -> f64 {
    let look = "const [selector, done] = arguments; let before; (function look() {
        const { bottom } = document.querySelector(selector).getBoundingClientRect();
        if (before !== bottom) {
            before = bottom;
            return setTimeout(look, 100);
        }
        done(bottom - document.querySelector('#tutor-terminal').getBoundingClientRect().top);
    })()";
    browser.comes(look, selector).as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_end_of_a_page_is_above_the_terminal() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    let url = format!("{}control-plane/etcd.html", play.playground.book);
    let end = "scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' })";
    for (width, height) in [(1280, 760), (360, 740)] {
        browser.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}),
        );
        open(&browser, &url);
        browser.script("document.querySelector('.tutor-cluster').open = true", "");
        browser.wait(".tutor-cluster [data-id='Node//node-3']");
        for taller in [0, 5] {
            for _ in 0..taller {
                browser.script("document.querySelector('#tutor-terminal .grip').focus()", "");
                browser.keys("\u{e013}");
            }
            browser.script(end, "");
            let under = hidden(&browser, ".tutor-cluster");
            assert!(under <= 0.0, "{under} pixels of the map are under the terminal at {width} x {height}");
        }
        // What the focus jumps to is seen, with the terminal open and closed.
        for closed in [false, true] {
            if closed {
                browser.script("document.querySelector('#tutor-terminal .toggle').click()", "");
            }
            let jump =
                "scrollTo({ top: 0, behavior: 'instant' }); document.querySelector('.tutor-cluster summary').focus()";
            browser.script(jump, "");
            let under = hidden(&browser, ".tutor-cluster summary");
            assert!(under <= 0.0, "{under} pixels of what has the focus are under the terminal");
            // Also what is at the edge, where the browser does not scroll much.
            let edge = "const found = document.querySelector('details.asked form button');
                scrollBy({ top: found.getBoundingClientRect().bottom - innerHeight, behavior: 'instant' });
                found.closest('details').open = true; found.focus()";
            browser.script(edge, "");
            let under = hidden(&browser, "details.asked form button");
            assert!(under <= 0.0, "{under} pixels of the button at the edge are under the terminal");
        }
        // A window that became lower has room for both.
        browser.script("document.querySelector('#tutor-terminal .toggle').click()", "");
        browser.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": 400, "deviceScaleFactor": 1, "mobile": false}),
        );
        let top = "const done = arguments[1]; (function look() {
            const { top } = document.querySelector('#tutor-terminal').getBoundingClientRect();
            if (innerHeight === 400 && top > 60) done(true); else setTimeout(look, 20); })()";
        assert_eq!(browser.comes(top, ""), true, "some of the page is left above the terminal");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_tab_a_reader_is_in_stays_shown_and_a_busy_one_says_so() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    let page = |name: &str| format!("{}{name}.html", play.playground.book);
    open(&browser, &page("control-plane/kube-apiserver"));
    browser.type_in(INPUT, &format!("kubectl proxy --port 0{ENTER}"));
    browser.wait_for(OUTPUT, "Starting to serve on ");
    browser.wait("#tutor-terminal .line.running");
    // What is typed to a program that reads nothing is explained, once.
    browser.type_in(INPUT, &format!("kubectl get nodes{ENTER}"));
    browser.wait_for(
        OUTPUT,
        "kubectl proxy --port 0 is running here and reads nothing: Ctrl-C ends it, + opens another tab",
    );
    for (tab, words) in [(2, "second"), (3, "third")] {
        browser.script("document.querySelector('#tutor-terminal .more').click()", "");
        browser.wait_for(CHOSEN, &tab.to_string());
        browser.wait(READY);
        browser.type_in(INPUT, &format!("echo the {words}{ENTER}"));
        browser.wait_for(OUTPUT, &format!("\nthe {words}\n"));
        browser.wait(READY);
    }
    browser.script("document.querySelectorAll('#tutor-terminal .tab')[1].click()", "");
    browser.wait_for(OUTPUT, "\nthe second\n");
    for name in ["control-plane/etcd", "start/first-contact"] {
        browser.open(&page(name));
        browser.wait(READY);
        browser.wait_for(OUTPUT, "\nthe second\n");
        assert_eq!(browser.wait(CHOSEN), "2");
    }
    // Another window is another reader's desk.
    let first = browser.window();
    browser.new_window();
    open(&browser, &page("start/first-contact"));
    assert_eq!(browser.wait(CHOSEN), "1");
    browser.to_window(&first);
    // Run beside a busy tab goes to a free one, and the page says so, also right after it was loaded.
    browser.script("document.querySelectorAll('#tutor-terminal .tab')[0].click()", "");
    browser.wait("#tutor-terminal .line.running");
    browser.open(&page("start/first-contact"));
    browser.press("Run");
    browser.wait_for(".tutor-run [role=status]", "The terminal was busy: it runs in tab 2.");
    browser.wait_for(OUTPUT, "node-3");
    browser.wait(READY);
    browser.press("Run");
    browser.wait_for(CHOSEN, "2");
    let quiet = "const done = arguments[1]; (function look() {
        if (document.querySelector('.tutor-run [role=status]').textContent === '') done(true); else setTimeout(look, 20); })()";
    assert_eq!(browser.comes(quiet, ""), true, "nothing was busy this time");
    browser.script("document.querySelectorAll('#tutor-terminal .tab')[0].click()", "");
    browser.press_summary("Edit its files here");
    browser.wait(".tutor-editor .field textarea");
    browser.press("Apply");
    browser.wait_for(".tutor-files p[role=status]", "Saved as ~/first-contact/hello.yaml");
    browser.wait_for(".tutor-files p[role=status]", "The terminal was busy: it runs in tab 2.");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn tab_goes_through_what_it_offers_and_four_tabs_fit_a_phone() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.devtools(
        "Emulation.setDeviceMetricsOverride",
        &json!({"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": false}),
    );
    open(&browser, &format!("{}start/first-contact.html", play.playground.book));
    let typed =
        || browser.script("return document.querySelector(arguments[0]).value", INPUT).as_str().unwrap().to_owned();
    browser.type_in(INPUT, &format!("kubectl get po{TAB}"));
    browser.wait_for("#tutor-terminal .choices", "podtemplates");
    let offered =
        "return [...document.querySelectorAll('#tutor-terminal .choices li')].map((choice) => choice.textContent)";
    let offered: Vec<String> = serde_json::from_value(browser.script(offered, "")).unwrap();
    assert!(offered.len() > 2, "{offered:?}");
    for choice in offered.iter().chain(&offered[..1]) {
        browser.type_in(INPUT, TAB);
        assert_eq!(typed(), format!("kubectl get {choice}"));
        assert_eq!(browser.wait("#tutor-terminal .choices .chosen"), *choice);
    }
    browser.type_in(INPUT, " -A");
    let shown = "return document.querySelectorAll('#tutor-terminal .choices li').length";
    assert_eq!((typed(), browser.script(shown, "")), (format!("kubectl get {} -A", offered[0]), json!(0)));
    for _ in 0..3 {
        browser.script("document.querySelector('#tutor-terminal .more').click()", "");
    }
    let bar = "const box = (selector) => document.querySelector(`#tutor-terminal ${selector}`).getBoundingClientRect();
        const [toggle, tabs, chosen, more] = ['.toggle', '.tabs', '.tab.chosen', '.more'].map(box);
        return { lines: document.querySelector('#tutor-terminal .toggle').getClientRects().length * Math.round(toggle.height / 30),
            apart: tabs.left >= toggle.right && more.left >= tabs.right && more.right <= innerWidth,
            seen: chosen.left >= tabs.left && chosen.right <= tabs.right + 1 }";
    assert_eq!(browser.script(bar, ""), json!({"lines": 1, "apart": true, "seen": true}));
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_a_check_found_is_seen_and_a_hint_leaves_it_there() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    open(&browser, &format!("{}start/first-contact.html", play.playground.book));
    browser.press("Start");
    browser.wait_for("section.exercise .results p", "Started. Its namespace");
    let low = "const found = document.querySelector('section.exercise .buttons');
        scrollBy({ top: found.getBoundingClientRect().bottom + 10 - document.querySelector('#tutor-terminal').getBoundingClientRect().top, behavior: 'instant' });
        [...found.children].find((button) => button.textContent === arguments[0]).click()";
    browser.script(low, "Check");
    browser.wait_for("section.exercise .results .verdict", "Not yet.");
    browser.wait("section.exercise .buttons button:not(:disabled)");
    let seen = |what: &str| {
        let under = hidden(&browser, what);
        assert!(under <= 0.0, "{under} pixels of {what} are under the terminal");
    };
    seen("section.exercise .results");
    for _ in 0..2 {
        browser.script(low, "Hint");
        browser.wait_for("section.exercise .hint", "kubectl run");
        browser.wait("section.exercise .buttons button:not(:disabled)");
        seen("section.exercise .hinted");
    }
    let parts: Value = browser.script(
        "return ['.results dl', '.results .verdict', '.results .hint'].map((part) => document.querySelectorAll(`section.exercise ${part}`).length)",
        "",
    );
    assert_eq!(parts, json!([1, 1, 1]), "what the check found, its verdict, and one hint");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_open_file_is_marked_among_all_and_a_mark_names_one_line() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.open(&format!("{}servers/containers.html", play.playground.book));
    let files = "section.exercise[data-exercise=what-is-shared] .tutor-files";
    browser.wait(&format!("{files} summary"));
    browser.script("document.querySelector(`${arguments[0]} summary`).click()", files);
    let open = format!("{files} .others [aria-current=true]");
    assert_eq!(browser.wait(&open), "pods.yaml");
    let names =
        "return [...document.querySelectorAll(`${arguments[0]} .others button`)].map((button) => button.textContent)";
    assert_eq!(browser.script(names, files), json!(["pods.yaml", "answer.yaml"]));
    browser.script("document.querySelectorAll(`${arguments[0]} .others button`)[1].click()", files);
    browser.wait_for(&open, "answer.yaml");
    assert_eq!(browser.script(names, files), json!(["pods.yaml", "answer.yaml"]));
    let write = "const input = document.querySelector(`${arguments[0]} .field textarea`);
        input.value = 'kind: Pod\\n---\\nkind: Pod\\n  name: right\\n'; input.dispatchEvent(new Event('input'))";
    browser.script(write, files);
    browser.wait_for(&format!("{files} .marks"), "mapping values are not allowed");
    let marked = browser.wait(&format!("{files} .marks li:last-child"));
    assert_eq!(marked.matches("line ").count(), 1, "{marked}");
    assert!(marked.starts_with("line 4"), "{marked}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}
