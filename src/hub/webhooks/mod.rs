//! Webhooks: events sent to URLs of the operator's own.
//!
//! Each hook gets its events in order and at least once; it tells a repetition by the event's id. Its
//! position is in the database, so that a restart loses nothing, and of several hubs over one
//! database one at a time has it. What cannot be delivered is tried again, less and less often; what
//! is older than a day by then is given up, which is an event itself. Scope does not apply: nothing
//! that a target says chooses where a hook leads, and redirects are not followed.

mod courier;
mod sign;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::state::Hub;
use courier::Courier;

/// A hook.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// By which its position is known.
    pub name: String,
    /// Where it leads. It may hold a secret of its own: no message names it.
    pub url: Url,
    /// Types of the events that it gets.
    pub types: Vec<String>,
    /// What its requests are signed with.
    pub secret: Secret,
    /// How patient deliveries are.
    pub pace: Pace,
}

/// A key that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// This key.
    pub fn new(key: impl Into<Vec<u8>>) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How patient deliveries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// A request takes no longer than this.
    pub timeout: Duration,
    /// Pause after a first failure; it doubles with each further one.
    pub retry_first: Duration,
    /// Longest pause.
    pub retry_max: Duration,
    /// A hook that has failed for so long loses the events that are older than this.
    pub give_up_after: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(300),
            give_up_after: Duration::from_secs(24 * 3600),
        }
    }
}

/// Delivers until the hub stops, to the hooks that are in force.
pub(super) async fn run(hub: Arc<Hub>) {
    let mut live = hub.live_changes();
    while !hub.stopping.is_cancelled() {
        let hooks = live.borrow_and_update().live.webhooks.clone();
        let stop = hub.stopping.child_token();
        let mut couriers = start(&hub, &hooks, &stop);
        loop {
            tokio::select! {
                () = hub.stopping.cancelled() => break,
                changed = live.changed() => if changed.is_err() {
                    break;
                }
            }
            if live.borrow_and_update().live.webhooks != hooks {
                break;
            }
        }
        // What is on its way arrives first.
        stop.cancel();
        while couriers.join_next().await.is_some() {}
    }
}

fn start(hub: &Arc<Hub>, hooks: &[Webhook], stop: &CancellationToken) -> JoinSet<()> {
    let mut couriers = JoinSet::new();
    for hook in hooks {
        match Courier::new(Arc::clone(hub), hook.clone(), stop.clone()) {
            Ok(courier) => {
                couriers.spawn(courier.run());
            }
            Err(problem) => {
                error!(webhook = hook.name, %problem, "a webhook cannot work");
            }
        }
    }
    couriers
}
