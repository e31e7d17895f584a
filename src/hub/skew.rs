//! How far this hub's clock is from that of a database that several hubs share. Leases end by the
//! clock of the hub that looks: with two that differ by more than a lease, both would give one record
//! away.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::sleep;
use tracing::warn;

use super::clock::Clock;
use super::state::Hub;
use super::store::{Result, Store};

/// How often it is measured.
const EVERY: Duration = Duration::from_secs(60);
/// More than this is told of.
const TOLD: TimeDelta = TimeDelta::seconds(2);
/// With more than this nothing is leased: the shortest lease is 10 seconds.
const REFUSED: TimeDelta = TimeDelta::seconds(5);

/// As last measured; microseconds that this hub is ahead.
#[derive(Debug, Default)]
pub(super) struct Skew(AtomicI64);

impl Skew {
    /// Measures it. What the way to the database takes is not counted.
    pub(super) async fn measure(&self, store: &dyn Store, clock: &Clock) -> Result<()> {
        let before = clock.now();
        let Some(theirs) = store.time().await? else {
            return Ok(());
        };
        let after = clock.now();
        let ahead = if theirs < before {
            before - theirs
        } else {
            (after - theirs).min(TimeDelta::zero())
        };
        let ahead = ahead.num_microseconds().unwrap_or(i64::MAX);
        self.0.store(ahead, Ordering::Relaxed);
        Ok(())
    }

    /// What is to be told of it.
    pub(super) fn problem(&self) -> Option<String> {
        self.beyond(TOLD)
    }

    /// Why nothing can be leased.
    pub(super) fn refusal(&self) -> Option<String> {
        self.beyond(REFUSED)
    }

    fn beyond(&self, limit: TimeDelta) -> Option<String> {
        let ahead = TimeDelta::microseconds(self.0.load(Ordering::Relaxed));
        let way = match ahead {
            _ if ahead.abs() <= limit => return None,
            _ if ahead > TimeDelta::zero() => "ahead of",
            _ => "behind",
        };
        let seconds = ahead.abs().num_milliseconds() as f64 / 1000.0;
        Some(format!(
            "the clock of this hub is {seconds:.1} s {way} that of the database"
        ))
    }
}

/// Measures it now and then until the hub stops.
pub(super) async fn run(hub: Arc<Hub>) {
    loop {
        match hub.skew.measure(hub.store.as_ref(), &hub.clock).await {
            Ok(()) => {
                if let Some(problem) = hub.skew.problem() {
                    warn!(%problem, "leases are only as good as clocks; set them right (NTP)");
                }
            }
            Err(problem) => warn!(%problem, "the clock of the database could not be read"),
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            () = hub.stopping.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::hub::store::contract::new_database;
    use crate::hub::{Config, Database, Live, Server};

    async fn get(address: std::net::SocketAddr, path: &str) -> (u16, Value) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{address}{path}");
        let answer = http.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// What the hub says when it is ready, and what to a wish for work.
    async fn answers(ahead: TimeDelta) -> ((u16, Value), (u16, Value)) {
        let clock = Clock::default();
        clock.advance(ahead);
        let listen = ([127, 0, 0, 1], 0).into();
        let mut config = Config::new(listen, "unused".into(), Live::default());
        config.database = Database::Postgres(new_database().await);
        let server = Server::bind(config, clock).await.unwrap();
        let address = server.address();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.run(stop.clone()));
        let ready = get(address, "/readyz").await;
        let leased = get(address, "/reconnaissance/api/daemon/kaze/eggrecords/").await;
        stop.cancel();
        serving.await.unwrap();
        (ready, leased)
    }

    #[tokio::test]
    async fn a_hub_whose_clock_is_wrong_leases_nothing() {
        let ((status, ready), (leased, _)) = answers(TimeDelta::zero()).await;
        assert_eq!((status, leased), (200, 200));
        assert_eq!(ready["clock"], Value::Null);

        let ((status, ready), (leased, _)) = answers(TimeDelta::seconds(4)).await;
        assert_eq!((status, leased), (200, 200));
        let told = ready["clock"].as_str().unwrap();
        assert!(told.contains("ahead of that of the database"), "{told}");

        let ((status, ready), (leased, refusal)) = answers(TimeDelta::seconds(-60)).await;
        assert_eq!((status, leased), (200, 503));
        assert!(ready["clock"].as_str().unwrap().contains("s behind"));
        assert!(refusal["error"].as_str().unwrap().contains("s behind"));
    }
}
