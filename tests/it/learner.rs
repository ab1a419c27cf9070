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
    assert!(browser.wait("section.exercise .results").contains("tutor start first-contact"));
    browser.press("Start");
    assert!(browser.wait("section.exercise .results p code").contains("first-contact"));
    browser.press("Check");
    let found = browser.wait("section.exercise .results dl");
    for words in ["expected", "the namespace has no Pod", "why", "look at"] {
        assert!(found.contains(words), "{words} is missing in: {found}");
    }
    browser.press("Hint");
    assert!(browser.wait("section.exercise .hint").contains("kubectl run"));
    play.run_hello().await;
    browser.press("Check");
    assert!(browser.wait("section.exercise .verdict.passed").contains("Passed: First contact"));
    assert!(browser.wait("#mdbook-sidebar .tutor-progress").starts_with("1 of "));
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
        let width = browser.script_async(narrow, link);
        assert!(width.as_i64().is_some_and(|width| width <= 362), "{link} is {width} wide on a phone");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}
