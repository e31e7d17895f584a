//! Events by number.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;

use super::dialect::{self, Db, Pool, failed};
use super::rows::{self, micros};
use crate::hub::store::{EventFilter, EventPage, Result};

/// Numbers that one page looks at, at most: what is asked for may be rare.
const WINDOW: i64 = if cfg!(test) { 20 } else { 10_000 };

/// The smallest and the largest number after this one; none when there is none.
async fn span(pool: &Pool, after: i64) -> Result<Option<(i64, i64)>> {
    let row = sqlx::query(
        "SELECT (SELECT min(seq) FROM events WHERE seq > $1) AS first,
                (SELECT max(seq) FROM events) AS last",
    )
    .bind(after)
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    let first: Option<i64> = rows::get(&row, "first")?;
    Ok(first.zip(rows::get(&row, "last")?))
}

/// Some events.
pub(super) async fn page(pool: &Pool, filter: &EventFilter) -> Result<EventPage> {
    let Some((first, last)) = span(pool, filter.after).await? else {
        return at_the_end(pool, filter.after).await;
    };
    let end = first.saturating_add(WINDOW - 1).min(last);
    let mut query = QueryBuilder::<Db>::new("SELECT * FROM events WHERE seq >= ");
    query.push_bind(first).push(" AND seq <= ").push_bind(end);
    if !filter.kinds.is_empty() {
        query.push(" AND type IN (");
        let mut list = query.separated(", ");
        for kind in &filter.kinds {
            list.push_bind(kind);
        }
        query.push(")");
    }
    query
        .push(" ORDER BY seq LIMIT ")
        .push_bind(i64::from(filter.limit));
    let found = query.build().fetch_all(pool).await.map_err(failed)?;
    let events = found.iter().map(rows::event).collect::<Result<Vec<_>>>()?;
    let full = events.len() >= filter.limit as usize;
    let last_seq = events
        .last()
        .filter(|_| full)
        .map_or(end, |event| event.seq);
    Ok(EventPage {
        events,
        last_seq,
        more: last_seq < last,
        resync: false,
    })
}

/// There is nothing after this number. It may be one that was never given: then the database is
/// older than who asks.
async fn at_the_end(pool: &Pool, after: i64) -> Result<EventPage> {
    let given: Option<i64> = sqlx::query_scalar(dialect::LAST_SEQ)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    let given = given.unwrap_or(0);
    Ok(EventPage {
        last_seq: after.min(given),
        resync: after > given,
        ..EventPage::default()
    })
}

/// The number of the last event before this time: times grow with numbers, so that halving finds it
/// without an index of its own, which every event would have to pay for.
pub(super) async fn last_before(pool: &Pool, time: DateTime<Utc>) -> Result<i64> {
    let Some((mut low, last)) = span(pool, 0).await? else {
        return Ok(0);
    };
    let mut high = last + 1;
    while low < high {
        let middle = low + (high - low) / 2;
        let row =
            sqlx::query("SELECT seq, timestamp FROM events WHERE seq >= $1 ORDER BY seq LIMIT 1")
                .bind(middle)
                .fetch_optional(pool)
                .await
                .map_err(failed)?;
        match row {
            Some(row) if rows::get::<i64>(&row, "timestamp")? < micros(time) => {
                low = rows::get::<i64>(&row, "seq")? + 1;
            }
            _ => high = middle,
        }
    }
    Ok(low - 1)
}
