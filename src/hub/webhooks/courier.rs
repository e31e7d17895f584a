use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::super::state::Hub;
use super::super::store::{EventFilter, EventPage, NewEvent, Progress, StoreError};
use super::sign::signature;
use super::{Pace, Webhook};
use crate::api::Event;
use crate::runtime::text::display;

/// A hub has a hook for so long, and renews that in half the time.
const HOLD: TimeDelta = TimeDelta::seconds(60);
const RENEW: Duration = Duration::from_secs(30);
/// Pause after the database failed.
const DATABASE_RETRY: Duration = Duration::from_secs(5);
/// Events are given up at most so often, many at a time: giving up is an event, too.
const GIVE_UP_EVERY: TimeDelta = TimeDelta::hours(1);
/// Events that are read at a time.
const PAGE: u32 = 100;

/// Why a round ended.
#[derive(Debug)]
enum End {
    /// There is nothing more for now.
    Idle,
    /// Where it is has changed: look again.
    Again,
    /// Another hub has the hook.
    Taken,
    /// It is time to stop.
    Stopped,
}

/// Delivers the events of one hook.
pub(super) struct Courier {
    hub: Arc<Hub>,
    hook: Webhook,
    stop: CancellationToken,
    http: reqwest::Client,
    holder: Uuid,
    held_until: DateTime<Utc>,
    progress: Progress,
    failures: u32,
    gave_up_at: Option<DateTime<Utc>>,
}

impl Courier {
    pub(super) fn new(
        hub: Arc<Hub>,
        hook: Webhook,
        stop: CancellationToken,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(hook.pace.timeout)
            .user_agent(concat!("recon-hub/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            hub,
            hook,
            stop,
            http,
            holder: Uuid::now_v7(),
            held_until: DateTime::UNIX_EPOCH,
            progress: Progress::default(),
            failures: 0,
            gave_up_at: None,
        })
    }

    /// Works until told to stop.
    pub(super) async fn run(mut self) {
        let mut added = self.hub.store.events_added();
        while !self.stop.is_cancelled() {
            added.mark_unchanged();
            let pause = match self.round().await {
                Ok(End::Again) => continue,
                Ok(End::Stopped) => break,
                Ok(End::Idle | End::Taken) => RENEW,
                Err(problem) => {
                    error!(webhook = self.hook.name, %problem, "a webhook waits for the database");
                    DATABASE_RETRY
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
                // An error means that the store is gone, and the hub with it.
                _ = added.changed() => {}
            }
        }
        // Whoever comes next need not wait until the hold ends; if this fails, it waits.
        let _ = self.hold_until(self.hub.clock.now()).await;
    }

    /// Delivers one page of events.
    async fn round(&mut self) -> Result<End, StoreError> {
        if !self.hold().await? {
            return Ok(End::Taken);
        }
        let page = self.page(self.progress.position).await?;
        for event in &page.events {
            match self.deliver(event).await? {
                End::Idle => {}
                end => return Ok(end),
            }
        }
        // The events of other types behind the last one; kept with the next renewal.
        self.progress.position = self.progress.position.max(page.last_seq);
        Ok(if page.more { End::Again } else { End::Idle })
    }

    async fn page(&self, after: i64) -> Result<EventPage, StoreError> {
        let filter = EventFilter {
            after,
            kinds: self.hook.types.clone(),
            limit: PAGE,
        };
        self.hub.store.event_page(filter).await
    }

    /// Sees to it that this hub has the hook for long enough.
    async fn hold(&mut self) -> Result<bool, StoreError> {
        let now = self.hub.clock.now();
        if self.held_until - now > HOLD / 2 {
            return Ok(true);
        }
        let first = self.held_until == DateTime::UNIX_EPOCH;
        if !self.hold_until(now + HOLD).await? {
            return Ok(false);
        }
        if !first {
            self.put(None).await?;
        }
        Ok(true)
    }

    async fn hold_until(&mut self, until: DateTime<Utc>) -> Result<bool, StoreError> {
        let name = self.hook.name.clone();
        let now = self.hub.clock.now();
        let held = self
            .hub
            .store
            .hold_webhook(name, self.holder, now, until)
            .await?;
        let Some(stored) = held else {
            // What is known of it is out of date when it comes back.
            self.held_until = DateTime::UNIX_EPOCH;
            self.progress = Progress::default();
            return Ok(false);
        };
        self.held_until = until;
        // Further than what was noted, it passed over events of other types.
        let position = self.progress.position.max(stored.position);
        self.progress = Progress { position, ..stored };
        Ok(true)
    }

    /// Notes how far it is; false when another hub has the hook.
    async fn put(&self, event: Option<NewEvent>) -> Result<bool, StoreError> {
        let (name, now) = (self.hook.name.clone(), self.hub.clock.now());
        let store = &self.hub.store;
        store
            .put_webhook(name, self.holder, self.progress, event, now)
            .await
    }

    /// Sends one event until it arrives, or as long as it may take. `Idle` means that it is done.
    async fn deliver(&mut self, event: &Event) -> Result<End, StoreError> {
        loop {
            if self.stop.is_cancelled() {
                return Ok(End::Stopped);
            }
            if !self.hold().await? {
                return Ok(End::Taken);
            }
            let Err(problem) = self.send(event).await else {
                return self.arrived(event).await;
            };
            if !self.failed(&problem).await? {
                return Ok(End::Taken);
            }
            if self.give_up(&problem).await? {
                return Ok(End::Again);
            }
            let pause = pause(self.hook.pace, self.failures);
            self.failures = self.failures.saturating_add(1);
            tokio::select! {
                () = self.stop.cancelled() => return Ok(End::Stopped),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn arrived(&mut self, event: &Event) -> Result<End, StoreError> {
        if self.progress.failing_since.take().is_some() {
            info!(webhook = self.hook.name, "a webhook works again");
        }
        self.failures = 0;
        self.progress.position = event.seq;
        self.progress.delivered += 1;
        let held = self.put(None).await?;
        Ok(if held { End::Idle } else { End::Taken })
    }

    /// Notes the first failure. False when another hub has the hook.
    async fn failed(&mut self, problem: &str) -> Result<bool, StoreError> {
        if self.progress.failing_since.is_some() {
            return Ok(true);
        }
        warn!(
            webhook = self.hook.name,
            problem, "a webhook fails; it is tried again"
        );
        self.progress.failing_since = Some(self.hub.clock.now());
        self.put(None).await
    }

    /// Gives up what is too old, when deliveries have failed for so long. True when it did.
    async fn give_up(&mut self, problem: &str) -> Result<bool, StoreError> {
        let now = self.hub.clock.now();
        let age = TimeDelta::from_std(self.hook.pace.give_up_after).unwrap_or(TimeDelta::MAX);
        let lately = self.gave_up_at.is_some_and(|at| now - at < GIVE_UP_EVERY);
        let Some(since) = self.progress.failing_since else {
            return Ok(false);
        };
        if lately || now - since < age {
            return Ok(false);
        }
        let (count, last) = self.older_than(now - age).await?;
        if count == 0 {
            return Ok(false);
        }
        let event = NewEvent {
            kind: "webhook_failed",
            daemon_name: None,
            hostname: None,
            data: json!({
                "webhook": self.hook.name,
                "given_up": count,
                "first_seq": self.progress.position + 1,
                "last_seq": last,
                "failing_since": since,
                "error": problem,
            }),
        };
        self.progress.position = last;
        self.progress.given_up += count;
        self.gave_up_at = Some(now);
        self.put(Some(event)).await?;
        Ok(true)
    }

    /// How many events are waiting since before this time, and the number of the last one.
    async fn older_than(&self, time: DateTime<Utc>) -> Result<(u64, i64), StoreError> {
        let (mut count, mut last) = (0, self.progress.position);
        let mut after = last;
        loop {
            let page = self.page(after).await?;
            let old = page.events.iter().take_while(|e| e.timestamp <= time);
            for event in old {
                count += 1;
                last = event.seq;
            }
            let newer = page.events.last().is_some_and(|e| e.timestamp > time);
            if newer || !page.more {
                return Ok((count, last));
            }
            after = page.last_seq;
        }
    }

    /// One request.
    async fn send(&self, event: &Event) -> Result<(), String> {
        let body = serde_json::to_vec(event).map_err(|e| e.to_string())?;
        let timestamp = self.hub.clock.now().timestamp();
        let signature =
            signature(&self.hook.secret, timestamp, &body).ok_or("the request cannot be signed")?;
        let answer = self
            .http
            .post(self.hook.url.clone())
            .header("Content-Type", "application/json")
            .header("X-Recon-Event", &event.kind)
            .header("X-Recon-Delivery", event.id.to_string())
            .header("X-Recon-Timestamp", timestamp)
            .header("X-Recon-Signature", signature)
            .body(body)
            .send()
            .await
            .map_err(|error| reason(&error))?;
        let status = answer.status();
        if status.is_success() {
            Ok(())
        } else if status.is_redirection() {
            Err(format!("it answered {status}; redirects are not followed"))
        } else {
            Err(format!("it answered {status}"))
        }
    }
}

/// The innermost cause says it best ("Connection refused"), and does not name the URL.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut source = std::error::Error::source(error);
    let mut text = "the request could not be sent".to_owned();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    display(&text, 200)
}

/// The pause after a failure that so many came before: half of it is by chance, so that hooks that
/// lead to one place do not come together.
fn pause(pace: Pace, earlier: u32) -> Duration {
    let whole = pace
        .retry_first
        .saturating_mul(1 << earlier.min(30))
        .min(pace.retry_max);
    whole.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pace = Pace::default();
        for (earlier, seconds) in [
            (0, 1.0),
            (1, 2.0),
            (8, 256.0),
            (9, 300.0),
            (u32::MAX, 300.0),
        ] {
            let pause = pause(pace, earlier).as_secs_f64();
            assert!(
                (seconds / 2.0..=seconds).contains(&pause),
                "{earlier}: {pause}"
            );
        }
    }
}
