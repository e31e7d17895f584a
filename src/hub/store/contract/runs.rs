//! Scans that go on: one row a run, which is no scan before its end.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::contract;
use super::history::{add, changes, day, scan};
use crate::api::{PortCounts, Scan, WorkKind};
use crate::hub::store::*;

const KAZE: &str = "kaze_port_scan";
const LEASE: Duration = Duration::from_secs(600);

fn minute(n: i64) -> DateTime<Utc> {
    day(0) + TimeDelta::minutes(n)
}

fn run(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// Part `seq` of a run; the whole without one.
fn part(id: Uuid, of: u128, seq: Option<u32>, ports: &[u16], at: i64) -> Submission {
    Submission {
        run: Some(Run {
            id: run(of),
            part: seq,
        }),
        rescan_after: Duration::from_secs(3600),
        ..scan(id, KAZE, ports, minute(at))
    }
}

fn by(caller: &str, submission: Submission) -> Submission {
    Submission {
        caller: caller.to_owned(),
        ..submission
    }
}

fn claim(owner: &str, at: i64) -> Claim {
    Claim {
        kind: WorkKind::KazePortScan,
        limit: 10,
        owner: owner.to_owned(),
        lease: LEASE,
        now: minute(at),
    }
}

async fn lease(store: &dyn Store, owner: &str, at: i64) -> Vec<Claimed> {
    store.claim(claim(owner, at)).await.unwrap()
}

/// A target that `kaze@a` has leased at the beginning.
async fn leased(store: &dyn Store) -> (Uuid, Uuid) {
    let id = add(store, "10.0.0.1").await;
    let held = lease(store, "kaze@a", 0).await;
    (id, held[0].lease_id)
}

async fn submit(store: &dyn Store, submission: Submission) -> String {
    submit_as(store, submission, None).await.unwrap()
}

async fn submit_as(store: &dyn Store, submission: Submission, key: Option<&str>) -> Result<String> {
    let render = |done: &Submitted, _: &Record| Answer {
        status: 200,
        body: format!("{done:?}"),
    };
    let key = key.map(|key| Idempotency {
        key: key.to_owned(),
        route: "POST /api/daemon/kaze/scan".to_owned(),
        body_sha256: [1; 32],
    });
    let answer = store
        .submit_scan(submission, key, Box::new(|_, _| Ok(())), Box::new(render))
        .await?;
    Ok(answer.body)
}

async fn scans(store: &dyn Store) -> Vec<Scan> {
    let query = ScanQuery {
        limit: 100,
        ..ScanQuery::default()
    };
    store.scans(query).await.unwrap().items
}

/// Status and open ports of all scans, newest first.
async fn shown(store: &dyn Store) -> Vec<(String, Vec<u16>)> {
    let of = |scan: Scan| {
        let ports = scan.open_ports.iter().map(|p| p.port).collect();
        (scan.scan_status, ports)
    };
    scans(store).await.into_iter().map(of).collect()
}

fn one(status: &str, ports: &[u16]) -> Vec<(String, Vec<u16>)> {
    vec![(status.to_owned(), ports.to_vec())]
}

async fn told(store: &dyn Store) -> Vec<String> {
    changes(store, ChangeQuery::default()).await
}

async fn events(store: &dyn Store, kind: &str) -> usize {
    let query = EventQuery {
        after: 0,
        limit: 100,
    };
    let all = store.events(query).await.unwrap();
    all.iter().filter(|event| event.kind == kind).count()
}

async fn is_due(store: &dyn Store, at: i64) -> bool {
    !lease(store, "other@b", at).await.is_empty()
}

async fn parts_make_one_row_that_the_whole_takes_over(store: &dyn Store) {
    let (id, _) = leased(store).await;
    let first = submit(store, part(id, 1, Some(1), &[22], 1)).await;
    assert_eq!(first, "Part { open_ports: 1 }");
    assert_eq!(shown(store).await, one("running", &[22]));
    let row = scans(store).await[0].id;
    submit(store, part(id, 1, Some(2), &[80], 2)).await;
    assert_eq!(shown(store).await, one("running", &[22, 80]), "merged");
    assert_eq!(scans(store).await[0].finished_at, minute(2), "last seen");
    assert_eq!(events(store, "scan_progress").await, 2);
    assert_eq!(events(store, "scan_completed").await, 0);
    assert_eq!(store.counts(minute(2)).await.unwrap().scans, 0);
    assert_eq!(store.scan_totals().await.unwrap().get(KAZE), Some(&0));

    submit(store, part(id, 1, None, &[22, 443], 3)).await;
    assert_eq!(shown(store).await, one("completed", &[22, 443]));
    assert_eq!(scans(store).await[0].id, row, "it keeps its address");
    assert_eq!(events(store, "scan_completed").await, 1);
    assert_eq!(store.counts(minute(3)).await.unwrap().scans, 1);
    assert_eq!(store.scan_totals().await.unwrap().get(KAZE), Some(&1));
}

/// Open ports of UDP are counted apart, as their agent does.
async fn parts_tell_of_the_host_and_of_udp(store: &dyn Store) {
    let (id, _) = leased(store).await;
    let with_udp = |seq, ports: &[u16], name: Option<&str>| {
        let mut part = part(id, 1, seq, ports, 1);
        let scan = part.outcome.as_mut().unwrap();
        for port in &mut scan.open_ports {
            port.protocol = if port.port == 53 { "udp" } else { "tcp" }.to_owned();
        }
        scan.udp_counts = Some(PortCounts {
            closed: 3,
            ..PortCounts::default()
        });
        scan.host = HostFacts {
            name: name.map(str::to_owned),
            state: Some("up".to_owned()),
            reason: Some("udp-response".to_owned()),
        };
        part
    };
    let shown = async || {
        let scan = scans(store).await.swap_remove(0);
        let udp = scan.udp_counts.unwrap();
        (scan.hostname, scan.port_counts.open, udp.open, udp.closed)
    };
    let name = Some("a.example.org".to_owned());
    submit(store, with_udp(Some(1), &[53], Some("a.example.org"))).await;
    assert_eq!(shown().await, (name.clone(), 0, 1, 3));
    submit(store, with_udp(Some(2), &[22], None)).await;
    assert_eq!(shown().await, (name, 1, 1, 3), "what was said stays said");
    assert_eq!(scans(store).await[0].host_state.as_deref(), Some("up"));
    submit(store, with_udp(None, &[22, 53], None)).await;
    assert_eq!(
        shown().await,
        (None, 0, 0, 3),
        "the whole has the last word"
    );
    let reason = scans(store).await[0].host_state_reason.clone();
    assert_eq!(reason.as_deref(), Some("udp-response"));
}

async fn a_part_is_not_the_work(store: &dyn Store) {
    let (id, _) = leased(store).await;
    submit(store, part(id, 1, Some(1), &[22], 8)).await;
    assert!(!is_due(store, 17).await, "it renews the lease");
    let target = store.target(id).await.unwrap().unwrap();
    let work = |kind| target.work.iter().find(|w| w.kind == kind);
    let kaze = work(WorkKind::KazePortScan).unwrap();
    assert_eq!(kaze.last_done_at, None);
    assert_eq!(kaze.due_at, Some(minute(18)));
    assert!(work(WorkKind::RyuAssessment).is_none_or(|w| w.due_at.is_none()));
    let summary = store.summary(id).await.unwrap().unwrap();
    assert_eq!(summary.counts.scans, 0);
    assert!(is_due(store, 19).await, "and no longer than that");
}

async fn the_whole_is_compared_with_the_last_whole(store: &dyn Store) {
    let (id, _) = leased(store).await;
    submit(store, part(id, 1, None, &[22, 80], 1)).await;
    lease(store, "kaze@a", 61).await;
    submit(store, part(id, 2, Some(1), &[22], 62)).await;
    assert_eq!(told(store).await.len(), 0, "80 may be found yet");
    submit(store, part(id, 2, None, &[22, 443], 63)).await;
    let all = ["port_closed 80/tcp", "port_opened 443/tcp"];
    assert_eq!(told(store).await, all);
}

async fn a_late_part_changes_nothing(store: &dyn Store) {
    let (id, _) = leased(store).await;
    submit(store, part(id, 1, Some(1), &[22], 1)).await;
    submit(store, part(id, 1, None, &[22, 80], 2)).await;
    let before = (scans(store).await, events(store, "scan_progress").await);
    assert_eq!(submit(store, part(id, 1, Some(2), &[9], 3)).await, "Late");
    // Not even when the same agent has the record again.
    lease(store, "kaze@a", 63).await;
    assert_eq!(submit(store, part(id, 1, Some(3), &[9], 64)).await, "Late");
    let after = (scans(store).await, events(store, "scan_progress").await);
    assert_eq!(before, after);
}

async fn parts_out_of_order(store: &dyn Store) {
    let (id, _) = leased(store).await;
    submit(store, part(id, 1, Some(2), &[22, 80], 2)).await;
    submit(store, part(id, 1, Some(1), &[22], 3)).await;
    assert_eq!(shown(store).await, one("running", &[22, 80]));
    assert_eq!(events(store, "scan_progress").await, 1, "nothing new");
    assert_eq!(scans(store).await[0].finished_at, minute(2));
    submit(store, part(id, 1, Some(1), &[443], 3)).await;
    assert_eq!(
        shown(store).await,
        one("running", &[22, 80, 443]),
        "what only the older has is found all the same"
    );
}

async fn a_part_comes_twice(store: &dyn Store) {
    let (id, _) = leased(store).await;
    let first = submit_as(store, part(id, 1, Some(1), &[22], 1), Some("k")).await;
    let again = submit_as(store, part(id, 1, Some(1), &[22], 1), Some("k")).await;
    assert_eq!(first.unwrap(), again.unwrap());
    assert_eq!(events(store, "scan_progress").await, 1);
}

async fn a_part_without_the_lease_is_not_taken(store: &dyn Store) {
    let (id, lease_id) = leased(store).await;
    let stranger = by("kaze@b", part(id, 1, Some(1), &[22], 1));
    assert_eq!(submit(store, stranger).await, "Late");
    store.release(lease_id, minute(2)).await.unwrap();
    assert_eq!(submit(store, part(id, 1, Some(1), &[22], 3)).await, "Late");
    assert_eq!(scans(store).await.len(), 0);
    let unknown = submit_as(store, part(run(9), 1, Some(1), &[22], 3), None).await;
    assert!(matches!(unknown, Err(StoreError::UnknownRecord)));
}

async fn a_run_without_its_lease_is_interrupted(store: &dyn Store) {
    let (id, _) = leased(store).await;
    submit(store, part(id, 1, None, &[22, 80], 1)).await;
    lease(store, "kaze@a", 61).await;
    submit(store, part(id, 2, Some(1), &[22], 62)).await;
    assert_eq!(store.interrupt_runs(minute(71)).await.unwrap(), 0);
    assert_eq!(store.interrupt_runs(minute(73)).await.unwrap(), 1);
    assert_eq!(store.interrupt_runs(minute(73)).await.unwrap(), 0, "once");
    assert_eq!(events(store, "scan_interrupted").await, 1);
    assert_eq!(scans(store).await[0].scan_status, "interrupted");
    // The next scan is compared with the whole one before it.
    lease(store, "kaze@b", 80).await;
    submit(store, by("kaze@b", part(id, 3, None, &[22, 80], 81))).await;
    assert_eq!(told(store).await.len(), 0, "nothing closed, nothing opened");
    assert_eq!(shown(store).await[1], one("interrupted", &[22])[0], "kept");
}

async fn an_interrupted_run_goes_on(store: &dyn Store) {
    let (id, lease_id) = leased(store).await;
    submit(store, part(id, 1, Some(1), &[22], 1)).await;
    store.interrupt_runs(minute(20)).await.unwrap();
    // Nobody else took the record: it is still the agent's own.
    let resumed = store.resume(claim("kaze@a", 20), vec![lease_id]).await;
    assert_eq!(resumed.unwrap()[0].record.id, id);
    submit(store, part(id, 1, Some(2), &[22, 80], 21)).await;
    assert_eq!(shown(store).await, one("running", &[22, 80]));
    submit(store, part(id, 1, None, &[22, 80], 22)).await;
    assert_eq!(shown(store).await, one("completed", &[22, 80]));
}

async fn a_new_run_interrupts_the_one_before(store: &dyn Store) {
    let (id, _) = leased(store).await;
    submit(store, part(id, 1, Some(1), &[22], 1)).await;
    submit(store, part(id, 2, Some(1), &[80], 2)).await;
    let statuses: Vec<_> = shown(store).await.into_iter().map(|s| s.0).collect();
    assert_eq!(statuses, ["running", "interrupted"]);
}

async fn a_run_that_brings_two_results_is_two_scans(store: &dyn Store) {
    let (id, _) = leased(store).await;
    submit(store, part(id, 1, None, &[22], 1)).await;
    lease(store, "kaze@a", 61).await;
    submit(store, part(id, 1, None, &[22], 62)).await;
    assert_eq!(scans(store).await.len(), 2);
    assert!(!is_due(store, 63).await, "the work is done");
}

async fn an_agent_goes_on_with_its_own_leases_only(store: &dyn Store) {
    let (id, own) = leased(store).await;
    add(store, "10.0.0.2").await;
    let theirs = lease(store, "kaze@b", 1).await[0].lease_id;
    let wanted = vec![theirs, own, Uuid::now_v7()];
    let resumed = store.resume(claim("kaze@a", 5), wanted).await.unwrap();
    let of: Vec<_> = resumed.iter().map(|c| (c.record.id, c.lease_id)).collect();
    assert_eq!(of, [(id, own)]);
    assert_eq!(resumed[0].lease_until, minute(15));
    let kage = Claim {
        kind: WorkKind::KagePortScan,
        ..claim("kaze@a", 5)
    };
    assert!(store.resume(kage, vec![own]).await.unwrap().is_empty());
    // Its lease ran out and somebody else took the record.
    assert_eq!(lease(store, "kaze@c", 30).await.len(), 2);
    let gone = store.resume(claim("kaze@a", 31), vec![own]).await;
    assert!(gone.unwrap().is_empty());
}

async fn what_is_set_aside_is_not_gone_on_with(store: &dyn Store) {
    let (id, own) = leased(store).await;
    let skip = TargetChange {
        skip_scan: Some(true),
        ..TargetChange::default()
    };
    store.change_target(id, skip, minute(1)).await.unwrap();
    let resumed = store.resume(claim("kaze@a", 2), vec![own]).await;
    assert!(resumed.unwrap().is_empty());
}

async fn retention_removes_parts_and_keeps_the_last_whole(store: &dyn Store) {
    let (id, _) = leased(store).await;
    submit(store, part(id, 1, None, &[22, 80], 1)).await;
    lease(store, "kaze@a", 61).await;
    submit(store, part(id, 2, Some(1), &[22], 62)).await;
    store.interrupt_runs(minute(90)).await.unwrap();
    store.purge(Kept::Scans, day(9), None, 10).await.unwrap();
    assert_eq!(shown(store).await, one("completed", &[22, 80]));
}

async fn all_at_once_in_any_order_end_as_the_whole(store: &dyn Store) {
    let (id, _) = leased(store).await;
    let parts = (1..=8_u32).map(|n| part(id, 1, Some(n), &[22], 1));
    let whole = part(id, 1, None, &[22, 80], 2);
    let all = parts.chain([whole]).map(|s| submit_as(store, s, None));
    for done in futures_util::future::join_all(all).await {
        done.unwrap();
    }
    assert_eq!(shown(store).await, one("completed", &[22, 80]));
}

contract!(
    parts_make_one_row_that_the_whole_takes_over,
    parts_tell_of_the_host_and_of_udp,
    a_part_is_not_the_work,
    the_whole_is_compared_with_the_last_whole,
    a_late_part_changes_nothing,
    parts_out_of_order,
    a_part_comes_twice,
    a_part_without_the_lease_is_not_taken,
    a_run_without_its_lease_is_interrupted,
    an_interrupted_run_goes_on,
    a_new_run_interrupts_the_one_before,
    a_run_that_brings_two_results_is_two_scans,
    an_agent_goes_on_with_its_own_leases_only,
    what_is_set_aside_is_not_gone_on_with,
    retention_removes_parts_and_keeps_the_last_whole,
    all_at_once_in_any_order_end_as_the_whole,
);
