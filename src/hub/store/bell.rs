//! Who waits for events hears of them once they are committed.
//!
//! A transaction notes the events that it records; its writer rings when it is committed, and forgets
//! them when it is not.

use std::cell::RefCell;
use std::sync::Arc;

use tokio::sync::{Notify, broadcast, watch};

/// Events that one who listens may be behind; of more it hears only how many there were.
const BEHIND: usize = 1024;

/// An event that this hub recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Type.
    pub kind: &'static str,
    /// The agent that it is about.
    pub daemon_name: Option<String>,
    /// The host that it happened on.
    pub hostname: Option<String>,
    /// More, as JSON.
    pub data: String,
}

tokio::task_local! {
    static NOTED: RefCell<Vec<Told>>;
}

/// Notes an event for when the transaction under way is committed.
pub(super) fn note(told: Told) {
    // Outside of a writer's transaction nobody can tell when it is committed.
    let _ = NOTED.try_with(|noted| noted.borrow_mut().push(told));
}

/// Does the work of a transaction, and gives the events that it noted beside its result.
pub(super) async fn noting<T>(work: impl Future<Output = T>) -> (T, Vec<Told>) {
    NOTED
        .scope(RefCell::default(), async {
            let result = work.await;
            (result, NOTED.with(RefCell::take))
        })
        .await
}

/// Rings for events.
#[derive(Debug, Clone)]
pub(super) struct Bell {
    added: watch::Sender<()>,
    told: broadcast::Sender<Told>,
    abroad: Arc<Notify>,
}

impl Default for Bell {
    fn default() -> Self {
        Self {
            added: watch::Sender::default(),
            told: broadcast::Sender::new(BEHIND),
            abroad: Arc::default(),
        }
    }
}

impl Bell {
    /// These were committed.
    pub(super) fn ring(&self, events: Vec<Told>) {
        if events.is_empty() {
            return;
        }
        for event in events {
            // An error means that nobody listens.
            let _ = self.told.send(event);
        }
        self.added.send_replace(());
        self.abroad.notify_one();
    }

    /// Another hub committed some.
    pub(super) fn ring_here(&self) {
        self.added.send_replace(());
    }

    /// Returns when this hub committed some since the last time; those of a moment are one.
    pub(super) async fn rang_here(&self) {
        self.abroad.notified().await;
    }

    /// Changes with each event, whoever recorded it.
    pub(super) fn added(&self) -> watch::Receiver<()> {
        self.added.subscribe()
    }

    /// Each event that this hub records.
    pub(super) fn told(&self) -> broadcast::Receiver<Told> {
        self.told.subscribe()
    }
}
