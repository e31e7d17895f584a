//! What is due, and who holds it.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{QueryBuilder, Row};
use uuid::Uuid;

use super::assessable;
use super::daemons;
use super::dialect::{Conn, DUE, Db, DbRow, LOCK_RECORD, LOCK_WORK, failed};
use super::rows::{self, code, micros, time};
use super::set_aside::SetAside;
use crate::api::{LeaseRenewal, WorkKind};
use crate::hub::store::{Attempt, Claim, Claimed, PutOff, Result, StoreError};

/// Most urgent first. Only assessments are given both: for others the second is not asked for when
/// there is enough of the first, and nothing is forgotten.
pub(super) const fn priorities(kind: WorkKind) -> [i64; 2] {
    match kind {
        WorkKind::RyuAssessment => [1, 0],
        _ => [0, 1],
    }
}
/// First pause after a failed attempt; it doubles with each further one.
const RETRY_FIRST: TimeDelta = TimeDelta::minutes(5);
/// Longest pause after a failed attempt.
const RETRY_MAX: TimeDelta = TimeDelta::hours(24);

/// Work that somebody did or tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) record_id: Uuid,
    pub(super) kind: WorkKind,
    /// Who did it: `NAME@HOST`, else address and personality.
    pub(super) caller: &'a str,
    pub(super) now: DateTime<Utc>,
}

/// Times that one claim looks for more, when rows that it came across were not for leasing.
const ROUNDS: usize = 8;
/// Rows that it looks at then, at least, or a thousand that are set aside would keep it for long.
const LOOK_AT: usize = 256;
/// A record in a network that is set aside is looked at again after this long.
const SET_ASIDE_FOR: TimeDelta = TimeDelta::hours(1);
/// So often a lease may run out before the record is thought to be the reason.
const RUN_OUT: u32 = 2;

/// Leases due records. A lease moves `due_at` to its own end: the row leaves the range of due rows
/// while it is held, and is back in it when the lease has expired.
pub(super) async fn claim(
    c: &mut Conn,
    claim: &Claim,
    set_aside: &SetAside,
) -> Result<Vec<Claimed>> {
    let mut claimed = assessable::waited_long(c, claim, set_aside).await?;
    for priority in priorities(claim.kind) {
        for round in 0..ROUNDS {
            let wanted = claim.limit as usize - claimed.len();
            if wanted == 0 {
                return Ok(claimed);
            }
            let most = if round == 0 {
                wanted
            } else {
                wanted.max(LOOK_AT)
            };
            let due = due(c, claim, priority, claim.now, most).await?;
            let looked_at = due.len();
            claimed.extend(sort_out(c, claim, due, wanted, set_aside).await?);
            if looked_at < most {
                break;
            }
        }
    }
    Ok(claimed)
}

/// Leases what has just become due of some records, by their keys.
pub(super) async fn claim_among(
    c: &mut Conn,
    claim: &Claim,
    keys: &[String],
    wanted: usize,
    set_aside: &SetAside,
) -> Result<Vec<Claimed>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut select = among("e.*, w.lease_id, w.attempts", claim.kind, keys);
    select.push(" AND w.due_at = ").push_bind(micros(claim.now));
    select.push(" ORDER BY e.id").push(LOCK_WORK);
    let found = select.build().fetch_all(&mut *c).await.map_err(failed)?;
    let due = found.iter().map(|row| due_row(row, claim, 0));
    let due = due.collect::<Result<_>>()?;
    sort_out(c, claim, due, wanted, set_aside).await
}

/// Which of these keys are known to this kind of work.
pub(super) async fn known_among(
    c: &mut Conn,
    kind: WorkKind,
    keys: &[String],
) -> Result<BTreeSet<String>> {
    let mut select = among("e.target_key", kind, keys);
    let found = select.build().fetch_all(c).await.map_err(failed)?;
    found
        .iter()
        .map(|row| rows::get(row, "target_key"))
        .collect()
}

/// Work of one kind for records of these keys, of which there are some.
pub(in super::super) fn among(
    columns: &'static str,
    kind: WorkKind,
    keys: &[String],
) -> QueryBuilder<Db> {
    let mut select = QueryBuilder::<Db>::new("SELECT ");
    // CROSS JOIN has SQLite begin with the records.
    select.push(columns).push(
        " FROM egg_records AS e CROSS JOIN work AS w
          WHERE w.record_id = e.id AND w.kind = ",
    );
    select.push_bind(code(kind));
    select.push(" AND e.target_key IN (");
    let mut list = select.separated(", ");
    for key in keys {
        list.push_bind(key.clone());
    }
    select.push(")");
    select
}

/// A due row.
pub(super) struct Due {
    claimed: Claimed,
    /// Failed attempts, this one included when a lease ran out.
    attempts: u32,
    ran_out: bool,
}

pub(super) async fn due(
    c: &mut Conn,
    claim: &Claim,
    priority: i64,
    by: DateTime<Utc>,
    wanted: usize,
) -> Result<Vec<Due>> {
    let found = sqlx::query(DUE)
        .bind(rows::code(claim.kind))
        .bind(priority)
        .bind(micros(by))
        .bind(i64::try_from(wanted).unwrap_or(i64::MAX))
        .fetch_all(c)
        .await
        .map_err(failed)?;
    let due = found.iter().map(|row| due_row(row, claim, priority));
    due.collect()
}

fn due_row(row: &DbRow, claim: &Claim, priority: i64) -> Result<Due> {
    let ran_out = rows::get::<Option<Uuid>>(row, "lease_id")?.is_some();
    let attempts: u32 = rows::count(row, "attempts")?;
    Ok(Due {
        claimed: Claimed {
            record: rows::record(row)?,
            lease_id: Uuid::now_v7(),
            lease_until: claim.now,
            priority,
        },
        attempts: attempts.saturating_add(u32::from(ran_out)),
        ran_out,
    })
}

/// Leases what can be leased, as much as is wanted. What takes no part leaves the range of due rows,
/// so that it is walked over once; what is in a network that takes none, for a time; and a record
/// under which one agent after the other goes away waits, as one does whose scans fail.
pub(super) async fn sort_out(
    c: &mut Conn,
    claim: &Claim,
    due: Vec<Due>,
    wanted: usize,
    set_aside: &SetAside,
) -> Result<Vec<Claimed>> {
    let lease = TimeDelta::from_std(claim.lease)
        .map_err(|e| StoreError::Internal(format!("length of the lease: {e}")))?;
    let mut leased = Vec::with_capacity(due.len().min(wanted));
    for mut one in due {
        if leased.len() == wanted {
            break;
        }
        let record = &one.claimed.record;
        if !record.data.alive || record.skip_scan {
            wait(c, claim, &one, None, None).await?;
        } else if set_aside.has(&record.data) {
            let until = claim.now + SET_ASIDE_FOR;
            let why = "it is in a network that is set aside";
            wait(c, claim, &one, Some(until), Some(why)).await?;
        } else if one.ran_out && one.attempts >= RUN_OUT {
            let until = claim.now + retry_after(one.attempts - RUN_OUT);
            let why = "leases ran out: the agents that held it went away or did not finish";
            wait(c, claim, &one, Some(until), Some(why)).await?;
        } else {
            one.claimed.lease_until = claim.now + lease;
            leased.push(one);
        }
    }
    lease_all(c, claim, lease, &leased).await?;
    Ok(leased.into_iter().map(|one| one.claimed).collect())
}

/// Has a record wait until then; without a time, until it takes part again.
async fn wait(
    c: &mut Conn,
    claim: &Claim,
    one: &Due,
    until: Option<DateTime<Utc>>,
    why: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "UPDATE work SET due_at = $3, attempts = $4, last_error = coalesce($5, last_error),
                         lease_id = NULL, lease_until = NULL, lease_owner = NULL, lease_us = NULL
         WHERE record_id = $1 AND kind = $2",
    )
    .bind(one.claimed.record.id)
    .bind(rows::code(claim.kind))
    .bind(until.map(micros))
    .bind(i64::from(one.attempts))
    .bind(why)
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// One statement for all: they come by the hundred.
async fn lease_all(c: &mut Conn, claim: &Claim, length: TimeDelta, leased: &[Due]) -> Result<()> {
    if leased.is_empty() {
        return Ok(());
    }
    let rows = leased
        .iter()
        .map(|one| (one.claimed.record.id, one.claimed.lease_id, one.attempts));
    let mut update = lease_statement(claim, length, rows);
    update.build().execute(c).await.map(drop).map_err(failed)
}

/// The records, their leases and their failed attempts.
pub(in super::super) fn lease_statement(
    claim: &Claim,
    length: TimeDelta,
    leased: impl IntoIterator<Item = (Uuid, Uuid, u32)>,
) -> QueryBuilder<Db> {
    let until = micros(claim.now + length);
    let mut update = QueryBuilder::<Db>::new(
        "UPDATE work SET lease_id = v.column2, attempts = v.column3, changed_at = NULL, lease_owner = ",
    );
    update.push_bind(claim.owner.clone());
    update
        .push(", lease_us = ")
        .push_bind(length.num_microseconds());
    update.push(", lease_until = ").push_bind(until);
    update.push(", due_at = ").push_bind(until);
    update.push(" FROM (");
    update.push_values(leased, |mut row, (record, lease, attempts)| {
        row.push_bind(record)
            .push_bind(lease)
            .push_bind(i64::from(attempts));
    });
    update.push(") AS v WHERE work.record_id = v.column1 AND work.kind = ");
    update.push_bind(rows::code(claim.kind));
    update
}

/// Ends leases whose records must not be handed out now.
pub(super) async fn put_off(c: &mut Conn, items: &[PutOff], now: DateTime<Utc>) -> Result<()> {
    for item in items {
        sqlx::query(
            "UPDATE work SET due_at = $2, last_error = $3, lease_id = NULL, lease_until = NULL,
                             lease_owner = NULL, lease_us = NULL
             WHERE lease_id = $1",
        )
        .bind(item.lease_id)
        .bind(micros(item.until))
        .bind(&item.error)
        .execute(&mut *c)
        .await
        .map_err(failed)?;
        if let Some(event) = &item.event {
            daemons::add_event(c, event, now).await?;
        }
    }
    Ok(())
}

/// Ends a lease; the record is due at once.
pub(super) async fn release(c: &mut Conn, lease: Uuid, now: DateTime<Utc>) -> Result<bool> {
    sqlx::query(
        "UPDATE work SET due_at = $2, lease_id = NULL, lease_until = NULL, lease_owner = NULL,
                         lease_us = NULL
         WHERE lease_id = $1",
    )
    .bind(lease)
    .bind(micros(now))
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0)
    .map_err(failed)
}

/// Renews leases. One that has run out but that nobody else took is still its owner's.
pub(super) async fn renew(
    c: &mut Conn,
    leases: &[Uuid],
    owner: &str,
    now: DateTime<Utc>,
) -> Result<Vec<LeaseRenewal>> {
    let mut renewals = Vec::with_capacity(leases.len());
    for lease in leases {
        let row = sqlx::query(
            "UPDATE work SET lease_until = $3 + lease_us, due_at = $3 + lease_us
             WHERE lease_id = $1 AND lease_owner = $2 RETURNING lease_until",
        )
        .bind(lease)
        .bind(owner)
        .bind(micros(now))
        .fetch_optional(&mut *c)
        .await
        .map_err(failed)?;
        let expires_at = match row {
            Some(row) => Some(time(row.try_get("lease_until").map_err(failed)?)?),
            None => None,
        };
        renewals.push(LeaseRenewal {
            id: *lease,
            expires_at,
        });
    }
    Ok(renewals)
}

/// Renews one lease for as long as its owner now wants; `None` when it is no longer its own.
pub(super) async fn prolong(
    c: &mut Conn,
    claim: &Claim,
    lease: Uuid,
) -> Result<Option<DateTime<Utc>>> {
    let length = TimeDelta::from_std(claim.lease)
        .map_err(|e| StoreError::Internal(format!("length of the lease: {e}")))?;
    let until = claim.now + length;
    let done = sqlx::query(
        "UPDATE work SET lease_until = $3, due_at = $3, lease_us = $4
         WHERE lease_id = $1 AND lease_owner = $2",
    )
    .bind(lease)
    .bind(&claim.owner)
    .bind(micros(until))
    .bind(length.num_microseconds())
    .execute(c)
    .await
    .map_err(failed)?;
    Ok((done.rows_affected() > 0).then_some(until))
}

/// Finds a record and holds it until the end of the transaction.
pub(super) async fn lock_record(c: &mut Conn, record: Uuid) -> Result<()> {
    let known = sqlx::query(LOCK_RECORD)
        .bind(record)
        .fetch_optional(c)
        .await
        .map_err(failed)?;
    known.map(drop).ok_or(StoreError::UnknownRecord)
}

/// Whether this work was done before.
pub(super) async fn was_done(c: &mut Conn, record: Uuid, kind: WorkKind) -> Result<bool> {
    let row = sqlx::query(
        "SELECT 1 FROM work WHERE record_id = $1 AND kind = $2 AND last_done_at IS NOT NULL",
    )
    .bind(record)
    .bind(code(kind))
    .fetch_optional(c)
    .await
    .map_err(failed)?;
    Ok(row.is_some())
}

/// The work is done, whoever holds it now. It may be done before it was due, when it has no row. What
/// changed while somebody held it asks for it once more.
pub(super) async fn finish(c: &mut Conn, task: &Task<'_>, rescan_after: Duration) -> Result<()> {
    let next = TimeDelta::from_std(rescan_after).unwrap_or(TimeDelta::MAX);
    let due = task.now.checked_add_signed(next).map(micros);
    sqlx::query(
        "INSERT INTO work (record_id, kind, due_at, last_done_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (record_id, kind) DO UPDATE
         SET due_at = CASE WHEN work.changed_at IS NULL THEN $3 ELSE $4 END, changed_at = NULL,
             last_done_at = $4, attempts = 0, last_error = NULL,
             lease_id = NULL, lease_until = NULL, lease_owner = NULL, lease_us = NULL",
    )
    .bind(task.record_id)
    .bind(code(task.kind))
    .bind(due)
    .bind(micros(task.now))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// Work that waits for a first result is due; until then it has no row.
pub(super) async fn make_due(
    c: &mut Conn,
    record: Uuid,
    kind: WorkKind,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO work (record_id, kind, due_at) VALUES ($1, $2, $3)
         ON CONFLICT (record_id, kind) DO UPDATE SET due_at = $3 WHERE work.due_at IS NULL",
    )
    .bind(record)
    .bind(code(kind))
    .bind(micros(now))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// A failed attempt puts the record off for a growing time. One that comes after the lease went to
/// another caller leaves that caller's lease alone.
pub(super) async fn record_attempt(c: &mut Conn, task: &Task<'_>, attempt: &Attempt) -> Result<()> {
    let row = sqlx::query(
        "SELECT attempts FROM work
         WHERE record_id = $1 AND kind = $2
           AND (lease_owner IS NULL OR lease_owner = $3 OR lease_until <= $4)",
    )
    .bind(task.record_id)
    .bind(code(task.kind))
    .bind(task.caller)
    .bind(micros(task.now))
    .fetch_optional(&mut *c)
    .await
    .map_err(failed)?;
    let Some(row) = row else {
        return Ok(());
    };
    let attempts: u32 = rows::count(&row, "attempts")?;
    sqlx::query(
        "UPDATE work SET due_at = $3, attempts = attempts + 1, last_error = $4,
                         lease_id = NULL, lease_until = NULL, lease_owner = NULL, lease_us = NULL
         WHERE record_id = $1 AND kind = $2",
    )
    .bind(task.record_id)
    .bind(code(task.kind))
    .bind(micros(task.now + retry_after(attempts)))
    .bind(&attempt.reason)
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// The pause after a failed attempt that so many failed ones came before.
fn retry_after(earlier: u32) -> TimeDelta {
    (RETRY_FIRST * (1 << earlier.min(16))).min(RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_back_off_up_to_a_day() {
        let minutes = |n| retry_after(n).num_minutes();
        assert_eq!([minutes(0), minutes(1), minutes(2)], [5, 10, 20]);
        assert_eq!(retry_after(9), RETRY_MAX);
        assert_eq!(retry_after(u32::MAX), RETRY_MAX);
    }
}
