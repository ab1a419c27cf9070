//! The page on other devices than a large bright screen with a mouse: a phone, a dark screen, paper, a screen that
//! should not move, a keyboard.

use serde_json::json;

use crate::page::Paged;
use crate::webdriver::Browser;

const OUTPUT: &str = "#tutor-terminal .panel:not([hidden]) .output";

fn emulate(browser: &Browser, media: &str, features: &[(&str, &str)]) {
    let features: Vec<_> = features.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    browser.devtools("Emulation.setEmulatedMedia", &json!({"media": media, "features": features}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn everything_opens_on_a_phone() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    let phone = json!({"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true});
    browser.devtools("Emulation.setDeviceMetricsOverride", &phone);
    browser.open(&format!("{}start/first-contact.html", play.playground.book));
    browser.wait("#tutor-terminal .toggle");
    let fits = |what: &str| {
        let width = browser.script("return document.documentElement.scrollWidth", "");
        assert!(width.as_i64().is_some_and(|width| width <= 360), "with {what} the page is {width} wide");
        browser.script("document.querySelector('main').scrollIntoView()", "");
    };
    fits("nothing open");
    browser.press("Start");
    browser.wait("section.exercise .results p code");
    browser.press("Check");
    browser.wait("section.exercise .results .failed");
    fits("a failed check");
    browser.press_summary("Edit its files here");
    browser.wait(".tutor-editor .field textarea");
    fits("the editor");
    browser.script("document.querySelector('.tutor-cluster').open = true", "");
    browser.wait(".tutor-cluster [data-id='Node//node-2']");
    browser.script("document.querySelector(\"[data-id='Node//node-2']\").click()", "");
    browser.wait(".tutor-cluster .inspect .buttons");
    browser.script(
        "for (const part of document.querySelectorAll('.tutor-cluster .inspect details')) part.open = true",
        "",
    );
    fits("a node of the map");
    browser.press("As a table");
    browser.wait(".tutor-cluster .table tbody tr");
    fits("the map as a table");
    browser.press("Run");
    browser.wait_for(OUTPUT, "node-3");
    fits("the terminal");
    browser.picture("phone-terminal");
    for page in ["control-plane/one-command", "control-plane/etcd", "servers/containers", "servers/docker"] {
        browser.open(&format!("{}{page}.html", play.playground.book));
        browser.wait("#tutor-terminal .toggle");
        browser.script("for (const part of document.querySelectorAll('main details')) part.open = true", "");
        fits(page);
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_page_follows_what_its_reader_prefers() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    let url = format!("{}control-plane/the-cluster.html", play.playground.book);
    // A dark screen, before anybody has chosen a theme.
    emulate(&browser, "", &[("prefers-color-scheme", "dark"), ("prefers-reduced-motion", "reduce")]);
    browser.open(&url);
    browser.wait("html.navy #tutor-terminal .toggle");
    let dark = "const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number); return r + g + b < 250";
    assert_eq!(browser.script(dark, ""), true, "the page is dark");
    // Nothing moves that need not.
    browser.script("document.querySelector('.tutor-cluster').open = true", "");
    browser.wait(".tutor-cluster .parts li");
    let still = "return [...document.querySelectorAll('.tutor-cluster .parts li')].every((part) => getComputedStyle(part).transitionProperty === 'none' || getComputedStyle(part).transitionDuration === '0s')";
    assert_eq!(browser.script(still, ""), true, "nothing fades on a screen that should not move");
    emulate(&browser, "", &[("prefers-color-scheme", "light")]);
    browser.open(&url);
    browser.wait("html.light #tutor-terminal .toggle");
    drop(browser);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn paper_has_the_text_and_no_buttons() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.open(&format!("{}start/first-contact.html", play.playground.book));
    browser.wait("#tutor-terminal .toggle");
    browser.wait(".tutor-run button");
    browser.press_summary("Edit its files here");
    browser.wait(".tutor-editor .field textarea");
    emulate(&browser, "print", &[]);
    let seen = "return [...document.querySelectorAll(arguments[0])].filter((part) => part.checkVisibility({ visibilityProperty: true }))
        .map((part) => part.outerHTML.slice(0, 120))";
    for gone in [
        "#tutor-terminal",
        ".tutor-cluster",
        ".tutor-run",
        ".tutor-editor",
        "section.exercise button",
        "#mdbook-sidebar",
        "#mdbook-menu-bar",
    ] {
        assert_eq!(browser.script(seen, gone), json!([]), "{gone} is on paper");
    }
    let text = browser.script("return document.querySelector('main').innerText", "");
    assert!(
        text.as_str().is_some_and(|text| text.contains("Make this true") && text.contains("kubectl get nodes")),
        "{text}"
    );
    let paper = browser.devtools("Page.printToPDF", &json!({}));
    assert!(paper["data"].as_str().is_some_and(|data| data.starts_with("JVBERi")), "a PDF is printed");
    drop(browser);
    play.stop().await;
}

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const CONTROL: &str = "\u{e009}";
const NONE: &str = "\u{e000}";

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_editor_completes_what_the_cluster_serves() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.open(&format!("{}start/first-contact.html", play.playground.book));
    browser.press("Start");
    browser.wait("section.exercise .results p code");
    browser.press_summary("Edit its files here");
    const FIELD: &str = ".tutor-editor .field textarea";
    browser.wait(FIELD);
    let set = "const input = document.querySelector('.tutor-editor .field textarea');
        input.value = arguments[0]; input.dispatchEvent(new Event('input')); input.focus(); input.setSelectionRange(input.value.length, input.value.length)";
    browser.script(set, "apiVersion: v1\nkind: Pod\nmetadata:\n  name: hello\nspec:\n  conta");
    browser.type_in(FIELD, &format!("{CONTROL} {NONE}"));
    browser.wait_for(".tutor-editor .completions:not([hidden])", "containers");
    browser.type_in(FIELD, ENTER);
    let text = browser.script("return document.querySelector('.tutor-editor .field textarea').value", "");
    assert!(text.as_str().is_some_and(|text| text.contains("\n  containers:")), "{text}");
    // What the schema does not allow is marked where it stands; what only the server knows, too.
    for (wrong, told) in [("  replicas: 1", "replicas"), ("  restartPolicy: Sometimes", "Sometimes")] {
        let pod = format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: hello\nspec:\n{wrong}\n  containers:\n  - name: web\n    image: tutor/web:1\n"
        );
        browser.script(set, &pod);
        browser.wait_for(".tutor-editor .marks", told);
        assert_eq!(browser.wait(".tutor-editor .marks li button"), "line 6", "{wrong}");
        browser.wait(".tutor-editor .field textarea[aria-invalid=true]");
    }
    // Keys alone save it, apply it, and leave.
    browser.script(set, "apiVersion: v1\nkind: Pod\nmetadata:\n  name: hello\nspec:\n  containers:\n  - name: web\n    image: tutor/web:1\n");
    browser.type_in(FIELD, &format!("{CONTROL}{ENTER}{NONE}"));
    browser.wait_for(OUTPUT, "pod/hello created");
    browser.script("document.querySelector('.tutor-editor .field textarea').focus()", "");
    browser.keys("\u{e00c}");
    browser.keys(TAB);
    assert_eq!(
        browser.script("return document.activeElement.tagName !== 'TEXTAREA'", ""),
        true,
        "the keyboard is not caught"
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}
