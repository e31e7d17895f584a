//! Runs of spiders and enumerations.

use chrono::{DateTime, Utc};
use sqlx::Row;
use uuid::Uuid;

use super::super::dialect::{Conn, DbRow, Pool, failed};
use super::super::rows::{self, code, from_json, get, micros, time, to_json};
use super::ended;
use crate::api::{WebRun, WorkKind};
use crate::hub::store::{Delivered, Result, RunFacts};

/// What a run tells of.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Told {
    pub(super) pages: bool,
    pub(super) forms: bool,
    pub(super) endpoints: bool,
}

/// The other runs of a record.
pub(super) struct Earlier {
    /// When the last of them ended.
    pub(super) last: Option<i64>,
    /// What any of them told of.
    pub(super) told: Told,
}

/// The runs of a record but this one. An end in the future was stored by a clock that was ahead: it does
/// not make others late.
pub(super) async fn earlier<T>(
    c: &mut Conn,
    d: &Delivered<T>,
    kind: WorkKind,
    run: &str,
) -> Result<Earlier> {
    let row = sqlx::query(
        "SELECT max(CASE WHEN finished_at <= $4 THEN finished_at END) AS last,
                count(CASE WHEN pages THEN 1 END) AS pages,
                count(CASE WHEN forms THEN 1 END) AS forms,
                count(CASE WHEN endpoints THEN 1 END) AS endpoints
         FROM web_runs WHERE record_id = $1 AND kind = $2 AND run <> $3",
    )
    .bind(d.record_id)
    .bind(code(kind))
    .bind(run)
    .bind(micros(d.now))
    .fetch_one(c)
    .await
    .map_err(failed)?;
    let any = |column| Ok(get::<i64>(&row, column)? > 0);
    Ok(Earlier {
        last: get(&row, "last")?,
        told: Told {
            pages: any("pages")?,
            forms: any("forms")?,
            endpoints: any("endpoints")?,
        },
    })
}

/// Notes a run, or what another result of it adds.
pub(in super::super) async fn note<T>(
    c: &mut Conn,
    d: &Delivered<T>,
    kind: WorkKind,
    facts: &RunFacts,
    told: Told,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO web_runs (id, record_id, kind, run, agent, complete, notes, calibration, pages,
                               forms, endpoints, finished_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (record_id, kind, run) DO UPDATE
         SET agent = excluded.agent,
             complete = coalesce(excluded.complete, web_runs.complete),
             notes = CASE WHEN excluded.notes = '[]' THEN web_runs.notes
                          ELSE excluded.notes END,
             calibration = CASE WHEN excluded.calibration = '[]' THEN web_runs.calibration
                                ELSE excluded.calibration END,
             pages = web_runs.pages OR excluded.pages,
             forms = web_runs.forms OR excluded.forms,
             endpoints = web_runs.endpoints OR excluded.endpoints,
             finished_at = CASE WHEN excluded.finished_at > web_runs.finished_at
                                THEN excluded.finished_at ELSE web_runs.finished_at END",
    )
    .bind(d.id)
    .bind(d.record_id)
    .bind(code(kind))
    .bind(&facts.run)
    .bind(&d.agent)
    .bind(facts.complete)
    .bind(to_json(&facts.notes)?)
    .bind(to_json(&facts.calibration)?)
    .bind(told.pages)
    .bind(told.forms)
    .bind(told.endpoints)
    .bind(micros(ended(facts.finished_at, d.now)))
    .bind(micros(d.now))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// There is another port that speaks HTTP: what looks at those is due before its time. What is in hand
/// stays in hand, and what is set aside aside.
pub(in super::super) async fn make_due(
    c: &mut Conn,
    record: Uuid,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE work SET due_at = $2
         WHERE record_id = $1 AND kind IN ($3, $4) AND lease_id IS NULL AND due_at > $2",
    )
    .bind(record)
    .bind(micros(now))
    .bind(code(WorkKind::KumoSpider))
    .bind(code(WorkKind::SuzuEnum))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// The newest runs of a record.
pub(in super::super) async fn newest(pool: &Pool, record: Uuid, limit: i64) -> Result<Vec<WebRun>> {
    let rows = sqlx::query(
        "SELECT * FROM web_runs WHERE record_id = $1 ORDER BY finished_at DESC, id DESC LIMIT $2",
    )
    .bind(record)
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    rows.iter().filter_map(|row| run(row).transpose()).collect()
}

/// None for a kind that a later version wrote.
fn run(row: &DbRow) -> Result<Option<WebRun>> {
    let Some(kind) = rows::kind(row)? else {
        return Ok(None);
    };
    Ok(Some(WebRun {
        id: get(row, "id")?,
        kind: kind.as_str().to_owned(),
        run: get(row, "run")?,
        agent: get(row, "agent")?,
        complete: row.try_get("complete").map_err(failed)?,
        notes: from_json(get(row, "notes")?)?,
        calibration: from_json(get(row, "calibration")?)?,
        finished_at: time(get(row, "finished_at")?)?,
    }))
}
