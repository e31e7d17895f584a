//! What is due, and who holds it.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{QueryBuilder, Row};
use uuid::Uuid;

use super::daemons;
use super::dialect::{Conn, DUE, Db, failed};
use super::rows::{self, micros, time};
use crate::api::LeaseRenewal;
use crate::hub::store::{Claim, Claimed, PutOff, Result, StoreError};

/// Most urgent first.
const PRIORITIES: [i64; 2] = [1, 0];

/// Leases due records. A lease moves `due_at` to its own end: the row leaves the range of due rows
/// while it is held, and is back in it when the lease has expired.
pub(super) async fn claim(c: &mut Conn, claim: &Claim) -> Result<Vec<Claimed>> {
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
            .bind(rows::code(claim.kind))
            .bind(priority)
            .bind(micros(claim.now))
            .bind(i64::try_from(wanted).unwrap_or(i64::MAX))
            .fetch_all(&mut *c)
            .await
            .map_err(failed)?;
        let before = claimed.len();
        for row in &due {
            claimed.push(Claimed {
                record: rows::record(row)?,
                lease_id: Uuid::now_v7(),
                lease_until: until,
                priority,
            });
        }
        lease_all(c, claim, lease, &claimed[before..]).await?;
    }
    Ok(claimed)
}

/// One statement for all: they come by the hundred.
async fn lease_all(
    c: &mut Conn,
    claim: &Claim,
    length: TimeDelta,
    claimed: &[Claimed],
) -> Result<()> {
    if claimed.is_empty() {
        return Ok(());
    }
    let until = micros(claim.now + length);
    let mut update =
        QueryBuilder::<Db>::new("UPDATE work SET lease_id = v.column2, lease_owner = ");
    update.push_bind(&claim.owner);
    update
        .push(", lease_us = ")
        .push_bind(length.num_microseconds());
    update.push(", lease_until = ").push_bind(until);
    update.push(", due_at = ").push_bind(until);
    update.push(" FROM (");
    update.push_values(claimed, |mut row, one| {
        row.push_bind(one.record.id).push_bind(one.lease_id);
    });
    update.push(") AS v WHERE work.record_id = v.column1 AND work.kind = ");
    update.push_bind(rows::code(claim.kind));
    update.build().execute(c).await.map(drop).map_err(failed)
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
