//! What is due, and who holds it.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::super::{Claim, Claimed, PutOff, Result};
use super::rows::{self, failed, micros, time};
use super::{StoreError, daemons};
use crate::api::LeaseRenewal;

/// Most urgent first.
const PRIORITIES: [i64; 2] = [1, 0];

/// Due records of one kind and priority, longest due first. CROSS JOIN keeps SQLite from starting
/// with `egg_records`.
pub(super) const DUE: &str = "SELECT e.* FROM work w CROSS JOIN egg_records e ON e.id = w.record_id
     WHERE w.kind = ?1 AND w.priority = ?2 AND w.due_at <= ?3
       AND e.alive = 1 AND e.skip_scan = 0
     ORDER BY w.due_at, w.record_id LIMIT ?4";

/// Leases due records. A lease moves `due_at` to its own end: the row leaves the range of due rows
/// while it is held, and is back in it when the lease has expired.
pub(super) async fn claim(c: &mut SqliteConnection, claim: &Claim) -> Result<Vec<Claimed>> {
    let lease = TimeDelta::from_std(claim.lease)
        .map_err(|e| StoreError::Internal(format!("length of the lease: {e}")))?;
    let until = claim.now + lease;
    let mut claimed = Vec::new();
    for priority in PRIORITIES {
        let wanted = claim.limit as usize - claimed.len();
        if wanted == 0 {
            break;
        }
        let due = sqlx::query(DUE)
            .bind(claim.kind.as_str())
            .bind(priority)
            .bind(micros(claim.now))
            .bind(i64::try_from(wanted).unwrap_or(i64::MAX))
            .fetch_all(&mut *c)
            .await
            .map_err(failed)?;
        for row in &due {
            let lease_id = Uuid::now_v7();
            let record = rows::record(row)?;
            sqlx::query(
                "UPDATE work SET lease_id = ?3, lease_owner = ?4, lease_us = ?5,
                                 lease_until = ?6, due_at = ?6
                 WHERE record_id = ?1 AND kind = ?2",
            )
            .bind(record.id)
            .bind(claim.kind.as_str())
            .bind(lease_id)
            .bind(&claim.owner)
            .bind(lease.num_microseconds())
            .bind(micros(until))
            .execute(&mut *c)
            .await
            .map_err(failed)?;
            claimed.push(Claimed {
                record,
                lease_id,
                lease_until: until,
                priority,
            });
        }
    }
    Ok(claimed)
}

/// Ends leases whose records must not be handed out now.
pub(super) async fn put_off(
    c: &mut SqliteConnection,
    items: &[PutOff],
    now: DateTime<Utc>,
) -> Result<()> {
    for item in items {
        sqlx::query(
            "UPDATE work SET due_at = ?2, last_error = ?3, lease_id = NULL, lease_until = NULL,
                             lease_owner = NULL, lease_us = NULL
             WHERE lease_id = ?1",
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
pub(super) async fn release(
    c: &mut SqliteConnection,
    lease: Uuid,
    now: DateTime<Utc>,
) -> Result<bool> {
    sqlx::query(
        "UPDATE work SET due_at = ?2, lease_id = NULL, lease_until = NULL, lease_owner = NULL,
                         lease_us = NULL
         WHERE lease_id = ?1",
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
    c: &mut SqliteConnection,
    leases: &[Uuid],
    owner: &str,
    now: DateTime<Utc>,
) -> Result<Vec<LeaseRenewal>> {
    let mut renewals = Vec::with_capacity(leases.len());
    for lease in leases {
        let row = sqlx::query(
            "UPDATE work SET lease_until = ?3 + lease_us, due_at = ?3 + lease_us
             WHERE lease_id = ?1 AND lease_owner = ?2 RETURNING lease_until",
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
