//! The page's terminal: tutor's own commands, over a WebSocket. Never a shell of the machine.
//!
//! In: lines and keys from the dock at the bottom of every page. Out: text, screens, answers to Tab. A tab
//! lives here, not in the page: a page that is left or loaded anew finds its tabs as they were.
//! Chapter: `book/src/inside/page.md`.
//!
//! | file | is for |
//! |---|---|
//! | `socket` | a page's connection: JSON messages in and out |
//! | `tab`, `job`, `pace` | one tab: what runs in it, what it has shown; how much a page is sent at once |
//! | `syntax`, `shell` | reading and running a line |
//! | `programs` | kubectl, tutor, and the small ones between pipes |
//! | `complete` | what Tab offers |
//! | `home` | the files |
//! | `screen`, `clean` | output made safe: a screen kept here, or plain lines |

mod clean;
mod complete;
mod editor;
mod handle;
pub mod home;
mod job;
mod pace;
pub mod pipes;
mod programs;
mod screen;
mod shell;
mod socket;
mod syntax;
mod tab;
mod transcript;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::kubectl::session::Listening;
use crate::state::Playground;
use crate::tasks::TaskGroup;

pub use programs::jq;
pub use socket::connect;

/// The most tabs at once.
const MOST_TABS: usize = 24;

/// tutor's own commands, as the command line has them: `["check", "first-contact"]`.
pub trait Commands: Send + Sync {
    /// Runs one to its end, in a folder of the terminal's files; its exit code.
    fn run(
        &self,
        words: Vec<String>,
        folder: PathBuf,
        out: pipes::Out,
        err: pipes::Out,
        stop: CancellationToken,
    ) -> BoxFuture<'static, i32>;

    /// tutor's own executable.
    fn program(&self) -> &std::path::Path;

    /// What may stand behind these words, for Tab.
    fn after(&self, words: &[String]) -> Vec<String>;
}

/// What every tab shares.
pub struct World {
    /// The files.
    pub home: home::Home,
    /// Where the cluster is.
    pub playground: Playground,
    /// A client of it that may do everything.
    pub client: kube::Client,
    /// Time.
    pub clock: Clock,
    /// Runs tabs and what goes on in them.
    pub tasks: TaskGroup,
    /// `tutor …`
    pub commands: Arc<dyn Commands>,
    /// The ports that `port-forward` and `proxy` opened.
    pub listening: Listening,
}

/// All tabs of all pages.
pub struct Terminals {
    world: Arc<World>,
    tabs: Mutex<HashMap<String, handle::Handle>>,
}

impl Terminals {
    /// No tab yet.
    pub fn new(world: World) -> Terminals {
        Terminals { world: Arc::new(world), tabs: Mutex::default() }
    }

    /// The files.
    pub fn home(&self) -> &home::Home {
        &self.world.home
    }

    /// The tab of this name, opened if need be. The one that was left longest ago makes room for it.
    fn tab(&self, name: &str) -> handle::Handle {
        let mut tabs = self.tabs.lock();
        tabs.retain(|_, tab| !tab.is_gone());
        if let Some(tab) = tabs.get(name) {
            return tab.clone();
        }
        while tabs.len() >= MOST_TABS {
            let oldest = tabs.iter().min_by_key(|(_, tab)| tab.last_used()).map(|(name, _)| name.clone());
            // Dropping a tab's handle ends it.
            let Some(oldest) = oldest else { break };
            if let Some(tab) = tabs.remove(&oldest) {
                tab.close();
            }
        }
        let tab = tab::open(self.world.clone());
        tabs.insert(name.to_owned(), tab.clone());
        tab
    }
}
