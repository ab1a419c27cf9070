//! A tab, from outside: what it can be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::socket::Told;

/// What happens to a tab.
#[derive(Debug)]
pub enum Event {
    /// A page shows it now.
    Joined(u64, mpsc::Sender<String>),
    /// That page has gone.
    Left(u64),
    /// That page says this.
    Told(u64, Told),
}

/// A tab, from outside. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    events: mpsc::Sender<Event>,
    closed: CancellationToken,
    used: Arc<AtomicU64>,
}

/// Counts pages, over all tabs.
static PAGES: AtomicU64 = AtomicU64::new(1);

impl Handle {
    /// A tab that takes its events from the other end.
    pub fn new(events: mpsc::Sender<Event>) -> Handle {
        Handle { events, closed: CancellationToken::new(), used: Arc::default() }
    }

    /// Cancelled when it is to close.
    pub fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Tells the tab; false when it is gone.
    pub async fn send(&self, event: Event) -> bool {
        self.events.send(event).await.is_ok()
    }

    /// Shows the tab to a page; the page's number.
    pub async fn attach(&self, page: mpsc::Sender<String>) -> u64 {
        let number = PAGES.fetch_add(1, Ordering::Relaxed);
        self.used.store(number, Ordering::Relaxed);
        self.send(Event::Joined(number, page)).await;
        number
    }

    /// Whether it has closed.
    pub fn is_gone(&self) -> bool {
        self.events.is_closed()
    }

    /// Grows with each page that shows it.
    pub fn last_used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Ends what runs in it, and it.
    pub fn close(&self) {
        self.closed.cancel();
    }
}
