//! A learner's path through the page, in a real browser: start, fail, make it true, pass, come back.

use tutor::course::progress::ProgressFile;

use crate::page::Paged;
use crate::webdriver::Browser;

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_learner_starts_fails_mends_and_passes() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    let url = format!("{}start/first-contact.html", play.playground.book);
    browser.open(&url);
    assert!(browser.wait("section.exercise .state").contains("Not started"));
    browser.press("Check");
    let told = browser.wait("section.exercise .results .failed");
    assert_eq!(told, "✗ ");
    browser.wait_for("section.exercise .results", "tutor start first-contact");
    browser.press("Start");
    browser.wait_for("section.exercise .results p", "Started. Its namespace, first-contact");
    browser.press("Check");
    for words in ["expected", "the namespace has no Pod", "why", "look at"] {
        browser.wait_for("section.exercise .results dl", words);
    }
    browser.press("Hint");
    browser.wait_for("section.exercise .hint", "kubectl run");
    play.run_hello().await;
    browser.press("Check");
    assert!(browser.wait("section.exercise .verdict.passed").contains("Passed: First contact"));
    browser.wait_for("#mdbook-sidebar .tutor-progress", "1 of ");
    assert_eq!(browser.wait("#mdbook-sidebar a[href*='first-contact'] .tutor-mark.passed"), "✓");
    assert!(ProgressFile::new(play.state()).read().unwrap().of("first-contact").passed.is_some());
    browser.open(&url);
    assert!(browser.wait("section.exercise.done .state").contains("Passed"));
    let names =
        "return [...document.querySelectorAll('section.exercise button')].every(b => b.innerText && b.tabIndex === 0)";
    assert_eq!(browser.script(names, ""), true, "every button has a name and is reached by the keyboard");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}

/// The keys that are no letters, as WebDriver names them.
const ENTER: &str = "\u{e007}";
const TAB: &str = "\u{e004}";
const UP: &str = "\u{e013}";
const CONTROL: &str = "\u{e009}";
const NONE: &str = "\u{e000}";

const INPUT: &str = "#tutor-terminal .panel textarea";
const OUTPUT: &str = "#tutor-terminal .output";
/// The line of the terminal, when it waits for a command: what is typed earlier is for the program that runs.
const READY: &str = "#tutor-terminal .line[data-ready=true]:not(.running)";

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_learner_does_an_exercise_in_the_page_alone() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    let url = format!("{}start/first-contact.html", play.playground.book);
    browser.open(&url);
    browser.press("Start");
    browser.wait("section.exercise .results p code");
    // A block of the book runs in the terminal.
    browser.press("Run");
    browser.wait_for(OUTPUT, "$ kubectl get nodes");
    browser.wait_for(OUTPUT, "node-1");
    browser.wait(READY);
    browser.picture("terminal-run");
    // Tab completes what is typed.
    browser.type_in(INPUT, &format!("kubectl get nodes no{TAB}"));
    browser.wait_for("#tutor-terminal .choices", "node-3");
    browser.type_in(INPUT, &format!("3 -o name | wc -l{ENTER}"));
    browser.wait_for(OUTPUT, "\n1\n");
    browser.wait(READY);
    browser.picture("terminal-completion");
    // Ctrl-C stops what goes on.
    browser.type_in(INPUT, &format!("watch -n 1 kubectl get nodes{ENTER}"));
    browser.wait_for(OUTPUT, "Every 1 s");
    browser.type_in(INPUT, &format!("{CONTROL}c{NONE}"));
    browser.wait_for(OUTPUT, "^C");
    browser.wait(READY);
    // A file is edited, marked where it is wrong, and applied.
    browser.press_summary("Edit its files here");
    browser.wait(".tutor-editor .field textarea");
    browser.script("const input = document.querySelector('.tutor-editor .field textarea'); input.value = 'apiVersion: v1\\nkind: Pod\\nmetadata:\\n  name: hello\\nspec:\\n  container:\\n  - name: web\\n'; input.dispatchEvent(new Event('input'))", "");
    browser.wait_for(".tutor-editor .marks", "did you mean containers?");
    browser
        .script("document.querySelector('.tutor-editor').scrollIntoView({ block: 'start', behavior: 'instant' })", "");
    browser.picture("editor-marks");
    browser.script("const input = document.querySelector('.tutor-editor .field textarea'); input.value = 'apiVersion: v1\\nkind: Pod\\nmetadata:\\n  name: hello\\nspec:\\n  containers:\\n  - name: web\\n    image: tutor/web:1\\n'; input.dispatchEvent(new Event('input'))", "");
    browser.press("Apply");
    browser.wait_for(OUTPUT, "pod/hello created");
    browser.press("Check");
    assert!(browser.wait("section.exercise .verdict.passed").contains("Passed: First contact"));
    browser.picture("exercise-passed");
    // Nothing is lost when the page is loaded anew: what was shown, what was typed, the file.
    browser.open(&url);
    browser.wait_for(OUTPUT, "pod/hello created");
    browser.wait(READY);
    browser.type_in(INPUT, UP);
    let typed = browser.script("return document.querySelector(arguments[0]).value", INPUT);
    assert!(typed.as_str().is_some_and(|typed| typed.starts_with("kubectl apply -f ~/first-contact/")), "{typed}");
    // A second tab is another terminal.
    browser.script("document.querySelector('#tutor-terminal .more').click()", "");
    browser.wait_for(OUTPUT, "help lists them");
    browser.wait(READY);
    browser.type_in(INPUT, &format!("echo second{ENTER}"));
    browser.wait_for(OUTPUT, "second\n");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_a_cluster_contains_is_text_in_the_terminal() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.open(&format!("{}start/first-contact.html", play.playground.book));
    browser.wait("#tutor-terminal .toggle");
    browser.script("document.querySelector('#tutor-terminal .toggle').click()", "");
    browser.wait_for(OUTPUT, "help lists them");
    browser.wait(READY);
    let hostile = "<img src=x onerror=document.title=1><script>document.title=2</script>";
    for line in [
        format!("kubectl create configmap evil --from-literal='a={hostile}' -o yaml"),
        format!("kubectl annotate configmap evil note='{hostile}'"),
        format!("kubectl run evil --image=tutor/shell:1 --restart=Never -- echo '{hostile}'"),
        "kubectl wait --for=jsonpath={.status.phase}=Succeeded pod/evil; kubectl logs evil; kubectl describe cm evil"
            .to_owned(),
        "kubectl get cm evil -o yaml; echo finished".to_owned(),
    ] {
        browser.type_in(INPUT, &format!("{line}{ENTER}"));
        browser.wait(READY);
    }
    browser.wait_for(OUTPUT, "\nfinished");
    browser.wait_for(OUTPUT, "onerror=document.title=1");
    assert_eq!(
        browser.script("return document.querySelectorAll('#tutor-terminal img, #tutor-terminal script').length", ""),
        0
    );
    let title = browser.script("return document.title", "");
    assert!(title.as_str().is_some_and(|title| title.len() > 1), "{title}");
    // A long output leaves the page small.
    browser.type_in(INPUT, &format!("seq 200000; echo over{ENTER}"));
    browser.wait_for(OUTPUT, "\nover");
    browser.wait(READY);
    let kept = browser.script("return document.querySelector(arguments[0]).textContent.length", OUTPUT);
    assert!(kept.as_u64().is_some_and(|kept| kept < 500_000), "{kept} letters are in the page");
    // From a key to its letter on the screen, and from Enter to the answer. Printed, not judged.
    let echo = "const done = arguments[1], input = document.querySelector(arguments[0]); const times = []; let left = 20;
        (function type() {
            const begun = performance.now();
            input.focus(); document.execCommand('insertText', false, 'x');
            requestAnimationFrame(() => { times.push(performance.now() - begun); if (--left) type(); else done(times.sort((a, b) => a - b)[10]); });
        })()";
    let answered = "const done = arguments[1], input = document.querySelector(arguments[0]), output = document.querySelector('#tutor-terminal .output');
        input.value = 'echo quick'; const begun = performance.now();
        const observer = new MutationObserver(() => { if (output.textContent.endsWith('quick\\n') ) { observer.disconnect(); done(performance.now() - begun); } });
        observer.observe(output, { childList: true, subtree: true, characterData: true });
        input.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' }))";
    let (echo, answered) = (browser.comes(echo, INPUT), browser.comes(answered, INPUT));
    println!(
        "figures: key to drawn letter {echo} ms (with the wait for a frame), Enter to answer of echo {answered} ms"
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}

/// The most bytes of a page with all that it loads, without the editor.
const HEAVIEST: u64 = 400_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_page_is_light_and_asks_nobody_else() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    let loaded = "return performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
        .map(({ name, encodedBodySize }) => [name, encodedBodySize])";
    // Those with the most text, and those with experiments of their own.
    for page in
        ["start/first-contact", "control-plane/etcd", "servers/containers", "servers/docker", "inside/api-server"]
    {
        browser.open(&format!("{}{page}.html", play.playground.book));
        browser.wait("#tutor-terminal .toggle");
        let loaded: Vec<(String, u64)> = serde_json::from_value(browser.script(loaded, "")).unwrap();
        let foreign: Vec<&String> =
            loaded.iter().map(|(name, _)| name).filter(|name| !name.starts_with(&play.playground.book)).collect();
        assert_eq!(foreign, Vec::<&String>::new(), "a page asks only its playground");
        // A browser opens six connections to one address: what stands before the first drawing comes in one go.
        let before = "return performance.getEntriesByType('resource').filter((part) => part.renderBlockingStatus === 'blocking').map((part) => part.name)";
        let before: Vec<String> = serde_json::from_value(browser.script(before, "")).unwrap();
        assert!(!before.is_empty() && before.len() <= 6, "{page} is not drawn before {before:#?}");
        let editor = loaded.iter().find(|(name, _)| name.contains("editor.js"));
        assert_eq!(editor, None, "the editor is loaded when it is opened");
        let weight: u64 = loaded.iter().map(|(_, size)| size).sum();
        println!("figures: {page} weighs {} KB in {} requests", weight / 1000, loaded.len());
        assert!(weight < HEAVIEST, "{page} weighs {weight} bytes: {loaded:#?}");
    }
    drop(browser);
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn every_page_shows_without_a_complaint_and_fits_a_phone() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.open(&play.playground.book);
    browser.wait("#mdbook-sidebar .tutor-progress");
    let links = "return [...document.querySelectorAll('#mdbook-sidebar a[href]')].map(a => a.href.split('#')[0])";
    let links: std::collections::BTreeSet<String> = serde_json::from_value(browser.script(links, "")).unwrap();
    assert!(links.len() > 15, "{links:?}");
    let narrow = "const frame = document.createElement('iframe'); const [url, done] = arguments;
        frame.style.width = '360px'; frame.style.height = '800px'; frame.src = url;
        frame.onload = () => { const root = frame.contentDocument.documentElement; done(root.scrollWidth); frame.remove() };
        document.body.append(frame)";
    for link in &links {
        let width = browser.comes(narrow, link);
        assert!(width.as_i64().is_some_and(|width| width <= 362), "{link} is {width} wide on a phone");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}
