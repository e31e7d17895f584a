//! Scans that are delivered late, and clocks that were ahead.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::contract;
use super::history::{add, changes, day, scan, submit};
use crate::hub::store::*;

const KAZE: &str = "kaze_port_scan";

/// Of the hour at which it ended, delivered at another.
fn delivered(id: Uuid, ports: &[u16], ended: i64, at: i64) -> Submission {
    let mut submission = scan(id, KAZE, ports, hour(at));
    if let Ok(scan) = &mut submission.outcome {
        scan.finished_at = hour(ended);
    }
    submission
}

fn hour(n: i64) -> DateTime<Utc> {
    day(0) + TimeDelta::hours(n)
}

async fn told(store: &dyn Store) -> Vec<String> {
    changes(store, ChangeQuery::default()).await
}

/// The ends of all scans, last stored first.
async fn ends(store: &dyn Store) -> Vec<DateTime<Utc>> {
    let query = ScanQuery {
        limit: 100,
        ..ScanQuery::default()
    };
    let all = store.scans(query).await.unwrap().items;
    all.iter().map(|scan| scan.finished_at).collect()
}

async fn a_late_result_is_compared_with_nothing(store: &dyn Store) {
    let id = add(store, "10.0.0.1").await;
    submit(store, delivered(id, &[22], 10, 10)).await;
    submit(store, delivered(id, &[22, 80], 12, 12)).await;
    assert_eq!(told(store).await, ["port_opened 80/tcp"]);
    submit(store, delivered(id, &[22], 11, 13)).await;
    assert_eq!(told(store).await.len(), 1, "80 was open an hour later");
    submit(store, delivered(id, &[22, 80], 14, 14)).await;
    assert_eq!(told(store).await.len(), 1, "it is still the last");
    submit(store, delivered(id, &[80], 15, 15)).await;
    let all = ["port_closed 22/tcp", "port_opened 80/tcp"];
    assert_eq!(told(store).await, all);
    assert_eq!(ends(store).await.len(), 5, "all are kept");
}

/// What is delivered together was not seen together.
async fn a_fresh_scan_is_no_repetition_of_a_late_one(store: &dyn Store) {
    let id = add(store, "10.0.0.1").await;
    submit(store, delivered(id, &[22], 1, 10)).await;
    let mut other = delivered(id, &[22, 80], 10, 10);
    other.caller = "kaze@b".to_owned();
    submit(store, other).await;
    assert_eq!(told(store).await, ["port_opened 80/tcp"]);
    let mut again = delivered(id, &[22], 9, 10);
    again.caller = "kaze@c".to_owned();
    submit(store, again).await;
    assert_eq!(ends(store).await.len(), 2, "the last was stored just now");
}

/// Of many at once the first to be stored may have come last, by a hub's clock.
async fn what_came_a_moment_before_is_a_repetition(store: &dyn Store) {
    let id = add(store, "10.0.0.1").await;
    let mut came_last = delivered(id, &[22], 10, 10);
    came_last.now += TimeDelta::milliseconds(3);
    if let Ok(scan) = &mut came_last.outcome {
        scan.finished_at = came_last.now;
    }
    submit(store, came_last).await;
    let mut came_first = delivered(id, &[22], 10, 10);
    came_first.keyed = false;
    submit(store, came_first).await;
    assert_eq!(ends(store).await.len(), 1);
}

async fn an_agent_whose_clock_is_ahead(store: &dyn Store) {
    let id = add(store, "10.0.0.1").await;
    submit(store, delivered(id, &[22], 100, 1)).await;
    assert_eq!(ends(store).await, [hour(1)]);
    submit(store, delivered(id, &[22, 80], 2, 2)).await;
    assert_eq!(told(store).await, ["port_opened 80/tcp"]);
}

async fn a_hub_whose_clock_was_ahead(store: &dyn Store) {
    let id = add(store, "10.0.0.1").await;
    submit(store, delivered(id, &[22, 80], 100, 100)).await;
    let mut first = delivered(id, &[22], 1, 1);
    first.caller = "kaze@b".to_owned();
    submit(store, first).await;
    assert_eq!(told(store).await, ["port_closed 80/tcp"]);
    submit(store, delivered(id, &[22], 2, 2)).await;
    submit(store, delivered(id, &[22, 443], 3, 3)).await;
    let all = ["port_opened 443/tcp", "port_closed 80/tcp"];
    assert_eq!(told(store).await, all);
    assert_eq!(ends(store).await.len(), 4, "none was a repetition");
}

async fn retention_keeps_what_the_next_is_compared_with(store: &dyn Store) {
    let id = add(store, "10.0.0.1").await;
    submit(store, delivered(id, &[22, 80], 12, 12)).await;
    submit(store, delivered(id, &[22], 11, 13)).await;
    let done = store.purge(Kept::Scans, day(9), None, 10).await;
    assert_eq!(done.unwrap().removed, 1);
    assert_eq!(ends(store).await, [hour(12)]);
    submit(store, delivered(id, &[22, 80], 14, 14)).await;
    assert_eq!(told(store).await.len(), 0);
}

contract!(
    a_late_result_is_compared_with_nothing,
    a_fresh_scan_is_no_repetition_of_a_late_one,
    what_came_a_moment_before_is_a_repetition,
    an_agent_whose_clock_is_ahead,
    a_hub_whose_clock_was_ahead,
    retention_keeps_what_the_next_is_compared_with,
);
