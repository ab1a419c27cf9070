//! The experiments of the book's first part, from the program and in the page.

use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use serde_json::Value;
use tutor::client::Informers;
use tutor::clock::Clock;
use tutor::lab::orchestrator::{self, Board, Keeper, Rules, Told};
use tutor::tasks::TaskGroup;

use crate::page::Paged;
use crate::webdriver::Browser;

#[cfg(target_os = "linux")]
#[test]
fn each_wall_of_a_container_by_hand_changes_what_it_is_for() {
    if crate::native::is_refused() {
        return;
    }
    let done = Command::new(crate::native::program()).args(["lab", "container", "--json"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    let walls = told["walls"].as_array().unwrap();
    let names: Vec<&str> = walls.iter().filter_map(|wall| wall["wall"].as_str()).collect();
    assert_eq!(names, ["nothing", "user", "uts", "net", "pid", "mnt", "files"]);
    let seen = |wall: usize, what: &str| walls[wall][what].clone();
    assert_eq!(seen(1, "user"), 0, "root, inside");
    assert_eq!((seen(1, "hostname") == seen(0, "hostname"), seen(2, "hostname")), (true, "inside".into()));
    assert_eq!(seen(3, "cards"), serde_json::json!(["lo"]));
    assert_eq!(seen(4, "number"), 1);
    assert!(seen(4, "processes").as_u64() > Some(1), "its /proc is still the machine's: {told}");
    assert_eq!(seen(5, "processes"), 1, "now it is alone");
    assert_eq!(seen(6, "files"), serde_json::json!(["bin", "etc", "proc"]));
    assert!(walls.iter().all(|wall| wall["kernel"] == walls[0]["kernel"] && wall["said"] != ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_keeps_three_while_they_die_and_a_game_leaves_nothing() {
    let play = Paged::start().await;
    let (tasks, clock) = (TaskGroup::new(), Clock::real());
    let informers = Informers::new(play.cluster.client("game"), clock, &tasks);
    let board = Board { informers, namespace: "default".into(), clock };
    for keeper in [Keeper::Deployment, Keeper::You] {
        // Long enough for a Pod to come back before the next one dies, also on a busy machine.
        let rules = Rules { keeper, length: Duration::from_secs(24), every: Duration::from_secs(10) };
        let mut told = Vec::new();
        let score = orchestrator::play(&board, rules, &mut |news| told.push(news)).await.unwrap();
        assert!(matches!(&told[0], Told::Ready { names, .. } if names.len() == 3), "{told:?}");
        assert_eq!(told.last(), Some(&Told::Score(score)));
        let deaths = told.iter().filter(|news| matches!(news, Told::Killed { .. })).count();
        assert!(deaths >= 1 && score.killed == deaths, "{told:?}");
        let back = |news: &Told| matches!(news, Told::Ready { names, .. } if names.len() == 3);
        // Whom nobody keeps stays away.
        assert_eq!(told.iter().skip(1).any(back), keeper == Keeper::Deployment, "{told:?}");
        assert!(score.whole < 100.0 && score.longest > 0.0, "{score:?}");
        let pods: Api<Pod> = Api::namespaced(play.cluster.client("test"), "default");
        assert!(pods.list(&ListParams::default()).await.unwrap().items.is_empty());
    }
    tasks.cancel();
    play.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_reader_packs_machines_and_builds_walls() {
    let Some(browser) = Browser::start() else { return };
    let play = Paged::start().await;
    browser.open(&format!("{}servers/dedicated-servers.html", play.playground.book));
    let slide = "const [at, value] = arguments[0].split(' '); const slider = document.querySelectorAll('.tutor-packing input')[at];
        slider.value = value; slider.dispatchEvent(new Event('input'));";
    assert!(browser.wait(".tutor-packing .said").contains("80 cores is large enough in every hour"));
    browser.script(slide, "1 64");
    assert!(browser.wait(".tutor-packing .said").contains("64 cores is too small at 20:00"));
    browser.script(slide, "1 65");
    assert!(browser.wait(".tutor-packing .said").contains("large enough"), "the text says 65");
    browser.script(slide, "0 20");
    let row = "return [...document.querySelectorAll('.tutor-packing tbody tr')].at(-1).innerText";
    assert!(browser.script(row, "").as_str().unwrap().contains("65 of 65"));
    browser.open(&format!("{}servers/virtual-machines.html", play.playground.book));
    let memory = browser.wait(".tutor-memory tbody");
    assert!(memory.contains("4,000 MiB") && memory.contains("1,300 MiB"), "the sums of the page's table: {memory}");
    #[cfg(target_os = "linux")]
    if !crate::native::is_refused() {
        browser.open(&format!("{}servers/containers.html", play.playground.book));
        browser.wait(".tutor-walls button");
        browser.press("Start an ordinary process");
        for (at, wall) in ["user", "uts", "net", "pid", "mnt", "files"].iter().enumerate() {
            browser.wait(&format!(".tutor-walls tbody tr:nth-child({})", at + 1));
            browser.press(&format!("Next wall: {wall}"));
        }
        assert!(browser.wait(".tutor-walls tbody tr:nth-child(7)").contains("bin etc proc"));
        assert!(browser.wait(".tutor-walls tbody tr:nth-child(6) td.changed").contains('1'));
        assert!(browser.wait(".tutor-walls .said").contains("An image goes here"));
        let beside = "const { scrollWidth, clientWidth } = document.querySelector('.tutor-walls .table'); return scrollWidth - clientWidth";
        assert_eq!(browser.script(beside, ""), 0, "the last column, the kernel, is seen");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    play.stop().await;
}
