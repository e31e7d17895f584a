//! A database of the first release opens with today's program, and nothing is lost.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, SqlSafeStr};
use uuid::Uuid;

use crate::api::WorkKind;
use crate::hub::store::postgres::PostgresStore;
use crate::hub::store::sqlite::SqliteStore;
use crate::hub::store::*;

const SQLITE: &str = include_str!("../sqlite/migrations/0001_spine.sql");
const POSTGRES: &str = include_str!("../postgres/migrations/0001_spine.sql");

fn t0() -> DateTime<Utc> {
    "2026-11-21T06:00:00Z".parse().unwrap()
}

fn us(minutes: i64) -> i64 {
    (t0() + TimeDelta::minutes(minutes)).timestamp_micros()
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// How one database writes what the other writes in another way.
struct Dialect {
    id: fn(Uuid) -> String,
    truth: fn(bool) -> &'static str,
    kind: fn(WorkKind) -> String,
    hash: &'static str,
    event_number: &'static str,
}

const IN_SQLITE: Dialect = Dialect {
    id: |id| format!("x'{}'", id.simple()),
    truth: |b| if b { "1" } else { "0" },
    kind: |kind| format!("'{kind}'"),
    hash: "x'00'",
    event_number: "seq",
};

const IN_POSTGRES: Dialect = Dialect {
    id: |id| format!("'{id}'"),
    truth: |b| if b { "true" } else { "false" },
    kind: |kind| (KINDS.iter().position(|k| *k == kind).unwrap() + 1).to_string(),
    hash: "'\\x00'",
    event_number: "seq",
};

const KINDS: [WorkKind; 6] = WorkKind::ALL;

/// Records in every state, as the first release would leave them behind.
fn content(d: &Dialect) -> String {
    let mut sql = String::new();
    let (yes, no) = ((d.truth)(true), (d.truth)(false));
    for n in 1..=6_u128 {
        let (alive, skip) = (if n == 5 { no } else { yes }, if n == 6 { yes } else { no });
        sql += &format!(
            "INSERT INTO egg_records VALUES ({}, 'host{n}.example.org', 'host{n}.example.org',
             'example.org', '10.0.0.{n}', NULL, 'lab', 'egg', {alive}, {skip}, {}, {});\n",
            (d.id)(id(n)),
            us(0),
            us(0),
        );
        for kind in KINDS {
            sql += &work(d, n, kind);
        }
    }
    for n in 1..=3_u128 {
        sql += &format!(
            "INSERT INTO nmap VALUES ({}, {}, 'host3.example.org', '10.0.0.3', 'kaze_port_scan',
             'kaze@a', 'kaze@a', 'connect', 'completed', 'scan', {}, {}, 1.5, 10,
             '{{\"open\":1,\"closed\":9,\"filtered\":0,\"unreachable\":0}}',
             '[{{\"port\":443,\"protocol\":\"tcp\",\"service\":\"https\",\"product\":\"\",\
                 \"version\":\"\",\"cpe\":[]}}]', 1, '{{}}', {});\n",
            (d.id)(id(100 + n)),
            (d.id)(id(3)),
            us(-10),
            us(-5),
            us(-5),
        );
    }
    let beat = "{\"agent\":\"kaze\",\"host\":\"a\",\"pid\":7,\"version\":\"0.1.0\",\
                \"status\":\"healthy\",\"status_text\":\"\",\"started_at\":\"2026-11-21T05:00:00Z\",\
                \"last_activity\":\"2026-11-21T05:00:00Z\",\"interval_s\":10.0,\"queue_depth\":0,\
                \"error_count\":0,\"cycle\":1}";
    sql += &format!(
        "INSERT INTO daemons VALUES ('kaze', 'a', 'kaze', '{beat}', {});\n",
        us(0)
    );
    sql += &format!(
        "INSERT INTO idempotency VALUES ('key-1', 'POST /daemon/kaze/scan', {}, 200,
         '{{\"success\":true}}', {});\n",
        d.hash,
        us(0)
    );
    for n in 1..=4_u128 {
        sql += &format!(
            "INSERT INTO events ({}, id, type, daemon_name, hostname, timestamp, data)
             VALUES ({n}, {}, 'scan_completed', 'kaze', 'a', {}, '{{\"n\":{n}}}');\n",
            d.event_number,
            (d.id)(id(200 + n)),
            us(0)
        );
    }
    sql
}

/// 1: all due or waiting; 2: leased; 3: done; 4: failed thrice, backing off; 5 and 6: set aside.
fn work(d: &Dialect, n: u128, kind: WorkKind) -> String {
    let waits = matches!(kind, WorkKind::SuzuEnum | WorkKind::RyuAssessment);
    let null = || "NULL".to_owned();
    let until = us(10);
    let (due, lease, attempts, done, error) = match n {
        2 => {
            let lease = (d.id)(id(
                1000 + KINDS.iter().position(|k| *k == kind).unwrap() as u128
            ));
            let lease = format!("{lease}, {until}, 'kaze@a', 600000000");
            (until.to_string(), lease, 0, null(), null())
        }
        3 => (
            us(60).to_string(),
            String::new(),
            0,
            us(-5).to_string(),
            null(),
        ),
        4 => (
            us(30).to_string(),
            String::new(),
            3,
            null(),
            "'host down'".to_owned(),
        ),
        _ if waits => (null(), String::new(), 0, null(), null()),
        _ => (us(0).to_string(), String::new(), 0, null(), null()),
    };
    let lease = if lease.is_empty() {
        "NULL, NULL, NULL, NULL".to_owned()
    } else {
        lease
    };
    format!(
        "INSERT INTO work VALUES ({}, {}, {due}, {}, {lease}, {attempts}, {done}, {error});\n",
        (d.id)(id(n)),
        (d.kind)(kind),
        u8::from(n == 1),
    )
}

fn first() -> impl Fn(&'static str) -> Migrator {
    |sql| {
        let sql = sql.into_sql_str();
        let one = Migration::new(1, "spine".into(), MigrationType::Simple, sql, false);
        Migrator::with_migrations(vec![one])
    }
}

/// What the first release kept, seen through today's program.
async fn nothing_is_lost(store: &dyn Store) {
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    let counts = store.counts(t0()).await.unwrap();
    assert_eq!((counts.targets, counts.leases, counts.scans), (6, 6, 3));
    let query = TargetQuery {
        limit: 100,
        ..TargetQuery::default()
    };
    let targets = store.targets(query).await.unwrap().items;
    assert_eq!(targets.len(), 6);
    let of = |n: u128| targets.iter().find(|t| t.id == id(n)).unwrap();
    assert_eq!(
        (of(1).group.as_deref(), of(1).ip_address),
        (Some("lab"), "10.0.0.1".parse().ok())
    );
    assert!(!of(5).alive && of(6).skip_scan && of(1).alive && !of(1).skip_scan);
    let work = |n: u128, kind| of(n).work.iter().find(move |w| w.kind == kind);
    for kind in KINDS {
        assert_eq!(
            work(2, kind).unwrap().lease_owner.as_deref(),
            Some("kaze@a"),
            "{kind}"
        );
        assert_eq!(
            work(3, kind).unwrap().last_done_at,
            Some(t0() - TimeDelta::minutes(5)),
            "{kind}"
        );
        assert_eq!(work(4, kind).unwrap().attempts, 3, "{kind}");
    }
    let waiting = work(1, WorkKind::SuzuEnum);
    assert!(waiting.is_none_or(|w| w.due_at.is_none()));

    let claim = |now| Claim {
        kind: WorkKind::KazePortScan,
        limit: 100,
        owner: "kaze@b".to_owned(),
        lease: Duration::from_secs(600),
        now,
    };
    let got =
        |claimed: Vec<Claimed>| -> Vec<Uuid> { claimed.iter().map(|c| c.record.id).collect() };
    let now = store.claim(claim(t0())).await.unwrap();
    assert_eq!(
        got(now),
        [id(1)],
        "2 is leased, 3 is done, 4 backs off, 5 and 6 are set aside"
    );
    let later = store
        .claim(claim(t0() + TimeDelta::minutes(11)))
        .await
        .unwrap();
    let mut later = got(later);
    later.sort_unstable();
    assert_eq!(later, [id(1), id(2)], "leases run out");

    let scans = store
        .scans(ScanQuery {
            limit: 10,
            ..ScanQuery::default()
        })
        .await
        .unwrap();
    assert_eq!(scans.items.len(), 3);
    let first = &scans.items[0];
    assert_eq!(first.open_ports[0].port, 443);
    assert_eq!((&first.hostname, first.udp_counts), (&None, None));
    assert_eq!(store.scan(first.id).await.unwrap().as_ref(), Some(first));
    let events = store
        .events(EventQuery {
            after: 0,
            limit: 10,
        })
        .await
        .unwrap();
    let numbers: Vec<_> = events
        .iter()
        .map(|e| e.data["n"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(store.daemons().await.unwrap()[0].heartbeat.pid, 7);
    let purge = async |before| {
        let done = store.purge(Kept::Answers, before, None, 10).await;
        done.unwrap().removed
    };
    assert_eq!(purge(t0()).await, 0);
    let later = t0() + TimeDelta::days(8);
    assert_eq!(purge(later).await, 1, "the answer was kept");
}

#[tokio::test]
async fn sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hub.db");
    let mut old = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    first()(SQLITE).run(&mut old).await.unwrap();
    old.execute(AssertSqlSafe(content(&IN_SQLITE)))
        .await
        .unwrap();
    old.close().await.unwrap();
    nothing_is_lost(&SqliteStore::open(&path).await.unwrap()).await;
}

#[tokio::test]
async fn postgres() {
    let url = super::new_database().await;
    let mut old = PgConnection::connect(&url).await.unwrap();
    first()(POSTGRES).run(&mut old).await.unwrap();
    let sql = format!("{} SELECT setval('event_seq', 4);", content(&IN_POSTGRES));
    old.execute(AssertSqlSafe(sql)).await.unwrap();
    old.close().await.unwrap();
    nothing_is_lost(&PostgresStore::open(&url).await.unwrap()).await;
}

/// The migrations before one, as an earlier release had them.
fn before(all: &[(i64, &'static str, &'static str)], version: i64) -> Migrator {
    let some = all.iter().filter(|(n, ..)| *n < version);
    let some = some.map(|&(n, name, sql)| {
        let sql = sql.into_sql_str();
        Migration::new(n, name.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(some.collect())
}

/// Two findings, as they were before they had priorities and decisions.
fn old_findings(d: &Dialect) -> String {
    let row = |n: u128, severity: &str| {
        let (id, record) = ((d.id)(id(n)), (d.id)(id(3)));
        let (hash, at) = (d.hash.replace("00", &format!("{n:02}")), us(0));
        format!(
            "INSERT INTO findings (id, record_id, fingerprint, target, type, severity, category,
                                   title, location, evidence, discovered_by, source_id,
                                   first_seen_at, last_seen_at)
             VALUES ({id}, {record}, {hash}, 'host3.example.org', 'exposed_secret', '{severity}',
                     'javascript_secret', 'Secret', '/', '{{}}', 'kumo', {id}, {at}, {at});\n"
        )
    };
    row(1, "low") + &row(2, "critical")
}

async fn findings_are_worth_what_their_severity_is(store: &dyn Store) {
    let query = FindingQuery {
        limit: 10,
        by_priority: true,
        status: Some("open".to_owned()),
        ..FindingQuery::default()
    };
    let found = store.findings(query).await.unwrap().items;
    let worth: Vec<_> = found.iter().map(|f| (f.id, f.priority)).collect();
    assert_eq!(worth, [(id(2), 95.0), (id(1), 25.0)]);
    assert_eq!((found[0].times_reopened, &found[0].decision), (0, &None));
}

#[tokio::test]
async fn findings_in_sqlite() {
    use crate::hub::store::sqlite::MIGRATIONS;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hub.db");
    let old = SqliteConnectOptions::new().filename(&path);
    let mut old = old.create_if_missing(true).connect().await.unwrap();
    before(MIGRATIONS, 16).run(&mut old).await.unwrap();
    let sql = old_findings(&IN_SQLITE);
    old.execute(AssertSqlSafe(sql)).await.unwrap();
    old.close().await.unwrap();
    findings_are_worth_what_their_severity_is(&SqliteStore::open(&path).await.unwrap()).await;
}

#[tokio::test]
async fn findings_in_postgres() {
    use crate::hub::store::postgres::MIGRATIONS;
    let url = super::new_database().await;
    let mut old = PgConnection::connect(&url).await.unwrap();
    before(MIGRATIONS, 15).run(&mut old).await.unwrap();
    let sql = old_findings(&IN_POSTGRES);
    old.execute(AssertSqlSafe(sql)).await.unwrap();
    old.close().await.unwrap();
    findings_are_worth_what_their_severity_is(&PostgresStore::open(&url).await.unwrap()).await;
}

/// What is wrong is named.
#[tokio::test]
async fn damage_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hub.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .foreign_keys(false);
    let mut broken = options.connect().await.unwrap();
    broken
        .execute(
            "INSERT INTO work (record_id, kind, due_at, lease_id, lease_until, lease_owner)
             VALUES (x'01', 1, 5, x'02', 10, 'a@b'), (x'03', 1, NULL, x'04', NULL, NULL)",
        )
        .await
        .unwrap();
    broken.close().await.unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    let problems = store.verify().await.unwrap().join("\n");
    for part in [
        "a row of work without its row of egg_records",
        "1 pieces of work with half a lease",
        "1 pieces of work that would be handed out although they are leased",
        "2 pieces of work without a target",
    ] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
}
